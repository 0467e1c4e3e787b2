//! Decisions about who is connected: too few, too many.
//!
//! src: ouroboros-network, peer selection governor, established peers

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{
    Action, Governor, Source, Status, Trace,
    known::Cells,
    machine::Timer,
    outcomes::operator,
    table::{Flags, Peer},
};
use crate::{
    base::{Cx, SlotIndex},
    proto::handshake::Mode,
};

/// How long a promotion that diversity forbade is not tried again.
const DIVERSITY_RETRY: core::time::Duration = core::time::Duration::from_secs(10);

impl Governor {
    /// Decision: connect to big ledger peers.
    pub(super) fn established_big_below(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        let big = &self.table.counters().big;
        let have = big.established.saturating_add(big.cold_promotions);
        let need = self.targets.established_big.saturating_sub(have);
        if need == 0 || self.is_sensitive() {
            return false;
        }
        let cells = Cells([(Source::Big, Status::Cold)]);
        self.connect_some(cx, &cells, need, Timer::DiversityBig)
    }

    /// Decision: connect to peers that are neither local roots nor big ledger peers.
    pub(super) fn established_below(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        let known = &self.table.counters().ordinary;
        let have = known.established.saturating_add(known.cold_promotions);
        let need = self.targets.established.saturating_sub(have);
        if need == 0 {
            return false;
        }
        let cells = Cells([
            (Source::Config, Status::Cold),
            (Source::Bootstrap, Status::Cold),
            (Source::Ledger, Status::Cold),
            (Source::NonRoot, Status::Cold),
        ]);
        self.connect_some(cx, &cells, need, Timer::Diversity)
    }

    /// Connects to up to `need` peers of these cells, those first that were used before a restart,
    /// not too many of one network or operator. If that leaves nobody, the kind pauses; another
    /// kind does not.
    fn connect_some<const N: usize>(
        &mut self,
        cx: &mut Cx<'_, Action>,
        cells: &Cells<N>,
        need: u32,
        pause: Timer,
    ) -> bool {
        if self.size_of(cells) == 0 || self.timers.of(&pause).is_some() {
            return false;
        }
        let diversity = &self.diversity;
        let picked = self.pick(cx.choice, cells, need as usize, PREFERRED, |addr, known| {
            diversity.may(&addr, operator(known))
        });
        if picked.is_empty() {
            let again = cx.now.after(DIVERSITY_RETRY);
            self.timers.set(pause, Some(again));
        }
        let any = !picked.is_empty();
        for slot in picked {
            // Those picked together count for each other; who does not fit is replaced in the next
            // round.
            let may = self
                .table
                .at(slot)
                .is_some_and(|(addr, known)| self.diversity.may(&addr, operator(known)));
            if may {
                self.connect(cx, slot, Mode::InitiatorAndResponder, true);
            }
        }
        any
    }

    /// Orders a connection to a cold peer.
    pub(super) fn connect(
        &mut self,
        cx: &mut Cx<'_, Action>,
        slot: SlotIndex,
        mode: Mode,
        dial: bool,
    ) {
        let Some((peer, source)) = self
            .table
            .at(slot)
            .map(|(peer, known)| (peer, known.source()))
        else {
            return;
        };
        self.to(cx.now, slot, Status::Connecting);
        cx.act(Action::Establish { peer, mode, dial });
        self.trace(cx, Trace::PromoteCold { peer, source });
    }

    /// Decision: let warm peers go that are too many.
    pub(super) fn established_above(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        let counters = self.table.counters();
        let over = |count: &super::Count, target: u32| {
            let leaving = count.warm_demotions.saturating_add(count.cooling);
            let staying = count.established.saturating_sub(leaving);
            staying.saturating_sub(target) as usize
        };
        let big = over(&counters.big, self.targets.established_big);
        let others = over(&counters.ordinary, self.targets.established);
        let big_cells = Cells([
            (Source::Big, Status::Warm),
            (Source::Big, Status::WarmWaiting),
        ]);
        let other_cells = Cells([
            (Source::Config, Status::Warm),
            (Source::Config, Status::WarmWaiting),
            (Source::Bootstrap, Status::Warm),
            (Source::Bootstrap, Status::WarmWaiting),
            (Source::Ledger, Status::Warm),
            (Source::Ledger, Status::WarmWaiting),
            (Source::NonRoot, Status::Warm),
            (Source::NonRoot, Status::WarmWaiting),
        ]);
        let pass = |_: SocketAddr, _: &Peer| true;
        let mut picked = Vec::new();
        if big > 0 {
            picked.extend(self.pick(cx.choice, &big_cells, big, LET_GO, pass));
        }
        if others > 0 {
            picked.extend(self.pick(cx.choice, &other_cells, others, LET_GO, pass));
        }
        let any = !picked.is_empty();
        for slot in picked {
            self.close(cx, slot);
        }
        any
    }

    /// Orders the end of a connection.
    pub(super) fn close(&mut self, cx: &mut Cx<'_, Action>, slot: SlotIndex) {
        let Some((peer, source)) = self
            .table
            .at(slot)
            .map(|(peer, known)| (peer, known.source()))
        else {
            return;
        };
        self.to(cx.now, slot, Status::Closing);
        cx.act(Action::Close { peer });
        self.trace(cx, Trace::DemoteWarm { peer, source });
    }
}

/// Those that were hot are let go twice as likely.
/// src: ouroboros-network, `simplePeerSelectionPolicy`, warm peers to demote
const LET_GO: (fn(&Peer) -> u8, u8) = (
    |known| {
        if known.flags.has(Flags::TEPID) { 2 } else { 1 }
    },
    2,
);

/// Those that were used before a restart are four times as likely.
const PREFERRED: (fn(&Peer) -> u8, u8) = (
    |known| {
        if known.flags.has(Flags::PREFERRED) {
            4
        } else {
            1
        }
    },
    4,
);
