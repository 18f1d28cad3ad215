//! The status values a callout driver meets (ntstatus.h; contract, F.3).
//!
//! `NT_SUCCESS` is "not negative". Two values here do not read the way they classify: [`STATUS_DEVICE_BUSY`] is a warning, which
//! is a failure to `NT_SUCCESS`, and [`STATUS_OBJECT_NAME_EXISTS`] is informational, which is a success.

pub use windows_sys::Win32::Foundation::{
    STATUS_DATA_NOT_ACCEPTED, STATUS_DEVICE_BUSY, STATUS_FWP_ALREADY_EXISTS,
    STATUS_FWP_CALLOUT_NOT_FOUND, STATUS_FWP_CANNOT_PEND, STATUS_FWP_IN_USE,
    STATUS_FWP_INCOMPATIBLE_LAYER, STATUS_FWP_INJECT_HANDLE_CLOSING,
    STATUS_FWP_INJECT_HANDLE_STALE, STATUS_FWP_INVALID_PARAMETER, STATUS_FWP_NULL_POINTER,
    STATUS_FWP_TCPIP_NOT_READY, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER,
    STATUS_OBJECT_NAME_EXISTS, STATUS_PENDING, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
};

use crate::NTSTATUS;

/// NDIS names for statuses (ndis/status.h); the numbers are those of the NTSTATUS of the same meaning (B-01).
pub type NDIS_STATUS = NTSTATUS;
/// The call did what was asked.
pub const NDIS_STATUS_SUCCESS: NDIS_STATUS = STATUS_SUCCESS;
/// Memory for a buffer or an MDL could not be had (0xC000009A).
pub const NDIS_STATUS_RESOURCES: NDIS_STATUS = STATUS_INSUFFICIENT_RESOURCES;
/// The call failed for a reason it does not name (0xC0000001).
pub const NDIS_STATUS_FAILURE: NDIS_STATUS = STATUS_UNSUCCESSFUL;
