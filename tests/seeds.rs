//! One capture with IPsec, reauthorization and loopback in it, under ten thousand seeds.

mod story;

use wfpsim::Config;
use wfpsim::replay::Block;

/// How many seeds. `TOLLGATE_SEEDS` says otherwise, for a longer or a shorter look.
fn seeds() -> u64 {
    std::env::var("TOLLGATE_SEEDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000)
}

#[test]
fn ten_thousand_seeds_of_the_seed_story_are_clean() {
    let hosts = ["192.0.2.10", "2001:db8:10::10"].map(|host| host.parse().expect("an address"));
    let captures = story::captures();
    let story = story::plan(
        &captures.join("seed-story.pcap"),
        Some(&hosts),
        Some(&captures.join("seed-story.sa.toml")),
    );
    // On one host thread: what a machine costs is changing protections of memory, which two threads of a process cannot do at
    // the same time.
    let mut totals = [0u64; 4];
    for seed in 0..seeds() {
        let summary = story.tollgate(Config::new(seed), Block::default());
        assert!(summary.is_clean(), "{summary}");
        assert_eq!((summary.delivered, summary.sent), (27, 13), "{summary}");
        let stack = &summary.stack;
        let counts = [stack.held, stack.rebuilt, stack.reauthorized, stack.pended];
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
    }
    // The freedoms were used: without these the test would be about less than it says.
    assert!(
        totals.iter().all(|&total| total > seeds()),
        "held, rebuilt, reauthorized, pended: {totals:?}"
    );
}
