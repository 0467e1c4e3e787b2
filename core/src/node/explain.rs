//! Why a peer and its connections are as they are, as data and in words.

use alloc::vec::Vec;
use core::{fmt, net::SocketAddr};

use crate::{base::Instant, manager, peer_actions};

/// How a peer stands that is kept by command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Kept {
    /// Cold; tried again then.
    Waiting {
        /// When.
        until: Instant,
        /// Failures in a row.
        failures: u32,
    },
    /// Being established, established, or on its way to cold.
    Tried {
        /// Failures in a row before this.
        failures: u32,
    },
}

impl Kept {
    /// Failures in a row.
    pub const fn failures(self) -> u32 {
        match self {
            Self::Waiting { failures, .. } | Self::Tried { failures } => failures,
        }
    }
}

/// All that a node knows of one peer's state: why, until when, and what would change it.
///
/// Shown as one line for the peer and one for each connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Explanation {
    /// The peer.
    pub remote: SocketAddr,
    /// How it stands if it is kept by command.
    pub kept: Option<Kept>,
    /// What we do towards it; `None` while it is cold.
    pub peer: Option<peer_actions::Peer>,
    /// Its connections, in the order of their serials.
    pub conns: Vec<manager::Explanation>,
}

impl Explanation {
    pub(super) const fn new(remote: SocketAddr) -> Self {
        Self {
            remote,
            kept: None,
            peer: None,
            conns: Vec::new(),
        }
    }

    /// Whether nothing is known.
    pub const fn is_empty(&self) -> bool {
        self.kept.is_none() && self.peer.is_none() && self.conns.is_empty()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer {}", self.remote)?;
        if self.kept.is_some() {
            f.write_str(", kept")?;
        }
        f.write_str(": ")?;
        match (&self.peer, self.kept) {
            (Some(peer), _) => write!(f, "{peer}")?,
            (None, Some(Kept::Waiting { until, failures })) => {
                write!(f, "cold; tried again at {until}, failures {failures}")?;
            }
            (None, _) if self.is_empty() => f.write_str("unknown")?,
            (None, _) => f.write_str("cold: we do not use it")?,
        }
        for conn in &self.conns {
            write!(f, "\n  {conn}")?;
        }
        Ok(())
    }
}
