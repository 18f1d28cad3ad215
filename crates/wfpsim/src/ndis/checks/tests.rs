//! What the checks of net buffer lists tell apart.

use std::ptr::null_mut;

use wfp_sys::ndis::MDL;
use wfp_sys::ndis::NET_BUFFER;

use super::engine_mark;
use super::fingerprint;
use super::misshapen;
use crate::verifier::ObjectId;

#[test]
fn the_engine_marks_each_list_with_another_address_of_system_space() {
    let marks = [0, 1, 2, 63, 64, u32::MAX].map(|object| engine_mark(ObjectId(object)));
    for pair in marks.windows(2) {
        assert!(pair[0] < pair[1], "{marks:x?}");
    }
    for mark in marks {
        assert!(mark >= 0xFFFF_C000_0000_0000, "{mark:#x}");
        assert_eq!(mark % 0x40, 0, "{mark:#x}");
    }
}

#[test]
fn every_bit_of_a_block_counts() {
    // Whole words and a rest.
    for fill in [0, 0xFF, 0x55] {
        let mut block: [u8; 21] = [fill; 21];
        let was = fingerprint(block.as_ptr() as usize, block.len());
        for bit in 0..block.len() * 8 {
            block[bit / 8] ^= 1 << (bit % 8);
            let now = fingerprint(block.as_ptr() as usize, block.len());
            assert_ne!(now, was, "bit {bit} of {fill:#x}");
            block[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(fingerprint(block.as_ptr() as usize, block.len()), was);
    }
}

/// What is wrong with a buffer that shows all bytes of two MDLs, of 20 and 30 bytes, but for this change.
fn wrong(change: impl FnOnce(&mut NET_BUFFER)) -> Option<&'static str> {
    // SAFETY: zero is a value of all fields of an MDL.
    let [mut first, mut second]: [MDL; 2] = unsafe { std::mem::zeroed() };
    (first.ByteCount, second.ByteCount) = (20, 30);
    first.Next = &raw mut second;
    // SAFETY: zero is a value of all fields of a NET_BUFFER.
    let mut buffer: NET_BUFFER = unsafe { std::mem::zeroed() };
    buffer.MdlChain = &raw mut first;
    buffer.CurrentMdl = &raw mut first;
    buffer.DataLength = 50;
    change(&mut buffer);
    misshapen(&raw const buffer)
}

/// Has the data begin so many bytes into the second MDL.
fn begin_in_second(buffer: &mut NET_BUFFER, offset: u32) {
    // SAFETY: the chain is that of `wrong`.
    buffer.CurrentMdl = unsafe { (*buffer.MdlChain).Next };
    buffer.CurrentMdlOffset = offset;
    buffer.DataOffset = 20 + offset;
    buffer.DataLength = 30 - offset;
}

#[test]
fn a_buffer_that_fits_its_chain_is_not_misshapen() {
    assert_eq!(wrong(|_| {}), None);
    assert_eq!(wrong(|buffer| begin_in_second(buffer, 0)), None);
    assert_eq!(wrong(|buffer| begin_in_second(buffer, 29)), None);
}

#[test]
fn a_buffer_that_shows_nothing_may_begin_at_the_end() {
    assert_eq!(wrong(|buffer| begin_in_second(buffer, 30)), None);
}

#[test]
fn a_buffer_without_a_chain_shows_nothing() {
    let empty = wrong(|buffer| {
        (buffer.MdlChain, buffer.CurrentMdl) = (null_mut(), null_mut());
        buffer.DataLength = 0;
    });
    assert_eq!(empty, None);
}

#[test]
fn a_buffer_reaches_no_further_than_its_chain() {
    let told = wrong(|buffer| buffer.DataLength = 51);
    assert_eq!(
        told,
        Some("DataOffset and DataLength reach behind the MDL chain")
    );
}

#[test]
fn a_buffer_begins_in_an_mdl_of_its_chain() {
    let told = wrong(|buffer| buffer.CurrentMdl = null_mut());
    assert_eq!(told, Some("CurrentMdl is not in MdlChain"));
}

#[test]
fn a_buffer_begins_in_one_place() {
    for offset in [4, 6] {
        let told = wrong(|buffer| {
            begin_in_second(buffer, 5);
            buffer.CurrentMdlOffset = offset;
        });
        assert_eq!(
            told,
            Some("CurrentMdl and CurrentMdlOffset are not where DataOffset is")
        );
    }
}

#[test]
fn what_begins_at_the_end_of_an_mdl_begins_in_the_next() {
    let told = wrong(|buffer| {
        (buffer.DataOffset, buffer.DataLength) = (20, 30);
        buffer.CurrentMdlOffset = 20;
    });
    assert_eq!(told, Some("CurrentMdlOffset lies behind CurrentMdl"));
}
