//! What is around one governor: peers, names, a ledger, and virtual time.
//!
//! Peers go through the stages of the peer actions, and tell their facts in that order:
//! `NotEstablished | Established (Activated? Deactivated)* Activated? Cooling Cold`.

use core::{net::SocketAddr, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use samanea_core::{
    base::{Class, Instant, Ticket},
    governor::{
        Event, Failure, FetchMode, Judgement, Kind, Ledger, LedgerState, Question, Relay, Snapshot,
        Targets, Topology,
    },
};

use super::scenario::{Doing, Drop, Manners, Meaning, Outcome, Scenario, To, Weather};

/// What a peer is, as its connection sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    pub(super) epoch: u64,
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
    pub(super) down_until: Instant,
    pub(super) turns: Turns,
}

/// How far each habit is gone through.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turns {
    pub(super) dials: usize,
    pub(super) activations: usize,
    pub(super) manners: usize,
    pub(super) replies: usize,
    pub(super) drops: usize,
}

/// What is due at some time.
#[derive(Clone, Debug)]
pub(super) enum Due {
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
    pub(super) scenario: &'a Scenario,
    /// The time.
    pub now: Instant,
    /// The peers.
    pub lines: Vec<Line>,
    pub(super) places: BTreeMap<SocketAddr, usize>,
    pub(super) queue: BTreeMap<(Instant, u64), Due>,
    pub(super) queued: u64,
    pub(super) life: u64,
    pub(super) slot: u64,
    pub(super) conns: u64,
    pub(super) names: Weather,
    pub(super) network: Weather,
    pub(super) lookups: Vec<usize>,
    pub(super) ledger: Option<(u64, Ledger)>,
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

/// The longest back-off of a peer, fuzz included: 5 s doubled five times, and 2 s, and a second.
pub(super) const BACK_OFF_MAX: Duration = Duration::from_secs(163);

/// The longest back-off of a peer kept by command: 160 s and a quarter.
const KEPT_BACK_OFF_MAX: Duration = Duration::from_secs(200);

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

    pub(super) fn at(&mut self, at: Instant, due: Due) {
        self.queued += 1;
        self.queue.insert((at, self.queued), due);
    }

    pub(super) fn after(&mut self, span: Duration, due: Due) {
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

    pub(super) fn is_current(&self, place: usize, epoch: u64, stage: Stage) -> bool {
        let line = &self.lines[place];
        line.epoch == epoch && line.stage == stage
    }

    pub(super) fn due(&mut self, due: Due) -> Vec<Event> {
        match due {
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
            Due::Scripted(_)
            | Due::Dialled(..)
            | Due::Activation(..)
            | Due::Stopped(..)
            | Due::Cold(..)
            | Due::Drops(..)
            | Due::Shared(..)
            | Due::Resolved(..) => Vec::new(),
        }
    }

    pub(super) fn addr(&self, place: usize) -> SocketAddr {
        self.scenario.peers[place].addr
    }

    pub(super) fn dialled(&mut self, place: usize, outcome: Outcome) -> Vec<Event> {
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

    pub(super) fn next_drop(&mut self, place: usize) {
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

    pub(super) fn activated(&mut self, place: usize, outcome: Outcome) -> Vec<Event> {
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

    pub(super) fn stopped(&mut self, place: usize, manners: Manners) -> Vec<Event> {
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
    pub(super) fn cooling(&mut self, place: usize, failure: Failure, lingers: Duration) -> Event {
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

    pub(super) fn cold(&mut self, place: usize, failure: Option<Failure>) -> Event {
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
    pub(super) fn excuse(&mut self, place: usize, failure: Failure) {
        let config = &self.scenario.config.back_off;
        let line = &mut self.lines[place];
        let kept = self.said.kept.contains(&self.scenario.peers[place].addr);
        let mut span = if kept {
            KEPT_BACK_OFF_MAX
        } else {
            BACK_OFF_MAX
        };
        if failure.class == Class::Adversarial {
            let doublings = line.offences.min(12);
            line.offences += 1;
            span += (config.hold_off * (1 << doublings)).min(config.hold_off_max);
        }
        span += failure.delay.unwrap_or_default();
        line.excused = line.excused.max(self.now.after(span));
    }

    /// Somebody who was not told to went cold, without a reason perhaps: nobody may expect that
    /// the peer is tried again at once.
    pub(super) fn left(&mut self, peer: &SocketAddr) {
        let Some(place) = self.place(peer) else {
            return;
        };
        let span = if self.said.kept.contains(peer) {
            KEPT_BACK_OFF_MAX
        } else {
            self.scenario.config.back_off.cold_fuzz
        };
        let line = &mut self.lines[place];
        line.excused = line.excused.max(self.now.after(span));
    }

    pub(super) fn drops(&mut self, place: usize, drop: Drop) -> Vec<Event> {
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

    pub(super) fn shared(&mut self, place: usize, peers: Vec<SocketAddr>) -> Vec<Event> {
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

    pub(super) fn tell_ledger(&mut self) -> Option<Event> {
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

    /// A relay of the ledger that needs a lookup.
    pub fn named(&self) -> Option<&Relay> {
        let pools = self.ledger.iter().flat_map(|(_, ledger)| ledger.pools());
        let mut relays = pools.flat_map(|pool| &pool.relays);
        relays.find(|relay| !matches!(relay, Relay::Addr(_)))
    }

    pub(super) fn reveal_ledger(&mut self, pools: &Ledger) {
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

    pub(super) fn hosts(&self, name: &str) -> Vec<SocketAddr> {
        let mut names = self.scenario.names.iter();
        match names.find(|known| *known.name == *name).map(|n| &n.meaning) {
            Some(Meaning::Host(places)) => places.iter().map(|at| self.addr(*at)).collect(),
            Some(Meaning::Service(_)) | None => Vec::new(),
        }
    }

    pub(super) fn reveal(&mut self, relay: &Relay) {
        let behind = self.behind(relay);
        self.revealed.extend(behind);
    }
}
