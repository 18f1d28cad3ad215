//! The metadata of a classification: every member is there or not, and all of it is gone when classify returns.

use core::{fmt, slice};

use wfp_sys::{
    HANDLE,
    consts::{FWP_DIRECTION_INBOUND, FWP_DIRECTION_OUTBOUND},
    fwps::{FWPS_INCOMING_METADATA_VALUES0, SCOPE_ID},
};

use crate::flags::MetadataFields;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the network.
    Outbound,
    /// From the network.
    Inbound,
}

/// A view of the metadata during one classification.
#[derive(Clone, Copy)]
pub struct Metadata<'c> {
    values: Option<&'c FWPS_INCOMING_METADATA_VALUES0>,
}

impl<'c> Metadata<'c> {
    /// A view of what the filter engine passed.
    ///
    /// # Safety
    ///
    /// What the present members point to is valid for `'c`, with the lengths given beside the pointers.
    pub(crate) unsafe fn new(values: Option<&'c FWPS_INCOMING_METADATA_VALUES0>) -> Metadata<'c> {
        Metadata { values }
    }

    /// Which members are present.
    #[must_use]
    pub fn fields(&self) -> MetadataFields {
        MetadataFields(self.values.map_or(0, |values| values.currentMetadataValues))
    }

    /// Whether all of these members are present.
    #[must_use]
    pub fn has(&self, fields: MetadataFields) -> bool {
        self.fields().contains(fields)
    }

    fn present(&self, field: MetadataFields) -> Option<&'c FWPS_INCOMING_METADATA_VALUES0> {
        self.values
            .filter(|values| MetadataFields(values.currentMetadataValues).contains(field))
    }

    /// Bytes of the IP header, with options and extension headers, and with AH or ESP where IPsec left them.
    #[must_use]
    pub fn ip_header_size(&self) -> Option<u32> {
        self.present(MetadataFields::IP_HEADER_SIZE)
            .map(|values| values.ipHeaderSize)
    }

    /// Bytes of the transport header.
    #[must_use]
    pub fn transport_header_size(&self) -> Option<u32> {
        self.present(MetadataFields::TRANSPORT_HEADER_SIZE)
            .map(|values| values.transportHeaderSize)
    }

    /// The compartment; name 0, the unspecified one, where there is none.
    #[must_use]
    pub fn compartment_id(&self) -> Option<u32> {
        self.present(MetadataFields::COMPARTMENT_ID)
            .map(|values| values.compartmentId)
    }

    /// The endpoint, good until its socket closes. May be present and 0 for packets the stack makes itself.
    #[must_use]
    pub fn endpoint_handle(&self) -> Option<u64> {
        self.present(MetadataFields::TRANSPORT_ENDPOINT_HANDLE)
            .map(|values| values.transportEndpointHandle)
    }

    /// The scope of the remote address.
    #[must_use]
    pub fn remote_scope_id(&self) -> Option<u32> {
        self.present(MetadataFields::REMOTE_SCOPE_ID)
            .map(|values| scope_value(values.remoteScopeId))
    }

    /// Socket control data; copy it to keep it. Nothing if it is empty.
    #[must_use]
    pub fn control_data(&self) -> Option<&'c [u8]> {
        let values = self.present(MetadataFields::TRANSPORT_CONTROL_DATA)?;
        // SAFETY: The member is present, so pointer and length belong together and are valid during the call, which `'c`
        // does not outlive.
        unsafe { bytes(values.controlData.cast(), values.controlDataLength) }
    }

    /// The IP header that a raw socket sent; copy it to keep it. Nothing if it is empty.
    #[must_use]
    pub fn header_include_header(&self) -> Option<&'c [u8]> {
        let values = self.present(MetadataFields::TRANSPORT_HEADER_INCLUDE_HEADER)?;
        // SAFETY: As in `control_data`.
        unsafe {
            bytes(
                values.headerIncludeHeader.cast(),
                values.headerIncludeHeaderLength,
            )
        }
    }

    /// The packet's direction, given for reauthorizations. Nothing, too, for a value that is neither.
    #[must_use]
    pub fn packet_direction(&self) -> Option<Direction> {
        match self
            .present(MetadataFields::PACKET_DIRECTION)?
            .packetDirection
        {
            FWP_DIRECTION_OUTBOUND => Some(Direction::Outbound),
            FWP_DIRECTION_INBOUND => Some(Direction::Inbound),
            _ => None,
        }
    }

    /// The process's identifier.
    #[must_use]
    pub fn process_id(&self) -> Option<u64> {
        self.present(MetadataFields::PROCESS_ID)
            .map(|values| values.processId)
    }

    /// The path of the process's image, UTF-16 as bytes; copy it to keep it.
    #[must_use]
    pub fn process_path(&self) -> Option<&'c [u8]> {
        let values = self.present(MetadataFields::PROCESS_PATH)?;
        // SAFETY: The member is present, so the pointer is null or leads to a blob that is valid during the call.
        let blob = unsafe { values.processPath.as_ref() }?;
        // SAFETY: The blob's pointer and size belong together and are valid as long.
        unsafe { bytes(blob.data, blob.size) }
    }

    /// The flow.
    #[must_use]
    pub fn flow_handle(&self) -> Option<u64> {
        self.present(MetadataFields::FLOW_HANDLE)
            .map(|values| values.flowHandle)
    }

    /// Whether the packet will be classified at an ALE layer and is to be permitted, untouched, before that.
    #[must_use]
    pub fn ale_classify_required(&self) -> bool {
        self.has(MetadataFields::ALE_CLASSIFY_REQUIRED)
    }

    /// Whether this classification can be pended, as far as the metadata say.
    #[must_use]
    pub fn has_completion_handle(&self) -> bool {
        self.completion_handle().is_some()
    }

    /// What FwpsPendOperation0 takes, during the call only.
    pub(crate) fn completion_handle(&self) -> Option<HANDLE> {
        self.present(MetadataFields::COMPLETION_HANDLE)
            .map(|values| values.completionHandle)
            .filter(|handle| !handle.is_null())
    }
}

impl fmt::Debug for Metadata<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metadata").field(&self.fields()).finish()
    }
}

/// A scope as a number.
fn scope_value(scope: SCOPE_ID) -> u32 {
    // SAFETY: The union's members are a number and a bit field of the same 32 bits.
    unsafe { scope.Anonymous.Value }
}

/// The bytes at a pointer; nothing if it is null or there are none.
///
/// # Safety
///
/// If not null, `data` is valid for `length` bytes for `'c`.
unsafe fn bytes<'c>(data: *const u8, length: u32) -> Option<&'c [u8]> {
    let length = usize::try_from(length).ok()?;
    if data.is_null() || length == 0 {
        return None;
    }
    // SAFETY: The caller's promise.
    Some(unsafe { slice::from_raw_parts(data, length) })
}

#[cfg(test)]
mod tests {
    use wfp_sys::fwps::{FWP_BYTE_BLOB, SCOPE_ID_0};

    use super::*;

    fn view(values: &FWPS_INCOMING_METADATA_VALUES0) -> Metadata<'_> {
        // SAFETY: The tests make present pointers valid.
        unsafe { Metadata::new(Some(values)) }
    }

    #[test]
    fn a_member_without_its_bit_is_not_there_whatever_its_value() {
        let values = FWPS_INCOMING_METADATA_VALUES0 {
            ipHeaderSize: 20,
            transportHeaderSize: 8,
            compartmentId: 1,
            transportEndpointHandle: 9,
            completionHandle: core::ptr::dangling_mut(),
            processId: 4,
            flowHandle: 3,
            packetDirection: FWP_DIRECTION_INBOUND,
            ..Default::default()
        };
        let metadata = view(&values);
        assert_eq!(metadata.ip_header_size(), None);
        assert_eq!(metadata.transport_header_size(), None);
        assert_eq!(metadata.compartment_id(), None);
        assert_eq!(metadata.endpoint_handle(), None);
        assert_eq!(metadata.remote_scope_id(), None);
        assert_eq!(metadata.process_id(), None);
        assert_eq!(metadata.flow_handle(), None);
        assert_eq!(metadata.packet_direction(), None);
        assert_eq!(
            (
                metadata.control_data(),
                metadata.header_include_header(),
                metadata.process_path()
            ),
            (None, None, None)
        );
        assert!(!metadata.has_completion_handle() && !metadata.ale_classify_required());
    }

    #[test]
    fn each_bit_shows_its_own_member_and_no_other() {
        let (mut control, mut header, mut path) = (*b"cmsg", *b"header", *b"p\0");
        let mut blob = FWP_BYTE_BLOB {
            size: 2,
            data: path.as_mut_ptr(),
        };
        let mut values = FWPS_INCOMING_METADATA_VALUES0 {
            ipHeaderSize: 24,
            transportHeaderSize: 8,
            compartmentId: 2,
            transportEndpointHandle: 9,
            remoteScopeId: SCOPE_ID {
                Anonymous: SCOPE_ID_0 { Value: 5 },
            },
            controlData: control.as_mut_ptr().cast(),
            controlDataLength: 4,
            headerIncludeHeader: header.as_mut_ptr().cast(),
            headerIncludeHeaderLength: 6,
            packetDirection: FWP_DIRECTION_INBOUND,
            processId: 4,
            processPath: &raw mut blob,
            flowHandle: 3,
            completionHandle: core::ptr::dangling_mut(),
            ..Default::default()
        };
        let bits = [
            MetadataFields::IP_HEADER_SIZE,
            MetadataFields::TRANSPORT_HEADER_SIZE,
            MetadataFields::COMPARTMENT_ID,
            MetadataFields::TRANSPORT_ENDPOINT_HANDLE,
            MetadataFields::REMOTE_SCOPE_ID,
            MetadataFields::TRANSPORT_CONTROL_DATA,
            MetadataFields::TRANSPORT_HEADER_INCLUDE_HEADER,
            MetadataFields::PACKET_DIRECTION,
            MetadataFields::PROCESS_ID,
            MetadataFields::PROCESS_PATH,
            MetadataFields::FLOW_HANDLE,
            MetadataFields::ALE_CLASSIFY_REQUIRED,
            MetadataFields::COMPLETION_HANDLE,
        ];
        for (index, bit) in bits.into_iter().enumerate() {
            values.currentMetadataValues = bit.0;
            let metadata = view(&values);
            assert_eq!(metadata.fields(), bit);
            let shown = [
                metadata.ip_header_size() == Some(24),
                metadata.transport_header_size() == Some(8),
                metadata.compartment_id() == Some(2),
                metadata.endpoint_handle() == Some(9),
                metadata.remote_scope_id() == Some(5),
                metadata.control_data() == Some(b"cmsg"),
                metadata.header_include_header() == Some(b"header"),
                metadata.packet_direction() == Some(Direction::Inbound),
                metadata.process_id() == Some(4),
                metadata.process_path() == Some(b"p\0"),
                metadata.flow_handle() == Some(3),
                metadata.ale_classify_required(),
                metadata.has_completion_handle(),
            ];
            for (other, shown) in shown.into_iter().enumerate() {
                assert_eq!(shown, other == index, "{bit:?} and {:?}", bits[other]);
            }
        }
    }

    #[test]
    fn a_direction_is_one_of_two_or_nothing() {
        for (told, read) in [
            (FWP_DIRECTION_OUTBOUND, Some(Direction::Outbound)),
            (FWP_DIRECTION_INBOUND, Some(Direction::Inbound)),
            (2, None),
        ] {
            let values = FWPS_INCOMING_METADATA_VALUES0 {
                currentMetadataValues: MetadataFields::PACKET_DIRECTION.0,
                packetDirection: told,
                ..Default::default()
            };
            assert_eq!(view(&values).packet_direction(), read);
        }
    }

    #[test]
    fn control_data_that_is_present_but_empty_or_null_is_nothing() {
        let mut data = *b"cmsg";
        let mut values = FWPS_INCOMING_METADATA_VALUES0 {
            currentMetadataValues: MetadataFields::TRANSPORT_CONTROL_DATA.0,
            controlData: data.as_mut_ptr().cast(),
            controlDataLength: 4,
            ..Default::default()
        };
        assert_eq!(view(&values).control_data(), Some(&b"cmsg"[..]));
        values.controlDataLength = 0;
        assert_eq!(view(&values).control_data(), None);
        values.controlData = core::ptr::null_mut();
        values.controlDataLength = 4;
        assert_eq!(view(&values).control_data(), None);
    }

    #[test]
    fn a_null_completion_handle_cannot_be_pended_with_although_its_bit_is_set() {
        let values = FWPS_INCOMING_METADATA_VALUES0 {
            currentMetadataValues: MetadataFields::COMPLETION_HANDLE.0,
            ..Default::default()
        };
        assert!(!view(&values).has_completion_handle());
    }

    #[test]
    fn no_metadata_at_all_is_all_absent() {
        // SAFETY: There is nothing to point anywhere.
        let metadata = unsafe { Metadata::new(None) };
        assert_eq!(metadata.fields(), MetadataFields(0));
        assert_eq!(metadata.ip_header_size(), None);
    }
}
