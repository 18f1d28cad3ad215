//! What WinDivert 2's user-mode library does with the driver, as far as the stories need it: the control codes and structures of its
//! interface.

use wfpsim::Machine;
use wfpsim::driver::Answer;
use wfpsim::driver::Handle;
use wfpsim::driver::Pending;
use wfpsim::driver::ProgramMemory;

/// The device, by the name that the library opens.
const DEVICE: &str = r"\\.\WinDivert";

/// FILE_DEVICE_NETWORK with a function, a method and the access asked for.
const fn control_code(function: u32, method: u32, access: u32) -> u32 {
    0x12 << 16 | access << 14 | function << 2 | method
}

const IN_DIRECT: u32 = 1;
const OUT_DIRECT: u32 = 2;
const READ: u32 = 1;
const READ_WRITE: u32 = 3;

const INITIALIZE: u32 = control_code(0x921, OUT_DIRECT, READ_WRITE);
const STARTUP: u32 = control_code(0x922, IN_DIRECT, READ_WRITE);
const RECEIVE: u32 = control_code(0x923, OUT_DIRECT, READ);
const SEND: u32 = control_code(0x924, IN_DIRECT, READ_WRITE);
const GET_PARAMETER: u32 = control_code(0x926, OUT_DIRECT, READ);
const SHUTDOWN: u32 = control_code(0x927, IN_DIRECT, READ_WRITE);

/// The layers of a handle.
pub mod layer {
    pub const NETWORK: u32 = 0;
    pub const FLOW: u32 = 2;
    pub const SOCKET: u32 = 3;
}

/// Flags of a handle.
pub mod flag {
    pub const SNIFF: u64 = 0x1;
    pub const RECEIVE_ONLY: u64 = 0x4;
}

/// Where a handle's callouts are to be: what the library finds out by reading the filter.
pub mod place {
    pub const INBOUND: u64 = 0x10;
    pub const OUTBOUND: u64 = 0x20;
    pub const V4: u64 = 0x40;
    pub const V6: u64 = 0x80;
    pub const FLOW_DELETED: u64 = 0x100;
    pub const CONNECT: u64 = 0x400;
    pub const ACCEPT: u64 = 0x1000;
    pub const EVERYWHERE: u64 = INBOUND | OUTBOUND | V4 | V6;
}

/// One test of a compiled filter.
#[derive(Clone, Copy)]
pub struct Test {
    field: u32,
    argument: u32,
}

/// The filter `true`.
pub const EVERYTHING: &[Test] = &[Test {
    field: 0,
    argument: 0,
}];
/// The filter `udp.DstPort == 53`.
pub const DNS: &[Test] = &[Test {
    field: 54,
    argument: 53,
}];
/// The filter `udp.PayloadLength == 11`.
pub const ELEVEN_BYTES: &[Test] = &[Test {
    field: 57,
    argument: 11,
}];

/// Tests for equality, all of which have to hold.
fn compiled(filter: &[Test]) -> Vec<u8> {
    const ACCEPT: u32 = 0x7FFE;
    const REJECT: u32 = 0x7FFF;
    let mut bytes = Vec::new();
    for (index, test) in filter.iter().enumerate() {
        let next = if index + 1 == filter.len() {
            ACCEPT
        } else {
            index as u32 + 1
        };
        for word in [test.field | next << 16, REJECT, test.argument, 0, 0, 0] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }
    bytes
}

/// What a handle is opened with.
#[derive(Clone, Copy)]
pub struct Open {
    pub layer: u32,
    pub flags: u64,
    pub places: u64,
    pub filter: &'static [Test],
    /// -30000 to 30000; the higher sees a packet first.
    pub priority: i32,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            layer: layer::NETWORK,
            flags: 0,
            places: place::EVERYWHERE,
            filter: EVERYTHING,
            priority: 0,
        }
    }
}

/// What comes with a packet: WINDIVERT_ADDRESS.
#[derive(Clone, Debug)]
pub struct Address(pub Vec<u8>);

impl Address {
    const SIZE: usize = 80;

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().expect("four bytes"))
    }

    pub fn event(&self) -> u32 {
        self.word(8) >> 8 & 0xFF
    }

    pub fn is_sniffed(&self) -> bool {
        self.word(8) & 1 << 16 != 0
    }

    pub fn is_outbound(&self) -> bool {
        self.word(8) & 1 << 17 != 0
    }

    pub fn is_loopback(&self) -> bool {
        self.word(8) & 1 << 18 != 0
    }

    pub fn is_v6(&self) -> bool {
        self.word(8) & 1 << 20 != 0
    }

    /// Interface and sub-interface.
    pub fn interface(&self) -> (u32, u32) {
        (self.word(16), self.word(20))
    }
}

/// A receive that waits for a packet.
pub struct Waiting {
    pending: Pending,
    address: ProgramMemory,
    length: ProgramMemory,
}

/// The status of a receive that ended, even of a handle that is closed.
pub fn status(waiting: &Waiting) -> Option<i32> {
    waiting.pending.answer().map(|answer| answer.status)
}

/// A program's handle.
pub struct Divert<'a> {
    machine: &'a Machine,
    handle: Handle,
}

fn sixteen(first: u64, second: u64) -> Vec<u8> {
    [first.to_le_bytes(), second.to_le_bytes()].concat()
}

impl<'a> Divert<'a> {
    /// Opens a handle, as WinDivertOpen does.
    pub fn open(machine: &'a Machine, open: Open) -> Self {
        const TO_DRIVER: u64 = u64::from_le_bytes(*b"$WdivDLL");
        const FROM_DRIVER: u64 = u64::from_le_bytes(*b"#WdivSYS");
        let handle = machine
            .open_device(DEVICE)
            .unwrap_or_else(|status| panic!("{status:#x}\n{}", super::told(machine)));
        let divert = Self { machine, handle };
        let priority = (open.priority + 30_000) as u64;
        let mut version = TO_DRIVER.to_le_bytes().to_vec();
        for word in [2u32, 2, 64] {
            version.extend_from_slice(&word.to_le_bytes());
        }
        version.resize(64, 0);
        let answer = divert.control(
            INITIALIZE,
            &sixteen(u64::from(open.layer) | priority << 32, open.flags),
            version,
        );
        assert_eq!(answer.output[..8], FROM_DRIVER.to_le_bytes());
        assert_eq!(
            answer.output[8..16],
            [2, 0, 0, 0, 2, 0, 0, 0],
            "version 2.2"
        );
        divert.control(STARTUP, &sixteen(open.places, 0), compiled(open.filter));
        divert
    }

    /// Sends a control code that must succeed.
    fn control(&self, code: u32, input: &[u8], output: Vec<u8>) -> Answer {
        let answer = self
            .machine
            .device_control(&self.handle, code, input, output);
        assert!(
            answer.status >= 0,
            "{code:#x}: {:#010x}\n{}",
            answer.status,
            super::told(self.machine)
        );
        answer
    }

    /// Begins to receive one packet.
    pub fn receive(&self) -> Waiting {
        let address = self.machine.program_memory(&[0; Address::SIZE]);
        let length = self
            .machine
            .program_memory(&(Address::SIZE as u32).to_le_bytes());
        let input = sixteen(address.address(), length.address());
        let pending =
            self.machine
                .start_device_control(&self.handle, RECEIVE, &input, vec![0; 2048]);
        Waiting {
            pending,
            address,
            length,
        }
    }

    /// What a receive got: the packet and its address; `None` while it waits.
    pub fn received(&self, waiting: Waiting) -> Result<(Vec<u8>, Address), Waiting> {
        let Some(answer) = waiting.pending.answer() else {
            return Err(waiting);
        };
        assert!(answer.status >= 0, "{:#010x}", answer.status);
        let length = self.machine.read_program_memory(&waiting.length);
        assert_eq!(length, (Address::SIZE as u32).to_le_bytes(), "one packet");
        let address = Address(self.machine.read_program_memory(&waiting.address));
        let packet = answer.output[..answer.information].to_vec();
        self.machine.free_program_memory(waiting.address);
        self.machine.free_program_memory(waiting.length);
        Ok((packet, address))
    }

    /// The status of a receive that ended; `None` while it waits.
    pub fn ended(&self, waiting: &Waiting) -> Option<i32> {
        status(waiting)
    }

    /// Cancels one receive.
    pub fn cancel(&self, waiting: &Waiting) {
        self.machine.cancel_device_control(&waiting.pending);
    }

    /// Sends a packet.
    pub fn send(&self, packet: &[u8], address: &Address) {
        let memory = self.machine.program_memory(&address.0);
        let input = sixteen(memory.address(), Address::SIZE as u64);
        let answer = self.control(SEND, &input, packet.to_vec());
        assert_eq!(answer.information, packet.len());
        self.machine.free_program_memory(memory);
    }

    /// Says that nothing more is to be received.
    pub fn shut_down_receive(&self) {
        self.control(SHUTDOWN, &sixteen(1, 0), Vec::new());
    }

    /// Asks for one of the handle's numbers.
    pub fn parameter(&self, which: u32) -> u64 {
        let answer = self.control(GET_PARAMETER, &sixteen(u64::from(which), 0), vec![0; 8]);
        u64::from_le_bytes(answer.output[..8].try_into().expect("eight bytes"))
    }

    /// Closes the handle.
    pub fn close(self) {
        self.machine.close_device(self.handle);
    }
}
