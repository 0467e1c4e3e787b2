//! What happens to a few nodes: plain data, drawn from any [`Choice`].

use core::time::Duration;

use samanea_core::{
    base::Choice,
    governor::{LocalGroup, PublicGroup, Relay, Targets, Topology, Traits},
    proto::handshake::Mode,
};

use super::Plan;
use crate::{
    tape::site,
    world::{Profile, Roughness, address},
};

/// A group of local roots, named by place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The members.
    pub members: Vec<usize>,
    /// How many must be hot.
    pub hot: u32,
    /// How many must be warm.
    pub warm: u32,
    /// What is said of all of them.
    pub traits: Traits,
    /// Whether they are written as names.
    pub named: bool,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its local roots.
    pub groups: Vec<Group>,
    /// Its public roots.
    pub public: Vec<usize>,
    /// Its targets.
    pub targets: Targets,
    /// Whether it shares addresses.
    pub sharing: bool,
    /// Whether it listens, or only dials.
    pub mode: Mode,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    /// A node starts, or starts anew.
    Start(usize),
    /// It dies, and its kernel tells its peers.
    Crash(usize),
    /// Its power goes off: nobody is told.
    PowerOff(usize),
    /// Its operator writes other local roots.
    Groups(usize, Vec<Group>),
    /// Its operator wants other targets.
    Targets(usize, Targets),
    /// One of the links is reset, by number.
    Reset(usize),
    /// One of the links carries nothing any more in one direction.
    Hole(usize, usize),
    /// Names cannot be looked up for so long.
    NamesFail(Duration),
}

/// A whole scenario: after the last event all faults end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// The nodes.
    pub members: Vec<Member>,
    /// How links behave.
    pub profile: Profile,
    /// How much connections suffer.
    pub roughness: Roughness,
    /// What happens, each so long after the one before.
    pub events: Vec<(Duration, Doing)>,
}

/// Nodes at most.
pub const NODES_MAX: u32 = 5;

impl Scenario {
    /// Draws one of up to so many events.
    pub fn draw(choice: &mut dyn Choice, events_max: u32) -> Self {
        let draw = &mut Draw(choice);
        let count = 2 + draw.below(NODES_MAX - 1);
        let all = usize::try_from(count).unwrap_or(2);
        let delay_min = Duration::from_millis(u64::from(1 + draw.below(100)));
        let profile = Profile {
            delay_min,
            delay_max: delay_min * (1 + draw.below(3)),
            ..Profile::default()
        };
        let roughness = match draw.below(4) {
            0 => Roughness::Gentle,
            1 => Roughness::Rough,
            _ => Roughness::None,
        };
        let members: Vec<_> = (0..all).map(|at| draw.member(at, all)).collect();
        let wanted = 3 + draw.below(events_max.saturating_sub(2).max(1));
        let mut events: Vec<_> = (0..all)
            .map(|at| (draw.ms(2_000), Doing::Start(at)))
            .collect();
        let mut written: Vec<_> = members.iter().map(|one| one.groups.clone()).collect();
        for _ in 0..wanted {
            let gap = match draw.below(3) {
                0 => draw.ms(3_000),
                1 => draw.ms(60_000),
                _ => draw.ms(500_000),
            };
            events.push((gap, draw.doing(&mut written)));
        }
        Self {
            members,
            profile,
            roughness,
            events,
        }
    }

    /// Scenarios with less in them, those with much less first.
    pub fn simpler(&self) -> impl Iterator<Item = Self> {
        let calm = (self.roughness != Roughness::None).then(|| Self {
            roughness: Roughness::None,
            ..self.clone()
        });
        let dropped = (0..self.events.len()).map(|at| {
            let mut fewer = self.clone();
            let (gap, _) = fewer.events.remove(at);
            if let Some((next, _)) = fewer.events.get_mut(at) {
                *next += gap;
            }
            fewer
        });
        calm.into_iter().chain(dropped)
    }
}

impl Member {
    /// As it is told to the node in this place.
    pub fn plan(&self) -> Plan {
        let mut plan = Plan::new();
        plan.config.peer_sharing = self.sharing;
        plan.config.manager.mode = self.mode;
        plan.config.governor.deadline = self.targets;
        plan.topology = topology(&self.groups, &self.public);
        plan
    }
}

/// The name of a node.
pub(super) fn name(at: usize) -> String {
    format!("node{at}.example")
}

/// These roots as a node is told them.
pub(super) fn topology(groups: &[Group], public: &[usize]) -> Topology {
    let local = groups.iter().map(|group| LocalGroup {
        hot: group.hot,
        warm: group.warm,
        traits: group.traits,
        access_points: group
            .members
            .iter()
            .map(|at| relay(*at, group.named))
            .collect(),
    });
    let public = (!public.is_empty()).then(|| PublicGroup {
        advertise: true,
        access_points: public.iter().map(|at| relay(*at, false)).collect(),
    });
    Topology {
        local: local.collect(),
        public: public.into_iter().collect(),
        ..Topology::default()
    }
}

fn relay(at: usize, named: bool) -> Relay {
    if named {
        Relay::Host {
            name: name(at).into(),
            port: address(at).port(),
        }
    } else {
        Relay::Addr(address(at))
    }
}

struct Draw<'a>(&'a mut dyn Choice);

impl Draw<'_> {
    fn below(&mut self, n: u32) -> u32 {
        self.0.below(site::NODES, 0, n)
    }

    fn place(&mut self, all: usize) -> usize {
        let all = u32::try_from(all).unwrap_or(1);
        usize::try_from(self.below(all)).unwrap_or(0)
    }

    fn ms(&mut self, max: u32) -> Duration {
        Duration::from_millis(u64::from(self.below(max)))
    }

    fn member(&mut self, at: usize, all: usize) -> Member {
        Member {
            groups: self.groups(at, all),
            public: (0..all)
                .filter(|other| *other != at && self.below(2) == 0)
                .collect(),
            targets: self.targets(),
            sharing: self.below(4) > 0,
            mode: match self.below(6) {
                0 if at > 0 => Mode::InitiatorOnly,
                _ => Mode::InitiatorAndResponder,
            },
        }
    }

    fn groups(&mut self, at: usize, all: usize) -> Vec<Group> {
        let count = [0, 1, 1, 2][usize::try_from(self.below(4)).unwrap_or(0)];
        let groups = (0..count).map(|_| {
            let members: Vec<_> = (0..all)
                .filter(|other| *other != at && self.below(5) > 1)
                .collect();
            let size = u32::try_from(members.len()).unwrap_or(0);
            let warm = match self.below(2) {
                0 => size.max(1),
                _ => 1 + self.below(size.max(1)),
            };
            let hot = match self.below(2) {
                0 => warm,
                _ => 1 + self.below(warm),
            };
            Group {
                members,
                hot,
                warm,
                traits: Traits {
                    advertise: self.below(2) == 0,
                    trustable: false,
                    behind_firewall: self.below(5) == 0,
                    mode: match self.below(4) {
                        0 => Mode::InitiatorOnly,
                        _ => Mode::InitiatorAndResponder,
                    },
                },
                named: self.below(5) == 0,
            }
        });
        groups.filter(|group| !group.members.is_empty()).collect()
    }

    /// Others, or the same with fewer that must be warm and hot.
    fn other_groups(&mut self, at: usize, all: usize, old: &[Group]) -> Vec<Group> {
        if self.below(3) == 0 || old.is_empty() {
            return self.groups(at, all);
        }
        let fewer = |group: &Group| Group {
            hot: 1,
            warm: 1,
            ..group.clone()
        };
        old.iter().map(fewer).collect()
    }

    /// No fewer known ones than there are nodes: no local root is cut off.
    fn targets(&mut self) -> Targets {
        let known = NODES_MAX + self.below(3);
        let established = match self.below(2) {
            0 => self.below(2),
            _ => NODES_MAX - self.below(3),
        };
        Targets {
            root: self.below(NODES_MAX),
            known,
            established,
            active: self.below(established + 1),
            ..Targets::ZERO
        }
    }

    /// Draws what happens; `written` are the groups of all.
    fn doing(&mut self, written: &mut [Vec<Group>]) -> Doing {
        let all = written.len();
        let at = self.place(all);
        match self.below(16) {
            0..=2 => Doing::Start(at),
            3..=4 => Doing::Crash(at),
            5 => Doing::PowerOff(at),
            6..=9 => {
                let groups = self.other_groups(at, all, &written[at]);
                written[at].clone_from(&groups);
                Doing::Groups(at, groups)
            }
            10..=12 => Doing::Targets(at, self.targets()),
            13 => Doing::Reset(self.place(16)),
            14 => Doing::Hole(self.place(16), self.place(2)),
            _ => Doing::NamesFail(self.ms(200_000)),
        }
    }
}
