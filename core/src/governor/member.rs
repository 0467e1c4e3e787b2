//! Members of groups of structured gossip: a class of peers of its own.
//!
//! Groups say whom they want connections to: some used for every message, which are kept hot, some
//! now and then, which are kept warm. All of them are wanted at all times, up to a maximum of its
//! own, those to be hot first. They are dialled again and again as peers kept by command are, no
//! target of other peers counts them, no churn lets them go, and caps of diversity do not see them.
//! Who is wanted no longer is closed and forgotten.
//!
//! A local root that is a member stays a local root. What else a member was known as it is no
//! longer: its source names it again when it is no member any more.
//!
//! While only trusted peers may be used members are kept warm: they say what groups say, and
//! nothing of the chain.

use alloc::{collections::BTreeMap, vec::Vec};
use core::net::SocketAddr;

use super::{Action, Governor, Source, Status, table::Peer};
use crate::{
    base::{Cx, SlotIndex},
    proto::handshake::Mode,
};

/// How near a member is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Heat {
    Hot,
    Warm,
}

/// Members that are remembered as wanted, whether there is room for them or not.
const WISHED_MAX: usize = 4_096;

enum Order {
    Connect,
    Activate,
    Deactivate,
}

impl Governor {
    /// Other members are wanted; replaces what was said before.
    pub(super) fn set_members(&mut self, hot: Vec<SocketAddr>, warm: Vec<SocketAddr>) {
        let mut wished = BTreeMap::new();
        let hot = hot.into_iter().map(|peer| (peer, Heat::Hot));
        let warm = warm.into_iter().map(|peer| (peer, Heat::Warm));
        for (peer, heat) in hot.chain(warm).take(WISHED_MAX) {
            wished.entry(peer).or_insert(heat);
        }
        if wished != self.wished {
            self.wished = wished;
            self.members_changed = true;
            self.dirty = true;
        }
    }

    /// The members as they should be now: the hot first, then by address.
    fn wanted_members(&self) -> BTreeMap<SocketAddr, Heat> {
        let of = |wanted: Heat| {
            let all = self.wished.iter().filter(move |(_, heat)| **heat == wanted);
            let all = all.filter(|(peer, _)| !self.own.contains(peer));
            all.filter(|(peer, _)| !self.local.contains(peer))
        };
        let all = of(Heat::Hot).chain(of(Heat::Warm));
        let all = all.take(self.config.members_max);
        all.map(|(peer, heat)| (*peer, *heat)).collect()
    }

    /// Decision: other members are wanted.
    pub(super) fn members_now(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        if !core::mem::take(&mut self.members_changed) {
            return false;
        }
        let wanted = self.wanted_members();
        let old = core::mem::replace(&mut self.members, wanted);
        let gone: Vec<SocketAddr> = old
            .keys()
            .filter(|peer| !self.members.contains_key(peer))
            .copied()
            .collect();
        for peer in gone {
            self.no_longer_member(cx, peer);
        }
        let now: Vec<SocketAddr> = self.members.keys().copied().collect();
        for peer in now {
            self.now_member(cx, peer);
        }
        old != self.members
    }

    /// What runs towards it is closed, and it is forgotten.
    fn no_longer_member(&mut self, cx: &mut Cx<'_, Action>, peer: SocketAddr) {
        let found = self.find(peer);
        let Some((slot, known)) = found.filter(|(_, known)| known.source() == Source::Member)
        else {
            return;
        };
        self.let_go(cx, slot, (peer, known.status()));
    }

    fn now_member(&mut self, cx: &Cx<'_, Action>, peer: SocketAddr) {
        if let Some((slot, known)) = self.find(peer) {
            if known.source() != Source::Member {
                self.shift(slot, |table| table.set_source(slot, Source::Member));
            }
            return;
        }
        // One that left all sets and comes back before its connection is over.
        let status = if self.gone.remove(&peer) {
            Status::Cooling
        } else {
            Status::Cold
        };
        let new = Peer::new(cx.now, Source::Member, status);
        let Some(slot) = self.learn(peer, new) else {
            return;
        };
        let held = self.offenders.held(cx.now, &peer);
        if let Some(until) = held.filter(|_| status == Status::Cold) {
            self.wait(cx.now, slot, Status::ColdWaiting, until);
        }
    }

    /// Decision: members are connected, and as near as they are to be.
    pub(super) fn member_links(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        let (able, trusting) = (self.is_able(), !self.is_sensitive());
        let of = |status| self.table.cell(Source::Member, status).iter().copied();
        let mut orders: Vec<(SlotIndex, Order)> = Vec::new();
        if able {
            orders.extend(of(Status::Cold).map(|slot| (slot, Order::Connect)));
        }
        let hot = |slot: &SlotIndex| {
            let heat = self.table.at(*slot);
            let heat = heat.and_then(|(peer, _)| self.members.get(&peer));
            trusting && heat == Some(&Heat::Hot)
        };
        let up = of(Status::Warm).filter(hot);
        orders.extend(up.map(|slot| (slot, Order::Activate)));
        let down = of(Status::Hot).filter(|slot| !hot(slot));
        orders.extend(down.map(|slot| (slot, Order::Deactivate)));
        let any = !orders.is_empty();
        for (slot, order) in orders {
            match order {
                Order::Connect => self.connect(cx, slot, Mode::InitiatorAndResponder, true),
                Order::Activate => self.activate(cx, slot),
                Order::Deactivate => self.deactivate(cx, slot),
            }
        }
        any
    }

    /// Whether the node insists on a peer, and has no need of an operator for it: one kept by
    /// command, or a member.
    pub(super) fn is_insisted(&self, peer: &SocketAddr) -> bool {
        self.is_kept(peer) || self.members.contains_key(peer)
    }

    /// How many members are to be hot.
    pub(super) fn members_hot(&self) -> u32 {
        let hot = self.members.values().filter(|heat| **heat == Heat::Hot);
        u32::try_from(hot.count()).unwrap_or(u32::MAX)
    }

    /// Whether a member is to be hot.
    pub(super) fn is_hot_member(&self, peer: &SocketAddr) -> bool {
        self.members.get(peer) == Some(&Heat::Hot)
    }
}
