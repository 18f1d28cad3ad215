//! The histories of objects: whose they are, how long they are remembered, and that the number that stands for their order differs
//! where the order does.

use wfpsim::Config;
use wfpsim::Machine;

/// How many of the dead are remembered.
const DEAD: usize = 8192;

#[test]
fn each_object_has_a_history_and_a_rule_of_its_own() {
    let machine = Machine::new(Config::plain());
    let ledger = &machine.kernel().ledger;
    let (clone, list) = (ledger.begin("a clone"), ledger.begin("a list"));
    assert_ne!(clone, list);
    assert_eq!(ledger.label(clone), "a clone");
    assert_eq!(ledger.label(list), "a list");
    ledger.set_late_rule(clone, "A-28");
    assert_eq!(ledger.late_rule(clone), Some("A-28"));
    assert_eq!(ledger.late_rule(list), None);
}

#[test]
fn the_oldest_of_the_dead_is_forgotten_when_there_are_too_many_and_not_before() {
    let machine = Machine::new(Config::plain());
    let ledger = &machine.kernel().ledger;
    // A machine is made with objects of its own; none of them has ended.
    let alive = ledger.begin("alive");
    let before = ledger.remembered();
    let oldest = ledger.begin("the oldest");
    ledger.end(oldest);
    for _ in 1..DEAD {
        ledger.end(ledger.begin("dead"));
    }
    assert_eq!(ledger.label(oldest), "the oldest");
    assert_eq!(ledger.remembered(), before + DEAD);
    ledger.end(ledger.begin("one too many"));
    assert_ne!(ledger.label(oldest), "the oldest");
    assert_eq!(ledger.remembered(), before + DEAD);
    ledger.end(ledger.begin("and one more"));
    assert_eq!(ledger.remembered(), before + DEAD);
    assert_eq!(ledger.label(alive), "alive");
}
