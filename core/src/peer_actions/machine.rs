//! The machine.

use alloc::collections::BTreeMap;
use core::net::SocketAddr;

use super::{Action, Config, Event, Fact, Peer, Stage};
use crate::{
    base::{
        Cx, Deadlines, Instant, Machine, ProtocolId, Request, Serial, Supply, Violated, violated,
    },
    conn::{self, Fault, Temperature, temperature},
    manager::{Acquired, NotAcquired, Via},
    proto::handshake::Mode,
};

/// All peers that are not cold. See the [module](super).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PeerActions {
    config: Config,
    requests: Supply<Request>,
    peers: BTreeMap<SocketAddr, Peer>,
    by_request: BTreeMap<Request, SocketAddr>,
    by_conn: BTreeMap<Serial, SocketAddr>,
    deadlines: Deadlines<SocketAddr>,
    pub(super) stale: u64,
}

impl PeerActions {
    /// All peers are cold.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            requests: Supply::default(),
            peers: BTreeMap::new(),
            by_request: BTreeMap::new(),
            by_conn: BTreeMap::new(),
            deadlines: Deadlines::new(),
            stale: 0,
        }
    }

    /// One peer; `None` when it is cold.
    pub fn get(&self, peer: &SocketAddr) -> Option<&Peer> {
        self.peers.get(peer)
    }

    /// All peers that are not cold, by address.
    pub fn iter(&self) -> impl Iterator<Item = (SocketAddr, &Peer)> {
        self.peers.iter().map(|(addr, peer)| (*addr, peer))
    }

    /// The peer that holds a connection.
    pub fn holder(&self, conn: Serial) -> Option<SocketAddr> {
        self.by_conn.get(&conn).copied()
    }

    /// Peers that are not cold.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether every peer is cold.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Events for connections and requests that were no more, and orders that did not fit.
    pub const fn stale(&self) -> u64 {
        self.stale
    }

    const fn count_stale(&mut self) {
        self.stale = self.stale.saturating_add(1);
    }

    fn establish(&mut self, cx: &mut Cx<'_, Action>, remote: SocketAddr, mode: Mode, via: Via) {
        if self.peers.contains_key(&remote) {
            return self.count_stale();
        }
        if self.peers.len() >= self.config.peers_max {
            let why = NotAcquired::Full;
            return cx.act(Action::Fact(Fact::NotEstablished { peer: remote, why }));
        }
        let request = self.requests.take();
        self.peers.insert(remote, Peer::acquiring(request));
        self.by_request.insert(request, remote);
        cx.act(Action::Acquire {
            request,
            remote,
            mode,
            via,
        });
    }

    fn activate(&mut self, cx: &mut Cx<'_, Action>, addr: SocketAddr) {
        let Some(peer) = self.peers.get_mut(&addr) else {
            return self.count_stale();
        };
        let (Stage::Warm, Some(conn)) = (peer.stage, peer.conn) else {
            return self.count_stale();
        };
        peer.ordered(Temperature::Hot);
        if peer.has_hot() {
            peer.stage = Stage::Activating;
            cx.act(Action::Start(conn, Temperature::Hot));
        }
    }

    fn deactivate(&mut self, cx: &mut Cx<'_, Action>, addr: SocketAddr) {
        match self.peers.get(&addr).map(Peer::stage) {
            Some(Stage::Activating | Stage::Hot) => self.cool_hot(cx, addr),
            // It ended by itself, or was asked for before.
            Some(Stage::Deactivating { .. }) => {}
            Some(
                Stage::Acquiring(_)
                | Stage::Withdrawing
                | Stage::Warm
                | Stage::Closing { .. }
                | Stage::Cooling,
            )
            | None => self.count_stale(),
        }
    }

    /// Stops what is hot and waits for it.
    fn cool_hot(&mut self, cx: &mut Cx<'_, Action>, addr: SocketAddr) {
        let Some(peer) = self.peers.get_mut(&addr) else {
            return;
        };
        let Some(conn) = peer.conn else { return };
        if peer.has_hot() {
            let until = cx.now.after(self.config.deactivate);
            peer.stage = Stage::Deactivating { until };
            self.deadlines.set(addr, Some(until));
            cx.act(Action::Stop(conn, Temperature::Hot));
        } else {
            peer.stage = Stage::Warm;
            self.deadlines.set(addr, None);
            cx.act(Action::Fact(Fact::Deactivated { peer: addr }));
        }
    }

    fn close(&mut self, cx: &mut Cx<'_, Action>, addr: SocketAddr) {
        let Some(peer) = self.peers.get_mut(&addr) else {
            return self.count_stale();
        };
        match (peer.stage, peer.conn) {
            (Stage::Acquiring(request), _) => {
                peer.stage = Stage::Withdrawing;
                cx.act(Action::Cancel(request));
            }
            (
                Stage::Warm | Stage::Activating | Stage::Hot | Stage::Deactivating { .. },
                Some(conn),
            ) => {
                let until = cx.now.after(self.config.close);
                peer.stage = Stage::Closing { until };
                self.deadlines.set(addr, Some(until));
                cx.act(Action::Fact(Fact::Cooling {
                    peer: addr,
                    fault: None,
                }));
                for bundle in [
                    Temperature::Hot,
                    Temperature::Warm,
                    Temperature::Established,
                ] {
                    cx.act(Action::Stop(conn, bundle));
                }
                self.release_if_quiet(cx, addr);
            }
            // Under way already.
            _ => {}
        }
    }

    /// Gives the connection of a closing peer back when nothing of ours runs on it any more.
    fn release_if_quiet(&mut self, cx: &mut Cx<'_, Action>, addr: SocketAddr) {
        let Some(peer) = self.peers.get_mut(&addr) else {
            return;
        };
        let Some(conn) = peer.conn else { return };
        if peer.halves.is_empty() {
            peer.stage = Stage::Cooling;
            self.deadlines.set(addr, None);
            cx.act(Action::Release(conn));
        }
    }

    fn acquired(
        &mut self,
        cx: &mut Cx<'_, Action>,
        request: Request,
        outcome: Result<Acquired, NotAcquired>,
    ) {
        let Some(addr) = self.by_request.remove(&request) else {
            return self.count_stale();
        };
        let Some(peer) = self.peers.get_mut(&addr) else {
            return;
        };
        peer.request = None;
        let outcome = match outcome {
            // No table gives one connection to two peers.
            Ok(got) if self.by_conn.contains_key(&got.conn) => {
                self.stale = self.stale.saturating_add(1);
                Err(NotAcquired::Exists)
            }
            other => other,
        };
        let Acquired {
            conn,
            agreed,
            reused,
        } = match outcome {
            Ok(got) => got,
            Err(why) => {
                self.peers.remove(&addr);
                return cx.act(Action::Fact(Fact::NotEstablished { peer: addr, why }));
            }
        };
        peer.conn = Some(conn);
        self.by_conn.insert(conn, addr);
        if peer.stage == Stage::Withdrawing {
            return cx.act(Action::Release(conn));
        }
        peer.stage = Stage::Warm;
        peer.agreed = conn::protocols(&agreed).collect();
        cx.act(Action::Fact(Fact::Established {
            peer: addr,
            conn,
            agreed,
            reused,
        }));
        for bundle in [Temperature::Established, Temperature::Warm] {
            peer.ordered(bundle);
            cx.act(Action::Start(conn, bundle));
        }
    }

    fn started(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, protocol: ProtocolId) {
        let Some(addr) = self.holder(conn) else {
            return self.count_stale();
        };
        let Some(peer) = self.peers.get_mut(&addr) else {
            return;
        };
        if !peer.started(protocol) {
            return self.count_stale();
        }
        let hot = temperature(protocol) == Temperature::Hot;
        if hot && peer.stage == Stage::Activating {
            peer.stage = Stage::Hot;
            cx.act(Action::Fact(Fact::Activated { peer: addr }));
        }
    }

    fn stopped(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, protocol: ProtocolId) {
        let Some(addr) = self.holder(conn) else {
            return self.count_stale();
        };
        let Some(peer) = self.peers.get_mut(&addr) else {
            return;
        };
        if !peer.stopped(protocol) {
            return self.count_stale();
        }
        let hot = temperature(protocol) == Temperature::Hot;
        match peer.stage {
            Stage::Closing { .. } => self.release_if_quiet(cx, addr),
            Stage::Warm | Stage::Activating | Stage::Hot | Stage::Deactivating { .. } if !hot => {
                self.close(cx, addr);
            }
            Stage::Activating | Stage::Hot => self.cool_hot(cx, addr),
            Stage::Deactivating { .. } if !peer.has_hot() => self.cool_hot(cx, addr),
            Stage::Acquiring(_)
            | Stage::Withdrawing
            | Stage::Warm
            | Stage::Deactivating { .. }
            | Stage::Cooling => {}
        }
    }

    /// The connection serves us no more: from now on only its demotion is waited for.
    fn over(&mut self, cx: &mut Cx<'_, Action>, addr: SocketAddr, fault: Option<Fault>) {
        let Some(peer) = self.peers.get_mut(&addr) else {
            return;
        };
        peer.halves.clear();
        // How a connection ends that we have released is no failure of ours.
        if peer.stage != Stage::Cooling {
            peer.fault = fault;
        }
        self.deadlines.set(addr, None);
        if peer.stage.is_established() {
            cx.act(Action::Fact(Fact::Cooling { peer: addr, fault }));
        }
        if peer.stage != Stage::Withdrawing {
            peer.stage = Stage::Cooling;
        }
    }

    fn demoted(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        let Some(addr) = self.holder(conn) else {
            return self.count_stale();
        };
        self.over(cx, addr, None);
        self.by_conn.remove(&conn);
        let Some(peer) = self.peers.remove(&addr) else {
            return;
        };
        let why = NotAcquired::Cancelled;
        cx.act(Action::Fact(match peer.stage {
            Stage::Withdrawing => Fact::NotEstablished { peer: addr, why },
            _ => Fact::Cold {
                peer: addr,
                fault: peer.fault,
            },
        }));
    }

    fn tick(&mut self, cx: &mut Cx<'_, Action>) {
        while let Some(addr) = self.deadlines.pop_due(cx.now) {
            let Some(conn) = self.peers.get(&addr).and_then(Peer::conn) else {
                continue;
            };
            cx.act(Action::Reset(conn, Fault::Unfinished));
            self.over(cx, addr, Some(Fault::Unfinished));
        }
    }

    fn check_peer(&self, addr: SocketAddr, peer: &Peer) -> Result<(), Violated> {
        let name = "peer actions";
        let waits = match peer.stage {
            Stage::Acquiring(request) => peer.request == Some(request) && peer.conn.is_none(),
            Stage::Withdrawing => peer.request.is_some() != peer.conn.is_some(),
            _ => peer.request.is_none(),
        };
        let named = peer
            .request
            .is_none_or(|request| self.by_request.get(&request) == Some(&addr));
        let text = "a request names the peer that waits for it";
        violated(waits && named, name, 1, text)?;
        let holds = peer.conn.is_some() != peer.request.is_some();
        let named = peer
            .conn
            .is_none_or(|conn| self.by_conn.get(&conn) == Some(&addr));
        let text = "a connection names the peer that holds it";
        violated(holds && named, name, 2, text)?;
        let due = self.deadlines.of(&addr) == peer.stage.until();
        let text = "deactivating and closing have a deadline";
        violated(due, name, 3, text)?;
        let (any, hot) = (!peer.halves.is_empty(), peer.has_hot());
        let running = |half: &super::peer::Half| {
            half.started && temperature(half.protocol) == Temperature::Hot
        };
        let fits = match peer.stage {
            Stage::Acquiring(_) | Stage::Withdrawing | Stage::Cooling => !any,
            Stage::Warm => !hot,
            Stage::Activating | Stage::Deactivating { .. } => hot,
            Stage::Hot => peer.halves.iter().any(running),
            Stage::Closing { .. } => any,
        };
        let text = "halves run as the state says";
        violated(fits, name, 4, text)
    }
}

impl Machine for PeerActions {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        match event {
            Event::Establish { peer, mode, via } => self.establish(cx, peer, mode, via),
            Event::Activate { peer } => self.activate(cx, peer),
            Event::Deactivate { peer } => self.deactivate(cx, peer),
            Event::Close { peer } => self.close(cx, peer),
            Event::Acquired { request, outcome } => self.acquired(cx, request, outcome),
            Event::Started { conn, protocol } => self.started(cx, conn, protocol),
            Event::Stopped { conn, protocol } => self.stopped(cx, conn, protocol),
            Event::Demoted { conn } => self.demoted(cx, conn),
            Event::Ended { conn, fault } => match self.holder(conn) {
                Some(addr) => self.over(cx, addr, Some(fault)),
                None => self.count_stale(),
            },
            Event::Tick => self.tick(cx),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        let name = "peer actions";
        let few = self.peers.len() <= self.config.peers_max;
        violated(few, name, 5, "never more peers than the limit")?;
        let indexed = self.by_request.len() + self.by_conn.len() == self.peers.len();
        violated(indexed, name, 2, "each peer waits or holds")?;
        for (addr, peer) in &self.peers {
            self.check_peer(*addr, peer)?;
        }
        let timed = self.peers.values().filter(|p| p.stage.until().is_some());
        let timed = timed.count() == self.deadlines.len();
        violated(timed, name, 3, "no deadline of a peer that waits for none")?;
        self.deadlines.check_invariants()
    }
}
