//! Laws over time: nobody with whom something could be done is left alone for long.
//!
//! For each law the set of peers that the governor could act on is found anew at the end of each
//! instant. Whoever stays in it without a break for longer than the law allows was overlooked.

use core::{net::SocketAddr, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use samanea_core::{
    base::Instant,
    governor::{
        Action, Config, Event, Explanation, Next, Notice, Question, Relay, Source, Status, Trace,
        UseLedger,
    },
};

use super::{
    able::{Able, Overlookable, Waiting},
    laws::{Breach, Law},
    picture::Picture,
    run::Report,
    scenario::{Extras, Scenario, address},
    settled::{Settled, has_names},
    trusted::{is_sensitive, is_trusted},
    world::World,
};

/// Since when each law has had whom before it.
pub(super) struct Overlooked {
    config: Config,
    extras: Extras,
    waiting: Waiting,
    /// Requests for roots of both kinds.
    roots: [Asked; 2],
    names: BTreeMap<Box<str>, Instant>,
    /// Nobody else was known at the end of the last instant.
    only_bootstrap: bool,
}

/// A kind of request that is made again and again.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    open: bool,
    due: Instant,
}

/// How long somebody may wait for each law.
fn bound(law: Law, extras: Extras) -> Duration {
    // Promotions that the caps forbid are looked at again after ten seconds.
    let capped = matches!(law, Law::EstablishedBelow | Law::BigEstablishedBelow);
    if capped && extras == Extras::On {
        return Duration::from_secs(11);
    }
    Duration::from_secs(match law {
        Law::Asks => 30,
        Law::ActiveBelow
        | Law::Roots
        | Law::BigRoots
        | Law::OnlyTrusted
        | Law::StaysTrusted
        | Law::LeavesBootstrap => 10,
        Law::BigActiveBelow | Law::GroupHot => 11,
        Law::TrustedKnown => 600,
        Law::Names => 1_000,
        Law::NotOnlyBootstrap => 400,
        _ => 1,
    })
}

impl Overlooked {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            config: super::run::config(scenario),
            extras: scenario.extras,
            waiting: Waiting::default(),
            roots: [Asked::default(); 2],
            names: BTreeMap::new(),
            only_bootstrap: false,
        }
    }

    pub(super) fn stepped(&mut self, now: Instant, event: &Event, actions: &[Action]) {
        for action in actions {
            match action {
                Action::AskPeers { .. } => self.waiting.forget(Law::Asks),
                Action::Resolve {
                    question: Question::Addresses { name, .. },
                    ..
                } => {
                    self.names.insert(name.clone(), now);
                }
                Action::Notice(Notice::Trace(trace)) => match trace {
                    Trace::RootsRequest { big, .. } => self.roots[usize::from(*big)].open = true,
                    Trace::RootsResult { big, retry, .. } | Trace::RootsFailure { big, retry } => {
                        let due = now.after(*retry);
                        self.roots[usize::from(*big)] = Asked { open: false, due };
                    }
                    Trace::Inbound { .. } => self.waiting.forget(Law::Asks),
                    _ => {}
                },
                _ => {}
            }
        }
        if matches!(event, Event::Judgement(_) | Event::Topology(_)) {
            for asked in &mut self.roots {
                asked.due = asked.due.max(now);
            }
        }
    }

    /// Nothing happens until then: whose time is over by then was overlooked.
    pub(super) fn until(
        &self,
        until: Instant,
        picture: &Picture,
        broken: &mut BTreeMap<Law, Breach>,
    ) {
        let extras = self.extras;
        for (law, peer, since) in self.waiting.late(until, |law| bound(law, extras)) {
            let explained = picture.peers.get(&peer);
            let what = format!("{peer} is left alone since {since}: {explained:?}");
            let at = until;
            broken
                .entry(law)
                .or_insert_with(|| Breach { law, at, what });
        }
    }

    pub(super) fn settle(
        &mut self,
        report: &mut Report<'_>,
        world: &World<'_>,
        picture: &Picture,
        settled: &Settled,
    ) {
        let mut now = BTreeSet::new();
        Self::known(picture, &mut now);
        self.asks(world, picture, &mut now);
        self.roots(report, world, picture, &mut now);
        let at = report.now;
        let due = |peer: &Explanation| {
            let excused = world.line(&peer.peer).is_none_or(|line| line.excused > at);
            let capped = self.extras == Extras::On && peer.next == Next::Diversity;
            matches!(peer.status, COLD | COLD_WAITING) && !excused && !capped
        };
        let ready = |peer: &Explanation| is_ready(world, peer, at);
        let able = Able {
            picture,
            due: &due,
            ready: &ready,
        };
        able.established(!is_sensitive(&self.config, world), &mut now);
        able.active(&mut now);
        groups(world, &able, settled, &mut now);
        kept(world, picture, at, &mut now);
        trusted(report, world, picture, settled, &mut now);
        self.waiting.settle(at, now, report.seen);
    }

    /// Above the target of known peers.
    fn known(picture: &Picture, into: &mut Overlookable) {
        let (targets, counters) = (picture.targets, picture.counters);
        let is_idle = |peer: &Explanation| matches!(peer.status, COLD | COLD_WAITING);
        let ordinary = counters.ordinary;
        if ordinary.known > targets.known && ordinary.known > ordinary.established {
            let roots_too = counters.roots > targets.root;
            let those = picture.those(|peer| {
                is_idle(peer)
                    && !matches!(peer.source, Source::Big | Source::Local)
                    && (roots_too || peer.source == Source::NonRoot)
            });
            add(Law::KnownAbove, those, into);
        }
        if counters.big.known > targets.known_big {
            let those = picture.those(|peer| is_idle(peer) && peer.source == Source::Big);
            add(Law::BigKnownAbove, those, into);
        }
    }

    /// Below it, and somebody could be asked.
    fn asks(&self, world: &World<'_>, picture: &Picture, into: &mut Overlookable) {
        let below = picture.counters.ordinary.known < picture.targets.known;
        if !below || !self.config.sharing || is_sensitive(&self.config, world) {
            return;
        }
        let now = world.now;
        let share = &self.config.share;
        let mut able = picture.those(|peer| {
            let up = matches!(
                peer.status,
                Status::Warm
                    | Status::WarmWaiting
                    | Status::Activating
                    | Status::Hot
                    | Status::Deactivating
            );
            let Some(line) = world.line(&peer.peer) else {
                return false;
            };
            let first = now.since(line.since) >= share.first;
            let again = line.asked.is_none_or(|at| now.since(at) >= share.retry);
            up && peer.sharing == Some(true) && first && again
        });
        if able.next().is_some() {
            into.insert((Law::Asks, address(0)));
        }
    }

    /// Roots are wanted, and a request is due.
    fn roots(
        &mut self,
        report: &mut Report<'_>,
        world: &World<'_>,
        picture: &Picture,
        into: &mut Overlookable,
    ) {
        let now = report.now;
        let sensitive = is_sensitive(&self.config, world);
        let [all, big] = self.roots;
        let wanted = picture.counters.roots < picture.targets.root;
        if wanted && !all.open && all.due <= now {
            into.insert((Law::Roots, address(0)));
        }
        let wanted = picture.counters.big.known < picture.targets.known_big;
        if wanted && !sensitive && !big.open && big.due <= now {
            into.insert((Law::BigRoots, address(0)));
        }
        for group in &world.said.topology.local {
            for relay in &group.access_points {
                if let Relay::Host { name, .. } = relay {
                    let asked = self.names.get(name).copied().unwrap_or(Instant::ZERO);
                    let since = asked.max(world.said.topology_at);
                    if now.since(since) > bound(Law::Names, self.extras) {
                        into.insert((Law::Names, address(0)));
                    }
                }
            }
        }
        self.leaves_bootstrap(report, world, picture, into);
    }

    /// With a young chain the node does not stay on bootstrap peers alone.
    fn leaves_bootstrap(
        &mut self,
        report: &mut Report<'_>,
        world: &World<'_>,
        picture: &Picture,
        into: &mut Overlookable,
    ) {
        let sensitive = is_sensitive(&self.config, world);
        let bootstrap = |p: &Explanation| p.source == Source::Bootstrap;
        let only = !picture.peers.is_empty() && picture.those(|_| true).all(bootstrap);
        let before = core::mem::replace(&mut self.only_bootstrap, only);
        report.seen.case(
            Law::NotOnlyBootstrap,
            usize::from(!sensitive && world.said.topology.bootstrap.is_some()),
        );
        let ledger = world.said.topology.use_ledger == UseLedger::Always;
        let wanted = picture.counters.roots < picture.targets.root;
        let others = world.drawn().iter().any(|peer| {
            let line = world.line(peer);
            let fit = line.is_some_and(|line| line.offences == 0) && world.is_public(peer);
            fit && !world.bootstrap.contains(peer)
        });
        if sensitive || !ledger || !others {
            return;
        }
        // A name has to be looked up, and a file may say something else than the ledger.
        let direct = world.named().is_none() && world.said.snapshot.is_none();
        if before && direct {
            report.seen.case(Law::LeavesBootstrap, 1);
        }
        if only && wanted {
            into.insert((Law::NotOnlyBootstrap, address(0)));
            let [all, _] = self.roots;
            if direct && (all.open || all.due <= report.now) {
                into.insert((Law::LeavesBootstrap, address(0)));
            }
        }
    }
}

const COLD: Status = Status::Cold;
const COLD_WAITING: Status = Status::ColdWaiting;

fn add<'a>(law: Law, those: impl Iterator<Item = &'a Explanation>, into: &mut Overlookable) {
    into.extend(those.map(|peer| (law, peer.peer)));
}

/// Whether a warm peer may be made hot.
fn is_ready(world: &World<'_>, peer: &Explanation, now: Instant) -> bool {
    let unready = world.line(&peer.peer).is_none_or(|line| line.unready > now);
    matches!(peer.status, Status::Warm | Status::WarmWaiting) && !unready
}

fn groups(world: &World<'_>, able: &Able<'_>, settled: &Settled, into: &mut Overlookable) {
    let picture = able.picture;
    if has_names(world) {
        return;
    }
    let Some(expected) = settled.expected(world, picture) else {
        return;
    };
    let is_local = |addr: &SocketAddr| {
        let peer = picture.peers.get(addr);
        peer.is_some_and(|peer| peer.source == Source::Local && !peer.kept)
    };
    for group in expected.groups() {
        if group.members.keys().all(is_local) {
            let member = |peer: &Explanation| group.members.contains_key(&peer.peer);
            able.group(group.hot, group.warm, member, into);
        }
    }
}

fn kept(world: &World<'_>, picture: &Picture, now: Instant, into: &mut Overlookable) {
    let those = picture.those(|peer| {
        let line = world.line(&peer.peer);
        let cold = matches!(peer.status, COLD | COLD_WAITING)
            && line.is_some_and(|line| line.excused <= now);
        peer.kept && (cold || is_ready(world, peer, now))
    });
    add(Law::Kept, those, into);
}

/// While only trusted peers may be used.
fn trusted(
    report: &mut Report<'_>,
    world: &World<'_>,
    picture: &Picture,
    settled: &Settled,
    into: &mut Overlookable,
) {
    if settled.sensitive.is_none() {
        return;
    }
    let untrusted = |peer: &Explanation| !is_trusted(world, peer);
    let is_idle = |peer: &Explanation| {
        matches!(
            peer.status,
            COLD | COLD_WAITING | Status::Warm | Status::WarmWaiting | Status::Hot
        )
    };
    let those = picture.those(|peer| untrusted(peer) && is_idle(peer));
    add(Law::OnlyTrusted, those, into);
    report.seen.case(Law::OnlyTrusted, picture.peers.len());
    if settled.clean.is_none() {
        return;
    }
    let those = picture.those(untrusted);
    add(Law::StaysTrusted, those, into);
    report.seen.case(Law::StaysTrusted, picture.peers.len());
    let Some(expected) = settled.expected(world, picture) else {
        return;
    };
    for (peer, _) in expected.trustable().members() {
        let known = picture.peers.contains_key(&peer);
        report.seen.case(Law::TrustedKnown, 1);
        if !known && world.said.kept.is_empty() {
            into.insert((Law::TrustedKnown, peer));
        }
    }
}
