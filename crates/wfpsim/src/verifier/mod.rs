//! The verifier: what was done to each object, and what was wrong.

mod arguments;
mod codes;
mod display;
mod journey;
mod ledger;
mod report;
pub mod rules;
mod stack;

pub use codes::code;
pub use display::Report;
pub(crate) use display::Seconds;
pub use display::Style;
pub use journey::Happening;
pub use ledger::Event;
pub use ledger::Ledger;
pub use ledger::ObjectId;
pub use report::Violation;
pub(crate) use report::made_by;
pub use rules::Rule;
