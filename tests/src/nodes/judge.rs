//! Plays a scenario of a few nodes and holds the laws against each of them.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use samanea_core::{
    base::{Instant, ProtocolId, Seeded},
    governor::{Group as RootGroup, LocalRoots, Topology},
    node::{Command, Notice},
    proto::handshake::Mode,
};

use super::{
    Conn, Nodes, Plan, Said,
    scenario::{Doing, Group, Member, Scenario, name, topology},
    watch::{Watcher, Written, Wrong},
};
use crate::{
    governor::{Law, Seen},
    play::engine,
    world::{Broken, Hostility, Options, Socket, Transition, address},
};

/// Steps of all nodes within a second at most.
const STEPS_MAX: u64 = 50_000;
/// How long nodes get to find each other after all faults.
const HEALING: Duration = Duration::from_secs(1_000);
/// Notices kept for those who must understand a failure.
const LAST_MAX: usize = 40;

/// What was seen of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Played {
    /// How often laws were put to the test.
    pub seen: Seen,
    /// The hash of all that happened.
    pub hash: u64,
}

/// The scenario that a seed stands for.
pub fn scenario(seed: u64) -> Scenario {
    Scenario::draw(&mut Seeded::new(seed), 12)
}

/// Plays a scenario; what is wrong with it, if anything, and the last that was said.
pub fn judge(scenario: &Scenario, seed: u64) -> Result<Played, String> {
    judge_changed(scenario, seed, |_| {})
}

/// The same of nodes whose plans are changed without the laws knowing it.
pub fn judge_changed(
    scenario: &Scenario,
    seed: u64,
    change: impl Fn(&mut Plan),
) -> Result<Played, String> {
    let mut run = Run::new(scenario, seed, change);
    match run.play(scenario) {
        Ok(()) => Ok(Played {
            hash: run.nodes.world.hash(),
            seen: run.court.seen,
        }),
        Err(broken) => Err(format!("{broken}\n{}", run.court.journal())),
    }
}

struct Run {
    nodes: Nodes,
    court: Court,
    groups: Vec<Vec<Group>>,
}

/// Who watches, and what was seen.
struct Court {
    watchers: Vec<Option<Watcher>>,
    modes: Vec<Mode>,
    topologies: Vec<Written>,
    steps: Vec<u64>,
    seen: Seen,
    second: VecDeque<(Instant, u64)>,
    last: VecDeque<Said<Notice>>,
    sharing: BTreeMap<Conn, bool>,
}

impl Run {
    fn new(scenario: &Scenario, seed: u64, change: impl Fn(&mut Plan)) -> Self {
        let mut plans: Vec<_> = scenario.members.iter().map(Member::plan).collect();
        plans.iter_mut().for_each(change);
        let options = Options {
            profile: scenario.profile,
            roughness: scenario.roughness,
            body_bytes: 300,
            laws_every: 64,
            ..Options::default()
        };
        let groups: Vec<_> = scenario
            .members
            .iter()
            .map(|one| one.groups.clone())
            .collect();
        let topologies = groups.iter().enumerate();
        let topologies = topologies
            .map(|(at, groups)| written(at, groups, Instant::ZERO))
            .collect();
        let mut nodes = Nodes::asleep(options, seed, plans);
        for (at, member) in scenario.members.iter().enumerate() {
            let listens = member.mode == Mode::InitiatorAndResponder;
            nodes.world.set_listens(at, listens);
            let addr = address(at).ip();
            nodes.world.names().set(&name(at), vec![addr]);
        }
        let court = Court {
            watchers: scenario.members.iter().map(|_| None).collect(),
            modes: scenario.members.iter().map(|one| one.mode).collect(),
            topologies,
            steps: vec![0; scenario.members.len()],
            seen: Seen::default(),
            second: VecDeque::new(),
            last: VecDeque::new(),
            sharing: BTreeMap::new(),
        };
        Self {
            nodes,
            court,
            groups,
        }
    }

    fn play(&mut self, scenario: &Scenario) -> Result<(), Broken> {
        for (gap, doing) in &scenario.events {
            self.pass(*gap)?;
            self.happens(doing)?;
        }
        self.heal()?;
        self.pass(HEALING)?;
        self.recovered()?;
        self.shared()?;
        self.court.seen.runs += 1;
        self.court.seen.steps += self.nodes.world.steps();
        Ok(())
    }

    fn pass(&mut self, span: Duration) -> Result<(), Broken> {
        let until = self.nodes.world.now().after(span);
        let court = &mut self.court;
        self.nodes.run_until(until, |nodes| court.settle(nodes))
    }

    fn start(&mut self, at: usize) -> Result<(), Broken> {
        if engine(&self.nodes.world, at).is_some() {
            self.court.seen.mark("a restart");
        }
        self.nodes.start(at)
    }

    fn happens(&mut self, doing: &Doing) -> Result<(), Broken> {
        let now = self.nodes.world.now();
        match doing {
            Doing::Start(at) => return self.start(*at),
            Doing::Crash(at) => self.nodes.world.stop(*at),
            Doing::PowerOff(at) => self.nodes.world.power_off(*at),
            Doing::Groups(at, groups) => {
                let public = self.public(*at);
                let roots = Topology {
                    public,
                    ..topology(groups, &[])
                };
                self.nodes.set_topology(*at, roots);
                self.groups[*at].clone_from(groups);
                let written = written(*at, groups, now);
                self.court.topologies[*at] = written.clone();
                if let Some(watcher) = &mut self.court.watchers[*at] {
                    watcher.written = written;
                }
            }
            Doing::Targets(at, targets) => {
                let (deadline, sync) = (*targets, *targets);
                let command = Command::Targets { deadline, sync };
                self.nodes.world.command(*at, command);
            }
            Doing::Reset(which) => {
                if let Some(link) = self.link(*which) {
                    return self.suffer(Hostility::Reset(link));
                }
            }
            Doing::Hole(which, side) => {
                if let Some(link) = self.link(*which) {
                    return self.suffer(Hostility::Hole(link, *side));
                }
            }
            Doing::NamesFail(span) => self.nodes.world.names().fail_until(now.after(*span)),
        }
        Ok(())
    }

    fn public(&self, at: usize) -> Vec<samanea_core::governor::PublicGroup> {
        let plan = self.nodes.plans.get(at);
        plan.map(|plan| plan.topology.public.clone())
            .unwrap_or_default()
    }

    fn link(&self, which: usize) -> Option<crate::world::LinkId> {
        let links = self.nodes.world.link_ids();
        links.get(which.checked_rem(links.len())?).copied()
    }

    fn suffer(&mut self, hostility: Hostility) -> Result<(), Broken> {
        self.nodes.world.apply(Transition::Hostile(hostility))
    }

    /// All faults end, and whoever is down comes back.
    fn heal(&mut self) -> Result<(), Broken> {
        let now = self.nodes.world.now();
        self.nodes.world.names().fail_until(now);
        for at in 0..self.groups.len() {
            let host = &self.nodes.world.hosts()[at];
            let deaf = host.listens && host.listeners.iter().any(|listener| listener.closed);
            if deaf || host.node.is_none() {
                self.start(at)?;
            }
        }
        self.nodes.world.heal()
    }

    fn recovered(&mut self) -> Result<(), Broken> {
        let now = self.nodes.world.now();
        let hosts = self.nodes.world.hosts();
        let reachable = |peer: &core::net::SocketAddr| {
            let mut hosts = hosts.iter();
            hosts.any(|host| host.address == *peer && host.listens)
        };
        let Court { watchers, seen, .. } = &mut self.court;
        for (at, watcher) in watchers.iter().enumerate() {
            let Some(watcher) = watcher else { continue };
            if let Some(wrong) = watcher.recovered(now, reachable, seen) {
                return Err(broken(&self.nodes, at, wrong));
            }
        }
        Ok(())
    }

    /// Who did not agree to share is never asked.
    fn shared(&mut self) -> Result<(), Broken> {
        let segments = self.nodes.segments();
        for conn in segments.conns(ProtocolId::PEER_SHARING) {
            let agreed = self.court.sharing.get(&conn).copied();
            self.court.seen.mark("sharing on a connection");
            if agreed != Some(true) {
                let text = format!("{conn:?} is used for sharing, agreed: {agreed:?}");
                return Err(broken(&self.nodes, conn.0, (Law::SharingAgreed, text)));
            }
        }
        let without = self.court.sharing.values().filter(|agreed| !**agreed);
        self.court.seen.case(Law::SharingAgreed, without.count());
        Ok(())
    }
}

fn broken(nodes: &Nodes, at: usize, (law, text): Wrong) -> Broken {
    let text = format!("node {at}: {law:?}: {text}");
    nodes.world.unmet_because(text)
}

/// The local roots that these groups make, without the node itself.
fn written(own: usize, groups: &[Group], at: Instant) -> Written {
    let named = groups.iter().any(|group| group.named);
    let groups = groups.iter().map(|group| RootGroup {
        hot: group.hot,
        warm: group.warm,
        members: group
            .members
            .iter()
            .filter(|at| **at != own)
            .map(|at| (address(*at), group.traits))
            .collect(),
    });
    Written {
        roots: LocalRoots::new(groups),
        named,
        at,
    }
}

impl Court {
    /// The end of an instant.
    fn settle(&mut self, nodes: &Nodes) -> Result<(), Broken> {
        self.listen(nodes)?;
        let now = nodes.world.now();
        self.calm(nodes, now)?;
        for (at, host) in nodes.world.hosts().iter().enumerate() {
            let Some(engine) = engine(&nodes.world, at) else {
                self.watchers[at] = None;
                continue;
            };
            let watcher = self.watcher(at, host.life, now);
            let dials = host.sockets.values().filter_map(|socket| match socket {
                Socket::Dialing(dial) => Some((dial.remote, dial.since)),
                Socket::Open(..) => None,
            });
            let mut wrong = None;
            for (remote, since) in dials {
                wrong = wrong.or_else(|| watcher.dials(&remote, since));
            }
            let stepped = self.steps[at] != host.tally.steps;
            self.steps[at] = host.tally.steps;
            let Self { watchers, seen, .. } = self;
            if let Some(watcher) = &mut watchers[at] {
                wrong = wrong.or_else(|| watcher.settle(now, engine, stepped, seen));
            }
            if let Some(wrong) = wrong {
                return Err(broken(nodes, at, wrong));
            }
        }
        Ok(())
    }

    /// The watcher of this life.
    fn watcher(&mut self, at: usize, life: u32, now: Instant) -> &mut Watcher {
        let (mode, written) = (self.modes[at], &self.topologies[at]);
        let of_life = self.watchers[at].take().filter(|one| one.life == life);
        self.watchers[at].insert(of_life.unwrap_or_else(|| {
            let mut written = written.clone();
            written.at = now;
            Watcher::new(life, written, mode)
        }))
    }

    fn listen(&mut self, nodes: &Nodes) -> Result<(), Broken> {
        for said in nodes.take_said() {
            let (now, at, life, notice) = &said;
            if let Notice::Up { conn, agreed, .. } = notice {
                let conn = (*at, *life, *conn);
                self.sharing.insert(conn, agreed.data.peer_sharing);
            }
            let current = nodes.world.hosts()[*at].life == *life;
            let wrong = if current {
                self.watcher(*at, *life, *now);
                let Self { watchers, seen, .. } = self;
                watchers[*at]
                    .as_mut()
                    .and_then(|watcher| watcher.said(*now, notice, seen))
            } else {
                None
            };
            let at = *at;
            if self.last.len() >= LAST_MAX {
                self.last.pop_front();
            }
            self.last.push_back(said);
            if let Some(wrong) = wrong {
                return Err(broken(nodes, at, wrong));
            }
        }
        Ok(())
    }

    /// Never too many steps within a second.
    fn calm(&mut self, nodes: &Nodes, now: Instant) -> Result<(), Broken> {
        let steps = nodes.world.steps();
        self.second.push_back((now, steps));
        while let Some((at, _)) = self.second.front()
            && now.since(*at) > Duration::from_secs(1)
        {
            self.second.pop_front();
        }
        let before = self.second.front().map_or(steps, |(_, steps)| *steps);
        self.seen.case(Law::Livelock, 1);
        if steps.saturating_sub(before) > STEPS_MAX {
            let text = format!("{} steps within a second", steps - before);
            return Err(broken(nodes, 0, (Law::Livelock, text)));
        }
        Ok(())
    }

    fn journal(&self) -> String {
        let lines = self.last.iter().map(|(now, at, life, notice)| {
            let mut line = format!("  {now} {at}.{life} {notice:?}");
            line.truncate(300);
            line
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The shortest scenario found that is still wrong, and why.
pub fn shortest(failing: &Scenario, seed: u64, tries: u32) -> (Scenario, String) {
    let mut kept = failing.clone();
    let mut why = judge(&kept, seed).err().unwrap_or_default();
    let mut left = tries;
    'again: loop {
        let simpler: Vec<_> = kept.simpler().collect();
        for simpler in simpler {
            if left == 0 {
                break 'again;
            }
            left -= 1;
            if let Err(text) = judge(&simpler, seed) {
                (kept, why) = (simpler, text);
                continue 'again;
            }
        }
        break;
    }
    (kept, why)
}

/// The laws that had fewer cases than so many scenarios must show.
pub fn unseen(seen: &Seen) -> Vec<(Law, u64)> {
    let laws = LAWS.into_iter();
    laws.map(|(law, of_100)| (law, seen.cases(law), of_100))
        .filter(|(_, cases, of_100)| cases * 100 < of_100 * seen.runs || *cases == 0)
        .map(|(law, cases, _)| (law, cases))
        .collect()
}

/// Every law of these worlds, and how many cases a hundred scenarios must show at least.
pub const LAWS: [(Law, u64); 15] = [
    (Law::Livelock, 1_000),
    (Law::Counters, 1_000),
    (Law::EstablishedBelow, 5),
    (Law::EstablishedAbove, 5),
    (Law::GroupWarm, 5),
    (Law::GroupHot, 5),
    (Law::ActiveBelow, 5),
    (Law::ActiveAbove, 5),
    (Law::GroupCool, 2),
    (Law::Reacts, 5),
    (Law::Cools, 5),
    (Law::Firewall, 5),
    (Law::Mode, 5),
    (Law::SharingAgreed, 5),
    (Law::Recovers, 5),
];
