//! What `nt` and the driver share without a kernel lock, under loom: these are their own source files, compiled again with loom's
//! atomics under the name `sync` and with kernel functions that loom sees ([`kernel`]). The tests try every order in which threads
//! can run and every value that a weak memory may show them.

// `--all-targets` asks for this crate's own tests too; what is compiled here has its tests where it comes from.
#![cfg(not(test))]

// In the files that are compiled here, `nt` is this crate.
extern crate self as nt;

pub use wdk_sys_portable as sys;

pub mod kernel;

/// Loom's atomics, under the names that `nt::sync` has.
pub mod sync {
    pub use loom::sync::atomic::{
        AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering,
    };
}

#[path = "../../nt/src/cx.rs"]
pub mod cx;
#[path = "../../nt/src/event.rs"]
pub mod event;
#[path = "../../nt/src/pool.rs"]
pub mod pool;
#[path = "../../../src/room.rs"]
pub mod room;
#[path = "../../nt/src/shared.rs"]
pub mod shared;
#[path = "../../nt/src/signal.rs"]
pub mod signal;
#[path = "../../nt/src/slot.rs"]
pub mod slot;
#[path = "../../nt/src/status.rs"]
pub mod status;
#[path = "../../nt/src/time.rs"]
pub mod time;
