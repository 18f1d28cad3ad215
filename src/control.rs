//! The control device's requests.

use nt::kmdf::Request;
use nt::{NtStatus, Result};
use tollgate_abi::{Counters, IOCTL_TOLLGATE_COUNTERS};

use crate::entry::Tollgate;

/// Answers a request, at once. STATUS_INVALID_DEVICE_REQUEST for a code that is not known.
///
/// IRQL = PASSIVE_LEVEL.
pub fn answer(tollgate: &Tollgate, mut request: Request) {
    let answered = match request.code() {
        IOCTL_TOLLGATE_COUNTERS => counters(tollgate, &mut request),
        _ => Err(NtStatus::INVALID_DEVICE_REQUEST),
    };
    request.complete(NtStatus::of(&answered));
}

/// IOCTL_TOLLGATE_COUNTERS. STATUS_BUFFER_TOO_SMALL when the output is shorter than the reply.
fn counters(tollgate: &Tollgate, request: &mut Request) -> Result<()> {
    let mut room = request.output(Counters::SIZE)?;
    // Written from a buffer of its own, so that not one byte more than the reply leaves the kernel (D-06). Put together when there is
    // room for it: a copy that lived across that call would be made twice.
    let mut reply = [0; Counters::SIZE];
    tollgate
        .counters
        .snapshot()
        .write_to(&mut reply)
        .ok_or(NtStatus::BUFFER_TOO_SMALL)?;
    room.write(&reply)
}
