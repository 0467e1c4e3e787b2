//! Chance as an argument: every draw names its place and its instance.

use alloc::collections::BTreeMap;

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// A place in the code that draws. Numbers are stable: new places are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Site(pub u16);

impl Site {
    /// The time limit of chain-sync's `StMustReply`, drawn on each entry.
    pub const MUST_REPLY: Self = Self(1);
    /// The cookie of a keep-alive probe.
    pub const COOKIE: Self = Self(2);
    /// The key of a [`Slots`](super::Slots) index.
    pub const SLOTS_KEY: Self = Self(3);
    /// Which peer is asked for a range when several are equally good.
    pub const FETCH_PEER: Self = Self(4);
    /// Jitter on the delay before a dial is tried again.
    pub const REDIAL: Self = Self(5);
    /// The salt that orders peers of equal latency.
    pub const PEER_SALT: Self = Self(6);
    /// Which inbound connections are reset when there are too many.
    pub const VICTIM: Self = Self(7);
    /// Which pool of the ledger is drawn.
    pub const LEDGER_POOL: Self = Self(8);
    /// Which relay of a pool is drawn.
    pub const LEDGER_RELAY: Self = Self(9);
    /// The salt of the addresses that are told to peers.
    pub const SHARE_SALT: Self = Self(10);
    /// How much later than at the earliest the next cycle of churn begins.
    pub const CHURN: Self = Self(11);
    /// Which server of a service is tried next, by weight.
    pub const SERVER: Self = Self(12);
    /// Which peers are picked for a change.
    pub const PICK: Self = Self(20);
    /// What is added to a delay after a failure.
    pub const BACK_OFF: Self = Self(21);
    /// Which address of a relay's name is used.
    pub const LEDGER_NAME: Self = Self(22);
    /// Whether inbound connections are looked at before others are asked.
    pub const INBOUND_COIN: Self = Self(23);
    /// When the first digest of a group is sent.
    pub const RAIN_DIGEST: Self = Self(30);
    /// With which other member digests are exchanged.
    pub const RAIN_PARTNER: Self = Self(31);
    /// What the other end of a link must sign.
    pub const RAIN_CHALLENGE: Self = Self(32);
}

/// The only source of chance.
pub trait Choice {
    /// A number in `0..n`, uniform; `0` when `n < 2`. `site` names the place, `of` the instance
    /// (a connection's serial, or 0 where there is but one).
    fn below(&mut self, site: Site, of: u64, n: u32) -> u32;

    /// Forgets how many draws were made for `of`; called when the instance is gone for good.
    fn retire(&mut self, of: u64) {
        let _ = of;
    }
}

/// Always the first possibility; for tests in which chance must not matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct First;

impl Choice for First {
    fn below(&mut self, _site: Site, _of: u64, _n: u32) -> u32 {
        0
    }
}

/// Draws from a seed: the value is a function of (seed, site, instance, how many before it
/// there), so a new draw elsewhere shifts no other.
///
/// Built on the block function of `ChaCha8`; the same on every platform.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Seeded {
    seed: u64,
    drawn: BTreeMap<(u64, Site), u64>,
}

impl Seeded {
    /// Draws that follow from `seed` alone.
    pub const fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: BTreeMap::new(),
        }
    }

    /// The seed.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// How many (instance, site) pairs have a count; bounded by the instances not yet retired.
    pub fn counted(&self) -> usize {
        self.drawn.len()
    }

    /// A 64-bit word: the `nth` draw of `site` and `of`.
    fn word(&self, site: Site, of: u64, nth: u64) -> u64 {
        let mut key = [0_u8; 32];
        key[..8].copy_from_slice(&self.seed.to_le_bytes());
        key[8..16].copy_from_slice(&of.to_le_bytes());
        key[16..18].copy_from_slice(&site.0.to_le_bytes());
        let mut rng = ChaCha8Rng::from_seed(key);
        rng.set_word_pos(u128::from(nth) * 2);
        rng.next_u64()
    }
}

impl Choice for Seeded {
    fn below(&mut self, site: Site, of: u64, n: u32) -> u32 {
        let nth = self.drawn.entry((of, site)).or_insert(0);
        let at = *nth;
        *nth = at.wrapping_add(1);
        let wide = u128::from(self.word(site, of, at)) * u128::from(n);
        u32::try_from(wide >> 64).unwrap_or(0)
    }

    fn retire(&mut self, of: u64) {
        let from = (of, Site(0));
        let to = (of, Site(u16::MAX));
        while let Some((&key, _)) = self.drawn.range(from..=to).next() {
            self.drawn.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    fn draws(choice: &mut Seeded, site: Site, of: u64, n: u32, count: usize) -> Vec<u32> {
        (0..count).map(|_| choice.below(site, of, n)).collect()
    }

    #[test]
    fn known_seeds_give_known_draws() {
        let mut choice = Seeded::new(42);
        let cookies = draws(&mut choice, Site::COOKIE, 7, 1 << 16, 6);
        assert_eq!(cookies, [44_900, 64_087, 14_069, 45_142, 34_179, 32_850]);
        let whole = draws(&mut choice, Site::MUST_REPLY, 0, u32::MAX, 2);
        assert_eq!(whole, [3_872_371_339, 3_417_187_747]);
    }

    #[test]
    fn nothing_to_choose_from_is_the_first() {
        let mut choice = Seeded::new(1);
        assert_eq!(draws(&mut choice, Site::COOKIE, 1, 0, 3), [0, 0, 0]);
        assert_eq!(draws(&mut choice, Site::COOKIE, 1, 1, 3), [0, 0, 0]);
        assert_eq!(First.below(Site::COOKIE, 1, 9), 0);
    }

    #[test]
    fn every_bound_is_kept_and_every_value_comes_about_as_often() {
        let mut choice = Seeded::new(9);
        for n in [2, 3, 7, 10, 101] {
            let mut seen = vec![0_u32; n as usize];
            let each = 1_000;
            for draw in draws(&mut choice, Site::FETCH_PEER, 3, n, (n * each) as usize) {
                seen[draw as usize] += 1;
            }
            // Six standard deviations of a binomial of mean `each`.
            assert!(seen.iter().all(|s| s.abs_diff(each) < 190), "{n}: {seen:?}");
        }
    }

    #[test]
    fn seed_site_instance_and_turn_each_change_the_draw() {
        let first = |seed, site, of| Seeded::new(seed).below(site, of, u32::MAX);
        let mut all: Vec<u32> = (0..20)
            .flat_map(|i| {
                [
                    first(i, Site(1), 1),
                    first(100, Site(1), i + 100),
                    first(200, Site(u16::try_from(i).unwrap() + 200), 1),
                ]
            })
            .chain(draws(&mut Seeded::new(500), Site(1), 1, u32::MAX, 20))
            .collect();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 80);
    }

    #[test]
    fn retiring_an_instance_forgets_its_counts_and_no_others() {
        let mut choice = Seeded::new(3);
        for of in 0..1_000 {
            for site in [Site::MUST_REPLY, Site::COOKIE, Site(u16::MAX), Site(0)] {
                choice.below(site, of, 10);
            }
            choice.retire(of.wrapping_sub(2));
            assert!(choice.counted() <= 12);
        }
        let mut other = choice.clone();
        other.retire(999);
        let draw = |choice: &mut Seeded| choice.below(Site::COOKIE, 998, u32::MAX);
        assert_eq!(draw(&mut choice), draw(&mut other));
        other.retire(998);
        assert_eq!(other.counted(), 0);
    }

    proptest! {
        /// The draws of one place and instance do not depend on any others.
        #[test]
        fn a_draw_elsewhere_shifts_no_other(
            seed: u64,
            places in prop::collection::vec((0_u16..4, 0_u64..4, 0_u32..1_000), 30..120),
        ) {
            let mut mixed = Seeded::new(seed);
            let drawn: Vec<u32> = places
                .iter()
                .map(|(site, of, n)| mixed.below(Site(*site), *of, *n))
                .collect();
            let mut compared = 0;
            for place in (0..4).flat_map(|site| (0..4).map(move |of| (site, of))) {
                let mut alone = Seeded::new(seed);
                for ((site, of, n), drawn) in places.iter().zip(&drawn) {
                    if (*site, *of) == place {
                        prop_assert_eq!(alone.below(Site(*site), *of, *n), *drawn);
                        compared += 1;
                    }
                }
            }
            prop_assert_eq!(compared, places.len());
        }
    }

    #[cfg(feature = "tape")]
    #[test]
    fn a_restored_source_goes_on_where_it_was() {
        let mut choice = Seeded::new(77);
        draws(&mut choice, Site::COOKIE, 4, 100, 13);
        let bytes = postcard::to_allocvec(&choice).unwrap();
        let mut restored: Seeded = postcard::from_bytes(&bytes).unwrap();
        assert_eq!(restored, choice);
        let next = draws(&mut choice, Site::COOKIE, 4, u32::MAX, 5);
        assert_eq!(draws(&mut restored, Site::COOKIE, 4, u32::MAX, 5), next);
    }
}
