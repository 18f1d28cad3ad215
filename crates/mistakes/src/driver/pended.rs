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

/// What classifyFn makes of an accept.
pub fn recv_accept(asked: &Asked) -> Plan {
    // a reauthorization cannot be pended.
    let first = asked.flags() & FWP_CONDITION_FLAG_IS_REAUTHORIZE == 0
        && asked.has(FWPS_METADATA_FIELD_COMPLETION_HANDLE);
    if first && !asked.list.is_null() && can_be_held(asked) && is_inbound_whole(asked) {
        Plan::Hold(Held {
            secure: asked.flags() & FWP_CONDITION_FLAG_IS_IPSEC_SECURED != 0,
            pend: true,
        })
    } else {
        by_policy(asked)
    }
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
        })
    } else {
        by_policy(asked)
    }
}

/// A connect is classified again: because the driver completes it, or because policy changed.
fn reauthorized(asked: &Asked) -> Plan {
    if asked.reason() & FWP_CONDITION_REAUTHORIZE_REASON_CLASSIFY_COMPLETION == 0 {
        return by_policy(asked);
    }
    let endpoint = asked.metadata().transportEndpointHandle;
    let known = asked.has(FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE);
    match decision().filter(|decision| known && decision.endpoint == endpoint) {
        Some(Decision { permit: true, .. }) => Plan::Permit,
        Some(_) => Plan::Block,
        // Whose decision this is nobody knows: it is made again.
        None => by_policy(asked),
    }
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
    if permit {
        inbound::reinject(packet);
    } else {
        inbound::drop_packet(packet);
    }
}

/// The worker has a connect: completed, which classifies it again on this very thread, with no lock held. The packet
/// that came with it, if one did, is sent after that.
pub fn end_connect(packet: *mut Packet, permit: bool) {
    unsafe {
        decide(Some(Decision {
            endpoint: (*packet).endpoint,
            permit,
        }));
        FwpsCompleteOperation0((*packet).pended, null_mut());
        (*packet).pended = null_mut();
        decide(None);
        if permit && !(*packet).list.is_null() {
            outbound::reinject(packet);
        } else if !(*packet).list.is_null() {
            inbound::drop_packet(packet);
        } else {
            queue::free_packet(packet);
        }
    }
}
