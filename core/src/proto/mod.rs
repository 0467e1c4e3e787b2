//! The mini-protocols: each a constant table, a codec, a client half and a server half.
//!
//! ```text
//!  one message ─Received─▶ client or server ─Fact▶ connection
//!  one message ◀──Send──── client or server ◀Order─ connection
//! ```
//!
//! A half is a [`Machine`] over [`Event`] and [`Action`]. Its table ([`Protocol::SPEC`]) is the
//! authority for what may be said, by whom, how long it may take and how large it may be.

pub mod block_fetch;
pub mod chain_sync;
pub mod handshake;
pub mod keep_alive;
pub mod peer_sharing;
pub mod rain_link;
#[cfg(test)]
mod rig;
pub mod session;
#[cfg(test)]
mod testing;
pub mod tip_sample;
pub mod tx_submission;

use bytes::{Bytes, BytesMut};

use crate::{
    base::{Class, HeaderFault, Kind, Machine, Point, Spec, State},
    wire::{Encoded, codec::DecodeError, reassembly},
};

/// A mini-protocol as types: its table and its codec.
pub trait Protocol {
    /// The table.
    const SPEC: &'static Spec;
    /// All messages of both ends.
    type Message;

    /// Which kind of message this is.
    fn kind(message: &Self::Message) -> Kind;

    /// Reads exactly one message (`bytes` is one whole CBOR item) in `state`. A message that has
    /// no edge in `state` is a decode error, as is anything left over.
    fn decode(state: State, bytes: &Bytes) -> Result<Self::Message, DecodeError>;

    /// Writes a message: the head to `out`; what is returned follows it uncopied (often empty).
    fn encode(message: &Self::Message, out: &mut BytesMut) -> Bytes;
}

/// What a half can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<O> {
    /// Begin; the first event, once.
    Start,
    /// One whole message of the peer, at most [`Half::awaits`] bytes long.
    Received(Bytes),
    /// An order of the owner. One that does not fit the state is ignored.
    Order(O),
    /// Say goodbye as soon as the protocol allows it.
    Stop,
    /// Time has passed.
    Tick,
}

/// What a half can ask for or report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action<F> {
    /// Send one message.
    Send(Encoded),
    /// Something happened.
    Fact(F),
    /// The protocol has ended in its final state; nothing follows.
    Ended,
    /// The peer broke the protocol; the connection must end. Nothing follows.
    Failed(Fault),
}

/// One half of a mini-protocol.
pub trait Half: Machine<Event = Event<Self::Order>, Action = Action<Self::Fact>> {
    /// What its owner can ask of it.
    type Order;
    /// What it tells its owner.
    type Fact;

    /// The protocol's table.
    const SPEC: &'static Spec;

    /// While the peer may speak: the byte limit of its next message. `None` = the owner leaves
    /// the peer's bytes where they are.
    fn awaits(&self) -> Option<usize>;
}

/// How a peer broke a mini-protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Fault {
    /// The bytes are no message that may be sent in this state. Adversarial.
    #[error("decode failure: {0}")]
    Decode(DecodeError),
    /// More bytes than the state allows. Adversarial.
    #[error("message of more than {max} bytes")]
    TooLarge {
        /// The state's limit, inclusive.
        max: usize,
    },
    /// The peer took longer than the state allows. Network.
    #[error("no message in state {state} within its time limit")]
    TimedOut {
        /// The index of the state.
        state: u8,
    },
    /// A keep-alive answer to another probe. Adversarial.
    #[error("cookie {got} instead of {sent}")]
    Cookie {
        /// What we sent.
        sent: u16,
        /// What came back.
        got: u16,
    },
    /// The application refuses a header. Adversarial.
    #[error("bad header: {0}")]
    Header(HeaderFault),
    /// An intersection that we did not offer. Adversarial.
    #[error("intersection at a point that was not offered: {0}")]
    Intersection(Point),
    /// More addresses than asked for. Adversarial.
    #[error("{got} addresses where {asked} were asked for")]
    TooManyPeers {
        /// How many were asked for.
        asked: u8,
        /// How many came.
        got: usize,
    },
    /// A tip sample that counts wrong or lies before the slot asked for. Adversarial.
    #[error("tip sample out of order")]
    TipSample,
    /// A tx-submission rule is broken. Adversarial.
    #[error("tx-submission: {0}")]
    Tx(tx_submission::Violation),
    /// More than this half keeps for its owner.
    #[error("a bound of our own is reached: {0}")]
    Overflow(u16),
}

/// All tables: for documentation, generators and checks.
pub const TABLES: &[&Spec] = &[
    &handshake::SPEC,
    &chain_sync::SPEC,
    &block_fetch::SPEC,
    &tx_submission::SPEC,
    &keep_alive::SPEC,
    &peer_sharing::SPEC,
    &tip_sample::SPEC,
    &rain_link::SPEC,
    &rain_link::BULK_SPEC,
];

impl From<reassembly::Error> for Fault {
    fn from(error: reassembly::Error) -> Self {
        match error {
            reassembly::Error::TooLarge { max } => Self::TooLarge { max },
            reassembly::Error::Malformed(error) => Self::Decode(error),
        }
    }
}

impl Fault {
    /// Whose fault it is.
    pub const fn class(&self) -> Class {
        match self {
            Self::TimedOut { .. } => Class::Network,
            Self::Overflow(_) => Class::Internal,
            _ => Class::Adversarial,
        }
    }
}
