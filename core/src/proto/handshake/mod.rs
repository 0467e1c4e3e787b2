//! The handshake: which version both ends speak, and with what settings.

use alloc::collections::BTreeMap;

use bytes::Bytes;

use crate::base::Class;

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
