//! Who is picked: weighted draws, the worst of the hot, a mix of close and random ones.
//!
//! All of it is a function of its arguments and of the draws at the site that the caller names.
//! Each pick draws one word there and stretches it, so that a pick among many costs one draw. If
//! anybody may be picked, somebody is.
//!
//! src: ouroboros-network, simple peer selection policy

use alloc::{
    collections::{BTreeSet, BinaryHeap},
    vec::Vec,
};
use core::time::Duration;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng as _, SeedableRng as _},
};

use super::Score;
use crate::base::{Choice, Site, Slot};

/// Up to this many candidates are all given a key.
const ALL_MAX: usize = 64;
/// With more, so many tries are made for each wanted one before the candidates are walked.
const TRIES: usize = 16;
/// The walk goes on until there are so many more candidates than wanted.
const SPARE: usize = 64;

/// A pick among the candidates `0..of`.
#[derive(Clone, Copy, Debug)]
pub struct Pick<W> {
    /// How many candidates there are, eligible or not.
    pub of: usize,
    /// How many are wanted at most.
    pub n: usize,
    /// What each weighs; one of weight 0 weighs 1.
    pub weight: W,
    /// What none weighs more than; one that does weighs this.
    pub weight_max: u8,
}

/// Everybody weighs the same.
pub const fn evenly(_: usize) -> u8 {
    1
}

impl<W: Fn(usize) -> u8> Pick<W> {
    /// Picks up to `n` different candidates that are `ok`, one at least if there is any.
    ///
    /// Each gets a random number, divided by its weight, and the smallest are taken: of two, one
    /// of weight 2 is before one of weight 1 three times of four; of many, it is taken twice as
    /// often. When more than 64, and more than four times as many as wanted, most are not looked
    /// at: random ones are tried, and kept in proportion to their weight; if too few are found, a
    /// walk from a random place on finds 64 more than wanted, and those get numbers. The walk
    /// looks at all if there are none: who calls should know that there are some.
    // deviates: the reference gives a number to every candidate, each time.
    pub fn pick(
        &self,
        choice: &mut dyn Choice,
        site: Site,
        mut ok: impl FnMut(usize) -> bool,
    ) -> Vec<usize> {
        if self.n == 0 || self.of == 0 {
            return Vec::new();
        }
        let mut rng = stretch(choice, site);
        if self.of <= ALL_MAX.max(self.n.saturating_mul(4)) {
            return self.smallest(&mut rng, self.n, (0..self.of).filter(|at| ok(*at)));
        }
        let mut picked = self.tries(&mut rng, &mut ok);
        let left = self.n.saturating_sub(picked.len());
        if left > 0 {
            let start = below(&mut rng, self.of);
            let all = (start..self.of).chain(0..start);
            let found = all.filter(|at| !picked.contains(at) && ok(*at));
            let found: Vec<usize> = found.take(left.saturating_add(SPARE)).collect();
            picked.extend(self.smallest(&mut rng, left, found));
        }
        picked.into_iter().collect()
    }

    /// The `n` candidates with the smallest numbers, the smallest first.
    fn smallest(
        &self,
        rng: &mut ChaCha8Rng,
        n: usize,
        candidates: impl IntoIterator<Item = usize>,
    ) -> Vec<usize> {
        let numbered = candidates.into_iter().map(|at| {
            // Scaled, so that division makes no ties.
            let number = u64::from(rng.next_u32()) << 16;
            (number / u64::from(self.weight(at)), at)
        });
        least(n, numbered).into_iter().map(|(_, at)| at).collect()
    }

    fn tries(&self, rng: &mut ChaCha8Rng, ok: &mut impl FnMut(usize) -> bool) -> BTreeSet<usize> {
        let mut picked = BTreeSet::new();
        for _ in 0..self.n.saturating_mul(TRIES) {
            let at = below(rng, self.of);
            let kept = below(rng, self.weight_max.max(1).into()) < self.weight(at).into();
            if kept && ok(at) {
                picked.insert(at);
                if picked.len() >= self.n {
                    break;
                }
            }
        }
        picked
    }

    fn weight(&self, at: usize) -> u8 {
        (self.weight)(at).clamp(1, self.weight_max.max(1))
    }
}

/// The `n` hot peers that are worth least, the least first: by score, then by the slot since which
/// they are known (nobody knows them: first; the oldest before newcomers), then at random.
pub fn worst<T: Ord>(
    choice: &mut dyn Choice,
    site: Site,
    n: usize,
    hot: impl IntoIterator<Item = (T, (Score, Option<Slot>))>,
) -> Vec<T> {
    let mut rng = stretch(choice, site);
    let keyed = hot
        .into_iter()
        .map(|(peer, worth)| ((worth, rng.next_u64()), peer));
    least(n, keyed).into_iter().map(|(_, peer)| peer).collect()
}

/// Up to `n` warm peers to be made hot: of a hundred picked, `close_percent` are those that cost
/// least among those of known cost, the rest are random ones of all others. What is left of a
/// whole peer is settled by chance, so that picks of one peer each come to the same mix.
// src: IOG engineering blog, 2023-06-28: some close and some random neighbours
pub fn mix<T: Ord>(
    choice: &mut dyn Choice,
    site: Site,
    n: usize,
    close_percent: u8,
    warm: impl IntoIterator<Item = (T, Option<Duration>)>,
) -> Vec<T> {
    let mut rng = stretch(choice, site);
    let hundredths = n.saturating_mul(close_percent.min(100).into());
    let more = usize::from(below(&mut rng, 100) < hundredths % 100);
    let close = (hundredths / 100).saturating_add(more);
    let (mut measured, mut others) = (Vec::new(), Vec::new());
    for (peer, cost) in warm {
        let number = rng.next_u64();
        match cost {
            Some(cost) => measured.push(((cost, number), peer)),
            None => others.push((number, peer)),
        }
    }
    measured.sort_unstable();
    let far = measured.split_off(close.min(measured.len()));
    others.extend(far.into_iter().map(|((_, number), peer)| (number, peer)));
    let mut picked: Vec<T> = measured.into_iter().map(|(_, peer)| peer).collect();
    let random = least(n.saturating_sub(picked.len()), others);
    picked.extend(random.into_iter().map(|(_, peer)| peer));
    picked
}

/// The `n` least, in order.
fn least<T: Ord>(n: usize, all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut least = BinaryHeap::new();
    for item in all {
        if least.len() < n {
            least.push(item);
        } else if let Some(mut greatest) = least.peek_mut().filter(|greatest| item < **greatest) {
            *greatest = item;
        }
    }
    least.into_sorted_vec()
}

/// A stream of words from one draw.
fn stretch(choice: &mut dyn Choice, site: Site) -> ChaCha8Rng {
    let mut word = || u64::from(choice.below(site, 0, u32::MAX));
    ChaCha8Rng::seed_from_u64(word() << 32 | word())
}

/// Uniform in `0..n`; 0 if `n` is.
fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    let wide = u128::from(rng.next_u64()).saturating_mul(n as u128);
    usize::try_from(wide >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::base::Seeded;

    const SITE: Site = Site(60_000);

    fn even(of: usize, n: usize) -> Pick<fn(usize) -> u8> {
        Pick {
            of,
            n,
            weight: evenly,
            weight_max: 1,
        }
    }

    /// How often each candidate is picked in 10,000 picks.
    fn counts<W: Fn(usize) -> u8>(pick: &Pick<W>, ok: impl Fn(usize) -> bool) -> Vec<u32> {
        let mut choice = Seeded::new(5);
        let mut counts = vec![0; pick.of];
        for _ in 0..10_000 {
            for at in pick.pick(&mut choice, SITE, &ok) {
                counts[at] += 1;
            }
        }
        counts
    }

    /// Property 70 of the reference: failing peers are forgotten, and peers that were hot before
    /// are made cold, more often.
    #[test]
    fn those_that_weigh_more_are_picked_more_often() {
        let (of, n) = (20, 5);
        let fails = |at: usize| u8::try_from(at % 6 + 1).unwrap();
        let counts_ = counts(
            &Pick {
                of,
                n,
                weight: fails,
                weight_max: 6,
            },
            |_| true,
        );
        let of_weight = |w: usize| {
            let of_weight: Vec<u32> = counts_.iter().skip(w - 1).step_by(6).copied().collect();
            of_weight.iter().sum::<u32>() / u32::try_from(of_weight.len()).unwrap()
        };
        let means: Vec<u32> = (1..=6).map(of_weight).collect();
        assert!(means.is_sorted_by(|a, b| a < b), "{means:?}");
        assert!(means[5] > 3 * means[0], "{means:?}");

        let tepid = |at: usize| if at < 10 { 2 } else { 1 };
        let counts = counts(
            &Pick {
                of,
                n: 1,
                weight: tepid,
                weight_max: 2,
            },
            |_| true,
        );
        let (tepid, others): (u32, u32) = (counts[..10].iter().sum(), counts[10..].iter().sum());
        assert_eq!(tepid + others, 10_000);
        // About twice as often: of twenty, two in three and a little more.
        assert!((6_500..7_000).contains(&tepid), "{tepid}");
    }

    #[test]
    fn of_two_the_one_of_weight_2_is_first_three_times_of_four() {
        let weight = |at: usize| if at == 0 { 2 } else { 1 };
        let counts = counts(
            &Pick {
                of: 2,
                n: 1,
                weight,
                weight_max: 2,
            },
            |_| true,
        );
        assert!(counts[0].abs_diff(7_500) < 260, "{counts:?}");
    }

    #[test]
    fn among_many_weights_are_proportions() {
        let weight = |at: usize| if at.is_multiple_of(2) { 3 } else { 1 };
        let counts = counts(
            &Pick {
                of: 2_000,
                n: 1,
                weight,
                weight_max: 6,
            },
            |_| true,
        );
        let even: u32 = counts.iter().step_by(2).sum();
        assert!(even.abs_diff(7_500) < 260, "{even}");
    }

    #[test]
    fn who_weighs_the_same_is_picked_as_often() {
        for (of, n) in [(10, 1), (10, 7), (256, 40), (300, 40)] {
            let counts = counts(&even(of, n), |_| true);
            let mean = u32::try_from(10_000 * n / of).unwrap();
            // Six standard deviations of a binomial, at most.
            let far = 6 * mean.isqrt() + 6;
            assert!(
                counts.iter().all(|c| c.abs_diff(mean) < far),
                "{of} {n}: {counts:?}"
            );
        }
    }

    #[test]
    fn the_few_eligible_among_many_are_all_picked_sooner_or_later() {
        let counts = counts(&even(5_000, 1), |at| at % 1_000 == 7);
        assert_eq!(counts.iter().sum::<u32>(), 10_000);
        let eligible: Vec<u32> = counts.iter().skip(7).step_by(1_000).copied().collect();
        assert!(
            eligible.iter().all(|c| c.abs_diff(2_000) < 240),
            "{eligible:?}"
        );
    }

    #[test]
    fn a_pick_among_a_million_looks_at_few() {
        let (mut choice, mut looked) = (Seeded::new(3), 0);
        for _ in 0..100 {
            let picked = even(1_000_000, 5).pick(&mut choice, SITE, |at| {
                looked += 1;
                at % 2 == 0
            });
            assert_eq!(picked.len(), 5);
        }
        assert!((500..2_000).contains(&looked), "{looked}");
    }

    #[test]
    fn a_mix_is_as_close_as_it_shall_be_one_by_one_too() {
        let warm = || (0_u64..20).map(|n| (n, Some(Duration::from_millis(n))));
        for percent in [0, 30, 50, 100] {
            let mut choice = Seeded::new(8);
            let closest = (0..2_000).filter(|_| mix(&mut choice, SITE, 1, percent, warm()) == [0]);
            // The closest is picked as such, or as any of twenty.
            let closest = u32::try_from(closest.count()).unwrap();
            let expected = 20 * u32::from(percent) + (100 - u32::from(percent));
            assert!(closest.abs_diff(expected) < 130, "{percent}: {closest}");
        }
        let mut choice = Seeded::new(8);
        let picked = mix(&mut choice, SITE, 6, 50, warm());
        assert_eq!(picked[..3], [0, 1, 2]);
        let unmeasured = (0..20).map(|n| (n, None));
        assert_eq!(mix(&mut choice, SITE, 6, 100, unmeasured).len(), 6);
    }

    #[test]
    fn of_equal_worth_strangers_go_first_and_newcomers_last() {
        let mut choice = Seeded::new(1);
        let hot = [(1, Some(5)), (2, None), (3, Some(2)), (4, Some(9))];
        let hot = hot.map(|(peer, since)| (peer, (Score(7), since)));
        assert_eq!(worst(&mut choice, SITE, 9, hot), [2, 3, 1, 4]);
        let mut first = vec![0; 2];
        for _ in 0..1_000 {
            let equal = [0_usize, 1].map(|peer| (peer, (Score(1), Some(1))));
            first[worst(&mut choice, SITE, 1, equal)[0]] += 1;
        }
        assert!(first[0] > 400 && first[1] > 400, "{first:?}");
    }

    proptest! {
        /// Whoever is picked is eligible and picked once; as many as wanted if few enough are
        /// numbered, and at least one if there is one.
        #[test]
        fn picks_are_eligible_different_and_some(
            seed: u64, of in 0_usize..2_000, n in 0_usize..40, every in 1_usize..700, weights: u64,
        ) {
            let ok = |at: usize| at.is_multiple_of(every) && at > 0;
            let weight = |at: usize| u8::try_from(weights >> (at % 50) & 15).unwrap();
            let pick = Pick { of, n, weight, weight_max: 9 };
            let mut picked = pick.pick(&mut Seeded::new(seed), SITE, ok);
            let again = pick.pick(&mut Seeded::new(seed), SITE, ok);
            prop_assert_eq!(&picked, &again);
            let eligible = (0..of).filter(|at| ok(*at)).count();
            prop_assert_eq!(picked.len(), n.min(eligible));
            prop_assert!(picked.iter().all(|at| ok(*at) && *at < of));
            picked.sort_unstable();
            picked.dedup();
            prop_assert_eq!(picked.len(), n.min(eligible));
        }

        /// Property 69 of the reference: nobody who is kept is worth less than one who is picked.
        #[test]
        fn the_worst_are_picked(
            seed: u64,
            n in 0_usize..12,
            hot in prop::collection::vec((0_u64..9, prop::option::of(0_u64..4)), 0..12),
        ) {
            let items = || hot.iter().enumerate().map(|(at, (score, since))| (at, (Score(*score), *since)));
            let picked = worst(&mut Seeded::new(seed), SITE, n, items());
            prop_assert_eq!(picked.len(), n.min(hot.len()));
            let most = items().filter(|(at, _)| picked.contains(at)).map(|(_, worth)| worth).max();
            let least = items().filter(|(at, _)| !picked.contains(at)).map(|(_, worth)| worth).min();
            prop_assert!(most.is_none() || least.is_none() || most <= least);
        }

        /// A mix has as many as wanted, each once, and its close ones are the closest.
        #[test]
        fn a_mix_is_complete(
            seed: u64,
            n in 0_usize..12,
            percent in 0_u8..=110,
            warm in prop::collection::vec(prop::option::of(0_u64..9), 0..12),
        ) {
            let items = || warm.iter().enumerate().map(|(at, ms)| (at, ms.map(Duration::from_millis)));
            let mut picked = mix(&mut Seeded::new(seed), SITE, n, percent, items());
            let close = (n * usize::from(percent.min(100)) / 100).min(warm.iter().flatten().count());
            let mut costs: Vec<u64> = warm.iter().flatten().copied().collect();
            costs.sort_unstable();
            let chosen: Vec<u64> = picked.iter().take(close).filter_map(|at| warm[*at]).collect();
            prop_assert_eq!(&chosen[..], &costs[..close]);
            picked.sort_unstable();
            picked.dedup();
            prop_assert_eq!(picked.len(), n.min(warm.len()));
        }
    }
}
