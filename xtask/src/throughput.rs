//! `cargo xtask throughput`: what a replay costs with the linked driver and with the image, in instructions.
//!
//! Instructions and not seconds: valgrind counts the same again for the same program and input, whatever else the machine does. What
//! the host's kernel does for the simulator is not in them; it is the same for both.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::image::Arch;

/// What `cargo xtask throughput` is told.
#[derive(clap::Args)]
pub struct Args {
    /// The capture, a pcap file
    #[arg(default_value = "tests/captures/ipsec-transport-v6.pcap")]
    capture: PathBuf,
    /// What else `wfpsim replay` is told, after `--`: --host, --sa, --seed
    #[arg(last = true)]
    options: Vec<String>,
}

/// Counts both and prints the ratio.
///
/// # Errors
///
/// If something cannot be built, or a replay fails.
pub fn run(root: &Path, args: &Args) -> Result<()> {
    let image = crate::image::make(root, Arch::X86_64, true)?.image;
    let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args(["build", "--release", "--locked", "--package=wfpsim"])
        .status()
        .context("cannot run cargo")?;
    ensure!(status.success(), "wfpsim was not built: {status}");
    let program = crate::image::target_dir(root)?.join("release/wfpsim");
    // What it costs to begin and to end, with loading and unloading the driver.
    let empty = crate::image::target_dir(root)?.join("empty.pcap");
    let whole = std::fs::read(&args.capture)
        .with_context(|| format!("cannot read {}", args.capture.display()))?;
    let header = whole
        .get(..PCAP_HEADER)
        .context("the capture is shorter than a pcap header")?;
    std::fs::write(&empty, header).with_context(|| format!("cannot write {}", empty.display()))?;
    let count = |capture: &Path, image| instructions(&program, args, capture, image);
    let linked = [count(&args.capture, None)?, count(&empty, None)?];
    let of_image = [
        count(&args.capture, Some(&image))?,
        count(&empty, Some(&image))?,
    ];
    say!("                instructions, of which to load, begin and end");
    say!("linked {:>21} {:>20}", linked[0], linked[1]);
    say!("image  {:>21} {:>20}", of_image[0], of_image[1]);
    say!(
        "throughput of the image, of the linked driver's: {:.4} with loading, {:.4} without",
        linked[0] as f64 / of_image[0] as f64,
        (linked[0] - linked[1]) as f64 / (of_image[0] - of_image[1]) as f64
    );
    Ok(())
}

/// Bytes of a pcap file before its first packet.
const PCAP_HEADER: usize = 24;

/// The instructions of one replay.
fn instructions(program: &Path, args: &Args, capture: &Path, image: Option<&Path>) -> Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["replay", "--json"])
        .arg(capture)
        .args(&args.options);
    if let Some(image) = image {
        command.arg("--image").arg(image);
    }
    let output = command
        .output()
        .context("cannot run valgrind, which counts the instructions")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the replay failed:\n{text}");
    collected(&text).with_context(|| format!("valgrind counted nothing:\n{text}"))
}

/// The count in what callgrind prints: `==123== Collected : 76626719`.
fn collected(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("Collected :"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_count_is_found_in_what_callgrind_prints() {
        let text = "==7== \n==7== Events    : Ir\n==7== Collected : 76626719\n==7== \n";
        assert_eq!(super::collected(text), Some(76_626_719));
        assert_eq!(super::collected("==7== I refs: 3"), None);
    }
}
