//! Pulls transactions from a peer (the inbound side) within the window of ten.
//!
//! The machine keeps window, acknowledgement and batch rules by itself; the owner says which ids
//! are news and takes the bodies.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::base::TxId;

/// What its owner answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Answer to [`Fact::Announced`]: which of those ids are wanted (in any order); the others
    /// count as settled.
    Wanted(Vec<TxId>),
}

/// What the server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer has these transactions; answered by [`Order::Wanted`].
    Announced(Vec<(TxId, u32)>),
    /// Bodies that were asked for, in the order of the peer's announcements.
    Arrived(Vec<(TxId, Bytes)>),
}
