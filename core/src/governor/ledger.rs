//! Peers registered on the ledger: draws by stake.
//!
//! In: the pools of a ledger state or of a snapshot file, each with its stake and its relays. Out:
//! relays, drawn by stake without replacement: of all pools in proportion to the square root of
//! stake, of the big ones (the largest that together hold 90 %) in proportion to stake itself.
//!
//! Limits: what the caller gives; see [`POOLS_MAX`] and [`RELAYS_MAX`], beyond which pools, or
//! relays of a pool, are left out (and counted).
//!
//! src: ouroboros-network, ledger peers; CIP-155 for service names

use alloc::{boxed::Box, collections::BTreeMap, vec::Vec};
use core::{fmt, net::SocketAddr};

use crate::base::{Choice, Site};

/// Pools of one ledger at most; mainnet has three thousand.
pub const POOLS_MAX: usize = 100_000;
/// Relays of one pool at most. src: Cardano ledger, pool parameters (a certificate holds fewer)
pub const RELAYS_MAX: usize = 64;

/// Where a relay is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Relay {
    /// An address.
    Addr(SocketAddr),
    /// A name with A or AAAA records.
    Host {
        /// The name, without a dot at its end.
        name: Box<str>,
        /// The port.
        port: u16,
    },
    /// A service: its name as registered, to be asked for under `_cardano._tcp.`.
    Service {
        /// The name, without prefix and without a dot at its end.
        name: Box<str>,
    },
}

/// As an operator writes it: `192.0.2.1:3001`, `[2001:db8::1]:3001`, `relay.example:3001`, or the
/// bare name of a service.
impl fmt::Display for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addr(addr) => addr.fmt(f),
            Self::Host { name, port } => write!(f, "{name}:{port}"),
            Self::Service { name } => f.write_str(name),
        }
    }
}

/// A pool: its part of all stake in 2^-64, and its relays.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Pool {
    /// Relative stake in 2^-64; all of it is `u64::MAX`.
    pub stake: u64,
    /// At least one, else the pool is left out.
    pub relays: Vec<Relay>,
}

/// Which pools are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Kind {
    /// All, by the square root of stake.
    All,
    /// Those that hold most of the stake, by stake.
    Big,
}

/// The part of all stake that the big pools hold: the pool that crosses it is among them.
/// src: ouroboros-network, `defaultBigLedgerPeerQuota`
pub const QUOTA_PERCENT: u64 = 90;

/// The pools of a ledger, ready to be drawn from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Ledger {
    /// By stake, the largest first.
    pools: Vec<Pool>,
    /// The first so many are big.
    big: usize,
    /// For each pool a number that pools with the same relays share: at least 1.
    tags: Vec<u32>,
    /// Pools, or relays, that were left out.
    left_out: usize,
}

impl Ledger {
    /// Orders pools by stake; of equal ones the earlier is first. Pools without relays and what is
    /// beyond the limits is left out.
    pub fn new(pools: impl IntoIterator<Item = Pool>) -> Self {
        let mut ledger = Self::default();
        for mut pool in pools {
            let over = pool.relays.len().saturating_sub(RELAYS_MAX);
            pool.relays.truncate(RELAYS_MAX);
            ledger.left_out = ledger.left_out.saturating_add(over);
            if pool.relays.is_empty() || ledger.pools.len() >= POOLS_MAX {
                ledger.left_out = ledger.left_out.saturating_add(1);
            } else {
                ledger.pools.push(pool);
            }
        }
        ledger
            .pools
            .sort_by_key(|pool| core::cmp::Reverse(pool.stake));
        let total: u128 = ledger.pools.iter().map(|pool| u128::from(pool.stake)).sum();
        let quota = total / 100 * u128::from(QUOTA_PERCENT);
        let mut before = 0_u128;
        ledger.big = ledger
            .pools
            .iter()
            .take_while(|pool| {
                let is_big = before <= quota;
                before = before.saturating_add(pool.stake.into());
                is_big
            })
            .count();
        let mut lists: BTreeMap<Vec<&Relay>, u32> = BTreeMap::new();
        for pool in &ledger.pools {
            let mut list: Vec<&Relay> = pool.relays.iter().collect();
            list.sort_unstable();
            list.dedup();
            let next = u32::try_from(lists.len()).unwrap_or(u32::MAX);
            ledger
                .tags
                .push(*lists.entry(list).or_insert(next.saturating_add(1)));
        }
        ledger
    }

    /// The same pools when they are the big ones of a larger ledger: all of them are big.
    #[must_use]
    pub fn all_big(mut self) -> Self {
        self.big = self.pools.len();
        self
    }

    /// The pools, the largest first.
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// The pools that are drawn from.
    pub fn of(&self, kind: Kind) -> &[Pool] {
        match kind {
            Kind::All => &self.pools,
            Kind::Big => self.pools.get(..self.big).unwrap_or(&[]),
        }
    }

    /// Pools without relays, pools and relays beyond the limits.
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// Whether there is nobody to draw.
    pub fn is_empty(&self) -> bool {
        self.pools.is_empty()
    }

    /// What a pool weighs in a draw; never 0, so that every pool can be drawn.
    pub fn weight(pool: &Pool, kind: Kind) -> u64 {
        match kind {
            // The root of stake in 2^-64 is that of stake, in 2^-32: 32 more bits before the root
            // keep small pools apart, and the sum of a hundred thousand within 64 bits.
            Kind::All => u64::try_from((u128::from(pool.stake) << 32).isqrt()).unwrap_or(u64::MAX),
            Kind::Big => pool.stake >> 17,
        }
        .max(1)
    }

    /// Draws up to `n` different relays that `wanted` lets pass. Each draw picks a pool by weight
    /// among those not exhausted, then one of its relays that was not drawn yet; a pool is drawn
    /// again only when all others have been as often. With each relay comes the number of its
    /// list: two pools with the same relays are one operator.
    // deviates: the reference draws with replacement, so that it gets fewer than it asks for.
    pub fn draw(
        &self,
        kind: Kind,
        n: usize,
        choice: &mut dyn Choice,
        mut wanted: impl FnMut(&Relay) -> bool,
    ) -> Vec<(Relay, u32)> {
        let pools = self.of(kind);
        let mut left: Vec<Vec<&Relay>> = pools
            .iter()
            .map(|pool| pool.relays.iter().filter(|relay| wanted(relay)).collect())
            .collect();
        let mut drawn: Vec<(Relay, u32)> = Vec::new();
        while drawn.len() < n {
            let weights = pools.iter().zip(&left).map(|(pool, relays)| {
                let open = !relays.is_empty();
                if open { Self::weight(pool, kind) } else { 0 }
            });
            let mut round = Weights::new(weights);
            if round.total() == 0 {
                break;
            }
            while drawn.len() < n && round.total() > 0 {
                let at = round.find(below(choice, round.total()));
                round.clear(at);
                let Some(relays) = left.get_mut(at) else {
                    break;
                };
                let which = u32::try_from(relays.len()).unwrap_or(u32::MAX);
                let which = choice.below(Site::LEDGER_RELAY, 0, which) as usize;
                if which < relays.len() {
                    let relay = relays.swap_remove(which);
                    // Several pools may name the same relay.
                    if drawn.iter().all(|(other, _)| other != relay) {
                        let tag = self.tags.get(at).copied().unwrap_or(0);
                        drawn.push((relay.clone(), tag));
                    }
                }
            }
        }
        drawn
    }

    /// The probability, in 2^-32, with which the first draw picks each pool.
    pub fn probabilities(&self, kind: Kind) -> Vec<u32> {
        let pools = self.of(kind);
        let total: u128 = pools
            .iter()
            .map(|p| u128::from(Self::weight(p, kind)))
            .sum();
        let part = |pool| (u128::from(Self::weight(pool, kind)) << 32) / total.max(1);
        pools
            .iter()
            .map(|pool| u32::try_from(part(pool)).unwrap_or(u32::MAX))
            .collect()
    }
}

/// A number in `0..n`, uniform up to one part in 2^64 / n.
fn below(choice: &mut dyn Choice, n: u64) -> u64 {
    let mut half = || u64::from(choice.below(Site::LEDGER_POOL, 0, u32::MAX));
    // Each half is short of one value of 2^32: nobody can tell.
    let word = half() << 32 | half();
    u64::try_from((u128::from(word) * u128::from(n)) >> 64).unwrap_or(0)
}

/// Weights with their prefix sums in a Fenwick tree: finding and clearing cost a logarithm.
struct Weights {
    tree: Vec<u64>,
    each: Vec<u64>,
    total: u64,
}

impl Weights {
    fn new(weights: impl Iterator<Item = u64>) -> Self {
        let each: Vec<u64> = weights.collect();
        let mut tree = alloc::vec![0_u64];
        tree.extend(&each);
        for at in 1..tree.len() {
            let up = at.saturating_add(lowest_bit(at));
            let sum = tree.get(at).copied().unwrap_or(0);
            if let Some(parent) = tree.get_mut(up) {
                *parent = parent.saturating_add(sum);
            }
        }
        let total = each.iter().fold(0, |sum: u64, w| sum.saturating_add(*w));
        Self { tree, each, total }
    }

    const fn total(&self) -> u64 {
        self.total
    }

    /// The first place whose prefix sum is over `x`.
    fn find(&self, mut x: u64) -> usize {
        let mut at = 0_usize;
        let mut step = self.tree.len().next_power_of_two();
        while step > 0 {
            let next = at.saturating_add(step);
            if let Some(sum) = self.tree.get(next)
                && *sum <= x
            {
                x = x.saturating_sub(*sum);
                at = next;
            }
            step >>= 1;
        }
        at
    }

    /// The weight at a place becomes 0.
    fn clear(&mut self, place: usize) {
        let Some(weight) = self.each.get_mut(place).map(core::mem::take) else {
            return;
        };
        self.total = self.total.saturating_sub(weight);
        let mut at = place.saturating_add(1);
        while let Some(sum) = self.tree.get_mut(at) {
            *sum = sum.saturating_sub(weight);
            at = at.saturating_add(lowest_bit(at));
        }
    }
}

const fn lowest_bit(n: usize) -> usize {
    n & n.wrapping_neg()
}

#[cfg(test)]
mod tests {
    use alloc::{format, vec};
    use core::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::base::{First, Seeded};

    fn plain(drawn: Vec<(Relay, u32)>) -> Vec<Relay> {
        drawn.into_iter().map(|(relay, _)| relay).collect()
    }

    fn relay(n: u32) -> Relay {
        Relay::Addr((Ipv4Addr::from_bits(0x0a00_0000 + n), 3001).into())
    }

    fn pools(stakes: &[u64], relays: u32) -> Vec<Pool> {
        let of = |(at, stake): (usize, &u64)| {
            let first = u32::try_from(at).unwrap() * relays;
            Pool {
                stake: *stake,
                relays: (first..first + relays).map(relay).collect(),
            }
        };
        stakes.iter().enumerate().map(of).collect()
    }

    proptest! {
        /// The big pools are a prefix of those in order of stake, hold nine tenths or more, and
        /// would hold less without the last of them.
        #[test]
        fn big_pools_hold_nine_tenths(stakes in prop::collection::vec(0_u64..1 << 60, 0..60)) {
            let ledger = Ledger::new(pools(&stakes, 1));
            let sum = |pools: &[Pool]| pools.iter().map(|p| u128::from(p.stake)).sum::<u128>();
            let (all, big) = (ledger.of(Kind::All), ledger.of(Kind::Big));
            prop_assert_eq!(all.len(), stakes.len());
            prop_assert_eq!(big.is_empty(), all.is_empty());
            prop_assert!(all.is_sorted_by(|a, b| a.stake >= b.stake));
            prop_assert!(sum(big) >= sum(all) / 100 * 90);
            if let [but_last @ .., last] = big {
                prop_assert!(sum(but_last) <= sum(all) / 100 * 90);
                prop_assert!(all.iter().skip(big.len()).all(|p| p.stake <= last.stake));
            }
        }

        /// A draw gives as many relays as asked for while there are any, each at most once.
        #[test]
        fn nothing_is_drawn_twice(
            stakes in prop::collection::vec(any::<u64>(), 0..30),
            relays in 1_u32..4, n in 0_usize..100, seed: u64, big: bool,
        ) {
            let ledger = Ledger::new(pools(&stakes, relays));
            let kind = if big { Kind::Big } else { Kind::All };
            let drawn = plain(ledger.draw(kind, n, &mut Seeded::new(seed), |_| true));
            let there: usize = ledger.of(kind).iter().map(|pool| pool.relays.len()).sum();
            prop_assert_eq!(drawn.len(), n.min(there));
            let mut once = drawn.clone();
            once.sort();
            once.dedup();
            prop_assert_eq!(once.len(), drawn.len());
        }

        /// What is not wanted is never drawn, and never in the way.
        #[test]
        fn only_the_wanted_are_drawn(seed: u64, n in 1_usize..40) {
            let ledger = Ledger::new(pools(&[5, 9, 1, 7, 7, 3], 3));
            let even = |relay: &Relay| matches!(relay, Relay::Addr(a) if match a.ip() {
                core::net::IpAddr::V4(ip) => ip.to_bits() % 2 == 0,
                core::net::IpAddr::V6(_) => false,
            });
            let drawn = plain(ledger.draw(Kind::All, n, &mut Seeded::new(seed), even));
            prop_assert!(drawn.iter().all(even));
            prop_assert_eq!(drawn.len(), n.min(9));
        }

        /// The tree finds what a walk along the sums finds.
        #[test]
        fn the_tree_agrees_with_a_walk(
            weights in prop::collection::vec(0_u64..50, 1..40), clear in 0_usize..40, x in 0_u64..2_000,
        ) {
            let mut tree = Weights::new(weights.iter().copied());
            let mut plain = weights;
            tree.clear(clear);
            if let Some(weight) = plain.get_mut(clear) {
                *weight = 0;
            }
            let total: u64 = plain.iter().sum();
            prop_assert_eq!(tree.total(), total);
            if total > 0 {
                let x = x % total;
                let mut sum = 0;
                let found = plain.iter().position(|w| { sum += w; sum > x }).unwrap();
                prop_assert_eq!(tree.find(x), found);
            }
        }
    }

    #[test]
    fn pools_are_drawn_as_often_as_they_weigh() {
        let stakes = [16, 4, 4, 1].map(|part: u64| part << 58);
        let ledger = Ledger::new(pools(&stakes, 1));
        let mut choice = Seeded::new(11);
        let mut first = |kind: Kind, pool: u32| {
            let hits = (0..4_000).filter(|_| {
                let drawn = plain(ledger.draw(kind, 1, &mut choice, |_| true));
                drawn == [relay(pool)]
            });
            hits.count()
        };
        // Roots 4 : 2 : 2 : 1, and stakes 16 : 4 : 4 without the last; six standard deviations.
        assert!(first(Kind::All, 0).abs_diff(4_000 * 4 / 9) < 190);
        assert!(first(Kind::All, 3).abs_diff(4_000 / 9) < 120);
        assert!(first(Kind::Big, 0).abs_diff(4_000 * 16 / 24) < 180);
        assert_eq!(first(Kind::Big, 3), 0);
    }

    #[test]
    fn a_pool_with_all_stake_is_always_drawn_and_pools_without_relays_never() {
        let mut all = pools(&[u64::MAX, 0], 1);
        all.push(Pool {
            stake: 9,
            relays: vec![],
        });
        let ledger = Ledger::new(all);
        assert_eq!((ledger.pools().len(), ledger.left_out()), (2, 1));
        for seed in 0..50 {
            let drawn = plain(ledger.draw(Kind::Big, 1, &mut Seeded::new(seed), |_| true));
            assert_eq!(drawn, [relay(0)]);
        }
        let both = ledger.draw(Kind::All, 5, &mut First, |_| true);
        assert_eq!(both.len(), 2, "a pool without stake is drawn in the end");
        assert!(
            Ledger::default()
                .draw(Kind::All, 5, &mut First, |_| true)
                .is_empty()
        );
    }

    #[test]
    fn of_pools_known_to_be_big_none_is_left_out() {
        let some = pools(&[50, 30, 12, 5, 3], 1);
        assert_eq!(Ledger::new(some.clone()).of(Kind::Big).len(), 3);
        let ledger = Ledger::new(some).all_big();
        assert_eq!(ledger.of(Kind::Big), ledger.of(Kind::All));
    }

    #[test]
    fn relays_read_as_operators_write_them() {
        let host = Relay::Host {
            name: "relay.example".into(),
            port: 3001,
        };
        assert_eq!(
            format!("{host} {}", relay(1)),
            "relay.example:3001 10.0.0.1:3001"
        );
    }

    #[test]
    fn probabilities_add_up() {
        let ledger = Ledger::new(pools(&[1 << 60, 1 << 58, 1 << 50, 77], 1));
        for kind in [Kind::All, Kind::Big] {
            let sum: u64 = ledger.probabilities(kind).into_iter().map(u64::from).sum();
            assert!(sum.abs_diff(1 << 32) < 8, "{}", format!("{kind:?} {sum}"));
        }
    }

    #[test]
    fn pools_with_the_same_relays_are_one_operator() {
        let mut all = pools(&[5, 4, 3], 2);
        all[2].relays = all[0].relays.iter().rev().cloned().collect();
        let ledger = Ledger::new(all);
        let drawn = ledger.draw(Kind::All, 9, &mut First, |_| true);
        assert_eq!(drawn.len(), 4);
        let tags: alloc::collections::BTreeSet<u32> = drawn.iter().map(|(_, tag)| *tag).collect();
        assert_eq!(tags.len(), 2, "{drawn:?}");
        assert!(!tags.contains(&0));
    }

    #[test]
    fn all_pools_of_a_list_of_big_ones_are_big() {
        let ledger = Ledger::new(pools(&[90, 9, 1], 1));
        assert_eq!(ledger.of(Kind::Big).len(), 2);
        assert_eq!(ledger.all_big().of(Kind::Big).len(), 3);
    }
}
