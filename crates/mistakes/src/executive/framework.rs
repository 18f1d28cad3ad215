//! The framework's objects: driver and device (D-01 to D-05, D-07), handles and levels (D.1).

use std::ptr::null_mut;

use wdk_sys_portable::*;
use wfpsim::Config;
use wfpsim::machine::Faults;

use super::base::IDLE;
use super::base::device;
use super::base::run;
use super::base::run_whole;
use super::device::Wide;
use super::kernel::*;
use super::raised::DEVICE;
use super::raised::DISPATCH;
use super::raised::call;
use crate::Mistake;
use crate::makes;

pub const FRAMEWORK: &[Mistake] = &[
    Mistake::always(
        "D-01-no-unload",
        "D-01",
        "has no EvtDriverUnload, and cannot be stopped",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D-01-device-add",
        "D-01",
        "is a driver without plug-and-play and has an EvtDriverDeviceAdd",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D-01-no-flag",
        "D-01",
        "does not say that it is a driver without plug-and-play",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D-02-not-finished",
        "D-02",
        "never calls WdfControlFinishInitializing",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D-02-init-after-create",
        "D-02",
        "uses the initialiser after a device was made of it",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D-02-not-secure-open",
        "D-02",
        "clears FILE_DEVICE_SECURE_OPEN",
        |m| run_whole(m, IDLE),
    ),
    no_device(
        "D-02-init-left",
        "does not free the initialiser when the device cannot be made",
    ),
    no_device(
        "D-02-init-freed-twice",
        "frees the initialiser twice when the device cannot be made",
    ),
    Mistake::always(
        "D-07-everyone",
        "D-07",
        "lets everyone open its control device",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D-07-authenticated-users",
        "D-07",
        "lets every user of the machine open its control device",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D-07-no-access-control",
        "D-07",
        "gives its control device no access control at all",
        |m| run_whole(m, IDLE),
    ),
    Mistake::always(
        "D.1-handle-of-another-type",
        "D.1",
        "gives a function a handle of another type",
        |m| run(m, objects),
    ),
    Mistake::always(
        "D.1-handle-of-nothing",
        "D.1",
        "gives a function a handle that never was one",
        |m| run(m, objects),
    ),
    Mistake::always(
        "D.1-key-closed-twice",
        "D.1",
        "closes a registry key twice",
        |m| run(m, objects),
    ),
    Mistake::always(
        "D.1-key-after-close",
        "D.1",
        "reads from a registry key that it has closed",
        |m| run(m, objects),
    ),
    Mistake::always(
        "D-02-key-left",
        "D-02",
        "does not close a registry key",
        |m| run(m, objects),
    ),
    Mistake::always(
        "D.1-driver-deleted",
        "D.1",
        "deletes the framework's driver object",
        |m| run(m, objects),
    ),
    Mistake::always(
        "D.1-timer-stopped-in-dpc",
        "D.1",
        "stops a timer at DISPATCH_LEVEL and waits for it",
        |m| run(m, objects),
    ),
    Mistake::always(
        "C-02-WdfSpinLockRelease",
        "C-02",
        "releases a framework spin lock that it does not hold",
        |m| run(m, objects),
    ),
    high(
        "D.1-WdfDriverOpenParametersRegistryKey-high",
        "opens the parameters key at DISPATCH_LEVEL",
    ),
    high(
        "D.1-WdfRegistryQueryULong-high",
        "reads the registry at DISPATCH_LEVEL",
    ),
    high(
        "D.1-WdfRegistryQueryValue-high",
        "reads a string from the registry at DISPATCH_LEVEL",
    ),
    high(
        "D.1-WdfRegistryClose-high",
        "closes a registry key at DISPATCH_LEVEL",
    ),
    high(
        "D.1-WdfSpinLockCreate-high",
        "makes a framework spin lock above DISPATCH_LEVEL",
    ),
    high(
        "D.1-WdfSpinLockAcquire-high",
        "acquires a framework spin lock above DISPATCH_LEVEL",
    ),
    high(
        "D.1-WdfSpinLockRelease-high",
        "releases a framework spin lock above DISPATCH_LEVEL",
    ),
    high(
        "D.1-WdfTimerCreate-high",
        "makes a framework timer above DISPATCH_LEVEL",
    ),
    high(
        "D.1-WdfTimerStart-high",
        "starts a framework timer above DISPATCH_LEVEL",
    ),
    high(
        "D.1-WdfTimerStop-high",
        "stops a framework timer above DISPATCH_LEVEL",
    ),
    high(
        "D.1-WdfObjectDelete-high",
        "deletes an object above DISPATCH_LEVEL",
    ),
    high(
        "D.1-WdfDeviceWdmGetDeviceObject-high",
        "asks for the device object above DISPATCH_LEVEL",
    ),
    entry_high(
        "D.1-WdfDriverCreate-high",
        "makes the driver object at DISPATCH_LEVEL",
    ),
    entry_high(
        "D.1-WdfControlDeviceInitAllocate-high",
        "makes the device at DISPATCH_LEVEL",
    ),
    entry_high(
        "D.1-WdfDeviceInitSetDeviceType-high",
        "sets the device's type at DISPATCH_LEVEL",
    ),
    entry_high(
        "D.1-WdfDeviceInitSetCharacteristics-high",
        "sets the device's characteristics at DISPATCH_LEVEL",
    ),
    entry_high(
        "D.1-WdfDeviceInitAssignName-high",
        "names the device at DISPATCH_LEVEL",
    ),
    entry_high(
        "D.1-WdfDeviceCreate-high",
        "makes the device at DISPATCH_LEVEL",
    ),
    entry_high(
        "D.1-WdfDeviceCreateSymbolicLink-high",
        "makes a symbolic link at DISPATCH_LEVEL",
    ),
    entry_high(
        "D.1-WdfIoQueueCreate-high",
        "makes the queue above DISPATCH_LEVEL",
    ),
    entry_high(
        "D.1-WdfControlFinishInitializing-high",
        "finishes the device at DISPATCH_LEVEL",
    ),
    Mistake {
        name: "D.1-WdfDeviceInitFree-high",
        rule: "D.1",
        ..no_device("", "frees the initialiser at DISPATCH_LEVEL")
    },
];

/// A mistake about the initialiser on a machine that makes no device of it.
const fn no_device(name: &'static str, what: &'static str) -> Mistake {
    Mistake::always(name, "D-02", what, |m| run_whole(m, IDLE)).on(|config| Config {
        faults: Faults {
            fail_call: Some(1),
            functions: vec!["WdfDeviceCreate"],
            ..Faults::default()
        },
        ..config
    })
}

const fn high(name: &'static str, what: &'static str) -> Mistake {
    Mistake::always(name, "D.1", what, |m| run(m, objects))
}

const fn entry_high(name: &'static str, what: &'static str) -> Mistake {
    Mistake::always(name, "D.1", what, |m| run_whole(m, IDLE))
}

/// The functions of the framework that are called here, as functions that a level can be put around.
mod wdf {
    use super::*;

    macro_rules! functions {
        ($($rust:ident $name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)*) => {
            $(pub unsafe fn $rust($($arg: $ty),*) $(-> $ret)? {
                unsafe { call_unsafe_wdf_function_binding!($name, $($arg),*) }
            })*
        };
    }
    functions! {
        open_key WdfDriverOpenParametersRegistryKey(driver: WDFDRIVER, access: u32, attributes: PWDF_OBJECT_ATTRIBUTES, key: *mut WDFKEY) -> NTSTATUS;
        query_number WdfRegistryQueryULong(key: WDFKEY, name: PCUNICODE_STRING, value: PULONG) -> NTSTATUS;
        query_value WdfRegistryQueryValue(key: WDFKEY, name: PCUNICODE_STRING, length: u32, value: PVOID, queried: PULONG, kind: PULONG) -> NTSTATUS;
        close_key WdfRegistryClose(key: WDFKEY);
        create_lock WdfSpinLockCreate(attributes: PWDF_OBJECT_ATTRIBUTES, lock: *mut WDFSPINLOCK) -> NTSTATUS;
        acquire WdfSpinLockAcquire(lock: WDFSPINLOCK);
        release WdfSpinLockRelease(lock: WDFSPINLOCK);
        create_timer WdfTimerCreate(config: PWDF_TIMER_CONFIG, attributes: PWDF_OBJECT_ATTRIBUTES, timer: *mut WDFTIMER) -> NTSTATUS;
        start_timer WdfTimerStart(timer: WDFTIMER, due: i64) -> u8;
        stop_timer WdfTimerStop(timer: WDFTIMER, wait: u8) -> u8;
        delete WdfObjectDelete(object: WDFOBJECT);
        device_object WdfDeviceWdmGetDeviceObject(device: WDFDEVICE) -> PDEVICE_OBJECT;
        finish WdfControlFinishInitializing(device: WDFDEVICE);
    }
}

unsafe extern "C" fn fires(_timer: WDFTIMER) {}

/// A key, a lock and a timer, made, used and given back.
fn objects() {
    call!(DEVICE "D.1-WdfDeviceWdmGetDeviceObject-high"; wdf::device_object(device()));
    if makes("D.1-handle-of-another-type") {
        unsafe { wdf::finish(super::device::driver().cast()) };
    }
    if makes("D.1-handle-of-nothing") {
        unsafe { wdf::finish(0x1230 as WDFDEVICE) };
    }
    if makes("D.1-driver-deleted") {
        unsafe { wdf::delete(super::device::driver().cast()) };
    }
    registry();
    let mut lock = null_mut();
    let _made =
        call!(DEVICE "D.1-WdfSpinLockCreate-high"; wdf::create_lock(null_mut(), &raw mut lock));
    call!(DEVICE "D.1-WdfSpinLockAcquire-high"; wdf::acquire(lock));
    call!(DEVICE "D.1-WdfSpinLockRelease-high"; wdf::release(lock));
    if makes("C-02-WdfSpinLockRelease") {
        unsafe { wdf::release(lock) };
    }
    timer();
    call!(DEVICE "D.1-WdfObjectDelete-high"; wdf::delete(lock.cast()));
}

fn registry() {
    let (mut key, name, mut number) = (null_mut(), Wide::new("Number"), 0);
    let driver = super::device::driver();
    let _opened = call!(DISPATCH "D.1-WdfDriverOpenParametersRegistryKey-high"; wdf::open_key(driver, KEY_READ, null_mut(), &raw mut key));
    let _read = call!(DISPATCH "D.1-WdfRegistryQueryULong-high"; wdf::query_number(key, name.get(), &raw mut number));
    let (mut text, mut length, mut kind) = ([0u16; 16], 0, 0);
    let value = text.as_mut_ptr().cast();
    let _read = call!(DISPATCH "D.1-WdfRegistryQueryValue-high"; wdf::query_value(key, name.get(), 32, value, &raw mut length, &raw mut kind));
    if makes("D-02-key-left") {
        return;
    }
    call!(DISPATCH "D.1-WdfRegistryClose-high"; wdf::close_key(key));
    if makes("D.1-key-closed-twice") {
        unsafe { wdf::close_key(key) };
    }
    if makes("D.1-key-after-close") {
        unsafe { wdf::query_number(key, name.get(), &raw mut number) };
    }
}

fn timer() {
    let mut config = WDF_TIMER_CONFIG {
        Size: size_of::<WDF_TIMER_CONFIG>() as u32,
        EvtTimerFunc: Some(fires),
        ..Default::default()
    };
    let mut attributes = WDF_OBJECT_ATTRIBUTES {
        Size: size_of::<WDF_OBJECT_ATTRIBUTES>() as u32,
        ExecutionLevel: _WDF_EXECUTION_LEVEL::WdfExecutionLevelInheritFromParent,
        SynchronizationScope: _WDF_SYNCHRONIZATION_SCOPE::WdfSynchronizationScopeInheritFromParent,
        ParentObject: device().cast(),
        ..Default::default()
    };
    let mut timer = null_mut();
    let _made = call!(DEVICE "D.1-WdfTimerCreate-high"; wdf::create_timer(&raw mut config, &raw mut attributes, &raw mut timer));
    call!(DEVICE "D.1-WdfTimerStart-high"; wdf::start_timer(timer, -MILLISECOND));
    call!(DEVICE "D.1-WdfTimerStop-high"; wdf::stop_timer(timer, 0));
    call!(DISPATCH "D.1-timer-stopped-in-dpc"; wdf::stop_timer(timer, 1));
    unsafe { wdf::delete(timer.cast()) };
}
