//! The worker: a system thread that takes what waits, asks the policy, and gives it back to the stack or drops it.
//!
//! It runs at PASSIVE_LEVEL and never on classify's stack, which is what lets it complete and inject. Each of
//! the functions below ends one held packet with exactly one counter of the groups Reinjected, Blocked and Dropped;
//! the `?` of a failing step drops the packet's owners, each of which gives back what it owns.

use nt::shared::Shared;
use nt::signal::{Signal, Wake};
use nt::time::{InterruptTime, sleep};
use nt::{NtStatus, Passive};
use tollgate_abi::Counter;
use wfp::{ClonedNbl, Completion, PendedOperation, Prepared, ReceiveTo, RetreatError, SendTo};

use crate::counters::Counters;
use crate::entry::Tollgate;
use crate::held::{Held, InboundPacket, OutboundPacket, Route, Work};
use crate::ipsec::{self, LOOKED_AT, Rebuild, Retreat};
use crate::verdict::{Facts, Verdict};

use core::time::Duration;

/// How often the worker looks again, while the driver is stopped, for places that were given and not used yet. A
/// classify has one for microseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// How often a packet is tried to be cloned from its IP header on: once more than the stack can get in between.
const TRIES: u32 = 2;

/// The outcome of one held packet: the counter of its success, or of what it was dropped for.
type Outcome = Result<Counter, Counter>;

/// The thread's body. Returns when the signal is stopped, the queue is closed and nothing is left.
///
/// IRQL = PASSIVE_LEVEL.
pub fn run(tollgate: &Tollgate, passive: &mut Passive, signal: &Signal) {
    loop {
        let wake = signal.wait(passive, None);
        drain(tollgate, passive);
        if wake == Wake::Stopped {
            break;
        }
    }
    // The queue was closed before the signal was stopped, so this ends: no new places, and those given are used or
    // given back within a classify.
    while !tollgate.queue.is_idle() {
        sleep(passive, LOOK_AGAIN);
        drain(tollgate, passive);
    }
}

/// Ends everything that waits. IRQL = PASSIVE_LEVEL.
fn drain(tollgate: &Tollgate, passive: &mut Passive) {
    loop {
        let batch = tollgate.queue.take_all(passive);
        if batch.is_empty() {
            return;
        }
        for node in batch {
            tollgate
                .queue
                .finish(node, |held| end(tollgate, passive, held));
        }
    }
}

/// Ends one packet or connection. IRQL = PASSIVE_LEVEL.
fn end(tollgate: &Tollgate, passive: &mut Passive, held: Held) {
    let Held { facts, since, work } = held;
    let verdict = tollgate.policy.decide(&facts);
    let waited = InterruptTime::now().saturating_since(since);
    let too_old = is_too_old(waited, tollgate.queue.limits().age);
    let outcome = match work {
        Work::Inbound(packet) => gate(verdict, too_old, Counter::BlockedInbound)
            .and_then(|()| inbound(tollgate, passive, packet, None)),
        Work::Outbound(packet) => gate(verdict, too_old, Counter::BlockedOutbound)
            .and_then(|()| outbound(tollgate, passive, packet)),
        Work::RecvAccept { pended, packet } => {
            match gate(verdict, too_old, Counter::BlockedRecvAccept) {
                Ok(()) => inbound(tollgate, passive, packet, Some(pended)),
                Err(why) => {
                    pended.complete(passive, None);
                    Err(why)
                }
            }
        }
        Work::Connect {
            pended,
            endpoint_handle,
            datagram,
        } => {
            let gate = gate(verdict, too_old, Counter::BlockedConnect);
            connect(tollgate, passive, pended, endpoint_handle, facts, gate).and_then(|()| {
                datagram.map_or(Ok(Counter::ReinjectedNothing), |packet| {
                    outbound(tollgate, passive, packet)
                })
            })
        }
    };
    match outcome {
        Ok(counter) | Err(counter) => tollgate.count(counter),
    }
}

/// Whether something has waited longer than it may.
fn is_too_old(waited: Duration, most: Duration) -> bool {
    waited > most
}

/// Whether a held packet goes on. The policy's word comes before the age, so that what it blocks is counted as
/// blocked however late it is.
fn gate(verdict: Verdict, too_old: bool, blocked: Counter) -> Result<(), Counter> {
    match (verdict, too_old) {
        (Verdict::Block, _) => Err(blocked),
        (Verdict::Permit, true) => Err(Counter::DroppedAge),
        (Verdict::Permit, false) => Ok(()),
    }
}

/// Completes a pended connect. The reauthorization that this call causes finds the decision stored here.
///
/// IRQL = PASSIVE_LEVEL.
fn connect(
    tollgate: &Tollgate,
    passive: &mut Passive,
    pended: PendedOperation,
    endpoint_handle: Option<u64>,
    facts: Facts,
    gate: Result<(), Counter>,
) -> Result<(), Counter> {
    let verdict = if gate.is_ok() {
        Verdict::Permit
    } else {
        Verdict::Block
    };
    tollgate
        .completing
        .store(passive, endpoint_handle, facts, verdict);
    pended.complete(passive, None);
    if !tollgate.completing.clear(passive) {
        tollgate.count(Counter::ReauthorizeMissing);
    }
    gate
}

/// Clones an inbound packet from its IP header on, makes the clone fit to be injected, completes the pended
/// operation with it if there is one, and injects it.
///
/// A pended operation that is dropped on the way, by a step that fails, is completed with NULL: the connection is
/// denied. IRQL = PASSIVE_LEVEL.
fn inbound(
    tollgate: &Tollgate,
    passive: &Passive,
    mut packet: InboundPacket,
    pended: Option<PendedOperation>,
) -> Outcome {
    let mut clone = clone_from_ip_header(tollgate, passive, &mut packet)?;
    if let Some(why) = why_rebuild(passive, &packet, &clone)? {
        let header = wfp::Rebuild {
            source: packet.source,
            remote: packet.destination,
            next_protocol: packet.protocol,
            ip_header_size: packet.plan.ip_header_size,
            interface_index: packet.plan.interface_index,
            sub_interface_index: packet.plan.sub_interface_index,
        };
        clone
            .rebuild_ip_header(passive, &header)
            .map_err(|_| Counter::DroppedRebuild)?;
        tollgate.count(match why {
            Rebuild::Ipsec => Counter::RebuiltIpsec,
            Rebuild::Reassembled => Counter::RebuiltReassembled,
            Rebuild::Checksum => Counter::RebuiltChecksum,
        });
    }
    let to = ReceiveTo {
        family: packet.family,
        compartment_id: packet.compartment_id,
        interface_index: packet.plan.interface_index,
        sub_interface_index: packet.plan.sub_interface_index,
    };
    // Before the completion, so that after it only the injection itself can fail.
    let prepared = Prepared::try_new(clone, Some(packet.nbl), to, tollgate.injected())
        .map_err(|_| Counter::DroppedMemory)?;
    if let Some(pended) = pended {
        pended.complete(passive, Some(prepared.nbl()));
    }
    tollgate
        .injection_handle
        .inject_receive(passive, prepared)
        .map_err(|_| Counter::DroppedInjectReceive)?;
    Ok(Counter::ReinjectedReceive)
}

/// Retreats an inbound packet to its IP header, for as long as it takes to clone it from there (A-25, B-03).
///
/// The worker may be at it before the classify has returned on another processor, and then the stack's own retreat comes
/// between any two steps here. So each step is checked for what it did; when the stack was there meanwhile, it
/// is done once more from where the packet is now. The stack retreats once. IRQL = PASSIVE_LEVEL.
fn clone_from_ip_header(
    tollgate: &Tollgate,
    passive: &Passive,
    packet: &mut InboundPacket,
) -> Result<ClonedNbl, Counter> {
    for _ in 0..TRIES {
        let now = packet.nbl.data_offset().ok_or(Counter::DroppedOffset)?;
        let retreat = ipsec::effective_retreat(&packet.plan, now).ok_or(Counter::DroppedOffset)?;
        let (Retreat::Full(by) | Retreat::IpHeaderOnly(by)) = retreat;
        let retreated = match packet.nbl.retreat(passive, by) {
            Ok(retreated) => retreated,
            // There was room at classify, so somebody has used it since.
            Err(RetreatError::NoHeadroom { .. }) => continue,
            Err(_) => return Err(Counter::DroppedRetreat),
        };
        let (offset, length) = (retreated.data_offset(), retreated.data_length());
        if !ipsec::begins_with_ip_header(&packet.plan, offset, length) {
            continue;
        }
        let clone = retreated.clone_nbl().map_err(|_| Counter::DroppedClone)?;
        // The clone's own length does not change any more, whatever happens to the original.
        if ipsec::is_whole(&packet.plan, clone.data_length()) {
            if let Retreat::IpHeaderOnly(_) = retreat {
                tollgate.count(Counter::StackRetreated);
            }
            return Ok(clone);
        }
    }
    Err(Counter::DroppedOffset)
}

/// Looks at the clone's own header, for what nobody told of it. IRQL = PASSIVE_LEVEL.
fn why_rebuild(
    passive: &Passive,
    packet: &InboundPacket,
    clone: &ClonedNbl,
) -> Result<Option<Rebuild>, Counter> {
    let length = clone.data_length().ok_or(Counter::DroppedHeader)?;
    let mut head = [0; LOOKED_AT];
    let there = usize::try_from(length).map_or(LOOKED_AT, |length| length.min(LOOKED_AT));
    let head = head.get_mut(..there).ok_or(Counter::DroppedHeader)?;
    clone
        .copy_first_bytes(passive, 0, head)
        .map_err(|_| Counter::DroppedHeader)?;
    ipsec::rebuild(packet.family, packet.told, head, length).map_err(|_| Counter::DroppedHeader)
}

/// Clones an outbound packet from its transport header on, puts its raw header before it if it had one, and
/// injects it. IRQL = PASSIVE_LEVEL.
fn outbound(tollgate: &Tollgate, passive: &Passive, packet: OutboundPacket) -> Outcome {
    // An outbound packet is cloned where it stands, so it must stand where the classify saw it.
    if packet.nbl.data_length() != packet.data_length {
        return Err(Counter::DroppedOffset);
    }
    let mut clone = packet
        .nbl
        .clone_nbl(passive)
        .map_err(|_| Counter::DroppedClone)?;
    let params = match packet.route {
        Route::Params(params) => Some(params),
        Route::RawHeader(header) => {
            clone
                .prepend_header(passive, &header)
                .map_err(|_| Counter::DroppedRawHeader)?;
            None
        }
    };
    let to = SendTo {
        family: packet.family,
        compartment_id: packet.compartment_id,
        endpoint_handle: packet.endpoint_handle,
        params,
    };
    let prepared = Prepared::try_new(clone, Some(packet.nbl), to, tollgate.injected())
        .map_err(|_| Counter::DroppedMemory)?;
    tollgate
        .injection_handle
        .inject_send(passive, prepared)
        .map_err(|_| Counter::DroppedInjectSend)?;
    Ok(Counter::ReinjectedSend)
}

/// What runs when an injection is completed, possibly before the injecting call returns: it counts, and
/// owns nothing but a share of the counters.
pub struct Injected(pub Shared<Counters>);

impl Completion for Injected {
    fn completed(self, _cx: &mut nt::Cx, status: NtStatus) {
        self.0.add(completed(status));
    }
}

/// How an injection that is over is counted.
fn completed(status: NtStatus) -> Counter {
    match status {
        NtStatus::SUCCESS => Counter::CompletedSuccess,
        NtStatus::DATA_NOT_ACCEPTED => Counter::CompletedNotAccepted,
        _ => Counter::CompletedFailure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_policy_blocks_is_counted_as_blocked_however_late_it_is() {
        for too_old in [false, true] {
            assert_eq!(
                gate(Verdict::Block, too_old, Counter::BlockedConnect),
                Err(Counter::BlockedConnect)
            );
        }
        assert_eq!(
            gate(Verdict::Permit, true, Counter::BlockedConnect),
            Err(Counter::DroppedAge),
            "A-30"
        );
        assert_eq!(
            gate(Verdict::Permit, false, Counter::BlockedConnect),
            Ok(())
        );
    }

    #[test]
    fn what_has_waited_as_long_as_it_may_still_goes_on() {
        let most = Duration::from_secs(2);
        assert!(!is_too_old(most, most));
        assert!(is_too_old(most + Duration::from_nanos(100), most));
    }

    #[test]
    fn what_the_stack_did_not_accept_is_counted_apart_from_what_failed() {
        for (status, counter) in [
            (NtStatus::SUCCESS, Counter::CompletedSuccess),
            (NtStatus::DATA_NOT_ACCEPTED, Counter::CompletedNotAccepted),
            (NtStatus::INSUFFICIENT_RESOURCES, Counter::CompletedFailure),
        ] {
            assert_eq!(completed(status), counter);
        }
    }
}
