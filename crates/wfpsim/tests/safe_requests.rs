//! `nt::kmdf::Request`, seen from the program that sends it: what the driver is told of a request, and what it is refused.

use std::cell::RefCell;

use nt::kmdf::{DeviceObject, Driver, DriverConfig, Load, Request};
use nt::pool::PoolBox;
use nt::slot::{Global, Slot};
use nt::{NtStatus, Passive, Result, utf16};
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::driver::{Linked, Parameters};

const BUFFERED: u32 = 0x0012_2000;
/// METHOD_IN_DIRECT, METHOD_OUT_DIRECT and METHOD_NEITHER: the driver is given memory that the program can change meanwhile.
const OTHERS: [u32; 3] = [BUFFERED | 1, BUFFERED | 2, BUFFERED | 3];

/// What a driver does with a request; the status is what it completes it with.
type Answer = fn(&mut Request) -> Result<()>;

thread_local! {
    // A machine runs on one host thread, and each test has its own.
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

struct Answering;

impl Global for Answering {
    fn slot() -> &'static Slot<Self> {
        static SLOT: Slot<Answering> = Slot::new();
        &SLOT
    }
}

impl Driver for Answering {
    const CONFIG: DriverConfig = DriverConfig {
        device_name: utf16!(r"\Device\Answering"),
        symbolic_link: utf16!(r"\DosDevices\Answering"),
        sddl: utf16!("D:P(A;;GA;;;SY)(A;;GA;;;BA)"),
    };

    fn load(_passive: &mut Passive, _load: &Load<'_>) -> Result<PoolBox<Self>> {
        Ok(PoolBox::try_new(Self)?)
    }

    fn start(&self, _passive: &mut Passive, _device: DeviceObject) -> Result<()> {
        Ok(())
    }

    fn stop(&self, _passive: &mut Passive) {}

    fn device_control(&self, _passive: &mut Passive, mut request: Request) {
        let answer = ANSWER.with_borrow(|answer| answer.expect("a test says what to answer"));
        let status = answer(&mut request).err().unwrap_or(NtStatus::SUCCESS);
        request.complete(status);
    }
}

nt::driver_entry!(Answering);

/// Sends one request to the driver, which answers so.
fn sent(code: u32, input: &[u8], output: usize, answer: Answer) -> (NtStatus, Vec<u8>) {
    ANSWER.set(Some(answer));
    let machine = Machine::new(Config::plain());
    let entry = driver_entry;
    let loaded = machine.load_driver(Linked { entry }, &Parameters::default());
    assert_eq!(loaded, Ok(()));
    let (status, output) = machine.ioctl(code, input, output);
    machine.unload_driver();
    assert!(
        machine.violations().is_empty(),
        "{:?}",
        machine.violations()
    );
    (NtStatus(status), output)
}

fn expect(told: bool) -> Result<()> {
    if told {
        Ok(())
    } else {
        Err(NtStatus::UNSUCCESSFUL)
    }
}

#[test]
fn a_request_says_what_is_asked_and_with_how_much_room() {
    let (status, _) = sent(BUFFERED, b"four", 16, |request| {
        expect(request.code() == BUFFERED)?;
        expect(request.input_length() == 4)?;
        expect(request.output_length() == 16)
    });
    assert_eq!(status, NtStatus::SUCCESS);
}

#[test]
fn input_is_there_whole_whether_all_of_it_was_asked_for_or_less() {
    for answer in [
        |request| expect(request.input(4)? == b"four"),
        |request| expect(request.input(2)? == b"four"),
        |request| expect(request.input(0)? == b"four"),
    ] as [Answer; 3]
    {
        assert_eq!(sent(BUFFERED, b"four", 16, answer).0, NtStatus::SUCCESS);
    }
}

#[test]
fn less_input_or_less_room_than_is_needed_is_too_small() {
    let (status, output) = sent(BUFFERED, b"four", 16, |request| {
        request.input(5).map(|_| ())
    });
    assert_eq!((status, output), (NtStatus::BUFFER_TOO_SMALL, vec![]));
    let (status, output) = sent(BUFFERED, b"four", 16, |request| {
        request.output(17).map(|_| ())
    });
    assert_eq!((status, output), (NtStatus::BUFFER_TOO_SMALL, vec![]));
}

#[test]
fn room_that_is_as_large_as_needed_or_larger_is_written() {
    for answer in [
        |request| request.output(16)?.write(b"answer"),
        |request| request.output(6)?.write(b"answer"),
    ] as [Answer; 2]
    {
        let answered = sent(BUFFERED, b"four", 16, answer);
        assert_eq!(answered, (NtStatus::SUCCESS, b"answer".to_vec()));
    }
}

#[test]
fn what_was_written_is_not_taken_for_input() {
    let (status, _) = sent(BUFFERED, b"four", 16, |request| {
        request.output(1)?.write(b"answer")?;
        request.input(1).map(|_| ())
    });
    assert_eq!(status, NtStatus::INVALID_DEVICE_REQUEST);
}

#[test]
fn memory_that_a_program_can_change_meanwhile_is_not_looked_at() {
    for answer in [
        |request| request.input(1).map(|_| ()),
        |request| request.output(1).map(|_| ()),
    ] as [Answer; 2]
    {
        for code in OTHERS {
            let (status, _) = sent(code, b"four", 16, answer);
            assert_eq!(status, NtStatus::INVALID_DEVICE_REQUEST, "{code:#x}");
        }
    }
}

#[test]
fn bytes_go_out_with_a_success_and_with_a_warning_that_there_are_more() {
    for (answer, status, bytes) in [
        (
            (|request| {
                request.output(1)?.write(b"some")?;
                Err(NtStatus::BUFFER_OVERFLOW)
            }) as Answer,
            NtStatus::BUFFER_OVERFLOW,
            &b"some"[..],
        ),
        (
            |request| {
                request.output(1)?.write(b"some")?;
                Err(NtStatus::ACCESS_DENIED)
            },
            NtStatus::ACCESS_DENIED,
            b"",
        ),
    ] {
        let answered = sent(BUFFERED, b"four", 16, answer);
        assert_eq!(answered, (status, bytes.to_vec()));
    }
}
