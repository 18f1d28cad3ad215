//! The command line of the simulator.

#[cfg(target_arch = "x86_64")]
mod image;
mod input;
mod interrupt;
mod replay;

use std::process::ExitCode;

use clap::Parser;
use clap::Subcommand;

/// Runs a Windows Filtering Platform callout driver in a simulated kernel and verifies what it does.
#[derive(Parser)]
#[command(name = "wfpsim", version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Send a capture of a host's traffic through the stack model and the driver.
    ///
    /// Exit status: 0 clean; 2 a violation, a leak or a lost packet; 1 a file that cannot be read (a capture: after the good
    /// packets before the fault were processed) or written; 130 interrupted; 64 wrong arguments.
    Replay(replay::Arguments),
    /// Describe a driver image: what it is, what it needs and registers, and what memory integrity would find in it.
    ///
    /// Exit status: 0 no finding is an error; 1 the file is no image; 2 a finding is an error. Wrong arguments: 64.
    #[cfg(target_arch = "x86_64")]
    Image(image::Arguments),
}

/// The exit status for wrong arguments: EX_USAGE of sysexits.h, out of the way of what a replay can say.
const USAGE: u8 = 64;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // What cannot be printed, because the pipe is closed, has no one to read it.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match arguments.command {
        Command::Replay(arguments) => replay::run(&arguments),
        #[cfg(target_arch = "x86_64")]
        Command::Image(arguments) => image::run(&arguments),
    }
}
