//! What is shared without a kernel lock: the atomics, under one name.
//!
//! They are core's. Code that shares takes them from here and not from core, because `crates/nt-loom` compiles the same source files with
//! loom's in their place, and tries every order in which threads can see them.

pub use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};
