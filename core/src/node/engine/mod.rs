//! The table of connections, what is done to peers, and the chain, joined: routes facts up, orders
//! down.

mod command;
mod facts;
mod gossip;
mod governing;
mod look;
mod table;

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use core::net::SocketAddr;

use super::{Action, Config, Event, Notice};
use crate::{
    base::{Cx, Deadlines, Instant, Machine, Role, Scratch, Serial, Slots, Violated},
    chain::{self, Chain},
    conn::{self, Connection, Fact, Fault, Order, Profile},
    governor::{self, Governor},
    manager::{self, Manager},
    peer_actions::{self, PeerActions},
    proto::handshake,
    rain,
};

/// A node's decisions: whom to dial, whom to accept, whom to follow, when to give up.
///
/// ```text
///  Event ─▶ connections ─Fact─▶ manager ─Acquired, Demoted─▶ peer actions ─Fact──▶ governor
///           connections ◀─────── manager ◀─Acquire, Release── peer actions ◀─Order─ governor
///           connections ◀─Start, Stop, Reset───────────────── peer actions
///           connections ─Fact─▶ chain ─Order─▶ connections
/// ```
///
/// Limits: those of its parts; `peers_max` peers are kept by command. An event for a connection that is gone is counted and changes nothing.
///
/// Invariants: 1. every deadline belongs to a part and is its own; 2. the peer actions
/// have exactly those peers that the governor takes to be neither cold nor unknown; 3. the connections and dials here are those of the
/// table, but for what it only remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Engine {
    config: Config,
    profile: Profile,
    manager: Manager,
    peer_actions: PeerActions,
    conns: Slots<Serial, Entry>,
    governor: Governor,
    chain: Chain,
    gossip: Option<Box<gossip::Gossip>>,
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
    /// The table is empty.
    Quiet,
    Told,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Timer {
    Conn(Serial),
    Manager,
    PeerActions,
    Governor,
    Chain,
    Gossip,
}

/// What goes with a connection or dial of the table.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "six facts that do not depend on each other"
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
    /// How often a link of structured gossip was opened here.
    links: u8,
    /// The table has reset it and wants to hear no more of it.
    disowned: bool,
    /// Its chain has nothing in common with ours that is recent enough.
    apart: bool,
}

/// What is to be taken up in this step.
enum Task {
    /// A connection said so.
    Fact(Serial, Fact),
    /// For the table.
    Manager(manager::Event),
    /// For the peer actions.
    Peer(peer_actions::Event),
    /// The peer actions said so.
    Told(peer_actions::Fact),
    /// For the governor.
    Governor(governor::Event),
}

/// Lists that are empty between steps.
#[derive(Default)]
struct Work {
    tasks: VecDeque<Task>,
    orders: VecDeque<(Serial, Order)>,
    conn_acts: Vec<conn::Action>,
    chain_acts: Vec<chain::Action>,
    manager_acts: Vec<manager::Action>,
    peer_acts: Vec<peer_actions::Action>,
    governor_acts: Vec<governor::Action>,
    rain_acts: Vec<rain::Action>,
}

/// Passes of one tick over deadlines that children set anew for the same time.
const TICK_PASSES: usize = 8;

impl Engine {
    /// A node that knows nobody yet.
    pub fn new(config: Config) -> Self {
        let offer = handshake::Config {
            magic: config.magic,
            mode: config.manager.mode,
            peer_sharing: config.peer_sharing,
            query: config.query,
            own_versions: config.own_versions,
            experimental: config.experimental,
        };
        Self {
            profile: Profile {
                offer,
                config: conn::Config {
                    rain: config.gossip.is_some(),
                    ..config.conn.clone()
                },
            },
            manager: Manager::new(config.manager.clone()),
            peer_actions: PeerActions::new(config.peer_actions),
            // The table bounds them; one that was reset may still be there for a moment.
            conns: Slots::new((0, 0), config.manager.entries_max.saturating_mul(2)),
            governor: Governor::new(selection(&config), (0, 0)),
            chain: Chain::new(config.chain.clone()),
            gossip: config.gossip.as_ref().map(gossip::Gossip::boxed),
            deadlines: Deadlines::new(),
            dirty: Vec::new(),
            stale: 0,
            stopping: Stopping::No,
            work: Scratch::default(),
            config,
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
                conn::Action::Fact(fact) => work.tasks.push_back(Task::Fact(serial, fact)),
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
            if let Some(task) = self.work.tasks.pop_front() {
                match task {
                    Task::Fact(serial, fact) => self.fact(cx, serial, fact),
                    Task::Manager(event) => self.manage(cx, event),
                    Task::Peer(event) => self.peer_step(cx, event),
                    Task::Told(fact) => self.told(cx, fact),
                    Task::Governor(event) => self.govern(cx, event),
                }
            } else if let Some((serial, order)) = self.work.orders.pop_front() {
                self.feed(cx, serial, conn::Event::Order(order));
                self.refresh(serial);
            } else {
                break;
            }
        }
        for (timer, at) in self.own_deadlines() {
            self.deadlines.set(timer, at);
        }
        if self.stopping == Stopping::Quiet && self.conns.is_empty() {
            self.stopping = Stopping::Told;
            cx.act(Action::Notify(Notice::Stopped));
        }
    }

    fn own_deadlines(&self) -> [(Timer, Option<Instant>); 5] {
        [
            (Timer::Manager, self.manager.next_deadline()),
            (Timer::PeerActions, self.peer_actions.next_deadline()),
            (Timer::Governor, self.governor.next_deadline()),
            (Timer::Chain, self.chain.next_deadline()),
            (Timer::Gossip, self.gossip_deadline()),
        ]
    }

    fn order(&mut self, serial: Serial, order: Order) {
        self.work.orders.push_back((serial, order));
    }

    fn task(&mut self, task: Task) {
        self.work.tasks.push_back(task);
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
                chain::Action::Announced(serial, slot) => {
                    if let Some(peer) = self.peer_actions.holder(serial) {
                        let event = governor::Event::Announced { peer, slot };
                        work.tasks.push_back(Task::Governor(event));
                    }
                }
                chain::Action::Notice(notice) => {
                    if let Some(event) = measured(&self.peer_actions, &notice) {
                        work.tasks.push_back(Task::Governor(event));
                    }
                    if let chain::Notice::NoIntersection(serial) = notice
                        && let Some(entry) = self.conns.get_mut(&serial)
                    {
                        entry.apart = true;
                    }
                    cx.act(Action::Notify(Notice::Chain(notice)));
                }
            }
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
                    Timer::Manager => self.task(Task::Manager(manager::Event::Tick)),
                    Timer::PeerActions => self.task(Task::Peer(peer_actions::Event::Tick)),
                    Timer::Governor => self.task(Task::Governor(governor::Event::Tick)),
                    Timer::Chain => self.chain_step(cx, chain::Event::Tick),
                    Timer::Gossip => self.gossip(cx, rain::Event::Tick),
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

/// What a notice of the chain tells the governor.
fn measured(peers: &PeerActions, notice: &chain::Notice) -> Option<governor::Event> {
    match notice {
        chain::Notice::Fetched { from, point, bytes } => Some(governor::Event::Fetched {
            peer: peers.holder(*from)?,
            slot: point.slot()?,
            bytes: u32::try_from(*bytes).unwrap_or(u32::MAX),
        }),
        chain::Notice::TipSampled { from, tip, .. } => Some(governor::Event::Announced {
            peer: peers.holder(*from)?,
            slot: tip.point.slot()?,
        }),
        _ => None,
    }
}

/// The governor's settings, as far as those of the node decide them.
fn selection(config: &Config) -> governor::Config {
    let mut selection = config.governor.clone();
    selection.sharing = config.peer_sharing;
    selection.back_off.kept_base = config.redial_min;
    selection.back_off.kept_max = config.redial_max;
    selection
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
            links: 0,
            disowned: false,
            apart: false,
        }
    }
}

impl Machine for Engine {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        match event {
            Event::Listening { listener, local } => {
                self.manage(cx, manager::Event::Listening { listener, local });
                if !local.ip().is_unspecified() {
                    self.govern(cx, governor::Event::OwnAddress(local));
                }
            }
            Event::Offered {
                listener,
                local,
                remote,
            } => self.manage(
                cx,
                manager::Event::Accepted {
                    listener,
                    local,
                    remote,
                },
            ),
            Event::AcceptFailed {
                listener,
                cause,
                fatal,
            } => self.manage(
                cx,
                manager::Event::AcceptFailed {
                    listener,
                    cause,
                    fatal,
                },
            ),
            Event::Connected { conn, local } => {
                self.manage(cx, manager::Event::Connected { conn, local });
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
                self.refresh(conn);
            }
            Event::Answered { ticket, answer } => {
                self.chain_step(cx, chain::Event::Answer(ticket, answer));
            }
            Event::Resolved { ticket, answer } => {
                self.govern(cx, governor::Event::Resolved { ticket, answer });
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
        self.invariants()
    }
}

#[cfg(test)]
mod tests;
