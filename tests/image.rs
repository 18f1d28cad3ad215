//! The shipped image in the simulator: the very .sys that `cargo xtask image` builds is loaded, entered and unloaded. That it does
//! with packets what the linked driver does, every other whole-driver test sees to: `story/forms.rs`.

#![cfg(target_arch = "x86_64")]

mod story;

use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::driver::LoadError;
use wfpsim::driver::Parameters;
use wfpsim::driver::tollgate_counters;

const STATUS_INSUFFICIENT_RESOURCES: i32 = 0xC000_009A_u32 as i32;

#[test]
fn the_image_loads_answers_and_unloads_without_a_trace() {
    let Some(driver) = story::forms::image() else {
        return;
    };
    for seed in 0..20 {
        let machine = Machine::new(Config::new(seed));
        machine
            .load(driver, &Parameters::default())
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
fn an_image_that_the_framework_refuses_to_bind_is_refused_and_leaves_nothing() {
    let Some(driver) = story::forms::image() else {
        return;
    };
    let mut config = Config::new(1);
    config.faults.functions = vec!["WdfVersionBind"];
    config.faults.fail_call = Some(1);
    let machine = Machine::new(config);
    let refused = machine.load(driver, &Parameters::default());
    assert!(
        matches!(&refused, Err(LoadError::Refused(STATUS_INSUFFICIENT_RESOURCES, leaks)) if leaks.is_empty()),
        "{refused:?}"
    );
    assert!(
        machine.violations().is_empty(),
        "{:?}",
        machine.violations()
    );
}
