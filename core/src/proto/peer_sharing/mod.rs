//! peer-sharing: one end asks for addresses of other peers, the other answers with some.
//!
//! src: Ouroboros network specification, "Peer Sharing Mini Protocol"

pub mod client;
mod message;
pub mod server;
#[cfg(test)]
mod tests;

use core::time::Duration;

pub use client::Client;
pub use message::Message;
pub use server::Server;

use crate::base::{Agency, Edge, Kind, ProtocolId, Spec, State, StateRow, TimeLimit};

/// The client may ask or say goodbye.
pub const IDLE: State = State(0);
/// The server must answer.
pub const BUSY: State = State(1);
/// Over.
pub const DONE: State = State(2);

/// The kind of `MsgShareRequest`.
pub const SHARE_REQUEST: Kind = Kind(0);
/// The kind of `MsgDone`.
pub const MSG_DONE: Kind = Kind(1);
/// The kind of `MsgSharePeers`.
pub const SHARE_PEERS: Kind = Kind(2);

/// Bytes that any message may have, inclusive.
pub const BYTES_MAX: usize = 5_760;

/// Addresses that one answer may hold whatever their family, inclusive: 230 `IPv6` addresses of 25
/// bytes at most and 4 bytes around them.
pub const ADDRESSES_MAX: usize = 230;

const _: () = assert!(
    ADDRESSES_MAX * 25 + 4 <= BYTES_MAX,
    "an answer fits its limit"
);

/// The protocol as a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PeerSharing;

/// src: Ouroboros network specification, "Peer Sharing Mini Protocol"
pub const SPEC: Spec = Spec {
    protocol: ProtocolId::PEER_SHARING,
    name: "peer-sharing",
    states: &[
        row("StIdle", Agency::Client, TimeLimit::None),
        row(
            "StBusy",
            Agency::Server,
            TimeLimit::Fixed(Duration::from_secs(60)),
        ),
        row("StDone", Agency::Nobody, TimeLimit::None),
    ],
    edges: &[
        edge(IDLE, 0, 2, SHARE_REQUEST, "MsgShareRequest", BUSY),
        edge(IDLE, 2, 1, MSG_DONE, "MsgDone", DONE),
        edge(BUSY, 1, 2, SHARE_PEERS, "MsgSharePeers", IDLE),
    ],
};

const fn row(name: &'static str, agency: Agency, time: TimeLimit) -> StateRow {
    StateRow {
        name,
        agency,
        time,
        bytes_max: BYTES_MAX,
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
