//! The management interface of the filter engine, kernel flavour (fwpmk.h, fwpmtypes.h; exported by fwpkclnt.sys).
//!
//! The functions return `NTSTATUS` here; in user mode functions of the same names return Win32 errors. All run at PASSIVE_LEVEL
//! except where the text says otherwise (contract, A.1).

use core::ffi::c_void;

/// Objects of the filter engine (fwpmtypes.h).
pub use windows_sys::Win32::NetworkManagement::WindowsFilteringPlatform::{
    FWPM_ACTION0, FWPM_ACTION0_0, FWPM_CALLOUT0, FWPM_DISPLAY_DATA0, FWPM_FILTER_CONDITION0,
    FWPM_FILTER0, FWPM_FILTER0_0, FWPM_PROVIDER0, FWPM_SESSION0, FWPM_SUBLAYER_ENUM_TEMPLATE0,
    FWPM_SUBLAYER0,
};

/// State of the base filtering engine (fwpmtypes.h).
pub use windows_sys::Win32::NetworkManagement::WindowsFilteringPlatform::{
    FWPM_SERVICE_RUNNING, FWPM_SERVICE_START_PENDING, FWPM_SERVICE_STATE,
    FWPM_SERVICE_STOP_PENDING, FWPM_SERVICE_STOPPED,
};

/// Keys of the layers this project filters at, of their conditions, and of the sublayer below which its own must lie (fwpmu.h; A-67).
pub use windows_sys::Win32::NetworkManagement::WindowsFilteringPlatform::{
    FWPM_CONDITION_FLAGS, FWPM_CONDITION_IP_LOCAL_ADDRESS, FWPM_CONDITION_IP_LOCAL_PORT,
    FWPM_CONDITION_IP_PROTOCOL, FWPM_CONDITION_IP_REMOTE_ADDRESS, FWPM_CONDITION_IP_REMOTE_PORT,
    FWPM_LAYER_ALE_AUTH_CONNECT_V4, FWPM_LAYER_ALE_AUTH_CONNECT_V6,
    FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V4, FWPM_LAYER_ALE_AUTH_RECV_ACCEPT_V6,
    FWPM_LAYER_ALE_FLOW_ESTABLISHED_V4, FWPM_LAYER_ALE_FLOW_ESTABLISHED_V6,
    FWPM_LAYER_INBOUND_TRANSPORT_V4, FWPM_LAYER_INBOUND_TRANSPORT_V4_DISCARD,
    FWPM_LAYER_INBOUND_TRANSPORT_V6, FWPM_LAYER_INBOUND_TRANSPORT_V6_DISCARD,
    FWPM_LAYER_OUTBOUND_TRANSPORT_V4, FWPM_LAYER_OUTBOUND_TRANSPORT_V4_DISCARD,
    FWPM_LAYER_OUTBOUND_TRANSPORT_V6, FWPM_LAYER_OUTBOUND_TRANSPORT_V6_DISCARD,
    FWPM_SUBLAYER_UNIVERSAL,
};

/// Keys of layers that other drivers filter at (fwpmu.h).
pub use windows_sys::Win32::NetworkManagement::WindowsFilteringPlatform::{
    FWPM_LAYER_ALE_AUTH_LISTEN_V4, FWPM_LAYER_ALE_AUTH_LISTEN_V6,
    FWPM_LAYER_ALE_ENDPOINT_CLOSURE_V4, FWPM_LAYER_ALE_ENDPOINT_CLOSURE_V6,
    FWPM_LAYER_ALE_RESOURCE_ASSIGNMENT_V4, FWPM_LAYER_ALE_RESOURCE_ASSIGNMENT_V6,
    FWPM_LAYER_ALE_RESOURCE_RELEASE_V4, FWPM_LAYER_ALE_RESOURCE_RELEASE_V6,
    FWPM_LAYER_INBOUND_IPPACKET_V4, FWPM_LAYER_INBOUND_IPPACKET_V6, FWPM_LAYER_IPFORWARD_V4,
    FWPM_LAYER_IPFORWARD_V6, FWPM_LAYER_OUTBOUND_IPPACKET_V4, FWPM_LAYER_OUTBOUND_IPPACKET_V6,
};

/// Flags of the objects (fwpmtypes.h; ).
pub use windows_sys::Win32::NetworkManagement::WindowsFilteringPlatform::{
    FWPM_CALLOUT_FLAG_PERSISTENT, FWPM_CALLOUT_FLAG_REGISTERED,
    FWPM_CALLOUT_FLAG_USES_PROVIDER_CONTEXT, FWPM_FILTER_FLAG_BOOTTIME,
    FWPM_FILTER_FLAG_CLEAR_ACTION_RIGHT, FWPM_FILTER_FLAG_DISABLED,
    FWPM_FILTER_FLAG_HAS_PROVIDER_CONTEXT, FWPM_FILTER_FLAG_INDEXED, FWPM_FILTER_FLAG_NONE,
    FWPM_FILTER_FLAG_PERMIT_IF_CALLOUT_UNREGISTERED, FWPM_FILTER_FLAG_PERSISTENT,
    FWPM_FILTER_FLAGS, FWPM_PROVIDER_FLAG_DISABLED, FWPM_PROVIDER_FLAG_PERSISTENT,
    FWPM_SESSION_FLAG_DYNAMIC, FWPM_SUBLAYER_FLAG_PERSISTENT,
};

/// Flag of [`FwpmTransactionBegin0`] (fwpmtypes.h): the transaction only reads. 0 asks for a read-write transaction.
pub use windows_sys::Win32::NetworkManagement::WindowsFilteringPlatform::FWPM_TXN_READ_ONLY;

/// Who may do what with an object (winnt.h). Null asks for the default.
pub use windows_sys::Win32::Security::PSECURITY_DESCRIPTOR;

use crate::{HANDLE, NTSTATUS};

/// Authentication service for `FwpmEngineOpen0` (rpcdce.h): the default one.
pub const RPC_C_AUTHN_DEFAULT: u32 = 0xffff_ffff;
/// Authentication service for `FwpmEngineOpen0` (rpcdce.h): Windows' own.
pub const RPC_C_AUTHN_WINNT: u32 = 10;

/// Called when the state of the base filtering engine changes (fwpmk.h). Must not unsubscribe, which would wait for itself. The
/// documentation does not say at which IRQL; DISPATCH_LEVEL is to be assumed.
pub type FWPM_SERVICE_STATE_CHANGE_CALLBACK0 =
    Option<unsafe extern "system" fn(context: *mut c_void, newState: FWPM_SERVICE_STATE)>;

#[cfg_attr(
    windows,
    link(name = "fwpkclnt.sys", kind = "raw-dylib", modifiers = "+verbatim")
)]
unsafe extern "system" {
    /// Opens a session with the filter engine (fwpmk.h). IRQL = PASSIVE_LEVEL.
    ///
    /// `serverName` and `authIdentity` (`SEC_WINNT_AUTH_IDENTITY_W`) are null. `session` may be null; with
    /// `FWPM_SESSION_FLAG_DYNAMIC` its objects go when it closes. Fails while the base filtering engine is not running.
    #[must_use]
    pub fn FwpmEngineOpen0(
        serverName: *const u16,
        authnService: u32,
        authIdentity: *mut c_void,
        session: *const FWPM_SESSION0,
        engineHandle: *mut HANDLE,
    ) -> NTSTATUS;

    /// Closes a session and aborts its transaction (fwpmk.h). IRQL = PASSIVE_LEVEL.
    #[must_use]
    pub fn FwpmEngineClose0(engineHandle: HANDLE) -> NTSTATUS;

    /// Begins a transaction (fwpmk.h). IRQL = PASSIVE_LEVEL. `flags` is 0 or [`FWPM_TXN_READ_ONLY`].
    #[must_use]
    pub fn FwpmTransactionBegin0(engineHandle: HANDLE, flags: u32) -> NTSTATUS;

    /// Makes the changes of a transaction visible (fwpmk.h). IRQL = PASSIVE_LEVEL.
    #[must_use]
    pub fn FwpmTransactionCommit0(engineHandle: HANDLE) -> NTSTATUS;

    /// Throws the changes of a transaction away (fwpmk.h). IRQL = PASSIVE_LEVEL.
    #[must_use]
    pub fn FwpmTransactionAbort0(engineHandle: HANDLE) -> NTSTATUS;

    /// Adds a provider (fwpmk.h). IRQL = PASSIVE_LEVEL. `sd` may be null.
    #[must_use]
    pub fn FwpmProviderAdd0(
        engineHandle: HANDLE,
        provider: *const FWPM_PROVIDER0,
        sd: PSECURITY_DESCRIPTOR,
    ) -> NTSTATUS;

    /// Adds a sublayer (fwpmk.h). IRQL = PASSIVE_LEVEL. `sd` may be null. Its weight must be below that of
    /// `FWPM_SUBLAYER_UNIVERSAL` for this project's kind of callout.
    #[must_use]
    pub fn FwpmSubLayerAdd0(
        engineHandle: HANDLE,
        subLayer: *const FWPM_SUBLAYER0,
        sd: PSECURITY_DESCRIPTOR,
    ) -> NTSTATUS;

    /// Begins an enumeration of sublayers (fwpmk.h). IRQL = PASSIVE_LEVEL. A null template enumerates all.
    #[must_use]
    pub fn FwpmSubLayerCreateEnumHandle0(
        engineHandle: HANDLE,
        enumTemplate: *const FWPM_SUBLAYER_ENUM_TEMPLATE0,
        enumHandle: *mut HANDLE,
    ) -> NTSTATUS;

    /// The next sublayers of an enumeration (fwpmk.h). IRQL = PASSIVE_LEVEL.
    ///
    /// `entries` receives an array of `numEntriesReturned` pointers, to be freed with [`FwpmFreeMemory0`]. Fewer than asked for means
    /// that there are no more.
    #[must_use]
    pub fn FwpmSubLayerEnum0(
        engineHandle: HANDLE,
        enumHandle: HANDLE,
        numEntriesRequested: u32,
        entries: *mut *mut *mut FWPM_SUBLAYER0,
        numEntriesReturned: *mut u32,
    ) -> NTSTATUS;

    /// Ends an enumeration of sublayers (fwpmk.h). IRQL = PASSIVE_LEVEL.
    #[must_use]
    pub fn FwpmSubLayerDestroyEnumHandle0(engineHandle: HANDLE, enumHandle: HANDLE) -> NTSTATUS;

    /// Frees what a function of this interface returned, and sets the pointer to null (fwpmk.h). IRQL = PASSIVE_LEVEL.
    pub fn FwpmFreeMemory0(p: *mut *mut c_void);

    /// Adds a callout object (fwpmk.h). IRQL = PASSIVE_LEVEL. `sd` and `id` may be null.
    #[must_use]
    pub fn FwpmCalloutAdd0(
        engineHandle: HANDLE,
        callout: *const FWPM_CALLOUT0,
        sd: PSECURITY_DESCRIPTOR,
        id: *mut u32,
    ) -> NTSTATUS;

    /// Adds a filter (fwpmk.h). IRQL = PASSIVE_LEVEL. `sd` and `id` may be null. A filter outlives its session unless that is
    /// dynamic, and blocks while its callout is not registered unless it says otherwise.
    #[must_use]
    pub fn FwpmFilterAdd0(
        engineHandle: HANDLE,
        filter: *const FWPM_FILTER0,
        sd: PSECURITY_DESCRIPTOR,
        id: *mut u64,
    ) -> NTSTATUS;

    /// State of the base filtering engine (fwpmk.h). IRQL <= DISPATCH_LEVEL.
    #[must_use]
    pub fn FwpmBfeStateGet0() -> FWPM_SERVICE_STATE;

    /// Asks to be called when the state changes (fwpmk.h). IRQL = PASSIVE_LEVEL. `context` may be null. To be undone with
    /// [`FwpmBfeStateUnsubscribeChanges0`] before unload.
    #[must_use]
    pub fn FwpmBfeStateSubscribeChanges0(
        deviceObject: *mut c_void,
        callback: FWPM_SERVICE_STATE_CHANGE_CALLBACK0,
        context: *mut c_void,
        changeHandle: *mut HANDLE,
    ) -> NTSTATUS;

    /// Ends a subscription (fwpmk.h). IRQL = PASSIVE_LEVEL. Never from the callback: the documentation warns of a deadlock.
    #[must_use]
    pub fn FwpmBfeStateUnsubscribeChanges0(changeHandle: HANDLE) -> NTSTATUS;
}

// Section F has no table for the management objects. Sizes and offsets follow from the members that the documentation of
// fwpmtypes.h lists, under the x64 rules of C; a filter of 200 and a callout of 88 bytes are confirmed by compiled headers.
assert_layout! {
    FWPM_DISPLAY_DATA0 { size 16, align 8, name @ 0, description @ 8 }
    FWPM_SESSION0 {
        size 72, align 8,
        sessionKey @ 0, displayData @ 16, flags @ 32, txnWaitTimeoutInMSec @ 36, processId @ 40, sid @ 48, username @ 56,
        kernelMode @ 64,
    }
    FWPM_PROVIDER0 { size 64, align 8, providerKey @ 0, displayData @ 16, flags @ 32, providerData @ 40, serviceName @ 56 }
    FWPM_SUBLAYER0 {
        size 72, align 8,
        subLayerKey @ 0, displayData @ 16, flags @ 32, providerKey @ 40, providerData @ 48, weight @ 64,
    }
    FWPM_SUBLAYER_ENUM_TEMPLATE0 { size 8, align 8, providerKey @ 0 }
    FWPM_CALLOUT0 {
        size 88, align 8,
        calloutKey @ 0, displayData @ 16, flags @ 32, providerKey @ 40, providerData @ 48, applicableLayer @ 64, calloutId @ 80,
    }
    FWPM_ACTION0 { size 20, align 4, r#type @ 0, Anonymous @ 4 }
    FWPM_FILTER_CONDITION0 { size 40, align 8, fieldKey @ 0, matchType @ 16, conditionValue @ 24 }
    FWPM_FILTER0 {
        size 200, align 8,
        filterKey @ 0, displayData @ 16, flags @ 32, providerKey @ 40, providerData @ 48, layerKey @ 64, subLayerKey @ 80,
        weight @ 96, numFilterConditions @ 112, filterCondition @ 120, action @ 128, Anonymous @ 152, reserved @ 168,
        filterId @ 176, effectiveWeight @ 184,
    }
}
