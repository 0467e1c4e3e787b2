//! tip-sample: one end asks for the next few tips, the other sends each as soon as it is its own.
//!
//! A protocol of 2020 that never ran between real nodes; here it runs on our own versions only,
//! under a number of our own. The number of tips still due is not a state of the table: both
//! halves count, and a message that counts wrong is a fault.
//!
//! deviates: `MsgFollowTip` has a head of three items. The historical encoder announced two, which
//! is not well-formed; [`write_historical`] and [`read_historical`] keep that form.
//!
//! src: ouroboros-network, module `TipSample` of 2020 to 2022

pub mod client;
mod message;
pub mod server;
#[cfg(test)]
mod tests;

pub use client::Client;
pub use message::{Message, read_historical, write_historical};
pub use server::Server;

use crate::base::{Agency, Edge, Kind, ProtocolId, Spec, State, StateRow, TimeLimit};

/// The client may ask or say goodbye.
pub const IDLE: State = State(0);
/// The server must send tips.
pub const FOLLOW_TIP: State = State(1);
/// Over.
pub const DONE: State = State(2);

/// The kind of `MsgFollowTip`.
pub const MSG_FOLLOW_TIP: Kind = Kind(0);
/// The kind of `MsgDone`.
pub const MSG_DONE: Kind = Kind(1);
/// The kind of `MsgNextTip`.
pub const NEXT_TIP: Kind = Kind(2);
/// The kind of `MsgNextTipDone`.
pub const NEXT_TIP_DONE: Kind = Kind(3);

/// The protocol as a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TipSample;

/// src: ouroboros-network, module `TipSample` of 2020 to 2022
pub const SPEC: Spec = Spec {
    protocol: ProtocolId::TIP_SAMPLE,
    name: "tip-sample",
    states: &[
        row("StIdle", Agency::Client),
        row("StFollowTip", Agency::Server),
        row("StDone", Agency::Nobody),
    ],
    edges: &[
        edge(IDLE, 0, 3, MSG_FOLLOW_TIP, "MsgFollowTip", FOLLOW_TIP),
        edge(IDLE, 3, 1, MSG_DONE, "MsgDone", DONE),
        edge(FOLLOW_TIP, 1, 2, NEXT_TIP, "MsgNextTip", FOLLOW_TIP),
        edge(FOLLOW_TIP, 2, 2, NEXT_TIP_DONE, "MsgNextTipDone", IDLE),
    ],
};

const fn row(name: &'static str, agency: Agency) -> StateRow {
    StateRow {
        name,
        agency,
        time: TimeLimit::None,
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
