//! Answers a peer that asks for addresses of others.

use alloc::vec::Vec;
use core::net::SocketAddr;

/// What its owner answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The addresses; cut to what was asked for and to what fits the byte limit.
    Share(Vec<SocketAddr>),
}

/// What the server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer asks for up to this many addresses; answered by [`Order::Share`].
    Asked(u8),
}
