//! A deterministic world of whole nodes: virtual time, links of bytes, one source of chance.
//!
//! ```text
//!  Choice ─▶ options, delays, cuts, faults
//!  hosts:  Node<M> + sockets + listener + application      (what a driver does, without a kernel)
//!  links:  driver ─▶ kernel ─▶ packets ─▶ kernel ─▶ driver (credit, back-pressure, reset, hole)
//!  after each step: invariants, the law of ticks, now and then purity and early ticks
//! ```
//!
//! In: hosts, options, and what [`Transition`]s do to them. Out: [`Broken`] at the first broken
//! law, else tallies, tips and the hash of all that happened. Equal choices give equal hashes.
//!
//! The world plays the driver's part exactly as the core asks it: accept one for each `AcceptOne`,
//! `Flushed` when the kernel has taken bytes, a `Turn` after all that was readable, ticks when the
//! deadline has come or later.

mod application;
mod attenuation;
mod broken;
mod carry;
mod host;
mod life;
mod link;
mod names;
mod options;
mod sockets;
mod stranger;
mod tcp;
mod trace;
mod transition;
mod transport;

use std::collections::BTreeMap;

use core::{fmt::Debug, net::SocketAddr, time::Duration};

use bytes::Bytes;
use samanea_core::{
    base::{Choice, Instant, Machine, Serial, Tip},
    node::{Action, Command, Event, Node, Notice},
    wire::Batch,
};

pub use application::{Application, Registry};
pub use attenuation::{AcceptTrouble, Attenuation, Course, Roughness, Spell};
pub use broken::{Breach, Broken};
pub use host::{Dial, Host, Listener, Socket, Tally};
pub use link::{LinkId, Party, Side, Spoil};
pub use names::Names;
pub use options::{Options, Profile, Shape};
pub use stranger::ADDRESS as STRANGER;
pub use trace::Trace;
pub use transition::{HOSTILE_OF_1000, Hostility, Transition};

use crate::{
    tape::site,
    toy::{Block, ToyRules},
};
use link::{Link, Piece};

/// What a world can be filled with.
pub trait Subject: Machine<Event = Event, Action = Action> + Clone + PartialEq + Debug {}

impl<M: Machine<Event = Event, Action = Action> + Clone + PartialEq + Debug> Subject for M {}

/// Makes the machine of a host, given its place and which of its lives begins.
pub type Make<M> = Box<dyn Fn(usize, u32) -> Node<M>>;

/// Is told every notice: when, of which host, in which of its lives.
pub type Watch = Box<dyn FnMut(Instant, usize, u32, &Notice)>;

/// Is told every write: of which host, in which of its lives, on which connection, what.
pub type Tap = Box<dyn FnMut(usize, u32, Serial, &Batch)>;

/// What will happen.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Due {
    /// The driver's deadline has come.
    Wake,
    /// The driver ends its turn.
    Turn,
    /// An event of no connection.
    Feed(Event),
    /// An event of a connection, void when the socket is gone.
    FeedConn(Serial, Event),
    /// A dial reaches its target.
    Syn(Serial),
    /// The answer reaches who dialled.
    SynAck(Serial),
    /// The dialler's last word of the opening reaches the listener.
    Ack(LinkId),
    /// The listener's kernel has waited for that for long.
    Unopened(LinkId),
    /// The sender's kernel works.
    Pump(LinkId, Side),
    /// Something arrives at this side.
    Arrive(LinkId, Side, Piece),
    /// The receiver's driver reads.
    Read(LinkId, Side),
    /// The sender's kernel has had no acknowledgement for long.
    GiveUp(LinkId, Side),
}

/// A world.
pub struct World<M> {
    options: Options,
    choice: Box<dyn Choice>,
    make: Make<M>,
    now: Instant,
    hosts: Vec<Host<M>>,
    links: BTreeMap<LinkId, Link>,
    next_link: LinkId,
    /// Pairs of addresses that the kernel of the first keeps until then.
    time_waits: BTreeMap<(SocketAddr, SocketAddr), Instant>,
    /// Simultaneous opens.
    met: u64,
    /// By time, then by order of planning. With it: the host and its life.
    agenda: BTreeMap<(Instant, u64), (usize, u32, Due)>,
    planned: u64,
    registry: Registry,
    trace: Trace,
    steps: u64,
    out: Vec<Action>,
    watch: Option<Watch>,
    tap: Option<Tap>,
    names: Names,
}

impl<M: Subject> World<M> {
    /// Hosts that know each other as `options` say; they start at time zero.
    pub fn new(options: Options, choice: Box<dyn Choice>, make: Make<M>) -> Result<Self, Broken> {
        let mut world = Self::asleep(options, choice, make);
        for at in 0..world.hosts.len() {
            world.start(at)?;
        }
        world.join();
        Ok(world)
    }

    /// Hosts that are down and know nobody.
    pub fn asleep(options: Options, choice: Box<dyn Choice>, make: Make<M>) -> Self {
        let hosts = (0..options.hosts)
            .map(|at| Host::new(address(at), options.aliases))
            .collect();
        Self {
            options,
            choice,
            make,
            now: Instant::ZERO,
            hosts,
            links: BTreeMap::new(),
            next_link: 1,
            time_waits: BTreeMap::new(),
            met: 0,
            agenda: BTreeMap::new(),
            planned: 0,
            registry: Registry::default(),
            trace: Trace::default(),
            steps: 0,
            out: Vec::new(),
            watch: None,
            tap: None,
            names: Names::default(),
        }
    }

    /// Virtual time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// When the next thing happens; `None` when nothing ever will.
    pub fn next_at(&self) -> Option<Instant> {
        self.agenda.first_key_value().map(|((at, _), _)| *at)
    }

    /// The hash of all that happened.
    pub const fn hash(&self) -> u64 {
        self.trace.value()
    }

    /// Steps of all machines so far.
    pub const fn steps(&self) -> u64 {
        self.steps
    }

    /// The hosts, to look at.
    pub fn hosts(&self) -> &[Host<M>] {
        &self.hosts
    }

    /// The settings.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// Links that are not dead.
    pub fn link_ids(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// The tips of the hosts that are up.
    pub fn tips(&self) -> Vec<Tip> {
        self.hosts
            .iter()
            .filter(|host| host.node.is_some())
            .map(|host| host.application.tip)
            .collect()
    }

    /// Whether every host that is up has this tip.
    pub fn all_at(&self, tip: Tip) -> bool {
        self.tips().iter().all(|at| *at == tip)
    }

    /// The blocks that were ever made here.
    pub const fn registry(&self) -> &Registry {
        &self.registry
    }

    /// An order of the application, at once.
    pub fn command(&mut self, at: usize, command: Command) {
        if let Some(host) = self.hosts.get_mut(at) {
            match &command {
                Command::AddPeer(peer) => {
                    host.peers.insert(*peer);
                }
                Command::RemovePeer(peer) => {
                    host.peers.remove(peer);
                }
                _ => {}
            }
        }
        self.plan(Duration::ZERO, at, Due::Feed(Event::Command(command)));
    }

    /// The host has made this block: its application keeps it, its machine is told.
    pub fn extend(&mut self, at: usize, block: Block) {
        if let Some(host) = self.hosts.get_mut(at) {
            host.application.keep(&block.view.point);
            let header = block.header.clone();
            self.registry.add(block);
            self.command(at, Command::Extend { header });
        }
    }

    /// The host has this transaction to give away.
    pub fn submit(&mut self, at: usize, salt: u64, bytes: usize) {
        let (id, tx) = crate::toy::transaction(salt, bytes);
        if let Some(host) = self.hosts.get_mut(at) {
            host.application.hold(id.clone(), tx.clone());
            let bytes = u32::try_from(tx.len()).unwrap_or(u32::MAX);
            self.command(at, Command::Submit { id, bytes });
        }
    }

    /// Lets the next thing happen; `false` when nothing ever will.
    pub fn advance(&mut self) -> Result<bool, Broken> {
        let Some(((at, _), (host, life, due))) = self.agenda.pop_first() else {
            return Ok(false);
        };
        self.now = self.now.max(at);
        self.happen(host, life, due)?;
        Ok(true)
    }

    /// Lets time pass up to and including `until`.
    pub fn run_until(&mut self, until: Instant) -> Result<(), Broken> {
        while self
            .agenda
            .first_key_value()
            .is_some_and(|((at, _), _)| *at <= until)
        {
            self.advance()?;
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// Lets time pass until `goal` holds or `until` has come; whether it held.
    pub fn run_to(&mut self, until: Instant, goal: impl Fn(&Self) -> bool) -> Result<bool, Broken> {
        while !goal(self) {
            match self.agenda.first_key_value() {
                Some(((at, _), _)) if *at <= until => self.advance()?,
                _ => return Ok(false),
            };
        }
        Ok(true)
    }

    fn happen(&mut self, at: usize, life: u32, due: Due) -> Result<(), Broken> {
        let alive = self
            .hosts
            .get(at)
            .is_some_and(|host| host.life == life && host.node.is_some());
        match due {
            Due::Pump(link, side) => self.pump(link, side),
            Due::Arrive(link, side, piece) => self.arrive(link, side, piece),
            Due::Read(link, side) => return self.read(link, side),
            Due::GiveUp(link, side) => self.give_up(link, side),
            Due::Wake if alive => return self.wake(at),
            Due::Turn if alive => return self.turn(at),
            Due::Feed(event) if alive => return self.feed(at, &event),
            Due::FeedConn(conn, event) if alive => {
                return self.feed_conn(at, conn, &event);
            }
            Due::Syn(conn) if alive => self.syn(at, conn),
            Due::SynAck(conn) if alive => self.syn_ack(at, conn),
            Due::Ack(link) => self.ack(link),
            Due::Unopened(link) => self.unopened(link),
            Due::Wake
            | Due::Turn
            | Due::Feed(_)
            | Due::FeedConn(..)
            | Due::Syn(_)
            | Due::SynAck(_) => {}
        }
        Ok(())
    }

    /// Feeds an event of a connection whose socket is still there; the last one takes it away.
    fn feed_conn(&mut self, at: usize, conn: Serial, event: &Event) -> Result<(), Broken> {
        let last = matches!(event, Event::Closed { .. } | Event::ConnectFailed { .. });
        let known = self.hosts.get_mut(at).is_some_and(|host| {
            if last {
                host.sockets.remove(&conn).is_some()
            } else {
                host.sockets.contains_key(&conn)
            }
        });
        if known { self.feed(at, event) } else { Ok(()) }
    }

    fn wake(&mut self, at: usize) -> Result<(), Broken> {
        let Some(host) = self.hosts.get_mut(at) else {
            return Ok(());
        };
        if host.wake.is_none_or(|wake| wake > self.now) {
            return Ok(());
        }
        host.wake = None;
        let deadline = host.node.as_ref().and_then(Node::next_deadline);
        if deadline.is_none_or(|deadline| deadline > self.now) {
            self.plan_wake(at);
            return Ok(());
        }
        self.feed(at, &Event::Tick)
    }

    fn turn(&mut self, at: usize) -> Result<(), Broken> {
        if let Some(host) = self.hosts.get_mut(at) {
            host.turn_due = false;
        }
        self.feed(at, &Event::Turn)
    }

    /// Feeds one event to a machine and carries out what it asks for.
    fn feed(&mut self, at: usize, event: &Event) -> Result<(), Broken> {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(at) else {
            return Ok(());
        };
        let Some(mut node) = host.node.take() else {
            return Ok(());
        };
        if host.steps_now.0 != now {
            host.steps_now = (now, 0);
        }
        host.steps_now.1 += 1;
        host.tally.steps += 1;
        let storm = host.steps_now.1;
        self.steps += 1;
        self.trace.event(now, at, event);
        if self.options.clone_every > 0 && self.steps.is_multiple_of(self.options.clone_every) {
            node = node.clone();
        }
        let checked =
            self.options.laws_every > 0 && self.steps.is_multiple_of(self.options.laws_every);
        let mut out = core::mem::take(&mut self.out);
        let verdict = observed_step(&mut node, now, event, checked, &mut out);
        if let Some(host) = self.hosts.get_mut(at) {
            host.node = Some(node);
        }
        verdict.map_err(|breach| self.broken(at, breach))?;
        if storm > self.options.storm_max {
            return Err(self.broken(at, Breach::Storm { steps: storm }));
        }
        for action in out.drain(..) {
            self.trace.action(&action);
            self.carry_out(at, action)?;
        }
        self.out = out;
        if *event != Event::Turn {
            self.plan_turn(at);
        }
        self.plan_wake(at);
        Ok(())
    }

    const fn broken(&self, host: usize, breach: Breach) -> Broken {
        Broken {
            host,
            at: self.now,
            steps: self.steps,
            breach,
        }
    }

    fn plan(&mut self, after: Duration, host: usize, due: Due) {
        self.plan_at(self.now.after(after), host, due);
    }

    fn plan_at(&mut self, at: Instant, host: usize, due: Due) {
        let life = self.hosts.get(host).map_or(0, |host| host.life);
        self.planned += 1;
        self.agenda
            .insert((at.max(self.now), self.planned), (host, life, due));
    }

    fn plan_turn(&mut self, at: usize) {
        if let Some(host) = self.hosts.get_mut(at)
            && !host.turn_due
        {
            host.turn_due = true;
            self.plan(Duration::ZERO, at, Due::Turn);
        }
    }

    fn plan_wake(&mut self, at: usize) {
        let late = self.draw_span(site::DELAY, at, self.options.late_max);
        let Some(host) = self.hosts.get_mut(at) else {
            return;
        };
        let Some(deadline) = host.node.as_ref().and_then(Node::next_deadline) else {
            return;
        };
        let wake = deadline.max(self.now).after(late);
        if host.wake.is_none_or(|planned| wake < planned) {
            host.wake = Some(wake);
            self.plan_at(wake, at, Due::Wake);
        }
    }

    /// A span from zero to `max`, inclusive.
    fn draw_span(&mut self, at: samanea_core::base::Site, of: usize, max: Duration) -> Duration {
        let us = u32::try_from(max.as_micros()).unwrap_or(u32::MAX);
        let of = u64::try_from(of).unwrap_or(0);
        if us == 0 {
            return Duration::ZERO;
        }
        let drawn = self.choice.below(at, of, us.saturating_add(1));
        Duration::from_micros(u64::from(drawn))
    }

    fn join(&mut self) {
        for at in 0..self.hosts.len() {
            for other in self.neighbours(at) {
                self.command(at, Command::AddPeer(address(other)));
            }
        }
    }

    fn neighbours(&mut self, at: usize) -> Vec<usize> {
        let all = self.hosts.len();
        match self.options.shape {
            Shape::None => Vec::new(),
            Shape::Full => (0..all).filter(|other| *other != at).collect(),
            Shape::Ring if at == 0 && all > 2 => vec![all - 1],
            Shape::Line | Shape::Ring => at.checked_sub(1).into_iter().collect(),
            Shape::Tree => {
                let below = u32::try_from(at).unwrap_or(0);
                let mut known: Vec<_> = (0..2)
                    .filter(|_| at > 0)
                    .map(|_| self.choice.below(site::OPTION, 1, below))
                    .filter_map(|other| usize::try_from(other).ok())
                    .collect();
                known.sort_unstable();
                known.dedup();
                known
            }
        }
    }
}

/// Where a host listens.
pub fn address(at: usize) -> SocketAddr {
    let low = u8::try_from(at % 250).unwrap_or(0) + 1;
    let high = u8::try_from(at / 250).unwrap_or(0);
    SocketAddr::from(([10, 0, high, low], 3_001))
}

/// Where it listens too, in a world with aliases.
pub fn alias(address: SocketAddr) -> SocketAddr {
    let SocketAddr::V4(v4) = address else {
        return address;
    };
    let [a, _, c, d] = v4.ip().octets();
    SocketAddr::from(([a, 1, c, d], v4.port()))
}

/// Steps a node and checks the laws that one step can break.
fn observed_step<M: Subject>(
    node: &mut Node<M>,
    now: Instant,
    event: &Event,
    with_clones: bool,
    out: &mut Vec<Action>,
) -> Result<(), Breach> {
    let twin = with_clones.then(|| node.clone());
    node.step(now, &ToyRules, event.clone(), out);
    node.check_invariants()?;
    if *event == Event::Tick
        && let Some(deadline) = node.next_deadline().filter(|deadline| *deadline <= now)
    {
        return Err(Breach::Deadline { deadline });
    }
    let Some(mut twin) = twin else {
        return Ok(());
    };
    let mut again = Vec::new();
    twin.step(now, &ToyRules, event.clone(), &mut again);
    if again != *out || twin != *node {
        let mut event = format!("{event:?}");
        event.truncate(200);
        return Err(Breach::Impure { event });
    }
    if twin.next_deadline().is_none_or(|deadline| deadline > now) {
        again.clear();
        twin.step(now, &ToyRules, Event::Tick, &mut again);
        if !again.is_empty() || twin != *node {
            return Err(Breach::EarlyTick {
                actions: again.len(),
            });
        }
    }
    Ok(())
}

/// Nothing at all, as bytes.
const NOTHING: Bytes = Bytes::new();
