//! The fixed values a callout is called with, the filter that matched, and the decision it writes.

use core::ffi::c_void;

/// A value with its type (fwptypes.h; F.1). Which member of the union may be read is what `r#type` says; during a reauthorization
/// it may be `FWP_EMPTY`. 64-bit numbers, doubles and byte arrays are pointers.
pub use windows_sys::Win32::NetworkManagement::WindowsFilteringPlatform::{
    FWP_VALUE0, FWP_VALUE0_0,
};

/// A value to compare with, as in [`FWP_VALUE0`] plus ranges and prefixes (fwptypes.h; F.1).
pub use windows_sys::Win32::NetworkManagement::WindowsFilteringPlatform::{
    FWP_CONDITION_VALUE0, FWP_CONDITION_VALUE0_0,
};

/// Other structures of fwptypes.h that values point to (F.1).
pub use windows_sys::Win32::NetworkManagement::WindowsFilteringPlatform::{
    FWP_BYTE_ARRAY6, FWP_BYTE_ARRAY16, FWP_BYTE_BLOB, FWP_RANGE0, FWP_TOKEN_INFORMATION,
    FWP_V4_ADDR_AND_MASK, FWP_V6_ADDR_AND_MASK,
};

use crate::consts::{FWP_ACTION_TYPE, FWP_MATCH_TYPE};

/// One fixed value of a layer (fwpstypes.h; F.1). Addresses and ports are in host byte order, IPv6 addresses point to 16 bytes in
/// network order.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FWPS_INCOMING_VALUE0 {
    /// The value.
    pub value: FWP_VALUE0,
}

/// The fixed values of a classification (fwpstypes.h; F.1), valid only during the call.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FWPS_INCOMING_VALUES0 {
    /// The layer, an `FWPS_LAYER_*` of [`crate::layers`].
    pub layerId: u16,
    /// How many values there are. An index of [`crate::layers`] may lie beyond it on an older system (F.2).
    pub valueCount: u32,
    /// The values, indexed by the layer's fields.
    pub incomingValue: *mut FWPS_INCOMING_VALUE0,
}

/// The decision of a classification (fwpstypes.h; F.1). Read and written by the callout under the rules.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FWPS_CLASSIFY_OUT0 {
    /// `FWP_ACTION_*`.
    pub actionType: FWP_ACTION_TYPE,
    /// Belongs to the system.
    pub outContext: u64,
    /// Belongs to the system.
    pub filterId: u64,
    /// `FWPS_RIGHT_ACTION_WRITE`: whether `actionType` may be written, cleared by the callout to make it final.
    pub rights: u32,
    /// `FWPS_CLASSIFY_OUT_FLAG_*`.
    pub flags: u32,
    /// Belongs to the system.
    pub reserved: u32,
}

/// One condition of a filter (fwpstypes.h; F.1).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FWPS_FILTER_CONDITION0 {
    /// A field index of [`crate::layers`].
    pub fieldId: u16,
    /// Reserved.
    pub reserved: u16,
    /// `FWP_MATCH_*`.
    pub matchType: FWP_MATCH_TYPE,
    /// What the field is compared with.
    pub conditionValue: FWP_CONDITION_VALUE0,
}

/// What a filter does (fwpstypes.h; F.1).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct FWPS_ACTION0 {
    /// `FWP_ACTION_*`. In C the member is `type`.
    pub r#type: FWP_ACTION_TYPE,
    /// The run-time identifier of the callout, if the action is one of the callout actions.
    pub calloutId: u32,
}

/// A filter as the callout sees it, of the version that Windows 10 1709 brought (fwpstypes.h; F.1). Valid only during the call
///
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FWPS_FILTER3 {
    /// Run-time identifier.
    pub filterId: u64,
    /// Weight within the sublayer.
    pub weight: FWP_VALUE0,
    /// Weight of the sublayer.
    pub subLayerWeight: u16,
    /// `FWPS_FILTER_FLAG_*`.
    pub flags: u16,
    /// How many conditions there are.
    pub numFilterConditions: u32,
    /// The conditions, all of which hold.
    pub filterCondition: *mut FWPS_FILTER_CONDITION0,
    /// What the filter does.
    pub action: FWPS_ACTION0,
    /// What the driver gave the filter as its context when it added it.
    pub context: u64,
    /// The provider context (`FWPM_PROVIDER_CONTEXT3`), or null.
    pub providerContext: *mut c_void,
}

zeroed_default!(FWPS_INCOMING_VALUES0, FWPS_FILTER3);

assert_layout! {
    FWP_VALUE0 { size 16, align 8, r#type @ 0, Anonymous @ 8 }
    FWP_CONDITION_VALUE0 { size 16, align 8, r#type @ 0, Anonymous @ 8 }
    FWP_VALUE0_0 { size 8, align 8 }
    FWP_CONDITION_VALUE0_0 { size 8, align 8 }
    FWP_BYTE_BLOB { size 16, align 8, size @ 0, data @ 8 }
    FWP_BYTE_ARRAY6 { size 6, align 1 }
    FWP_BYTE_ARRAY16 { size 16, align 1 }
    FWP_V4_ADDR_AND_MASK { size 8, align 4, addr @ 0, mask @ 4 }
    FWP_V6_ADDR_AND_MASK { size 17, align 1, addr @ 0, prefixLength @ 16 }
    FWP_TOKEN_INFORMATION { size 32, align 8, sidCount @ 0, sids @ 8, restrictedSidCount @ 16, restrictedSids @ 24 }
    FWPS_INCOMING_VALUE0 { size 16, align 8, value @ 0 }
    FWPS_INCOMING_VALUES0 { size 16, align 8, layerId @ 0, valueCount @ 4, incomingValue @ 8 }
    FWPS_CLASSIFY_OUT0 {
        size 40, align 8,
        actionType @ 0, outContext @ 8, filterId @ 16, rights @ 24, flags @ 28, reserved @ 32,
    }
    FWPS_FILTER_CONDITION0 { size 24, align 8, fieldId @ 0, reserved @ 2, matchType @ 4, conditionValue @ 8 }
    FWPS_ACTION0 { size 8, align 4, r#type @ 0, calloutId @ 4 }
    FWPS_FILTER3 {
        size 64, align 8,
        filterId @ 0, weight @ 8, subLayerWeight @ 24, flags @ 26, numFilterConditions @ 28, filterCondition @ 32, action @ 40,
        context @ 48, providerContext @ 56,
    }
}

// F.1 does not list this one: two values, one behind the other (fwptypes.h).
assert_layout! {
    FWP_RANGE0 { size 32, align 8, valueLow @ 0, valueHigh @ 16 }
}
