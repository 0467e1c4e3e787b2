//! Who behaved like an adversary, and is left alone for a while.
//!
//! In: offences. Out: how long an address is held off: the first time `hold_off`, twice as long
//! with each further offence, `hold_off_max` at most. One offence is forgotten each `forgive`
//! without a new one, and with the last of them, once it is no longer held off, the address: nothing
//! is held against anybody for ever.
//!
//! Limits: `offenders_max` addresses; beyond that the one that returns first is forgotten, so
//! that many small offenders cannot wash out a great one.
//!
//! Invariants: 1. each address is in the table and in both orders, with the times of its record;
//! 2. never more than the maximum.
// deviates: the reference treats an adversary like a broken cable: some ten seconds, then again.

use alloc::{collections::BTreeMap, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use super::{BackOff, SavedOffender};
use crate::base::{Deadlines, Instant, Violated, violated};

/// Addresses that are held off.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Offenders {
    base: Duration,
    longest: Duration,
    forgive: Duration,
    max: usize,
    offences: BTreeMap<SocketAddr, Offences>,
    /// Until when each is held off; may be in the past.
    returns: Deadlines<SocketAddr>,
    /// When nothing is held against it any more.
    forgets: Deadlines<SocketAddr>,
}

/// What an address has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Offences {
    /// At least one, as of the time before `next`.
    count: u8,
    /// When one of them is forgotten; the others follow at equal distances.
    next: Instant,
    /// Until when it is held off.
    until: Instant,
}

impl Offences {
    /// What is left of them.
    fn at(self, now: Instant, forgive: Duration) -> Self {
        let mut left = self;
        while left.count > 0 && left.next <= now {
            left.count = left.count.saturating_sub(1);
            left.next = left.next.after(forgive);
        }
        left
    }

    /// When nothing is left of them.
    fn gone(self, forgive: Duration) -> Instant {
        let more = u32::from(self.count.saturating_sub(1));
        self.next
            .after(forgive.saturating_mul(more))
            .max(self.until)
    }
}

impl Offenders {
    /// Nobody.
    pub fn new(back_off: &BackOff) -> Self {
        Self {
            base: back_off.hold_off,
            longest: back_off.hold_off_max,
            forgive: back_off.forgive,
            max: back_off.offenders_max,
            offences: BTreeMap::new(),
            returns: Deadlines::new(),
            forgets: Deadlines::new(),
        }
    }

    /// One more offence: how long the address is held off from now on.
    pub fn offend(&mut self, now: Instant, addr: SocketAddr) -> Duration {
        self.expire(now);
        let before = self
            .offences
            .get(&addr)
            .map_or(0, |old| old.at(now, self.forgive).count);
        let count = before.saturating_add(1);
        let doubled = 1_u32.checked_shl(before.into()).unwrap_or(u32::MAX);
        let span = self.base.saturating_mul(doubled).min(self.longest);
        let next = now.after(self.forgive);
        let until = now.after(span).max(self.returns.of(&addr).unwrap_or(now));
        self.put(addr, Offences { count, next, until });
        until.since(now)
    }

    /// Replaces each time by what `ahead` makes of it.
    pub(super) fn rebase(&mut self, now: Instant, ahead: impl Fn(Instant) -> Instant) {
        for offences in self.offences.values_mut() {
            let left = offences.at(now, self.forgive);
            *offences = Offences {
                count: left.count,
                next: ahead(left.next),
                until: ahead(left.until),
            };
        }
        self.returns = self.returns.map(&ahead);
        self.forgets = self.forgets.map(&ahead);
    }

    /// Until when an address is held off, if it is.
    pub fn held(&self, now: Instant, addr: &SocketAddr) -> Option<Instant> {
        self.returns.of(addr).filter(|until| *until > now)
    }

    /// Forgets what is to be forgotten.
    pub fn expire(&mut self, now: Instant) {
        while let Some(addr) = self.forgets.pop_due(now) {
            self.offences.remove(&addr);
            self.returns.set(addr, None);
        }
    }

    /// When [`expire`](Self::expire) has something to do.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.forgets.next()
    }

    /// How many addresses are remembered.
    pub fn len(&self) -> usize {
        self.offences.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.offences.is_empty()
    }

    /// What is kept over a restart, by address.
    pub fn saved(&self, now: Instant) -> Vec<SavedOffender> {
        let saved = |(peer, offences): (&SocketAddr, &Offences)| {
            let left = offences.at(now, self.forgive);
            let open = left.count > 0 || left.until > now;
            open.then(|| SavedOffender {
                peer: *peer,
                left: left.until.since(now),
                offences: left.count,
                forgiven: left.next.since(now),
            })
        };
        self.offences.iter().filter_map(saved).collect()
    }

    /// Takes what was kept over a restart. No time is believed that is longer than ours; of what
    /// is known already and what was kept the worse counts.
    pub fn restore(&mut self, now: Instant, saved: &[SavedOffender]) {
        self.expire(now);
        for saved in saved {
            let old = self
                .offences
                .get(&saved.peer)
                .map(|old| old.at(now, self.forgive));
            let kept = Offences {
                count: saved.offences.max(1),
                next: now.after(saved.forgiven.min(self.forgive)),
                until: now.after(saved.left.min(self.longest)),
            };
            let merged = match old {
                Some(old) => Offences {
                    count: old.count.max(kept.count),
                    next: old.next.max(kept.next),
                    until: old.until.max(kept.until),
                },
                None => kept,
            };
            self.put(saved.peer, merged);
        }
        self.expire(now);
    }

    /// Stores a record; if there is no room, in place of the one that returns first.
    fn put(&mut self, addr: SocketAddr, offences: Offences) {
        if self.max == 0 {
            return;
        }
        if !self.offences.contains_key(&addr) {
            while self.offences.len() >= self.max {
                let Some(first) = self.returns.pop_due(Instant::FAR) else {
                    break;
                };
                self.offences.remove(&first);
                self.forgets.set(first, None);
            }
        }
        self.offences.insert(addr, offences);
        self.returns.set(addr, Some(offences.until));
        self.forgets.set(addr, Some(offences.gone(self.forgive)));
    }

    /// Checks all invariants.
    pub fn check_invariants(&self) -> Result<(), Violated> {
        self.returns.check_invariants()?;
        self.forgets.check_invariants()?;
        let same = self.offences.iter().all(|(addr, offences)| {
            self.returns.of(addr) == Some(offences.until)
                && self.forgets.of(addr) == Some(offences.gone(self.forgive))
        });
        let len = self.offences.len();
        let same = same && self.returns.len() == len && self.forgets.len() == len;
        violated(same, "offenders", 1, "each address is in both orders")?;
        let few = len <= self.max;
        violated(few, "offenders", 2, "never more than the maximum")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600;
    const DAY: u64 = 24 * HOUR;

    fn peer(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 3001))
    }

    fn secs(s: u64) -> Instant {
        Instant::from_secs(s)
    }

    #[test]
    fn each_offence_doubles_the_time_up_to_a_day() {
        let mut offenders = Offenders::new(&BackOff::default());
        let minutes: Vec<u64> = (0..12)
            .map(|n| offenders.offend(secs(n), peer(1)).as_secs() / 60)
            .collect();
        assert_eq!(
            minutes,
            [
                10, 20, 40, 80, 160, 320, 640, 1_280, 1_440, 1_440, 1_440, 1_440
            ]
        );
        for n in 12..300 {
            offenders.offend(secs(n), peer(1));
        }
        assert_eq!(offenders.offend(secs(300), peer(1)).as_secs(), DAY);
        assert_eq!(offenders.held(secs(400), &peer(1)), Some(secs(300 + DAY)));
        assert_eq!(offenders.held(secs(300 + DAY), &peer(1)), None);
        assert_eq!(offenders.held(secs(0), &peer(2)), None);
    }

    #[test]
    fn a_day_without_offence_forgives_one() {
        let mut offenders = Offenders::new(&BackOff::default());
        for _ in 0..3 {
            offenders.offend(secs(0), peer(1));
        }
        // Three offences, of which one is forgotten: the next is the third again.
        let third = offenders.offend(secs(DAY), peer(1));
        assert_eq!(third.as_secs(), 4 * 600);
        let fourth = offenders.offend(secs(2 * DAY - 1), peer(1));
        assert_eq!(fourth.as_secs(), 8 * 600);
    }

    #[test]
    fn nothing_is_held_against_anybody_for_ever() {
        let mut offenders = Offenders::new(&BackOff::default());
        for _ in 0..1_000 {
            offenders.offend(secs(0), peer(1));
        }
        let last = secs(255 * DAY);
        assert_eq!(offenders.next_deadline(), Some(last));
        offenders.expire(secs(255 * DAY - 1));
        assert_eq!(offenders.len(), 1);
        offenders.expire(last);
        assert!(offenders.is_empty());
        assert_eq!(offenders.next_deadline(), None);
        assert_eq!(offenders.offend(last, peer(1)).as_secs(), 600);
    }

    #[test]
    fn restarts_stop_neither_time_nor_forgiveness() {
        let mut offenders = Offenders::new(&BackOff::default());
        let mut now = 1_000;
        for _ in 0..3 {
            offenders.offend(secs(now), peer(1));
        }
        // Three days in runs of nine hours, each with a clock that begins anew.
        for run in 0..8 {
            assert_eq!(offenders.len(), 1, "{run}");
            let saved = offenders.saved(secs(now + 9 * HOUR));
            offenders = Offenders::new(&BackOff::default());
            now = run;
            offenders.restore(secs(now), &saved);
            offenders.check_invariants().unwrap();
        }
        assert_eq!(offenders.saved(secs(now + 9 * HOUR)), []);
    }

    #[test]
    fn a_saved_time_is_not_believed_beyond_our_own() {
        let mut offenders = Offenders::new(&BackOff::default());
        let saved = SavedOffender {
            peer: peer(1),
            left: Duration::MAX,
            offences: 0,
            forgiven: Duration::MAX,
        };
        offenders.restore(secs(5), &[saved]);
        assert_eq!(offenders.held(secs(5), &peer(1)), Some(secs(5 + DAY)));
        assert_eq!(offenders.next_deadline(), Some(secs(5 + DAY)));
    }

    #[test]
    fn a_full_table_forgets_who_returns_first() {
        let back_off = BackOff {
            offenders_max: 2,
            ..BackOff::default()
        };
        let mut offenders = Offenders::new(&back_off);
        for _ in 0..5 {
            offenders.offend(secs(0), peer(1));
        }
        for n in 2..100 {
            offenders.offend(secs(n.into()), peer(n));
            offenders.check_invariants().unwrap();
        }
        assert_eq!(offenders.len(), 2);
        assert!(offenders.held(secs(100), &peer(1)).is_some());
        assert!(offenders.held(secs(100), &peer(99)).is_some());
        assert!(offenders.held(secs(100), &peer(98)).is_none());
    }

    proptest! {
        /// With room for all, an address is held off as its own history says, and a table that was
        /// saved and restored at any time goes on the same.
        #[test]
        fn history_decides(
            events in prop::collection::vec((0_u64..40, 0_u8..4, 0_u8..4), 1..60),
        ) {
            let (base, forgive, longest) = (10, 50, 60);
            let back_off = BackOff {
                hold_off: Duration::from_secs(base),
                hold_off_max: Duration::from_secs(longest),
                forgive: Duration::from_secs(forgive),
                ..BackOff::default()
            };
            let mut offenders = Offenders::new(&back_off);
            let mut model: BTreeMap<u8, (u64, u64, u64)> = BTreeMap::new();
            let (mut now, mut held) = (0, 0);
            let first = core::iter::once((0, 0, 2));
            for (step, n, kind) in first.chain(events) {
                now += step;
                if kind == 0 {
                    let saved = offenders.saved(secs(now));
                    offenders = Offenders::new(&back_off);
                    offenders.restore(secs(now), &saved);
                } else if kind == 1 {
                    offenders.expire(secs(now));
                    prop_assert!(offenders.next_deadline().is_none_or(|next| next > secs(now)));
                } else {
                    let (count, last, until) = model.get(&n).copied().unwrap_or((0, now, now));
                    let count = count.saturating_sub((now - last) / forgive) + 1;
                    let span = (base << (count - 1).min(20)).min(longest);
                    let until = until.max(now + span);
                    prop_assert_eq!(offenders.offend(secs(now), peer(n)).as_secs(), until - now);
                    model.insert(n, (count, now, until));
                }
                offenders.check_invariants().unwrap();
                for n in 0..4 {
                    let until = model.get(&n).map(|entry| entry.2).filter(|until| *until > now);
                    prop_assert_eq!(offenders.held(secs(now), &peer(n)), until.map(secs));
                    held += u32::from(until.is_some());
                }
            }
            prop_assert!(held > 0);
        }
    }
}
