//! A driver for every mistake.
//!
//! Each entry of these tables is one mistake that a WFP driver can make, and names the rule of the contract that it breaks.
//! It is made by a small driver that is correct in everything else: the same driver without the mistake is its *twin*, which
//! runs the same scenario clean. `cargo test -p mistakes` shows for each that the verifier reports the mistake under that
//! rule first and under no other, and reports nothing of the twin.
//!
//! The drivers are written over the raw functions, as a C driver would be: they do on purpose what nobody could argue for.
//! Where one goes wrong, it asks [`makes`] whether it is to; so the line of each mistake is found by its name.

#![allow(
    clippy::allow_attributes,
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

mod connections;
pub mod driver;
mod executive;
mod packets;
mod races;
mod table;
pub mod traffic;

pub use table::Mistake;
pub use table::When;
pub use table::judge;
pub use table::makes;
pub use table::making;

/// Every mistake.
pub fn all() -> impl Iterator<Item = &'static Mistake> {
    let tables = [
        connections::REGISTRATION,
        connections::ANSWERS,
        connections::ALE,
        connections::UNLOAD,
        races::RACES,
    ];
    tables
        .into_iter()
        .chain(executive::TABLES)
        .chain(packets::TABLES)
        .flatten()
}
