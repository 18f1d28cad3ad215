//! Net buffer lists that a driver makes over pool of its own, and injects at the network layer.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

use std::cell::Cell;
use std::ffi::c_void;
use std::ptr::null_mut;

use wfp_sys::HANDLE;
use wfp_sys::fwps::*;
use wfp_sys::ndis::*;
use wfpsim::stack::INTERFACE_INDEX;
use wfpsim::stack::SUB_INTERFACE_INDEX;

unsafe extern "C" {
    pub fn IoAllocateMdl(
        address: *mut u8,
        length: u32,
        secondary: u8,
        charge: u8,
        irp: *mut c_void,
    ) -> *mut MDL;
    pub fn IoFreeMdl(mdl: *mut MDL);
    pub fn MmBuildMdlForNonPagedPool(mdl: *mut MDL);
    pub fn MmMapLockedPagesSpecifyCache(
        mdl: *mut MDL,
        mode: i8,
        cache: i32,
        base: *mut c_void,
        bug_check: u32,
        priority: u32,
    ) -> *mut c_void;
    pub fn ExAllocatePoolWithTag(kind: u32, size: usize, tag: u32) -> *mut u8;
    pub fn ExFreePoolWithTag(block: *mut u8, tag: u32);
    pub fn NdisAllocateNetBufferListPool(
        owner: HANDLE,
        parameters: *const NET_BUFFER_LIST_POOL_PARAMETERS,
    ) -> HANDLE;
    pub fn NdisFreeNetBufferListPool(pool: HANDLE);
    pub fn FwpsAllocateNetBufferAndNetBufferList0(
        pool: HANDLE,
        context: u16,
        backfill: u16,
        chain: *mut MDL,
        offset: u32,
        length: usize,
        list: *mut *mut NET_BUFFER_LIST,
    ) -> i32;
    pub fn FwpsFreeNetBufferList0(list: *mut NET_BUFFER_LIST);
    pub fn FwpsInjectNetworkReceiveAsync0(
        handle: HANDLE,
        context: HANDLE,
        flags: u32,
        compartment: u32,
        interface: u32,
        sub_interface: u32,
        list: *mut NET_BUFFER_LIST,
        completion: *const c_void,
        completion_context: HANDLE,
    ) -> i32;
}

pub const TAG: u32 = u32::from_le_bytes(*b"netw");
pub const NONPAGED_NX: u32 = 512;

thread_local! {
    // A machine runs on one host thread, and each test has its own.
    static POOL: Cell<HANDLE> = const { Cell::new(null_mut()) };
    static HANDLE_OF_KIND: Cell<HANDLE> = const { Cell::new(null_mut()) };
}

/// The pool that was made last.
pub fn last_pool() -> HANDLE {
    POOL.get()
}

/// The injection handle that was made last.
pub fn last_handle() -> HANDLE {
    HANDLE_OF_KIND.get()
}

/// An injection handle for one address family.
pub fn handle_of(family: u16, kinds: u32) -> HANDLE {
    let mut handle = null_mut();
    assert_eq!(
        unsafe { FwpsInjectionHandleCreate0(family, kinds, &mut handle) },
        0
    );
    HANDLE_OF_KIND.set(handle);
    handle
}

/// A pool of lists with a NET_BUFFER each.
pub fn pool() -> HANDLE {
    let parameters = NET_BUFFER_LIST_POOL_PARAMETERS {
        Header: NDIS_OBJECT_HEADER {
            Type: 0x80,
            Revision: 1,
            Size: size_of::<NET_BUFFER_LIST_POOL_PARAMETERS>() as u16,
        },
        fAllocateNetBuffer: 1,
        PoolTag: TAG,
        ..Default::default()
    };
    let pool = unsafe { NdisAllocateNetBufferListPool(null_mut(), &parameters) };
    assert!(!pool.is_null());
    POOL.set(pool);
    pool
}

/// An MDL over a block of pool with these bytes.
pub fn mdl_of(bytes: &[u8]) -> *mut MDL {
    unsafe {
        let block = ExAllocatePoolWithTag(NONPAGED_NX, bytes.len(), TAG);
        block.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        let mdl = IoAllocateMdl(block, bytes.len() as u32, 0, 0, null_mut());
        MmBuildMdlForNonPagedPool(mdl);
        mdl
    }
}

/// A list of the driver's own over an MDL, from an offset on.
pub fn list_over(mdl: *mut MDL, offset: u32, length: usize) -> *mut NET_BUFFER_LIST {
    let mut list = null_mut();
    let status = unsafe {
        FwpsAllocateNetBufferAndNetBufferList0(pool(), 0, 0, mdl, offset, length, &mut list)
    };
    assert_eq!(status, 0);
    list
}

/// A list of the driver's own over these bytes, said to be so long.
pub fn list_of(bytes: &[u8], length: usize) -> *mut NET_BUFFER_LIST {
    list_over(mdl_of(bytes), 0, length)
}

/// Frees a list with its MDL and its block.
pub fn free_list(list: *mut NET_BUFFER_LIST) {
    unsafe {
        let mdl = (*(*list).FirstNetBuffer).MdlChain;
        let block = (*mdl).MappedSystemVa.cast::<u8>();
        FwpsFreeNetBufferList0(list);
        IoFreeMdl(mdl);
        ExFreePoolWithTag(block, TAG);
    }
}

/// Completes an injection of such a list.
pub unsafe extern "system" fn completed(
    _context: *mut c_void,
    list: *mut NET_BUFFER_LIST,
    _dispatch: u8,
) {
    free_list(list);
}

/// Injects a list into the receive path at the network layer.
pub fn inject_into(handle: HANDLE, list: *mut NET_BUFFER_LIST) -> i32 {
    unsafe {
        FwpsInjectNetworkReceiveAsync0(
            handle,
            null_mut(),
            0,
            0,
            INTERFACE_INDEX,
            SUB_INTERFACE_INDEX,
            list,
            completed as *const c_void,
            null_mut(),
        )
    }
}
