//! At which IRQL each function may be called, and which may not be called with a spin lock held (C.1, C-03).
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod verifier_driver;

use std::ptr::null;
use std::ptr::null_mut;

use verifier_driver::*;
use wdk_sys_portable::ntddk::*;
use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::machine::irql;

/// A name and a call with nothing in its hands: the level is looked at before anything else is.
type Call = (&'static str, fn());

macro_rules! calls {
    ($($name:ident($($arg:expr),*);)*) => {
        [$((stringify!($name), || { let _result = unsafe { $name($($arg),*) }; })),*]
    };
}

/// What runs at PASSIVE_LEVEL only, with the subcode of bug check 0xC4, or 0 where only this simulator looks.
fn passive_only() -> Vec<(Call, u64)> {
    let executive: [Call; 6] = calls! {
        PsCreateSystemThread(null_mut(), 0, null_mut(), null_mut(), null_mut(), None, null_mut());
        PsTerminateSystemThread(0);
        ObReferenceObjectByHandle(null_mut(), 0, null_mut(), 0, null_mut(), null_mut());
        ZwClose(null_mut());
        ZwWaitForSingleObject(null_mut(), 0, null_mut());
        FwpsInjectionHandleDestroy0(null_mut());
    };
    let platform: [Call; 19] = calls! {
        FwpsCalloutRegister3(null_mut(), null(), null_mut());
        FwpsCalloutUnregisterById0(0);
        FwpsInjectionHandleCreate0(0, 0, null_mut());
        FwpmEngineOpen0(null(), 0, null_mut(), null(), null_mut());
        FwpmEngineClose0(null_mut());
        FwpmTransactionBegin0(null_mut(), 0);
        FwpmTransactionCommit0(null_mut());
        FwpmTransactionAbort0(null_mut());
        FwpmProviderAdd0(null_mut(), null(), null_mut());
        FwpmSubLayerAdd0(null_mut(), null(), null_mut());
        FwpmSubLayerCreateEnumHandle0(null_mut(), null(), null_mut());
        FwpmSubLayerEnum0(null_mut(), null_mut(), 0, null_mut(), null_mut());
        FwpmSubLayerDestroyEnumHandle0(null_mut(), null_mut());
        FwpmFreeMemory0(null_mut());
        FwpmCalloutAdd0(null_mut(), null(), null_mut(), null_mut());
        FwpmFilterAdd0(null_mut(), null(), null_mut(), null_mut());
        FwpmBfeStateSubscribeChanges0(null_mut(), None, null_mut(), null_mut());
        FwpmBfeStateUnsubscribeChanges0(null_mut());
        FwpsInjectionHandleDestroy0(null_mut());
    };
    let subcodes = [0x2001C, 0x2001C, 0x2001B, 0x2001F, 0x2001F, 0];
    let executive = executive.into_iter().zip(subcodes);
    executive
        .chain(platform.into_iter().map(|call| (call, 0)))
        .collect()
}

/// What runs up to DISPATCH_LEVEL and may call out: not with a lock held.
fn unlocked() -> Vec<Call> {
    let calls: [Call; 10] = calls! {
        FwpsPendOperation0(null_mut(), null_mut());
        FwpsCompleteOperation0(null_mut(), null_mut());
        FwpsReferenceNetBufferList0(null_mut(), 0);
        FwpsDereferenceNetBufferList0(null_mut(), 0);
        FwpsAllocateCloneNetBufferList0(null_mut(), null_mut(), null_mut(), 0, null_mut());
        FwpsFreeCloneNetBufferList0(null_mut(), 0);
        FwpsInjectTransportSendAsync0(null_mut(), null_mut(), 0, 0, null_mut(), 0, 0 as _, null_mut(), None, null_mut());
        FwpsConstructIpHeaderForTransportPacket0(null_mut(), 0, 0, null(), null(), 0, 0, null(), 0, 0, null_mut(), 0, 0);
        NdisRetreatNetBufferDataStart(null_mut(), 0, 0, None);
        NdisAdvanceNetBufferDataStart(null_mut(), 0, 0, None);
    };
    let receive: [Call; 1] = calls! {
        FwpsInjectTransportReceiveAsync0(null_mut(), null_mut(), null_mut(), 0, 0, 0 as _, 0, 0, null_mut(), None, null_mut());
    };
    calls.into_iter().chain(receive).collect()
}

/// What runs up to DISPATCH_LEVEL, locks or not.
fn dispatch() -> [Call; 8] {
    calls! {
        KeClearEvent(null_mut());
        KeWaitForSingleObject(null_mut(), 0, 0, 0, null_mut());
        ObfDereferenceObject(null_mut());
        ExAcquireRundownProtection(null_mut());
        ExReleaseRundownProtection(null_mut());
        NdisGetDataBuffer(null_mut(), 0, null_mut(), 1, 0);
        FwpsQueryPacketInjectionState0(null_mut(), null(), null_mut());
        FwpmBfeStateGet0();
    }
}

fn at(level: u8, call: fn()) -> Machine {
    let machine = Machine::new(Config::plain());
    machine.call("driver", level, move |_| call());
    machine
}

#[test]
fn what_is_for_passive_level_is_not_called_at_dispatch_level() {
    for ((name, call), subcode) in passive_only() {
        let machine = at(irql::DISPATCH, call);
        let violation = if subcode == 0 {
            reported(&machine, CONTRACT, Some(u64::from(irql::DISPATCH)), "A.1")
        } else {
            reported(&machine, VERIFIER, Some(subcode), "C.1")
        };
        assert!(violation.summary.contains(name), "{violation}");
        assert!(
            violation.stack.iter().any(|frame| frame.contains(name)),
            "{violation}"
        );
    }
}

#[test]
fn waits_are_for_apc_level() {
    let machine = at(irql::DISPATCH, || {
        let _status = unsafe { KeDelayExecutionThread(0, 0, null_mut()) };
    });
    reported(&machine, CONTRACT, Some(u64::from(irql::DISPATCH)), "A.1");
    let machine = at(irql::DISPATCH, || unsafe {
        ExWaitForRundownProtectionRelease(null_mut())
    });
    reported(&machine, CONTRACT, Some(u64::from(irql::DISPATCH)), "A.1");
}

#[test]
fn what_is_for_dispatch_level_is_not_called_above_it() {
    for (name, call) in unlocked().into_iter().chain(dispatch()) {
        let violation = reported(&at(5, call), CONTRACT, Some(5), "A.1");
        assert!(violation.summary.contains(name), "{violation}");
    }
}

#[test]
fn events_and_pool_are_not_for_device_interrupts() {
    let calls: [(fn(), u64); 3] = [
        (|| unsafe { _ = KeSetEvent(null_mut(), 0, 0) }, 0x80),
        (|| unsafe { _ = ExAllocatePool2(0x40, 8, 1) }, 0x02),
        (|| unsafe { ExFreePoolWithTag(null_mut(), 0) }, 0x12),
    ];
    for (call, subcode) in calls {
        let violation = reported(&at(5, call), VERIFIER, Some(subcode), "C.1");
        assert_eq!(violation.parameters[1..3], [5, u64::from(irql::DISPATCH)]);
    }
}

#[test]
fn nothing_calls_out_with_a_spin_lock_held() {
    for (name, call) in unlocked() {
        let machine = Machine::new(Config::plain());
        machine.call("driver", irql::PASSIVE, move |_| {
            let mut lock = 0;
            unsafe { KeAcquireSpinLockRaiseToDpc(&mut lock) };
            call();
        });
        // Of the completion it is known what it calls.
        let rule = if name == "FwpsCompleteOperation0" {
            "A-72"
        } else {
            "C-03"
        };
        let violation = reported(&machine, CONTRACT, None, rule);
        assert!(violation.summary.contains(name), "{violation}");
        assert_ne!(violation.parameters[0], 0, "the lock");
    }
}

#[test]
fn the_injection_state_may_be_asked_for_with_a_lock_held() {
    let machine = holding();
    worker(&machine, || unsafe {
        let mut lock = 0;
        let level = KeAcquireSpinLockRaiseToDpc(&mut lock);
        let _state = FwpsQueryPacketInjectionState0(injection(), held(), null_mut());
        KeReleaseSpinLock(&mut lock, level);
    });
    clean(&machine);
}
