//! The rules for the answer that a callout leaves (A-15 to, A-76b).

use wfp_sys::consts;
use wfp_sys::fwps::FWPS_CLASSIFY_OUT0;

use super::arbitration::Classification;
use super::call::Frame;
use super::objects::Filter;
use super::objects::FilterAction;
use crate::machine::Kernel;
use crate::verifier::Violation;

/// What a callout left, and what it had been given.
pub(super) struct Left<'a> {
    pub filter: &'a Filter,
    pub before: &'a FWPS_CLASSIFY_OUT0,
    pub after: &'a FWPS_CLASSIFY_OUT0,
    pub frame: &'a Frame,
}

impl Left<'_> {
    /// Stops the machine if the answer breaks a rule.
    pub fn check(&self, kernel: &Kernel, request: &Classification<'_>) {
        let broken = self
            .of_right()
            .or_else(|| self.of_absorbing(request))
            .or_else(|| self.of_pending(request))
            .or_else(|| self.of_clearing())
            .or_else(|| self.of_chain(request));
        if let Some((rule, summary)) = broken {
            let parameters = [
                u64::from(request.layer),
                u64::from(self.after.actionType),
                u64::from(self.after.flags),
                u64::from(self.after.rights),
            ];
            let violation = Violation::contract(kernel, rule, parameters, summary);
            let labels = [
                "the layer",
                "the action that was left",
                "the flags that were left (FWPS_CLASSIFY_OUT_FLAG_*)",
                "the rights that were left",
            ];
            kernel.bug_check(violation.with_arguments(kernel, labels));
        }
    }

    fn blocks(&self) -> bool {
        self.after.actionType == consts::FWP_ACTION_BLOCK
    }

    fn absorbs(&self) -> bool {
        self.after.flags & consts::FWPS_CLASSIFY_OUT_FLAG_ABSORB != 0
    }

    fn could_write(&self) -> bool {
        self.before.rights & consts::FWPS_RIGHT_ACTION_WRITE != 0
    }

    fn can_still_write(&self) -> bool {
        self.after.rights & consts::FWPS_RIGHT_ACTION_WRITE != 0
    }

    /// What may be answered at all: with the right to write, and by a filter of this action.
    fn of_right(&self) -> Option<(&'static str, &'static str)> {
        let changed = self.after.actionType != self.before.actionType;
        if !self.could_write() && changed && !self.blocks() {
            return Some((
                "A-15",
                "classifyFn changed the action without the right to; only a block may veto",
            ));
        }
        if !self.could_write() && self.can_still_write() {
            return Some((
                "A-15",
                "classifyFn gave itself the right to write, which a hard decision had taken away",
            ));
        }
        match self.filter.action {
            FilterAction::Inspection(_) if changed => Some((
                "A-18",
                "classifyFn of an inspection filter decided; it may only return CONTINUE",
            )),
            FilterAction::Terminating(_)
                if self.could_write()
                    && !self.blocks()
                    && self.after.actionType != consts::FWP_ACTION_PERMIT =>
            {
                Some((
                    "A-18",
                    "classifyFn of a terminating filter did not decide; the engine takes that for a block",
                ))
            }
            _ => None,
        }
    }

    /// What may be absorbed (A-17, A-66, A-76b).
    fn of_absorbing(&self, request: &Classification<'_>) -> Option<(&'static str, &'static str)> {
        if !self.absorbs() {
            return None;
        }
        if !self.blocks() {
            return Some(("A-17", "classifyFn set ABSORB without BLOCK"));
        }
        if crate::stack::is_established(request.layer) {
            return Some((
                "A-75",
                "classifyFn absorbed at FLOW_ESTABLISHED, where nothing can be pended",
            ));
        }
        if request
            .metadata
            .has(consts::FWPS_METADATA_FIELD_ALE_CLASSIFY_REQUIRED)
        {
            return Some((
                "A-66",
                "classifyFn absorbed a packet that ALE has still to classify; the flow can never be made",
            ));
        }
        (request.reauthorize && self.frame.list == 0).then_some((
            "A-76b",
            "classifyFn absorbed a reauthorization that shows no packet; there is nothing to hold, and it is decided at once",
        ))
    }

    /// What follows from pending, and from a pend that failed.
    fn of_pending(&self, request: &Classification<'_>) -> Option<(&'static str, &'static str)> {
        if self.frame.pended.is_some() && !(self.blocks() && self.absorbs()) {
            return Some((
                "A-70",
                "classifyFn pended the operation and did not answer BLOCK with ABSORB",
            ));
        }
        // The packet of a reauthorization may be held all the same (A-76b).
        let failed = self.frame.pend_failed.is_some() && self.frame.pended.is_none();
        (failed && self.absorbs() && !request.reauthorize).then_some((
            "A-70",
            "FwpsPendOperation0 failed and classifyFn absorbed all the same; nothing is pended, and nobody will complete it",
        ))
    }

    /// When the right to write must be cleared.
    fn of_clearing(&self) -> Option<(&'static str, &'static str)> {
        if !self.could_write() || !self.can_still_write() {
            return None;
        }
        if self.frame.pended.is_some() {
            return Some((
                "A-16",
                "classifyFn pended the operation and left the right to write to whoever comes later",
            ));
        }
        if self.frame.modifies && self.blocks() {
            return Some((
                "A-16",
                "classifyFn referenced the packet to modify it and left the right to write to whoever comes later",
            ));
        }
        let clears = self.filter.flags & wfp_sys::fwpm::FWPM_FILTER_FLAG_CLEAR_ACTION_RIGHT != 0;
        (clears && self.after.actionType == consts::FWP_ACTION_PERMIT).then_some((
            "A-16",
            "classifyFn permitted by a filter with FWPS_FILTER_FLAG_CLEAR_ACTION_RIGHT and left the right to write",
        ))
    }

    /// A list is indicated alone, and stays alone.
    fn of_chain(&self, request: &Classification<'_>) -> Option<(&'static str, &'static str)> {
        // SAFETY: the packet is alive until its classify has returned.
        let chained = unsafe { request.list.as_ref() }.is_some_and(|list| !list.Next.is_null());
        chained.then_some((
            "A-19",
            "classifyFn linked another NET_BUFFER_LIST behind the one that it was shown",
        ))
    }
}
