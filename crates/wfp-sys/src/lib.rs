//! wfp-sys
