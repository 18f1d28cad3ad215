//! Stand-ins for the kernel functions that this crate's own tests need, and packets made by hand. They write down what was called; how the whole
//! behaves is tested in the simulator.

use core::{ffi::c_void, ptr};
use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    boxed::Box,
    cell::{Cell, RefCell},
    collections::HashMap,
    mem::take,
    thread_local, vec,
    vec::Vec,
};

use nt::{Cx, Passive, status::NtStatus};
use wfp_sys::{
    BOOLEAN, HANDLE, NTSTATUS,
    consts::{FWPS_PACKET_INJECTION_STATE, FWPS_PACKET_NOT_INJECTED},
    fwps::{FWPS_INJECT_COMPLETE0, FWPS_PACKET_LIST_INFORMATION0, FWPS_TRANSPORT_SEND_PARAMS0},
    ndis::{MDL, NET_BUFFER, NET_BUFFER_LIST},
};

thread_local! {
    static LOG: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    static REFUSAL: Cell<Option<NtStatus>> = const { Cell::new(None) };
    static IN_FLIGHT: RefCell<Vec<InFlight>> = const { RefCell::new(Vec::new()) };
    static POOL: RefCell<HashMap<usize, usize>> = RefCell::new(HashMap::new());
    static INJECTION_STATE: Cell<FWPS_PACKET_INJECTION_STATE> = const { Cell::new(FWPS_PACKET_NOT_INJECTED) };
    static SECURITY: Cell<(u32, u32)> = const { Cell::new((0, 0)) };
}

/// What was called on this thread since the last time.
pub fn log() -> Vec<&'static str> {
    LOG.take()
}

fn note(what: &'static str) {
    LOG.with_borrow_mut(|log| log.push(what));
}

/// Makes the next call that can fail do so.
pub fn refuse(status: NtStatus) {
    REFUSAL.set(Some(status));
}

/// What the filter engine says from now on of whoever injected a packet.
pub fn set_injection_state(state: FWPS_PACKET_INJECTION_STATE) {
    INJECTION_STATE.set(state);
}

/// What IPsec did to a packet, and to which query the filter engine says so.
pub fn set_security(query: u32, flags: u32) {
    SECURITY.set((query, flags));
}

/// Allocations of this thread that have not been freed.
pub fn allocations() -> usize {
    POOL.with_borrow(HashMap::len)
}

/// A test's thread holds no lock.
pub fn cx() -> Cx {
    // SAFETY: There is no kernel here whose rules could be broken.
    unsafe { Cx::assume() }
}

/// A test's thread runs at PASSIVE_LEVEL.
pub fn passive() -> Passive {
    // SAFETY: There is no kernel here whose rules could be broken.
    unsafe { Passive::assume() }
}

/// A zeroed structure, with some fields set.
fn made<T: Default>(set: impl FnOnce(&mut T)) -> Box<T> {
    let mut value: Box<T> = Box::default();
    set(&mut value);
    value
}

/// A list of one packet whose MDLs are as long as the pieces it is made of.
#[expect(
    clippy::vec_box,
    reason = "The structures point to each other and must stay where they are"
)]
pub struct Packet {
    nbl: Box<NET_BUFFER_LIST>,
    packets: Vec<Box<NET_BUFFER>>,
    mdls: Vec<Box<MDL>>,
    _pieces: Vec<Vec<u8>>,
    other: Box<NET_BUFFER_LIST>,
}

impl Packet {
    /// A packet over these pieces, of which the first `offset` bytes are in front of the data.
    pub fn of(pieces: &[&[u8]], offset: usize) -> Packet {
        let mut pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.to_vec()).collect();
        let total: usize = pieces.iter().map(Vec::len).sum();
        let mut mdls = Vec::new();
        let mut next = ptr::null_mut();
        for piece in pieces.iter_mut().rev() {
            let mut mdl = Box::new(MDL {
                Next: next,
                MappedSystemVa: piece.as_mut_ptr().cast(),
                ByteCount: u32::try_from(piece.len()).unwrap(),
                ..Default::default()
            });
            next = &raw mut *mdl;
            mdls.push(mdl);
        }
        let mut packet = made(|x: &mut NET_BUFFER| {
            x.MdlChain = next;
            x.DataOffset = u32::try_from(offset).unwrap();
            x.DataLength = u32::try_from(total - offset).unwrap();
        });
        let nbl = made(|x: &mut NET_BUFFER_LIST| {
            x.FirstNetBuffer = &raw mut *packet;
        });
        Packet {
            nbl,
            packets: vec![packet],
            mdls,
            _pieces: pieces,
            other: Box::default(),
        }
    }

    /// The same list with another packet behind the first.
    pub fn and_another(mut self) -> Packet {
        let mut packet: Box<NET_BUFFER> = Box::default();
        self.packets.last_mut().unwrap().Next = &raw mut *packet;
        self.packets.push(packet);
        self
    }

    pub fn nbl(&mut self) -> *mut NET_BUFFER_LIST {
        &raw mut *self.nbl
    }

    /// Links another list behind this one.
    pub fn chain(&mut self) {
        self.nbl.Next = &raw mut *self.other;
    }

    /// Makes the last packet lead back to the first.
    pub fn tie_a_knot(&mut self) {
        let first = &raw mut *self.packets[0];
        self.packets.last_mut().unwrap().Next = first;
    }

    pub fn mdls(&self) -> usize {
        self.mdls.len()
    }

    /// Offset and length of the first packet's data.
    pub fn window(&self) -> (u32, u32) {
        // SAFETY: The packet is this value's own; reading through the list is what the code under test does.
        unsafe {
            let first = self.nbl.FirstNetBuffer;
            ((*first).DataOffset, (*first).DataLength)
        }
    }
}

/// An injection that was accepted.
#[derive(Clone, Copy)]
pub struct InFlight {
    nbl: *mut NET_BUFFER_LIST,
    complete: FWPS_INJECT_COMPLETE0,
    context: HANDLE,
    send_args: *mut FWPS_TRANSPORT_SEND_PARAMS0,
}

impl InFlight {
    /// The oldest injection that is not over.
    pub fn take() -> InFlight {
        IN_FLIGHT.with_borrow_mut(|all| all.remove(0))
    }

    /// Remote address, scope and control data, as the stack finds them now.
    pub fn send_args(&self) -> Option<([u8; 4], u32, Vec<u8>)> {
        // SAFETY: The arguments live until the injection is over: that is what is tested.
        unsafe {
            let args = self.send_args.as_ref()?;
            let control = if args.controlData.is_null() {
                Vec::new()
            } else {
                let length = usize::try_from(args.controlDataLength).unwrap();
                core::slice::from_raw_parts(args.controlData.cast::<u8>(), length).to_vec()
            };
            Some((
                args.remoteAddress.cast::<[u8; 4]>().read(),
                args.remoteScopeId.Anonymous.Value,
                control,
            ))
        }
    }

    /// The stack is done.
    pub fn complete(self, status: NtStatus) {
        // SAFETY: As the stack does it: once, with the list and the context of the injection.
        unsafe {
            (*self.nbl).Status = status.0;
            (self.complete.unwrap())(self.context, self.nbl, 0);
        }
    }
}

fn refused(what: &'static str) -> Option<NTSTATUS> {
    REFUSAL.take().map(|status| {
        note(what);
        status.0
    })
}

#[unsafe(no_mangle)]
extern "C" fn ExAllocatePool2(_flags: u64, bytes: u64, _tag: u32) -> *mut c_void {
    if refused("allocation refused").is_some() {
        return ptr::null_mut();
    }
    let bytes = usize::try_from(bytes).unwrap();
    // SAFETY: The size is not 0, which the pool module sees to.
    let memory = unsafe { alloc_zeroed(Layout::from_size_align(bytes, 16).unwrap()) };
    POOL.with_borrow_mut(|pool| pool.insert(memory.addr(), bytes));
    memory.cast()
}

#[unsafe(no_mangle)]
extern "C" fn ExFreePoolWithTag(memory: *mut c_void, _tag: u32) {
    let bytes = POOL
        .with_borrow_mut(|pool| pool.remove(&memory.addr()))
        .expect("bug check 0xC2/7: freed twice");
    // SAFETY: The memory came from `ExAllocatePool2` with this size, and is freed for the first time.
    unsafe { dealloc(memory.cast(), Layout::from_size_align(bytes, 16).unwrap()) };
}

#[unsafe(no_mangle)]
extern "C" fn KeGetCurrentIrql() -> u8 {
    0
}

#[unsafe(no_mangle)]
extern "C" fn KeBugCheckEx(code: u32, p1: u64, p2: u64, p3: u64, p4: u64) -> ! {
    panic!("bug check {code:#x} {p1:#x} {p2:#x} {p3:#x} {p4:#x}")
}

#[unsafe(no_mangle)]
extern "system" fn FwpsReferenceNetBufferList0(nbl: *mut NET_BUFFER_LIST, modify: BOOLEAN) {
    assert!(!nbl.is_null() && modify == 1);
    note("reference");
}

#[unsafe(no_mangle)]
extern "system" fn FwpsDereferenceNetBufferList0(nbl: *mut NET_BUFFER_LIST, dispatch: BOOLEAN) {
    assert!(!nbl.is_null() && dispatch == 0);
    note("dereference");
}

#[unsafe(no_mangle)]
extern "system" fn FwpsQueryPacketInjectionState0(
    handle: HANDLE,
    nbl: *const NET_BUFFER_LIST,
    context: *mut HANDLE,
) -> FWPS_PACKET_INJECTION_STATE {
    assert!(!handle.is_null() && !nbl.is_null() && context.is_null());
    INJECTION_STATE.get()
}

#[unsafe(no_mangle)]
extern "system" fn FwpsGetPacketListSecurityInformation0(
    nbl: *mut NET_BUFFER_LIST,
    query: u32,
    information: *mut FWPS_PACKET_LIST_INFORMATION0,
) -> NTSTATUS {
    assert!(!nbl.is_null());
    let (expected, flags) = SECURITY.get();
    assert_eq!(query, expected);
    // SAFETY: The caller's own structure.
    unsafe { (*information).ipsecInformation.flags = flags };
    0
}

#[unsafe(no_mangle)]
extern "system" fn FwpmFreeMemory0(memory: *mut *mut c_void) {
    assert!(!memory.is_null());
    note("free the engine's memory");
}

#[unsafe(no_mangle)]
extern "system" fn FwpsPendOperation0(_handle: HANDLE, context: *mut HANDLE) -> NTSTATUS {
    if let Some(status) = refused("pend refused") {
        return status;
    }
    note("pend");
    // SAFETY: The caller's own variable.
    unsafe { *context = ptr::dangling_mut() };
    0
}

#[unsafe(no_mangle)]
extern "system" fn FwpsCompleteOperation0(context: HANDLE, nbl: *mut NET_BUFFER_LIST) {
    assert!(!context.is_null());
    note(if nbl.is_null() {
        "complete without list"
    } else {
        "complete with list"
    });
}

/// Clones the list and its first packet over the same MDLs, with the data at the start of the clone.
#[unsafe(no_mangle)]
extern "system" fn FwpsAllocateCloneNetBufferList0(
    original: *mut NET_BUFFER_LIST,
    _nbl_pool: HANDLE,
    _nb_pool: HANDLE,
    _flags: u32,
    clone: *mut *mut NET_BUFFER_LIST,
) -> NTSTATUS {
    if let Some(status) = refused("clone refused") {
        return status;
    }
    note("clone");
    // SAFETY: The original is a packet of a test; what is made here is freed by the function below.
    unsafe {
        let mut first = ptr::null_mut();
        let mut from = (*original).FirstNetBuffer;
        let mut link: *mut *mut NET_BUFFER = &raw mut first;
        while !from.is_null() {
            let packet = Box::into_raw(made(|x: &mut NET_BUFFER| {
                x.MdlChain = (*from).MdlChain;
                x.DataLength = (*from).DataLength;
            }));
            *link = packet;
            link = &raw mut (*packet).Next;
            from = (*from).Next;
        }
        *clone = Box::into_raw(made(|x: &mut NET_BUFFER_LIST| {
            x.FirstNetBuffer = first;
            x.ParentNetBufferList = original;
        }));
    }
    0
}

#[unsafe(no_mangle)]
extern "system" fn FwpsFreeCloneNetBufferList0(clone: *mut NET_BUFFER_LIST, _flags: u32) {
    note("free clone");
    // SAFETY: The clone was made by the function above.
    unsafe {
        let mut packet = (*clone).FirstNetBuffer;
        while !packet.is_null() {
            assert_eq!(
                (*packet).DataOffset,
                0,
                "the clone's packet was not put back (A-38)"
            );
            packet = Box::from_raw(packet).Next;
        }
        drop(Box::from_raw(clone));
    }
}

/// Moves the start, or links an MDL with new memory in front (B-01).
#[unsafe(no_mangle)]
extern "system" fn NdisRetreatNetBufferDataStart(
    packet: *mut NET_BUFFER,
    delta: u32,
    _backfill: u32,
    _allocate: *mut c_void,
) -> NTSTATUS {
    if let Some(status) = refused("retreat refused") {
        return status;
    }
    // SAFETY: The packet belongs to a test.
    unsafe {
        if (*packet).DataOffset >= delta {
            note("retreat");
            (*packet).DataOffset -= delta;
        } else {
            note("retreat with new memory");
            let memory = vec![0xCD_u8; usize::try_from(delta).unwrap()].into_boxed_slice();
            let mdl = Box::new(MDL {
                Next: (*packet).MdlChain,
                MappedSystemVa: Box::into_raw(memory).cast(),
                ByteCount: delta,
                ..Default::default()
            });
            (*packet).MdlChain = Box::into_raw(mdl);
        }
        (*packet).DataLength += delta;
    }
    0
}

#[unsafe(no_mangle)]
extern "system" fn NdisAdvanceNetBufferDataStart(
    packet: *mut NET_BUFFER,
    delta: u32,
    free: BOOLEAN,
    _handler: *mut c_void,
) {
    // SAFETY: The packet belongs to a test; with `free` the first MDL is one that the function above made.
    unsafe {
        if free == 0 {
            note("advance");
            (*packet).DataOffset += delta;
        } else {
            note("advance and free");
            let mdl = Box::from_raw((*packet).MdlChain);
            assert_eq!(mdl.ByteCount, delta);
            (*packet).MdlChain = mdl.Next;
            let memory = ptr::slice_from_raw_parts_mut(
                mdl.MappedSystemVa.cast::<u8>(),
                usize::try_from(delta).unwrap(),
            );
            drop(Box::from_raw(memory));
        }
        (*packet).DataLength -= delta;
    }
}

/// The bytes in one piece: where they are, or copied (B-05).
#[unsafe(no_mangle)]
extern "system" fn NdisGetDataBuffer(
    packet: *mut NET_BUFFER,
    needed: u32,
    storage: *mut c_void,
    _multiple: u32,
    _offset: u32,
) -> *mut c_void {
    // SAFETY: The packet belongs to a test; the storage, if any, has room for what is asked.
    unsafe {
        if needed > (*packet).DataLength || refused("read refused").is_some() {
            return ptr::null_mut();
        }
        let (mut skip, needed) = (
            usize::try_from((*packet).DataOffset).unwrap(),
            usize::try_from(needed).unwrap(),
        );
        let mut mdl = (*packet).MdlChain;
        let mut copied = 0;
        while !mdl.is_null() {
            let count = usize::try_from((*mdl).ByteCount).unwrap();
            if skip < count {
                let here = (*mdl).MappedSystemVa.cast::<u8>().add(skip);
                if copied == 0 && count - skip >= needed {
                    return here.cast();
                }
                if storage.is_null() {
                    return ptr::null_mut();
                }
                let length = (count - skip).min(needed - copied);
                ptr::copy_nonoverlapping(here, storage.cast::<u8>().add(copied), length);
                copied += length;
                if copied == needed {
                    return storage;
                }
                skip = 0;
            } else {
                skip -= count;
            }
            mdl = (*mdl).Next;
        }
        ptr::null_mut()
    }
}

#[unsafe(no_mangle)]
extern "system" fn FwpsInjectionHandleCreate0(
    _family: u16,
    _flags: u32,
    handle: *mut HANDLE,
) -> NTSTATUS {
    // SAFETY: The caller's own variable.
    unsafe { *handle = ptr::dangling_mut() };
    0
}

#[unsafe(no_mangle)]
extern "system" fn FwpsInjectionHandleDestroy0(_handle: HANDLE) -> NTSTATUS {
    let left = IN_FLIGHT.with_borrow_mut(take);
    assert!(left.is_empty(), "Windows would wait here for ever");
    note("destroy handle");
    0
}

#[unsafe(no_mangle)]
extern "system" fn FwpsInjectTransportReceiveAsync0(
    _handle: HANDLE,
    _injection_context: HANDLE,
    _reserved: *mut c_void,
    _flags: u32,
    _family: u16,
    _compartment: u32,
    _interface: u32,
    _sub_interface: u32,
    nbl: *mut NET_BUFFER_LIST,
    complete: FWPS_INJECT_COMPLETE0,
    context: HANDLE,
) -> NTSTATUS {
    inject(InFlight {
        nbl,
        complete,
        context,
        send_args: ptr::null_mut(),
    })
}

#[unsafe(no_mangle)]
extern "system" fn FwpsInjectTransportSendAsync0(
    _handle: HANDLE,
    _injection_context: HANDLE,
    _endpoint: u64,
    _flags: u32,
    send_args: *mut FWPS_TRANSPORT_SEND_PARAMS0,
    _family: u16,
    _compartment: u32,
    nbl: *mut NET_BUFFER_LIST,
    complete: FWPS_INJECT_COMPLETE0,
    context: HANDLE,
) -> NTSTATUS {
    inject(InFlight {
        nbl,
        complete,
        context,
        send_args,
    })
}

fn inject(injection: InFlight) -> NTSTATUS {
    if let Some(status) = refused("inject refused") {
        return status;
    }
    note("inject");
    IN_FLIGHT.with_borrow_mut(|all| all.push(injection));
    0
}

#[unsafe(no_mangle)]
extern "system" fn FwpsConstructIpHeaderForTransportPacket0(
    _nbl: *mut NET_BUFFER_LIST,
    _length: u32,
    _family: u16,
    _source: *const u8,
    _remote: *const u8,
    _protocol: i32,
    _endpoint: u64,
    _control: *const c_void,
    _control_length: u32,
    _flags: u32,
    _reserved: *mut c_void,
    _interface: u32,
    _sub_interface: u32,
) -> NTSTATUS {
    if let Some(status) = refused("rebuild refused") {
        return status;
    }
    note("rebuild");
    0
}
