//! The handshake: which version both ends speak, and with what settings.
//!
//! The table is [`SPEC`]. It runs before the multiplexer, on number 0. Who dials runs the client
//! half; when both ends dialled each other each meets the other's proposal where it expected an
//! answer, and both judge by [`negotiate`] alone.

pub mod client;
mod message;
mod negotiate;
pub mod server;
#[cfg(test)]
mod tests;
mod version;

pub use client::Client;
pub use message::{Handshake, Message, Reason};
pub use negotiate::{Refusal, negotiate};
pub use server::Server;
pub use version::Config;

use alloc::collections::BTreeMap;
use core::time::Duration;

use bytes::Bytes;

use crate::base::{Agency, Class, Edge, Kind, ProtocolId, Spec, State, StateRow, TimeLimit};

/// The client proposes.
pub const PROPOSE: State = State(0);
/// The server confirms or refuses.
pub const CONFIRM: State = State(1);
/// Over.
pub const DONE: State = State(2);

/// The kind of `MsgProposeVersions`.
pub const PROPOSE_VERSIONS: Kind = Kind(0);
/// The kind of `MsgReplyVersions`: a proposal met in `StConfirm`, received only.
pub const REPLY_VERSIONS: Kind = Kind(1);
/// The kind of `MsgAcceptVersion`.
pub const ACCEPT_VERSION: Kind = Kind(2);
/// The kind of `MsgRefuse`.
pub const REFUSE: Kind = Kind(3);
/// The kind of `MsgQueryReply`.
pub const QUERY_REPLY: Kind = Kind(4);

/// src: Ouroboros network specification, "Handshake mini-protocol", node to node
pub const SPEC: Spec = Spec {
    protocol: ProtocolId::HANDSHAKE,
    name: "handshake",
    states: &[
        row("StPropose", Agency::Client, TEN_SECONDS),
        row("StConfirm", Agency::Server, TEN_SECONDS),
        row("StDone", Agency::Nobody, TimeLimit::None),
    ],
    edges: &[
        edge(
            PROPOSE,
            0,
            2,
            PROPOSE_VERSIONS,
            "MsgProposeVersions",
            CONFIRM,
        ),
        edge(CONFIRM, 0, 2, REPLY_VERSIONS, "MsgReplyVersions", DONE),
        edge(CONFIRM, 1, 3, ACCEPT_VERSION, "MsgAcceptVersion", DONE),
        edge(CONFIRM, 2, 2, REFUSE, "MsgRefuse", DONE),
        edge(CONFIRM, 3, 2, QUERY_REPLY, "MsgQueryReply", DONE),
    ],
};

const TEN_SECONDS: TimeLimit = TimeLimit::Fixed(Duration::from_secs(10));

const fn row(name: &'static str, agency: Agency, time: TimeLimit) -> StateRow {
    StateRow {
        name,
        agency,
        time,
        bytes_max: 5_760,
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

/// A version number of the node-to-node protocol.
pub type Version = u16;

/// Node-to-node version 14, the lowest in use.
pub const V14: Version = 14;
/// Node-to-node version 15.
pub const V15: Version = 15;
/// Node-to-node version 16, experimental; offered only when configured.
pub const V16: Version = 16;
/// The bit that makes a version one of our own: `0x2000 | v`.
pub const OURS: Version = 0x2000;

/// Whether a version is one of our own, on which our own mini-protocols may run.
pub const fn is_ours(version: Version) -> bool {
    version & OURS != 0
}

/// Whether a node runs responders for those who dial it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Mode {
    /// Dials only.
    InitiatorOnly,
    /// Both.
    #[default]
    InitiatorAndResponder,
}

/// The settings that travel beside a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct VersionData {
    /// The network's magic number.
    pub magic: u32,
    /// Whether the sender runs responders.
    pub mode: Mode,
    /// Whether the sender shares addresses of peers.
    pub peer_sharing: bool,
    /// Whether the sender only wants to see the other's table.
    pub query: bool,
    /// Whether the sender speaks Peras; only on version 16.
    pub peras: bool,
}

/// What a node offers: rising versions with their settings still encoded, because only those of
/// the chosen version are ever interpreted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct VersionTable(pub BTreeMap<Version, Bytes>);

/// What both ends agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Agreed {
    /// The highest common version.
    pub version: Version,
    /// Negotiated settings.
    pub data: VersionData,
}

/// Why a handshake came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Failure {
    /// No common version.
    #[error("no common version")]
    VersionMismatch,
    /// Settings of the chosen version that cannot be read. Adversarial when ours to judge.
    #[error("settings of version {0} cannot be read")]
    DecodeError(Version),
    /// The other end refused our settings, or we its.
    #[error("version {0} refused")]
    Refused(Version),
    /// Another network.
    #[error("network magic {got} instead of {want}")]
    Magic {
        /// Ours.
        want: u32,
        /// The peer's.
        got: u32,
    },
    /// The peer chose a version that we did not offer. Adversarial.
    #[error("version {0} was not offered")]
    NotRecognised(Version),
    /// The peer answered with settings that do not follow from both offers. Adversarial.
    #[error("wrong selection of version {0}")]
    InvalidSelection(Version),
    /// The connection was reset or closed while an answer was due: a refusal without a reason.
    #[error("closed without a reason")]
    Closed,
    /// The peer's bytes are no handshake. Adversarial.
    #[error("{0}")]
    Protocol(super::Fault),
    /// The handshake was a query and is over.
    #[error("query answered")]
    Query,
}

impl Failure {
    /// Whose fault it is.
    pub const fn class(&self) -> Class {
        match self {
            Self::VersionMismatch
            | Self::Refused(_)
            | Self::Magic { .. }
            | Self::Closed
            | Self::Query => Class::Network,
            Self::DecodeError(_) | Self::NotRecognised(_) | Self::InvalidSelection(_) => {
                Class::Adversarial
            }
            Self::Protocol(fault) => fault.class(),
        }
    }
}
