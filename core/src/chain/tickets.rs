//! Questions to the application that are open.
//!
//! Three quarters of them are for bodies: a body is asked for only when its question has a place
//! already.
//!
//! Invariants: 1. never more than the maximum; 2. the count of bodies is right.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::base::{Hash32, Serial, Supply, Ticket, TxId, Violated, violated};

/// What a question was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Asked {
    /// A verdict on the body of a block.
    Judge {
        /// Who sent it.
        from: Serial,
        /// Which block.
        hash: Hash32,
        /// Bytes that came.
        bytes: u64,
    },
    /// Bodies for a follower.
    Load(Serial),
    /// Whether a transaction is wanted.
    Offer {
        /// Which.
        id: TxId,
        /// Bytes that came.
        bytes: u32,
    },
    /// Transactions for a peer.
    Take(Serial),
}

/// All open questions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Tickets {
    supply: Supply<Ticket>,
    open: BTreeMap<Ticket, Asked>,
    max: usize,
    judging: usize,
}

impl Tickets {
    pub(super) fn new(max: usize) -> Self {
        Self {
            supply: Supply::default(),
            open: BTreeMap::new(),
            max: max.max(4),
            judging: 0,
        }
    }

    /// Bodies that may be asked for when `due` are due already; none while less than a quarter of
    /// their share is free, so that a slow application does not shrink ranges to single blocks.
    pub(super) fn room_for_bodies(&self, due: usize) -> usize {
        let share = self.max - self.max / 4;
        let room = share.saturating_sub(self.judging).saturating_sub(due);
        if room < share / 4 { 0 } else { room }
    }

    /// Asks for a verdict; its place was kept.
    pub(super) fn judge(&mut self, asked: Asked) -> Ticket {
        self.judging += 1;
        let ticket = self.supply.take();
        self.open.insert(ticket, asked);
        ticket
    }

    /// Asks something else; `None` when there is no place.
    pub(super) fn ask(&mut self, asked: Asked) -> Option<Ticket> {
        if self.open.len() - self.judging >= self.max / 4 {
            return None;
        }
        let ticket = self.supply.take();
        self.open.insert(ticket, asked);
        Some(ticket)
    }

    /// A question is answered.
    pub(super) fn close(&mut self, ticket: Ticket) -> Option<Asked> {
        let asked = self.open.remove(&ticket)?;
        if matches!(asked, Asked::Judge { .. }) {
            self.judging -= 1;
        }
        Some(asked)
    }

    /// Questions that are open.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Checks invariants 1 and 2.
    pub(super) fn check_invariants(&self) -> Result<(), Violated> {
        let name = "chain tickets";
        let held = self.open.len() <= self.max;
        violated(held, name, 1, "never more than the maximum")?;
        let judging = self.open.values();
        let judging: Vec<_> = judging
            .filter(|asked| matches!(asked, Asked::Judge { .. }))
            .collect();
        let right = judging.len() == self.judging;
        violated(right, name, 2, "the count of bodies is right")
    }
}
