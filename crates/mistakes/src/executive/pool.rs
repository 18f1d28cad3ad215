//! Pool: what it is asked for (C-07), special pool (C-61), bad frees and damage (C-62, C-63).

use std::ptr::null_mut;

use wdk_sys_portable::ntddk::*;
use wdk_sys_portable::*;
use wfpsim::Config;
use wfpsim::machine::Faults;

use super::base::device_object;
use super::base::in_dpc;
use super::base::run;
use super::kernel::*;
use crate::Mistake;
use crate::driver::TAG;
use crate::makes;

pub const POOL: &[Mistake] = &[
    Mistake::always(
        "C-07-no-kind",
        "C-07",
        "asks for pool without saying which kind",
        |m| run(m, flags),
    ),
    Mistake::always(
        "C-07-two-kinds",
        "C-07",
        "asks for paged and non-paged pool at once",
        |m| run(m, flags),
    ),
    Mistake::always(
        "C-07-pool-type",
        "C-07",
        "gives ExAllocatePool2 a POOL_TYPE, as the older function took it",
        |m| run(m, flags),
    ),
    Mistake::always(
        "C-07-raises",
        "C-07",
        "asks for an exception when pool is short, and handles none",
        |m| run(m, flags),
    )
    .on(|config| Config {
        faults: Faults {
            fail_call: Some(1),
            functions: vec!["ExAllocatePool2"],
            ..Faults::default()
        },
        ..config
    }),
    Mistake::always(
        "C-62-executable-pool",
        "C-62",
        "asks for executable pool",
        |m| run(m, flags),
    ),
    Mistake::always(
        "C-62-zero-bytes",
        "C-62",
        "asks for zero bytes of pool",
        |m| run(m, flags),
    ),
    Mistake::always(
        "C-63-tag-zero",
        "C-63",
        "asks for pool without a tag",
        |m| run(m, flags),
    ),
    Mistake::always("C-62-pool-left", "C-62", "does not free a block", |m| {
        run(m, block)
    }),
    Mistake::always(
        "C-62-freed-inside",
        "C-62",
        "frees a pointer into the middle of a block",
        |m| run(m, block),
    ),
    Mistake::always("C-62-freed-stack", "C-62", "frees a local variable", |m| {
        run(m, block)
    }),
    Mistake::always("C-62-freed-null", "C-62", "frees a null pointer", |m| {
        run(m, block)
    }),
    Mistake::always("C-63-freed-twice", "C-63", "frees a block twice", |m| {
        run(m, block)
    }),
    Mistake::always(
        "C-63-other-tag",
        "C-63",
        "frees a block with another tag",
        |m| run(m, block),
    ),
    Mistake::always(
        "C-63-not-pool",
        "C-63",
        "frees the device object as if it were pool",
        |m| run(m, block),
    ),
    Mistake::always(
        "C-61-overrun",
        "C-61",
        "writes one byte behind a block",
        |m| run(m, block),
    ),
    Mistake::always(
        "C-61-overrun-far",
        "C-61",
        "writes a page behind a block",
        |m| run(m, block),
    ),
    Mistake::always(
        "C-61-underrun",
        "C-61",
        "writes one byte before a block",
        |m| run(m, block),
    ),
    Mistake::always(
        "C-61-read-after-free",
        "C-61",
        "reads a block that it has freed",
        |m| run(m, block),
    ),
    Mistake::always(
        "C-61-written-after-free",
        "C-61",
        "writes into a block that it has freed",
        |m| run(m, block),
    ),
    Mistake::always(
        "C-63-null-pointer",
        "C-63",
        "does not look whether an allocation succeeded",
        |m| run(m, block),
    ),
    Mistake::always(
        "C-63-paged-at-dispatch",
        "C-63",
        "reads paged pool in a DPC",
        |m| run(m, paged),
    ),
    Mistake::always(
        "C.1-ExAllocatePool2-paged",
        "C.1",
        "allocates paged pool in a DPC",
        |m| run(m, paged),
    ),
    Mistake::always(
        "C.1-ExFreePoolWithTag-paged",
        "C.1",
        "frees paged pool in a DPC",
        |m| run(m, paged),
    ),
    Mistake::always(
        "C-63-list-entry-removed-twice",
        "C-63",
        "removes an entry from its list twice",
        |m| run(m, list),
    ),
    Mistake::always(
        "C-63-list-entry-overwritten",
        "C-63",
        "writes over the links of an entry that is in a list",
        |m| run(m, list),
    ),
];

/// Pool of each kind, asked for and given back.
fn flags() {
    let mut flags = POOL_FLAG_NON_PAGED;
    let (mut size, mut tag) = (64, TAG);
    if makes("C-07-no-kind") {
        flags = 0;
    }
    if makes("C-07-two-kinds") {
        flags |= POOL_FLAG_PAGED;
    }
    if makes("C-07-pool-type") {
        // NonPagedPoolNx.
        flags = 512;
    }
    if makes("C-07-raises") {
        flags |= 0x20;
    }
    if makes("C-62-executable-pool") {
        flags = POOL_FLAG_NON_PAGED_EXECUTE;
    }
    if makes("C-62-zero-bytes") {
        size = 0;
    }
    if makes("C-63-tag-zero") {
        tag = 0;
    }
    let block = unsafe { ExAllocatePool2(flags, size, tag) };
    if !block.is_null() {
        unsafe { ExFreePoolWithTag(block, tag) };
    }
}

fn block() {
    let block: *mut u8 = allocate(100);
    unsafe {
        block.write_bytes(1, 100);
        if makes("C-61-overrun") {
            block.add(100).write_volatile(0);
        }
        if makes("C-61-overrun-far") {
            block.add(4096).write_volatile(0);
        }
        if makes("C-61-underrun") {
            block.sub(1).write_volatile(0);
        }
        if makes("C-63-null-pointer") {
            null_mut::<u64>().add(2).write_volatile(0);
        }
        if makes("C-62-pool-left") {
            return;
        }
        if makes("C-62-freed-inside") {
            free(block.add(16));
        }
        if makes("C-62-freed-stack") {
            let mut local = 0u64;
            free(&raw mut local);
        }
        if makes("C-62-freed-null") {
            free(null_mut::<u8>());
        }
        if makes("C-63-not-pool") {
            free(device_object());
        }
        if makes("C-63-other-tag") {
            ExFreePoolWithTag(block.cast(), u32::from_le_bytes(*b"Othr"));
        }
        free(block);
        if makes("C-63-freed-twice") {
            free(block);
        }
        if makes("C-61-read-after-free") {
            let _byte = block.read_volatile();
        }
        if makes("C-61-written-after-free") {
            block.add(99).write_volatile(0);
        }
    }
}

thread_local! {
    static PAGED: std::cell::Cell<*mut u8> = const { std::cell::Cell::new(null_mut()) };
}

/// Paged pool, left alone by a DPC.
fn paged() {
    PAGED.set(allocate_as(POOL_FLAG_PAGED, 100));
    unsafe { PAGED.get().write_bytes(1, 100) };
    in_dpc(|| {
        if makes("C-63-paged-at-dispatch") {
            let _byte = unsafe { PAGED.get().add(50).read_volatile() };
        }
        if makes("C.1-ExAllocatePool2-paged") {
            free(allocate_as::<u8>(POOL_FLAG_PAGED, 8));
        }
        if makes("C.1-ExFreePoolWithTag-paged") {
            free(PAGED.get());
        }
    });
    let _byte = unsafe { PAGED.get().add(50).read_volatile() };
    free(PAGED.get());
}

/// LIST_ENTRY.
#[repr(C)]
struct ListEntry {
    next: *mut ListEntry,
    previous: *mut ListEntry,
}

/// `__fastfail(FAST_FAIL_CORRUPT_LIST_ENTRY)`, which the inline list functions of wdm.h do.
fn corrupt_list_entry() -> ! {
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!("int 0x29", in("ecx") 3, options(noreturn))
    };
    #[cfg(not(target_arch = "x86_64"))]
    unsafe {
        KeBugCheckEx(0x139, 3, 0, 0, 0)
    };
}

/// RemoveEntryList.
unsafe fn remove_entry_list(entry: *mut ListEntry) {
    unsafe {
        let (next, previous) = ((*entry).next, (*entry).previous);
        if (*next).previous != entry || (*previous).next != entry {
            corrupt_list_entry();
        }
        (*previous).next = next;
        (*next).previous = previous;
    }
}

/// InsertTailList.
unsafe fn insert_tail_list(head: *mut ListEntry, entry: *mut ListEntry) {
    unsafe {
        let last = (*head).previous;
        if (*last).next != head {
            corrupt_list_entry();
        }
        entry.write(ListEntry {
            next: head,
            previous: last,
        });
        (*last).next = entry;
        (*head).previous = entry;
    }
}

fn list() {
    let entry = || allocate::<ListEntry>(size_of::<ListEntry>());
    let (head, one, other) = (entry(), entry(), entry());
    unsafe {
        head.write(ListEntry {
            next: head,
            previous: head,
        });
        insert_tail_list(head, one);
        insert_tail_list(head, other);
        if makes("C-63-list-entry-overwritten") {
            (*one).next = one;
        }
        remove_entry_list(one);
        if makes("C-63-list-entry-removed-twice") {
            remove_entry_list(one);
        }
        remove_entry_list(other);
    }
    free(one);
    free(other);
    free(head);
}
