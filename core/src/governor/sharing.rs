//! Addresses: asked for, told, learned from inbound connections; and what is measured of peers.
//!
//! An address that a peer told is told on only after we have connected to it ourselves.
//!
//! src: ouroboros-network, peer sharing policy

use alloc::{collections::BTreeMap, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use super::{
    Action, FetchMode, Governor, Source, Status, Trace,
    known::any,
    machine::Timer,
    routable::is_routable,
    table::{Flags, Peer},
};
use crate::base::{Cx, Instant, Serial, Slot, SlotIndex};

/// Inbound peers remembered at most.
const MATURE_MAX: usize = 65_536;
/// Peers looked at for an answer at most: they follow each other in an order that nobody knows,
/// and with the next answer others are looked at.
const TELLABLE_MAX: usize = 1_024;
/// Addresses of our own remembered at most.
const OWN_MAX: usize = 64;

impl Governor {
    /// Peers that are asked and may still answer in time.
    pub(super) fn outstanding(&self) -> usize {
        self.asked.values().filter(|in_time| **in_time).count()
    }

    /// Asks some of those that may be asked for addresses.
    pub(super) fn ask(&mut self, cx: &mut Cx<'_, Action>, missing: u32) -> bool {
        let slots = self
            .config
            .share
            .outstanding_max
            .saturating_sub(self.outstanding());
        if slots == 0 || self.askable.is_empty() {
            return false;
        }
        let candidates: Vec<SlotIndex> = self.askable.iter().copied().collect();
        let all = candidates.len();
        let picked = any(cx.choice, slots, all);
        let each = u32::try_from(picked.len()).unwrap_or(u32::MAX).max(1);
        let least = u32::from(self.config.share.amount_min);
        let amount = (missing / each).clamp(least, 255.max(least));
        let amount = u8::try_from(amount).unwrap_or(u8::MAX);
        for at in picked {
            let Some(slot) = candidates.get(at).copied() else {
                continue;
            };
            let Some((peer, _)) = self.table.at(slot) else {
                continue;
            };
            self.askable.remove(&slot);
            self.asked.insert(slot, true);
            let again = cx.now.after(self.config.share.retry);
            self.timers.set(Timer::Ask(slot), Some(again));
            let late = cx.now.after(self.config.share.overall);
            self.timers.set(Timer::Reply(slot), Some(late));
            cx.act(Action::AskPeers { peer, amount });
            self.trace(cx, Trace::ShareRequest { peer, amount });
        }
        true
    }

    /// A peer has not answered in time: others are asked. Its answer is still welcome.
    pub(super) fn reply_late(&mut self, cx: &mut Cx<'_, Action>, slot: SlotIndex) {
        if let Some(in_time) = self.asked.get_mut(&slot) {
            *in_time = false;
        }
        if let Some((peer, _)) = self.table.at(slot) {
            self.trace(cx, Trace::ShareTimeout { peer });
        }
    }

    /// A peer has told addresses: as many new ones are taken as are missing, at random.
    pub(super) fn shared(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: SocketAddr,
        mut peers: Vec<SocketAddr>,
    ) {
        let Some(slot) = self.table.slot(peer) else {
            return self.count_stale();
        };
        if self.asked.remove(&slot).is_none() {
            return self.count_stale();
        }
        self.timers.set(Timer::Reply(slot), None);
        self.dirty = true;
        self.outage.heard(cx.now);
        let told = u32::try_from(peers.len()).unwrap_or(u32::MAX);
        peers.sort_unstable();
        peers.dedup();
        let may = |addr: &SocketAddr| {
            let routable = self.config.share.take_unroutable || is_routable(addr);
            let held = self.offenders.held(cx.now, addr).is_some();
            routable && addr.port() != 0 && !held && !self.own.contains(addr)
        };
        let before = peers.len();
        peers.retain(may);
        let refused = u32::try_from(before.saturating_sub(peers.len())).unwrap_or(u32::MAX);
        peers.retain(|addr| !self.table.contains(*addr) && !self.gone.contains(addr));
        let known = self.table.counters().ordinary.known;
        let missing = self.targets.known.saturating_sub(known) as usize;
        let missing = if self.is_sensitive() { 0 } else { missing };
        let all = peers.len();
        let picked = any(cx.choice, missing, all);
        let mut taken = 0_u32;
        for at in picked {
            let Some(addr) = peers.get(at).copied() else {
                continue;
            };
            let mut new = Peer::new(cx.now, Source::NonRoot, Status::Cold);
            new.origin = self.table.tag(&peer);
            let flags = &mut new.flags;
            flags.know(Flags::ADVERTISE_KNOWN, Flags::ADVERTISE, true);
            taken = taken.saturating_add(u32::from(self.learn(addr, new).is_some()));
        }
        self.trace(
            cx,
            Trace::ShareResult {
                peer,
                told,
                taken,
                refused,
            },
        );
    }

    /// A peer wants addresses: those that we were connected to, that did not fail since, and that
    /// may be told; for a time the same to everybody.
    pub(super) fn asked_by(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, amount: u8) {
        let peers = if self.config.sharing {
            let (table, tellable) = (&self.table, &self.tellable);
            let candidates = |from: u64| {
                let from = u32::try_from(from >> 32).unwrap_or(0);
                let behind = tellable.iter().take_while(move |(tag, _)| *tag < from);
                let all = tellable.range((from, SlotIndex::default())..).chain(behind);
                let slots = all.take(TELLABLE_MAX).map(|(_, slot)| *slot);
                slots.filter_map(|slot| table.at(slot).map(|(addr, _)| addr))
            };
            self.answers.answer(cx.now, amount, cx.choice, candidates)
        } else {
            Vec::new()
        };
        cx.act(Action::TellPeers { conn, peers });
    }

    /// What decides whether a peer may be told has changed.
    pub(super) fn answers_changed(&mut self, slot: SlotIndex) {
        if let Some((addr, known)) = self.table.at(slot) {
            let entry = (self.table.tag(&addr), slot);
            if is_told(known) {
                self.tellable.insert(entry);
                self.answers.join(addr);
            } else if self.tellable.remove(&entry) {
                self.answers.leave(&addr);
            }
        }
    }

    /// Other mature inbound peers.
    pub(super) fn set_mature(&mut self, mut peers: Vec<(SocketAddr, bool)>) {
        peers.truncate(MATURE_MAX);
        self.mature = BTreeMap::from_iter(peers);
        let fresh = self
            .mature
            .keys()
            .filter(|peer| !self.table.contains(**peer));
        self.light = fresh.copied().collect();
        self.dirty = true;
    }

    /// An address of our own: never a peer.
    pub(super) fn own_address(&mut self, addr: SocketAddr) {
        if self.own.len() < OWN_MAX && self.own.insert(addr) {
            self.local_changed = true;
            self.members_changed = true;
            self.dirty = true;
        }
    }

    /// Warm peers are asked for samples of their tips, so that it is known how near they are
    /// before they are used.
    pub(super) fn sample(&mut self, cx: &mut Cx<'_, Action>) {
        let again = cx.now.after(self.config.policy.sample);
        self.timers.set(Timer::Sample, Some(again));
        for source in Source::ALL {
            for slot in self.table.cell(source, Status::Warm) {
                if let Some((peer, _)) = self.table.at(*slot) {
                    cx.act(Action::Sample { peer });
                }
            }
        }
    }

    pub(super) fn announced(&mut self, now: Instant, peer: SocketAddr, slot: Slot) {
        let known = self.table.get(peer).map(Peer::status);
        // While we catch up it says nothing who is first.
        let news = self.fetch == FetchMode::Deadline;
        if news && known.is_some_and(Status::is_established) {
            self.measure.announced(now, peer, slot);
        }
        if known.is_some_and(Status::is_active) {
            self.board.header(peer, slot, now);
        }
    }

    pub(super) fn fetched(&mut self, now: Instant, peer: SocketAddr, slot: Slot, bytes: u32) {
        let known = self.table.get(peer).map(Peer::status);
        if known.is_some_and(Status::is_active) {
            self.board.body(peer, slot, now, bytes);
        }
    }

    pub(super) fn round_trip(&mut self, now: Instant, peer: SocketAddr, took: Duration) {
        if self
            .table
            .get(peer)
            .is_some_and(|p| p.status().is_established())
        {
            self.measure.round_trip(peer, took);
            self.outage.heard(now);
        }
    }
}

/// Whether a peer may be told to others.
pub(super) fn is_told(known: &Peer) -> bool {
    known.flags.has(Flags::ADVERTISE | Flags::REACHED) && known.failures == 0
}
