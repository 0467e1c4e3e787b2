//! Why a peer is as it is, and what would change that.

use core::{fmt, net::SocketAddr, time::Duration};

use super::{Score, Traits};
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
    /// A member of a group of structured gossip that wants a connection to it.
    Member,
}

impl Source {
    /// All, in order of precedence, but that a bootstrap peer is never taken for a public root, and
    /// that a member is taken for nothing else but a local root.
    pub const ALL: [Self; 7] = [
        Self::Local,
        Self::Config,
        Self::Bootstrap,
        Self::Ledger,
        Self::Big,
        Self::NonRoot,
        Self::Member,
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
    /// It stays as it is: its group of local roots wants it, or a group of structured gossip.
    Stays,
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
    /// Members of that group that must be hot, and those that must be warm or hot.
    pub valencies: Option<(u32, u32)>,
    /// What the operator says of it, if it is a local root and not kept by command.
    pub traits: Option<Traits>,
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

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local root",
            Self::Config => "public root",
            Self::Bootstrap => "bootstrap peer",
            Self::Ledger => "ledger peer",
            Self::Big => "big ledger peer",
            Self::NonRoot => "shared or inbound",
            Self::Member => "member of a group",
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cold => "cold",
            Self::ColdWaiting => "cold, waiting",
            Self::Connecting => "cold, being made warm",
            Self::Warm => "warm",
            Self::WarmWaiting => "warm, waiting",
            Self::Activating => "warm, being made hot",
            Self::Closing => "warm, being made cold",
            Self::Hot => "hot",
            Self::Deactivating => "hot, being made warm",
            Self::Cooling => "cooling",
        })
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry(at) => write!(f, "may be tried again at {at}"),
            Self::Reactivate(at) => write!(f, "may be made hot again at {at}"),
            Self::EstablishedFull { have, want } => {
                write!(f, "waits for a connection: {have} of {want} are there")
            }
            Self::ActiveFull { have, want } => {
                write!(f, "waits to be used: {have} of {want} are")
            }
            Self::Diversity => f.write_str("too many of its network or operator are connected"),
            Self::Untrusted => f.write_str("only trusted peers are used while the chain is old"),
            Self::Answer => f.write_str("what was begun has to end"),
            Self::Churn(Some(at)) => write!(f, "may be replaced from {at} on"),
            Self::Churn(None) => f.write_str("may be replaced"),
            Self::Stays => f.write_str("stays"),
            Self::Nothing => f.write_str("the node stops"),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} since {}", self.source, self.status, self.since)?;
        if self.kept {
            f.write_str(", kept")?;
        }
        if let Some(group) = self.group {
            write!(f, ", group {group}")?;
        }
        if self.failures > 0 {
            write!(f, ", failures {}", self.failures)?;
        }
        write!(f, "; {}", self.next)
    }
}
