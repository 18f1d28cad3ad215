//! What the driver does only where it is wrong, where that is more than a line.

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use wdk_sys_portable::LARGE_INTEGER;
use wdk_sys_portable::POOL_FLAG_NON_PAGED;
use wdk_sys_portable::ntddk::*;
use wfp_sys::consts::*;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;

use super::TAG;
use super::fields::Asked;
use super::globals;
use super::inbound;
use super::queue::Packet;
use super::worker::KERNEL_MODE;
use crate::makes;

thread_local! {
    static LOGGED: Cell<u32> = const { Cell::new(0) };
}

/// A trace message.
pub fn log(value: u32) {
    LOGGED.set(value);
}

/// Moves the start of the first packet's data towards the front, and leaves it there.
pub fn retreat(list: *mut NET_BUFFER_LIST, delta: u32) {
    unsafe {
        let _status = NdisRetreatNetBufferDataStart((*list).FirstNetBuffer, delta, 0, None);
    }
}

/// Clones a packet that goes on.
pub fn clone_what_passes(asked: &Asked) {
    if makes("O-27") {
        let clone = inbound::clone(asked.list);
        unsafe { FwpsFreeCloneNetBufferList0(clone, 0) };
    }
    if makes("nmap-1529") {
        unsafe { (*globals()).kept = inbound::clone(asked.list).cast() };
    }
}

/// Writes where the filter engine keeps its own.
pub fn tag_the_list(list: *mut NET_BUFFER_LIST, packet: *mut Packet) {
    unsafe { (*list).NetBufferListInfo[WfpNetBufferListInfo] = packet.cast() };
}

/// A copy of a structure whose size is NDIS's (B-12).
pub fn copy_the_list(list: *mut NET_BUFFER_LIST) -> *mut NET_BUFFER_LIST {
    unsafe {
        let size = size_of::<NET_BUFFER_LIST>();
        let copy = ExAllocatePool2(POOL_FLAG_NON_PAGED, size as u64, TAG).cast::<u8>();
        copy.copy_from_nonoverlapping(list.cast(), size);
        copy.cast()
    }
}

/// The endpoint that was told first, whatever is told now.
pub fn first_endpoint(told: u64) -> u64 {
    unsafe {
        if (*globals()).kept_endpoint == 0 {
            (*globals()).kept_endpoint = told;
        }
        (*globals()).kept_endpoint
    }
}

/// Sleeps for two seconds, as whoever asks a user does.
pub fn ask_the_user() {
    let mut interval = LARGE_INTEGER {
        QuadPart: -20_000_000,
    };
    unsafe {
        let _slept = KeDelayExecutionThread(KERNEL_MODE, 0, &raw mut interval);
    }
}

/// Things that only a classify may do, or that were true only there.
pub fn use_what_is_not_the_workers(packet: &Packet) {
    if makes("A-30") {
        ask_the_user();
    }
    if makes("A-31") {
        let bytes = unsafe { (*packet.cached).MappedSystemVa.cast::<u8>() };
        log(u32::from(unsafe { bytes.read_volatile() }));
    }
    if makes("B-06") {
        let first = system_address(unsafe { (*(*packet.list).FirstNetBuffer).CurrentMdl });
        log(u32::from(unsafe { first.read_volatile() }));
    }
    if makes("A-64") {
        let mut information = FWPS_PACKET_LIST_INFORMATION0::default();
        unsafe {
            let _status = FwpsGetPacketListSecurityInformation0(
                packet.list,
                FWPS_PACKET_LIST_INFORMATION_QUERY_IPSEC
                    | FWPS_PACKET_LIST_INFORMATION_QUERY_INBOUND,
                &raw mut information,
            );
        }
    }
    if makes("A-39-original") {
        unsafe { FwpsFreeCloneNetBufferList0(packet.list, 0) };
    }
    if makes("nmap-1529") {
        unsafe { FwpsFreeCloneNetBufferList0((*globals()).kept.cast(), 0) };
    }
}

/// Does to a clone what must not be done to it.
pub fn spoil_clone(packet: &Packet, clone: *mut NET_BUFFER_LIST) {
    if makes("A-26") {
        show_the_whole_mdl(packet, clone);
    }
    if makes("O-26") {
        write_last_byte(clone);
    }
    if makes("O-14") {
        append_mdl(clone);
    }
    if makes("A-37") {
        let _second = inbound::clone(clone);
        unsafe { FwpsFreeCloneNetBufferList0(clone, 0) };
    }
    if makes("B-09") {
        unsafe { FwpsFreeCloneNetBufferList0(packet.list, 0) };
    }
    if makes("B-10") {
        unsafe { FwpsFreeCloneNetBufferList0(clone, NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS) };
    }
}

/// "The MDLs of the original" of NdisAllocateCloneNetBufferList (B-10).
const NDIS_CLONE_FLAGS_USE_ORIGINAL_MDLS: u32 = 2;

/// Takes the length of the packet from the original's MDLs, which hold IPsec's trailer as well.
fn show_the_whole_mdl(packet: &Packet, clone: *mut NET_BUFFER_LIST) {
    unsafe {
        let original = (*packet.list).FirstNetBuffer;
        let mut mdl = (*original).MdlChain;
        let mut length = 0;
        while !mdl.is_null() {
            length += (*mdl).ByteCount;
            mdl = (*mdl).Next;
        }
        let before = (*original).DataOffset - packet.ip_header - packet.transport_header;
        (*(*clone).FirstNetBuffer).DataLength = length - before;
    }
}

/// Changes the last byte of a packet where it lies.
pub fn write_last_byte(list: *mut NET_BUFFER_LIST) {
    unsafe {
        let buffer = (*list).FirstNetBuffer;
        let mut mdl = (*buffer).CurrentMdl;
        let mut offset = (*buffer).CurrentMdlOffset + (*buffer).DataLength - 1;
        while offset >= (*mdl).ByteCount {
            offset -= (*mdl).ByteCount;
            mdl = (*mdl).Next;
        }
        let byte = (*mdl).MappedSystemVa.cast::<u8>().add(offset as usize);
        *byte ^= 0xFF;
    }
}

/// Puts an MDL of the driver's behind those of the clone, with padding in it.
fn append_mdl(clone: *mut NET_BUFFER_LIST) {
    const PADDING: usize = 16;
    unsafe {
        let size = (size_of::<MDL>() + PADDING) as u64;
        let added = ExAllocatePool2(POOL_FLAG_NON_PAGED, size, TAG).cast::<MDL>();
        let bytes = added.add(1).cast::<u8>();
        (*added).Size = size_of::<MDL>() as i16;
        (*added).MappedSystemVa = bytes.cast();
        (*added).StartVa = (bytes as usize & !0xFFF) as *mut _;
        (*added).ByteOffset = (bytes as usize & 0xFFF) as u32;
        (*added).ByteCount = PADDING as u32;
        let mut last = (*(*clone).FirstNetBuffer).MdlChain;
        while !(*last).Next.is_null() {
            last = (*last).Next;
        }
        (*last).Next = added;
    }
}

/// Moves the start of the data without NDIS, which keeps it in three places (B-11).
pub fn clone_after_moving_by_hand(list: *mut NET_BUFFER_LIST, delta: u32) -> *mut NET_BUFFER_LIST {
    unsafe {
        let buffer = (*list).FirstNetBuffer;
        (*buffer).DataOffset -= delta;
        (*buffer).DataLength += delta;
        let clone = inbound::clone(list);
        (*buffer).DataOffset += delta;
        (*buffer).DataLength -= delta;
        clone
    }
}

unsafe extern "C" {
    fn MmMapLockedPagesSpecifyCache(
        mdl: *mut MDL,
        mode: i8,
        cache_type: i32,
        requested: *mut c_void,
        bug_check_on_failure: u32,
        priority: u32,
    ) -> *mut c_void;
}

/// MmGetSystemAddressForMdlSafe of wdm.h.
fn system_address(mdl: *mut MDL) -> *mut u8 {
    const MAPPED_OR_NONPAGED: i16 = 0x1 | 0x4;
    const CACHED: i32 = 1;
    const NORMAL_PAGE_PRIORITY: u32 = 16;
    const NO_EXECUTE: u32 = 0x4000_0000;
    unsafe {
        if (*mdl).MdlFlags & MAPPED_OR_NONPAGED != 0 {
            return (*mdl).MappedSystemVa.cast();
        }
        MmMapLockedPagesSpecifyCache(
            mdl,
            KERNEL_MODE,
            CACHED,
            null_mut(),
            0,
            NORMAL_PAGE_PRIORITY | NO_EXECUTE,
        )
        .cast()
    }
}
