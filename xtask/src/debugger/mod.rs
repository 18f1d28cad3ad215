//! `cargo xtask debugger`: the WinDbg extension in windbg/, put together and held against the image's PDB.
//!
//! windbg/tollgate.js and windbg/tollgate.natvis are one file each, because the debugger loads files one by one. They are made of the parts in
//! windbg/src, with the counters of tollgate-abi, and kept in the repository so that a checkout is enough to debug with.

mod natvis;
mod symbols;
mod tables;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use symbols::Symbols;
use tables::Tables;
use tollgate_abi::Counter;

use crate::image;

/// What `cargo xtask debugger` is told.
#[derive(clap::Args)]
pub struct Args {
    /// The PDB; without it the image is built
    #[arg(long, value_name = "FILE")]
    pdb: Option<PathBuf>,
    /// Make windbg/tollgate.js, windbg/tollgate.natvis and the tests' layout anew
    #[arg(long)]
    write: bool,
}

/// The parts of the script, in order; the tables go after the first.
const PARTS: [&str; 9] = [
    "header.js",
    "words.js",
    "memory.js",
    "rust.js",
    "state.js",
    "held.js",
    "nbl.js",
    "why.js",
    "commands.js",
];

/// Puts the extension together, compares it with what is in windbg/ or writes it there, and looks every name up.
///
/// # Errors
///
/// [`image::NoToolchain`] if there is no PDB and nothing here can build one; otherwise what is wrong.
pub fn run(root: &Path, args: &Args) -> Result<()> {
    let windbg = root.join("windbg");
    let tables = Tables::parse(&read(&windbg.join("src/tables.json"))?)?;
    let natvis = natvis_file(&read(&windbg.join("src/tollgate.natvis"))?);
    let mut problems = files(&windbg, &tables, &natvis, args.write)?;

    let pdb = match &args.pdb {
        Some(pdb) => pdb.clone(),
        None => image::symbols(root)?,
    };
    let symbols = Symbols::read(&pdb)?;
    problems.extend(tables.problems(&symbols));
    problems.extend(natvis::problems(&natvis, &symbols)?);
    problems.extend(blind(&tables, &natvis, &symbols)?);
    if args.write {
        let layout = tables.layout(&symbols);
        place(
            &windbg.join("test/layout.json"),
            &layout,
            true,
            &mut problems,
        )?;
    }
    for problem in &problems {
        complain!("problem: {problem}");
    }
    if !problems.is_empty() {
        bail!("{} problem(s) with windbg/", problems.len());
    }
    say!(
        "{}: all {} types that windbg/ names are there, with their fields",
        pdb.display(),
        tables.types.len() + tables.unions.len() + tables.enums.len()
    );
    Ok(())
}

/// Compares or writes the two files that the debugger loads.
fn files(windbg: &Path, tables: &Tables, natvis: &str, write: bool) -> Result<Vec<String>> {
    let mut problems = Vec::new();
    let script = script(windbg, tables)?;
    place(&windbg.join("tollgate.js"), &script, write, &mut problems)?;
    place(
        &windbg.join("tollgate.natvis"),
        natvis,
        write,
        &mut problems,
    )?;
    Ok(problems)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn place(path: &Path, made: &str, write: bool, problems: &mut Vec<String>) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|there| there.replace("\r\n", "\n") == made) {
        return Ok(());
    }
    if write {
        fs::write(path, made).with_context(|| format!("cannot write {}", path.display()))?;
        say!("wrote {}", path.display());
    } else {
        problems.push(format!(
            "{} is not what windbg/src makes: cargo xtask debugger --write",
            path.display()
        ));
    }
    Ok(())
}

/// The script.
fn script(windbg: &Path, tables: &Tables) -> Result<String> {
    let mut made =
        String::from("// Made from windbg/src by `cargo xtask debugger --write`; do not edit.\n\n");
    for (index, part) in PARTS.iter().enumerate() {
        made += &read(&windbg.join("src").join(part))?;
        made.push('\n');
        if index == 0 {
            made += &constants(tables);
        }
    }
    made.truncate(made.trim_end().len());
    made.push('\n');
    Ok(made)
}

/// What the script needs of the tables, and the counters.
fn constants(tables: &Tables) -> String {
    let mut made = format!(
        "const SLOT_SYMBOL = {};\n\n// Rust's enums without data, by value.\nconst ENUMS = {:#};\n\n",
        json!(tables.slot),
        json!(tables.enums)
    );
    made += "// Group, name and text of each counter, by index.\nconst COUNTERS = [\n";
    for counter in Counter::ALL {
        let row: Value = json!([counter.group().name(), counter.name(), counter.text()]);
        let _ = writeln!(made, "    {row},");
    }
    made + "];\n\n"
}

/// The natvis file, with a line for each counter that is not zero.
fn natvis_file(source: &str) -> String {
    let mut items = String::new();
    for counter in Counter::ALL {
        let (name, index) = (counter.name(), counter.index());
        let _ = write!(
            items,
            "{}<Item Name=\"{name}\" Condition=\"__0[{index}].v.value != 0\">__0[{index}].v.value</Item>",
            if index == 0 { "" } else { "\n      " }
        );
    }
    // A comment of XML cannot have the option's two dashes.
    let made = "<!-- Made from windbg/src by cargo xtask debugger; do not edit. -->";
    source
        .replacen("?>\n", &format!("?>\n{made}\n"), 1)
        .replace("<!-- COUNTERS -->", &items)
}

/// Makes up wrong names, and says so if they go unnoticed.
fn blind(tables: &Tables, natvis: &str, symbols: &Symbols) -> Result<Vec<String>> {
    const WRONG: &str = "no_such_name";
    let mut unnoticed = Vec::new();
    let mut wrong = tables.clone();
    for fields in wrong.types.values_mut() {
        fields.push(WRONG.into());
    }
    wrong.types.insert(WRONG.into(), vec![]);
    let expected = wrong.types.len();
    let before = tables.problems(symbols).len();
    let noticed = wrong.problems(symbols).len().saturating_sub(before);
    if noticed != expected {
        unnoticed.push(format!(
            "of {expected} wrong names in the tables {noticed} were noticed"
        ));
    }
    let more = format!(
        "<Type Name=\"{WRONG}\"/><Type Name=\"nt::status::NtStatus\"><DisplayString>{{{WRONG}}}</DisplayString></Type></AutoVisualizer>"
    );
    let wrong = natvis.replace("</AutoVisualizer>", &more);
    let before = natvis::problems(natvis, symbols)?.len();
    let noticed = natvis::problems(&wrong, symbols)?
        .len()
        .saturating_sub(before);
    if noticed != 2 {
        unnoticed.push(format!(
            "of 2 wrong names in the natvis file {noticed} were noticed"
        ));
    }
    Ok(unnoticed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_in_windbg_are_what_their_parts_make() {
        let windbg = crate::root().join("windbg");
        let tables = Tables::parse(&read(&windbg.join("src/tables.json")).unwrap()).unwrap();
        let natvis = natvis_file(&read(&windbg.join("src/tollgate.natvis")).unwrap());
        let problems = files(&windbg, &tables, &natvis, false).unwrap();
        assert_eq!(problems, Vec::<String>::new());
    }

    #[test]
    fn every_counter_is_in_both_files() {
        let natvis = natvis_file("<!-- COUNTERS -->");
        let tables =
            Tables::parse(r#"{"slot": "", "types": {}, "unions": {}, "enums": {}}"#).unwrap();
        let script = constants(&tables);
        for counter in Counter::ALL {
            assert!(natvis.contains(counter.name()), "{}", counter.name());
            assert!(script.contains(counter.text()), "{}", counter.name());
        }
    }
}
