//! NDIS net buffers: built for the stack, moved and cloned for the driver, and kept alive by reference counts.

mod build;
mod bytes;
mod checks;
mod clones;
mod guard;
mod lists;
mod made;
mod moving;
mod offsets;
mod past;
mod pools;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ffi::c_void;

pub(crate) use build::Indication;
pub(crate) use build::PacketSpec;
pub(crate) use build::attach_mdl;
pub(crate) use build::build;
pub(crate) use bytes::copy_out;
pub(crate) use bytes::net_buffers;
pub(crate) use bytes::write_at;
pub(crate) use checks::check_chains;
pub(crate) use checks::check_content;
pub(crate) use checks::check_lengths;
pub(crate) use checks::check_shape;
pub(crate) use clones::clone_list;
pub(crate) use clones::free_clone;
pub(crate) use guard::guard;
pub(crate) use guard::is_guarded;
pub(crate) use guard::rule_of_taken;
pub(crate) use guard::unguard;
pub(crate) use lists::Fate;
pub(crate) use lists::HeldList;
pub(crate) use lists::Kind;
pub(crate) use lists::List;
pub(crate) use lists::release_if_done;
pub(crate) use lists::require;
pub(crate) use made::free_made;
pub(crate) use made::make_list;
pub(crate) use moving::maybe_move;
pub(crate) use offsets::advance;
pub(crate) use offsets::open_advance;
pub(crate) use offsets::recompute_current;
pub(crate) use offsets::require_held;
pub(crate) use offsets::require_out_of_tunnel;
pub(crate) use offsets::retreat;
pub(crate) use past::Layout;
pub(crate) use past::Moved;
pub(crate) use pools::require_list_pool;

use crate::exports::exports;
use crate::machine::Kernel;
use crate::nt::Handle;
use crate::verifier::ObjectId;
use wfp_sys::ndis::MDL;
use wfp_sys::ndis::NET_BUFFER;
use wfp_sys::ndis::NET_BUFFER_LIST_POOL_PARAMETERS;

/// What NDIS and WFP keep about net buffer lists, by the address of the NET_BUFFER_LIST.
#[derive(Default)]
pub struct State {
    lists: RefCell<BTreeMap<usize, List>>,
    next_packet: Cell<u64>,
    pools: RefCell<BTreeMap<usize, pools::Pool>>,
    /// Clones that the stack has and nobody may touch.
    guarded: RefCell<BTreeSet<usize>>,
    /// Blocks of lists that live on, which were taken away, the last one last.
    taken_away: RefCell<VecDeque<guard::Taken>>,
}

exports! {
    "ndis.sys";
    NdisRetreatNetBufferDataStart(net_buffer: *mut NET_BUFFER, delta: u32, backfill: u32, allocate: usize) -> i32 [dispatch unlocked] => offsets::driver_retreat;
    NdisAdvanceNetBufferDataStart(net_buffer: *mut NET_BUFFER, delta: u32, free_mdl: u8, free: usize) [dispatch unlocked] => offsets::driver_advance;
    NdisAllocateNetBufferListPool(owner: Handle, parameters: *const NET_BUFFER_LIST_POOL_PARAMETERS) -> Handle [dispatch] => pools::allocate_for_lists;
    NdisFreeNetBufferListPool(pool: Handle) [dispatch] => pools::free;
    NdisAllocateNetBufferPool(owner: Handle, parameters: *const pools::BufferParameters) -> Handle [dispatch] => pools::allocate_for_buffers;
    NdisFreeNetBufferPool(pool: Handle) [dispatch] => pools::free_of_buffers;
    NdisGetDataBuffer(net_buffer: *mut NET_BUFFER, needed: u32, storage: *mut c_void, multiple: u32, offset: u32) -> *mut c_void [dispatch] => bytes::get_data_buffer;
}

/// The next MDL, or null.
fn next(mdl: *mut MDL) -> *mut MDL {
    // SAFETY: MDLs of a chain stay allocated as long as their list; a driver that broke the chain faults here.
    unsafe { (*mdl).Next }
}

/// Where the bytes are that an MDL describes, mapped or not.
pub(crate) fn data_of(mdl: *const MDL) -> *mut u8 {
    // SAFETY: as for [`next`].
    let mdl = unsafe { &*mdl };
    if mdl.MappedSystemVa.is_null() {
        (mdl.StartVa as usize + mdl.ByteOffset as usize) as *mut u8
    } else {
        mdl.MappedSystemVa.cast()
    }
}

/// Whether something happens to a list that may happen to any. Each question has a stream of its own, so that the numbers of
/// the machine's stream stay what they are when a question is added.
fn chance(kernel: &Kernel, list: ObjectId, question: u64, percent: u8) -> bool {
    let stream = kernel.config.seed ^ u64::from(list.0) << 32 ^ question << 56;
    crate::machine::Random::new(stream).percent(percent)
}
