//! Putting fragments together and taking datagrams apart.

mod layout;
mod reassemble;

pub use layout::{Layout, PieceLayout, RefragmentError, refragment};
pub use reassemble::{Lapsed, Limits, Outcome, Piece, Reassembler, Rejection};
