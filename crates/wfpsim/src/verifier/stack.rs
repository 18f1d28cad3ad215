//! Return addresses, told as function, file and line.

use std::fmt::Write as _;

use crate::machine::Kernel;

/// Symbols of the simulator's own machinery below a driver's frames, which no reader wants.
const MACHINERY: [&str; 6] = [
    "corosensei::",
    "core::ops::function",
    "std::panicking",
    "wfpsim::machine::thread",
    "backtrace::",
    "wfpsim::verifier",
];

/// Captures the stack of the running thread, innermost first, without this function's own frame.
pub(crate) fn capture() -> Vec<usize> {
    let mut frames = Vec::new();
    backtrace::trace(|frame| {
        frames.push(frame.ip() as usize);
        frames.len() < 64
    });
    frames
}

/// Tells each address that symbols are known for.
pub(crate) fn resolve(kernel: &Kernel, frames: &[usize]) -> Vec<String> {
    let mut told = Vec::new();
    for &frame in frames {
        if let Some(offset) = kernel.image_offset(frame) {
            told.push(format!("driver+{offset:#x}"));
            continue;
        }
        // A return address lies behind the call; the call is what people look for.
        let address = frame.saturating_sub(1) as *mut std::ffi::c_void;
        backtrace::resolve(address, |symbol| {
            let Some(name) = symbol.name() else { return };
            let name = format!("{name:#}");
            if MACHINERY.iter().any(|machinery| name.contains(machinery)) {
                return;
            }
            let mut line = name;
            if let (Some(file), Some(number)) = (symbol.filename(), symbol.lineno()) {
                // The last components are enough to find the file, and say nothing of the machine it was built on.
                let parts: Vec<_> = file
                    .components()
                    .rev()
                    .take(4)
                    .map(|part| part.as_os_str().to_string_lossy())
                    .collect();
                let short: Vec<_> = parts.into_iter().rev().collect();
                let _ = write!(line, "  [{} @ {number}]", short.join("/"));
            }
            told.push(line);
        });
    }
    told
}
