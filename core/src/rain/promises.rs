//! Being asked: what is said to those who have a message for us, or for whom we are asked.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use super::{
    Action, Misdeed, Rain, Way, canonical::Seen, id::possession, intake::no, machine::Timer,
    message::Message,
};
use crate::{
    base::{Cx, GroupId, Hash32, Instant, MemberKey, MessageId},
    proto::rain_link::{Frame, Ids, Igyw, Why},
};

/// Messages that are wanted and promised to be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Promises {
    by: BTreeMap<MessageId, Promise>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Promise {
    to: MemberKey,
    until: Instant,
    waiters: VecDeque<MemberKey>,
}

/// What is answered about one id.
enum Answer {
    Yes,
    No,
    Wait,
    Nack(Why),
}

impl Promises {
    /// Somebody has a message that is not held here.
    fn asked(
        &mut self,
        peer: MemberKey,
        id: MessageId,
        until: Instant,
        (promises_max, waiters_max): (usize, usize),
    ) -> (Answer, bool) {
        let room = self.by.len() < promises_max;
        match self.by.get_mut(&id) {
            Some(promise) if promise.to == peer => (Answer::Yes, false),
            Some(promise) if promise.waiters.contains(&peer) => (Answer::Wait, false),
            Some(promise) if promise.waiters.len() < waiters_max => {
                promise.waiters.push_back(peer);
                (Answer::Wait, false)
            }
            None if room => {
                let promise = Promise {
                    to: peer,
                    until,
                    waiters: VecDeque::new(),
                };
                self.by.insert(id, promise);
                (Answer::Yes, true)
            }
            // A copy too many rather than one too few.
            Some(_) | None => (Answer::Yes, false),
        }
    }

    /// The next waiter in turn, who gets the promise.
    fn next(&mut self, id: &MessageId, until: Instant) -> Option<MemberKey> {
        let promise = self.by.get_mut(id)?;
        let Some(next) = promise.waiters.pop_front() else {
            self.by.remove(id);
            return None;
        };
        promise.to = next;
        promise.until = until;
        Some(next)
    }

    fn settle(&mut self, id: &MessageId) -> Option<Promise> {
        self.by.remove(id)
    }

    fn to(&self, peer: &MemberKey) -> Vec<MessageId> {
        let to = self.by.iter().filter(|(_, promise)| promise.to == *peer);
        to.map(|(id, _)| *id).collect()
    }

    fn leave(&mut self, peer: &MemberKey) {
        for promise in self.by.values_mut() {
            promise.waiters.retain(|waiter| waiter != peer);
        }
    }

    /// Times as seen from a moment.
    pub(super) fn rebase(&mut self, seen: Seen) {
        for promise in self.by.values_mut() {
            promise.until = seen.ahead(promise.until);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by.len()
    }

    pub(super) fn waiters(&self) -> usize {
        let all = self.by.values().map(|promise| promise.waiters.len());
        all.max().unwrap_or(0)
    }
}

impl Rain {
    /// Are these wanted?
    pub(super) fn on_igyw(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey, igyw: &Igyw) {
        let rate = self.config.limits.asked_rate;
        let entry = self.peers.entry(cx.now, peer, &self.config);
        let ids = igyw.ids.clone();
        if !entry.may_ask(cx.now, ids.len(), rate) {
            let why = Why::Busy;
            return self.send(cx, peer, Frame::Nack { ids, why });
        }
        let known = self.groups.get(&igyw.group);
        let member = known.is_some_and(|group| group.knows(&self.me));
        if !member {
            let why = Why::NotMember;
            return self.send(cx, peer, Frame::Nack { ids, why });
        }
        let insider = known.is_some_and(|group| group.knows(&peer));
        if !insider && self.door(&peer, &igyw.group).is_none() {
            return self.misdeed(cx, peer, Misdeed::Outsider);
        }
        let (mut yes, mut held, mut wait) = (Ids::new(), Ids::new(), Ids::new());
        let mut proofs = Vec::new();
        let mut nacks: BTreeMap<Why, Ids> = BTreeMap::new();
        for id in ids {
            // Who asks holds it, and has its origin in its view.
            self.vouch(cx, &igyw.group, peer, |parked| parked.id == id);
            match self.answer(
                cx,
                peer,
                (&igyw.group, id),
                igyw.nonce.as_ref(),
                &mut proofs,
            ) {
                Answer::Yes => yes.push(id),
                Answer::No => held.push(id),
                Answer::Wait => wait.push(id),
                Answer::Nack(why) => nacks.entry(why).or_default().push(id),
            }
        }
        if !held.is_empty() {
            let ids = held;
            self.send(cx, peer, Frame::No { ids, proofs });
        }
        if !yes.is_empty() {
            self.send(cx, peer, Frame::Yes { ids: yes });
        }
        if !wait.is_empty() {
            self.send(cx, peer, Frame::Wait { ids: wait });
        }
        for (why, ids) in nacks {
            self.send(cx, peer, Frame::Nack { ids, why });
        }
    }

    fn answer(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        (group, id): (&GroupId, MessageId),
        nonce: Option<&[u8; 16]>,
        proofs: &mut Vec<Hash32>,
    ) -> Answer {
        let rules = cx.rules;
        let held = self.with(cx, id, |rain, cx, message| {
            if message.way == Way::Vouched {
                return Answer::Nack(Why::UnknownEpoch);
            }
            // Who asks holds it.
            if let Some(seat) = message.view.seat(&peer) {
                rain.proved(cx, id, message, seat);
            }
            if let Some(nonce) = nonce {
                proofs.push(possession(nonce, &message.payload, rules));
            }
            Answer::No
        });
        if let Some(answer) = held {
            return answer;
        }
        let known = self.groups.get(group);
        if known.is_some_and(|known| known.is_stranger(&id)) {
            return Answer::Nack(Why::UnknownEpoch);
        }
        if let Some(why) = self.fate_of(&id) {
            return Answer::Nack(why);
        }
        let until = self.promise_until(cx, &peer);
        let limits = &self.config.limits;
        let most = (limits.promises, limits.waiters);
        let (answer, new) = self.promises.asked(peer, id, until, most);
        if new {
            self.timers.set(Timer::Promise(id), Some(until));
        }
        answer
    }

    fn promise_until(&self, cx: &Cx<'_, Action>, peer: &MemberKey) -> Instant {
        let patience = self.peers.patience(peer, 0, &self.config.times);
        cx.now.after(patience.max(self.config.times.promise))
    }

    /// What was promised has not come: the next in turn may send it.
    pub(super) fn promise_ends(&mut self, cx: &mut Cx<'_, Action>, id: MessageId) {
        self.timers.set(Timer::Promise(id), None);
        let until = cx.now.after(self.config.times.promise);
        if let Some(next) = self.promises.next(&id, until) {
            self.timers.set(Timer::Promise(id), Some(until));
            let ids = [id].into_iter().collect();
            self.send(cx, next, Frame::Yes { ids });
        }
    }

    /// A member is gone: what it was to send may come from others.
    pub(super) fn unpromise(&mut self, cx: &mut Cx<'_, Action>, peer: &MemberKey) {
        self.promises.leave(peer);
        for id in self.promises.to(peer) {
            self.promise_ends(cx, id);
        }
    }

    /// A member says that it will not send a message.
    pub(super) fn unpromise_one(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: &MemberKey,
        id: &MessageId,
    ) {
        if self.promises.to(peer).contains(id) {
            self.promise_ends(cx, *id);
        }
    }

    /// A message that was promised to be taken is not: who waited to send it.
    pub(super) fn promised(&mut self, id: &MessageId) -> VecDeque<MemberKey> {
        self.timers.set(Timer::Promise(*id), None);
        let promise = self.promises.settle(id);
        promise.map_or_else(VecDeque::new, |promise| promise.waiters)
    }

    /// A message has come: whoever had it for us holds it, and those that wait are told.
    pub(super) fn settle_promise(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        from: &MemberKey,
    ) {
        let Some(promise) = self.promises.settle(&id) else {
            return;
        };
        self.timers.set(Timer::Promise(id), None);
        for member in promise.waiters.iter().chain([&promise.to]) {
            if let Some(seat) = message.view.seat(member) {
                message.holders.insert(seat);
            }
            if member != from && promise.waiters.contains(member) {
                self.send(cx, *member, no(id));
            }
        }
    }
}
