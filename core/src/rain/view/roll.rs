//! Members in the order of their keys, and seats in the order of a hash.

use alloc::vec::Vec;
use core::cmp::Ordering;

use super::{MEMBERS_MAX, Member, Seat, ViewError};
use crate::base::MemberKey;

/// Which seats are marked: a bit each, none after the last that is marked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Marks(Vec<u64>);

impl Marks {
    pub(super) fn set(&mut self, seat: Seat) {
        let (word, bit) = place_of(seat);
        if self.0.len() <= word {
            self.0.resize(word.saturating_add(1), 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= bit;
        }
    }

    pub(super) fn has(&self, seat: Seat) -> bool {
        let (word, bit) = place_of(seat);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }
}

fn place_of(seat: Seat) -> (usize, u64) {
    let word = usize::try_from(seat / u64::BITS).unwrap_or(usize::MAX);
    (word, 1 << (seat % u64::BITS))
}

/// Members in a row, no key twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Roll {
    pub(super) keys: Vec<MemberKey>,
    pub(super) leaf_only: Marks,
}

impl Roll {
    pub(super) fn with_capacity(members: usize) -> Self {
        Self {
            keys: Vec::with_capacity(members),
            leaf_only: Marks::default(),
        }
    }

    /// From members in any order; who comes twice takes no arc if either says so.
    pub(super) fn sorted(members: impl IntoIterator<Item = Member>) -> Result<Self, ViewError> {
        let members = members.into_iter().take(MEMBERS_MAX.saturating_add(1));
        let few = |members| match members {
            0..=MEMBERS_MAX => Ok(members),
            _ => Err(ViewError::TooMany { members }),
        };
        let mut given = Self::with_capacity(few(members.size_hint().0)?);
        members.for_each(|member| given.push(member));
        few(given.keys.len())?;
        let roll = given.reordered(ordered(&given.keys, head));
        if roll.keys.is_sorted_by(|a, b| a < b) {
            return Ok(roll);
        }
        let mut once = Self::with_capacity(roll.keys.len());
        for member in roll.iter() {
            if once.keys.last() != Some(&member.key) {
                once.push(member);
            } else if member.leaf_only {
                once.mark_last();
            }
        }
        Ok(once)
    }

    /// The last takes no arc.
    fn mark_last(&mut self) {
        let last = self.keys.len().checked_sub(1);
        if let Some(seat) = last.and_then(|last| Seat::try_from(last).ok()) {
            self.leaf_only.set(seat);
        }
    }

    pub(super) fn push(&mut self, member: Member) {
        self.keys.push(member.key);
        if member.leaf_only {
            self.mark_last();
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Member> {
        (0..).zip(&self.keys).map(|(seat, key)| Member {
            key: *key,
            leaf_only: self.leaf_only.has(seat),
        })
    }

    /// The same members in another order.
    pub(super) fn reordered(&self, seats: impl Iterator<Item = Seat>) -> Self {
        let mut roll = Self::with_capacity(self.keys.len());
        for seat in seats {
            let key = usize::try_from(seat).ok().and_then(|at| self.keys.get(at));
            if let Some(key) = key {
                roll.push(Member {
                    key: *key,
                    leaf_only: self.leaf_only.has(seat),
                });
            }
        }
        roll
    }
}

/// Two lists in the order of keys as one; `both` says what becomes of who is in both.
pub(super) fn merged(
    left: impl Iterator<Item = Member>,
    right: impl Iterator<Item = Member>,
    room: usize,
    both: impl Fn(Member, Member) -> Member,
) -> Roll {
    let mut roll = Roll::with_capacity(room);
    let mut right = right.peekable();
    for member in left {
        while let Some(before) = right.next_if(|other| other.key < member.key) {
            roll.push(before);
        }
        let again = right.next_if(|other| other.key == member.key);
        roll.push(again.map_or(member, |again| both(member, again)));
    }
    right.for_each(|member| roll.push(member));
    roll
}

/// The seats 0 to n−1 (n at most [`MEMBERS_MAX`]) in the order of their places, those of equal
/// places in the order of their keys.
///
/// The head of the place and the seat are sorted as one number, which takes a fraction of the time
/// that comparing keys takes; only seats whose heads are equal are compared in full.
pub(super) fn ordered(
    keys: &[MemberKey],
    place: impl Fn(&MemberKey) -> u64,
) -> impl ExactSizeIterator<Item = Seat> {
    let heads = (0_u64..).zip(keys);
    let mut packed: Vec<u64> = heads
        .map(|(seat, key)| place(key) & !SEAT | seat & SEAT)
        .collect();
    packed.sort_unstable();
    let key = |packed: &u64| keys.get(usize::try_from(packed & SEAT).ok()?);
    let whole = |packed: &u64| key(packed).map(|key| (place(key), key));
    for same in packed.chunk_by_mut(|a, b| a & !SEAT == b & !SEAT) {
        if same.len() > 1 {
            same.sort_unstable_by(|a, b| -> Ordering { whole(a).cmp(&whole(b)) });
        }
    }
    let seat = |packed: u64| Seat::try_from(packed & SEAT).unwrap_or(Seat::MAX);
    packed.into_iter().map(seat)
}

/// The bits of a seat: 24.
const SEAT: u64 = (1 << 24) - 1;
const _: () = assert!(MEMBERS_MAX <= 1 << 24);

/// The first eight bytes of a key, which order it but for those that are equal there.
pub(super) fn head(key: &MemberKey) -> u64 {
    let mut head = [0; 8];
    for (to, from) in head.iter_mut().zip(key.0) {
        *to = from;
    }
    u64::from_be_bytes(head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(count: u32) -> Vec<MemberKey> {
        let key = |at: u32| {
            let mut key = MemberKey::default();
            // Spread, and not in order.
            let bytes = at.wrapping_mul(2_654_435_761).to_be_bytes();
            key.0[..4].copy_from_slice(&bytes);
            key.0[31] = 1;
            key
        };
        (0..count).map(key).collect()
    }

    #[test]
    fn seats_are_ordered_by_place_then_by_key() {
        let keys = keys(300);
        // The place says all, little beyond what is packed, little within it, and nothing.
        let places: [fn(&MemberKey) -> u64; 5] = [
            |key| head(key).reverse_bits(),
            |key| head(key) >> 40,
            |key| head(key) >> 62 << 62,
            |key| head(key) >> 36 << 20,
            |_| 7,
        ];
        for place in places {
            let mut wanted: Vec<(u64, MemberKey, Seat)> = Vec::new();
            for (seat, key) in (0..).zip(&keys) {
                wanted.push((place(key), *key, seat));
            }
            wanted.sort();
            let wanted: Vec<Seat> = wanted.into_iter().map(|(_, _, seat)| seat).collect();
            assert_eq!(ordered(&keys, place).collect::<Vec<_>>(), wanted);
        }
    }

    #[test]
    fn marks_are_equal_when_the_same_seats_are_marked() {
        let mut marks = Marks::default();
        assert!(!marks.has(0) && !marks.has(Seat::MAX));
        for seat in [200, 63, 64, 0] {
            marks.set(seat);
        }
        let marked: Vec<Seat> = (0..1_000).filter(|seat| marks.has(*seat)).collect();
        assert_eq!(marked, [0, 63, 64, 200]);
        let mut same = Marks::default();
        for seat in marked {
            same.set(seat);
        }
        assert_eq!(marks, same);
    }

    #[test]
    fn too_many_members_are_refused_before_they_are_kept() {
        let member = Member::from(MemberKey::default());
        let members = core::iter::repeat_n(member, MEMBERS_MAX + 5);
        let refused = ViewError::TooMany {
            members: MEMBERS_MAX + 1,
        };
        assert_eq!(Roll::sorted(members), Err(refused));
        assert_eq!(Roll::sorted([member; 9]).unwrap().keys.len(), 1);
    }
}
