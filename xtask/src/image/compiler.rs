//! Stands between Cargo and rustc, and between rustc and the linker, so that an image does not depend on where it was built.
//!
//! Cargo gives every crate a number (`-C metadata`) that depends on the absolute path of a path dependency; it is in the names of
//! symbols and in the order of functions. And the linker writes into the PDB where its inputs were, what it was told and how it
//! was called, one of which is a directory with a random name. Neither has an option against it, so `cargo xtask image` makes
//! this program the wrapper of rustc and the linker, and it says other things to the real ones: see [`rustc`] and [`link`].

use std::collections::BTreeSet;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// Says as what this program was started, when it was not by a person.
const ROLE: &str = "TOLLGATE_XTASK_ROLE";
/// The real linker.
const LINKER: &str = "TOLLGATE_XTASK_LINKER";
/// Directories that have another name in what is built, one `from=to` a line; a later one goes before an earlier.
const REMAP: &str = "TOLLGATE_XTASK_REMAP";

/// Where the PDB says that everything was.
const PLACE: &str = "/tollgate";

/// What a build has to have in its environment.
pub fn environment(
    linker: &Path,
    remap: &[(&Path, &str)],
) -> Result<Vec<(&'static str, OsString)>> {
    let mut lines = OsString::new();
    for (from, to) in remap {
        lines.push(from);
        lines.push(format!("={to}\n"));
    }
    Ok(vec![
        ("RUSTC_WRAPPER", own_path()?.into_os_string()),
        (ROLE, "rustc".into()),
        (LINKER, linker.into()),
        (REMAP, lines),
    ])
}

/// This program, which is the linker as far as Cargo knows.
pub fn own_path() -> Result<PathBuf> {
    env::current_exe().context("cannot tell where xtask is")
}

/// Does what Cargo or rustc want of this program, if it is they who started it.
pub fn play() -> Option<ExitCode> {
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    let result = match env::var(ROLE).ok()?.as_str() {
        "rustc" => rustc(&arguments),
        "linker" => link(&arguments),
        _ => return None,
    };
    Some(result.unwrap_or_else(|error| {
        complain!("error: {error:#}");
        ExitCode::FAILURE
    }))
}

/// Calls rustc with the same arguments but for the crate's number, which becomes one of what the crate is, and with the
/// directories that have other names.
///
/// Those would belong into the flags that Cargo is told; but Cargo makes the names of files from its flags, and they are in the PDB.
fn rustc(arguments: &[OsString]) -> Result<ExitCode> {
    let (rustc, arguments) = arguments.split_first().context("no compiler named")?;
    let mut command = Command::new(rustc);
    command.env(ROLE, "linker");
    let number = number(arguments, |name| env::var(name).unwrap_or_default());
    for argument in arguments {
        match argument
            .to_str()
            .and_then(|text| text.strip_prefix("metadata="))
        {
            Some(_) => command.arg(format!("metadata={number}")),
            None => command.arg(argument),
        };
    }
    // Asked for its version or its targets, rustc compiles nothing and there is nothing to remap.
    if arguments.iter().any(|argument| argument == "--crate-name") {
        for line in env::var_os(REMAP)
            .unwrap_or_default()
            .to_string_lossy()
            .lines()
        {
            command.arg(format!("--remap-path-prefix={line}"));
        }
    }
    run(&mut command)
}

/// A number of the crate's name, version, kind, features and target, all of which are the same wherever it is built.
fn number(arguments: &[OsString], variable: impl Fn(&str) -> String) -> String {
    let mut facts: BTreeSet<String> = ["CARGO_PKG_NAME", "CARGO_PKG_VERSION"]
        .map(&variable)
        .into_iter()
        .collect();
    for pair in arguments.windows(2) {
        let [option, value] = pair else { continue };
        if ["--crate-name", "--crate-type", "--cfg", "--target"]
            .iter()
            .any(|known| option == known)
        {
            facts.insert(format!("{} {}", option.display(), value.display()));
        }
    }
    let digest = Sha256::digest(Vec::from_iter(facts).join("\n"));
    digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Links in a directory of its own, in which every input and output has a name without a path, and then brings the outputs to
/// where they are wanted.
fn link(arguments: &[OsString]) -> Result<ExitCode> {
    let linker = env::var_os(LINKER).context("no linker named")?;
    let place = tempfile::tempdir().context("cannot make a directory to link in")?;
    let plan = Plan::new(arguments, |path| path.is_file());
    for (from, name) in &plan.inputs {
        let to = place.path().join(name);
        // Another name for the same file where the file systems allow it.
        if fs::hard_link(from, &to).is_err() {
            fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    let mut command = Command::new(&linker);
    // What it is called goes into the PDB too.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::arg0(&mut command, "rust-lld");
    command.current_dir(place.path()).args(&plan.arguments);
    command.arg(format!("/PDBSOURCEPATH:{PLACE}"));
    let code = run(&mut command)?;
    for (name, to) in &plan.outputs {
        let from = place.path().join(name);
        if from.is_file() {
            fs::copy(&from, to).with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    Ok(code)
}

/// A linker's command without paths, and what has to be brought where for it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    arguments: Vec<OsString>,
    /// Files and their names in the directory where the linker runs.
    inputs: Vec<(PathBuf, String)>,
    /// Names of files there, and where they go.
    outputs: Vec<(String, PathBuf)>,
}

impl Plan {
    fn new(arguments: &[OsString], is_file: impl Fn(&Path) -> bool) -> Self {
        let mut plan = Self::default();
        for argument in arguments {
            let text = argument.to_string_lossy();
            let option = text
                .split_once(':')
                .filter(|(name, _)| name.starts_with(['/', '-']));
            let planned = match option {
                Some((name, path))
                    if ["/OUT", "/IMPLIB"]
                        .iter()
                        .any(|known| name.eq_ignore_ascii_case(known)) =>
                {
                    let short = plan.output(Path::new(path));
                    if name.eq_ignore_ascii_case("/OUT") {
                        plan.output(&Path::new(path).with_extension("pdb"));
                    }
                    format!("{name}:{short}").into()
                }
                Some((name, path)) if is_file(Path::new(path)) => {
                    format!("{name}:{}", plan.input(Path::new(path))).into()
                }
                _ if is_file(Path::new(argument)) => plan.input(Path::new(argument)).into(),
                _ => argument.clone(),
            };
            plan.arguments.push(planned);
        }
        plan
    }

    /// The name of an input: its own without Cargo's number, and with one of ours where that is not enough.
    fn input(&mut self, path: &Path) -> String {
        let plain = without_number(&file_name(path));
        let taken = |name: &str| self.inputs.iter().any(|(_, other)| other == name);
        let name = (0..)
            .map(|count| match count {
                0 => plain.clone(),
                count => format!("{count}-{plain}"),
            })
            .find(|name| !taken(name))
            .unwrap_or_default();
        self.inputs.push((path.to_owned(), name.clone()));
        name
    }

    fn output(&mut self, path: &Path) -> String {
        let name = file_name(path);
        self.outputs.push((name.clone(), path.to_owned()));
        name
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or(OsStr::new("file"))
        .to_string_lossy()
        .into_owned()
}

/// A file's name without the number that Cargo puts before its ending: `libnt-0123456789abcdef.rlib` is `libnt.rlib`.
fn without_number(name: &str) -> String {
    let is_number =
        |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let Some((stem, ending)) = name.split_once('.') else {
        return name.to_owned();
    };
    match stem.rsplit_once('-') {
        Some((plain, number)) if is_number(number) => format!("{plain}.{ending}"),
        _ => name.to_owned(),
    }
}

/// Runs a command and gives its exit status.
fn run(command: &mut Command) -> Result<ExitCode> {
    let status = command
        .status()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(arguments: &[&str]) -> Vec<OsString> {
        arguments.iter().map(OsString::from).collect()
    }

    #[test]
    fn a_crates_number_tells_what_it_is_and_not_where() {
        let package = |name: &str| format!("{name} of the package");
        let here = strings(&[
            "--crate-name",
            "nt",
            "-C",
            "metadata=1111",
            "--out-dir",
            "/here",
        ]);
        let there = strings(&[
            "--crate-name",
            "nt",
            "-C",
            "metadata=2222",
            "--out-dir",
            "/there",
        ]);
        let other = strings(&[
            "--crate-name",
            "wfp",
            "-C",
            "metadata=1111",
            "--out-dir",
            "/here",
        ]);
        assert_eq!(number(&here, package), number(&there, package));
        assert_ne!(number(&here, package), number(&other, package));
        assert_ne!(number(&here, package), number(&here, |_| String::new()));
    }

    #[test]
    fn the_linker_sees_names_without_paths_and_numbers() {
        let arguments = strings(&[
            "-flavor",
            "link",
            "/DEF:/x/rustcA1b2C3/lib.def",
            "/NOLOGO",
            "/x/deps/tollgate.o",
            "/x/deps/libnt-0123456789abcdef.rlib",
            "/y/libnt-fedcba9876543210.rlib",
            "/OUT:/x/deps/tollgate.dll",
            "/SUBSYSTEM:NATIVE,10.0",
        ]);
        let files = ["/x/rustcA1b2C3/lib.def", "/x/deps/tollgate.o"];
        let plan = Plan::new(&arguments, |path| {
            files.iter().any(|file| path == Path::new(file))
                || path.extension().is_some_and(|ending| ending == "rlib")
        });
        assert_eq!(
            plan.arguments,
            strings(&[
                "-flavor",
                "link",
                "/DEF:lib.def",
                "/NOLOGO",
                "tollgate.o",
                "libnt.rlib",
                "1-libnt.rlib",
                "/OUT:tollgate.dll",
                "/SUBSYSTEM:NATIVE,10.0",
            ])
        );
        assert_eq!(plan.inputs.len(), 4);
        assert_eq!(
            plan.outputs,
            [
                (
                    "tollgate.dll".to_owned(),
                    PathBuf::from("/x/deps/tollgate.dll")
                ),
                (
                    "tollgate.pdb".to_owned(),
                    PathBuf::from("/x/deps/tollgate.pdb")
                ),
            ]
        );
    }

    #[test]
    fn only_cargos_numbers_are_taken_away() {
        assert_eq!(without_number("libnt-0123456789abcdef.rlib"), "libnt.rlib");
        assert_eq!(
            without_number("libwdk_sys-portable.rlib"),
            "libwdk_sys-portable.rlib"
        );
        assert_eq!(without_number("lib.def"), "lib.def");
    }
}
