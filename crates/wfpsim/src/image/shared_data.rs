//! KUSER_SHARED_DATA: the page at a fixed kernel address that code reads the time and the system's version from without a call.
//!
//! No process can map that address, so a load from it is a fault, which the handler turns into the load's result. Loads into a general
//! register are enough: that is what compilers make of the headers' macros, and of the start of the security cookie.

use iced_x86::Decoder;
use iced_x86::DecoderOptions;
use iced_x86::Instruction;
use iced_x86::Mnemonic;
use iced_x86::OpKind;
use iced_x86::Register;

use crate::machine::Kernel;

/// Where Windows maps it in every process and in the kernel.
const BASE: usize = 0xFFFF_F780_0000_0000;
const SIZE: usize = 0x1000;
/// The longest instruction of the processor.
const LONGEST: usize = 15;

/// The time of the simulated start, in 100 ns since 1601: 1 January 2025.
const BOOT: u64 = 133_801_632_000_000_000;
/// Interrupt time of one clock tick: 15.625 ms.
const TICK: u64 = 156_250;

/// What the page holds, by offset, length and value: the members that drivers' headers read.
fn members(kernel: &Kernel) -> [(usize, usize, u64); 10] {
    let now = kernel.now();
    let system = BOOT + now;
    [
        // TickCountMultiplier: milliseconds in a tick, times 2^24.
        (0x004, 4, 0x0FA0_0000),
        // InterruptTime and SystemTime, each a KSYSTEM_TIME: the low part and twice the high part.
        (0x008, 8, now),
        (0x010, 4, now >> 32),
        (0x014, 8, system),
        (0x01C, 4, system >> 32),
        (0x260, 4, 26100),
        (0x264, 4, 1),
        (0x26C, 4, 10),
        (0x320, 8, now / TICK),
        (0x328, 4, (now / TICK) >> 32),
    ]
}

/// The number of `length` bytes at an offset.
fn value(kernel: &Kernel, offset: usize, length: usize) -> u64 {
    let members = members(kernel);
    let byte = |at: usize| {
        let member = members
            .iter()
            .find(|(start, size, _)| (*start..start + size).contains(&at));
        member.map_or(0, |(start, _, value)| value >> (8 * (at - start)) & 0xFF)
    };
    (0..length).fold(0, |value, index| {
        value | byte(offset + index) << (8 * index)
    })
}

/// Carries out a load of the page that faulted at `address`, by the instruction that the context stands at. False if it is another
/// address, or an instruction that is no such load.
///
/// Runs in the fault handler: nothing is allocated.
pub(crate) fn load(kernel: &Kernel, address: usize, context: &mut libc::ucontext_t) -> bool {
    let Some(offset) = address.checked_sub(BASE).filter(|&offset| offset < SIZE) else {
        return false;
    };
    let registers = &mut context.uc_mcontext.gregs;
    let at = registers[libc::REG_RIP as usize] as usize;
    // An instruction ends at the latest where its image does; what lies behind it in the page is as readable.
    let readable = (at | 0xFFF) + 1 - at;
    // SAFETY: the processor has just executed from this page.
    let code = unsafe { std::slice::from_raw_parts(at as *const u8, LONGEST.min(readable)) };
    let mut instruction = Instruction::default();
    Decoder::with_ip(64, code, at as u64, DecoderOptions::NONE).decode_out(&mut instruction);
    let loads = matches!(instruction.mnemonic(), Mnemonic::Mov | Mnemonic::Movzx)
        && instruction.op0_kind() == OpKind::Register
        && instruction.op1_kind() == OpKind::Memory;
    let target = instruction.op0_register();
    let Some(place) = place_of(target).filter(|_| loads) else {
        return false;
    };
    let loaded = value(kernel, offset, instruction.memory_size().size());
    let slot = &mut registers[place as usize];
    *slot = match target.size() {
        // A load of four bytes clears the upper half of its register.
        8 | 4 => loaded as i64,
        size => {
            let mask = (1i64 << (8 * size)) - 1;
            *slot & !mask | loaded as i64 & mask
        }
    };
    registers[libc::REG_RIP as usize] = instruction.next_ip() as i64;
    true
}

/// Where the context has a general register; `None` for others, and for the high bytes AH to DH.
fn place_of(register: Register) -> Option<i32> {
    if matches!(
        register,
        Register::AH | Register::BH | Register::CH | Register::DH
    ) {
        return None;
    }
    Some(match register.full_register() {
        Register::RAX => libc::REG_RAX,
        Register::RBX => libc::REG_RBX,
        Register::RCX => libc::REG_RCX,
        Register::RDX => libc::REG_RDX,
        Register::RSI => libc::REG_RSI,
        Register::RDI => libc::REG_RDI,
        Register::RBP => libc::REG_RBP,
        Register::RSP => libc::REG_RSP,
        Register::R8 => libc::REG_R8,
        Register::R9 => libc::REG_R9,
        Register::R10 => libc::REG_R10,
        Register::R11 => libc::REG_R11,
        Register::R12 => libc::REG_R12,
        Register::R13 => libc::REG_R13,
        Register::R14 => libc::REG_R14,
        Register::R15 => libc::REG_R15,
        _ => return None,
    })
}
