//! Draws scenarios from any `Choice`.

use core::time::Duration;

use samanea_core::{
    base::{Choice, Class, Hash32, Point},
    governor::{
        Config, ConsensusMode, FetchMode, Judgement, Ledger, LocalGroup, Newcomers, Pool,
        PublicGroup, Relay, Service, Snapshot, Targets, Topology, Traits, UseLedger,
    },
    proto::handshake::Mode,
};

use super::scenario::{
    Chance, Doing, Drop, Extras, Flavour, Lookup, Manners, Meaning, Name, Outcome, PORT, Peer,
    Reply, Scenario, To, Weather, address,
};
use crate::tape::site;

/// Draws the parts of a scenario.
pub(super) struct Draw<'a> {
    pub(super) choice: &'a mut dyn Choice,
    pub(super) flavour: Flavour,
}

impl Draw<'_> {
    fn below(&mut self, n: u32) -> u32 {
        self.choice.below(site::SCRIPT, 0, n)
    }

    fn place(&mut self, n: usize) -> usize {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        usize::try_from(self.below(n)).unwrap_or(0)
    }

    /// From half of `n` to `n`.
    pub(super) fn upto(&mut self, n: usize) -> usize {
        n - self.place(n / 2 + 1)
    }

    fn one_in(&mut self, n: u32) -> bool {
        self.below(n) == n - 1
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        let at = self.place(all.len());
        all[at]
    }

    fn some(&mut self, n: usize, max: usize) -> Vec<usize> {
        let count = self.place(max + 1);
        let mut places: Vec<usize> = (0..count).map(|_| self.place(n)).collect();
        places.sort_unstable();
        places.dedup();
        places
    }

    pub(super) fn pause(&mut self, mean: Duration) -> Duration {
        match self.below(4) {
            0 => Duration::ZERO,
            1 => mean / 10,
            2 => mean,
            _ => mean * 3,
        }
    }

    pub(super) fn chance(&mut self) -> Chance {
        match self.below(8) {
            7 => Chance::Last,
            6 => Chance::First,
            _ => Chance::Seeded(u64::from(self.below(1 << 20))),
        }
    }

    pub(super) fn peers(&mut self, max: u32) -> Vec<Peer> {
        let count = usize::try_from(2 + self.below(max.max(3) - 2)).unwrap_or(2);
        let mut knows = vec![Vec::new(); count];
        let edges = self.upto(count * count / 2).max(count).min(count * 6);
        for _ in 0..edges {
            let (from, to) = (self.place(count), self.place(count));
            if from != to && !knows[from].contains(&to) {
                knows[from].push(to);
            }
        }
        let habits = knows.into_iter().enumerate();
        habits.map(|(at, knows)| self.peer(at, knows)).collect()
    }

    fn peer(&mut self, place: usize, knows: Vec<usize>) -> Peer {
        let rough = matches!(self.flavour, Flavour::Rough);
        let replies = [
            Reply::Quick,
            Reply::Quick,
            Reply::Slow,
            Reply::Late,
            Reply::Silent,
        ];
        let manners = [
            Manners::Quick,
            Manners::Quick,
            Manners::Quick,
            Manners::Slow,
            Manners::Hangs,
        ];
        let tame = if rough { 5 } else { 4 };
        let script = 1 + self.place(4);
        Peer {
            addr: address(place),
            knows,
            sharing: !self.one_in(4),
            replies: (0..script).map(|_| self.of(&replies)).collect(),
            dials: (0..script).map(|_| self.outcome()).collect(),
            activations: (0..script).map(|_| self.outcome()).collect(),
            drops: self.drops(),
            manners: (0..script).map(|_| self.of(&manners[..tame])).collect(),
        }
    }

    fn outcome(&mut self) -> Outcome {
        let bad = if matches!(self.flavour, Flavour::Rough) {
            2
        } else {
            8
        };
        let fails = self.one_in(bad).then(|| self.class());
        let after = match self.below(6) {
            0 => Duration::ZERO,
            1 if fails.is_some() => Duration::from_secs(10),
            _ => Duration::from_secs(1),
        };
        Outcome { after, fails }
    }

    fn class(&mut self) -> Class {
        match self.below(12) {
            11 => Class::Adversarial,
            10 => Class::Internal,
            _ => Class::Network,
        }
    }

    /// As the reference weighs them: two of each against six that do nothing.
    fn drops(&mut self) -> Vec<Drop> {
        let mut drops = Vec::new();
        while drops.len() < 6 {
            let to = match self.below(12) {
                6 | 7 => To::Warm,
                8 | 9 => To::Cooling,
                10 | 11 => To::Cold,
                _ => break,
            };
            let delays = [None, Some(10), Some(120), Some(180)];
            drops.push(Drop {
                after: Duration::from_secs(self.of(&[1, 60, 600])),
                to,
                delay: self.of(&delays).map(Duration::from_secs),
                class: self.class(),
            });
        }
        drops
    }

    pub(super) fn names(&mut self, peers: usize) -> Vec<Name> {
        let mut names = Vec::new();
        for at in 0..3 + self.place(3) {
            let lookups = (0..=self.place(4)).map(|_| self.lookup()).collect();
            names.push(Name {
                name: format!("host{at}.pool.test").into(),
                meaning: Meaning::Host(self.some(peers, 4)),
                lookups,
            });
        }
        for at in 0..=self.place(3) {
            let services = (0..=self.place(3))
                .map(|_| Service {
                    priority: u16::try_from(self.below(3)).unwrap_or(0),
                    weight: u16::try_from(self.below(5)).unwrap_or(0),
                    port: PORT,
                    target: format!("host{}.pool.test", self.below(5)).into(),
                })
                .collect();
            names.push(Name {
                name: format!("relays{at}.pool.test").into(),
                meaning: Meaning::Service(services),
                lookups: (0..=self.place(3)).map(|_| self.lookup()).collect(),
            });
        }
        names
    }

    fn lookup(&mut self) -> Lookup {
        let ttls = [0, 30, 60, 300, 900, 5_000];
        match self.below(12) {
            8 => Lookup::NoRecord,
            9 => Lookup::NoAnswer,
            10 => Lookup::NoResolver,
            11 => Lookup::Late,
            _ => Lookup::Found(Duration::from_secs(self.of(&ttls))),
        }
    }

    pub(super) fn config(&mut self, extras: Extras, peers: usize) -> Config {
        let mut config = Config::default();
        config.trace = true;
        if self.flavour == Flavour::Genesis {
            config.consensus = ConsensusMode::Genesis;
            config.big_for_trust = self.below(4);
        }
        config.deadline = self.targets(peers);
        config.sync = self.targets(peers);
        config.sharing = self.flavour != Flavour::Local && !self.one_in(6);
        config.churn.on = !self.one_in(4);
        if extras == Extras::Off {
            config.policy.prefix_max = u32::MAX;
            config.policy.operator_max = u32::MAX;
            config.policy.demoted_hold_off = Duration::ZERO;
            config.policy.count_failed_demotions = false;
            config.policy.detect_outage = false;
            config.policy.close_percent = 0;
            config.policy.newcomers = Newcomers::Nothing;
            config.policy.sample = Duration::ZERO;
        }
        config
    }

    fn targets(&mut self, peers: usize) -> Targets {
        let peers = u32::try_from(peers).unwrap_or(u32::MAX);
        let known = self.below(peers + 4);
        let established = self.below(known + 1);
        let active = self.below(established.min(12) + 1);
        let known_big = self.below(peers / 2 + 2);
        let established_big = self.below(known_big + 1);
        Targets {
            root: self.below(known + 1),
            known,
            established,
            active,
            known_big,
            established_big,
            active_big: self.below(established_big.min(8) + 1),
        }
    }

    fn relay(&mut self, of: &Scenario) -> Relay {
        match self.below(8) {
            6 => {
                let hosts: Vec<&Name> = of.names.iter().filter(|n| n.is_host()).collect();
                let at = self.place(hosts.len());
                Relay::Host {
                    name: hosts[at].name.clone(),
                    port: PORT,
                }
            }
            7 => {
                let services: Vec<&Name> = of.names.iter().filter(|n| !n.is_host()).collect();
                let at = self.place(services.len());
                Relay::Service {
                    name: services[at].name.clone(),
                }
            }
            _ => Relay::Addr(address(self.place(of.peers.len()))),
        }
    }

    fn topology(&mut self, of: &Scenario) -> Topology {
        let local = (0..self.place(4)).map(|_| self.group(of)).collect();
        let public = (0..self.place(3))
            .map(|_| PublicGroup {
                advertise: self.one_in(2),
                access_points: (0..self.place(4)).map(|_| self.relay(of)).collect(),
            })
            .collect();
        let slots = self.below(1_000);
        let use_ledger = match self.below(5) {
            0 => UseLedger::Never,
            1 => UseLedger::After(slots.into()),
            _ => UseLedger::Always,
        };
        let bootstrap = match self.flavour {
            Flavour::Bootstrap => !self.one_in(5),
            Flavour::Local => false,
            _ => self.one_in(6),
        };
        let local_only = self.flavour == Flavour::Local;
        Topology {
            local,
            public: if local_only { Vec::new() } else { public },
            bootstrap: bootstrap.then(|| (0..self.place(4)).map(|_| self.relay(of)).collect()),
            use_ledger: if local_only {
                UseLedger::Never
            } else {
                use_ledger
            },
        }
    }

    fn group(&mut self, of: &Scenario) -> LocalGroup {
        let access_points: Vec<Relay> = (0..=self.place(4)).map(|_| self.relay(of)).collect();
        let warm = self.below(5);
        LocalGroup {
            hot: self.below(warm + 1),
            warm,
            traits: Traits {
                advertise: self.one_in(2),
                trustable: self.one_in(2),
                behind_firewall: self.one_in(6),
                mode: self.of(&[
                    Mode::InitiatorAndResponder,
                    Mode::InitiatorAndResponder,
                    Mode::InitiatorOnly,
                ]),
            },
            access_points,
        }
    }

    fn pools(&mut self, of: &Scenario) -> Vec<Pool> {
        let count = self.place(of.peers.len() / 2 + 2);
        (0..count)
            .map(|_| Pool {
                stake: (1 << 40) + (u64::from(self.below(1 << 16)) << 44),
                relays: (0..=self.place(3)).map(|_| self.relay(of)).collect(),
            })
            .collect()
    }

    fn snapshot(&mut self, of: &Scenario) -> Option<Snapshot> {
        let slot = u64::from(self.below(1_000));
        (!self.one_in(4)).then(|| Snapshot {
            point: Point::Block {
                slot,
                hash: Hash32([u8::try_from(slot % 251).unwrap_or(0); 32]),
            },
            big_only: self.one_in(2),
            pools: Ledger::new(self.pools(of)),
        })
    }

    pub(super) fn start(&mut self, of: &Scenario) -> Vec<Doing> {
        let mut start = Vec::new();
        if self.one_in(2) {
            start.push(Doing::Targets(
                self.targets(of.peers.len()),
                self.targets(of.peers.len()),
            ));
        }
        start.push(Doing::Topology(self.topology(of)));
        if self.flavour != Flavour::Local {
            let tip = u64::from(self.below(1_000));
            start.push(Doing::Ledger(tip, self.pools(of)));
        }
        let young = match self.flavour {
            Flavour::Bootstrap | Flavour::Genesis | Flavour::Bulk => self.one_in(2),
            _ => !self.one_in(8),
        };
        if young {
            start.push(Doing::Judgement(Judgement::YoungEnough));
        }
        if self.flavour == Flavour::Bulk {
            start.push(Doing::FetchMode(FetchMode::BulkSync));
        }
        start
    }

    pub(super) fn doing(&mut self, of: &Scenario) -> Doing {
        let peers = of.peers.len();
        let flavour = self.flavour;
        let special = match flavour {
            Flavour::Bootstrap | Flavour::Genesis if self.one_in(5) => {
                let all = [Judgement::TooOld, Judgement::YoungEnough];
                Some(Doing::Judgement(self.of(&all)))
            }
            Flavour::Outage if self.one_in(6) => {
                let weather = self.of(&[Weather::Fair, Weather::Foul]);
                Some(Doing::Network(weather))
            }
            Flavour::Rough if self.one_in(4) => Some(Doing::Crash(self.place(peers))),
            _ => None,
        };
        if let Some(special) = special {
            return special;
        }
        match self.below(64) {
            0..=3 => Doing::Targets(self.targets(peers), self.targets(peers)),
            4..=9 => Doing::Topology(self.topology(of)),
            10..=11 => Doing::Judgement(self.of(&[Judgement::TooOld, Judgement::YoungEnough])),
            12..=13 => Doing::FetchMode(self.of(&[FetchMode::Deadline, FetchMode::BulkSync])),
            14..=16 if self.flavour != Flavour::Local => {
                let tip = u64::from(self.below(1_000));
                Doing::Ledger(tip, self.pools(of))
            }
            17..=18 if self.flavour != Flavour::Local => Doing::Snapshot(self.snapshot(of)),
            19..=25 if self.flavour != Flavour::Local => Doing::Mature(self.some(peers, 12)),
            26 => Doing::Own(self.place(peers)),
            27..=28 if self.flavour != Flavour::Bootstrap => Doing::Keep(self.place(peers)),
            29..=30 => Doing::Release(self.place(peers)),
            31..=32 => Doing::Names(self.of(&[Weather::Fair, Weather::Foul])),
            33..=35 => Doing::Crash(self.place(peers)),
            36..=42 => Doing::Asked(u8::try_from(self.below(20)).unwrap_or(0)),
            43 => Doing::Restart,
            _ => Doing::Block,
        }
    }
}
