//! DriverEntry, its way back when something fails, and the ordered unload (C-50, C-51).

use std::ptr::null_mut;

use wdk_sys_portable::*;
use wfp_sys::consts::AF_INET;
use wfp_sys::consts::AF_UNSPEC;
use wfp_sys::consts::FWPS_INJECTION_TYPE_TRANSPORT;
use wfp_sys::fwps::FwpsInjectionHandleCreate0;
use wfp_sys::fwps::FwpsInjectionHandleDestroy0;

use super::callouts;
use super::flows;
use super::fresh;
use super::globals;
use super::queue;
use super::worker;
use crate::makes;

/// The entry point.
///
/// # Safety
///
/// As DriverEntry.
pub unsafe extern "system" fn driver_entry(
    object: *mut DRIVER_OBJECT,
    path: *const UNICODE_STRING,
) -> NTSTATUS {
    let globals = fresh();
    let driver = match create_driver(object, path) {
        Ok(driver) => driver,
        Err(status) => return status,
    };
    let device = match create_device(driver) {
        Ok(device) => device,
        Err(status) => return status,
    };
    unsafe { (*globals).device = device };
    let status = start();
    if status != STATUS_SUCCESS {
        // Nobody calls unload then (C-51).
        stop();
        unsafe { call_unsafe_wdf_function_binding!(WdfObjectDelete, device.cast()) };
        return status;
    }
    unsafe { call_unsafe_wdf_function_binding!(WdfControlFinishInitializing, device) };
    STATUS_SUCCESS
}

/// EvtDriverUnload. The framework deletes the device after it (D-04).
unsafe extern "C" fn unload(_driver: WDFDRIVER) {
    stop();
}

/// What the callouts need comes before them; the filters, which bring packets, come last.
fn start() -> NTSTATUS {
    unsafe {
        ntddk::KeInitializeEvent(
            &raw mut (*globals()).no_filters,
            _EVENT_TYPE::NotificationEvent,
            0,
        );
        if !queue::create() {
            return STATUS_INSUFFICIENT_RESOURCES;
        }
        let family = if makes("A-56") { AF_INET } else { AF_UNSPEC };
        let status = FwpsInjectionHandleCreate0(
            family,
            FWPS_INJECTION_TYPE_TRANSPORT,
            &raw mut (*globals()).injection,
        );
        if status != STATUS_SUCCESS && !makes("A-56-refused") {
            return status;
        }
    }
    for step in [worker::start, callouts::register, callouts::add] {
        let status = step();
        if status != STATUS_SUCCESS {
            return status;
        }
    }
    STATUS_SUCCESS
}

/// Takes back what [`start`] has made, as far as it came. The order is C-50's: nothing is taken any more, no filter brings
/// anything, no callout is in a classify, the worker ends what waits, and the stack gives back what was injected.
fn stop() {
    let globals = globals();
    unsafe {
        let irql = ntddk::KeAcquireSpinLockRaiseToDpc(&raw mut (*globals).lock);
        (*globals).stopping = true;
        ntddk::KeReleaseSpinLock(&raw mut (*globals).lock, irql);
    }
    wrong_order();
    if !makes("A-11") && !makes("C-51-session") {
        callouts::remove();
    }
    callouts::wait_for_notifications();
    flows::remove_contexts();
    if !makes("O-24") && !makes("E-5") {
        callouts::unregister();
    }
    if makes("npcap-341") {
        destroy_injection_handle();
    }
    if !makes("C-51-thread") {
        worker::stop();
    }
    drain_as_inspect_does();
    let destroyed_before = makes("npcap-341") || makes("C-50-handle-first");
    let forgotten = makes("A-06-handle") || makes("C-51-handle");
    if !destroyed_before && !forgotten {
        destroy_injection_handle();
    }
    if !makes("C-51-pool") {
        queue::destroy();
    }
}

fn destroy_injection_handle() {
    let globals = globals();
    unsafe {
        if !(*globals).injection.is_null() {
            let _destroyed = FwpsInjectionHandleDestroy0((*globals).injection);
            if makes("A-57") {
                let _again = FwpsInjectionHandleDestroy0((*globals).injection);
            }
            let kept = makes("npcap-341") || makes("C-50-handle-first");
            if !kept {
                (*globals).injection = null_mut();
            }
        }
    }
}

/// What a mistaken driver does before its turn.
fn wrong_order() {
    if makes("C-50-filters-last") {
        callouts::unregister();
    }
    if makes("C-50-state-first") {
        queue::destroy();
    }
    if makes("C-50-handle-first") {
        destroy_injection_handle();
    }
    if makes("E-4") {
        worker::stop();
    }
    // Somebody has to say what is to become of each connection first.
    while makes("portmaster-1908") && !queue::peek().is_null() {
        callouts::sleep_a_millisecond();
    }
}

/// The drain of Microsoft's inspect sample, which takes nothing off its list that came in (E-3).
fn drain_as_inspect_does() {
    while (makes("E-3") || makes("E-3-block")) && !queue::peek().is_null() {
        if makes("E-3-block") {
            super::inbound::drop_packet(queue::peek());
        }
    }
}

fn create_driver(
    object: *mut DRIVER_OBJECT,
    path: PCUNICODE_STRING,
) -> Result<WDFDRIVER, NTSTATUS> {
    let mut config = WDF_DRIVER_CONFIG {
        Size: size_of::<WDF_DRIVER_CONFIG>() as u32,
        EvtDriverUnload: Some(unload),
        DriverInitFlags: _WDF_DRIVER_INIT_FLAGS::WdfDriverInitNonPnpDriver as u32,
        ..Default::default()
    };
    let mut driver = null_mut();
    let status = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDriverCreate,
            object,
            path,
            null_mut(),
            &raw mut config,
            &raw mut driver
        )
    };
    if status == STATUS_SUCCESS {
        Ok(driver)
    } else {
        Err(status)
    }
}

/// A counted string over text that lives as long.
fn counted(text: &[u16]) -> UNICODE_STRING {
    let length = (text.len() * 2) as u16;
    UNICODE_STRING {
        Length: length,
        MaximumLength: length,
        Buffer: text.as_ptr().cast_mut(),
    }
}

/// A control device that administrators may open, not finished yet (D-02, D-07).
fn create_device(driver: WDFDRIVER) -> Result<WDFDEVICE, NTSTATUS> {
    let sddl: Vec<u16> = "D:P(A;;GA;;;SY)(A;;GA;;;BA)".encode_utf16().collect();
    let name: Vec<u16> = r"\Device\Mistakes".encode_utf16().collect();
    let (sddl, name) = (counted(&sddl), counted(&name));
    unsafe {
        let mut init = call_unsafe_wdf_function_binding!(
            WdfControlDeviceInitAllocate,
            driver,
            &raw const sddl
        );
        if init.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        call_unsafe_wdf_function_binding!(WdfDeviceInitSetDeviceType, init, FILE_DEVICE_NETWORK);
        call_unsafe_wdf_function_binding!(
            WdfDeviceInitSetCharacteristics,
            init,
            FILE_DEVICE_SECURE_OPEN,
            0
        );
        let mut device = null_mut();
        let mut status =
            call_unsafe_wdf_function_binding!(WdfDeviceInitAssignName, init, &raw const name);
        if status == STATUS_SUCCESS {
            status = call_unsafe_wdf_function_binding!(
                WdfDeviceCreate,
                &raw mut init,
                null_mut(),
                &raw mut device
            );
        }
        if status != STATUS_SUCCESS {
            call_unsafe_wdf_function_binding!(WdfDeviceInitFree, init);
            return Err(status);
        }
        Ok(device)
    }
}
