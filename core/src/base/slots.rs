//! Dense slots with a keyed index.

use alloc::vec::Vec;
use core::hash::{Hash, Hasher};

use hashbrown::HashTable;
use siphasher::sip::SipHasher13;

use super::{Violated, violated};

/// A place in a [`Slots`]; valid until its entry is removed. The default is the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Slot(u32);

/// Keyed entries in dense slots. Lookup goes through a `hashbrown::HashTable` hashed with
/// SipHash-1-3 under a key of the machine's own, because peers choose the keys; it is never
/// iterated. Iteration follows the slots and is deterministic.
///
/// The index is no part of equality, hashing or snapshots; it is rebuilt on restore.
///
/// Limits: at most `max` entries; [`insert`](Slots::insert) refuses more.
///
/// Invariants: 1. every occupied slot is found through the index under its key, and nothing else
/// is; 2. the free list names each empty slot once and nothing
/// else; 3. never more than `max` entries.
#[derive(Clone, Debug)]
pub struct Slots<K, V> {
    entries: Vec<Option<(K, V)>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    key: (u64, u64),
    max: usize,
}

impl<K: Eq + Hash, V> Slots<K, V> {
    /// Empty, for at most `max` entries (inclusive), hashed under `key`.
    pub const fn new(key: (u64, u64), max: usize) -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            key,
            max,
        }
    }

    fn hash(key: (u64, u64), value: &K) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(key.0, key.1);
        value.hash(&mut hasher);
        hasher.finish()
    }

    fn find(&self, key: &K) -> Option<u32> {
        let hash = Self::hash(self.key, key);
        let entries = &self.entries;
        self.index
            .find(hash, |&i| key_at(entries, i) == Some(key))
            .copied()
    }

    /// Inserts, or gives the pair back when the key is taken or there is no room.
    pub fn insert(&mut self, key: K, value: V) -> Result<Slot, (K, V)> {
        if self.len() >= self.max || self.find(&key).is_some() {
            return Err((key, value));
        }
        let at = match self.free.pop() {
            Some(at) => at,
            None => match u32::try_from(self.entries.len()) {
                Ok(at) => {
                    self.entries.push(None);
                    at
                }
                Err(_) => return Err((key, value)),
            },
        };
        let hash = Self::hash(self.key, &key);
        if let Some(entry) = self.entries.get_mut(at as usize) {
            *entry = Some((key, value));
        }
        let (entries, salt) = (&self.entries, self.key);
        self.index.insert_unique(hash, at, |&i| {
            key_at(entries, i).map_or(0, |key| Self::hash(salt, key))
        });
        Ok(Slot(at))
    }

    /// The entry of `key`.
    pub fn get(&self, key: &K) -> Option<&V> {
        let at = self.find(key)?;
        self.entries
            .get(at as usize)?
            .as_ref()
            .map(|(_, value)| value)
    }

    /// The entry of `key`, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key)?;
        self.entries
            .get_mut(at as usize)?
            .as_mut()
            .map(|(_, value)| value)
    }

    /// Where `key` is.
    pub fn slot(&self, key: &K) -> Option<Slot> {
        self.find(key).map(Slot)
    }

    /// The entry in `slot`.
    pub fn at(&self, slot: Slot) -> Option<(&K, &V)> {
        self.entries
            .get(slot.0 as usize)?
            .as_ref()
            .map(|(key, value)| (key, value))
    }

    /// The entry in `slot`, to change.
    pub fn at_mut(&mut self, slot: Slot) -> Option<(&K, &mut V)> {
        self.entries
            .get_mut(slot.0 as usize)?
            .as_mut()
            .map(|(key, value)| (&*key, value))
    }

    /// Removes and returns the entry of `key`.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let hash = Self::hash(self.key, key);
        let entries = &self.entries;
        let found = self
            .index
            .find_entry(hash, |&i| key_at(entries, i) == Some(key))
            .ok()?;
        let (at, _) = found.remove();
        self.free.push(at);
        self.entries
            .get_mut(at as usize)?
            .take()
            .map(|(_, value)| value)
    }

    /// Whether `key` has an entry.
    pub fn contains(&self, key: &K) -> bool {
        self.find(key).is_some()
    }

    /// Entries in slot order.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries
            .iter()
            .flatten()
            .map(|(key, value)| (key, value))
    }

    /// Entries in slot order, to change.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries
            .iter_mut()
            .flatten()
            .map(|(key, value)| (&*key, value))
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The maximum, inclusive.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// Checks invariants 1 to 3.
    pub fn check_invariants(&self) -> Result<(), Violated> {
        let held = self.entries.iter().flatten().count();
        let found = (0_u32..).zip(&self.entries).all(|(i, entry)| match entry {
            Some((key, _)) => self.find(key) == Some(i),
            None => true,
        });
        let name = "slots";
        violated(
            found && held == self.index.len(),
            name,
            1,
            "the index finds every entry",
        )?;
        let mut free = self.free.clone();
        free.sort_unstable();
        let empty = (0_u32..)
            .zip(&self.entries)
            .filter_map(|(i, entry)| entry.is_none().then_some(i));
        violated(
            empty.eq(free),
            name,
            2,
            "the free list names each empty slot once",
        )?;
        violated(held <= self.max, name, 3, "never more than the maximum")
    }

    #[cfg(feature = "serde")]
    fn rebuild(&mut self) {
        self.index = HashTable::with_capacity(self.entries.len());
        for (i, entry) in (0_u32..).zip(&self.entries) {
            if let Some((key, _)) = entry {
                let (entries, salt) = (&self.entries, self.key);
                self.index.insert_unique(Self::hash(salt, key), i, |&i| {
                    key_at(entries, i).map_or(0, |key| Self::hash(salt, key))
                });
            }
        }
    }
}

fn key_at<K, V>(entries: &[Option<(K, V)>], at: u32) -> Option<&K> {
    entries.get(at as usize)?.as_ref().map(|(key, _)| key)
}

impl<K: PartialEq, V: PartialEq> PartialEq for Slots<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
            && self.free == other.free
            && self.key == other.key
            && self.max == other.max
    }
}

impl<K: Eq, V: Eq> Eq for Slots<K, V> {}

impl<K: Hash, V: Hash> Hash for Slots<K, V> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.entries, &self.free, self.key, self.max).hash(state);
    }
}

#[cfg(feature = "serde")]
impl<K: serde::Serialize, V: serde::Serialize> serde::Serialize for Slots<K, V> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.entries, &self.free, self.key, self.max).serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de, K, V> serde::Deserialize<'de> for Slots<K, V>
where
    K: serde::Deserialize<'de> + Eq + Hash,
    V: serde::Deserialize<'de>,
{
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (entries, free, key, max) = serde::Deserialize::deserialize(deserializer)?;
        let mut slots = Self {
            entries,
            free,
            index: HashTable::new(),
            key,
            max,
        };
        slots.rebuild();
        slots
            .check_invariants()
            .map_err(|_| serde::de::Error::custom("slots that contradict themselves"))?;
        Ok(slots)
    }
}

#[cfg(test)]
mod tests;
