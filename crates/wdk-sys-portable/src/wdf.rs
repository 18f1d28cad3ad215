//! The framework's functions, called through the table that binding to WDFLDR.SYS gives a driver.
//!
//! A driver calls them with [`call_unsafe_wdf_function_binding!`](crate::call_unsafe_wdf_function_binding). The published wdk-sys
//! makes a function of the right type at each call; here each is made once, in `__private`, so that the call at the
//! place of use is an ordinary call with ordinary type checks.

use crate::*;

#[cfg(not(windows))]
unsafe extern "C" {
    /// The function table of KMDF 1.33; the simulator defines it.
    #[link_name = "WdfFunctions_01033"]
    pub static mut WdfFunctions: *const WDFFUNC;
    /// The framework's record of this driver; the simulator defines it.
    pub static mut WdfDriverGlobals: PWDF_DRIVER_GLOBALS;
    /// How many entries the bound framework's table has; the simulator defines it.
    pub static mut WdfFunctionCount: ULONG;
}
#[cfg(windows)]
pub use crate::entry::{WdfDriverGlobals, WdfFunctionCount, WdfFunctions};

/// Functions in the table of KMDF 1.31, the oldest framework that the driver binds to; 1.33 has as many.
pub const MINIMUM_FUNCTION_COUNT: usize = 458;

/// For each function: its name, its index in the table with the header's name for that, its type's name, and its signature.
macro_rules! wdf_functions {
    ($(
        $(#[$attribute:meta])*
        $name:ident [$index_name:ident = $index:literal] $pfn:ident ($($argument:ident: $type:ty),* $(,)?) $(-> $return:ty)?;
    )*) => {
        /// Indexes into the framework's function table (wdffuncenum.h). They have not moved since KMDF 1.15.
        pub mod _WDFFUNCENUM {
            /// The C compiler's type for an enumeration.
            pub type Type = i32;
            $(
                #[doc = concat!("`", stringify!($name), "` is entry ", stringify!($index), ".")]
                pub const $index_name: Type = $index;
            )*
            /// The number of entries in KMDF 1.33.
            pub const WdfFunctionTableNumEntries: Type = 458;
        }

        /// The type of each function, as wdf.h names it.
        pub mod pfn {
            use crate::*;
            $(
                #[doc = concat!("The type of `", stringify!($name), "`.")]
                pub type $pfn = Option<unsafe extern "C" fn(
                    DriverGlobals: PWDF_DRIVER_GLOBALS, $($argument: $type),*
                ) $(-> $return)?>;
            )*
        }

        /// What the macros of this crate expand to; not for direct use.
        #[doc(hidden)]
        pub mod __private {
            use super::*;

            /// How many entries the bound framework's table has.
            ///
            /// # Safety
            ///
            /// No bind is under way.
            #[must_use]
            pub unsafe fn get_wdf_function_count() -> usize {
                // SAFETY: written by the bind only, which the caller says is over; a u32 fits a usize.
                unsafe { WdfFunctionCount as usize }
            }

            $(
                $(#[$attribute])*
                ///
                /// # Safety
                ///
                /// The driver is bound, and the arguments and the IRQL are what the framework's documentation asks for.
                #[inline]
                #[expect(clippy::allow_attributes, reason = "not every function has as many arguments as the lint counts")]
                #[allow(clippy::too_many_arguments, reason = "the headers' own signature")]
                pub unsafe fn $name($($argument: $type),*) $(-> $return)? {
                    const { assert!($index < MINIMUM_FUNCTION_COUNT) };
                    // SAFETY: the caller says that the driver is bound, so that WdfFunctions points to at least
                    // MINIMUM_FUNCTION_COUNT entries, which the assertion above compares the index with.
                    let entry = unsafe { WdfFunctions.add($index).read() };
                    // SAFETY: the two types differ in their arguments only, and the table has the header's function at the header's
                    // index.
                    let function = unsafe { core::mem::transmute::<WDFFUNC, pfn::$pfn>(entry) };
                    match function {
                        // SAFETY: the caller's promise is the callee's; WdfDriverGlobals was written by the same bind.
                        Some(function) => unsafe { function(WdfDriverGlobals, $($argument),*) },
                        // SAFETY: a bug check asks for nothing.
                        None => unsafe { no_such_function($index) },
                    }
                }
            )*

            /// Says what Windows says of a driver that breaks the framework's rules, and which function it wanted. A panic here would
            /// bring formatting code into the image, and would end in a bug check too.
            ///
            /// # Safety
            ///
            /// None; unsafe only as every foreign function is.
            #[cold]
            unsafe fn no_such_function(index: ULONG_PTR) -> ! {
                /// WDF_VIOLATION.
                const WDF_VIOLATION: ULONG = 0x10D;
                // SAFETY: KeBugCheckEx may be called at any IRQL with any numbers.
                unsafe { crate::ntddk::KeBugCheckEx(WDF_VIOLATION, 0, index, 0, 0) }
            }
        }
    };
}

wdf_functions! {
    /// Makes a control device's initialiser; null when there is no memory. PASSIVE_LEVEL.
    WdfControlDeviceInitAllocate [WdfControlDeviceInitAllocateTableIndex = 25] PFN_WDFCONTROLDEVICEINITALLOCATE
        (Driver: WDFDRIVER, SDDLString: PCUNICODE_STRING) -> PWDFDEVICE_INIT;
    /// Lets requests reach a control device. PASSIVE_LEVEL.
    WdfControlFinishInitializing [WdfControlFinishInitializingTableIndex = 27] PFN_WDFCONTROLFINISHINITIALIZING
        (Device: WDFDEVICE);
    /// The WDM device object of a device. IRQL ≤ DISPATCH_LEVEL.
    WdfDeviceWdmGetDeviceObject [WdfDeviceWdmGetDeviceObjectTableIndex = 31] PFN_WDFDEVICEWDMGETDEVICEOBJECT
        (Device: WDFDEVICE) -> PDEVICE_OBJECT;
    /// Gives back an initialiser that no device came of. PASSIVE_LEVEL.
    WdfDeviceInitFree [WdfDeviceInitFreeTableIndex = 54] PFN_WDFDEVICEINITFREE (DeviceInit: PWDFDEVICE_INIT);
    /// Sets the device type: `FILE_DEVICE_*`. PASSIVE_LEVEL.
    WdfDeviceInitSetDeviceType [WdfDeviceInitSetDeviceTypeTableIndex = 66] PFN_WDFDEVICEINITSETDEVICETYPE
        (DeviceInit: PWDFDEVICE_INIT, DeviceType: ULONG);
    /// Names the device. PASSIVE_LEVEL.
    WdfDeviceInitAssignName [WdfDeviceInitAssignNameTableIndex = 67] PFN_WDFDEVICEINITASSIGNNAME
        (DeviceInit: PWDFDEVICE_INIT, DeviceName: PCUNICODE_STRING) -> NTSTATUS;
    /// Sets or adds device characteristics. PASSIVE_LEVEL.
    WdfDeviceInitSetCharacteristics [WdfDeviceInitSetCharacteristicsTableIndex = 70] PFN_WDFDEVICEINITSETCHARACTERISTICS
        (DeviceInit: PWDFDEVICE_INIT, DeviceCharacteristics: ULONG, OrInValues: BOOLEAN);
    /// Makes a device, and takes the initialiser if it succeeds. PASSIVE_LEVEL.
    WdfDeviceCreate [WdfDeviceCreateTableIndex = 75] PFN_WDFDEVICECREATE
        (DeviceInit: *mut PWDFDEVICE_INIT, DeviceAttributes: PWDF_OBJECT_ATTRIBUTES, Device: *mut WDFDEVICE) -> NTSTATUS;
    /// Makes a symbolic link to the device. PASSIVE_LEVEL.
    WdfDeviceCreateSymbolicLink [WdfDeviceCreateSymbolicLinkTableIndex = 80] PFN_WDFDEVICECREATESYMBOLICLINK
        (Device: WDFDEVICE, SymbolicLinkName: PCUNICODE_STRING) -> NTSTATUS;
    /// Makes the framework driver object. PASSIVE_LEVEL.
    WdfDriverCreate [WdfDriverCreateTableIndex = 116] PFN_WDFDRIVERCREATE
        (DriverObject: PDRIVER_OBJECT, RegistryPath: PCUNICODE_STRING, DriverAttributes: PWDF_OBJECT_ATTRIBUTES,
         DriverConfig: PWDF_DRIVER_CONFIG, Driver: *mut WDFDRIVER) -> NTSTATUS;
    /// Opens the service's Parameters key. PASSIVE_LEVEL.
    WdfDriverOpenParametersRegistryKey [WdfDriverOpenParametersRegistryKeyTableIndex = 119] PFN_WDFDRIVEROPENPARAMETERSREGISTRYKEY
        (Driver: WDFDRIVER, DesiredAccess: ACCESS_MASK, KeyAttributes: PWDF_OBJECT_ATTRIBUTES, Key: *mut WDFKEY) -> NTSTATUS;
    /// Makes a queue. IRQL ≤ DISPATCH_LEVEL.
    WdfIoQueueCreate [WdfIoQueueCreateTableIndex = 152] PFN_WDFIOQUEUECREATE
        (Device: WDFDEVICE, Config: PWDF_IO_QUEUE_CONFIG, QueueAttributes: PWDF_OBJECT_ATTRIBUTES, Queue: *mut WDFQUEUE)
        -> NTSTATUS;
    /// Deletes an object and its children. IRQL ≤ DISPATCH_LEVEL; PASSIVE_LEVEL for a control device.
    WdfObjectDelete [WdfObjectDeleteTableIndex = 208] PFN_WDFOBJECTDELETE (Object: WDFOBJECT);
    /// Closes a registry key. PASSIVE_LEVEL.
    WdfRegistryClose [WdfRegistryCloseTableIndex = 231] PFN_WDFREGISTRYCLOSE (Key: WDFKEY);
    /// Reads a value; lengths in bytes. PASSIVE_LEVEL.
    WdfRegistryQueryValue [WdfRegistryQueryValueTableIndex = 235] PFN_WDFREGISTRYQUERYVALUE
        (Key: WDFKEY, ValueName: PCUNICODE_STRING, ValueLength: ULONG, Value: PVOID, ValueLengthQueried: PULONG,
         ValueType: PULONG) -> NTSTATUS;
    /// Reads a REG_DWORD value. PASSIVE_LEVEL.
    WdfRegistryQueryULong [WdfRegistryQueryULongTableIndex = 240] PFN_WDFREGISTRYQUERYULONG
        (Key: WDFKEY, ValueName: PCUNICODE_STRING, Value: PULONG) -> NTSTATUS;
    /// Completes a request. IRQL ≤ DISPATCH_LEVEL.
    WdfRequestComplete [WdfRequestCompleteTableIndex = 263] PFN_WDFREQUESTCOMPLETE (Request: WDFREQUEST, Status: NTSTATUS);
    /// Completes a request that answers with bytes. IRQL ≤ DISPATCH_LEVEL.
    WdfRequestCompleteWithInformation [WdfRequestCompleteWithInformationTableIndex = 265] PFN_WDFREQUESTCOMPLETEWITHINFORMATION
        (Request: WDFREQUEST, Status: NTSTATUS, Information: ULONG_PTR);
    /// The input of a buffered request; lengths in bytes. IRQL ≤ DISPATCH_LEVEL.
    WdfRequestRetrieveInputBuffer [WdfRequestRetrieveInputBufferTableIndex = 269] PFN_WDFREQUESTRETRIEVEINPUTBUFFER
        (Request: WDFREQUEST, MinimumRequiredLength: usize, Buffer: *mut PVOID, Length: *mut usize) -> NTSTATUS;
    /// The output buffer of a request; lengths in bytes. For a buffered IOCTL it is the same memory as the input. IRQL ≤
    /// DISPATCH_LEVEL.
    WdfRequestRetrieveOutputBuffer [WdfRequestRetrieveOutputBufferTableIndex = 270] PFN_WDFREQUESTRETRIEVEOUTPUTBUFFER
        (Request: WDFREQUEST, MinimumRequiredSize: usize, Buffer: *mut PVOID, Length: *mut usize) -> NTSTATUS;
    /// Makes a framework spin lock. IRQL ≤ DISPATCH_LEVEL.
    WdfSpinLockCreate [WdfSpinLockCreateTableIndex = 315] PFN_WDFSPINLOCKCREATE
        (SpinLockAttributes: PWDF_OBJECT_ATTRIBUTES, SpinLock: *mut WDFSPINLOCK) -> NTSTATUS;
    /// Takes a framework spin lock and raises to DISPATCH_LEVEL.
    WdfSpinLockAcquire [WdfSpinLockAcquireTableIndex = 316] PFN_WDFSPINLOCKACQUIRE (SpinLock: WDFSPINLOCK);
    /// Releases a framework spin lock.
    WdfSpinLockRelease [WdfSpinLockReleaseTableIndex = 317] PFN_WDFSPINLOCKRELEASE (SpinLock: WDFSPINLOCK);
    /// Makes a timer. IRQL ≤ DISPATCH_LEVEL.
    WdfTimerCreate [WdfTimerCreateTableIndex = 318] PFN_WDFTIMERCREATE
        (Config: PWDF_TIMER_CONFIG, Attributes: PWDF_OBJECT_ATTRIBUTES, Timer: *mut WDFTIMER) -> NTSTATUS;
    /// Starts a timer; TRUE if it was already waiting. Due time in 100 ns units, negative is relative. IRQL ≤ DISPATCH_LEVEL.
    WdfTimerStart [WdfTimerStartTableIndex = 319] PFN_WDFTIMERSTART (Timer: WDFTIMER, DueTime: LONGLONG) -> BOOLEAN;
    /// Stops a timer; TRUE if it was waiting. PASSIVE_LEVEL if asked to wait for a running callback.
    WdfTimerStop [WdfTimerStopTableIndex = 320] PFN_WDFTIMERSTOP (Timer: WDFTIMER, Wait: BOOLEAN) -> BOOLEAN;
}
