//! Periodic change of peers: targets go down a little and up again, so that somebody else gets a
//! turn.
//!
//! ```text
//!  idle ──base──▶ head start ──3 s──▶ waiting ──interval──▶ 1 ▶ 2 ▶ … ▶ 12 ──▶ waiting
//!   ▲                                                                             │
//!   └───────────────────────────── base is zero ──────────────────────────────────┘
//!
//!  step  set                  target                              reached  at most
//!   1    active big         ↓ d(1, aB)                                ≤    deactivate
//!   2    active big         ↑ aB                                      ≥    step
//!   3    established big    ↓ aB + d(moved in 1, eB − aB)             ≤    close
//!   4    known big          ↓ eB + d(moved in 3, kB − eB)             ≤    step
//!   5    known big          ↑ kB                                      ≥    discover
//!   6    established big    ↑ eB                                      ≥    step
//!   7    active             ↓ d(1, a)                                 ≤    deactivate
//!   8    active             ↑ a                                       ≥    step
//!   9    established        ↓ a + d(moved in 7, e − a)                ≤    close
//!  10    known, root        ↓ e + d(moved in 9, k − e), e + d(1, r − e)  ≤ step
//!  11    known, root        ↑ k, r                                    ≥    discover
//!  12    established        ↑ e                                       ≥    step
//! ```
//!
//! Letters are the base targets; d(u, v) = v − max(u, 1, v / 5), at least 0: a fifth of what is
//! left goes, and no less than went further up. "Moved in" is by how much the counter changed
//! during that step. While blocks are fetched in bulk, fewer are active; see [`Regime`].
//!
//! In: what the governor [sees](Seen), after each of its events. Out: targets in force and what
//! step begins or ends. A step that does not reach its target in time ends all the same.
//!
//! Limits: one timer; a call begins at most one cycle.
//!
//! Invariants:
//! 1. Sets of targets in force fit into each other, and none exceeds its base.
//! 2. Nothing is aimed at exactly when nothing is to be aimed at: idle, base and targets zero.
//! 3. A step is one of the twelve, and its cycle, it, and its end come in this order.
//! 4. While waiting at full targets no set is held low: known and root targets are the base.
//!
//! src: ouroboros-network, peer churn governor (`PeerChurn`)
// deviates: the reference churns in a loop of its own that shares variables with the governor, so
// that both write targets; and a change of base takes effect one step at a time.

use alloc::vec::Vec;
use core::time::Duration;

use super::{ChurnTimes, ConsensusMode, Counters, FetchMode, Set, Targets};
use crate::base::{Choice, Instant, Site, Violated, violated};

/// How many peers are used while blocks are fetched in bulk. Read anew at every step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Regime {
    /// Near the tip, and always in Genesis mode: the base targets.
    Default,
    /// In bulk from anybody: the local roots and one or two more, one big ledger peer.
    PraosSync,
    /// In bulk while bootstrap peers are configured: the same, and hardly more established.
    BootstrapPraosSync,
}

impl Regime {
    /// The regime of these circumstances. `bootstrap`: bootstrap peers are configured.
    pub(super) const fn of(consensus: ConsensusMode, fetch: FetchMode, bootstrap: bool) -> Self {
        match (consensus, fetch) {
            (ConsensusMode::Genesis, _) | (ConsensusMode::Praos, FetchMode::Deadline) => {
                Self::Default
            }
            (ConsensusMode::Praos, FetchMode::BulkSync) if bootstrap => Self::BootstrapPraosSync,
            (ConsensusMode::Praos, FetchMode::BulkSync) => Self::PraosSync,
        }
    }
}

/// What the governor sees when churn looks.
pub(super) struct Seen<'a> {
    /// The time.
    pub(super) now: Instant,
    /// Numbers of peers.
    pub(super) counters: &'a Counters,
    /// The targets of the operator that hold now, sane.
    pub(super) base: Targets,
    /// How many are used.
    pub(super) regime: Regime,
    /// Whether the start is of the Praos kind, with a head start for local roots.
    pub(super) consensus: ConsensusMode,
    /// The sum of the hot valencies of the groups of local roots.
    pub(super) local_hot: u32,
    /// Whether other targets than these hold (untrusted peers are being got rid of): no step
    /// begins or ends, and this time does not count.
    pub(super) paused: bool,
}

/// What churn did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// These are in force from now on.
    Targets(Targets),
    /// A step, from 1 to 12, begins; its targets are in force.
    Step {
        /// Which.
        step: u8,
    },
    /// A step is done.
    Done {
        /// Which.
        step: u8,
        /// After so long.
        took: Duration,
        /// Whether the target was not reached in time.
        timeout: bool,
    },
}

/// Where churn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Phase {
    /// Nothing is aimed at.
    Idle,
    /// Local roots go first.
    HeadStart {
        /// Since when.
        began: Instant,
        /// Until when.
        until: Instant,
    },
    /// The base targets are in force (fewer active while blocks are fetched in bulk).
    Waiting {
        /// When the next cycle begins; `None`: never, churn is off.
        until: Option<Instant>,
    },
    /// In a step.
    Step {
        /// From 1 to 12.
        step: u8,
        /// When the cycle began.
        cycle: Instant,
        /// When the step began.
        began: Instant,
        /// When it ends at the latest.
        until: Instant,
        /// What it counts, as it was when it began.
        before: u32,
    },
}

/// Periodic change. See the [module](self).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Churn {
    config: ChurnTimes,
    phase: Phase,
    /// As last seen.
    base: Targets,
    targets: Targets,
    /// How much steps 1, 3, 7 and 9 of this cycle changed.
    moved: Moved,
    /// Cycles begun.
    cycles: u64,
    /// Since when other targets hold.
    paused: Option<Instant>,
}

impl Churn {
    /// Idle.
    pub(super) const fn new(config: ChurnTimes) -> Self {
        Self {
            config,
            phase: Phase::Idle,
            base: Targets::ZERO,
            targets: Targets::ZERO,
            moved: Moved::NONE,
            cycles: 0,
            paused: None,
        }
    }

    /// Looks at what is, and goes on as far as it can: to be called after each event, and again
    /// when what came out of it has changed anything.
    pub(super) fn step(&mut self, seen: &Seen<'_>, choice: &mut dyn Choice, out: &mut Vec<Out>) {
        self.pause(seen);
        self.rebase(seen, out);
        if seen.paused {
            return;
        }
        for _ in 0..ADVANCES_MAX {
            if !self.advance(seen, choice, out) {
                break;
            }
        }
    }

    /// The targets in force, but for pauses.
    #[cfg(test)]
    pub(super) const fn targets(&self) -> Targets {
        self.targets
    }

    /// Where churn is.
    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    /// When a look would change something although nothing else does: the next cycle begins, or a
    /// step takes too long.
    pub(super) const fn next_deadline(&self) -> Option<Instant> {
        if self.paused.is_some() {
            return None;
        }
        match self.phase {
            Phase::Idle => None,
            Phase::Waiting { until } => until,
            Phase::HeadStart { until, .. } | Phase::Step { until, .. } => Some(until),
        }
    }

    /// Stops the clocks, or lets them go on.
    fn pause(&mut self, seen: &Seen<'_>) {
        match (self.paused, seen.paused) {
            (None, true) => self.paused = Some(seen.now),
            (Some(since), false) => {
                self.paused = None;
                self.phase = self.phase.later(seen.now.since(since));
            }
            (None, false) | (Some(_), true) => {}
        }
    }

    /// The operator's targets have changed, or the set that holds in Genesis mode: what is in
    /// force follows from the new ones at once. Timers stand.
    fn rebase(&mut self, seen: &Seen<'_>, out: &mut Vec<Out>) {
        if seen.base == self.base {
            return;
        }
        self.base = seen.base;
        if seen.base.is_zero() {
            self.phase = Phase::Idle;
        }
        let targets = match self.phase {
            Phase::Idle => Targets::ZERO,
            Phase::HeadStart { .. } => self.start(seen),
            Phase::Waiting { until: None } => seen.base,
            Phase::Waiting { .. } => self.rebuilt(seen, None),
            Phase::Step { step, .. } => self.rebuilt(seen, Some(step)),
        };
        self.put(targets, out);
    }

    /// One phase on, if it is time.
    fn advance(&mut self, seen: &Seen<'_>, choice: &mut dyn Choice, out: &mut Vec<Out>) -> bool {
        match self.phase {
            Phase::Idle if seen.base.is_zero() => false,
            Phase::Idle => {
                self.cycles = 0;
                self.phase = Phase::HeadStart {
                    began: seen.now,
                    until: seen.now.after(self.config.head_start),
                };
                self.put(self.start(seen), out);
                true
            }
            Phase::HeadStart { began, until } if until <= seen.now => {
                self.put(self.started(seen), out);
                self.wait(began, seen, choice);
                true
            }
            Phase::HeadStart { .. } => {
                // The fetch mode may be told only now.
                self.put(self.start(seen), out);
                false
            }
            Phase::Waiting { until: Some(until) } if until <= seen.now => {
                self.cycles = self.cycles.wrapping_add(1);
                self.moved = Moved::NONE;
                self.begin(1, seen.now, seen, choice, out);
                true
            }
            Phase::Waiting { .. } => false,
            Phase::Step {
                step,
                cycle,
                began,
                until,
                before,
            } => {
                let reached = self.reached(step, seen.counters);
                if !reached && until > seen.now {
                    return false;
                }
                let after = count(step, seen.counters);
                self.moved.note(step, after.abs_diff(before));
                out.push(Out::Done {
                    step,
                    took: seen.now.since(began),
                    timeout: !reached,
                });
                self.begin(step.saturating_add(1), cycle, seen, choice, out);
                true
            }
        }
    }

    /// Begins the next step that is due in this cycle, `from` being the first in question, or
    /// waits for the next cycle.
    fn begin(
        &mut self,
        from: u8,
        cycle: Instant,
        seen: &Seen<'_>,
        choice: &mut dyn Choice,
        out: &mut Vec<Out>,
    ) {
        let Some(step) = (from..=LAST).find(|step| self.due(*step)) else {
            self.wait(cycle, seen, choice);
            return;
        };
        let mut targets = self.targets;
        write(&mut targets, step, seen, &self.moved);
        self.phase = Phase::Step {
            step,
            cycle,
            began: seen.now,
            until: seen.now.after(self.time(step)),
            before: count(step, seen.counters),
        };
        self.put(sane(targets), out);
        out.push(Out::Step { step });
    }

    /// Until an interval after `began`, but never for nothing.
    fn wait(&mut self, began: Instant, seen: &Seen<'_>, choice: &mut dyn Choice) {
        let until = self.config.on.then(|| {
            let (least, fuzz) = match seen.regime {
                Regime::Default => (self.config.deadline, self.config.deadline_fuzz),
                Regime::PraosSync | Regime::BootstrapPraosSync => {
                    (self.config.bulk, self.config.bulk_fuzz)
                }
            };
            let ms = u32::try_from(fuzz.as_millis()).unwrap_or(u32::MAX);
            let drawn = choice.below(Site::CHURN, 0, ms.saturating_add(1));
            let at = began
                .after(least)
                .after(Duration::from_millis(u64::from(drawn)));
            at.max(seen.now.after(Duration::from_micros(1)))
        });
        self.phase = Phase::Waiting { until };
    }

    /// The first targets.
    fn start(&self, seen: &Seen<'_>) -> Targets {
        match (seen.consensus, seen.regime) {
            (ConsensusMode::Genesis, _) => seen.base,
            (ConsensusMode::Praos, Regime::BootstrapPraosSync) if self.config.on => {
                self.started(seen)
            }
            (ConsensusMode::Praos, _) => Targets {
                root: 0,
                ..seen.base
            },
        }
    }

    /// The targets after the head start. Without churn nothing would ever raise lower ones.
    fn started(&self, seen: &Seen<'_>) -> Targets {
        match seen.regime {
            Regime::BootstrapPraosSync if self.config.on => Targets {
                active: more_than_local(seen).min(seen.base.active),
                active_big: seen.base.active_big.min(1),
                ..seen.base
            },
            Regime::Default | Regime::PraosSync | Regime::BootstrapPraosSync => seen.base,
        }
    }

    /// The targets that follow from the base in this step, or between cycles.
    fn rebuilt(&self, seen: &Seen<'_>, now_in: Option<u8>) -> Targets {
        let mut targets = seen.base;
        for (down, up) in PAIRS {
            write(&mut targets, up, seen, &self.moved);
            let low = now_in.is_some_and(|step| (down..up).contains(&step));
            if low && self.due(down) {
                write(&mut targets, down, seen, &self.moved);
            }
        }
        sane(targets)
    }

    fn put(&mut self, targets: Targets, out: &mut Vec<Out>) {
        if targets != self.targets {
            self.targets = targets;
            out.push(Out::Targets(targets));
        }
    }

    /// Whether the step has its turn in this cycle.
    fn due(&self, step: u8) -> bool {
        let every = match step {
            1 | 2 | 7 | 8 => self.config.hot_every,
            3 | 6 | 9 | 12 => self.config.warm_every,
            _ => self.config.known_every,
        };
        self.cycles
            .saturating_sub(1)
            .is_multiple_of(u64::from(every.max(1)))
    }

    /// How long the step may take.
    const fn time(&self, step: u8) -> Duration {
        match step {
            1 | 7 => self.config.deactivate,
            3 | 9 => self.config.close,
            5 | 11 => self.config.discover,
            _ => self.config.step,
        }
    }

    /// Whether what the step wants is so.
    fn reached(&self, step: u8, counters: &Counters) -> bool {
        let count = count(step, counters);
        let target = target(step, &self.targets);
        if is_down(step) {
            count <= target
        } else {
            count >= target && (step != 11 || counters.roots >= self.targets.root)
        }
    }

    /// Checks the invariants of the module.
    pub(super) fn check_invariants(&self) -> Result<(), Violated> {
        let (t, base) = (&self.targets, &self.base);
        let within = t.root <= base.root
            && t.known <= base.known
            && t.established <= base.established
            && t.active <= base.active
            && t.known_big <= base.known_big
            && t.established_big <= base.established_big
            && t.active_big <= base.active_big;
        broken(
            within && (t.check().is_ok() || base.check().is_err()),
            1,
            "sets of targets fit into each other and none exceeds its base",
        )?;
        let idle = self.phase == Phase::Idle;
        broken(
            !idle || t.is_zero() && (base.is_zero() || self.paused.is_some()),
            2,
            "nothing is aimed at exactly when nothing is to be aimed at",
        )?;
        broken(idle || !base.is_zero(), 2, "with no base churn is idle")?;
        match self.phase {
            Phase::Step {
                step,
                cycle,
                began,
                until,
                ..
            } => broken(
                (1..=LAST).contains(&step) && cycle <= began && began <= until,
                3,
                "a step is one of the twelve; its cycle, it and its end come in this order",
            ),
            Phase::Waiting { .. } => broken(
                t.known == base.known && t.known_big == base.known_big && t.root == base.root,
                4,
                "while waiting known and root targets are the base",
            ),
            Phase::Idle | Phase::HeadStart { .. } => Ok(()),
        }
    }
}

impl Phase {
    /// The same, all its times moved.
    fn later(self, by: Duration) -> Self {
        match self {
            Self::Idle => Self::Idle,
            Self::HeadStart { began, until } => Self::HeadStart {
                began: began.after(by),
                until: until.after(by),
            },
            Self::Waiting { until } => Self::Waiting {
                until: until.map(|until| until.after(by)),
            },
            Self::Step {
                step,
                cycle,
                began,
                until,
                before,
            } => Self::Step {
                step,
                cycle: cycle.after(by),
                began: began.after(by),
                until: until.after(by),
                before,
            },
        }
    }
}

/// By how much counters changed while they were to go down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Moved {
    active_big: u32,
    established_big: u32,
    active: u32,
    established: u32,
}

impl Moved {
    const NONE: Self = Self {
        active_big: 0,
        established_big: 0,
        active: 0,
        established: 0,
    };

    const fn note(&mut self, step: u8, by: u32) {
        match step {
            1 => self.active_big = by,
            3 => self.established_big = by,
            7 => self.active = by,
            9 => self.established = by,
            _ => {}
        }
    }
}

pub(super) const LAST: u8 = 12;

/// More than the phases there can be from one time to a later one: a start, its end, a cycle, and
/// the wait after it. Only at the end of time itself would there be more.
const ADVANCES_MAX: u8 = 16;

/// Steps that lower targets, and those that raise them again; by what others are computed from
/// first.
const PAIRS: [(u8, u8); 6] = [(1, 2), (3, 6), (4, 5), (7, 8), (9, 12), (10, 11)];

const fn is_down(step: u8) -> bool {
    matches!(step, 1 | 3 | 4 | 7 | 9 | 10)
}

/// The set that a step looks at; root targets go along with the known ones.
const fn set(step: u8) -> Set {
    match step {
        1 | 2 => Set::ActiveBig,
        3 | 6 => Set::EstablishedBig,
        4 | 5 => Set::KnownBig,
        7 | 8 => Set::Active,
        9 | 12 => Set::Established,
        _ => Set::Known,
    }
}

const fn count(step: u8, counters: &Counters) -> u32 {
    match set(step) {
        Set::Root => counters.roots,
        Set::Known => counters.ordinary.known,
        Set::Established => counters.ordinary.established,
        Set::Active => counters.ordinary.active,
        Set::KnownBig => counters.big.known,
        Set::EstablishedBig => counters.big.established,
        Set::ActiveBig => counters.big.active,
    }
}

const fn target(step: u8, targets: &Targets) -> u32 {
    match set(step) {
        Set::Root => targets.root,
        Set::Known => targets.known,
        Set::Established => targets.established,
        Set::Active => targets.active,
        Set::KnownBig => targets.known_big,
        Set::EstablishedBig => targets.established_big,
        Set::ActiveBig => targets.active_big,
    }
}

/// Writes what a step aims at; all else stays.
fn write(targets: &mut Targets, step: u8, seen: &Seen<'_>, moved: &Moved) {
    let base = &seen.base;
    let bulk = seen.regime != Regime::Default;
    let few = seen.regime == Regime::BootstrapPraosSync;
    match step {
        1 | 2 if bulk => targets.active_big = base.active_big.min(1),
        1 => targets.active_big = less(1, base.active_big),
        2 => targets.active_big = base.active_big,
        3 => {
            targets.established_big =
                above(base.active_big, moved.active_big, base.established_big);
        }
        4 => targets.known_big = above(base.established_big, moved.established_big, base.known_big),
        5 => targets.known_big = base.known_big,
        6 => targets.established_big = base.established_big,
        7 if bulk => targets.active = seen.local_hot.max(1).min(base.active.saturating_sub(1)),
        7 => targets.active = less(1, base.active),
        8 if bulk => targets.active = more_than_local(seen).min(base.active),
        8 => targets.active = base.active,
        9 if few => {
            targets.established = targets.active.min(base.established.saturating_sub(1));
        }
        9 => targets.established = above(base.active, moved.active, base.established),
        10 => {
            targets.known = above(base.established, moved.established, base.known);
            targets.root = above(base.established, 1, base.root).min(base.root);
        }
        11 => {
            targets.known = base.known;
            targets.root = base.root;
        }
        12 if few => {
            targets.established = targets.active.saturating_add(1).min(base.established);
        }
        12 => targets.established = base.established,
        _ => {}
    }
}

/// One more than the local roots that must be hot.
fn more_than_local(seen: &Seen<'_>) -> u32 {
    seen.local_hot.max(1).saturating_add(1)
}

/// What a target of `v` is lowered to: by a fifth, by at least one, and by at least `u`.
fn less(u: u32, v: u32) -> u32 {
    v.saturating_sub(u.max(1).max(v / 5))
}

/// The inner set, and what is left of the rest of the outer one.
fn above(inner: u32, moved: u32, outer: u32) -> u32 {
    inner.saturating_add(less(moved, outer.saturating_sub(inner)))
}

/// Cuts each set to the next larger one.
// deviates: the reference ignores such targets as a whole, and waits for the step's time to pass.
fn sane(t: Targets) -> Targets {
    let established = t.established.min(t.known);
    let established_big = t.established_big.min(t.known_big);
    Targets {
        root: t.root.min(t.known),
        known: t.known,
        established,
        active: t.active.min(established),
        known_big: t.known_big,
        established_big,
        active_big: t.active_big.min(established_big),
    }
}

fn broken(holds: bool, number: u16, text: &'static str) -> Result<(), Violated> {
    violated(holds, "churn", number, text)
}

#[cfg(test)]
mod tests;
