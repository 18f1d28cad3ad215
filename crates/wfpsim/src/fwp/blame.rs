//! Which rule of the filter engine's a bad touch of memory breaks, where the address tells it.
//!
//! What a classify does not tell is no zero: an absent member of the metadata and the value of an empty field are numbers that nothing
//! else has, and pointers into the first pages, where nothing ever is. A driver that uses one is told of that, and not of
//! whatever it would lead to.

use wfp_sys::consts;
use wfp_sys::fwps::FWPS_INCOMING_METADATA_VALUES0;

use crate::machine::Kernel;
use crate::machine::Time;
use crate::memory::Block;
use crate::memory::BlockState;
use crate::memory::Purpose;
use crate::verifier::ObjectId;

/// What the value of an FWP_EMPTY field reads as: as a number, and as an address that nothing can be at.
pub(crate) const EMPTY: usize = 0x2200;
/// What an absent pointer of the metadata is.
const ABSENT_POINTER: usize = 0x1300;
/// What an absent handle of the metadata is.
const ABSENT_HANDLE: u64 = 0xFFFF_BAD0_0000_1300;
/// What an absent number of the metadata is: as a length, longer than any packet.
const ABSENT_NUMBER: u32 = 0x4000_1300;
/// Two of them added up, and what is added to them, stay below.
const ABSENT_NUMBERS_END: u32 = 0x8001_0000;

/// Fills the absent members of a classify's metadata.
pub(super) fn hide_absent(values: &mut FWPS_INCOMING_METADATA_VALUES0) {
    let absent = |bit: u32| values.currentMetadataValues & bit == 0;
    let [
        ip,
        transport,
        compartment,
        completion,
        endpoint,
        control,
        header,
    ] = [
        absent(consts::FWPS_METADATA_FIELD_IP_HEADER_SIZE),
        absent(consts::FWPS_METADATA_FIELD_TRANSPORT_HEADER_SIZE),
        absent(consts::FWPS_METADATA_FIELD_COMPARTMENT_ID),
        absent(consts::FWPS_METADATA_FIELD_COMPLETION_HANDLE),
        absent(consts::FWPS_METADATA_FIELD_TRANSPORT_ENDPOINT_HANDLE),
        absent(consts::FWPS_METADATA_FIELD_TRANSPORT_CONTROL_DATA),
        absent(consts::FWPS_METADATA_FIELD_TRANSPORT_HEADER_INCLUDE_HEADER),
    ];
    if ip {
        values.ipHeaderSize = ABSENT_NUMBER;
    }
    if transport {
        values.transportHeaderSize = ABSENT_NUMBER;
    }
    if compartment {
        values.compartmentId = ABSENT_NUMBER;
    }
    if completion {
        values.completionHandle = ABSENT_HANDLE as *mut _;
    }
    if endpoint {
        values.transportEndpointHandle = ABSENT_HANDLE;
    }
    if control {
        (values.controlData, values.controlDataLength) = (ABSENT_POINTER as *mut _, 16);
    }
    if header {
        (values.headerIncludeHeader, values.headerIncludeHeaderLength) =
            (ABSENT_POINTER as *mut _, 16);
    }
}

/// Whether a number that a driver hands to the platform was made of one that its classify did not tell.
pub(crate) fn is_absent_number(value: u32) -> bool {
    (ABSENT_NUMBER..ABSENT_NUMBERS_END).contains(&value)
}

/// The same of a handle.
pub(super) fn is_absent_handle(value: u64) -> bool {
    value == ABSENT_HANDLE
}

/// The rule that a touch of `address` breaks, and how it came about; `None` if it is no rule of the filter engine's. `block` is
/// what lies nearest.
pub(crate) fn blame(
    kernel: &Kernel,
    address: usize,
    block: Option<&Block>,
) -> Option<(&'static str, &'static str)> {
    let freed = block.filter(|block| block.state == BlockState::Freed);
    if freed.is_some_and(|block| block.purpose == Purpose::ClassifyArguments) {
        return Some((
            "A-12",
            "the arguments of a classify are good until it returns",
        ));
    }
    if let Some(when) = freed.and_then(|block| went_with_unload(kernel, block.object)) {
        return Some((
            kernel.fwp.when_gone_too_early(when, "C-50"),
            "the unload routine freed it while there were calls that use it under way or to come",
        ));
    }
    if (EMPTY..EMPTY + 0x100).contains(&address) {
        return Some((
            "A-22",
            "the field was FWP_EMPTY, and its value was read without looking at its type",
        ));
    }
    if (ABSENT_POINTER..EMPTY).contains(&address) {
        return Some((
            "A-13",
            "the classify's metadata does not have that pointer; its bit is not set",
        ));
    }
    let thread = kernel.running_thread()?.id;
    if address < 0x1000 && kernel.fwp.is_told_of_deletion(thread) {
        return Some((
            "A-08",
            "notifyFn is told of a deletion without the filter's key",
        ));
    }
    let bare = kernel.fwp.with_frame(thread, |frame| frame.list == 0) == Some(true);
    (bare && address < size_of::<wfp_sys::ndis::NET_BUFFER_LIST>())
        .then_some(("A-20", "the classify shows no packet: layerData is NULL"))
}

/// Whether an object was ended by the unload routine, which still runs, and not on the running thread.
/// Gives when.
pub(super) fn went_with_unload(kernel: &Kernel, object: ObjectId) -> Option<Time> {
    let (unloading, began) = kernel.unloading()?;
    if kernel.running_thread()?.id == unloading {
        return None;
    }
    let events = kernel.ledger.events(object);
    let end = events.last().filter(|event| {
        event.time >= began && event.thread.is_some_and(|(thread, _)| thread == unloading)
    })?;
    Some(end.time)
}
