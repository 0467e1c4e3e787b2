//! What the churn may aim at: in each step, for each set, the base target or the one that the
//! table of the churn works out.

use samanea_core::governor::{Config, ConsensusMode, Event, FetchMode, Judgement, Targets, Trace};

use super::{laws::Law, run::Report, world::World};

/// Which regimes may have written a target.
#[derive(Clone, Copy, Debug, Default)]
struct Regimes {
    /// Near the tip, and always in Genesis mode.
    tip: bool,
    /// In bulk.
    bulk: bool,
    /// In bulk while bootstrap peers are configured.
    few: bool,
}

/// Watches the churn.
#[derive(Debug, Default)]
pub(super) struct Aims {
    step: Option<u8>,
    last: Option<Targets>,
    /// Regimes that were in force at some time.
    ever: Regimes,
    /// The most local roots that ever were to be hot.
    local_max: u32,
    /// Whether the governor was told other targets than those of its settings since it started.
    told: bool,
}

impl Aims {
    /// Only trusted peers may be used: the churn may begin anew when it goes on.
    pub(super) fn interrupted(&mut self) {
        self.step = None;
    }

    /// Looks at the circumstances; at every step of the governor.
    pub(super) fn stepped(&mut self, config: &Config, world: &World<'_>, event: &Event) {
        self.told |= matches!(event, Event::Targets { .. });
        let groups = world.said.topology.local.iter();
        let local = groups.map(|group| group.hot).sum::<u32>();
        let kept = u32::try_from(world.said.kept.len()).unwrap_or(u32::MAX);
        self.local_max = self.local_max.max(local + kept);
        let now = regime(config, world);
        self.ever = Regimes {
            tip: self.ever.tip || now.tip,
            bulk: self.ever.bulk || now.bulk,
            few: self.ever.few || now.few,
        };
    }

    /// A step begins: it is the next one, and its targets are those of the table.
    pub(super) fn began(
        &mut self,
        report: &mut Report<'_>,
        config: &Config,
        world: &World<'_>,
        step: u8,
        targets: &Targets,
    ) {
        if !(1..=12).contains(&step) {
            report.breach(Law::ChurnOrder, format!("step {step}"));
            return;
        }
        let due = self.step.map_or(step, |last| last % 12 + 1);
        report.holds(Law::ChurnOrder, step == due, || {
            format!("step {step} after {:?}", self.step)
        });
        self.step = Some(step);
        self.last = Some(*targets);
        if step == 12 {
            report.seen.mark("a whole cycle of the churn");
        }
        let (base, now) = (self.base(config, world), regime(config, world));
        let fits = fits(
            targets,
            step,
            Some(step),
            &base,
            now,
            self.ever,
            self.local_max,
        );
        report.holds(Law::ChurnTargets, fits, || {
            format!("step {step} wants {targets:?} of {base:?}, {now:?}")
        });
        if *targets != base {
            report
                .seen
                .mark("a step of the churn wants other than the base");
        }
    }

    /// Targets change, for whatever reason.
    pub(super) fn changed(
        &self,
        report: &mut Report<'_>,
        config: &Config,
        world: &World<'_>,
        trace: &Trace,
        sensitive: bool,
    ) {
        let Trace::TargetsChanged { new, .. } = trace else {
            return;
        };
        let base = self.base(config, world);
        if new.is_zero() && (sensitive || base.is_zero()) {
            report.seen.mark("all targets are taken away");
            return;
        }
        let now = regime(config, world);
        let of = |step: u8, root: u32| {
            let base = Targets { root, ..base };
            fits(new, step, None, &base, now, self.ever, self.local_max)
        };
        // In the step, between two cycles, or during the head start of the local roots.
        let fits = self.last == Some(*new)
            // After a pause it goes on in whatever step it was.
            || (1..=12).any(|at| self.step.is_none_or(|step| step == at) && of(at, base.root))
            || of(12, base.root)
            || of(12, 0);
        report.holds(Law::ChurnTargets, fits, || {
            format!("{new:?} are in force, of {base:?} in step {:?}", self.step)
        });
    }

    /// The targets of the operator that hold now.
    fn base(&self, config: &Config, world: &World<'_>) -> Targets {
        let sane = |(deadline, sync): &(Targets, Targets)| {
            deadline.check().is_ok() && sync.check().is_ok()
        };
        let said = world.said.targets.filter(|said| self.told && sane(said));
        let (deadline, sync) = said.unwrap_or((config.deadline, config.sync));
        let old = world.said.judgement == Judgement::TooOld;
        if config.consensus == ConsensusMode::Genesis && old {
            sync
        } else {
            deadline
        }
    }
}

fn regime(config: &Config, world: &World<'_>) -> Regimes {
    let bulk = config.consensus == ConsensusMode::Praos && world.said.fetch == FetchMode::BulkSync;
    let few = bulk && world.said.topology.bootstrap.is_some();
    Regimes {
        tip: !bulk,
        bulk,
        few,
    }
}

/// By how much a target of `v` goes down at least, what is left: a fifth, and at least one.
fn less(v: u32) -> u32 {
    v.saturating_sub((v / 5).max(1))
}

/// Whether each target is that of its set in this step. What was written before, in the same or
/// an earlier cycle, may be of any regime that ever was; `exact` is the step that was written now.
/// How much moved in an earlier step is not seen from outside: what goes down by it may be
/// anything between the inner set and what a move of nothing leaves.
fn fits(
    got: &Targets,
    step: u8,
    exact: Option<u8>,
    base: &Targets,
    now: Regimes,
    ever: Regimes,
    local_max: u32,
) -> bool {
    let of = |steps: [u8; 2]| {
        let written = exact.is_some_and(|step| steps.contains(&step));
        if written { now } else { ever }
    };
    let (a, e, k, r) = (base.active, base.established, base.known, base.root);
    let (ab, eb, kb) = (base.active_big, base.established_big, base.known_big);
    let up_to = |low: u32, inner: u32, outer: u32| {
        let most = inner + less(outer.saturating_sub(inner));
        (inner..=most).contains(&low)
    };
    let big = {
        let regimes = of([1, 2]);
        let tip = if step == 1 { less(ab) } else { ab };
        (regimes.tip && got.active_big == tip) || (regimes.bulk && got.active_big == ab.min(1))
    };
    let established_big = if (3..6).contains(&step) {
        up_to(got.established_big, ab, eb)
    } else {
        got.established_big == eb
    };
    let known_big = if step == 4 {
        up_to(got.known_big, eb, kb)
    } else {
        got.known_big == kb
    };
    let active = {
        let regimes = of([7, 8]);
        let (tip, bulk) = if step == 7 {
            (less(a), 0..=local_max.max(1).min(a.saturating_sub(1)))
        } else {
            (a, a.min(2)..=local_max.max(1).saturating_add(1).min(a))
        };
        // Few established leave room for few active, until these are raised again.
        let cut = got.active == got.established || (ever.few && got.active < a);
        (regimes.tip && got.active == tip) || (regimes.bulk && bulk.contains(&got.active)) || cut
    };
    let established = {
        let regimes = of([9, 12]);
        let (tip, few) = if (9..12).contains(&step) {
            let few = got.established <= e.saturating_sub(1);
            (up_to(got.established, a, e), few)
        } else {
            (got.established == e, got.established <= e)
        };
        (regimes.tip || regimes.bulk && !regimes.few || ever.bulk) && tip || regimes.few && few
    };
    let known = if step == 10 {
        let root = r.min(e + less(r.saturating_sub(e)));
        up_to(got.known, e, k) && got.root == root.min(got.known)
    } else {
        got.known == k && got.root == r
    };
    big && established_big && known_big && active && established && known
}
