//! Every set of dead members of small rings, with and without repair and chains.
//!
//! src: pokt-network/pocket-network-protocol, peer-to-peer specification, "`RainTree`"

use samanea_core::rain::{Gaps, tree::levels};
use samanea_sim::rain::model::{
    Forward, Outcome, Repair, ask_neighbours_once, chains, exact, legacy,
};

/// The largest ring of which every set is tried.
const N_MAX: u32 = 12;

const NOBODY: [u32; 0] = [];

/// Every set of dead members of a ring of n; the originator lives.
fn dead_sets(n: u32) -> impl Iterator<Item = Vec<bool>> {
    let set = move |mask: u32| {
        (0..n)
            .map(|slot| slot > 0 && mask >> (slot - 1) & 1 == 1)
            .collect()
    };
    (0..1_u32 << (n - 1)).map(set)
}

fn alive(n: u32) -> Vec<bool> {
    vec![false; n as usize]
}

/// Everybody alive has it, and only once; every slot was sent to once, alive or dead.
fn all_once(outcome: &Outcome, dead: &[bool], case: &str) {
    assert_eq!(outcome.missed(dead), NOBODY, "{case}");
    let most = outcome.reads.iter().max();
    assert_eq!(outcome.reads[0], 0, "{case}");
    assert!(most <= Some(&1), "{case}: {outcome:?}");
    assert_eq!(outcome.sends() as usize, dead.len() - 1, "{case}");
    let down = dead.iter().filter(|dead| **dead).count();
    assert_eq!(outcome.lost as usize, down, "{case}");
}

#[test]
fn the_exact_tree_reaches_everybody_alive_when_children_are_adopted_or_handed_on() {
    let mut sets = 0;
    for n in 1..=N_MAX {
        for budget in [0, 3 * u32::from(levels(n)), u32::MAX] {
            for dead in dead_sets(n) {
                let outcome = exact(&dead, Repair::Adopt(budget));
                all_once(&outcome, &dead, &format!("{dead:?}, budget {budget}"));
                sets += 1;
            }
        }
    }
    assert_eq!(sets, 3 * ((1 << N_MAX) - 1));
}

#[test]
fn the_exact_tree_without_repair_loses_exactly_what_is_below_the_dead() {
    for n in 1..=N_MAX {
        let gaps = Gaps::new(n);
        let parent = |slot: u32| gaps.derive(slot, |_| false).parent;
        for dead in dead_sets(n) {
            let outcome = exact(&dead, Repair::None);
            for slot in 0..n {
                let mut above = core::iter::successors(Some(slot), |slot| parent(*slot));
                let reached = above.all(|slot| !dead[slot as usize]);
                assert_eq!(outcome.has(slot), reached, "{slot} of {dead:?}");
            }
        }
    }
}

#[test]
fn one_dead_child_of_the_originator_costs_a_third() {
    for n in [27, 81, 243] {
        for slot in [n / 3, n / 3 * 2] {
            let mut dead = alive(n);
            dead[slot as usize] = true;
            let third = n as usize / 3 - 1;
            assert_eq!(exact(&dead, Repair::None).missed(&dead).len(), third);
            assert_eq!(legacy(&dead, Forward::Watermark).missed(&dead).len(), third);
            assert_eq!(exact(&dead, Repair::Adopt(u32::MAX)).missed(&dead), NOBODY);
        }
    }
}

#[test]
fn the_legacy_tree_with_adoption_reaches_whom_its_shape_reaches() {
    let mut holes = 0;
    for n in 1..=N_MAX {
        let shape = legacy(&alive(n), Forward::Watermark);
        for dead in dead_sets(n) {
            let outcome = legacy(&dead, Forward::Adopt);
            for slot in (0..n).filter(|slot| !dead[*slot as usize]) {
                assert_eq!(outcome.has(slot), shape.has(slot), "{slot} of {dead:?}");
                holes += u32::from(!shape.has(slot));
            }
        }
    }
    // Only n = 8 has any: two, each alive in half of the sets.
    assert_eq!(holes, 2 * (1 << 6));
}

#[test]
fn a_watermark_reaches_whom_forwarding_every_copy_reaches() {
    let mut saved = 0;
    for n in 1..=N_MAX {
        for dead in dead_sets(n) {
            let all = legacy(&dead, Forward::Always);
            let few = legacy(&dead, Forward::Watermark);
            assert_eq!(all.missed(&dead), few.missed(&dead), "{dead:?}");
            assert!(few.sends() <= all.sends());
            saved += all.sends() - few.sends();
        }
    }
    assert!(saved > 0);
}

#[test]
fn asking_both_neighbours_once_is_incomplete_for_the_published_sets() {
    let count = |n| {
        let incomplete = dead_sets(n).filter(|dead| {
            let mut outcome = legacy(dead, Forward::Watermark);
            ask_neighbours_once(dead, &mut outcome);
            !outcome.missed(dead).is_empty()
        });
        incomplete.count()
    };
    let counts: Vec<usize> = (1..=N_MAX).map(count).collect();
    assert_eq!(counts, [0, 0, 0, 0, 0, 4, 14, 28, 28, 96, 352, 512]);
}

#[test]
fn two_dead_of_six_hide_a_third_from_neighbours_asked_once() {
    let mut dead = alive(6);
    (dead[2], dead[4]) = (true, true);
    let mut once = legacy(&dead, Forward::Watermark);
    let mut chain = once.clone();
    ask_neighbours_once(&dead, &mut once);
    assert_eq!(once.missed(&dead), [3]);
    let ring: Vec<u32> = (0..6).collect();
    chains(&dead, &mut chain, &ring, 1, |_| true);
    assert_eq!(chain.missed(&dead), NOBODY);
}

/// The ring in an order of its own, with the originator anywhere.
fn scattered(n: u32) -> Vec<u32> {
    let mut ring: Vec<u32> = (0..n).collect();
    ring.sort_by_key(|slot| slot.wrapping_mul(2_654_435_761) >> 7);
    ring
}

#[test]
fn chains_of_every_holder_are_complete_whatever_tree_went_before() {
    let mut mended = 0;
    for n in 1..=N_MAX {
        let listed: Vec<u32> = (0..n).collect();
        for dead in dead_sets(n) {
            let trees = [
                exact(&dead, Repair::None),
                legacy(&dead, Forward::Watermark),
                exact(&dead, Repair::Adopt(0)),
                legacy(&dead, Forward::Adopt),
            ];
            for tree in &trees {
                for (ring, custodians) in [(&listed, 1), (&scattered(n), 1), (&listed, 2)] {
                    let mut outcome = tree.clone();
                    chains(&dead, &mut outcome, ring, custodians, |_| true);
                    assert_eq!(outcome.missed(&dead), NOBODY, "{dead:?} {custodians}");
                    let given = outcome.sends() - tree.sends();
                    let missed = tree.missed(&dead).len();
                    assert_eq!(
                        given as usize, missed,
                        "nobody gets it from a chain in vain"
                    );
                    mended += given;
                }
            }
        }
    }
    assert!(mended > 10_000);
}

#[test]
fn asks_are_few_with_a_count_and_square_without() {
    let n = 81;
    let ring: Vec<u32> = (0..n).collect();
    let asks = |custodians| {
        let mut outcome = exact(&alive(n), Repair::None);
        chains(&alive(n), &mut outcome, &ring, custodians, |_| true);
        outcome.asks
    };
    // Two sides of n members.
    assert_eq!([1, 2, n].map(asks), [2 * n, 4 * n, 2 * n * (n - 1)]);
}

#[test]
fn chains_that_only_the_bottom_starts_miss_one_of_nine() {
    let mut dead = alive(9);
    (dead[2], dead[6]) = (true, true);
    let tree = legacy(&dead, Forward::Watermark);
    let ring: Vec<u32> = (0..9).collect();
    let bottom = tree.at_bottom.clone();
    let mut outcome = tree.clone();
    chains(&dead, &mut outcome, &ring, 1, |slot| bottom[slot as usize]);
    assert_eq!(outcome.missed(&dead), [1]);
    let mut outcome = tree;
    chains(&dead, &mut outcome, &ring, 1, |_| true);
    assert_eq!(outcome.missed(&dead), NOBODY);
}

#[test]
fn the_shape_alone_misses_two_of_eight_and_chains_find_them() {
    let mut outcome = legacy(&alive(8), Forward::Watermark);
    assert_eq!(outcome.missed(&alive(8)), [4, 7]);
    chains(
        &alive(8),
        &mut outcome,
        &[0, 1, 2, 3, 4, 5, 6, 7],
        1,
        |_| true,
    );
    assert_eq!(outcome.missed(&alive(8)), NOBODY);
}
