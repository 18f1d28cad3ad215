//! Driver images: a .sys file is read, checked, mapped into this process and bound to the simulated kernel's functions in the
//! Windows x64 calling convention. What ships is what runs.
//!
//! [`pe`] reads the file and says what is wrong with it; it maps nothing. [`mapped`] lays it out with each section's own
//! protection, relocates it and binds its imports. Every machine maps a copy of its own, with its own data.

pub mod describe;
mod error;
mod mapped;
mod missing;
mod pdb;
pub mod pe;
mod shared_data;
mod symbols;
pub(crate) mod thunk;
mod unwind;

pub use error::ImageError;
pub use pe::Image;
pub use symbols::tell_by;
pub use unwind::follow_through;

pub(crate) use mapped::Mapped;

use std::sync::Arc;

/// Maps a copy of an image, as a machine would before it enters it, and takes it away again. Nothing of it is run.
///
/// # Errors
///
/// The host cannot map it.
pub fn try_map(image: &Arc<Image>) -> Result<(), ImageError> {
    Mapped::new(image, 1).map(drop)
}
pub(crate) use shared_data::load as load_shared_data;
pub(crate) use symbols::tell;
pub(crate) use unwind::From;
pub(crate) use unwind::follow;
