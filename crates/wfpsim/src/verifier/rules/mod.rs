//! The table of rules: every rule of the platform's contract, what breaking it leads to, whether Windows itself would
//! notice, and the mistake that shows that this verifier does.
//!
//! The numbers are those of docs/contract.md, which says more about each and names its sources. A test compares the two.

mod a_ale;
mod a_classify;
mod a_headers;
mod a_injection;
mod a_packets;
mod a_registration;
mod b;
mod c;
mod d;
pub mod json;
mod shown;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

pub use text::Full;
pub use text::Table;

/// One rule of the contract.
#[derive(Debug)]
pub struct Rule {
    /// Its number in docs/contract.md: "A-28", "B-03"; "A.1", "C.1" and "D.1" for the tables of levels and parameters.
    pub id: &'static str,
    /// The rule in a short sentence.
    pub title: &'static str,
    /// What is at stake.
    pub severity: Severity,
    /// Whether Windows would notice.
    pub windows: Windows,
    /// Whether this verifier does, and what shows it.
    pub check: Check,
    /// What breaking it means and leads to, for people.
    pub meaning: &'static str,
    /// What else to read: anchors of this repository's documents, and names of Microsoft's pages. The rule's own place in
    /// docs/contract.md is [`Rule::contract`].
    pub read: &'static [&'static str],
}

/// What is at stake where a rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The machine stops, at once or when somebody meets the damage.
    BugCheck,
    /// Memory or state of others is damaged; what follows is chance.
    Corruption,
    /// Something waits for ever.
    Hang,
    /// Memory, a packet or an object is never given back.
    Leak,
    /// Somebody gets what should have been refused, or sees what is not theirs.
    Security,
    /// Packets or connections are lost, doubled or altered.
    PacketLoss,
    /// A call fails, or the driver does not do what it is for.
    Failure,
    /// Not wrong in itself, but it costs, or goes wrong with others.
    Advice,
    /// Says what the platform does. There is nothing to break.
    Fact,
}

impl Severity {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Self::BugCheck => "bug check",
            Self::Corruption => "corruption",
            Self::Hang => "hang",
            Self::Leak => "leak",
            Self::Security => "security",
            Self::PacketLoss => "packet loss",
            Self::Failure => "failure",
            Self::Advice => "advice",
            Self::Fact => "fact",
        }
    }
}

/// Whether Windows itself would notice that a rule is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Windows {
    /// It would not; whatever comes of it comes later and elsewhere.
    Nothing,
    /// It would not notice the mistake, but something is likely to break soon: this.
    LaterAs(&'static str),
    /// The call fails with this status.
    Status(&'static str),
    /// It stops with this bug check, whether or not Driver Verifier is on.
    BugCheck(&'static str),
    /// Driver Verifier stops: the option, and the code with its subcode.
    DriverVerifier(&'static str),
    /// Special pool makes the touch itself a fault: the codes.
    SpecialPool(&'static str),
    /// NDIS's own verification stops (Driver Verifier's NDIS/WIFI option): the rule.
    Ndis(&'static str),
    /// The framework stops or refuses (KMDF's verifier): how.
    Framework(&'static str),
    /// There is nothing to notice.
    NotApplicable,
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("no"),
            Self::LaterAs(what) => write!(f, "no; later perhaps {what}"),
            Self::Status(status) => write!(f, "the call returns {status}"),
            Self::BugCheck(code) => write!(f, "yes, bug check {code}"),
            Self::DriverVerifier(how) => write!(f, "Driver Verifier, {how}"),
            Self::SpecialPool(codes) => write!(f, "special pool, {codes}"),
            Self::Ndis(rule) => write!(f, "NDIS verification, {rule}"),
            Self::Framework(how) => write!(f, "KMDF, {how}"),
            Self::NotApplicable => f.write_str("-"),
        }
    }
}

/// Whether this verifier checks a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// It does. These mistakes of crates/mistakes show it.
    Tested {
        /// Their names.
        by: &'static [&'static str],
    },
    /// It does not, and why.
    NotChecked {
        /// In a sentence or two.
        why: &'static str,
    },
    /// It is to be, and is not shown by a mistake yet.
    Open,
}

const PARTS: [&[Rule]; 9] = [
    a_registration::RULES,
    a_classify::RULES,
    a_packets::RULES,
    a_injection::RULES,
    a_headers::RULES,
    a_ale::RULES,
    b::RULES,
    c::RULES,
    d::RULES,
];

impl Rule {
    /// Every rule, in the contract's order.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        PARTS.into_iter().flatten()
    }

    /// The rule of that number, without regard to case.
    pub fn find(id: &str) -> Option<&'static Self> {
        Self::all().find(|rule| rule.id.eq_ignore_ascii_case(id))
    }

    /// Where the contract says it.
    pub fn contract(&self) -> String {
        format!("docs/contract.md, {}", self.id)
    }

    /// The numbers nearest to one that is not there: those that differ least, five of them.
    pub fn near(id: &str) -> Vec<&'static str> {
        let wanted = id.to_ascii_uppercase();
        let mut ids: Vec<_> = Self::all().map(|rule| rule.id).collect();
        ids.sort_by_key(|id| distance(id, &wanted));
        ids.truncate(5);
        ids
    }
}

/// In how many letters two numbers differ (Levenshtein's distance).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (number, letter) in one.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = number + 1;
        for (column, against) in other.bytes().enumerate() {
            let replaced = diagonal + usize::from(letter != against);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

/// How many rules there are, and what becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All.
    pub rules: usize,
    /// Those that are checked, shown by a mistake.
    pub tested: usize,
    /// The mistakes.
    pub mistakes: usize,
    /// Those that are not checked.
    pub not_checked: usize,
    /// Those of them that state a fact.
    pub facts: usize,
    /// Those that no mistake shows yet.
    pub open: usize,
}

impl Counts {
    /// Of the whole table.
    pub fn of_all() -> Self {
        let mut counts = Self::default();
        for rule in Rule::all() {
            counts.rules += 1;
            match rule.check {
                Check::Tested { by } => {
                    counts.tested += 1;
                    counts.mistakes += by.len();
                }
                Check::NotChecked { .. } => {
                    counts.not_checked += 1;
                    counts.facts += usize::from(rule.severity == Severity::Fact);
                }
                Check::Open => counts.open += 1,
            }
        }
        counts
    }
}
