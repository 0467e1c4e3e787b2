//! Who is in a group at an epoch: an immutable ring, shared by reference.
//!
//! ```text
//!  members ─sort─▶ tree ring: seat 0, 1, 2 … by key (or by a keyed hash of it)
//!                  clean-up ring: the same seats in an order of their own
//! ```
//!
//! Members sit on two rings. On the *tree ring* they are in the order of their keys, or, when the
//! view has a seed, in the order of a hash keyed by it, so that nobody can choose a key to sit
//! where it hurts. On the *clean-up ring* the order is always that of a hash: a dead subtree, which
//! lies together on the tree ring, is scattered there, and a gap is O(log n) long instead of n/3.
//!
//! The hash is SipHash-1-3 under a key made by the application's hash from the seed (else the
//! epoch), with different tags for the two rings; equal hashes are in the order of keys. All
//! members must order alike, so this is a part of the protocol.
//! deviates: others sort by a long hash; a keyed short one orders a million members in a tenth of
//! the time, and who can grind keys against one can grind against the other.
//!
//! Looking somebody up takes O(log n), without memory. A view is made once for an epoch and never changed; making
//! the next one merges the differences into the sorted list.
//!
//! src: pokt-network/pocket-network-protocol, peer-to-peer specification, "Address book"

use alloc::{borrow::Cow, boxed::Box, sync::Arc, vec::Vec};
use core::{cmp::Ordering, fmt, hash::Hasher};

use siphasher::sip::SipHasher13;

mod roll;

use roll::{Roll, head, merged, ordered};

use super::tree::Gaps;
use crate::base::{GroupId, Hash32, MemberKey, Rules};

/// A member's place on the tree ring of one view, counted from 0.
pub type Seat = u32;

/// The first eight bytes of the hash of a group, its epoch and its members.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct ViewDigest(pub [u8; 8]);

impl fmt::Debug for ViewDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A member of a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Member {
    /// Its key.
    pub key: MemberKey,
    /// Whether it is never given an arc: it cannot be dialled, say.
    pub leaf_only: bool,
}

impl From<MemberKey> for Member {
    fn from(key: MemberKey) -> Self {
        let leaf_only = false;
        Self { key, leaf_only }
    }
}

/// Why no view can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ViewError {
    /// A group cannot have so many members. The caller's fault.
    #[error("{members} members are more than {MEMBERS_MAX}")]
    TooMany {
        /// How many were given; those after the first too many are not counted.
        members: usize,
    },
}

/// The most members of a group, inclusive: sixteen million.
pub const MEMBERS_MAX: usize = 1 << 24;

/// The members of a group at an epoch. Cheap to clone.
#[derive(Clone)]
pub struct View(Arc<Inner>);

#[derive(PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Inner {
    group: GroupId,
    epoch: u64,
    seed: Option<Hash32>,
    /// By seat.
    roll: Roll,
    /// Seats in the order of the clean-up ring.
    clean: Box<[Seat]>,
    salts: Salts,
    digest: ViewDigest,
    gaps: Gaps,
}

/// The keys of the two orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Salts {
    tree: Option<[u8; 16]>,
    clean: [u8; 16],
}

impl Salts {
    fn new(epoch: u64, seed: Option<&Hash32>, rules: &dyn Rules) -> Self {
        let epoch = epoch.to_be_bytes();
        let from = seed.map_or(epoch.as_slice(), |seed| seed.0.as_slice());
        Self {
            tree: seed.map(|_| key_of(&rules.hash(&[b"T", from]))),
            clean: key_of(&rules.hash(&[b"C", from])),
        }
    }

    fn on_tree(&self, key: &MemberKey) -> (u64, MemberKey) {
        (self.tree.map_or(0, |salt| place(&salt, key)), *key)
    }

    fn on_clean(&self, key: &MemberKey) -> (u64, MemberKey) {
        (place(&self.clean, key), *key)
    }
}

fn key_of(hash: &Hash32) -> [u8; 16] {
    let mut key = [0; 16];
    for (to, from) in key.iter_mut().zip(hash.0) {
        *to = from;
    }
    key
}

fn place(salt: &[u8; 16], key: &MemberKey) -> u64 {
    SipHasher13::new_with_key(salt).hash(&key.0)
}

impl View {
    /// From members in any order. A key that comes twice counts once, and takes no arc if either
    /// says so.
    ///
    /// # Errors
    /// More than [`MEMBERS_MAX`] members, those that come twice counted twice.
    pub fn new(
        group: GroupId,
        epoch: u64,
        seed: Option<Hash32>,
        members: impl IntoIterator<Item = Member>,
        rules: &dyn Rules,
    ) -> Result<Self, ViewError> {
        Self::sorted(group, epoch, seed, Roll::sorted(members)?, rules)
    }

    /// The view of a later epoch, from what has changed since this one. Who leaves and joins at
    /// once has joined; who joins and is there already has its flag replaced.
    ///
    /// # Errors
    /// More than [`MEMBERS_MAX`] members.
    pub fn next(
        &self,
        epoch: u64,
        seed: Option<Hash32>,
        joined: impl IntoIterator<Item = Member>,
        left: impl IntoIterator<Item = MemberKey>,
        rules: &dyn Rules,
    ) -> Result<Self, ViewError> {
        let joined = Roll::sorted(joined)?;
        let mut left: Vec<MemberKey> = left.into_iter().collect();
        left.sort_unstable();
        let mut left = left.into_iter().peekable();
        let old = self.by_key();
        let old = old.iter().filter(|member| {
            while left.next_if(|key| *key < member.key).is_some() {}
            left.peek() != Some(&member.key)
        });
        let room = self.0.roll.keys.len().saturating_add(joined.keys.len());
        let members = merged(old, joined.iter(), room, |_, again| again);
        Self::sorted(self.0.group.clone(), epoch, seed, members, rules)
    }

    /// The members of this view who are also in `of` (or not in it), as a group of its own.
    ///
    /// # Errors
    /// Never in practice: a part has no more members than the whole.
    pub fn filtered(
        &self,
        group: GroupId,
        of: impl Fn(&Member) -> bool,
        rules: &dyn Rules,
    ) -> Result<Self, ViewError> {
        let mut members = Roll::default();
        let by_key = self.by_key();
        let of = by_key.iter().filter(of);
        of.for_each(|member| members.push(member));
        Self::sorted(group, self.0.epoch, self.0.seed, members, rules)
    }

    /// Everybody of both, as a group of its own; who takes no arc in one takes none here.
    ///
    /// # Errors
    /// More than [`MEMBERS_MAX`] members.
    pub fn united(
        &self,
        other: &Self,
        group: GroupId,
        rules: &dyn Rules,
    ) -> Result<Self, ViewError> {
        let (one, two) = (self.by_key(), other.by_key());
        let room = one.keys.len().saturating_add(two.keys.len());
        let members = merged(one.iter(), two.iter(), room, |member, again| Member {
            leaf_only: member.leaf_only || again.leaf_only,
            ..member
        });
        Self::sorted(group, self.0.epoch, self.0.seed, members, rules)
    }

    /// The view of a union or a difference, from those of the groups that it is made of: at the
    /// latest of their epochs, with the seed of the first. `None` when one of them is not `known`,
    /// or the term is too deep.
    ///
    /// # Errors
    /// More than [`MEMBERS_MAX`] members.
    pub fn of_term(
        group: &GroupId,
        known: &dyn Fn(&GroupId) -> Option<Self>,
        rules: &dyn Rules,
    ) -> Result<Option<Self>, ViewError> {
        if let Some(view) = known(group) {
            return Ok(Some(view));
        }
        let (GroupId::Union(both) | GroupId::Minus(both)) = group else {
            return Ok(None);
        };
        if group.depth() > GroupId::DEPTH_MAX {
            return Ok(None);
        }
        let one = Self::of_term(&both.0, known, rules)?;
        let two = Self::of_term(&both.1, known, rules)?;
        let Some((one, two)) = one.zip(two) else {
            return Ok(None);
        };
        let view = if matches!(group, GroupId::Union(_)) {
            one.united(&two, group.clone(), rules)?
        } else {
            let apart = |member: &Member| two.seat(&member.key).is_none();
            one.filtered(group.clone(), apart, rules)?
        };
        if two.epoch() <= view.epoch() {
            return Ok(Some(view));
        }
        view.next(two.epoch(), one.seed(), [], [], rules).map(Some)
    }

    /// From members in the order of their keys.
    fn sorted(
        group: GroupId,
        epoch: u64,
        seed: Option<Hash32>,
        members: Roll,
        rules: &dyn Rules,
    ) -> Result<Self, ViewError> {
        let count = members.keys.len();
        let n = match Seat::try_from(count) {
            Ok(n) if count <= MEMBERS_MAX => n,
            Ok(_) | Err(_) => return Err(ViewError::TooMany { members: count }),
        };
        let salts = Salts::new(epoch, seed.as_ref(), rules);
        let digest = digest(&group, epoch, &members, rules);
        let mut roll = match salts.tree {
            None => members,
            Some(salt) => members.reordered(ordered(&members.keys, |key| place(&salt, key))),
        };
        roll.keys.shrink_to_fit();
        let clean = ordered(&roll.keys, |key| place(&salts.clean, key)).collect();
        Ok(Self(Arc::new(Inner {
            group,
            epoch,
            seed,
            roll,
            clean,
            salts,
            digest,
            gaps: Gaps::new(n),
        })))
    }

    /// The group.
    pub fn group(&self) -> &GroupId {
        &self.0.group
    }

    /// The epoch.
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// What salts the rings, if anything but the epoch does.
    pub fn seed(&self) -> Option<Hash32> {
        self.0.seed
    }

    /// What tells whether another has the same members.
    pub fn digest(&self) -> ViewDigest {
        self.0.digest
    }

    /// How many members there are.
    pub fn members(&self) -> u32 {
        self.0.gaps.members()
    }

    /// Whether nobody is in the group.
    pub fn is_empty(&self) -> bool {
        self.members() == 0
    }

    /// The gaps of the tree ring.
    pub fn gaps(&self) -> &Gaps {
        &self.0.gaps
    }

    /// Who sits there.
    pub fn key(&self, seat: Seat) -> Option<MemberKey> {
        let at = usize::try_from(seat).ok()?;
        self.0.roll.keys.get(at).copied()
    }

    /// Where a member sits.
    pub fn seat(&self, key: &MemberKey) -> Option<Seat> {
        self.find(key).ok()
    }

    /// The seat of the first member at or after a key that need not be a member's, clockwise from
    /// the beginning of the ring; `members()` when there is none.
    pub fn seat_from(&self, key: &MemberKey) -> Seat {
        self.find(key).unwrap_or_else(|at| at)
    }

    /// Whether the seat takes no arc.
    pub fn is_leaf_only(&self, seat: Seat) -> bool {
        self.0.roll.leaf_only.has(seat)
    }

    /// Everybody, by seat.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &MemberKey> {
        self.0.roll.keys.iter()
    }

    /// The seat so many steps clockwise from `seat` on the tree ring.
    pub fn ahead(&self, seat: Seat, steps: u32) -> Seat {
        wrapped(seat, steps, self.members())
    }

    /// How many steps clockwise `to` is from `from` on the tree ring.
    pub fn distance(&self, from: Seat, to: Seat) -> u32 {
        if to >= from {
            to.saturating_sub(from)
        } else {
            let rest = self.members().saturating_sub(from);
            rest.saturating_add(to)
        }
    }

    /// The member's place on the clean-up ring.
    pub fn clean_place(&self, seat: Seat) -> Option<u32> {
        let wanted = self.0.salts.on_clean(&self.key(seat)?);
        let found = self.0.clean.binary_search_by(|at| {
            let key = self.key(*at).unwrap_or_default();
            self.0.salts.on_clean(&key).cmp(&wanted)
        });
        found.ok().and_then(|at| u32::try_from(at).ok())
    }

    /// Who is at a place on the clean-up ring.
    pub fn clean_at(&self, place: u32) -> Option<Seat> {
        let at = usize::try_from(place).ok()?;
        self.0.clean.get(at).copied()
    }

    /// The place so many steps from `place` on the clean-up ring, clockwise or against.
    pub fn clean_ahead(&self, place: u32, steps: u32, side: Side) -> u32 {
        let n = self.members();
        match side {
            Side::Right => wrapped(place, steps, n),
            Side::Left => wrapped(place, n.saturating_sub(steps % n.max(1)), n),
        }
    }

    fn find(&self, key: &MemberKey) -> Result<Seat, Seat> {
        let wanted = self.0.salts.on_tree(key);
        let found = self.0.roll.keys.binary_search_by(|at| -> Ordering {
            match self.0.salts.tree {
                None => at.cmp(key),
                Some(_) => self.0.salts.on_tree(at).cmp(&wanted),
            }
        });
        let seat = |at| Seat::try_from(at).unwrap_or(Seat::MAX);
        found.map(seat).map_err(seat)
    }

    /// Everybody in the order of keys.
    fn by_key(&self) -> Cow<'_, Roll> {
        let roll = &self.0.roll;
        match self.0.salts.tree {
            None => Cow::Borrowed(roll),
            Some(_) => Cow::Owned(roll.reordered(ordered(&roll.keys, head))),
        }
    }
}

/// Which way a clean-up chain goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Side {
    /// Clockwise; goes first.
    Right,
    /// Against it.
    Left,
}

impl Side {
    /// Both, the first first.
    pub const BOTH: [Self; 2] = [Self::Right, Self::Left];
}

/// `at + steps` on a ring of n; 0 on an empty one.
fn wrapped(at: u32, steps: u32, n: u32) -> u32 {
    let sum = u64::from(at).saturating_add(u64::from(steps));
    let on = sum.checked_rem(u64::from(n)).unwrap_or(0);
    u32::try_from(on).unwrap_or(0)
}

/// The head of H([group, epoch, [[key, leaf only], …]]), in CBOR, members in the order of keys.
fn digest(group: &GroupId, epoch: u64, members: &Roll, rules: &dyn Rules) -> ViewDigest {
    let bytes = super::id::view_bytes(group, epoch, members.keys.len(), members.iter());
    let hash = rules.hash(&[&bytes]);
    let mut head = [0; 8];
    for (to, from) in head.iter_mut().zip(hash.0) {
        *to = from;
    }
    ViewDigest(head)
}

impl PartialEq for View {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0 == other.0
    }
}

impl Eq for View {}

impl core::hash::Hash for View {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.group.hash(state);
        self.0.epoch.hash(state);
        self.0.digest.hash(state);
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, epoch, members) = (self.group(), self.epoch(), self.members());
        write!(f, "{group} at {epoch}: {members}")
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for View {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for View {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Inner::deserialize(deserializer).map(|inner| Self(Arc::new(inner)))
    }
}

#[cfg(test)]
mod tests;
