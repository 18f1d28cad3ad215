//! The little of DER that a catalog needs, written and read.

/// Tags of the types in use.
pub mod tag {
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// OBJECT IDENTIFIER.
    pub const OID: u8 = 0x06;
    /// UTCTime.
    pub const UTC_TIME: u8 = 0x17;
    /// BMPString.
    pub const BMP_STRING: u8 = 0x1E;
    /// SEQUENCE.
    pub const SEQUENCE: u8 = 0x30;
    /// SET.
    pub const SET: u8 = 0x31;
    /// `[0]` with something inside.
    pub const CONTEXT_0: u8 = 0xA0;
    /// `[2]` with something inside.
    pub const CONTEXT_2: u8 = 0xA2;
}

/// One element.
pub fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length @ 0..0x80) => bytes.push(length),
        _ => {
            let length = content.len().to_be_bytes();
            let significant: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            bytes.push(0x80 | significant.len() as u8);
            bytes.extend(significant);
        }
    }
    bytes.extend(content);
    bytes
}

/// A SEQUENCE of elements.
pub fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    element(tag::SEQUENCE, &parts.concat())
}

/// A SET of elements, in the order that DER asks for.
pub fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut parts = parts.to_vec();
    parts.sort();
    element(tag::SET, &parts.concat())
}

/// An object identifier.
pub fn oid(arcs: &[u32]) -> Vec<u8> {
    let mut content = Vec::new();
    let (first, rest) = match arcs {
        [first, second, rest @ ..] => (first * 40 + second, rest),
        _ => (0, arcs),
    };
    for arc in [&[first], rest].concat() {
        let mut septets = vec![arc as u8 & 0x7F];
        let mut arc = arc >> 7;
        while arc > 0 {
            septets.push(arc as u8 & 0x7F | 0x80);
            arc >>= 7;
        }
        content.extend(septets.iter().rev());
    }
    element(tag::OID, &content)
}

/// A number, which is not negative.
pub fn integer(value: u32) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let start = bytes.iter().take(3).take_while(|byte| **byte == 0).count();
    let significant = &bytes[start..];
    // The top bit is the sign.
    let sign: &[u8] = if significant[0] & 0x80 != 0 {
        &[0]
    } else {
        &[]
    };
    element(tag::INTEGER, &[sign, significant].concat())
}

/// NULL.
pub fn null() -> Vec<u8> {
    vec![0x05, 0]
}

/// Takes the first element off: its tag, what is in it, and what follows. `None` if there is no whole one.
pub fn take(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = if *first < 0x80 {
        (usize::from(*first), rest)
    } else {
        let count = usize::from(first & 0x7F);
        if count == 0 || count > 4 {
            return None;
        }
        let (length, rest) = rest.split_at_checked(count)?;
        let length = length
            .iter()
            .fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// What is in the first element, which must have this tag.
pub fn inside(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    take(bytes)
        .filter(|(found, ..)| *found == tag)
        .map(|(_, content, _)| content)
}

/// The elements one after another: tag and content. Ends at the first that is not whole.
pub fn elements(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (tag, content, rest) = take(bytes)?;
        bytes = rest;
        Some((tag, content))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_identifiers_are_encoded_as_others_encode_them() {
        assert_eq!(
            oid(&[1, 2, 840, 113_549, 1, 7, 2]),
            b"\x06\x09\x2A\x86\x48\x86\xF7\x0D\x01\x07\x02"
        );
        assert_eq!(
            oid(&[1, 3, 6, 1, 4, 1, 311, 10, 1]),
            b"\x06\x09\x2B\x06\x01\x04\x01\x82\x37\x0A\x01"
        );
        assert_eq!(integer(1), [2, 1, 1]);
        assert_eq!(integer(0x80), [2, 2, 0, 0x80]);
        assert_eq!(integer(0x1001_0001), [2, 4, 0x10, 1, 0, 1]);
        assert_eq!(element(4, &[7; 200])[..3], [4, 0x81, 200]);
        assert_eq!(element(4, &[7; 300])[..4], [4, 0x82, 1, 44]);
    }

    #[test]
    fn what_was_written_is_read_and_what_was_cut_off_is_not() {
        let bytes = sequence(&[&integer(5), &element(4, &[1; 300])]);
        let content = inside(&bytes, tag::SEQUENCE).unwrap();
        assert_eq!(
            elements(content)
                .map(|(tag, content)| (tag, content.len()))
                .collect::<Vec<_>>(),
            [(2, 1), (4, 300)]
        );
        for length in 0..bytes.len() {
            assert_eq!(take(&bytes[..length]), None);
        }
    }
}
