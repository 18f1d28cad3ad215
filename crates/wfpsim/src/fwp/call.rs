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
    traces::check_return(kernel, request, &untouched);
    let blocked = after.actionType == consts::FWP_ACTION_BLOCK;
    let took = blocked && after.flags & consts::FWPS_CLASSIFY_OUT_FLAG_ABSORB != 0;
    traces::check_passed(kernel, request, blocked);
    traces::check_taken_again(kernel, request, asked.id, took);
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
