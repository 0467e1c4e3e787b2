//! block-fetch: a client fetches ranges of block bodies, many requests in flight.
//!
//! The table is [`SPEC`].

pub mod client;
mod message;
pub mod server;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use message::{BlockFetch, Message};
pub use server::Server;

use core::time::Duration;

use crate::base::{Agency, Edge, Kind, ProtocolId, Spec, State, StateRow, TimeLimit};

/// The client may ask for a range or say goodbye.
pub const IDLE: State = State(0);
/// The server says whether it has the range.
pub const BUSY: State = State(1);
/// The server streams the range.
pub const STREAMING: State = State(2);
/// Over.
pub const DONE: State = State(3);

/// The kind of `MsgRequestRange`.
pub const REQUEST_RANGE: Kind = Kind(0);
/// The kind of `MsgClientDone`.
pub const CLIENT_DONE: Kind = Kind(1);
/// The kind of `MsgStartBatch`.
pub const START_BATCH: Kind = Kind(2);
/// The kind of `MsgNoBlocks`.
pub const NO_BLOCKS: Kind = Kind(3);
/// The kind of `MsgBlock`.
pub const BLOCK: Kind = Kind(4);
/// The kind of `MsgBatchDone`.
pub const BATCH_DONE: Kind = Kind(5);

/// src: Ouroboros network specification, "Block-Fetch mini-protocol"
pub const SPEC: Spec = Spec {
    protocol: ProtocolId::BLOCK_FETCH,
    name: "block-fetch",
    states: &[
        row("BFIdle", Agency::Client, TimeLimit::None, 65_535),
        row("BFBusy", Agency::Server, MINUTE, 65_535),
        row("BFStreaming", Agency::Server, MINUTE, 2_500_000),
        row("BFDone", Agency::Nobody, TimeLimit::None, 65_535),
    ],
    edges: &[
        Edge {
            pipelined: true,
            ..edge(IDLE, 0, 3, REQUEST_RANGE, "MsgRequestRange", BUSY)
        },
        edge(IDLE, 1, 1, CLIENT_DONE, "MsgClientDone", DONE),
        edge(BUSY, 2, 1, START_BATCH, "MsgStartBatch", STREAMING),
        edge(BUSY, 3, 1, NO_BLOCKS, "MsgNoBlocks", IDLE),
        edge(STREAMING, 4, 2, BLOCK, "MsgBlock", STREAMING),
        edge(STREAMING, 5, 1, BATCH_DONE, "MsgBatchDone", IDLE),
    ],
};

const MINUTE: TimeLimit = TimeLimit::Fixed(Duration::from_secs(60));

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
