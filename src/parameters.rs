//! The service's Parameters key: what may be there, and what it means.
//!
//! | value | type | what it is | without it |
//! |---|---|---|---|
//! | `BlockRemoteAddress` | REG_SZ | an IPv4 or IPv6 address in text, without a scope | no address is blocked |
//! | `BlockRemotePort` | REG_DWORD | 1 to 65535 | no port is blocked |
//! | `QueuePackets` | REG_DWORD | 1 to 1048576 packets | 4096 |
//! | `QueueBytes` | REG_DWORD | 1 to 1073741824 bytes | 8388608 |
//! | `QueueAgeMilliseconds` | REG_DWORD | 1 to 60000 | 1000 |
//!
//! With address and port both, only what has both is blocked.
//!
//! A value that is there and cannot mean anything stops the driver from loading, with STATUS_INVALID_PARAMETER: a
//! machine whose owner asked for a block must not run without it because of a slip of the pen.

use core::net::IpAddr;
use core::time::Duration;

use nt::kmdf::{Load, Parameters};
use nt::utf16::WStr;
use nt::{NtStatus, Passive, Result, utf16};

use crate::queue::Limits;
use crate::verdict::Policy;

/// The longest text of an address: eight groups of IPv6 with an IPv4 tail.
const LONGEST_ADDRESS: usize = 45;

/// What the Parameters key says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Configuration {
    /// Whom to block.
    pub policy: Policy,
    /// The queue's bounds.
    pub limits: Limits,
}

/// Reads the key. Without the key, everything is at its default.
///
/// STATUS_INVALID_PARAMETER for a value of another type or out of its range; other errors of the registry as they
/// are. IRQL = PASSIVE_LEVEL.
pub fn read(passive: &Passive, load: &Load<'_>) -> Result<Configuration> {
    let Some(parameters) = optional(load.parameters(passive))? else {
        return Ok(Configuration::default());
    };
    let defaults = Limits::default();
    let age = number(passive, &parameters, utf16!("QueueAgeMilliseconds"), 60_000)?;
    Ok(Configuration {
        policy: Policy::new(
            address(passive, &parameters, utf16!("BlockRemoteAddress"))?,
            number(
                passive,
                &parameters,
                utf16!("BlockRemotePort"),
                u32::from(u16::MAX),
            )?
            .map(u16::try_from)
            .transpose()
            .map_err(|_| NtStatus::INVALID_PARAMETER)?,
        ),
        limits: Limits {
            packets: number(passive, &parameters, utf16!("QueuePackets"), 1 << 20)?
                .unwrap_or(defaults.packets),
            bytes: number(passive, &parameters, utf16!("QueueBytes"), 1 << 30)?
                .unwrap_or(defaults.bytes),
            age: age.map_or(defaults.age, |milliseconds| {
                Duration::from_millis(milliseconds.into())
            }),
        },
    })
}

/// `None` for what is not there, and STATUS_INVALID_PARAMETER for what is there and is not what it should be.
fn optional<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(NtStatus::OBJECT_NAME_NOT_FOUND) => Ok(None),
        Err(
            NtStatus::OBJECT_TYPE_MISMATCH | NtStatus::BUFFER_OVERFLOW | NtStatus::BUFFER_TOO_SMALL,
        ) => Err(NtStatus::INVALID_PARAMETER),
        Err(status) => Err(status),
    }
}

/// A REG_DWORD from 1 to `largest`.
fn number(
    passive: &Passive,
    parameters: &Parameters,
    name: &WStr,
    largest: u32,
) -> Result<Option<u32>> {
    in_range(optional(parameters.read_u32(passive, name))?, largest)
}

/// The value, if it is from 1 to `largest`.
fn in_range(value: Option<u32>, largest: u32) -> Result<Option<u32>> {
    match value {
        Some(value) if value == 0 || value > largest => Err(NtStatus::INVALID_PARAMETER),
        value => Ok(value),
    }
}

/// A REG_SZ with an address in it.
fn address(passive: &Passive, parameters: &Parameters, name: &WStr) -> Result<Option<IpAddr>> {
    let mut buffer = [0; LONGEST_ADDRESS + 1];
    let text = optional(parameters.read_string(passive, name, &mut buffer))?;
    text.map(|text| parse_address(text).ok_or(NtStatus::INVALID_PARAMETER))
        .transpose()
}

/// An address from UTF-16 text; spaces around it do not matter.
fn parse_address(text: &[u16]) -> Option<IpAddr> {
    let mut ascii = [b' '; LONGEST_ADDRESS + 1];
    let ascii = ascii.get_mut(..text.len())?;
    for (byte, unit) in ascii.iter_mut().zip(text) {
        *byte = u8::try_from(*unit).ok().filter(u8::is_ascii)?;
    }
    core::str::from_utf8(ascii).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn wide(text: &str) -> Vec<u16> {
        text.encode_utf16().collect()
    }

    #[test]
    fn both_families_are_read() {
        assert_eq!(
            parse_address(&wide("203.0.113.7")),
            "203.0.113.7".parse().ok()
        );
        assert_eq!(
            parse_address(&wide(" 2001:db8::7 ")),
            "2001:db8::7".parse().ok()
        );
    }

    #[test]
    fn the_longest_address_fits() {
        let longest = "2001:0db8:0000:0000:0000:ffff:203.100.113.107";
        assert_eq!(longest.len(), LONGEST_ADDRESS);
        assert_eq!(parse_address(&wide(longest)), longest.parse().ok());
        let spaced = format!("{longest} ");
        assert_eq!(parse_address(&wide(&spaced)), longest.parse().ok());
    }

    #[test]
    fn what_is_not_an_address_is_not_read() {
        for text in [
            "",
            "203.0.113",
            "203.0.113.7:443",
            "fe80::1%3",
            "example.com",
            "203.0.113.٧",
            "２０３.0.113.7",
        ] {
            assert_eq!(parse_address(&wide(text)), None, "{text:?}");
        }
        assert_eq!(
            parse_address(&[b'1'.into(); LONGEST_ADDRESS + 2]),
            None,
            "longer than any address"
        );
    }

    #[test]
    fn a_port_of_zero_or_past_the_last_is_refused() {
        for value in [0, 65_536, u32::MAX] {
            assert_eq!(
                in_range(Some(value), 65_535),
                Err(NtStatus::INVALID_PARAMETER)
            );
        }
        assert_eq!(in_range(Some(65_535), 65_535), Ok(Some(65_535)));
        assert_eq!(in_range(None, 65_535), Ok(None));
    }

    #[test]
    fn a_missing_value_is_no_error_and_one_of_another_type_is() {
        assert_eq!(
            optional::<u32>(Err(NtStatus::OBJECT_NAME_NOT_FOUND)),
            Ok(None)
        );
        assert_eq!(
            optional::<u32>(Err(NtStatus::OBJECT_TYPE_MISMATCH)),
            Err(NtStatus::INVALID_PARAMETER)
        );
        let no_memory = NtStatus::INSUFFICIENT_RESOURCES;
        assert_eq!(
            optional::<u32>(Err(no_memory)),
            Err(no_memory),
            "not the owner's slip"
        );
    }

    proptest! {
        #[test]
        fn every_address_reads_back(address: IpAddr) {
            prop_assert_eq!(parse_address(&wide(&address.to_string())), Some(address));
        }

        #[test]
        fn any_text_is_read_or_refused(text: Vec<u16>) {
            let expected = String::from_utf16(&text).ok()
                .filter(|text| text.is_ascii() && text.len() <= LONGEST_ADDRESS + 1)
                .and_then(|text| text.trim().parse().ok());
            prop_assert_eq!(parse_address(&text), expected);
        }
    }
}
