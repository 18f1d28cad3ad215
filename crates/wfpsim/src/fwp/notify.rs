//! notifyFn: a callout is told of the filters that name it.
//!
//! It is told of an addition when FwpmFilterAdd0 is called, in a transaction too, and of a deletion when the filter is gone for good.
//! A filter that its callout refuses is not added. Additions and deletions need not balance: the seed may lose a deletion, as drivers
//! report that Windows does.

use wfp_sys::GUID;
use wfp_sys::consts;
use wfp_sys::fwps::FWPS_FILTER3;

use super::objects::Filter;
use super::objects::Key;
use crate::exports::call_driver;
use crate::machine::Kernel;
use crate::machine::ThreadId;
use crate::memory::Purpose;
use crate::nt::NtStatus;
use crate::nt::status;

/// The filter of a callout as classifyFn and notifyFn are shown it.
pub(super) fn run_time_filter(filter: &Filter, weight: u16, callout: u32) -> FWPS_FILTER3 {
    let mut run_time = FWPS_FILTER3 {
        filterId: filter.id,
        subLayerWeight: weight,
        context: filter.context,
        flags: run_time_flags(filter.flags),
        ..Default::default()
    };
    run_time.action.r#type = filter.action.kind();
    run_time.action.calloutId = callout;
    run_time
}

/// The run-time flags of a filter have other values than its management flags.
fn run_time_flags(flags: u32) -> u16 {
    use wfp_sys::fwpm;
    let pairs = [
        (
            fwpm::FWPM_FILTER_FLAG_CLEAR_ACTION_RIGHT,
            consts::FWPS_FILTER_FLAG_CLEAR_ACTION_RIGHT,
        ),
        (
            fwpm::FWPM_FILTER_FLAG_PERMIT_IF_CALLOUT_UNREGISTERED,
            consts::FWPS_FILTER_FLAG_PERMIT_IF_CALLOUT_UNREGISTERED,
        ),
    ];
    pairs
        .into_iter()
        .filter(|(managed, _)| flags & managed != 0)
        .fold(0, |all, (_, run_time)| all | run_time as u16)
}

/// Tells the callout of a filter that is being added. An error refuses the filter.
pub(super) fn added(kernel: &Kernel, filter: &Filter) -> NtStatus {
    tell(kernel, filter, consts::FWPS_CALLOUT_NOTIFY_ADD_FILTER)
}

/// Tells the callouts of filters that are gone.
pub(super) fn deleted(kernel: &Kernel, filters: &[Filter]) {
    for filter in filters {
        if filter.action.callout().is_none() {
            continue;
        }
        let lost = kernel.config.freedom.lost_notification;
        if lost > 0 && kernel.random.percent(lost) {
            kernel
                .fwp
                .lost_notifications
                .set(kernel.fwp.lost_notifications.get() + 1);
            continue;
        }
        let _nobody_asks = tell(kernel, filter, consts::FWPS_CALLOUT_NOTIFY_DELETE_FILTER);
    }
}

fn tell(kernel: &Kernel, filter: &Filter, kind: i32) -> NtStatus {
    let Some((id, notify)) = filter
        .action
        .callout()
        .and_then(|key| kernel.fwp.notified(key))
    else {
        return status::SUCCESS;
    };
    let ledger = kernel.ledger.begin("arguments of notifyFn");
    let size = size_of::<FWPS_FILTER3>() + size_of::<GUID>();
    let block = kernel
        .arena
        .allocate(size, Purpose::Object, ledger, true)
        .as_ptr();
    let (shown, key) = (
        block.cast::<FWPS_FILTER3>(),
        block.wrapping_add(size_of::<FWPS_FILTER3>()).cast::<GUID>(),
    );
    // SAFETY: the block was just made with room for both, and a filter's size keeps the key aligned.
    unsafe {
        shown.write(run_time_filter(filter, 0, id));
        key.write(filter.key.guid());
    }
    let deletes = kind == consts::FWPS_CALLOUT_NOTIFY_DELETE_FILTER;
    let thread = kernel.running().id;
    kernel.fwp.notifying.borrow_mut().push((thread, deletes));
    let (irql, locks) = (kernel.irql(), kernel.running().locks.borrow().len());
    let result = call_driver!(
        kernel,
        notify,
        fn(i32, *const GUID, *mut FWPS_FILTER3) -> NtStatus,
        kind,
        // there is no key when a filter goes.
        if deletes { std::ptr::null() } else { key },
        shown
    );
    super::check_return(kernel, "A.1", "notifyFn", irql, locks);
    let mut notifying = kernel.fwp.notifying.borrow_mut();
    if let Some(index) = notifying.iter().rposition(|(id, _)| *id == thread) {
        notifying.remove(index);
    }
    drop(notifying);
    crate::nt::free_blocks(kernel, &[block as usize], "gone: notifyFn returned");
    result
}

impl super::State {
    /// A registered callout's number and notify function.
    fn notified(&self, key: Key) -> Option<(u32, usize)> {
        self.callouts
            .borrow()
            .iter()
            .find(|(_, callout)| callout.key == key)
            .map(|(id, callout)| (*id, callout.notify))
    }

    /// Whether a callout was not told of a deletion.
    pub(crate) fn has_lost_notifications(&self) -> bool {
        self.lost_notifications.get() > 0
    }

    /// Whether a thread's innermost notification, if it is in one, is of a deletion.
    pub(super) fn is_told_of_deletion(&self, thread: ThreadId) -> bool {
        let notifying = self.notifying.borrow();
        notifying
            .iter()
            .rev()
            .find(|(id, _)| *id == thread)
            .is_some_and(|(_, deletes)| *deletes)
    }
}
