//! The driver that most mistakes are made in is itself correct: on every seed it is clean, and everything comes out.

use mistakes::traffic;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::stack::Fate;

type Story = fn(&Machine);

/// Each story with how many packets it gives to the machine.
const STORIES: [(&str, Story, u64); 15] = [
    ("inbound data", traffic::inbound_data, 2),
    ("inbound ESP", traffic::inbound_esp, 2),
    ("inbound tunnel", traffic::inbound_tunnel, 2),
    ("inbound reassembled", traffic::inbound_reassembled, 2),
    ("outbound datagram", traffic::outbound_datagram, 1),
    ("outbound batch", traffic::outbound_batch, 2),
    (
        "outbound with control data",
        traffic::outbound_with_control_data,
        1,
    ),
    ("outbound raw", traffic::outbound_raw, 1),
    ("outbound reset", traffic::outbound_reset, 1),
    ("loopback", traffic::loopback, 1),
    ("accept", traffic::accept, 2),
    ("accept of a datagram", traffic::accept_datagram, 1),
    ("connect", traffic::connect, 1),
    ("connect with a datagram", traffic::connect_datagram, 1),
    ("everything", traffic::everything, 12),
];

fn run(name: &str, story: Story, packets: u64, config: Config) -> Machine {
    let seed = config.seed;
    let machine = Machine::new(config);
    story(&machine);
    let violations: Vec<String> = machine
        .violations()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(
        violations.is_empty(),
        "{name}, seed {seed}:\n{}",
        violations.join("\n")
    );
    for number in 1..=packets {
        let packet = machine
            .packet(number)
            .expect("the machine knows its packets");
        assert!(
            matches!(packet.fate, Fate::Delivered | Fate::Sent),
            "{name}, seed {seed}: packet {number} is {:?}",
            packet.fate
        );
    }
    machine
}

#[test]
fn it_is_clean_and_loses_nothing_on_a_plain_machine() {
    for (name, story, packets) in STORIES {
        let machine = run(name, story, packets, Config::plain());
        let counts = machine.counts();
        assert!(counts.held + counts.pended > 0, "{name}: nothing was held");
    }
}

#[test]
fn it_is_clean_and_loses_nothing_on_any_seed() {
    for seed in 0..100 {
        for (name, story, packets) in STORIES {
            // A packet that came without room before it cannot be held, and is let pass.
            run(name, story, packets, Config::new(seed));
        }
    }
}

#[test]
fn it_is_clean_whichever_call_fails() {
    for (name, story, _) in STORIES {
        let calls = run(name, story, 0, Config::plain())
            .kernel()
            .fallible_calls();
        for call in 1..=calls {
            let mut config = Config::plain();
            config.faults.fail_call = Some(call);
            let machine = Machine::new(config);
            story(&machine);
            let violations: Vec<String> = machine
                .violations()
                .iter()
                .map(ToString::to_string)
                .collect();
            assert!(
                violations.is_empty(),
                "{name}, call {call}:\n{}",
                violations.join("\n")
            );
        }
    }
}
