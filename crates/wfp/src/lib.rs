//! The kernel side of the Windows Filtering Platform for callout drivers, safe to use.
//!
//! A callout that holds packets owns things that the platform counts: references on NET_BUFFER_LISTs, offset changes, clones, pended
//! operations, injections. Each has a type here, made by the call that creates the obligation, and each obligation ends exactly
//! once, in the type's destructor or in the method that consumes it.
//!
//! | type | owns | made by | ends by |
//! |---|---|---|---|
//! | [`NblRef`] | one reference on an original NBL | [`Classify::reference`] | drop: one dereference |
//! | [`Retreated`] | an offset change on an original NBL | [`NblRef::retreat`] | drop: the matching advance |
//! | [`ClonedNbl`] | a clone | [`NblRef::clone_nbl`], [`Retreated::clone_nbl`] | drop: free; or a successful injection |
//! | [`PendedOperation`] | a completion context | [`Classify::pend`] | [`PendedOperation::complete`]; drop completes with NULL |
//! | [`Prepared`] | all that an injection reads | [`Prepared::try_new`] | a successful injection hands it to the completion function |
//! | [`InjectionHandle`] | an injection handle | [`InjectionHandle::create`] | drop: destroy, which waits for completions |
//! | [`Callouts`] | registered callouts | [`Callouts::register`] | drop: unregister |
//! | [`Engine`], [`Transaction`] | a session, a transaction | [`Engine::open_dynamic`], [`Engine::transaction`] | drop: close, abort |
//! | [`BfeSubscription`] | a subscription | [`BfeSubscription::new`] | drop: unsubscribe |
//!
//! Where a call may be made is in its type, too (see [`nt::cx`]): what must not happen on the stack of a classify asks for
//! [`nt::Passive`], which a classify does not have.
//!
//! So these do not compile. To inject or complete on classify's stack (A-47):
//!
//! ```compile_fail,E0308
//! # use wfp::*;
//! fn classify(cx: &mut nt::Cx, c: &mut Classify<'_>) -> Answer {
//!     let nbl = c.reference(cx).ok();
//!     let clone = nbl.as_ref().map(|nbl| nbl.clone_nbl(cx)); // wants &Passive
//!     c.absorb()
//! }
//! ```
//!
//! To call out with a spin lock held (C-03):
//!
//! ```compile_fail,E0502
//! # use wfp::*;
//! fn drain(queue: &nt::spinlock::SpinLock<Option<PendedOperation>>, passive: &mut nt::Passive) {
//!     let mut queue = queue.lock(passive);
//!     if let Some(operation) = queue.take() {
//!         operation.complete(passive, None); // the guard has the token
//!     }
//! }
//! ```
//!
//! To touch anything after a successful injection (A-43), or complete twice (A-71):
//!
//! ```compile_fail,E0382
//! # use wfp::*;
//! fn allow<C: Completion>(
//!     passive: &nt::Passive,
//!     handle: &InjectionHandle,
//!     operation: PendedOperation,
//!     prepared: Prepared<ReceiveTo, C>,
//! ) {
//!     operation.complete(passive, Some(prepared.nbl()));
//!     if handle.inject_receive(passive, prepared).is_ok() {
//!         let length = prepared.nbl().data_length(); // moved
//!     }
//! }
//! ```
//!
//! To use the original while its start is moved, or keep a packet's view beyond classify (A-12):
//!
//! ```compile_fail,E0505
//! # use wfp::*;
//! fn rebuild(passive: &nt::Passive, mut nbl: NblRef) {
//!     let retreated = nbl.retreat(passive, 40);
//!     drop(nbl); // borrowed until the advance
//!     drop(retreated);
//! }
//! ```
//!
//! To end a classify without an answer:
//!
//! ```compile_fail,E0317
//! # use wfp::*;
//! fn classify(cx: &mut nt::Cx, c: &mut Classify<'_>) -> Answer {
//!     if c.may_write() {
//!         return c.block();
//!     }
//! }
//! ```
//!
//! What safe code can and cannot do with this crate, surface by surface, is argued in its docs/soundness.md. Rule numbers
//! (`A-42`, `B-03`, ...) are those of the platform contract, docs/contract.md.

#![no_std]
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::unreachable,
    clippy::todo
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::allow_attributes
    )
)]

#[cfg(test)]
extern crate std;

#[cfg(test)]
mod doubles;

#[cfg(test)]
mod ownership_tests;

mod address;
pub mod bfe;
pub mod callout;
pub mod classify;
mod clone;
pub mod engine;
pub mod flags;
pub mod inject;
pub mod layer;
pub mod metadata;
pub mod nbl;
mod nbl_raw;
pub mod pend;

pub use bfe::{Bfe, BfeObserver, BfeState, BfeSubscription};
pub use callout::{Callouts, Host};
pub use classify::{Answer, Classify, HoldError, InjectionState, IpsecInfo};
pub use clone::{ClonedNbl, PrependError, Rebuild};
pub use engine::{Engine, Transaction};
pub use flags::{ConditionFlags, MetadataFields};
pub use inject::{
    Completion, InjectError, InjectionHandle, Parts, Prepared, ReceiveTo, SendParams, SendTo,
};
pub use layer::{Family, Layer, LayerKind};
pub use metadata::{Direction, Metadata};
pub use nbl::{IndicatedNbl, NblRef, RetreatError, Retreated};
pub use nbl_raw::{READ_LIMIT, ReadError};
pub use pend::PendedOperation;

/// A 128-bit identifier; `GUID::from_u128` makes a constant one.
pub use wfp_sys::GUID;
