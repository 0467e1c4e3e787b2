//! Views beside plain lists.

use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::ops::Range;

use proptest::{collection, option, prelude::*};

use super::*;
use crate::base::{HeaderFault, HeaderView, TxId};

/// A hash that is good enough to tell and to order.
struct Toy;

impl Rules for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn header(&self, _wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        Err(HeaderFault::Malformed)
    }

    fn tx_id(&self, _wrapped: &[u8]) -> Option<TxId> {
        None
    }

    fn hash(&self, parts: &[&[u8]]) -> Hash32 {
        let mut hash = [0; 32];
        for (lane, to) in (0..).zip(hash.chunks_mut(8)) {
            let mut hasher = SipHasher13::new_with_keys(lane, 7);
            for part in parts {
                hasher.write(part);
            }
            to.copy_from_slice(&hasher.finish().to_be_bytes());
        }
        Hash32(hash)
    }
}

fn key(letter: u8) -> MemberKey {
    let mut key = MemberKey::default();
    key.0[0] = letter;
    key
}

fn keys(letters: &str) -> Vec<MemberKey> {
    letters.bytes().map(key).collect()
}

fn members(letters: &str) -> impl Iterator<Item = Member> {
    letters.bytes().map(|letter| key(letter).into())
}

fn view(letters: &str) -> View {
    View::new(GroupId::AllStaked, 1, None, members(letters), &Toy).unwrap()
}

/// The ring as one of its members sees it: itself first.
fn seen_by(view: &View, letter: u8) -> Vec<MemberKey> {
    let own = view.seat(&key(letter)).unwrap();
    let seats = (0..view.members()).map(|steps| view.ahead(own, steps));
    seats.map(|seat| view.key(seat).unwrap()).collect()
}

#[test]
fn a_member_sees_the_ring_from_itself() {
    assert_eq!(seen_by(&view("BACEDF"), b'D'), keys("DEFABC"));
}

#[test]
fn a_ring_that_changes_is_seen_from_the_same_member() {
    let cases = [
        (b'W', "DYZEHGI", "YE", "WZDGHI"),
        (b'S', "DTUEVGH", "E", "STUVDGH"),
        (b'O', "DTURSEVGH", "EDU", "ORSTVGH"),
        (b'C', "AB", "", "CAB"),
    ];
    for (own, joined, left, seen) in cases {
        let alone = View::new(GroupId::AllStaked, 1, None, [key(own).into()], &Toy).unwrap();
        let more = alone.next(2, None, members(joined), [], &Toy).unwrap();
        let less = more.next(3, None, [], keys(left), &Toy).unwrap();
        assert_eq!(seen_by(&less, own), keys(seen));
        assert_eq!(less.epoch(), 3);
    }
}

#[test]
fn taking_out_who_is_not_there_takes_out_nobody() {
    let before = view("BDF");
    for absent in ["A", "C", "E", "Z", "ACEGZ"] {
        let after = before.next(1, None, [], keys(absent), &Toy).unwrap();
        assert!(after == before, "{absent}");
    }
    let nobody = before.next(1, None, [], keys("FFDBB"), &Toy).unwrap();
    assert!(nobody.is_empty());
    assert_eq!(
        (nobody.ahead(0, 5), nobody.clean_ahead(0, 5, Side::Left)),
        (0, 0)
    );
    assert_eq!(
        (nobody.key(0), nobody.clean_at(0), nobody.clean_place(0)),
        (None, None, None)
    );
    assert_eq!(nobody.seat_from(&key(b'A')), 0);
}

#[test]
fn who_leaves_and_joins_at_once_has_joined() {
    let leaf = Member {
        key: key(b'D'),
        leaf_only: true,
    };
    let after = view("BDF").next(2, None, [leaf], keys("D"), &Toy).unwrap();
    assert_eq!(after.keys().copied().collect::<Vec<_>>(), keys("BDF"));
    assert!(after.is_leaf_only(1));
}

#[test]
fn who_joins_again_has_its_flag_replaced() {
    let leaf = Member {
        key: key(b'D'),
        leaf_only: true,
    };
    let plain = Member::from(leaf.key);
    let set = view("BDF").next(2, None, [leaf], [], &Toy).unwrap();
    assert!(set.is_leaf_only(1) && !set.is_leaf_only(0) && !set.is_leaf_only(2));
    let reset = set.next(2, None, [plain], [], &Toy).unwrap();
    assert!(!reset.is_leaf_only(1));
    // Who comes twice at once takes no arc if either says so, in either order.
    for twice in [[leaf, plain], [plain, leaf]] {
        let both = view("BDF").next(2, None, twice, [], &Toy).unwrap();
        assert!(both == set);
        let new = View::new(
            GroupId::AllStaked,
            2,
            None,
            members("BF").chain(twice),
            &Toy,
        );
        assert!(new.unwrap() == set);
    }
}

#[test]
fn digests_tell_groups_epochs_members_and_flags_and_not_seeds() {
    let rules = &Toy;
    let base = view("ABC");
    let leaf = Member {
        key: key(b'B'),
        leaf_only: true,
    };
    let group = GroupId::Custom(Hash32([1; 32]));
    let seeded = base.next(1, Some(Hash32([9; 32])), [], [], rules).unwrap();
    assert_eq!(seeded.digest(), base.digest());
    assert!(seeded != base, "another order is another view");
    let others = [
        base.next(2, None, [], [], rules).unwrap(),
        base.next(1, None, members("D"), [], rules).unwrap(),
        base.next(1, None, [], keys("C"), rules).unwrap(),
        base.next(1, None, [leaf], [], rules).unwrap(),
        base.filtered(group, |_| true, rules).unwrap(),
    ];
    for other in &others {
        assert_ne!(other.digest(), base.digest(), "{other:?}");
    }
    let members = members("ABC");
    let bytes = super::super::id::view_bytes(base.group(), 1, 3, members);
    assert_eq!(base.digest().0, rules.hash(&[&bytes]).0[..8]);
}

#[test]
fn a_seed_orders_both_rings_and_an_epoch_only_one() {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let seeds = [None, Some(Hash32([1; 32])), Some(Hash32([2; 32]))];
    let rings = |epoch, seed| {
        let view = View::new(GroupId::AllStaked, epoch, seed, members(letters), &Toy).unwrap();
        let tree: Vec<MemberKey> = view.keys().copied().collect();
        let clean = (0..26).map(|place| view.key(view.clean_at(place).unwrap()).unwrap());
        (tree, clean.collect::<Vec<_>>())
    };
    let (sorted, clean) = rings(1, seeds[0]);
    assert_eq!(sorted, keys(letters));
    assert_ne!(clean, sorted);
    assert_eq!(rings(2, seeds[0]).0, sorted);
    assert_ne!(rings(2, seeds[0]).1, clean);
    let (one, two) = (rings(1, seeds[1]), rings(1, seeds[2]));
    assert_ne!(one.0, sorted);
    assert_ne!(one.0, two.0);
    assert_ne!(one.1, two.1);
    assert_ne!(one.0, one.1, "the rings have tags of their own");
    assert_eq!(
        rings(2, seeds[1]),
        one,
        "with a seed the epoch does not matter"
    );
}

/// All members must order alike. The values are by another implementation of SipHash-1-3.
#[test]
fn places_are_the_same_on_every_machine() {
    let counted = |at: usize| u8::try_from(at).unwrap();
    let (salt, key) = (core::array::from_fn(counted), core::array::from_fn(counted));
    assert_eq!(place(&salt, &MemberKey(key)), 0x8115_7b6c_16a7_b60d);
    assert_eq!(place(&[0; 16], &MemberKey([0; 32])), 0xb85b_ed26_1433_9b3d);
    // A key of a ring is the first half of the hash of its tag and of what salts it.
    let (seed, epoch) = (Hash32([5; 32]), 0x0102_0304_0506_0708);
    let half = |parts: &[&[u8]]| -> [u8; 16] { Toy.hash(parts).0[..16].try_into().unwrap() };
    let (tree, clean) = (Some(half(&[b"T", &seed.0])), half(&[b"C", &seed.0]));
    assert_eq!(Salts::new(epoch, Some(&seed), &Toy), Salts { tree, clean });
    let clean = half(&[b"C", &[1, 2, 3, 4, 5, 6, 7, 8]]);
    assert_eq!(Salts::new(epoch, None, &Toy), Salts { tree: None, clean });
}

/// A member by a small number, so that lists overlap.
fn member() -> impl Strategy<Value = Member> {
    (0..60_u8, any::<bool>()).prop_map(|(letter, leaf_only)| Member {
        key: key(letter),
        leaf_only,
    })
}

fn some_members() -> impl Strategy<Value = Vec<Member>> {
    collection::vec(member(), 0..40)
}

fn seed() -> impl Strategy<Value = Option<Hash32>> {
    option::of(any::<[u8; 32]>().prop_map(Hash32))
}

/// What a list of members means.
fn set(members: &[Member]) -> BTreeMap<MemberKey, bool> {
    let mut set = BTreeMap::new();
    for member in members {
        *set.entry(member.key).or_insert(false) |= member.leaf_only;
    }
    set
}

fn listed(set: &BTreeMap<MemberKey, bool>) -> Vec<Member> {
    let member = |(key, leaf_only): (&MemberKey, &bool)| Member {
        key: *key,
        leaf_only: *leaf_only,
    };
    set.iter().map(member).collect()
}

fn made(epoch: u64, seed: Option<Hash32>, set: &BTreeMap<MemberKey, bool>) -> View {
    View::new(GroupId::AllStaked, epoch, seed, listed(set), &Toy).unwrap()
}

proptest! {
    /// Changes by and by are the same as a view made anew.
    #[test]
    fn an_incremental_view_is_the_one_made_anew(
        first in some_members(),
        changes in collection::vec(
            (some_members(), collection::vec(0..60_u8, 0..40), seed()), 1..4),
        first_seed in seed(),
    ) {
        let mut model = set(&first);
        let mut view = View::new(GroupId::AllStaked, 0, first_seed, first, &Toy).unwrap();
        prop_assert!(view == made(0, first_seed, &model));
        for (epoch, (joined, left, seed)) in (1..).zip(changes) {
            let left = left.into_iter().map(key);
            view = view.next(epoch, seed, joined.iter().copied(), left.clone(), &Toy).unwrap();
            left.for_each(|key| { model.remove(&key); });
            model.extend(set(&joined));
            prop_assert!(view == made(epoch, seed, &model));
        }
        let leaf = |key: &MemberKey| view.seat(key).is_some_and(|seat| view.is_leaf_only(seat));
        let leaves = view.keys().filter(|key| leaf(key)).count();
        prop_assert_eq!(leaves, model.values().filter(|leaf| **leaf).count());
    }

    /// Parts and unions are what they are of sets.
    #[test]
    fn parts_and_unions_are_those_of_sets(
        one in some_members(), two in some_members(), seeds in (seed(), seed()),
    ) {
        let (one, two) = (set(&one), set(&two));
        let (left, right) = (made(3, seeds.0, &one), made(4, seeds.1, &two));
        let group = || GroupId::Custom(Hash32([5; 32]));
        let build = |set: &BTreeMap<MemberKey, bool>| {
            View::new(group(), 3, seeds.0, listed(set), &Toy).unwrap()
        };
        let united = left.united(&right, group(), &Toy).unwrap();
        let all = [listed(&one), listed(&two)].concat();
        prop_assert!(united == build(&set(&all)));
        let there = |member: &Member| right.seat(&member.key).is_some();
        let both = left.filtered(group(), there, &Toy).unwrap();
        let mut kept = one.clone();
        kept.retain(|key, _| two.contains_key(key));
        prop_assert!(both == build(&kept));
        let only = left.filtered(group(), |member| !there(member), &Toy).unwrap();
        prop_assert_eq!(both.members() + only.members(), left.members());
        let idle = left.filtered(group(), |member| member.leaf_only, &Toy).unwrap();
        prop_assert!((0..idle.members()).all(|seat| idle.is_leaf_only(seat)));
    }

    /// Seats and keys are inverses, on both rings, with and without a seed; who is no member has
    /// no seat, but one that follows.
    #[test]
    fn lookups_agree_with_a_walk(list in some_members(), seed in seed(), epoch in 0..3_u64) {
        let view = made(epoch, seed, &set(&list));
        let n = view.members();
        let all: Vec<MemberKey> = view.keys().copied().collect();
        let salts = Salts::new(epoch, seed.as_ref(), &Toy);
        prop_assert!(all.is_sorted_by_key(|key| salts.on_tree(key)));
        for letter in 0..=60 {
            let key = key(letter);
            let here = (0..n).find(|seat| view.key(*seat) == Some(key));
            prop_assert_eq!(view.seat(&key), here);
            let from = all.iter().take_while(|at| salts.on_tree(at) < salts.on_tree(&key)).count();
            prop_assert_eq!(view.seat_from(&key) as usize, from);
        }
        let mut last = None;
        for place in 0..n {
            let seat = view.clean_at(place).unwrap();
            prop_assert_eq!(view.clean_place(seat), Some(place));
            let at = Some(salts.on_clean(&view.key(seat).unwrap()));
            prop_assert!(last < at, "in the order of the hash, nobody twice");
            last = at;
        }
        prop_assert_eq!((view.key(n), view.clean_at(n), view.clean_place(n)), (None, None, None));
        prop_assert!(!view.is_leaf_only(n));
    }

    /// Steps on both rings are those on a circle.
    #[test]
    fn steps_are_those_on_a_circle(n in 1..30_u8, at in 0..30_u32, steps in any::<u32>()) {
        let list: Vec<Member> = (0..n).map(|letter| key(letter).into()).collect();
        let view = View::new(GroupId::AllStaked, 0, None, list, &Toy).unwrap();
        let n = u32::from(n);
        let at = at % n;
        let right = view.clean_ahead(at, steps, Side::Right);
        prop_assert_eq!(u64::from(right), (u64::from(at) + u64::from(steps)) % u64::from(n));
        prop_assert_eq!(view.clean_ahead(right, steps, Side::Left), at);
        prop_assert_eq!(view.ahead(at, steps), right);
        prop_assert_eq!(view.distance(at, right), steps % n);
    }

    /// Lists may differ: whom all know hears exactly once, nobody hears twice.
    #[test]
    fn arcs_tile_what_all_know_though_their_lists_differ(
        list in collection::vec((0..3_u8, any::<bool>()), 2..70),
        origin in any::<prop::sample::Index>(),
        seed in seed(),
    ) {
        // Two of three kinds are known to one half only.
        let known = |to: u8| {
            let members = (0..).zip(&list).filter(move |(_, (kind, _))| *kind == 0 || *kind == to);
            members.map(|(letter, _)| key(letter).into()).collect::<Vec<Member>>()
        };
        let views = [1, 2].map(|to| {
            View::new(GroupId::AllStaked, 0, seed, known(to), &Toy).unwrap()
        });
        let common: Vec<u8> = (0..).zip(&list)
            .filter(|(_, (kind, _))| *kind == 0).map(|(letter, _)| letter).collect();
        prop_assume!(!common.is_empty());
        let origin = *origin.get(&common);
        let mut told = vec![0; list.len()];
        told[usize::from(origin)] = 1;
        let mut open = vec![(origin, key(origin))];
        while let Some((me, limit)) = open.pop() {
            let (kind, coin) = list[usize::from(me)];
            let view = match kind {
                0 => &views[usize::from(coin)],
                kind => &views[usize::from(kind) - 1],
            };
            let seat = view.seat(&key(me)).unwrap();
            let end = view.ahead(view.seat_from(&limit), 0);
            let len = match view.distance(seat, end) {
                0 => view.members(),
                len => len,
            };
            for share in view.gaps().plan(len) {
                let to = view.ahead(seat, share.slot);
                let end = view.ahead(to, share.len);
                // The last share ends where the arc does, whether that one is known or not.
                let last = share.slot + share.len == len;
                let limit = if last { limit } else { view.key(end).unwrap() };
                let to = view.key(to).unwrap().0[0];
                told[usize::from(to)] += 1;
                open.push((to, limit));
            }
        }
        for (letter, (kind, _)) in (0_u8..).zip(&list) {
            let times: Range<u8> = if *kind == 0 { 1..2 } else { 0..2 };
            prop_assert!(times.contains(&told[usize::from(letter)]), "{} of {:?}", letter, told);
        }
    }
}

#[cfg(feature = "serde")]
#[test]
fn a_view_comes_back_from_bytes_as_it_was() {
    let leaf = Member {
        key: key(b'Q'),
        leaf_only: true,
    };
    for seed in [None, Some(Hash32([3; 32]))] {
        let members = members("ABCDEFGHIJ").chain([leaf]);
        let group = GroupId::AllStaked
            .minus(GroupId::Session(Hash32([4; 32])))
            .unwrap();
        let view = View::new(group, 77, seed, members, &Toy).unwrap();
        let bytes = postcard::to_allocvec(&view).unwrap();
        let back: View = postcard::from_bytes(&bytes).unwrap();
        assert!(back == view);
        assert_eq!(back.digest(), view.digest());
        assert_eq!(back.seat(&leaf.key), view.seat(&leaf.key));
        assert!(back.is_leaf_only(back.seat(&leaf.key).unwrap()));
        let next = |of: &View| of.next(78, seed, [], keys("A"), &Toy).unwrap();
        assert!(next(&back) == next(&view));
    }
}
