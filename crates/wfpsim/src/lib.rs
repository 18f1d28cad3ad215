//! wfpsim: the kernel's side of a Windows Filtering Platform callout driver, simulated, with a verifier that knows the
//! platform's rules.
//!
//! A [`Machine`] is one simulated computer. Its threads are coroutines on one host thread; every kernel call is a point
//! where another thread may run first, and a seed decides. Everything a driver can reach lies in [`memory`] with guard
//! pages. A driver is linked into the same process and calls the kernel's functions by their own names ([`exports`]).

#![expect(
    clippy::too_many_arguments,
    reason = "the kernel's prototypes are what they are"
)]

pub mod check;
#[cfg(target_arch = "x86_64")]
mod contain;
pub mod driver;
pub mod explore;
pub mod exports;
mod fwp;
#[cfg(target_arch = "x86_64")]
pub mod image;
pub mod machine;
pub mod memory;
mod ndis;
mod nt;
pub mod replay;
pub mod stack;
mod text;
pub mod verifier;
mod wdf;

pub use machine::Config;
pub use machine::Machine;
pub use machine::Stop;
pub use nt::NtStatus;
pub use verifier::Violation;
