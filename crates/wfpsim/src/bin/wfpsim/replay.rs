//! `wfpsim replay`.

use std::fs::File;
use std::io::BufWriter;
use std::io::IsTerminal;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use wfpsim::Config;
use wfpsim::Violation;
use wfpsim::driver::Driver;
use wfpsim::replay::Block;
use wfpsim::replay::Planner;
use wfpsim::replay::Runner;
use wfpsim::replay::Settings;
use wfpsim::replay::Summary;
use wfpsim::replay::host::Host;
use wfpsim::replay::json;
use wfpsim::stack::Side;
use wfpsim::verifier::Style;
use wfpsim_ipsec::Sadb;
use wfpsim_packet::CaptureReader;
use wfpsim_packet::capture::CaptureErrorKind;
use wfpsim_packet::host::HostGuesser;
use wfpsim_packet::output;
use wfpsim_packet::output::PacketWriter;

use crate::driver;
use crate::input::Input;
use crate::interrupt;
use crate::terminal;

/// Captures smaller than this are through before a bar could be read: 1 MiB.
const WORTH_A_BAR: u64 = 1 << 20;

#[derive(clap::Args)]
pub struct Arguments {
    /// A pcap or pcapng file of one host's traffic; `-` is the standard input.
    capture: PathBuf,
    /// An address of the host; may be given several times. Guessed from the capture if absent.
    #[arg(long = "host", value_name = "ADDR")]
    hosts: Vec<IpAddr>,
    /// IPsec associations with their keys, as TOML.
    #[arg(long, value_name = "FILE")]
    sa: Option<PathBuf>,
    /// Decides everything that Windows leaves open; the same seed shows the same again.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write what reached the transport layer (interface `delivered`) and the wire (interface `sent`), as raw IP.
    #[arg(long, value_name = "FILE.pcapng")]
    out: Option<PathBuf>,
    /// Have the driver block this remote address.
    #[arg(long, value_name = "ADDR")]
    block_address: Option<IpAddr>,
    /// Have the driver block this remote port; with an address, only the two together.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    block_port: Option<u16>,
    /// Tell what happens to this packet of the capture, by its number there: each classify, reference, clone, injection.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    packet: Option<u64>,
    #[command(flatten)]
    driver: driver::Which,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

/// Why nothing could be replayed.
struct Failure {
    status: u8,
    message: String,
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self { status: 1, message }
    }
}

/// What came of a replay.
struct Outcome {
    summary: Summary,
    /// Why `--out` is not whole.
    write_error: Option<String>,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match replay(arguments) {
        Ok(outcome) => tell(arguments, &outcome),
        Err(failure) => {
            terminal::complain(failure.message);
            ExitCode::from(failure.status)
        }
    }
}

/// Prints the summary, and what went wrong with files to the standard error besides.
fn tell(arguments: &Arguments, outcome: &Outcome) -> ExitCode {
    let summary = &outcome.summary;
    let text = if arguments.json {
        format!("{:#}\n", json::summary(summary))
    } else {
        let command = command();
        let style = Style {
            width: terminal::width().or(Some(80)),
            colour: terminal::colour(),
            command: Some(&command),
        };
        summary.styled(style).to_string()
    };
    // A reader that went away (head, less) is no fault of the replay; its verdict stands.
    let _ = std::io::stdout().write_all(text.as_bytes());
    // On a terminal the summary has said it already.
    let said = !arguments.json && std::io::stdout().is_terminal();
    if let Some(error) = summary.input_error.as_ref().filter(|_| !said) {
        terminal::complain(error);
    }
    if let Some(error) = &outcome.write_error {
        terminal::complain(error);
    }
    let records = summary.planned.records;
    let in_capture = summary.followed_in_capture().is_some();
    let beyond = arguments.packet.filter(|_| !in_capture);
    if let Some(number) = beyond {
        terminal::complain(format_args!(
            "--packet {number}: as far as it was replayed, the capture has packets 1 to {records}"
        ));
    }
    ExitCode::from(match summary.exit_status() {
        0 if outcome.write_error.is_some() => crate::UNREADABLE,
        0 if summary.interrupted.is_some() => crate::INTERRUPTED,
        0 if beyond.is_some() => crate::USAGE,
        status => status,
    })
}

fn replay(arguments: &Arguments) -> Result<Outcome, Failure> {
    let stop = interrupt::flag()?;
    let sadb = match &arguments.sa {
        Some(path) => Sadb::load(path).map_err(|error| error.to_string())?,
        None => Sadb::default(),
    };
    let mut input = Input::new(&arguments.capture);
    if let Some(out) = arguments
        .out
        .as_deref()
        .filter(|out| input.is_same_file(out))
    {
        return Err(Failure {
            status: crate::USAGE,
            message: format!("{}: --out would overwrite the capture", out.display()),
        });
    }
    let driver = arguments.driver.driver()?;
    let (host, guessed) = host(arguments, &mut input)?;
    let reader = input.open()?;
    let mut output = arguments.out.as_deref().map(Output::create).transpose()?;
    let pass = Pass {
        arguments,
        sadb: &sadb,
        host: &host,
        driver: &driver,
        stop: &stop,
    };
    let mut summary = pass.run(false, reader, &mut |out| {
        if let Some(output) = &mut output {
            output.write(&out);
        }
    });
    // The stacks of all that happens to every object are too dear to be kept always. The same seed shows the same again.
    if !summary.violations.is_empty() && input.can_be_read_again() {
        let again = pass.run(true, input.open()?, &mut |_| {});
        let known = |violation: &Violation| (violation.code, violation.rule, violation.time);
        if again
            .violations
            .iter()
            .map(known)
            .eq(summary.violations.iter().map(known))
        {
            summary.violations = again.violations;
        }
    }
    summary.capture = input.name();
    summary.host = host.addresses().collect();
    summary.guessed = guessed;
    let write_error = output.and_then(Output::finish);
    Ok(Outcome {
        summary,
        write_error,
    })
}

/// What each pass over the capture is made with.
struct Pass<'a> {
    arguments: &'a Arguments,
    sadb: &'a Sadb,
    host: &'a Host,
    driver: &'a Driver,
    stop: &'a AtomicBool,
}

impl Pass<'_> {
    /// Takes the capture through a fresh machine, and what comes out to `write`.
    fn run(
        &self,
        event_stacks: bool,
        mut reader: CaptureReader,
        write: &mut dyn FnMut(wfpsim::replay::run::Output<'_>),
    ) -> Summary {
        let arguments = self.arguments;
        let settings = Settings {
            config: Config {
                event_stacks,
                ..Config::new(arguments.seed)
            },
            block: Block {
                address: arguments.block_address,
                port: arguments.block_port,
            },
            counters: Some(wfpsim::driver::tollgate_counters),
        };
        let mut planner = Planner::new(self.host.clone(), self.sadb.clone());
        let mut runner = Runner::new(settings, self.sadb.clone(), self.driver.clone());
        if let Some(number) = arguments.packet {
            runner.follow(number);
        }
        let bar = bar(reader.size_hint_bytes());
        let (mut input_error, mut interrupted, mut stopped_at) = (None, None, None);
        while let Some(captured) = reader.next() {
            bar.set_position(reader.position());
            match captured {
                Ok(captured) => {
                    for step in planner.plan(&captured) {
                        runner.step(step, write);
                    }
                    if runner.has_stopped() {
                        stopped_at = Some(captured.number);
                    } else if self.stop.load(Ordering::Relaxed) {
                        interrupted = Some(captured.number);
                    }
                }
                Err(error) => input_error = Some(error.to_string()),
            }
            if stopped_at.or(interrupted).is_some() {
                break;
            }
        }
        bar.finish_and_clear();
        for step in planner.finish() {
            runner.step(step, write);
        }
        let mut summary = runner.finish(write);
        summary.planned = planner.counts;
        summary.input_error = summary.input_error.or(input_error);
        (summary.stopped_at, summary.interrupted) = (stopped_at, interrupted);
        summary
    }
}

/// The command line, to be given again.
fn command() -> String {
    let words = std::env::args_os().enumerate().map(|(index, word)| {
        let word = word.to_string_lossy().into_owned();
        let plain = |letter: char| letter.is_alphanumeric() || "-_./:=,@%+".contains(letter);
        match (index, !word.is_empty() && word.chars().all(plain)) {
            (0, _) => "wfpsim".to_owned(),
            (_, true) => word,
            (_, false) => format!("'{}'", word.replace('\'', r"'\''")),
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The host's addresses: as given, or as the whole capture suggests.
fn host(arguments: &Arguments, input: &mut Input) -> Result<(Host, Option<String>), String> {
    if !arguments.hosts.is_empty() {
        return Ok((Host::new(arguments.hosts.iter().copied()), None));
    }
    let mut guesser = HostGuesser::new();
    for captured in input.open_first()? {
        match captured {
            Ok(captured) => guesser.observe(&captured),
            Err(error) if matches!(error.kind, CaptureErrorKind::Io(_)) => {
                return Err(error.to_string());
            }
            // A fault in the capture is told when it is replayed; up to there it tells whose it is.
            Err(_) => break,
        }
    }
    let Some(guess) = guesser.guess() else {
        return Ok((
            Host::default(),
            Some("no packet tells whose capture this is; say with --host".to_owned()),
        ));
    };
    let hint = if guess.evidence.is_weak() {
        "; say with --host if that is wrong"
    } else {
        ""
    };
    let why = format!("{}{hint}", guess.evidence);
    Ok((Host::new(guess.addresses), Some(why)))
}

/// The file of what came out.
struct Output {
    path: PathBuf,
    writer: PacketWriter<BufWriter<File>>,
    error: Option<std::io::Error>,
}

impl Output {
    fn create(path: &Path) -> Result<Self, String> {
        let writer = File::create(path).and_then(|file| PacketWriter::new(BufWriter::new(file)));
        match writer {
            Ok(writer) => Ok(Self {
                path: path.to_owned(),
                writer,
                error: None,
            }),
            Err(error) => Err(cannot_write(path, &error)),
        }
    }

    /// Writes a packet, or nothing more once that has failed.
    fn write(&mut self, out: &wfpsim::replay::run::Output<'_>) {
        let side = match out.side {
            Side::Inbound => output::Side::Delivered,
            Side::Outbound => output::Side::Sent,
        };
        if self.error.is_none() {
            self.error = self.writer.write(side, out.time, out.packet, None).err();
        }
    }

    /// Writes what is left, and says what went wrong at any time.
    fn finish(self) -> Option<String> {
        let error = self.error.or_else(|| self.writer.finish().err());
        error.map(|error| cannot_write(&self.path, &error))
    }
}

fn cannot_write(path: &Path, error: &std::io::Error) -> String {
    format!("{}: cannot be written: {error}", path.display())
}

/// A bar on the terminal for captures that take a while.
fn bar(size: Option<u64>) -> ProgressBar {
    let Some(size) = size.filter(|&size| size >= WORTH_A_BAR && std::io::stderr().is_terminal())
    else {
        return ProgressBar::hidden();
    };
    let style = ProgressStyle::with_template(
        "{wide_bar} {percent:>3}%  {binary_bytes}/{binary_total_bytes}  {eta} left",
    );
    ProgressBar::new(size).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
