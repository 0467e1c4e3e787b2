//! What the chain can be told.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::{
    base::{ProtocolId, Serial, Ticket, TxId},
    proto::{block_fetch, chain_sync, tip_sample, tx_submission},
};

/// What the chain can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Our initiator halves of the hot bundle run towards this peer: follow it.
    Follow(Serial),
    /// They run no longer (stopped or gone).
    Unfollow(Serial),
    /// The connection is gone, both directions.
    Gone(Serial),
    /// Of the chain-sync client towards a peer.
    ChainSync(Serial, chain_sync::client::Fact),
    /// Of the chain-sync server towards a peer.
    ChainServe(Serial, chain_sync::server::Fact),
    /// Of the block-fetch client towards a peer.
    BlockFetch(Serial, block_fetch::client::Fact),
    /// Of the block-fetch server towards a peer.
    BlockServe(Serial, block_fetch::server::Fact),
    /// The block-fetch server's egress buffer is over its mark: no more bodies are loaded for it.
    BlockServeFull(Serial),
    /// The block-fetch server's egress buffer has room again.
    BlockServeRoom(Serial),
    /// A responder half of ours ended (the mini-protocol is named): what the peer had asked there
    /// is void.
    ServeStopped(Serial, ProtocolId),
    /// Of the tx-submission client towards a peer.
    TxSupply(Serial, tx_submission::client::Fact),
    /// Of the tx-submission server towards a peer.
    TxPull(Serial, tx_submission::server::Fact),
    /// Of the tip-sample client towards a peer.
    TipAsk(Serial, tip_sample::client::Fact),
    /// Of the tip-sample server towards a peer.
    TipTell(Serial, tip_sample::server::Fact),
    /// A keep-alive probe came back.
    RoundTrip(Serial, core::time::Duration),
    /// The application has this block (made or loaded by itself); it becomes part of our chain
    /// when its parent is there.
    Extend {
        /// The wrapped header.
        header: Bytes,
    },
    /// The application has a transaction to give away.
    Submit {
        /// Its id in wrapped form.
        id: TxId,
        /// Its size as announced.
        bytes: u32,
    },
    /// The application answers a question.
    Answer(Ticket, Answer),
    /// Time has passed.
    Tick,
}

/// An answer of the application.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Answer {
    /// The bodies (the bytes inside tag 24) in the order of the question; shorter when one is
    /// missing.
    Loaded(Vec<Bytes>),
    /// What the application thinks of a block.
    Verdict(Verdict),
    /// Whether the transaction was news and acceptable.
    Taken(bool),
    /// The wrapped transactions that are still there, in the order of the question.
    Txs(Vec<Bytes>),
}

/// What the application thinks of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Verdict {
    /// The right body, valid and kept.
    Kept,
    /// Not the body of that header.
    WrongBody,
    /// The right body, but it breaks the ledger's rules.
    Invalid,
    /// The application could not tell or keep it (its own fault); may be asked again.
    Failed,
}
