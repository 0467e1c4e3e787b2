//! What the chain can ask for.

use alloc::vec::Vec;

use bytes::Bytes;

use super::Misdeed;
use crate::{
    base::{HeaderView, Instant, Point, Serial, Slot, Ticket, Tip, TxId},
    proto::{block_fetch, chain_sync, tip_sample, tx_submission},
};

/// What the chain can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A peer's chain has a block of this slot at its head, whether it is the first to say so or
    /// not.
    Announced(Serial, Slot),
    /// To a half of a connection.
    Order(Serial, Order),
    /// To the application; answered by [`Event::Answer`](super::Event::Answer) with the same ticket, exactly once.
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
    /// The bodies of these blocks, in this order; answered by [`Answer::Loaded`](super::Answer::Loaded).
    Load(Vec<Point>),
    /// Is this the body of `view`, and is it valid? The application keeps it when it is. Answered
    /// by [`Answer::Verdict`](super::Answer::Verdict).
    Judge {
        /// What the header said.
        view: HeaderView,
        /// The bytes inside tag 24.
        block: Bytes,
    },
    /// A transaction has come; answered by [`Answer::Taken`](super::Answer::Taken).
    Offer {
        /// Its id in wrapped form.
        id: TxId,
        /// The wrapped transaction.
        tx: Bytes,
    },
    /// The wrapped bodies of these transactions, those that are still there; answered by
    /// [`Answer::Txs`](super::Answer::Txs).
    Take(Vec<TxId>),
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
    /// A peer has no point in common with us that is recent enough.
    NoIntersection(Serial),
    /// A peer told one of the tips that were asked for.
    TipSampled {
        /// Who.
        from: Serial,
        /// Which.
        tip: Tip,
        /// Tips still due.
        left: u16,
    },
}
