//! Local roots: which they are, and that each group has its warm and hot members.
//!
//! src: ouroboros-network, peer selection governor, local root peers

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::net::SocketAddr;

use super::{
    Action, Config, Governor, Group, LocalRoots, Notice, Relay, Source, Status, Targets, Topology,
    Trace, Traits,
    known::any,
    table::{Flags, Peer},
};
use crate::{
    base::{Choice, Cx, SlotIndex},
    proto::handshake::Mode,
};

/// What is said of peers kept by command.
const KEPT: Traits = Traits {
    advertise: true,
    trustable: true,
    behind_firewall: false,
    mode: Mode::InitiatorAndResponder,
};

impl Governor {
    /// Always keep this peer.
    pub(super) fn keep(&mut self, peer: SocketAddr) {
        if self.kept.len() < self.config.local_max && self.kept.insert(peer) {
            self.local_changed = true;
            self.dirty = true;
        }
    }

    /// Keep it no longer: what runs towards it is closed, and it is forgotten.
    pub(super) fn release(&mut self, cx: &mut Cx<'_, Action>, peer: SocketAddr) {
        if !self.kept.remove(&peer) {
            return self.count_stale();
        }
        self.local_changed = true;
        self.dirty = true;
        self.local_roots_changed(cx);
        if self.local.contains(&peer) || self.wished.contains_key(&peer) {
            return;
        }
        if let Some((slot, known)) = self.find(peer) {
            self.let_go(cx, slot, (peer, known.status()));
        }
    }

    /// Forgets a peer; what runs towards it is closed, if it is not on its way to its end.
    pub(super) fn let_go(
        &mut self,
        cx: &mut Cx<'_, Action>,
        slot: SlotIndex,
        (peer, status): (SocketAddr, Status),
    ) {
        self.forget(slot);
        if status.is_established() || status == Status::Connecting {
            self.gone.insert(peer);
            if !matches!(status, Status::Closing | Status::Cooling) {
                cx.act(Action::Close { peer });
            }
        }
    }

    pub(super) fn set_targets(
        &mut self,
        cx: &mut Cx<'_, Action>,
        deadline: Targets,
        sync: Targets,
    ) {
        if let Err(insane) = deadline.check().and_then(|()| sync.check()) {
            return cx.act(Action::Notice(Notice::TargetsRefused(insane)));
        }
        (self.deadline, self.sync) = (deadline, sync);
        self.dirty = true;
    }

    /// Other roots. Names are looked up; the groups change when the answers come.
    pub(super) fn set_topology(&mut self, cx: &mut Cx<'_, Action>, mut topology: Topology) {
        let mut left = Topology::ACCESS_POINTS_MAX;
        let mut cut = |points: &mut Vec<Relay>| {
            points.truncate(left);
            left = left.saturating_sub(points.len());
        };
        for group in &mut topology.local {
            cut(&mut group.access_points);
        }
        for group in &mut topology.public {
            cut(&mut group.access_points);
        }
        if let Some(points) = &mut topology.bootstrap {
            cut(points);
        }
        let points = topology.local.iter().flat_map(|g| &g.access_points);
        let names: BTreeSet<Relay> = points
            .filter(|point| !matches!(point, Relay::Addr(_)))
            .cloned()
            .collect();
        self.topology = topology;
        self.local_changed = true;
        self.dirty = true;
        self.roots_at_once();
        let mut out = core::mem::take(&mut self.work.lookups);
        self.lookups.watch(cx.now, names, &mut out);
        self.looked_up(cx, out);
    }

    /// The local roots as they should be now. Second, how many do not fit.
    fn wanted_local(&self) -> (LocalRoots, usize) {
        let kept = Group {
            hot: u32::MAX,
            warm: u32::MAX,
            members: self.kept.iter().map(|peer| (*peer, KEPT)).collect(),
        };
        let mut groups = alloc::vec![kept];
        if self.is_able() {
            groups.extend(self.topology.local.iter().map(|group| {
                let mut members = BTreeMap::new();
                for point in &group.access_points {
                    match point {
                        Relay::Addr(addr) => {
                            members.insert(*addr, group.traits);
                        }
                        name => {
                            let found = self.lookups.local(name).iter();
                            members.extend(found.map(|addr| (*addr, group.traits)));
                        }
                    }
                }
                members.retain(|peer, _| !self.own.contains(peer));
                Group {
                    hot: group.hot,
                    warm: group.warm,
                    members,
                }
            }));
        }
        let mut wanted = LocalRoots::new(groups);
        if self.is_sensitive() {
            wanted = wanted.trustable();
        }
        wanted.clamp(self.local_limit())
    }

    /// Local roots at most: those kept by command, and as many others as peers may be known.
    /// Without any targets those of the topology are all that is wanted.
    pub(super) fn local_limit(&self) -> usize {
        let Config { local_max, .. } = self.config;
        let known = if self.base().is_zero() {
            local_max
        } else {
            self.targets.known as usize
        };
        known.saturating_add(self.kept.len()).min(local_max)
    }

    /// Decision: the local roots have changed.
    pub(super) fn local_roots_changed(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        if !core::mem::take(&mut self.local_changed) {
            return false;
        }
        let (wanted, cut) = self.wanted_local();
        if cut != self.cut {
            self.cut = cut;
            if cut > 0 {
                cx.act(Action::Notice(Notice::RootsCut(cut)));
            }
        }
        if wanted == self.local {
            return false;
        }
        let old = core::mem::replace(&mut self.local, wanted.clone());
        let (mut added, mut removed, mut changed) = (0_u32, 0_u32, 0_u32);
        for (peer, _) in old.members() {
            if !wanted.contains(&peer) {
                removed = removed.saturating_add(1);
                self.no_longer_local(cx, peer);
            }
        }
        for (peer, traits) in wanted.members() {
            match old.get(&peer) {
                None => added = added.saturating_add(1),
                Some((_, before)) => {
                    changed = changed.saturating_add(u32::from(before != traits));
                }
            }
            self.now_local(cx, peer, traits);
        }
        self.groups_changed = true;
        self.members_changed = true;
        self.trace(
            cx,
            Trace::LocalRootsChanged {
                added,
                removed,
                changed,
            },
        );
        self.trusted_changed();
        true
    }

    /// It stays known, as any other peer; while it is hot it is demoted, as the reference does.
    fn no_longer_local(&mut self, cx: &mut Cx<'_, Action>, peer: SocketAddr) {
        let Some((slot, known)) = self.find(peer) else {
            return;
        };
        self.shift(slot, |table| table.set_source(slot, Source::NonRoot));
        if known.status() == Status::Hot {
            self.deactivate(cx, slot);
        }
    }

    fn now_local(&mut self, cx: &Cx<'_, Action>, peer: SocketAddr, traits: Traits) {
        let slot = if let Some(slot) = self.table.slot(peer) {
            slot
        } else {
            // One that left all sets and comes back before its connection is over.
            let status = if self.gone.remove(&peer) {
                Status::Cooling
            } else {
                Status::Cold
            };
            let new = Peer::new(cx.now, Source::Local, status);
            let Some(slot) = self.learn(peer, new) else {
                return;
            };
            // One that broke a rule waits, also when it was dropped and is named again; unless
            // somebody has just ordered by hand that it be kept.
            let held = self.offenders.held(cx.now, &peer);
            if let Some(until) = held.filter(|_| status == Status::Cold && !self.is_kept(&peer)) {
                self.wait(cx.now, slot, Status::ColdWaiting, until);
            }
            slot
        };
        if self
            .table
            .at(slot)
            .is_some_and(|(_, known)| known.source() != Source::Local)
        {
            self.shift(slot, |table| table.set_source(slot, Source::Local));
        }
        if let Some(known) = self.table.at_mut(slot) {
            let flags = &mut known.flags;
            flags.know(Flags::ADVERTISE_KNOWN, Flags::ADVERTISE, traits.advertise);
        }
        self.answers_changed(slot);
    }

    /// Decision: each group of local roots has its warm and hot members, and no more hot ones.
    pub(super) fn local_groups(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        if !core::mem::take(&mut self.groups_changed) {
            return false;
        }
        self.count_trusted();
        let mut orders = Vec::new();
        for group in self.local.groups() {
            self.group_orders(cx.choice, group, &mut orders);
        }
        let any = !orders.is_empty();
        for (slot, order) in orders {
            match order {
                Order::Connect(traits) => {
                    let dial = !traits.behind_firewall;
                    self.connect(cx, slot, traits.mode, dial);
                }
                Order::Activate => self.activate(cx, slot),
                Order::Deactivate => self.deactivate(cx, slot),
            }
        }
        any
    }

    fn group_orders(
        &self,
        choice: &mut dyn Choice,
        group: &Group,
        orders: &mut Vec<(SlotIndex, Order)>,
    ) {
        let of = |wanted: &dyn Fn(Status) -> bool| -> Vec<(SlotIndex, Traits)> {
            let members = group.members.iter().filter_map(|(peer, traits)| {
                let (slot, known) = self.find(*peer)?;
                wanted(known.status()).then_some((slot, *traits))
            });
            members.collect()
        };
        let number = |wanted: &dyn Fn(Status) -> bool| of(wanted).len();
        let warm = (group.warm as usize)
            .saturating_sub(number(&|s| s.is_established() || s == Status::Connecting));
        if warm > 0 {
            let cold = of(&|status| status == Status::Cold);
            for (slot, traits) in some(choice, &cold, warm) {
                orders.push((slot, Order::Connect(traits)));
            }
        }
        let hot = number(&|s| matches!(s, Status::Hot | Status::Activating));
        let leaving = number(&|status| status == Status::Deactivating);
        let missing = (group.hot as usize).saturating_sub(hot.saturating_add(leaving));
        if missing > 0 {
            let ready = of(&|status| status == Status::Warm);
            for (slot, _) in some(choice, &ready, missing) {
                orders.push((slot, Order::Activate));
            }
        }
        let surplus = hot.saturating_sub(group.hot as usize);
        if surplus > 0 {
            let hot = of(&|status| status == Status::Hot);
            let hot = hot.into_iter().map(|(slot, _)| slot).collect();
            for slot in self.worst(choice, hot, surplus) {
                orders.push((slot, Order::Deactivate));
            }
        }
    }
}

enum Order {
    Connect(Traits),
    Activate,
    Deactivate,
}

fn some(
    choice: &mut dyn Choice,
    from: &[(SlotIndex, Traits)],
    n: usize,
) -> Vec<(SlotIndex, Traits)> {
    any(choice, n, from.len())
        .into_iter()
        .filter_map(|at| from.get(at).copied())
        .collect()
}
