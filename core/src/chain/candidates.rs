//! What each followed peer's chain is, as far as its headers have come.
//!
//! ```text
//!  main       ─ 1 ─ 2 ─ 3 ─ 4 ─ 5
//!  candidate          fork ┘        suffix: 4' ─ 5' ─ 6'
//! ```
//! A candidate is our chain up to `fork` and its `suffix` behind it, so a peer that has what we
//! have costs next to nothing.
//!
//! Invariants: 1. `fork` is a height of our chain or the anchor's; 2. the suffix is dense above
//! the fork and leaves our chain with its first entry; 3. only a candidate that is followed has a
//! suffix.

use alloc::collections::{BTreeMap, VecDeque};

use super::{
    Misdeed,
    index::{Fit, Index, State, Switched},
};
use crate::base::{BlockNo, HeaderView, Point, Serial, SlotIndex as Ix, Tip, Violated, violated};

/// Where following a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Phase {
    /// A common point is looked for; what still comes of the time before is void.
    Asked,
    /// Headers come.
    Followed,
    /// There is no recent common point; what comes is void.
    Lost,
}

/// The chain of one peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Candidate {
    pub(super) phase: Phase,
    /// Whether the peer is asked for no more headers.
    pub(super) paused: bool,
    /// The peer's tip as it told it last.
    pub(super) tip: Tip,
    /// No body below this height is to be asked for.
    pub(super) next: u64,
    fork: u64,
    suffix: VecDeque<Ix>,
}

/// What a header is to a candidate.
pub(super) enum Place {
    /// Known already; it is now the candidate's head.
    Known(Ix),
    /// Unknown; it goes behind the candidate's head.
    New,
    /// It leaves our chain deeper than `k`.
    Deep,
}

impl Candidate {
    pub(super) const fn new() -> Self {
        Self {
            phase: Phase::Asked,
            paused: false,
            tip: Tip::ORIGIN,
            next: 0,
            fork: 0,
            suffix: VecDeque::new(),
        }
    }

    /// Headers that are not on our chain.
    pub(super) fn apart(&self) -> usize {
        self.suffix.len()
    }

    /// Headers beyond our tip.
    pub(super) fn ahead(&self, index: &Index) -> usize {
        let ahead = self.head_height().saturating_sub(index.tip_height());
        usize::try_from(ahead).unwrap_or(usize::MAX)
    }

    pub(super) const fn fork(&self) -> u64 {
        self.fork
    }

    pub(super) fn head_height(&self) -> u64 {
        self.fork + self.suffix.len() as u64
    }

    /// The entry at this height; `None` at the anchor and outside.
    pub(super) fn at(&self, index: &Index, height: u64) -> Option<Ix> {
        match height.checked_sub(self.fork) {
            None | Some(0) => index.main_at(height),
            Some(up) => {
                let up = usize::try_from(up - 1).ok()?;
                self.suffix.get(up).copied()
            }
        }
    }

    /// Whether it contains an entry.
    pub(super) fn contains(&self, index: &Index, ix: Ix) -> bool {
        self.phase == Phase::Followed
            && index
                .entry(ix)
                .is_some_and(|entry| self.at(index, entry.height) == Some(ix))
    }

    fn head(&self, index: &Index) -> Option<Ix> {
        self.at(index, self.head_height())
    }

    /// The number of its last block, `None` at an anchor without one.
    pub(super) fn head_no(&self, index: &Index) -> Option<BlockNo> {
        match self.head(index) {
            Some(ix) => index.entry(ix).map(|entry| entry.view.block_no),
            None => index.anchor_no(),
        }
    }

    /// Blocks from the origin to its head; 0 at an anchor without a number.
    pub(super) fn length(&self, index: &Index) -> u64 {
        self.head_no(index).map_or(0, |no| no.saturating_add(1))
    }

    /// The newest common point is found.
    pub(super) fn intersected(&mut self, index: &mut Index, point: &Point) -> bool {
        self.clear(index);
        let Some(height) = index.main_height(point) else {
            return false;
        };
        self.phase = Phase::Followed;
        self.fork = height;
        self.next = 0;
        true
    }

    /// Where a header belongs.
    pub(super) fn place(&self, index: &Index, view: &HeaderView, k: u64) -> Result<Place, Misdeed> {
        let hash = view.point.hash().unwrap_or_default();
        let head = self.head(index);
        let fit = match head {
            Some(head) => index.fits(head, view),
            None => index.fits_anchor(view),
        };
        match fit {
            Fit::Apart => return Err(Misdeed::NotConnected(hash)),
            Fit::Order => return Err(Misdeed::Order(hash)),
            Fit::Follows => {}
        }
        let known = index.find(&hash);
        if let Some((ix, entry)) = known.and_then(|ix| Some((ix, index.entry(ix)?))) {
            if entry.parent != head || entry.view.point != view.point {
                return Err(Misdeed::NotConnected(hash));
            }
            if entry.state == State::Invalid {
                return Err(Misdeed::InvalidBlock(hash));
            }
            if index.on_main(ix) {
                return Ok(Place::Known(ix));
            }
        }
        if self.fork.saturating_add(k) < index.tip_height() {
            return Ok(Place::Deep);
        }
        Ok(known.map_or(Place::New, Place::Known))
    }

    /// Appends an entry whose parent is the head.
    pub(super) fn push(&mut self, index: &mut Index, ix: Ix) {
        if self.suffix.is_empty() && index.main_at(self.fork + 1) == Some(ix) {
            self.fork += 1;
            return;
        }
        index.hold(ix);
        self.suffix.push_back(ix);
    }

    /// Goes back to a point of its own; `false` when that may be one that we have forgotten.
    pub(super) fn backward(
        &mut self,
        index: &mut Index,
        point: &Point,
        k: u64,
    ) -> Result<bool, Misdeed> {
        let height = if index.is_anchor(point) {
            Some(index.anchor_height())
        } else {
            index
                .at_point(point)
                .filter(|&ix| self.contains(index, ix))
                .and_then(|ix| Some(index.entry(ix)?.height))
        };
        let deepest = self.head_height().saturating_sub(k);
        let Some(height) = height else {
            // A peer far behind may go back below what is left of our chain.
            return if deepest < index.anchor_height() {
                Ok(false)
            } else {
                Err(Misdeed::Rollback(*point))
            };
        };
        if height < deepest {
            return Err(Misdeed::Rollback(*point));
        }
        while self.head_height() > height {
            match self.suffix.pop_back() {
                Some(ix) => index.release(ix),
                None => self.fork = height,
            }
        }
        self.next = self.next.min(height + 1);
        Ok(true)
    }

    /// Forgets all headers.
    pub(super) fn clear(&mut self, index: &mut Index) {
        while let Some(ix) = self.suffix.pop_back() {
            index.release(ix);
        }
        self.fork = index.anchor_height();
    }

    /// Our chain has changed.
    fn switched(&mut self, index: &mut Index, how: &Switched) {
        if self.phase != Phase::Followed {
            return;
        }
        for &ix in how.gone.iter().rev() {
            let height = index.entry(ix).map_or(u64::MAX, |entry| entry.height);
            if height == self.fork {
                index.hold(ix);
                self.suffix.push_front(ix);
                self.fork -= 1;
            }
        }
        while let Some(&ix) = self.suffix.front() {
            if index.main_at(self.fork + 1) != Some(ix) {
                break;
            }
            self.suffix.pop_front();
            self.fork += 1;
            index.release(ix);
        }
    }
}

/// The chains of all followed peers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Candidates {
    by: BTreeMap<Serial, Candidate>,
}

impl Candidates {
    pub(super) fn add(&mut self, conn: Serial) {
        self.by.insert(conn, Candidate::new());
    }

    pub(super) fn remove(&mut self, index: &mut Index, conn: Serial) -> bool {
        let gone = self.by.remove(&conn);
        if let Some(mut gone) = gone {
            gone.clear(index);
            return true;
        }
        false
    }

    pub(super) fn get(&self, conn: Serial) -> Option<&Candidate> {
        self.by.get(&conn)
    }

    pub(super) fn get_mut(&mut self, conn: Serial) -> Option<&mut Candidate> {
        self.by.get_mut(&conn)
    }

    pub(super) fn len(&self) -> usize {
        self.by.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Serial, &Candidate)> {
        self.by.iter().map(|(&conn, candidate)| (conn, candidate))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (Serial, &mut Candidate)> {
        self.by
            .iter_mut()
            .map(|(&conn, candidate)| (conn, candidate))
    }

    /// Our chain has changed.
    pub(super) fn switched(&mut self, index: &mut Index, how: &Switched) {
        for candidate in self.by.values_mut() {
            candidate.switched(index, how);
        }
    }

    /// Checks invariants 1 to 3.
    pub(super) fn check_invariants(&self, index: &Index) -> Result<(), Violated> {
        let name = "chain candidates";
        for candidate in self.by.values() {
            if candidate.phase != Phase::Followed {
                let none = candidate.suffix.is_empty();
                violated(none, name, 3, "only a followed one has a suffix")?;
                continue;
            }
            let fork = candidate.fork;
            let inside = index.anchor_height() <= fork && fork <= index.tip_height();
            violated(inside, name, 1, "the fork is on our chain")?;
            let mut before = index.main_at(fork);
            let mut dense = candidate
                .suffix
                .front()
                .is_none_or(|&ix| index.main_at(fork + 1) != Some(ix));
            for &ix in &candidate.suffix {
                dense &= index.entry(ix).is_some_and(|e| e.parent == before);
                before = Some(ix);
            }
            violated(dense, name, 2, "the suffix is dense above the fork")?;
        }
        Ok(())
    }
}
