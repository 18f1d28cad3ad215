//! The table A.1, NDIS's level (B-07) and the lock rule (C-03): functions of the platform called where their table does not allow it.
//!
//! The driver calls each with nothing in its hands; where it stands is looked at before what it brings.

use std::ptr::null;
use std::ptr::null_mut;

use wfp_sys::fwpm::*;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;

use super::base::in_dpc;
use super::base::run;
use super::kernel::*;
use super::raised::DEVICE;
use crate::Mistake;
use crate::makes;

/// Defines the tables of one group: a mistake for each function, and the function that makes the one that is wanted.
macro_rules! calls {
    ($table:ident $rule:literal $suffix:literal $what:literal $work:path, $make:ident: $($name:ident($($arg:expr),* $(,)?);)*) => {
        pub const $table: &[Mistake] = &[
            $( Mistake::always(
                concat!($rule, "-", stringify!($name), $suffix),
                $rule,
                concat!("calls ", stringify!($name), $what),
                |m| run(m, $work),
            ), )*
        ];

        /// Makes the call that is the mistake, if one is.
        fn $make() {
            $( if makes(concat!($rule, "-", stringify!($name), $suffix)) {
                let _result = unsafe { $name($($arg),*) };
            } )*
        }
    };
}

/// Calls a macro with the functions that run up to DISPATCH_LEVEL and may call out.
macro_rules! with_unlocked {
    ($($head:tt)*) => {
        calls! {
            $($head)*
            FwpsPendOperation0(null_mut(), null_mut());
            FwpsCompleteOperation0(null_mut(), null_mut());
            FwpsReferenceNetBufferList0(null_mut(), 0);
            FwpsDereferenceNetBufferList0(null_mut(), 0);
            FwpsAllocateCloneNetBufferList0(null_mut(), null_mut(), null_mut(), 0, null_mut());
            FwpsFreeCloneNetBufferList0(null_mut(), 0);
            FwpsInjectTransportSendAsync0(null_mut(), null_mut(), 0, 0, null_mut(), 0, 0 as _, null_mut(), None, null_mut());
            FwpsInjectTransportReceiveAsync0(null_mut(), null_mut(), null_mut(), 0, 0, 0 as _, 0, 0, null_mut(), None, null_mut());
            FwpsConstructIpHeaderForTransportPacket0(null_mut(), 0, 0, null(), null(), 0, 0, null(), 0, 0, null_mut(), 0, 0);
        }
    };
}

/// The same with those of NDIS, whose level is a rule of its own (B-07).
macro_rules! with_ndis {
    ($($head:tt)*) => {
        calls! {
            $($head)*
            NdisRetreatNetBufferDataStart(null_mut(), 0, 0, None);
            NdisAdvanceNetBufferDataStart(null_mut(), 0, 0, None);
        }
    };
}

calls! {
    PASSIVE "A.1" "-high" " in a DPC" in_a_dpc, make_passive:
    FwpsCalloutRegister3(null_mut(), null(), null_mut());
    FwpsCalloutUnregisterById0(0);
    FwpsInjectionHandleCreate0(0, 0, null_mut());
    FwpsInjectionHandleDestroy0(null_mut());
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
}

calls! {
    DISPATCH "A.1" "-high" " above DISPATCH_LEVEL" above_dispatch, make_dispatch:
    FwpsQueryPacketInjectionState0(null_mut(), null(), null_mut());
    FwpsGetPacketListSecurityInformation0(null_mut(), 0, null_mut());
    FwpmBfeStateGet0();
}

calls! {
    NDIS_READING "B-07" "-high" " above DISPATCH_LEVEL" above_dispatch, make_ndis_reading:
    NdisGetDataBuffer(null_mut(), 0, null_mut(), 1, 0);
}

with_unlocked! { UNLOCKED "A.1" "-high" " above DISPATCH_LEVEL" above_dispatch, make_unlocked: }
with_ndis! { NDIS "B-07" "-high" " above DISPATCH_LEVEL" above_dispatch, make_ndis: }
with_ndis! { NDIS_LOCKED "C-03" "" " with a spin lock held" with_lock, make_ndis_locked: }
with_unlocked! { LOCKED "C-03" "" " with a spin lock held" with_lock, make_locked: }

fn in_a_dpc() {
    in_dpc(make_passive);
}

fn above_dispatch() {
    let old = unsafe { KfRaiseIrql(DEVICE) };
    make_dispatch();
    make_unlocked();
    make_ndis_reading();
    make_ndis();
    unsafe { KeLowerIrql(old) };
}

fn with_lock() {
    let lock = new_lock();
    let old = acquire(lock);
    make_locked();
    make_ndis_locked();
    release(lock, old);
    free(lock);
}
