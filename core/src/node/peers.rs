//! The peers that are kept by command, and when each is tried again.

use alloc::collections::{BTreeMap, BTreeSet};
use core::{net::SocketAddr, time::Duration};

use super::{Action, Config, Kept};
use crate::base::{Cx, Instant, Site};

/// Peers by address, each waiting for its time or in the hands of the peer actions.
///
/// Limits: `Config::peers_max`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Peers {
    all: BTreeMap<SocketAddr, Peer>,
    waiting: BTreeSet<(Instant, SocketAddr)>,
    max: usize,
    redial_min: Duration,
    redial_max: Duration,
    added: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Peer {
    kept: Kept,
    /// The instance of its draws.
    id: u64,
}

/// Draws for peers have instances apart from those for connections.
const IDS: u64 = 1 << 63;

impl Peers {
    pub(super) const fn new(config: &Config) -> Self {
        Self {
            all: BTreeMap::new(),
            waiting: BTreeSet::new(),
            max: config.peers_max,
            redial_min: config.redial_min,
            redial_max: config.redial_max,
            added: IDS,
        }
    }

    /// Keeps a peer from now on, to be tried now; `false` when there is no room.
    pub(super) fn add(&mut self, now: Instant, remote: SocketAddr) -> bool {
        if self.all.contains_key(&remote) {
            return true;
        }
        if self.all.len() >= self.max {
            return false;
        }
        let kept = Kept::Waiting {
            until: now,
            failures: 0,
        };
        let id = self.added;
        self.added = id.saturating_add(1);
        self.all.insert(remote, Peer { kept, id });
        self.waiting.insert((now, remote));
        true
    }

    /// Keeps a peer no longer; whether it was kept.
    pub(super) fn remove(&mut self, cx: &mut Cx<'_, Action>, remote: SocketAddr) -> bool {
        let Some(peer) = self.all.remove(&remote) else {
            return false;
        };
        cx.choice.retire(peer.id);
        if let Kept::Waiting { until, .. } = peer.kept {
            self.waiting.remove(&(until, remote));
        }
        true
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.waiting.clear();
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Takes one peer whose time has come: from now on the peer actions have it.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<SocketAddr> {
        let &(at, remote) = self.waiting.first()?;
        if at > now {
            return None;
        }
        self.tried(remote);
        Some(remote)
    }

    /// The peer actions have this peer.
    pub(super) fn tried(&mut self, remote: SocketAddr) {
        let Some(peer) = self.all.get_mut(&remote) else {
            return;
        };
        if let Kept::Waiting { until, failures } = peer.kept {
            self.waiting.remove(&(until, remote));
            peer.kept = Kept::Tried { failures };
        }
    }

    /// The peer is established: earlier failures count no more. Whether it is kept.
    pub(super) fn up(&mut self, remote: SocketAddr) -> bool {
        match self.all.get_mut(&remote) {
            Some(peer) => {
                peer.kept = Kept::Tried { failures: 0 };
                true
            }
            None => false,
        }
    }

    /// The peer is cold again: it is tried again after a delay that doubles with each failure,
    /// with up to a quarter more at random.
    pub(super) fn down(&mut self, cx: &mut Cx<'_, Action>, remote: SocketAddr) {
        let Some(peer) = self.all.get_mut(&remote) else {
            return;
        };
        let Kept::Tried { failures } = peer.kept else {
            return;
        };
        let doubled = self.redial_min.saturating_mul(1 << failures.min(16));
        let base = doubled.min(self.redial_max);
        let quarter = u32::try_from(base.as_millis() / 4).unwrap_or(u32::MAX);
        let below = quarter.saturating_add(1);
        let jitter = cx.choice.below(Site::REDIAL, peer.id, below);
        let span = base.saturating_add(Duration::from_millis(u64::from(jitter)));
        let until = cx.now.after(span);
        peer.kept = Kept::Waiting {
            until,
            failures: failures.saturating_add(1),
        };
        self.waiting.insert((until, remote));
    }

    /// One peer.
    pub(super) fn get(&self, remote: SocketAddr) -> Option<Kept> {
        self.all.get(&remote).map(|peer| peer.kept)
    }

    /// All of them, by address.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketAddr, Kept)> + '_ {
        self.all.iter().map(|(addr, peer)| (*addr, peer.kept))
    }
}
