//! One classify: which filters match, what each says, and what comes of it.

use std::rc::Rc;

use wfp_sys::consts;
use wfp_sys::fwps::FWPS_PACKET_LIST_INFORMATION0;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::arguments::Metadata;
use super::arguments::Value;
use super::call;
use super::objects::Condition;
use super::objects::Filter;
use super::objects::FilterAction;
use super::pend::Continuation;
use crate::machine::Kernel;
use crate::stack::flow;
use crate::verifier::Violation;

/// What the stack wants to know.
pub(crate) struct Classification<'a> {
    pub layer: u16,
    /// Whose connection or packet it is about.
    pub connection: flow::Key,
    /// Fixed values by field index.
    pub values: &'a [Value],
    pub metadata: Metadata,
    /// The packet, or null.
    pub list: *mut NET_BUFFER_LIST,
    /// What FwpsGetPacketListSecurityInformation0 says of it.
    pub security: FWPS_PACKET_LIST_INFORMATION0,
    /// What happens when a pended classify is completed; `None` where pending is not possible.
    pub pendable: Option<Continuation>,
    /// Whether this is a reauthorization, which cannot be pended.
    pub reauthorize: bool,
    /// The flow that it belongs to (FLOW_HANDLE), where the layer has one.
    pub flow: Option<u64>,
}

/// What comes of a classify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Permit,
    Block,
}

/// The answer of the whole engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub action: Action,
    /// Blocked silently: a callout took the packet.
    pub absorbed: bool,
    /// A callout pended the classify.
    pub pended: bool,
    /// How many callouts were asked.
    pub callouts: u32,
}

/// Asks every filter at the layer, sublayer by sublayer.
pub(crate) fn classify(kernel: &Kernel, mut request: Classification<'_>) -> Outcome {
    let mut outcome = Outcome {
        action: Action::Permit,
        absorbed: false,
        pended: false,
        callouts: 0,
    };
    kernel.random.reads(super::FILTERS);
    if kernel.fwp.filters_at(request.layer) == 0 {
        return outcome;
    }
    let completion = request.pendable.take().map(|continuation| {
        super::pend::offer(
            kernel,
            request.layer,
            request.connection,
            request.reauthorize,
            continuation,
        )
    });
    if let Some(handle) = completion {
        request
            .metadata
            .present(consts::FWPS_METADATA_FIELD_COMPLETION_HANDLE);
        request.metadata.values.completionHandle = handle as *mut _;
    }
    // Hard decisions are final: the right to write is gone for whoever comes later.
    let mut writable = !(request.reauthorize && kernel.config.reauthorize_without_right);
    if request.reauthorize {
        kernel.fwp.reauthorizes(kernel.running().id, writable);
    }
    for (weight, filters) in by_sublayer(kernel, request.layer).iter() {
        let Some(answer) = ask_sublayer(
            kernel,
            &request,
            filters,
            *weight,
            writable,
            outcome.action,
            &mut outcome.callouts,
        ) else {
            continue;
        };
        // Block overrides permit; a hard permit can only be vetoed by a callout, which clears the right as well.
        match answer.action {
            Action::Block if writable || answer.by_callout => {
                (outcome.action, outcome.absorbed) =
                    (Action::Block, outcome.absorbed || answer.absorbed)
            }
            Action::Permit if writable => outcome.action = Action::Permit,
            Action::Block | Action::Permit => {}
        }
        outcome.pended |= answer.pended;
        writable &= !answer.hard;
    }
    if let Some(handle) = completion {
        super::pend::withdraw(kernel, handle);
    }
    outcome
}

/// The filters of a layer by sublayer, each with its weight.
pub(super) type Groups = Vec<(u16, Vec<Filter>)>;

/// The filters of a layer by sublayer, the heaviest first in both. What is asked goes by what there was when it began.
fn by_sublayer(kernel: &Kernel, layer: u16) -> Rc<Groups> {
    let known = kernel.fwp.sorted.borrow().get(&layer).cloned();
    known.unwrap_or_else(|| {
        let sorted = Rc::new(sort(kernel, layer));
        kernel
            .fwp
            .sorted
            .borrow_mut()
            .insert(layer, Rc::clone(&sorted));
        sorted
    })
}

fn sort(kernel: &Kernel, layer: u16) -> Groups {
    let objects = kernel.fwp.objects.borrow();
    let mut groups = Groups::new();
    let mut sublayers: Vec<_> = objects.sublayers.iter().collect();
    sublayers.sort_by_key(|(key, sublayer)| (std::cmp::Reverse(sublayer.weight), **key));
    for (key, sublayer) in sublayers {
        let mut filters: Vec<Filter> = objects
            .filters
            .iter()
            .filter(|filter| filter.layer == layer && filter.sublayer == *key)
            .cloned()
            .collect();
        if !filters.is_empty() {
            filters.sort_by_key(|filter| std::cmp::Reverse(filter.weight));
            groups.push((sublayer.weight, filters));
        }
    }
    groups
}

/// What one sublayer says.
pub(super) struct Answer {
    pub action: Action,
    /// Whether a callout said it: only a callout can veto a hard permit.
    pub by_callout: bool,
    pub hard: bool,
    pub absorbed: bool,
    pub pended: bool,
}

fn ask_sublayer(
    kernel: &Kernel,
    request: &Classification<'_>,
    filters: &[Filter],
    weight: u16,
    writable: bool,
    so_far: Action,
    callouts: &mut u32,
) -> Option<Answer> {
    for filter in filters {
        if !filter
            .conditions
            .iter()
            .all(|condition| matches(condition, request.values))
        {
            continue;
        }
        let clear = filter.flags & wfp_sys::fwpm::FWPM_FILTER_FLAG_CLEAR_ACTION_RIGHT != 0;
        let plain = |action| {
            Some(Answer {
                action,
                by_callout: false,
                hard: clear || action == Action::Block,
                absorbed: false,
                pended: false,
            })
        };
        let key = match filter.action {
            FilterAction::Block => return plain(Action::Block),
            FilterAction::Permit => return plain(Action::Permit),
            FilterAction::Terminating(key)
            | FilterAction::Unknown(key)
            | FilterAction::Inspection(key) => key,
        };
        let Some(asked) = kernel.fwp.callout(key) else {
            // a filter whose callout is not registered blocks, unless it says otherwise; an inspection is nothing.
            let permit =
                filter.flags & wfp_sys::fwpm::FWPM_FILTER_FLAG_PERMIT_IF_CALLOUT_UNREGISTERED != 0;
            if matches!(filter.action, FilterAction::Inspection(_)) {
                continue;
            }
            if permit {
                return plain(Action::Permit);
            }
            stranded(kernel, request.layer, filter, key)
        };
        *callouts += 1;
        check_weight(kernel, request, filter.action, weight);
        if let Some(answer) = call::ask(kernel, request, filter, weight, writable, so_far, asked) {
            return Some(answer);
        }
    }
    None
}

/// A filter blocks what it matches because its callout is not registered: the machine is without network, and its driver has no say.
fn stranded(kernel: &Kernel, layer: u16, filter: &Filter, callout: super::objects::Key) -> ! {
    let summary = format!(
        "filter {:#x} blocks what it matches: its callout {callout} is not registered, and it does not say \
         FWPM_FILTER_FLAG_PERMIT_IF_CALLOUT_UNREGISTERED",
        filter.id
    );
    let parameters = [filter.id, u64::from(layer), 0, 0];
    // In an unload it is the order that is wrong: the filters go first.
    let rule = if kernel.unloading().is_some() {
        "C-50"
    } else {
        "A-03"
    };
    kernel.bug_check(Violation::contract(kernel, rule, parameters, summary))
}

fn matches(condition: &Condition, values: &[Value]) -> bool {
    let Some(value) = values.get(usize::from(condition.field)) else {
        return false;
    };
    match (&condition.value, value) {
        (Value::V4Mask(address, mask), Value::U32(value)) => value & mask == address & mask,
        (wanted, value) => match (wanted.number(), value.number()) {
            (Some(wanted), Some(value)) => match condition.matching {
                consts::FWP_MATCH_EQUAL => value == wanted,
                consts::FWP_MATCH_NOT_EQUAL => value != wanted,
                consts::FWP_MATCH_GREATER => value > wanted,
                consts::FWP_MATCH_GREATER_OR_EQUAL => value >= wanted,
                consts::FWP_MATCH_LESS => value < wanted,
                consts::FWP_MATCH_LESS_OR_EQUAL => value <= wanted,
                consts::FWP_MATCH_FLAGS_ALL_SET => value & wanted == wanted,
                consts::FWP_MATCH_FLAGS_ANY_SET => value & wanted != 0,
                consts::FWP_MATCH_FLAGS_NONE_SET => value & wanted == 0,
                _ => false,
            },
            _ => condition.matching == consts::FWP_MATCH_EQUAL && wanted == value,
        },
    }
}

/// A callout that decides about packets which IPsec protected comes after IPsec's own, so below the universal sublayer
///
fn check_weight(kernel: &Kernel, request: &Classification<'_>, action: FilterAction, weight: u16) {
    let universal = kernel.fwp.universal_weight();
    let secure = request.security.ipsecInformation.inbound().isSecure();
    if secure && weight >= universal && !matches!(action, FilterAction::Inspection(_)) {
        let summary = format!(
            "a callout in a sublayer of weight {weight:#x} is asked about a packet that IPsec protected; its sublayer must be lighter than FWPM_SUBLAYER_UNIVERSAL, which has {universal:#x}"
        );
        let parameters = [
            u64::from(request.layer),
            u64::from(weight),
            u64::from(universal),
            0,
        ];
        kernel.bug_check(Violation::contract(kernel, "A-67", parameters, summary));
    }
}
