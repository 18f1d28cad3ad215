//! Special pool's two alignments: on which byte each stops the machine, and what the report says of the block.
#![allow(
    clippy::undocumented_unsafe_blocks,
    reason = "these drivers do on purpose what nobody could argue for"
)]

use wdk_sys_portable::POOL_FLAG_NON_PAGED;
use wdk_sys_portable::ntddk::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::Violation;
use wfpsim::machine::SpecialPool;
use wfpsim::machine::irql;
use wfpsim::verifier::code;

const TAG: u32 = u32::from_le_bytes(*b"Mine");
const SIZE: usize = 20;

/// What a driver's write beside its block of 20 bytes leads to.
fn writes_at(offset: isize, config: Config) -> Violation {
    let machine = Machine::new(config);
    machine.call("worker", irql::PASSIVE, move |_| unsafe {
        let block = ExAllocatePool2(POOL_FLAG_NON_PAGED, SIZE as u64, TAG).cast::<u8>();
        assert!(!block.is_null());
        block.offset(offset).write_volatile(0x45);
        ExFreePoolWithTag(block.cast(), TAG);
    });
    let violations = machine.violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    violations[0].clone()
}

fn at_edge(pool: SpecialPool) -> Config {
    Config {
        pool,
        ..Config::plain()
    }
}

fn tells_the_block(violation: &Violation, offset: isize) {
    assert_eq!(violation.rule, "C-61");
    let summary = &violation.summary;
    assert!(summary.contains(&format!("byte {offset} of ")), "{summary}");
    assert!(summary.contains("tag 'Mine'"), "{summary}");
    assert!(summary.contains("which has 20 bytes"), "{summary}");
    assert_eq!(violation.history[0].what, "allocated");
}

#[test]
fn verify_start_stops_an_underrun_on_the_very_byte() {
    for offset in [-1, -2, -64, -4096] {
        let violation = writes_at(offset, at_edge(SpecialPool::VerifyStart));
        assert_eq!(violation.code, code::PAGE_FAULT_BEYOND_END_OF_ALLOCATION);
        assert_eq!(violation.parameters[1], 1, "a write");
        tells_the_block(&violation, offset);
    }
}

#[test]
fn verify_start_sees_an_overrun_when_the_block_is_freed() {
    for offset in [20, 4095] {
        let violation = writes_at(offset, at_edge(SpecialPool::VerifyStart));
        assert_eq!(
            violation.code,
            code::SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION
        );
        let [block, byte, size, kind] = violation.parameters;
        assert_eq!(byte - block, offset as u64);
        assert_eq!((size, kind), (SIZE as u64, 0x24));
        tells_the_block(&violation, offset);
    }
    // The page behind is the guard.
    let violation = writes_at(4096, at_edge(SpecialPool::VerifyStart));
    assert_eq!(violation.code, code::PAGE_FAULT_BEYOND_END_OF_ALLOCATION);
}

#[test]
fn verify_end_stops_an_overrun_behind_the_alignment_and_sees_an_underrun_at_the_free() {
    let violation = writes_at(32, at_edge(SpecialPool::VerifyEnd));
    assert_eq!(violation.code, code::PAGE_FAULT_BEYOND_END_OF_ALLOCATION);
    tells_the_block(&violation, 32);
    let violation = writes_at(-1, at_edge(SpecialPool::VerifyEnd));
    assert_eq!(
        violation.code,
        code::SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION
    );
    assert_eq!(violation.parameters[3], 0x23);
    tells_the_block(&violation, -1);
}

#[test]
fn the_seed_chooses_the_alignment_and_the_same_seed_the_same() {
    let codes = |seed| writes_at(-1, Config::new(seed)).code;
    let faults = (0..64)
        .filter(|&seed| codes(seed) == code::PAGE_FAULT_BEYOND_END_OF_ALLOCATION)
        .count();
    assert!((16..48).contains(&faults), "{faults} of 64");
    for seed in 0..8 {
        assert_eq!(codes(seed), codes(seed));
    }
}
