//! The shipped image in the simulator: the very .sys that `cargo xtask image` builds is loaded, entered and unloaded. That it does
//! with packets what the linked driver does, every other whole-driver test sees to: `story/forms.rs`.

#![cfg(target_arch = "x86_64")]

mod story;

use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::driver::Driver;
use wfpsim::driver::LoadError;
use wfpsim::driver::Parameters;
use wfpsim::driver::tollgate_counters;
use wfpsim::image::Image;

const STATUS_INSUFFICIENT_RESOURCES: i32 = 0xC000_009A_u32 as i32;

#[test]
fn the_image_keeps_little_in_vector_registers_so_its_calls_are_cheap() {
    let Some(Driver::Image(image)) = story::forms::image() else {
        return;
    };
    // See docs/image.md. A copy of some hundred bytes that lives across a call is what breaks this.
    assert!(
        image.highest_kept.is_none_or(|register| register <= 7),
        "a function keeps something in xmm{:?}",
        image.highest_kept
    );
}

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

#[test]
fn a_mistake_in_the_image_is_told_with_the_functions_that_led_to_it() {
    let Some(path) = story::forms::path() else {
        return;
    };
    let mut bytes = std::fs::read(path).expect("the image is there");
    // mov edx, 'TlGt': the tag is the second argument of ExFreePoolWithTag. From now on each names a tag that nothing has.
    let free = b"\xBATlGt";
    let places: Vec<usize> = (0..bytes.len())
        .filter(|&at| bytes[at..].starts_with(free))
        .collect();
    assert!(!places.is_empty(), "the image frees nothing");
    for at in places {
        bytes[at + 1] = b'!';
    }
    let mut image = Image::parse(&bytes).expect("it is an image still");
    image.pdb = Some(path.with_extension("pdb"));
    let machine = Machine::new(Config::plain());
    // Whether DriverEntry fails or the machine comes down before it returns is not what this is about.
    let _ = machine.load(&image.into(), &Parameters::default());
    let violations = machine.violations();
    let told = violations.first().expect("a tag was wrong").to_string();
    let kind = "Arg1: 000000000000000a, pool was freed with another tag\n";
    assert!(told.contains(kind), "{told}");
    assert!(told.contains("allocated with: 'TlGt'"), "{told}");
    // The simulator's function, and behind the crossing of conventions the image's own, by its PDB.
    let stack = told.split_once("STACK_TEXT:").expect("there is a stack").1;
    let frames: Vec<&str> = stack.lines().map(str::trim).collect();
    let kernel = frames
        .iter()
        .position(|frame| frame.starts_with("ExFreePoolWithTag"));
    let next = kernel.and_then(|at| frames.get(at + 1));
    assert!(
        next.is_some_and(|frame| frame.starts_with("driver!nt::pool::free")
            && frame.contains("crates/nt/src/pool.rs @")),
        "{told}"
    );
}
