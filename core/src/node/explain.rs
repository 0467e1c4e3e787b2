//! Why a peer and its connections are as they are, as data and in words.

use alloc::vec::Vec;
use core::{fmt, net::SocketAddr};

use crate::{base::GroupId, governor, manager, peer_actions};

/// All that a node knows of one peer's state: why, until when, and what would change it.
///
/// Shown as one line for the peer and one for each connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Explanation {
    /// The peer.
    pub remote: SocketAddr,
    /// Why it is as it is, if the selection of peers knows it.
    pub selected: Option<governor::Explanation>,
    /// What we do towards it; `None` while it is cold.
    pub peer: Option<peer_actions::Peer>,
    /// Its connections, in the order of their serials.
    pub conns: Vec<manager::Explanation>,
}

/// What a node knows of one group of structured gossip.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GroupLook {
    /// Which.
    pub group: GroupId,
    /// The epoch of its newest view.
    pub epoch: u64,
    /// How many are in it.
    pub members: u32,
    /// Whether this node is.
    pub is_member: bool,
    /// Members that can be reached now.
    pub linked: u32,
    /// Members that the group wants connections to.
    pub wanted: u32,
    /// Messages of it that are held.
    pub held: u32,
}

impl Explanation {
    pub(super) const fn new(remote: SocketAddr) -> Self {
        Self {
            remote,
            selected: None,
            peer: None,
            conns: Vec::new(),
        }
    }

    /// Whether nothing is known.
    pub const fn is_empty(&self) -> bool {
        self.selected.is_none() && self.peer.is_none() && self.conns.is_empty()
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "peer {}: ", self.remote)?;
        match (&self.selected, &self.peer) {
            (Some(selected), Some(peer)) => write!(f, "{selected}; {peer}")?,
            (Some(selected), None) => write!(f, "{selected}")?,
            (None, Some(peer)) => write!(f, "{peer}")?,
            (None, None) if self.is_empty() => f.write_str("unknown")?,
            (None, None) => f.write_str("cold: we do not use it")?,
        }
        for conn in &self.conns {
            write!(f, "\n  {conn}")?;
        }
        Ok(())
    }
}
