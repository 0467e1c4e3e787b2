//! Whether the chain is young, and how blocks are fetched: by the age of its tip.
//!
//! ```text
//!             age <= young                        age > old, and stay has passed
//!  TooOld ──────────────────────▶ YoungEnough ──────────────────────────────────▶ TooOld
//!  BulkSync ◀──── as many slots behind as `near`, or more ──┬── fewer ────▶ Deadline
//! ```
//! The age is the time since the slot of the tip began, by the clock of the machine. A chain of
//! nothing, and one whose tip is of a time from which slots are not known, is old.
//!
//! A node of Cardano takes its chain for young when all whom it follows have nothing better; then it
//! stays young for twenty minutes at least, and until its tip is older than that, plus up to five
//! minutes that it draws so that not all nodes leave at once. We have only the clock on the way
//! in, so [`Rule::young`] is half of the age that is too old: between the two a chain stays what it
//! was. src: ouroboros-consensus, Genesis state machine, `llrnMaxCaughtUpAge`,
//! `minCaughtUpDuration`, `antiThunderingHerd`
//!
//! Fetching is for deadlines while the tip is fewer than 1,000 slots behind the clock, else in
//! bulk; in bulk too when the clock says that there is no slot yet. src: ouroboros-consensus,
//! `readFetchModeDefault`

use std::time::Duration;

use samanea_core::{
    base::{Instant, Tip},
    governor::{FetchMode, Judgement},
};

use crate::slots::SlotClock;

/// From which age on a chain is what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// An old chain becomes young at this age of its tip, inclusive.
    pub young: Duration,
    /// A young one becomes old beyond this age; not less than `young`.
    pub old: Duration,
    /// A chain stays young so long at least.
    pub stay: Duration,
    /// So many slots behind, or more, is far.
    pub near: u64,
}

/// The most that is drawn on top of [`Rule::old`].
/// src: ouroboros-consensus, Genesis state machine, `antiThunderingHerd`
pub const SPREAD: Duration = Duration::from_secs(300);

impl Rule {
    /// Ten minutes in, twenty out, twenty at least, and 1,000 slots.
    pub const USUAL: Self = Self {
        young: Duration::from_secs(600),
        old: Duration::from_secs(1_200),
        stay: Duration::from_secs(1_200),
        near: 1_000,
    };

    /// The usual rule with a share of [`SPREAD`] drawn by `seed`.
    pub fn spread(seed: u64) -> Self {
        let most = u64::try_from(SPREAD.as_millis()).unwrap_or(u64::MAX);
        let more = Duration::from_millis(seed % most.saturating_add(1));
        Self {
            old: Self::USUAL.old.saturating_add(more),
            ..Self::USUAL
        }
    }

    /// What the chain is now that this is seen of it.
    pub fn judge(&self, before: Standing, seen: Seen) -> Standing {
        let is_young = match (before.judgement, seen.age) {
            (Judgement::TooOld, Some(age)) => age <= self.young,
            (Judgement::TooOld, None) => false,
            (Judgement::YoungEnough, age) => {
                age.is_some_and(|age| age <= self.old) || seen.now.since(before.since) < self.stay
            }
        };
        let judgement = if is_young {
            Judgement::YoungEnough
        } else {
            Judgement::TooOld
        };
        let is_near = seen.behind.is_some_and(|behind| behind < self.near);
        Standing {
            judgement,
            since: if judgement == before.judgement {
                before.since
            } else {
                seen.now
            },
            mode: if is_near {
                FetchMode::Deadline
            } else {
                FetchMode::BulkSync
            },
        }
    }
}

/// What a chain is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Whether it is young.
    pub judgement: Judgement,
    /// Since when, by the clock of the node.
    pub since: Instant,
    /// How its blocks are fetched.
    pub mode: FetchMode,
}

impl Standing {
    /// That of a node that has just begun, as the governor takes it without a word.
    pub const NEW: Self = Self {
        judgement: Judgement::TooOld,
        since: Instant::ZERO,
        mode: FetchMode::Deadline,
    };
}

/// What is seen of a chain at one time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The time by the clock of the node, which never jumps.
    pub now: Instant,
    /// How long ago the slot of the tip began; `None` when that is not known.
    pub age: Option<Duration>,
    /// By how many slots the tip is behind; `None` before the first slot.
    pub behind: Option<u64>,
}

impl Seen {
    /// A chain with this tip, at `wall` since the Unix epoch.
    pub fn of(clock: &SlotClock, now: Instant, wall: Duration, tip: &Tip) -> Self {
        let slot = tip.point.slot();
        let begins = slot.and_then(|slot| clock.begins(slot));
        let behind = clock.slot_at(wall).map(|current| match slot {
            Some(slot) => current.saturating_sub(slot),
            None => current.saturating_add(1),
        });
        Self {
            now,
            age: begins.map(|begins| wall.saturating_sub(begins)),
            behind,
        }
    }
}

#[cfg(test)]
mod tests {
    use samanea_core::base::{Hash32, Point};

    use super::*;

    const RULE: Rule = Rule::USUAL;

    fn standing(judgement: Judgement, since: u64) -> Standing {
        Standing {
            judgement,
            since: Instant::from_secs(since),
            mode: FetchMode::Deadline,
        }
    }

    #[test]
    fn a_chain_becomes_young_early_and_old_late() {
        use Judgement::{TooOld, YoungEnough};
        // What it was and since when, the time, the age, what it is.
        let minutes = |m: u64| Some(Duration::from_secs(60 * m));
        let past = |m: u64| minutes(m).map(|age| age + Duration::from_nanos(1));
        for (was, since, now, age, is) in [
            (TooOld, 0, 0, None, TooOld),
            (TooOld, 0, 9_999, minutes(21), TooOld),
            (TooOld, 0, 9_999, minutes(20), TooOld),
            (TooOld, 0, 9_999, past(10), TooOld),
            (TooOld, 0, 0, minutes(10), YoungEnough),
            (TooOld, 0, 0, minutes(0), YoungEnough),
            (YoungEnough, 0, 9_999, past(10), YoungEnough),
            (YoungEnough, 0, 9_999, minutes(20), YoungEnough),
            (YoungEnough, 0, 9_999, past(20), TooOld),
            (YoungEnough, 0, 9_999, None, TooOld),
            // For twenty minutes it stays young, whatever is seen.
            (YoungEnough, 9_000, 9_000 + 1_199, past(20), YoungEnough),
            (YoungEnough, 9_000, 9_000 + 1_199, None, YoungEnough),
            (YoungEnough, 9_000, 9_000 + 1_200, past(20), TooOld),
            (YoungEnough, 9_000, 9_000 + 1_200, minutes(20), YoungEnough),
        ] {
            let seen = Seen {
                now: Instant::from_secs(now),
                age,
                behind: Some(0),
            };
            let judged = RULE.judge(standing(was, since), seen);
            assert_eq!(judged.judgement, is, "{was:?} since {since}, {seen:?}");
            let begins = if was == is { since } else { now };
            assert_eq!(judged.since, Instant::from_secs(begins));
        }
    }

    #[test]
    fn blocks_are_fetched_in_bulk_from_a_thousand_slots_behind() {
        for (behind, mode) in [
            (None, FetchMode::BulkSync),
            (Some(0), FetchMode::Deadline),
            (Some(999), FetchMode::Deadline),
            (Some(1_000), FetchMode::BulkSync),
            (Some(u64::MAX), FetchMode::BulkSync),
        ] {
            let seen = Seen {
                now: Instant::ZERO,
                age: None,
                behind,
            };
            for was in [Judgement::TooOld, Judgement::YoungEnough] {
                assert_eq!(RULE.judge(standing(was, 0), seen).mode, mode, "{behind:?}");
            }
        }
    }

    #[test]
    fn the_age_is_the_time_since_the_slot_of_the_tip_began() {
        let second = Duration::from_secs(1);
        let clock = SlotClock::since(100 * second, 2 * second);
        let tip = |slot| Tip {
            point: Point::Block {
                slot,
                hash: Hash32([1; 32]),
            },
            block_no: 1,
        };
        let seen = |wall: u32, tip: Tip| {
            let seen = Seen::of(&clock, Instant::ZERO, wall * second, &tip);
            (seen.age.map(|age| age.as_secs()), seen.behind)
        };
        assert_eq!(seen(120, tip(4)), (Some(12), Some(6)));
        assert_eq!(seen(120, tip(10)), (Some(0), Some(0)));
        assert_eq!(seen(120, tip(11)), (Some(0), Some(0)), "of the future");
        assert_eq!(seen(120, Tip::ORIGIN), (None, Some(11)));
        assert_eq!(seen(99, Tip::ORIGIN), (None, None));
        // Slots of Byron took longer; when is not known, but that is long ago.
        let mainnet = SlotClock::of_network(764_824_073).unwrap();
        let wall = Duration::from_secs(1_700_000_000);
        let seen = Seen::of(&mainnet, Instant::ZERO, wall, &tip(4_000_000));
        assert_eq!(seen.age, None);
        assert!(seen.behind > Some(100_000_000), "{seen:?}");
    }

    #[test]
    fn nodes_do_not_all_leave_at_once() {
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..1_000_u64 {
            let rule = Rule::spread(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            assert!(rule.old >= RULE.old && rule.old <= RULE.old + SPREAD);
            assert_eq!((rule.young, rule.stay), (RULE.young, RULE.stay));
            seen.insert(rule.old);
        }
        assert!(seen.len() > 900, "{}", seen.len());
    }
}
