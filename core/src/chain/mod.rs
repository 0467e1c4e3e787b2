//! The header index: which chains peers announce, which one is ours, which bodies to fetch from
//! whom, and what to serve.
//!
//! ```text
//!  Fact of a peer's chain-sync / block-fetch / tx-submission half ─▶ chain ─▶ Order to a half
//!  Answer of the application (bodies, verdicts)                   ─▶ chain ─▶ Question, Notice
//! ```
//! Knows points, header views and sizes; bodies pass through and are never kept.

mod config;

use alloc::vec::Vec;

use bytes::Bytes;

use crate::{
    base::{Class, Hash32, HeaderView, Instant, Point, Serial, Ticket, Tip, TxId},
    proto::{block_fetch, chain_sync, tip_sample, tx_submission},
};

pub use config::{Config, Start};

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
    /// The block-fetch server's egress buffer has room again.
    BlockServeRoom(Serial),
    /// A responder half of the peer's ended: what it had asked is void.
    ServeStopped(Serial),
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

/// What the chain can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// To a half of a connection.
    Order(Serial, Order),
    /// To the application; answered by [`Event::Answer`] with the same ticket, exactly once.
    Ask(Ticket, Question),
    /// The peer broke a rule of chains; its connection must end.
    Misdeed(Serial, Misdeed),
    /// For whoever watches.
    Notice(Notice),
}

/// An order to one half of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// To the chain-sync client.
    ChainSync(chain_sync::client::Order),
    /// To the chain-sync server.
    ChainServe(chain_sync::server::Order),
    /// To the block-fetch client.
    BlockFetch(block_fetch::client::Order),
    /// To the block-fetch server.
    BlockServe(block_fetch::server::Order),
    /// To the tx-submission client.
    TxSupply(tx_submission::client::Order),
    /// To the tx-submission server.
    TxPull(tx_submission::server::Order),
    /// To the tip-sample client.
    TipAsk(tip_sample::client::Order),
    /// To the tip-sample server.
    TipTell(tip_sample::server::Order),
}

/// A question whose answer may take time or needs what only the application keeps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Question {
    /// The bodies of these blocks, in this order; answered by [`Answer::Loaded`].
    Load(Vec<Point>),
    /// Is this the body of `view`, and is it valid? The application keeps it when it is. Answered
    /// by [`Answer::Verdict`].
    Judge {
        /// What the header said.
        view: HeaderView,
        /// The bytes inside tag 24.
        block: Bytes,
    },
    /// A transaction has come; answered by [`Answer::Taken`].
    Offer {
        /// Its id in wrapped form.
        id: TxId,
        /// The wrapped transaction.
        tx: Bytes,
    },
    /// The wrapped bodies of these transactions, those that are still there; answered by
    /// [`Answer::Txs`].
    Take(Vec<TxId>),
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

/// For whoever watches.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Notice {
    /// Our chain grew or switched.
    TipChanged {
        /// The new tip.
        tip: Tip,
        /// The newest point of the old chain that is still on it.
        common: Point,
        /// Who first announced the new tip, `None` when it is our own.
        from: Option<Serial>,
    },
    /// A peer announced a header that nobody had announced before.
    Announced {
        /// Who.
        from: Serial,
        /// Which.
        point: Point,
        /// When it arrived.
        at: Instant,
    },
    /// A body arrived and is kept.
    Fetched {
        /// From whom.
        from: Serial,
        /// Which.
        point: Point,
        /// Its bytes.
        bytes: u64,
    },
    /// A peer has no point in common with us.
    NoIntersection(Serial),
}

/// How a peer broke a rule of chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Misdeed {
    /// A header whose parent is not the end of the peer's chain.
    #[error("header {0:?} does not connect")]
    NotConnected(Hash32),
    /// A rollback to a point that is not on the peer's chain or deeper than allowed.
    #[error("rollback to {0}")]
    Rollback(Point),
    /// A block number or slot that does not rise.
    #[error("header {0:?} is out of order")]
    Order(Hash32),
    /// A block that is not the next one of the range asked for.
    #[error("not the block that was asked for")]
    WrongBlock,
    /// A range that ended before its last block.
    #[error("range ended early")]
    TooFew,
    /// More blocks than the range has, or blocks that nobody asked for.
    #[error("more blocks than asked for")]
    TooMany,
    /// A block that breaks the ledger's rules.
    #[error("invalid block {0:?}")]
    InvalidBlock(Hash32),
}

impl Misdeed {
    /// Whose fault it is.
    pub const fn class(self) -> Class {
        Class::Adversarial
    }
}
