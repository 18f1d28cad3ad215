//! What a driver left behind when its last function had returned.

use std::collections::BTreeMap;

use crate::machine::Kernel;
use crate::machine::ThreadId;
use crate::memory::Block;
use crate::memory::Purpose;
use crate::ndis::HeldList;
use crate::verifier::ObjectId;
use crate::verifier::Violation;
use crate::verifier::code;

/// How many of each kind were left behind; kinds with none are not in it.
///
/// The kinds: `pool`, `nbl_reference`, `clone`, `pended_operation`, `injection_handle`, `injection`, `callout`,
/// `filter_object`, `engine_session`, `bfe_subscription`, `thread`, `thread_object`, `wdf_object`, `net_buffer_list`,
/// `net_buffer_pool`, `flow_context`, `mdl`, `process_reference`, `error_log_entry`, `work_item`, `dpc`,
/// `timer`.
pub type Leaks = BTreeMap<&'static str, u64>;

/// Everything found.
#[derive(Default)]
pub(super) struct Found {
    pool: Vec<Block>,
    /// Net buffer lists that are referenced, and clones.
    lists: Vec<HeldList>,
    /// Pended operations, with the rule that leaving each breaks.
    pended: Vec<(ObjectId, &'static str)>,
    injection_handles: usize,
    injections: usize,
    /// Of each registered callout, the rule that leaving it breaks, and whether it is in a classify.
    callouts: Vec<(&'static str, bool)>,
    filter_objects: usize,
    /// Objects of the filter engine that no session takes with it, and filters among them without a callout.
    stranded: (usize, usize),
    sessions: (usize, usize, usize),
    subscriptions: usize,
    threads: Vec<ThreadId>,
    thread_objects: Vec<ObjectId>,
    wdf_objects: Vec<ObjectId>,
    work_items: Vec<ObjectId>,
    dpcs: usize,
    timers: usize,
    others: Vec<Kept>,
}

/// Objects of one kind that only some drivers make.
struct Kept {
    kind: &'static str,
    rule: &'static str,
    /// What they read as.
    what: &'static str,
    objects: Vec<ObjectId>,
}

fn others(kernel: &Kernel) -> Vec<Kept> {
    let kept = |kind, rule, what, objects| Kept {
        kind,
        rule,
        what,
        objects,
    };
    vec![
        kept(
            "net_buffer_list",
            "B-09",
            "net buffer lists that it made not freed",
            kernel.ndis.kept_made(),
        ),
        kept(
            "net_buffer_pool",
            "B-09",
            "pools of net buffers or their lists not freed",
            kernel.ndis.kept_pools(),
        ),
        kept(
            "flow_context",
            "A-05",
            "contexts still associated with flows",
            kernel.fwp.kept_flow_contexts(),
        ),
        kept("mdl", "C-62", "MDLs not freed", kernel.nt.kept_mdls()),
        kept(
            "process_reference",
            "C-04",
            "process objects still held by reference",
            kernel.nt.held_processes(),
        ),
        kept(
            "error_log_entry",
            "C-62",
            "error log entries allocated and not written",
            kernel.nt.unwritten_log_entries(),
        ),
    ]
}

/// What was left, besides `open`, the framework's objects that the driver did not close.
pub(super) fn find(kernel: &Kernel, open: Vec<ObjectId>) -> Found {
    let mut pool = kernel.arena.live_blocks();
    pool.retain(|block| matches!(block.purpose, Purpose::Pool(_) | Purpose::PagedPool(_)));
    Found {
        pool,
        lists: kernel.ndis.kept(),
        pended: kernel.fwp.pended_operations(),
        injection_handles: kernel.fwp.open_injection_handles(),
        injections: kernel.fwp.pending_injections(),
        callouts: kernel.fwp.registered_callouts(),
        filter_objects: kernel.fwp.added_objects(),
        stranded: kernel.fwp.stranded_objects(),
        sessions: kernel.fwp.open_management(),
        subscriptions: kernel.fwp.subscriptions(),
        threads: kernel.nt.threads(kernel),
        thread_objects: kernel.nt.held_objects(),
        wdf_objects: crate::wdf::unfinished_initializers(kernel)
            .into_iter()
            .chain(open)
            .collect(),
        others: others(kernel),
        work_items: kernel.nt.work_items.left(),
        dpcs: kernel.nt.dpcs.pending(),
        timers: kernel.nt.timers.set(),
    }
}

impl Found {
    fn clones(&self) -> impl Iterator<Item = &HeldList> {
        self.lists.iter().filter(|list| list.clone.is_some())
    }

    fn references(&self) -> u64 {
        let references = self.lists.iter().map(|list| u64::from(list.references));
        references.sum()
    }

    /// The counts by kind.
    pub fn counts(&self) -> Leaks {
        let (sessions, enumerations, memory) = self.sessions;
        let counts = [
            ("pool", self.pool.len() as u64),
            ("nbl_reference", self.references()),
            ("clone", self.clones().count() as u64),
            ("pended_operation", self.pended.len() as u64),
            ("injection_handle", self.injection_handles as u64),
            ("injection", self.injections as u64),
            ("callout", self.callouts.len() as u64),
            ("filter_object", self.filter_objects as u64),
            ("engine_session", (sessions + enumerations + memory) as u64),
            ("bfe_subscription", self.subscriptions as u64),
            ("thread", self.threads.len() as u64),
            ("thread_object", self.thread_objects.len() as u64),
            ("wdf_object", self.wdf_objects.len() as u64),
            ("work_item", self.work_items.len() as u64),
            ("dpc", self.dpcs as u64),
            ("timer", self.timers as u64),
        ];
        let others = self
            .others
            .iter()
            .map(|kept| (kept.kind, kept.objects.len() as u64));
        counts
            .into_iter()
            .chain(others)
            .filter(|&(_, count)| count > 0)
            .collect()
    }
}

/// Records a violation for each kind, and for each rule that it breaks. `entering`: it is DriverEntry that failed. Gives the violation for
/// what still runs in the driver back, because the machine cannot go on after it.
pub(super) fn report(
    kernel: &Kernel,
    found: &Found,
    when: &str,
    driver: u64,
    entering: bool,
) -> Option<Violation> {
    let counts = found.counts();
    let count = |kind: &str| counts.get(kind).copied().unwrap_or(0);
    let rule = |rule| if entering { "C-51" } else { rule };
    let record = |violation: Violation, object: Option<ObjectId>| {
        kernel.record(match object {
            Some(object) => violation.about(kernel, object),
            None => violation,
        });
    };
    let contract = |rule, count: u64, what: &str, object| {
        let summary = format!("{when} with {count} {what}");
        let violation = Violation::contract(kernel, rule, [driver, count, 0, 0], summary)
            .with_arguments(kernel, ["the driver object", "how many", "", ""]);
        record(violation, object);
    };

    let blocks = found.pool.iter().map(|block| {
        let broken = kernel
            .fwp
            .leak_rule(block.object, block.start)
            .unwrap_or("C-62");
        (rule(broken), block)
    });
    for (rule, blocks) in by_rule(blocks) {
        let summary = format!(
            "{when} with {} pool blocks not freed:{}",
            blocks.len(),
            told(kernel, &blocks)
        );
        let parameters = [driver, 0, blocks.len() as u64];
        record(
            Violation::verifier(kernel, 0x62, parameters, summary, rule),
            blocks.first().map(|block| block.object),
        );
    }

    let referenced = found.lists.iter().filter(|list| list.references > 0);
    let references = referenced.map(|list| {
        (
            rule(list.reference),
            (list.object, u64::from(list.references)),
        )
    });
    for (rule, lists) in by_rule(references) {
        let what = "references on net buffer lists not given back";
        let sum = lists.iter().map(|list| list.1).sum();
        contract(rule, sum, what, lists.first().map(|list| list.0));
    }
    let pended = found
        .pended
        .iter()
        .map(|&(object, broken)| (rule(broken), object));
    for (rule, objects) in by_rule(pended) {
        let what = "pended operations not completed";
        contract(rule, objects.len() as u64, what, objects.first().copied());
    }

    if count("work_item") > 0 {
        // Pool that IoAllocateWorkItem took in the driver's name.
        let summary = format!("{when} with {} work items not freed", count("work_item"));
        let parameters = [driver, 0, count("work_item")];
        record(
            Violation::verifier(kernel, 0x62, parameters, summary, rule("C-62")),
            found.work_items.first().copied(),
        );
    }

    // Kind, rule, what it reads as, and the first object of the kind.
    let clone = found.clones().next();
    let others = [
        (
            "clone",
            clone.and_then(|clone| clone.clone).unwrap_or("A-39"),
            "cloned net buffer lists not freed",
            clone.map(|clone| clone.object),
        ),
        (
            "injection_handle",
            "A-06",
            "injection handles not destroyed",
            None,
        ),
        (
            "injection",
            "A-57",
            "injections whose completion function has not returned",
            None,
        ),
        (
            "engine_session",
            "A-11",
            "sessions, enumerations and returned objects of the filter engine not given back",
            None,
        ),
        (
            "thread_object",
            "C-04",
            "thread objects still held by reference or handle",
            found.thread_objects.first().copied(),
        ),
    ];
    let kept = found.others.iter().map(|kept| {
        (
            kept.kind,
            kept.rule,
            kept.what,
            kept.objects.first().copied(),
        )
    });
    for (kind, broken, what, object) in others.into_iter().chain(kept) {
        if count(kind) > 0 {
            contract(rule(broken), count(kind), what, object);
        }
    }
    if count("wdf_object") > 0 {
        let what = "framework objects not finished with: a WDFDEVICE_INIT neither freed nor made a device of, a control device \
                    neither finished nor deleted, a WDFKEY not closed";
        contract(
            "D-02",
            count("wdf_object"),
            what,
            found.wdf_objects.first().copied(),
        );
    }
    match found.stranded {
        (0, _) => {}
        (objects, 0) => {
            let what = "providers, sublayers, callouts and filters still in the filter engine";
            contract(rule("A-11"), objects as u64, what, None);
        }
        (objects, orphans) => {
            let what = format!(
                "objects still in the filter engine, {orphans} of them filters whose callout is gone: they block all that they match"
            );
            contract(rule("A-03"), objects as u64, &what, None);
        }
    }

    // Windows goes on until it next calls, and stops then; with the driver gone here, that is certain to come.
    let callouts = found
        .callouts
        .iter()
        .map(|&(broken, classifies)| (rule(broken), (broken, classifies)));
    let mut come_already = None;
    for (rule, callouts) in by_rule(callouts) {
        let again = match callouts.first().map(|&(broken, _)| broken) {
            Some("A-09") => {
                "; unregistering them was answered with STATUS_DEVICE_BUSY and not tried again"
            }
            Some("A-05") => "; flows still carry contexts of theirs",
            _ => "",
        };
        let summary = format!("{when} with {} callouts registered{again}", callouts.len());
        let violation = unloaded(kernel, rule, driver, summary);
        if callouts.iter().any(|&(_, classifies)| classifies) {
            // One of them stops the machine; the others are told before.
            if let Some(other) = come_already.replace(violation) {
                kernel.record(other);
            }
        } else {
            kernel.record(violation);
        }
    }
    if come_already.is_some() {
        // The call returns into an image that is gone.
        return come_already;
    }
    if found.subscriptions > 0 {
        let summary = format!(
            "{when} with {} subscriptions to the filter engine's state",
            found.subscriptions
        );
        kernel.record(unloaded(kernel, rule("A-06"), driver, summary));
    }
    for (kind, what) in [("dpc", "DPCs queued or running"), ("timer", "timers set")] {
        if count(kind) > 0 {
            let summary = format!("{when} with {} {what}", count(kind));
            kernel.record(unloaded(kernel, rule("C-52"), driver, summary));
        }
    }
    // A thread that could not be referenced has a rule of its own, in DriverEntry too.
    let thread_rule = if kernel.nt.reference_refused.get() {
        "C-04"
    } else {
        rule("C-04")
    };
    (!found.threads.is_empty()).then(|| {
        unloaded(
            kernel,
            thread_rule,
            driver,
            format!(
                "{when} with {} of its threads still running",
                found.threads.len()
            ),
        )
    })
}

/// What was found, by the rule that leaving it breaks.
fn by_rule<T>(found: impl Iterator<Item = (&'static str, T)>) -> BTreeMap<&'static str, Vec<T>> {
    let mut rules: BTreeMap<&'static str, Vec<T>> = BTreeMap::new();
    for (rule, one) in found {
        rules.entry(rule).or_default().push(one);
    }
    rules
}

fn unloaded(kernel: &Kernel, rule: &'static str, driver: u64, summary: String) -> Violation {
    Violation::new(
        kernel,
        code::DRIVER_UNLOADED_WITHOUT_CANCELLING_PENDING_OPERATIONS,
        [driver, 0, 0, 0],
        rule,
        summary,
    )
}

/// The blocks by tag, and the first few of them.
fn told(kernel: &Kernel, pool: &[&Block]) -> String {
    let mut tags: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for block in pool {
        let entry = tags.entry(block.purpose.to_string()).or_default();
        *entry = (entry.0 + 1, entry.1 + block.size);
    }
    let mut lines = String::new();
    for (tag, (blocks, bytes)) in tags {
        lines.push_str(&format!("\n    {tag}: {blocks} blocks, {bytes} bytes"));
    }
    for block in pool.iter().take(4) {
        lines.push_str(&format!(
            "\n    {:#x}: {}",
            block.start,
            kernel.ledger.label(block.object)
        ));
        let history = kernel.history(block.object);
        if let Some(owner) = history.first().and_then(crate::verifier::made_by) {
            lines.push_str(&format!(", of {owner}"));
        }
        for event in history {
            let thread = event.thread.map_or(0, |(thread, _)| thread.0);
            lines.push_str(&format!(
                ", {} by thread {thread} at {}",
                event.what, event.time
            ));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;
    use crate::Machine;

    #[test]
    fn what_stops_the_machine_is_the_rule_of_the_callout_that_classifies() {
        for first_classifies in [false, true] {
            let machine = Machine::new(Config::plain());
            let found = Found {
                callouts: vec![("A-05", first_classifies), ("A-09", true)],
                ..Found::default()
            };
            let stops = report(machine.kernel(), &found, "unloaded", 0, false);
            assert_eq!(stops.map(|violation| violation.rule), Some("A-09"));
            let told: Vec<_> = machine.violations().iter().map(|told| told.rule).collect();
            assert_eq!(told, ["A-05"], "the other is told besides");
        }
    }
}
