//! The link between two members of structured gossip: our own mini-protocols, on our own versions
//! only.
//!
//! ```text
//!             ┌─ rain-link: words ────▶ our responder      Hello, Ack, Igyw, Digest, …
//!  initiator ─┤
//!             └─ rain-bulk: payloads ─▶ our responder      Data
//! ```
//!
//! Each is one-directional: only the initiator speaks, in one state, and ends with a farewell;
//! answers travel on the instances of the other direction. There are two, so that a word overtakes
//! the payloads that are on their way to the same peer: the multiplexer serves both in turn, a
//! segment each. A word can therefore come before a payload that was sent earlier, and a payload
//! before a word.
//!
//! In: frames ([`client::Order::Say`]); out: frames ([`server::Fact::Heard`]). What they mean is
//! decided elsewhere.
//!
//! Limits: a word has at most [`WORD_BYTES_MAX`] bytes, a payload with its head
//! [`BULK_BYTES_MAX`]; lists have those of their constants. A frame that breaks one is a decode
//! error, as are lists that must rise and do not.
//!
//! src: pokt-network/pocket-network-protocol, peer-to-peer specification, "Messages"

mod check;
pub mod client;
mod frame;
mod message;
mod read;
pub mod server;
mod size;
#[cfg(test)]
mod tests;

use core::fmt::Debug;

pub use check::{PULLED_MAX, Unfit};
pub use client::Client;
pub use frame::{
    ADDRESS_BYTES_MAX, Data, Duty, ENTRIES_MAX, Entry, Flags, Frame, HOLES_MAX, IDS_MAX, Ids, Igyw,
    Joined, Left, Limit, ONWARD_MAX, Onward, PAYLOAD_BYTES_MAX, RECORDS_MAX, Record, Terms, Why,
    write_group,
};
pub use message::Message;
pub(crate) use message::write_terms;
pub use server::Server;

use super::Protocol;
use crate::base::{Agency, Edge, Kind, ProtocolId, Spec, State, StateRow, TimeLimit};

/// The initiator may speak.
pub const OPEN: State = State(0);
/// Over.
pub const DONE: State = State(1);

/// The kind of a [`Frame::Hello`].
pub const HELLO: Kind = Kind(0);
/// The kind of a [`Frame::Data`].
pub const DATA: Kind = Kind(1);
/// The kind of a [`Frame::Duty`].
pub const DUTY: Kind = Kind(2);
/// The kind of a [`Frame::Ack`].
pub const ACK: Kind = Kind(3);
/// The kind of a [`Frame::Nack`].
pub const NACK: Kind = Kind(4);
/// The kind of a [`Frame::Igyw`].
pub const IGYW: Kind = Kind(5);
/// The kind of a [`Frame::Yes`].
pub const YES: Kind = Kind(6);
/// The kind of a [`Frame::No`].
pub const NO: Kind = Kind(7);
/// The kind of a [`Frame::Wait`].
pub const WAIT: Kind = Kind(8);
/// The kind of a [`Frame::Digest`].
pub const DIGEST: Kind = Kind(9);
/// The kind of a [`Frame::Pull`].
pub const PULL: Kind = Kind(10);
/// The kind of a [`Frame::Relay`].
pub const RELAY: Kind = Kind(11);
/// The kind of a [`Frame::Credit`].
pub const CREDIT: Kind = Kind(12);
/// The kind of a [`Frame::Join`].
pub const JOIN: Kind = Kind(13);
/// The kind of a [`Frame::Leave`].
pub const LEAVE: Kind = Kind(14);
/// The kind of a [`Frame::Ping`].
pub const PING: Kind = Kind(15);
/// The kind of a [`Frame::Pong`].
pub const PONG: Kind = Kind(16);
/// The kind of a [`Frame::Members`].
pub const MEMBERS: Kind = Kind(17);
/// The kind of a [`Frame::Proof`].
pub const PROOF: Kind = Kind(18);
/// The kind of the farewell.
pub const MSG_DONE: Kind = Kind(19);

/// A word has at most this many bytes, inclusive: 128 KiB. Room for the largest list of members.
pub const WORD_BYTES_MAX: usize = 128 << 10;

/// A payload with all before it has at most this many bytes, inclusive. The head of the deepest
/// group, in a relay, that goes on to as many such groups, has fewer than 4 KiB in any form of
/// CBOR.
pub const BULK_BYTES_MAX: usize = PAYLOAD_BYTES_MAX + (4 << 10);

/// A lane of the link: a mini-protocol over [`Message`]s.
pub trait Lane: Protocol<Message = Message> + Clone + Debug + PartialEq + Eq {
    /// Whether a frame of this kind may stand in a relay here.
    fn may_be_relayed(kind: Kind) -> bool;
}

/// The lane of words, as a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RainLink;

/// The lane of payloads, as a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RainBulk;

impl Lane for RainLink {
    fn may_be_relayed(kind: Kind) -> bool {
        kind != DATA && kind != RELAY && kind != MSG_DONE
    }
}

impl Lane for RainBulk {
    fn may_be_relayed(kind: Kind) -> bool {
        kind == DATA
    }
}

/// The table of words.
pub const SPEC: Spec = Spec {
    protocol: ProtocolId::RAIN_LINK,
    name: "rain-link",
    states: &[row("StOpen", WORD_BYTES_MAX), END],
    edges: &[
        say(HELLO, "MsgHello"),
        say(DUTY, "MsgDuty"),
        say(ACK, "MsgAck"),
        say(NACK, "MsgNack"),
        say(IGYW, "MsgIgyw"),
        say(YES, "MsgYes"),
        say(NO, "MsgNo"),
        say(WAIT, "MsgWait"),
        say(DIGEST, "MsgDigest"),
        say(PULL, "MsgPull"),
        say(RELAY, "MsgRelay"),
        say(CREDIT, "MsgCredit"),
        say(JOIN, "MsgJoin"),
        say(LEAVE, "MsgLeave"),
        say(PING, "MsgPing"),
        say(PONG, "MsgPong"),
        say(MEMBERS, "MsgMembers"),
        say(PROOF, "MsgProof"),
        FAREWELL,
    ],
};

/// The table of payloads.
pub const BULK_SPEC: Spec = Spec {
    protocol: ProtocolId::RAIN_BULK,
    name: "rain-bulk",
    states: &[row("StOpen", BULK_BYTES_MAX), END],
    edges: &[say(DATA, "MsgData"), say(RELAY, "MsgRelay"), FAREWELL],
};

/// Items of each kind's array, the label included, by the kind's number.
const ITEMS: [u8; 20] = [5, 13, 5, 2, 3, 5, 2, 3, 2, 4, 5, 5, 2, 6, 6, 3, 3, 3, 2, 1];

/// Items of a kind's array, the label included; 0 for a kind that is not there.
const fn items(kind: Kind) -> u8 {
    let mut rest: &[u8] = &ITEMS;
    let mut at = 0;
    while let [first, more @ ..] = rest {
        if at == kind.0 {
            return *first;
        }
        rest = more;
        at += 1;
    }
    0
}

const fn row(name: &'static str, bytes_max: usize) -> StateRow {
    StateRow {
        name,
        agency: Agency::Client,
        time: TimeLimit::None,
        bytes_max,
    }
}

const END: StateRow = StateRow {
    name: "StDone",
    agency: Agency::Nobody,
    time: TimeLimit::None,
    bytes_max: 0,
};

const FAREWELL: Edge = Edge {
    to: DONE,
    ..say(MSG_DONE, "MsgDone")
};

const fn say(kind: Kind, message: &'static str) -> Edge {
    Edge {
        from: OPEN,
        label: kind.0,
        items: items(kind),
        kind,
        message,
        to: OPEN,
        pipelined: false,
    }
}
