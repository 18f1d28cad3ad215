//! Stand-ins for functions that the simulator does not have: calling one stops the machine and names it, loading it does not.

use crate::exports::Caller;
use crate::exports::level;
use crate::verifier::Violation;
use crate::verifier::code as codes;

/// Machine code of one stand-in: `mov ecx, number; mov rax, stop; jmp rax`, which begins a call of `stop(number)` in the
/// Windows x64 convention and never comes back.
pub(super) fn code(number: u32) -> Vec<u8> {
    let mut code = vec![0xB9];
    code.extend_from_slice(&number.to_le_bytes());
    code.extend_from_slice(&[0x48, 0xB8]);
    code.extend_from_slice(&(stop as *const () as u64).to_le_bytes());
    code.extend_from_slice(&[0xFF, 0xE0]);
    code
}

/// How far stand-ins are apart.
pub(super) const STRIDE: usize = 32;

unsafe extern "win64" fn stop(number: u32) -> ! {
    let kernel = crate::exports::enter(
        "a function that the simulator lacks",
        Caller {
            max_irql: level::any,
            unlocked: false,
            point: true,
        },
    );
    let name = kernel
        .image
        .borrow()
        .as_ref()
        .and_then(|image| image.missing(number))
        .unwrap_or_else(|| format!("import {number}"));
    let summary = format!(
        "the driver called {name}, which the simulator does not have; it needs a line in exports! of its module (nt, ndis, fwp or wdf) \
         with its prototype, the IRQL and lock rules of its page, and a function that does it: that serves both calling conventions"
    );
    kernel.bug_check(Violation::new(
        kernel,
        codes::WFPSIM_CONTRACT_VIOLATION,
        [u64::from(number), 0, 0, 0],
        "-",
        summary,
    ))
}
