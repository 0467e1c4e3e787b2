//! Laws of the two trees, by enumeration where that is quick.

use alloc::{vec, vec::Vec};

use super::*;

/// What is seen on a walk over the whole tree of an arc.
#[derive(Debug, Default, PartialEq, Eq)]
struct Walk {
    sends: u32,
    depth: u32,
    fan_out: u32,
    /// Offsets that anybody sends to, rising.
    offsets: Vec<u32>,
}

/// Follows an arc to its leaves; `told` counts how often each slot hears, and each must hear once.
fn walk(gaps: &Gaps, base: u32, len: u32, told: &mut [u8]) -> Walk {
    let mut seen = Walk::default();
    let mut open = vec![(base, len, 0)];
    while let Some((base, len, depth)) = open.pop() {
        let mut fan_out = 0;
        for share in gaps.plan(len) {
            assert!(share.len > 0 && share.slot > 0, "{share:?}");
            assert!(share.slot + share.len <= len, "{share:?} of {len}");
            let slot = base + share.slot;
            told[slot as usize] += 1;
            fan_out += 1;
            if let Err(at) = seen.offsets.binary_search(&share.slot) {
                seen.offsets.insert(at, share.slot);
            }
            open.push((slot, share.len, depth + 1));
        }
        seen.sends += fan_out;
        seen.fan_out = seen.fan_out.max(fan_out);
        seen.depth = seen.depth.max(depth);
    }
    seen
}

/// The whole ring of n: everybody once, in time, with few acquaintances.
fn covers(n: u32, told: &mut Vec<u8>) {
    told.clear();
    told.resize(n as usize, 0);
    let gaps = Gaps::new(n);
    let seen = walk(&gaps, 0, n, told);
    assert_eq!(told[0], 0, "the originator hears from nobody, n = {n}");
    assert!(told[1..].iter().all(|count| *count == 1), "n = {n}");
    assert_eq!(seen.sends, n - 1, "n = {n}");
    let levels = u32::from(gaps.levels());
    assert!(seen.depth <= levels, "n = {n}: {seen:?}");
    assert!(seen.fan_out <= 2 * levels, "n = {n}: {seen:?}");
    assert!(
        seen.offsets.len() <= 2 * usize::from(gaps.levels()),
        "n = {n}"
    );
    let lens = gaps.plan(n).map(|share| share.len);
    assert!(lens.is_sorted_by(|a, b| a >= b), "n = {n}: largest first");
}

#[test]
fn every_ring_up_to_five_thousand_is_covered_with_one_send_each() {
    let mut told = Vec::new();
    for n in 1..=5_000 {
        covers(n, &mut told);
    }
}

#[test]
fn rings_up_to_a_million_are_covered_with_one_send_each() {
    let mut told = Vec::new();
    for power in [6_561, 59_049, 531_441] {
        for n in [power - 1, power, power + 1, 2 * power - 1, 2 * power + 1] {
            if n <= 1_000_000 {
                covers(n, &mut told);
            }
        }
    }
    for n in [10_000, 65_536, 99_991, 314_159, 777_777, 999_983, 1_000_000] {
        covers(n, &mut told);
    }
}

#[test]
fn the_number_of_offsets_is_as_published() {
    let count = |n| {
        walk(&Gaps::new(n), 0, n, &mut vec![0; n as usize])
            .offsets
            .len()
    };
    assert_eq!([100, 1_000, 10_000].map(count), [8, 13, 17]);
}

#[test]
fn first_targets_are_at_one_and_two_thirds() {
    for n in [3, 9, 27, 100, 1_000, 16_777_216, u32::MAX] {
        let gaps = Gaps::new(n);
        let slots: Vec<u32> = gaps.plan(n).take(2).map(|share| share.slot).collect();
        assert_eq!(slots, [n.div_ceil(3), 2 * n.div_ceil(3)], "n = {n}");
    }
}

#[test]
fn small_plans_by_hand() {
    let plan = |n, len| -> Vec<(u32, u32)> {
        let gaps = Gaps::new(n);
        gaps.plan(len)
            .map(|share| (share.slot, share.len))
            .collect()
    };
    assert_eq!(plan(0, 0), []);
    assert_eq!(plan(0, 7), []);
    assert_eq!(plan(1, 1), []);
    assert_eq!(plan(1, u32::MAX), []);
    assert_eq!(plan(2, 2), [(1, 1)]);
    assert_eq!(plan(3, 3), [(1, 1), (2, 1)]);
    // Gaps 2, 1: two thirds of four is the end.
    assert_eq!(plan(4, 4), [(2, 2), (1, 1)]);
    assert_eq!(plan(5, 5), [(2, 2), (4, 1), (1, 1)]);
    assert_eq!(plan(8, 8), [(3, 3), (6, 2), (1, 1), (2, 1)]);
    assert_eq!(plan(9, 9), [(3, 3), (6, 3), (1, 1), (2, 1)]);
    assert_eq!(plan(27, 9), [(3, 3), (6, 3), (1, 1), (2, 1)]);
    // An arc that is no third of the ring: views differ.
    assert_eq!(plan(27, 5), [(3, 2), (1, 1), (2, 1)]);
    // More than the ring is the ring.
    assert_eq!(plan(3, u32::MAX), [(1, 1), (2, 1)]);
    assert_eq!(plan(9, 0), []);
}

#[test]
fn gaps_are_thirds_rounded_up() {
    for n in (1..=3_000).chain([59_049, 59_050, 1 << 24, u32::MAX - 1, u32::MAX]) {
        let gaps = Gaps::new(n);
        assert_eq!(gaps.members(), n);
        assert_eq!(gaps.gap(gaps.levels() + 1), n);
        assert_eq!(gaps.gap(gaps.levels() + 2), 0);
        assert_eq!(gaps.gap(0), 0);
        assert_eq!(gaps.gap(1), 1, "n = {n}");
        for level in 1..=gaps.levels() {
            let above = gaps.gap(level + 1);
            assert_eq!(gaps.gap(level), above.div_ceil(3), "n = {n}, {level}");
            assert!(gaps.gap(level) < above, "n = {n}, {level}");
        }
    }
}

#[test]
fn nobody_on_the_ring_means_nothing_anywhere() {
    let gaps = Gaps::new(0);
    assert_eq!((gaps.members(), gaps.levels(), gaps.planned(9)), (0, 0, 0));
    let nowhere = Derived {
        len: 0,
        parent: None,
        depth: 0,
    };
    assert_eq!(gaps.derive(0, |_| false), nowhere);
    assert_eq!(gaps.derive(3, |_| true), nowhere);
    assert_eq!(Gaps::new(9).derive(9, |_| false), nowhere);
    assert_eq!(Gaps::new(9).derive(u32::MAX, |_| true), nowhere);
}

#[test]
fn every_arc_of_any_length_is_tiled() {
    let mut told = Vec::new();
    for n in 1..=150 {
        let gaps = Gaps::new(n);
        for len in 1..=n {
            told.clear();
            told.resize(len as usize, 0_u8);
            let seen = walk(&gaps, 0, len, &mut told);
            assert_eq!(told[0], 0);
            assert!(told[1..].iter().all(|count| *count == 1), "{len} of {n}");
            assert_eq!(seen.sends, len - 1);
            assert!(seen.depth <= u32::from(gaps.levels()));
            assert_eq!(gaps.planned(len) as usize, gaps.plan(len).count());
        }
    }
}

#[test]
fn long_arcs_of_long_rings_are_tiled_at_each_hop() {
    // Only one path is followed: the rest is the same at each of its slots.
    let lengths = |n: u32| [n, n - 1, n / 2, n / 3 + 1, n / 3, n / 7, 4, 3, 2];
    for n in [1 << 20, (1 << 24) - 1, 1 << 24, u32::MAX] {
        let gaps = Gaps::new(n);
        for len in lengths(n) {
            let mut len = len;
            while len > 1 {
                let mut shares: Vec<Share> = gaps.plan(len).collect();
                shares.sort_unstable();
                let mut next = 1;
                for share in &shares {
                    assert_eq!(share.slot, next, "{len} of {n}");
                    next += share.len;
                }
                assert_eq!(next, len, "{len} of {n}");
                len = shares.last().map_or(1, |share| share.len);
            }
        }
    }
}

#[test]
fn a_grown_arc_is_handed_to_exactly_the_new_slots() {
    let mut told = Vec::new();
    for n in [2, 3, 4, 8, 9, 10, 26, 27, 28, 40] {
        let mut grown = 0;
        let gaps = Gaps::new(n);
        for old in 1..n {
            for new in old + 1..=n {
                told.clear();
                told.resize(n as usize, 0_u8);
                // Slot 0 of the second plan is the last slot that has been seen to.
                walk(&gaps, old - 1, new - old + 1, &mut told);
                let due = |slot: u32| u8::from(old <= slot && slot < new);
                for (slot, count) in (0..).zip(&told) {
                    assert_eq!(*count, due(slot), "{old} to {new} of {n}, slot {slot}");
                }
                grown += 1;
            }
        }
        assert_eq!(grown, n * (n - 1) / 2);
    }
}

/// Places by following the plan of an arc, for comparison with those derived from above.
fn places(gaps: &Gaps, arc: u32, leaf: impl Fn(u32) -> bool) -> Vec<Derived> {
    let nowhere = Derived {
        len: 0,
        parent: None,
        depth: 0,
    };
    let mut places = vec![nowhere; arc as usize];
    let mut open = vec![(0, arc, 0)];
    places[0].len = arc;
    while let Some((base, len, depth)) = open.pop() {
        for share in gaps.plan(len) {
            for given in spread(share, |slot| leaf(base + slot)) {
                let slot = base + given.slot;
                assert_eq!(places[slot as usize], nowhere, "one parent");
                places[slot as usize] = Derived {
                    len: given.len,
                    parent: Some(base),
                    depth: depth + 1,
                };
                open.push((slot, given.len, depth + 1));
            }
        }
    }
    places
}

#[test]
fn a_derived_place_is_the_planned_one() {
    for n in 1..=400 {
        let gaps = Gaps::new(n);
        let planned = places(&gaps, n, |_| false);
        for (at, planned) in (0..).zip(&planned) {
            assert_eq!(gaps.derive(at, |_| false), *planned, "{at} of {n}");
        }
    }
}

#[test]
fn a_derived_place_is_the_planned_one_with_leaves_wherever_the_origin_is() {
    // By a cheap hash of the seat: a few, half, most, all.
    let leaf = |seat: u32, eighths: u32| (seat.wrapping_mul(2_654_435_761) >> 29) < eighths;
    for n in 1..=400 {
        let gaps = Gaps::new(n);
        let eighths = 1 + n % 8;
        // Where the origin is matters only for who the leaves are.
        let some = n > 150 && n % 50 != 0;
        for origin in (0..n).step_by(if some { 11 } else { 1 }) {
            let at_slot = |slot: u32| leaf((origin + slot) % n, eighths);
            let planned = places(&gaps, n, at_slot);
            for (at, planned) in (0..).zip(&planned) {
                assert_eq!(gaps.derive(at, at_slot), *planned, "{at} of {n}");
                assert!(planned.len > 0, "everybody is on the ring");
                assert!(planned.depth <= u32::from(gaps.levels()));
                if let Some(parent) = planned.parent {
                    assert!(parent == 0 || !at_slot(parent), "a leaf has no children");
                    assert!(planned.len == 1 || !at_slot(at), "a leaf has no arc");
                }
            }
        }
    }
}

#[test]
fn a_place_within_an_arc_is_derived_as_planned() {
    let leaf = |slot: u32| slot % 5 == 2;
    for n in [1, 2, 5, 9, 28, 60, 81] {
        let gaps = Gaps::new(n);
        for arc in 1..=n {
            let planned = [places(&gaps, arc, |_| false), places(&gaps, arc, leaf)];
            for at in 0..arc {
                let derived = [
                    gaps.derive_within(arc, at, |_| false),
                    gaps.derive_within(arc, at, leaf),
                ];
                assert_eq!(derived, [0, 1].map(|leaves| planned[leaves][at as usize]));
            }
            assert_eq!(gaps.derive_within(arc, arc, leaf).len, 0, "not in the arc");
        }
    }
}

#[test]
fn leaves_get_the_message_alone_and_the_next_gets_the_arc() {
    let share = Share { slot: 4, len: 5 };
    let given = |leaves: &[u32]| -> Vec<(u32, u32)> {
        let sends = spread(share, |slot| leaves.contains(&slot));
        sends.map(|share| (share.slot, share.len)).collect()
    };
    assert_eq!(given(&[]), [(4, 5)]);
    assert_eq!(given(&[4]), [(4, 1), (5, 4)]);
    assert_eq!(given(&[4, 5, 6]), [(4, 1), (5, 1), (6, 1), (7, 2)]);
    assert_eq!(given(&[6]), [(4, 5)]);
    let all = [(4, 1), (5, 1), (6, 1), (7, 1), (8, 1)];
    assert_eq!(given(&[4, 5, 6, 7]), all);
    assert_eq!(given(&[4, 5, 6, 7, 8]), all);
    assert_eq!(spread(Share { slot: 1, len: 0 }, |_| false).count(), 0);
}

#[test]
fn levels_are_exact_at_powers_of_three() {
    let published = [
        (1, 0),
        (2, 1),
        (3, 1),
        (4, 2),
        (9, 2),
        (10, 3),
        (27, 3),
        (28, 4),
        (81, 4),
        (82, 5),
        (59_049, 10),
        (59_050, 11),
    ];
    for (n, level) in published {
        assert_eq!(levels(n), level, "n = {n}");
    }
    assert_eq!(levels(0), 0);
    assert_eq!(levels(1 << 24), 16);
    assert_eq!(levels(3_u32.pow(20)), 20);
    assert_eq!(levels(3_u32.pow(20) + 1), LEVELS_MAX);
    assert_eq!(levels(u32::MAX), LEVELS_MAX);
    for power in 1..=20 {
        let n = 3_u32.pow(power);
        let around = [n - 1, n, n + 1].map(|n| u32::from(levels(n)));
        let below = if n == 3 { 1 } else { power };
        assert_eq!(around, [below, power, power + 1]);
    }
}

/// Who hears under the legacy rule, and over how many sends when everybody keeps the highest
/// level that it has acted on.
fn legacy(n: u32) -> (Vec<bool>, u32) {
    let top = levels(n);
    let mut acted = vec![0_u8; n as usize];
    let mut told = vec![false; n as usize];
    let (mut sends, mut open) = (0, vec![(0_u32, top)]);
    told[0] = true;
    while let Some((me, level)) = open.pop() {
        let old = acted[me as usize];
        acted[me as usize] = old.max(level);
        for (offset, level) in legacy_sends(n, level, old) {
            let to = (me + offset) % n;
            sends += 1;
            told[to as usize] = true;
            open.push((to, level - 1));
        }
    }
    (told, sends)
}

fn missed(n: u32) -> Vec<u32> {
    let (told, _) = legacy(n);
    (0..n).filter(|at| !told[*at as usize]).collect()
}

#[test]
fn the_legacy_tree_misses_whom_it_is_known_to_miss() {
    assert_eq!(missed(8), [4, 7]);
    assert_eq!(missed(23).len(), 6);
    assert_eq!(missed(100).len(), 2);
    assert_eq!(missed(1_000).len(), 85);
    assert_eq!(missed(10_000).len(), 762);
    for n in [1, 2, 3, 4, 9, 12, 18, 27] {
        assert_eq!(missed(n), [], "n = {n}");
    }
}

#[test]
fn the_legacy_tree_leaves_most_sizes_incomplete() {
    let incomplete = (1..=3_000).filter(|n| !missed(*n).is_empty()).count();
    assert_eq!(incomplete, 2_812);
}

#[test]
fn integers_do_not_lose_a_third_of_a_power_of_three() {
    for n in [729, 2_187, 6_561] {
        assert_eq!(legacy(n), (vec![true; n as usize], n - 1));
    }
}

#[test]
fn the_watermark_saves_sends_and_nobody() {
    let sends = [10, 28, 100].map(|n| legacy(n).1);
    assert_eq!(sends, [24, 72, 214]);
    // Without it each copy is acted on: 3^L - 1 sends less those to oneself.
    let mut open = vec![levels(28)];
    let mut sends = 0;
    while let Some(level) = open.pop() {
        open.extend(legacy_sends(28, level, 0).map(|(_, level)| level - 1));
        sends += legacy_sends(28, level, 0).count();
    }
    assert_eq!(sends, 80);
}

#[test]
fn legacy_sends_come_from_the_top_and_never_to_oneself() {
    let sends = |from, down_to| legacy_sends(9, from, down_to).collect::<Vec<_>>();
    assert_eq!(sends(2, 0), [(3, 2), (6, 2), (2, 1), (4, 1)]);
    assert_eq!(sends(1, 0), [(2, 1), (4, 1)]);
    assert_eq!(sends(2, 1), [(3, 2), (6, 2)]);
    assert_eq!(sends(2, 2), []);
    assert_eq!(sends(0, 0), []);
    // A level that the ring does not have is its highest.
    assert_eq!(sends(u8::MAX, 0), sends(2, 0));
    assert_eq!(sends(2, u8::MAX), []);
    assert_eq!(legacy_sends(2, 1, 0).collect::<Vec<_>>(), [(1, 1)]);
    assert_eq!(legacy_sends(1, 9, 0).count(), 0);
    assert_eq!(legacy_sends(0, 9, 0).count(), 0);
    assert_eq!(legacy_targets(9, 3), [0, 0]);
    assert_eq!(legacy_targets(9, 0), [0, 0]);
    assert_eq!(
        legacy_targets(u32::MAX, LEVELS_MAX),
        [1_431_655_765, 2_863_311_530]
    );
}

#[test]
fn legacy_targets_of_every_level_are_on_the_ring() {
    for n in (1..=2_000).chain([59_049, 59_050, 1 << 24, u32::MAX]) {
        for level in 1..=levels(n) {
            let [first, second] = legacy_targets(n, level);
            assert!(first <= second && second < n, "n = {n}, level {level}");
            assert!(first != second || n == 1, "n = {n}, level {level}");
        }
    }
}

#[cfg(feature = "serde")]
#[test]
fn gaps_are_kept_as_their_number_of_members() {
    for n in [0, 1, 2, 100, 1 << 24, u32::MAX] {
        let gaps = Gaps::new(n);
        let bytes = postcard::to_allocvec(&gaps).unwrap();
        assert_eq!(bytes, postcard::to_allocvec(&n).unwrap());
        assert_eq!(postcard::from_bytes::<Gaps>(&bytes).unwrap(), gaps);
    }
}
