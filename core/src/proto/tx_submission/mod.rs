//! tx-submission2: the server pulls transactions from the client.
//!
//! ```text
//!   client ─MsgInit─▶ server
//!   client ◀ids wanted, oldest acknowledged─ server       may be pipelined unless it blocks
//!   client ─ids and sizes─▶ server
//!   client ◀bodies wanted─ server                         may be pipelined
//!   client ─bodies─▶ server
//! ```
//!
//! Both ends keep the ids that are announced and not yet acknowledged, oldest first, at most
//! [`WINDOW`]. Ids and transactions are opaque items that travel verbatim.
//!
//! src: Ouroboros network specification, "Transaction Submission Mini Protocol"

pub mod client;
mod message;
pub mod server;
#[cfg(test)]
mod tests;

use core::time::Duration;

pub use client::Client;
pub use message::{LIST_MAX, Message, TX_ID_BYTES_MAX};
pub use server::Server;

use crate::base::{Agency, Edge, Kind, ProtocolId, Spec, State, StateRow, TimeLimit};

/// The client must say hello.
pub const INIT: State = State(0);
/// The server may ask.
pub const IDLE: State = State(1);
/// The client answers with at least one id, however long that takes, or says goodbye.
pub const TX_IDS_BLOCKING: State = State(2);
/// The client answers with the ids it has.
pub const TX_IDS_NON_BLOCKING: State = State(3);
/// The client answers with the bodies it has.
pub const TXS: State = State(4);
/// Over.
pub const DONE: State = State(5);

/// The kind of `MsgInit`.
pub const MSG_INIT: Kind = Kind(0);
/// The kind of `MsgRequestTxIds` that waits until there is an id.
pub const REQUEST_IDS_BLOCKING: Kind = Kind(1);
/// The kind of `MsgRequestTxIds` that is answered at once.
pub const REQUEST_IDS_NON_BLOCKING: Kind = Kind(2);
/// The kind of `MsgReplyTxIds`.
pub const REPLY_IDS: Kind = Kind(3);
/// The kind of `MsgRequestTxs`.
pub const REQUEST_TXS: Kind = Kind(4);
/// The kind of `MsgReplyTxs`.
pub const REPLY_TXS: Kind = Kind(5);
/// The kind of `MsgDone`.
pub const MSG_DONE: Kind = Kind(6);

/// Ids announced and not yet acknowledged, inclusive. Both ends know it; it is not negotiated.
pub const WINDOW: u16 = 10;

/// Bytes of a question or of the hello, inclusive.
///
/// deviates: the specification says 5,760, which is less than running nodes allow.
pub const QUESTION_BYTES_MAX: usize = 65_535;
/// Bytes of an answer, inclusive.
pub const ANSWER_BYTES_MAX: usize = 2_500_000;

const TEN_SECONDS: TimeLimit = TimeLimit::Fixed(Duration::from_secs(10));

/// The protocol as a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TxSubmission;

/// src: Ouroboros network specification, "Transaction Submission Mini Protocol"
pub const SPEC: Spec = Spec {
    protocol: ProtocolId::TX_SUBMISSION,
    name: "tx-submission2",
    states: &[
        row(
            "StInit",
            Agency::Client,
            TimeLimit::None,
            QUESTION_BYTES_MAX,
        ),
        row(
            "StIdle",
            Agency::Server,
            TimeLimit::None,
            QUESTION_BYTES_MAX,
        ),
        row(
            "StTxIdsBlocking",
            Agency::Client,
            TimeLimit::None,
            ANSWER_BYTES_MAX,
        ),
        row(
            "StTxIdsNonBlocking",
            Agency::Client,
            TEN_SECONDS,
            ANSWER_BYTES_MAX,
        ),
        row("StTxs", Agency::Client, TEN_SECONDS, ANSWER_BYTES_MAX),
        row("StDone", Agency::Nobody, TimeLimit::None, 0),
    ],
    edges: &[
        edge(INIT, 6, 1, MSG_INIT, "MsgInit", IDLE),
        edge(
            IDLE,
            0,
            4,
            REQUEST_IDS_BLOCKING,
            "MsgRequestTxIds (blocking)",
            TX_IDS_BLOCKING,
        ),
        pipelined(edge(
            IDLE,
            0,
            4,
            REQUEST_IDS_NON_BLOCKING,
            "MsgRequestTxIds (non-blocking)",
            TX_IDS_NON_BLOCKING,
        )),
        pipelined(edge(IDLE, 2, 2, REQUEST_TXS, "MsgRequestTxs", TXS)),
        edge(TX_IDS_BLOCKING, 1, 2, REPLY_IDS, "MsgReplyTxIds", IDLE),
        edge(TX_IDS_BLOCKING, 4, 1, MSG_DONE, "MsgDone", DONE),
        edge(TX_IDS_NON_BLOCKING, 1, 2, REPLY_IDS, "MsgReplyTxIds", IDLE),
        edge(TXS, 3, 2, REPLY_TXS, "MsgReplyTxs", IDLE),
    ],
};

const fn row(name: &'static str, agency: Agency, time: TimeLimit, bytes_max: usize) -> StateRow {
    StateRow {
        name,
        agency,
        time,
        bytes_max,
    }
}

const fn edge(
    from: State,
    label: u8,
    items: u8,
    kind: Kind,
    message: &'static str,
    to: State,
) -> Edge {
    Edge {
        from,
        label,
        items,
        kind,
        message,
        to,
        pipelined: false,
    }
}

const fn pipelined(edge: Edge) -> Edge {
    Edge {
        pipelined: true,
        ..edge
    }
}

/// How a peer broke a rule of tx-submission. All adversarial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Violation {
    /// More ids acknowledged than are outstanding.
    #[error("{acked} ids acknowledged of {unacked}")]
    AckedTooManyTxids {
        /// Acknowledged.
        acked: u16,
        /// Outstanding.
        unacked: u16,
    },
    /// More ids requested than the window of ten allows.
    #[error("{requested} ids requested beside {unacked} outstanding")]
    RequestedTooManyTxids {
        /// Requested.
        requested: u16,
        /// Still outstanding after the acknowledgement.
        unacked: u16,
    },
    /// A request that asks for nothing and acknowledges nothing.
    #[error("requested nothing")]
    RequestedNothing,
    /// A blocking request while ids are outstanding.
    #[error("blocking request with ids outstanding")]
    RequestBlocking,
    /// A non-blocking request while no id is outstanding.
    #[error("non-blocking request with no id outstanding")]
    RequestNonBlocking,
    /// A body that was not announced or is acknowledged already.
    #[error("requested an unavailable transaction")]
    RequestedUnavailableTx,
    /// More ids than were requested.
    #[error("{got} ids where {wanted} were requested")]
    TooManyIds {
        /// Requested.
        wanted: u16,
        /// Came.
        got: u16,
    },
    /// A body that was not requested, or that is no transaction.
    #[error("a transaction that was not requested")]
    UnrequestedTx,
    /// A body whose size is not what was announced.
    #[error("transaction of {got} bytes announced as {announced}")]
    WrongSize {
        /// As announced.
        announced: u32,
        /// As it came.
        got: u32,
    },
}
