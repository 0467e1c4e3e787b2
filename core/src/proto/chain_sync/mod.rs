//! chain-sync: a client follows the headers of a server's chain, pipelined.
//!
//! The table is [`SPEC`]. `StCanAwait` and `StMustReply` are the two forms of the field's `StNext`.

pub mod client;
mod message;
pub mod server;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use message::{ChainSync, Message};
pub use server::Server;

use core::time::Duration;

use crate::base::{Agency, Edge, Kind, ProtocolId, Spec, State, StateRow, TimeLimit};

/// The client may ask, seek an intersection or say goodbye.
pub const IDLE: State = State(0);
/// The server answers, or says that it waits.
pub const CAN_AWAIT: State = State(1);
/// The server answers when its chain changes.
pub const MUST_REPLY: State = State(2);
/// The server says whether there is an intersection.
pub const INTERSECT: State = State(3);
/// Over.
pub const DONE: State = State(4);

/// The kind of `MsgRequestNext`.
pub const REQUEST_NEXT: Kind = Kind(0);
/// The kind of `MsgFindIntersect`.
pub const FIND_INTERSECT: Kind = Kind(1);
/// The kind of `MsgDone`.
pub const MSG_DONE: Kind = Kind(2);
/// The kind of `MsgAwaitReply`.
pub const AWAIT_REPLY: Kind = Kind(3);
/// The kind of `MsgRollForward`.
pub const ROLL_FORWARD: Kind = Kind(4);
/// The kind of `MsgRollBackward`.
pub const ROLL_BACKWARD: Kind = Kind(5);
/// The kind of `MsgIntersectFound`.
pub const INTERSECT_FOUND: Kind = Kind(6);
/// The kind of `MsgIntersectNotFound`.
pub const INTERSECT_NOT_FOUND: Kind = Kind(7);

/// How long a server waits for the next question, unless it is told otherwise.
/// src: cardano-node configuration, `ChainSyncIdleTimeout`
pub const IDLE_LIMIT: Duration = Duration::from_secs(3_373);

/// src: Ouroboros network specification, "Chain-Sync mini-protocol"; time limits as in the
/// reference implementation, where `StIdle` differs from the text
pub const SPEC: Spec = Spec {
    protocol: ProtocolId::CHAIN_SYNC,
    name: "chain-sync",
    states: &[
        row("StIdle", Agency::Client, TimeLimit::Fixed(IDLE_LIMIT)),
        row("StCanAwait", Agency::Server, seconds(10)),
        row(
            "StMustReply",
            Agency::Server,
            TimeLimit::Drawn { min: 601, max: 911 },
        ),
        row("StIntersect", Agency::Server, seconds(10)),
        row("StDone", Agency::Nobody, TimeLimit::None),
    ],
    edges: &[
        Edge {
            pipelined: true,
            ..edge(IDLE, 0, 1, REQUEST_NEXT, "MsgRequestNext", CAN_AWAIT)
        },
        edge(IDLE, 4, 2, FIND_INTERSECT, "MsgFindIntersect", INTERSECT),
        edge(IDLE, 7, 1, MSG_DONE, "MsgDone", DONE),
        edge(CAN_AWAIT, 1, 1, AWAIT_REPLY, "MsgAwaitReply", MUST_REPLY),
        edge(CAN_AWAIT, 2, 3, ROLL_FORWARD, "MsgRollForward", IDLE),
        edge(CAN_AWAIT, 3, 3, ROLL_BACKWARD, "MsgRollBackward", IDLE),
        edge(MUST_REPLY, 2, 3, ROLL_FORWARD, "MsgRollForward", IDLE),
        edge(MUST_REPLY, 3, 3, ROLL_BACKWARD, "MsgRollBackward", IDLE),
        edge(INTERSECT, 5, 3, INTERSECT_FOUND, "MsgIntersectFound", IDLE),
        edge(
            INTERSECT,
            6,
            2,
            INTERSECT_NOT_FOUND,
            "MsgIntersectNotFound",
            IDLE,
        ),
    ],
};

const fn seconds(s: u64) -> TimeLimit {
    TimeLimit::Fixed(Duration::from_secs(s))
}

const fn row(name: &'static str, agency: Agency, time: TimeLimit) -> StateRow {
    StateRow {
        name,
        agency,
        time,
        bytes_max: 65_535,
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
