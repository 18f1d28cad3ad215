//! One call of a classifyFn: what it is given, and what it says.

use wfp_sys::consts;
use wfp_sys::fwps::FWPS_CLASSIFY_OUT0;
use wfp_sys::fwps::FWPS_FILTER3;
use wfp_sys::fwps::FWPS_INCOMING_METADATA_VALUES0;
use wfp_sys::fwps::FWPS_INCOMING_VALUES0;
use wfp_sys::fwps::FWPS_PACKET_LIST_INFORMATION0;
use wfp_sys::layers::LAYER_NAMES;

use super::arbitration::Action;
use super::arbitration::Answer;
use super::arbitration::Classification;
use super::arguments::Laid;
use super::arguments::lay_out;
use super::objects::Filter;
use super::objects::FilterAction;
use super::traces;
use super::traces::Untouched;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::machine::ThreadId;
use crate::verifier::ObjectId;

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

/// The callout that a filter asks.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    id: u32,
    classify: usize,
    /// The version that it was registered by.
    version: u8,
}

/// Calls the callout of a filter. `writable`: whether it may still decide; `so_far`: what was decided before it. Nothing if it leaves
/// that as it is.
pub(super) fn ask(
    kernel: &Kernel,
    request: &Classification<'_>,
    filter: &Filter,
    weight: u16,
    writable: bool,
    so_far: Action,
    asked: Asked,
) -> Option<Answer> {
    let run_time = super::notify::run_time_filter(filter, weight, asked.id);
    let before = given(filter, writable, so_far);
    let laid = lay_out(
        kernel,
        request.layer,
        request.values,
        &request.metadata,
        run_time,
        before,
    );
    let untouched = Untouched::look(kernel, request.list);
    let frame = call(kernel, request, &laid, asked);
    // SAFETY: the arguments are still laid out.
    let after = unsafe { laid.out.read() };
    laid.take_away(kernel);
    if kernel.follows_list(request.list) {
        kernel.tell(format!("callout {} {}", asked.id, answered(&after)));
    }
    let left = super::answer::Left {
        filter,
        before: &before,
        after: &after,
        frame: &frame,
    };
    left.check(kernel, request);
    traces::check_return(kernel, request, &untouched);
    let blocked = after.actionType == consts::FWP_ACTION_BLOCK;
    traces::check_passed(kernel, request, blocked);
    traces::check_taken_again(kernel, request, asked.id, blocked && absorbs(&after));
    let pended = frame.pended.is_some();
    keep(kernel, request, frame);
    let terminating = matches!(filter.action, FilterAction::Terminating(_));
    decided(&before, &after, terminating, pended)
}

/// FWPS_CLASSIFY_OUT0 as a callout finds it.
fn given(filter: &Filter, writable: bool, so_far: Action) -> FWPS_CLASSIFY_OUT0 {
    let (action, rights) = match so_far {
        _ if writable => (consts::FWP_ACTION_CONTINUE, consts::FWPS_RIGHT_ACTION_WRITE),
        Action::Block => (consts::FWP_ACTION_BLOCK, 0),
        Action::Permit => (consts::FWP_ACTION_PERMIT, 0),
    };
    FWPS_CLASSIFY_OUT0 {
        actionType: action,
        filterId: filter.id,
        rights,
        ..Default::default()
    }
}

/// Calls classifyFn, in the form that the callout was registered by. What it did meanwhile is in the frame.
fn call(kernel: &Kernel, request: &Classification<'_>, laid: &Laid, asked: Asked) -> Frame {
    let Asked {
        id,
        classify,
        version,
    } = asked;
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
    if kernel.follows_list(request.list) {
        kernel.tell(format!(
            "shown to callout {id} at {}",
            layer_name(request.layer)
        ));
    }
    let flow_context = request.flow.map_or(0, |flow| {
        super::flow_context::of(kernel, flow, request.layer, id)
    });
    thread.classify_depth.set(thread.classify_depth.get() + 1);
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
            laid.values,
            laid.metadata,
            request.list.cast(),
            laid.filter,
            flow_context,
            laid.out,
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
            laid.values,
            laid.metadata,
            request.list.cast(),
            std::ptr::null(),
            laid.filter,
            flow_context,
            laid.out,
        );
    }
    thread.classify_depth.set(thread.classify_depth.get() - 1);
    kernel.fwp.set_in_progress(id, -1);
    kernel.fwp.pop_frame(thread.id)
}

/// Remembers what a call took: of an unload that goes on meanwhile it is told as too late (C-50).
fn keep(kernel: &Kernel, request: &Classification<'_>, frame: Frame) {
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
}

/// What a callout's answer comes to: nothing, where it had no right to give one or left it to others.
fn decided(
    before: &FWPS_CLASSIFY_OUT0,
    after: &FWPS_CLASSIFY_OUT0,
    terminating: bool,
    pended: bool,
) -> Option<Answer> {
    let writable = before.rights & consts::FWPS_RIGHT_ACTION_WRITE != 0;
    let right_left = after.rights & consts::FWPS_RIGHT_ACTION_WRITE != 0;
    match after.actionType {
        consts::FWP_ACTION_BLOCK
            if writable || pended || before.actionType != consts::FWP_ACTION_BLOCK =>
        {
            Some(Answer {
                action: Action::Block,
                by_callout: true,
                hard: !right_left || writable,
                absorbed: absorbs(after),
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

fn absorbs(out: &FWPS_CLASSIFY_OUT0) -> bool {
    out.flags & consts::FWPS_CLASSIFY_OUT_FLAG_ABSORB != 0
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
    match out.actionType {
        consts::FWP_ACTION_PERMIT => "permits it",
        consts::FWP_ACTION_BLOCK if absorbs(out) => "blocks and absorbs it",
        consts::FWP_ACTION_BLOCK => "blocks it",
        _ => "leaves it to others",
    }
}

impl super::State {
    /// A registered callout.
    pub(super) fn callout(&self, key: super::objects::Key) -> Option<Asked> {
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
