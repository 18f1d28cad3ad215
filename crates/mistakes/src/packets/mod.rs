//! Mistakes with packets, in the contract's order.

mod clones;
mod headers;
mod injections;
mod ndis;
mod offsets;
mod references;
mod stories;

use wfpsim::Config;

use crate::Mistake;

/// All of them, a table a theme.
pub const TABLES: [&[Mistake]; 6] = [
    offsets::TABLE,
    references::TABLE,
    clones::TABLE,
    injections::TABLE,
    headers::TABLE,
    ndis::TABLE,
];

/// A machine on which the first call of one function fails.
fn failing(config: Config, function: &'static str) -> Config {
    let mut config = config;
    config.faults.fail_call = Some(1);
    config.faults.functions = vec![function];
    config
}
