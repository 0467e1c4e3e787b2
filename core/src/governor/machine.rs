//! The machine: what it holds, how it is told, in which order it decides.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::net::SocketAddr;

use super::{
    Action, Board, Config, ConsensusMode, Counters, Event, FetchMode, Judgement, LedgerState,
    LocalRoots, Notice, Snapshot, Source, Status, Targets, Topology, Trace, Trust,
    answers::Answers,
    churn::{self, Churn, Regime},
    diversity::Diversity,
    lookups::{self, Lookups},
    measure::Measure,
    member::Heat,
    offenders::Offenders,
    outage::Outage,
    outcomes::operator,
    requests::Requests,
    table::Table,
};
use crate::base::{Cx, Deadlines, Instant, Machine, Scratch, Site, SlotIndex, Violated, soonest};

/// Which peers are known, which are connected, which are used.
///
/// Limits: [`Config::peers_max`] known peers and [`Config::local_max`] local roots; what has
/// bounds of its own says so in [`Config`].
///
/// Invariants: 1. the parts hold; 2. active ⊆ established ⊆ known, each peer in one cell; 3. local
/// roots are known and are no other roots; 4. the targets are sane, and the local roots within
/// them; 5. deadlines belong to established peers or to the machine; 6. those asked for addresses
/// are established and share; 7. nobody is both known and gone; 8. diversity counts those that are
/// being connected or are, local roots and members aside; 9. exactly those that may be told are
/// listed as such; 10. members in force are known as such, no more than their maximum, and nobody
/// else is one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[expect(
    clippy::struct_excessive_bools,
    reason = "flags of a machine that do not depend on each other"
)]
pub struct Governor {
    pub(super) config: Config,
    /// The operator's, near the tip and (Genesis) while the chain is old.
    pub(super) deadline: Targets,
    pub(super) sync: Targets,
    /// What churn wants, and what is in force.
    pub(super) aimed: Targets,
    pub(super) targets: Targets,
    pub(super) churn: Churn,
    /// Cycles of churn that came to their end.
    pub(super) cycles: u64,

    pub(super) topology: Topology,
    pub(super) kept: BTreeSet<SocketAddr>,
    /// Local roots in force.
    pub(super) local: LocalRoots,
    /// Members that groups want, and those of them in force.
    pub(super) wished: BTreeMap<SocketAddr, Heat>,
    pub(super) members: BTreeMap<SocketAddr, Heat>,
    /// Local roots that are established and trustable.
    pub(super) trusted_local: u32,
    pub(super) cut: usize,
    pub(super) lookups: Lookups,
    pub(super) requests: Requests,
    pub(super) snapshot: Option<Box<Snapshot>>,
    pub(super) ledger: Option<Box<LedgerState>>,

    pub(super) table: Table,
    /// Left all sets while the peer actions still have them.
    pub(super) gone: BTreeSet<SocketAddr>,
    pub(super) offenders: Offenders,
    pub(super) outage: Outage,
    pub(super) in_outage: bool,
    pub(super) diversity: Diversity,
    pub(super) board: Board,
    pub(super) measure: Measure,

    /// Established peers that may be asked for addresses now.
    pub(super) askable: BTreeSet<SlotIndex>,
    /// Those that are asked, and whether the answer is still in time.
    pub(super) asked: BTreeMap<SlotIndex, bool>,
    pub(super) answers: Answers,
    /// Those that may be told to others, in an order that nobody else knows.
    pub(super) tellable: BTreeSet<(u32, SlotIndex)>,
    /// Mature inbound peers, and whether they share.
    pub(super) mature: BTreeMap<SocketAddr, bool>,
    /// Those of them that are not known.
    pub(super) light: BTreeSet<SocketAddr>,
    pub(super) own: BTreeSet<SocketAddr>,

    /// What the application says, and what was made of it.
    pub(super) told: Judgement,
    pub(super) judged: Judgement,
    pub(super) fetch: FetchMode,
    pub(super) bootstrap: bool,
    pub(super) only_trusted: bool,
    pub(super) cleaning_until: Option<Instant>,

    pub(super) timers: Deadlines<Timer>,
    pub(super) local_changed: bool,
    pub(super) groups_changed: bool,
    pub(super) members_changed: bool,
    pub(super) dirty: bool,
    pub(super) started: bool,
    pub(super) stopping: bool,
    pub(super) told_trust: Trust,
    pub(super) told_counters: Counters,
    pub(super) stale: u64,
    pub(super) work: Scratch<Work>,
}

/// What has a deadline of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Timer {
    /// The next request for roots may be made.
    Roots,
    /// The next request for big ledger peers may be made.
    Big,
    /// The application's ledger state is waited for no longer.
    Ledger,
    /// Inbound connections may be looked at again.
    Inbound,
    /// Untrusted peers must be gone.
    Cleaning,
    /// It is time to save.
    Save,
    /// It is time to sample tips.
    Sample,
    /// A promotion that diversity forbade may be tried again.
    Diversity,
    /// More of the peers that are too many may be forgotten.
    Forget,
    /// An offence is forgiven, or an outage may be over.
    Forgive,
    /// A peer may be asked for addresses.
    Ask(SlotIndex),
    /// A peer's answer is late.
    Reply(SlotIndex),
    /// A peer's failures are forgotten.
    Clear(SlotIndex),
    /// The same as `Diversity`, of big ledger peers.
    DiversityBig,
}

/// Lists that are empty between steps.
#[derive(Default)]
pub(super) struct Work {
    pub(super) lookups: Vec<lookups::Out>,
    pub(super) churn: Vec<churn::Out>,
}

impl Governor {
    /// A governor that knows nobody. `key` is for the index of known peers, whose keys others
    /// choose; it is mixed with one that is drawn with the first step.
    pub fn new(config: Config, key: (u64, u64)) -> Self {
        let sane = |targets: Targets| targets.check().map_or(Targets::ZERO, |()| targets);
        Self {
            deadline: sane(config.deadline),
            sync: sane(config.sync),
            aimed: Targets::ZERO,
            targets: Targets::ZERO,
            churn: Churn::new(config.churn),
            cycles: 0,
            topology: Topology::default(),
            kept: BTreeSet::new(),
            local: LocalRoots::default(),
            wished: BTreeMap::new(),
            members: BTreeMap::new(),
            trusted_local: 0,
            cut: 0,
            lookups: Lookups::new(config.names),
            requests: Requests::default(),
            snapshot: None,
            ledger: None,
            table: Table::new(
                key,
                config
                    .peers_max
                    .saturating_add(config.local_max)
                    .saturating_add(config.members_max),
            ),
            gone: BTreeSet::new(),
            offenders: Offenders::new(&config.back_off),
            outage: Outage::new(&config.policy),
            in_outage: false,
            diversity: Diversity::new(&config.policy),
            board: Board::new(config.policy.window, 4_096),
            measure: Measure::new(4_096),
            askable: BTreeSet::new(),
            asked: BTreeMap::new(),
            answers: Answers::new(&config.share),
            tellable: BTreeSet::new(),
            mature: BTreeMap::new(),
            light: BTreeSet::new(),
            own: BTreeSet::new(),
            told: Judgement::TooOld,
            judged: Judgement::TooOld,
            fetch: FetchMode::Deadline,
            bootstrap: false,
            only_trusted: false,
            cleaning_until: None,
            timers: Deadlines::new(),
            local_changed: false,
            groups_changed: false,
            members_changed: false,
            dirty: false,
            started: false,
            stopping: false,
            told_trust: Trust::Untrusted,
            told_counters: Counters::default(),
            stale: 0,
            work: Scratch::default(),
            config,
        }
    }

    pub(super) fn trace(&self, cx: &mut Cx<'_, Action>, trace: Trace) {
        if self.config.trace {
            cx.act(Action::Notice(Notice::Trace(trace)));
        }
    }

    pub(super) const fn count_stale(&mut self) {
        self.stale = self.stale.saturating_add(1);
    }

    /// Another status.
    pub(super) fn to(&mut self, now: Instant, slot: SlotIndex, status: Status) {
        self.shift(slot, |table| table.set_status(now, slot, status));
    }

    /// The peer is left alone until then.
    pub(super) fn wait(&mut self, now: Instant, slot: SlotIndex, status: Status, until: Instant) {
        if until > now {
            return self.shift(slot, |table| table.wait(now, slot, status, until));
        }
        let ready = match status {
            Status::WarmWaiting => Status::Warm,
            _ => Status::Cold,
        };
        self.to(now, slot, ready);
    }

    /// Changes one peer in the table; what depends on its source and status follows.
    pub(super) fn shift(&mut self, slot: SlotIndex, change: impl FnOnce(&mut Table)) {
        let before = self.spread(slot);
        let might_be_asked = self.may_be_asked(slot);
        change(&mut self.table);
        let after = self.spread(slot);
        if before != after {
            if let Some((peer, operator)) = before {
                self.diversity.remove(&peer, operator);
                // A place is free: those that the caps kept out may be tried at once.
                self.timers.set(Timer::Diversity, None);
                self.timers.set(Timer::DiversityBig, None);
            }
            if let Some((peer, operator)) = after {
                self.diversity.add(&peer, operator);
            }
        }
        self.dirty = true;
        let known = self.table.at(slot).map(|(_, known)| *known);
        self.groups_changed |= known.is_some_and(|known| known.source() == Source::Local);
        if might_be_asked && !self.may_be_asked(slot) {
            self.not_asked(slot);
        }
    }

    /// Whether a peer is connected, and to stay so.
    fn may_be_asked(&self, slot: SlotIndex) -> bool {
        self.table.at(slot).is_some_and(|(_, known)| {
            known.status().is_established()
                && !matches!(known.status(), Status::Cooling | Status::Closing)
        })
    }

    /// What a peer counts for in diversity, if it counts.
    pub(super) fn spread(&self, slot: SlotIndex) -> Option<(SocketAddr, Option<u32>)> {
        let (peer, known) = self.table.at(slot)?;
        let near = known.status().is_established() || known.status() == Status::Connecting;
        let counts = near && !matches!(known.source(), Source::Local | Source::Member);
        counts.then(|| (peer, operator(known)))
    }

    /// Decides until nothing is left to decide.
    ///
    /// Each decision makes all changes of its kind that it can, so the rounds are few; the bound
    /// is for a machine that were wrong.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_, Action>) {
        for _ in 0..ROUNDS_MAX {
            if !self.dirty || self.stopping {
                break;
            }
            self.dirty = false;
            while self.decide(cx) {}
            self.turn_churn(cx);
        }
        self.tell(cx);
    }

    /// The first decision that has something to do; `false` when none has.
    /// src: ouroboros-network, peer selection governor, order of `guardedDecisions`
    fn decide(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        self.bootstrap_changed(cx)
            || self.judgement_changed(cx)
            || self.quiesce(cx)
            || self.targets_changed(cx)
            || self.local_roots_changed(cx)
            || self.members_now(cx)
            || self.known_big_below(cx)
            || self.known_big_above(cx)
            || self.roots_below(cx)
            || self.known_below(cx)
            || self.known_above(cx)
            || self.established_big_below(cx)
            || self.local_groups(cx)
            || self.member_links(cx)
            || self.established_below(cx)
            || self.established_above(cx)
            || self.active_below(cx)
            || self.active_above(cx)
    }

    /// Lets churn look at what became of its last step.
    fn turn_churn(&mut self, cx: &mut Cx<'_, Action>) {
        let mut out = core::mem::take(&mut self.work.churn);
        let regime = Regime::of(self.config.consensus, self.fetch, self.bootstrap);
        let seen = churn::Seen {
            now: cx.now,
            counters: self.table.counters(),
            base: self.base(),
            regime,
            consensus: self.config.consensus,
            local_hot: self.local.hot(),
            paused: !self.is_able(),
        };
        self.churn.step(&seen, cx.choice, &mut out);
        for out in out.drain(..) {
            match out {
                churn::Out::Targets(targets) => {
                    self.aimed = targets;
                    self.dirty = true;
                }
                churn::Out::Step { step } => {
                    let targets = self.aimed;
                    self.trace(cx, Trace::ChurnStep { step, targets });
                }
                churn::Out::Done {
                    step,
                    took,
                    timeout,
                } => {
                    self.cycles = self.cycles.saturating_add(u64::from(step == churn::LAST));
                    let done = Trace::ChurnDone {
                        step,
                        took,
                        timeout,
                    };
                    self.trace(cx, done);
                }
            }
        }
        self.work.churn = out;
    }

    /// What the operator wants in the present mode.
    pub(super) fn base(&self) -> Targets {
        match (self.config.consensus, self.told) {
            (ConsensusMode::Genesis, Judgement::TooOld) => self.sync,
            _ => self.deadline,
        }
    }

    /// Tells what has changed for those outside.
    fn tell(&mut self, cx: &mut Cx<'_, Action>) {
        let trust = self.trust();
        if trust != self.told_trust {
            self.told_trust = trust;
            cx.act(Action::Notice(Notice::Trust(trust)));
        }
        let counters = *self.table.counters();
        if counters != self.told_counters {
            self.told_counters = counters;
            cx.act(Action::Notice(Notice::Counters(Box::new(counters))));
        }
    }

    fn tick(&mut self, cx: &mut Cx<'_, Action>) {
        while self.table.pop_due(cx.now) {
            self.dirty = true;
            self.groups_changed = true;
        }
        while let Some(timer) = self.timers.pop_due(cx.now) {
            self.dirty = true;
            self.due(cx, timer);
        }
        if self.lookups.next_deadline().is_some_and(|at| at <= cx.now) {
            let mut out = core::mem::take(&mut self.work.lookups);
            self.lookups.tick(cx.now, &mut out);
            self.looked_up(cx, out);
        }
        self.dirty |= self.churn.next_deadline().is_some_and(|at| at <= cx.now);
    }

    fn due(&mut self, cx: &mut Cx<'_, Action>, timer: Timer) {
        match timer {
            Timer::Roots
            | Timer::Big
            | Timer::Inbound
            | Timer::Forget
            | Timer::Diversity
            | Timer::DiversityBig => {}
            Timer::Ledger => self.ledger_silent(cx),
            Timer::Cleaning => cx.act(Action::Notice(Notice::Stuck)),
            Timer::Save => {
                self.timers
                    .set(Timer::Save, Some(cx.now.after(self.config.save)));
                cx.act(Action::Notice(Notice::SaveDue));
            }
            Timer::Sample => self.sample(cx),
            Timer::Forgive => self.forgive(cx.now),
            Timer::Ask(slot) => {
                self.askable.insert(slot);
            }
            Timer::Reply(slot) => self.reply_late(cx, slot),
            Timer::Clear(slot) => {
                if let Some(peer) = self.table.at_mut(slot) {
                    peer.failures = 0;
                }
                self.answers_changed(slot);
            }
        }
    }

    /// With the first event the clock is known, and chance.
    fn start(&mut self, cx: &mut Cx<'_, Action>) {
        self.started = true;
        self.dirty = true;
        let mut word = || u64::from(cx.choice.below(Site::SLOTS_KEY, 2, u32::MAX));
        let key = (word() << 32 | word(), word() << 32 | word());
        self.table.rekey(key);
        let timers = [
            (Timer::Save, self.config.save),
            (Timer::Sample, self.config.policy.sample),
        ];
        for (timer, after) in timers {
            if !after.is_zero() {
                self.timers.set(timer, Some(cx.now.after(after)));
            }
        }
        // What is aimed at holds from the first event on: who is restored by it is not too many.
        self.turn_churn(cx);
    }

    fn told(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        match event {
            Event::Targets { deadline, sync } => self.set_targets(cx, deadline, sync),
            Event::Topology(topology) => self.set_topology(cx, *topology),
            Event::Snapshot(snapshot) => self.set_snapshot(cx, snapshot),
            Event::Keep(peer) => self.keep(peer),
            Event::Release(peer) => self.release(cx, peer),
            Event::Members { hot, warm } => self.set_members(hot, warm),
            Event::Restore(saved) => self.restore(cx.now, *saved),
            Event::Judgement(judgement) => {
                self.dirty |= self.told != judgement;
                self.told = judgement;
            }
            Event::FetchMode(mode) => {
                self.dirty |= self.fetch != mode;
                self.fetch = mode;
            }
            Event::Ledger(ledger) => self.set_ledger(cx, ledger),
            Event::Resolved { ticket, answer } => {
                let mut out = core::mem::take(&mut self.work.lookups);
                if !self
                    .lookups
                    .resolved(cx.now, cx.choice, ticket, answer, &mut out)
                {
                    self.count_stale();
                }
                self.looked_up(cx, out);
            }
            Event::Established { peer, sharing } => self.established(cx, peer, sharing),
            Event::NotEstablished { peer, failure } => self.not_established(cx, peer, failure),
            Event::Activated { peer } => self.activated(cx, peer),
            Event::Deactivated { peer, delay } => self.deactivated(cx, peer, delay),
            Event::Cooling { peer, failure } => self.cooling(cx, peer, failure),
            Event::Cold { peer, failure } => self.cold(cx, peer, failure),
            Event::Mature(peers) => self.set_mature(peers),
            Event::OwnAddress(addr) => self.own_address(addr),
            Event::Shared { peer, peers } => self.shared(cx, peer, peers),
            Event::Asked { conn, amount } => self.asked_by(cx, conn, amount),
            Event::Announced { peer, slot } => self.announced(cx.now, peer, slot),
            Event::Fetched { peer, slot, bytes } => self.fetched(cx.now, peer, slot, bytes),
            Event::RoundTrip { peer, took } => self.round_trip(cx.now, peer, took),
            Event::Shutdown => self.stopping = true,
            Event::Tick => self.tick(cx),
        }
    }
}

/// Rounds of decisions and churn in one step.
const ROUNDS_MAX: usize = 64;

impl Machine for Governor {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        if !self.started {
            self.start(cx);
        }
        self.told(cx, event);
        if self.dirty {
            self.settle(cx);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.stopping {
            return None;
        }
        let own = soonest(self.table.next_deadline(), self.timers.next());
        soonest(
            own,
            soonest(self.lookups.next_deadline(), self.churn.next_deadline()),
        )
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        self.invariants()
    }
}
