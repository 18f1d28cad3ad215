//! The kernel functions that `nt` and the driver's shared parts call, made for real threads of the host: run-down protection, events,
//! spin locks, pool and system threads.
//!
//! The tests let threads meet at every place that `docs/architecture.md` lists, without a scheduler that decides. They say
//! something without more: a value that is freed twice, or used behind its end, or a packet that is lost is found when it happens.
//! `cargo xtask tsan` builds them with ThreadSanitizer, which finds two uses that nothing orders when both happen in one run,
//! in whatever order. So everything here is made of this crate's own atomics and of the C library's threads: the standard library's
//! locks are compiled already, and what they order ThreadSanitizer does not see.

mod host;
mod object;
mod pool;
mod rundown;
mod spinlock;
mod thread;

pub use host::together;
pub use thread::without_a_thread_object;

use nt::Passive;

/// The token of a thread of the host: it is at PASSIVE_LEVEL, as far as there are levels here.
pub fn passive() -> Passive {
    // SAFETY: There is no kernel here whose rules could be broken.
    unsafe { Passive::assume() }
}

#[unsafe(no_mangle)]
extern "C" fn KeGetCurrentIrql() -> nt::sys::KIRQL {
    0
}

#[unsafe(no_mangle)]
extern "C" fn KeBugCheckEx(code: u32, a: u64, b: u64, c: u64, d: u64) -> ! {
    eprintln!("bug check {code:#x} ({a:#x}, {b:#x}, {c:#x}, {d:#x})");
    std::process::abort();
}
