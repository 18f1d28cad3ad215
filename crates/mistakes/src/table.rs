//! What a mistake is, and how it is run.

use std::cell::Cell;

use wfpsim::Config;
use wfpsim::Machine;
use wfpsim::Violation;

/// When a mistake shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// On every run.
    Always,
    /// On some seeds and not on others: a race. The twin is clean on all.
    SomeSeeds,
}

/// One mistake.
#[derive(Debug)]
pub struct Mistake {
    /// Its stable name: `O-3`, `E-1`, `npcap-341`, or the rule's number with a word, `A-29-told-dispatch`.
    pub name: &'static str,
    /// The rule that it must be reported under, by number: `A-28`.
    pub rule: &'static str,
    /// What the driver does wrong, in a sentence.
    pub what: &'static str,
    /// Whether it shows on every seed.
    pub when: When,
    /// What the machine must be like for it. The seed is the caller's.
    pub config: fn(Config) -> Config,
    /// Loads the driver into a fresh machine, gives it the traffic that the mistake needs, and unloads it.
    pub story: fn(&Machine),
}

thread_local! {
    /// The mistake that the driver on this host thread makes, and whether the driver came to where it would.
    static MADE: Cell<Option<&'static str>> = const { Cell::new(None) };
    static REACHED: Cell<bool> = const { Cell::new(false) };
}

/// Whether the running driver is to make this mistake. Asked at the very place, and only where it would be made.
pub fn makes(name: &str) -> bool {
    let made = MADE.get() == Some(name);
    if made {
        REACHED.set(true);
    }
    made
}

/// Runs `story` with a driver that makes this mistake, or none.
pub fn making<R>(name: Option<&'static str>, story: impl FnOnce() -> R) -> R {
    MADE.set(name);
    let result = story();
    MADE.set(None);
    result
}

/// What came of one run.
#[derive(Debug)]
pub struct Judgement {
    /// What the verifier reported, in order.
    pub violations: Vec<Violation>,
    /// Whether the driver came to the place of the mistake.
    pub reached: bool,
}

impl Mistake {
    /// A mistake that shows on every run of a plain machine.
    pub const fn always(
        name: &'static str,
        rule: &'static str,
        what: &'static str,
        story: fn(&Machine),
    ) -> Self {
        Self {
            name,
            rule,
            what,
            when: When::Always,
            config: |config| config,
            story,
        }
    }

    /// A race.
    pub const fn sometimes(
        name: &'static str,
        rule: &'static str,
        what: &'static str,
        story: fn(&Machine),
    ) -> Self {
        Self {
            when: When::SomeSeeds,
            ..Self::always(name, rule, what, story)
        }
    }

    /// The same on another machine.
    pub const fn on(self, config: fn(Config) -> Config) -> Self {
        Self { config, ..self }
    }

    /// Runs the driver, with the mistake or as its twin, under the seed.
    pub fn run(&self, wrong: bool, seed: u64) -> Judgement {
        let base = match self.when {
            When::Always => Config {
                seed,
                ..Config::plain()
            },
            When::SomeSeeds => Config::new(seed),
        };
        let machine = Machine::new((self.config)(base));
        self.run_on(&machine, wrong)
    }

    /// The same on a machine of the caller's.
    pub fn run_on(&self, machine: &Machine, wrong: bool) -> Judgement {
        REACHED.set(false);
        making(wrong.then_some(self.name), || (self.story)(machine));
        Judgement {
            violations: machine.violations(),
            reached: REACHED.get(),
        }
    }
}

/// How many seeds a race is tried on.
const SEEDS: u64 = 200;

/// Whether the mistake is reported under its rule and no other, and the twin not at all.
///
/// # Errors
///
/// What was seen instead, for people.
pub fn judge(mistake: &Mistake, wrong: bool) -> Result<(), String> {
    let seeds = match mistake.when {
        When::Always => 1,
        When::SomeSeeds => SEEDS,
    };
    let (mut shown, mut reached) = (0, false);
    for seed in 0..seeds {
        let judgement = mistake.run(wrong, seed);
        reached |= judgement.reached;
        if let Some(violation) = judgement
            .violations
            .iter()
            .find(|violation| !wrong || violation.rule != mistake.rule)
        {
            let expected = if wrong { mistake.rule } else { "nothing" };
            return Err(format!(
                "expected {expected}, and seed {seed} shows:\n{violation}"
            ));
        }
        shown += u64::from(!judgement.violations.is_empty());
    }
    match (wrong, mistake.when) {
        (false, _) => Ok(()),
        (true, _) if !reached => {
            Err("the driver never came to the place of the mistake".to_owned())
        }
        (true, _) if shown == 0 => Err(format!(
            "{} was reported on none of {seeds} seeds",
            mistake.rule
        )),
        (true, When::SomeSeeds) if shown == seeds => {
            Err(format!("reported on each of {seeds} seeds: no race"))
        }
        (true, _) => Ok(()),
    }
}
