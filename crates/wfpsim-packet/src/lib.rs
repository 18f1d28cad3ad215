//! wfpsim-packet
