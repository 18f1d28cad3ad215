//! What WinDivert 1's user-mode library does with the driver: versions 1.1 and 1.3 differ in their device's name and two numbers.

use wfpsim::Machine;
use wfpsim::driver::Answer;
use wfpsim::driver::Handle;
use wfpsim::driver::Pending;
use wfpsim::driver::ProgramMemory;

/// FILE_DEVICE_NETWORK with a function and a method, FILE_ANY_ACCESS.
const fn control_code(function: u32, method: u32) -> u32 {
    0x12 << 16 | function << 2 | method
}

const IN_DIRECT: u32 = 1;
const OUT_DIRECT: u32 = 2;

const RECEIVE: u32 = control_code(0x908, OUT_DIRECT);
const SEND: u32 = control_code(0x909, IN_DIRECT);
const START_FILTER: u32 = control_code(0x90A, IN_DIRECT);
const GET_PARAMETER: u32 = control_code(0x90F, OUT_DIRECT);

/// What tells one version from the other.
#[derive(Clone, Copy)]
pub struct Interface {
    device: &'static str,
    /// What a message begins with, and its version.
    magic: u16,
    version: u8,
}

pub const V1_1: Interface = Interface {
    device: r"\\.\WinDivert1.1",
    magic: 0xE8D3,
    version: 3,
};
pub const V1_3: Interface = Interface {
    device: r"\\.\WinDivert1.3",
    magic: 0x1E06,
    version: 5,
};

/// What comes with a packet: interface, sub-interface and direction.
#[derive(Clone, Debug)]
pub struct Address(Vec<u8>);

impl Address {
    const SIZE: usize = 12;

    pub fn is_inbound(&self) -> bool {
        self.0[8] == 1
    }

    pub fn interface(&self) -> (u32, u32) {
        let word =
            |at: usize| u32::from_le_bytes(self.0[at..at + 4].try_into().expect("four bytes"));
        (word(0), word(4))
    }
}

/// A receive that waits for a packet.
pub struct Waiting {
    pending: Pending,
    address: ProgramMemory,
}

/// A program's handle.
pub struct Divert<'a> {
    machine: &'a Machine,
    interface: Interface,
    handle: Handle,
}

impl<'a> Divert<'a> {
    /// Opens a handle that diverts everything.
    pub fn open(machine: &'a Machine, interface: Interface) -> Self {
        let handle = machine
            .open_device(interface.device)
            .unwrap_or_else(|status| panic!("{status:#x}\n{}", super::told(machine)));
        let divert = Self {
            machine,
            interface,
            handle,
        };
        // `true`: zero is zero, and then accept.
        let mut filter = vec![0, 0];
        for word in [129u16, 130] {
            filter.extend_from_slice(&word.to_le_bytes());
        }
        filter.resize(22, 0);
        divert.control(START_FILTER, 0, 0, filter);
        divert
    }

    fn message(&self, which: u8, argument: u64) -> Vec<u8> {
        let mut message = self.interface.magic.to_le_bytes().to_vec();
        message.extend_from_slice(&[self.interface.version, which]);
        message.extend_from_slice(&argument.to_le_bytes());
        message
    }

    /// Sends a control code that must succeed.
    fn control(&self, code: u32, which: u8, argument: u64, output: Vec<u8>) -> Answer {
        let message = self.message(which, argument);
        let answer = self
            .machine
            .device_control(&self.handle, code, &message, output);
        assert!(
            answer.status >= 0,
            "{code:#x}: {:#010x}\n{}",
            answer.status,
            super::told(self.machine)
        );
        answer
    }

    /// How many packets the driver's queue holds.
    pub fn queue_length(&self) -> u64 {
        let answer = self.control(GET_PARAMETER, 0, 0, vec![0; 8]);
        u64::from_le_bytes(answer.output[..8].try_into().expect("eight bytes"))
    }

    /// Begins to receive one packet.
    pub fn receive(&self) -> Waiting {
        let address = self.machine.program_memory(&[0; Address::SIZE]);
        let message = self.message(0, address.address());
        let pending =
            self.machine
                .start_device_control(&self.handle, RECEIVE, &message, vec![0; 2048]);
        Waiting { pending, address }
    }

    /// What a receive got, which must be there.
    pub fn received(&self, waiting: Waiting) -> (Vec<u8>, Address) {
        let answer = waiting
            .pending
            .answer()
            .unwrap_or_else(|| panic!("no packet was received\n{}", super::told(self.machine)));
        assert!(answer.status >= 0, "{:#010x}", answer.status);
        let address = Address(self.machine.read_program_memory(&waiting.address));
        self.machine.free_program_memory(waiting.address);
        (answer.output[..answer.information].to_vec(), address)
    }

    /// The status of a receive that ended without a packet.
    pub fn ended(waiting: &Waiting) -> Option<i32> {
        waiting.pending.answer().map(|answer| answer.status)
    }

    /// Sends a packet.
    pub fn send(&self, packet: &[u8], address: &Address) {
        let memory = self.machine.program_memory(&address.0);
        let answer = self.control(SEND, 0, memory.address(), packet.to_vec());
        assert_eq!(answer.information, packet.len());
        self.machine.free_program_memory(memory);
    }

    /// Closes the handle.
    pub fn close(self) {
        self.machine.close_device(self.handle);
    }
}
