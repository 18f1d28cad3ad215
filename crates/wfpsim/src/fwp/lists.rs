//! References, clones, and what is asked about a packet.

use wfp_sys::consts;
use wfp_sys::fwps::FWPS_PACKET_LIST_INFORMATION0;
use wfp_sys::ndis::MDL;
use wfp_sys::ndis::NET_BUFFER_LIST;

use crate::machine::Kernel;
use crate::machine::irql;
use crate::ndis::Fate;
use crate::ndis::Kind;
use crate::nt::Handle;
use crate::nt::NtStatus;
use crate::nt::status;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

pub(super) fn reference(kernel: &Kernel, list: *mut NET_BUFFER_LIST, intend_to_modify: u8) {
    const NAME: &str = "FwpsReferenceNetBufferList0";
    let ledger = crate::ndis::require(kernel, NAME, list, "A-27");
    crate::ndis::require_out_of_tunnel(kernel, NAME, list);
    let layer = kernel.fwp.with_frame(kernel.running().id, |frame| {
        frame.modifies |= intend_to_modify != 0 && frame.list == list as usize;
        frame.layer
    });
    let late = kernel.unloading().is_some();
    kernel.ndis.with_mut(list, |list| {
        if list.references == 0 {
            list.held_since = Some(kernel.now());
        }
        (list.references, list.taken) = (list.references + 1, Some(kernel.driver_turns()));
        list.taken_at = list.taken_at.or(layer);
        list.taken_late = late;
        list.past.held_since.get_or_insert(kernel.now());
    });
    kernel.note(
        ledger,
        if intend_to_modify != 0 {
            "referenced, to be modified"
        } else {
            "referenced"
        },
    );
}

pub(super) fn dereference(kernel: &Kernel, list: *mut NET_BUFFER_LIST, dispatch_level: u8) {
    let ledger = crate::ndis::require(kernel, "FwpsDereferenceNetBufferList0", list, "A-28");
    if dispatch_level != 0 && kernel.irql() < irql::DISPATCH {
        // A completion function is told which it is, and has only to pass that on.
        let told = kernel.fwp.is_completing(kernel.running().id);
        let rule = if told { "A-44" } else { "A-29" };
        let summary = format!(
            "FwpsDereferenceNetBufferList0 was told DISPATCH_LEVEL at IRQL {}",
            kernel.irql()
        );
        kernel.bug_check(
            Violation::contract(
                kernel,
                rule,
                [list as u64, u64::from(kernel.irql()), 0, 0],
                summary,
            )
            .about(kernel, ledger),
        );
    }
    super::hold::check(kernel, list);
    let left = kernel.ndis.with_mut(list, |list| {
        list.references = list.references.checked_sub(1)?;
        Some(list.references)
    });
    if left.flatten().is_none() {
        let summary =
            "FwpsDereferenceNetBufferList0 was called more often than FwpsReferenceNetBufferList0";
        kernel.bug_check(
            Violation::contract(kernel, "A-28", [list as u64, 0, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
    // SAFETY: the list is in the table, so it is alive.
    let next = unsafe { (*list).Next };
    if left == Some(Some(0)) && !next.is_null() {
        let summary = format!(
            "a NET_BUFFER_LIST went back to the stack with another one linked behind it, {next:p}; it was shown alone"
        );
        let parameters = [list as u64, next as u64, 0, 0];
        kernel.bug_check(
            Violation::contract(kernel, "A-19", parameters, summary).about(kernel, ledger),
        );
    }
    kernel.note(ledger, "dereferenced");
    crate::ndis::release_if_done(kernel, list);
}

pub(super) fn allocate_clone(
    kernel: &Kernel,
    original: *mut NET_BUFFER_LIST,
    _list_pool: Handle,
    _buffer_pool: Handle,
    flags: u32,
    clone: *mut *mut NET_BUFFER_LIST,
) -> NtStatus {
    const NAME: &str = "FwpsAllocateCloneNetBufferList0";
    let ledger = crate::ndis::require(kernel, NAME, original, "A-36");
    crate::ndis::require_out_of_tunnel(kernel, NAME, original);
    crate::ndis::require_held(kernel, NAME, original, "A-28");
    crate::ndis::check_shape(kernel, original, ledger);
    if flags != 0 {
        return status::INVALID_PARAMETER;
    }
    if kernel.fails("FwpsAllocateCloneNetBufferList0") {
        return status::INSUFFICIENT_RESOURCES;
    }
    let made = crate::ndis::clone_list(kernel, original);
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { clone.write(made.as_ptr()) };
    status::SUCCESS
}

/// A clone that is freed without having been injected takes what WFP knows of the packet with it: the original must not go
/// on, or have gone on, without.
fn check_given_up(kernel: &Kernel, list: *mut NET_BUFFER_LIST, ledger: ObjectId) {
    let parent = kernel.ndis.with(list, |list| match list.kind {
        Kind::Clone { parent } if list.past.completed.is_none() => Some(parent),
        _ => None,
    });
    let Some(parent) = parent.flatten() else {
        return;
    };
    let passed = kernel.ndis.with_mut(parent as *const _, |parent| {
        parent.past.clone_given_up = true;
        parent.past.passed_with_clones
    });
    if passed == Some(true) {
        let summary = "a clone was freed without having been injected, and its original was let pass: what WFP knows of the packet went with the clone";
        kernel.bug_check(
            Violation::contract(kernel, "A-40", [list as u64, parent as u64, 0, 0], summary)
                .about(kernel, ledger),
        );
    }
}

/// Whoever frees a clone whose injection failed has looked at its Status, or the packet is lost and nobody knows.
fn check_status_was_seen(kernel: &Kernel, list: *mut NET_BUFFER_LIST, ledger: ObjectId) {
    let watched = kernel.arena.find_exact(list as usize);
    if watched.and_then(|block| kernel.arena.end_watch(&block)) == Some(false) {
        let completed = kernel.ndis.with(list, |list| list.past.completed).flatten();
        let status = completed.unwrap_or_default();
        let summary = format!(
            "an injection was completed with status {status:#010x}, and the completion function freed the clone without a look at its Status"
        );
        let parameters = [list as u64, u64::from(status.cast_unsigned()), 0, 0];
        let violation = Violation::contract(kernel, "A-59", parameters, summary);
        kernel.record(violation.about(kernel, ledger));
    }
}

pub(super) fn free_clone(kernel: &Kernel, list: *mut NET_BUFFER_LIST, flags: u32) {
    // First: nothing of the platform's own may count as the driver's look.
    if let Some(ledger) = kernel.ndis.with(list, |list| list.ledger) {
        check_status_was_seen(kernel, list, ledger);
    }
    let ledger = crate::ndis::require(kernel, "FwpsFreeCloneNetBufferList0", list, "A-39");
    let (kind, fate, children) = kernel
        .ndis
        .with(list, |list| (list.kind, list.fate, list.children))
        .unwrap_or((Kind::Original, Fate::Stack, 0));
    let refuse = |rule, summary: &str| -> ! {
        kernel.bug_check(
            Violation::contract(kernel, rule, [list as u64, 0, 0, 0], summary)
                .about(kernel, ledger),
        )
    };
    match (kind, fate) {
        (Kind::Original, _) if children > 0 => refuse(
            "B-09",
            "FwpsFreeCloneNetBufferList0 was given the original that clones were made of; who made a list frees it",
        ),
        (Kind::Original | Kind::Made { .. }, _) => refuse(
            "A-39",
            "FwpsFreeCloneNetBufferList0 was given a list that is no clone",
        ),
        (_, Fate::Injected) => {
            let summary = "a clone was freed by the driver while its injection was under way; the stack frees its MDLs again (NETIO!NetioFreeMdl)";
            let parameters = [7, 0, 0, list as u64];
            kernel.bug_check(
                Violation::new(
                    kernel,
                    crate::verifier::code::BAD_POOL_CALLER,
                    parameters,
                    "A-42",
                    summary,
                )
                .about(kernel, ledger),
            )
        }
        _ if flags != 0 => refuse(
            "B-10",
            "FwpsFreeCloneNetBufferList0 was told other flags than the clone was made with, which is 0",
        ),
        _ if children > 0 => refuse("A-37", "a clone was freed that has clones of its own"),
        _ => {
            check_given_up(kernel, list, ledger);
            super::hold::check(kernel, list);
            crate::ndis::check_chains(kernel, list, ledger);
            crate::ndis::free_clone(kernel, list);
        }
    }
}

pub(super) fn injection_state(
    kernel: &Kernel,
    handle: Handle,
    list: *const NET_BUFFER_LIST,
    context: *mut Handle,
) -> i32 {
    crate::ndis::require(
        kernel,
        "FwpsQueryPacketInjectionState0",
        list.cast_mut(),
        "A-51",
    );
    if let Some(rule) = kernel
        .fwp
        .retired_by_unload(kernel, handle as usize, "A-57", "C-50")
    {
        let summary = format!(
            "FwpsQueryPacketInjectionState0 was given {handle:p}, an injection handle that was destroyed; the callouts that use it \
             are unregistered first"
        );
        let violation = Violation::contract(kernel, rule, [handle as u64, 0, 0, 0], summary);
        kernel.bug_check(kernel.fwp.about_handle(kernel, violation, handle as usize));
    }
    let own = handle as u64;
    let (injected, last_context) = kernel
        .ndis
        .with(list, |list| {
            (list.injected_by.clone(), list.injection_context(own))
        })
        .unwrap_or_default();
    if !context.is_null() {
        // SAFETY: the driver's pointer; a bad one faults and is reported.
        unsafe { context.write(last_context as Handle) };
    }
    match injected.last() {
        None => consts::FWPS_PACKET_NOT_INJECTED,
        Some(&last) if last == own => consts::FWPS_PACKET_INJECTED_BY_SELF,
        Some(_) if injected.contains(&own) => consts::FWPS_PACKET_PREVIOUSLY_INJECTED_BY_SELF,
        Some(_) => consts::FWPS_PACKET_INJECTED_BY_OTHER,
    }
}

pub(super) fn security_information(
    kernel: &Kernel,
    list: *mut NET_BUFFER_LIST,
    query: u32,
    information: *mut FWPS_PACKET_LIST_INFORMATION0,
) -> NtStatus {
    let thread = kernel.running();
    let found = kernel.fwp.with_frame(thread.id, |frame| {
        (frame.list == list as usize).then_some(frame.security)
    });
    let Some(found) = found.flatten().filter(|_| thread.classify_depth.get() > 0) else {
        let summary =
            "FwpsGetPacketListSecurityInformation0 was called outside the classify of its packet";
        kernel.bug_check(Violation::contract(
            kernel,
            "A-64",
            [list as u64, u64::from(query), 0, 0],
            summary,
        ));
    };
    let unknown = || {
        kernel
            .ndis
            .with_mut(list, |list| list.past.security_unknown = true);
    };
    if query & consts::FWPS_PACKET_LIST_INFORMATION_QUERY_INVALID_MASK
        == consts::FWPS_PACKET_LIST_INFORMATION_QUERY_INVALID_MASK
    {
        unknown();
        return status::FWP_INVALID_PARAMETER;
    }
    if kernel.fails("FwpsGetPacketListSecurityInformation0") {
        unknown();
        return status::INSUFFICIENT_RESOURCES;
    }
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { information.write(found) };
    status::SUCCESS
}

pub(super) fn allocate_own(
    kernel: &Kernel,
    pool: Handle,
    _context_size: u16,
    _context_backfill: u16,
    chain: *mut MDL,
    offset: u32,
    length: usize,
    list: *mut *mut NET_BUFFER_LIST,
) -> NtStatus {
    const NAME: &str = "FwpsAllocateNetBufferAndNetBufferList0";
    crate::ndis::require_list_pool(kernel, NAME, pool);
    if kernel.fails(NAME) {
        return status::INSUFFICIENT_RESOURCES;
    }
    let made = crate::ndis::make_list(kernel, NAME, pool as usize, chain, offset, length as u32);
    // SAFETY: the driver's pointer; a bad one faults and is reported.
    unsafe { list.write(made.as_ptr()) };
    status::SUCCESS
}

pub(super) fn free_own(kernel: &Kernel, list: *mut NET_BUFFER_LIST) {
    const NAME: &str = "FwpsFreeNetBufferList0";
    let ledger = crate::ndis::require(kernel, NAME, list, "B-09");
    let (kind, fate, children) = kernel
        .ndis
        .with(list, |list| (list.kind, list.fate, list.children))
        .unwrap_or((Kind::Original, Fate::Stack, 0));
    let refuse = |rule, summary: String| -> ! {
        kernel.bug_check(
            Violation::contract(kernel, rule, [list as u64, 0, 0, 0], summary)
                .about(kernel, ledger),
        )
    };
    match (kind, fate) {
        (Kind::Made { .. }, Fate::Injected) => {
            let summary = format!(
                "{NAME} was given a list whose injection is under way; the stack uses it still"
            );
            kernel.bug_check(
                Violation::new(
                    kernel,
                    crate::verifier::code::BAD_POOL_CALLER,
                    [7, 0, 0, list as u64],
                    "A-42",
                    summary,
                )
                .about(kernel, ledger),
            )
        }
        (Kind::Made { .. }, _) if children > 0 => {
            refuse("A-37", format!("{NAME} was given a list that has clones"))
        }
        (Kind::Made { .. }, _) => crate::ndis::free_made(kernel, list),
        _ => refuse(
            "B-09",
            format!(
                "{NAME} was given a list that FwpsAllocateNetBufferAndNetBufferList0 did not make"
            ),
        ),
    }
}
