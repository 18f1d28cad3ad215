//! wfpsim
