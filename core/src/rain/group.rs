//! What a node knows of one group.

use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};

use super::{View, frontier::Frontiers, membership::Membership};
use crate::{
    base::{Instant, MemberKey, MessageId},
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

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Parked {
    pub until: Instant,
    pub from: MemberKey,
    pub id: MessageId,
    pub data: Data,
    /// Members in whose view its origin is, when it waits for them; at most as many as a chain
    /// counts. Without any it waits for its view.
    pub vouchers: BTreeSet<MemberKey>,
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

    /// Takes what waits for the view of this epoch, and what waits for a voucher no longer, as its
    /// origin is in that view.
    pub(super) fn unpark(&mut self, epoch: u64) -> Vec<Parked> {
        let view = self.view(epoch).cloned();
        self.unpark_if(|parked| {
            let known = || {
                let view = view.as_ref();
                view.is_some_and(|view| view.seat(&parked.data.origin).is_some())
            };
            parked.data.epoch == epoch && (parked.vouchers.is_empty() || known())
        })
    }

    /// A member vouches for what waits for that: takes what so many vouch for.
    pub(super) fn vouch(
        &mut self,
        peer: MemberKey,
        enough: usize,
        of: impl Fn(&Parked) -> bool,
    ) -> Vec<Parked> {
        for parked in &mut self.parked {
            if !parked.vouchers.is_empty() && of(parked) {
                parked.vouchers.insert(peer);
            }
        }
        self.unpark_if(|parked| parked.vouchers.len() >= enough.max(1))
    }

    fn unpark_if(&mut self, ready: impl Fn(&Parked) -> bool) -> Vec<Parked> {
        let (ready, rest) = self.parked.drain(..).partition::<VecDeque<_>, _>(ready);
        self.parked = rest;
        ready.into_iter().collect()
    }

    /// Whether a message waits for members who vouch for it.
    pub(super) fn is_stranger(&self, id: &MessageId) -> bool {
        self.strangers().any(|parked| parked.id == *id)
    }

    /// Messages that wait for members who vouch for them.
    pub(super) fn strangers(&self) -> impl Iterator<Item = &Parked> {
        let parked = self.parked.iter();
        parked.filter(|parked| !parked.vouchers.is_empty())
    }
}
