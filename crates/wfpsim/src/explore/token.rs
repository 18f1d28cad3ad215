//! A run as a word that can be pasted: `wfpsim explore --replay TOKEN` shows it again, on any machine.
//!
//! A token is `w1` and, in the 32 letters and digits that cannot be mistaken for each other (Crockford's base 32), numbers of
//! variable length: the subject's name, what its machine is configured by, and the trace, each place as the distance from
//! the one before. A checksum ends it, so that one that was cut short or mistyped says so.

use std::fmt;

use super::Setup;
use crate::machine::Faults;
use crate::machine::ThreadId;
use crate::machine::choice::Deviation;
use crate::machine::choice::Kind;
use crate::machine::choice::Place;
use crate::machine::choice::Trace;

/// What a token of this version begins with.
const MARK: &str = "w1";
/// The most processors that a machine has.
const PROCESSORS: u8 = 8;
/// Crockford's base 32.
const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A run: of which subject, on which machine, and what was decided otherwise than usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The subject's name.
    pub subject: String,
    /// The machine.
    pub setup: Setup,
    /// The choices.
    pub trace: Trace,
}

/// Why a token is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It does not begin as one of this version does.
    NotOurs,
    /// A character that no token has, at this place.
    Character(char, usize),
    /// The checksum is not that of the rest: it was cut short or changed.
    Damaged,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOurs => write!(f, "this is no token: it does not begin with {MARK:?}"),
            Self::Character(character, at) => write!(
                f,
                "this token is damaged: character {} is {character:?}, which no token has",
                at + 1
            ),
            Self::Damaged => {
                f.write_str("this token is damaged: its checksum is wrong; was it copied whole?")
            }
        }
    }
}

impl std::error::Error for TokenError {}

impl Token {
    /// Reads a token.
    ///
    /// # Errors
    ///
    /// See [`TokenError`].
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let digits = text.strip_prefix(MARK).ok_or(TokenError::NotOurs)?;
        let bytes = decode(digits, MARK.len())?;
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or(TokenError::Damaged)?;
        if checksum(body) != *sum {
            return Err(TokenError::Damaged);
        }
        // From here on only somebody who made up a checksum can be wrong.
        Self::from_body(body).ok_or(TokenError::Damaged)
    }

    /// Reads what a token's letters stand for, without the checksum. A fuzzer does not guess checksums.
    pub fn from_body(body: &[u8]) -> Option<Self> {
        Reader { rest: body }.token()
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::new();
        let mut put = |number: u64| put_number(&mut bytes, number);
        put(self.subject.len() as u64);
        self.subject.bytes().for_each(|byte| put(u64::from(byte)));
        let Setup {
            seed,
            processors,
            free,
            faults,
        } = &self.setup;
        put(*seed);
        put(processors.map_or(0, u64::from));
        put(u64::from(*free));
        put(faults.fail_call.map_or(0, |call| call + 1));
        put(faults.count);
        put(faults.second.map_or(0, |call| call + 1));
        put(self.trace.deviations.len() as u64);
        let mut counts = std::collections::HashMap::new();
        for deviation in &self.trace.deviations {
            let Place { thread, nth } = deviation.place;
            let before = counts.insert(thread, nth).unwrap_or(0u32);
            let kind = match deviation.kind {
                Kind::Preempt => 0,
                Kind::Switch => 1,
                Kind::Environment => 2,
            };
            put(u64::from(thread.0) * 3 + kind);
            // Places of a thread come in order; a stopped thread's may come twice.
            put(u64::from(nth.wrapping_sub(before)));
            put(u64::from(deviation.value));
        }
        let sum = checksum(&bytes);
        bytes.extend(sum);
        f.write_str(MARK)?;
        f.write_str(&encode(&bytes))
    }
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn token(&mut self) -> Option<Token> {
        let length = self.number()? as usize;
        let mut subject = Vec::new();
        for _ in 0..length.min(self.rest.len()) {
            subject.push(u8::try_from(self.number()?).ok()?);
        }
        let subject = String::from_utf8(subject).ok()?;
        let seed = self.number()?;
        let processors = u8::try_from(self.number()?).ok()?;
        let processors = match processors {
            0 => None,
            1..=PROCESSORS => Some(processors),
            _ => return None,
        };
        let free = self.number()? != 0;
        let fail_call = self.number()?.checked_sub(1);
        let count = self.number()?;
        let second = self.number()?.checked_sub(1);
        let faults = Faults {
            fail_call,
            count,
            second,
            functions: Vec::new(),
        };
        let mut trace = Trace::default();
        let mut counts = std::collections::HashMap::new();
        for _ in 0..self.number()? {
            let first = self.small()?;
            let (thread, kind) = (ThreadId(first / 3), first % 3);
            let kind = [Kind::Preempt, Kind::Switch, Kind::Environment][kind as usize];
            let nth = counts.entry(thread).or_insert(0u32);
            *nth = nth.wrapping_add(self.small()?);
            let place = Place { thread, nth: *nth };
            trace.deviations.push(Deviation {
                place,
                kind,
                value: self.small()?,
            });
        }
        let setup = Setup {
            seed,
            processors,
            free,
            faults,
        };
        self.rest.is_empty().then_some(Token {
            subject,
            setup,
            trace,
        })
    }
}

/// FNV-1a of 32 bits.
fn checksum(bytes: &[u8]) -> [u8; 4] {
    let sum = bytes.iter().fold(0x811C_9DC5u32, |sum, &byte| {
        (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    sum.to_le_bytes()
}

fn encode(bytes: &[u8]) -> String {
    let mut text = String::new();
    let (mut held, mut bits) = (0u32, 0);
    for &byte in bytes {
        held = held << 8 | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(DIGITS[(held >> bits & 31) as usize].into());
        }
    }
    if bits > 0 {
        text.push(DIGITS[(held << (5 - bits) & 31) as usize].into());
    }
    text
}

fn decode(digits: &str, from: usize) -> Result<Vec<u8>, TokenError> {
    let mut bytes = Vec::new();
    let (mut held, mut bits) = (0u32, 0);
    for (at, character) in digits.char_indices() {
        let lower = character.to_ascii_lowercase();
        let digit = DIGITS
            .iter()
            .position(|&digit| char::from(digit) == lower)
            .ok_or(TokenError::Character(character, from + at))?;
        held = held << 5 | digit as u32;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn deviations() -> impl Strategy<Value = Vec<Deviation>> {
        let one = (0u32..40, 1u32..100_000, 0..3usize, 0u32..5000);
        proptest::collection::vec(one, 0..50).prop_map(|all| {
            let deviation = |(thread, nth, kind, value)| Deviation {
                place: Place {
                    thread: ThreadId(thread),
                    nth,
                },
                kind: [Kind::Preempt, Kind::Switch, Kind::Environment][kind],
                value,
            };
            all.into_iter().map(deviation).collect()
        })
    }

    proptest! {
        #[test]
        fn a_token_is_read_as_it_was_written(
            subject in "[a-zA-Z0-9 :_-]{0,30}", seed: u64, processors in 0u8..9, call in 0u64..2000, deviations in deviations(),
        ) {
            let token = Token {
                subject,
                setup: Setup {
                    seed,
                    processors: Some(processors).filter(|&count| count > 0),
                    free: seed % 2 == 0,
                    faults: Faults { fail_call: Some(call).filter(|&call| call > 0), ..Faults::default() },
                },
                trace: Trace { deviations },
            };
            prop_assert_eq!(Token::parse(&token.to_string()), Ok(token));
        }

        #[test]
        fn a_token_with_another_character_or_cut_short_is_refused(at in 2usize..30, cut in 1usize..20) {
            let token = Token {
                subject: "ten packets through it".to_owned(),
                setup: Setup { seed: 77, processors: Some(3), free: true, faults: Faults::default() },
                trace: Trace::default(),
            };
            let text = token.to_string();
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'0' { b'1' } else { b'0' };
            let changed = String::from_utf8(changed).expect("ASCII");
            prop_assert_ne!(Token::parse(&changed), Ok(token));
            prop_assert!(Token::parse(&text[..text.len() - cut]).is_err());
        }
    }

    #[test]
    fn what_is_no_token_is_told_from_one_that_is_damaged() {
        assert_eq!(Token::parse("12345"), Err(TokenError::NotOurs));
        assert_eq!(
            Token::parse("w1abu"),
            Err(TokenError::Character('u', 4)),
            "Crockford's digits have no u"
        );
        assert_eq!(Token::parse("w1"), Err(TokenError::Damaged));
    }
}
