//! The catalog: which files belong to the package, by their digests, in the form that is signed.
//!
//! Inf2Cat makes it on Windows; no Debian package or crate does. The form is a PKCS #7 signed-data object around a list of trusted
//! subjects (szOID_CTL), each with its digest and a few attributes. Microsoft documents the identifiers (mscat.h, wintrust.h) and not the
//! whole; what is here agrees with two public descriptions of what Inf2Cat writes, and osslsigncode, which knows nothing of this code, signs it
//! and finds the image in it. No Windows has read one: see docs/building.md.

use sha1::Sha1;
use sha2::{Digest, Sha256};

use super::authenticode;
use super::der::{self, element, integer, null, oid, sequence, set, tag};

/// 1.3.6.1.4.1.311, Microsoft's.
macro_rules! microsoft {
    ($($arc:literal),+) => { &[1, 3, 6, 1, 4, 1, 311, $($arc),+] };
}

const SIGNED_DATA: &[u32] = &[1, 2, 840, 113_549, 1, 7, 2];
/// szOID_CTL.
const CTL: &[u32] = microsoft!(10, 1);
/// szOID_CATALOG_LIST.
const CATALOG_LIST: &[u32] = microsoft!(12, 1, 1);
/// szOID_CATALOG_LIST_MEMBER2: members are known by digests of more than one algorithm.
const CATALOG_LIST_MEMBER2: &[u32] = microsoft!(12, 1, 3);
/// CAT_NAMEVALUE_OBJID.
const NAME_VALUE: &[u32] = microsoft!(12, 2, 1);
/// CAT_MEMBERINFO2_OBJID.
const MEMBER_INFO2: &[u32] = microsoft!(12, 2, 3);
/// SPC_INDIRECT_DATA_OBJID.
const INDIRECT_DATA: &[u32] = microsoft!(2, 1, 4);
/// SPC_PE_IMAGE_DATA_OBJID.
const PE_IMAGE_DATA: &[u32] = microsoft!(2, 1, 15);
/// SPC_CAB_DATA_OBJID, which stands for a file that is just bytes.
const FLAT_DATA: &[u32] = microsoft!(2, 1, 25);
const SHA256: &[u32] = &[2, 16, 840, 1, 101, 3, 4, 2, 1];

/// What Inf2Cat gives an attribute for flags.
const ATTRIBUTE_FLAGS: u32 = 0x1001_0001;
/// Windows 10 and later, by the version of its kernel.
const OS_ATTRIBUTE: &str = "2:10.0";

/// A file of the package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Whether it is an image, whose digest leaves out its signature.
    pub image: bool,
    /// SHA-1.
    pub sha1: Vec<u8>,
    /// SHA-256.
    pub sha256: Vec<u8>,
}

impl Member {
    /// The member that a file is.
    pub fn new(name: &str, content: &[u8]) -> Self {
        let of_image = authenticode::digest::<Sha256>(content);
        Self {
            name: name.to_owned(),
            image: of_image.is_some(),
            sha1: authenticode::digest::<Sha1>(content)
                .unwrap_or_else(|| Sha1::digest(content).to_vec()),
            sha256: of_image.unwrap_or_else(|| Sha256::digest(content).to_vec()),
        }
    }
}

/// An unsigned catalog. `time` is when it says that it was made, as `YYMMDDhhmmssZ`.
pub fn make(members: &[Member], time: &str) -> Vec<u8> {
    let mut entries: Vec<(Vec<u8>, Vec<u8>)> = members
        .iter()
        .flat_map(|member| {
            [
                (member.sha1.clone(), subject(member, &member.sha1, false)),
                (member.sha256.clone(), subject(member, &member.sha256, true)),
            ]
        })
        .collect();
    // Inf2Cat's order.
    entries.sort();
    let entries: Vec<u8> = entries.into_iter().flat_map(|(_, entry)| entry).collect();
    // Any 16 bytes; these are the same for the same files.
    let identifier = &Sha256::digest(&entries)[..16];
    let list = sequence(&[
        &sequence(&[&oid(CATALOG_LIST)]),
        &element(tag::OCTET_STRING, identifier),
        &element(tag::UTC_TIME, time.as_bytes()),
        &sequence(&[&oid(CATALOG_LIST_MEMBER2), &null()]),
        &element(tag::SEQUENCE, &entries),
    ]);
    let signed_data = sequence(&[
        &integer(1),
        &set(&[]), // no digest algorithms
        &sequence(&[&oid(CTL), &element(tag::CONTEXT_0, &list)]),
        &set(&[]), // no signers
    ]);
    sequence(&[&oid(SIGNED_DATA), &element(tag::CONTEXT_0, &signed_data)])
}

/// One entry of the list: a digest, and what is known of the file that has it.
fn subject(member: &Member, digest: &[u8], with_indirect_data: bool) -> Vec<u8> {
    // What kind of file: [0] for an image, [2] for bytes.
    let kind = if member.image { 0x80 } else { 0x82 };
    let mut attributes = vec![
        attribute(MEMBER_INFO2, element(kind, &[])),
        attribute(NAME_VALUE, name_value("OSAttr", OS_ATTRIBUTE)),
        attribute(NAME_VALUE, name_value("File", &member.name)),
    ];
    if with_indirect_data {
        attributes.push(attribute(
            INDIRECT_DATA,
            indirect_data(member.image, digest),
        ));
    }
    sequence(&[&element(tag::OCTET_STRING, digest), &set(&attributes)])
}

fn attribute(identifier: &[u32], value: Vec<u8>) -> Vec<u8> {
    sequence(&[&oid(identifier), &set(&[value])])
}

fn name_value(name: &str, value: &str) -> Vec<u8> {
    let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let value: Vec<u8> = value
        .encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect();
    sequence(&[
        &element(tag::BMP_STRING, &name),
        &integer(ATTRIBUTE_FLAGS),
        &element(tag::OCTET_STRING, &value),
    ])
}

/// SpcIndirectDataContent: what the digest is of, and the digest.
fn indirect_data(image: bool, digest: &[u8]) -> Vec<u8> {
    // A link to a file, which is empty.
    let link = element(tag::CONTEXT_2, &element(0x80, &[]));
    let subject = if image {
        /// A bit string of the three bits 101: SpcPeImageData's flags as signing tools write them.
        const FLAGS: [u8; 4] = [0x03, 0x02, 0x05, 0xA0];
        let data = sequence(&[&FLAGS, &element(tag::CONTEXT_0, &link)]);
        sequence(&[&oid(PE_IMAGE_DATA), &data])
    } else {
        sequence(&[&oid(FLAT_DATA), &link])
    };
    let digest = sequence(&[
        &sequence(&[&oid(SHA256), &null()]),
        &element(tag::OCTET_STRING, digest),
    ]);
    sequence(&[&subject, &digest])
}

/// The members of a catalog, signed or not: each digest with the name beside it. `None` if it is no catalog.
pub fn read(catalog: &[u8]) -> Option<Vec<(Vec<u8>, String)>> {
    let info = der::inside(catalog, tag::SEQUENCE)?;
    let (_, _, content) = der::take(info)?;
    let signed_data = der::inside(der::inside(content, tag::CONTEXT_0)?, tag::SEQUENCE)?;
    // Version, digest algorithms, content.
    let (_, content) = der::elements(signed_data).nth(2)?;
    let mut content_parts = der::elements(content);
    if element(tag::OID, content_parts.next()?.1) != oid(CTL) {
        return None;
    }
    let (_, list) = content_parts.next()?;
    let (_, entries) = der::elements(der::inside(list, tag::SEQUENCE)?).nth(4)?;
    let mut members = Vec::new();
    for (_, entry) in der::elements(entries) {
        let mut parts = der::elements(entry);
        let (_, digest) = parts.next()?;
        let (_, attributes) = parts.next()?;
        let name = der::elements(attributes).find_map(|(_, attribute)| file_name(attribute))?;
        members.push((digest.to_vec(), name));
    }
    Some(members)
}

/// The value of the attribute `File`.
fn file_name(attribute: &[u8]) -> Option<String> {
    let mut parts = der::elements(attribute);
    if element(tag::OID, parts.next()?.1) != oid(NAME_VALUE) {
        return None;
    }
    let (_, values) = parts.next()?;
    let mut fields = der::elements(der::inside(values, tag::SEQUENCE)?);
    let name: Vec<u8> = "File".encode_utf16().flat_map(u16::to_be_bytes).collect();
    if fields.next()?.1 != name {
        return None;
    }
    let (_, value) = fields.nth(1)?;
    let units: Vec<u16> = value
        .as_chunks()
        .0
        .iter()
        .map(|unit| u16::from_le_bytes(*unit))
        .take_while(|unit| *unit != 0)
        .collect();
    String::from_utf16(&units).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Sample;

    #[test]
    fn what_was_put_in_is_read_out_under_both_digests() {
        let image = Sample::default().bytes();
        let members = [
            Member::new("tollgate.sys", &image),
            Member::new("tollgate.inf", b"[Version]\r\n"),
        ];
        assert!(members[0].image && !members[1].image);
        let read = read(&make(&members, "261123000000Z")).unwrap();
        assert_eq!(read.len(), 4);
        for member in members {
            for digest in [&member.sha1, &member.sha256] {
                assert!(read.contains(&(digest.clone(), member.name.clone())));
            }
        }
    }

    #[test]
    fn the_same_files_make_the_same_catalog() {
        let members = [Member::new("a", b"1"), Member::new("b", b"2")];
        let turned = [members[1].clone(), members[0].clone()];
        assert_eq!(
            make(&members, "261123000000Z"),
            make(&turned, "261123000000Z")
        );
    }

    #[test]
    fn a_catalog_that_was_cut_off_is_none() {
        let catalog = make(&[Member::new("a", b"1")], "261123000000Z");
        for length in 0..catalog.len() {
            assert_eq!(read(&catalog[..length]), None);
        }
    }
}
