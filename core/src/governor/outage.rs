//! Whether it is our own network that fails, and not the peers.
//!
//! In: how each dial ended, and every sign of life from anybody. Out: whether there is an outage,
//! during which failures to connect are not held against the peers.
//!
//! An outage is when of the last `outage_window` dials, no fewer, at least `outage_percent` in a
//! hundred have failed, and nobody was heard of for `outage_silence`. It ends with the first
//! success or other sign of life. Only failures of the network are dials that failed; a peer that
//! answers wrongly is alive. Which peers count is the caller's choice: one in the same room says
//! nothing of the line to the rest of the world.
//!
//! Limits: `outage_window` outcomes.
//!
//! Invariants: 1. the failures counted are those remembered.
// deviates: the reference counts every failure, so that an outage of some minutes makes a node
// forget all peers but its configured roots.

use core::time::Duration;

use super::Policy;
use crate::base::{Instant, Queue, Violated, violated};

/// Tells an outage of our own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Outage {
    on: bool,
    percent: u32,
    silence: Duration,
    /// Whether each of the last dials succeeded, the oldest first.
    dials: Queue<bool>,
    failed: u32,
    /// The last sign of life; before the first, the first dial.
    heard: Option<Instant>,
}

impl Outage {
    /// Nothing dialled and nobody heard of yet.
    pub const fn new(policy: &Policy) -> Self {
        let window = if policy.outage_window == 0 {
            1
        } else {
            policy.outage_window
        };
        Self {
            on: policy.detect_outage,
            percent: policy.outage_percent as u32,
            silence: policy.outage_silence,
            dials: Queue::new(window as usize),
            failed: 0,
            heard: None,
        }
    }

    /// A dial has ended: `ok` if the peer was reached, even if it answered wrongly.
    pub fn dial(&mut self, now: Instant, ok: bool) {
        if self.dials.room() == 0 && self.dials.pop() == Some(false) {
            self.failed = self.failed.saturating_sub(1);
        }
        if self.dials.push(ok).is_ok() && !ok {
            self.failed = self.failed.saturating_add(1);
        }
        if ok || self.heard.is_none() {
            self.heard(now);
        }
    }

    /// Somebody has given a sign of life: a connection came up, a probe came back, a peer told us
    /// anything.
    pub fn heard(&mut self, now: Instant) {
        self.heard = self.heard.max(Some(now));
    }

    /// Whether failures to connect are our own.
    pub fn is_outage(&self, now: Instant) -> bool {
        let dials = u32::try_from(self.dials.len()).unwrap_or(u32::MAX);
        let full = self.dials.room() == 0;
        let most = self.failed.saturating_mul(100) >= dials.saturating_mul(self.percent);
        let silent = self
            .heard
            .is_some_and(|heard| now.since(heard) >= self.silence);
        self.on && full && most && silent
    }

    /// Checks invariant 1.
    pub fn check_invariants(&self) -> Result<(), Violated> {
        let failed = self.dials.iter().filter(|ok| !**ok).count();
        let text = "the failures counted are those remembered";
        violated(failed == self.failed as usize, "outage", 1, text)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn secs(s: u64) -> Instant {
        Instant::from_secs(s)
    }

    /// Sixteen dials a second apart, the first at `from`, of which `ok` succeed at the beginning.
    fn dialled(from: u64, ok: u64) -> Outage {
        let mut outage = Outage::new(&Policy::default());
        for n in 0..16 {
            outage.dial(secs(from + n), n < ok);
        }
        outage
    }

    #[test]
    fn an_outage_is_when_all_dials_fail_and_nobody_is_heard_of() {
        let outage = dialled(100, 0);
        assert!(!outage.is_outage(secs(159)));
        assert!(outage.is_outage(secs(160)));
        let outage = dialled(100, 1);
        assert!(outage.is_outage(secs(160)), "15 of 16 is more than 90 %");
        let outage = dialled(100, 2);
        assert!(!outage.is_outage(secs(1_000)), "14 of 16 is less");
    }

    #[test]
    fn a_few_dials_say_nothing() {
        let mut outage = Outage::new(&Policy::default());
        for n in 0..15 {
            outage.dial(secs(n), false);
        }
        assert!(!outage.is_outage(secs(1_000)));
        outage.dial(secs(1_000), false);
        assert!(outage.is_outage(secs(1_000)));
    }

    #[test]
    fn an_outage_ends_with_the_first_sign_of_life() {
        let mut outage = dialled(0, 0);
        assert!(outage.is_outage(secs(100)));
        let mut heard = outage.clone();
        heard.heard(secs(100));
        assert!(!heard.is_outage(secs(100)));
        outage.dial(secs(100), true);
        assert!(!outage.is_outage(secs(100)));
    }

    #[test]
    fn switched_off_there_is_none() {
        let policy = Policy {
            detect_outage: false,
            ..Policy::default()
        };
        let mut outage = Outage::new(&policy);
        for n in 0..100 {
            outage.dial(secs(n), false);
        }
        assert!(!outage.is_outage(secs(10_000)));
    }

    proptest! {
        /// The detector says what a look at the whole history says.
        #[test]
        fn the_window_is_the_last_dials(
            policy in (1_u8..20, 0_u8..101, 0_u64..20),
            events in prop::collection::vec((0_u64..10, prop::option::of(prop::bool::weighted(0.1))), 1..100),
        ) {
            let (window, percent, silence) = policy;
            let policy = Policy {
                outage_window: window,
                outage_percent: percent,
                outage_silence: Duration::from_secs(silence),
                ..Policy::default()
            };
            let mut outage = Outage::new(&policy);
            let (mut now, mut dials, mut heard) = (0, Vec::new(), None);
            for (step, event) in events {
                now += step;
                if let Some(ok) = event {
                    outage.dial(secs(now), ok);
                    dials.push(ok);
                } else {
                    outage.heard(secs(now));
                }
                if event != Some(false) || heard.is_none() {
                    heard = Some(now);
                }
                outage.check_invariants().unwrap();
                let last: Vec<bool> = dials.iter().rev().take(window.into()).copied().collect();
                let failed = last.iter().filter(|ok| !**ok).count();
                let expected = last.len() == usize::from(window)
                    && failed * 100 >= usize::from(window) * usize::from(percent)
                    && heard.is_some_and(|heard| now - heard >= silence);
                prop_assert_eq!(outage.is_outage(secs(now)), expected);
            }
        }
    }
}
