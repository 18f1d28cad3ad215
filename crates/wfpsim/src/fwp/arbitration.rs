//! One classify: which filters match, what each says, and what comes of it.

use std::rc::Rc;

use wfp_sys::consts;
use wfp_sys::fwps::FWPS_CLASSIFY_OUT0;
use wfp_sys::fwps::FWPS_FILTER3;
use wfp_sys::fwps::FWPS_INCOMING_METADATA_VALUES0;
use wfp_sys::fwps::FWPS_INCOMING_VALUES0;
use wfp_sys::fwps::FWPS_PACKET_LIST_INFORMATION0;
use wfp_sys::layers::LAYER_NAMES;
use wfp_sys::ndis::NET_BUFFER_LIST;

use super::arguments::Metadata;
use super::arguments::Value;
use super::arguments::lay_out;
use super::objects::Condition;
use super::objects::Filter;
use super::objects::FilterAction;
use super::pend::Continuation;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::machine::ThreadId;
use crate::stack::flow;
use crate::verifier::ObjectId;
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

/// One classify in progress, by the thread that it runs on.
pub(super) struct Frame {
    pub thread: ThreadId,
    pub list: usize,
    pub security: FWPS_PACKET_LIST_INFORMATION0,
    pub layer: u16,
    /// The operation that the callout pended.
    pub pended: Option<usize>,
    /// Why pending failed, if it was tried and did.
    pub pend_failed: Option<i32>,
    /// Whether the callout referenced the packet to modify it.
    pub modifies: bool,
    /// Pool that the callout allocated in it.
    pub blocks: Vec<ObjectId>,
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
struct Answer {
    action: Action,
    /// Whether a callout said it: only a callout can veto a hard permit.
    by_callout: bool,
    hard: bool,
    absorbed: bool,
    pended: bool,
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
        if let Some(answer) = ask_callout(kernel, request, filter, weight, writable, so_far, asked)
        {
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

/// What the driver may not have changed when classifyFn returns.
#[derive(PartialEq, Eq)]
struct Untouched {
    irql: u8,
    locks: usize,
    /// Of each buffer: chain, current MDL, current offset, data offset, data length.
    offsets: Vec<[u64; 5]>,
}

impl Untouched {
    fn look(kernel: &Kernel, list: *mut NET_BUFFER_LIST) -> Self {
        let thread = kernel.running();
        let buffers = if list.is_null() {
            Vec::new()
        } else {
            crate::ndis::net_buffers(list)
        };
        let offsets = buffers.into_iter().map(|buffer| {
            // SAFETY: the list is alive during its classify.
            let buffer = unsafe { &*buffer };
            [
                buffer.MdlChain as u64,
                buffer.CurrentMdl as u64,
                u64::from(buffer.CurrentMdlOffset),
                u64::from(buffer.DataOffset),
                u64::from(buffer.DataLength),
            ]
        });
        let locks = thread.locks.borrow().len();
        Self {
            irql: thread.irql.get(),
            locks,
            offsets: offsets.collect(),
        }
    }
}

/// The callout that a filter asks.
#[derive(Clone, Copy)]
struct Asked {
    id: u32,
    classify: usize,
    /// The version that it was registered by.
    version: u8,
}

fn ask_callout(
    kernel: &Kernel,
    request: &Classification<'_>,
    filter: &Filter,
    weight: u16,
    writable: bool,
    so_far: Action,
    asked: Asked,
) -> Option<Answer> {
    let Asked {
        id,
        classify,
        version,
    } = asked;
    let terminating = matches!(filter.action, FilterAction::Terminating(_));
    let run_time = super::notify::run_time_filter(filter, weight, id);
    let before = FWPS_CLASSIFY_OUT0 {
        actionType: if writable {
            consts::FWP_ACTION_CONTINUE
        } else if so_far == Action::Block {
            consts::FWP_ACTION_BLOCK
        } else {
            consts::FWP_ACTION_PERMIT
        },
        filterId: filter.id,
        rights: if writable {
            consts::FWPS_RIGHT_ACTION_WRITE
        } else {
            0
        },
        ..Default::default()
    };
    let laid = lay_out(
        kernel,
        request.layer,
        request.values,
        &request.metadata,
        run_time,
        before,
    );
    let thread = kernel.running();
    kernel.fwp.frames.borrow_mut().push(Frame {
        thread: thread.id,
        list: request.list as usize,
        security: request.security,
        layer: request.layer,
        pended: None,
        pend_failed: None,
        modifies: false,
        blocks: Vec::new(),
    });
    kernel.fwp.set_in_progress(id, 1);
    let followed = kernel.follows_list(request.list);
    if followed {
        kernel.tell(format!(
            "shown to callout {id} at {}",
            layer_name(request.layer)
        ));
    }
    let untouched = Untouched::look(kernel, request.list);
    thread.classify_depth.set(thread.classify_depth.get() + 1);
    let (values, metadata, filter_at, out) = (laid.values, laid.metadata, laid.filter, laid.out);
    let flow_context = request.flow.map_or(0, |flow| {
        super::flow_context::of(kernel, flow, request.layer, id)
    });
    if version == 0 {
        call_driver!(
            kernel,
            classify,
            fn(
                *const FWPS_INCOMING_VALUES0,
                *const FWPS_INCOMING_METADATA_VALUES0,
                *mut std::ffi::c_void,
                *const FWPS_FILTER3,
                u64,
                *mut FWPS_CLASSIFY_OUT0,
            ),
            values,
            metadata,
            request.list.cast(),
            filter_at,
            flow_context,
            out,
        );
    } else {
        call_driver!(
            kernel,
            classify,
            fn(
                *const FWPS_INCOMING_VALUES0,
                *const FWPS_INCOMING_METADATA_VALUES0,
                *mut std::ffi::c_void,
                *const std::ffi::c_void,
                *const FWPS_FILTER3,
                u64,
                *mut FWPS_CLASSIFY_OUT0,
            ),
            values,
            metadata,
            request.list.cast(),
            std::ptr::null(),
            filter_at,
            flow_context,
            out,
        );
    }
    thread.classify_depth.set(thread.classify_depth.get() - 1);
    kernel.fwp.set_in_progress(id, -1);
    // SAFETY: the arguments are still laid out.
    let after = unsafe { out.read() };
    laid.take_away(kernel);
    if followed {
        kernel.tell(format!("callout {id} {}", answered(&after)));
    }
    let frame = kernel.fwp.pop_frame(thread.id);
    let left = super::answer::Left {
        filter,
        before: &before,
        after: &after,
        frame: &frame,
    };
    left.check(kernel, request);
    check_return(kernel, request, &untouched);
    let blocked = after.actionType == consts::FWP_ACTION_BLOCK;
    let took = blocked && after.flags & consts::FWPS_CLASSIFY_OUT_FLAG_ABSORB != 0;
    check_passed(kernel, request, blocked);
    check_taken_again(kernel, request, asked.id, took);
    if kernel.unloading().is_some() {
        let mut strayed = kernel.fwp.strayed.borrow_mut();
        strayed.extend(frame.blocks.iter().map(|&block| (block, "C-50")));
        drop(strayed);
        if let Some(pended) = frame.pended {
            kernel.fwp.note_late(pended);
        }
        kernel
            .ndis
            .with_mut(request.list, |list| list.taken_late = true);
    } else if let Some(pended) = frame.pended {
        kernel.fwp.keep_blocks(pended, frame.blocks);
    }
    let pended = frame.pended.is_some();

    let absorbed = after.flags & consts::FWPS_CLASSIFY_OUT_FLAG_ABSORB != 0;
    let right_left = after.rights & consts::FWPS_RIGHT_ACTION_WRITE != 0;
    match after.actionType {
        consts::FWP_ACTION_BLOCK
            if writable || pended || before.actionType != consts::FWP_ACTION_BLOCK =>
        {
            Some(Answer {
                action: Action::Block,
                by_callout: true,
                hard: !right_left || writable,
                absorbed,
                pended,
            })
        }
        consts::FWP_ACTION_PERMIT if writable => Some(Answer {
            action: Action::Permit,
            by_callout: true,
            hard: !right_left,
            absorbed: false,
            pended: false,
        }),
        _ if !writable => None,
        // a terminating callout that decides nothing blocks.
        _ if terminating => Some(Answer {
            action: Action::Block,
            by_callout: true,
            hard: true,
            absorbed: false,
            pended,
        }),
        _ => None,
    }
}

/// A layer as the field calls it.
fn layer_name(layer: u16) -> &'static str {
    let name = LAYER_NAMES.get(usize::from(layer)).copied();
    name.map_or("a layer of no name", |name| {
        name.trim_start_matches("FWPS_LAYER_")
    })
}

/// What a callout said, in a word.
fn answered(out: &FWPS_CLASSIFY_OUT0) -> &'static str {
    let absorbs = out.flags & consts::FWPS_CLASSIFY_OUT_FLAG_ABSORB != 0;
    match out.actionType {
        consts::FWP_ACTION_PERMIT => "permits it",
        consts::FWP_ACTION_BLOCK if absorbs => "blocks and absorbs it",
        consts::FWP_ACTION_BLOCK => "blocks it",
        _ => "leaves it to others",
    }
}

/// What of the machine and of the packet a callout leaves as it found it.
fn check_return(kernel: &Kernel, request: &Classification<'_>, untouched: &Untouched) {
    let fail = |rule, first: u64, summary: String| -> ! {
        let parameters = [first, u64::from(request.layer), 0, 0];
        let violation = Violation::contract(kernel, rule, parameters, summary);
        let labels = ["what was left behind", "the layer", "", ""];
        kernel.bug_check(violation.with_arguments(kernel, labels))
    };
    let now = Untouched::look(kernel, request.list);
    if now.irql != untouched.irql {
        fail(
            "A.1",
            u64::from(now.irql),
            format!(
                "classifyFn was called at IRQL {} and returned at IRQL {}",
                untouched.irql, now.irql
            ),
        );
    }
    if now.locks != untouched.locks {
        fail(
            "C-03",
            now.locks as u64,
            "classifyFn returned with a spin lock held".to_owned(),
        );
    }
    // A worker that has the packet already may be between its retreat and its advance.
    if !request.list.is_null() {
        crate::ndis::check_content(kernel, request.list);
    }
    let worker = kernel.ndis.with(request.list, |list| {
        list.is_shifted_by_other(kernel.running().id)
    }) == Some(true);
    if let Some(delta) = crate::ndis::open_advance(kernel, request.list, kernel.running().id) {
        fail(
            "B-03",
            request.list as u64,
            format!(
                "classifyFn returned with the packet advanced by {delta} bytes that no retreat matches"
            ),
        );
    }
    if now.offsets != untouched.offsets && !worker {
        fail(
            "A-25",
            request.list as u64,
            "classifyFn returned with the data offset or the MDL chain of the packet changed"
                .to_owned(),
        );
    }
}

/// A packet that goes on takes with it what WFP knows of it, unless a clone was made and freed that had taken that.
fn check_passed(kernel: &Kernel, request: &Classification<'_>, blocked: bool) {
    if request.list.is_null() || blocked {
        return;
    }
    let given_up = kernel.ndis.with_mut(request.list, |list| {
        list.past.passed_with_clones |= list.children > 0;
        list.past.clone_given_up.then_some(list.ledger)
    });
    if let Some(ledger) = given_up.flatten() {
        let summary = "classifyFn cloned a packet, freed the clone without having injected it, and let the packet pass: what WFP knows of the packet went with the clone";
        let parameters = [request.list as u64, u64::from(request.layer), 0, 0];
        kernel.bug_check(
            Violation::contract(kernel, "A-40", parameters, summary).about(kernel, ledger),
        );
    }
}

/// A callout that takes a packet which it took before, and which came back because a driver injected it, takes it for ever
///
fn check_taken_again(kernel: &Kernel, request: &Classification<'_>, id: u32, absorbed: bool) {
    if !absorbed || request.list.is_null() {
        return;
    }
    let Some((packets, injected, ledger)) = kernel.ndis.with(request.list, |list| {
        (list.packets.clone(), list.injected_by.len(), list.ledger)
    }) else {
        return;
    };
    for packet in packets {
        if kernel.taken_before(packet, id) && injected > 0 {
            let summary = format!(
                "callout {id} took packet {packet} again that had come back by injection; it does not know its own packets"
            );
            let parameters = [request.list as u64, packet, u64::from(id), 0];
            kernel.bug_check(
                Violation::contract(kernel, "A-51", parameters, summary).about(kernel, ledger),
            );
        }
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

impl super::State {
    /// A registered callout.
    fn callout(&self, key: super::objects::Key) -> Option<Asked> {
        self.callouts
            .borrow()
            .iter()
            .find(|(_, callout)| callout.key == key)
            .map(|(id, callout)| Asked {
                id: *id,
                classify: callout.classify,
                version: callout.version,
            })
    }

    fn set_in_progress(&self, id: u32, change: i32) {
        if let Some(callout) = self.callouts.borrow_mut().get_mut(&id) {
            callout.in_progress = callout.in_progress.saturating_add_signed(change);
        }
    }

    /// Ends the innermost classify of a thread.
    fn pop_frame(&self, thread: ThreadId) -> Frame {
        let mut frames = self.frames.borrow_mut();
        let index = frames
            .iter()
            .rposition(|frame| frame.thread == thread)
            .expect("the thread is in a classify");
        frames.remove(index)
    }

    /// Whether the running thread is in the classify of a list.
    pub(crate) fn is_classified_here(&self, kernel: &Kernel, list: usize) -> bool {
        let thread = kernel.running().id;
        self.frames
            .borrow()
            .iter()
            .any(|frame| frame.thread == thread && frame.list == list)
    }

    /// Notes pool that was allocated in a classify.
    pub(crate) fn note_allocation(&self, thread: ThreadId, block: ObjectId) {
        self.with_frame(thread, |frame| frame.blocks.push(block));
    }

    /// Looks at the innermost classify of a thread.
    pub(super) fn with_frame<R>(
        &self,
        thread: ThreadId,
        look: impl FnOnce(&mut Frame) -> R,
    ) -> Option<R> {
        self.frames
            .borrow_mut()
            .iter_mut()
            .rev()
            .find(|frame| frame.thread == thread)
            .map(look)
    }
}
