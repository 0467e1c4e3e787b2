//! Many deadlines, one earliest.

use alloc::collections::{BTreeMap, BTreeSet};

use super::{Instant, Violated, violated};

/// Timers as state: at most one deadline per key, the earliest at hand in O(1) amortised.
///
/// Setting is assignment: an earlier deadline of the same key is forgotten, so nothing stale can
/// fire. Keys due at the same time come in key order.
///
/// Invariants: 1. the ordered set and the map hold the same pairs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Deadlines<K: Ord> {
    order: BTreeSet<(Instant, K)>,
    at: BTreeMap<K, Instant>,
}

impl<K: Ord> Default for Deadlines<K> {
    fn default() -> Self {
        Self {
            order: BTreeSet::new(),
            at: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Copy> Deadlines<K> {
    /// None set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets, moves or (with `None`) clears the deadline of `key`.
    pub fn set(&mut self, key: K, at: Option<Instant>) {
        let before = match at {
            Some(at) => self.at.insert(key, at),
            None => self.at.remove(&key),
        };
        if before == at {
            return;
        }
        if let Some(before) = before {
            self.order.remove(&(before, key));
        }
        if let Some(at) = at {
            self.order.insert((at, key));
        }
    }

    /// The deadline of `key`.
    pub fn of(&self, key: &K) -> Option<Instant> {
        self.at.get(key).copied()
    }

    /// The earliest of all.
    pub fn next(&self) -> Option<Instant> {
        self.order.first().map(|(at, _)| *at)
    }

    /// Removes and returns one key whose deadline is at or before `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        let (at, key) = *self.order.first()?;
        if at > now {
            return None;
        }
        self.order.remove(&(at, key));
        self.at.remove(&key);
        Some(key)
    }

    /// How many are set.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether none is set.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }

    /// Checks invariant 1.
    pub fn check_invariants(&self) -> Result<(), Violated> {
        let same = self.order.len() == self.at.len()
            && self
                .order
                .iter()
                .all(|(at, key)| self.at.get(key) == Some(at));
        violated(
            same,
            "deadlines",
            1,
            "the ordered set and the map hold the same pairs",
        )
    }
}
