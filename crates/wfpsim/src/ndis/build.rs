//! Net buffer lists as the stack makes them.

use std::ptr::NonNull;
use std::ptr::null_mut;

use wfp_sys::ndis::MDL;
use wfp_sys::ndis::NET_BUFFER;
use wfp_sys::ndis::NET_BUFFER_LIST;
use wfp_sys::ndis::WfpNetBufferListInfo;

use super::checks::engine_mark;
use super::checks::remember_content;
use super::lists::Kind;
use super::lists::List;
use super::offsets::recompute_current;
use crate::machine::Kernel;
use crate::memory::Purpose;
use crate::verifier::ObjectId;

/// MDL flags: MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL | MDL_NETWORK_HEADER (F.4).
const MDL_FLAGS: i16 = 0x1 | 0x4 | 0x1000;

/// MDL_PAGES_LOCKED (F.4).
const MDL_PAGES_LOCKED: i16 = 0x2;

/// One packet of a list to be built.
pub(crate) struct PacketSpec {
    /// What the simulator knows the packet by.
    pub packet: u64,
    /// The bytes, from the first to the last that lies in the MDL chain.
    pub bytes: Vec<u8>,
    /// Where the data window begins.
    pub data_start: usize,
    /// How long it is; less than the rest of the bytes where a trailer was trimmed.
    pub data_length: usize,
    /// Where the bytes are cut into MDLs: ascending offsets, none for one MDL.
    pub cuts: Vec<usize>,
}

/// A list to be built.
pub(crate) struct Indication {
    /// How reports call it.
    pub label: String,
    /// Its packets; inbound exactly one.
    pub packets: Vec<PacketSpec>,
}

/// Builds a net buffer list in guarded memory.
pub(crate) fn build(kernel: &Kernel, indication: Indication) -> NonNull<NET_BUFFER_LIST> {
    let ledger = kernel.ledger.begin(indication.label);
    let count = indication.packets.len();
    if indication
        .packets
        .iter()
        .any(|spec| kernel.follows(spec.packet))
    {
        kernel.follow_too(ledger, "original");
    }
    let mdls = indication
        .packets
        .iter()
        .map(|spec| spec.cuts.len() + 1)
        .sum();
    let (list, buffers, mut mdls) = allocate_list(kernel, ledger, count, mdls);
    let mut record = List::new(Kind::Original, ledger);
    record.blocks.push(list.as_ptr() as usize);
    let unmapped = super::chance(kernel, ledger, 1, kernel.config.freedom.unmapped_mdls);
    for (&buffer, spec) in buffers.iter().zip(indication.packets) {
        record.packets.push(spec.packet);
        let mut chain: Vec<*mut MDL> = Vec::new();
        let mut from = 0;
        for to in spec.cuts.iter().copied().chain([spec.bytes.len()]) {
            let segment = &spec.bytes[from..to];
            let data = kernel
                .arena
                .allocate(segment.len(), Purpose::PacketData, ledger, false);
            // SAFETY: the block has as many bytes as the segment and nobody else knows it yet.
            unsafe {
                std::ptr::copy_nonoverlapping(segment.as_ptr(), data.as_ptr(), segment.len())
            };
            record.blocks.push(data.as_ptr() as usize);
            chain.extend(
                mdls.next()
                    .inspect(|&mdl| fill_mdl(mdl, data.as_ptr(), segment.len() as u32))
                    .inspect(|&mdl| {
                        if unmapped {
                            unmap(mdl);
                        }
                    }),
            );
            from = to;
        }
        link(&chain);
        // SAFETY: the buffer was just allocated and zeroed.
        unsafe {
            (*buffer).MdlChain = chain.first().copied().unwrap_or(null_mut());
            (*buffer).DataOffset = spec.data_start as u32;
            (*buffer).DataLength = spec.data_length as u32;
        }
        recompute_current(buffer);
    }
    remember_content(kernel, &mut record);
    record.mark = engine_mark(ledger);
    // SAFETY: the list was just allocated.
    unsafe {
        (*list.as_ptr()).NetBufferListInfo[WfpNetBufferListInfo] = record.mark as *mut _;
    }
    kernel.note(ledger, "allocated by the stack");
    kernel
        .ndis
        .lists
        .borrow_mut()
        .insert(list.as_ptr() as usize, record);
    list
}

/// A list, its buffers, and room for MDLs.
type Allocated = (
    NonNull<NET_BUFFER_LIST>,
    Vec<*mut NET_BUFFER>,
    std::vec::IntoIter<*mut MDL>,
);

/// Allocates a NET_BUFFER_LIST, `buffers` NET_BUFFERs, linked, and room for `mdls` MDLs, in one block: they live and die
/// together.
pub(super) fn allocate_list(
    kernel: &Kernel,
    ledger: ObjectId,
    buffers: usize,
    mdls: usize,
) -> Allocated {
    let size =
        size_of::<NET_BUFFER_LIST>() + buffers * size_of::<NET_BUFFER>() + mdls * size_of::<MDL>();
    let list = kernel
        .arena
        .allocate(size, Purpose::NetBufferList, ledger, true)
        .cast::<NET_BUFFER_LIST>();
    // SAFETY: the block is large enough for the list, the buffers and the MDLs one behind the other; all sizes are multiples
    // of 16, so all are aligned.
    let (first_buffer, first_mdl) = unsafe {
        let first = list.as_ptr().add(1).cast::<NET_BUFFER>();
        (first, first.add(buffers).cast::<MDL>())
    };
    // SAFETY: as above; indexes below the counts stay inside the block.
    let buffers: Vec<*mut NET_BUFFER> = (0..buffers)
        .map(|index| unsafe { first_buffer.add(index) })
        .collect();
    // SAFETY: as above.
    let mdls: Vec<*mut MDL> = (0..mdls)
        .map(|index| unsafe { first_mdl.add(index) })
        .collect();
    for pair in buffers.windows(2) {
        // SAFETY: both lie in the block.
        unsafe { (*pair[0]).Next = pair[1] };
    }
    // SAFETY: the list lies in the block.
    unsafe { (*list.as_ptr()).FirstNetBuffer = buffers.first().copied().unwrap_or(null_mut()) };
    (list, buffers, mdls.into_iter())
}

/// Describes `length` bytes at `data` in an MDL that is all zero.
pub(super) fn fill_mdl(mdl: *mut MDL, data: *mut u8, length: u32) {
    let address = data as usize;
    // SAFETY: the caller just allocated the MDL.
    unsafe {
        (*mdl).Size = size_of::<MDL>() as i16;
        (*mdl).MdlFlags = MDL_FLAGS;
        (*mdl).MappedSystemVa = data.cast();
        (*mdl).StartVa = (address & !0xFFF) as *mut _;
        (*mdl).ByteOffset = (address & 0xFFF) as u32;
        (*mdl).ByteCount = length;
    }
}

/// Leaves the pages of an MDL locked and not mapped: whoever wants to read through it maps it (B-06).
pub(super) fn unmap(mdl: *mut MDL) {
    // SAFETY: the caller just filled the MDL.
    unsafe {
        (*mdl).MdlFlags = MDL_PAGES_LOCKED;
        (*mdl).MappedSystemVa = null_mut();
    }
}

/// Puts a fresh MDL of `length` bytes in front of a buffer's chain, and says what must be freed with it.
pub(crate) fn attach_mdl(
    kernel: &Kernel,
    ledger: ObjectId,
    buffer: *mut NET_BUFFER,
    length: u32,
) -> [usize; 2] {
    let data = kernel
        .arena
        .allocate(length as usize, Purpose::PacketData, ledger, false);
    let mdl = kernel
        .arena
        .allocate(size_of::<MDL>(), Purpose::Mdl, ledger, true)
        .cast::<MDL>()
        .as_ptr();
    fill_mdl(mdl, data.as_ptr(), length);
    // SAFETY: the MDL is fresh, and the caller vouches for the buffer.
    unsafe {
        (*mdl).Next = (*buffer).MdlChain;
        (*buffer).MdlChain = mdl;
    }
    [data.as_ptr() as usize, mdl as usize]
}

/// Links MDLs in order.
pub(super) fn link(chain: &[*mut MDL]) {
    for pair in chain.windows(2) {
        // SAFETY: the caller just allocated them.
        unsafe { (*pair[0]).Next = pair[1] };
    }
}
