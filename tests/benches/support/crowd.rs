//! A script of events for a governor of about constant size: peers that answer dials, announce
//! blocks, share addresses and go away.

use std::collections::{BTreeMap, VecDeque};

use core::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use samanea_core::{
    base::{Class, Cx, Instant, Machine as _, NoRules, Seeded, Serial},
    governor::{Action, Config, Event, Failure, Governor, Saved, SavedPeer, Status, Targets},
};

/// Of the draws of the machine.
pub(crate) const SEED: u64 = 7;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// The targets are reached: peers announce and answer, one leaves now and then, churn goes on.
    Steady,
    /// Everybody is lost every ten minutes, and seven of ten dials fail.
    Storm,
}

impl Script {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Storm => "start-up storm",
        }
    }
}

/// A governor and what is said to it.
pub(crate) struct Crowd {
    script: Script,
    pub(crate) governor: Governor,
    choice: Seeded,
    /// Draws of the script.
    dice: u64,
    now: Instant,
    size: u32,
    /// Peers there are in all; every second one is known at the beginning.
    population: u32,
    /// Of ten dials so many fail.
    fails: u32,
    /// What will be said, and a number that tells them apart.
    coming: BTreeMap<(Instant, u64), Event>,
    serial: u64,
    warm: Row,
    hot: Row,
    slot: u64,
    told: VecDeque<(Instant, Event)>,
}

impl Crowd {
    pub(crate) fn new(script: Script, size: u32) -> Self {
        Self {
            script,
            governor: Governor::new(config(script, size), (3, 4)),
            choice: Seeded::new(SEED),
            dice: 1,
            now: Instant::from_secs(1),
            size,
            population: size * 2,
            fails: match script {
                Script::Steady => 2,
                Script::Storm => 7,
            },
            coming: BTreeMap::new(),
            serial: 0,
            warm: Row::default(),
            hot: Row::default(),
            slot: 0,
            told: VecDeque::new(),
        }
    }

    /// The event that makes known as many as there are to be.
    pub(crate) fn fill(&mut self) {
        // What is aimed at holds from the first event on.
        self.tell(Event::Tick);
        let peers = (0..self.size).map(|n| SavedPeer {
            peer: addr(n * 2),
            failures: 0,
            reached: n % 8 == 0,
            advertise: Some(true),
            established: false,
        });
        let saved = Saved {
            peers: peers.collect(),
            offenders: Vec::new(),
        };
        self.tell(Event::Restore(Box::new(saved)));
    }

    /// Makes all known, and lets every dial fail until nobody is left who can be dialled.
    pub(crate) fn fail_all(&mut self) {
        self.fails = 10;
        self.fill();
        while let Some((_, event)) = self.coming.pop_first() {
            self.tell(event);
            self.told.clear();
        }
        self.told = VecDeque::new();
    }

    /// Lets so much time pass.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now.after(span);
        while self.now < end {
            self.turn();
        }
    }

    /// What was said until now.
    pub(crate) fn taken(&mut self) -> VecDeque<(Instant, Event)> {
        core::mem::take(&mut self.told)
    }

    /// The next events, at least so many.
    pub(crate) fn more(&mut self, count: usize) -> VecDeque<(Instant, Event)> {
        while self.told.len() < count {
            self.turn();
        }
        self.taken()
    }

    fn draw(&mut self, n: u32) -> u32 {
        // xorshift64: the script needs no better.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        u32::try_from(((self.dice >> 32) * u64::from(n)) >> 32).unwrap()
    }

    /// What happens next in the world, and before it what was to come until then.
    fn turn(&mut self) {
        let (warm, hot) = (self.warm.len(), self.hot.len());
        // Per hour: a block each 20 s, a probe each 97 s, a loss, a question.
        let weights = [180, hot * 180, hot.min(1) * 180, warm * 37, warm, 120];
        let all: u32 = weights.iter().sum();
        let pause = Duration::from_micros(3_600_000_000 / u64::from(all));
        let at = self.now.after(pause);
        self.until(at);
        self.now = at;
        let mut drawn = self.draw(all);
        let mut what = 0;
        while drawn >= weights[what] {
            drawn -= weights[what];
            what += 1;
        }
        match what {
            0 => self.slot += 20,
            1 | 2 => self.block(what == 2),
            3 => self.probe(),
            4 => self.lose(),
            _ => {
                let conn = Serial(u64::from(self.draw(1_000)));
                self.tell(Event::Asked { conn, amount: 10 });
            }
        }
        let wave = Duration::from_secs(600).as_micros();
        let waves = |at: Instant| u128::from(at.as_micros()) / wave;
        if self.script == Script::Storm && waves(at.after(pause)) > waves(at) {
            for peer in self.warm.peers.clone() {
                self.die(peer);
            }
        }
    }

    fn block(&mut self, body: bool) {
        let slot = self.slot;
        let Some(peer) = self.pick_hot() else { return };
        let bytes = 1_000 + self.draw(80_000);
        self.tell(if body {
            Event::Fetched { peer, slot, bytes }
        } else {
            Event::Announced { peer, slot }
        });
    }

    fn probe(&mut self) {
        if let Some(peer) = self.pick_warm() {
            let took = Duration::from_micros(5_000 + u64::from(self.draw(300_000)));
            self.tell(Event::RoundTrip { peer, took });
        }
    }

    fn lose(&mut self) {
        if let Some(peer) = self.pick_warm() {
            self.die(peer);
        }
    }

    fn die(&mut self, peer: SocketAddr) {
        self.cool(peer);
        let failure = Some(NETWORK);
        self.tell(Event::Cold { peer, failure });
    }

    fn pick_warm(&mut self) -> Option<SocketAddr> {
        let at = self.draw(self.warm.len());
        self.warm.peers.get(at as usize).copied()
    }

    fn pick_hot(&mut self) -> Option<SocketAddr> {
        let at = self.draw(self.hot.len());
        self.hot.peers.get(at as usize).copied()
    }

    /// Neither warm nor hot any more.
    fn cool(&mut self, peer: SocketAddr) {
        self.warm.remove(peer);
        self.hot.remove(peer);
    }

    /// What comes until then, in order.
    fn until(&mut self, end: Instant) {
        loop {
            let next = self.coming.first_key_value().map(|((at, _), _)| *at);
            let tick = self.governor.next_deadline();
            let at = next.into_iter().chain(tick).min();
            let Some(at) = at.filter(|at| *at <= end) else {
                return;
            };
            self.now = self.now.max(at);
            if next == Some(at) {
                let (_, event) = self.coming.pop_first().unwrap();
                if self.is_true_still(&event) {
                    self.tell(event);
                }
            } else {
                self.tell(Event::Tick);
            }
        }
    }

    /// A peer that was lost meanwhile says nothing.
    fn is_true_still(&mut self, event: &Event) -> bool {
        let status = |peer| self.governor.status(peer).map(|(_, status)| status);
        match event {
            Event::Established { peer, .. } => {
                self.warm.insert(*peer);
                true
            }
            Event::Activated { peer } => {
                let there = status(peer) == Some(Status::Activating);
                if there {
                    self.hot.insert(*peer);
                }
                there
            }
            Event::Deactivated { peer, .. } => {
                self.hot.remove(*peer);
                status(peer) == Some(Status::Deactivating)
            }
            Event::Cooling { peer, .. } => {
                let there = status(peer) == Some(Status::Closing);
                self.cool(*peer);
                there
            }
            Event::Cold { peer, .. } | Event::Shared { peer, .. } => {
                status(peer).is_some_and(Status::is_established)
            }
            _ => true,
        }
    }

    fn later(&mut self, ms: u32, event: Event) {
        let ms = u64::from(ms / 2 + self.draw(ms));
        self.serial += 1;
        let at = self.now.after(Duration::from_millis(ms));
        self.coming.insert((at, self.serial), event);
    }

    fn tell(&mut self, event: Event) {
        self.told.push_back((self.now, event.clone()));
        let mut out = Vec::new();
        let mut cx = Cx::new(self.now, &mut self.choice, &NoRules, &mut out);
        self.governor.step(&mut cx, event);
        for action in out {
            self.answer(&action);
        }
    }

    fn answer(&mut self, action: &Action) {
        match *action {
            Action::Establish { peer, .. } => {
                if self.draw(10) < self.fails {
                    let failure = NETWORK;
                    self.later(2_000, Event::NotEstablished { peer, failure });
                } else {
                    let sharing = true;
                    self.later(200, Event::Established { peer, sharing });
                }
            }
            Action::Activate { peer } => self.later(100, Event::Activated { peer }),
            Action::Deactivate { peer } => {
                self.later(100, Event::Deactivated { peer, delay: None });
            }
            Action::Close { peer } => {
                let failure = None;
                self.cool(peer);
                self.later(50, Event::Cooling { peer, failure });
                self.later(5_000, Event::Cold { peer, failure });
            }
            Action::AskPeers { peer, amount } => {
                let population = self.population;
                let told = (0..amount.min(10)).map(|_| addr(self.draw(population)));
                let peers = told.collect();
                self.later(200, Event::Shared { peer, peers });
            }
            _ => {}
        }
    }
}

const NETWORK: Failure = Failure {
    class: Class::Network,
    delay: None,
};

/// Peers in no order, each at hand.
#[derive(Default)]
struct Row {
    peers: Vec<SocketAddr>,
    places: BTreeMap<SocketAddr, usize>,
}

impl Row {
    fn len(&self) -> u32 {
        u32::try_from(self.peers.len()).unwrap()
    }

    fn insert(&mut self, peer: SocketAddr) {
        if !self.places.contains_key(&peer) {
            self.places.insert(peer, self.peers.len());
            self.peers.push(peer);
        }
    }

    fn remove(&mut self, peer: SocketAddr) {
        if let Some(at) = self.places.remove(&peer) {
            self.peers.swap_remove(at);
            if let Some(moved) = self.peers.get(at) {
                self.places.insert(*moved, at);
            }
        }
    }
}

/// Targets for so many known peers: as many established and active as are sane.
pub(crate) fn targets(size: u32) -> Targets {
    let (established, active) = match size {
        0..1_000 => (30, 20),
        1_000..100_000 => (100, 50),
        _ => (1_000, 100),
    };
    Targets {
        known: size,
        established,
        active,
        ..Targets::ZERO
    }
}

fn config(script: Script, size: u32) -> Config {
    let mut config = Config::default();
    config.deadline = targets(size);
    config.peers_max = size as usize * 2;
    config.share.take_unroutable = true;
    if script == Script::Storm {
        config.share.first = Duration::from_secs(30);
    }
    // Cold peers change places once. A fifth of a million each hour could not be found again; what
    // it costs to forget and to learn one is a figure of its own.
    config.churn.known_every = u32::MAX;
    config
}

/// The nth of all peers, spread over all networks; no two are the same.
fn addr(n: u32) -> SocketAddr {
    let bits = n.wrapping_mul(0x9e37_79b1);
    (Ipv4Addr::from_bits(bits), 3_001).into()
}

/// Its name.
pub(crate) fn kind(event: &Event) -> &'static str {
    match event {
        Event::Established { .. } => "established",
        Event::NotEstablished { .. } => "not established",
        Event::Activated { .. } => "activated",
        Event::Deactivated { .. } => "deactivated",
        Event::Cooling { .. } => "cooling",
        Event::Cold { .. } => "cold",
        Event::Shared { .. } => "shared",
        Event::Asked { .. } => "asked",
        Event::Announced { .. } => "announced",
        Event::Fetched { .. } => "fetched",
        Event::RoundTrip { .. } => "round trip",
        Event::Tick => "tick",
        _ => "other",
    }
}
