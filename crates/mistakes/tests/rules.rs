//! The table of rules and the mistakes name each other.

use wfpsim::verifier::rules::Check;
use wfpsim::verifier::rules::Rule;

#[test]
fn every_mistake_that_a_rule_counts_on_is_there_and_breaks_that_rule() {
    for rule in Rule::all() {
        let Check::Tested { by } = rule.check else {
            continue;
        };
        for name in by {
            let mistake = mistakes::all().find(|mistake| mistake.name == *name);
            let mistake = mistake
                .unwrap_or_else(|| panic!("{} counts on a mistake {name}: there is none", rule.id));
            assert_eq!(mistake.rule, rule.id, "{name}");
        }
    }
}

#[test]
fn every_mistake_is_named_by_its_rule() {
    for mistake in mistakes::all() {
        let rule = Rule::find(mistake.rule);
        let rule =
            rule.unwrap_or_else(|| panic!("{}: there is no rule {}", mistake.name, mistake.rule));
        let named = match rule.check {
            Check::Tested { by } => by.contains(&mistake.name),
            Check::NotChecked { .. } | Check::Open => false,
        };
        assert!(
            named,
            "the row of {} in crates/wfpsim/src/verifier/rules does not name {}",
            rule.id, mistake.name
        );
    }
}

#[test]
fn no_two_mistakes_have_one_name() {
    let mut names: Vec<_> = mistakes::all().map(|mistake| mistake.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_parameter_of_every_report_is_explained() {
    let mut bare = Vec::new();
    for mistake in mistakes::all() {
        for violation in mistake.run(true, 0).violations {
            let parameters = violation.parameters.iter().zip(&violation.arguments);
            for (index, (value, told)) in parameters.enumerate() {
                if *value != 0 && told.is_empty() {
                    let (name, rule) = (mistake.name, violation.rule);
                    bare.push(format!(
                        "{name}: {rule}, parameter {}: {value:#x}",
                        index + 1
                    ));
                }
            }
        }
    }
    assert!(
        bare.is_empty(),
        "crates/wfpsim/src/verifier/arguments.rs has no words for\n{}",
        bare.join("\n")
    );
}
