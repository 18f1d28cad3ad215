//! Whom a control device's security descriptor lets in (D-07).

use crate::machine::Kernel;
use crate::verifier::Violation;

/// Groups that every program's user is in, or nobody in particular: as SDDL abbreviates them, and their SIDs.
const EVERYBODY: [(&str, &str); 8] = [
    ("WD", "Everyone"),
    ("AN", "Anonymous"),
    ("AU", "Authenticated Users"),
    ("BU", "Users"),
    ("IU", "Interactive"),
    ("BG", "Guests"),
    ("S-1-1-0", "Everyone"),
    ("S-1-5-11", "Authenticated Users"),
];

/// Records a violation if the descriptor lets everybody in.
pub(super) fn check(kernel: &Kernel, text: &str) {
    if let Some(who) = lets_in(text) {
        let summary = format!("the control device's security descriptor lets in {who}: {text}");
        kernel.record(Violation::contract(kernel, "D-07", [0; 4], summary));
    }
}

/// Whom the discretionary list lets in who should not be, if somebody.
fn lets_in(text: &str) -> Option<&'static str> {
    let (_, list) = text.split_once("D:")?;
    // The system list, if there is one, is another matter.
    let list = list.split("S:").next().unwrap_or(list);
    if list.starts_with("NO_ACCESS_CONTROL") {
        return Some("everybody: it has no list");
    }
    let entries = list.split('(').skip(1);
    entries
        .filter_map(|entry| entry.split(')').next())
        .find_map(|entry| {
            // Type; flags; rights; object; inherited object; whom.
            let mut fields = entry.split(';');
            let allows = matches!(fields.next(), Some("A" | "OA" | "XA"));
            let rights = fields.nth(1).unwrap_or_default();
            let whom = fields.nth(2).unwrap_or_default();
            let named = EVERYBODY.iter().find(|(sid, _)| *sid == whom);
            named
                .filter(|_| allows && !rights.is_empty())
                .map(|(_, name)| *name)
        })
}

#[cfg(test)]
mod tests {
    use super::lets_in;

    #[test]
    fn the_system_and_administrators_are_meant() {
        for text in [
            "D:P",
            "D:P(A;;GA;;;SY)(A;;GA;;;BA)",
            "O:BAG:SYD:P(D;;GA;;;WD)(A;;GA;;;SY)S:(AU;SA;GA;;;WD)",
        ] {
            assert_eq!(lets_in(text), None, "{text}");
        }
    }

    #[test]
    fn everybody_is_not() {
        for (text, who) in [
            ("D:P(A;;GA;;;SY)(A;;GR;;;WD)", "Everyone"),
            ("D:P(A;;0x1;;;S-1-5-11)", "Authenticated Users"),
            ("D:NO_ACCESS_CONTROL", "everybody: it has no list"),
        ] {
            assert_eq!(lets_in(text), Some(who), "{text}");
        }
    }
}
