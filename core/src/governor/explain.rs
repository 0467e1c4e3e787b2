//! Why a peer is as it is, and what would change that.

use core::{net::SocketAddr, time::Duration};

use super::Score;
use crate::base::Instant;

/// Where a peer is known from; of several sources the first.
/// src: ouroboros-network, `PeerSource`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Source {
    /// A local root of the topology file, or kept by command.
    Local,
    /// A public root of the topology file.
    Config,
    /// A bootstrap peer.
    Bootstrap,
    /// Drawn from the ledger, all pools.
    Ledger,
    /// Drawn from the ledger, big pools.
    Big,
    /// Anything else: told by a peer, met on an inbound connection, a root of former times.
    NonRoot,
}

impl Source {
    /// All, in order of precedence.
    pub const ALL: [Self; 6] = [
        Self::Local,
        Self::Bootstrap,
        Self::Config,
        Self::Ledger,
        Self::Big,
        Self::NonRoot,
    ];
}

/// What goes on with a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Status {
    /// Cold, may be made warm.
    Cold,
    /// Cold, and left alone for a while after a failure.
    ColdWaiting,
    /// Cold, and being made warm.
    Connecting,
    /// Warm, may be made hot.
    Warm,
    /// Warm, and left alone for a while because its hot protocol ended.
    WarmWaiting,
    /// Warm, and being made hot.
    Activating,
    /// Warm, and being made cold.
    Closing,
    /// Hot.
    Hot,
    /// Hot, and being made warm.
    Deactivating,
    /// On its way to cold without our having asked for it.
    Cooling,
}

impl Status {
    /// All, from cold to hot and back.
    pub const ALL: [Self; 10] = [
        Self::Cold,
        Self::ColdWaiting,
        Self::Connecting,
        Self::Warm,
        Self::WarmWaiting,
        Self::Activating,
        Self::Closing,
        Self::Hot,
        Self::Deactivating,
        Self::Cooling,
    ];

    /// Whether the connection is up or on its way down.
    pub const fn is_established(self) -> bool {
        !matches!(self, Self::Cold | Self::ColdWaiting | Self::Connecting)
    }

    /// Whether the hot protocols run.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Hot | Self::Deactivating)
    }
}

/// What the governor does next with a peer, as far as can be told now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Next {
    /// It may be made warm again, from then on.
    Retry(Instant),
    /// It may be made hot again, from then on.
    Reactivate(Instant),
    /// It waits for a place among the established: so many are there, so many are wanted.
    EstablishedFull {
        /// Established of its kind, those being made warm included.
        have: u32,
        /// The target.
        want: u32,
    },
    /// It waits for a place among the hot.
    ActiveFull {
        /// Hot of its kind, those being made hot included.
        have: u32,
        /// The target.
        want: u32,
    },
    /// Too many of its network or operator are established.
    Diversity,
    /// Only trusted peers are used while the chain is old, and it is none.
    Untrusted,
    /// The peer actions have to finish what was begun.
    Answer,
    /// The next churn, when one of its kind may be replaced.
    Churn(Option<Instant>),
    /// The node stops.
    Nothing,
}

/// Why a peer is as it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts that do not depend on each other"
)]
pub struct Explanation {
    /// The peer.
    pub peer: SocketAddr,
    /// Where it is known from.
    pub source: Source,
    /// What goes on with it.
    pub status: Status,
    /// Since when.
    pub since: Instant,
    /// Its group of local roots, from 0; `None` for others and for those kept by command.
    pub group: Option<usize>,
    /// Whether it is kept by command.
    pub kept: bool,
    /// Who told us of it, if a peer did that we still know.
    pub told_by: Option<SocketAddr>,
    /// Failures that count.
    pub failures: u8,
    /// Whether we were connected to it, or it to us for long, at any time.
    pub reached: bool,
    /// Whether it was hot since it was last cold.
    pub tepid: bool,
    /// Whether it may be told to others.
    pub advertise: bool,
    /// Whether it shares peers; `None`: not known.
    pub sharing: Option<bool>,
    /// What it is worth by the board, in the mode of now.
    pub score: Score,
    /// Its round trip, smoothed.
    pub round_trip: Option<Duration>,
    /// Hops to the producers of blocks, estimated.
    pub hops: Option<u32>,
    /// What comes next.
    pub next: Next,
}
