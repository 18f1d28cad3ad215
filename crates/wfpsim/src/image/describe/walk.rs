//! Finds the instructions of an image: from its entry point, its functions and every address of code that its data or its code
//! hold, along branches and calls, so that tables between functions are not read as code.

use iced_x86::Code as Opcode;
use iced_x86::Decoder;
use iced_x86::DecoderOptions;
use iced_x86::FlowControl;
use iced_x86::Instruction;
use iced_x86::OpKind;
use iced_x86::Register;
use object::pe;

use super::pe::Pe;

/// After how many instructions without an end a guess is given up.
const GUESSED: usize = 256;

/// The executable bytes of one section, with what is known of each.
struct Region<'a> {
    start: u32,
    bytes: &'a [u8],
    /// Read as an instruction already, or known to be a table.
    done: Vec<bool>,
}

/// Walks over an image. `visit` is handed every instruction once, its address as offset in the image, and whether it begins a
/// run, which is when nothing is known of the registers.
pub(super) fn walk(pe: &Pe<'_>, visit: &mut dyn FnMut(&Instruction, bool)) {
    let mut walk = Walk {
        pe,
        regions: pe
            .contents()
            .filter(|(section, _)| section.has(pe::IMAGE_SCN_MEM_EXECUTE))
            .map(|(section, bytes)| Region {
                start: section.address,
                bytes,
                done: vec![false; bytes.len()],
            })
            .collect(),
        todo: Vec::new(),
        visit,
    };
    walk.todo.push(
        pe.file
            .nt_headers()
            .optional_header
            .address_of_entry_point
            .get(object::LittleEndian),
    );
    let functions = functions(pe);
    walk.todo.extend(functions.iter().map(|&(begin, _)| begin));
    if let Ok(Some(mut blocks)) = pe
        .file
        .data_directories()
        .relocation_blocks(pe.bytes, &pe.file.section_table())
    {
        while let Ok(Some(block)) = blocks.next() {
            let held =
                block.filter_map(|relocation| pe.offset_of(pe.u64_at(relocation.virtual_address)?));
            for held in held {
                walk.guess(held);
            }
        }
    }
    walk.run();
    // What no branch leads to, such as the targets of a table that was not understood.
    let mut covered = 0;
    for (begin, end) in functions {
        for address in covered.max(begin)..end.min(begin.saturating_add(1 << 20)) {
            if walk.is_open(address) {
                walk.todo.push(address);
                walk.run();
            }
        }
        covered = covered.max(end);
    }
}

/// The functions of the exception directory, by address.
fn functions(pe: &Pe<'_>) -> Vec<(u32, u32)> {
    let Some((address, size)) = pe.directory(pe::IMAGE_DIRECTORY_ENTRY_EXCEPTION) else {
        return Vec::new();
    };
    let data = pe.at(address).unwrap_or_default();
    let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let mut found: Vec<(u32, u32)> = data[..data.len().min(size as usize)]
        .chunks_exact(12)
        .map(|entry| (number(entry), number(&entry[4..])))
        .filter(|(begin, end)| begin < end)
        .collect();
    found.sort_unstable();
    found
}

struct Walk<'a, 'v> {
    pe: &'a Pe<'a>,
    regions: Vec<Region<'a>>,
    todo: Vec<u32>,
    visit: &'v mut dyn FnMut(&Instruction, bool),
}

impl<'a> Walk<'a, '_> {
    fn place(&self, address: u32) -> Option<(usize, usize)> {
        self.regions.iter().enumerate().find_map(|(index, region)| {
            let offset = address.checked_sub(region.start)? as usize;
            (offset < region.bytes.len()).then_some((index, offset))
        })
    }

    fn is_open(&self, address: u32) -> bool {
        self.place(address)
            .is_some_and(|(region, offset)| !self.regions[region].done[offset])
    }

    fn run(&mut self) {
        while let Some(address) = self.todo.pop() {
            self.follow(address);
        }
    }

    /// Decodes from an address to where control does not go on, or to what was decoded before.
    fn follow(&mut self, address: u32) {
        let Some((region, mut offset)) = self.place(address) else {
            return;
        };
        let bytes: &'a [u8] = self.regions[region].bytes;
        let mut first = true;
        let mut decoder = Decoder::with_ip(
            64,
            &bytes[offset..],
            u64::from(address),
            DecoderOptions::NONE,
        );
        while decoder.can_decode() && !self.regions[region].done[offset] {
            let instruction = decoder.decode();
            let length = if instruction.is_invalid() {
                1
            } else {
                instruction.len()
            };
            for done in self.regions[region]
                .done
                .iter_mut()
                .skip(offset)
                .take(length)
            {
                *done = true;
            }
            if instruction.is_invalid() {
                return;
            }
            (self.visit)(&instruction, first);
            first = false;
            self.leads(&instruction);
            offset += length;
            let ends = matches!(
                instruction.flow_control(),
                FlowControl::Return
                    | FlowControl::IndirectBranch
                    | FlowControl::UnconditionalBranch
                    | FlowControl::Exception
            ) || instruction.code() == Opcode::Int3
                || instruction.code() == Opcode::Int_imm8 && instruction.immediate8() == 0x29;
            if ends {
                return;
            }
        }
    }

    /// Where an instruction leads: branch targets, addresses of code that it takes, and the targets in a table.
    fn leads(&mut self, instruction: &Instruction) {
        if instruction.is_jmp_short_or_near()
            || instruction.is_jcc_short_or_near()
            || instruction.is_call_near()
        {
            self.todo
                .extend(u32::try_from(instruction.near_branch_target()));
        } else if instruction.is_ip_rel_memory_operand() {
            if matches!(instruction.code(), Opcode::Lea_r64_m)
                && let Ok(target) = u32::try_from(instruction.ip_rel_memory_address())
            {
                self.guess(target);
            }
        } else if instruction.memory_base() != Register::None
            && instruction.memory_index_scale() == 4
            && instruction.memory_index() != Register::None
            && (0..instruction.op_count())
                .any(|operand| instruction.op_kind(operand) == OpKind::Memory)
        {
            self.table(instruction.memory_displacement32());
        }
    }

    /// Takes an address that data or code hold for one of code if what is there reads as such: compilers put strings and tables
    /// beside code too.
    fn guess(&mut self, address: u32) {
        let Some((region, offset)) = self.place(address).filter(|_| self.is_open(address)) else {
            return;
        };
        let bytes: &'a [u8] = self.regions[region].bytes;
        let decoder = Decoder::with_ip(
            64,
            &bytes[offset..],
            u64::from(address),
            DecoderOptions::NONE,
        );
        let last = decoder.into_iter().take(GUESSED).find(|instruction| {
            instruction.is_invalid()
                || !matches!(
                    instruction.flow_control(),
                    FlowControl::Next
                        | FlowControl::Call
                        | FlowControl::IndirectCall
                        | FlowControl::ConditionalBranch
                )
        });
        let ends_well = last.is_some_and(|last| {
            matches!(
                last.flow_control(),
                FlowControl::Return
                    | FlowControl::UnconditionalBranch
                    | FlowControl::IndirectBranch
            )
        });
        if ends_well {
            self.todo.push(address);
        }
    }

    /// A table of offsets of code in the image, as the Microsoft compiler makes it for a switch, behind the function's code.
    fn table(&mut self, address: u32) {
        let mut at = address;
        while let Some((region, offset)) = self.place(at).filter(|_| self.is_open(at)) {
            let Some(target) = self
                .pe
                .u32_at(at)
                .filter(|&target| self.place(target).is_some())
            else {
                return;
            };
            for done in self.regions[region].done.iter_mut().skip(offset).take(4) {
                *done = true;
            }
            self.todo.push(target);
            at = at.saturating_add(4);
        }
    }
}
