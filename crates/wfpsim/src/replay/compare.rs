//! What came out, compared with what went in.

use wfpsim_packet::IpPacket;
use wfpsim_packet::Transport;
use wfpsim_packet::checksum;
use wfpsim_packet::checksum::Checksum;

use crate::stack::Arrival;
use crate::stack::Fate;
use crate::stack::Side;

/// Between whom a packet is, in words.
pub(crate) fn ends(packet: &[u8]) -> String {
    IpPacket::parse(packet).map_or_else(
        |_| "a packet without headers".to_owned(),
        |ip| {
            let ports = Transport::parse(&ip)
                .ok()
                .and_then(|transport| transport.ports());
            let ports = ports.map_or(String::new(), |(from, to)| {
                format!(", ports {from} to {to}")
            });
            format!(
                "protocol {} from {} to {}{ports}",
                ip.protocol(),
                ip.source(),
                ip.destination()
            )
        },
    )
}

/// Where a packet that did not come out was last, in words.
pub(crate) fn fate(fate: Fate) -> String {
    match fate {
        Fate::OnTheWay => "the stack still had it".to_owned(),
        Fate::Held => "a callout took it and did not bring it back".to_owned(),
        Fate::Blocked => "it was blocked although the policy permits it".to_owned(),
        Fate::Dropped(reason) => format!("it was dropped after injection: {reason}"),
        Fate::Delivered | Fate::Sent => "it came out, unseen".to_owned(),
    }
}

/// How what came out differs from the packet that was to come out on `side`, from the transport header on and in addresses
/// and protocol.
pub(crate) fn difference(side: Side, packet: &[u8], arrival: &Arrival) -> Option<String> {
    let (Ok(wanted), Ok(found)) = (IpPacket::parse(packet), IpPacket::parse(&arrival.bytes)) else {
        return Some("its headers cannot be read".to_owned());
    };
    if side != arrival.side {
        return Some("it came out on the other side".to_owned());
    }
    let ends = |ip: &IpPacket<'_>| (ip.source(), ip.destination(), ip.protocol());
    if ends(&wanted) != ends(&found) {
        return Some(format!("{:?} became {:?}", ends(&wanted), ends(&found)));
    }
    let (wanted_bytes, found_bytes) = (wanted.payload(), found.payload());
    if wanted_bytes.len() != found_bytes.len() {
        return Some(format!(
            "{} bytes became {}",
            wanted_bytes.len(),
            found_bytes.len()
        ));
    }
    let at = wanted_bytes
        .iter()
        .zip(found_bytes)
        .position(|(wanted, found)| wanted != found)?;
    // A rebuilt header brings full checksums: where the packet had none, or only the sum of the pseudo-header,
    // there is a right one now. Nothing else may differ.
    let unfinished = !matches!(checksum::verify(&wanted), Checksum::Good);
    if unfinished {
        let mut completed = packet.to_vec();
        if checksum::fill(&mut completed) == Ok(true)
            && completed.get(wanted.header_len()..) == arrival.bytes.get(found.header_len()..)
        {
            return None;
        }
    }
    Some(format!(
        "byte {at} behind the IP header was {:#04x} and is {:#04x}",
        wanted_bytes[at], found_bytes[at]
    ))
}
