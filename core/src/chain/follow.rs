//! The following side: headers in, bodies asked for, verdicts, our chain switched.

use alloc::{collections::VecDeque, vec::Vec};
use core::cmp::Reverse;

use bytes::Bytes;

use super::{
    Action, Chain, Misdeed, Notice, Order, Question, Verdict,
    candidates::{Phase, Place},
    fetch::Range,
    index::{Fit, New, Room, State},
    machine::Timer,
    tickets::Asked,
};
use crate::{
    base::{BlockNo, Cx, Hash32, HeaderView, Point, Serial, SlotIndex as Ix, Tip},
    proto::{
        block_fetch::client as block_fetch, chain_sync::client as chain_sync,
        tip_sample::server::Order as TipOrder,
    },
};

/// A header as chain-sync told it.
struct Header {
    bytes: Bytes,
    view: HeaderView,
    tip: Tip,
}

impl Chain {
    pub(super) fn on_follow(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        let full = self.candidates.len() >= self.config.peers_max;
        if full || self.candidates.get(conn).is_some() {
            self.ignore();
            return;
        }
        self.candidates.add(conn);
        self.fetch.add(conn);
        self.find(cx, conn);
    }

    pub(super) fn on_unfollow(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        self.txs.stop_supply(conn);
        if !self.candidates.remove(&mut self.index, conn) {
            return;
        }
        self.timers.set(Timer::Rest(conn), None);
        self.timers.set(Timer::Follow(conn), None);
        let due = self.fetch.remove(conn);
        self.free(&due);
        self.resume(cx);
        self.fetch_all(cx);
    }

    /// Looks for the newest common point.
    pub(super) fn find(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        let Some(candidate) = self.candidates.get_mut(conn) else {
            return;
        };
        candidate.phase = Phase::Asked;
        let points = self.index.locators();
        sync(cx, conn, chain_sync::Order::Follow { points });
        if candidate.paused {
            candidate.paused = false;
            sync(cx, conn, chain_sync::Order::Resume);
        }
    }

    pub(super) fn on_chain_sync(
        &mut self,
        cx: &mut Cx<'_, Action>,
        conn: Serial,
        fact: chain_sync::Fact,
    ) {
        let Some(phase) = self.candidates.get(conn).map(|candidate| candidate.phase) else {
            self.ignore();
            return;
        };
        match (fact, phase) {
            (chain_sync::Fact::Intersected { point, tip }, Phase::Asked) => {
                self.on_intersected(cx, conn, &point, tip);
            }
            (chain_sync::Fact::NotIntersected { tip }, Phase::Asked) => {
                self.heard(conn, tip);
                self.lose(cx, conn);
            }
            (chain_sync::Fact::Forward { header, view, tip }, Phase::Followed) => {
                let bytes = header;
                let outcome = self.on_forward(cx, conn, &Header { bytes, view, tip });
                self.judge_peer(cx, conn, outcome);
            }
            (chain_sync::Fact::Backward { point, tip }, Phase::Followed) => {
                self.heard(conn, tip);
                let outcome = self.on_backward(cx, conn, &point);
                self.judge_peer(cx, conn, outcome);
            }
            (chain_sync::Fact::CaughtUp, _) => {}
            (
                chain_sync::Fact::Intersected { .. }
                | chain_sync::Fact::NotIntersected { .. }
                | chain_sync::Fact::Forward { .. }
                | chain_sync::Fact::Backward { .. },
                Phase::Asked | Phase::Followed | Phase::Lost,
            ) => self.ignore(),
        }
    }

    fn heard(&mut self, conn: Serial, tip: Tip) {
        if let Some(candidate) = self.candidates.get_mut(conn) {
            candidate.tip = tip;
        }
    }

    fn on_intersected(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, point: &Point, tip: Tip) {
        self.heard(conn, tip);
        let Some(candidate) = self.candidates.get_mut(conn) else {
            return;
        };
        if candidate.intersected(&mut self.index, point) {
            let number = candidate.head_no(&self.index);
            tell_head(cx, conn, point, number);
        } else {
            // Our chain went on and has left that point behind.
            self.lose(cx, conn);
        }
    }

    fn on_forward(
        &mut self,
        cx: &mut Cx<'_, Action>,
        conn: Serial,
        header: &Header,
    ) -> Result<(), Misdeed> {
        self.heard(conn, header.tip);
        let Some(candidate) = self.candidates.get(conn) else {
            return Ok(());
        };
        let limit = self.config.candidate_max;
        let k = usize::try_from(self.config.k).unwrap_or(usize::MAX);
        let over = candidate.apart() >= limit.saturating_mul(2).saturating_add(k);
        let ix = match candidate.place(&self.index, &header.view, self.config.k)? {
            Place::Known(ix) if !over => ix,
            Place::New if !over => match self.learn(cx, conn, header) {
                Some(ix) => ix,
                None => return Ok(()),
            },
            Place::Known(_) | Place::New | Place::Deep => {
                self.lose(cx, conn);
                return Ok(());
            }
        };
        let low = self.index.slack() < self.slack_min();
        if let Some(candidate) = self.candidates.get_mut(conn) {
            candidate.push(&mut self.index, ix);
            if let Some(slot) = header.view.point.slot() {
                cx.act(Action::Announced(conn, slot));
            }
            if !candidate.paused && (low || candidate.ahead(&self.index) >= limit) {
                candidate.paused = true;
                self.paused = true;
                sync(cx, conn, chain_sync::Order::Pause);
            }
        }
        self.fetch_from(cx, conn);
        Ok(())
    }

    /// Puts an unknown header behind the candidate's head; `None` when the candidate is lost.
    fn learn(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, header: &Header) -> Option<Ix> {
        let room = self.make_room(cx);
        let candidate = self.candidates.get(conn)?;
        if candidate.phase != Phase::Followed {
            return None;
        }
        let parent = candidate.at(&self.index, candidate.head_height());
        let learned = room.then(|| {
            self.index.insert(New {
                parent,
                // A slice would keep the whole read buffer alive.
                header: Bytes::copy_from_slice(&header.bytes),
                view: header.view,
                state: State::Announced,
                from: Some(conn),
            })
        });
        let Some(ix) = learned.flatten() else {
            self.lose(cx, conn);
            return None;
        };
        cx.act(Action::Notice(Notice::Announced {
            from: conn,
            point: header.view.point,
            at: cx.now,
        }));
        Some(ix)
    }

    /// Makes room for one more header, if there is any.
    fn make_room(&mut self, cx: &mut Cx<'_, Action>) -> bool {
        loop {
            match self.index.make_room() {
                Room::Here => return true,
                Room::None => return false,
                Room::Forget => {
                    let anchor = self.index.anchor_height();
                    let behind = self.candidates.iter().filter(|(_, candidate)| {
                        candidate.phase == Phase::Followed && candidate.fork() <= anchor
                    });
                    let behind: Vec<Serial> = behind.map(|(conn, _)| conn).collect();
                    for conn in behind {
                        self.lose(cx, conn);
                    }
                    self.index.forget_oldest();
                }
            }
        }
    }

    fn on_backward(
        &mut self,
        cx: &mut Cx<'_, Action>,
        conn: Serial,
        point: &Point,
    ) -> Result<(), Misdeed> {
        let Some(candidate) = self.candidates.get_mut(conn) else {
            return Ok(());
        };
        if !candidate.backward(&mut self.index, point, self.config.k)? {
            self.lose(cx, conn);
            return Ok(());
        }
        let number = candidate.head_no(&self.index);
        tell_head(cx, conn, point, number);
        self.timers.set(Timer::Rest(conn), None);
        self.fetch.rest(conn, false);
        self.resume(cx);
        self.fetch_from(cx, conn);
        Ok(())
    }

    /// There is no recent common point: what comes is void until one is looked for again.
    fn lose(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        let Some(candidate) = self.candidates.get_mut(conn) else {
            return;
        };
        candidate.clear(&mut self.index);
        candidate.phase = Phase::Lost;
        if !candidate.paused {
            candidate.paused = true;
            sync(cx, conn, chain_sync::Order::Pause);
        }
        let at = cx.now.after(self.config.refollow);
        self.timers.set(Timer::Follow(conn), Some(at));
        cx.act(Action::Notice(Notice::NoIntersection(conn)));
    }

    /// A misdeed ends following at once; the connection will end.
    fn judge_peer(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, outcome: Result<(), Misdeed>) {
        if let Err(misdeed) = outcome
            && self.candidates.get(conn).is_some()
        {
            cx.act(Action::Misdeed(conn, misdeed));
            self.on_unfollow(cx, conn);
        }
    }

    fn slack_min(&self) -> usize {
        (self.config.headers_max / 8).min(512)
    }

    /// Asks the peers for headers again whose candidates are short enough by now.
    fn resume(&mut self, cx: &mut Cx<'_, Action>) {
        if !self.paused {
            return;
        }
        let room = self.index.slack() >= self.slack_min().saturating_mul(2);
        self.paused = false;
        for (conn, candidate) in self.candidates.iter_mut() {
            if !candidate.paused || candidate.phase != Phase::Followed {
                continue;
            }
            if room && candidate.ahead(&self.index) <= self.config.candidate_max / 2 {
                candidate.paused = false;
                sync(cx, conn, chain_sync::Order::Resume);
            } else {
                self.paused = true;
            }
        }
    }

    /// Asks this peer for bodies, if it is its turn.
    fn fetch_from(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        if self.fetch.held {
            return;
        }
        let room = self.tickets.room_for_bodies(self.fetch.due());
        self.fetch.starved |= room == 0;
        let Some(candidate) = self.candidates.get_mut(conn) else {
            return;
        };
        let k = self.config.k;
        let ranges = self.fetch.plan(&mut self.index, conn, candidate, room, k);
        for (from, to) in ranges {
            let order = block_fetch::Order::Request { from, to };
            cx.act(Action::Order(conn, Order::BlockFetch(order)));
        }
    }

    /// Asks all peers for bodies: the longest candidates first, then the nearest peers.
    pub(super) fn fetch_all(&mut self, cx: &mut Cx<'_, Action>) {
        if self.fetch.held {
            return;
        }
        self.fetch.starved = false;
        let length = self.index.tip().len();
        let mut order: Vec<_> = self
            .candidates
            .iter()
            .filter(|(_, candidate)| candidate.length(&self.index) > length)
            .map(|(conn, candidate)| {
                let length = Reverse(candidate.length(&self.index));
                (length, self.fetch.round_trip_us(conn), conn)
            })
            .collect();
        order.sort_unstable();
        for (_, _, conn) in order {
            self.fetch_from(cx, conn);
        }
    }

    /// These blocks are due no longer: anyone may be asked for them.
    fn free(&mut self, ranges: &VecDeque<Range>) {
        for hash in ranges.iter().flat_map(Range::blocks) {
            self.wanted_again(&hash, State::Due);
        }
    }

    /// A body that was due or being judged has not come.
    fn wanted_again(&mut self, hash: &Hash32, was: State) {
        let Some(ix) = self.index.find(hash) else {
            return;
        };
        let Some(height) = self
            .index
            .entry(ix)
            .filter(|entry| entry.state == was)
            .map(|entry| entry.height)
        else {
            return;
        };
        self.index.set_state(ix, State::Announced);
        for (_, candidate) in self.candidates.iter_mut() {
            candidate.next = candidate.next.min(height);
        }
        self.index.settle(ix);
    }

    pub(super) fn on_block_fetch(
        &mut self,
        cx: &mut Cx<'_, Action>,
        conn: Serial,
        fact: block_fetch::Fact,
    ) {
        if self.candidates.get(conn).is_none() {
            self.ignore();
            return;
        }
        let outcome = match fact {
            block_fetch::Fact::Started => Ok(()),
            block_fetch::Fact::Block(block) => self.on_block(cx, conn, block),
            block_fetch::Fact::Done => self.fetch.done(conn).map(|()| self.fetch_all(cx)),
            block_fetch::Fact::NoBlocks => self
                .fetch
                .no_blocks(conn)
                .map(|range| self.on_no_blocks(cx, conn, Some(range))),
            block_fetch::Fact::Refused { from, to } => {
                let range = self.fetch.refused(conn, from, to);
                self.on_no_blocks(cx, conn, range);
                Ok(())
            }
        };
        self.judge_peer(cx, conn, outcome);
    }

    fn on_block(
        &mut self,
        cx: &mut Cx<'_, Action>,
        conn: Serial,
        block: Bytes,
    ) -> Result<(), Misdeed> {
        let hash = self.fetch.block(conn)?;
        let due = self
            .index
            .find(&hash)
            .and_then(|ix| Some((ix, self.index.entry(ix)?)))
            .filter(|(_, entry)| entry.state == State::Due)
            .map(|(ix, entry)| (ix, entry.view));
        if let Some((ix, view)) = due {
            self.index.set_state(ix, State::Judging);
            let bytes = block.len() as u64;
            let from = conn;
            let ticket = self.tickets.judge(Asked::Judge { from, hash, bytes });
            cx.act(Action::Ask(ticket, Question::Judge { view, block }));
        } else {
            self.ignore();
        }
        self.fetch_from(cx, conn);
        Ok(())
    }

    fn on_no_blocks(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, range: Option<Range>) {
        let Some(range) = range else {
            self.ignore();
            return;
        };
        self.fetch.rest(conn, true);
        let at = cx.now.after(self.config.rest);
        self.timers.set(Timer::Rest(conn), Some(at));
        self.free(&VecDeque::from([range]));
        self.fetch_all(cx);
    }

    pub(super) fn on_verdict(
        &mut self,
        cx: &mut Cx<'_, Action>,
        from: Serial,
        hash: &Hash32,
        bytes: u64,
        verdict: Verdict,
    ) {
        let found = self.index.find(hash);
        let judged = found
            .and_then(|ix| Some((ix, self.index.entry(ix)?)))
            .filter(|(_, entry)| entry.state == State::Judging);
        let Some((ix, point)) = judged.map(|(ix, entry)| (ix, entry.view.point)) else {
            self.ignore();
            return;
        };
        match verdict {
            Verdict::Kept => {
                cx.act(Action::Notice(Notice::Fetched { from, point, bytes }));
                self.keep(cx, ix);
            }
            Verdict::WrongBody => {
                self.wanted_again(hash, State::Judging);
                self.judge_peer(cx, from, Err(Misdeed::WrongBlock));
                self.fetch_all(cx);
            }
            Verdict::Invalid => self.on_invalid(cx, from, ix, *hash),
            Verdict::Failed => {
                self.wanted_again(hash, State::Judging);
                self.fetch.held = true;
                let at = cx.now.after(self.config.rest);
                self.timers.set(Timer::Fetch, Some(at));
            }
        }
    }

    /// Nobody may have an invalid block on its chain, nor give it away.
    ///
    /// deviates: a server may announce a block before it has judged it, so one that is invalid at
    /// the very tip of a peer's chain need not be its fault; we blame every peer that has it.
    /// src: Ouroboros network specification, "Block Fetch", block diffusion pipelining
    fn on_invalid(&mut self, cx: &mut Cx<'_, Action>, from: Serial, ix: Ix, hash: Hash32) {
        self.index.invalidate(ix);
        let has = self
            .candidates
            .iter()
            .filter(|(conn, candidate)| *conn == from || candidate.contains(&self.index, ix));
        let guilty: Vec<Serial> = has.map(|(conn, _)| conn).collect();
        for conn in guilty {
            self.judge_peer(cx, conn, Err(Misdeed::InvalidBlock(hash)));
        }
    }

    /// The application has the block by itself.
    pub(super) fn on_extend(&mut self, cx: &mut Cx<'_, Action>, header: &Bytes) {
        let Ok(view) = cx.rules.header(header) else {
            self.ignore();
            return;
        };
        if let Some(ix) = view.point.hash().and_then(|hash| self.index.find(&hash)) {
            self.keep(cx, ix);
            return;
        }
        if !self.make_room(cx) {
            self.ignore();
            return;
        }
        let parent = view.prev.and_then(|prev| self.index.find(&prev));
        let fit = match parent {
            Some(parent) => self.index.fits(parent, &view),
            None => self.index.fits_anchor(&view),
        };
        let spoiled = parent
            .and_then(|ix| self.index.entry(ix))
            .is_some_and(|entry| entry.state == State::Invalid);
        if fit != Fit::Follows || spoiled {
            self.ignore();
            return;
        }
        let learned = self.index.insert(New {
            parent,
            header: Bytes::copy_from_slice(header),
            view,
            state: State::Kept,
            from: None,
        });
        match learned {
            Some(ix) => self.keep(cx, ix),
            None => self.ignore(),
        }
    }

    /// The application has this body: our chain may switch.
    fn keep(&mut self, cx: &mut Cx<'_, Action>, ix: Ix) {
        let best = self.index.keep(ix);
        let how = best.and_then(|best| Some((best, self.index.switch(best)?)));
        self.index.settle(ix);
        let Some((best, how)) = how else { return };
        self.candidates.switched(&mut self.index, &how);
        for &ix in how.gone.iter().rev() {
            self.index.settle(ix);
        }
        let tip = self.index.tip();
        cx.act(Action::Notice(Notice::TipChanged {
            tip,
            common: how.point,
            from: self.index.entry(best).and_then(|entry| entry.from),
        }));
        for (conn, order) in self.followers.switched(&self.index, &how) {
            self.tell(cx, conn, order);
        }
        for conn in self.tips.changed(&tip) {
            cx.act(Action::Order(conn, Order::TipTell(TipOrder::Tip(tip))));
        }
        self.resume(cx);
    }
}

/// Says what number the end of a peer's chain has; of the origin that goes without saying.
fn tell_head(cx: &mut Cx<'_, Action>, conn: Serial, point: &Point, number: Option<BlockNo>) {
    if let Some(number) = number {
        let point = *point;
        sync(cx, conn, chain_sync::Order::Head { point, number });
    }
}

fn sync(cx: &mut Cx<'_, Action>, conn: Serial, order: chain_sync::Order) {
    cx.act(Action::Order(conn, Order::ChainSync(order)));
}
