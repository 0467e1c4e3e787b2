//! What can be looked at, and what must always hold.

use alloc::{collections::BTreeMap, vec::Vec};
use core::net::SocketAddr;

use super::{
    super::{Config, Explanation, GroupLook},
    Engine, Timer,
};
use crate::{
    base::{Machine, MemberKey, Role, Serial, Violated, violated},
    chain::Chain,
    governor::{Governor, Status},
    manager::{Manager, State},
    peer_actions::PeerActions,
    rain::Rain,
};

impl Engine {
    /// The chain, to look at.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// The table of connections, to look at.
    pub const fn manager(&self) -> &Manager {
        &self.manager
    }

    /// What is done to peers, to look at.
    pub const fn peer_actions(&self) -> &PeerActions {
        &self.peer_actions
    }

    /// The selection of peers, to look at.
    pub const fn governor(&self) -> &Governor {
        &self.governor
    }

    /// Structured gossip, to look at, if this node has a part in it.
    pub fn rain(&self) -> Option<&Rain> {
        self.gossip.as_ref().map(|gossip| gossip.rain())
    }

    /// The members whom groups of structured gossip want connections to, in order of keys, each
    /// with its connection when it can be reached.
    pub fn members_wanted(&self) -> Vec<(MemberKey, Option<Serial>)> {
        let gossip = self.gossip.as_ref();
        gossip.map_or_else(Vec::new, |gossip| gossip.members_wanted())
    }

    /// Each group of structured gossip that is known, in order.
    pub fn groups(&self) -> Vec<GroupLook> {
        let gossip = self.gossip.as_ref();
        gossip.map_or_else(Vec::new, |gossip| gossip.looks())
    }

    /// Live connections and dials under way: serial, other end, our role, whether connected.
    pub fn conns(&self) -> impl Iterator<Item = (Serial, SocketAddr, Role, bool)> {
        self.conns
            .iter()
            .map(|(id, e)| (*id, e.remote, e.role, e.conn.is_some()))
    }

    /// Events that came for connections, requests or peers that were gone.
    pub const fn stale(&self) -> u64 {
        self.stale
            .saturating_add(self.manager.stale())
            .saturating_add(self.peer_actions.stale())
    }

    /// Why one peer and its connections are as they are, which timers run, and what would change
    /// that; [empty](Explanation::is_empty) when it is unknown.
    pub fn explain(&self, remote: SocketAddr) -> Explanation {
        Explanation {
            selected: self.governor.explain(&remote),
            peer: self.peer_actions.get(&remote).cloned(),
            conns: self.manager.explain(remote),
            ..Explanation::new(remote)
        }
    }

    /// The same for every peer that is known, used or connected, by address.
    pub fn explain_all(&self) -> Vec<Explanation> {
        let mut all = BTreeMap::new();
        for selected in self.governor.explain_all() {
            let remote = selected.peer;
            let at = all
                .entry(remote)
                .or_insert_with(|| Explanation::new(remote));
            at.selected = Some(selected);
        }
        for (remote, peer) in self.peer_actions.iter() {
            let at = all
                .entry(remote)
                .or_insert_with(|| Explanation::new(remote));
            at.peer = Some(peer.clone());
        }
        for conn in self.manager.explain_all() {
            let remote = conn.remote;
            let at = all
                .entry(remote)
                .or_insert_with(|| Explanation::new(remote));
            at.conns.push(conn);
        }
        all.into_values().collect()
    }

    pub(super) fn invariants(&self) -> Result<(), Violated> {
        let name = "engine";
        self.conns.check_invariants()?;
        self.deadlines.check_invariants()?;
        self.manager.check_invariants()?;
        self.peer_actions.check_invariants()?;
        self.governor.check_invariants()?;
        if let Some(rain) = self.rain() {
            rain.check_invariants()?;
        }
        let text = "the governor and the peer actions know the same peers to be used";
        for (remote, _) in self.peer_actions.iter() {
            let selected = self.governor.status(&remote);
            let fits = selected.map_or_else(
                || self.governor.is_gone(&remote),
                |(_, status)| !matches!(status, Status::Cold | Status::ColdWaiting),
            );
            violated(fits, name, 2, text)?;
        }
        let used = self.governor.used();
        violated(used == self.peer_actions.len(), name, 2, text)?;
        let known = |(conn, _): (&Serial, _)| {
            !matches!(
                self.manager.state(*conn),
                State::Unknown | State::Terminated
            )
        };
        let text = "a connection is in the table";
        violated(self.conns.iter().all(known), name, 3, text)?;
        let here = |(conn, state): (Serial, State)| {
            state == State::Terminating || self.conns.contains(&conn)
        };
        let text = "a live entry of the table has its connection or dial";
        violated(self.manager.conns().all(here), name, 3, text)?;
        let text = "the deadline of a part is its own";
        for (serial, entry) in self.conns.iter() {
            if let Some(conn) = &entry.conn {
                conn.check_invariants()?;
                let due = self.deadlines.of(&Timer::Conn(*serial)) == conn.next_deadline();
                violated(due, name, 1, text)?;
            }
        }
        for (timer, at) in self.own_deadlines() {
            violated(self.deadlines.of(&timer) == at, name, 1, text)?;
        }
        self.chain.check_invariants()
    }
}
