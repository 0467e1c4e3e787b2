//! The table of connections and the chain, joined: routes facts up, orders down.

mod facts;

use alloc::{
    boxed::Box,
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::net::SocketAddr;

use super::{Action, Command, Config, Event, Notice, peers::Peers};
use crate::{
    base::{
        Cx, Deadlines, Instant, ListenerId, Machine, Role, Scratch, Serial, Slots, Supply,
        Violated, violated,
    },
    chain::{self, Chain},
    conn::{self, Cause, Connection, Fact, Fault, Order, Profile},
    proto::{handshake, peer_sharing, tip_sample},
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
                    work.orders
                        .push_back((serial, Order::Reset(Fault::Chain(misdeed))));
                }
                chain::Action::Notice(notice) => cx.act(Action::Notify(Notice::Chain(notice))),
            }
        }
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
