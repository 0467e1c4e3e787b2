//! What must hold of one node in one of its lives.

use core::{net::SocketAddr, time::Duration};
use std::collections::{BTreeMap, BTreeSet};

use samanea_core::{
    base::Instant,
    governor::{self, Explanation, LocalRoots, Source, Status, Temperature, Trace},
    node::{Engine, Notice},
    proto::handshake::Mode,
};

use crate::governor::{Able, Law, Overlookable, Picture, Seen, Waiting};

/// The longest back-off: 5 s doubled five times and 2 s, and one.
const BACK_OFF_MAX: Duration = Duration::from_secs(163);
/// The longest wait after a hot protocol ended by itself: 120 s and 10 s, and one.
const RETURNED_MAX: Duration = Duration::from_secs(131);
/// From the end of use to cold: closing 120 s, going idle 5 s, the kernel's wait 60 s, and some.
const COOLING_MAX: Duration = Duration::from_secs(200);
/// A dial may be on its way for so long.
const DIAL_MAX: Duration = Duration::from_secs(300);

/// How long somebody may wait for each law.
fn bound(law: Law) -> Duration {
    match law {
        Law::ActiveBelow | Law::Reacts => Duration::from_secs(10),
        Law::GroupHot => Duration::from_secs(11),
        Law::Cools => COOLING_MAX,
        _ => Duration::from_secs(1),
    }
}

/// Local roots as their operator wrote them, names resolved.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) roots: LocalRoots,
    /// Whether some are written as names: then nobody knows when they are known.
    pub(super) named: bool,
    pub(super) at: Instant,
}

/// Watches one life of a node.
pub(super) struct Watcher {
    pub(super) life: u32,
    pub(super) picture: Picture,
    pub(super) written: Written,
    mode: Mode,
    waiting: Waiting,
    excused: BTreeMap<SocketAddr, Instant>,
    unready: BTreeMap<SocketAddr, Instant>,
    /// Until when those that broke a rule are held off.
    pub(super) offenders: BTreeMap<SocketAddr, Instant>,
}

/// What is wrong.
pub(super) type Wrong = (Law, String);

impl Watcher {
    pub(super) fn new(life: u32, written: Written, mode: Mode) -> Self {
        Self {
            life,
            picture: Picture::default(),
            written,
            mode,
            waiting: Waiting::default(),
            excused: BTreeMap::new(),
            unready: BTreeMap::new(),
            offenders: BTreeMap::new(),
        }
    }

    /// The node has said something.
    pub(super) fn said(&mut self, now: Instant, notice: &Notice, seen: &mut Seen) -> Option<Wrong> {
        match notice {
            Notice::Governor(governor::Notice::Trace(trace)) => self.traced(now, trace, seen),
            Notice::Up {
                remote,
                dialled: true,
                agreed,
                ..
            } => {
                let (_, traits) = self.written.roots.get(remote)?;
                if now.since(self.written.at) <= DIAL_MAX {
                    return None;
                }
                let wanted = match self.mode {
                    Mode::InitiatorOnly => Mode::InitiatorOnly,
                    Mode::InitiatorAndResponder => traits.mode,
                };
                seen.case(Law::Mode, 1);
                if wanted == Mode::InitiatorOnly {
                    seen.mark("a root is only used");
                }
                let text = || format!("{remote}: {wanted:?} wanted, {:?}", agreed.data.mode);
                (agreed.data.mode != wanted).then(|| (Law::Mode, text()))
            }
            Notice::Down { remote, .. } => {
                let was = self.picture.peers.get(remote);
                if was.is_some_and(|peer| is_used(peer.status)) {
                    seen.case(Law::Reacts, 1);
                }
                None
            }
            _ => None,
        }
    }

    /// Who is able is taken at once as a rule: a law has a case when somebody was able and taken.
    fn traced(&mut self, now: Instant, trace: &Trace, seen: &mut Seen) -> Option<Wrong> {
        match trace {
            Trace::PromoteCold { peer, source } => {
                seen.case(either(*source, Law::GroupWarm, Law::EstablishedBelow), 1);
                let traits = self.written.roots.get(peer).map(|(_, traits)| traits);
                if traits.is_some_and(|traits| traits.behind_firewall) {
                    seen.case(Law::Firewall, 1);
                }
            }
            Trace::PromoteWarm { source, .. } => {
                seen.case(either(*source, Law::GroupHot, Law::ActiveBelow), 1);
            }
            Trace::DemoteHot { source, .. } => {
                seen.case(either(*source, Law::GroupCool, Law::ActiveAbove), 1);
            }
            Trace::DemoteWarm { .. } => {
                seen.case(Law::EstablishedAbove, 1);
                seen.case(Law::Cools, 1);
            }
            Trace::PromoteColdDone { .. } => seen.mark("made warm"),
            Trace::PromoteWarmDone { .. } => seen.mark("made hot"),
            Trace::DemoteHotDone { .. } => seen.mark("warm by order"),
            Trace::DemoteWarmDone { .. } => seen.mark("cold by order"),
            Trace::PromoteColdFailed { peer, .. } | Trace::DemoteFailed { peer } => {
                seen.mark("a failure");
                self.excused.insert(*peer, now.after(BACK_OFF_MAX));
            }
            Trace::Asynchronous { peer, to, .. } => match to {
                Temperature::Warm => {
                    seen.mark("fell to warm");
                    self.unready.insert(*peer, now.after(RETURNED_MAX));
                }
                Temperature::Cooling | Temperature::Cold | Temperature::Hot => {
                    seen.mark("fell");
                    seen.case(Law::Cools, usize::from(*to == Temperature::Cooling));
                    self.excused.insert(*peer, now.after(BACK_OFF_MAX));
                }
            },
            Trace::Offence { peer, hold_off } => {
                seen.mark("an offence");
                self.excused.insert(*peer, now.after(*hold_off));
                self.offenders.insert(*peer, now.after(*hold_off));
            }
            Trace::ShareResult { taken: 1.., .. } => seen.mark("told of and taken"),
            Trace::Inbound { .. } => seen.mark("met and taken"),
            Trace::Outage(true) => seen.mark("an outage"),
            _ => {}
        }
        None
    }

    /// The end of an instant.
    pub(super) fn settle(
        &mut self,
        now: Instant,
        engine: &Engine,
        stepped: bool,
        seen: &mut Seen,
    ) -> Option<Wrong> {
        if let Some((law, peer, since)) = self.waiting.late(now, bound).next() {
            let explained = engine.explain(peer);
            let text = format!("{peer} is left alone since {since}: {explained}");
            return Some((law, text));
        }
        if stepped {
            self.picture = Picture::of(engine.governor());
            let (counted, told) = (self.picture.recount(), self.picture.counters);
            seen.case(Law::Counters, 1);
            if counted != told {
                return Some((Law::Counters, format!("{told:?}, counted {counted:?}")));
            }
        }
        let able = self.able(now, engine);
        self.waiting.settle(now, able, seen);
        None
    }

    fn able(&self, now: Instant, engine: &Engine) -> Overlookable {
        let mut able = Overlookable::new();
        let later = |of: &BTreeMap<SocketAddr, Instant>, peer: &Explanation| {
            of.get(&peer.peer).is_some_and(|until| *until > now)
        };
        let due = |peer: &Explanation| {
            matches!(peer.status, Status::Cold | Status::ColdWaiting) && !later(&self.excused, peer)
        };
        let ready = |peer: &Explanation| {
            matches!(peer.status, Status::Warm | Status::WarmWaiting) && !later(&self.unready, peer)
        };
        let finder = Able {
            picture: &self.picture,
            due: &due,
            ready: &ready,
        };
        finder.established(true, &mut able);
        finder.active(&mut able);
        if !self.written.named {
            for group in self.written.roots.groups() {
                let member = |peer: &Explanation| group.members.contains_key(&peer.peer);
                finder.group(group.hot, group.warm, member, &mut able);
            }
        }
        let live: BTreeSet<_> = engine
            .conns()
            .filter(|(_, _, _, connected)| *connected)
            .map(|(_, remote, _, _)| remote)
            .collect();
        for peer in self.picture.peers.values() {
            if is_used(peer.status) && !live.contains(&peer.peer) {
                able.insert((Law::Reacts, peer.peer));
            }
            if matches!(peer.status, Status::Closing | Status::Cooling) {
                able.insert((Law::Cools, peer.peer));
            }
        }
        able
    }

    /// All has been well for long: each group has its members, as far as they can be reached.
    pub(super) fn recovered(
        &self,
        now: Instant,
        reachable: impl Fn(&SocketAddr) -> bool,
        seen: &mut Seen,
    ) -> Option<Wrong> {
        for group in self.written.roots.groups() {
            let can = |peer: &SocketAddr| {
                let held = self.offenders.get(peer).is_some_and(|until| *until > now);
                reachable(peer) && !held && self.picture.peers.contains_key(peer)
            };
            let able = group.members.iter().filter(|(peer, traits)| {
                // Who is behind a firewall comes when it wants to.
                can(peer) && !traits.behind_firewall
            });
            let able = u32::try_from(able.count()).unwrap_or(0);
            let member = |peer: &Explanation| {
                peer.source == Source::Local && group.members.contains_key(&peer.peer)
            };
            let count = |is: &dyn Fn(Status) -> bool| {
                self.picture.count(|peer| member(peer) && is(peer.status))
            };
            let (warm, hot) = (count(&Status::is_established), count(&Status::is_active));
            let (want_warm, want_hot) = (group.warm.min(able), group.hot.min(able));
            if want_warm == 0 {
                continue;
            }
            seen.case(Law::Recovers, 1);
            if warm < want_warm || hot < want_hot {
                let text = format!(
                    "{warm} warm of {want_warm}, {hot} hot of {want_hot}: {:?}",
                    self.picture.peers
                );
                return Some((Law::Recovers, text));
            }
        }
        None
    }

    /// Whether a dial begun then goes where it must not.
    pub(super) fn dials(&self, remote: &SocketAddr, since: Instant) -> Option<Wrong> {
        let (_, traits) = self.written.roots.get(remote)?;
        let wrong = traits.behind_firewall && since > self.written.at && !self.written.named;
        wrong.then(|| (Law::Firewall, format!("{remote} is dialled")))
    }
}

/// The law of groups for a local root, else that of targets.
fn either(source: Source, group: Law, target: Law) -> Law {
    if source == Source::Local {
        group
    } else {
        target
    }
}

/// Whether a connection must be there.
const fn is_used(status: Status) -> bool {
    matches!(
        status,
        Status::Warm
            | Status::WarmWaiting
            | Status::Activating
            | Status::Hot
            | Status::Deactivating
    )
}
