//! What is run over and over.

use crate::Config;
use crate::Machine;

/// A story that a machine can be put through again and again, each time under another schedule; on several host
/// threads at a time, each with machines of its own.
pub trait Subject: Sync {
    /// Its name, which a token carries.
    fn name(&self) -> String;

    /// The machine that it wants, for a seed.
    fn config(&self, seed: u64) -> Config;

    /// Seeds, from `first` on, that between them lead to each of its stories once, where the seed says which.
    fn stories(&self, first: u64) -> Vec<u64> {
        vec![first]
    }

    /// Puts the machine, which was just made from [`Subject::config`] or something like it, through the story: loads the
    /// driver, has it work, unloads it. What was wrong are the machine's violations.
    fn run(&self, machine: &Machine);
}
