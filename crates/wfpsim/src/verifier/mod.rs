//! The verifier: what was done to each object, and what was wrong.

mod codes;
mod ledger;
mod report;
pub mod rules;
mod stack;

pub use codes::code;
pub use ledger::Event;
pub use ledger::Ledger;
pub use ledger::ObjectId;
pub use report::Violation;
pub use rules::Rule;
