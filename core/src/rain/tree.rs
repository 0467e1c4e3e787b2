//! Who sends to whom: the exact tree, and the older one bit for bit.
//!
//! Both look at the members as a ring, on which the sender stands at offset 0, and both send to
//! offsets near one third and two thirds of the sender's part, after which the sender takes the
//! first third as its part and goes on ("demotes itself": the third branch, without traffic).
//!
//! **Exact.** A node is responsible for an *arc* of `len` slots, itself the first. The gaps of a
//! ring of n are g(L) = ⌈n/3⌉, g(l−1) = ⌈g(l)/3⌉, …, g(1) = 1, with L = ⌈log₃ n⌉. Slot g is given
//! the arc up to 2g, slot 2g the rest, and the sender keeps g. So every slot has one parent, n−1
//! sends cover every n, no path is longer than L, and nobody ever sends to more than 2L offsets,
//! whoever originates.
//!
//! **Legacy.** A message carries a level. Who acts at level l sends to ⌊s/3⌋ and ⌊2s/3⌋ with
//! s = ⌊n·2^(L−l)/3^(L−l)⌋. It reaches everybody only for few sizes (n = 8 misses two), and is
//! here for comparison and for the record.
//! deviates: integers instead of floating point, which truncates one short in places.
//!
//! src: pokt-network/pocket-network-protocol, peer-to-peer specification, "`RainTree`";
//! pokt-network/pocket, package `raintree`

/// The most levels a ring can have: 3^21 is more than 2^32.
pub const LEVELS_MAX: u8 = 21;

/// The least L with 3^L ≥ n; 0 for no more than one member.
pub const fn levels(n: u32) -> u8 {
    let (mut power, mut level) = (1_u64, 0);
    // n < 2^32: no widening loss, no overflow.
    #[expect(clippy::as_conversions, reason = "u32 to u64 in a const function")]
    let n = n as u64;
    while power < n {
        power = power.saturating_mul(3);
        level += 1;
    }
    level
}

/// The gaps of a ring: how far from each other the slots are that are sent to at each level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "u32", into = "u32"))]
pub struct Gaps {
    /// `at[l]` for l = 1..=levels; `at[levels + 1]` = n.
    at: [u32; LEVELS_MAX as usize + 2],
    levels: u8,
}

/// A part of an arc: the slot that is responsible for it, and how many slots it has with that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Share {
    /// Offset from the sender, never 0.
    pub slot: u32,
    /// Slots, with the first; never 0.
    pub len: u32,
}

impl Gaps {
    /// Of a ring of `n` members.
    pub fn new(n: u32) -> Self {
        let levels = levels(n);
        let mut at = [0; LEVELS_MAX as usize + 2];
        let mut gap = n;
        for level in (0..=usize::from(levels)).rev() {
            if let Some(to) = at.get_mut(level + 1) {
                *to = gap;
            }
            gap = gap.div_ceil(3);
        }
        Self { at, levels }
    }

    /// How many members the ring has.
    pub fn members(&self) -> u32 {
        self.gap(self.levels.saturating_add(1))
    }

    /// ⌈log₃ n⌉: no path is longer.
    pub const fn levels(&self) -> u8 {
        self.levels
    }

    /// The gap of a level, 1..=levels; the whole ring one above; 0 elsewhere.
    pub fn gap(&self, level: u8) -> u32 {
        self.at.get(usize::from(level)).copied().unwrap_or(0)
    }

    /// What the holder of an arc of `len` slots gives to others, from the highest level down. Of
    /// the whole ring that is the largest share first, so that an originator that dies after its
    /// first send has handed on the most. The shares tile 1..len. A `len` of more than the ring
    /// counts as the ring.
    pub fn plan(&self, len: u32) -> Plan<'_> {
        Plan {
            gaps: self,
            level: self.levels,
            left: len.min(self.members()),
            second: None,
        }
    }

    /// How many shares [`plan`](Self::plan) gives.
    pub fn planned(&self, len: u32) -> u32 {
        u32::try_from(self.plan(len).count()).unwrap_or(u32::MAX)
    }

    /// The arc that slot `at` gets when slot 0 holds the whole ring, and its parent: nobody for
    /// slot 0. `leaf` says which slots take no arc.
    pub fn derive(&self, at: u32, leaf: impl Fn(u32) -> bool) -> Derived {
        self.derive_within(self.members(), at, leaf)
    }

    /// The same when slot 0 holds an arc of `len` slots.
    pub fn derive_within(&self, len: u32, at: u32, leaf: impl Fn(u32) -> bool) -> Derived {
        let mut holder = Derived {
            len,
            parent: None,
            depth: 0,
        };
        let mut base = 0_u32;
        // Never behind `at`.
        while base != at {
            let offset = at.saturating_sub(base);
            let has = |share: &Share| {
                let into = offset.checked_sub(share.slot);
                into.is_some_and(|into| into < share.len)
            };
            let planned = self.plan(holder.len).find(has);
            let given = planned
                .and_then(|share| spread(share, |slot| leaf(base.saturating_add(slot))).find(has));
            let Some(share) = given else {
                // Not on the ring.
                holder.len = 0;
                return holder;
            };
            holder = Derived {
                len: share.len,
                parent: Some(base),
                depth: holder.depth.saturating_add(1),
            };
            base = base.saturating_add(share.slot);
        }
        holder
    }
}

impl From<u32> for Gaps {
    fn from(n: u32) -> Self {
        Self::new(n)
    }
}

impl From<Gaps> for u32 {
    fn from(gaps: Gaps) -> Self {
        gaps.members()
    }
}

/// A slot's place in the tree of one originator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Derived {
    /// Slots of its arc, itself the first; 0 when it is not on the ring.
    pub len: u32,
    /// From which slot it hears.
    pub parent: Option<u32>,
    /// Over how many sends.
    pub depth: u32,
}

/// The shares of an arc, see [`Gaps::plan`].
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    gaps: &'a Gaps,
    /// No gap above this one is smaller than what is left.
    level: u8,
    /// Slots that the sender still has, itself the first.
    left: u32,
    second: Option<Share>,
}

impl Iterator for Plan<'_> {
    type Item = Share;

    fn next(&mut self) -> Option<Share> {
        if let Some(second) = self.second.take() {
            return Some(second);
        }
        if self.left <= 1 {
            return None;
        }
        let left = self.left;
        // The largest gap that is smaller; three of it are no less than what is left.
        while self.gaps.gap(self.level) >= left && self.level > 1 {
            self.level = self.level.saturating_sub(1);
        }
        let gap = self.gaps.gap(self.level);
        // The third branch: the sender keeps the first third.
        self.left = gap;
        let twice = gap.saturating_mul(2);
        if twice < left {
            let len = left.saturating_sub(twice);
            self.second = Some(Share { slot: twice, len });
            Some(Share {
                slot: gap,
                len: gap,
            })
        } else {
            let len = left.saturating_sub(gap);
            Some(Share { slot: gap, len })
        }
    }
}

/// A share as sends: slots that take no arc get the message alone, and the rest goes to the slot
/// after them.
pub fn spread(share: Share, leaf: impl Fn(u32) -> bool) -> impl Iterator<Item = Share> {
    let Share { mut slot, mut len } = share;
    core::iter::from_fn(move || {
        if len == 0 {
            return None;
        }
        let alone = len == 1 || leaf(slot);
        let given = Share {
            slot,
            len: if alone { 1 } else { len },
        };
        slot = slot.saturating_add(given.len);
        len = len.saturating_sub(given.len);
        Some(given)
    })
}

/// The two offsets that are sent to at a level of the legacy tree of `n` members; 0 is the sender
/// itself and means no send. Level 0 and levels above the ring's give none.
pub fn legacy_targets(n: u32, level: u8) -> [u32; 2] {
    let top = levels(n);
    if level == 0 || level > top {
        return [0, 0];
    }
    // At most 2^32 · 2^20 and 3^20.
    let (mut size, mut under) = (u64::from(n), 1_u64);
    for _ in level..top {
        size = size.saturating_mul(2);
        under = under.saturating_mul(3);
    }
    let size = size / under;
    [size / 3, size * 2 / 3].map(|offset| u32::try_from(offset).unwrap_or(0))
}

/// The sends of who acts at levels `from` down to above `down_to`: each an offset and the level
/// that the message carries.
pub fn legacy_sends(n: u32, from: u8, down_to: u8) -> impl Iterator<Item = (u32, u8)> {
    let from = from.min(levels(n));
    (down_to.saturating_add(1)..=from)
        .rev()
        .flat_map(move |level| {
            let targets = legacy_targets(n, level).into_iter();
            targets.filter_map(move |offset| (offset != 0).then_some((offset, level)))
        })
}

#[cfg(test)]
mod tests;
