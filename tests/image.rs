//! The shipped image in the simulator: the very .sys that `cargo xtask image` builds is loaded, entered and unloaded.

#![cfg(target_arch = "x86_64")]

mod story;

use std::path::Path;
use std::path::PathBuf;

use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::driver::Driver;
use wfpsim::driver::Parameters;
use wfpsim::driver::tollgate;
use wfpsim::driver::tollgate_counters;
use wfpsim::image::Image;
use wfpsim::replay::Block;

/// Where the image is, if it was built.
fn image() -> Option<Image> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("target"),
        PathBuf::from,
    );
    let path = target.join("image/x86_64/tollgate.sys");
    if !path.is_file() {
        println!(
            "SKIPPED: {} is not there; `cargo xtask image` builds it",
            path.display()
        );
        return None;
    }
    Some(Image::open(&path).unwrap_or_else(|error| panic!("{error}")))
}

#[test]
fn the_image_loads_answers_and_unloads_without_a_trace() {
    let Some(image) = image() else { return };
    let driver = Driver::from(image);
    for seed in 0..20 {
        let machine = Machine::new(Config::new(seed));
        machine
            .load(&driver, &Parameters::default())
            .unwrap_or_else(|error| panic!("{error}: {:?}", machine.violations()));
        assert!(
            tollgate_counters(&machine)
                .iter()
                .any(|(_, name, _)| *name == "engine_added")
        );
        let leaks = machine.unload_driver();
        assert!(leaks.is_empty(), "{leaks:?}");
        assert!(
            machine.violations().is_empty(),
            "{:?}",
            machine.violations()
        );
    }
}

#[test]
fn the_image_does_with_a_capture_what_the_linked_driver_does() {
    let Some(image) = image() else { return };
    let driver = Driver::from(image);
    let captures = story::captures();
    let hosts = ["192.0.2.10", "2001:db8:10::10"].map(|host| host.parse().expect("an address"));
    let story = story::plan(
        &captures.join("seed-story.pcap"),
        Some(&hosts),
        Some(&captures.join("seed-story.sa.toml")),
    );
    for seed in 0..200 {
        let [linked, image] = [Driver::from(tollgate()), driver.clone()].map(|driver| {
            let summary = story.run(driver, Config::new(seed), Block::default());
            assert!(summary.is_clean(), "{summary}");
            assert_eq!((summary.delivered, summary.sent), (27, 13), "{summary}");
            (summary.stack, summary.dropped, summary.driver)
        });
        assert_eq!(linked, image, "seed {seed}");
    }
}
