//! The table of connections and the chain, joined: routes facts up, orders down.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::net::SocketAddr;

use super::{Action, Command, Config, Event, Notice, peers::Peers};
use crate::{
    base::{
        Cx, Deadlines, Instant, ListenerId, Machine, ProtocolId, Role, Scratch, Serial, Slots,
        Supply, Violated, violated,
    },
    chain::{self, Chain},
    conn::{self, Cause, Connection, Fact, Fault, Order, Profile, Temperature},
    mux::HalfId,
    proto::{handshake, keep_alive, peer_sharing, tip_sample},
};

/// A node's decisions: whom to dial, whom to accept, whom to follow, when to give up.
///
/// Limits: `Config::conns_max` connections (at the limit no more are accepted), `peers_max`
/// peers, 64 listeners. An event for a connection that is gone is counted and changes nothing.
///
/// Invariants: 1. every deadline belongs to a live connection, a peer that waits, or the chain;
/// 2. a peer that is dialling or up names a connection of the table; 3. never more connections
/// than the limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Engine {
    config: Config,
    profile: Profile,
    serials: Supply<Serial>,
    conns: Slots<Serial, Entry>,
    listeners: BTreeMap<ListenerId, Listener>,
    peers: Peers,
    chain: Chain,
    deadlines: Deadlines<Timer>,
    dirty: Vec<Serial>,
    stale: u64,
    stopping: Stopping,
    work: Scratch<Work>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Stopping {
    No,
    Asked,
    Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Timer {
    Conn(Serial),
    Peers,
    Chain,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Listener {
    local: SocketAddr,
    asked: bool,
}

/// One connection of the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "four facts that do not depend on each other"
)]
struct Entry {
    remote: SocketAddr,
    role: Role,
    /// `None` while the dial is under way.
    conn: Option<Box<Connection>>,
    following: bool,
    dirty: bool,
    peer_sharing: bool,
    own_version: bool,
}

/// Lists that are empty between steps.
#[derive(Default)]
struct Work {
    facts: VecDeque<(Serial, Fact)>,
    orders: VecDeque<(Serial, Order)>,
    conn_acts: Vec<conn::Action>,
    chain_acts: Vec<chain::Action>,
}

/// Listening sockets at most, inclusive.
const LISTENERS_MAX: usize = 64;
/// Addresses told to one peer at most. src: ouroboros-network, peer sharing policy
const SHARED_MAX: usize = 10;
/// Passes of one tick over deadlines that children set anew for the same time.
const TICK_PASSES: usize = 8;

impl Engine {
    /// A node that knows nobody yet.
    pub fn new(config: Config) -> Self {
        let offer = handshake::Config {
            magic: config.magic,
            mode: config.mode,
            peer_sharing: config.peer_sharing,
            query: config.query,
            own_versions: config.own_versions,
            experimental: config.experimental,
        };
        Self {
            profile: Profile {
                offer,
                config: config.conn.clone(),
            },
            serials: Supply::default(),
            conns: Slots::new((0, 0), config.conns_max),
            listeners: BTreeMap::new(),
            peers: Peers::new(&config),
            chain: Chain::new(config.chain.clone()),
            deadlines: Deadlines::new(),
            dirty: Vec::new(),
            stale: 0,
            stopping: Stopping::No,
            work: Scratch::default(),
            config,
        }
    }

    /// The chain, to look at.
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Live connections and dials under way: serial, other end, our role, whether connected.
    pub fn conns(&self) -> impl Iterator<Item = (Serial, SocketAddr, Role, bool)> {
        self.conns
            .iter()
            .map(|(id, e)| (*id, e.remote, e.role, e.conn.is_some()))
    }

    /// Events that came for connections that were gone.
    pub const fn stale(&self) -> u64 {
        self.stale
    }

    fn accept_more(&mut self, cx: &mut Cx<'_, Action>) {
        if self.stopping != Stopping::No {
            return;
        }
        for (id, listener) in &mut self.listeners {
            if !listener.asked && self.conns.len() < self.config.conns_max {
                listener.asked = true;
                cx.act(Action::AcceptOne { listener: *id });
            }
        }
    }

    fn offered(&mut self, cx: &mut Cx<'_, Action>, listener: ListenerId, remote: SocketAddr) {
        if let Some(listener) = self.listeners.get_mut(&listener) {
            listener.asked = false;
        }
        let conn = self.serials.take();
        let entry = Entry::new(remote, Role::Responder);
        if self.stopping != Stopping::No || self.conns.insert(conn, entry).is_err() {
            cx.act(Action::Reset { listener, remote });
        } else {
            cx.act(Action::Adopt {
                listener,
                remote,
                conn,
            });
            self.connect(cx, conn);
        }
        self.accept_more(cx);
    }

    /// The socket of an entry is connected: the connection begins.
    fn connect(&mut self, cx: &mut Cx<'_, Action>, serial: Serial) {
        let Some(entry) = self.conns.get_mut(&serial) else {
            return self.count_stale();
        };
        if entry.conn.is_none() {
            entry.conn = Some(Box::new(Connection::new(serial, entry.role, &self.profile)));
            self.feed(cx, serial, conn::Event::Start);
            self.refresh(serial);
        }
    }

    const fn count_stale(&mut self) {
        self.stale = self.stale.saturating_add(1);
    }

    /// One event for one connection; its facts and writes are taken over.
    fn feed(&mut self, cx: &mut Cx<'_, Action>, serial: Serial, event: conn::Event) {
        let Some(entry) = self.conns.get_mut(&serial) else {
            return self.count_stale();
        };
        let Some(conn) = &mut entry.conn else {
            return self.count_stale();
        };
        let work = &mut *self.work;
        let turn = event == conn::Event::Turn;
        conn.step(&mut cx.child(&mut work.conn_acts), event);
        for action in work.conn_acts.drain(..) {
            match action {
                conn::Action::Write(batch) => cx.act(Action::Write {
                    conn: serial,
                    batch,
                }),
                conn::Action::Close { reset } => cx.act(Action::Close {
                    conn: serial,
                    reset,
                }),
                conn::Action::Fact(fact) => work.facts.push_back((serial, fact)),
            }
        }
        if !turn && !entry.dirty && conn.has_output() {
            entry.dirty = true;
            self.dirty.push(serial);
        }
    }

    fn refresh(&mut self, serial: Serial) {
        let at = self
            .conns
            .get(&serial)
            .and_then(|e| e.conn.as_ref()?.next_deadline());
        self.deadlines.set(Timer::Conn(serial), at);
    }

    /// Works until nothing is left: facts first, then one order, in order of arrival.
    fn settle(&mut self, cx: &mut Cx<'_, Action>) {
        loop {
            if let Some((serial, fact)) = self.work.facts.pop_front() {
                self.fact(cx, serial, fact);
            } else if let Some((serial, order)) = self.work.orders.pop_front() {
                self.feed(cx, serial, conn::Event::Order(order));
                self.refresh(serial);
            } else {
                break;
            }
        }
        self.deadlines.set(Timer::Chain, self.chain.next_deadline());
        self.deadlines.set(Timer::Peers, self.peers.next_deadline());
        if self.stopping == Stopping::Asked && self.conns.is_empty() {
            self.stopping = Stopping::Told;
            cx.act(Action::Notify(Notice::Stopped));
        }
    }

    fn order(&mut self, serial: Serial, order: Order) {
        self.work.orders.push_back((serial, order));
    }

    fn chain_step(&mut self, cx: &mut Cx<'_, Action>, event: chain::Event) {
        let work = &mut *self.work;
        self.chain.step(&mut cx.child(&mut work.chain_acts), event);
        for action in work.chain_acts.drain(..) {
            match action {
                chain::Action::Order(serial, order) => {
                    work.orders.push_back((serial, order.into()));
                }
                chain::Action::Ask(ticket, question) => cx.act(Action::Ask { ticket, question }),
                chain::Action::Misdeed(serial, misdeed) => {
                    work.orders.push_back((serial, Order::Fail(misdeed)));
                }
                chain::Action::Notice(notice) => cx.act(Action::Notify(Notice::Chain(notice))),
            }
        }
    }

    fn fact(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, fact: Fact) {
        match fact {
            Fact::Agreed(agreed) => self.agreed(cx, conn, agreed),
            Fact::Queried(table) => cx.act(Action::Notify(Notice::Versions { conn, table })),
            Fact::Started { protocol, role } => self.started(cx, conn, protocol, role),
            Fact::Stopped { protocol, role } => self.stopped(cx, conn, protocol, role),
            Fact::Full { protocol, role } if is_block_server(protocol, role) => {
                self.chain_step(cx, chain::Event::BlockServeFull(conn));
            }
            Fact::Room { protocol, role } if is_block_server(protocol, role) => {
                self.chain_step(cx, chain::Event::BlockServeRoom(conn));
            }
            Fact::Full { .. } | Fact::Room { .. } => {}
            Fact::KeepAlive(keep_alive::client::Fact::RoundTrip(took)) => {
                cx.act(Action::Notify(Notice::RoundTrip { conn, took }));
                self.chain_step(cx, chain::Event::RoundTrip(conn, took));
            }
            Fact::ChainSync(fact) => self.chain_step(cx, chain::Event::ChainSync(conn, fact)),
            Fact::ChainServe(fact) => self.chain_step(cx, chain::Event::ChainServe(conn, fact)),
            Fact::BlockFetch(fact) => self.chain_step(cx, chain::Event::BlockFetch(conn, fact)),
            Fact::BlockServe(fact) => self.chain_step(cx, chain::Event::BlockServe(conn, fact)),
            Fact::TxSupply(fact) => self.chain_step(cx, chain::Event::TxSupply(conn, fact)),
            Fact::TxPull(fact) => self.chain_step(cx, chain::Event::TxPull(conn, fact)),
            Fact::TipAsk(fact) => self.chain_step(cx, chain::Event::TipAsk(conn, fact)),
            Fact::TipTell(fact) => self.chain_step(cx, chain::Event::TipTell(conn, fact)),
            Fact::PeerAsk(peer_sharing::client::Fact::Shared(peers)) => {
                cx.act(Action::Notify(Notice::Shared { conn, peers }));
            }
            Fact::PeerShare(peer_sharing::server::Fact::Asked(amount)) => {
                let asker = self.conns.get(&conn).map(|entry| entry.remote);
                let max = usize::from(amount).min(SHARED_MAX);
                let known = self
                    .peers
                    .up()
                    .filter(|peer| Some(*peer) != asker)
                    .take(max);
                let share = peer_sharing::server::Order::Share(known.collect());
                self.order(conn, Order::PeerShare(share));
            }
            Fact::Ended(fault) => self.ended(cx, conn, fault),
        }
    }

    fn agreed(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, agreed: handshake::Agreed) {
        let Some(entry) = self.conns.get_mut(&conn) else {
            return;
        };
        entry.peer_sharing = agreed.data.peer_sharing;
        entry.own_version = handshake::is_ours(agreed.version);
        let (remote, dialled) = (entry.remote, entry.role == Role::Initiator);
        cx.act(Action::Notify(Notice::Up {
            conn,
            remote,
            dialled,
            agreed,
        }));
        if dialled {
            self.peers.up_now(remote, conn);
            for bundle in [
                Temperature::Established,
                Temperature::Warm,
                Temperature::Hot,
            ] {
                self.order(conn, Order::Start(bundle));
            }
        }
    }

    /// A peer is followed while chain-sync and block-fetch both run towards it.
    fn started(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, protocol: ProtocolId, role: Role) {
        let Some(entry) = self.conns.get_mut(&conn) else {
            return;
        };
        let relevant = matches!(protocol, ProtocolId::CHAIN_SYNC | ProtocolId::BLOCK_FETCH);
        if !relevant || role == Role::Responder || entry.following {
            return;
        }
        let both = entry.conn.as_ref().is_some_and(|c| {
            [ProtocolId::CHAIN_SYNC, ProtocolId::BLOCK_FETCH]
                .into_iter()
                .all(|protocol| c.runs(HalfId { protocol, role }))
        });
        if both {
            entry.following = true;
            self.chain_step(cx, chain::Event::Follow(conn));
        }
    }

    fn stopped(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, protocol: ProtocolId, role: Role) {
        let Some(entry) = self.conns.get_mut(&conn) else {
            return;
        };
        let relevant = matches!(protocol, ProtocolId::CHAIN_SYNC | ProtocolId::BLOCK_FETCH);
        if role == Role::Responder {
            self.chain_step(cx, chain::Event::ServeStopped(conn, protocol));
        } else if relevant && entry.following {
            entry.following = false;
            self.chain_step(cx, chain::Event::Unfollow(conn));
        }
    }

    /// The connection is gone: nobody keeps anything of it.
    fn ended(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, fault: Fault) {
        let Some(entry) = self.conns.remove(&conn) else {
            return;
        };
        self.deadlines.set(Timer::Conn(conn), None);
        self.chain_step(cx, chain::Event::Gone(conn));
        let remote = entry.remote;
        cx.act(Action::Notify(Notice::Down {
            conn,
            remote,
            fault,
        }));
        self.peers.down(cx, remote, conn, fault);
        cx.choice.retire(conn.0);
        self.accept_more(cx);
    }

    fn connect_failed(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, cause: Cause) {
        let dialling = self
            .conns
            .get(&conn)
            .is_some_and(|entry| entry.conn.is_none());
        if dialling {
            self.ended(cx, conn, Fault::Lost(cause));
        } else {
            self.count_stale();
        }
    }

    /// Dials every peer whose time has come, as far as the limit allows.
    fn dial(&mut self, cx: &mut Cx<'_, Action>) {
        if self.stopping != Stopping::No {
            return;
        }
        while self.conns.len() < self.config.conns_max {
            let Some(remote) = self.peers.pop_due(cx.now) else {
                break;
            };
            let conn = self.serials.take();
            if self
                .conns
                .insert(conn, Entry::new(remote, Role::Initiator))
                .is_err()
            {
                break;
            }
            self.peers.dialling(remote, conn);
            cx.act(Action::Dial {
                conn,
                remote,
                bind: None,
            });
        }
        if self.conns.len() >= self.config.conns_max {
            self.peers.postpone(cx.now);
        }
    }

    fn command(&mut self, cx: &mut Cx<'_, Action>, command: Command) {
        match command {
            Command::AddPeer(remote) => {
                if self.peers.add(cx.now, remote) {
                    self.dial(cx);
                } else {
                    cx.act(Action::Notify(Notice::PeerRefused(remote)));
                }
            }
            Command::RemovePeer(remote) => {
                if let Some(conn) = self.peers.remove(remote) {
                    self.close(cx, conn);
                }
            }
            Command::Extend { header } => self.chain_step(cx, chain::Event::Extend { header }),
            Command::Submit { id, bytes } => {
                self.chain_step(cx, chain::Event::Submit { id, bytes });
            }
            Command::AskPeers { amount } => {
                let to = self
                    .conns
                    .iter()
                    .filter(|(_, e)| e.peer_sharing)
                    .map(|(id, _)| *id);
                for conn in to.collect::<Vec<_>>() {
                    let ask = peer_sharing::client::Order::Ask(amount);
                    self.order(conn, Order::PeerAsk(ask));
                }
            }
            Command::SampleTips { count, slot } => {
                let to = self
                    .conns
                    .iter()
                    .filter(|(_, e)| e.own_version)
                    .map(|(id, _)| *id);
                for conn in to.collect::<Vec<_>>() {
                    let ask = tip_sample::client::Order::Follow { count, slot };
                    self.order(conn, Order::TipAsk(ask));
                }
            }
            Command::Shutdown => {
                if self.stopping == Stopping::No {
                    self.stopping = Stopping::Asked;
                    self.peers.clear();
                    let all: Vec<_> = self.conns.iter().map(|(id, _)| *id).collect();
                    for conn in all {
                        self.close(cx, conn);
                    }
                }
            }
        }
    }

    /// Ends one connection in order, or a dial at once.
    fn close(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        let Some(entry) = self.conns.get(&conn) else {
            return;
        };
        if entry.conn.is_some() {
            self.order(conn, Order::Close);
        } else {
            cx.act(Action::Close { conn, reset: true });
            self.ended(cx, conn, Fault::Closed);
        }
    }

    fn tick(&mut self, cx: &mut Cx<'_, Action>) {
        for _ in 0..TICK_PASSES {
            let mut due = Vec::new();
            while let Some(timer) = self.deadlines.pop_due(cx.now) {
                due.push(timer);
            }
            if due.is_empty() {
                break;
            }
            for timer in due {
                match timer {
                    Timer::Conn(conn) => {
                        self.feed(cx, conn, conn::Event::Tick);
                        self.refresh(conn);
                    }
                    Timer::Peers => self.dial(cx),
                    Timer::Chain => self.chain_step(cx, chain::Event::Tick),
                }
            }
            self.settle(cx);
        }
    }

    fn turn(&mut self, cx: &mut Cx<'_, Action>) {
        let mut dirty = core::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            if let Some(entry) = self.conns.get_mut(&conn) {
                entry.dirty = false;
                self.feed(cx, conn, conn::Event::Turn);
                self.refresh(conn);
            }
        }
        if self.dirty.is_empty() {
            self.dirty = dirty;
        }
    }
}

/// Only block bodies are large enough for their owner to mind the egress buffer.
const fn is_block_server(protocol: ProtocolId, role: Role) -> bool {
    matches!((protocol, role), (ProtocolId::BLOCK_FETCH, Role::Responder))
}

impl Entry {
    const fn new(remote: SocketAddr, role: Role) -> Self {
        Self {
            remote,
            role,
            conn: None,
            following: false,
            dirty: false,
            peer_sharing: false,
            own_version: false,
        }
    }
}

impl Machine for Engine {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        match event {
            Event::Listening { listener, local } => {
                if self.listeners.len() < LISTENERS_MAX {
                    self.listeners.insert(
                        listener,
                        Listener {
                            local,
                            asked: false,
                        },
                    );
                    self.accept_more(cx);
                }
            }
            Event::Offered {
                listener,
                local: _,
                remote,
            } => self.offered(cx, listener, remote),
            Event::AcceptFailed {
                listener,
                cause: _,
                fatal,
            } => {
                if fatal && self.listeners.remove(&listener).is_some() {
                    cx.act(Action::Notify(Notice::ListenerLost(listener)));
                } else if let Some(listener) = self.listeners.get_mut(&listener) {
                    listener.asked = false;
                    self.accept_more(cx);
                }
            }
            Event::Connected { conn, local: _ } => {
                self.connect(cx, conn);
            }
            Event::ConnectFailed { conn, cause } => self.connect_failed(cx, conn, cause),
            Event::Received { conn, bytes } => {
                self.feed(cx, conn, conn::Event::Received(bytes));
                self.refresh(conn);
            }
            Event::Flushed { conn, bytes } => {
                self.feed(cx, conn, conn::Event::Flushed(bytes));
                self.refresh(conn);
            }
            Event::Closed { conn, cause } => {
                self.feed(cx, conn, conn::Event::Closed(cause));
            }
            Event::Answered { ticket, answer } => {
                self.chain_step(cx, chain::Event::Answer(ticket, answer));
            }
            Event::Command(command) => self.command(cx, command),
            Event::Turn => self.turn(cx),
            Event::Tick => self.tick(cx),
        }
        self.settle(cx);
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        let name = "engine";
        self.conns.check_invariants()?;
        self.deadlines.check_invariants()?;
        let named = self.peers.conns().all(|conn| self.conns.contains(&conn));
        violated(
            named,
            name,
            2,
            "a peer that is dialling or up names a connection",
        )?;
        let few = self.conns.len() <= self.config.conns_max;
        violated(few, name, 3, "never more connections than the limit")?;
        for (serial, entry) in self.conns.iter() {
            if let Some(conn) = &entry.conn {
                conn.check_invariants()?;
                let due = self.deadlines.of(&Timer::Conn(*serial)) == conn.next_deadline();
                violated(due, name, 1, "the deadline of a connection is its own")?;
            }
        }
        self.chain.check_invariants()
    }
}
