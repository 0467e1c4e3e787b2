//! Scripts of a few nodes around one: who starts, dials, works, lets go and dies, and when.
//!
//! ```text
//!  node 0      the centre: all traffic has one end there
//!  node 1..    clients (they only dial) and servers (they listen, too)
//! ```
//! A script is plain data. [`Script::draw`] makes well-formed ones from any [`Choice`];
//! [`Script::without`] drops events and whatever lost its ground with them, so that dropping is
//! all that shrinking needs. [`play`](crate::play::play) carries one out.
//! src: ouroboros-network, multi-node connection manager scripts

mod shrink;

use core::{ops::Range, time::Duration};

use samanea_core::{base::Choice, manager::Limits, proto::handshake::Mode};

use crate::{
    tape::site,
    world::{Attenuation, Roughness},
};

pub use shrink::{Shrink, shortest};

/// How events are weighed and spaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// All of them, with pauses of up to some seconds.
    Normal,
    /// Many servers at once and a small hard limit.
    Pruning,
}

/// What a node is, in all its lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only dials.
    Client,
    /// Listens, too.
    Server,
}

/// How much is asked for at each temperature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Blocks.
    pub hot: u8,
    /// Tips.
    pub warm: u8,
    /// Addresses.
    pub established: u8,
}

/// What happens at a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// It starts.
    Start,
    /// It dials the centre.
    ConnectInbound,
    /// The centre dials it.
    ConnectOutbound,
    /// It asks the centre for something.
    WorkInbound(Work),
    /// The centre asks it for something.
    WorkOutbound(Work),
    /// It lets the centre go.
    CloseInbound,
    /// The centre lets it go.
    CloseOutbound,
    /// It dies, and its kernel tells its peers.
    Crash,
    /// Its power goes off: nobody is told.
    PowerOff,
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// So long after the one before.
    pub after: Duration,
    /// Where, from 1 on.
    pub node: usize,
    /// What.
    pub doing: Doing,
}

/// A whole script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// How it was drawn.
    pub flavour: Flavour,
    /// What the centre offers.
    pub centre: Mode,
    /// The centre's limits.
    pub limits: Limits,
    /// What each node is, from node 1 on.
    pub nodes: Vec<Kind>,
    /// What the connections of each node suffer, one after the other.
    pub suffers: Vec<Vec<Attenuation>>,
    /// What happens.
    pub events: Vec<Event>,
}

/// What a prefix of a script has done to a node.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    up: bool,
    inbound: bool,
    outbound: bool,
}

impl Doing {
    /// Whether it makes sense there; if so, it has happened.
    fn apply(self, standing: &mut Standing, kind: Kind) -> bool {
        let Standing {
            up,
            inbound,
            outbound,
        } = *standing;
        let fits = match self {
            Self::Start => !up,
            Self::ConnectInbound => up && !inbound,
            Self::ConnectOutbound => up && !outbound && kind == Kind::Server,
            Self::WorkInbound(_) | Self::CloseInbound => inbound,
            Self::WorkOutbound(_) | Self::CloseOutbound => outbound,
            Self::Crash | Self::PowerOff => up,
        };
        if fits {
            match self {
                Self::Start => standing.up = true,
                Self::ConnectInbound => standing.inbound = true,
                Self::ConnectOutbound => standing.outbound = true,
                Self::CloseInbound => standing.inbound = false,
                Self::CloseOutbound => standing.outbound = false,
                Self::WorkInbound(_) | Self::WorkOutbound(_) => {}
                Self::Crash | Self::PowerOff => *standing = Standing::default(),
            }
        }
        fits
    }

    /// How often it comes: normal, pruning.
    const fn weight(self, flavour: Flavour) -> u32 {
        let (normal, pruning) = match self {
            Self::Start => (12, 17),
            Self::ConnectInbound | Self::ConnectOutbound => (4, 4),
            Self::WorkInbound(_) => (10, 16),
            Self::WorkOutbound(_) => (8, 4),
            Self::CloseInbound => (6, 4),
            Self::CloseOutbound => (4, 20),
            Self::Crash => (3, 1),
            Self::PowerOff => (1, 0),
        };
        match flavour {
            Flavour::Normal => normal,
            Flavour::Pruning => pruning,
        }
    }
}

impl Script {
    /// Draws a script of `events_max` events at most for one to `nodes_max` nodes around the
    /// centre.
    pub fn draw(
        choice: &mut dyn Choice,
        flavour: Flavour,
        nodes_max: u32,
        events_max: usize,
    ) -> Self {
        let mut below = |n: u32| choice.below(site::SCRIPT, 0, n);
        let nodes_min = match flavour {
            Flavour::Normal => 1,
            Flavour::Pruning => nodes_max.min(4),
        };
        let count = nodes_min + below(nodes_max.saturating_sub(nodes_min) + 1);
        let nodes: Vec<_> = (0..count)
            .map(|_| match (flavour, below(17)) {
                (Flavour::Normal, 0..8) | (Flavour::Pruning, 0) => Kind::Client,
                (Flavour::Normal | Flavour::Pruning, _) => Kind::Server,
            })
            .collect();
        let (centre, limits) = match flavour {
            Flavour::Normal if below(4) == 0 => (Mode::InitiatorOnly, Limits::default()),
            Flavour::Normal => (Mode::InitiatorAndResponder, Limits::default()),
            Flavour::Pruning => {
                let hard = below(5);
                let soft = hard / 2 + below(hard - hard / 2 + 1);
                let delay = Duration::ZERO;
                (Mode::InitiatorAndResponder, Limits { soft, hard, delay })
            }
        };
        let suffers = nodes
            .iter()
            .map(|_| match flavour {
                Flavour::Normal if choice.below(site::SCRIPT, 1, 3) == 0 => {
                    Attenuation::script(choice, Roughness::Rough, 4)
                }
                Flavour::Normal | Flavour::Pruning => Vec::new(),
            })
            .collect();
        let mut script = Self {
            flavour,
            centre,
            limits,
            nodes,
            suffers,
            events: Vec::new(),
        };
        script.write(choice, events_max);
        script
    }

    fn write(&mut self, choice: &mut dyn Choice, events_max: usize) {
        let mut standings = vec![Standing::default(); self.nodes.len()];
        while self.events.len() < events_max {
            let after = self.flavour.pause(choice);
            let Some((node, doing)) = self.next(choice, &standings) else {
                break;
            };
            self.push(&mut standings, after, node, doing);
            let kind = self.nodes.get(node - 1).copied();
            if (self.flavour, doing, kind) == (Flavour::Pruning, Doing::Start, Some(Kind::Server)) {
                let work = Doing::WorkInbound(work(choice));
                for doing in [Doing::ConnectInbound, Doing::ConnectOutbound, work] {
                    let after = self.flavour.pause(choice);
                    self.push(&mut standings, after, node, doing);
                }
            }
        }
    }

    /// Draws what happens next: first what, by weight, then where.
    fn next(&self, choice: &mut dyn Choice, standings: &[Standing]) -> Option<(usize, Doing)> {
        let work = work(choice);
        let places = |doing: Doing| -> Vec<usize> {
            standings
                .iter()
                .zip(&self.nodes)
                .enumerate()
                .filter(|(_, (standing, kind))| doing.apply(&mut { **standing }, **kind))
                .map(|(place, _)| place + 1)
                .collect()
        };
        let possible: Vec<_> = [
            Doing::Start,
            Doing::ConnectInbound,
            Doing::ConnectOutbound,
            Doing::WorkInbound(work),
            Doing::WorkOutbound(work),
            Doing::CloseInbound,
            Doing::CloseOutbound,
            Doing::Crash,
            Doing::PowerOff,
        ]
        .into_iter()
        .map(|doing| (doing, doing.weight(self.flavour), places(doing)))
        .filter(|(_, _, places)| !places.is_empty())
        .collect();
        let total = possible.iter().map(|(_, weight, _)| weight).sum();
        let mut drawn = choice.below(site::SCRIPT, 2, total);
        for (doing, weight, places) in possible {
            if drawn < weight {
                let of = u32::try_from(places.len()).unwrap_or(u32::MAX);
                let place = usize::try_from(choice.below(site::SCRIPT, 3, of)).unwrap_or(0);
                return Some((*places.get(place)?, doing));
            }
            drawn -= weight;
        }
        None
    }

    fn push(&mut self, standings: &mut [Standing], after: Duration, node: usize, doing: Doing) {
        let (Some(kind), Some(standing)) = (self.nodes.get(node - 1), standings.get_mut(node - 1))
        else {
            return;
        };
        if doing.apply(standing, *kind) {
            self.events.push(Event { after, node, doing });
        }
    }

    /// The script without these events, and without those that made sense only with them.
    #[must_use]
    pub fn without(&self, dropped: Range<usize>) -> Self {
        let mut shorter = Self {
            events: Vec::new(),
            ..self.clone()
        };
        let mut standings = vec![Standing::default(); self.nodes.len()];
        for (at, event) in self.events.iter().enumerate() {
            if !dropped.contains(&at) {
                shorter.push(&mut standings, event.after, event.node, event.doing);
            }
        }
        shorter
    }

    /// The script in which no connection suffers.
    #[must_use]
    pub fn harmless(&self) -> Self {
        Self {
            suffers: self.suffers.iter().map(|_| Vec::new()).collect(),
            ..self.clone()
        }
    }

    /// Whether no connection suffers and no limit binds.
    pub fn is_harmless(&self) -> bool {
        self.flavour == Flavour::Normal && *self == self.harmless()
    }

    /// Whether every event makes sense where it stands.
    pub fn is_well_formed(&self) -> bool {
        self.without(0..0).events == self.events
    }
}

impl Flavour {
    /// How many events a script usually has.
    pub const fn events(self) -> usize {
        match self {
            Self::Normal => 40,
            Self::Pruning => 60,
        }
    }

    /// Draws a pause.
    fn pause(self, choice: &mut dyn Choice) -> Duration {
        let mut below = |n: u32| u64::from(choice.below(site::SCRIPT, 4, n));
        let ms = match self {
            Self::Normal => match below(16) {
                0..=3 => 0,
                4..=11 => below(1_000),
                12..=14 => below(12_000),
                _ => below(90_000),
            },
            Self::Pruning => {
                let scale = below(1_000);
                match below(65) {
                    0 => scale,
                    1..=16 => scale / 10,
                    17..=48 => scale / 100,
                    _ => scale / 1_000,
                }
            }
        };
        Duration::from_millis(ms)
    }
}

fn work(choice: &mut dyn Choice) -> Work {
    let mut below = |n: u32| u8::try_from(choice.below(site::SCRIPT, 5, n)).unwrap_or(0);
    Work {
        hot: below(4),
        warm: below(3),
        established: below(3),
    }
}

#[cfg(test)]
mod tests {
    use samanea_core::base::Seeded;

    use super::*;

    #[test]
    fn drawn_scripts_are_well_formed_and_hold_every_event() {
        let mut seen = [0_u32; 9];
        for seed in 0..200 {
            let flavour = [Flavour::Normal, Flavour::Pruning][usize::from(seed % 2 == 1)];
            let script = Script::draw(&mut Seeded::new(seed), flavour, 7, 40);
            assert!(script.is_well_formed(), "seed {seed}");
            assert!(script.events.len() >= 40, "seed {seed}");
            for event in &script.events {
                let kind = match event.doing {
                    Doing::Start => 0,
                    Doing::ConnectInbound => 1,
                    Doing::ConnectOutbound => 2,
                    Doing::WorkInbound(_) => 3,
                    Doing::WorkOutbound(_) => 4,
                    Doing::CloseInbound => 5,
                    Doing::CloseOutbound => 6,
                    Doing::Crash => 7,
                    Doing::PowerOff => 8,
                };
                seen[kind] += 1;
            }
        }
        assert!(seen.iter().all(|count| *count > 20), "{seen:?}");
    }

    #[test]
    fn dropping_any_event_leaves_a_well_formed_script() {
        let script = Script::draw(&mut Seeded::new(3), Flavour::Normal, 4, 40);
        for at in 0..script.events.len() {
            let shorter = script.without(at..at + 1);
            assert!(shorter.is_well_formed());
            assert!(shorter.events.len() < script.events.len());
        }
    }
}
