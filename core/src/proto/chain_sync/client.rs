//! Follows a peer's chain of headers, pipelined between two marks.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::base::{BlockNo, HeaderView, Point, Tip};

/// What its owner can ask of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Find the newest common point among `points` (newest first), then follow from there. Asked
    /// again while following, the client first collects what is outstanding.
    Follow {
        /// Points of our chain, newest first.
        points: Vec<Point>,
    },
    /// The block number at the head of the peer's candidate after a rollback.
    Head(BlockNo),
    /// Stop asking for more; what is outstanding still arrives.
    Pause,
    /// Ask for more again.
    Resume,
}

/// What the client tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer's chain has this point of ours; following begins.
    Intersected {
        /// One of the points that were offered.
        point: Point,
        /// The peer's tip.
        tip: Tip,
    },
    /// The peer's chain has none of the points; nothing follows until the next order.
    NotIntersected {
        /// The peer's tip.
        tip: Tip,
    },
    /// The peer's chain grew by one header.
    Forward {
        /// The header exactly as it travelled, its era envelope included.
        header: Bytes,
        /// What the rules read in it.
        view: HeaderView,
        /// The peer's tip.
        tip: Tip,
    },
    /// The peer's chain now ends here.
    Backward {
        /// The new end.
        point: Point,
        /// The peer's tip.
        tip: Tip,
    },
    /// The peer has nothing more to say until its chain changes.
    CaughtUp,
}
