//! The main job: a capture of a host's traffic goes through the stack model and a driver.
//!
//! [`plan`] turns captured packets into what the stack is given: fragments put together, IPsec taken off, the rest counted
//! with a reason. [`run`] gives it to a machine with a driver loaded, compares what comes out with what must, and keeps
//! account of every packet. [`summary`] is the result; [`text`] and [`json`] are how it reads.

pub(crate) mod compare;
pub mod followed;
pub mod host;
pub mod json;
pub mod plan;
pub mod reasons;
pub mod run;
pub mod summary;
pub mod text;

pub use plan::Planner;
pub use plan::Step;
pub use run::Block;
pub use run::Runner;
pub use run::Settings;
pub use summary::Summary;
