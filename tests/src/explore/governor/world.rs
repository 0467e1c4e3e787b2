//! A state of a scope, and what can happen in it.

use core::{
    hash::{Hash, Hasher},
    net::SocketAddr,
};
use std::collections::VecDeque;

use samanea_core::{
    base::{Choice, Class, Cx, Instant, Machine as _, NoRules, Site},
    governor::{
        Action, ConsensusMode, Event, Failure, Governor, Judgement, Next, Notice, Source, Status,
        Trace,
    },
};

use super::{Act, BIG, End, Fall, LOCAL, PUBLIC, SHARED, Scope, UNIT, Violation, What, laws};
pub use crate::governor::Stage;
use crate::governor::address;

/// The connection to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// What it is.
    pub stage: Stage,
    /// The peer was asked for addresses and has not answered.
    pub asked: bool,
}

impl Line {
    /// Whether it is there and not on its way down.
    pub const fn is_up(self) -> bool {
        matches!(
            self.stage,
            Stage::Warm | Stage::Activating | Stage::Hot | Stage::Deactivating
        )
    }
}

/// A governor and the connections to its peers.
#[derive(Clone, Debug)]
pub struct World {
    now: Instant,
    /// The governor.
    pub governor: Governor,
    /// The connections, by place.
    pub lines: [Line; 4],
    /// Which targets hold.
    targets: usize,
    /// Whether the topology names the local root.
    local: bool,
    /// Whether the local root may be trusted.
    trustable: bool,
    /// What the application says of the chain.
    judgement: Judgement,
    /// Whether a snapshot is loaded.
    snapshot: bool,
    marks: u128,
    broken: Option<Violation>,
}

impl World {
    pub(super) fn new(scope: &Scope) -> Self {
        let line = Line {
            stage: Stage::Cold,
            asked: false,
        };
        let mut world = Self {
            now: Instant::from_secs(1_000),
            governor: Governor::new(scope.config(), (7, 9)),
            lines: [line; 4],
            targets: 0,
            local: true,
            trustable: scope.trustable,
            judgement: Judgement::YoungEnough,
            snapshot: false,
            marks: 0,
            broken: None,
        };
        let mut pick = Pick::of(0);
        world.tell(Event::Tick, &mut pick);
        if scope.judgement {
            world.tell(Event::Judgement(world.judgement), &mut pick);
        }
        if scope.uses_ledger() {
            world.tell(Event::Ledger(Box::new(scope.ledger_state())), &mut pick);
        }
        world.tell(Event::Topology(Box::new(scope.roots(true))), &mut pick);
        // The head start of the local root is over.
        for _ in 0..3 {
            world.now = world.now.after(UNIT);
            world.tell(Event::Tick, &mut pick);
        }
        world.judge();
        world
    }

    pub(super) fn verdict(&self) -> Result<(), Violation> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    pub(super) const fn marks(&self) -> u128 {
        self.marks
    }

    pub(super) fn canonical(&self, out: &mut Vec<u8>) {
        let mut into = Bytes(out);
        self.governor.canonical(self.now).hash(&mut into);
        let told = (self.judgement, self.snapshot);
        (self.lines, self.targets, self.local, told).hash(&mut into);
    }

    /// Remembers the first thing that is wrong.
    pub(super) fn wrong(&mut self, property: &'static str, text: impl Into<String>) {
        if self.broken.is_none() {
            self.broken = Some(Violation::new(property, text));
        }
    }

    /// Nothing is under way, nobody is overlooked, and who waits waits for a time.
    pub(super) fn is_at_rest(&self) -> bool {
        let quiet = |line: &Line| {
            matches!(line.stage, Stage::Cold | Stage::Warm | Stage::Hot) && !line.asked
        };
        let waits = |status| matches!(status, Status::ColdWaiting | Status::WarmWaiting);
        let waiting = self.governor.explain_all().any(|peer| waits(peer.status));
        self.lines.iter().all(quiet)
            && laws::overlooked(self).is_none()
            && (!waiting || self.governor.next_deadline().is_some())
    }

    // What can happen.

    pub(super) fn acts(&self, scope: &Scope, out: &mut Vec<What>) {
        for (at, line) in self.lines.iter().enumerate() {
            self.of_line(scope, at, *line, out);
        }
        let others = (0..scope.targets.len()).filter(|n| *n != self.targets);
        out.extend(others.map(What::Targets));
        if scope.topology {
            out.push(What::Topology(!self.local));
        }
        if scope.judgement {
            out.push(What::Judgement(match self.judgement {
                Judgement::YoungEnough => Judgement::TooOld,
                Judgement::TooOld => Judgement::YoungEnough,
            }));
        }
        if scope.snapshot {
            out.push(What::Snapshot(!self.snapshot));
        }
        if self.governor.next_deadline().is_some() {
            out.push(What::Tick);
        }
    }

    fn of_line(&self, scope: &Scope, at: usize, line: Line, out: &mut Vec<What>) {
        let failures = self
            .governor
            .explain(&address(at))
            .map_or(0, |e| e.failures);
        let fails = failures < scope.failures;
        // Failures of the local root count without end.
        let lies = scope.lies && failures < scope.failures.max(1) && !self.is_offender(at);
        match line.stage {
            Stage::Cold => {}
            Stage::Connecting => {
                out.push(What::Done(at, End::Well));
                if fails {
                    out.push(What::Done(at, End::Broken));
                }
                if lies {
                    out.push(What::Done(at, End::Lied));
                }
            }
            Stage::Warm | Stage::Hot | Stage::Activating | Stage::Deactivating => {
                if matches!(line.stage, Stage::Activating | Stage::Deactivating) {
                    out.push(What::Done(at, End::Well));
                    if fails {
                        out.push(What::Done(at, End::Broken));
                    }
                }
                if lies {
                    out.push(What::Lies(at));
                }
                let drops = scope.falls.iter().copied();
                let drops = drops.filter(|fall| *fall != Fall::Warm || line.stage == Stage::Hot);
                let drops =
                    drops.filter(|fall| fails || !matches!(fall, Fall::Broken | Fall::Cold));
                out.extend(drops.map(|fall| What::Falls(at, fall)));
            }
            Stage::Closing | Stage::Cooling => {
                out.push(What::Over(at, End::Well));
                if fails {
                    out.push(What::Over(at, End::Broken));
                }
                if lies {
                    out.push(What::Over(at, End::Lied));
                }
            }
        }
        if line.asked {
            out.extend([What::Shares(at, false), What::Shares(at, true)]);
        }
    }

    fn is_offender(&self, at: usize) -> bool {
        let saved = self.governor.saved(self.now);
        saved.offenders.iter().any(|one| one.peer == address(at))
    }

    pub(super) fn next(&self, scope: &Scope, act: Act) -> Option<Self> {
        let mut world = self.clone();
        world.marks = 0;
        let mut pick = Pick::of(act.pick);
        let event = world.happen(scope, act.what)?;
        world.tell(event, &mut pick);
        if act.pick > 0 && !pick.asked {
            return None;
        }
        world.judge();
        Some(world)
    }

    /// What the governor is told when this happens.
    fn happen(&mut self, scope: &Scope, what: What) -> Option<Event> {
        let failure = |class: Option<Class>| class.map(|class| Failure { class, delay: None });
        Some(match what {
            What::Done(at, end) => return self.done(at, end),
            What::Over(at, end) => {
                self.set(at, Stage::Cold);
                let (peer, failure) = (address(at), failure(end.class()));
                Event::Cold { peer, failure }
            }
            What::Falls(at, fall) => {
                let peer = address(at);
                let failure = failure(match fall {
                    Fall::Warm | Fall::Cooling => None,
                    Fall::Broken | Fall::Cold => Some(Class::Network),
                });
                match fall {
                    Fall::Warm => {
                        self.set(at, Stage::Warm);
                        let delay = Some(UNIT);
                        Event::Deactivated { peer, delay }
                    }
                    Fall::Cooling | Fall::Broken => {
                        self.set(at, Stage::Cooling);
                        Event::Cooling { peer, failure }
                    }
                    Fall::Cold => {
                        self.set(at, Stage::Cold);
                        Event::Cold { peer, failure }
                    }
                }
            }
            What::Lies(at) => {
                self.set(at, Stage::Cooling);
                let (peer, failure) = (address(at), failure(Some(Class::Adversarial)));
                Event::Cooling { peer, failure }
            }
            What::Shares(at, knows) => {
                self.lines[at].asked = false;
                let peers = if knows {
                    vec![address(SHARED)]
                } else {
                    Vec::new()
                };
                let peer = address(at);
                Event::Shared { peer, peers }
            }
            What::Targets(n) => {
                self.targets = n;
                let (deadline, sync) = scope.both(n);
                Event::Targets { deadline, sync }
            }
            What::Topology(local) => {
                self.local = local;
                Event::Topology(Box::new(scope.roots(local)))
            }
            What::Judgement(judgement) => {
                self.judgement = judgement;
                Event::Judgement(judgement)
            }
            What::Snapshot(on) => {
                self.snapshot = on;
                Event::Snapshot(on.then(|| Box::new(Scope::snapshot())))
            }
            What::Tick => {
                self.now = self.governor.next_deadline()?.max(self.now);
                Event::Tick
            }
        })
    }

    fn done(&mut self, at: usize, end: End) -> Option<Event> {
        let peer = address(at);
        let failure = end.class().map(|class| Failure { class, delay: None });
        let stage = self.lines[at].stage;
        Some(match (stage, failure) {
            (Stage::Connecting, None) => {
                self.set(at, Stage::Warm);
                let sharing = at == PUBLIC;
                Event::Established { peer, sharing }
            }
            (Stage::Connecting, Some(failure)) => {
                self.set(at, Stage::Cold);
                Event::NotEstablished { peer, failure }
            }
            (Stage::Activating, None) => {
                self.set(at, Stage::Hot);
                Event::Activated { peer }
            }
            (Stage::Deactivating, None) => {
                self.set(at, Stage::Warm);
                Event::Deactivated { peer, delay: None }
            }
            (Stage::Activating | Stage::Deactivating, Some(_)) => {
                self.set(at, Stage::Cooling);
                Event::Cooling { peer, failure }
            }
            _ => return None,
        })
    }

    fn set(&mut self, at: usize, stage: Stage) {
        self.lines[at].stage = stage;
        self.lines[at].asked &= self.lines[at].is_up();
    }

    // What the governor does about it.

    fn tell(&mut self, event: Event, pick: &mut Pick) {
        let mut told = VecDeque::from([event]);
        while let Some(event) = told.pop_front() {
            let ticks = event == Event::Tick;
            let mut resting = self.resting(&event);
            let known = self.governor.counters().ordinary.known;
            let mut actions = Vec::new();
            let mut cx = Cx::new(self.now, pick, &NoRules, &mut actions);
            self.governor.step(&mut cx, event);
            if ticks
                && self
                    .governor
                    .next_deadline()
                    .is_some_and(|at| at <= self.now)
            {
                self.wrong("a tick leaves nothing due", format!("{:?}", self.now));
            }
            for action in &actions {
                self.marks |= laws::seen(action);
                self.judge_order(action, &mut resting, known);
                if let Some(follows) = self.order(action) {
                    told.push_back(follows);
                }
            }
        }
    }

    /// Who must not be connected to in the step of this event: who waits, and who fails by it.
    fn resting(&self, event: &Event) -> Vec<SocketAddr> {
        let now = self.now;
        let waits = |next| matches!(next, Next::Retry(at) if at > now);
        let all = self.governor.explain_all();
        let mut resting: Vec<_> = all
            .filter(|one| waits(one.next))
            .map(|one| one.peer)
            .collect();
        match event {
            Event::NotEstablished { peer, .. } => resting.push(*peer),
            Event::Cold { peer, failure } if failure.is_some() => resting.push(*peer),
            _ => {}
        }
        resting
    }

    /// What must hold of an action at the moment it is taken; `known` were known before.
    fn judge_order(&mut self, action: &Action, resting: &mut Vec<SocketAddr>, known: u32) {
        match action {
            Action::Establish { peer, .. } if resting.contains(peer) => {
                self.wrong("who waits is not connected", format!("{peer}"));
            }
            // Who is forgotten and named again is new: nobody remembers that it failed.
            Action::Notice(Notice::Trace(Trace::Forgotten { peer, .. })) => {
                resting.retain(|one| one != peer);
            }
            Action::Notice(Notice::Trace(Trace::ShareResult { taken, .. })) => {
                let (all, want) = (known + taken, self.governor.targets().known);
                if all > known.max(want) {
                    let text = format!("{taken} more than {known}, {want} wanted");
                    self.wrong("no more are learned than wanted", text);
                }
            }
            _ => {}
        }
    }

    /// Carries an order out as far as that takes no time.
    fn order(&mut self, action: &Action) -> Option<Event> {
        match action {
            Action::Establish { peer, dial, .. } => {
                let at = self.ordered(peer, "establish", &[Stage::Cold])?;
                self.lines[at].stage = Stage::Connecting;
                let (source, _) = self.known(at)?;
                let trusted = match source {
                    Source::Bootstrap => true,
                    Source::Local => self.trustable,
                    _ => false,
                };
                if self.is_sensitive() && !trusted {
                    self.wrong("only trusted peers are connected", format!("{peer}"));
                }
                let traits = self.governor.local_root(peer);
                let behind = traits.is_some_and(|traits| traits.behind_firewall);
                if *dial == behind {
                    let text = format!("{peer}, behind a firewall: {behind}");
                    self.wrong("who is behind a firewall is not dialled", text);
                }
                let (counters, targets) = (self.governor.counters(), self.governor.targets());
                let (counters, want) = if at == BIG {
                    (counters.big, targets.established_big)
                } else {
                    (counters.ordinary, targets.established)
                };
                let have = counters.established + counters.cold_promotions;
                if traits.is_none() && have > want {
                    let text = format!("{peer}: {have} of {want}");
                    self.wrong("no more are connected than wanted", text);
                }
            }
            Action::Activate { peer } => {
                let at = self.ordered(peer, "activate", &[Stage::Warm])?;
                self.lines[at].stage = Stage::Activating;
            }
            Action::Deactivate { peer } => {
                let at = self.ordered(peer, "deactivate", &[Stage::Hot])?;
                self.lines[at].stage = Stage::Deactivating;
            }
            Action::Close { peer } => {
                let at = self.ordered(peer, "close", &[Stage::Warm])?;
                self.set(at, Stage::Closing);
                let (peer, failure) = (*peer, None);
                return Some(Event::Cooling { peer, failure });
            }
            Action::AskPeers { peer, .. } => {
                use Stage::{Activating, Deactivating, Hot, Warm};
                let up = [Warm, Activating, Hot, Deactivating];
                let at = self.ordered(peer, "ask", &up)?;
                if at != PUBLIC {
                    self.wrong("only those that share are asked", format!("{peer}"));
                }
                self.lines[at].asked = true;
            }
            // What the ledger says was said already.
            Action::Notice(_) | Action::WantLedger => {}
            other => self.wrong("nothing else is ordered", format!("{other:?}")),
        }
        None
    }

    fn ordered(&mut self, peer: &SocketAddr, what: &str, from: &[Stage]) -> Option<usize> {
        let at = (LOCAL..=BIG).find(|at| address(*at) == *peer);
        let stage = at.map(|at| self.lines[at].stage);
        if stage.is_some_and(|stage| from.contains(&stage)) {
            return at;
        }
        self.wrong(
            "orders fit the connection",
            format!("{what} {peer} while {stage:?}"),
        );
        None
    }

    fn judge(&mut self) {
        self.marks |= laws::seen_in(self);
        if let Err((property, text)) = laws::judge(self) {
            self.wrong(property, text);
        }
    }

    /// Where a known peer is from, and what it is.
    pub(super) fn known(&self, at: usize) -> Option<(Source, Status)> {
        self.governor.status(&address(at))
    }

    /// Whether only trusted peers may be used.
    pub(super) fn is_sensitive(&self) -> bool {
        self.governor.config().consensus == ConsensusMode::Praos
            && self.governor.topology().bootstrap.is_some()
            && self.judgement == Judgement::TooOld
    }

    /// Whether the local root may be trusted.
    pub(super) const fn is_trustable(&self) -> bool {
        self.trustable
    }

    /// Whether the topology names the local root.
    pub(super) const fn has_local(&self) -> bool {
        self.local
    }
}

/// One of different picks; everything else is the first.
struct Pick {
    which: u8,
    asked: bool,
}

impl Pick {
    const fn of(which: u8) -> Self {
        Self {
            which,
            asked: false,
        }
    }
}

impl Choice for Pick {
    fn below(&mut self, site: Site, _of: u64, n: u32) -> u32 {
        if site != Site::PICK {
            return 0;
        }
        self.asked = true;
        u32::from(self.which).min(n.saturating_sub(1))
    }
}

/// Keeps the bytes that a hash would be made of.
struct Bytes<'a>(&'a mut Vec<u8>);

impl Hasher for Bytes<'_> {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}
