//! The decision about the pended connect that is being completed right now.
//!
//! FwpsCompleteOperation0 runs the reauthorization on the completing thread before it returns: so the
//! decision is stored before the call, with no lock held over it, and forgotten after it, by the thread that stored
//! it. Only the worker completes, so one place is enough.
//!
//! That it is always synchronous is not documented. A reauthorization that comes later finds nothing and asks the
//! policy, which gives the same answer for the same facts.

use nt::Cx;
use nt::spinlock::SpinLock;

use crate::verdict::{Facts, Verdict};

/// FWP_CONDITION_REAUTHORIZE_REASON_CLASSIFY_COMPLETION.
const CLASSIFY_COMPLETION: u32 = 0x10;

/// A stored decision.
#[derive(Clone, Copy, Debug)]
struct Decision {
    endpoint_handle: Option<u64>,
    facts: Facts,
    verdict: Verdict,
    asked_for: bool,
}

impl Decision {
    /// Whether a reauthorization is the one this decision was made for.
    ///
    /// A reauthorization may have some of its values empty, so what is known on both sides must agree and
    /// the rest does not count. The tuple alone would be ambiguous (E-8); the endpoint tells connections apart.
    fn is_for(&self, endpoint_handle: Option<u64>, facts: &Facts, reason: Option<u32>) -> bool {
        fn agree<T: PartialEq>(stored: Option<T>, given: Option<T>) -> bool {
            stored
                .zip(given)
                .is_none_or(|(stored, given)| stored == given)
        }
        // One that says neither why it comes nor whose it is could be anybody's, and is asked about like anybody's.
        let told = match reason {
            Some(reason) => reason & CLASSIFY_COMPLETION != 0,
            None => {
                self.endpoint_handle.zip(endpoint_handle).is_some()
                    || self
                        .facts
                        .remote_address
                        .zip(facts.remote_address)
                        .is_some()
            }
        };
        told && agree(self.endpoint_handle, endpoint_handle)
            && agree(self.facts.protocol, facts.protocol)
            && agree(self.facts.local_address, facts.local_address)
            && agree(self.facts.remote_address, facts.remote_address)
            && agree(self.facts.local_port, facts.local_port)
            && agree(self.facts.remote_port, facts.remote_port)
    }
}

/// The one place for a decision.
pub struct Completing(SpinLock<Option<Decision>>);

impl Completing {
    /// No decision. IRQL: any.
    #[must_use]
    pub const fn new() -> Self {
        Self(SpinLock::new(None))
    }

    /// Stores the decision, for the completion that follows. IRQL ≤ DISPATCH_LEVEL.
    pub fn store(&self, cx: &mut Cx, endpoint_handle: Option<u64>, facts: Facts, verdict: Verdict) {
        *self.0.lock(cx) = Some(Decision {
            endpoint_handle,
            facts,
            verdict,
            asked_for: false,
        });
    }

    /// The decision for this reauthorization, if it is the one of the completion under way. IRQL ≤ DISPATCH_LEVEL.
    pub fn find(
        &self,
        cx: &mut Cx,
        endpoint_handle: Option<u64>,
        facts: &Facts,
        reason: Option<u32>,
    ) -> Option<Verdict> {
        let mut place = self.0.lock(cx);
        let decision = place
            .as_mut()
            .filter(|decision| decision.is_for(endpoint_handle, facts, reason))?;
        decision.asked_for = true;
        Some(decision.verdict)
    }

    /// Forgets the decision, and says whether anyone asked for it. IRQL ≤ DISPATCH_LEVEL.
    pub fn clear(&self, cx: &mut Cx) -> bool {
        self.0
            .lock(cx)
            .take()
            .is_some_and(|decision| decision.asked_for)
    }
}

impl Default for Completing {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::protocol;
    use core::net::{IpAddr, Ipv4Addr};
    use wfp::Direction;

    const CONNECT: Facts = Facts {
        direction: Direction::Outbound,
        protocol: Some(protocol::TCP),
        local_address: Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))),
        remote_address: Some(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7))),
        local_port: Some(50_000),
        remote_port: Some(443),
    };

    const DECISION: Decision = Decision {
        endpoint_handle: Some(5),
        facts: CONNECT,
        verdict: Verdict::Block,
        asked_for: false,
    };

    #[test]
    fn the_reauthorization_of_the_completed_connect_is_recognised() {
        assert!(DECISION.is_for(Some(5), &CONNECT, Some(CLASSIFY_COMPLETION)));
        assert!(
            DECISION.is_for(Some(5), &CONNECT, Some(CLASSIFY_COMPLETION | 1)),
            "a policy change besides"
        );
        assert!(
            DECISION.is_for(Some(5), &CONNECT, None),
            "the reason is not always told"
        );
    }

    #[test]
    fn another_socket_with_the_same_tuple_does_not_get_the_decision() {
        assert!(
            !DECISION.is_for(Some(6), &CONNECT, Some(CLASSIFY_COMPLETION)),
            "E-8"
        );
    }

    #[test]
    fn a_reauthorization_for_another_reason_does_not_get_the_decision() {
        assert!(
            !DECISION.is_for(Some(5), &CONNECT, Some(1)),
            "a policy change only"
        );
    }

    #[test]
    fn a_reauthorization_that_tells_nothing_of_itself_gets_a_decision_only_with_the_right_reason() {
        let nothing = Facts {
            direction: Direction::Outbound,
            protocol: None,
            local_address: None,
            remote_address: None,
            local_port: None,
            remote_port: None,
        };
        assert!(
            !DECISION.is_for(None, &nothing, None),
            "it could be any connection's"
        );
        assert!(DECISION.is_for(None, &nothing, Some(CLASSIFY_COMPLETION)));
    }

    #[test]
    fn values_left_empty_do_not_hide_the_decision_and_different_ones_do() {
        let empty = Facts {
            local_address: None,
            remote_port: None,
            protocol: None,
            ..CONNECT
        };
        assert!(DECISION.is_for(None, &empty, None), "A-22");
        let others = [
            Facts {
                protocol: Some(protocol::UDP),
                ..CONNECT
            },
            Facts {
                local_address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                ..CONNECT
            },
            Facts {
                remote_address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                ..CONNECT
            },
            Facts {
                local_port: Some(1),
                ..CONNECT
            },
            Facts {
                remote_port: Some(1),
                ..CONNECT
            },
        ];
        for other in others {
            assert!(!DECISION.is_for(Some(5), &other, None), "{other:?}");
        }
    }
}
