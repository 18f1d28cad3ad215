//! The ALE layers: authorizations that are pended, completed, and classified again.

use std::ptr::null_mut;

use wdk_sys_portable::ntddk::*;
use wfp_sys::consts::*;
use wfp_sys::fwps::*;

use super::Decision;
use super::classify::Held;
use super::classify::Plan;
use super::classify::by_policy;
use super::classify::can_be_held;
use super::classify::is_inbound_whole;
use super::fields::Asked;
use super::globals;
use super::inbound;
use super::outbound;
use super::queue;
use super::queue::Packet;
use crate::makes;

/// What classifyFn makes of an accept.
pub fn recv_accept(asked: &Asked) -> Plan {
    // a reauthorization cannot be pended.
    if asked.flags() & FWP_CONDITION_FLAG_IS_REAUTHORIZE != 0 {
        return accepted_before(asked);
    }
    let first = asked.has(FWPS_METADATA_FIELD_COMPLETION_HANDLE);
    if first && !asked.list.is_null() && can_be_held(asked) && is_inbound_whole(asked) {
        Plan::Hold(Held {
            secure: asked.flags() & FWP_CONDITION_FLAG_IS_IPSEC_SECURED != 0,
            pend: true,
            outbound: false,
        })
    } else {
        by_policy(asked)
    }
}

/// A connection that was accepted is authorized again, with a packet of either direction. The packet may be held as a packet
/// (A-76b).
fn accepted_before(asked: &Asked) -> Plan {
    let outbound = asked.is_outbound(false) && !makes("A-76");
    let whole = outbound || makes("A-76") || is_inbound_whole(asked);
    if asked.list.is_null() || !can_be_held(asked) || !whole {
        return by_policy(asked);
    }
    Plan::Hold(Held {
        secure: asked.flags() & FWP_CONDITION_FLAG_IS_IPSEC_SECURED != 0,
        pend: false,
        outbound,
    })
}

/// What classifyFn makes of a connect.
pub fn connect(asked: &Asked) -> Plan {
    if asked.flags() & FWP_CONDITION_FLAG_IS_REAUTHORIZE != 0 {
        return reauthorized(asked);
    }
    // CONNECT does not tell a raw socket's own header, which would be lost with the packet.
    let raw = asked.flags() & FWP_CONDITION_FLAG_IS_RAW_ENDPOINT != 0;
    if !raw && asked.has(FWPS_METADATA_FIELD_COMPLETION_HANDLE) && can_be_held(asked) {
        Plan::Hold(Held {
            secure: false,
            pend: true,
            outbound: true,
        })
    } else {
        by_policy(asked)
    }
}

/// A connect is classified again: because the driver completes it, or because policy changed.
fn reauthorized(asked: &Asked) -> Plan {
    if makes("E-6") {
        let _asserted = unsafe { (&raw const (*asked.list).FirstNetBuffer).read_volatile() };
    }
    if makes("A-76b") {
        return Plan::Hold(Held::default());
    }
    if asked.reason() & FWP_CONDITION_REAUTHORIZE_REASON_CLASSIFY_COMPLETION == 0 {
        return by_policy(asked);
    }
    let endpoint = asked.metadata().transportEndpointHandle;
    let known = asked.has(FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE);
    let decision = decision().filter(|decision| known && decision.endpoint == endpoint);
    if let Some(decision) = decision.filter(|_| frees_when_asked()) {
        queue::free_packet(decision.packet);
    }
    match decision {
        Some(Decision { permit: true, .. }) => Plan::Permit,
        Some(_) => Plan::Block,
        // Whose decision this is nobody knows: it is made again.
        None => by_policy(asked),
    }
}

/// The connect is freed by its reauthorization, and not by whoever completed it.
fn frees_when_asked() -> bool {
    makes("A-73") || makes("E-6-no-right")
}

fn decision() -> Option<Decision> {
    let globals = globals();
    unsafe {
        let irql = KeAcquireSpinLockRaiseToDpc(&raw mut (*globals).lock);
        let decision = (*globals).decision;
        KeReleaseSpinLock(&raw mut (*globals).lock, irql);
        decision
    }
}

fn decide(decision: Option<Decision>) {
    let globals = globals();
    unsafe {
        let irql = KeAcquireSpinLockRaiseToDpc(&raw mut (*globals).lock);
        (*globals).decision = decision;
        KeReleaseSpinLock(&raw mut (*globals).lock, irql);
    }
}

/// The worker has an accept: completed with the clone that is injected, or denied.
pub fn end_accept(packet: *mut Packet, permit: bool) {
    let outbound = unsafe { (*packet).outbound };
    match (permit, outbound) {
        (false, _) => inbound::drop_packet(packet),
        (true, true) => outbound::reinject(packet),
        (true, false) => inbound::reinject(packet),
    }
}

/// The worker has a connect: completed, which classifies it again on this very thread, with no lock held. The packet
/// that came with it, if one did, is sent after that.
pub fn end_connect(packet: *mut Packet, permit: bool) {
    unsafe {
        decide(Some(Decision {
            endpoint: (*packet).endpoint,
            permit,
            packet,
        }));
        complete(packet);
        decide(None);
        if frees_when_asked() {
            return;
        }
        (*packet).pended = null_mut();
        if permit && !(*packet).list.is_null() {
            outbound::reinject(packet);
        } else if !(*packet).list.is_null() {
            inbound::drop_packet(packet);
        } else {
            queue::free_packet(packet);
        }
    }
}

/// Completes a connect, once, with nothing.
fn complete(packet: *mut Packet) {
    let globals = globals();
    unsafe {
        let pended = (*packet).pended;
        if makes("O-19-never") {
            return;
        }
        if makes("O-19-null") {
            return FwpsCompleteOperation0(null_mut(), null_mut());
        }
        if makes("A-72-clone") {
            let mut clone = null_mut();
            let list = (*packet).list;
            if FwpsAllocateCloneNetBufferList0(list, null_mut(), null_mut(), 0, &raw mut clone) == 0
            {
                FwpsCompleteOperation0(pended, clone);
            }
            return;
        }
        if makes("O-20") {
            let irql = KeAcquireSpinLockRaiseToDpc(&raw mut (*globals).lock);
            FwpsCompleteOperation0(pended, null_mut());
            return KeReleaseSpinLock(&raw mut (*globals).lock, irql);
        }
        FwpsCompleteOperation0(pended, null_mut());
        if makes("O-19") {
            FwpsCompleteOperation0(pended, null_mut());
        }
    }
}
