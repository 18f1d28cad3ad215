//! Images that are not as they should be: the file is refused with what is wrong, or the machine stops at the very
//! instruction, and this process goes on.

#![cfg(target_arch = "x86_64")]

mod sketch;

use std::sync::Arc;

use proptest::prelude::*;
use sketch::*;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::driver::LoadError;
use wfpsim::driver::Parameters;
use wfpsim::image::Image;
use wfpsim::verifier::code;

/// Loads an image on a machine of its own.
fn load(image: Image) -> (Machine, Result<(), LoadError>) {
    let machine = Machine::new(Config::plain());
    let result = machine.load_image(&Arc::new(image), &Parameters::default());
    (machine, result)
}

#[test]
fn an_image_is_entered_and_its_status_is_what_load_says() {
    let (_machine, result) = load(Sketch::new(&SUCCEED).image());
    assert_eq!(result, Ok(()));
    // mov eax, 0xC0000001; ret
    let (_machine, result) = load(Sketch::new(&[0xB8, 0x01, 0x00, 0x00, 0xC0, 0xC3]).image());
    assert!(
        matches!(result, Err(LoadError::Refused(status, _)) if status as u32 == 0xC000_0001),
        "{result:?}"
    );
}

#[test]
fn a_missing_function_is_named_when_it_is_called_and_not_before() {
    let (machine, result) = load(Sketch::new(&SUCCEED).image());
    assert_eq!(result, Ok(()), "it is imported and not called");
    assert!(machine.violations().is_empty());
    // sub rsp, 28h; call [rip + thunk]; add rsp, 28h; xor eax, eax; ret
    let distance = (THUNK - (TEXT + 10)) as u32;
    let mut code = vec![0x48, 0x83, 0xEC, 0x28, 0xFF, 0x15];
    code.extend_from_slice(&distance.to_le_bytes());
    code.extend_from_slice(&[0x48, 0x83, 0xC4, 0x28, 0x31, 0xC0, 0xC3]);
    let (machine, result) = load(Sketch::new(&code).image());
    assert_eq!(result, Err(LoadError::Stopped));
    let violations = machine.violations();
    assert!(
        violations[0]
            .summary
            .contains("nosuch.sys!ThereIsNoSuchFunction"),
        "{}",
        violations[0]
    );
}

#[test]
fn what_an_image_leaves_behind_is_told_with_the_images_own_frames() {
    // mov ecx, POOL_FLAG_NON_PAGED; mov edx, 40; mov r8d, 'Mine'
    let before = *b"\xB9\x40\0\0\0\xBA\x28\0\0\0\x41\xB8Mine";
    let mut sketch = calling("ExAllocatePool2", &before);
    sketch.put(DATA_IN_FILE + 0x80, b"ntoskrnl.exe\0");
    // Behind the call and its add rsp, 38h: mov eax, STATUS_UNSUCCESSFUL; ret
    let behind = TEXT_IN_FILE + 4 + before.len() + 6 + 4;
    sketch.put(behind, &[0xB8, 0x01, 0x00, 0x00, 0xC0, 0xC3]);
    let machine = Machine::new(Config {
        event_stacks: true,
        ..Config::plain()
    });
    let result = machine.load_image(&Arc::new(sketch.image()), &Parameters::default());
    assert!(
        matches!(&result, Err(LoadError::Refused(_, leaks)) if leaks["pool"] == 1),
        "{result:?}"
    );
    let violation = &machine.violations()[0];
    let allocated = &violation.history[0].stack;
    assert!(allocated[0].contains("ExAllocatePool2"), "{violation}");
    let at = format!("driver+{:#x}", TEXT + 4 + before.len() + 6);
    let owner = violation.owner.as_deref();
    assert!(
        owner.is_some_and(|owner| owner.contains(&at)),
        "{at}: {violation}"
    );
}

#[test]
fn code_cannot_be_written_and_data_cannot_be_run() {
    // mov byte ptr [rip - 7], 1: the instruction itself.
    let (machine, result) =
        load(Sketch::new(&[0xC6, 0x05, 0xF9, 0xFF, 0xFF, 0xFF, 0x01, 0xC3]).image());
    assert_eq!(result, Err(LoadError::Stopped));
    let violation = &machine.violations()[0];
    assert_eq!(violation.code, code::DRIVER_IRQL_NOT_LESS_OR_EQUAL);
    assert!(violation.summary.contains("offset 0x1000"), "{violation}");
    assert!(
        violation
            .stack
            .iter()
            .any(|frame| frame.contains("driver+0x1000")),
        "{violation}"
    );
    // lea rax, [rip + data]; jmp rax
    let distance = (DATA + 0x100 - (TEXT + 7)) as u32;
    let mut code = vec![0x48, 0x8D, 0x05];
    code.extend_from_slice(&distance.to_le_bytes());
    code.extend_from_slice(&[0xFF, 0xE0]);
    let (machine, result) = load(Sketch::new(&code).image());
    assert_eq!(result, Err(LoadError::Stopped));
    assert!(
        machine.violations()[0].summary.contains("offset 0x2100"),
        "{}",
        machine.violations()[0]
    );
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    type Change = dyn Fn(&mut Sketch);
    let refused = |change: &Change| {
        let mut sketch = Sketch::new(&SUCCEED);
        change(&mut sketch);
        Image::parse(&sketch.0)
            .expect_err("the image is broken")
            .to_string()
    };
    let cases: [(&str, &Change); 10] = [
        ("begin with MZ", &|sketch| sketch.put(0, b"ZM")),
        ("machine", &|sketch| sketch.put16(PE + 4, 0xAA64)),
        ("native", &|sketch| sketch.put16(OPTIONAL + 68, 3)),
        ("SizeOfImage", &|sketch| {
            sketch.put32(OPTIONAL + 56, 0xFFFF_FFFF)
        }),
        ("SizeOfHeaders", &|sketch| {
            sketch.put32(OPTIONAL + 60, 0x4000)
        }),
        ("entry point", &|sketch| {
            sketch.put32(OPTIONAL + 16, DATA as u32)
        }),
        ("outside the file", &|sketch| {
            sketch.put32(SECTIONS + 20, 0x10_0000)
        }),
        ("beyond the image", &|sketch| {
            sketch.put32(SECTIONS + 8, 0x10_0000)
        }),
        ("multiple of a page", &|sketch| {
            sketch.put32(SECTIONS + 12, 0x1004)
        }),
        ("stripped", &|sketch| sketch.put16(PE + 22, 0x23)),
    ];
    for (wanted, change) in cases {
        let message = refused(change);
        assert!(
            message.contains(wanted),
            "wanted '{wanted}', got: {message}"
        );
    }
    assert!(Image::parse(b"").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    /// Whatever is done to the bytes, reading them gives an image or an error; and an image that was accepted can be mapped.
    #[test]
    fn no_file_crashes_the_reader(changes in prop::collection::vec((0usize..0x600, any::<u8>()), 0..12), length in 0usize..0x600) {
        let mut sketch = Sketch::new(&SUCCEED);
        for (at, value) in changes {
            sketch.0[at] = value;
        }
        for bytes in [&sketch.0[..], &sketch.0[..length]] {
            if let Ok(image) = Image::parse(bytes) {
                prop_assert!(image.sections.iter().all(|section| section.address + section.size <= image.size));
            }
        }
    }
}
