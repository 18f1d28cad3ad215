//! The arguments of a classify, laid out in guarded memory that is gone when the call returns.

use wfp_sys::consts;
use wfp_sys::fwpm;
use wfp_sys::fwps::FWP_CONDITION_VALUE0;
use wfp_sys::fwps::FWPS_CLASSIFY_OUT0;
use wfp_sys::fwps::FWPS_FILTER3;
use wfp_sys::fwps::FWPS_INCOMING_METADATA_VALUES0;
use wfp_sys::fwps::FWPS_INCOMING_VALUE0;
use wfp_sys::fwps::FWPS_INCOMING_VALUES0;
use wfp_sys::layers;

use super::objects::Key;
use crate::machine::Kernel;
use crate::memory::Purpose;

/// One fixed value of a layer, or the value of a condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Value {
    /// Not known (FWP_EMPTY).
    #[default]
    Empty,
    U8(u8),
    U16(u16),
    U32(u32),
    /// Sixteen bytes in network order.
    Array16([u8; 16]),
    /// Bytes of any kind.
    Blob(Vec<u8>),
    /// An IPv4 prefix, both in host order.
    V4Mask(u32, u32),
}

impl Value {
    /// Reads a filter condition's value; `None` for a type that the model does not know.
    pub(super) fn of_condition(value: &FWP_CONDITION_VALUE0) -> Option<Self> {
        // SAFETY: the union is read as the type says; pointers are the driver's, and a bad one faults and is reported.
        unsafe {
            let union = &value.Anonymous;
            Some(match value.r#type {
                consts::FWP_EMPTY => Self::Empty,
                consts::FWP_UINT8 => Self::U8(union.uint8),
                consts::FWP_UINT16 => Self::U16(union.uint16),
                consts::FWP_UINT32 => Self::U32(union.uint32),
                consts::FWP_BYTE_ARRAY16_TYPE => Self::Array16((*union.byteArray16).byteArray16),
                consts::FWP_V4_ADDR_MASK => {
                    Self::V4Mask((*union.v4AddrMask).addr, (*union.v4AddrMask).mask)
                }
                _ => return None,
            })
        }
    }

    /// As a number, where it is one.
    pub(super) fn number(&self) -> Option<u64> {
        match self {
            Self::U8(value) => Some(u64::from(*value)),
            Self::U16(value) => Some(u64::from(*value)),
            Self::U32(value) => Some(u64::from(*value)),
            _ => None,
        }
    }
}

/// The metadata of a classify, with the variable-length parts beside it.
#[derive(Clone, Default)]
pub(crate) struct Metadata {
    /// The structure itself; its pointers are filled in when it is laid out.
    pub values: FWPS_INCOMING_METADATA_VALUES0,
    /// TRANSPORT_CONTROL_DATA.
    pub control_data: Option<Vec<u8>>,
    /// TRANSPORT_HEADER_INCLUDE_HEADER.
    pub header_include: Option<Vec<u8>>,
}

impl Metadata {
    /// Sets a field's bit.
    pub fn present(&mut self, bit: u32) {
        self.values.currentMetadataValues |= bit;
    }

    /// Whether a field's bit is set.
    pub fn has(&self, bit: u32) -> bool {
        self.values.currentMetadataValues & bit != 0
    }
}

/// The field of a layer that a management condition names; `None` if the model does not know it.
pub(super) fn field_of(layer: u16, condition: Key) -> Option<u16> {
    type Row = [u16; 6];
    // Protocol, local address, remote address, local port, remote port, flags.
    let row: Row = match layer {
        layers::FWPS_LAYER_INBOUND_TRANSPORT_V4 | layers::FWPS_LAYER_INBOUND_TRANSPORT_V6 => {
            use layers::inbound_transport::*;
            [
                IP_PROTOCOL,
                IP_LOCAL_ADDRESS,
                IP_REMOTE_ADDRESS,
                IP_LOCAL_PORT,
                IP_REMOTE_PORT,
                FLAGS,
            ]
        }
        layers::FWPS_LAYER_OUTBOUND_TRANSPORT_V4 | layers::FWPS_LAYER_OUTBOUND_TRANSPORT_V6 => {
            use layers::outbound_transport::*;
            [
                IP_PROTOCOL,
                IP_LOCAL_ADDRESS,
                IP_REMOTE_ADDRESS,
                IP_LOCAL_PORT,
                IP_REMOTE_PORT,
                FLAGS,
            ]
        }
        layers::FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V4 | layers::FWPS_LAYER_ALE_AUTH_RECV_ACCEPT_V6 => {
            use layers::ale_auth_recv_accept::*;
            [
                IP_PROTOCOL,
                IP_LOCAL_ADDRESS,
                IP_REMOTE_ADDRESS,
                IP_LOCAL_PORT,
                IP_REMOTE_PORT,
                FLAGS,
            ]
        }
        layers::FWPS_LAYER_ALE_AUTH_CONNECT_V4 | layers::FWPS_LAYER_ALE_AUTH_CONNECT_V6 => {
            use layers::ale_auth_connect::*;
            [
                IP_PROTOCOL,
                IP_LOCAL_ADDRESS,
                IP_REMOTE_ADDRESS,
                IP_LOCAL_PORT,
                IP_REMOTE_PORT,
                FLAGS,
            ]
        }
        _ => return None,
    };
    let keys = [
        fwpm::FWPM_CONDITION_IP_PROTOCOL,
        fwpm::FWPM_CONDITION_IP_LOCAL_ADDRESS,
        fwpm::FWPM_CONDITION_IP_REMOTE_ADDRESS,
        fwpm::FWPM_CONDITION_IP_LOCAL_PORT,
        fwpm::FWPM_CONDITION_IP_REMOTE_PORT,
        fwpm::FWPM_CONDITION_FLAGS,
    ];
    keys.iter()
        .position(|key| Key::from(key) == condition)
        .map(|index| row[index])
}

/// Everything that one call of a classify function points to, in one guarded block each.
pub(super) struct Laid {
    blocks: Vec<usize>,
    pub values: *const FWPS_INCOMING_VALUES0,
    pub metadata: *const FWPS_INCOMING_METADATA_VALUES0,
    pub filter: *const FWPS_FILTER3,
    pub out: *mut FWPS_CLASSIFY_OUT0,
}

/// Lays the arguments out.
pub(super) fn lay_out(
    kernel: &Kernel,
    layer: u16,
    values: &[Value],
    metadata: &Metadata,
    filter: FWPS_FILTER3,
    out: FWPS_CLASSIFY_OUT0,
) -> Laid {
    let ledger = kernel.ledger.begin("arguments of a classify");
    let mut blocks = Vec::new();
    let mut place = |bytes: usize| {
        let block = kernel
            .arena
            .allocate(bytes.max(1), Purpose::ClassifyArguments, ledger, true);
        blocks.push(block.as_ptr() as usize);
        block.as_ptr()
    };
    // What values point to comes behind the array of values: sixteen bytes for each is enough for an address.
    let array =
        place(values.len() * 2 * size_of::<FWPS_INCOMING_VALUE0>()).cast::<FWPS_INCOMING_VALUE0>();
    for (index, value) in values.iter().enumerate() {
        // SAFETY: the block has room for two entries a value; the second half holds the arrays.
        unsafe {
            let entry = &mut (*array.add(index)).value;
            let behind = array.add(values.len() + index).cast::<[u8; 16]>();
            match value {
                Value::Empty | Value::Blob(_) | Value::V4Mask(..) => {
                    entry.r#type = consts::FWP_EMPTY
                }
                Value::U8(value) => {
                    (entry.r#type, entry.Anonymous.uint8) = (consts::FWP_UINT8, *value)
                }
                Value::U16(value) => {
                    (entry.r#type, entry.Anonymous.uint16) = (consts::FWP_UINT16, *value)
                }
                Value::U32(value) => {
                    (entry.r#type, entry.Anonymous.uint32) = (consts::FWP_UINT32, *value)
                }
                Value::Array16(value) => {
                    behind.write(*value);
                    (entry.r#type, entry.Anonymous.byteArray16) =
                        (consts::FWP_BYTE_ARRAY16_TYPE, behind.cast());
                }
            }
        }
    }
    let fixed = place(size_of::<FWPS_INCOMING_VALUES0>()).cast::<FWPS_INCOMING_VALUES0>();
    // SAFETY: the block was just allocated for it.
    unsafe {
        (*fixed).layerId = layer;
        (*fixed).valueCount = values.len() as u32;
        (*fixed).incomingValue = array;
    }
    let meta =
        place(size_of::<FWPS_INCOMING_METADATA_VALUES0>()).cast::<FWPS_INCOMING_METADATA_VALUES0>();
    // SAFETY: the blocks were just allocated with room for what is written.
    unsafe {
        meta.write(metadata.values);
        let mut bytes = |bytes: &[u8]| {
            let to = place(bytes.len());
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
            (to, bytes.len() as u32)
        };
        if let Some(data) = &metadata.control_data {
            let (at, length) = bytes(data);
            ((*meta).controlData, (*meta).controlDataLength) = (at.cast(), length);
        }
        if let Some(header) = &metadata.header_include {
            let (at, length) = bytes(header);
            (
                (*meta).headerIncludeHeader,
                (*meta).headerIncludeHeaderLength,
            ) = (at.cast(), length);
        }
    }
    let filter_at = place(size_of::<FWPS_FILTER3>()).cast::<FWPS_FILTER3>();
    let out_at = place(size_of::<FWPS_CLASSIFY_OUT0>()).cast::<FWPS_CLASSIFY_OUT0>();
    // SAFETY: the blocks were just allocated for these.
    unsafe {
        filter_at.write(filter);
        out_at.write(out);
    }
    kernel.note(ledger, "laid out");
    Laid {
        blocks,
        values: fixed,
        metadata: meta,
        filter: filter_at,
        out: out_at,
    }
}

impl Laid {
    /// Takes the arguments away.
    pub fn take_away(self, kernel: &Kernel) {
        crate::nt::free_blocks(kernel, &self.blocks, "gone: the classify returned");
    }
}
