//! Why multiplexers fail.

use crate::base::{Class, ProtocolId, Role};

/// Why a multiplexer fails; always the end of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Error {
    /// A segment for a number that is not configured. Adversarial.
    #[error("unknown mini-protocol {0}")]
    UnknownMiniProtocol(ProtocolId),
    /// A segment for a half that we do not run. Adversarial.
    #[error("no {role:?} half of mini-protocol {protocol} here")]
    InitiatorOnly {
        /// The mini-protocol.
        protocol: ProtocolId,
        /// The half of ours that the segment is for.
        role: Role,
    },
    /// More bytes than a half's queue holds. Adversarial.
    #[error("ingress of mini-protocol {protocol} ({role:?} half) over {max} bytes")]
    IngressQueueOverRun {
        /// The mini-protocol.
        protocol: ProtocolId,
        /// The sender's half, as on the wire.
        role: Role,
        /// The limit, inclusive.
        max: u32,
    },
    /// A segment of no bytes. Adversarial.
    #[error("malformed segment header")]
    SduDecodeError,
    /// A segment that did not arrive whole in time. Network.
    #[error("segment not read within its time limit")]
    SduReadTimeout,
    /// A segment that the kernel did not take in time. Network.
    #[error("segment not written within its time limit")]
    SduWriteTimeout,
    /// The bytes ended inside a segment, or while a mini-protocol ran. Network.
    #[error("bearer closed (inside a segment: {inside})")]
    BearerClosed {
        /// Whether inside a segment.
        inside: bool,
    },
}

impl Error {
    /// Whose fault it is.
    pub const fn class(&self) -> Class {
        match self {
            Self::UnknownMiniProtocol(_)
            | Self::InitiatorOnly { .. }
            | Self::IngressQueueOverRun { .. }
            | Self::SduDecodeError => Class::Adversarial,
            Self::SduReadTimeout | Self::SduWriteTimeout | Self::BearerClosed { .. } => {
                Class::Network
            }
        }
    }
}
