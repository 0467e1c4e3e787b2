//! Supplies transactions to a peer that pulls them (the outbound side).

use alloc::vec::Vec;

use bytes::Bytes;

use crate::base::TxId;

/// What its owner answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ids and sizes in mempool order, those after the last one announced, at most as many as
    /// were asked for. A blocking question is answered only with at least one.
    Ids(Vec<(TxId, u32)>),
    /// The wrapped bodies that are still here, in the order of the request.
    Txs(Vec<Bytes>),
}

/// What the client tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer acknowledged the oldest `acked` ids and wants up to `wanted` more.
    IdsWanted {
        /// Whether the peer waits until there is at least one.
        blocking: bool,
        /// Ids that the peer will not ask about again.
        acked: u16,
        /// Ids wanted at most.
        wanted: u16,
    },
    /// The peer wants these bodies; all were announced and not yet acknowledged.
    TxsWanted(Vec<TxId>),
}
