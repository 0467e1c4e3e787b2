//! Who follows us: a read pointer on our chain for each.
//!
//! A pointer below a moved anchor cannot be served any more: its follower hears that nothing is
//! new and leaves when its patience ends.
//!
//! Invariants: 1. a pointer is on our chain or below the anchor; 2. who waits has nothing to
//! read.

use alloc::{collections::BTreeMap, vec::Vec};

use super::index::{Index, Switched};
use crate::{
    base::{Point, Serial, Violated, violated},
    proto::chain_sync::server::Order,
};

/// One follower.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Reader {
    /// The height of the last block that the follower has or must go back to.
    at: u64,
    /// Whether it must be told to go back there.
    back: bool,
    /// Whether it calls the anchor the origin.
    origin: bool,
    /// Whether it was told to wait.
    waits: bool,
}

impl Reader {
    fn new(index: &Index) -> Self {
        Self {
            at: index.anchor_height(),
            back: true,
            origin: true,
            waits: false,
        }
    }

    /// What there is to read.
    fn read(&mut self, index: &Index) -> Option<Order> {
        let tip = index.tip();
        if self.at < index.anchor_height() {
            return None;
        }
        if self.back {
            self.back = false;
            let point = if self.origin && self.at == 0 {
                Point::Origin
            } else {
                index.main_point(self.at)
            };
            return Some(Order::Backward { point, tip });
        }
        let next = index.main_at(self.at + 1)?;
        let header = index.entry(next)?.header.clone();
        self.at += 1;
        Some(Order::Forward { header, tip })
    }
}

/// All followers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Followers {
    by: BTreeMap<Serial, Reader>,
}

impl Followers {
    fn of(&mut self, index: &Index, conn: Serial, max: usize) -> Option<&mut Reader> {
        if self.by.len() >= max && !self.by.contains_key(&conn) {
            return None;
        }
        Some(self.by.entry(conn).or_insert_with(|| Reader::new(index)))
    }

    /// The first of the follower's points that is on our chain.
    /// src: Ouroboros network specification, "Chain-Sync", `MsgFindIntersect`
    pub(super) fn find(
        &mut self,
        index: &Index,
        conn: Serial,
        max: usize,
        points: &[Point],
    ) -> Option<Order> {
        let reader = self.of(index, conn, max)?;
        let tip = index.tip();
        let found = points
            .iter()
            .find_map(|point| Some((*point, index.main_height(point)?)));
        let Some((point, height)) = found else {
            return Some(Order::NotFound { tip });
        };
        *reader = Reader {
            at: height,
            back: true,
            origin: point == Point::Origin,
            waits: false,
        };
        Some(Order::Found { point, tip })
    }

    /// The follower asks for the next change.
    pub(super) fn next(&mut self, index: &Index, conn: Serial, max: usize) -> Option<Order> {
        let reader = self.of(index, conn, max)?;
        let order = reader.read(index);
        reader.waits = order.is_none();
        Some(order.unwrap_or(Order::Await))
    }

    /// Our chain has changed: what to tell those who waited for it.
    pub(super) fn switched(&mut self, index: &Index, how: &Switched) -> Vec<(Serial, Order)> {
        let mut orders = Vec::new();
        for (&conn, reader) in &mut self.by {
            if reader.at > how.common {
                reader.at = how.common;
                reader.back = true;
            }
            if reader.waits
                && let Some(order) = reader.read(index)
            {
                reader.waits = false;
                orders.push((conn, order));
            }
        }
        orders
    }

    pub(super) fn remove(&mut self, conn: Serial) {
        self.by.remove(&conn);
    }

    /// Checks invariants 1 and 2.
    pub(super) fn check_invariants(&self, index: &Index) -> Result<(), Violated> {
        let name = "chain followers";
        for reader in self.by.values() {
            let on = reader.at <= index.tip_height();
            violated(on, name, 1, "a pointer is on our chain")?;
            let read = reader.at < index.anchor_height()
                || (!reader.back && reader.at == index.tip_height());
            violated(!reader.waits || read, name, 2, "who waits has read all")?;
        }
        Ok(())
    }
}
