//! Laws that are held at the end of each instant, when all that was begun in it is done.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use samanea_core::{
    base::Instant,
    governor::{
        Action, Config, ConsensusMode, Event, Explanation, Group, LocalRoots, Notice, Relay,
        Source, Status, Topology, Trace, Trust, UseLedger,
    },
};

use super::{
    laws::Law,
    picture::Picture,
    run::Report,
    scenario::Scenario,
    trusted::{is_sensitive, is_trusted},
    world::{Stage, World},
};

/// Watches the ends of instants.
pub(super) struct Settled {
    config: Config,
    /// Since when only trusted peers may be used.
    pub(super) sensitive: Option<Instant>,
    /// Since when only trusted peers are left.
    pub(super) clean: Option<Instant>,
    /// Whether we said that we could not get rid of the others.
    stuck: bool,
    busy: Busy,
    reachable: usize,
}

/// When the governor was busy, and how much of that is earned.
#[derive(Default)]
struct Busy {
    since: Instant,
    last: Instant,
    credit: Duration,
}

impl Settled {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            config: super::run::config(scenario),
            sensitive: None,
            clean: None,
            stuck: false,
            busy: Busy::default(),
            reachable: 0,
        }
    }

    pub(super) fn stepped(
        &mut self,
        now: Instant,
        world: &World<'_>,
        event: &Event,
        actions: &[Action],
    ) {
        self.busy.credit += earned(event, world);
        let is_sensitive = is_sensitive(&self.config, world);
        let anew = matches!(event, Event::Topology(_) | Event::Judgement(_));
        match (is_sensitive, self.sensitive) {
            (true, None) => self.sensitive = Some(now),
            (false, _) => self.sensitive = None,
            (true, Some(_)) => {}
        }
        if !is_sensitive || anew || matches!(event, Event::Keep(_) | Event::Release(_)) {
            self.clean = None;
        }
        for action in actions {
            match action {
                Action::Notice(Notice::Trace(Trace::OnlyTrusted)) if is_sensitive => {
                    self.clean = Some(now);
                }
                Action::Notice(Notice::Trace(
                    Trace::LocalRootsChanged { .. } | Trace::JudgementChanged(_),
                )) => self.clean = None,
                Action::Notice(Notice::Stuck) => self.stuck = true,
                Action::Notice(Notice::Trace(Trace::PromoteColdFailed { delay, .. })) => {
                    self.busy.credit += *delay + Duration::from_secs(60);
                }
                Action::Notice(Notice::Trace(Trace::ChurnStep { .. })) => {
                    self.busy.credit += Duration::from_secs(180);
                }
                _ => {}
            }
        }
    }

    pub(super) fn settle(
        &mut self,
        report: &mut Report<'_>,
        world: &World<'_>,
        picture: &Picture,
        acted: bool,
    ) {
        follows(report, world, picture);
        self.trust(report, world, picture);
        self.locals(report, world, picture);
        self.reach(report, world, picture);
        self.busy(report, acted);
        let since = self.sensitive.map(|since| report.now.since(since));
        if core::mem::take(&mut self.stuck) {
            report.seen.mark("the node is stuck");
            let late = since.is_some_and(|since| since >= self.config.bootstrap_timeout);
            report.holds(Law::Stuck, late && self.clean.is_none(), || {
                format!("given up after {since:?}")
            });
        }
        if picture.count(|peer| peer.source == Source::Big && peer.status.is_active()) > 0 {
            report.seen.mark("a big ledger peer is hot");
        }
        if picture.count(|peer| peer.source == Source::Config && peer.status.is_active()) > 0 {
            report.seen.mark("a public root is hot");
        }
        if picture.count(|peer| peer.source == Source::Bootstrap && peer.status.is_active()) > 0 {
            report.seen.mark("a bootstrap peer is hot");
        }
        if picture.count(|peer| peer.source == Source::NonRoot && peer.status.is_active()) > 0 {
            report.seen.mark("a shared peer is hot");
        }
        for status in picture.peers.values().map(|peer| peer.status) {
            report.seen.mark(match status {
                Status::Cold => "cold",
                Status::ColdWaiting => "cold, waiting",
                Status::Connecting => "connecting",
                Status::Warm => "warm",
                Status::WarmWaiting => "warm, waiting",
                Status::Activating => "activating",
                Status::Closing => "closing",
                Status::Hot => "hot",
                Status::Deactivating => "deactivating",
                Status::Cooling => "cooling",
            });
        }
    }

    /// What consensus is told.
    fn trust(&self, report: &mut Report<'_>, world: &World<'_>, picture: &Picture) {
        let Topology {
            bootstrap,
            use_ledger,
            ..
        } = &world.said.topology;
        let none = bootstrap.as_ref().is_none_or(Vec::is_empty);
        let local_only = *use_ledger == UseLedger::Never && !self.config.sharing && none;
        let ordinary =
            |peer: &Explanation| peer.source != Source::Big && peer.status.is_established();
        let trusted_local =
            |peer: &Explanation| peer.source == Source::Local && is_trusted(world, peer);
        let trusted = if local_only {
            picture.those(ordinary).all(trusted_local)
        } else if bootstrap.is_some() && self.config.consensus == ConsensusMode::Praos {
            picture.those(ordinary).all(|peer| is_trusted(world, peer))
                && picture.count(|p| p.source == Source::Bootstrap && p.status.is_active()) > 0
        } else if self.config.consensus == ConsensusMode::Praos {
            false
        } else {
            picture.counters.big.active >= self.config.big_for_trust
        };
        // The traits of a kept peer, and those of a member of two groups, are not told apart here.
        let doubtful = picture.count(|peer| peer.kept) > 0 || is_ambiguous(world);
        if !doubtful {
            let told = picture.trust == Trust::Trusted;
            report.holds(Law::Trust, told == trusted, || {
                format!("told {:?}, counted {trusted}", picture.trust)
            });
            if trusted {
                report.seen.mark("trusted");
            }
        }
    }

    /// The local roots that the topology and the answers so far make, unless services have a say.
    pub(super) fn expected(&self, world: &World<'_>, picture: &Picture) -> Option<LocalRoots> {
        let mut groups = Vec::new();
        for group in &world.said.topology.local {
            let mut members = BTreeMap::new();
            for relay in &group.access_points {
                match relay {
                    Relay::Addr(addr) => {
                        members.insert(*addr, group.traits);
                    }
                    Relay::Host { name, .. } => {
                        let known = world.answers.get(name).into_iter().flatten();
                        members.extend(known.map(|addr| (*addr, group.traits)));
                    }
                    Relay::Service { .. } => return None,
                }
            }
            // Those kept by command have a group of their own, before all others.
            let kept = &world.said.kept;
            members.retain(|addr, _| !world.own.contains(addr) && !kept.contains(addr));
            groups.push(Group {
                hot: group.hot,
                warm: group.warm,
                members,
            });
        }
        let limit = if base_is_zero(&self.config, world) {
            usize::MAX
        } else {
            usize::try_from(picture.targets.known).ok()?
        };
        Some(LocalRoots::new(groups).clamp(limit).0)
    }

    /// Local roots are those of the topology.
    fn locals(&self, report: &mut Report<'_>, world: &World<'_>, picture: &Picture) {
        if self.sensitive.is_some() || !world.said.kept.is_empty() {
            return;
        }
        if has_names(world) {
            return;
        }
        let Some(expected) = self.expected(world, picture) else {
            return;
        };
        let have: BTreeSet<_> = picture
            .those(|peer| peer.source == Source::Local)
            .map(|peer| peer.peer)
            .collect();
        let want: BTreeSet<_> = expected.members().map(|(peer, _)| peer).collect();
        if !want.is_empty() {
            report.holds(Law::Locals, have == want, || {
                format!("{have:?} are local roots, {want:?} should be")
            });
        }
    }

    /// Who is known can be reached from those whom operator, ledger and connections named.
    fn reach(&mut self, report: &mut Report<'_>, world: &World<'_>, picture: &Picture) {
        if self.reachable == picture.peers.len() {
            return;
        }
        self.reachable = picture.peers.len();
        let lost = picture.peers.keys().find(|p| !world.revealed.contains(*p));
        report.holds(Law::Reachable, lost.is_none(), || {
            format!("nobody ever told of {lost:?}")
        });
    }

    /// It is not busy for longer than it is given something to do.
    fn busy(&mut self, report: &mut Report<'_>, acted: bool) {
        let now = report.now;
        let busy = &mut self.busy;
        if now.since(busy.last) >= Duration::from_secs(45) {
            busy.since = now;
            busy.credit = Duration::ZERO;
        }
        if acted {
            busy.last = now;
            let span = now.since(busy.since);
            let earned = busy.credit + SLACK;
            report.holds(Law::Busyness, span <= earned, || {
                format!("busy for {span:?}, {earned:?} are earned")
            });
        }
    }
}

/// What needs no reason: a minute as in the reference, and two more. There an environment has no
/// names whose time is over one after the other, no cycles of churn, and no dials that fail.
/// src: ouroboros-network, tests of peer selection, excess busyness
const SLACK: Duration = Duration::from_secs(65 + 120);

/// How long an event may keep a governor busy. Targets and peers count as in the reference; a
/// topology counts for each of its names, because all of them are looked up here, and an answer for
/// all the peers that it may bring. What peers measure or ask for is no reason at all.
fn earned(event: &Event, world: &World<'_>) -> Duration {
    let seconds = |n: usize| Duration::from_secs(n as u64);
    match event {
        Event::Targets { deadline, .. } => {
            let sum = deadline.known + deadline.established + deadline.active;
            seconds(80 + 10 * sum as usize)
        }
        Event::Topology(topology) => seconds(30 + 60 * points(topology)),
        Event::Ledger(_) | Event::Snapshot(_) | Event::Mature(_) | Event::Restore(_) => {
            seconds(400 + 5 * world.lines.len())
        }
        Event::Shared { peers, .. } => seconds(10 + 5 * peers.len()),
        Event::Resolved { .. } => seconds(60),
        Event::Established { .. }
        | Event::NotEstablished { .. }
        | Event::Activated { .. }
        | Event::Deactivated { .. } => seconds(10),
        Event::Cooling { failure, .. } | Event::Cold { failure, .. } => {
            seconds(if failure.is_some() { 30 } else { 10 })
        }
        Event::Judgement(_)
        | Event::FetchMode(_)
        | Event::Keep(_)
        | Event::Release(_)
        | Event::Members { .. }
        | Event::OwnAddress(_) => seconds(30),
        Event::Asked { .. }
        | Event::Announced { .. }
        | Event::Fetched { .. }
        | Event::RoundTrip { .. }
        | Event::Shutdown
        | Event::Tick => Duration::ZERO,
    }
}

/// Access points of a topology.
fn points(topology: &Topology) -> usize {
    let local = topology.local.iter().map(|group| group.access_points.len());
    let public = topology
        .public
        .iter()
        .map(|group| group.access_points.len());
    let bootstrap = topology.bootstrap.as_ref().map_or(0, Vec::len);
    local.chain(public).sum::<usize>() + bootstrap
}

/// What is believed of each connection is what it is.
fn follows(report: &mut Report<'_>, world: &World<'_>, picture: &Picture) {
    for (addr, peer) in &picture.peers {
        let Some(line) = world.line(addr) else {
            report.breach(Law::Follows, format!("{addr} is nowhere"));
            continue;
        };
        let same = match peer.status {
            Status::Cold | Status::ColdWaiting => line.stage == Stage::Cold,
            Status::Connecting => line.stage == Stage::Connecting,
            Status::Warm | Status::WarmWaiting => line.stage == Stage::Warm,
            Status::Activating => line.stage == Stage::Activating,
            Status::Closing => line.stage == Stage::Closing,
            Status::Hot => line.stage == Stage::Hot,
            Status::Deactivating => line.stage == Stage::Deactivating,
            Status::Cooling => line.stage == Stage::Cooling || line.stage == Stage::Closing,
        };
        report.holds(Law::Follows, same, || {
            format!(
                "{addr} is {:?}, its connection {:?}",
                peer.status, line.stage
            )
        });
    }
    for (at, line) in world.lines.iter().enumerate() {
        let addr = super::scenario::address(at);
        let known = picture.peers.contains_key(&addr);
        let let_go = line.offences > 0 || line.released;
        let gone = line.stage == Stage::Cold || (let_go && !is_used(line.stage));
        report.holds(Law::Follows, known || gone, || {
            format!("{addr} is unknown and {:?}", line.stage)
        });
    }
}

const fn is_used(stage: Stage) -> bool {
    !matches!(stage, Stage::Cold | Stage::Cooling | Stage::Closing)
}

/// Whether local roots have names: those may be told of when they are asked for other reasons
/// first, which is not told apart here.
pub(super) fn has_names(world: &World<'_>) -> bool {
    let groups = world.said.topology.local.iter();
    let mut points = groups.flat_map(|group| &group.access_points);
    points.any(|relay| !matches!(relay, Relay::Addr(_)))
}

/// Whether nothing is aimed at: then local roots are all that is wanted.
pub(super) fn base_is_zero(config: &Config, world: &World<'_>) -> bool {
    let (deadline, sync) = world.said.targets.unwrap_or((config.deadline, config.sync));
    let old = world.said.judgement == samanea_core::governor::Judgement::TooOld;
    if config.consensus == ConsensusMode::Genesis && old {
        sync.is_zero()
    } else {
        deadline.is_zero()
    }
}

/// Whether an address could belong to two groups.
fn is_ambiguous(world: &World<'_>) -> bool {
    let mut seen = BTreeSet::new();
    let groups = world.said.topology.local.iter();
    let mut members = groups.flat_map(|group| {
        let points = group.access_points.iter();
        let behind: BTreeSet<_> = points.flat_map(|relay| world.behind(relay)).collect();
        behind
    });
    members.any(|member| !seen.insert(member))
}
