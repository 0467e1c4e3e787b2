//! Digests and pulls: what repairs a partition, or views that differ.
//!
//! Every few seconds a member tells its neighbours on the clean-up ring, and one more, what it
//! holds of whom. Who lacks something pulls it, and answers once with its own digest, so one
//! exchange repairs both. A pulled message starts clean-up chains. Partitions that last longer
//! than messages are kept are not repaired here.

use alloc::{collections::BTreeSet, vec::Vec};

use super::{
    Action, Misdeed, Rain, Side, View, Way, frontier::STEPS, machine::Timer, message::Message,
};
use crate::{
    base::{Cx, GroupId, MemberKey, MessageId, Site},
    proto::rain_link::{Entry, Frame},
};

/// What a pull is expected to bring, in bytes.
const PULL_BYTES: u32 = 256 << 10;
/// Messages sent for one pull.
const PULL_MAX: usize = 64;

impl Rain {
    /// Tells neighbours what is held.
    pub(super) fn digest_tick(&mut self, cx: &mut Cx<'_, Action>, no: u32) {
        let again = cx.now.after(self.config.times.digest);
        self.timers.set(Timer::Digest(no), Some(again));
        let Some(group) = self.numbers.get(&no).cloned() else {
            return;
        };
        self.peers.measure_hop(&self.config.times);
        self.ask_passed(cx, &group);
        let Some(view) = self.view(&group).cloned() else {
            return;
        };
        let partners = self.partners(cx, no, &view);
        if partners.is_empty() || !self.config.cleanup.on {
            return;
        }
        let entries = self.entries(&group);
        for peer in partners {
            self.send_digest(cx, peer, &group, false, entries.clone());
        }
    }

    /// What is held of a group, as far as its clean-up has begun: before, the tree is at work, and
    /// who lacks it is about to get it.
    fn entries(&mut self, group: &GroupId) -> Vec<Entry> {
        let messages = &self.messages;
        let ripe = |id: &MessageId| {
            let held = messages.get(id);
            held.is_some_and(|message| message.is_cleaning() && message.way != Way::Vouched)
        };
        let known = self.groups.get_mut(group);
        known.map_or_else(Vec::new, |known| known.frontiers.digest(ripe))
    }

    fn send_digest(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        group: &GroupId,
        reply: bool,
        entries: Vec<Entry>,
    ) {
        let group = group.clone();
        let frame = Frame::Digest {
            group,
            reply,
            entries,
        };
        self.send(cx, peer, frame);
    }

    /// The clean-up neighbours that are up, and one more member at random.
    fn partners(&self, cx: &mut Cx<'_, Action>, no: u32, view: &View) -> Vec<MemberKey> {
        let Some(place) = view.seat(&self.me).and_then(|seat| view.clean_place(seat)) else {
            return Vec::new();
        };
        let n = view.members();
        let reach = u32::from(self.config.cleanup.custodians).min(n.saturating_sub(1));
        let mut chosen: Vec<MemberKey> = Vec::new();
        let mut add = |key: Option<MemberKey>| {
            let fit = key.filter(|key| {
                *key != self.me && self.peers.is_up(key, self.config.reach) && !chosen.contains(key)
            });
            chosen.extend(fit);
        };
        for side in Side::BOTH {
            for steps in 1..=reach {
                let seat = view.clean_at(view.clean_ahead(place, steps, side));
                add(seat.and_then(|seat| view.key(seat)));
            }
        }
        let drawn = cx.choice.below(Site::RAIN_PARTNER, no.into(), n);
        add(view.key(drawn));
        chosen
    }

    /// What another holds.
    pub(super) fn on_digest(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        group: &GroupId,
        reply: bool,
        entries: &[Entry],
    ) {
        if !self.is_between_members(group, &peer) {
            return self.misdeed(cx, peer, Misdeed::Outsider);
        }
        let patience = self.peers.patience(&peer, PULL_BYTES, &self.config.times);
        let until = cx.now.after(patience);
        let most = self.config.limits.origins;
        let mut steps = STEPS;
        for entry in entries {
            self.vouch_by_digest(cx, group, peer, entry);
            let Some(known) = self.groups.get_mut(group) else {
                return;
            };
            let waits: BTreeSet<u64> = known
                .strangers()
                .map(|parked| &parked.data)
                .filter(|data| (data.origin, data.boot) == (entry.origin, entry.boot))
                .map(|data| data.seq)
                .collect();
            let frontiers = &mut known.frontiers;
            let here = |seq| waits.contains(&seq);
            let missing = frontiers.missing(cx.now, entry, here, (until, most), &mut steps);
            if !missing.is_empty() {
                let pull = Frame::Pull {
                    group: group.clone(),
                    origin: entry.origin,
                    boot: entry.boot,
                    ranges: missing,
                };
                self.send(cx, peer, pull);
            }
        }
        if !reply {
            let entries = self.entries(group);
            self.send_digest(cx, peer, group, true, entries);
        }
    }

    /// Another lacks something.
    pub(super) fn on_pull(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        group: &GroupId,
        (origin, boot): (MemberKey, u32),
        ranges: &[(u64, u64)],
    ) {
        if !self.is_between_members(group, &peer) {
            return self.misdeed(cx, peer, Misdeed::Outsider);
        }
        let rate = self.config.limits.asked_rate;
        let entry = self.peers.entry(cx.now, peer, &self.config);
        if !entry.may_ask(cx.now, PULL_MAX, rate) {
            return self.misdeed(cx, peer, Misdeed::Flood);
        }
        let mut ids: Vec<MessageId> = Vec::new();
        if let Some(known) = self.groups.get(group) {
            for range in ranges {
                let left = PULL_MAX.saturating_sub(ids.len());
                ids.extend(known.frontiers.held(origin, boot, *range, left));
            }
        }
        let credit = self.peers.get(&peer).map_or(0, |known| known.credit);
        let mut left = credit;
        for id in ids {
            let bytes = self.messages.get(&id).map_or(0, Message::bytes);
            let Some(rest) = left.checked_sub(bytes) else {
                // It asks again with its next digest.
                return;
            };
            left = rest;
            self.send_again(cx, id, peer);
        }
    }

    /// A custodian is asked for a sign of life: with what is held of a group it counts in.
    pub(super) fn probe(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey) {
        let counting = self.messages.values().find(|message| {
            let seat = message.view.seat(&peer);
            seat.is_some_and(|seat| message.counted().any(|of| of == seat))
        });
        let Some(group) = counting.map(|message| message.view.group().clone()) else {
            return;
        };
        let entries = self.entries(&group);
        self.send_digest(cx, peer, &group, false, entries);
    }

    /// A connection is there: both tell what they hold.
    pub(super) fn greet(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey) {
        if !self.config.cleanup.on {
            return;
        }
        let groups: Vec<GroupId> = self.groups.keys().cloned().collect();
        for group in groups {
            if !self.is_between_members(&group, &peer) {
                continue;
            }
            let entries = self.entries(&group);
            if !entries.is_empty() {
                self.send_digest(cx, peer, &group, false, entries);
            }
        }
    }

    pub(super) fn is_between_members(&self, group: &GroupId, peer: &MemberKey) -> bool {
        let known = self.groups.get(group);
        known.is_some_and(|known| known.knows(peer) && known.knows(&self.me))
    }
}
