//! The part of the Windows executive and of KMDF that a callout driver needs, in a form that safe code cannot misuse.
//!
//! # Tokens
//!
//! What the kernel forbids depends on where code runs: at which IRQL, and with which locks held. Here that is part of a function's
//! type. [`cx::Cx`] says that the running thread holds no spin lock; [`cx::Passive`] says besides that it runs at PASSIVE_LEVEL.
//! Code never makes one: the entry points that the kernel calls (a thread's body, DriverEntry, an IOCTL, a classify) get one and
//! pass it on. A function that calls out of the driver asks for `&Cx`; taking a spin lock borrows it mutably for as long as the
//! lock is held. So a call out with a lock held, the origin of the deadlocks of rule C-03, does not compile.
//!
//! # Memory
//!
//! Everything the driver owns lives in non-paged pool, and every allocation can fail: [`pool`] has no function that allocates and
//! does not return a `Result`. A value that did not fit comes back to the caller, so an owner is never lost to a failure.
//!
//! # One source, two ways to run
//!
//! On Windows the functions come from `wdk-sys`; elsewhere from `wdk-sys-portable`, as symbols which the simulator defines. The
//! only other difference is [`slot`]: what is a static of the image on Windows is storage of the simulated machine elsewhere.
//!
//! Rule numbers (`A-05`, `C-04`, ...) are those of the platform contract, docs/contract.md.

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

/// The raw declarations this crate is built on, under one name on every platform.
#[cfg(windows)]
pub use wdk_sys as sys;
/// The raw declarations this crate is built on, under one name on every platform.
#[cfg(not(windows))]
pub use wdk_sys_portable as sys;

#[cfg(test)]
mod doubles;

pub mod bug_check;
pub mod cx;
pub mod event;
pub mod fifo;
pub mod kmdf;
pub mod pool;
pub mod rundown;
pub mod shared;
pub mod signal;
pub mod slot;
pub mod spinlock;
pub mod status;
pub mod sync;
pub mod thread;
pub mod time;
pub mod utf16;

pub use cx::{Cx, Passive};
pub use status::{NtStatus, Result};
