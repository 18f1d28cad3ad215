//! A security association: who, how, and with which keys.

use std::fmt;
use std::net::IpAddr;

/// Which of the two IPsec protocols an association uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Encapsulating Security Payload, IP protocol 50 (RFC 4303).
    Esp,
    /// Authentication Header, IP protocol 51 (RFC 4302).
    Ah,
}

impl Protocol {
    /// The number of the protocol in an IP header.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Esp => 50,
            Self::Ah => 51,
        }
    }

    /// The name of the protocol in an SA file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Esp => "esp",
            Self::Ah => "ah",
        }
    }
}

/// What an association protects: the payload of a packet, or a packet in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// The IP header stays, its payload is protected.
    Transport,
    /// A whole IP packet is protected and travels behind an IP header of its own.
    Tunnel,
}

/// What selects an association on receipt: the triple of RFC 4301, section 4.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SaKey {
    /// The address that the protected packet is sent to in the end (after source routing, if any).
    pub dst: IpAddr,
    /// The security parameters index.
    pub spi: u32,
    /// AH or ESP.
    pub protocol: Protocol,
}

impl fmt::Display for SaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} spi {:#010x} to {}",
            self.protocol.name(),
            self.spi,
            self.dst
        )
    }
}

/// How ESP hides the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// Not at all (RFC 2410). Also what AH has.
    Null,
    /// AES in CBC mode with a 16-byte IV (RFC 3602).
    AesCbc,
    /// AES in Galois/counter mode with an 8-byte IV and a 16-byte integrity value (RFC 4106).
    AesGcm,
    /// Three-key triple DES in CBC mode with an 8-byte IV (RFC 2451).
    TripleDesCbc,
}

impl Encryption {
    /// The name of the algorithm in an SA file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::AesCbc => "aes-cbc",
            Self::AesGcm => "aes-gcm",
            Self::TripleDesCbc => "3des-cbc",
        }
    }

    /// Lengths of the key that the algorithm takes, in bytes. For GCM the 4-byte salt is counted.
    #[must_use]
    pub const fn key_lengths(self) -> &'static [usize] {
        match self {
            Self::Null => &[0],
            Self::AesCbc => &[16, 24, 32],
            Self::AesGcm => &[20, 28, 36],
            Self::TripleDesCbc => &[24],
        }
    }

    /// Length in bytes of the IV that stands before the ciphertext.
    #[must_use]
    pub const fn iv_len(self) -> usize {
        match self {
            Self::Null => 0,
            Self::AesCbc => 16,
            Self::AesGcm | Self::TripleDesCbc => 8,
        }
    }

    /// What the length of the ciphertext must be a multiple of, in bytes: the cipher's block, and
    /// never less than the 4 bytes that RFC 4303, section 2.4, asks of every ESP packet.
    #[must_use]
    pub const fn alignment(self) -> usize {
        match self {
            Self::Null | Self::AesGcm => 4,
            Self::AesCbc => 16,
            Self::TripleDesCbc => 8,
        }
    }
}

/// How the packet is authenticated, when the cipher does not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Authentication {
    /// Not at all, or by the cipher (GCM).
    None,
    /// HMAC-SHA-1 cut to 96 bits (RFC 2404).
    HmacSha1_96,
    /// HMAC-SHA-256 cut to 128 bits (RFC 4868).
    HmacSha256_128,
    /// HMAC-MD5 cut to 96 bits (RFC 2403).
    HmacMd5_96,
}

impl Authentication {
    /// The name of the algorithm in an SA file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::HmacSha1_96 => "hmac-sha1-96",
            Self::HmacSha256_128 => "hmac-sha256-128",
            Self::HmacMd5_96 => "hmac-md5-96",
        }
    }

    /// Length of the key in bytes. Each of these algorithms has exactly one length when used with
    /// IPsec.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::HmacSha1_96 => 20,
            Self::HmacSha256_128 => 32,
            Self::HmacMd5_96 => 16,
        }
    }

    /// Length in bytes of the integrity check value in the packet.
    #[must_use]
    pub const fn icv_len(self) -> usize {
        match self {
            Self::None => 0,
            Self::HmacSha1_96 | Self::HmacMd5_96 => 12,
            Self::HmacSha256_128 => 16,
        }
    }
}

/// The bytes of a key. They do not appear in debug output.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeyMaterial(Vec<u8>);

impl KeyMaterial {
    /// Takes the bytes of a key.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes of the key.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for KeyMaterial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, not shown", self.0.len())
    }
}

/// What is wrong with one field of an association, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldProblem {
    /// The field, by its name in an SA file.
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

/// One security association, that is: one direction of traffic between two hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Association {
    /// What selects it.
    pub key: SaKey,
    /// The address of the sender. Not used to select the association: behind a NAT it is not what
    /// the packet shows.
    pub src: IpAddr,
    /// Transport or tunnel.
    pub mode: Mode,
    /// Of ESP; [`Encryption::Null`] with AH.
    pub encryption: Encryption,
    /// The key of `encryption`, for GCM with its 4-byte salt at the end.
    pub encryption_key: KeyMaterial,
    /// How the integrity check value is made.
    pub authentication: Authentication,
    /// The key of `authentication`.
    pub authentication_key: KeyMaterial,
    /// ESP travels in UDP to or from port 4500 (RFC 3948).
    pub udp_encap: bool,
}

impl Association {
    /// Whether a packet of this association proves who sent it. Where it does not, sequence numbers
    /// prove nothing either, and there is no replay check (RFC 4303, section 3.4.3).
    #[must_use]
    pub fn authenticates(&self) -> bool {
        self.authentication != Authentication::None || self.encryption == Encryption::AesGcm
    }

    /// Length in bytes of the integrity check value in a packet of this association.
    #[must_use]
    pub fn icv_len(&self) -> usize {
        if self.encryption == Encryption::AesGcm {
            16
        } else {
            self.authentication.icv_len()
        }
    }

    /// Everything about the association that cannot work. Empty means that it can be used.
    #[must_use]
    pub fn problems(&self) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        let mut say = |field, message: String| problems.push(FieldProblem { field, message });
        if self.key.spi < 256 {
            say(
                "spi",
                format!(
                    "is {}; 0 means no association and 1 to 255 are reserved, so 256 is the least",
                    self.key.spi
                ),
            );
        }
        if self.src.is_ipv4() != self.key.dst.is_ipv4() {
            say(
                "src",
                format!(
                    "is {} but dst is {}; both must be IPv4 or both IPv6",
                    self.src, self.key.dst
                ),
            );
        }
        match self.key.protocol {
            Protocol::Ah => {
                if self.encryption != Encryption::Null {
                    say(
                        "enc",
                        format!(
                            "is \"{}\"; AH does not encrypt, leave it out or say \"null\"",
                            self.encryption.name()
                        ),
                    );
                }
                if self.authentication == Authentication::None {
                    say("auth", "is \"none\"; AH is nothing but authentication, say one of the hmac algorithms".into());
                }
                if self.udp_encap {
                    say(
                        "udp_encap",
                        "is true; only ESP travels in UDP, because a NAT breaks AH".into(),
                    );
                }
            }
            Protocol::Esp => {
                if self.encryption == Encryption::AesGcm
                    && self.authentication != Authentication::None
                {
                    say(
                        "auth",
                        format!(
                            "is \"{}\"; aes-gcm authenticates by itself, leave it out or say \"none\"",
                            self.authentication.name()
                        ),
                    );
                }
                if self.encryption == Encryption::Null
                    && self.authentication == Authentication::None
                {
                    say(
                        "auth",
                        "is \"none\" and enc is \"null\"; ESP must do at least one of the two"
                            .into(),
                    );
                }
            }
        }
        let length = self.encryption_key.bytes().len();
        if !self.encryption.key_lengths().contains(&length) {
            say(
                "enc_key",
                wrong_length(
                    length,
                    self.encryption.name(),
                    self.encryption.key_lengths(),
                ),
            );
        }
        let length = self.authentication_key.bytes().len();
        if self.authentication.key_len() != length {
            say(
                "auth_key",
                wrong_length(
                    length,
                    self.authentication.name(),
                    &[self.authentication.key_len()],
                ),
            );
        }
        problems
    }
}

/// Says which key lengths an algorithm takes.
fn wrong_length(length: usize, algorithm: &str, right: &[usize]) -> String {
    if right == [0] {
        return format!("is {length} bytes; \"{algorithm}\" has no key, leave it out");
    }
    let bytes = right
        .iter()
        .map(usize::to_string)
        .collect::<Vec<_>>()
        .join(" or ");
    let digits = right
        .iter()
        .map(|n| n.saturating_mul(2).to_string())
        .collect::<Vec<_>>()
        .join(" or ");
    let salt = if algorithm == Encryption::AesGcm.name() {
        ", the 4-byte salt at the end included"
    } else {
        ""
    };
    if length == 0 {
        return format!(
            "is missing; \"{algorithm}\" takes {bytes} bytes, which are {digits} hex digits{salt}"
        );
    }
    format!(
        "is {length} bytes; \"{algorithm}\" takes {bytes} bytes, which are {digits} hex digits{salt}"
    )
}
