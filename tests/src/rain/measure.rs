//! What spreading a message took, and the ways to spread it that are compared.

use core::time::Duration;

use bytes::Bytes;
use samanea_core::{
    base::GroupId,
    rain::{Acks, Config, Shape},
};

use super::{
    rivals::{self, Rival},
    toy::Lots,
    world::{Mood, UNIT, World, quiet},
};

/// What spreading one message took. The originator is not counted among those it reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Members that live to the end, without the originator.
    pub live: u32,
    /// How many of them got it.
    pub reached: u32,
    /// Payloads sent, those to the dead among them.
    pub payloads: u64,
    /// Frames without payload.
    pub controls: u64,
    /// Payloads that came to a member that had it.
    pub duplicates: u64,
    /// How many got it over so many sends.
    pub hops: Vec<u32>,
    /// When the last got it, in hundredths of a unit.
    pub last: u64,
    /// Payloads sent by the busiest member.
    pub busiest: u32,
}

impl Measured {
    /// Nothing yet, among members of whom these are dead.
    pub fn of(dead: &[bool]) -> Self {
        let live = dead.iter().skip(1).filter(|dead| !**dead).count();
        Self {
            live: u32::try_from(live).unwrap_or(u32::MAX),
            ..Self::default()
        }
    }

    /// One more has it, at a time in fractions of a unit of `unit`.
    pub fn got(&mut self, hop: u8, at: u64, unit: u64) {
        self.reached += 1;
        let hop = usize::from(hop);
        if self.hops.len() <= hop {
            self.hops.resize(hop + 1, 0);
        }
        self.hops[hop] += 1;
        self.last = self.last.max(at * 100 / unit);
    }

    /// The most sends that it came over, and what half of them came over at most.
    pub fn hops(&self) -> (usize, usize) {
        let mut left = self.reached.div_ceil(2);
        let half = self.hops.iter().position(|count| {
            left = left.saturating_sub(*count);
            left == 0
        });
        (self.hops.len().saturating_sub(1), half.unwrap_or(0))
    }
}

/// A way to spread a message.
#[derive(Clone, Debug)]
pub enum Scheme {
    /// By our machines with these settings.
    Ours(Box<Config>),
    /// By somebody else's.
    Rival(Rival),
}

impl Scheme {
    /// Those that are compared, with their names.
    pub fn all() -> Vec<(&'static str, Self)> {
        let ours = |shape, acks, chains| {
            let mut config = quiet();
            (config.shape, config.acks, config.cleanup.on) = (shape, acks, chains);
            Self::Ours(Box::new(config))
        };
        let mut one = quiet();
        one.cleanup.custodians = 1;
        vec![
            ("legacy tree", ours(Shape::Legacy, Acks::Off, false)),
            ("legacy tree + chains", ours(Shape::Legacy, Acks::Off, true)),
            ("exact tree", ours(Shape::Exact, Acks::Off, false)),
            (
                "exact tree + adoption",
                ours(Shape::Exact, Acks::All, false),
            ),
            (
                "exact tree + adoption + chains (default)",
                ours(Shape::Exact, Acks::All, true),
            ),
            ("the same, one custodian", Self::Ours(Box::new(one))),
            ("flood, degree 8", Self::Rival(Rival::Flood(8))),
            ("random fan-out 4", Self::Rival(Rival::Random(4))),
            ("random fan-out 8", Self::Rival(Rival::Random(8))),
            ("PlumTree, degree 6", Self::Rival(Rival::Plumtree(6))),
        ]
    }

    /// Spreads one message among n members of whom so many, never the originator, have a mood.
    pub fn measure(&self, n: u32, seed: u64, (count, mood): (u32, Mood)) -> Measured {
        let some = Lots::of(seed, 1).some(count, n, |at| at > 0);
        match self {
            Self::Ours(config) => {
                let mut world = World::of(n, config, seed);
                for at in some {
                    world.set_mood(at, mood);
                }
                measure(&mut world)
            }
            Self::Rival(rival) => {
                let mut dead = vec![false; n as usize];
                for at in some {
                    dead[at as usize] = true;
                }
                rivals::spread(*rival, &dead, seed)
            }
        }
    }
}

/// How long one message is looked at: less than it is kept.
const SPAN: Duration = Duration::from_secs(58);

/// Lets member 0 publish, and looks.
pub fn measure(world: &mut World) -> Measured {
    let before = world.sent();
    let payload = Bytes::from_static(b"a message");
    let Some(id) = world.publish(0, &GroupId::AllStaked, payload) else {
        return Measured::default();
    };
    world.run(SPAN);
    let n = world.members();
    let dead: Vec<bool> = (0..n).map(|at| !world.is_sound(at)).collect();
    let mut measured = Measured::of(&dead);
    let Some(spread) = world.spread(&id) else {
        return measured;
    };
    let unit = u64::try_from(UNIT.as_micros()).unwrap_or(1);
    for (at, got) in &spread.got {
        let micros = u64::try_from(got.at.since(spread.since).as_micros()).unwrap_or(u64::MAX);
        if *at > 0 && !dead[*at as usize] {
            measured.got(got.hop, micros, unit);
        }
    }
    let sent = world.sent();
    measured.payloads = sent.payloads - before.payloads;
    measured.controls = sent.controls - before.controls;
    let stats = (0..n).map(|at| world.rain(at).stats());
    for stats in stats {
        let payloads = u32::try_from(stats.payloads).unwrap_or(u32::MAX);
        measured.busiest = measured.busiest.max(payloads);
        measured.duplicates += stats.duplicates;
    }
    measured
}
