//! `wfpsim replay`.

use std::fs::File;
use std::io::BufWriter;
use std::io::IsTerminal;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::ProgressBar;
use indicatif::ProgressStyle;
use wfpsim::Config;
use wfpsim::driver::Driver;
#[cfg(target_arch = "x86_64")]
use wfpsim::image::Image;
use wfpsim::replay::Block;
use wfpsim::replay::Planner;
use wfpsim::replay::Runner;
use wfpsim::replay::Settings;
use wfpsim::replay::Summary;
use wfpsim::replay::host::Host;
use wfpsim::replay::json;
use wfpsim::stack::Side;
use wfpsim_ipsec::Sadb;
use wfpsim_packet::CaptureReader;
use wfpsim_packet::host::HostGuesser;
use wfpsim_packet::output;
use wfpsim_packet::output::PacketWriter;

/// Captures smaller than this are through before a bar could be read: 1 MiB.
const WORTH_A_BAR: u64 = 1 << 20;

#[derive(clap::Args)]
pub struct Arguments {
    /// A pcap or pcapng file of one host's traffic.
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
    /// Write what reached the transport layer (interface `delivered`) and the wire (interface `sent`).
    #[arg(long, value_name = "FILE.pcapng")]
    out: Option<PathBuf>,
    /// Have the driver block this remote address.
    #[arg(long, value_name = "ADDR")]
    block_address: Option<IpAddr>,
    /// Have the driver block this remote port; with an address, only the two together.
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    block_port: Option<u16>,
    /// Run this driver image instead of the Tollgate that is linked into wfpsim.
    #[cfg(target_arch = "x86_64")]
    #[arg(long, value_name = "FILE.sys")]
    image: Option<PathBuf>,
    /// Print the summary as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> ExitCode {
    match replay(arguments) {
        Ok(summary) => {
            let text = if arguments.json {
                format!("{:#}\n", json::summary(&summary))
            } else {
                summary.to_string()
            };
            // A reader that went away (head, less) is no fault of the replay; its verdict stands.
            let _ = std::io::stdout().write_all(text.as_bytes());
            if let Some(error) = summary.input_error.as_ref().filter(|_| arguments.json) {
                eprintln!("wfpsim: {error}");
            }
            ExitCode::from(summary.exit_status())
        }
        Err(message) => {
            eprintln!("wfpsim: {message}");
            ExitCode::from(1)
        }
    }
}

fn replay(arguments: &Arguments) -> Result<Summary, String> {
    let sadb = match &arguments.sa {
        Some(path) => Sadb::load(path).map_err(|error| error.to_string())?,
        None => Sadb::default(),
    };
    let (host, guessed) = host(arguments)?;
    let reader = CaptureReader::open(&arguments.capture).map_err(|error| error.to_string())?;
    let mut writer = arguments.out.as_deref().map(writer).transpose()?;
    let settings = Settings {
        config: Config::new(arguments.seed),
        block: Block {
            address: arguments.block_address,
            port: arguments.block_port,
        },
        counters: Some(wfpsim::driver::tollgate_counters),
    };
    let mut planner = Planner::new(host.clone(), sadb.clone());
    let mut runner = Runner::new(settings, sadb, driver(arguments)?);
    let mut write_error = None;
    let mut write = |out: wfpsim::replay::run::Output<'_>| {
        if let Some(writer) = writer.as_mut().filter(|_| write_error.is_none()) {
            let side = if out.side == Side::Inbound {
                output::Side::Delivered
            } else {
                output::Side::Sent
            };
            write_error = writer.write(side, out.time, out.packet, None).err();
        }
    };
    let bar = bar(reader.size_hint_bytes(), arguments.json);
    let mut reader = reader;
    let mut input_error = None;
    while let Some(captured) = reader.next() {
        bar.set_position(reader.position());
        match captured {
            Ok(captured) => {
                for step in planner.plan(&captured) {
                    runner.step(step, &mut write);
                }
            }
            Err(error) => input_error = Some(error.to_string()),
        }
    }
    bar.finish_and_clear();
    for step in planner.finish() {
        runner.step(step, &mut write);
    }
    let mut summary = runner.finish(&mut write);
    summary.capture = arguments.capture.display().to_string();
    summary.planned = planner.counts;
    summary.host = host.addresses().collect();
    summary.guessed = guessed;
    summary.input_error = summary.input_error.or(input_error);
    if let (Some(path), Some(writer)) = (&arguments.out, writer) {
        let written = match write_error {
            Some(error) => Err(error),
            None => writer.finish().map(drop),
        };
        written.map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
    }
    Ok(summary)
}

/// The driver: Tollgate as it is linked, or an image.
fn driver(arguments: &Arguments) -> Result<Driver, String> {
    #[cfg(target_arch = "x86_64")]
    if let Some(path) = &arguments.image {
        return Image::open(path)
            .map(Driver::from)
            .map_err(|error| error.to_string());
    }
    let _ = arguments;
    Ok(wfpsim::driver::tollgate().into())
}

/// The host's addresses: as given, or as the whole capture suggests.
fn host(arguments: &Arguments) -> Result<(Host, Option<String>), String> {
    if !arguments.hosts.is_empty() {
        return Ok((Host::new(arguments.hosts.iter().copied()), None));
    }
    let mut guesser = HostGuesser::new();
    // A fault in the capture is told when it is replayed; up to there it tells whose it is.
    for captured in CaptureReader::open(&arguments.capture)
        .map_err(|error| error.to_string())?
        .map_while(Result::ok)
    {
        guesser.observe(&captured);
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

fn writer(path: &Path) -> Result<PacketWriter<BufWriter<File>>, String> {
    let cannot = |error: std::io::Error| format!("{}: cannot be written: {error}", path.display());
    PacketWriter::new(BufWriter::new(File::create(path).map_err(cannot)?)).map_err(cannot)
}

/// A bar on the terminal for captures that take a while.
fn bar(size: Option<u64>, json: bool) -> ProgressBar {
    let Some(size) =
        size.filter(|&size| size >= WORTH_A_BAR && !json && std::io::stderr().is_terminal())
    else {
        return ProgressBar::hidden();
    };
    let style =
        ProgressStyle::with_template("{bar:40} {percent:>3}%  {bytes}/{total_bytes}  {eta} left");
    ProgressBar::new(size).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
