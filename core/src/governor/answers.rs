//! What we tell a peer that asks for others.
//!
//! In: who may be told to others (we were connected to it ourselves, nothing has failed since, and
//! it does not mind) and who may no longer. Out: the same few addresses for all who ask, for a
//! while: those that come first in an order that nobody else knows. So nobody learns all we know
//! by asking often or from many addresses.
//!
//! The order is that of a hash under a random salt. A salt lasts for `salt` from the first answer
//! under it on; the first request after that draws another. Of the order only the beginning is
//! kept, four times as long as the longest answer. It is found by one walk over the candidates (of
//! very many the caller may give a part, another under each salt) when the salt turns, and again only when so many of the kept ones have left that an answer
//! would be short; whoever comes or leaves in between is compared with the last one kept.
//!
//! Limits: four times `reply_max` addresses.
//!
//! Invariants: 1. never more are kept than that; 2. each is kept under its hash; 3. without a salt
//! none is kept.
//!
//! src: ouroboros-network, `computePeerSharingPeers`
// deviates: the reference gives the first answer after a turn under a salt of its own.

use alloc::{collections::BTreeSet, vec::Vec};
use core::{
    hash::Hasher as _,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use siphasher::sip::SipHasher13;

use super::Share;
use crate::base::{Choice, Instant, Site, Violated, violated};

/// Chooses what is told to peers that ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Answers {
    reply_max: usize,
    period: Duration,
    salt: Option<Salt>,
    /// The first candidates in the order of the salt.
    first: BTreeSet<(u64, SocketAddr)>,
    /// Whether these are all there are.
    all: bool,
}

/// An order of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Salt {
    key: (u64, u64),
    until: Instant,
}

impl Answers {
    /// No salt yet.
    pub const fn new(share: &Share) -> Self {
        Self {
            reply_max: share.reply_max as usize,
            period: share.salt,
            salt: None,
            first: BTreeSet::new(),
            all: false,
        }
    }

    /// The answer to a request for `amount` addresses: at most so many, and at most `reply_max`.
    /// `candidates` is called when all that may be told have to be looked at, with a number that
    /// turns with the salt: of very many it may give some, from a place on that the number says.
    pub fn answer<I: IntoIterator<Item = SocketAddr>>(
        &mut self,
        now: Instant,
        amount: u8,
        choice: &mut dyn Choice,
        candidates: impl FnOnce(u64) -> I,
    ) -> Vec<SocketAddr> {
        let old = self.salt.filter(|salt| now < salt.until);
        let salt = old.unwrap_or_else(|| {
            let mut word = || u64::from(choice.below(Site::SHARE_SALT, 0, u32::MAX));
            let key = (word() << 32 | word(), word() << 32 | word());
            let until = now.after(self.period);
            Salt { key, until }
        });
        let short = !self.all && self.first.len() < self.reply_max;
        if old.is_none() || short {
            self.salt = Some(salt);
            self.first.clear();
            self.all = true;
            for candidate in candidates(salt.key.0) {
                self.join(candidate);
            }
        }
        let n = self.reply_max.min(amount.into());
        self.first.iter().take(n).map(|(_, addr)| *addr).collect()
    }

    /// One more may be told to others.
    pub fn join(&mut self, addr: SocketAddr) {
        let Some(salt) = self.salt else {
            return;
        };
        let entry = (salt.hash(&addr), addr);
        let before_last = self.first.last().is_some_and(|last| entry < *last);
        if !self.all && !before_last {
            return;
        }
        self.first.insert(entry);
        if self.first.len() > self.room() {
            self.first.pop_last();
            self.all = false;
        }
    }

    /// One may be told no longer.
    pub fn leave(&mut self, addr: &SocketAddr) {
        if let Some(salt) = self.salt {
            self.first.remove(&(salt.hash(addr), *addr));
        }
    }

    const fn room(&self) -> usize {
        self.reply_max.saturating_mul(SPARE)
    }

    /// Checks all invariants.
    pub fn check_invariants(&self) -> Result<(), Violated> {
        let name = "answers";
        let few = self.first.len() <= self.room();
        violated(few, name, 1, "never more than the beginning is kept")?;
        let Some(salt) = self.salt else {
            return violated(self.first.is_empty(), name, 3, "no salt, nobody kept");
        };
        let own = self
            .first
            .iter()
            .all(|(hash, addr)| *hash == salt.hash(addr));
        violated(own, name, 2, "each is kept under its hash")
    }
}

impl Salt {
    /// Over the bytes of the address, so that every platform has the same order.
    fn hash(&self, addr: &SocketAddr) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        match addr.ip() {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.write(&addr.port().to_be_bytes());
        hasher.finish()
    }
}

/// So many times the longest answer are kept.
const SPARE: usize = 4;

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;
    use crate::base::Seeded;

    fn peer(n: u16) -> SocketAddr {
        if n.is_multiple_of(3) {
            SocketAddr::from(([0x2a00, 0, 0, 0, 0, 0, 0, n], 3001))
        } else {
            SocketAddr::from(([8, 8, 8, 8], n))
        }
    }

    fn secs(s: u64) -> Instant {
        Instant::from_secs(s)
    }

    fn ask(
        answers: &mut Answers,
        now: u64,
        amount: u8,
        choice: &mut Seeded,
        n: u16,
    ) -> Vec<SocketAddr> {
        answers.answer(secs(now), amount, choice, |_| (0..n).map(peer))
    }

    #[test]
    fn all_get_the_same_answer_until_the_salt_turns() {
        let (mut answers, mut choice) = (Answers::new(&Share::default()), Seeded::new(1));
        let first = ask(&mut answers, 100, 255, &mut choice, 500);
        assert_eq!(first.len(), 10);
        for at in [100, 500, 922] {
            assert_eq!(ask(&mut answers, at, 10, &mut choice, 500), first);
            assert_eq!(ask(&mut answers, at, 3, &mut choice, 500), first[..3]);
            assert_eq!(ask(&mut answers, at, 0, &mut choice, 500), vec![]);
        }
        let next = ask(&mut answers, 923, 10, &mut choice, 500);
        assert_ne!(next, first);
        assert_eq!(
            ask(&mut answers, 923 + 822, 10, &mut choice, 500),
            next,
            "from its first reply on"
        );
    }

    #[test]
    fn who_leaves_is_told_no_more_and_the_others_still() {
        let (mut answers, mut choice) = (Answers::new(&Share::default()), Seeded::new(1));
        let first = ask(&mut answers, 0, 10, &mut choice, 500);
        answers.leave(&first[4]);
        let next = ask(&mut answers, 1, 10, &mut choice, 500);
        assert_eq!(next[..4], first[..4]);
        assert_eq!(next[4..9], first[5..]);
        assert!(!next.contains(&first[4]));
    }

    #[test]
    fn all_are_looked_at_only_when_many_have_left() {
        let (mut answers, mut choice) = (Answers::new(&Share::default()), Seeded::new(3));
        let mut alive: Vec<SocketAddr> = (0..1_000).map(peer).collect();
        let mut walks = 0;
        for _ in 0..300 {
            let told = answers.answer(secs(1), 10, &mut choice, |_| {
                walks += 1;
                alive.clone()
            });
            answers.leave(&told[0]);
            alive.retain(|addr| *addr != told[0]);
        }
        assert_eq!(walks, 10, "the first, and one for every 31 that leave");
    }

    #[test]
    fn every_candidate_is_told_about_as_often() {
        let (mut answers, mut choice) = (Answers::new(&Share::default()), Seeded::new(7));
        let mut told = [0_u32; 50];
        for turn in 0..2_000 {
            for addr in ask(&mut answers, turn * 823, 10, &mut choice, 50) {
                told[(0..50).position(|n| peer(n) == addr).unwrap()] += 1;
            }
        }
        // Six standard deviations around 400.
        assert!(told.iter().all(|n| n.abs_diff(400) < 108), "{told:?}");
    }

    #[derive(Clone, Debug)]
    enum Op {
        Join(u16),
        Leave(u16),
        Ask(u64, u8),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (0_u16..60).prop_map(Op::Join),
            3 => (0_u16..60).prop_map(Op::Leave),
            2 => (0_u64..40, 0_u8..8).prop_map(|(after, amount)| Op::Ask(after, amount)),
        ]
    }

    proptest! {
        /// An answer is the beginning of all candidates in the order of the salt, whoever came and
        /// left before.
        #[test]
        fn an_answer_is_that_of_a_full_sort(
            seed: u64, start in 0_u16..60, ops in prop::collection::vec(op(), 1..200),
        ) {
            let share = Share { reply_max: 4, salt: Duration::from_secs(100), ..Share::default() };
            let (mut answers, mut choice) = (Answers::new(&share), Seeded::new(seed));
            let mut model: BTreeSet<u16> = (0..start).collect();
            let mut now = 0;
            for op in ops {
                match op {
                    Op::Join(n) => {
                        model.insert(n);
                        answers.join(peer(n));
                    }
                    Op::Leave(n) => {
                        model.remove(&n);
                        answers.leave(&peer(n));
                    }
                    Op::Ask(after, amount) => {
                        now += after;
                        let all = |_| model.iter().map(|n| peer(*n));
                        let told = answers.answer(secs(now), amount, &mut choice, all);
                        let salt = answers.salt.unwrap();
                        prop_assert!(salt.until > secs(now));
                        let mut sorted: Vec<SocketAddr> = all(0).collect();
                        sorted.sort_by_key(|addr| (salt.hash(addr), *addr));
                        sorted.truncate(amount.min(4).into());
                        prop_assert_eq!(told, sorted);
                    }
                }
                answers.check_invariants().unwrap();
            }
        }
    }
}
