//! What another crate sees: the call shape of the framework macro, the status predicates, the table's indexes.

use core::ptr::null_mut;

use wdk_sys::{
    _WDFFUNCENUM, NT_ERROR, NT_INFORMATION, NT_SUCCESS, NT_WARNING, NTSTATUS,
    STATUS_BUFFER_OVERFLOW, STATUS_NOT_FOUND, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_PENDING,
    STATUS_SUCCESS, STATUS_TIMEOUT, ULONG, WDF_DRIVER_CONFIG, WDFDRIVER, WDFFUNC, WDFREQUEST,
    call_unsafe_wdf_function_binding,
};

/// A framework of two functions, the way the simulator provides one.
mod framework {
    use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use wdk_sys::*;

    pub static GLOBALS_SEEN: AtomicU64 = AtomicU64::new(0);
    pub static COMPLETED_WITH: AtomicU64 = AtomicU64::new(0);

    unsafe extern "C" fn complete_with_information(
        globals: PWDF_DRIVER_GLOBALS,
        _: WDFREQUEST,
        status: NTSTATUS,
        information: ULONG_PTR,
    ) {
        GLOBALS_SEEN.store(globals.addr() as u64, Relaxed);
        COMPLETED_WITH.store(
            information | u64::from(status.cast_unsigned()) << 32,
            Relaxed,
        );
    }

    unsafe extern "C" fn driver_create(
        _: PWDF_DRIVER_GLOBALS,
        _: PDRIVER_OBJECT,
        _: PCUNICODE_STRING,
        _: PWDF_OBJECT_ATTRIBUTES,
        config: PWDF_DRIVER_CONFIG,
        driver: *mut WDFDRIVER,
    ) -> NTSTATUS {
        // SAFETY: the test passes its own two structures.
        unsafe {
            if (*config).Size as usize != size_of::<WDF_DRIVER_CONFIG>() {
                return STATUS_INFO_LENGTH_MISMATCH;
            }
            driver.write(core::ptr::without_provenance_mut(0x1234));
        }
        STATUS_SUCCESS
    }

    pub fn table() -> &'static [WDFFUNC] {
        let mut table = vec![None; 458];
        let complete: PFN_WDFREQUESTCOMPLETEWITHINFORMATION = Some(complete_with_information);
        let create: PFN_WDFDRIVERCREATE = Some(driver_create);
        // SAFETY: entries are function pointers of any type, and each goes where the header has its function.
        unsafe {
            table[265] =
                core::mem::transmute::<PFN_WDFREQUESTCOMPLETEWITHINFORMATION, WDFFUNC>(complete);
            table[116] = core::mem::transmute::<PFN_WDFDRIVERCREATE, WDFFUNC>(create);
        }
        table.leak()
    }
}

/// What the simulator defines.
#[unsafe(no_mangle)]
pub static mut WdfFunctions_01033: *const WDFFUNC = core::ptr::null();
/// What the simulator defines.
#[unsafe(no_mangle)]
pub static mut WdfDriverGlobals: *mut wdk_sys::WDF_DRIVER_GLOBALS = null_mut();
/// What the simulator defines.
#[unsafe(no_mangle)]
pub static mut WdfFunctionCount: ULONG = 458;
/// What the simulator defines.
#[unsafe(no_mangle)]
pub extern "C" fn KeBugCheckEx(code: ULONG, _: u64, p2: u64, _: u64, _: u64) -> ! {
    panic!("bug check {code:#x}, function {p2}");
}

#[test]
fn a_framework_call_goes_through_the_bound_table_with_the_drivers_globals() {
    use core::sync::atomic::Ordering::Relaxed;
    let request: WDFREQUEST = null_mut();
    let mut driver: WDFDRIVER = null_mut();
    let mut config = WDF_DRIVER_CONFIG {
        Size: 0,
        ..Default::default()
    };
    let create = |config: &mut WDF_DRIVER_CONFIG, driver: &mut WDFDRIVER| -> NTSTATUS {
        // SAFETY: the table's function reads the two structures only.
        unsafe {
            call_unsafe_wdf_function_binding!(
                WdfDriverCreate,
                null_mut(),
                core::ptr::null(),
                wdk_sys::WDF_NO_OBJECT_ATTRIBUTES,
                config,
                driver,
            )
        }
    };
    // SAFETY: this test alone touches the three symbols, before any call.
    unsafe {
        WdfFunctions_01033 = framework::table().as_ptr();
        WdfDriverGlobals = core::ptr::without_provenance_mut(0x5000);
    }

    assert_eq!(
        create(&mut config, &mut driver),
        wdk_sys::STATUS_INFO_LENGTH_MISMATCH
    );
    config.Size = size_of::<WDF_DRIVER_CONFIG>() as ULONG;
    assert_eq!(create(&mut config, &mut driver), STATUS_SUCCESS);
    assert_eq!(driver.addr(), 0x1234);

    // SAFETY: the table's function stores its arguments.
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfRequestCompleteWithInformation,
            request,
            STATUS_NOT_FOUND,
            17
        )
    };
    assert_eq!(framework::GLOBALS_SEEN.load(Relaxed), 0x5000);
    assert_eq!(
        framework::COMPLETED_WITH.load(Relaxed),
        0xC000_0225_0000_0011
    );
}

#[test]
fn the_status_severity_is_in_the_top_two_bits() {
    assert!(NT_SUCCESS(STATUS_SUCCESS) && NT_SUCCESS(STATUS_PENDING) && NT_SUCCESS(STATUS_TIMEOUT));
    assert!(NT_INFORMATION(0x4000_0000) && NT_SUCCESS(0x4000_0000));
    assert!(NT_WARNING(STATUS_BUFFER_OVERFLOW) && !NT_SUCCESS(STATUS_BUFFER_OVERFLOW));
    assert!(NT_ERROR(STATUS_OBJECT_NAME_NOT_FOUND) && !NT_SUCCESS(STATUS_OBJECT_NAME_NOT_FOUND));
    assert_eq!(STATUS_OBJECT_NAME_NOT_FOUND.cast_unsigned(), 0xC000_0034);
}

#[test]
fn table_indexes_are_those_of_wdffuncenum_h() {
    assert_eq!(_WDFFUNCENUM::WdfControlDeviceInitAllocateTableIndex, 25);
    assert_eq!(_WDFFUNCENUM::WdfDriverCreateTableIndex, 116);
    assert_eq!(_WDFFUNCENUM::WdfIoQueueCreateTableIndex, 152);
    assert_eq!(_WDFFUNCENUM::WdfRequestRetrieveOutputBufferTableIndex, 270);
    assert_eq!(_WDFFUNCENUM::WdfFunctionTableNumEntries, 458);
}
