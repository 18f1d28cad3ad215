//! The NT executive, as far as a callout driver meets it.

mod callback;
mod dpc;
mod error_log;
mod event;
mod hal;
mod level;
mod lock_order;
mod mdl;
mod object;
mod pool;
mod process;
mod queued_lock;
mod rundown;
#[cfg(target_arch = "x86_64")]
mod runtime;
mod spinlock;
mod string;
mod system;
mod timer;
mod work_item;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;

#[cfg(target_arch = "x86_64")]
pub(crate) use runtime::EXPORTS as RUNTIME_EXPORTS;

pub(crate) use callback::check_regions;
pub(crate) use callback::regions_at_end;
pub(crate) use hal::EXPORTS as HAL_EXPORTS;
pub(crate) use mdl::describe as describe_pages;
pub(crate) use pool::free_block;
pub(crate) use pool::free_blocks;
pub(crate) use pool::free_some;
pub(crate) use process::PROGRAM;
pub(crate) use system::image_data_addresses;
pub(crate) use work_item::delete_device;
pub(crate) use work_item::wait_for_all as wait_for_work_items;

use wdk_sys_portable::PCUNICODE_STRING;
use wdk_sys_portable::UNICODE_STRING;
use wfp_sys::GUID;
use wfp_sys::ndis::MDL;

use crate::exports::exports;
use crate::machine::Kernel;
use crate::verifier::ObjectId;
use crate::verifier::Violation;

/// An NTSTATUS.
pub type NtStatus = i32;
/// A kernel handle.
pub type Handle = *mut c_void;

/// The statuses that the simulated kernel gives. Values as in ntstatus.h.
pub mod status {
    use super::NtStatus;

    macro_rules! statuses {
        ($($name:ident = $value:literal;)*) => {
            $( #[doc = stringify!($name)] pub const $name: NtStatus = $value as NtStatus; )*
        };
    }
    statuses! {
        SUCCESS = 0u32;
        TIMEOUT = 0x102u32;
        DEVICE_BUSY = 0x8000_0011u32;
        UNSUCCESSFUL = 0xC000_0001u32;
        INVALID_HANDLE = 0xC000_0008u32;
        INVALID_PARAMETER = 0xC000_000Du32;
        INVALID_DEVICE_REQUEST = 0xC000_0010u32;
        BUFFER_TOO_SMALL = 0xC000_0023u32;
        OBJECT_TYPE_MISMATCH = 0xC000_0024u32;
        OBJECT_NAME_NOT_FOUND = 0xC000_0034u32;
        OBJECT_NAME_COLLISION = 0xC000_0035u32;
        INSUFFICIENT_RESOURCES = 0xC000_009Au32;
        DATA_NOT_ACCEPTED = 0xC000_021Bu32;
        BUFFER_OVERFLOW = 0x8000_0005u32;
        FWP_CALLOUT_NOT_FOUND = 0xC022_0001u32;
        FWP_FILTER_NOT_FOUND = 0xC022_0003u32;
        FWP_PROVIDER_NOT_FOUND = 0xC022_0005u32;
        FWP_SUBLAYER_NOT_FOUND = 0xC022_0007u32;
        FWP_NOT_FOUND = 0xC022_0008u32;
        FWP_ALREADY_EXISTS = 0xC022_0009u32;
        FWP_IN_USE = 0xC022_000Au32;
        FWP_NO_TXN_IN_PROGRESS = 0xC022_000Du32;
        FWP_TXN_IN_PROGRESS = 0xC022_000Eu32;
        FWP_SESSION_ABORTED = 0xC022_0010u32;
        FWP_NULL_POINTER = 0xC022_001Cu32;
        FWP_INVALID_PARAMETER = 0xC022_0035u32;
        FWP_TCPIP_NOT_READY = 0xC022_0100u32;
        FWP_INJECT_HANDLE_CLOSING = 0xC022_0101u32;
        FWP_INJECT_HANDLE_STALE = 0xC022_0102u32;
        FWP_CANNOT_PEND = 0xC022_0103u32;
    }
}

/// What the executive keeps.
#[derive(Default)]
pub struct State {
    handles: RefCell<BTreeMap<usize, object::HandleEntry>>,
    objects: RefCell<BTreeMap<usize, object::ThreadObject>>,
    /// Spin locks that were initialised or acquired and whose memory is still there.
    locks: spinlock::Locks,
    /// KLOCK_QUEUE_HANDLEs in use, with the lock of each.
    queue_handles: RefCell<BTreeMap<usize, usize>>,
    /// In which order locks were taken.
    orders: lock_order::Orders,
    pub(crate) dpcs: dpc::Dpcs,
    pub(crate) timers: timer::Timers,
    pub(crate) work_items: work_item::WorkItems,
    /// Handles that were closed, the last of them.
    closed: RefCell<BTreeMap<usize, ObjectId>>,
    /// Threads that the driver started, with or without a handle or reference left.
    started: RefCell<Vec<crate::machine::ThreadId>>,
    image_data: RefCell<BTreeMap<usize, (usize, usize)>>,
    /// MDLs of IoAllocateMdl that were not freed.
    mdls: RefCell<BTreeMap<usize, ObjectId>>,
    /// Process objects that somebody asked for.
    processes: RefCell<BTreeMap<usize, process::Process>>,
    /// Entries of the error log that were not written.
    log_entries: RefCell<BTreeMap<usize, ObjectId>>,
}

exports! {
    "ntoskrnl.exe";
    ExAllocatePool2(flags: u64, size: usize, tag: u32) -> *mut c_void [dispatch] => pool::allocate;
    ExAllocatePoolWithTag(kind: u32, size: usize, tag: u32) -> *mut c_void [dispatch] => pool::allocate_with_tag;
    ExFreePoolWithTag(block: *mut c_void, tag: u32) [dispatch] => pool::free;
    ExFreePool(block: *mut c_void) [dispatch] => pool::free_untagged;
    KeInitializeSpinLock(lock: *mut usize) [any] => spinlock::initialize;
    KeAcquireSpinLockRaiseToDpc(lock: *mut usize) -> u8 [any] => spinlock::acquire;
    KeReleaseSpinLock(lock: *mut usize, old_irql: u8) [any] => spinlock::release;
    KeAcquireSpinLockAtDpcLevel(lock: *mut usize) [any] => spinlock::acquire_at_dpc_level;
    KeTryToAcquireSpinLockAtDpcLevel(lock: *mut usize) -> u8 [any] => spinlock::try_acquire_at_dpc_level;
    KeReleaseSpinLockFromDpcLevel(lock: *mut usize) [any] => spinlock::release_from_dpc_level;
    KeAcquireInStackQueuedSpinLock(lock: *mut usize, handle: *mut queued_lock::KLockQueueHandle) [any] => queued_lock::acquire;
    KeReleaseInStackQueuedSpinLock(handle: *mut queued_lock::KLockQueueHandle) [any] => queued_lock::release;
    KeAcquireInStackQueuedSpinLockAtDpcLevel(lock: *mut usize, handle: *mut queued_lock::KLockQueueHandle) [any] => queued_lock::acquire_at_dpc_level;
    KeReleaseInStackQueuedSpinLockFromDpcLevel(handle: *mut queued_lock::KLockQueueHandle) [any] => queued_lock::release_from_dpc_level;
    KeGetCurrentIrql() -> u8 [any] => system::current_irql;
    KfRaiseIrql(new: u8) -> u8 [any] => level::raise;
    KeRaiseIrqlToDpcLevel() -> u8 [dispatch] => level::raise_to_dpc_level;
    KeLowerIrql(new: u8) [any] => level::lower;
    KeEnterCriticalRegion() [apc] => level::enter_critical_region;
    KeLeaveCriticalRegion() [apc] => level::leave_critical_region;
    KeInitializeDpc(dpc: *mut dpc::KDpc, routine: usize, context: *mut c_void) [any] => dpc::initialize;
    KeInitializeThreadedDpc(dpc: *mut dpc::KDpc, routine: usize, context: *mut c_void) [any] => dpc::initialize_threaded;
    KeSetTargetProcessorDpc(dpc: *mut dpc::KDpc, number: i8) [any] => dpc::set_target;
    KeSetImportanceDpc(dpc: *mut dpc::KDpc, importance: i32) [any] => dpc::set_importance;
    KeInsertQueueDpc(dpc: *mut dpc::KDpc, argument1: *mut c_void, argument2: *mut c_void) -> u8 [any] => dpc::insert;
    KeRemoveQueueDpc(dpc: *mut dpc::KDpc) -> u8 [any] => dpc::remove;
    KeFlushQueuedDpcs() [passive unlocked] => dpc::flush;
    KeInitializeTimer(timer: *mut timer::KTimer) [dispatch] => timer::initialize;
    KeInitializeTimerEx(timer: *mut timer::KTimer, kind: i32) [dispatch] => timer::initialize_as;
    KeSetTimer(timer: *mut timer::KTimer, due: i64, dpc: *mut dpc::KDpc) -> u8 [dispatch] => timer::set;
    KeSetTimerEx(timer: *mut timer::KTimer, due: i64, period: i32, dpc: *mut dpc::KDpc) -> u8 [dispatch] => timer::set_periodic;
    KeCancelTimer(timer: *mut timer::KTimer) -> u8 [dispatch] => timer::cancel;
    IoAllocateWorkItem(device: *mut c_void) -> *mut c_void [dispatch] => work_item::allocate;
    IoQueueWorkItem(item: *mut c_void, routine: usize, queue: i32, context: *mut c_void) [dispatch] => work_item::queue;
    IoFreeWorkItem(item: *mut c_void) [dispatch] => work_item::free;
    KeInitializeEvent(event: *mut event::KEvent, kind: i32, state: u8) [any] => event::initialize;
    KeSetEvent(event: *mut event::KEvent, increment: i32, wait: u8) -> i32 [dispatch] => event::set;
    KeClearEvent(event: *mut event::KEvent) [dispatch] => event::clear;
    KeResetEvent(event: *mut event::KEvent) -> i32 [dispatch] => event::reset;
    KeReadStateEvent(event: *mut event::KEvent) -> i32 [dispatch] => event::state;
    KeWaitForSingleObject(object: *mut c_void, reason: i32, mode: i8, alertable: u8, timeout: *const i64) -> NtStatus [dispatch] => event::wait;
    KeDelayExecutionThread(mode: i8, alertable: u8, interval: *const i64) -> NtStatus [apc] => event::delay;
    KeQueryInterruptTimePrecise(counter: *mut u64) -> u64 [any] => system::interrupt_time;
    KeBugCheckEx(code: u32, p1: usize, p2: usize, p3: usize, p4: usize) -> ! [any] => system::bug_check;
    PsCreateSystemThread(handle: *mut Handle, access: u32, attributes: *const c_void, process: Handle, client: *mut c_void, start: usize, context: *mut c_void) -> NtStatus [passive unlocked] => object::create_thread;
    PsTerminateSystemThread(status: NtStatus) -> NtStatus [passive unlocked] => object::terminate_thread;
    ObReferenceObjectByHandle(handle: Handle, access: u32, kind: *const c_void, mode: i8, object: *mut *mut c_void, information: *mut c_void) -> NtStatus [passive unlocked] => object::reference_by_handle;
    ObfReferenceObject(object: *mut c_void) -> isize [dispatch] => object::reference;
    ObfDereferenceObject(object: *mut c_void) -> isize [dispatch] => object::dereference;
    ZwClose(handle: Handle) -> NtStatus [passive unlocked] => object::close;
    ZwWaitForSingleObject(handle: Handle, alertable: u8, timeout: *const i64) -> NtStatus [passive unlocked] => object::wait_for_handle;
    ExInitializeRundownProtection(rundown: *mut usize) [apc] => rundown::initialize;
    ExAcquireRundownProtection(rundown: *mut usize) -> u8 [dispatch] => rundown::acquire;
    ExReleaseRundownProtection(rundown: *mut usize) [dispatch] => rundown::release;
    ExWaitForRundownProtectionRelease(rundown: *mut usize) [apc unlocked] => rundown::wait;
    ExUuidCreate(uuid: *mut GUID) -> NtStatus [passive unlocked] => system::uuid;
    RtlGetVersion(version: *mut system::Version) -> NtStatus [passive] => system::version;
    RtlCopyUnicodeString(to: *mut UNICODE_STRING, from: PCUNICODE_STRING) [any] => string::copy;
    RtlIntegerToUnicodeString(value: u32, base: u32, string: *mut UNICODE_STRING) -> NtStatus [passive] => string::integer;
    IoAllocateMdl(address: *mut c_void, length: u32, secondary: u8, charge_quota: u8, irp: *mut c_void) -> *mut MDL [dispatch] => mdl::allocate;
    IoFreeMdl(mdl: *mut MDL) [dispatch] => mdl::free;
    MmBuildMdlForNonPagedPool(mdl: *mut MDL) [dispatch] => mdl::build_for_nonpaged_pool;
    MmMapLockedPagesSpecifyCache(mdl: *mut MDL, mode: i8, cache: i32, base: *mut c_void, bug_check_on_failure: u32, priority: u32) -> *mut c_void [dispatch] => mdl::map;
    IoGetCurrentProcess() -> *mut c_void [any] => process::current;
    IoGetRequestorProcess(irp: *mut c_void) -> *mut c_void [dispatch] => process::of_request;
    PsGetProcessId(process: *mut c_void) -> Handle [any] => process::identifier;
    IoAllocateErrorLogEntry(object: *mut c_void, size: u8) -> *mut c_void [dispatch] => error_log::allocate;
    IoWriteErrorLogEntry(entry: *mut c_void) [dispatch] => error_log::write;
    wfpsim_image_data(key: *const c_void, size: usize) -> *mut c_void [any] => system::image_data;
}

/// Stops the machine if something that the kernel touches at DISPATCH_LEVEL lies in paged pool.
fn require_resident(kernel: &Kernel, what: &str, address: usize) {
    let paged = kernel
        .arena
        .find(address)
        .filter(|block| matches!(block.purpose, crate::memory::Purpose::PagedPool(_)));
    if let Some(block) = paged {
        let summary = format!("{what} {address:#x} lies in paged pool");
        let violation = Violation::verifier(kernel, 0xE1, [address as u64, 0, 0], summary, "C.1");
        kernel.bug_check(violation.about(kernel, block.object));
    }
}

impl Kernel {
    /// Whether memory at `address` may be read by the simulator: it is no freed block of the arena.
    pub(crate) fn is_readable(&self, address: usize) -> bool {
        match self.arena.find(address) {
            Some(block) => block.state == crate::memory::BlockState::Live,
            // Freed so long ago that it was forgotten.
            None => !self.arena.contains(address),
        }
    }
}
