//! nt
