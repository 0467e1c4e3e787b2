//! Asks a peer for addresses of others.

use alloc::vec::Vec;
use core::net::SocketAddr;

/// What its owner can ask of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask for up to this many addresses; ignored while an answer is due.
    Ask(u8),
}

/// What the client tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer's answer, at most as many as asked for.
    Shared(Vec<SocketAddr>),
}
