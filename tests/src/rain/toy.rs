//! Keys, hashes and signatures of toy members: quick, the same everywhere, and safe against nobody.

use core::hash::Hasher;

use samanea_core::base::{Hash32, HeaderFault, HeaderView, MemberKey, Rules, Signature, TxId};
use siphasher::sip::SipHasher13;

/// The key of a member of this number; keys are in the order of numbers.
pub fn member(number: u32) -> MemberKey {
    let mut key = [0; 32];
    for (to, from) in key.iter_mut().zip(number.to_be_bytes()) {
        *to = from;
    }
    MemberKey(key)
}

/// The number of a member's key.
pub fn number(key: &MemberKey) -> u32 {
    let [a, b, c, d, ..] = key.0;
    u32::from_be_bytes([a, b, c, d])
}

/// The rules of one member: a short hash four times, and a signature that anybody could make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keyed(pub MemberKey);

fn short(parts: &[&[u8]], salt: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(salt, 7);
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}

impl Rules for Keyed {
    fn name(&self) -> &'static str {
        "toy members"
    }

    fn header(&self, _wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        Err(HeaderFault::Malformed)
    }

    fn tx_id(&self, _wrapped: &[u8]) -> Option<TxId> {
        None
    }

    fn hash(&self, parts: &[&[u8]]) -> Hash32 {
        let mut hash = [0; 32];
        for (salt, chunk) in (0..).zip(hash.chunks_mut(8)) {
            chunk.copy_from_slice(&short(parts, salt).to_be_bytes());
        }
        Hash32(hash)
    }

    fn sign(&self, message: &[u8]) -> Option<Signature> {
        let hash = self.hash(&[&self.0.0, message]);
        Some(Signature([hash.0, hash.0]))
    }

    fn verify(&self, member: &MemberKey, message: &[u8], signature: &Signature) -> bool {
        let hash = self.hash(&[&member.0, message]);
        signature.0 == [hash.0, hash.0]
    }
}

/// Numbers that follow from a seed, quickly; the same on every platform.
///
/// src: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", the function
/// `mix64variant13`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lots(u64);

impl Lots {
    /// Those of a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Those of a seed and a name, which no other name shares.
    pub const fn of(seed: u64, name: u64) -> Self {
        Self(mix(seed ^ mix(name)))
    }

    /// The next.
    pub const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// The next, below `n`; 0 when that is 0.
    pub fn below(&mut self, n: u32) -> u32 {
        let wide = u128::from(self.word()).wrapping_mul(n.into()) >> 64;
        u32::try_from(wide).unwrap_or(0)
    }

    /// Whether something of so many in a thousand happens.
    pub fn happens(&mut self, per_mille: u32) -> bool {
        self.below(1_000) < per_mille
    }

    /// So many different numbers below `n`, not those that are not wanted; fewer when there are
    /// not that many.
    pub fn some(&mut self, count: u32, n: u32, wanted: impl Fn(u32) -> bool) -> Vec<u32> {
        let mut all: Vec<u32> = (0..n).filter(|number| wanted(*number)).collect();
        let count = (count as usize).min(all.len());
        for at in 0..count {
            let left = u32::try_from(all.len() - at).unwrap_or(u32::MAX);
            let other = at + self.below(left) as usize;
            all.swap(at, other);
        }
        all.truncate(count);
        all
    }
}

const fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_numbers_are_different_and_wanted() {
        let mut lots = Lots::new(1);
        for n in 0..40 {
            for count in 0..45 {
                let mut some = lots.some(count, n, |number| number != 3);
                let room = n - u32::from(n > 3);
                assert_eq!(some.len(), count.min(room) as usize);
                some.sort_unstable();
                some.dedup();
                assert_eq!(some.len(), count.min(room) as usize);
                assert!(!some.contains(&3));
            }
        }
    }

    #[test]
    fn every_number_comes_about_as_often() {
        let mut lots = Lots::of(7, 9);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[lots.below(10) as usize] += 1;
        }
        assert!(
            seen.iter().all(|seen| seen.abs_diff(1_000) < 190),
            "{seen:?}"
        );
        assert_eq!(lots.below(0), 0);
    }
}
