//! Return addresses, told as function, file and line.

use std::fmt::Write as _;
use std::path::Path;

use crate::machine::Kernel;

/// Symbols of the simulator's own machinery below a driver's frames, which no reader wants.
const MACHINERY: [&str; 7] = [
    "::win64::",
    "corosensei::",
    "core::ops::function",
    "std::panicking",
    "wfpsim::machine::thread",
    "backtrace::",
    "wfpsim::verifier",
];

/// Where its files are, for builds whose symbols have no module names.
const MACHINERY_FILES: [&str; 5] = [
    "/core/src/ops/function.rs",
    "/backtrace-",
    "/corosensei-",
    "crates/wfpsim/src/machine/",
    "crates/wfpsim/src/verifier/",
];

/// The outermost frame of a simulated thread. What is below it is this process, not the machine.
const OUTERMOST: &str = "stack_init_trampoline";

/// Captures the stack of the running thread, innermost first, without this function's own frame.
pub(crate) fn capture(kernel: &Kernel) -> Vec<usize> {
    if !kernel.tells_stacks() {
        return Vec::new();
    }
    let mut frames = Vec::new();
    let mut stack = 0;
    backtrace::trace(|frame| {
        frames.push(frame.ip() as usize);
        stack = frame.sp() as usize;
        frames.len() < 64
    });
    through_image(kernel, &mut frames, stack, 0);
    frames
}

/// The host's unwinder stops where a driver image begins; from there on the image's own tables lead.
pub(crate) fn through_image(kernel: &Kernel, frames: &mut Vec<usize>, stack: usize, base: usize) {
    #[cfg(target_arch = "x86_64")]
    if let (Some(&last), Some(image)) = (frames.last(), kernel.image.borrow().as_ref())
        && image.offset_of(last).is_some()
        && let Some(thread) = kernel.running_thread()
    {
        let from = crate::image::From {
            instruction: last,
            stack,
            base,
        };
        let further =
            crate::image::follow(&image.image, image.start(), from, thread.stack_end.get());
        frames.extend(further.into_iter().skip(1));
    }
    let _ = (kernel, frames, stack, base);
}

/// Tells the offsets of an image's frames by its symbols.
fn resolve_image(kernel: &Kernel, offsets: &[usize]) -> Vec<String> {
    #[cfg(target_arch = "x86_64")]
    if let Some(image) = kernel.image.borrow().as_ref() {
        return crate::image::tell(image.image.pdb.as_deref(), &image.image.name, offsets);
    }
    let _ = kernel;
    offsets
        .iter()
        .map(|offset| format!("driver+{offset:#x}"))
        .collect()
}

/// Tells each address that symbols are known for.
pub(crate) fn resolve(kernel: &Kernel, frames: &[usize]) -> Vec<String> {
    let mut told = Vec::new();
    if !kernel.tells_stacks() {
        return told;
    }
    let mut at_end = false;
    let mut rest = frames;
    while let Some((&frame, behind)) = rest.split_first() {
        if kernel.image_offset(frame).is_some() {
            // A run of them at once: symbols are read once for each run.
            let offsets: Vec<usize> = rest
                .iter()
                .map_while(|&frame| kernel.image_offset(frame))
                .collect();
            rest = &rest[offsets.len()..];
            told.extend(resolve_image(kernel, &offsets));
            continue;
        }
        rest = behind;
        // A return address lies behind the call; the call is what people look for.
        let address = frame.saturating_sub(1) as *mut std::ffi::c_void;
        backtrace::resolve(address, |symbol| {
            let Some(name) = symbol.name() else { return };
            let name = format!("{name:#}");
            at_end |= name.contains(OUTERMOST);
            let file = symbol.filename().map(short);
            let is_machinery = MACHINERY.iter().any(|machinery| name.contains(machinery))
                || file
                    .as_ref()
                    .is_some_and(|file| MACHINERY_FILES.iter().any(|part| file.contains(part)));
            if at_end || is_machinery {
                return;
            }
            let mut line = name;
            if let (Some(file), Some(number)) = (file, symbol.lineno()) {
                let _ = write!(line, "  [{file} @ {number}]");
            }
            told.push(line);
        });
        if at_end {
            break;
        }
    }
    told
}

/// Where the simulator's functions are, as a told frame has it.
const SIMULATOR: &str = "[crates/wfpsim/src/";
/// Where the kernel's functions that drivers call are defined.
const EXPORTS: &str = "[crates/wfpsim/src/exports.rs";

/// Whether a told frame is the simulator's own.
pub(crate) fn is_simulators(frame: &str) -> bool {
    frame.contains(SIMULATOR)
}

/// The stack of something that happened to an object: from the kernel's function that did it to the driver's outermost frame and
/// who called that. How the simulator does what the function is for interests nobody there.
pub(crate) fn of_event(kernel: &Kernel, frames: &[usize]) -> Vec<String> {
    let mut told = resolve(kernel, frames);
    let of_driver = |frame: &String| !is_simulators(frame);
    let Some(last) = told.iter().rposition(of_driver) else {
        told.truncate(2);
        return told;
    };
    told.truncate(last + 2);
    let first = told
        .iter()
        .position(|frame| of_driver(frame) || frame.contains(EXPORTS));
    told.split_off(first.unwrap_or(0))
}

/// A file's name as it is in the repository. Of others the last components are enough to find the file, and say nothing of
/// the machine it was built on.
fn short(file: &Path) -> String {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    if let Some(within) = repository.and_then(|root| file.strip_prefix(root).ok()) {
        return within.display().to_string();
    }
    let count = file.components().count();
    let last = file.components().skip(count.saturating_sub(4));
    let last: std::path::PathBuf = last.collect();
    format!("/{}", last.display().to_string().trim_start_matches('/'))
}
