//! Samples how soon a peer learns new tips.

use crate::base::{Slot, Tip};

/// What its owner can ask of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask for the next `count` tips from `slot` on; ignored while tips are due.
    Follow {
        /// Tips wanted, at least 1.
        count: u16,
        /// The first tip has this slot or a later one.
        slot: Slot,
    },
}

/// What the client tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A tip that was asked for.
    Sampled {
        /// The tip.
        tip: Tip,
        /// Tips still due.
        left: u16,
    },
}
