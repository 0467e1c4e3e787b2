//! What a node knows of one group.

use alloc::{collections::VecDeque, vec::Vec};

use super::{View, frontier::Frontiers, membership::Membership};
use crate::{
    base::{Instant, MemberKey},
    proto::rain_link::Data,
};

/// One group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Group {
    /// Its number, for timers.
    pub no: u32,
    /// Newest last; never empty.
    pub views: VecDeque<View>,
    pub frontiers: Frontiers,
    /// The number of the next own message.
    pub next: u64,
    /// Messages of views that are not known yet.
    pub parked: VecDeque<Parked>,
    /// Of a group without a ledger.
    pub membership: Option<Membership>,
}

/// A message that waits for its view.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Parked {
    pub until: Instant,
    pub from: MemberKey,
    pub data: Data,
}

impl Group {
    pub(super) fn new(no: u32, view: View) -> Self {
        Self {
            no,
            views: VecDeque::from([view]),
            frontiers: Frontiers::default(),
            next: 0,
            parked: VecDeque::new(),
            membership: None,
        }
    }

    pub(super) fn newest(&self) -> Option<&View> {
        self.views.back()
    }

    pub(super) fn view(&self, epoch: u64) -> Option<&View> {
        self.views.iter().rev().find(|view| view.epoch() == epoch)
    }

    /// Whether somebody is in a view that is kept.
    pub(super) fn knows(&self, key: &MemberKey) -> bool {
        self.views.iter().any(|view| view.seat(key).is_some())
    }

    /// Parks a message; the oldest go when there are too many, or too many bytes.
    pub(super) fn park(&mut self, parked: Parked, max: usize, bytes_max: u64) {
        self.parked.push_back(parked);
        let bytes = |all: &VecDeque<Parked>| -> u64 {
            let lens = all.iter().map(|parked| parked.data.payload.len());
            u64::try_from(lens.sum::<usize>()).unwrap_or(u64::MAX)
        };
        while self.parked.len() > max || bytes(&self.parked) > bytes_max {
            self.parked.pop_front();
        }
    }

    /// Takes what waits for this epoch.
    pub(super) fn unpark(&mut self, epoch: u64) -> Vec<Parked> {
        let (ready, rest) = self
            .parked
            .drain(..)
            .partition::<VecDeque<_>, _>(|parked| parked.data.epoch == epoch);
        self.parked = rest;
        ready.into_iter().collect()
    }
}
