//! The peers that are kept by command, and when each is dialled again.

use alloc::collections::{BTreeMap, BTreeSet};
use core::{net::SocketAddr, time::Duration};

use super::{Action, Config};
use crate::{
    base::{Cx, Instant, Serial, Site},
    conn::Fault,
};

/// Peers by address, each waiting, dialling or up.
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Peer {
    state: State,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    Waiting(Instant),
    Dialling(Serial),
    Up(Serial),
}

impl Peers {
    pub(super) const fn new(config: &Config) -> Self {
        Self {
            all: BTreeMap::new(),
            waiting: BTreeSet::new(),
            max: config.peers_max,
            redial_min: config.redial_min,
            redial_max: config.redial_max,
        }
    }

    /// Keeps a peer from now on; `false` when there is no room.
    pub(super) fn add(&mut self, now: Instant, remote: SocketAddr) -> bool {
        if self.all.contains_key(&remote) {
            return true;
        }
        if self.all.len() >= self.max {
            return false;
        }
        self.all.insert(
            remote,
            Peer {
                state: State::Waiting(now),
                failures: 0,
            },
        );
        self.waiting.insert((now, remote));
        true
    }

    /// Keeps a peer no longer; its connection, if any, comes back.
    pub(super) fn remove(&mut self, remote: SocketAddr) -> Option<Serial> {
        match self.all.remove(&remote)?.state {
            State::Waiting(at) => {
                self.waiting.remove(&(at, remote));
                None
            }
            State::Dialling(conn) | State::Up(conn) => Some(conn),
        }
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
        self.waiting.clear();
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Takes one peer whose time has come.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<SocketAddr> {
        let (at, remote) = *self.waiting.first()?;
        if at > now {
            return None;
        }
        self.waiting.remove(&(at, remote));
        Some(remote)
    }

    /// Those still due wait a second longer: there is no room for a connection.
    pub(super) fn postpone(&mut self, now: Instant) {
        let later = now.after(Duration::from_secs(1));
        while let Some(remote) = self.pop_due(now) {
            self.wait(remote, later);
        }
    }

    fn wait(&mut self, remote: SocketAddr, at: Instant) {
        if let Some(peer) = self.all.get_mut(&remote) {
            peer.state = State::Waiting(at);
            self.waiting.insert((at, remote));
        }
    }

    pub(super) fn dialling(&mut self, remote: SocketAddr, conn: Serial) {
        if let Some(peer) = self.all.get_mut(&remote) {
            peer.state = State::Dialling(conn);
        }
    }

    pub(super) fn up_now(&mut self, remote: SocketAddr, conn: Serial) {
        if let Some(peer) = self.all.get_mut(&remote) {
            peer.state = State::Up(conn);
            peer.failures = 0;
        }
    }

    /// A connection ended: if it was a kept peer's, the peer is dialled again after a delay that
    /// doubles with each failure, with up to a quarter more at random.
    pub(super) fn down(
        &mut self,
        cx: &mut Cx<'_, Action>,
        remote: SocketAddr,
        conn: Serial,
        _fault: Fault,
    ) {
        let Some(peer) = self.all.get_mut(&remote) else {
            return;
        };
        match peer.state {
            State::Dialling(own) | State::Up(own) if own == conn => {}
            State::Dialling(_) | State::Up(_) | State::Waiting(_) => return,
        }
        let doubled = self.redial_min.saturating_mul(1 << peer.failures.min(16));
        let base = doubled.min(self.redial_max);
        let quarter = u32::try_from(base.as_millis() / 4).unwrap_or(u32::MAX);
        let jitter = cx
            .choice
            .below(Site::REDIAL, conn.0, quarter.saturating_add(1));
        peer.failures = peer.failures.saturating_add(1);
        let at = cx
            .now
            .after(base.saturating_add(Duration::from_millis(u64::from(jitter))));
        self.wait(remote, at);
    }

    /// Addresses of peers that are up.
    pub(super) fn up(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.all
            .iter()
            .filter(|(_, p)| matches!(p.state, State::Up(_)))
            .map(|(addr, _)| *addr)
    }

    /// Connections of peers that are dialling or up.
    pub(super) fn conns(&self) -> impl Iterator<Item = Serial> + '_ {
        self.all.values().filter_map(|peer| match peer.state {
            State::Dialling(conn) | State::Up(conn) => Some(conn),
            State::Waiting(_) => None,
        })
    }
}
