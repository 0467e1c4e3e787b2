//! Whole engines, joined without a network.

use alloc::{
    collections::{BTreeMap, VecDeque},
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::{net::SocketAddr, time::Duration};

use bytes::Bytes;

use super::super::{Action, Command, Config, Engine, Event, Explanation, Node, Notice};
use crate::{
    base::{
        GroupId, Hash32, HeaderFault, HeaderView, Instant, ListenerId, MemberKey, Point, Role,
        Rules, Serial, Signature, TxId,
    },
    conn::{Cause, Fault},
    governor::{Next, Status},
    manager::{Limits, State},
    peer_actions::{Fact, Stage},
    proto::handshake::Mode,
};

mod patience;

const LISTENER: ListenerId = ListenerId(1);

fn addr(at: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, u8::try_from(at).unwrap() + 1], 3001))
}

/// The last byte of a header is its height; every chain is the same.
struct Heights;

impl Rules for Heights {
    fn name(&self) -> &'static str {
        "heights"
    }

    fn header(&self, wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        let height = wrapped.last().copied().unwrap_or(0);
        let hash = |height| Hash32([height; 32]);
        Ok(HeaderView {
            point: Point::Block {
                slot: height.into(),
                hash: hash(height),
            },
            block_no: height.into(),
            prev: height.checked_sub(1).map(hash),
            boundary: false,
            body_bytes: 1,
        })
    }

    fn tx_id(&self, _wrapped: &[u8]) -> Option<TxId> {
        None
    }
}

/// The same for a member of groups, whose signatures anybody could make.
struct Keyed(usize);

fn member(at: usize) -> MemberKey {
    MemberKey([u8::try_from(at).unwrap() + 1; 32])
}

fn toy_hash(parts: &[&[u8]]) -> Hash32 {
    let mut hash = [7_u8; 32];
    for (at, byte) in parts.iter().copied().flatten().enumerate() {
        let mixed = hash[(at + 31) % 32].wrapping_mul(31).wrapping_add(*byte);
        hash[at % 32] = mixed ^ hash[at % 32].rotate_left(3);
    }
    Hash32(hash)
}

impl Rules for Keyed {
    fn name(&self) -> &str {
        Heights.name()
    }

    fn header(&self, wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        Heights.header(wrapped)
    }

    fn tx_id(&self, wrapped: &[u8]) -> Option<TxId> {
        Heights.tx_id(wrapped)
    }

    fn hash(&self, parts: &[&[u8]]) -> Hash32 {
        toy_hash(parts)
    }

    fn sign(&self, message: &[u8]) -> Option<Signature> {
        let hash = toy_hash(&[&member(self.0).0, message]);
        Some(Signature([hash.0, hash.0]))
    }

    fn verify(&self, member: &MemberKey, message: &[u8], signature: &Signature) -> bool {
        let hash = toy_hash(&[&member.0, message]);
        signature.0 == [hash.0, hash.0]
    }
}

/// One end of a connection: whose, under which name.
type End = (usize, Serial);

/// Engines whose sockets are joined in memory; what was sent arrives in order and at once.
struct Net {
    nodes: Vec<Node<Engine>>,
    now: Instant,
    ports: u16,
    /// Who accepts, and what waits for that.
    armed: Vec<bool>,
    backlog: Vec<VecDeque<(End, SocketAddr)>>,
    /// The dialled end of what was offered last.
    offered: Vec<Option<End>>,
    other: BTreeMap<End, End>,
    dials: Vec<(usize, SocketAddr, Option<SocketAddr>)>,
    due: VecDeque<(usize, Event)>,
    notices: Vec<(usize, Notice)>,
}

impl Net {
    fn new(configs: impl IntoIterator<Item = Config>) -> Self {
        let nodes: Vec<_> = (1..)
            .zip(configs)
            .map(|(seed, config)| Node::new(Engine::new(config), seed))
            .collect();
        let count = nodes.len();
        let mut net = Self {
            nodes,
            now: Instant::from_secs(1),
            ports: 50_000,
            armed: vec![false; count],
            backlog: vec![VecDeque::new(); count],
            offered: vec![None; count],
            other: BTreeMap::new(),
            dials: Vec::new(),
            due: VecDeque::new(),
            notices: Vec::new(),
        };
        for at in 0..count {
            let local = addr(at);
            net.feed(
                at,
                Event::Listening {
                    listener: LISTENER,
                    local,
                },
            );
        }
        net.run();
        net
    }

    fn pair() -> Self {
        Self::new([Config::new(42), Config::new(42)])
    }

    fn feed(&mut self, at: usize, event: Event) {
        for event in [event, Event::Turn] {
            let mut out = Vec::new();
            self.nodes[at].step(self.now, &Keyed(at), event, &mut out);
            self.nodes[at].check_invariants().unwrap();
            for action in out {
                self.carry_out(at, action);
            }
            self.offer(at);
        }
    }

    fn carry_out(&mut self, at: usize, action: Action) {
        match action {
            Action::AcceptOne { .. } => self.armed[at] = true,
            Action::Adopt { conn, .. } => {
                let dialled = self.offered[at].take().unwrap();
                self.other.insert(dialled, (at, conn));
                self.other.insert((at, conn), dialled);
            }
            Action::Reset { .. } => {
                let (whose, conn) = self.offered[at].take().unwrap();
                let cause = Cause::Reset;
                self.due.push_back((whose, Event::Closed { conn, cause }));
            }
            Action::Dial { conn, remote, bind } => self.dial(at, conn, remote, bind),
            Action::Write { conn, batch } => {
                let bytes = batch.iter().map(|piece| piece.len() as u64).sum();
                self.due.push_back((at, Event::Flushed { conn, bytes }));
                if let Some((whose, conn)) = self.other.get(&(at, conn)).copied() {
                    for bytes in batch {
                        self.due.push_back((whose, Event::Received { conn, bytes }));
                    }
                }
            }
            Action::Close { conn, reset } => {
                if let Some(end) = self.other.remove(&(at, conn)) {
                    self.other.remove(&end);
                    let cause = if reset { Cause::Reset } else { Cause::Eof };
                    let (whose, conn) = end;
                    self.due.push_back((whose, Event::Closed { conn, cause }));
                }
            }
            Action::Notify(notice) => self.notices.push((at, notice)),
            Action::Reading { .. } | Action::Ask { .. } | Action::Resolve { .. } => {}
        }
    }

    fn dial(&mut self, at: usize, conn: Serial, remote: SocketAddr, bind: Option<SocketAddr>) {
        self.dials.push((at, remote, bind));
        self.ports += 1;
        let local = bind.unwrap_or(SocketAddr::new(addr(at).ip(), self.ports));
        let Some(target) = (0..self.nodes.len()).find(|to| addr(*to) == remote) else {
            let cause = Cause::Refused;
            self.due
                .push_back((at, Event::ConnectFailed { conn, cause }));
            return;
        };
        self.backlog[target].push_back(((at, conn), local));
        self.due.push_back((at, Event::Connected { conn, local }));
        self.offer(target);
    }

    fn offer(&mut self, at: usize) {
        if self.armed[at]
            && let Some((dialled, remote)) = self.backlog[at].pop_front()
        {
            self.armed[at] = false;
            assert_eq!(self.offered[at], None);
            self.offered[at] = Some(dialled);
            let (listener, local) = (LISTENER, addr(at));
            self.due.push_front((
                at,
                Event::Offered {
                    listener,
                    local,
                    remote,
                },
            ));
        }
    }

    /// Until nothing is under way.
    fn run(&mut self) {
        for _ in 0..10_000 {
            // A dial is accepted before its end is told that it is connected.
            let Some((at, event)) = self.due.pop_front() else {
                return;
            };
            let gone = match &event {
                Event::Received { conn, .. } | Event::Flushed { conn, .. } => {
                    !self.other.contains_key(&(at, *conn))
                }
                _ => false,
            };
            if !gone {
                self.feed(at, event);
            }
        }
        panic!("no end of it");
    }

    fn command(&mut self, at: usize, command: Command) {
        self.feed(at, Event::Command(command));
        self.run();
    }

    fn add(&mut self, at: usize, peer: usize) {
        self.command(at, Command::AddPeer(addr(peer)));
    }

    /// Lets so much time pass.
    fn pass(&mut self, span: Duration) {
        let until = self.now.after(span);
        loop {
            let due = |(at, node): (usize, &Node<Engine>)| Some((node.next_deadline()?, at));
            let next = self.nodes.iter().enumerate().filter_map(due).min();
            match next.filter(|(due, _)| *due <= until) {
                Some((due, at)) => {
                    self.now = self.now.max(due);
                    self.feed(at, Event::Tick);
                    assert!(self.nodes[at].next_deadline().is_none_or(|d| d > self.now));
                    self.run();
                }
                None => break,
            }
        }
        self.now = until;
    }

    fn engine(&self, at: usize) -> &Engine {
        self.nodes[at].machine()
    }

    fn stage(&self, at: usize, peer: usize) -> Option<Stage> {
        let peer = self.engine(at).peer_actions().get(&addr(peer))?;
        Some(peer.stage())
    }

    /// The states of all connections of a node.
    fn states(&self, at: usize) -> Vec<State> {
        let conns = self.engine(at).manager().conns();
        conns.map(|(_, state)| state).collect()
    }

    fn downs(&self, at: usize) -> Vec<Fault> {
        let notices = self.notices.iter().filter(|(whose, _)| *whose == at);
        let downs = notices.filter_map(|(_, notice)| match notice {
            Notice::Down { fault, .. } => Some(*fault),
            _ => None,
        });
        downs.collect()
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_kept_peer_is_made_hot_over_one_connection_and_counted() {
    let mut net = Net::pair();
    net.add(0, 1);
    assert_eq!(net.stage(0, 1), Some(Stage::Hot));
    assert_eq!(net.states(0), [State::OutboundDupTicking]);
    assert_eq!(net.states(1), [State::InboundDup]);
    net.pass(SECOND * 6);
    assert_eq!(net.states(0), [State::OutboundDupExpired]);
    let last = net.notices.iter().rev().find_map(|(at, notice)| {
        let Notice::Connections(counters) = notice else {
            return None;
        };
        (*at == 1).then_some(*counters)
    });
    let counters = last.unwrap();
    assert_eq!((counters.inbound, counters.remote_hot), (1, 1));
    assert_eq!(counters, net.engine(1).manager().counters());
}

#[test]
fn a_peer_that_has_dialled_us_is_used_over_its_own_connection() {
    let mut net = Net::pair();
    net.add(0, 1);
    net.add(1, 0);
    assert_eq!(net.dials, [(0, addr(1), Some(addr(0)))]);
    assert_eq!(net.stage(1, 0), Some(Stage::Hot));
    assert_eq!(net.states(0), [State::Duplex]);
    assert_eq!(net.states(1), [State::Duplex]);
    let reused = net.notices.iter().any(|(at, notice)| {
        *at == 1 && matches!(notice, Notice::Peer(Fact::Established { reused: true, .. }))
    });
    assert!(reused);
}

#[test]
fn a_node_that_runs_no_responders_dials_from_anywhere_and_shares_no_addresses() {
    let mut alone = Config::new(42);
    alone.manager.mode = Mode::InitiatorOnly;
    let mut net = Net::new([alone, Config::new(42)]);
    net.add(0, 1);
    assert_eq!(net.dials, [(0, addr(1), None)]);
    assert_eq!(net.states(0), [State::OutboundUni]);
    assert_eq!(net.states(1), [State::InboundUni]);
    let agreed = net.notices.iter().find_map(|(_, notice)| match notice {
        Notice::Up { agreed, .. } => Some(agreed.data),
        _ => None,
    });
    let agreed = agreed.unwrap();
    assert_eq!(agreed.mode, Mode::InitiatorOnly);
    assert!(!agreed.peer_sharing);
}

#[test]
fn a_failed_dial_is_told_and_tried_again_later_and_later() {
    let mut net = Net::pair();
    net.add(0, 7);
    assert_eq!(net.downs(0), [Fault::Lost(Cause::Refused)]);
    let mut gaps = Vec::new();
    for failures in 1..10 {
        let selected = net.engine(0).explain(addr(7)).selected.unwrap();
        let Next::Retry(until) = selected.next else {
            panic!("{selected:?}");
        };
        assert!(selected.kept && selected.status == Status::ColdWaiting);
        assert_eq!(u32::from(selected.failures), failures);
        let wait = until.since(net.now);
        gaps.push(wait.as_secs());
        net.pass(wait);
        assert_eq!(net.dials.len(), usize::try_from(failures).unwrap() + 1);
    }
    assert!(gaps.is_sorted(), "{gaps:?}");
    assert!(gaps[0] >= 1 && gaps[8] >= 160 && gaps[8] <= 200, "{gaps:?}");
}

#[test]
fn a_lost_peer_is_cooling_until_the_table_lets_go_and_then_dialled_again() {
    let mut net = Net::pair();
    net.add(0, 1);
    let (conn, ..) = net.engine(0).conns().next().unwrap();
    let cause = Cause::Reset;
    net.feed(0, Event::Closed { conn, cause });
    assert_eq!(net.stage(0, 1), None);
    assert_eq!(net.downs(0), [Fault::Lost(cause)]);
    net.pass(SECOND * 2);
    assert_eq!(net.stage(0, 1), Some(Stage::Hot));
    assert_eq!(net.dials.len(), 2);
    let facts: Vec<_> = net
        .notices
        .iter()
        .filter_map(|(at, notice)| match notice {
            Notice::Peer(fact) if *at == 0 => Some(*fact),
            _ => None,
        })
        .collect();
    let peer = addr(1);
    let fault = Some(Fault::Lost(cause));
    assert_eq!(
        facts[1..4],
        [
            Fact::Activated { peer },
            Fact::Cooling { peer, fault },
            Fact::Cold { peer, fault }
        ]
    );
}

#[test]
fn a_removed_peer_is_stopped_and_what_does_not_stop_in_time_is_reset() {
    // Standard versions without peer-sharing: nothing that would start the peer's keep-alive
    // responder anew, which would end the connection sooner.
    let mut config = Config::new(42);
    config.own_versions = false;
    config.peer_sharing = false;
    let mut net = Net::new([config.clone(), config]);
    net.add(0, 1);
    net.command(0, Command::RemovePeer(addr(1)));
    // The peer has nothing new, so chain-sync cannot end: it is not our turn to speak.
    assert!(matches!(net.stage(0, 1), Some(Stage::Closing { .. })));
    net.pass(SECOND * 119);
    assert_eq!((net.downs(0), net.downs(1)), (vec![], vec![]));
    net.pass(SECOND);
    assert_eq!(net.downs(0), [Fault::Unfinished]);
    assert_eq!(net.stage(0, 1), None);
    assert!(net.engine(0).explain(addr(1)).is_empty());
    net.pass(SECOND * 600);
    assert_eq!(net.dials.len(), 1);
}

/// Two nodes on standard versions without peer-sharing, the first of which is to give the second
/// up; with a new block it is our turn to speak, so that chain-sync can end.
fn given_up(both: bool) -> Net {
    let mut config = Config::new(42);
    config.own_versions = false;
    config.peer_sharing = false;
    let mut net = Net::new([config.clone(), config]);
    net.add(0, 1);
    if both {
        net.add(1, 0);
    }
    net.pass(SECOND * 6);
    net.command(0, Command::RemovePeer(addr(1)));
    assert!(matches!(net.stage(0, 1), Some(Stage::Closing { .. })));
    let header = Bytes::from_static(&[0x82, 0x01, 0xd8, 0x18, 0x41, 0x00]);
    net.command(1, Command::Extend { header });
    // The peer asks for transactions a minute after the start; only then can that end as well.
    for _ in 0..60 {
        if matches!(net.stage(0, 1), Some(Stage::Closing { .. })) {
            net.pass(SECOND);
        }
    }
    net
}

#[test]
fn a_removed_peer_that_does_not_use_us_is_released_and_its_connection_ends_in_order() {
    let mut net = given_up(false);
    assert_eq!(net.stage(0, 1), Some(Stage::Cooling));
    assert_eq!(net.states(0), [State::OutboundIdleDup]);
    net.pass(SECOND * 5);
    assert_eq!(net.downs(0), [Fault::Released]);
    assert_eq!(net.states(0), [State::Terminating]);
    // While it is remembered the peer is not cold.
    net.pass(SECOND * 59);
    assert_eq!(net.stage(0, 1), Some(Stage::Cooling));
    net.pass(SECOND);
    assert_eq!(net.stage(0, 1), None);
    assert_eq!(net.states(0), []);
    let cooled: Vec<_> = net
        .notices
        .iter()
        .filter_map(|(at, notice)| match notice {
            Notice::Peer(Fact::Cooling { fault, .. } | Fact::Cold { fault, .. }) if *at == 0 => {
                Some(*fault)
            }
            _ => None,
        })
        .collect();
    assert_eq!(cooled, [None, None]);
    net.pass(SECOND * 600);
    assert_eq!(net.dials.len(), 1);
}

#[test]
fn a_removed_peer_that_uses_us_keeps_its_connection_and_is_taken_up_again_at_once() {
    let mut net = given_up(true);
    assert_eq!(net.stage(0, 1), None);
    assert_eq!(net.downs(0), []);
    assert_eq!(net.states(0), [State::InboundDup]);
    assert_eq!(net.stage(1, 0), Some(Stage::Hot));
    net.add(0, 1);
    assert_eq!(net.states(0), [State::Duplex]);
    assert_eq!(net.stage(0, 1), Some(Stage::Hot));
    assert_eq!(net.dials.len(), 1);
}

#[test]
fn a_peer_that_is_kept_again_while_it_closes_is_established_when_it_is_cold() {
    let mut net = Net::pair();
    net.add(0, 1);
    net.command(0, Command::RemovePeer(addr(1)));
    net.add(0, 1);
    assert!(matches!(net.stage(0, 1), Some(Stage::Closing { .. })));
    net.pass(SECOND * 125);
    assert_eq!(net.stage(0, 1), Some(Stage::Hot));
    assert_eq!(net.dials.len(), 2);
}

#[test]
fn a_peer_removed_while_it_is_dialled_is_dialled_no_more() {
    let mut net = Net::pair();
    net.feed(0, Event::Command(Command::AddPeer(addr(1))));
    assert!(matches!(net.stage(0, 1), Some(Stage::Acquiring(_))));
    net.feed(0, Event::Command(Command::RemovePeer(addr(1))));
    assert_eq!(net.stage(0, 1), None);
    assert_eq!(net.downs(0), [Fault::Cancelled]);
    assert!(net.states(0).is_empty());
    // The driver may find out late that it had connected.
    let stale = net.engine(0).stale();
    let (conn, local) = (Serial(1), addr(0));
    net.feed(0, Event::Connected { conn, local });
    assert_eq!(net.engine(0).stale(), stale + 1);
}

#[test]
fn limits_can_be_lowered_and_those_beyond_are_reset() {
    let mut net = Net::new((0..5).map(|_| Config::new(42)));
    for at in 1..5 {
        net.add(at, 0);
    }
    assert_eq!(net.engine(0).manager().counters().inbound, 4);
    let limits = Limits {
        soft: 1,
        hard: 2,
        delay: SECOND,
    };
    net.command(0, Command::Limit(limits));
    assert_eq!(net.engine(0).manager().counters().inbound, 2);
    assert_eq!(net.downs(0), [Fault::Limit; 2]);
}

#[test]
fn connections_from_one_prefix_are_limited_but_for_kept_peers() {
    let mut narrow = Config::new(42);
    narrow.manager.prefixes.max = 1;
    let mut net = Net::new([narrow, Config::new(42), Config::new(42), Config::new(42)]);
    net.add(1, 0);
    net.add(2, 0);
    assert_eq!(net.engine(0).manager().counters().inbound, 1);
    // Kept although its own dial is refused: its address is exempt from now on.
    net.command(0, Command::AddPeer(addr(3)));
    net.add(3, 0);
    assert_eq!(net.stage(3, 0), Some(Stage::Hot));
    assert!(!matches!(net.stage(2, 0), Some(Stage::Hot)));
}

#[test]
fn after_a_shutdown_nothing_is_left_and_nothing_dialled() {
    let mut net = Net::new((0..3).map(|_| Config::new(42)));
    net.add(0, 1);
    net.add(2, 0);
    net.add(0, 7);
    net.command(0, Command::Shutdown);
    net.command(0, Command::AddPeer(addr(2)));
    net.pass(SECOND * 3);
    assert!(net.states(0).is_empty());
    assert!(net.engine(0).peer_actions().is_empty());
    assert_eq!(net.engine(0).conns().count(), 0);
    let idle = |e: &Explanation| e.peer.is_none() && e.conns.is_empty();
    assert!(net.engine(0).explain_all().iter().all(idle));
    let stopped = |(at, notice): &&(usize, Notice)| *at == 0 && *notice == Notice::Stopped;
    assert_eq!(net.notices.iter().filter(stopped).count(), 1);
    let dials = net.dials.len();
    net.pass(SECOND * 400);
    let again = net.dials[dials..].iter().filter(|(at, ..)| *at == 0);
    assert_eq!(again.count(), 0);
}

#[test]
fn a_refused_peer_lingers_and_leaves_at_once_on_shutdown() {
    let mut net = Net::new([Config::new(42), Config::new(43)]);
    net.feed(1, Event::Command(Command::AddPeer(addr(0))));
    // Until we have refused, and the peer has not read that yet.
    while net.states(0) != [State::Terminating] {
        let (at, event) = net.due.pop_front().unwrap();
        net.feed(at, event);
    }
    net.feed(0, Event::Command(Command::Shutdown));
    assert_eq!(net.engine(0).conns().count(), 0);
    assert!(net.notices.contains(&(0, Notice::Stopped)));
}

#[test]
fn an_engine_explains_each_peer_and_its_connections_in_words() {
    let mut net = Net::new((0..3).map(|_| Config::new(42)));
    let explained = |net: &Net, at: usize, peer: usize| -> Vec<String> {
        let text = net.engine(at).explain(addr(peer)).to_string();
        text.lines().map(ToString::to_string).collect()
    };
    assert_eq!(explained(&net, 0, 1), ["peer 10.0.0.2:3001: unknown"]);
    net.add(0, 1);
    let lines = explained(&net, 0, 1);
    assert_eq!(
        lines[0],
        "peer 10.0.0.2:3001: local root, hot since 1.000 s, kept; stays; \
         hot on connection 1: hot mini-protocols run; \
         ours: 8, 10, 24577, 2, 3, 4; changes: deactivated -> deactivating, \
         a hot mini-protocol ends -> deactivating, closed -> closing, \
         another mini-protocol ends -> closing, the connection ends -> cooling"
    );
    assert!(lines[1].starts_with("  connection 1 to 10.0.0.2:3001: OutboundDupTicking"));
    assert!(lines[1].contains("Idle timer at 6.000 s"), "{}", lines[1]);
    let lines = explained(&net, 1, 0);
    assert_eq!(lines[0], "peer 10.0.0.1:3001: cold: we do not use it");
    assert_eq!(lines.len(), 2);
    net.command(0, Command::RemovePeer(addr(1)));
    let lines = explained(&net, 0, 1);
    assert!(lines[0].contains("; reset at 121.000 s; "), "{}", lines[0]);
    net.add(0, 7);
    let lines = explained(&net, 0, 7);
    assert!(lines[0].starts_with("peer 10.0.0.8:3001: local root, cold, waiting since "));
    net.add(2, 0);
    let all = net.engine(0).explain_all();
    let remotes: Vec<_> = all.iter().map(|explained| explained.remote).collect();
    assert_eq!(remotes, [addr(1), addr(2), addr(7)]);
    let one_by_one = remotes.iter().map(|remote| net.engine(0).explain(*remote));
    assert!(all.iter().cloned().eq(one_by_one));
    let inbound: &Explanation = &all[1];
    assert_eq!(inbound.conns.len(), 1);
    assert_eq!(
        format!("{}", inbound.conns[0].why()),
        "the peer uses it; we do not"
    );
}

#[test]
fn both_ends_of_one_connection_know_their_roles() {
    let mut net = Net::pair();
    net.add(0, 1);
    let roles = |at: usize| -> Vec<Role> {
        let conns = net.engine(at).conns();
        conns.map(|(_, _, role, _)| role).collect()
    };
    assert_eq!(roles(0), [Role::Initiator]);
    assert_eq!(roles(1), [Role::Responder]);
}

#[cfg(feature = "tape")]
#[test]
fn a_snapshot_in_any_stage_goes_on_as_the_original() {
    let mut net = Net::pair();
    let mut taken = 0;
    let mut check = |net: &Net| {
        for node in &net.nodes {
            let bytes = postcard::to_allocvec(node).unwrap();
            let restored: Node<Engine> = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(&restored, node);
            restored.check_invariants().unwrap();
            taken += 1;
        }
    };
    check(&net);
    net.feed(0, Event::Command(Command::AddPeer(addr(1))));
    while let Some((at, event)) = net.due.pop_front() {
        net.feed(at, event);
        check(&net);
    }
    net.command(0, Command::RemovePeer(addr(1)));
    check(&net);
    net.pass(SECOND * 130);
    check(&net);
    assert!(taken >= 20, "{taken}");
}

mod gossip;
