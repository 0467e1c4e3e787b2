//! Tells a peer our next tips as soon as they are ours.

use crate::base::{Slot, Tip};

/// What its owner tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Our tip is now this; sent when the peer waits for it and its slot is late enough.
    Tip(Tip),
}

/// What the server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer wants the next `count` tips from `slot` on; answered by [`Order::Tip`].
    Asked {
        /// Tips wanted, at least 1.
        count: u16,
        /// The first tip must have this slot or a later one.
        slot: Slot,
    },
}
