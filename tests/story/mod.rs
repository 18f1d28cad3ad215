//! What the whole-driver tests share: a capture in, a summary out.
#![allow(dead_code, reason = "each test takes what it needs")]
#![allow(
    clippy::allow_attributes,
    reason = "the same file is part of several tests, some of which need all of it"
)]

pub mod forms;
pub mod sample;

use std::net::IpAddr;
use std::path::Path;
use std::path::PathBuf;

use wfpsim::Config;
use wfpsim::driver::Driver;
use wfpsim::driver::tollgate;
use wfpsim::replay::Block;
use wfpsim::replay::Planner;
use wfpsim::replay::Runner;
use wfpsim::replay::Settings;
use wfpsim::replay::Step;
use wfpsim::replay::Summary;
use wfpsim::replay::host::Host;
use wfpsim::replay::plan::Planned;
use wfpsim_ipsec::Sadb;
use wfpsim_packet::CaptureReader;
use wfpsim_packet::host::HostGuesser;

/// A capture, read and planned once, to be replayed under many seeds.
pub struct Story {
    pub name: String,
    pub steps: Vec<Step>,
    pub counts: Planned,
    pub sadb: Sadb,
    /// Why the capture could not be read to its end.
    pub error: Option<wfpsim_packet::CaptureError>,
}

/// Where the project's captures are.
pub fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

/// Reads and plans a capture.
pub fn plan(path: &Path, host: Option<&[IpAddr]>, sa: Option<&Path>) -> Story {
    let sadb = sa.map_or_else(Sadb::default, |path| {
        Sadb::load(path).expect("the SA file is sound")
    });
    let host = match host {
        Some(addresses) => Host::new(addresses.iter().copied()),
        None => {
            let mut guesser = HostGuesser::new();
            CaptureReader::open(path)
                .expect("the capture opens")
                .map_while(Result::ok)
                .for_each(|captured| guesser.observe(&captured));
            guesser
                .guess()
                .map_or_else(Host::default, |guess| Host::new(guess.addresses))
        }
    };
    let mut planner = Planner::new(host, sadb.clone());
    let mut steps = Vec::new();
    let mut error = None;
    for captured in CaptureReader::open(path).expect("the capture opens") {
        match captured {
            Ok(captured) => steps.extend(planner.plan(&captured)),
            Err(fault) => error = Some(fault),
        }
    }
    steps.extend(planner.finish());
    Story {
        name: path.display().to_string(),
        steps,
        counts: planner.counts,
        sadb,
        error,
    }
}

impl Story {
    /// Replays it once.
    pub fn run(&self, driver: impl Into<Driver>, config: Config, block: Block) -> Summary {
        self.run_with(driver, config, block, &mut |_| ())
    }

    /// Replays it once and hands out what came out.
    pub fn run_with(
        &self,
        driver: impl Into<Driver>,
        config: Config,
        block: Block,
        output: &mut dyn FnMut(wfpsim::replay::run::Output<'_>),
    ) -> Summary {
        let settings = Settings {
            config,
            block,
            counters: Some(wfpsim::driver::tollgate_counters),
        };
        let mut runner = Runner::new(settings, self.sadb.clone(), driver);
        for step in &self.steps {
            runner.step(step.clone(), output);
        }
        let mut summary = runner.finish(output);
        summary.capture.clone_from(&self.name);
        summary.planned = self.counts.clone();
        summary
    }
}

impl Story {
    /// Replays it through Tollgate in both its forms, linked and as the image, which must not differ.
    #[track_caller]
    pub fn tollgate(&self, config: Config, block: Block) -> Summary {
        self.tollgate_with(config, block, &mut |_| ())
    }

    /// The same, and hands out what came out.
    #[track_caller]
    pub fn tollgate_with(
        &self,
        config: Config,
        block: Block,
        output: &mut dyn FnMut(wfpsim::replay::run::Output<'_>),
    ) -> Summary {
        let Some(image) = forms::image() else {
            return self.run_with(tollgate(), config, block, output);
        };
        let (mut linked_out, mut image_out) = (Vec::new(), Vec::new());
        let summary = self.run_with(tollgate(), config.clone(), block, &mut |out| {
            linked_out.push((out.side, out.time, out.packet.to_vec()));
            output(out);
        });
        let of_image = self.run_with(image.clone(), config, block, &mut |out| {
            image_out.push((out.side, out.time, out.packet.to_vec()));
        });
        forms::assert_same(&summary, &of_image);
        assert_eq!(
            linked_out, image_out,
            "{summary}: what comes out of the image (right) differs"
        );
        summary
    }
}

/// Replays a capture whose host is guessed and which has no keys.
pub fn replay(path: &Path, driver: impl Into<Driver>, config: Config) -> Summary {
    plan(path, None, None).run(driver, config, Block::default())
}
