//! All that the governor can be told, and all that it can ask for.

use alloc::{boxed::Box, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use super::{
    Answer, Counters, Insane, Ledger, NotFound, Question, Saved, Targets, Topology, Trace,
};
use crate::{
    base::{Class, Point, Serial, Slot, Ticket},
    proto::handshake::Mode,
};

/// Whether the node's chain is as young as it should be.
/// src: ouroboros-network, `LedgerStateJudgement`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Judgement {
    /// The tip is recent.
    YoungEnough,
    /// The node is catching up.
    #[default]
    TooOld,
}

/// How blocks are fetched. src: ouroboros-network, `FetchMode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum FetchMode {
    /// Near the tip: the sooner the better. Default.
    #[default]
    Deadline,
    /// Far behind it: the more the better.
    BulkSync,
}

/// How consensus protects itself while the chain is old; fixed for a process.
/// src: cardano-node configuration, `ConsensusMode`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum ConsensusMode {
    /// By trusted peers (bootstrap peers). Default.
    #[default]
    Praos,
    /// By many big ledger peers.
    Genesis,
}

/// Why a peer was lost or not reached, as far as the selection cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Failure {
    /// Whose fault it is.
    pub class: Class,
    /// The shortest time before another attempt that the reason asks for, such as that of a
    /// chain that ended; longer than the usual back-off or without effect.
    pub delay: Option<Duration>,
}

/// The peers of a snapshot file. src: cardano-node, `peerSnapshotFile`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Snapshot {
    /// Of which ledger state; the origin is never used. Old files do not name the block: then the
    /// hash is all zeros, and the point cannot be verified.
    pub point: Point,
    /// Whether it names the big pools only.
    pub big_only: bool,
    /// The pools.
    pub pools: Ledger,
}

/// The peers of the node's own ledger state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LedgerState {
    /// The slot of its tip; `None` at the origin.
    pub tip: Option<Slot>,
    /// The pools.
    pub pools: Ledger,
}

/// All that the governor can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Event {
    /// The operator: other targets, near the tip and (Genesis mode) while the chain is old.
    /// Insane ones are [refused](Notice::TargetsRefused) and change nothing.
    Targets {
        /// Near the tip, and always in Praos mode.
        deadline: Targets,
        /// In Genesis mode while the chain is old.
        sync: Targets,
    },
    /// The operator: other roots.
    Topology(Box<Topology>),
    /// The operator: another snapshot file, or none.
    Snapshot(Option<Box<Snapshot>>),
    /// The operator: always keep this peer hot. It is told a commanded peer and a local root.
    Keep(SocketAddr),
    /// The operator: no longer. What runs towards it is closed.
    Release(SocketAddr),
    /// Groups of structured gossip: the members that they want connections to, replacing what was
    /// said before. Local roots, own addresses and those beyond
    /// [`members_max`](super::Config::members_max) are left out.
    Members {
        /// To be kept hot.
        hot: Vec<SocketAddr>,
        /// To be kept warm; one that is in both is kept hot.
        warm: Vec<SocketAddr>,
    },
    /// What was known before a restart.
    Restore(Box<Saved>),
    /// The application: whether the chain is young.
    Judgement(Judgement),
    /// The application: how blocks are fetched.
    FetchMode(FetchMode),
    /// The application: the peers of its ledger state; answers [`Action::WantLedger`], and may
    /// come unasked.
    Ledger(Box<LedgerState>),
    /// The answer to [`Action::Resolve`], exactly one each.
    Resolved {
        /// As asked.
        ticket: Ticket,
        /// What the name stands for.
        answer: Result<Answer, NotFound>,
    },
    /// Peer actions: the peer is warm.
    Established {
        /// The peer.
        peer: SocketAddr,
        /// Whether both sides share peers.
        sharing: bool,
    },
    /// Peer actions: the peer is cold still.
    NotEstablished {
        /// The peer.
        peer: SocketAddr,
        /// Why.
        failure: Failure,
    },
    /// Peer actions: the peer is hot.
    Activated {
        /// The peer.
        peer: SocketAddr,
    },
    /// Peer actions: the peer is warm again, by order or because a hot protocol ended by itself.
    Deactivated {
        /// The peer.
        peer: SocketAddr,
        /// Not to be made hot again before this, if its protocol ended by itself.
        delay: Option<Duration>,
    },
    /// Peer actions: the peer is neither warm nor hot any more, and not cold yet.
    Cooling {
        /// The peer.
        peer: SocketAddr,
        /// Why, if its connection ended; `None` while it ends in order.
        failure: Option<Failure>,
    },
    /// Peer actions: the peer is cold and may be established again.
    Cold {
        /// The peer.
        peer: SocketAddr,
        /// Why, if its connection ended; `None` after release in order.
        failure: Option<Failure>,
    },
    /// The table of connections: all peers with a mature inbound duplex connection, and whether
    /// each shares peers. Replaces what was told before.
    Mature(Vec<(SocketAddr, bool)>),
    /// An address of our own.
    OwnAddress(SocketAddr),
    /// A peer answers [`Action::AskPeers`].
    Shared {
        /// The peer.
        peer: SocketAddr,
        /// What it told.
        peers: Vec<SocketAddr>,
    },
    /// A peer wants addresses; answered by [`Action::TellPeers`] at once.
    Asked {
        /// The connection on which it asks.
        conn: Serial,
        /// How many it wants.
        amount: u8,
    },
    /// A peer has announced a header, by chain-sync or in a tip sample.
    Announced {
        /// The peer.
        peer: SocketAddr,
        /// Of this slot.
        slot: Slot,
    },
    /// A peer has given us a block that we had asked it for.
    Fetched {
        /// The peer.
        peer: SocketAddr,
        /// Of this slot.
        slot: Slot,
        /// Its size.
        bytes: u32,
    },
    /// A keep-alive probe came back.
    RoundTrip {
        /// The peer.
        peer: SocketAddr,
        /// How long it took.
        took: Duration,
    },
    /// The node stops: nothing new is begun.
    Shutdown,
    /// Time has passed.
    Tick,
}

/// All that the governor asks for, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Action {
    /// Of the peer actions: make a cold peer warm; answered by `Established` or `NotEstablished`.
    Establish {
        /// The peer.
        peer: SocketAddr,
        /// What a new connection offers.
        mode: Mode,
        /// Whether to dial; `false` for one behind a firewall, which must have dialled us.
        dial: bool,
    },
    /// Of the peer actions: make a warm peer hot; answered by `Activated` or `Cooling`.
    Activate {
        /// The peer.
        peer: SocketAddr,
    },
    /// Of the peer actions: make a hot peer warm; answered by `Deactivated` or `Cooling`.
    Deactivate {
        /// The peer.
        peer: SocketAddr,
    },
    /// Of the peer actions: make the peer cold; `Cooling` (unless it is that) and `Cold` follow.
    Close {
        /// The peer.
        peer: SocketAddr,
    },
    /// Of the connection: ask this peer for addresses; answered by [`Event::Shared`], or not.
    AskPeers {
        /// The peer.
        peer: SocketAddr,
        /// How many.
        amount: u8,
    },
    /// Of the connection: tell these addresses.
    TellPeers {
        /// As asked.
        conn: Serial,
        /// At most as many as asked for.
        peers: Vec<SocketAddr>,
    },
    /// Of the connection: sample the tips of this warm peer, if it speaks our own protocols.
    Sample {
        /// The peer.
        peer: SocketAddr,
    },
    /// Of the driver: look a name up; answered by [`Event::Resolved`].
    Resolve {
        /// Its name from now on.
        ticket: Ticket,
        /// What to look up.
        question: Question,
    },
    /// Of the application: the peers of its ledger state, by [`Event::Ledger`]; it may stay silent.
    WantLedger,
    /// For whoever watches; may be ignored.
    Notice(Notice),
}

/// Whether all we are connected to is trusted; consensus needs it to call an old chain young.
/// src: ouroboros-network, `OutboundConnectionsState`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Trust {
    /// Connected to trusted peers only (Praos), or to enough big ledger peers (Genesis).
    Trusted,
    /// Anything else.
    #[default]
    Untrusted,
}

/// For whoever watches.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Notice {
    /// The state of our connections has changed.
    Trust(Trust),
    /// The numbers of peers have changed.
    Counters(Box<Counters>),
    /// What the governor did, and why; only with [`trace`](super::Config::trace) on.
    Trace(Trace),
    /// Targets were refused; the old ones hold.
    TargetsRefused(Insane),
    /// So many local roots do not fit into the target of known peers and are left out.
    RootsCut(usize),
    /// It is time to save what is known; see [`Governor::saved`](super::Governor::saved).
    SaveDue,
    /// Genesis mode: whether this point is on our chain should be checked; the snapshot names it.
    VerifySnapshot(Point),
    /// The node could not get rid of untrusted peers in time and should be restarted.
    /// src: ouroboros-network, bootstrap peers timeout
    Stuck,
}
