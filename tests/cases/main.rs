//! The whole driver in the simulator, case by case: each file is one theme, each test one story.
//!
//! Every story ends the same way ([`rig::Rig::end`]): each packet that the policy permits has come out once with the bytes it
//! went in with, every sum of the driver's counters agrees, the driver unloads and leaves nothing behind, and the verifier
//! has found nothing. Every story is told twice, of the linked driver and of the image that ships ([`machines::Machines`]).

#[path = "../story/mod.rs"]
mod story;

mod absent;
mod ale;
mod engine;
mod inbound;
mod machines;
mod mdls;
mod memory;
mod outbound;
mod packets;
mod parameters;
mod policy;
mod queue;
mod reauthorize;
mod rig;
mod rights;
mod unload;
