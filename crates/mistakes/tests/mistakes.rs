//! Every mistake is reported under its own rule, and its twin is not reported.

use libtest_mimic::Arguments;
use libtest_mimic::Trial;
use mistakes::Mistake;
use mistakes::judge;

fn trials(mistake: &'static Mistake) -> [Trial; 2] {
    let trial =
        |told: String, wrong| Trial::test(told, move || judge(mistake, wrong).map_err(Into::into));
    [
        trial(
            format!("{} is reported under {}", mistake.name, mistake.rule),
            true,
        ),
        trial(format!("{} has a clean twin", mistake.name), false),
    ]
}

fn main() {
    let arguments = Arguments::from_args();
    let trials = mistakes::all().flat_map(trials).collect();
    libtest_mimic::run(&arguments, trials).exit();
}
