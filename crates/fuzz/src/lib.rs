//! Fuzz targets: one for each thing that takes bytes from outside. A target is a function of bytes that panics if something is wrong.
//!
//! `cargo test -p fuzz` gives each target its corpus, and every beginning of it. `cargo xtask fuzz` lets libFuzzer make up more.

mod input;
mod targets;

pub use targets::TARGETS;
pub use targets::Target;

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
