//! The certificate table: whether there is a signature, and whose. Nothing is verified.

use cms::cert::CertificateChoices;
use cms::cert::x509::der::Reader;
use cms::cert::x509::der::SliceReader;
use cms::content_info::ContentInfo;
use cms::signed_data::SignedData;
use cms::signed_data::SignerIdentifier;
use object::pe;

use super::pe::Pe;

/// The signature of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// There is none: test signing is to come, or the catalogue has it.
    Absent,
    /// There is one; the subject of the signer's certificate, if it could be read.
    Present(Option<String>),
}

/// The head of a WIN_CERTIFICATE: length, revision, type.
const HEAD: usize = 8;

pub(super) fn read(pe: &Pe<'_>) -> Signature {
    // The one directory whose address is an offset in the file.
    let Some((offset, size)) = pe.directory(pe::IMAGE_DIRECTORY_ENTRY_SECURITY) else {
        return Signature::Absent;
    };
    let table = pe
        .bytes
        .get(offset as usize..)
        .map(|rest| &rest[..rest.len().min(size as usize)]);
    let signed = table.and_then(|table| table.get(HEAD..));
    Signature::Present(signed.and_then(signer))
}

/// The subject of the certificate that the first signer names.
fn signer(bytes: &[u8]) -> Option<String> {
    // Behind the structure the table is padded to a multiple of eight.
    let content: ContentInfo = SliceReader::new(bytes).ok()?.decode().ok()?;
    let signed: SignedData = content.content.decode_as().ok()?;
    let first = signed.signer_infos.0.iter().next()?;
    let SignerIdentifier::IssuerAndSerialNumber(wanted) = &first.sid else {
        return None;
    };
    signed.certificates?.0.iter().find_map(|choice| {
        let CertificateChoices::Certificate(certificate) = choice else {
            return None;
        };
        let facts = &certificate.tbs_certificate;
        (facts.serial_number == wanted.serial_number && facts.issuer == wanted.issuer)
            .then(|| facts.subject.to_string())
    })
}
