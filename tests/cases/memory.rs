//! Memory gone, and everything else that a kernel function may refuse: each fallible call of a short life fails once, and
//! then for good.
//!
//! A load that fails leaves nothing; a load that succeeds unloads clean; and every packet that does not come out is one
//! that the driver counted a reason for.

use tollgate_abi::Counter;
use tollgate_abi::Counters;
use tollgate_abi::Group;
use wfpsim::Config;
use wfpsim::driver::LoadError;
use wfpsim::driver::Parameters;
use wfpsim_packet::transport::TcpFlags;

use crate::machines::Machines;
use crate::packets::*;
use crate::rig::*;
use crate::story;

/// From then on.
const FOR_GOOD: u64 = 1 << 40;

/// Traffic of every kind that takes memory: ESP and AH to be rebuilt, fragments, datagrams and connections both ways.
fn short_life() -> story::Story {
    let captures = story::captures();
    story::plan(
        &captures.join("seed-story.pcap"),
        None,
        Some(&captures.join("seed-story.sa.toml")),
    )
}

/// Loads, replays, unloads; everything that can be judged without knowing which call failed is judged here. Gives the counters
/// and how many packets were lost, or `None` if the load was refused; and how many fallible calls there were.
fn live(
    story: &story::Story,
    config: Config,
    parameters: &Parameters,
) -> (Option<(Counters, u64)>, u64) {
    let (first, seed) = (config.faults.fail_call, config.seed);
    let mut rig = Rig::without_driver(config);
    let told = |machine: &Machines| format!("call {first:?}, seed {seed}\n{}", told(machine));
    match rig.machine.load(parameters) {
        Ok(()) => {}
        Err(LoadError::Refused(status, leaks)) => {
            assert!(
                status < 0 && leaks.is_empty(),
                "{leaks:?} {}",
                told(&rig.machine)
            );
            assert!(
                rig.machine.violations().is_empty(),
                "{}",
                told(&rig.machine)
            );
            let calls = rig.machine.fallible_calls();
            return (None, calls);
        }
        Err(error) => panic!("{error}: {}", told(&rig.machine)),
    }
    for (index, step) in story.steps.iter().enumerate() {
        rig.step(step);
        if index % 3 != 0 {
            rig.run();
        }
    }
    rig.send(udp(at(HOST[0], 5000), at(PEER[0], 6000), 1));
    rig.send(tcp(at(HOST[1], 5000), at(PEER[1], 80), TcpFlags::SYN, 1));
    rig.settle();
    let counters = rig.counters();
    assert_eq!(counters.disagreement(), None, "{}", told(&rig.machine));
    let calls = rig.machine.fallible_calls();
    let leaks = rig.machine.unload_driver();
    assert!(leaks.is_empty(), "{leaks:?} {}", told(&rig.machine));
    rig.run();
    assert!(
        rig.machine.violations().is_empty(),
        "{}",
        told(&rig.machine)
    );
    let lost = rig.compare().len() as u64;
    (Some((counters, lost)), calls)
}

fn quiet(seed: u64) -> Config {
    let mut config = Config::new(seed);
    // A lost packet and a counted one are compared one by one, so an NBL has one packet.
    config.freedom.batch_sends = 0;
    config
}

/// Lives with call k failing, for every k that there is. Gives how many loads were refused, and how many packets were lost.
fn every_call(
    parameters: &Parameters,
    count: u64,
    judge: impl Fn(u64, &Counters, u64),
) -> (u64, u64) {
    let story = short_life();
    let (mut refused, mut lost_in_all) = (0, 0);
    for call in 1.. {
        // The seed is another one each time, so that the calls meet every kind of moment.
        let mut config = quiet(call);
        config.faults.fail_call = Some(call);
        config.faults.count = count;
        let (life, calls) = live(&story, config, parameters);
        match life {
            None => refused += 1,
            Some((counters, lost)) => {
                judge(call, &counters, lost);
                lost_in_all += lost;
            }
        }
        if calls < call {
            assert!(call > 300, "a short life makes more than {call} calls");
            break;
        }
    }
    (refused, lost_in_all)
}

#[test]
fn each_call_fails_once_and_at_most_the_packet_it_was_made_for_is_lost() {
    let (refused, lost) = every_call(&Parameters::default(), 1, |call, counters, lost| {
        assert_eq!(lost, accounted(counters), "call {call}: {counters:?}");
        assert!(lost <= 1, "call {call}: {lost} lost");
    });
    assert!(refused > 40, "{refused} calls of a load");
    assert!(lost > 0, "some failures cost a packet");
}

#[test]
fn from_each_call_on_all_fail_and_every_lost_packet_is_counted() {
    let (refused, lost) = every_call(&Parameters::default(), FOR_GOOD, |call, counters, lost| {
        assert_eq!(lost, accounted(counters), "call {call}: {counters:?}");
    });
    assert!(refused > 40, "{refused} calls of a load");
    assert!(lost > 0);
}

#[test]
fn no_failure_lets_through_what_the_policy_blocks() {
    let parameters = blocking(Some(PEER[0]), None);
    let story = story::Story {
        steps: Vec::new(),
        ..short_life()
    };
    for count in [1, 3, FOR_GOOD] {
        for call in 1..200 {
            let mut config = quiet(call);
            config.faults.fail_call = Some(call);
            config.faults.count = count;
            let mut rig = Rig::without_driver(config);
            if rig.machine.load(&parameters).is_err() {
                continue;
            }
            let (host, peer) = (at(HOST[0], 5000), at(PEER[0], 6000));
            for number in 0..3 {
                rig.receive(udp(peer, host, number));
                rig.send(udp(host, peer, number));
                rig.send(tcp(host, peer, TcpFlags::SYN, number));
                rig.receive(tcp(peer, host, TcpFlags::SYN, number));
                rig.run();
            }
            rig.settle();
            let arrived = rig.machine.take_arrivals();
            assert!(
                arrived.is_empty(),
                "{}: call {call}: {arrived:?}",
                story.name
            );
            rig.unload();
        }
    }
}

#[test]
fn no_memory_at_all_from_the_moment_of_loading_on_means_every_packet_is_decided_at_once() {
    let story = short_life();
    for seed in 0..20 {
        // A life without failures says how many calls a load makes.
        let mut config = quiet(seed);
        config.faults.functions = vec!["ExAllocatePool2"];
        let rig = Rig::new(config.clone());
        let calls = rig.machine.fallible_calls();
        drop(rig);
        config.faults.fail_call = Some(calls + 1);
        config.faults.count = FOR_GOOD;
        let (life, _) = live(&story, config, &Parameters::default());
        let Some((counters, lost)) = life else {
            panic!("the load had its memory");
        };
        assert_eq!(lost, 0);
        assert_eq!(counters.sum(Group::Held), 0, "{counters:?}");
        assert!(counters.get(Counter::InlineNoMemory) > 0);
    }
}

#[test]
fn a_packet_of_which_nobody_can_tell_whether_ipsec_protected_it_is_not_held() {
    let story = short_life();
    for seed in 0..20 {
        let mut config = quiet(seed);
        config.faults.functions = vec!["FwpsGetPacketListSecurityInformation0"];
        config.faults.fail_call = Some(1);
        config.faults.count = FOR_GOOD;
        let (life, _) = live(&story, config, &Parameters::default());
        let (counters, lost) = life.expect("a load asks nothing of this function");
        assert_eq!(lost, 0);
        assert_eq!(counters.get(Counter::HeldInboundTransport), 0, "A-64");
        assert!(counters.get(Counter::InlineSecurityUnknown) > 0);
    }
}
