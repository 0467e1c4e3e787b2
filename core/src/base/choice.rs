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
