//! Tells a node how old its chain is.

use std::time::Duration;

use samanea_core::{base::Tip, node::Command};
use samanea_std::clock;
use tokio::time::{self, Interval, MissedTickBehavior};
use tracing::info;

use crate::{
    age::{Rule, Seen, Standing},
    driver::Handle,
    slots::SlotClock,
};

/// How often the chain is looked at.
const PERIOD: Duration = Duration::from_secs(1);

/// Judges the chain of one node.
pub(super) struct Judging {
    clock: SlotClock,
    rule: Rule,
    standing: Standing,
    /// Whether the node was told anything.
    has_told: bool,
    interval: Interval,
}

impl Judging {
    /// Judges by these slots; `seed` spreads the moments at which nodes find their chains old.
    /// Needs a runtime.
    pub(super) fn new(clock: SlotClock, seed: u64) -> Self {
        let mut interval = time::interval(PERIOD);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            clock,
            rule: Rule::spread(seed),
            standing: Standing::NEW,
            has_told: false,
            interval,
        }
    }

    /// Waits until it is time to look again.
    pub(super) async fn due(&mut self) {
        self.interval.tick().await;
    }

    /// Looks at the chain and tells the node what has changed.
    pub(super) fn look(&mut self, handle: &Handle, tip: &Tip) {
        let seen = Seen::of(&self.clock, handle.now(), clock::wall(), tip);
        let before = self.standing;
        self.standing = self.rule.judge(before, seen);
        let Standing {
            judgement, mode, ..
        } = self.standing;
        let age_s = seen.age.map(|age| age.as_secs());
        if judgement != before.judgement || !self.has_told {
            info!(?judgement, age_s, "chain judged");
            handle.command(Command::Judgement(judgement));
        }
        if mode != before.mode || !self.has_told {
            info!(?mode, slots_behind = seen.behind, "chain fetched");
            handle.command(Command::FetchMode(mode));
        }
        self.has_told = true;
    }
}
