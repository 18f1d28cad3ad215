//! Every mistake that shows on some schedules only is found from any of ten starting seeds within ten thousand schedules, made
//! short, and shown again by its token.

use libtest_mimic::Arguments;
use libtest_mimic::Trial;
use mistakes::Mistake;
use mistakes::When;
use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::explore;
use wfpsim::explore::Method;
use wfpsim::explore::Plan;
use wfpsim::explore::Setup;
use wfpsim::explore::Subject;
use wfpsim::explore::Token;

/// Within how many schedules.
const SCHEDULES: u64 = 10_000;
/// How many steps a timeline may have.
const STEPS: usize = 30;

/// A mistake, or its twin, as something to be explored.
struct Race {
    mistake: &'static Mistake,
    wrong: bool,
}

impl Subject for Race {
    fn name(&self) -> String {
        format!("mistake:{}", self.mistake.name)
    }

    fn config(&self, seed: u64) -> Config {
        (self.mistake.config)(Config::new(seed))
    }

    fn run(&self, machine: &Machine) {
        self.mistake.run_on(machine, self.wrong);
    }
}

fn plan(seed: u64, schedules: u64) -> Plan {
    Plan {
        setup: Setup::new(seed),
        method: Method::Random,
        schedules,
        time: None,
        all: false,
        jobs: 1,
    }
}

/// Found from ten seeds far apart, short, and the same again.
fn found(mistake: &'static Mistake) -> Result<(), String> {
    let race = Race {
        mistake,
        wrong: true,
    };
    for start in 0..10u64 {
        let report = explore::explore(&race, &plan(start * 1_000_003, SCHEDULES), &mut |_| true);
        let Some(finding) = report.findings.first() else {
            return Err(format!("not found from seed {}", start * 1_000_003));
        };
        let rule = finding.violations.first().map(|violation| violation.rule);
        if rule != Some(mistake.rule) {
            return Err(format!("expected {} first: {finding}", mistake.rule));
        }
        if finding.timeline.calls() > STEPS || !finding.repeats {
            return Err(format!("too long, or not the same again: {finding}"));
        }
        let token = Token::parse(&finding.token.to_string()).map_err(|error| error.to_string())?;
        let again = explore::replay(&race, &token).ok_or("its token shows nothing")?;
        if again.violations.first().map(|violation| violation.rule) != Some(mistake.rule)
            || again.timeline != finding.timeline
        {
            return Err(format!("its token shows another run: {again}"));
        }
    }
    Ok(())
}

/// The driver without the mistake is clean on a thousand schedules.
fn clean(mistake: &'static Mistake) -> Result<(), String> {
    let twin = Race {
        mistake,
        wrong: false,
    };
    let report = explore::explore(&twin, &plan(0, 1000), &mut |_| true);
    report
        .findings
        .first()
        .map_or(Ok(()), |finding| Err(finding.to_string()))
}

fn main() {
    let arguments = Arguments::from_args();
    let races = mistakes::all().filter(|mistake| mistake.when == When::SomeSeeds);
    let trials = races.flat_map(|mistake| {
        let name = mistake.name;
        [
            Trial::test(
                format!("{name} is found, made short and shown again"),
                move || found(mistake).map_err(Into::into),
            ),
            Trial::test(format!("{name} has a twin that is clean"), move || {
                clean(mistake).map_err(Into::into)
            }),
        ]
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}
