//! The run-time interface of the filter engine: what a callout is called with and what it may call (fwpsk.h, fwpstypes.h; contract,
//! F.1 and part A).

mod callout;
mod functions;
mod metadata;
mod packet_information;
mod values;

pub use callout::*;
pub use functions::*;
pub use metadata::*;
pub use packet_information::*;
pub use values::*;

/// Parameters of a send injection (fwpsk.h; F.1). What the pointers lead to must live until the completion function runs: the
/// filter engine copies none of it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FWPS_TRANSPORT_SEND_PARAMS0 {
    /// Remote address in network byte order: 4 or 16 bytes, by the address family of the call.
    pub remoteAddress: *mut u8,
    /// Scope of the remote address, for link-local IPv6.
    pub remoteScopeId: SCOPE_ID,
    /// Socket control data, or null.
    pub controlData: *mut WSACMSGHDR,
    /// Bytes of [`FWPS_TRANSPORT_SEND_PARAMS0::controlData`].
    pub controlDataLength: u32,
}

/// Parameters of a send injection from Windows 7 on (fwpsk.h; F.1): [`FWPS_TRANSPORT_SEND_PARAMS0`] and the IP header of a packet
/// that a raw socket sent with its header.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FWPS_TRANSPORT_SEND_PARAMS1 {
    /// Remote address in network byte order: 4 or 16 bytes, by the address family of the call.
    pub remoteAddress: *mut u8,
    /// Scope of the remote address, for link-local IPv6.
    pub remoteScopeId: SCOPE_ID,
    /// Socket control data, or null.
    pub controlData: *mut WSACMSGHDR,
    /// Bytes of [`FWPS_TRANSPORT_SEND_PARAMS1::controlData`].
    pub controlDataLength: u32,
    /// The IP header, or null.
    pub headerIncludeHeader: *mut u8,
    /// Bytes of [`FWPS_TRANSPORT_SEND_PARAMS1::headerIncludeHeader`].
    pub headerIncludeHeaderLength: u32,
}

zeroed_default!(FWPS_TRANSPORT_SEND_PARAMS0, FWPS_TRANSPORT_SEND_PARAMS1);

assert_layout! {
    FWPS_TRANSPORT_SEND_PARAMS0 {
        size 32, align 8,
        remoteAddress @ 0, remoteScopeId @ 8, controlData @ 16, controlDataLength @ 24,
    }
    FWPS_TRANSPORT_SEND_PARAMS1 {
        size 48, align 8,
        remoteAddress @ 0, remoteScopeId @ 8, controlData @ 16, controlDataLength @ 24, headerIncludeHeader @ 32,
        headerIncludeHeaderLength @ 40,
    }
}
