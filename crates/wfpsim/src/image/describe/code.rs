//! What the code of an image has that memory integrity, the hardware-lab tests or a simulator care about.

use std::collections::HashMap;
use std::path::Path;

use iced_x86::Instruction;
use iced_x86::Mnemonic;
use iced_x86::OpKind;
use iced_x86::Register;

use super::pe::Pe;
use super::pe::Thunks;
use super::values::Values;
use super::walk::walk;

/// One place in the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Offset in the image.
    pub address: u32,
    /// What is there: an instruction, or a call with the argument that matters.
    pub what: String,
    /// Function, file and line, if the symbols are there.
    pub told: Option<String>,
}

/// What was seen in the code.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// How many instructions were read.
    pub instructions: usize,
    /// Instructions that change what the processor protects: control registers, descriptor tables, model-specific registers.
    pub protection: Vec<Place>,
    /// Other privileged instructions.
    pub privileged: Vec<Place>,
    /// Fast fails: `int 29h`.
    pub fast_fail: Vec<Place>,
    /// Calls that seem to ask for executable pool.
    pub executable_pool: Vec<Place>,
    /// Calls that seem to map memory executable.
    pub executable_mapping: Vec<Place>,
    /// Pool calls whose type is not a constant that is seen.
    pub unknown_pool: Vec<Place>,
}

/// At how many places of a kind the symbols are asked; a PDB is slow to ask.
const TOLD: usize = 4;

pub(super) fn look(pe: &Pe<'_>, thunks: &Thunks, pdb: Option<&Path>) -> Code {
    let mut code = Code::default();
    let mut values = Values::default();
    let mut calls: Vec<(u32, u32, [Option<u64>; 4])> = Vec::new();
    let mut stubs: HashMap<u32, u32> = HashMap::new();
    walk(pe, &mut |instruction, first| {
        if first {
            values.clear();
        }
        code.instructions += 1;
        sort(instruction, &mut code);
        if let Some(target) = target(instruction) {
            let arguments = [
                values.register(Register::RCX),
                values.register(Register::RDX),
                values.register(Register::R9),
                values.stack(0x28),
            ];
            let at = instruction.ip32();
            if first && instruction.is_jmp_near_indirect() {
                stubs.insert(at, target);
            }
            calls.push((at, target, arguments));
        }
        values.pass(instruction);
    });
    for (at, target, arguments) in calls {
        let thunk = stubs.get(&target).copied().unwrap_or(target);
        if stubs.contains_key(&at) {
            continue;
        }
        if let Some(name) = thunks.get(&thunk) {
            judge(name, at, arguments, &mut code);
        }
    }
    if let Some(pdb) = pdb {
        tell(&mut code, pdb);
    }
    code
}

/// Where a call or jump goes: the thunk that it reads, or the code.
fn target(instruction: &Instruction) -> Option<u32> {
    let indirect = instruction.is_call_near_indirect() || instruction.is_jmp_near_indirect();
    if indirect && instruction.is_ip_rel_memory_operand() {
        return u32::try_from(instruction.ip_rel_memory_address()).ok();
    }
    (instruction.is_call_near() || instruction.is_jmp_near())
        .then(|| u32::try_from(instruction.near_branch_target()).ok())?
}

fn sort(instruction: &Instruction, code: &mut Code) {
    let place = |what: String| Place {
        address: instruction.ip32(),
        what,
        told: None,
    };
    let mnemonic = instruction.mnemonic();
    let name = format!("{mnemonic:?}").to_ascii_lowercase();
    match mnemonic {
        Mnemonic::Int if instruction.immediate8() == 0x29 => {
            code.fast_fail.push(place("int 29h".to_owned()));
        }
        Mnemonic::Mov => {
            let control = |operand: u32| {
                let register = instruction.op_register(operand);
                (instruction.op_kind(operand) == OpKind::Register
                    && (register.is_cr() || register.is_dr()))
                .then(|| format!("{register:?}").to_ascii_lowercase())
            };
            if let Some(register) = control(0) {
                let what = place(format!("mov to {register}"));
                if register == "cr8" {
                    code.privileged.push(what);
                } else {
                    code.protection.push(what);
                }
            } else if let Some(register) = control(1) {
                code.privileged.push(place(format!("mov from {register}")));
            }
        }
        Mnemonic::Lgdt
        | Mnemonic::Lidt
        | Mnemonic::Lldt
        | Mnemonic::Ltr
        | Mnemonic::Lmsw
        | Mnemonic::Wrmsr
        | Mnemonic::Xsetbv
        | Mnemonic::Vmxon
        | Mnemonic::Vmlaunch => code.protection.push(place(name)),
        Mnemonic::Cli
        | Mnemonic::Sti
        | Mnemonic::In
        | Mnemonic::Out
        | Mnemonic::Insb
        | Mnemonic::Insw
        | Mnemonic::Insd
        | Mnemonic::Outsb
        | Mnemonic::Outsw
        | Mnemonic::Outsd => code.privileged.push(place(name)),
        _ if instruction.is_privileged() => code.privileged.push(place(name)),
        _ => {}
    }
}

/// POOL_NX_ALLOCATION, the bit of a POOL_TYPE that takes the right to execute away; and bit 0, by which paged pool is known.
const NOT_EXECUTABLE: u64 = 0x201;
/// POOL_FLAG_NON_PAGED_EXECUTE.
const POOL_FLAG_NON_PAGED_EXECUTE: u64 = 0x80;
/// MdlMappingNoExecute.
const MDL_MAPPING_NO_EXECUTE: u64 = 0x4000_0000;

/// Judges the call of an import by its arguments: the first, the second, the fourth, the sixth.
fn judge(name: &str, address: u32, arguments: [Option<u64>; 4], code: &mut Code) {
    let [first, second, fourth, sixth] = arguments;
    let place = |what: String| Place {
        address,
        what,
        told: None,
    };
    let (value, executable): (Option<u64>, fn(u64) -> bool) = match name {
        "ExAllocatePool"
        | "ExAllocatePoolWithTag"
        | "ExAllocatePoolWithQuota"
        | "ExAllocatePoolWithQuotaTag"
        | "ExAllocatePoolWithTagPriority" => (first, |kind| kind & NOT_EXECUTABLE == 0),
        "ExAllocatePool2" | "ExAllocatePool3" => {
            (first, |flags| flags & POOL_FLAG_NON_PAGED_EXECUTE != 0)
        }
        "ExInitializeNPagedLookasideList" => (fourth, |flags| flags & 0x200 == 0),
        "MmMapLockedPagesSpecifyCache" => {
            // A mapping into a process (UserMode) is another matter.
            if second.is_none_or(|mode| mode == 0)
                && let Some(priority) = sixth
                && priority & MDL_MAPPING_NO_EXECUTE == 0
            {
                let what = place(format!("{name}, priority {priority:#x}"));
                code.executable_mapping.push(what);
            }
            return;
        }
        _ => return,
    };
    match value {
        Some(value) if executable(value) => code
            .executable_pool
            .push(place(format!("{name}, type or flags {value:#x}"))),
        Some(_) => {}
        None => code.unknown_pool.push(place(name.to_owned())),
    }
}

fn tell(code: &mut Code, pdb: &Path) {
    let kinds = [
        &mut code.protection,
        &mut code.privileged,
        &mut code.fast_fail,
        &mut code.executable_pool,
        &mut code.executable_mapping,
        &mut code.unknown_pool,
    ];
    for place in kinds
        .into_iter()
        .flat_map(|kind| kind.iter_mut().take(TOLD))
    {
        // Symbols are told for return addresses: one further.
        let told = crate::image::tell(Some(pdb), "", &[place.address as usize + 1]);
        place.told = told
            .into_iter()
            .next()
            .map(|told| told.trim_start_matches('!').to_owned());
    }
}
