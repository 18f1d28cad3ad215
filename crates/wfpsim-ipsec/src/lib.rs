//! wfpsim-ipsec
