//! Guarded memory: everything a driver can reach lies here.
//!
//! Each block has pages of its own, ends against a page that cannot be touched, and becomes untouchable
//! itself when it is freed. That is Driver Verifier's special pool, applied to net buffers, MDLs, packet data and
//! the arguments of a classify as well as to pool.

mod arena;
mod compact;
mod fault;
mod pages;
mod region;
mod watch;

pub use arena::Arena;
pub use arena::Block;
pub use arena::BlockState;
pub use arena::Edge;
pub use arena::Purpose;
pub(crate) use arena::damage_at_free;
pub use fault::Access;
pub(crate) use fault::Ended;
pub use fault::Fault;
pub(crate) use fault::install as install_fault_handler;
pub(crate) use fault::with_trap;
