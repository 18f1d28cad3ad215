//! The conformance suite: what a machine puts a callout driver through, and what every driver owes it.
//!
//! A [`Scenario`] is one such thing: traffic of a kind, or something that happens to the machine meanwhile. Its story is
//! told to a [`Bench`], which has the machine and the driver and keeps account of every packet. A driver is judged by what
//! the platform can see and by nothing that it says of itself: no rule violated, nothing left behind, nothing that hangs,
//! every packet that came out unaltered and once, and none lost unless the scenario injects a failure that a packet may be
//! lost by. Of a driver that answers Tollgate's counters request, a packet lost then must be one that it counted.
//!
//! One run of one scenario on a machine of the caller's is one call, [`Scenario::run_on`]; [`run`] is the whole suite.

mod bench;
mod counted;
pub mod json;
mod packets;
mod scenario;
mod scenarios;
mod suite;
pub mod text;

pub use bench::Bench;
pub use bench::Failure;
pub use bench::Loss;
pub use bench::Outcome;
pub use scenario::Case;
pub use scenario::Cases;
pub use scenario::Family;
pub use scenario::Scenario;
pub use scenarios::all;
pub use scenarios::find;
pub use suite::Failed;
pub use suite::Line;
pub use suite::Settings;
pub use suite::Summary;
pub use suite::run;
