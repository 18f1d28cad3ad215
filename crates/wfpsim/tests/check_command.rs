//! `wfpsim check`, as somebody at a shell or a script meets it.

use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wfpsim"));
    command.arg("check").args(arguments).stdin(Stdio::null());
    command
}

fn check(arguments: &[&str]) -> Output {
    command(arguments).output().expect("wfpsim starts")
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text in UTF-8")
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text in UTF-8")
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn tollgate_holds_in_a_line_for_each_scenario_and_a_verdict() {
    let output = check(&[
        "--scenario",
        "tcp-*",
        "--scenario",
        "one-call-fails",
        "--seeds",
        "2",
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{}", err(&output));
    let told = out(&output);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("SCENARIO"), "{told}");
    // Piped: a line each, however long, in the suite's own order, and no colour.
    let names: Vec<&str> = lines[1..5]
        .iter()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(
        names,
        ["tcp-inbound", "tcp-outbound", "tcp-reset", "one-call-fails"]
    );
    assert!(
        lines[1..5].iter().all(|line| line.ends_with("holds")),
        "{told}"
    );
    assert!(told.contains("It holds: 4 scenarios"), "{told}");
    assert!(!told.contains('\u{1b}'), "{told}");
}

#[test]
fn json_has_the_same_under_names_that_scripts_rely_on() {
    let output = check(&[
        "--scenario",
        "udp-*",
        "--seeds",
        "3",
        "--seed",
        "40",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found = json(&out(&output));
    assert_eq!(found["holds"], true);
    assert_eq!(found["interrupted"], false);
    let scenarios = found["scenarios"].as_array().expect("a list");
    assert_eq!(scenarios.len(), 2);
    for scenario in scenarios {
        assert_eq!(scenario["seeds"], 3);
        // V4 and V6 on each seed.
        assert_eq!(scenario["runs"], 6);
        assert_eq!(scenario["verdict"], "holds");
        assert_eq!(scenario["lost"], 0);
        assert_eq!(scenario["failed"], Value::Null);
        assert!(scenario["packets"].as_u64() > Some(0));
        assert!(scenario["taken"].as_u64() > Some(0), "{scenario}");
    }
}

#[test]
fn the_same_seed_shows_the_same_again() {
    let run = || out(&check(&["--scenario", "reload", "--seeds", "2", "--json"]));
    assert_eq!(run(), run());
}

#[test]
fn the_list_has_every_scenario_and_runs_none() {
    let output = check(&["--list"]);
    assert_eq!(output.status.code(), Some(0));
    let told = out(&output);
    for scenario in wfpsim::check::all() {
        let line = told.lines().find(|line| {
            line.split_whitespace().next() == Some(scenario.name) && line.ends_with(scenario.what)
        });
        assert!(line.is_some(), "{} is not in\n{told}", scenario.name);
    }
    let listed = json(&out(&check(&["--list", "--json", "--scenario", "split-*"])));
    assert_eq!(listed[0]["name"], "split-mdls");
    assert!(listed[0]["cases"].as_u64() > Some(100), "{listed}");
}

#[test]
fn wrong_arguments_exit_with_64_and_say_what_is_wrong() {
    for (arguments, wanted) in [
        (
            &["--scenario", "no-such-thing"][..],
            "no scenario is called",
        ),
        (
            &["--scenario", "tcp-inbound", "--case", "2"],
            "cases 0 to 1",
        ),
        (&["--seeds", "0"], "--seeds"),
        (&["--sneeds", "1"], "--sneeds"),
    ] {
        let output = check(arguments);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
        assert!(err(&output).contains(wanted), "{}", err(&output));
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn ctrl_c_tells_what_ran_and_exits_with_130() {
    let mut child = command(&[
        "--scenario",
        "tcp-inbound",
        "--seeds",
        "100000000",
        "--json",
    ])
    .stdout(Stdio::piped())
    .spawn()
    .expect("wfpsim starts");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .expect("kill starts");
    assert!(killed.success());
    let mut told = String::new();
    let mut stdout = child.stdout.take().expect("it is piped");
    stdout.read_to_string(&mut told).expect("text in UTF-8");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    let found = json(&told);
    assert_eq!(found["interrupted"], true);
    assert_eq!(found["holds"], true);
    assert_eq!(found["scenarios"][0]["verdict"], "partly");
}

/// The shipped image, if it was built.
fn image() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    let path = target.join("image/x86_64/tollgate.sys");
    if path.is_file() && cfg!(target_arch = "x86_64") {
        return Some(path);
    }
    println!("SKIPPED: no image that runs here; `cargo xtask image` builds it");
    None
}

#[test]
fn the_image_gives_the_linked_drivers_numbers() {
    let Some(path) = image() else { return };
    let run = |image: &[&str]| {
        let common = ["--scenario", "ipsec-*", "--scenario", "completions-*"];
        let common = [&common[..], &["--seeds", "1", "--json"]].concat();
        let output = check(&[&common[..], image].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        json(&out(&output))
    };
    assert_eq!(run(&["--image", path.to_str().expect("UTF-8")]), run(&[]));
}

#[cfg(target_arch = "x86_64")]
#[test]
fn what_is_no_image_exits_with_1() {
    let own = file!();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(own);
    for path in [here.to_str().expect("UTF-8"), "/no/such/file.sys"] {
        let output = check(&["--image", path]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{}", out(&output));
        assert!(err(&output).starts_with("wfpsim: "), "{}", err(&output));
    }
}

/// A copy of the image whose entry point is other code.
fn with_entry(image: &Path, code: &[u8]) -> tempfile::NamedTempFile {
    let mut bytes = std::fs::read(image).expect("it is there");
    let u32_at = |bytes: &[u8], at: usize| {
        let bytes: [u8; 4] = bytes[at..at + 4].try_into().expect("four bytes");
        u32::from_le_bytes(bytes) as usize
    };
    let u16_at = |bytes: &[u8], at: usize| usize::from(bytes[at]) | usize::from(bytes[at + 1]) << 8;
    let pe = u32_at(&bytes, 0x3C);
    let entry = u32_at(&bytes, pe + 24 + 16);
    let sections = pe + 24 + u16_at(&bytes, pe + 20);
    let at = (0..u16_at(&bytes, pe + 6))
        .map(|index| sections + index * 40)
        .find_map(|section| {
            let start = u32_at(&bytes, section + 12);
            let size = u32_at(&bytes, section + 16);
            let within = (start..start + size).contains(&entry);
            within.then(|| u32_at(&bytes, section + 20) + entry - start)
        });
    let at = at.expect("the entry point is in a section");
    bytes[at..at + code.len()].copy_from_slice(code);
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes).expect("it is written");
    file
}

#[test]
fn a_driver_that_fails_is_told_with_the_report_and_the_command_and_exits_with_2() {
    let Some(path) = image() else { return };
    // xor eax, eax; ret: a DriverEntry that succeeds and does nothing, so that the driver can never be unloaded.
    let wrong = with_entry(&path, &[0x31, 0xC0, 0xC3]);
    let wrong = wrong.path().to_str().expect("UTF-8");
    let common = [
        "--image",
        wrong,
        "--scenario",
        "tcp-outbound",
        "--scenario",
        "icmp-echo",
    ];
    let output = check(&common);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = out(&output);
    for wanted in [
        "FAILED",
        "it has no unload routine",
        "D-01",
        "IT DOES NOT HOLD: 2 of 2 scenarios",
        "failed: tcp-outbound, icmp-echo.",
    ] {
        assert!(told.contains(wanted), "no {wanted:?} in\n{told}");
    }
    let line = told
        .lines()
        .find(|line| line.contains("--scenario tcp-outbound"));
    let again = line.expect("the command is told").trim();
    let arguments: Vec<&str> = again.split_whitespace().skip(2).collect();
    assert_eq!(arguments[..2], ["--image", wrong]);
    let output = check(&[&arguments[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let found = json(&out(&output));
    let failed = &found["scenarios"][0]["failed"];
    assert_eq!(
        failed["failures"][0]["violation"]["rule"], "D-01",
        "{found}"
    );
    assert_eq!(failed["command"], again);
}
