//! The command line, as somebody at a shell or a script meets it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;
use toml::Table;
use wfpsim_packet::CaptureReader;
use wfpsim_packet::CapturedPacket;
use wfpsim_packet::IpPacket;
use wfpsim_packet::Transport;
use wfpsim_packet::checksum;
use wfpsim_packet::link::LinkType;

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures")
}

fn wfpsim<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wfpsim"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Output {
    wfpsim(arguments).output().expect("wfpsim starts")
}

/// `wfpsim replay` of one of the project's captures.
fn replay(capture: &str, options: &[&str]) -> Output {
    let capture = captures().join(capture);
    let capture = capture.to_str().expect("a path in UTF-8");
    run(["replay", capture].iter().chain(options))
}

fn status(output: &Output) -> Option<i32> {
    output.status.code()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text in UTF-8")
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn expectations(kind: &str) -> Vec<Table> {
    let text = std::fs::read_to_string(captures().join("expected.toml")).expect("it is there");
    let table: Table = text.parse().expect("it is sound");
    let entries = table[kind].as_array().expect("an array of tables");
    let entries = entries.iter().map(|entry| entry.as_table().cloned());
    entries.collect::<Option<_>>().expect("tables")
}

fn string<'a>(entry: &'a Table, key: &str) -> &'a str {
    entry[key].as_str().expect("a string")
}

/// The options that say whose capture it is and with which keys.
fn options(entry: &Table) -> Vec<String> {
    let hosts = entry["host"].as_array().expect("a list").iter();
    let mut options: Vec<String> = hosts
        .flat_map(|host| ["--host", host.as_str().expect("an address")])
        .map(str::to_owned)
        .collect();
    if let Some(sa) = entry.get("sa").and_then(toml::Value::as_str) {
        let sa = captures().join(sa).display().to_string();
        options.extend(["--sa".to_owned(), sa]);
    }
    options
}

fn replay_entry(entry: &Table, more: &[&str]) -> Output {
    let options = options(entry);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    replay(string(entry, "file"), &[&options, more].concat())
}

#[test]
fn a_clean_capture_is_told_in_words_and_exits_with_0() {
    let output = replay("tcp-v4.pcap", &[]);
    assert_eq!(status(&output), Some(0));
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    for wanted in [
        "host    192.0.2.10",
        "guessed:",
        "permit all",
        "delivered                16",
        "sent                     14",
        "lost                      0",
        "clean: every permitted packet came out once",
    ] {
        assert!(told.contains(wanted), "no {wanted:?} in\n{told}");
    }
    // Piped, there is no terminal to be wider or narrower, and no colour.
    let path = captures().join("tcp-v4.pcap").display().to_string();
    for line in told.lines().filter(|line| *line != path) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(!told.contains('\u{1b}'), "{told}");
}

#[test]
fn a_complaint_that_nobody_reads_changes_no_exit_status() {
    for (argument, expected) in [("no-such-file.pcap", 1), ("--no-such-option", 64)] {
        let mut command = wfpsim(["replay", argument]);
        let mut running = command.stderr(Stdio::piped()).spawn().expect("it starts");
        // As `2>&1 | head -1` does when it has read enough.
        drop(running.stderr.take());
        let status = running.wait().expect("it ends");
        assert_eq!(status.code(), Some(expected), "{argument}");
    }
}

#[test]
fn json_has_the_same_under_names_that_scripts_rely_on() {
    for entry in expectations("capture") {
        let name = string(&entry, "file");
        let output = replay_entry(&entry, &["--json", "--seed", "7"]);
        assert_eq!(status(&output), Some(0), "{name}: {output:?}");
        let found = json(&output);
        let same = |found: &Value, key: &str| {
            assert_eq!(found.as_i64(), entry[key].as_integer(), "{name}: {key}");
        };
        same(&found["packets"]["in"], "records");
        same(&found["packets"]["inbound"], "packets_in");
        same(&found["packets"]["delivered"], "delivered");
        same(&found["packets"]["sent"], "sent");
        same(&found["ipsec"]["tunnel"], "ipsec_tunnel");
        let dropped = entry["dropped"].as_table().expect("a table");
        let told = found["dropped"].as_object().expect("a map by reason");
        assert_eq!(told.len(), dropped.len(), "{name}: {told:?}");
        for (reason, count) in dropped {
            assert_eq!(
                told[reason].as_i64(),
                count.as_integer(),
                "{name}: {reason}"
            );
        }
        for count in ["held", "reinjected", "blocked"] {
            assert!(found[count].is_u64(), "{name}: {count}");
        }
        for count in ["rebuilt", "skipped_tunnel"] {
            assert!(found["ipsec"][count].is_u64(), "{name}: ipsec.{count}");
        }
        assert_eq!(found["violations"], Value::Array(Vec::new()), "{name}");
        assert_eq!(found["leaks"], Value::Object(Default::default()), "{name}");
        assert_eq!(found["seed"], 7, "{name}");
        assert_eq!(found["error"], Value::Null, "{name}");
    }
}

#[test]
fn a_broken_capture_names_packet_and_byte_after_the_good_packets_went_through() {
    for entry in expectations("broken") {
        let name = string(&entry, "file");
        let output = replay_entry(&entry, &["--json"]);
        let exit = entry["exit"].as_integer();
        assert_eq!(status(&output).map(i64::from), exit, "{name}: {output:?}");
        let good = entry["good"].as_integer();
        if good > Some(0) {
            let found = json(&output);
            assert_eq!(found["packets"]["in"].as_i64(), good, "{name}");
            for key in ["delivered", "sent"] {
                let wanted = entry[key].as_integer();
                assert_eq!(found["packets"][key].as_i64(), wanted, "{name}: {key}");
            }
        }
        let told = text(&output.stderr);
        let place = |key| entry.get(key).and_then(toml::Value::as_integer);
        match (place("fault_packet"), place("fault_offset")) {
            (None, _) => assert_eq!(told, "", "{name}"),
            (Some(0), _) => assert!(told.contains(name), "{name}: {told}"),
            (Some(packet), offset) => {
                let place = format!("packet {packet} at byte {}", offset.expect("an offset"));
                assert!(told.contains(&place), "{name}: {told}");
                let output = replay_entry(&entry, &[]);
                assert_eq!(status(&output).map(i64::from), exit, "{name}");
                let told = text(&output.stdout);
                assert!(told.contains("clean as far as that"), "{name}: {told}");
            }
        }
    }
}

/// What tells a packet in `plain` from another: its ends and everything from the transport header on.
fn content(packet: &[u8]) -> (String, Vec<u8>) {
    let mut packet = packet.to_vec();
    let ip = IpPacket::parse(&packet).expect("an IP packet");
    let whole = !ip.is_fragment() && Transport::parse(&ip).is_ok();
    if whole {
        // Loopback packets have only the pseudo-header's sum, in the capture and on their way.
        checksum::fill(&mut packet).expect("a packet with a checksum, or without the need of one");
    }
    let ip = IpPacket::parse(&packet).expect("an IP packet");
    let ends = format!("{} {} {}", ip.protocol(), ip.source(), ip.destination());
    (ends, ip.payload().to_vec())
}

fn packets(path: &Path) -> Vec<CapturedPacket> {
    let reader = CaptureReader::open(path).expect("it opens");
    reader.map(|packet| packet.expect("it is sound")).collect()
}

/// In nanoseconds. The captures have microseconds mostly, the plain files always more.
const MICROSECOND: u64 = 1000;

#[test]
fn what_came_out_is_written_as_raw_ip_with_the_captures_times() {
    use wfpsim_packet::capture::Direction;
    let directory = tempfile::tempdir().expect("a directory");
    for entry in expectations("capture") {
        let name = string(&entry, "file");
        let out = directory.path().join("out.pcapng");
        let output = replay_entry(&entry, &["--out", out.to_str().expect("UTF-8")]);
        assert_eq!(status(&output), Some(0), "{name}");
        let bytes = std::fs::read(&out).expect("it was written");
        for interface in [&b"delivered"[..], b"sent"] {
            let named = bytes
                .windows(interface.len())
                .any(|window| window == interface);
            assert!(named, "{name}");
        }
        let found = packets(&out);
        assert!(
            found.iter().all(|packet| packet.link == LinkType::RAW),
            "{name}"
        );
        // On the wire what was protected or fragmented is so again; only the rest can be compared with the plain packets.
        let as_sent = entry["sent"] == entry["sent_whole"]
            && entry["ipsec_transport_out"].as_integer() == Some(0)
            && entry["ipsec_tunnel_out"].as_integer() == Some(0);
        let contents = |packets: &[CapturedPacket]| {
            let told = packets
                .iter()
                .map(|packet| (packet.time.0 / MICROSECOND, content(&packet.data)));
            let mut told: Vec<_> = told.collect();
            told.sort();
            told
        };
        let wanted = contents(&packets(&captures().join(string(&entry, "plain"))));
        let (delivered, sent): (Vec<_>, Vec<_>) = found
            .iter()
            .cloned()
            .partition(|packet| packet.direction == Some(Direction::Inbound));
        for (packets, key) in [(&delivered, "delivered"), (&sent, "sent")] {
            let count = i64::try_from(packets.len()).ok();
            assert_eq!(count, entry[key].as_integer(), "{name}: {key}");
        }
        if as_sent {
            assert!(contents(&found) == wanted, "{name}: not what plain has");
        } else {
            for packet in contents(&delivered) {
                assert!(wanted.contains(&packet), "{name}: {packet:?}");
            }
        }
    }
}

#[test]
fn a_policy_blocks_an_address_or_a_port_and_nothing_else() {
    let all = json(&replay("tcp-v4.pcap", &["--json"]));
    let output = replay("tcp-v4.pcap", &["--json", "--block-port", "80"]);
    assert_eq!(
        status(&output),
        Some(0),
        "what the policy blocks is not lost"
    );
    let found = json(&output);
    let out = |found: &Value| {
        let count = |key: &str| found["packets"][key].as_u64().expect("a count");
        count("delivered") + count("sent")
    };
    let blocked = found["blocked"].as_u64().expect("a count");
    assert!(blocked > 0 && out(&found) > 0);
    assert_eq!(out(&found) + blocked, out(&all));
    assert_eq!(found["block"]["port"], 80);

    let told = text(&replay("tcp-v4.pcap", &["--block-address", "203.0.113.1"]).stdout);
    assert!(told.contains("block remote address 203.0.113.1"), "{told}");
    assert!(told.contains("blocked                   0"), "{told}");
}

#[test]
fn the_same_seed_tells_the_same() {
    let sa = captures().join("seed-story.sa.toml").display().to_string();
    let told = |seed: u64| {
        let seed = &seed.to_string();
        let options = ["--sa", &sa, "--seed", seed, "--json"];
        let output = replay("seed-story.pcap", &options);
        assert_eq!(status(&output), Some(0));
        text(&output.stdout)
    };
    assert_eq!(told(11), told(11));
    // Not only the seed's own line differs: how often things happen is the seed's to decide.
    let first = told(11);
    let different = (12..20).any(|seed| {
        let line = |seed: u64| format!("\"seed\": {seed}");
        told(seed).replace(&line(seed), &line(11)) != first
    });
    assert!(different);
}

#[test]
fn wrong_arguments_exit_with_64_and_say_which() {
    let capture = captures().join("tcp-v4.pcap").display().to_string();
    for (arguments, wanted) in [
        (vec!["replay"], "<CAPTURE>"),
        (vec!["reply"], "replay"),
        (vec!["replay", &capture, "--host", "server"], "--host"),
        (vec!["replay", &capture, "--seed", "one"], "--seed"),
        (
            vec!["replay", &capture, "--block-port", "0"],
            "--block-port",
        ),
        (
            vec!["replay", &capture, "--block-port", "65536"],
            "--block-port",
        ),
        (
            vec!["replay", &capture, "--block-address", "a"],
            "--block-address",
        ),
        (vec!["replay", &capture, "--color"], "--color"),
        (vec!["replay", &capture, &capture], "unexpected"),
    ] {
        let output = run(&arguments);
        assert_eq!(status(&output), Some(64), "{arguments:?}");
        let told = text(&output.stderr);
        assert!(told.contains(wanted), "{arguments:?}: {told}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
    for help in [vec!["--help"], vec!["replay", "--help"], vec!["--version"]] {
        assert_eq!(status(&run(help)), Some(0));
    }
}

#[test]
fn files_that_cannot_be_read_or_written_exit_with_1_and_are_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let directory = directory.path().display().to_string();
    let missing = format!("{directory}/missing");
    let compressed = format!("{directory}/capture.pcap.gz");
    std::fs::write(&compressed, [0x1f, 0x8b, 8, 0]).expect("it is written");
    for (capture, wanted) in [
        (&missing, "No such file"),
        (&directory, "directory"),
        (&compressed, "gzip -d"),
    ] {
        let output = run(["replay", capture]);
        assert_eq!(status(&output), Some(1), "{capture}");
        let told = text(&output.stderr);
        assert!(told.contains(capture) && told.contains(wanted), "{told}");
    }
    let unwritable = format!("{missing}/out.pcapng");
    let output = replay("tcp-v4.pcap", &["--out", &unwritable]);
    assert_eq!(status(&output), Some(1));
    assert!(text(&output.stderr).contains(&unwritable), "{output:?}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_the_summary_all_the_same() {
    let output = replay("tcp-v4.pcap", &["--out", "/dev/full"]);
    assert_eq!(status(&output), Some(1));
    assert!(text(&output.stderr).contains("/dev/full: cannot be written"));
    assert!(text(&output.stdout).contains("clean:"));
}

#[test]
fn the_capture_is_not_overwritten_by_what_comes_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let capture = directory.path().join("host.pcap");
    std::fs::copy(captures().join("tcp-v4.pcap"), &capture).expect("it is copied");
    let before = std::fs::read(&capture).expect("it is there");
    let other_name = directory.path().join("./host.pcap");
    let name = |path: &Path| path.display().to_string();
    let output = run(["replay", &name(&capture), "--out", &name(&other_name)]);
    assert_eq!(status(&output), Some(64));
    assert!(text(&output.stderr).contains("overwrite"), "{output:?}");
    assert_eq!(std::fs::read(&capture).expect("it is there"), before);
}

#[test]
fn each_fault_of_an_sa_file_is_told_with_its_line() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sa.toml");
    let sound = "[[sa]]\nspi = 0x1001\nsrc = \"192.0.2.9\"\ndst = \"192.0.2.10\"\nproto = \"esp\"\nmode = \"transport\"\n\
                 enc = \"null\"\nauth = \"hmac-md5-96\"\nauth_key = \"000102030405060708090a0b0c0d0e0f\"\n";
    for (from, to, line, wanted) in [
        ("0x1001", "1", 2, "spi"),
        ("192.0.2.9", "server", 3, "src"),
        ("192.0.2.10", "2001:db8::1", 3, "both"),
        ("\"esp\"", "\"gre\"", 5, "proto"),
        ("transport", "beet", 6, "mode"),
        ("\"null\"", "\"rot13\"", 7, "enc"),
        ("0001", "zz01", 9, "hex"),
        ("0001", "", 9, "auth_key"),
        ("[[sa]]", "[[as]]", 1, "sa"),
        ("auth_key = ", "auth_key ", 9, "TOML"),
    ] {
        std::fs::write(&path, sound.replace(from, to)).expect("it is written");
        let output = replay("tcp-v4.pcap", &["--sa", path.to_str().expect("UTF-8")]);
        assert_eq!(status(&output), Some(1), "{from} -> {to}");
        let told = text(&output.stderr);
        let place = format!("sa.toml:{line}: ");
        assert!(
            told.contains(&place) && told.contains(wanted),
            "{from} -> {to}: {told}"
        );
        assert!(output.stdout.is_empty(), "{from} -> {to}");
    }
    std::fs::write(&path, sound).expect("it is written");
    let output = replay("tcp-v4.pcap", &["--sa", path.to_str().expect("UTF-8")]);
    assert_eq!(status(&output), Some(0), "{output:?}");
}

#[test]
fn a_pipe_is_read_once_and_guessed_from_all_the_same() {
    let bytes = std::fs::read(captures().join("tcp-v4.pcap")).expect("it is there");
    for options in [&[][..], &["--host", "192.0.2.10"]] {
        let mut child = wfpsim(["replay", "-", "--json"].iter().chain(options))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("wfpsim starts");
        let mut pipe = child.stdin.take().expect("a pipe");
        pipe.write_all(&bytes).expect("it is read");
        drop(pipe);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(status(&output), Some(0));
        let found = json(&output);
        assert_eq!(found["packets"]["delivered"], 16);
        assert_eq!(found["host"][0], "192.0.2.10");
        assert_eq!(found["capture"], "standard input");
    }
    let file = File::open(captures().join("tcp-v4.pcap")).expect("it is there");
    let output = wfpsim(["replay", "-", "--json"])
        .stdin(file)
        .output()
        .expect("wfpsim starts");
    assert_eq!(json(&output)["packets"]["delivered"], 16);
}
