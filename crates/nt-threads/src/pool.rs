//! Pool: the host's allocator, with what Windows keeps before each block.

use std::alloc::Layout;
use std::alloc::alloc_zeroed;
use std::alloc::dealloc;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use nt::sys;

/// What stands before a block.
#[repr(C, align(16))]
struct Header {
    bytes: usize,
    /// [`HERE`] as long as the block is allocated.
    state: AtomicUsize,
}

const HERE: usize = 0x706F_6F6C;

fn layout(bytes: usize) -> Layout {
    Layout::from_size_align(size_of::<Header>() + bytes, align_of::<Header>()).expect("a size")
}

#[unsafe(no_mangle)]
extern "C" fn ExAllocatePool2(
    _flags: sys::POOL_FLAGS,
    bytes: sys::SIZE_T,
    tag: u32,
) -> *mut c_void {
    assert_eq!(tag, nt::pool::TAG);
    let bytes = bytes as usize;
    // SAFETY: The layout has a size.
    let header = unsafe { alloc_zeroed(layout(bytes)) }.cast::<Header>();
    if header.is_null() {
        return std::ptr::null_mut();
    }
    let state = AtomicUsize::new(HERE);
    // SAFETY: The block begins with room for a header, aligned for one.
    unsafe { header.write(Header { bytes, state }) };
    // SAFETY: What was allocated goes on behind the header.
    unsafe { header.add(1) }.cast()
}

#[unsafe(no_mangle)]
extern "C" fn ExFreePoolWithTag(memory: *mut c_void, tag: u32) {
    assert_eq!(tag, nt::pool::TAG);
    // SAFETY: A block comes from above and has a header before it.
    let header = unsafe { memory.cast::<Header>().sub(1) };
    // SAFETY: As above; a block that was freed before is the mistake that is looked for, and most likely still says so.
    let (bytes, state) = unsafe { ((*header).bytes, &(*header).state) };
    assert_eq!(state.swap(0, Ordering::Relaxed), HERE, "freed twice");
    // SAFETY: Allocated above with this layout and, as the state said, not freed since.
    unsafe { dealloc(header.cast(), layout(bytes)) };
}

/// What stands for the statics of an image, by the address of the static; under a lock of our own, see the crate.
static STATICS: Statics = Statics {
    taken: AtomicBool::new(false),
    known: std::cell::UnsafeCell::new(BTreeMap::new()),
};

struct Statics {
    taken: AtomicBool,
    known: std::cell::UnsafeCell<BTreeMap<usize, usize>>,
}

// SAFETY: The map is used by whoever has taken it only.
unsafe impl Sync for Statics {}

#[unsafe(no_mangle)]
extern "system" fn wfpsim_image_data(key: *const c_void, bytes: usize) -> *mut c_void {
    while STATICS.taken.swap(true, Ordering::Acquire) {
        std::thread::yield_now();
    }
    // SAFETY: Taken above, and given back below.
    let known = unsafe { &mut *STATICS.known.get() };
    let place = *known.entry(key.addr()).or_insert_with(|| {
        // SAFETY: The layout has a size. Never freed: a static goes away with its image, which here is never unloaded.
        unsafe { alloc_zeroed(layout(bytes)) }.expose_provenance()
    });
    STATICS.taken.store(false, Ordering::Release);
    std::ptr::with_exposed_provenance_mut(place)
}
