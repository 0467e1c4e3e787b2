//! What is around one governor: peers, names, a ledger, and virtual time.
//!
//! Peers go through the stages of the peer actions, and tell their facts in that order:
//! `NotEstablished | Established (Activated? Deactivated)* Activated? Cooling Cold`.

use core::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};
use std::collections::{BTreeMap, BTreeSet};

use samanea_core::{
    base::{Class, Instant, Ticket},
    governor::{
        Action, Answer, Event, Failure, FetchMode, Judgement, Kind, Ledger, LedgerState, NotFound,
        Question, Relay, Snapshot, Targets, Topology,
    },
    proto::handshake::Mode,
};

use super::scenario::{
    Doing, Drop, Lookup, Manners, Meaning, Outcome, PORT, Reply, Scenario, To, Weather,
};

/// What a peer is, as its connection sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// There is none.
    Cold,
    /// It is being made.
    Connecting,
    /// It is there.
    Warm,
    /// It is being made hot.
    Activating,
    /// It is used.
    Hot,
    /// It is being made warm.
    Deactivating,
    /// It ends by order.
    Closing,
    /// It ends by itself.
    Cooling,
}

/// One peer as it is now.
#[derive(Clone, Debug)]
pub struct Line {
    /// What it is.
    pub stage: Stage,
    /// Which of its connections, or attempts at one, this is.
    epoch: u64,
    /// When it was last asked for addresses on this connection.
    pub asked: Option<Instant>,
    /// When it was established.
    pub since: Instant,
    /// No dial is due before this: it has failed.
    pub excused: Instant,
    /// No activation is due before this.
    pub unready: Instant,
    /// How often it broke a rule.
    pub offences: u32,
    /// Whether it was kept and is so no longer: then it is let go at once.
    pub released: bool,
    down_until: Instant,
    turns: Turns,
}

/// How far each habit is gone through.
#[derive(Clone, Copy, Debug, Default)]
struct Turns {
    dials: usize,
    activations: usize,
    manners: usize,
    replies: usize,
    drops: usize,
}

/// What is due at some time.
#[derive(Clone, Debug)]
enum Due {
    Scripted(usize),
    Dialled(usize, u64, Outcome),
    Activation(usize, u64, Outcome),
    Stopped(usize, u64, Manners),
    Cold(usize, u64, Option<Failure>),
    Drops(usize, u64, Drop),
    Shared(usize, u64, Vec<SocketAddr>),
    Resolved(u64, Ticket, Question),
    Lost(usize),
    Ledger,
}

/// What the scenario asks of whoever runs it.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Tell these facts.
    Tell(Vec<Event>),
    /// Restart the governor.
    Restart,
}

/// Everything around the governor.
pub struct World<'a> {
    scenario: &'a Scenario,
    /// The time.
    pub now: Instant,
    /// The peers.
    pub lines: Vec<Line>,
    places: BTreeMap<SocketAddr, usize>,
    queue: BTreeMap<(Instant, u64), Due>,
    queued: u64,
    life: u64,
    slot: u64,
    conns: u64,
    names: Weather,
    network: Weather,
    lookups: Vec<usize>,
    ledger: Option<(u64, Ledger)>,
    /// What the operator and the application said last.
    pub said: Said,
    /// All that was ever told to the governor, from wherever.
    pub revealed: BTreeSet<SocketAddr>,
    /// What could be a big ledger peer, or a bootstrap peer.
    pub big: BTreeSet<SocketAddr>,
    /// See `big`.
    pub bootstrap: BTreeSet<SocketAddr>,
    /// Names and what was last told of them.
    pub answers: BTreeMap<Box<str>, Vec<SocketAddr>>,
    /// Our own addresses.
    pub own: BTreeSet<SocketAddr>,
    /// How many attempts were begun, and how many failed.
    pub dials: (u64, u64),
}

/// What the operator and the application said last.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Targets, if other than in the settings.
    pub targets: Option<(Targets, Targets)>,
    /// Roots.
    pub topology: Topology,
    /// When they were said.
    pub topology_at: Instant,
    /// Whether the chain is old.
    pub judgement: Judgement,
    /// When that was said.
    pub judgement_at: Instant,
    /// How blocks are fetched.
    pub fetch: FetchMode,
    /// The snapshot.
    pub snapshot: Option<Snapshot>,
    /// Peers with mature inbound connections.
    pub mature: BTreeSet<SocketAddr>,
    /// Peers kept.
    pub kept: BTreeSet<SocketAddr>,
    /// When the ledger was told.
    pub ledger_at: Instant,
}

impl<'a> World<'a> {
    /// At time zero, with the scenario before it.
    pub fn new(scenario: &'a Scenario) -> Self {
        let line = Line {
            stage: Stage::Cold,
            epoch: 0,
            asked: None,
            since: Instant::ZERO,
            excused: Instant::ZERO,
            unready: Instant::ZERO,
            offences: 0,
            released: false,
            down_until: Instant::ZERO,
            turns: Turns::default(),
        };
        let addrs = scenario.peers.iter().map(|peer| peer.addr);
        let mut world = Self {
            scenario,
            now: Instant::ZERO,
            lines: vec![line; scenario.peers.len()],
            places: addrs.enumerate().map(|(at, addr)| (addr, at)).collect(),
            queue: BTreeMap::new(),
            queued: 0,
            life: 0,
            slot: 1_000,
            conns: 0,
            names: Weather::Fair,
            network: Weather::Fair,
            lookups: vec![0; scenario.names.len()],
            ledger: None,
            said: Said::default(),
            revealed: BTreeSet::new(),
            big: BTreeSet::new(),
            bootstrap: BTreeSet::new(),
            answers: BTreeMap::new(),
            own: BTreeSet::new(),
            dials: (0, 0),
        };
        let mut at = Instant::ZERO;
        for (place, (after, _)) in scenario.events.iter().enumerate() {
            at = at.after(*after);
            world.at(at, Due::Scripted(place));
        }
        world
    }

    fn at(&mut self, at: Instant, due: Due) {
        self.queued += 1;
        self.queue.insert((at, self.queued), due);
    }

    fn after(&mut self, span: Duration, due: Due) {
        self.at(self.now.after(span), due);
    }

    /// When something is due.
    pub fn next(&self) -> Option<Instant> {
        self.queue.keys().next().map(|(at, _)| *at)
    }

    /// The place of a peer.
    pub fn place(&self, addr: &SocketAddr) -> Option<usize> {
        self.places.get(addr).copied()
    }

    /// The peer at an address.
    pub fn line(&self, addr: &SocketAddr) -> Option<&Line> {
        self.lines.get(self.place(addr)?)
    }

    /// What is due now, if anything is.
    pub fn turn(&mut self) -> Option<Turn> {
        let (at, id) = *self.queue.keys().next()?;
        if at > self.now {
            return None;
        }
        let due = self.queue.remove(&(at, id))?;
        Some(match due {
            Due::Scripted(place) => match &self.scenario.events[place].1 {
                Doing::Restart => {
                    self.restart();
                    Turn::Restart
                }
                doing => Turn::Tell(self.script(doing)),
            },
            due => Turn::Tell(self.due(due)),
        })
    }

    fn is_current(&self, place: usize, epoch: u64, stage: Stage) -> bool {
        let line = &self.lines[place];
        line.epoch == epoch && line.stage == stage
    }

    fn due(&mut self, due: Due) -> Vec<Event> {
        match due {
            Due::Scripted(_) => Vec::new(),
            Due::Dialled(p, epoch, outcome) if self.is_current(p, epoch, Stage::Connecting) => {
                self.dialled(p, outcome)
            }
            Due::Activation(p, epoch, outcome) if self.is_current(p, epoch, Stage::Activating) => {
                self.activated(p, outcome)
            }
            Due::Stopped(p, epoch, manners) if self.is_current(p, epoch, Stage::Deactivating) => {
                self.stopped(p, manners)
            }
            Due::Cold(p, epoch, failure)
                if self.is_current(p, epoch, Stage::Cooling)
                    || self.is_current(p, epoch, Stage::Closing) =>
            {
                vec![self.cold(p, failure)]
            }
            Due::Drops(p, epoch, drop) if self.lines[p].epoch == epoch => self.drops(p, drop),
            Due::Shared(p, epoch, peers) if self.lines[p].epoch == epoch => self.shared(p, peers),
            Due::Resolved(life, ticket, question) if life == self.life => {
                vec![self.resolved(ticket, &question)]
            }
            Due::Lost(place) => self.crash(place, Duration::ZERO),
            Due::Ledger => self.tell_ledger().into_iter().collect(),
            Due::Dialled(..)
            | Due::Activation(..)
            | Due::Stopped(..)
            | Due::Cold(..)
            | Due::Drops(..)
            | Due::Shared(..)
            | Due::Resolved(..) => Vec::new(),
        }
    }

    fn addr(&self, place: usize) -> SocketAddr {
        self.scenario.peers[place].addr
    }

    fn dialled(&mut self, place: usize, outcome: Outcome) -> Vec<Event> {
        let peer = self.addr(place);
        let down = self.network == Weather::Foul || self.lines[place].down_until > self.now;
        let class = if down {
            Some(Class::Network)
        } else {
            outcome.fails
        };
        if let Some(class) = class {
            self.dials.1 += 1;
            let failure = Failure { class, delay: None };
            self.lines[place].stage = Stage::Cold;
            self.excuse(place, failure);
            return vec![Event::NotEstablished { peer, failure }];
        }
        let line = &mut self.lines[place];
        line.stage = Stage::Warm;
        line.asked = None;
        line.since = self.now;
        line.unready = Instant::ZERO;
        self.next_drop(place);
        let sharing = self.scenario.peers[place].sharing && self.scenario.config.sharing;
        vec![Event::Established { peer, sharing }]
    }

    fn next_drop(&mut self, place: usize) {
        let line = &mut self.lines[place];
        let drop = self.scenario.peers[place]
            .drops
            .get(line.turns.drops)
            .copied();
        line.turns.drops += 1;
        let epoch = line.epoch;
        if let Some(drop) = drop {
            self.after(drop.after, Due::Drops(place, epoch, drop));
        }
    }

    fn activated(&mut self, place: usize, outcome: Outcome) -> Vec<Event> {
        match outcome.fails {
            None => {
                self.lines[place].stage = Stage::Hot;
                let peer = self.addr(place);
                vec![Event::Activated { peer }]
            }
            Some(class) => {
                let failure = Failure { class, delay: None };
                vec![self.cooling(place, failure, Duration::from_secs(5))]
            }
        }
    }

    fn stopped(&mut self, place: usize, manners: Manners) -> Vec<Event> {
        let failure = Failure {
            class: Class::Network,
            delay: None,
        };
        match manners {
            Manners::Quick | Manners::Slow => {
                self.lines[place].stage = Stage::Warm;
                let peer = self.addr(place);
                vec![Event::Deactivated { peer, delay: None }]
            }
            Manners::Hangs => vec![self.cooling(place, failure, Duration::from_secs(60))],
        }
    }

    /// A connection ends by itself.
    fn cooling(&mut self, place: usize, failure: Failure, lingers: Duration) -> Event {
        let line = &mut self.lines[place];
        line.stage = Stage::Cooling;
        let epoch = line.epoch;
        self.after(lingers, Due::Cold(place, epoch, Some(failure)));
        self.excuse(place, failure);
        let peer = self.addr(place);
        Event::Cooling {
            peer,
            failure: Some(failure),
        }
    }

    fn cold(&mut self, place: usize, failure: Option<Failure>) -> Event {
        let line = &mut self.lines[place];
        line.stage = Stage::Cold;
        line.asked = None;
        line.epoch += 1;
        if let Some(failure) = failure {
            self.excuse(place, failure);
        }
        let peer = self.addr(place);
        Event::Cold { peer, failure }
    }

    /// How long nobody may expect that the peer is tried again: the longest back-off, and what
    /// the reason asks for.
    fn excuse(&mut self, place: usize, failure: Failure) {
        let config = &self.scenario.config.back_off;
        let line = &mut self.lines[place];
        let kept = self.said.kept.contains(&self.scenario.peers[place].addr);
        let mut span = Duration::from_secs(if kept { 200 } else { 163 });
        if failure.class == Class::Adversarial {
            let doublings = line.offences.min(12);
            line.offences += 1;
            span += (config.hold_off * (1 << doublings)).min(config.hold_off_max);
        }
        span += failure.delay.unwrap_or_default();
        line.excused = line.excused.max(self.now.after(span));
    }

    fn drops(&mut self, place: usize, drop: Drop) -> Vec<Event> {
        let stage = self.lines[place].stage;
        let failure = Failure {
            class: drop.class,
            delay: drop.delay,
        };
        let peer = self.addr(place);
        let up = matches!(
            stage,
            Stage::Warm | Stage::Activating | Stage::Hot | Stage::Deactivating
        );
        let told = match drop.to {
            To::Warm if matches!(stage, Stage::Hot | Stage::Activating) => {
                let line = &mut self.lines[place];
                line.stage = Stage::Warm;
                let fuzz = self.scenario.config.back_off.warm_fuzz;
                line.unready = self.now.after(drop.delay.unwrap_or_default() + fuzz);
                let delay = drop.delay;
                vec![Event::Deactivated { peer, delay }]
            }
            To::Cooling if up => vec![self.cooling(place, failure, Duration::from_secs(60))],
            To::Cold if up => {
                let cooling = self.cooling(place, failure, Duration::from_secs(60));
                vec![cooling, self.cold(place, Some(failure))]
            }
            To::Warm | To::Cooling | To::Cold => Vec::new(),
        };
        if self.lines[place].stage != Stage::Cold {
            self.next_drop(place);
        }
        told
    }

    fn shared(&mut self, place: usize, peers: Vec<SocketAddr>) -> Vec<Event> {
        let told = peers.iter().filter(|peer| self.is_public(peer));
        let told: Vec<SocketAddr> = told.copied().collect();
        self.revealed.extend(told);
        let peer = self.addr(place);
        vec![Event::Shared { peer, peers }]
    }

    /// Whether an address may be taken from a peer.
    pub fn is_public(&self, peer: &SocketAddr) -> bool {
        !self.own.contains(peer) && self.places.contains_key(peer)
    }

    fn tell_ledger(&mut self) -> Option<Event> {
        let (tip, pools) = self.ledger.clone()?;
        self.said.ledger_at = self.now;
        self.reveal_ledger(&pools);
        let tip = (tip > 0).then_some(tip);
        Some(Event::Ledger(Box::new(LedgerState { tip, pools })))
    }

    /// Relays of the ledger that need no lookup.
    pub fn drawn(&self) -> Vec<SocketAddr> {
        let pools = self.ledger.iter().flat_map(|(_, ledger)| ledger.pools());
        let relays = pools.flat_map(|pool| &pool.relays);
        let addrs = relays.filter_map(|relay| match relay {
            Relay::Addr(addr) => Some(*addr),
            Relay::Host { .. } | Relay::Service { .. } => None,
        });
        addrs.collect()
    }

    fn reveal_ledger(&mut self, pools: &Ledger) {
        for pool in pools.pools() {
            for relay in &pool.relays {
                self.reveal(relay);
            }
        }
        for pool in pools.of(Kind::Big) {
            for relay in &pool.relays {
                let behind = self.behind(relay);
                self.big.extend(behind);
            }
        }
    }

    /// All addresses that a relay could ever stand for.
    pub fn behind(&self, relay: &Relay) -> Vec<SocketAddr> {
        match relay {
            Relay::Addr(addr) => vec![*addr],
            Relay::Host { name, .. } => self.hosts(name),
            Relay::Service { name } => {
                let names = self.scenario.names.iter();
                let mut found = names.filter(|known| known.name == *name);
                match found.next().map(|known| &known.meaning) {
                    Some(Meaning::Service(services)) => services
                        .iter()
                        .flat_map(|service| self.hosts(&service.target))
                        .collect(),
                    Some(Meaning::Host(_)) | None => Vec::new(),
                }
            }
        }
    }

    fn hosts(&self, name: &str) -> Vec<SocketAddr> {
        let mut names = self.scenario.names.iter();
        match names.find(|known| *known.name == *name).map(|n| &n.meaning) {
            Some(Meaning::Host(places)) => places.iter().map(|at| self.addr(*at)).collect(),
            Some(Meaning::Service(_)) | None => Vec::new(),
        }
    }

    fn reveal(&mut self, relay: &Relay) {
        let behind = self.behind(relay);
        self.revealed.extend(behind);
    }

    /// Does what the script says at the start.
    pub fn script(&mut self, doing: &Doing) -> Vec<Event> {
        match doing {
            Doing::Targets(deadline, sync) => {
                self.said.targets = Some((*deadline, *sync));
                let (deadline, sync) = (*deadline, *sync);
                vec![Event::Targets { deadline, sync }]
            }
            Doing::Topology(topology) => vec![self.topology(topology)],
            Doing::Judgement(judgement) => {
                if self.said.judgement != *judgement {
                    self.said.judgement_at = self.now;
                }
                self.said.judgement = *judgement;
                vec![Event::Judgement(*judgement)]
            }
            Doing::FetchMode(mode) => {
                self.said.fetch = *mode;
                vec![Event::FetchMode(*mode)]
            }
            Doing::Ledger(tip, pools) => {
                self.ledger = Some((*tip, Ledger::new(pools.clone())));
                self.tell_ledger().into_iter().collect()
            }
            Doing::Snapshot(snapshot) => {
                self.said.snapshot.clone_from(snapshot);
                if let Some(snapshot) = snapshot {
                    let pools = snapshot.pools.clone();
                    self.reveal_ledger(&pools);
                    // The pools of a file of big pools are all big.
                    let relays = pools.pools().iter().flat_map(|pool| &pool.relays);
                    for relay in relays.filter(|_| snapshot.big_only) {
                        let behind = self.behind(relay);
                        self.big.extend(behind);
                    }
                }
                vec![Event::Snapshot(snapshot.clone().map(Box::new))]
            }
            Doing::Mature(places) => vec![self.mature(places)],
            Doing::Own(place) => {
                self.own.insert(self.addr(*place));
                vec![Event::OwnAddress(self.addr(*place))]
            }
            Doing::Keep(place) => {
                self.said.kept.insert(self.addr(*place));
                self.revealed.insert(self.addr(*place));
                vec![Event::Keep(self.addr(*place))]
            }
            Doing::Release(place) => {
                self.said.kept.remove(&self.addr(*place));
                self.lines[*place].released = true;
                vec![Event::Release(self.addr(*place))]
            }
            Doing::Names(weather) => {
                self.names = *weather;
                Vec::new()
            }
            Doing::Network(weather) => self.weather(*weather),
            Doing::Asked(amount) => self.asked(*amount),
            Doing::Block => self.block(),
            Doing::Crash(place) => self.crash(*place, Duration::from_secs(60)),
            Doing::Restart => Vec::new(),
        }
    }

    fn topology(&mut self, topology: &Topology) -> Event {
        let groups = topology.local.iter().map(|group| &group.access_points);
        let groups = groups.chain(topology.public.iter().map(|group| &group.access_points));
        for relay in groups.flatten() {
            self.reveal(relay);
        }
        for relay in topology.bootstrap.iter().flatten() {
            self.reveal(relay);
            let behind = self.behind(relay);
            self.bootstrap.extend(behind);
        }
        self.said.topology = topology.clone();
        self.said.topology_at = self.now;
        Event::Topology(Box::new(topology.clone()))
    }

    fn mature(&mut self, places: &[usize]) -> Event {
        let mature: Vec<(SocketAddr, bool)> = places
            .iter()
            .map(|at| (self.addr(*at), self.scenario.peers[*at].sharing))
            .collect();
        let addrs = mature.iter().map(|(addr, _)| *addr);
        self.said.mature = addrs.collect();
        self.revealed.extend(self.said.mature.iter());
        Event::Mature(mature)
    }

    fn weather(&mut self, weather: Weather) -> Vec<Event> {
        self.network = weather;
        if weather == Weather::Fair {
            return Vec::new();
        }
        for place in 0..self.lines.len() {
            self.after(Duration::ZERO, Due::Lost(place));
        }
        Vec::new()
    }

    fn crash(&mut self, place: usize, down: Duration) -> Vec<Event> {
        self.lines[place].down_until = self.now.after(down);
        let drop = Drop {
            after: Duration::ZERO,
            to: To::Cold,
            delay: None,
            class: Class::Network,
        };
        let stage = self.lines[place].stage;
        let up = matches!(
            stage,
            Stage::Warm | Stage::Activating | Stage::Hot | Stage::Deactivating
        );
        if up {
            self.drops(place, drop)
        } else {
            Vec::new()
        }
    }

    /// Two ask at once, the second for more.
    fn asked(&mut self, amount: u8) -> Vec<Event> {
        let ask = |amount| {
            self.conns += 1;
            let conn = samanea_core::base::Serial(self.conns);
            Event::Asked { conn, amount }
        };
        [amount, amount.saturating_add(3)].map(ask).into()
    }

    fn block(&mut self) -> Vec<Event> {
        self.slot += 20;
        let slot = self.slot;
        let mut told = Vec::new();
        let lines = self.lines.iter().zip(&self.scenario.peers).enumerate();
        for (at, (line, peer)) in lines {
            let peer = peer.addr;
            let turn = u64::try_from(at).unwrap_or(0) + slot / 20;
            if line.stage == Stage::Hot && !turn.is_multiple_of(3) {
                told.push(Event::Announced { peer, slot });
            }
            if line.stage == Stage::Hot && turn.is_multiple_of(4) {
                let bytes = 10_000;
                told.push(Event::Fetched { peer, slot, bytes });
            }
            if line.stage == Stage::Warm && turn.is_multiple_of(2) {
                let took = Duration::from_millis(turn * 7 % 400);
                told.push(Event::RoundTrip { peer, took });
            }
        }
        told
    }

    /// All connections are gone, and nothing that was asked for is answered.
    fn restart(&mut self) {
        self.life += 1;
        for line in &mut self.lines {
            line.stage = Stage::Cold;
            line.epoch += 1;
            line.asked = None;
            line.excused = line.excused.max(self.now.after(Duration::from_secs(163)));
        }
        self.answers.clear();
        self.said.mature.clear();
        self.said.judgement = Judgement::default();
        self.said.judgement_at = self.now;
        self.said.fetch = FetchMode::default();
    }

    /// What a node that has restarted is told.
    pub fn again(&mut self) -> Vec<Event> {
        let mut told = Vec::new();
        if let Some((deadline, sync)) = self.said.targets {
            told.push(Event::Targets { deadline, sync });
        }
        let topology = self.said.topology.clone();
        told.push(self.topology(&topology));
        told.extend(self.tell_ledger());
        if let Some(snapshot) = self.said.snapshot.clone() {
            told.push(Event::Snapshot(Some(Box::new(snapshot))));
        }
        told.extend(self.own.iter().map(|addr| Event::OwnAddress(*addr)));
        told.extend(self.said.kept.iter().map(|addr| Event::Keep(*addr)));
        told
    }

    /// Carries out an order; what follows at once is returned. An order that no peer actions
    /// could carry out is an error.
    pub fn order(&mut self, action: &Action) -> Result<Vec<Event>, String> {
        match action {
            Action::Establish { peer, mode, dial } => self.establish(peer, *mode, *dial),
            Action::Activate { peer } => self.activate(peer),
            Action::Deactivate { peer } => self.deactivate(peer),
            Action::Close { peer } => self.close(peer),
            Action::AskPeers { peer, amount } => self.ask(peer, *amount),
            Action::Sample { peer } => {
                let stage = self.line(peer).map(|line| line.stage);
                let up = stage.is_some_and(|s| (Stage::Warm..=Stage::Deactivating).contains(&s));
                if up {
                    Ok(Vec::new())
                } else {
                    Err(format!("{peer} is asked for its tip while {stage:?}"))
                }
            }
            Action::Resolve { ticket, question } => {
                let due = Due::Resolved(self.life, *ticket, question.clone());
                let quick = Duration::from_millis(50);
                let name = question_name(question);
                let lookup = self.lookup_of(name);
                let span = match lookup {
                    Lookup::Found(_) | Lookup::NoRecord => quick,
                    Lookup::NoAnswer => Duration::from_secs(3),
                    Lookup::NoResolver => Duration::ZERO,
                    Lookup::Late => Duration::from_secs(40),
                };
                self.after(span, due);
                Ok(Vec::new())
            }
            Action::WantLedger => {
                self.after(Duration::from_millis(100), Due::Ledger);
                Ok(Vec::new())
            }
            Action::TellPeers { .. } | Action::Notice(_) => Ok(Vec::new()),
        }
    }

    fn ordered(&self, peer: &SocketAddr, what: &str, from: &[Stage]) -> Result<usize, String> {
        let Some(place) = self.place(peer) else {
            return Err(format!("{what} of {peer}, whom nobody named"));
        };
        let stage = self.lines[place].stage;
        if from.contains(&stage) {
            Ok(place)
        } else {
            Err(format!("{what} of {peer} while {stage:?}"))
        }
    }

    fn establish(
        &mut self,
        peer: &SocketAddr,
        mode: Mode,
        dial: bool,
    ) -> Result<Vec<Event>, String> {
        let _ = mode;
        let place = self.ordered(peer, "establishing", &[Stage::Cold])?;
        self.dials.0 += 1;
        let habits = &self.scenario.peers[place].dials;
        let line = &mut self.lines[place];
        let mut outcome = habits[line.turns.dials % habits.len()];
        line.turns.dials += 1;
        line.stage = Stage::Connecting;
        line.epoch += 1;
        let epoch = line.epoch;
        if !dial {
            let there = self.said.mature.contains(peer);
            outcome = Outcome {
                after: Duration::ZERO,
                fails: (!there).then_some(Class::Network),
            };
        }
        self.after(outcome.after, Due::Dialled(place, epoch, outcome));
        Ok(Vec::new())
    }

    fn activate(&mut self, peer: &SocketAddr) -> Result<Vec<Event>, String> {
        let place = self.ordered(peer, "activation", &[Stage::Warm])?;
        let habits = &self.scenario.peers[place].activations;
        let line = &mut self.lines[place];
        let outcome = habits[line.turns.activations % habits.len()];
        line.turns.activations += 1;
        line.stage = Stage::Activating;
        let epoch = line.epoch;
        self.after(outcome.after, Due::Activation(place, epoch, outcome));
        Ok(Vec::new())
    }

    fn manners(&mut self, place: usize) -> Manners {
        let habits = &self.scenario.peers[place].manners;
        let line = &mut self.lines[place];
        line.turns.manners += 1;
        habits[line.turns.manners % habits.len()]
    }

    fn deactivate(&mut self, peer: &SocketAddr) -> Result<Vec<Event>, String> {
        let place = self.ordered(peer, "deactivation", &[Stage::Hot])?;
        let manners = self.manners(place);
        let line = &mut self.lines[place];
        line.stage = Stage::Deactivating;
        let epoch = line.epoch;
        let span = Duration::from_secs(match manners {
            Manners::Quick => 1,
            Manners::Slow => 30,
            Manners::Hangs => 300,
        });
        self.after(span, Due::Stopped(place, epoch, manners));
        Ok(Vec::new())
    }

    fn close(&mut self, peer: &SocketAddr) -> Result<Vec<Event>, String> {
        let from = [
            Stage::Connecting,
            Stage::Warm,
            Stage::Activating,
            Stage::Hot,
            Stage::Deactivating,
            Stage::Cooling,
        ];
        let place = self.ordered(peer, "closing", &from)?;
        match self.lines[place].stage {
            Stage::Connecting => {
                // The attempt goes on and its result is withdrawn.
                let failure = Failure {
                    class: Class::Internal,
                    delay: None,
                };
                self.lines[place].stage = Stage::Cold;
                self.lines[place].epoch += 1;
                self.excuse(place, failure);
                let peer = *peer;
                Ok(vec![Event::NotEstablished { peer, failure }])
            }
            Stage::Cooling => Ok(Vec::new()),
            _ => {
                let manners = self.manners(place);
                let (span, failure) = match manners {
                    Manners::Quick => (1, None),
                    Manners::Slow => (60, None),
                    Manners::Hangs => {
                        let failure = Failure {
                            class: Class::Network,
                            delay: None,
                        };
                        (180, Some(failure))
                    }
                };
                let line = &mut self.lines[place];
                line.stage = Stage::Closing;
                let epoch = line.epoch;
                self.after(Duration::from_secs(span), Due::Cold(place, epoch, failure));
                let (peer, failure) = (*peer, None);
                Ok(vec![Event::Cooling { peer, failure }])
            }
        }
    }

    fn ask(&mut self, peer: &SocketAddr, amount: u8) -> Result<Vec<Event>, String> {
        let up = [
            Stage::Warm,
            Stage::Activating,
            Stage::Hot,
            Stage::Deactivating,
        ];
        let place = self.ordered(peer, "asking", &up)?;
        let asked = &self.scenario.peers[place];
        let line = &mut self.lines[place];
        let reply = asked.replies[line.turns.replies % asked.replies.len()];
        line.turns.replies += 1;
        line.asked = Some(self.now);
        let epoch = line.epoch;
        let mut told: Vec<SocketAddr> = asked.knows.iter().map(|at| self.addr(*at)).collect();
        told.push((Ipv4Addr::new(192, 168, 7, 7), PORT).into());
        told.extend(told.first().copied());
        told.extend(self.own.iter().copied());
        told.truncate(usize::from(amount.min(10)));
        let span = Duration::from_secs(match reply {
            Reply::Quick => 1,
            Reply::Slow => 5,
            Reply::Late => 25,
            Reply::Silent => return Ok(Vec::new()),
        });
        self.after(span, Due::Shared(place, epoch, told));
        Ok(Vec::new())
    }

    fn lookup_of(&self, name: &str) -> Lookup {
        if self.names == Weather::Foul {
            return Lookup::NoAnswer;
        }
        let mut names = self.scenario.names.iter().zip(&self.lookups);
        let found = names.find(|(known, _)| *known.name == *name);
        found.map_or(Lookup::NoRecord, |(known, turn)| {
            known.lookups[turn % known.lookups.len()]
        })
    }

    fn resolved(&mut self, ticket: Ticket, question: &Question) -> Event {
        let name = question_name(question);
        let lookup = self.lookup_of(name);
        let at = self.scenario.names.iter().position(|n| *n.name == *name);
        if let Some(turn) = at.and_then(|at| self.lookups.get_mut(at)) {
            *turn += 1;
        }
        let answer = match lookup {
            Lookup::NoRecord => Err(NotFound::NoRecord { ttl: None }),
            Lookup::NoAnswer => Err(NotFound::NoAnswer),
            Lookup::NoResolver => Err(NotFound::NoResolver),
            Lookup::Found(ttl) => self.answer(name, question, ttl),
            Lookup::Late => self.answer(name, question, Duration::from_secs(60)),
        };
        Event::Resolved { ticket, answer }
    }

    fn answer(
        &mut self,
        name: &str,
        question: &Question,
        ttl: Duration,
    ) -> Result<Answer, NotFound> {
        let mut names = self.scenario.names.iter();
        let meaning = names.find(|known| *known.name == *name);
        match (question, meaning.map(|known| &known.meaning)) {
            (Question::Addresses { v4, v6, .. }, Some(Meaning::Host(places))) => {
                let addrs = places.iter().map(|at| self.addr(*at));
                let mut addrs: Vec<SocketAddr> = addrs
                    .filter(|addr| if addr.is_ipv4() { *v4 } else { *v6 })
                    .collect();
                addrs.sort_by_key(SocketAddr::is_ipv4);
                if addrs.is_empty() {
                    return Err(NotFound::NoRecord { ttl: Some(ttl) });
                }
                self.answers.insert(name.into(), addrs.clone());
                let addrs: Vec<IpAddr> = addrs.iter().map(SocketAddr::ip).collect();
                Ok(Answer::Addresses { addrs, ttl })
            }
            (Question::Services { .. }, Some(Meaning::Service(services))) => {
                let services = services.clone();
                Ok(Answer::Services { services, ttl })
            }
            _ => Err(NotFound::NoRecord { ttl: None }),
        }
    }
}

/// The name of a question, without the prefix under which the ledger's services are asked for.
fn question_name(question: &Question) -> &str {
    match question {
        Question::Addresses { name, .. } => name,
        Question::Services { name } => name.strip_prefix("_cardano._tcp.").unwrap_or(name),
    }
}
