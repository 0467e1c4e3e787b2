//! The tree of all headers that are known, and our chain through it.
//!
//! ```text
//!  anchor ─ 1 ─ 2 ─ 3 ─ 4 ─ 5        main: a queue of entries, dense by height
//!                   └ 4' ─ 5' ─ 6'   held by the candidates that contain them
//! ```
//! Height counts blocks from the first anchor; the anchor moves up as the oldest are forgotten.
//!
//! Limits: at most `max` headers. [`Index::make_room`] says what must go.
//!
//! Invariants: 1. `main` is dense: each entry's parent is the one before, the first hangs off the
//! anchor; 2. all of `main` is joined; 3. an entry
//! is idle exactly when nobody holds it, it has no child and is not on `main`; 4. an entry is
//! joined only when its parent is; 5. a parent knows its children.

mod check;
mod paths;

use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};

use bytes::Bytes;
use smallvec::SmallVec;

use super::Start;
use crate::base::{BlockNo, Hash32, HeaderView, Point, Serial, Slot, SlotIndex as Ix, Slots, Tip};

/// What is known of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum State {
    /// Its header only.
    Announced,
    /// Its body is asked for.
    Due,
    /// The application looks at its body.
    Judging,
    /// The application has its body.
    Kept,
    /// As `Kept`, and so are all its ancestors.
    Joined,
    /// It breaks the ledger's rules, or an ancestor does.
    Invalid,
}

/// One header.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Entry {
    pub(super) header: Bytes,
    pub(super) view: HeaderView,
    pub(super) height: u64,
    pub(super) state: State,
    /// Who announced it first, `None` when it is our own.
    pub(super) from: Option<Serial>,
    /// `None`: hangs off the anchor.
    pub(super) parent: Option<Ix>,
    /// Candidates that hold it.
    refs: u32,
    child: Option<Ix>,
    left: Option<Ix>,
    right: Option<Ix>,
}

/// A header to be put into the tree.
pub(super) struct New {
    pub(super) parent: Option<Ix>,
    pub(super) header: Bytes,
    pub(super) view: HeaderView,
    pub(super) state: State,
    pub(super) from: Option<Serial>,
}

/// What the first header's parent must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Prev {
    Any,
    Is(Option<Hash32>),
}

/// The block before the first that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Anchor {
    prev: Prev,
    /// Where it is known.
    point: Option<Point>,
    block_no: Option<BlockNo>,
    boundary: bool,
    height: u64,
}

/// How our chain changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Switched {
    /// Height of the newest block that stayed.
    pub(super) common: u64,
    /// Its point.
    pub(super) point: Point,
    /// Blocks that left, oldest first.
    pub(super) gone: Vec<Ix>,
}

/// What must happen before a header fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// Nothing.
    Here,
    /// The oldest block of our chain must be forgotten.
    Forget,
    /// There is none.
    None,
}

/// The tree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Index {
    k: u64,
    anchor: Anchor,
    entries: Slots<Hash32, Entry>,
    /// The first of the anchor's children.
    roots: Option<Ix>,
    main: VecDeque<Ix>,
    idle: BTreeSet<(u64, Ix)>,
    tip: Tip,
}

impl Index {
    pub(super) fn new(start: Start, k: u64, max: usize) -> Self {
        let (prev, point) = match start {
            Start::Genesis | Start::Anchor(Point::Origin) => (Prev::Is(None), None),
            Start::Anchor(point) => (Prev::Is(point.hash()), Some(point)),
            Start::TrustFirst => (Prev::Any, None),
        };
        Self {
            k,
            anchor: Anchor {
                prev,
                point,
                block_no: None,
                boundary: false,
                height: 0,
            },
            entries: Slots::new((0, 0), max),
            roots: None,
            main: VecDeque::new(),
            idle: BTreeSet::new(),
            tip: Tip::ORIGIN,
        }
    }

    /// Hashes under this key from now on; only while empty.
    pub(super) fn key(&mut self, key: (u64, u64)) {
        if self.entries.is_empty() {
            self.entries = Slots::new(key, self.entries.max());
        }
    }

    pub(super) const fn tip(&self) -> Tip {
        self.tip
    }

    pub(super) fn tip_height(&self) -> u64 {
        self.anchor.height + self.main.len() as u64
    }

    pub(super) const fn anchor_height(&self) -> u64 {
        self.anchor.height
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Headers that still fit when all is forgotten that may be.
    pub(super) fn slack(&self) -> usize {
        let keep = usize::try_from(self.k).unwrap_or(usize::MAX);
        let old = self.main.len().saturating_sub(keep);
        self.entries.max().saturating_sub(self.entries.len()) + self.idle.len() + old
    }

    pub(super) fn find(&self, hash: &Hash32) -> Option<Ix> {
        self.entries.slot(hash)
    }

    pub(super) fn entry(&self, ix: Ix) -> Option<&Entry> {
        self.entries.at(ix).map(|(_, entry)| entry)
    }

    fn entry_mut(&mut self, ix: Ix) -> Option<&mut Entry> {
        self.entries.at_mut(ix).map(|(_, entry)| entry)
    }

    pub(super) fn set_state(&mut self, ix: Ix, state: State) {
        if let Some(entry) = self.entry_mut(ix) {
            entry.state = state;
        }
    }

    /// The block of our chain at this height; `None` at the anchor and outside.
    pub(super) fn main_at(&self, height: u64) -> Option<Ix> {
        let at = height.checked_sub(self.anchor.height)?.checked_sub(1)?;
        self.main.get(usize::try_from(at).ok()?).copied()
    }

    pub(super) fn on_main(&self, ix: Ix) -> bool {
        self.entry(ix)
            .is_some_and(|entry| self.main_at(entry.height) == Some(ix))
    }

    /// The point at this height of our chain: the origin where the anchor's is not known.
    pub(super) fn main_point(&self, height: u64) -> Point {
        self.main_at(height)
            .and_then(|ix| self.entry(ix))
            .map_or(self.anchor.point.unwrap_or(Point::Origin), |entry| {
                entry.view.point
            })
    }

    /// Whether the point names the place before our first block.
    pub(super) fn is_anchor(&self, point: &Point) -> bool {
        match point {
            Point::Origin => self.anchor.height == 0,
            Point::Block { hash, .. } => match self.anchor.point {
                Some(anchor) => *point == anchor,
                None => self.anchor.prev == Prev::Is(Some(*hash)),
            },
        }
    }

    /// The entry at a point, both slot and hash being right.
    pub(super) fn at_point(&self, point: &Point) -> Option<Ix> {
        let ix = self.find(&point.hash()?)?;
        (self.entry(ix)?.view.point == *point).then_some(ix)
    }

    /// The height of a point on our chain.
    pub(super) fn main_height(&self, point: &Point) -> Option<u64> {
        if self.is_anchor(point) {
            return Some(self.anchor.height);
        }
        let ix = self.at_point(point)?;
        self.on_main(ix).then_some(self.entry(ix)?.height)
    }

    /// The number of the block at the anchor, where known.
    pub(super) const fn anchor_no(&self) -> Option<BlockNo> {
        self.anchor.block_no
    }

    /// Whether a header with this view may hang off the anchor.
    pub(super) fn fits_anchor(&self, view: &HeaderView) -> Fit {
        let connected = match self.anchor.prev {
            Prev::Any => true,
            Prev::Is(prev) => prev == view.prev,
        };
        let rises = match (
            self.anchor.point.and_then(|point| point.slot()),
            self.anchor.block_no,
        ) {
            (Some(slot), Some(no)) => follows((slot, no, self.anchor.boundary), view),
            (slot, None) => view.point.slot() > slot && (view.prev.is_some() || view.block_no <= 1),
            (None, Some(no)) => view.block_no == no.saturating_add(1),
        };
        Fit::of(connected, rises)
    }

    /// Whether a header with this view may follow the header `parent`.
    pub(super) fn fits(&self, parent: Ix, view: &HeaderView) -> Fit {
        let Some(before) = self.entry(parent) else {
            return Fit::Apart;
        };
        let rises =
            before.view.point.slot().is_some_and(|slot| {
                follows((slot, before.view.block_no, before.view.boundary), view)
            });
        Fit::of(view.prev == before.view.point.hash(), rises)
    }

    /// What must happen before one more header fits; forgets what nobody needs by itself.
    pub(super) fn make_room(&mut self) -> Room {
        if self.entries.len() < self.entries.max() {
            return Room::Here;
        }
        let oldest = self.idle.first().copied();
        let too_old =
            oldest.is_some_and(|(height, _)| height.saturating_add(self.k) <= self.tip_height());
        if !too_old && self.main.len() as u64 > self.k {
            return Room::Forget;
        }
        match oldest {
            Some((_, ix)) => {
                self.remove(ix);
                Room::Here
            }
            None => Room::None,
        }
    }

    /// Puts a header into the tree; `None` when it is there already or there is no room. The
    /// caller has checked that it fits, and holds or settles it next.
    pub(super) fn insert(&mut self, new: New) -> Option<Ix> {
        let hash = new.view.point.hash()?;
        let height = match new.parent {
            Some(parent) => self.entry(parent)?.height,
            None => self.anchor.height,
        };
        let right = match new.parent {
            Some(parent) => self.entry(parent)?.child,
            None => self.roots,
        };
        if new.parent.is_none() && self.anchor.prev == Prev::Any {
            self.anchor.prev = Prev::Is(new.view.prev);
        }
        let entry = Entry {
            header: new.header,
            view: new.view,
            height: height + 1,
            state: new.state,
            from: new.from,
            parent: new.parent,
            refs: 0,
            child: None,
            left: None,
            right,
        };
        let ix = self.entries.insert(hash, entry).ok()?;
        if let Some(right) = right.and_then(|right| self.entry_mut(right)) {
            right.left = Some(ix);
        }
        match new.parent {
            Some(parent) => {
                self.idle.remove(&(height, parent));
                if let Some(entry) = self.entry_mut(parent) {
                    entry.child = Some(ix);
                }
            }
            None => self.roots = Some(ix),
        }
        Some(ix)
    }

    /// A candidate contains this entry from now on.
    pub(super) fn hold(&mut self, ix: Ix) {
        let Some(entry) = self.entry_mut(ix) else {
            return;
        };
        entry.refs += 1;
        let key = (entry.height, ix);
        if entry.refs == 1 {
            self.idle.remove(&key);
        }
    }

    /// A candidate contains this entry no longer; it goes when nobody needs it.
    pub(super) fn release(&mut self, ix: Ix) {
        if let Some(entry) = self.entry_mut(ix) {
            entry.refs = entry.refs.saturating_sub(1);
        }
        self.settle(ix);
    }

    /// Removes an entry that nobody needs, then its parent if that is now such a one.
    pub(super) fn settle(&mut self, ix: Ix) {
        let mut next = Some(ix);
        while let Some(ix) = next.take() {
            let Some(entry) = self.entry(ix) else { return };
            if entry.refs > 0 || entry.child.is_some() || self.on_main(ix) {
                return;
            }
            if entry.state == State::Announced {
                next = self.unlink(ix);
            } else {
                self.idle.insert((entry.height, ix));
            }
        }
    }

    /// Removes a leaf and what nobody needs below it.
    fn remove(&mut self, ix: Ix) {
        if let Some(parent) = self.unlink(ix) {
            self.settle(parent);
        }
    }

    /// Takes a leaf out of the tree; its parent.
    fn unlink(&mut self, ix: Ix) -> Option<Ix> {
        let (&hash, entry) = self.entries.at(ix)?;
        let (height, parent, left, right) = (entry.height, entry.parent, entry.left, entry.right);
        if let Some(right) = right.and_then(|right| self.entry_mut(right)) {
            right.left = left;
        }
        match (left, parent) {
            (Some(left), _) => {
                if let Some(left) = self.entry_mut(left) {
                    left.right = right;
                }
            }
            (None, Some(parent)) => {
                if let Some(parent) = self.entry_mut(parent) {
                    parent.child = right;
                }
            }
            (None, None) => self.roots = right,
        }
        self.idle.remove(&(height, ix));
        self.entries.remove(&hash);
        parent
    }

    /// The children of an entry, or of the anchor.
    fn children(&self, ix: Option<Ix>) -> impl Iterator<Item = Ix> + '_ {
        let first = match ix {
            Some(ix) => self.entry(ix).and_then(|entry| entry.child),
            None => self.roots,
        };
        core::iter::successors(first, |&ix| self.entry(ix)?.right)
    }

    /// The application has this body. The best block that can now be our tip, if that is better
    /// than the tip we have.
    pub(super) fn keep(&mut self, ix: Ix) -> Option<Ix> {
        let entry = self.entry(ix)?;
        if matches!(entry.state, State::Joined | State::Invalid) {
            return None;
        }
        let joined = match entry.parent {
            Some(parent) => self.entry(parent)?.state == State::Joined,
            None => true,
        };
        if !joined {
            self.set_state(ix, State::Kept);
            return None;
        }
        let mut best = None;
        let mut number = self.tip.len();
        let mut stack: SmallVec<[Ix; 8]> = SmallVec::new();
        stack.push(ix);
        while let Some(ix) = stack.pop() {
            self.set_state(ix, State::Joined);
            let length = self.entry(ix)?.view.block_no.saturating_add(1);
            if length > number {
                (best, number) = (Some(ix), length);
            }
            let kept = self
                .children(Some(ix))
                .filter(|&child| self.entry(child).is_some_and(|e| e.state == State::Kept));
            stack.extend(kept);
        }
        best
    }

    /// Makes `best` (joined) our tip; `None` when that would go back more than `k` blocks.
    pub(super) fn switch(&mut self, best: Ix) -> Option<Switched> {
        let mut path: SmallVec<[Ix; 8]> = SmallVec::new();
        let mut at = Some(best);
        let mut common = self.anchor.height;
        while let Some(ix) = at {
            if self.on_main(ix) {
                common = self.entry(ix)?.height;
                break;
            }
            path.push(ix);
            at = self.entry(ix)?.parent;
        }
        if self.tip_height() - common > self.k {
            return None;
        }
        let keep = usize::try_from(common - self.anchor.height).ok()?;
        let gone = if keep < self.main.len() {
            self.main.split_off(keep).into()
        } else {
            Vec::new()
        };
        for ix in path.into_iter().rev() {
            if let Some(entry) = self.entry(ix) {
                let key = (entry.height, ix);
                self.idle.remove(&key);
            }
            self.main.push_back(ix);
        }
        let view = self.entry(best)?.view;
        self.tip = Tip {
            point: view.point,
            block_no: view.block_no,
        };
        Some(Switched {
            common,
            point: self.main_point(common),
            gone,
        })
    }

    /// Marks a block and all that follow it as invalid.
    pub(super) fn invalidate(&mut self, ix: Ix) {
        let mut stack = Vec::from([ix]);
        while let Some(ix) = stack.pop() {
            if self.entry(ix).is_none_or(|e| e.state == State::Joined) {
                continue;
            }
            self.set_state(ix, State::Invalid);
            stack.extend(self.children(Some(ix)));
        }
    }

    /// Forgets the oldest block of our chain and every branch beside it; the anchor moves onto
    /// it. No candidate may hold anything in those branches any more.
    pub(super) fn forget_oldest(&mut self) {
        let Some(oldest) = self.main.pop_front() else {
            return;
        };
        let beside: Vec<Ix> = self.children(None).filter(|&ix| ix != oldest).collect();
        for root in beside {
            self.remove_branch(root);
        }
        let Some(entry) = self.entry(oldest) else {
            return;
        };
        let (view, first) = (entry.view, entry.child);
        self.anchor = Anchor {
            prev: Prev::Is(view.point.hash()),
            point: Some(view.point),
            block_no: Some(view.block_no),
            boundary: view.boundary,
            height: self.anchor.height + 1,
        };
        let children: SmallVec<[Ix; 4]> = self.children(Some(oldest)).collect();
        for child in children {
            if let Some(child) = self.entry_mut(child) {
                child.parent = None;
            }
        }
        self.unlink(oldest);
        self.roots = first;
    }

    fn remove_branch(&mut self, root: Ix) {
        let mut order = Vec::from([root]);
        let mut at = 0;
        while let Some(&ix) = order.get(at) {
            order.extend(self.children(Some(ix)));
            at += 1;
        }
        for ix in order.into_iter().rev() {
            self.unlink(ix);
        }
    }
}

/// How a header stands to the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It follows.
    Follows,
    /// It names another parent.
    Apart,
    /// Its number or slot does not rise.
    Order,
}

impl Fit {
    const fn of(connected: bool, rises: bool) -> Self {
        match (connected, rises) {
            (true, true) => Self::Follows,
            (true, false) => Self::Order,
            (false, _) => Self::Apart,
        }
    }
}

/// Whether number and slot of a header may follow those of the block before it: both rise, but a
/// boundary block keeps the number of the block before it and may share the slot of the block
/// after it. Two boundary blocks never follow each other.
/// src: Cardano Byron chain specification, "Epoch boundary blocks"
fn follows((slot, no, boundary): (Slot, BlockNo, bool), view: &HeaderView) -> bool {
    let number = if view.boundary {
        Some(no)
    } else {
        no.checked_add(1)
    };
    let later = view
        .point
        .slot()
        .is_some_and(|s| s > slot || (boundary && s == slot));
    Some(view.block_no) == number && later && !(boundary && view.boundary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_slots_rise_but_around_a_boundary_block() {
        let view = |slot, block_no, boundary| HeaderView {
            point: Point::Block {
                slot,
                hash: Hash32([7; 32]),
            },
            block_no,
            prev: None,
            boundary,
            body_bytes: 0,
        };
        let rows = [
            ((5, 9, false), view(6, 10, false), true),
            ((5, 9, false), view(5, 10, false), false),
            ((5, 9, false), view(6, 9, false), false),
            ((5, 9, false), view(6, 9, true), true),
            ((5, 9, false), view(6, 10, true), false),
            ((5, 9, false), view(5, 9, true), false),
            ((6, 9, true), view(6, 10, false), true),
            ((6, 9, true), view(7, 10, false), true),
            ((6, 9, true), view(5, 10, false), false),
            ((6, 9, true), view(7, 9, true), false),
            ((6, u64::MAX, false), view(7, 0, false), false),
        ];
        for (before, view, fits) in rows {
            assert_eq!(follows(before, &view), fits, "{before:?} {view:?}");
        }
    }
}
