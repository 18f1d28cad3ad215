//! Targets that fail, each in its own way, at an input that only coverage leads to in the time given. `cargo xtask fuzz` runs them
//! first: a fuzzer that does not find these, or does not save what it found, would find nothing else either.

use std::hint::black_box;

use fuzz::Target;
use wfpsim::Config;
use wfpsim::Machine;

/// All of them.
pub static TARGETS: &[Target] = &[
    Target {
        name: "planted-panic",
        run: |bytes| found(bytes, || panic!("planted")),
    },
    Target {
        name: "planted-abort",
        run: |bytes| found(bytes, || std::process::abort()),
    },
    Target {
        name: "planted-fault",
        run: |bytes| {
            found(bytes, || {
                // With the simulator's own handler in force, which takes a simulated driver's faults and must not take this one.
                drop(Machine::new(Config::plain()));
                // SAFETY: none, it faults on purpose.
                unsafe { black_box(std::ptr::without_provenance_mut::<u8>(8)).write_volatile(1) };
            });
        },
    },
    Target {
        name: "planted-overflow",
        run: |bytes| {
            found(bytes, || {
                black_box(deep(1));
            });
        },
    },
    Target {
        name: "planted-memory",
        run: |bytes| {
            found(bytes, || {
                // As much as a length field of 32 bits says.
                black_box(Vec::<u8>::with_capacity(black_box(u32::MAX as usize)));
            });
        },
    },
    Target {
        name: "planted-hang",
        run: |bytes| {
            found(bytes, || {
                while black_box(true) {
                    std::hint::spin_loop();
                }
            });
        },
    },
];

/// Fails at inputs that begin so. Each letter is a branch of its own, so that each that is right is new coverage; guessing four
/// at once takes four thousand million tries.
fn found(bytes: &[u8], fail: impl FnOnce()) {
    let mut bytes = bytes.iter().copied();
    if bytes.next() == Some(b'o')
        && bytes.next() == Some(b'p')
        && bytes.next() == Some(b'e')
        && bytes.next() == Some(b'n')
    {
        fail();
    }
}

/// Never comes back.
fn deep(level: u64) -> u64 {
    let here = black_box([level; 64]);
    if black_box(level) == 0 {
        return 0;
    }
    here[63] + deep(level + 1)
}
