//! Ways through the tree: points to offer, ranges to serve.

use alloc::vec::Vec;

use smallvec::SmallVec;

use super::{Index, Ix, State};
use crate::base::Point;

impl Index {
    /// Points of our chain for a peer to find the newest common one: newest first, the gaps
    /// growing like Fibonacci numbers, the anchor last.
    /// src: Ouroboros network specification, "Chain-Sync", finding an intersection
    pub(in crate::chain) fn locators(&self) -> Vec<Point> {
        let mut points = Vec::new();
        let (mut offset, mut next) = (0_u64, 1_u64);
        let tip = self.tip_height();
        while let Some(ix) = tip.checked_sub(offset).and_then(|h| self.main_at(h)) {
            points.extend(self.entry(ix).map(|entry| entry.view.point));
            (offset, next) = match offset {
                0 => (1, 2),
                _ => (next, next.saturating_add(offset)),
            };
        }
        points.push(self.anchor.point.unwrap_or(Point::Origin));
        points
    }

    /// Whether all bodies from `from` to `to`, both inclusive, are kept and on one branch that
    /// hangs together with the anchor.
    pub(in crate::chain) fn is_range(&self, from: Ix, to: Ix) -> Option<bool> {
        let (first, last) = (self.entry(from)?, self.entry(to)?);
        if last.state != State::Joined || first.height > last.height {
            return Some(false);
        }
        let (fork, side) = self.side(to, first.height);
        Some(match side.last() {
            Some(&ix) if fork < first.height => ix == from,
            _ => self.on_main(from),
        })
    }

    /// The blocks of the branch of `to` that are not on our chain, newest first, down to height
    /// `low` at most; and the height below the last of them.
    fn side(&self, to: Ix, low: u64) -> (u64, SmallVec<[Ix; 8]>) {
        let mut side = SmallVec::new();
        let mut at = Some(to);
        let mut below = self.anchor.height;
        while let Some((ix, entry)) = at.and_then(|ix| Some((ix, self.entry(ix)?))) {
            below = entry.height;
            if self.on_main(ix) || entry.height < low {
                break;
            }
            below = entry.height.saturating_sub(1);
            side.push(ix);
            at = entry.parent;
        }
        (below, side)
    }

    /// The next points to load of the range that ends with `to`, from height `next` on: at most
    /// `count`, and no more after `bytes` are reached.
    pub(in crate::chain) fn window(
        &self,
        to: Ix,
        next: u64,
        count: usize,
        bytes: u64,
    ) -> Vec<Point> {
        let mut points = Vec::new();
        let Some(last) = self.entry(to).map(|entry| entry.height) else {
            return points;
        };
        let (fork, side) = self.side(to, next);
        let mut sum = 0_u64;
        for height in next..=last {
            if points.len() >= count || sum >= bytes {
                break;
            }
            let ix = if height <= fork {
                self.main_at(height)
            } else {
                let down = usize::try_from(last - height).ok();
                down.and_then(|down| side.get(down)).copied()
            };
            let Some(entry) = ix.and_then(|ix| self.entry(ix)) else {
                break;
            };
            points.push(entry.view.point);
            sum = sum.saturating_add(u64::from(entry.view.body_bytes));
        }
        points
    }
}
