//! The fields of one `[[sa]]`.

use std::net::IpAddr;

use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::line_of;
use crate::association::{
    Association, Authentication, Encryption, KeyMaterial, Mode, Protocol, SaKey,
};

/// Every field that there is.
const KNOWN: [&str; 10] = [
    "spi",
    "src",
    "dst",
    "proto",
    "mode",
    "enc",
    "enc_key",
    "auth",
    "auth_key",
    "udp_encap",
];

const PROTOCOLS: [(&str, Protocol); 2] = [("esp", Protocol::Esp), ("ah", Protocol::Ah)];
const MODES: [(&str, Mode); 2] = [("transport", Mode::Transport), ("tunnel", Mode::Tunnel)];
const ENCRYPTIONS: [Encryption; 4] = [
    Encryption::Null,
    Encryption::AesCbc,
    Encryption::AesGcm,
    Encryption::TripleDesCbc,
];
const AUTHENTICATIONS: [Authentication; 4] = [
    Authentication::None,
    Authentication::HmacSha1_96,
    Authentication::HmacSha256_128,
    Authentication::HmacMd5_96,
];

/// Reads the fields of one table and collects what is wrong with them.
pub(super) struct Fields<'a> {
    text: &'a str,
    index: usize,
    /// The line of `[[sa]]`.
    line: usize,
    table: &'a DeTable<'a>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(
        text: &'a str,
        index: usize,
        line: usize,
        table: &'a DeTable<'a>,
        problems: &'a mut Vec<Problem>,
    ) -> Self {
        Self {
            text,
            index,
            line,
            table,
            problems,
        }
    }

    /// The association, or `None` when something is wrong with it and was noted.
    pub(super) fn read(mut self) -> Option<Association> {
        let problems_before = self.problems.len();
        self.refuse_unknown();
        let spi = self.spi();
        let src = self.address("src");
        let dst = self.address("dst");
        let protocol = self.one_of("proto", &PROTOCOLS, None);
        let mode = self.one_of("mode", &MODES, None);
        // AH does not encrypt, so there is nothing to say; of ESP it must be said, for to send in
        // the clear is no default.
        let no_encryption = (protocol == Some(Protocol::Ah)).then_some(Encryption::Null);
        let encryptions = ENCRYPTIONS.map(|algorithm| (algorithm.name(), algorithm));
        let encryption = self.one_of("enc", &encryptions, no_encryption);
        let encryption_key = self.key("enc_key");
        let authentications = AUTHENTICATIONS.map(|algorithm| (algorithm.name(), algorithm));
        let authentication = self.one_of("auth", &authentications, Some(Authentication::None));
        let authentication_key = self.key("auth_key");
        let udp_encap = self.boolean("udp_encap");

        let association = Association {
            key: SaKey {
                dst: dst?,
                spi: spi?,
                protocol: protocol?,
            },
            src: src?,
            mode: mode?,
            encryption: encryption?,
            encryption_key: encryption_key?,
            authentication: authentication?,
            authentication_key: authentication_key?,
            udp_encap: udp_encap?,
        };
        for problem in association.problems() {
            self.say(problem.field, &problem.message);
        }
        (self.problems.len() == problems_before).then_some(association)
    }

    /// Notes a problem, in the line of the field or, where the field is missing, of the table.
    fn say(&mut self, field: &str, message: &str) {
        let place = self.table.iter().find(|(name, _)| name.get_ref() == field);
        let line = place.map_or(self.line, |(name, _)| line_of(self.text, name.span().start));
        self.problems
            .push(Problem::of_sa(self.index, line, field, message));
    }

    fn refuse_unknown(&mut self) {
        let table = self.table;
        for name in table.keys().map(|name| name.get_ref()) {
            if !KNOWN.contains(&name.as_ref()) {
                let message = format!("is no field of an sa; there are {}", KNOWN.join(", "));
                self.say(name, &message);
            }
        }
    }

    fn get(&self, field: &str) -> Option<&'a DeValue<'a>> {
        self.table.get(field).map(toml::Spanned::get_ref)
    }

    fn string(&mut self, field: &str, what: &str) -> Option<&'a str> {
        match self.get(field) {
            Some(DeValue::String(text)) => Some(text),
            Some(other) => {
                let message = format!(
                    "is a TOML {}; it must be {what}, in quotes",
                    other.type_str()
                );
                self.say(field, &message);
                None
            }
            None => {
                self.say(field, &format!("is missing; it must be {what}"));
                None
            }
        }
    }

    fn spi(&mut self) -> Option<u32> {
        let right = "it must be a number from 256 to 0xffffffff";
        match self.get("spi") {
            Some(DeValue::Integer(number)) => {
                let parsed = u32::from_str_radix(number.as_str(), number.radix()).ok();
                if parsed.is_none() {
                    self.say("spi", &format!("is {}; {right}", number.as_str()));
                }
                parsed
            }
            Some(other) => {
                let message = format!("is a TOML {}; {right}, without quotes", other.type_str());
                self.say("spi", &message);
                None
            }
            None => {
                self.say("spi", &format!("is missing; {right}"));
                None
            }
        }
    }

    fn address(&mut self, field: &str) -> Option<IpAddr> {
        let text = self.string(field, "an IPv4 or IPv6 address")?;
        let address = text.parse().ok();
        if address.is_none() {
            self.say(
                field,
                &format!("is \"{text}\"; it must be an IPv4 or IPv6 address"),
            );
        }
        address
    }

    fn one_of<T: Copy>(
        &mut self,
        field: &str,
        choices: &[(&str, T)],
        default: Option<T>,
    ) -> Option<T> {
        if let (None, Some(default)) = (self.get(field), default) {
            return Some(default);
        }
        let names: Vec<_> = choices
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        let right = names.join(" or ");
        let text = self.string(field, &right)?;
        let found = choices
            .iter()
            .find(|(name, _)| *name == text)
            .map(|(_, value)| *value);
        if found.is_none() {
            self.say(field, &format!("is \"{text}\"; it must be {right}"));
        }
        found
    }

    /// A key, empty when it is not there: whether there must be one, and how long, is for the
    /// algorithm to say.
    fn key(&mut self, field: &str) -> Option<KeyMaterial> {
        if self.get(field).is_none() {
            return Some(KeyMaterial::default());
        }
        // The text of a key is not repeated in messages: they end up in logs.
        let digits = self.string(field, "the key in hex digits")?;
        if let Some(at) = digits.find(|c: char| !c.is_ascii_hexdigit()) {
            let message = format!(
                "has something else than a hex digit at position {}",
                at.saturating_add(1)
            );
            self.say(field, &message);
            return None;
        }
        if !digits.len().is_multiple_of(2) {
            self.say(
                field,
                &format!(
                    "has {} hex digits; it must have two for each byte",
                    digits.len()
                ),
            );
            return None;
        }
        let nibbles: Vec<u32> = digits.chars().filter_map(|c| c.to_digit(16)).collect();
        let (pairs, _) = nibbles.as_chunks::<2>();
        let bytes: Vec<u8> = pairs
            .iter()
            .filter_map(|[high, low]| u8::try_from(high << 4 | low).ok())
            .collect();
        Some(KeyMaterial::new(bytes))
    }

    fn boolean(&mut self, field: &str) -> Option<bool> {
        match self.get(field) {
            None => Some(false),
            Some(DeValue::Boolean(value)) => Some(*value),
            Some(other) => {
                let message = format!(
                    "is a TOML {}; it must be true or false, without quotes",
                    other.type_str()
                );
                self.say(field, &message);
                None
            }
        }
    }
}
