//! Serves headers to one follower; the owner keeps the read pointer.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::base::{Point, Tip};

/// What its owner answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first of the peer's points that is on our chain.
    Found {
        /// That point.
        point: Point,
        /// Our tip.
        tip: Tip,
    },
    /// None of the peer's points is on our chain.
    NotFound {
        /// Our tip.
        tip: Tip,
    },
    /// The next header of our chain.
    Forward {
        /// The header exactly as it travels, its era envelope included.
        header: Bytes,
        /// Our tip.
        tip: Tip,
    },
    /// The follower has to go back to this point.
    Backward {
        /// The newest point both have.
        point: Point,
        /// Our tip.
        tip: Tip,
    },
    /// The follower is at our tip; `Forward` or `Backward` comes when that changes.
    Await,
}

/// What the server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The follower asks for the first of these points that is on our chain; answered by
    /// [`Order::Found`] or [`Order::NotFound`].
    FindIntersect(Vec<Point>),
    /// The follower asks for the next change; answered by [`Order::Forward`],
    /// [`Order::Backward`], or [`Order::Await`] and later one of the two.
    RequestNext,
}
