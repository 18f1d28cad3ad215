//! `wfpsim rules`.

use std::io::Write;
use std::process::ExitCode;

use wfpsim::verifier::Rule;
use wfpsim::verifier::rules::Full;
use wfpsim::verifier::rules::Table;
use wfpsim::verifier::rules::json;

use crate::terminal;

#[derive(clap::Args)]
pub struct Arguments {
    /// Tell these rules in full, by their numbers: A-28, C.1. All of them as a table if absent.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Print the rules as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    let mut rules = Vec::new();
    for id in &arguments.ids {
        match Rule::find(id) {
            Some(rule) => rules.push(rule),
            None => {
                let near = Rule::near(id).join(", ");
                terminal::complain(format_args!("there is no rule {id}; near it are {near}"));
                return ExitCode::from(crate::USAGE);
            }
        }
    }
    let width = terminal::width();
    let text = match (arguments.json, rules.is_empty()) {
        (true, true) => format!("{:#}\n", json::rules(Rule::all())),
        (true, false) => format!("{:#}\n", json::rules(rules)),
        (false, true) => Table { width }.to_string(),
        (false, false) => {
            let told = rules
                .into_iter()
                .map(|rule| Full { rule, width }.to_string());
            told.collect::<Vec<_>>().join("\n")
        }
    };
    // A reader that went away (head, less) is no fault of the table.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}
