//! Pool, with special pool always on.

use std::ffi::c_void;

use crate::machine::Kernel;
use crate::machine::Random;
use crate::machine::SpecialPool;
use crate::machine::irql;
use crate::memory::Block;
use crate::memory::BlockState;
use crate::memory::Edge;
use crate::memory::Purpose;
use crate::memory::damage_at_free;
use crate::verifier::ObjectId;
use crate::verifier::Violation;
use crate::verifier::code;

const POOL_FLAG_UNINITIALIZED: u64 = 2;
const POOL_FLAG_RAISE_ON_FAILURE: u64 = 0x20;
const POOL_FLAG_NON_PAGED: u64 = 0x40;
const POOL_FLAG_NON_PAGED_EXECUTE: u64 = 0x80;
const POOL_FLAG_PAGED: u64 = 0x100;
/// The kinds of pool, of which a caller names one.
const POOL_KINDS: u64 = POOL_FLAG_NON_PAGED | POOL_FLAG_NON_PAGED_EXECUTE | POOL_FLAG_PAGED;
/// The flags that an allocation fails for if it does not know them: the lower half, of which these are known.
const POOL_FLAGS_REQUIRED: u64 = 0xFFFF_FFFF;
const POOL_FLAGS_KNOWN: u64 = 0x2F | POOL_KINDS;

/// POOL_TYPE's bit for paged pool.
const PAGED_POOL: u32 = 1;

/// The older function: what it gives is not zeroed. Of its pool types only the difference between paged and nonpaged is kept.
pub(super) fn allocate_with_tag(kernel: &Kernel, kind: u32, size: usize, tag: u32) -> *mut c_void {
    let paged = if kind & PAGED_POOL == 0 {
        POOL_FLAG_NON_PAGED
    } else {
        POOL_FLAG_PAGED
    };
    allocate_for(
        kernel,
        "ExAllocatePoolWithTag",
        POOL_FLAG_UNINITIALIZED | paged,
        size,
        tag,
    )
}

pub(super) fn allocate(kernel: &Kernel, flags: u64, size: usize, tag: u32) -> *mut c_void {
    allocate_for(kernel, "ExAllocatePool2", flags, size, tag)
}

fn allocate_for(
    kernel: &Kernel,
    function: &'static str,
    flags: u64,
    size: usize,
    tag: u32,
) -> *mut c_void {
    if tag == 0 {
        let violation = Violation::new(
            kernel,
            code::BAD_POOL_CALLER,
            [0x9B, flags, size as u64, 0],
            "C-63",
            "pool was asked for with tag 0",
        );
        kernel.bug_check(violation);
    }
    if size == 0 {
        kernel.bug_check(Violation::verifier(
            kernel,
            0,
            [flags, u64::from(tag), 0],
            "pool of zero bytes was asked for",
            "C-62",
        ));
    }
    if flags & POOL_FLAG_PAGED != 0 && kernel.irql() > irql::APC {
        let summary = format!("paged pool was asked for at IRQL {}", kernel.irql());
        let parameters = [u64::from(kernel.irql()), flags, size as u64];
        kernel.bug_check(Violation::verifier(kernel, 1, parameters, summary, "C.1"));
    }
    let known = flags & POOL_FLAGS_REQUIRED & !POOL_FLAGS_KNOWN == 0;
    if !known || (flags & POOL_KINDS).count_ones() != 1 {
        let summary = format!(
            "pool was asked for with flags {flags:#x}, which name no kind of pool, more than one, or something unknown"
        );
        let parameters = [flags, size as u64, u64::from(tag), 0];
        kernel.bug_check(Violation::contract(kernel, "C-07", parameters, summary));
    }
    if flags & POOL_FLAG_NON_PAGED_EXECUTE != 0 {
        let summary = "executable pool was asked for; memory integrity allows none";
        let parameters = [0, flags, u64::from(tag)];
        kernel.bug_check(Violation::verifier(
            kernel, 0x2000, parameters, summary, "C-62",
        ));
    }
    if kernel.fails(function) {
        if flags & POOL_FLAG_RAISE_ON_FAILURE != 0 {
            let summary = "an allocation with POOL_FLAG_RAISE_ON_FAILURE failed and raised an exception that nobody handles";
            let status = super::status::INSUFFICIENT_RESOURCES as u32;
            let violation = Violation::new(
                kernel,
                code::KMODE_EXCEPTION_NOT_HANDLED,
                [u64::from(status), 0, 0, 0],
                "C-07",
                summary,
            );
            kernel.bug_check(violation);
        }
        return std::ptr::null_mut();
    }
    let tag = tag.to_le_bytes();
    let object = kernel.ledger.begin(
        kernel
            .ledger
            .told(|| format!("pool block of {size} bytes, tag '{}'", tag.escape_ascii())),
    );
    let block = kernel.arena.allocate_at(
        edge(kernel, object),
        size,
        if flags & POOL_FLAG_PAGED == 0 {
            Purpose::Pool(tag)
        } else {
            Purpose::PagedPool(tag)
        },
        object,
        flags & POOL_FLAG_UNINITIALIZED == 0,
    );
    kernel.note(object, "allocated");
    let thread = kernel.running();
    if thread.classify_depth.get() > 0 {
        kernel.fwp.note_allocation(thread.id, object);
    }
    block.as_ptr().cast()
}

/// Where a block stands in its pages. The seed's own stream is not asked: which byte lies beside a block decides nothing
/// that a correct driver could see.
fn edge(kernel: &Kernel, object: ObjectId) -> Edge {
    match kernel.config.pool {
        SpecialPool::VerifyEnd => Edge::End,
        SpecialPool::VerifyStart => Edge::Start,
        SpecialPool::Either => {
            let number = u64::from(object.0) << 32;
            if Random::new(kernel.config.seed ^ number).percent(50) {
                Edge::Start
            } else {
                Edge::End
            }
        }
    }
}

pub(super) fn free_untagged(kernel: &Kernel, block: *mut c_void) {
    free(kernel, block, 0);
}

pub(super) fn free(kernel: &Kernel, pointer: *mut c_void, tag: u32) {
    let address = pointer as usize;
    let Some(block) = kernel.arena.find_exact(address) else {
        let summary = format!("an address that was never allocated, {address:#x}, was freed");
        kernel.bug_check(Violation::verifier(
            kernel,
            0x10,
            [address as u64, 0, 0],
            summary,
            "C-62",
        ));
    };
    if block.state == BlockState::Freed {
        let summary = format!("{} at {address:#x} was freed twice", block.purpose);
        let violation = Violation::new(
            kernel,
            code::BAD_POOL_CALLER,
            [7, 0, 0, address as u64],
            "C-63",
            summary,
        );
        kernel.bug_check(violation.about(kernel, block.object));
    }
    if let Purpose::PagedPool(_) = block.purpose
        && kernel.irql() > irql::APC
    {
        let summary = format!("paged pool was freed at IRQL {}", kernel.irql());
        let parameters = [u64::from(kernel.irql()), POOL_FLAG_PAGED, address as u64];
        let violation = Violation::verifier(kernel, 0x11, parameters, summary, "C.1");
        kernel.bug_check(violation.about(kernel, block.object));
    }
    match block.purpose {
        Purpose::Pool(allocated) | Purpose::PagedPool(allocated)
            if tag == 0 || allocated == tag.to_le_bytes() =>
        {
            free_block(kernel, &block)
        }
        Purpose::Pool(allocated) | Purpose::PagedPool(allocated) => {
            let summary = format!(
                "pool with tag '{}' was freed with tag '{}'",
                allocated.escape_ascii(),
                tag.to_le_bytes().escape_ascii()
            );
            let parameters = [
                0x0A,
                address as u64,
                u64::from(u32::from_le_bytes(allocated)),
                u64::from(tag),
            ];
            kernel.bug_check(
                Violation::new(kernel, code::BAD_POOL_CALLER, parameters, "C-63", summary)
                    .about(kernel, block.object),
            );
        }
        other => {
            let summary = format!("{other} was freed as if it were pool");
            let violation = Violation::new(
                kernel,
                code::BAD_POOL_CALLER,
                [0x99, address as u64, 0, 0],
                "C-63",
                summary,
            );
            kernel.bug_check(violation.about(kernel, block.object));
        }
    }
}

/// Frees a live block of any purpose, and ends its history.
pub(crate) fn free_block(kernel: &Kernel, block: &Block) {
    free_blocks(kernel, &[block.start], "freed");
}

/// Frees the live ones among several blocks of one object, and ends its history with `note`.
pub(crate) fn free_blocks(kernel: &Kernel, addresses: &[usize], note: &'static str) {
    if let Some(object) = free_some(kernel, addresses, note) {
        kernel.ledger.end(object);
    }
}

/// Frees the live ones among several blocks of an object that lives on, and notes it. Gives the object.
pub(crate) fn free_some(
    kernel: &Kernel,
    addresses: &[usize],
    note: &'static str,
) -> Option<ObjectId> {
    let live = addresses.iter().filter_map(|&address| {
        kernel
            .arena
            .find_exact(address)
            .filter(|block| block.state == BlockState::Live)
    });
    let blocks: Vec<Block> = live.collect();
    for block in &blocks {
        check_damage(kernel, block);
        check_locks(kernel, block);
        super::dpc::check_freed(kernel, block);
        super::timer::check_freed(kernel, block);
        super::spinlock::forget(kernel, block);
        kernel.arena.free(block);
    }
    let object = blocks.first()?.object;
    kernel.note(object, note);
    Some(object)
}

/// A spin lock that is held must not be freed (C-02).
fn check_locks(kernel: &Kernel, block: &Block) {
    let held = kernel.lock_held_in(block.start..block.start + block.size);
    if let Some((lock, holder)) = held {
        let summary = format!(
            "{} was freed with a spin lock in it that thread {} holds",
            block.purpose, holder.0
        );
        let parameters = [lock as u64, u64::from(holder.0), 0];
        let violation = Violation::verifier(kernel, 0x100B, parameters, summary, "C-02");
        kernel.bug_check(violation.about(kernel, block.object));
    }
}

/// Looks at the bytes beside a block that is about to be freed.
fn check_damage(kernel: &Kernel, block: &Block) {
    if let Some(damaged) = damage_at_free(block) {
        let offset = damaged.wrapping_sub(block.start) as isize;
        let summary = format!(
            "byte {offset} of {} at {:#x}, which has {} bytes, was written",
            block.purpose, block.start, block.size
        );
        let parameters = [
            block.start as u64,
            damaged as u64,
            block.size as u64,
            if offset < 0 { 0x23 } else { 0x24 },
        ];
        let violation = Violation::new(
            kernel,
            code::SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION,
            parameters,
            "C-61",
            summary,
        );
        kernel.bug_check(violation.about(kernel, block.object));
    }
}
