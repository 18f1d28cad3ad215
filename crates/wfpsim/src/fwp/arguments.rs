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

/// Everything that one call of a classify function points to, in one guarded block.
pub(super) struct Laid {
    block: usize,
    pub values: *const FWPS_INCOMING_VALUES0,
    pub metadata: *const FWPS_INCOMING_METADATA_VALUES0,
    pub filter: *const FWPS_FILTER3,
    pub out: *mut FWPS_CLASSIFY_OUT0,
}

/// Hands out places in a block, each aligned to 16.
struct Places {
    end: usize,
}

impl Places {
    fn take(&mut self, bytes: usize) -> usize {
        let start = self.end;
        self.end = (start + bytes).next_multiple_of(16);
        start
    }
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
    let mut places = Places { end: 0 };
    let array_at = places.take(values.len() * size_of::<FWPS_INCOMING_VALUE0>());
    // What values point to: sixteen bytes for each is enough for an address.
    let behind_at = places.take(values.len() * 16);
    let fixed_at = places.take(size_of::<FWPS_INCOMING_VALUES0>());
    let metadata_at = places.take(size_of::<FWPS_INCOMING_METADATA_VALUES0>());
    let control_at = places.take(metadata.control_data.as_ref().map_or(0, Vec::len));
    let header_at = places.take(metadata.header_include.as_ref().map_or(0, Vec::len));
    let filter_at = places.take(size_of::<FWPS_FILTER3>());
    // Last, where a write behind it meets the guard page.
    let out_at = places.take(size_of::<FWPS_CLASSIFY_OUT0>());
    let ledger = kernel.ledger.begin("arguments of a classify");
    let block = kernel
        .arena
        .allocate(places.end, Purpose::ClassifyArguments, ledger, true)
        .as_ptr();
    kernel.note(ledger, "laid out");
    // SAFETY: every place lies in the block that was just allocated, is aligned to 16 and is as long as what is written.
    unsafe {
        let array = block.add(array_at).cast::<FWPS_INCOMING_VALUE0>();
        for (index, value) in values.iter().enumerate() {
            let entry = &mut (*array.add(index)).value;
            match value {
                Value::Empty | Value::V4Mask(..) => {
                    entry.r#type = consts::FWP_EMPTY;
                    if kernel.config.garbage {
                        // the value of an empty field means nothing.
                        entry.Anonymous.byteArray16 = super::blame::EMPTY as *mut _;
                    }
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
                    let behind = block.add(behind_at).cast::<[u8; 16]>().add(index);
                    behind.write(*value);
                    (entry.r#type, entry.Anonymous.byteArray16) =
                        (consts::FWP_BYTE_ARRAY16_TYPE, behind.cast());
                }
            }
        }
        let fixed = block.add(fixed_at).cast::<FWPS_INCOMING_VALUES0>();
        (*fixed).layerId = layer;
        (*fixed).valueCount = values.len() as u32;
        (*fixed).incomingValue = array;
        let laid_metadata = block
            .add(metadata_at)
            .cast::<FWPS_INCOMING_METADATA_VALUES0>();
        laid_metadata.write(metadata.values);
        if kernel.config.garbage {
            super::blame::hide_absent(&mut *laid_metadata);
        }
        let place = |at: usize, bytes: &[u8]| {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), block.add(at), bytes.len());
            (block.add(at), bytes.len() as u32)
        };
        if let Some(data) = &metadata.control_data {
            let (at, length) = place(control_at, data);
            (
                (*laid_metadata).controlData,
                (*laid_metadata).controlDataLength,
            ) = (at.cast(), length);
        }
        if let Some(header) = &metadata.header_include {
            let (at, length) = place(header_at, header);
            (
                (*laid_metadata).headerIncludeHeader,
                (*laid_metadata).headerIncludeHeaderLength,
            ) = (at.cast(), length);
        }
        block.add(filter_at).cast::<FWPS_FILTER3>().write(filter);
        block.add(out_at).cast::<FWPS_CLASSIFY_OUT0>().write(out);
        Laid {
            block: block as usize,
            values: fixed,
            metadata: laid_metadata,
            filter: block.add(filter_at).cast(),
            out: block.add(out_at).cast(),
        }
    }
}

impl Laid {
    /// Takes the arguments away.
    pub fn take_away(self, kernel: &Kernel) {
        crate::nt::free_blocks(kernel, &[self.block], "gone: the classify returned");
    }
}
