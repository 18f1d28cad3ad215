//! The worker: a system thread that ends what waits in the queue.

use std::ffi::c_void;
use std::ptr::null_mut;

use wdk_sys_portable::*;
use wfp_sys::fwps::FwpsCompleteOperation0;
use wfp_sys::fwps::FwpsPendOperation0;
use wfp_sys::layers;

use super::Layer;
use super::globals;
use super::inbound;
use super::outbound;
use super::pended;
use super::queue;
use super::queue::Packet;
use super::wrong;
use crate::makes;

/// `KernelMode`.
pub const KERNEL_MODE: i8 = 0;

/// Starts the worker. Its thread object goes to the globals.
pub fn start() -> NTSTATUS {
    let globals = globals();
    unsafe {
        ntddk::KeInitializeEvent(
            &raw mut (*globals).event,
            _EVENT_TYPE::SynchronizationEvent,
            0,
        );
        let mut ignored = false;
        let status = begin(run, null_mut(), &raw mut (*globals).worker, |handle| {
            ignored = makes("E-10");
            if !ignored {
                tell_to_end();
                let _ended = ntddk::ZwWaitForSingleObject(handle, 0, null_mut());
            }
        });
        if ignored { STATUS_SUCCESS } else { status }
    }
}

/// Begins a thread of the system. Its object goes to `object`; where it cannot be had, `stranded` is told the handle before it goes.
pub unsafe fn begin(
    routine: unsafe extern "C" fn(*mut c_void),
    context: *mut c_void,
    object: *mut PVOID,
    stranded: impl FnOnce(HANDLE),
) -> NTSTATUS {
    unsafe {
        let mut attributes = OBJECT_ATTRIBUTES {
            Length: size_of::<OBJECT_ATTRIBUTES>() as u32,
            Attributes: OBJ_KERNEL_HANDLE,
            ..Default::default()
        };
        let mut handle = null_mut();
        let status = ntddk::PsCreateSystemThread(
            &raw mut handle,
            THREAD_ALL_ACCESS,
            &raw mut attributes,
            null_mut(),
            null_mut(),
            Some(routine),
            context,
        );
        if status != STATUS_SUCCESS {
            return status;
        }
        // C-04: the object before the handle goes, or there is nothing to wait for.
        let status = ntddk::ObReferenceObjectByHandle(
            handle,
            THREAD_ALL_ACCESS,
            null_mut(),
            KERNEL_MODE,
            object,
            null_mut(),
        );
        if status != STATUS_SUCCESS {
            stranded(handle);
        }
        let _closed = ntddk::ZwClose(handle);
        status
    }
}

/// Ends the worker when it has ended everything in the queue, and waits for it.
pub fn stop() {
    let globals = globals();
    unsafe {
        if (*globals).worker.is_null() && !makes("E-10") {
            return;
        }
        tell_to_end();
        let _ended = ntddk::KeWaitForSingleObject(
            (*globals).worker,
            _KWAIT_REASON::Executive,
            KERNEL_MODE,
            0,
            null_mut(),
        );
        ntddk::ObfDereferenceObject((*globals).worker);
        (*globals).worker = null_mut();
    }
}

fn tell_to_end() {
    let globals = globals();
    unsafe {
        let irql = ntddk::KeAcquireSpinLockRaiseToDpc(&raw mut (*globals).lock);
        (*globals).ending = true;
        ntddk::KeReleaseSpinLock(&raw mut (*globals).lock, irql);
        ntddk::KeSetEvent(&raw mut (*globals).event, 0, 0);
    }
}

fn is_ending() -> bool {
    let globals = globals();
    unsafe {
        let irql = ntddk::KeAcquireSpinLockRaiseToDpc(&raw mut (*globals).lock);
        let ending = (*globals).ending;
        ntddk::KeReleaseSpinLock(&raw mut (*globals).lock, irql);
        ending
    }
}

unsafe extern "C" fn run(_context: *mut c_void) {
    // What was found last, of which nothing may be left in the next round.
    let mut found: wfp_sys::HANDLE = null_mut();
    loop {
        unsafe {
            ntddk::KeWaitForSingleObject(
                (&raw mut (*globals()).event).cast(),
                _KWAIT_REASON::Executive,
                KERNEL_MODE,
                0,
                null_mut(),
            );
        }
        // Looked at before the queue: what came in before the end was told is ended too.
        let ending = is_ending();
        let decides = ending || !unsafe { (*globals()).setup.undecided };
        while decides && !leaves_queue() {
            let packet = queue::dequeue();
            if packet.is_null() {
                if makes("E-1") && !found.is_null() {
                    unsafe { FwpsCompleteOperation0(found, null_mut()) };
                }
                break;
            }
            found = unsafe { (*packet).pended };
            end(packet);
            if makes("A-43-list") {
                wrong::log(unsafe { (*packet).link.flink } as usize as u32);
            }
        }
        if ending {
            break;
        }
    }
    unsafe {
        let _status = ntddk::PsTerminateSystemThread(STATUS_SUCCESS);
    }
}

/// The unload routine ends what waits, and not the worker.
fn leaves_queue() -> bool {
    makes("E-3") || makes("E-3-block")
}

/// Ends one packet or connection as the policy says.
pub fn end(packet: *mut Packet) {
    unsafe {
        if makes("A-12") {
            (*packet).layer = match (*(*packet).values).layerId {
                layers::FWPS_LAYER_OUTBOUND_TRANSPORT_V4 => Layer::OutboundTransport,
                _ => (*packet).layer,
            };
        }
        if makes("A-69") {
            let handle = (*packet).pended;
            let _status = FwpsPendOperation0(handle, &raw mut (*packet).pended);
        }
    }
    let (layer, permit) = unsafe {
        let blocked = (*globals()).setup.blocked_port;
        ((*packet).layer, blocked != Some((*packet).remote_port))
    };
    match layer {
        Layer::RecvAccept => pended::end_accept(packet, permit),
        Layer::Connect => pended::end_connect(packet, permit),
        _ if !permit => inbound::drop_packet(packet),
        Layer::InboundTransport => inbound::reinject(packet),
        Layer::OutboundTransport => outbound::reinject(packet),
    }
}
