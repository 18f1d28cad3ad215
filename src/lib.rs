//! Tollgate: a WFP callout driver that holds packets and connections, asks a policy, and gives them back to the stack
//! or drops them.
//!
//! # The life of a packet
//!
//! A segment arrives. tcpip.sys has taken its headers off and found, or is about to find, the connection it belongs to;
//! on its way up it asks the filter engine, and the engine calls [`callout`]. There is an NBL, which belongs to the
//! stack, and a set of values that are good for the length of the call. The callout reads them into plain facts and asks
//! [`triage`] what to do. Triage is a function and nothing else: the same facts always get the same answer.
//!
//! **Leave it.** Some packets are not ours to judge: one that this driver injected, one that goes on to ALE and is
//! decided there, one with an IPsec tunnel still around it. They are permitted, and the policy is not asked.
//!
//! **Ask now.** Some cannot be held: without the right to write there is nothing to decide but a veto; a loopback packet
//! cannot be injected where it came in; a reset that the stack made has no endpoint to send it from; a queue is full, or
//! memory is. The same [policy](verdict) that the worker would ask is asked on the spot, so a packet that cannot be
//! held gets the same verdict as one that can, and the reason is counted.
//!
//! **Hold it.** The rest waits. The callout takes a place in the [`queue`], copies what will be needed
//! ([`held`]), takes a reference on the NBL, pends the operation if it is the first packet of a connection, and answers
//! BLOCK with ABSORB: to the stack the packet is gone, without a trace in its discard statistics. Each of these steps can
//! fail but the last; the pend comes last of those that can, because there is no way to take it back but to
//! complete it.
//!
//! The [`worker`] takes everything that waits, in order, and asks the policy. What is blocked ends here: the reference is
//! given back, and a pended operation completed with nothing. What is permitted goes back:
//!
//! 1. The NBL is retreated to its IP header, by as much as [`ipsec`] finds, which depends on whether the stack has
//!    moved it since; a clone is made from there; and the NBL is advanced again, because it is the stack's.
//! 2. If IPsec protected the packet its AH or ESP header is still there, and if it was reassembled its checksum is not its
//!    own; so the clone's header is rebuilt.
//! 3. A pended operation is completed with the clone, which tells ALE that this packet is expected.
//! 4. The clone is injected. From here on it belongs to the injection, with the reference on the original, until
//!    the stack completes it.
//!
//! The stack then receives the clone as if it came off the wire, asks the filter engine again, and the callout is
//! asked about a packet that this driver injected. It leaves it, and the packet goes up.
//!
//! Outbound it is the same with less to do: a packet is cloned from its transport header on and sent with a copy of all
//! that its socket said about it. An outbound *connection* is different in one thing: completing it makes ALE ask
//! again, at once and on the worker's own stack, whether it may; [`completing`] holds the answer for the length
//! of that call.
//!
//! # Who owns what
//!
//! Every object of the platform that the driver holds is a value with a destructor: a reference on an NBL, a clone, a
//! pended operation, an injection under way. They are in the crates `nt` and `wfp`, where the only unsafe code is; this
//! crate denies it. A packet that cannot go on is dropped, in the sense that Rust gives the word, and that ends
//! everything it owned, once.
//!
//! # Where what runs
//!
//! | code | IRQL | may |
//! |---|---|---|
//! | [`callout`] | ≤ DISPATCH_LEVEL, inside the stack's own locks | reference, pend, allocate and fail; never inject or complete (A-47) |
//! | [`worker`] | PASSIVE_LEVEL | everything; holds no lock over a call (C-03) |
//! | [`engine`], [`entry`], [`control`] | PASSIVE_LEVEL | everything |
//! | completions | ≤ DISPATCH_LEVEL, anywhere, at any time | count |
//!
//! The tokens `nt::Cx` and `nt::Passive` say the same in the types.
//!
//! # What is counted
//!
//! Every classify is counted under one reason, and everything held under one end ([`tollgate_abi::Counter`]). Sums that
//! must agree are a test, in the simulator and on a live machine.

#![cfg_attr(windows, no_std)]
#![deny(unsafe_code)]
// A panic in the kernel is a bug check, so what can panic is not written: lengths and indices come from the network.
#![cfg_attr(
    not(test),
    deny(
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::todo,
        clippy::unimplemented,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

// Stops the machine with the place of the panic, should there be one after all.
#[cfg(all(windows, not(test)))]
extern crate wdk_panic;

pub mod callout;
pub mod completing;
pub mod control;
pub mod counters;
pub mod engine;
pub mod entry;
pub mod held;
pub mod ipsec;
pub mod parameters;
pub mod queue;
pub mod room;
pub mod triage;
pub mod verdict;
pub mod worker;

pub use entry::{Tollgate, driver_entry};
