//! IPsec for the simulator: AH and ESP over IPv4 and IPv6, in transport and tunnel mode, with real
//! algorithms and keys.
//!
//! Three things are asked of it.
//!
//! - **Inbound** ([`Sadb::open`]): a packet of the capture was protected by the peer. It is
//!   verified and decrypted before any
//!   callout sees it, and what a callout then sees is laid out as Windows leaves it: the AH or ESP header is still in place in
//!   front of the transport header (rule A-63), and the ESP trailer still lies behind the data (rule A-26). A packet that does
//!   not verify is [`Refused`], and says why under a key that does not change between versions ([`Refused::reason`]).
//! - **Outbound, first half** ([`Sadb::peel`]): a packet of the capture was protected by the host
//!   itself. What its stack handed
//!   down was the packet without IPsec, and that is what the outbound layers see.
//! - **Outbound, second half** ([`Sadb::protect`]): what comes out of the outbound layers is
//!   protected again with the recorded
//!   IV, sequence number and padding, so that an unchanged packet becomes the very bytes of the capture.
//!
//! All packets are raw IP packets, headers in network byte order, and whole: fragments are
//! reassembled before IPsec sees them. Nothing here panics on any packet: every read is checked.
//!
//! The associations come from a TOML file, see [`safile`].

#![forbid(unsafe_code)]

mod address;
mod ah;
mod association;
mod checksum;
mod crypto;
mod esp;
mod headers;
mod inbound;
mod layer;
mod outbound;
mod recipe;
mod refused;
mod replay;
mod sadb;
pub mod safile;

pub use association::{
    Association, Authentication, Encryption, FieldProblem, KeyMaterial, Mode, Protocol, SaKey,
};
pub use inbound::{Inbound, TransportMode, TunnelMode, is_nat_keepalive};
pub use layer::Kind;
pub use outbound::Outbound;
pub use recipe::Recipe;
pub use refused::Refused;
pub use sadb::{Sadb, SadbError};
