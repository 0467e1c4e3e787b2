//! Many deadlines, one earliest.

use alloc::collections::{BTreeMap, BTreeSet};

use super::{Instant, Violated, violated};

/// Timers as state: at most one deadline per key, the earliest at hand in O(1) amortised.
///
/// Setting is assignment: an earlier deadline of the same key is forgotten, so nothing stale can
/// fire. Keys due at the same time come in key order.
///
/// A snapshot holds the map alone.
///
/// Invariants: 1. the ordered set and the map hold the same pairs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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

    /// The same keys, each with the deadline that `at` makes of its own.
    #[must_use]
    pub fn map(&self, at: impl Fn(Instant) -> Instant) -> Self {
        let at: BTreeMap<K, Instant> = self.at.iter().map(|(key, was)| (*key, at(*was))).collect();
        let order = at.iter().map(|(key, at)| (*at, *key)).collect();
        Self { order, at }
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

#[cfg(feature = "serde")]
impl<K: Ord + serde::Serialize> serde::Serialize for Deadlines<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.at.serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de, K: Ord + Copy + serde::Deserialize<'de>> serde::Deserialize<'de> for Deadlines<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let at: BTreeMap<K, Instant> = serde::Deserialize::deserialize(deserializer)?;
        let order = at.iter().map(|(key, at)| (*at, *key)).collect();
        Ok(Self { order, at })
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Op {
        Set(u8, Option<u64>),
        Due(u64),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => (0_u8..8, prop::option::weighted(0.8, 0_u64..50)).prop_map(|(k, at)| Op::Set(k, at)),
            1 => (0_u64..60).prop_map(Op::Due),
        ]
    }

    proptest! {
        /// Deadlines are a map from key to time, taken in order of (time, key).
        #[test]
        fn deadlines_are_a_map_taken_in_order(ops in prop::collection::vec(op(), 1..80)) {
            let mut deadlines = Deadlines::new();
            let mut model: BTreeMap<u8, u64> = BTreeMap::new();
            for op in ops {
                match op {
                    Op::Set(key, at) => {
                        deadlines.set(key, at.map(Instant::from_micros));
                        match at {
                            Some(at) => model.insert(key, at),
                            None => model.remove(&key),
                        };
                    }
                    Op::Due(now) => {
                        let due = core::iter::from_fn(|| deadlines.pop_due(Instant::from_micros(now)));
                        let due: Vec<u8> = due.collect();
                        let mut expected: Vec<(u64, u8)> = model
                            .iter()
                            .filter(|(_, at)| **at <= now)
                            .map(|(key, at)| (*at, *key))
                            .collect();
                        expected.sort_unstable();
                        model.retain(|_, at| *at > now);
                        prop_assert!(due.into_iter().eq(expected.into_iter().map(|(_, key)| key)));
                    }
                }
                deadlines.check_invariants().unwrap();
                prop_assert_eq!((deadlines.len(), deadlines.is_empty()), (model.len(), model.is_empty()));
                let next = model.values().min().copied().map(Instant::from_micros);
                prop_assert_eq!(deadlines.next(), next);
                for key in 0..8 {
                    let at = model.get(&key).copied().map(Instant::from_micros);
                    prop_assert_eq!(deadlines.of(&key), at);
                }
                #[cfg(feature = "tape")]
                {
                    let bytes = postcard::to_allocvec(&deadlines).unwrap();
                    prop_assert_eq!(&postcard::from_bytes::<Deadlines<u8>>(&bytes).unwrap(), &deadlines);
                }
            }
        }
    }

    #[test]
    fn a_set_that_disagrees_with_the_map_breaks_invariant_1() {
        let mut deadlines = Deadlines::new();
        deadlines.set(1_u8, Some(Instant::from_secs(1)));
        deadlines.order.clear();
        assert_eq!(deadlines.check_invariants().unwrap_err().number, 1);
        deadlines.order.insert((Instant::from_secs(2), 1));
        assert_eq!(deadlines.check_invariants().unwrap_err().number, 1);
    }
}
