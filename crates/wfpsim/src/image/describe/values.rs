//! Constants in registers and on the stack, as far as a straight run of instructions shows them: enough for the arguments of a
//! call, which compilers set just before it.

use std::collections::HashMap;

use iced_x86::Instruction;
use iced_x86::InstructionInfoFactory;
use iced_x86::Mnemonic;
use iced_x86::OpAccess;
use iced_x86::OpKind;
use iced_x86::Register;

/// What is known at one instruction.
pub(super) struct Values {
    registers: HashMap<Register, u64>,
    /// By displacement from RSP.
    stack: HashMap<u64, u64>,
    factory: InstructionInfoFactory,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            registers: HashMap::new(),
            stack: HashMap::new(),
            factory: InstructionInfoFactory::new(),
        }
    }
}

impl Values {
    /// Nothing is known.
    pub fn clear(&mut self) {
        self.registers.clear();
        self.stack.clear();
    }

    /// The constant in a register, by its name in 64 bits.
    pub fn register(&self, register: Register) -> Option<u64> {
        self.registers.get(&register).copied()
    }

    /// The constant at a displacement from RSP.
    pub fn stack(&self, displacement: u64) -> Option<u64> {
        self.stack.get(&displacement).copied()
    }

    /// Passes an instruction.
    pub fn pass(&mut self, instruction: &Instruction) {
        let result = self.result(instruction);
        let on_stack = instruction.op0_kind() == OpKind::Memory
            && instruction.memory_base() == Register::RSP
            && instruction.memory_index() == Register::None;
        let info = self.factory.info(instruction);
        for used in info.used_registers() {
            if !matches!(
                used.access(),
                OpAccess::Read | OpAccess::CondRead | OpAccess::None
            ) {
                self.registers.remove(&used.register().full_register());
            }
            if used.register().full_register() == Register::RSP
                && !matches!(used.access(), OpAccess::Read)
            {
                self.stack.clear();
            }
        }
        if instruction.is_call_near() || instruction.is_call_near_indirect() {
            // What a call may change; the others are given back as they were.
            for volatile in [
                Register::RAX,
                Register::RCX,
                Register::RDX,
                Register::R8,
                Register::R9,
                Register::R10,
                Register::R11,
            ] {
                self.registers.remove(&volatile);
            }
            self.stack.clear();
        }
        if on_stack {
            let place = instruction.memory_displacement64();
            self.stack.remove(&place);
            if let Some(value) = result {
                self.stack.insert(place, value);
            }
        } else if let Some(value) = result
            && instruction.op0_kind() == OpKind::Register
            && instruction.op0_register().size() >= 4
        {
            self.registers
                .insert(instruction.op0_register().full_register(), value);
        }
    }

    /// The constant that an instruction puts into its first operand.
    fn result(&self, instruction: &Instruction) -> Option<u64> {
        match instruction.mnemonic() {
            Mnemonic::Mov => match instruction.op1_kind() {
                OpKind::Register => {
                    let from = instruction.op1_register();
                    let value = self.register(from.full_register())?;
                    Some(if from.size() == 4 {
                        value & 0xFFFF_FFFF
                    } else {
                        value
                    })
                }
                OpKind::Memory => None,
                _ => instruction.try_immediate(1).ok(),
            },
            Mnemonic::Xor
                if instruction.op1_kind() == OpKind::Register
                    && instruction.op0_kind() == OpKind::Register
                    && instruction.op0_register() == instruction.op1_register() =>
            {
                Some(0)
            }
            Mnemonic::Lea if instruction.memory_index() == Register::None => {
                let base = self.register(instruction.memory_base().full_register())?;
                let value = base.wrapping_add(instruction.memory_displacement64());
                Some(if instruction.op0_register().size() == 4 {
                    value & 0xFFFF_FFFF
                } else {
                    value
                })
            }
            _ => None,
        }
    }
}
