//! The command line of the simulator.

// The macros that print panic where nobody reads any more.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod check;
mod driver;
mod explore;
#[cfg(target_arch = "x86_64")]
mod image;
mod input;
mod interrupt;
mod replay;
mod rules;
mod terminal;

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
    /// Put a driver through the conformance suite: every scenario, on several seeds.
    ///
    /// Exit status: 0 every scenario holds; 2 one does not; 1 the image cannot be read; 130 interrupted; 64 wrong arguments.
    Check(check::Arguments),
    /// List the rules that a driver is verified by; with numbers, tell those in full.
    ///
    /// Of each: what is at stake, whether Windows itself would notice, and the mistake that shows that it is checked, or why it is
    /// not. Exit status: 0; 64 wrong arguments or no such rule.
    Rules(rules::Arguments),
    /// Run a scenario under one schedule after the other, or with one call after the other failing, and show the shortest run in
    /// which something is violated.
    ///
    /// Exit status: 0 nothing was violated; 2 something was; 1 a file that cannot be read; 130 interrupted; 64 wrong arguments.
    Explore(explore::Arguments),
    /// Describe a driver image: what it is, what it needs and registers, and what memory integrity would find in it.
    ///
    /// Exit status: 0 no finding is an error; 1 the file is no image; 2 a finding is an error. Wrong arguments: 64.
    #[cfg(target_arch = "x86_64")]
    Image(image::Arguments),
}

/// The exit status for wrong arguments: EX_USAGE of sysexits.h, out of the way of what a replay can say.
const USAGE: u8 = 64;
/// The exit status where a file could not be read or written.
const UNREADABLE: u8 = 1;
/// The exit status after Ctrl-C where nothing else was wrong: 128 and the signal's number, as shells say it.
const INTERRUPTED: u8 = 130;

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
        Command::Check(arguments) => check::run(&arguments),
        Command::Rules(arguments) => rules::run(&arguments),
        Command::Explore(arguments) => explore::run(&arguments),
        #[cfg(target_arch = "x86_64")]
        Command::Image(arguments) => image::run(&arguments),
    }
}
