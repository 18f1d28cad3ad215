//! Packets as bytes: what the simulator needs to know about captures and IP, and nothing about Windows.
//!
//! A capture becomes a stream of [`CapturedPacket`]s ([`capture`]); each gives up its IP packet or says why it has
//! none ([`link`]); IP and transport headers are read through checked views ([`ip`], [`transport`]); checksums are
//! verified and filled in ([`checksum`]); fragments are put together and taken apart again ([`fragment`]); whose
//! capture it is, is guessed ([`host`]); and what the simulated stack delivered and sent is written as pcapng
//! ([`output`]). [`build`] makes packets and captures for tests.
//!
//! Lengths and offsets are in bytes; ports, addresses, identifications and the like are in host byte order as Rust
//! values. Bytes that come from outside never make this crate panic.

#![forbid(unsafe_code)]

pub mod build;
pub mod capture;
pub mod checksum;
pub mod fragment;
pub mod host;
pub mod ip;
pub mod link;
pub mod output;
pub mod time;
pub mod transport;

pub use capture::{CaptureError, CaptureReader, CapturedPacket, Direction};
pub use ip::IpPacket;
pub use link::{LinkType, NotIp};
pub use time::Timestamp;
pub use transport::Transport;
