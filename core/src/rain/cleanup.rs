//! The clean-up by IGYM ("I got you, want?"): every holder asks its neighbours on the clean-up
//! ring, each way, until it has found holders.
//!
//! Rules, which together bring a message to every live member that can be reached, as long as one
//! that does not crash ever holds it:
//! 1. *Start.* Every holder starts both chains: after a tree copy when the tree should be through,
//!    after any other copy at once. The left one begins k round trips after the right one.
//! 2. *Ask.* Who holds it, or takes it, is a *custodian*; k of them end the chain, as does once
//!    around. Silent ones are passed over.
//! 3. *Truth.* Only who holds a message says so. Who wants it is sent it and must say that it came.
//! 4. *Late answers* are served. And *who was passed over is still asked*: those taken as silent
//!    are asked without waiting; all passed over are asked again when they are up again, and after
//!    a digest when they were heard from. Nobody counts as having it but by a proof.
//! 5. *Re-arm.* When a custodian is lost, it and those counted after it count no longer, and the
//!    chain goes on just past it. Custodians are *watched*: one from whom nothing comes is asked
//!    for a sign of life.
//! 6. *Promise.* Who said that it wants a message tells others to wait, and asks them in turn when
//!    it does not come.
//! 7. *Inference.* Whoever asks, acknowledges or sends holds it: it is counted without being asked
//!    when the chain comes to it, not before.
//! 8. The clean-up ring is *in an order of its own*.
//! 9. Questions to one member are *sent together*.
//!
//! Proof of the claim: else let v never get it, u the nearest holder before v that does not crash,
//! and v the first after u of those that do not crash and never get it. All between them crash.
//! The chain of u cannot stop at one of them for good: it is silent, or it answered and was lost.
//! The ring is finite, so u asks v; v wants it, u sends it: a contradiction.
//!
//! src: pokt-network/pocket-network-protocol, peer-to-peer specification, "Daisy-chain clean-up"
//! (where the question is spelled IGYW); rules 4 to 9, the count k and the proof are ours

use alloc::vec::Vec;

use super::{
    Action, Notice, Rain, Seat, Side, Start,
    id::possession,
    machine::Timer,
    message::{Chain, ChainState, Message, Stage},
    peers::Question,
};
use crate::{
    base::{Cx, Hash32, MemberKey, MessageId},
    proto::rain_link::{Flags, Frame, Ids, Igyw, Limit, Why},
};

/// Payloads that one member is sent of one message because it wanted it.
const SERVED_MAX: u8 = 2;
/// Payloads that a member may want and not take.
const UNTAKEN_MAX: u8 = 3;
/// Members that a chain looks at in one step; the rest when the questions are sent.
const STEP_MAX: u32 = 256;

impl Rain {
    /// The time of a chain has come.
    pub(super) fn start(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, side: Side) {
        let late = self.config.times.start_max;
        self.with(cx, id, |rain, cx, message| {
            let over = cx.now.since(message.since) >= late;
            let chain = message.chain_mut(side);
            if !matches!(chain.state, ChainState::Idle { .. }) {
                return;
            }
            chain.state = ChainState::Idle { due: true };
            let receipt = rain.config.cleanup.start == Start::AfterReceipt;
            if over || receipt || message.open() == 0 {
                rain.begin(cx, id, message, side);
            } else {
                // Not before the own duties are settled, but not much later either.
                let at = message.since.after(late);
                rain.timers.set(Timer::Start(id, side), Some(at));
            }
        });
    }

    fn begin(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, message: &mut Message, side: Side) {
        self.timers.set(Timer::Start(id, side), None);
        message.chain_mut(side).cursor = 0;
        self.advance(cx, id, message, side);
        // The originator's round begins with its clean-up, so that only those are asked who are
        // not known to hold it.
        if let Some(star) = message.star.as_mut().filter(|star| !star.begun) {
            star.begun = true;
            self.star_goes_on(cx, id, message);
        }
    }

    /// Chains whose time has come begin when nothing is open, and what is done is said once.
    pub(super) fn look_whether_done(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
    ) {
        if message.open() == 0 {
            for side in Side::BOTH {
                if message.chain(side).state == (ChainState::Idle { due: true }) {
                    self.begin(cx, id, message, side);
                }
            }
        }
        let star = message.star.as_ref();
        let asking = star.is_some_and(|star| !star.asked.is_empty());
        if !message.reported && message.open() == 0 && message.is_clean() && !asking {
            message.reported = true;
            message.report.passed = u32::try_from(message.passed.len()).unwrap_or(u32::MAX);
            let report = message.report;
            Self::notice(cx, Notice::Done { id, report });
        }
    }

    /// Goes on along the ring until somebody is asked or the chain ends.
    fn advance(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        side: Side,
    ) {
        self.timers.set(Timer::Chain(id, side), None);
        let n = message.view.members();
        let place = message.seat.and_then(|seat| message.view.clean_place(seat));
        let mut looked = 0_u32;
        loop {
            let wanted = usize::from(message.custodians);
            let chain = message.chain_mut(side);
            let next = chain.cursor.saturating_add(1);
            let full = chain.custodians.len() >= wanted;
            let Some(place) = place.filter(|_| !full && next < n) else {
                chain.state = ChainState::Done;
                return;
            };
            chain.cursor = next;
            let at = message.view.clean_ahead(place, next, side);
            let Some(seat) = message.view.clean_at(at) else {
                continue;
            };
            looked = looked.saturating_add(1);
            let key = message.key(seat);
            let up = self.peers.is_up(&key, self.config.reach);
            let silent = self.peers.is_suspected(cx.now, &key);
            if message.holders.contains(&seat) && up {
                self.count(cx, message, side, seat);
            } else if up && silent {
                self.pass(message, seat);
                if self.config.cleanup.ask_passed {
                    self.ask(cx, id, message, seat);
                }
            } else if up || (!silent && self.call(cx, key)) {
                let extended = false;
                message.chain_mut(side).state = ChainState::Asking { seat, extended };
                let mut wait = self.peers.patience(&key, 0, &self.config.times);
                wait += self.config.times.clean_tick;
                if up {
                    self.ask(cx, id, message, seat);
                } else {
                    wait += self.config.times.dial;
                }
                let timer = Timer::Chain(id, side);
                return self.timers.set(timer, Some(cx.now.after(wait)));
            } else {
                self.pass(message, seat);
            }
            if looked >= STEP_MAX {
                // The rest soon: no step walks a whole ring.
                message.chain_mut(side).state = ChainState::Pausing;
                let soon = cx.now.after(self.config.times.clean_tick);
                return self.timers.set(Timer::Chain(id, side), Some(soon));
            }
        }
    }

    /// A holder that the cursor has come to.
    fn count(&mut self, cx: &Cx<'_, Action>, message: &mut Message, side: Side, seat: Seat) {
        let chain = message.chain_mut(side);
        let at = chain.cursor;
        chain.custodians.push((at, seat));
        let key = message.key(seat);
        let watch = cx.now.after(self.config.times.watch);
        let entry = self.peers.entry(cx.now, key, &self.config);
        entry.counted = entry.counted.saturating_add(1);
        if entry.counted == 1 && self.config.cleanup.watch {
            self.timers.set(Timer::Watch(key), Some(watch));
        }
    }

    /// A custodian counts no longer.
    pub(super) fn uncount(&mut self, key: &MemberKey) {
        if let Some(entry) = self.peers.get_mut(key) {
            entry.counted = entry.counted.saturating_sub(1);
            if entry.counted == 0 {
                entry.probed = None;
                self.timers.set(Timer::Watch(*key), None);
            }
        }
    }

    fn pass(&self, message: &mut Message, seat: Seat) {
        if message.passed.len() < self.config.limits.passed {
            message.passed.insert(seat);
        }
    }

    /// Puts a question in the member's next batch.
    pub(super) fn ask(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &Message,
        seat: Seat,
    ) {
        let key = message.key(seat);
        let question = Question {
            group: message.view.group().clone(),
            epoch: message.view.epoch(),
            id,
        };
        let batch = self.config.limits.batch;
        let entry = self.peers.entry(cx.now, key, &self.config);
        if !entry.asks.contains(&question) {
            entry.asks.push(question);
        }
        if entry.asks.len() >= batch {
            return self.flush_to(cx, key);
        }
        if self.timers.of(&Timer::Clean).is_none() {
            let at = cx.now.after(self.config.times.clean_tick);
            self.timers.set(Timer::Clean, Some(at));
        }
    }

    /// Sends all questions.
    pub(super) fn flush(&mut self, cx: &mut Cx<'_, Action>) {
        for peer in self.peers.with_asks() {
            self.flush_to(cx, peer);
        }
    }

    fn flush_to(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        let mut asks = core::mem::take(&mut known.asks);
        asks.sort_by(|a, b| (&a.group, a.epoch).cmp(&(&b.group, b.epoch)));
        for same in asks.chunk_by(|a, b| a.group == b.group && a.epoch == b.epoch) {
            let Some(first) = same.first() else {
                continue;
            };
            let ids: Ids = same.iter().map(|question| question.id).collect();
            let nonce = self.config.cleanup.challenge.then(|| nonce_for(&peer));
            let igyw = Igyw {
                group: first.group.clone(),
                epoch: first.epoch,
                ids,
                nonce,
            };
            self.send(cx, peer, Frame::Igyw(igyw));
        }
    }

    /// Something proves that a member holds the message.
    pub(super) fn proved(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        seat: Seat,
    ) {
        message.holders.insert(seat);
        message.passed.remove(&seat);
        // To hold it is all that a leaf was to do.
        let leaf = |len: u32| len <= 1;
        if let Some(work) = message.duties.get_mut(&seat).filter(|work| leaf(work.len)) {
            work.stage = Stage::Done;
            self.timers.set(Timer::Duty(id, seat), None);
        }
        for side in Side::BOTH {
            if message.chain(side).waits_for() == Some(seat) {
                self.count(cx, message, side, seat);
                self.advance(cx, id, message, side);
            }
        }
        self.star_answered(cx, id, message, seat);
    }

    /// A member answered nothing, or is lost, to a chain that waits for it.
    fn silent(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        seat: Seat,
    ) {
        for side in Side::BOTH {
            if message.chain(side).waits_for() == Some(seat) {
                self.pass(message, seat);
                self.advance(cx, id, message, side);
            }
        }
    }

    pub(super) fn chain_is_late(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, side: Side) {
        let chain = self
            .messages
            .get(&id)
            .map(|message| message.chain(side).state);
        if chain == Some(ChainState::Pausing) {
            self.with(cx, id, |rain, cx, message| {
                rain.advance(cx, id, message, side);
            });
            return;
        }
        let waits = self.messages.get(&id).and_then(|message| {
            let chain = message.chain(side);
            let seat = chain.waits_for()?;
            let asked = message.passed.contains(&seat) || message.holders.contains(&seat);
            Some((message.key(seat), !asked, chain.state))
        });
        let Some((key, blame, state)) = waits else {
            return;
        };
        if blame {
            self.suspect(cx, key);
            if matches!(state, ChainState::Sending { .. }) {
                self.unreliable(cx, key);
            }
        }
        self.with(cx, id, |rain, cx, message| {
            if let (true, Some(seat)) = (blame, message.chain(side).waits_for()) {
                rain.pass(message, seat);
            }
            rain.advance(cx, id, message, side);
        });
    }

    /// A member wanted a payload and did not take it. One that does so again and again is sent no
    /// more because it says that it wants it, until it acknowledges something or connects anew; it
    /// is still given duties, and can pull.
    pub(super) fn unreliable(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey) {
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        known.unreliable = known.unreliable.saturating_add(1);
        if known.unreliable == UNTAKEN_MAX {
            self.misdeed(cx, peer, super::Misdeed::Unreliable);
        }
    }

    /// A member is lost to a message: its duties are somebody else's, it holds nothing that we
    /// know of, and chains that counted it go on just past it.
    pub(super) fn lost_to(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        seat: Seat,
    ) {
        message.holders.remove(&seat);
        message.served.remove(&seat);
        self.uncounted(cx, id, message, seat);
        self.silent(cx, id, message, seat);
        self.star_answered(cx, id, message, seat);
        let open = message.duties.get(&seat);
        if open.is_some_and(|work| work.stage.is_open()) {
            self.duty_failed(cx, id, message, seat);
        }
    }

    /// A custodian is one no longer: it and those counted after it are taken back.
    fn uncounted(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        seat: Seat,
    ) {
        for side in Side::BOTH {
            let chain = message.chain_mut(side);
            let found = chain.custodians.iter().position(|(_, of)| *of == seat);
            let Some(found) = found.filter(|_| self.config.cleanup.rearm) else {
                continue;
            };
            let waits = chain.waits_for();
            let dropped: Vec<(u32, Seat)> = chain.custodians.drain(found..).collect();
            let place = dropped.first().map_or(chain.cursor, |(at, _)| *at);
            chain.cursor = place;
            for (_, of) in &dropped {
                let key = message.key(*of);
                self.uncount(&key);
            }
            // It may come back empty; who was asked is let go, a late answer is served.
            self.pass(message, seat);
            if let Some(asked) = waits {
                self.pass(message, asked);
            }
            message.report.rearmed = message.report.rearmed.saturating_add(1);
            self.stats.rearmed = self.stats.rearmed.saturating_add(1);
            self.advance(cx, id, message, side);
        }
    }

    /// A member is up: what waits for it is sent, and if it was passed over it is asked again.
    pub(super) fn reached(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        seat: Seat,
    ) {
        self.duty_goes_on(cx, id, message, seat);
        for side in Side::BOTH {
            let state = message.chain(side).state;
            if matches!(state, ChainState::Asking { seat: of, .. } if of == seat) {
                self.ask(cx, id, message, seat);
                let key = message.key(seat);
                let mut wait = self.peers.patience(&key, 0, &self.config.times);
                wait += self.config.times.clean_tick;
                let timer = Timer::Chain(id, side);
                self.timers.set(timer, Some(cx.now.after(wait)));
            }
        }
        if message.passed.contains(&seat) && self.config.cleanup.ask_passed {
            self.ask(cx, id, message, seat);
        }
    }

    /// Members passed over that were heard from since are asked again.
    pub(super) fn ask_passed(&mut self, cx: &mut Cx<'_, Action>, group: &crate::base::GroupId) {
        if !self.config.cleanup.ask_passed {
            return;
        }
        let since = self.config.times.digest;
        self.with_all(cx, |rain, cx, id, message| {
            if message.view.group() != group {
                return;
            }
            let passed: Vec<Seat> = message.passed.iter().copied().collect();
            for seat in passed {
                let key = message.key(seat);
                let known = rain.peers.get(&key);
                let heard = known.is_some_and(|known| cx.now.since(known.heard) <= since);
                if heard && rain.peers.is_up(&key, rain.config.reach) {
                    rain.ask(cx, id, message, seat);
                }
            }
        });
    }

    /// A custodian was silent for long: asks it for a sign of life, and gives it up when none
    /// comes.
    pub(super) fn watch(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey) {
        let span = self.config.times.watch;
        let patience = self.peers.patience(&peer, 0, &self.config.times);
        let Some(known) = self.peers.get_mut(&peer) else {
            return;
        };
        if known.counted == 0 {
            return;
        }
        let due = known.heard.after(span);
        if due > cx.now {
            return self.timers.set(Timer::Watch(peer), Some(due));
        }
        if known.probed.is_none() {
            known.probed = Some(cx.now);
            let at = cx.now.after(patience);
            self.timers.set(Timer::Watch(peer), Some(at));
            return self.probe(cx, peer);
        }
        known.probed = None;
        self.suspect(cx, peer);
        self.lost(cx, peer);
        let again = self.peers.get(&peer).is_some_and(|known| known.counted > 0);
        if again {
            let at = cx.now.after(span);
            self.timers.set(Timer::Watch(peer), Some(at));
        }
    }

    /// Who was asked wants these.
    pub(super) fn on_yes(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey, ids: &Ids) {
        for id in ids {
            let held = self.with(cx, *id, |rain, cx, message| {
                if let Some(seat) = message.view.seat(&peer) {
                    rain.wanted(cx, *id, message, seat);
                }
            });
            if held.is_none() {
                self.stale();
                let why = self.fate_of(id).unwrap_or(Why::Unknown);
                self.nack(cx, peer, *id, why);
            }
        }
    }

    fn wanted(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        seat: Seat,
    ) {
        if self.duty_wanted(cx, id, message, seat) {
            return;
        }
        let known = self.peers.get(&message.key(seat));
        let muted = known.is_some_and(|known| known.unreliable >= UNTAKEN_MAX);
        if muted || message.way == super::Way::Vouched {
            self.silent(cx, id, message, seat);
            return self.star_answered(cx, id, message, seat);
        }
        let asked = Side::BOTH
            .into_iter()
            .find(|side| message.chain(*side).waits_for() == Some(seat));
        if asked.is_none() && !self.config.cleanup.serve_late {
            return;
        }
        let served = message.served.entry(seat).or_insert(0);
        if *served >= SERVED_MAX {
            return;
        }
        *served = served.saturating_add(1);
        message.holders.remove(&seat);
        message.report.served_by_chain = message.report.served_by_chain.saturating_add(1);
        let limit = Limit::Key(message.key(message.view.ahead(seat, 1)));
        let flags = Flags::CHAIN.with(Flags::WANT_ACK);
        self.pay(cx, id, message, seat, (limit, flags));
        let bytes = message.bytes();
        let key = message.key(seat);
        let wait = self.peers.patience(&key, bytes, &self.config.times);
        let until = Some(cx.now.after(wait));
        for side in Side::BOTH {
            if message.chain(side).waits_for() == Some(seat) {
                message.chain_mut(side).state = ChainState::Sending { seat };
                self.timers.set(Timer::Chain(id, side), until);
            }
        }
        if message
            .star
            .as_ref()
            .is_some_and(|star| star.asked.contains(&seat))
        {
            self.timers.set(Timer::Star(id, seat), until);
        }
        if asked.is_none() {
            self.pass(message, seat);
        }
    }

    /// Who was asked holds these.
    pub(super) fn on_no(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        ids: &Ids,
        proofs: &[Hash32],
    ) {
        let challenge = self.config.cleanup.challenge;
        let nonce = nonce_for(&peer);
        for (at, id) in ids.iter().enumerate() {
            let proof = proofs.get(at).copied();
            let rules = cx.rules;
            let held = self.with(cx, *id, |rain, cx, message| {
                let Some(seat) = message.view.seat(&peer) else {
                    return true;
                };
                if challenge && proof != Some(possession(&nonce, &message.payload, rules)) {
                    // As if it had not answered: the chain asks on.
                    rain.silent(cx, *id, message, seat);
                    return false;
                }
                rain.proved(cx, *id, message, seat);
                rain.duty_goes_on(cx, *id, message, seat);
                true
            });
            match held {
                Some(true) => {}
                Some(false) => self.misdeed(cx, peer, super::Misdeed::FalseProof),
                None => self.stale(),
            }
        }
    }

    /// Who was asked has promised to take these from somebody else: one more wait.
    pub(super) fn on_wait(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey, ids: &Ids) {
        for id in ids {
            let wait = self.peers.patience(&peer, 0, &self.config.times);
            self.with(cx, *id, |rain, cx, message| {
                let Some(seat) = message.view.seat(&peer) else {
                    return;
                };
                for side in Side::BOTH {
                    let chain = message.chain_mut(side);
                    let extended = true;
                    if chain.state
                        == (ChainState::Asking {
                            seat,
                            extended: false,
                        })
                    {
                        chain.state = ChainState::Asking { seat, extended };
                        let timer = Timer::Chain(*id, side);
                        rain.timers.set(timer, Some(cx.now.after(wait)));
                    }
                }
            });
        }
    }

    /// A member holds these and does what it was given to do.
    pub(super) fn on_ack(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey, ids: &Ids) {
        for id in ids {
            let held = self.with(cx, *id, |rain, cx, message| {
                let Some(seat) = message.view.seat(&peer) else {
                    return;
                };
                let bytes = message.bytes();
                if let Some(work) = message.duties.get_mut(&seat)
                    && matches!(work.stage, Stage::Sent | Stage::Told)
                {
                    work.stage = Stage::Done;
                    rain.timers.set(Timer::Duty(*id, seat), None);
                    message.report.acked = message.report.acked.saturating_add(1);
                    if work.once {
                        let took = cx.now.since(work.sent);
                        rain.peers.sample(&peer, took, bytes);
                    }
                }
                rain.proved(cx, *id, message, seat);
            });
            if held.is_none() {
                self.stale();
            }
        }
        if let Some(known) = self.peers.get_mut(&peer) {
            known.unreliable = 0;
        }
    }

    /// A member does not take these, or does not have what it was thought to have.
    pub(super) fn on_nack(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        ids: &Ids,
        why: Why,
    ) {
        for id in ids {
            self.unpromise_one(cx, &peer, id);
            self.with(cx, *id, |rain, cx, message| {
                let Some(seat) = message.view.seat(&peer) else {
                    return;
                };
                rain.refused(cx, *id, message, seat, why);
            });
        }
    }

    fn refused(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        seat: Seat,
        why: Why,
    ) {
        message.holders.remove(&seat);
        let work = message.duties.get(&seat).copied();
        if let Some(work) = work {
            match (work.stage, why) {
                // It was thought to hold it: send all of it.
                (Stage::Told, Why::Unknown) => {
                    message.duties.remove(&seat);
                    let waiting = super::message::Work {
                        stage: Stage::Unsent,
                        ..work
                    };
                    message.duties.insert(seat, waiting);
                    self.duty_goes_on(cx, id, message, seat);
                }
                (_, _) => self.duty_failed(cx, id, message, seat),
            }
        }
        self.uncounted(cx, id, message, seat);
        self.silent(cx, id, message, seat);
        self.star_answered(cx, id, message, seat);
    }

    /// The originator asks everybody, some at once, nearest first.
    fn star_goes_on(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, message: &mut Message) {
        let n = message.view.members();
        let most = usize::try_from(self.config.star_asks_max).unwrap_or(usize::MAX);
        let Some(from) = message.seat else {
            return;
        };
        for _ in 0..STEP_MAX {
            let Some(star) = &mut message.star else {
                return;
            };
            let next = star.cursor.saturating_add(1);
            if star.asked.len() >= most || next >= n {
                return;
            }
            star.cursor = next;
            let seat = message.view.ahead(from, next);
            let key = message.key(seat);
            let up = self.peers.is_up(&key, self.config.reach);
            if message.holders.contains(&seat) || !(up || self.call(cx, key)) {
                continue;
            }
            if let Some(star) = &mut message.star {
                star.asked.insert(seat);
            }
            let mut wait = self.peers.patience(&key, 0, &self.config.times);
            wait += self.config.times.clean_tick + self.config.times.dial;
            let timer = Timer::Star(id, seat);
            self.timers.set(timer, Some(cx.now.after(wait)));
            self.ask(cx, id, message, seat);
        }
    }

    fn star_answered(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        seat: Seat,
    ) {
        let asked = message.star.as_mut();
        if asked.is_some_and(|star| star.asked.remove(&seat)) {
            self.timers.set(Timer::Star(id, seat), None);
            self.star_goes_on(cx, id, message);
        }
    }

    pub(super) fn star_is_late(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, seat: Seat) {
        self.with(cx, id, |rain, cx, message| {
            rain.pass(message, seat);
            rain.star_answered(cx, id, message, seat);
        });
    }

    /// Takes back everything that a message holds of others.
    pub(super) fn release(&mut self, message: &Message) {
        let counted: Vec<Seat> = message.counted().collect();
        for seat in counted {
            let key = message.key(seat);
            self.uncount(&key);
        }
    }
}

/// The challenge that goes with questions to a member. It need not be secret, only the member's
/// own: no proof can be made without the payload, and none of another's will do.
fn nonce_for(peer: &MemberKey) -> [u8; 16] {
    let mut nonce = [0_u8; 16];
    for (at, byte) in peer.0.iter().enumerate() {
        if let Some(to) = nonce.get_mut(at % 16) {
            *to = to.rotate_left(3) ^ byte;
        }
    }
    nonce
}

impl Chain {
    /// How many holders it has found.
    pub(super) fn found(&self) -> usize {
        self.custodians.len()
    }
}
