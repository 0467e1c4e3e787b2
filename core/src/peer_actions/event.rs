//! What the machine can be told, what it asks for, and what it tells.

use core::{net::SocketAddr, time::Duration};

use crate::{
    base::{ProtocolId, Request, Serial},
    conn::{Fault, Temperature},
    manager::{Acquired, NotAcquired, Via},
    proto::handshake::{Agreed, Mode},
};

/// Settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Config {
    /// Peers that are not cold, at most, inclusive. Default 4,096. Guess, not measured; as many
    /// as the table of connections holds.
    pub peers_max: usize,
    /// How long hot halves get to end. Default 300 s.
    /// src: ouroboros-network, peer state actions, deactivate timeout
    pub deactivate: Duration,
    /// How long all halves get to end. Default 120 s.
    /// src: ouroboros-network, peer state actions, close connection timeout
    pub close: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            peers_max: 4_096,
            deactivate: Duration::from_secs(300),
            close: Duration::from_secs(120),
        }
    }
}

/// All that the machine can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// From above: get a connection and make the peer warm. Nothing while the peer is anything
    /// but cold.
    Establish {
        /// The peer.
        peer: SocketAddr,
        /// What a new connection offers.
        mode: Mode,
        /// Whether to dial.
        via: Via,
    },
    /// From above: make a warm peer hot. Nothing in any other state.
    Activate {
        /// The peer.
        peer: SocketAddr,
    },
    /// From above: make a hot peer warm. Nothing in any other state.
    Deactivate {
        /// The peer.
        peer: SocketAddr,
    },
    /// From above: make the peer cold, whatever it is.
    Close {
        /// The peer.
        peer: SocketAddr,
    },
    /// The table's answer.
    Acquired {
        /// As in [`Action::Acquire`].
        request: Request,
        /// A connection, or why not.
        outcome: Result<Acquired, NotAcquired>,
    },
    /// An initiator half began to run.
    Started {
        /// The connection.
        conn: Serial,
        /// The mini-protocol.
        protocol: ProtocolId,
    },
    /// An initiator half ended cleanly.
    Stopped {
        /// The connection.
        conn: Serial,
        /// The mini-protocol.
        protocol: ProtocolId,
    },
    /// The table: we hold this connection no longer.
    Demoted {
        /// The connection.
        conn: Serial,
    },
    /// The connection is over.
    Ended {
        /// The connection.
        conn: Serial,
        /// Why.
        fault: Fault,
    },
    /// Time has passed.
    Tick,
}

/// All that the machine asks for, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Action {
    /// Of the table: a connection to this peer; answered by [`Event::Acquired`] exactly once.
    Acquire {
        /// Its name; never used twice.
        request: Request,
        /// The peer.
        remote: SocketAddr,
        /// What a new connection offers.
        mode: Mode,
        /// Whether to dial.
        via: Via,
    },
    /// Of the table: no longer. The answer still comes.
    Cancel(Request),
    /// Of the table: we use this connection no more; answered by [`Event::Demoted`].
    Release(Serial),
    /// Of the connection: run the initiator halves of a bundle.
    Start(Serial, Temperature),
    /// Of the connection: end the initiator halves of a bundle.
    Stop(Serial, Temperature),
    /// Of the connection: reset it at once for this reason; `Demoted` follows.
    Reset(Serial, Fault),
    /// Something happened.
    Fact(Fact),
}

/// What the machine tells whoever selects peers. For one peer the facts are
/// `NotEstablished | Established (Activated? Deactivated)* Activated? Cooling Cold`, over and over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Fact {
    /// The peer is warm.
    Established {
        /// The peer.
        peer: SocketAddr,
        /// The connection.
        conn: Serial,
        /// What was agreed on it.
        agreed: Agreed,
        /// Whether it was there before.
        reused: bool,
    },
    /// The peer is cold and may be established again.
    NotEstablished {
        /// The peer.
        peer: SocketAddr,
        /// Why.
        why: NotAcquired,
    },
    /// The peer is hot: at least one hot half runs.
    Activated {
        /// The peer.
        peer: SocketAddr,
    },
    /// The peer is warm again: no hot half runs. By order, or because one ended by itself.
    Deactivated {
        /// The peer.
        peer: SocketAddr,
    },
    /// The peer is on its way to cold: it is neither warm nor hot any more, and not yet to be
    /// established again.
    Cooling {
        /// The peer.
        peer: SocketAddr,
        /// Why its connection ended; `None` while it ends in order.
        fault: Option<Fault>,
    },
    /// The peer is cold and may be established again.
    Cold {
        /// The peer.
        peer: SocketAddr,
        /// Why its connection ended; `None` when it was released in order.
        fault: Option<Fault>,
    },
}

impl Fact {
    /// The peer it is about.
    pub const fn peer(&self) -> SocketAddr {
        match self {
            Self::Established { peer, .. }
            | Self::NotEstablished { peer, .. }
            | Self::Activated { peer }
            | Self::Deactivated { peer }
            | Self::Cooling { peer, .. }
            | Self::Cold { peer, .. } => *peer,
        }
    }
}
