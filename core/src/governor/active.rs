//! Decisions about who is used: too few, too many.
//!
//! src: ouroboros-network, peer selection governor, active peers

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{
    Action, Governor, Score, Source, Status, Trace, Worth,
    known::{ALIKE, Cells},
    pick,
    table::{Flags, Peer, seconds},
};
use crate::base::{Choice, Cx, Instant, Site, Slot, SlotIndex};

const WARM_BIG: Cells<1> = Cells([(Source::Big, Status::Warm)]);
const WARM_OTHERS: Cells<4> = Cells([
    (Source::Config, Status::Warm),
    (Source::Bootstrap, Status::Warm),
    (Source::Ledger, Status::Warm),
    (Source::NonRoot, Status::Warm),
]);
/// So many warm peers are looked at for the closest, at random if there are more.
const LOOKED_AT: usize = 64;
const HOT_BIG: [Source; 1] = [Source::Big];
const HOT_OTHERS: [Source; 4] = [
    Source::Config,
    Source::Bootstrap,
    Source::Ledger,
    Source::NonRoot,
];

impl Governor {
    /// Decision: use more of the warm peers.
    pub(super) fn active_below(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        let counters = self.table.counters();
        let need = |count: &super::Count, target: u32| {
            let have = count.active.saturating_add(count.warm_promotions);
            target.saturating_sub(have) as usize
        };
        let mut big = need(&counters.big, self.targets.active_big);
        let others = need(&counters.ordinary, self.targets.active);
        if self.is_sensitive() {
            big = 0;
        }
        let mut picked = Vec::new();
        if big > 0 {
            picked.extend(self.pick_to_use(cx, &WARM_BIG, big));
        }
        if others > 0 {
            picked.extend(self.pick_to_use(cx, &WARM_OTHERS, others));
        }
        let any = !picked.is_empty();
        for slot in picked {
            self.activate(cx, slot);
        }
        any
    }

    /// The closest and some at random; those that we have just stopped using only when there is
    /// nobody else.
    fn pick_to_use<const N: usize>(
        &self,
        cx: &mut Cx<'_, Action>,
        cells: &Cells<N>,
        n: usize,
    ) -> Vec<SlotIndex> {
        if self.size_of(cells) == 0 {
            return Vec::new();
        }
        let now = cx.now;
        let fresh = |_: SocketAddr, known: &Peer| !self.is_resting(now, known);
        let many = LOOKED_AT.max(n);
        let candidates = self.pick(cx.choice, cells, many, ALIKE, fresh);
        let mut picked = self.mix(cx.choice, &candidates, n);
        if picked.len() < n {
            let rest = n.saturating_sub(picked.len());
            let resting = |_: SocketAddr, known: &Peer| self.is_resting(now, known);
            picked.extend(self.pick(cx.choice, cells, rest, ALIKE, resting));
        }
        picked
    }

    /// Whether we have just stopped using this warm peer.
    fn is_resting(&self, now: Instant, known: &Peer) -> bool {
        let hold_off = self.config.policy.demoted_hold_off.as_secs();
        let span = u64::from(seconds(now).saturating_sub(known.since));
        known.flags.has(Flags::DEMOTED) && span < hold_off
    }

    fn mix(&self, choice: &mut dyn Choice, from: &[SlotIndex], n: usize) -> Vec<SlotIndex> {
        let policy = &self.config.policy;
        let with_cost = from.iter().map(|slot| {
            let peer = self.table.at(*slot).map(|(peer, _)| peer);
            let cost = peer.and_then(|peer| self.measure.cost(&peer, policy.hop_cost));
            (*slot, cost)
        });
        pick::mix(choice, Site::PICK, n, policy.close_percent, with_cost)
    }

    /// Orders that a warm peer be used.
    pub(super) fn activate(&mut self, cx: &mut Cx<'_, Action>, slot: SlotIndex) {
        let Some((peer, source)) = self
            .table
            .at(slot)
            .map(|(peer, known)| (peer, known.source()))
        else {
            return;
        };
        self.to(cx.now, slot, Status::Activating);
        cx.act(Action::Activate { peer });
        self.trace(cx, Trace::PromoteWarm { peer, source });
    }

    /// Decision: use fewer of the hot peers.
    pub(super) fn active_above(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        let counters = self.table.counters();
        let over = |count: &super::Count, target: u32| {
            let staying = count.active.saturating_sub(count.active_demotions);
            staying.saturating_sub(target) as usize
        };
        let big = over(&counters.big, self.targets.active_big);
        let others = over(&counters.ordinary, self.targets.active);
        let mut picked = Vec::new();
        if big > 0 {
            picked.extend(self.worst(cx.choice, self.hot(&HOT_BIG), big));
        }
        if others > 0 {
            picked.extend(self.worst(cx.choice, self.hot(&HOT_OTHERS), others));
        }
        let any = !picked.is_empty();
        for slot in picked {
            self.deactivate(cx, slot);
        }
        any
    }

    fn hot(&self, sources: &[Source]) -> Vec<SlotIndex> {
        let cells = sources.iter().map(|s| self.table.cell(*s, Status::Hot));
        cells.flatten().copied().collect()
    }

    /// Those worth the least; of equal ones those that the board has known for longest, strangers
    /// first.
    /// src: ouroboros-network, `simplePeerSelectionPolicy`, hot peers to demote
    pub(super) fn worst(
        &self,
        choice: &mut dyn Choice,
        from: Vec<SlotIndex>,
        n: usize,
    ) -> Vec<SlotIndex> {
        let hot = from.into_iter().filter_map(|slot| {
            let (peer, _) = self.table.at(slot)?;
            Some((slot, self.worth(&peer)))
        });
        pick::worst(choice, Site::PICK, n, hot)
    }

    /// What a peer is worth in the mode of now.
    pub(super) fn worth(&self, peer: &SocketAddr) -> (Score, Option<Slot>) {
        let worth = match (self.config.consensus, self.fetch) {
            (super::ConsensusMode::Praos, super::FetchMode::Deadline) => Worth::Both,
            (super::ConsensusMode::Genesis, super::FetchMode::Deadline)
                if self.told == super::Judgement::YoungEnough =>
            {
                Worth::Both
            }
            _ => Worth::FetchedBytes,
        };
        self.board.worth(peer, worth, self.config.policy.newcomers)
    }

    /// Orders that a hot peer be used no longer.
    pub(super) fn deactivate(&mut self, cx: &mut Cx<'_, Action>, slot: SlotIndex) {
        let Some((peer, source)) = self
            .table
            .at(slot)
            .map(|(peer, known)| (peer, known.source()))
        else {
            return;
        };
        self.to(cx.now, slot, Status::Deactivating);
        cx.act(Action::Deactivate { peer });
        self.trace(cx, Trace::DemoteHot { peer, source });
    }
}
