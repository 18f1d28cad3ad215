//! The packet structures of NDIS and the three functions a transport-layer callout needs of it (contract, F.4 and part B).
//!
//! NDIS allocates these structures; their end moves with the version of NDIS. A driver only ever holds pointers to them, never
//! embeds or copies one, and never indexes `NetBufferListInfo` past the version it was compiled for (B-12). The whole layout is
//! declared so that a simulator can build them.

mod info;

pub use info::*;

use core::ffi::c_void;

use crate::{BOOLEAN, status::NDIS_STATUS};

/// A handle that NDIS gave out (ndis/types.h).
pub type NDIS_HANDLE = *mut c_void;

/// A memory descriptor list (wdm.h; F.4): a buffer of whole or partial pages. The page frame numbers follow the structure, so its
/// address means something and a copy of it does not.
#[repr(C)]
#[derive(Debug)]
pub struct MDL {
    /// The next MDL of the chain, null at its end.
    pub Next: *mut MDL,
    /// Bytes of the structure including the page frame numbers behind it.
    pub Size: i16,
    /// `MDL_*` bits. Whether [`MDL::MappedSystemVa`] may be read depends on them.
    pub MdlFlags: i16,
    /// The process whose pages these are (opaque).
    pub Process: *mut c_void,
    /// Where the buffer is mapped in system space; valid if `MDL_MAPPED_TO_SYSTEM_VA` or `MDL_SOURCE_IS_NONPAGED_POOL` is set.
    pub MappedSystemVa: *mut c_void,
    /// The page-aligned virtual address of the buffer's first page.
    pub StartVa: *mut c_void,
    /// Bytes the buffer holds. More than the packet's data may be in it.
    pub ByteCount: u32,
    /// Bytes from [`MDL::StartVa`] to the buffer.
    pub ByteOffset: u32,
}

/// One packet: a chain of MDLs and the window of it that counts as data (ndis/nbl.h; F.4, B-11).
///
/// The window starts [`NET_BUFFER::DataOffset`] bytes into the chain and is [`NET_BUFFER::DataLength`] bytes long. `CurrentMdl` and
/// `CurrentMdlOffset` name the same start and are kept in step by NDIS.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct NET_BUFFER {
    /// The next packet of the list, null at its end.
    pub Next: *mut NET_BUFFER,
    /// The MDL in which the data starts.
    pub CurrentMdl: *mut MDL,
    /// Bytes from the start of [`NET_BUFFER::CurrentMdl`] to the data.
    pub CurrentMdlOffset: u32,
    _padding0: u32,
    /// Bytes of data. In C this shares its place with the pointer-sized `stDataLength`.
    pub DataLength: u32,
    /// The upper half of `stDataLength`: zero, since no packet is 4 GiB long.
    pub DataLengthHigh: u32,
    /// The first MDL of the chain.
    pub MdlChain: *mut MDL,
    /// Bytes from the start of [`NET_BUFFER::MdlChain`] to the data: the room that a retreat can use without allocating (B-01).
    pub DataOffset: u32,
    _padding1: u32,
    /// A bias for the checksum computation of the sender.
    pub ChecksumBias: u16,
    /// Reserved.
    pub Reserved: u16,
    _padding2: u32,
    /// The pool this structure came from.
    pub NdisPoolHandle: NDIS_HANDLE,
    /// Belongs to NDIS.
    pub NdisReserved: [*mut c_void; 2],
    /// Belongs to the protocol driver.
    pub ProtocolReserved: [*mut c_void; 6],
    /// Belongs to the miniport driver.
    pub MiniportReserved: [*mut c_void; 4],
    /// Physical address of the data, where a miniport asked for it.
    pub DataPhysicalAddress: i64,
    /// `SharedMemoryInfo` or `ScatterGatherList` in C.
    pub SharedMemoryInfo: *mut c_void,
}

/// One or more packets that travel together (ndis/nbl.h; F.4). At every layer this project uses, the list handed to a callout is
/// not chained: `Next` is null.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct NET_BUFFER_LIST {
    /// The next list of the chain, null at its end.
    pub Next: *mut NET_BUFFER_LIST,
    /// The first packet. IP and transport headers are always in it.
    pub FirstNetBuffer: *mut NET_BUFFER,
    /// Context areas attached to the list.
    pub Context: *mut NET_BUFFER_LIST_CONTEXT,
    /// The list this one was cloned from, or null.
    pub ParentNetBufferList: *mut NET_BUFFER_LIST,
    /// The pool this structure came from.
    pub NdisPoolHandle: NDIS_HANDLE,
    _padding0: *mut c_void,
    /// Belongs to NDIS.
    pub NdisReserved: [*mut c_void; 2],
    /// Belongs to the protocol driver.
    pub ProtocolReserved: [*mut c_void; 4],
    /// Belongs to the miniport driver.
    pub MiniportReserved: [*mut c_void; 2],
    /// Belongs to whoever holds the list at the moment.
    pub Scratch: *mut c_void,
    /// The handle of the driver that originated the list.
    pub SourceHandle: NDIS_HANDLE,
    /// `NDIS_NBL_FLAGS_*` bits.
    pub NblFlags: u32,
    /// How many clones of this list exist.
    pub ChildRefCount: i32,
    /// Bits private to NDIS, protocols and miniports.
    pub Flags: u32,
    /// How the operation on the list ended. A completion function finds the fate of its injection here.
    pub Status: NDIS_STATUS,
    /// Out-of-band information, indexed by [`NDIS_NET_BUFFER_LIST_INFO`]. Slot [`WfpNetBufferListInfo`] belongs to the filter engine
    /// and is never written.
    pub NetBufferListInfo: [*mut c_void; MaxNetBufferListInfo],
}

/// The header of a context area of a list (ndis/nbl.h; F.4). `ContextData` follows at offset 16.
#[repr(C, align(16))]
#[derive(Debug)]
pub struct NET_BUFFER_LIST_CONTEXT {
    /// The next area, null at the end.
    pub Next: *mut NET_BUFFER_LIST_CONTEXT,
    /// Bytes of the whole context space behind this header, used or not.
    pub Size: u16,
    /// Bytes from the start of the context space to the data in it, which is as many as are not in use.
    pub Offset: u16,
    _padding0: u32,
}

/// Parameters of `NdisAllocateNetBufferListPool`, revision 1 (ndis.h; F.4). Optional for clones: a null pool will do (B-08).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NET_BUFFER_LIST_POOL_PARAMETERS {
    /// Type (u8), revision (u8) and size (u16) of this structure.
    pub Header: NDIS_OBJECT_HEADER,
    /// `NDIS_PROTOCOL_ID_*`.
    pub ProtocolId: u8,
    /// Whether each list comes with one packet.
    pub fAllocateNetBuffer: BOOLEAN,
    /// Bytes of context each list comes with.
    pub ContextSize: u16,
    /// Pool tag.
    pub PoolTag: u32,
    /// Bytes of data each packet comes with.
    pub DataSize: u32,
}

/// The header of versioned NDIS structures (ntddndis.h).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NDIS_OBJECT_HEADER {
    /// `NDIS_OBJECT_TYPE_*`.
    pub Type: u8,
    /// Revision of the structure.
    pub Revision: u8,
    /// Bytes of the structure.
    pub Size: u16,
}

zeroed_default!(
    MDL,
    NET_BUFFER,
    NET_BUFFER_LIST,
    NET_BUFFER_LIST_CONTEXT,
    NET_BUFFER_LIST_POOL_PARAMETERS,
    NDIS_OBJECT_HEADER
);

assert_layout! {
    MDL {
        size 48, align 8,
        Next @ 0, Size @ 8, MdlFlags @ 10, Process @ 16, MappedSystemVa @ 24, StartVa @ 32, ByteCount @ 40, ByteOffset @ 44,
    }
    NET_BUFFER {
        size 176, align 16,
        Next @ 0, CurrentMdl @ 8, CurrentMdlOffset @ 16, DataLength @ 24, DataLengthHigh @ 28, MdlChain @ 32, DataOffset @ 40,
        ChecksumBias @ 48, Reserved @ 50, NdisPoolHandle @ 56, NdisReserved @ 64, ProtocolReserved @ 80, MiniportReserved @ 128,
        DataPhysicalAddress @ 160, SharedMemoryInfo @ 168,
    }
    NET_BUFFER_LIST {
        size 368, align 16,
        Next @ 0, FirstNetBuffer @ 8, Context @ 16, ParentNetBufferList @ 24, NdisPoolHandle @ 32, NdisReserved @ 48,
        ProtocolReserved @ 64, MiniportReserved @ 96, Scratch @ 112, SourceHandle @ 120, NblFlags @ 128, ChildRefCount @ 132,
        Flags @ 136, Status @ 140, NetBufferListInfo @ 144,
    }
    NET_BUFFER_LIST_CONTEXT { size 16, align 16, Next @ 0, Size @ 8, Offset @ 10 }
    NDIS_OBJECT_HEADER { size 4, align 2, Type @ 0, Revision @ 1, Size @ 2 }
    NET_BUFFER_LIST_POOL_PARAMETERS {
        size 16, align 4,
        Header @ 0, ProtocolId @ 4, fAllocateNetBuffer @ 5, ContextSize @ 6, PoolTag @ 8, DataSize @ 12,
    }
}

/// Allocates the MDL that a retreat needs when there is no room (ndis/nblapi.h). `BufferSize`: bytes asked for, on return bytes
/// given. Null if there is no memory. IRQL <= DISPATCH_LEVEL.
pub type NET_BUFFER_ALLOCATE_MDL_HANDLER =
    Option<unsafe extern "system" fn(BufferSize: *mut u32) -> *mut MDL>;

/// Frees an MDL that a [`NET_BUFFER_ALLOCATE_MDL_HANDLER`] allocated (ndis/nblapi.h). IRQL <= DISPATCH_LEVEL.
pub type NET_BUFFER_FREE_MDL_HANDLER = Option<unsafe extern "system" fn(Mdl: *mut MDL)>;

#[cfg_attr(
    windows,
    link(name = "ndis.sys", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "system" {
    /// Moves the start of a packet's data `DataOffsetDelta` bytes towards the front (ndis/nblapi.h). IRQL <= DISPATCH_LEVEL (B-07).
    ///
    /// With less than `DataOffsetDelta` bytes of room NDIS links a new buffer, whose bytes are undefined, at the head of the chain
    /// (B-01, B-04); `DataBackFill` is what it then allocates beyond the delta. Errors: [`NDIS_STATUS_RESOURCES`] and
    /// [`NDIS_STATUS_FAILURE`], after which the packet is unchanged and must not be advanced (B-03).
    ///
    /// [`NDIS_STATUS_RESOURCES`]: crate::status::NDIS_STATUS_RESOURCES
    /// [`NDIS_STATUS_FAILURE`]: crate::status::NDIS_STATUS_FAILURE
    #[must_use]
    pub fn NdisRetreatNetBufferDataStart(
        NetBuffer: *mut NET_BUFFER,
        DataOffsetDelta: u32,
        DataBackFill: u32,
        AllocateMdlHandler: NET_BUFFER_ALLOCATE_MDL_HANDLER,
    ) -> NDIS_STATUS;

    /// Moves the start of a packet's data `DataOffsetDelta` bytes towards the end (ndis/nblapi.h), the counterpart of a successful
    /// retreat by the same number (B-02, B-03). `FreeMdl` is false on the receive path. IRQL <= DISPATCH_LEVEL (B-07).
    pub fn NdisAdvanceNetBufferDataStart(
        NetBuffer: *mut NET_BUFFER,
        DataOffsetDelta: u32,
        FreeMdl: BOOLEAN,
        FreeMdlHandler: NET_BUFFER_FREE_MDL_HANDLER,
    );

    /// The first `BytesNeeded` bytes of a packet's data in one piece (ndis/nblapi.h): a pointer into the packet, or to `Storage`
    /// after the bytes were copied there. IRQL <= DISPATCH_LEVEL (B-07).
    ///
    /// Null if the packet is shorter, if the bytes are scattered or misaligned and `Storage` is null, or if memory is too low to map
    /// the buffer (B-05). `AlignMultiple` is a power of two up to 8192; 1 asks for no alignment. To be read, not written.
    #[must_use]
    pub fn NdisGetDataBuffer(
        NetBuffer: *mut NET_BUFFER,
        BytesNeeded: u32,
        Storage: *mut c_void,
        AlignMultiple: u32,
        AlignOffset: u32,
    ) -> *mut c_void;
}
