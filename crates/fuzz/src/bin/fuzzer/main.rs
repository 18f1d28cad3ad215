//! libFuzzer with the targets of this package: `cargo xtask fuzz` builds it with coverage counters and runs it.
//!
//! The target is named by the environment variable `FUZZ_TARGET` and not by an argument, because libFuzzer reads the arguments
//! itself, and starts itself again with them when it makes an input smaller.

#![no_main]

mod memory;
mod planted;
mod signals;

use std::sync::LazyLock;

use fuzz::Target;
use libfuzzer_sys::fuzz_target;

#[global_allocator]
static ALLOCATOR: memory::Limited = memory::Limited;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found =
        fuzz::target(&name).or_else(|| planted::TARGETS.iter().find(|target| target.name == name));
    let Some(&Target { name, run }) = found else {
        eprintln!("FUZZ_TARGET: there is no target {name:?}");
        std::process::exit(2);
    };
    Target { name, run }
});

fuzz_target!(
    init: LazyLock::force(&TARGET),
    |bytes: &[u8]| {
        signals::prepare();
        (TARGET.run)(bytes);
    }
);
