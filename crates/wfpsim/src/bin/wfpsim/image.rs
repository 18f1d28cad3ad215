//! `wfpsim image`.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use wfpsim::image::describe::describe;

use crate::terminal;

/// The exit status for findings that are errors.
const ERRORS: u8 = 2;

#[derive(clap::Args)]
pub struct Arguments {
    /// A driver image.
    #[arg(value_name = "FILE.sys")]
    image: PathBuf,
    /// Do not run the image to see its callouts. Running it runs its code on this processor, with your rights.
    #[arg(long)]
    no_run: bool,
    /// Print the description as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let described = match describe(&arguments.image, !arguments.no_run) {
        Ok(described) => described,
        Err(error) => {
            terminal::complain(error);
            return ExitCode::from(1);
        }
    };
    let text = if arguments.json {
        format!("{:#}\n", described.json())
    } else {
        described.to_string()
    };
    // A reader that went away (head, less) changes nothing in the image.
    let _ = std::io::stdout().write_all(text.as_bytes());
    if described.has_errors() {
        ExitCode::from(ERRORS)
    } else {
        ExitCode::SUCCESS
    }
}
