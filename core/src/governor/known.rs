//! Decisions about who is known: too few, too many.
//!
//! src: ouroboros-network, peer selection governor, known and root peers

use alloc::vec::Vec;
use core::{net::SocketAddr, time::Duration};

use super::{
    Action, Governor, Source, Status, Trace,
    machine::Timer,
    pick::{Pick, evenly},
    table::{Flags, Peer},
};
use crate::base::{Choice, Cx, Site, SlotIndex};

/// The cells of a set of sources and statuses, one after another.
pub(super) struct Cells<const N: usize>(pub(super) [(Source, Status); N]);

impl Governor {
    pub(super) fn size_of<const N: usize>(&self, cells: &Cells<N>) -> usize {
        let sizes = cells
            .0
            .iter()
            .map(|(source, status)| self.table.size(*source, *status));
        sizes.fold(0, usize::saturating_add)
    }

    fn nth<const N: usize>(&self, cells: &Cells<N>, mut at: usize) -> Option<SlotIndex> {
        for (source, status) in cells.0 {
            let cell = self.table.cell(source, status);
            if let Some(slot) = cell.get(at) {
                return Some(*slot);
            }
            at = at.saturating_sub(cell.len());
        }
        None
    }

    /// Up to `n` different peers of these cells that pass, by weight.
    pub(super) fn pick<const N: usize>(
        &self,
        choice: &mut dyn Choice,
        cells: &Cells<N>,
        n: usize,
        (weight, weight_max): (fn(&Peer) -> u8, u8),
        mut passes: impl FnMut(SocketAddr, &Peer) -> bool,
    ) -> Vec<SlotIndex> {
        let of = self.size_of(cells);
        if n == 0 || of == 0 {
            return Vec::new();
        }
        let peer = |at| self.nth(cells, at).and_then(|slot| self.table.at(slot));
        let all = Pick {
            of,
            n,
            weight: |at| peer(at).map_or(1, |(_, known)| weight(known)),
            weight_max,
        };
        let ok = |at| peer(at).is_some_and(|(addr, known)| passes(addr, known));
        all.pick(choice, Site::PICK, ok)
            .into_iter()
            .filter_map(|at| self.nth(cells, at))
            .collect()
    }

    /// Learns a peer; `None` when it is known already, may not be known, or there is no room.
    pub(super) fn learn(&mut self, addr: SocketAddr, peer: Peer) -> Option<SlotIndex> {
        let named = matches!(peer.source(), Source::Local | Source::Member);
        let room = self.table.len() < self.config.peers_max || named;
        if !room || self.gone.contains(&addr) {
            return None;
        }
        let slot = self.table.insert(addr, peer)?;
        self.light.remove(&addr);
        self.shift(slot, |_| {});
        self.answers_changed(slot);
        Some(slot)
    }

    /// Decision: forget big ledger peers that are too many.
    pub(super) fn known_big_above(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        let big = &self.table.counters().big;
        let over = big.known.saturating_sub(self.targets.known_big) as usize;
        let portion = self.timers.of(&Timer::Forget).is_some();
        if over == 0 || portion || big.known <= big.established {
            return false;
        }
        let cells = Cells([
            (Source::Big, Status::Cold),
            (Source::Big, Status::ColdWaiting),
        ]);
        let picked = self.pick(cx.choice, &cells, over.min(PORTION), FORGET, |_, _| true);
        self.forget_all(cx, picked)
    }

    /// Decision: forget known peers that are too many; roots only as far as there are more of
    /// them than wanted.
    pub(super) fn known_above(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        let counters = self.table.counters();
        let known = &counters.ordinary;
        let over = known.known.saturating_sub(self.targets.known);
        let portion = self.timers.of(&Timer::Forget).is_some();
        if over == 0 || portion || known.known <= known.established {
            return false;
        }
        let mut spare = counters.roots.saturating_sub(self.targets.root);
        let others = Cells([
            (Source::NonRoot, Status::Cold),
            (Source::NonRoot, Status::ColdWaiting),
        ]);
        let all = Cells([
            (Source::NonRoot, Status::Cold),
            (Source::NonRoot, Status::ColdWaiting),
            (Source::Config, Status::Cold),
            (Source::Config, Status::ColdWaiting),
            (Source::Bootstrap, Status::Cold),
            (Source::Bootstrap, Status::ColdWaiting),
            (Source::Ledger, Status::Cold),
            (Source::Ledger, Status::ColdWaiting),
        ]);
        let over = PORTION.min(over as usize);
        let mut picked = if spare > 0 {
            self.pick(cx.choice, &all, over, FORGET, |_, _| true)
        } else {
            self.pick(cx.choice, &others, over, FORGET, |_, _| true)
        };
        picked.retain(|slot| {
            let root = self
                .table
                .at(*slot)
                .is_some_and(|(_, known)| known.source() != Source::NonRoot);
            let may = !root || spare > 0;
            spare = spare.saturating_sub(u32::from(root));
            may
        });
        self.forget_all(cx, picked)
    }

    fn forget_all(&mut self, cx: &mut Cx<'_, Action>, picked: Vec<SlotIndex>) -> bool {
        let any = !picked.is_empty();
        if picked.len() >= PORTION {
            let again = cx.now.after(PAUSE);
            self.timers.set(Timer::Forget, Some(again));
        }
        for slot in picked {
            if let Some((peer, known)) = self.table.at(slot) {
                let source = known.source();
                self.trace(cx, Trace::Forgotten { peer, source });
            }
            self.forget(slot);
        }
        any
    }

    /// Decision: learn peers, from inbound connections or by asking.
    pub(super) fn known_below(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        let known = self.table.counters().ordinary.known;
        let missing = self.targets.known.saturating_sub(known);
        if missing == 0 || !self.config.sharing || self.is_sensitive() {
            return false;
        }
        self.take_inbound(cx, missing) || self.ask(cx, missing)
    }

    fn take_inbound(&mut self, cx: &mut Cx<'_, Action>, missing: u32) -> bool {
        let outstanding = self.outstanding() > 0;
        let retry = self.timers.of(&Timer::Inbound).is_some();
        if outstanding || retry || self.light.is_empty() {
            return false;
        }
        let heads = cx.choice.below(Site::INBOUND_COIN, 0, 2) == 0;
        if !heads && !self.askable.is_empty() {
            return false;
        }
        let candidates: Vec<(SocketAddr, bool)> = self
            .light
            .iter()
            .filter(|peer| !self.gone.contains(*peer))
            .filter(|peer| self.offenders.held(cx.now, peer).is_none())
            .filter_map(|peer| Some((*peer, *self.mature.get(peer)?)))
            .collect();
        let n = self.config.share.inbound_max.min(missing as usize);
        let picked = any(cx.choice, n, candidates.len());
        let mut taken = 0_u32;
        for at in picked {
            let Some((addr, sharing)) = candidates.get(at).copied() else {
                continue;
            };
            let mut peer = Peer::new(cx.now, Source::NonRoot, Status::Cold);
            let flags = &mut peer.flags;
            flags.know(Flags::SHARING_KNOWN, Flags::SHARING, sharing);
            flags.know(Flags::ADVERTISE_KNOWN, Flags::ADVERTISE, true);
            flags.set(Flags::REACHED, true);
            taken = taken.saturating_add(u32::from(self.learn(addr, peer).is_some()));
        }
        let again = cx.now.after(self.config.share.inbound_retry);
        self.timers.set(Timer::Inbound, Some(again));
        if taken > 0 {
            self.trace(cx, Trace::Inbound { taken });
        }
        taken > 0
    }
}

/// So many are forgotten at a time, so that nothing waits for long: a few milliseconds' work.
const PORTION: usize = 2_000;
/// The next ones are forgotten after this: 200,000 in a second.
const PAUSE: Duration = Duration::from_millis(10);

/// Those that failed often are forgotten first.
/// src: ouroboros-network, `simplePeerSelectionPolicy`, cold peers to forget
const FORGET: (fn(&Peer) -> u8, u8) = (|known| known.failures.min(7).saturating_add(1), 8);

/// All alike.
pub(super) const ALIKE: (fn(&Peer) -> u8, u8) = (|_| 1, 1);

/// Any `n` of `of`.
pub(super) fn any(choice: &mut dyn Choice, n: usize, of: usize) -> Vec<usize> {
    let all = Pick {
        of,
        n,
        weight: evenly,
        weight_max: 1,
    };
    all.pick(choice, Site::PICK, |_| true)
}
