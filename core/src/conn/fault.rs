//! Why connections end.

use crate::{
    base::{Class, ProtocolId, Role},
    chain, mux, proto,
    proto::handshake,
};

/// What a driver knows of a socket that failed or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum Cause {
    /// The peer closed its side in order.
    #[error("closed by the peer")]
    Eof,
    /// The connection was reset.
    #[error("reset")]
    Reset,
    /// Nobody listens there.
    #[error("refused")]
    Refused,
    /// No route, or the network or host is down.
    #[error("unreachable")]
    Unreachable,
    /// The kernel gave up waiting.
    #[error("timed out")]
    TimedOut,
    /// The address cannot be bound or dialled from here.
    #[error("address not available or in use")]
    AddressInUse,
    /// Out of descriptors, memory or ports.
    #[error("out of local resources")]
    Resources,
    /// Any other error of the socket.
    #[error("socket error {0}")]
    Other(i32),
    /// Of accepting only: the connection was gone before it was accepted. The listening socket is
    /// as good as before; accepting again at once may find the next of many.
    /// src: Ouroboros network specification, chapter "Connection Manager", on errors of accepting
    #[error("gone before it was accepted")]
    Aborted,
}

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Fault {
    /// We closed it, in order.
    #[error("closed by us")]
    Closed,
    /// The socket ended with nothing running.
    #[error("ended by the peer: {0}")]
    Ended(Cause),
    /// The socket failed or ended while a mini-protocol ran.
    #[error("lost: {0}")]
    Lost(Cause),
    /// The handshake came to nothing.
    #[error("handshake: {0}")]
    Handshake(handshake::Failure),
    /// The multiplexer.
    #[error("multiplexer: {0}")]
    Mux(mux::Error),
    /// A mini-protocol.
    #[error("protocol {protocol}, our {role:?}: {fault}")]
    Protocol {
        /// Which one.
        protocol: ProtocolId,
        /// Our half.
        role: Role,
        /// What happened.
        fault: proto::Fault,
    },
    /// The peer's chain.
    #[error("chain: {0}")]
    Chain(chain::Misdeed),
    /// The peer ran nothing within the idle time, and we did not use it either.
    #[error("idle")]
    Idle,
    /// We released it, and the peer did not use it either.
    #[error("released")]
    Released,
    /// Reset to keep the limit on inbound connections.
    #[error("pruned to keep the limit on inbound connections")]
    Limit,
    /// We gave up wanting it before it was there.
    #[error("cancelled")]
    Cancelled,
    /// A new connection came with the same two addresses: this one had died unseen.
    #[error("replaced by a new connection with the same addresses")]
    Replaced,
    /// Another connection has the same two addresses.
    #[error("the two addresses are taken by another connection")]
    Taken,
    /// Our initiators did not end within their time after we asked them to.
    #[error("our mini-protocols did not end in time")]
    Unfinished,
    /// The other end of a link of structured gossip is not who it says, or spoke out of turn.
    #[error("a link of structured gossip broke its rules")]
    Gossip,
}

impl Fault {
    /// Whose fault it is.
    pub fn class(&self) -> Class {
        match self {
            Self::Closed
            | Self::Idle
            | Self::Released
            | Self::Limit
            | Self::Cancelled
            | Self::Taken => Class::Internal,
            Self::Ended(_) | Self::Replaced | Self::Unfinished => Class::Network,
            Self::Lost(cause) => match cause {
                Cause::AddressInUse | Cause::Resources => Class::Internal,
                _ => Class::Network,
            },
            Self::Handshake(failure) => failure.class(),
            Self::Mux(error) => error.class(),
            Self::Protocol { fault, .. } => fault.class(),
            Self::Chain(misdeed) => misdeed.class(),
            Self::Gossip => Class::Adversarial,
        }
    }
}
