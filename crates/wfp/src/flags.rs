//! Two families of bits that share values and must not be mixed (A-14): a type for each.

use wfp_sys::consts;

macro_rules! bit_set {
    ($(#[$type_doc:meta])* $type:ident { $($(#[$doc:meta])* $name:ident = $value:ident;)+ }) => {
        $(#[$type_doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
        #[repr(transparent)]
        pub struct $type(
            /// The bits.
            pub u32,
        );

        impl $type {
            $($(#[$doc])* pub const $name: $type = $type(consts::$value);)+

            /// Whether all bits of `other` are set.
            #[must_use]
            pub const fn contains(self, other: $type) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any bit of `other` is set.
            #[must_use]
            pub const fn intersects(self, other: $type) -> bool {
                self.0 & other.0 != 0
            }

            /// The bits of both.
            #[must_use]
            pub const fn union(self, other: $type) -> $type {
                $type(self.0 | other.0)
            }
        }
    };
}

bit_set! {
    /// What the FLAGS field of a layer says about a packet (`FWP_CONDITION_FLAG_*`).
    ///
    /// Not comparable with [`MetadataFields`], although the numbers overlap: a reassembled packet's flag has the number of the
    /// transport header size's presence (A-14).
    ///
    /// ```compile_fail,E0308
    /// # use wfp::{ConditionFlags, MetadataFields};
    /// ConditionFlags::IS_REASSEMBLED.contains(MetadataFields::TRANSPORT_HEADER_SIZE);
    /// ```
    ConditionFlags {
        /// Loopback; the only right test for IP loopback (A-83).
        IS_LOOPBACK = FWP_CONDITION_FLAG_IS_LOOPBACK;
        /// Protected by IPsec: the AH or ESP header is still in the packet (A-63).
        IS_IPSEC_SECURED = FWP_CONDITION_FLAG_IS_IPSEC_SECURED;
        /// A reauthorization, which cannot be pended (A-69).
        IS_REAUTHORIZE = FWP_CONDITION_FLAG_IS_REAUTHORIZE;
        /// The endpoint is bound to a wildcard address.
        IS_WILDCARD_BIND = FWP_CONDITION_FLAG_IS_WILDCARD_BIND;
        /// A raw socket's.
        IS_RAW_ENDPOINT = FWP_CONDITION_FLAG_IS_RAW_ENDPOINT;
        /// A fragment.
        IS_FRAGMENT = FWP_CONDITION_FLAG_IS_FRAGMENT;
        /// A group of fragments.
        IS_FRAGMENT_GROUP = FWP_CONDITION_FLAG_IS_FRAGMENT_GROUP;
        /// Classified again after NAT traversal was taken off.
        IS_IPSEC_NATT_RECLASSIFY = FWP_CONDITION_FLAG_IS_IPSEC_NATT_RECLASSIFY;
        /// The socket was bound implicitly.
        IS_IMPLICIT_BIND = FWP_CONDITION_FLAG_IS_IMPLICIT_BIND;
        /// Put together from fragments; its IP header checksum is wrong (A-60).
        IS_REASSEMBLED = FWP_CONDITION_FLAG_IS_REASSEMBLED;
        /// A promiscuous socket's.
        IS_PROMISCUOUS = FWP_CONDITION_FLAG_IS_PROMISCUOUS;
        /// Classified again.
        IS_RECLASSIFY = FWP_CONDITION_FLAG_IS_RECLASSIFY;
    }
}

bit_set! {
    /// Which members of the metadata are present (`FWPS_METADATA_FIELD_*`, A-13).
    MetadataFields {
        /// The flow handle.
        FLOW_HANDLE = FWPS_METADATA_FIELD_FLOW_HANDLE;
        /// The IP header's size.
        IP_HEADER_SIZE = FWPS_METADATA_FIELD_IP_HEADER_SIZE;
        /// The process's image path.
        PROCESS_PATH = FWPS_METADATA_FIELD_PROCESS_PATH;
        /// The process's identifier.
        PROCESS_ID = FWPS_METADATA_FIELD_PROCESS_ID;
        /// The transport header's size.
        TRANSPORT_HEADER_SIZE = FWPS_METADATA_FIELD_TRANSPORT_HEADER_SIZE;
        /// The compartment.
        COMPARTMENT_ID = FWPS_METADATA_FIELD_COMPARTMENT_ID;
        /// What pending takes.
        COMPLETION_HANDLE = FWPS_METADATA_FIELD_COMPLETION_HANDLE;
        /// The endpoint.
        TRANSPORT_ENDPOINT_HANDLE = FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE;
        /// Socket control data.
        TRANSPORT_CONTROL_DATA = FWPS_METADATA_FIELD_TRANSPORT_CONTROL_DATA;
        /// The scope of the remote address.
        REMOTE_SCOPE_ID = FWPS_METADATA_FIELD_REMOTE_SCOPE_ID;
        /// The packet's direction.
        PACKET_DIRECTION = FWPS_METADATA_FIELD_PACKET_DIRECTION;
        /// Not a member but a statement: the packet will be classified at an ALE layer, too, and is left alone before (A-66).
        ALE_CLASSIFY_REQUIRED = FWPS_METADATA_FIELD_ALE_CLASSIFY_REQUIRED;
        /// The IP header that a raw socket sent.
        TRANSPORT_HEADER_INCLUDE_HEADER = FWPS_METADATA_FIELD_TRANSPORT_HEADER_INCLUDE_HEADER;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reassembled_packets_flag_has_the_number_of_a_metadata_bit() {
        // The overlap that makes two types worth having (A-14).
        assert_eq!(
            ConditionFlags::IS_REASSEMBLED.0,
            MetadataFields::TRANSPORT_HEADER_SIZE.0
        );
    }

    #[test]
    fn contains_wants_all_bits_and_intersects_any() {
        let flags = ConditionFlags::IS_LOOPBACK.union(ConditionFlags::IS_REAUTHORIZE);
        let other = ConditionFlags::IS_LOOPBACK.union(ConditionFlags::IS_FRAGMENT);
        assert!(
            flags.contains(ConditionFlags::IS_LOOPBACK)
                && !flags.contains(other)
                && flags.intersects(other)
        );
    }
}
