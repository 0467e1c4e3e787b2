//! What the table of connections can be told, and what it asks for.

use alloc::vec::Vec;
use core::{net::SocketAddr, time::Duration};

use super::{Heat, State};
use crate::{
    base::{ListenerId, ProtocolId, Role, Serial},
    conn::{Cause, Fault},
    proto::handshake::{Agreed, Mode},
};

pub use crate::base::Request;

/// How a connection may be got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Via {
    /// A duplex connection that is there, else a new one.
    Dial,
    /// Only one that the peer has dialled: it is behind a firewall, so it is never dialled.
    Inbound,
}

/// All that the table can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// We want to use a connection to this peer; answered by [`Action::Acquired`] exactly once.
    Acquire {
        /// Its name; never used twice.
        request: Request,
        /// The peer.
        remote: SocketAddr,
        /// What a new connection offers; never more than [`Config::mode`](super::Config::mode) allows. Of no matter when
        /// a connection is reused.
        mode: Mode,
        /// Whether to dial.
        via: Via,
    },
    /// We want it no longer. When the answer is still due it is [`NotAcquired::Cancelled`], and a
    /// connection that was being made for it ends.
    Cancel(Request),
    /// All our initiators on this connection have ended and we use it no more.
    Release(Serial),
    /// End this connection for a reason of ours.
    Abort(Serial, Fault),
    /// The driver listens here.
    Listening {
        /// The driver's name for the socket.
        listener: ListenerId,
        /// Where.
        local: SocketAddr,
    },
    /// A connection was accepted.
    Accepted {
        /// The listening socket.
        listener: ListenerId,
        /// Our end.
        local: SocketAddr,
        /// The other end.
        remote: SocketAddr,
    },
    /// Accepting failed.
    AcceptFailed {
        /// The listening socket.
        listener: ListenerId,
        /// Why.
        cause: Cause,
        /// Whether the socket is lost.
        fatal: bool,
    },
    /// A dial succeeded.
    Connected {
        /// As in [`Action::Dial`].
        conn: Serial,
        /// Our end.
        local: SocketAddr,
    },
    /// A dial failed.
    ConnectFailed {
        /// As in [`Action::Dial`].
        conn: Serial,
        /// Why.
        cause: Cause,
    },
    /// The handshake succeeded.
    Agreed {
        /// The connection.
        conn: Serial,
        /// What was agreed.
        agreed: Agreed,
    },
    /// As a server we refused, or answered a query: the peer gets a while to read that.
    Lingering {
        /// The connection.
        conn: Serial,
    },
    /// A responder began to run: the peer uses it.
    ResponderStarted {
        /// The connection.
        conn: Serial,
        /// The mini-protocol.
        protocol: ProtocolId,
    },
    /// A responder ended cleanly.
    ResponderEnded {
        /// The connection.
        conn: Serial,
        /// The mini-protocol.
        protocol: ProtocolId,
    },
    /// The connection is over, for whatever reason; its socket is closed.
    Ended {
        /// The connection.
        conn: Serial,
        /// Why.
        fault: Fault,
    },
    /// Other limits from now on; connections over them end.
    Limit(super::Limits),
    /// No limit per prefix for this address, or again one.
    Exempt {
        /// The address.
        ip: core::net::IpAddr,
        /// Whether it is exempt.
        on: bool,
    },
    /// An inbound connection is kept for this address, which has no limit per prefix, or no longer.
    /// At most [`exempt_max`](super::Config::exempt_max) addresses have one.
    Reserve {
        /// The address.
        ip: core::net::IpAddr,
        /// Whether one is kept.
        on: bool,
    },
    /// End everything in order; [`Action::Stopped`] follows when nothing is left.
    Shutdown,
    /// Time has passed.
    Tick,
}

/// All that the table asks for, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Action {
    /// Accept one connection on this socket when one is there; not before, not twice.
    AcceptOne(ListenerId),
    /// The connection just accepted is ours under this serial. [`Action::Greet`] follows.
    Adopt {
        /// The listening socket.
        listener: ListenerId,
        /// Its other end.
        remote: SocketAddr,
        /// Its name from now on.
        conn: Serial,
    },
    /// The connection just accepted is not wanted: reset it, without a word.
    Reset {
        /// The listening socket.
        listener: ListenerId,
        /// Its other end.
        remote: SocketAddr,
    },
    /// Open a connection; answered by `Connected` or `ConnectFailed`, unless closed before.
    Dial {
        /// Its name.
        conn: Serial,
        /// Where to.
        remote: SocketAddr,
        /// The local address to bind, else an ephemeral one.
        bind: Option<SocketAddr>,
    },
    /// The socket is connected: begin the handshake.
    Greet {
        /// The connection.
        conn: Serial,
        /// Its other end.
        remote: SocketAddr,
        /// Initiator when we dialled.
        role: Role,
        /// What the handshake offers.
        mode: Mode,
    },
    /// End this connection, or dial, with this fault: [`Fault::Closed`] means in order and is
    /// answered by `Ended`, any other is a reset at once and no event of it is wanted any more.
    Close {
        /// The connection.
        conn: Serial,
        /// Why.
        fault: Fault,
    },
    /// The answer to [`Event::Acquire`].
    Acquired {
        /// Which one.
        request: Request,
        /// The connection, or why there is none.
        outcome: Result<Acquired, NotAcquired>,
    },
    /// We hold this connection no longer, be it because we released it or because it ended: the
    /// peer may be acquired again. Comes once for each `Acquired` that was `Ok`, and not before the
    /// quarantine of an orderly end is over.
    Demoted {
        /// The connection.
        conn: Serial,
        /// Its other end.
        remote: SocketAddr,
    },
    /// The set of mature duplex peers has changed; see `Manager::mature`.
    Mature,
    /// A listening socket is lost, or one more than there may be.
    ListenerLost(ListenerId),
    /// The counters have changed.
    Counters(Counters),
    /// What happened, for whoever watches; only with [`Config::trace`](super::Config::trace).
    Trace(Trace),
    /// After `Shutdown`: nothing is left.
    Stopped,
}

/// A connection that we may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Acquired {
    /// Its name.
    pub conn: Serial,
    /// What was agreed on it.
    pub agreed: Agreed,
    /// Whether it was there before.
    pub reused: bool,
}

/// Why there is no connection to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum NotAcquired {
    /// We dial the peer, greet it or use a connection to it already. Internal.
    #[error("a connection to this peer is being made or used")]
    Exists,
    /// The peer has dialled us and runs no responders. Internal.
    #[error("the peer uses this connection one way")]
    Forbidden,
    /// We have just released it; it ends unless the peer uses it. Internal.
    #[error("a released connection to this peer is not over")]
    Releasing,
    /// [`Via::Inbound`], and the peer has not dialled us. Network.
    #[error("no connection of this peer")]
    NotFound,
    /// No room in the table or among those who wait. Internal.
    #[error("no room for another connection")]
    Full,
    /// The dial failed.
    #[error("dial: {0}")]
    Connect(Cause),
    /// The connection ended before it could be used.
    #[error("{0}")]
    Ended(Fault),
    /// We asked for it no longer. Internal.
    #[error("cancelled")]
    Cancelled,
    /// The node stops. Internal.
    #[error("shutting down")]
    Shutdown,
}

impl NotAcquired {
    /// Whose fault it is.
    pub fn class(&self) -> crate::base::Class {
        use crate::base::Class;
        match self {
            Self::Exists
            | Self::Forbidden
            | Self::Releasing
            | Self::Full
            | Self::Cancelled
            | Self::Shutdown => Class::Internal,
            Self::NotFound => Class::Network,
            Self::Connect(cause) => Fault::Lost(*cause).class(),
            Self::Ended(fault) => fault.class(),
        }
    }
}

/// Why an accepted connection is reset without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Refusal {
    /// As many inbound connections as there may be.
    #[error("hard limit of {0} inbound connections")]
    HardLimit(u32),
    /// Only those are left that are kept for others.
    #[error("the last {0} inbound connections are kept for others")]
    Reserved(u32),
    /// As many from this source prefix as there may be.
    #[error("limit of {0} connections from one prefix")]
    Prefix(u32),
    /// As many to different addresses of ours as there may be from one address.
    #[error("limit of {0} connections from one address and port")]
    Locals(u32),
    /// The table is full.
    #[error("table of {0} connections is full")]
    Table(u32),
    /// Nobody asked for it, or the node stops.
    #[error("not asked for")]
    Unasked,
}

/// How many connections there are, by use. `duplex + unidirectional` and those in the handshake
/// add up to `inbound + outbound - full_duplex`.
/// src: cardano-node metrics, `connectionManager.*` and `inboundGovernor.*`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Counters {
    /// Used both ways.
    pub full_duplex: u32,
    /// Duplex was agreed.
    pub duplex: u32,
    /// One way was agreed.
    pub unidirectional: u32,
    /// Counted against the accept limits.
    pub inbound: u32,
    /// Used, dialled or just released by us.
    pub outbound: u32,
    /// Over, but remembered or lingering.
    pub terminating: u32,
    /// Peers that run nothing here and may still.
    pub remote_idle: u32,
    /// Peers that run nothing on a connection that we use.
    pub remote_cold: u32,
    /// Peers that run responders, none of them hot.
    pub remote_warm: u32,
    /// Peers that run at least one hot responder.
    pub remote_hot: u32,
}

/// For how long accepting waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Wait {
    /// Between the soft and the hard limit: this long.
    Delay(Duration),
    /// At the hard limit: until there is room.
    HardLimit(u32),
    /// After a failure: this long.
    Pause(Duration),
}

/// What happened, for whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Trace {
    /// A connection changed its state; per serial, each `from` is the `to` before.
    Transition {
        /// The connection.
        conn: Serial,
        /// Before.
        from: State,
        /// After.
        to: State,
    },
    /// A peer's use of a connection changed; `None` is not tracked.
    Remote {
        /// The connection.
        conn: Serial,
        /// Before.
        from: Option<Heat>,
        /// After.
        to: Option<Heat>,
    },
    /// Connections were reset to keep the limit.
    Pruned {
        /// Those.
        victims: Vec<Serial>,
        /// How many there were to choose from.
        candidates: u32,
    },
    /// Accepting waits.
    Waiting {
        /// The listening socket.
        listener: ListenerId,
        /// Inbound connections.
        inbound: u32,
        /// Why and how long.
        wait: Wait,
    },
    /// Accepting goes on after the hard limit.
    Resumed {
        /// The listening socket.
        listener: ListenerId,
        /// Inbound connections.
        inbound: u32,
    },
    /// An accepted connection was reset without a word.
    Refused {
        /// Its other end.
        remote: SocketAddr,
        /// Why.
        refusal: Refusal,
    },
    /// Duplex peers became mature.
    Matured {
        /// How many.
        count: u32,
    },
    /// A connection was accepted whose addresses a live one has: that one was dead.
    Replaced {
        /// The old one.
        conn: Serial,
    },
}
