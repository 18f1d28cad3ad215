//! wfp
