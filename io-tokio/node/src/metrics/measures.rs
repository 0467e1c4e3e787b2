//! What must be measured along the way: delays, rollbacks, the steps of the churn.
//!
//! Limits: the delays of [`WINDOW`] slots and as many points of the chain are kept.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use samanea_core::{
    base::{BlockNo, Point, Slot, Tip},
    chain,
    governor::Trace,
    node::Notice,
};

use crate::slots::SlotClock;

/// Slots over which shares are taken, and blocks over which the density is: half of mainnet's
/// security parameter. src: cardano-node, block fetch metrics
pub(super) const WINDOW: usize = 1_080;
/// A block that is later than this is that of a node which catches up, and is not measured while
/// none was. src: cardano-node, block fetch metrics
const CATCHING_UP: Duration = Duration::from_secs(20);
/// Whose share is told, and the last of them: what is late.
const WITHIN: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(5),
];

/// What was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// Times the chain went back.
    pub forks: u64,
    /// Seconds from slot to body, of the last block; 0 where slots have no known times.
    pub delay: f64,
    /// Blocks that took more than five seconds.
    pub late: u64,
    /// Shares of blocks that took at most one, three and five seconds.
    pub within: [f64; 3],
    /// Blocks to a slot, lately.
    pub density: f64,
    /// Epoch of the tip, and its slot within that.
    pub epoch: Option<(u64, u64)>,
    /// How long the steps of the churn took.
    pub churned: Churned,
}

/// How long each step of the churn took when it was last done.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Churned([f64; 12]);

impl Churned {
    /// Seconds of a step, from 1 to 12; 0 when it was not done yet.
    pub fn step(&self, step: u8) -> f64 {
        let at = usize::from(step).checked_sub(1);
        at.and_then(|at| self.0.get(at))
            .copied()
            .unwrap_or_default()
    }
}

/// Measures from the notices of a node.
#[derive(Debug, Default)]
pub struct Measures {
    clock: Option<SlotClock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    forks: u64,
    late: u64,
    delay: Duration,
    /// Delay of the first body of each slot, oldest first; at most `WINDOW`.
    delays: BTreeMap<Slot, Duration>,
    /// The end of our chain, oldest first; at most `WINDOW` + 1.
    line: VecDeque<(BlockNo, Slot)>,
    tip: Tip,
    churned: Churned,
}

impl Measures {
    /// Nothing is measured yet; delays and epochs need to know when slots begin.
    pub fn new(clock: Option<SlotClock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// Takes a notice at `wall`, the time since the Unix epoch.
    pub fn notice(&self, wall: Duration, notice: &Notice) {
        match notice {
            Notice::Chain(chain::Notice::TipChanged { tip, common, .. }) => {
                self.with(|state| state.on_tip(*tip, common));
            }
            Notice::Chain(chain::Notice::Fetched { point, .. }) => {
                if let (Some(clock), Some(slot)) = (&self.clock, point.slot())
                    && let Some(begins) = clock.begins(slot)
                {
                    let delay = wall.saturating_sub(begins);
                    self.with(|state| state.on_body(slot, delay));
                }
            }
            _ => {}
        }
    }

    /// Takes what the governor tells of its steps.
    pub fn trace(&self, trace: &Trace) {
        if let Trace::ChurnDone { step, took, .. } = trace {
            self.with(|state| {
                let at = usize::from(*step).checked_sub(1);
                if let Some(place) = at.and_then(|at| state.churned.0.get_mut(at)) {
                    *place = took.as_secs_f64();
                }
            });
        }
    }

    /// What was measured up to now.
    pub fn now(&self) -> Measured {
        self.with(|state| {
            let slot = state.tip.point.slot();
            Measured {
                forks: state.forks,
                delay: state.delay.as_secs_f64(),
                late: state.late,
                within: WITHIN.map(|span| state.share(span)),
                density: state.density(),
                epoch: slot.and_then(|slot| self.clock.as_ref()?.epoch(slot)),
                churned: state.churned,
            }
        })
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn on_tip(&mut self, tip: Tip, common: &Point) {
        if *common != self.tip.point && !self.tip.is_empty() {
            self.forks += 1;
        }
        while self.line.back().is_some_and(|(no, _)| *no >= tip.block_no) {
            self.line.pop_back();
        }
        if let Some(slot) = tip.point.slot() {
            self.line.push_back((tip.block_no, slot));
        }
        if self.line.len() > WINDOW + 1 {
            self.line.pop_front();
        }
        self.tip = tip;
    }

    fn on_body(&mut self, slot: Slot, delay: Duration) {
        if (self.delays.is_empty() && delay > CATCHING_UP) || self.delays.contains_key(&slot) {
            return;
        }
        if self.delays.len() >= WINDOW {
            // One that is older than all that count changes nothing.
            if self
                .delays
                .first_key_value()
                .is_some_and(|(first, _)| slot < *first)
            {
                return;
            }
            self.delays.pop_first();
        }
        self.delays.insert(slot, delay);
        self.delay = delay;
        self.late += u64::from(delay > WITHIN[2]);
    }

    fn share(&self, span: Duration) -> f64 {
        let within = self.delays.values().filter(|delay| **delay <= span);
        ratio(within.count(), self.delays.len())
    }

    fn density(&self) -> f64 {
        let (Some(first), Some(last)) = (self.line.front(), self.line.back()) else {
            return 0.0;
        };
        let slots = last.1.saturating_sub(first.1);
        let blocks = last.0.saturating_sub(first.0);
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        ratio(number(blocks), number(slots))
    }
}

/// 0 where there is nothing to divide by.
#[expect(
    clippy::cast_precision_loss,
    reason = "shares are told to a few digits"
)]
fn ratio(part: usize, of: usize) -> f64 {
    if of == 0 {
        0.0
    } else {
        part as f64 / of as f64
    }
}

#[cfg(test)]
mod tests {
    use samanea_core::base::{Hash32, Serial};

    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    fn measures() -> Measures {
        Measures::new(Some(SlotClock::since(START, Duration::from_secs(1))))
    }

    fn point(slot: Slot, fork: u8) -> Point {
        Point::Block {
            slot,
            hash: Hash32([fork; 32]),
        }
    }

    fn body(measures: &Measures, slot: Slot, delay_ms: u64) {
        let wall = START + Duration::from_secs(slot) + Duration::from_millis(delay_ms);
        let fetched = chain::Notice::Fetched {
            from: Serial(1),
            point: point(slot, 0),
            bytes: 1,
        };
        measures.notice(wall, &Notice::Chain(fetched));
    }

    fn tip(measures: &Measures, block_no: BlockNo, new: Point, common: Point) {
        let changed = chain::Notice::TipChanged {
            tip: Tip {
                point: new,
                block_no,
            },
            common,
            from: None,
        };
        measures.notice(START, &Notice::Chain(changed));
    }

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn shares_are_those_of_the_first_body_of_each_slot() {
        let measures = measures();
        for (slot, delay) in [
            (10, 500),
            (10, 9_000),
            (20, 2_000),
            (30, 4_000),
            (40, 6_000),
        ] {
            body(&measures, slot, delay);
        }
        let now = measures.now();
        for (share, expected) in now.within.into_iter().zip([0.25, 0.5, 0.75]) {
            assert!(close(share, expected), "{now:?}");
        }
        assert_eq!((now.late, now.delay), (1, 6.0));
    }

    #[test]
    fn blocks_of_a_node_that_catches_up_are_not_measured() {
        let measures = measures();
        body(&measures, 10, 21_000);
        assert_eq!(measures.now(), Measured::default());
        body(&measures, 20, 1_000);
        body(&measures, 30, 21_000);
        assert_eq!((measures.now().late, measures.now().delay), (1, 21.0));
    }

    #[test]
    fn only_the_last_slots_count() {
        let measures = measures();
        for slot in 0..WINDOW as u64 {
            body(&measures, slot + 100, 6_000);
        }
        for slot in 0..WINDOW as u64 {
            body(&measures, slot + 100_000, 100);
        }
        assert!(close(measures.now().within[0], 1.0));
        body(&measures, 5, 15_000);
        assert!(close(measures.now().within[2], 1.0), "too old to count");
        assert_eq!(measures.with(|state| state.delays.len()), WINDOW);
    }

    #[test]
    fn without_times_of_slots_nothing_is_measured_of_bodies() {
        let measures = Measures::new(None);
        body(&measures, 10, 2_000);
        assert!(close(measures.now().delay, 0.0));
    }

    #[test]
    fn a_step_back_is_a_fork_and_growth_is_none() {
        let measures = measures();
        tip(&measures, 0, point(5, 1), Point::Origin);
        tip(&measures, 1, point(7, 1), point(5, 1));
        assert_eq!(measures.now().forks, 0);
        tip(&measures, 2, point(9, 2), point(5, 1));
        assert_eq!(measures.now().forks, 1);
    }

    #[test]
    fn the_density_is_that_of_the_end_of_the_chain() {
        let measures = measures();
        let mut last = Point::Origin;
        for no in 0..2 * WINDOW as u64 {
            let new = point(no * 20, 0);
            tip(&measures, no, new, last);
            last = new;
        }
        assert!(close(measures.now().density, 0.05));
        assert_eq!(measures.with(|state| state.line.len()), WINDOW + 1);
    }

    #[test]
    fn steps_of_the_churn_are_told_by_number() {
        let measures = measures();
        for (step, ms) in [(0, 1), (1, 1_500), (12, 250), (13, 9)] {
            measures.trace(&Trace::ChurnDone {
                step,
                took: Duration::from_millis(ms),
                timeout: false,
            });
        }
        let churned = measures.now().churned;
        assert!(close(churned.step(1), 1.5) && close(churned.step(12), 0.25));
        assert!(close(churned.step(0) + churned.step(13), 0.0));
    }
}
