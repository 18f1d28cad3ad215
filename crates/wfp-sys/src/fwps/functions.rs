//! The functions of fwpsk.h, exported by fwpkclnt.sys.

use core::ffi::c_void;

use crate::{
    BOOLEAN, HANDLE, NTSTATUS,
    consts::{ADDRESS_FAMILY, COMPARTMENT_ID, FWPS_PACKET_INJECTION_STATE, IF_INDEX, IPPROTO},
    fwps::{
        FWPS_CALLOUT3, FWPS_INJECT_COMPLETE0, FWPS_PACKET_LIST_INFORMATION0,
        FWPS_TRANSPORT_SEND_PARAMS0, WSACMSGHDR,
    },
    ndis::{NDIS_HANDLE, NET_BUFFER_LIST},
};

#[cfg_attr(
    windows,
    link(name = "fwpkclnt.sys", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "system" {
    /// Registers a callout (fwpsk.h). IRQL = PASSIVE_LEVEL.
    ///
    /// `deviceObject` is a device of the driver; `calloutId`, which may be null, receives the run-time identifier.
    /// `STATUS_FWP_ALREADY_EXISTS` if the key is registered.
    #[must_use]
    pub fn FwpsCalloutRegister3(
        deviceObject: *mut c_void,
        callout: *const FWPS_CALLOUT3,
        calloutId: *mut u32,
    ) -> NTSTATUS;

    /// Unregisters a callout (fwpsk.h). IRQL = PASSIVE_LEVEL.
    ///
    /// `STATUS_DEVICE_BUSY` while flows carry its context, `STATUS_FWP_IN_USE` or `STATUS_FWP_CALLOUT_NOT_FOUND` otherwise
    /// . The driver must not unload before this has succeeded.
    #[must_use]
    pub fn FwpsCalloutUnregisterById0(calloutId: u32) -> NTSTATUS;

    /// Creates an injection handle (fwpsk.h). IRQL = PASSIVE_LEVEL.
    ///
    /// `flags` is a set of `FWPS_INJECTION_TYPE_*`, 0 for the default set; `AF_UNSPEC` serves both families at the transport
    /// layers. `STATUS_FWP_TCPIP_NOT_READY` early in the life of the system.
    #[must_use]
    pub fn FwpsInjectionHandleCreate0(
        addressFamily: ADDRESS_FAMILY,
        flags: u32,
        injectionHandle: *mut HANDLE,
    ) -> NTSTATUS;

    /// Waits for all injections of the handle to complete and destroys it (fwpsk.h). IRQL = PASSIVE_LEVEL. Never from a completion
    /// function, nor holding what one needs.
    #[must_use]
    pub fn FwpsInjectionHandleDestroy0(injectionHandle: HANDLE) -> NTSTATUS;

    /// Pends the authorization that is being classified (fwpsk.h). IRQL <= DISPATCH_LEVEL.
    ///
    /// Only within the classification whose metadata the completion handle came with. `STATUS_FWP_CANNOT_PEND` for
    /// reauthorizations, `STATUS_FWP_NULL_POINTER`, `STATUS_FWP_TCPIP_NOT_READY`. After success the callout blocks and
    /// absorbs and owes one [`FwpsCompleteOperation0`].
    #[must_use]
    pub fn FwpsPendOperation0(completionHandle: HANDLE, completionContext: *mut HANDLE)
    -> NTSTATUS;

    /// Ends a pended authorization, exactly once (fwpsk.h; A-71). IRQL <= DISPATCH_LEVEL.
    ///
    /// At ALE_AUTH_CONNECT the list is null and the connection is classified again, on this thread. At ALE_AUTH_RECV_ACCEPT
    /// it is the clone about to be injected, or null to deny.
    pub fn FwpsCompleteOperation0(completionContext: HANDLE, netBufferList: *mut NET_BUFFER_LIST);

    /// Keeps an indicated list alive beyond the classification (fwpsk.h). IRQL <= DISPATCH_LEVEL. `intendToModify` is true if a clone
    /// of the list is to be modified and injected. Cannot fail.
    pub fn FwpsReferenceNetBufferList0(
        netBufferList: *mut NET_BUFFER_LIST,
        intendToModify: BOOLEAN,
    );

    /// Gives up one reference (fwpsk.h; A-28). IRQL <= DISPATCH_LEVEL; `dispatchLevel` true only if known to be at it. The list
    /// must not be null.
    pub fn FwpsDereferenceNetBufferList0(
        netBufferList: *mut NET_BUFFER_LIST,
        dispatchLevel: BOOLEAN,
    );

    /// Clones a list (fwpsk.h). IRQL <= DISPATCH_LEVEL.
    ///
    /// New lists, packets and MDLs over the same data, which the clone shares with the original. The pools may be null
    /// (B-08), the flags are 0 (B-10). Fails for lack of memory.
    #[must_use]
    pub fn FwpsAllocateCloneNetBufferList0(
        originalNetBufferList: *mut NET_BUFFER_LIST,
        netBufferListPoolHandle: NDIS_HANDLE,
        netBufferPoolHandle: NDIS_HANDLE,
        allocateCloneFlags: u32,
        netBufferList: *mut *mut NET_BUFFER_LIST,
    ) -> NTSTATUS;

    /// Frees a clone, exactly once and with the flags it was allocated with (fwpsk.h; A-39, B-10). IRQL <= DISPATCH_LEVEL.
    pub fn FwpsFreeCloneNetBufferList0(netBufferList: *mut NET_BUFFER_LIST, freeCloneFlags: u32);

    /// Injects a packet into the receive path (fwpsk.h). IRQL <= DISPATCH_LEVEL, never for TCP from within a classification.
    ///
    /// The data begins with an IP header and the list has one packet, or the system stops. After success the clone
    /// and the context belong to `completionFn`; after any other status it is not called. `reserved` is null, `flags` 0.
    #[must_use]
    pub fn FwpsInjectTransportReceiveAsync0(
        injectionHandle: HANDLE,
        injectionContext: HANDLE,
        reserved: *mut c_void,
        flags: u32,
        addressFamily: ADDRESS_FAMILY,
        compartmentId: COMPARTMENT_ID,
        interfaceIndex: IF_INDEX,
        subInterfaceIndex: IF_INDEX,
        netBufferList: *mut NET_BUFFER_LIST,
        completionFn: FWPS_INJECT_COMPLETE0,
        completionContext: HANDLE,
    ) -> NTSTATUS;

    /// Injects packets into the send path (fwpsk.h). IRQL <= DISPATCH_LEVEL, never for TCP from within a classification.
    ///
    /// The data begins with the transport header. `sendArgs` and what it points to live until `completionFn` runs; null only if the
    /// data begins with an IP header. After success the clone and the context belong to `completionFn`; after any
    /// other status it is not called. `flags` is 0. Fails for an endpoint that has been closed.
    #[must_use]
    pub fn FwpsInjectTransportSendAsync0(
        injectionHandle: HANDLE,
        injectionContext: HANDLE,
        endpointHandle: u64,
        flags: u32,
        sendArgs: *mut FWPS_TRANSPORT_SEND_PARAMS0,
        addressFamily: ADDRESS_FAMILY,
        compartmentId: COMPARTMENT_ID,
        netBufferList: *mut NET_BUFFER_LIST,
        completionFn: FWPS_INJECT_COMPLETE0,
        completionContext: HANDLE,
    ) -> NTSTATUS;

    /// Builds or rebuilds the IP header of a clone's packets (fwpsk.h; A-62). IRQL <= DISPATCH_LEVEL.
    ///
    /// Addresses are 4 or 16 bytes in network byte order. `headerIncludeHeaderLength` is 0 to build, the bytes of the present header
    /// to rebuild, which takes a list of one packet. `endpointHandle`, control data and interfaces may be absent (0 or null);
    /// `flags` is 0 and `reserved` null.
    #[must_use]
    pub fn FwpsConstructIpHeaderForTransportPacket0(
        netBufferList: *mut NET_BUFFER_LIST,
        headerIncludeHeaderLength: u32,
        addressFamily: ADDRESS_FAMILY,
        sourceAddress: *const u8,
        remoteAddress: *const u8,
        nextProtocol: IPPROTO,
        endpointHandle: u64,
        controlData: *const WSACMSGHDR,
        controlDataLength: u32,
        flags: u32,
        reserved: *mut c_void,
        interfaceIndex: IF_INDEX,
        subInterfaceIndex: IF_INDEX,
    ) -> NTSTATUS;

    /// Whether and by whom a packet was injected, seen from one injection handle (fwpsk.h; A-51). IRQL <= DISPATCH_LEVEL.
    /// `injectionContext` may be null.
    #[must_use]
    pub fn FwpsQueryPacketInjectionState0(
        injectionHandle: HANDLE,
        netBufferList: *const NET_BUFFER_LIST,
        injectionContext: *mut HANDLE,
    ) -> FWPS_PACKET_INJECTION_STATE;

    /// The IPsec state of an indicated list, within classifyFn only (fwpsk.h; A-64). IRQL <= DISPATCH_LEVEL. `queryFlags` is a set of
    /// `FWPS_PACKET_LIST_INFORMATION_QUERY_*` with one direction.
    #[must_use]
    pub fn FwpsGetPacketListSecurityInformation0(
        packetList: *mut NET_BUFFER_LIST,
        queryFlags: u32,
        packetInformation: *mut FWPS_PACKET_LIST_INFORMATION0,
    ) -> NTSTATUS;
}
