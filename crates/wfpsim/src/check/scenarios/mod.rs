//! The scenarios, by what they are about.

mod completions;
mod connections;
mod engine;
mod ipsec;
mod load;
mod memory;
mod policy;
mod power;
mod reauthorize;
mod stack;
mod traffic;
mod unload;

use super::scenario::Scenario;

/// Every scenario, in the order in which they are run and told.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    [
        traffic::SCENARIOS,
        ipsec::SCENARIOS,
        stack::SCENARIOS,
        connections::SCENARIOS,
        reauthorize::SCENARIOS,
        completions::SCENARIOS,
        load::SCENARIOS,
        engine::SCENARIOS,
        power::SCENARIOS,
        unload::SCENARIOS,
        memory::SCENARIOS,
        policy::SCENARIOS,
    ]
    .into_iter()
    .flatten()
}

/// The scenarios whose names match a pattern, in which `*` stands for any characters and `?` for one.
pub fn find(pattern: &str) -> Vec<&'static Scenario> {
    let pattern: Vec<char> = pattern.chars().collect();
    all()
        .filter(|scenario| matches(&pattern, &scenario.name.chars().collect::<Vec<_>>()))
        .collect()
}

fn matches(pattern: &[char], name: &[char]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some(('*', rest)), _) => (0..=name.len()).any(|from| matches(rest, &name[from..])),
        (Some((wanted, pattern)), Some((found, name))) => {
            (wanted == found || *wanted == '?') && matches(pattern, name)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(pattern: &str) -> Vec<&'static str> {
        find(pattern).iter().map(|found| found.name).collect()
    }

    #[test]
    fn a_pattern_finds_what_a_shell_would() {
        assert_eq!(names("tcp-inbound"), ["tcp-inbound"]);
        assert_eq!(names("*p-outbound"), ["tcp-outbound", "udp-outbound"]);
        assert_eq!(names("*").len(), all().count());
        assert_eq!(names("?cp-inboun?"), ["tcp-inbound"]);
        assert!(names("tcp").is_empty());
    }

    #[test]
    fn names_are_words_with_hyphens_and_each_is_there_once() {
        let mut seen = std::collections::BTreeSet::new();
        for scenario in all() {
            let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(scenario.name.chars().all(word), "{scenario:?}");
            assert!(seen.insert(scenario.name), "{scenario:?} is there twice");
            assert!(scenario.seeds > 0 && !scenario.what.is_empty());
        }
    }
}
