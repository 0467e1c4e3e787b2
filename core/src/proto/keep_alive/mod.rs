//! keep-alive: probes with a cookie; the round-trip time is the by-product.

pub mod client;
mod message;
pub mod server;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use message::{KeepAlive, Message};
pub use server::Server;

use core::time::Duration;

use crate::base::{Agency, Edge, Kind, ProtocolId, Spec, State, StateRow, TimeLimit};

/// The client may probe or say goodbye.
pub const CLIENT: State = State(0);
/// The server must answer.
pub const SERVER: State = State(1);
/// Over.
pub const DONE: State = State(2);

/// The kind of `MsgKeepAlive`.
pub const KEEP_ALIVE: Kind = Kind(0);
/// The kind of `MsgDone`.
pub const MSG_DONE: Kind = Kind(1);
/// The kind of `MsgKeepAliveResponse`.
pub const RESPONSE: Kind = Kind(2);

/// src: Ouroboros network specification, "Keep Alive Mini Protocol"
pub const SPEC: Spec = Spec {
    protocol: ProtocolId::KEEP_ALIVE,
    name: "keep-alive",
    states: &[
        row(
            "StClient",
            Agency::Client,
            TimeLimit::Fixed(Duration::from_secs(97)),
        ),
        row(
            "StServer",
            Agency::Server,
            TimeLimit::Fixed(Duration::from_secs(60)),
        ),
        row("StDone", Agency::Nobody, TimeLimit::None),
    ],
    edges: &[
        edge(CLIENT, 0, 2, KEEP_ALIVE, "MsgKeepAlive", SERVER),
        edge(CLIENT, 2, 1, MSG_DONE, "MsgDone", DONE),
        edge(SERVER, 1, 2, RESPONSE, "MsgKeepAliveResponse", CLIENT),
    ],
};

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
