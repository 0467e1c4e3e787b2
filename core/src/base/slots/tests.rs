//! Slots against a plain map.

use alloc::{collections::BTreeMap, vec::Vec};

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Insert(u8, u16),
    Remove(u8),
    Change(u8, u16),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0_u8..24, any::<u16>()).prop_map(|(key, value)| Op::Insert(key, value)),
        2 => (0_u8..24).prop_map(Op::Remove),
        1 => (0_u8..24, any::<u16>()).prop_map(|(key, value)| Op::Change(key, value)),
    ]
}

fn apply(slots: &mut Slots<u8, u16>, model: &mut BTreeMap<u8, u16>, op: &Op) {
    match *op {
        Op::Insert(key, value) => {
            let room = model.len() < slots.max() && !model.contains_key(&key);
            match slots.insert(key, value) {
                Ok(slot) => {
                    assert!(room);
                    assert_eq!(slots.at(slot), Some((&key, &value)));
                    model.insert(key, value);
                }
                Err(back) => {
                    assert!(!room);
                    assert_eq!(back, (key, value));
                }
            }
        }
        Op::Remove(key) => assert_eq!(slots.remove(&key), model.remove(&key)),
        Op::Change(key, value) => {
            let there = model.get_mut(&key).map(|old| *old = value).is_some();
            if let Some(slot) = slots.slot(&key) {
                *slots.at_mut(slot).unwrap().1 = value;
            }
            assert_eq!(slots.get_mut(&key).is_some(), there);
        }
    }
}

fn compare(slots: &Slots<u8, u16>, model: &BTreeMap<u8, u16>) {
    slots.check_invariants().unwrap();
    assert_eq!(slots.len(), model.len());
    assert_eq!(slots.is_empty(), model.is_empty());
    let held: BTreeMap<u8, u16> = slots.iter().map(|(k, v)| (*k, *v)).collect();
    assert_eq!(&held, model);
    assert_eq!(slots.iter().count(), model.len());
    for key in 0..24 {
        assert_eq!(slots.get(&key), model.get(&key));
        assert_eq!(slots.contains(&key), model.contains_key(&key));
        let at = slots.slot(&key).and_then(|slot| slots.at(slot));
        assert_eq!(at, model.get_key_value(&key));
    }
}

proptest! {
    /// Slots are a map with a maximum, whatever the key of their hash.
    #[test]
    fn slots_are_a_map_with_a_maximum(
        ops in prop::collection::vec(op(), 1..120),
        key: (u64, u64),
        max in 0_usize..20,
    ) {
        let mut slots = Slots::new(key, max);
        let mut other = Slots::new((key.0, !key.1), max);
        let mut model = BTreeMap::new();
        for op in &ops {
            let mut same = model.clone();
            apply(&mut other, &mut same, op);
            apply(&mut slots, &mut model, op);
            compare(&slots, &model);
        }
        prop_assert!(slots.iter().eq(other.iter()), "the hash key shows in the order");
        slots.iter_mut().for_each(|(_, value)| *value = value.wrapping_add(1));
        for value in model.values_mut() {
*value = value.wrapping_add(1);
}
        compare(&slots, &model);
    }

    /// A restored snapshot is equal, hashes equal and goes on equal.
    #[cfg(feature = "tape")]
    #[test]
    fn a_restored_snapshot_goes_on_as_the_original(
        before in prop::collection::vec(op(), 0..60),
        after in prop::collection::vec(op(), 1..60),
    ) {
        let mut slots = Slots::new((1, 2), 16);
        let mut model = BTreeMap::new();
        for op in &before {
apply(&mut slots, &mut model, op);
}
        let bytes = postcard::to_allocvec(&slots).unwrap();
        let mut restored: Slots<u8, u16> = postcard::from_bytes(&bytes).unwrap();
        for op in &after {
            let mut same = model.clone();
            apply(&mut restored, &mut same, op);
            apply(&mut slots, &mut model, op);
            prop_assert_eq!(&restored, &slots);
            prop_assert_eq!(hash(&restored), hash(&slots));
        }
    }

    /// Whatever bytes a snapshot is made of, what comes out of it holds together.
    #[cfg(feature = "tape")]
    #[test]
    fn a_corrupted_snapshot_is_refused_or_sound(
        before in prop::collection::vec(op(), 0..40),
        at: prop::sample::Index,
        byte: u8,
        after in prop::collection::vec(op(), 1..40),
    ) {
        let mut slots = Slots::new((1, 2), 16);
        let mut model = BTreeMap::new();
        for op in &before {
apply(&mut slots, &mut model, op);
}
        let mut bytes = postcard::to_allocvec(&slots).unwrap();
        *at.get_mut(&mut bytes) = byte;
        if let Ok(mut restored) = postcard::from_bytes::<Slots<u8, u16>>(&bytes) {
            let mut model: BTreeMap<u8, u16> = restored.iter().map(|(k, v)| (*k, *v)).collect();
            for op in &after {
                apply(&mut restored, &mut model, op);
                restored.check_invariants().unwrap();
                prop_assert_eq!(restored.len(), model.len());
            }
        }
    }
}

#[cfg(feature = "tape")]
fn hash(slots: &Slots<u8, u16>) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    slots.hash(&mut hasher);
    hasher.finish()
}

/// Three entries, the middle two slots empty again.
fn with_gaps() -> Slots<u8, u16> {
    let mut slots = Slots::new((5, 6), 8);
    for key in 0..4 {
        slots.insert(key, 10).unwrap();
    }
    slots.remove(&1);
    slots.remove(&2);
    slots
}

#[test]
fn each_broken_invariant_is_named() {
    with_gaps().check_invariants().unwrap();
    let number = |break_it: fn(&mut Slots<u8, u16>)| {
        let mut slots = with_gaps();
        break_it(&mut slots);
        slots.check_invariants().unwrap_err().number
    };
    assert_eq!(number(|slots| slots.index.clear()), 1);
    assert_eq!(number(|slots| slots.entries[1] = Some((9, 9))), 1);
    assert_eq!(number(|slots| slots.free.clear()), 2);
    assert_eq!(number(|slots| slots.free[0] = 0), 2);
    assert_eq!(number(|slots| slots.free[0] = slots.free[1]), 2);
    assert_eq!(number(|slots| slots.max = 1), 3);
}

#[cfg(feature = "tape")]
#[test]
fn a_snapshot_that_names_an_empty_slot_twice_or_a_key_twice_is_refused() {
    let encoded = |entries: &[Option<(u8, u16)>], free: &[u32]| {
        postcard::to_allocvec(&(entries, free, (1_u64, 2_u64), 8_usize)).unwrap()
    };
    let restored = |bytes: Vec<u8>| postcard::from_bytes::<Slots<u8, u16>>(&bytes);
    assert!(restored(encoded(&[Some((1, 1)), None, None], &[2, 1])).is_ok());
    assert!(restored(encoded(&[Some((1, 1)), None, None], &[1, 1])).is_err());
    assert!(restored(encoded(&[Some((1, 1)), None], &[0])).is_err());
    assert!(restored(encoded(&[Some((1, 1)), Some((1, 2))], &[])).is_err());
    assert!(restored(encoded(&[Some((1, 1)); 9], &[])).is_err());
}

#[test]
fn freed_slots_are_used_again_before_new_ones() {
    let mut slots = with_gaps();
    slots.insert(7, 1).unwrap();
    slots.insert(8, 1).unwrap();
    assert_eq!(slots.entries.len(), 4);
    let keys: Vec<u8> = slots.iter().map(|(key, _)| *key).collect();
    assert_eq!(keys, [0, 8, 7, 3].map(|key| key).to_vec());
}
