//! Messages that go on from one group to another, and the doors between groups.
//!
//! See [`audience`](super::audience) for who hands in where and why it is enough.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{
    Action, MessageClass, Misdeed, Notice, Rain, Refusal, Report, Seat, View, Way,
    audience::Route,
    config::Door,
    id::{Head, signed_bytes},
    machine::budget,
    message::{ChainState, Judged, Message},
};
use crate::{
    base::{Cx, GroupId, Hash32, MemberKey, MessageId},
    proto::rain_link::{Flags, ONWARD_MAX, Onward, Terms},
};

/// What becomes of one group that a message goes on to.
enum Next {
    /// This node hands it in, at every so-many-th entry from one on.
    HandIn(Box<Message>, MessageId, (usize, usize)),
    /// The view is not known yet.
    Wait,
    /// Others do it, or nobody can.
    Leave,
}

impl Rain {
    /// How somebody may hand messages to a group that it is not in.
    pub(super) fn door(&self, key: &MemberKey, into: &GroupId) -> Option<&Door> {
        let mut doors = self.config.doors.iter();
        doors.find(|door| {
            let from = || self.groups.get(&door.from);
            door.into == *into && from().is_some_and(|group| group.knows(key))
        })
    }

    /// Whether something that one who is not a member sent is rightly handed in.
    pub(super) fn is_handed_in(&self, flags: Flags, peer: &MemberKey, into: &GroupId) -> bool {
        flags.has(Flags::INJECT) && self.door(peer, into).is_some()
    }

    /// At how many members a message of this origin enters a group from outside.
    pub(super) fn entries_for(&self, origin: &MemberKey, into: &GroupId) -> u32 {
        let door = self.door(origin, into);
        door.map_or(1, |door| door.entries.max(1))
    }

    /// How a message of one's own is to be carried; signed for each group that it goes on to.
    /// Groups without members are left out.
    pub(super) fn terms(
        &self,
        cx: &Cx<'_, Action>,
        route: &Route,
        payload: &[u8],
    ) -> Result<Terms, Refusal> {
        let life = route.options.life.map(|life| life.as_millis().max(1));
        let life = life.map(|life| u32::try_from(life).unwrap_or(u32::MAX));
        let mut terms = Terms {
            urgent: route.options.class == MessageClass::Consensus,
            life_ms: life.unwrap_or(0),
            ..Terms::default()
        };
        if route.onward.is_empty() {
            return Ok(terms);
        }
        let hash = cx.rules.hash(&[payload]);
        let beyond = beyond(&terms);
        for group in route.onward.iter().take(ONWARD_MAX) {
            let known = self.groups.get(group).ok_or(Refusal::UnknownGroup)?;
            let view = known.newest().ok_or(Refusal::UnknownGroup)?;
            if view.is_empty() {
                continue;
            }
            let head = Head {
                group,
                epoch: view.epoch(),
                origin: &self.me,
                boot: self.boot,
                seq: known.next,
                terms: &beyond,
            };
            let id = head.id_of(&hash, cx.rules);
            let signature = cx.rules.sign(&signed_bytes(&id)).ok_or(Refusal::NoKey)?;
            terms.onward.push(Onward {
                group: group.clone(),
                epoch: head.epoch,
                seq: head.seq,
                signature,
            });
        }
        Ok(terms)
    }

    /// A view came: messages that waited for it go on.
    pub(super) fn bridge_waiting(&mut self, cx: &mut Cx<'_, Action>, group: &GroupId) {
        let waits = |message: &Message| {
            let mut onward = message.terms.onward.iter();
            message.onward_waits && onward.any(|onward| onward.group == *group)
        };
        let all = self.messages.iter();
        let ids: Vec<MessageId> = all
            .filter(|(_, message)| waits(message))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.bridge(cx, id);
        }
    }

    /// A message is held and not to be judged first: if this node is one of the bridge, it hands
    /// it in where it goes on to.
    pub(super) fn bridge(&mut self, cx: &mut Cx<'_, Action>, id: MessageId) {
        let held = self.messages.get(&id);
        let Some(message) = held.filter(|m| m.onward_waits && m.verdict != Judged::Awaited) else {
            return;
        };
        let hash = cx.rules.hash(&[&message.payload]);
        let mut next = Vec::new();
        for onward in &message.terms.onward {
            next.push(self.next(cx, (&id, message), onward, &hash));
        }
        let waits = next.iter().any(|next| matches!(next, Next::Wait));
        if let Some(message) = self.messages.get_mut(&id) {
            message.onward_waits = waits;
        }
        for next in next {
            if let Next::HandIn(message, onward, turn) = next {
                self.hand_on(cx, id, *message, onward, turn);
            }
        }
    }

    /// What this node is to do for one of the groups that a message goes on to.
    fn next(
        &self,
        cx: &Cx<'_, Action>,
        (id, message): (&MessageId, &Message),
        onward: &Onward,
        hash: &Hash32,
    ) -> Next {
        let view = &message.view;
        let (Some(me), Some(origin)) = (message.seat, view.seat(&message.origin)) else {
            return Next::Leave;
        };
        let Some(door) = self.door(&message.origin, &onward.group) else {
            return Next::Leave;
        };
        let Some(turn) = turn(id, view, (origin, me), door.entries) else {
            return Next::Leave;
        };
        let known = self.groups.get(&onward.group);
        let Some(there) = known.and_then(|group| group.view(onward.epoch)) else {
            let newest = known.and_then(|group| group.newest());
            let early = newest.is_none_or(|newest| newest.epoch() < onward.epoch);
            return if early { Next::Wait } else { Next::Leave };
        };
        // Who is in both has it, and others hand it in.
        if there.is_empty() || there.seat(&self.me).is_some() {
            return Next::Leave;
        }
        let terms = beyond(&message.terms);
        let head = Head {
            group: &onward.group,
            epoch: onward.epoch,
            origin: &message.origin,
            boot: message.boot,
            seq: onward.seq,
            terms: &terms,
        };
        let there_id = head.id_of(hash, cx.rules);
        let message = handed_on(message, there.clone(), onward, self.config.adoption, terms);
        Next::HandIn(Box::new(message), there_id, turn)
    }

    fn hand_on(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        mut message: Message,
        onward: MessageId,
        (first, each): (usize, usize),
    ) {
        let bytes = message.payload.len();
        if self.messages.contains_key(&onward) || self.fate_of(&onward).is_some() {
            return;
        }
        let (origin, group) = (message.origin, message.view.group().clone());
        let own = origin == self.me;
        let signed = || signed_bytes(&onward);
        if !own && !cx.rules.verify(&origin, &signed(), &message.signature) {
            return self.misdeed(cx, origin, Misdeed::Invalid);
        }
        if !self.has_room(origin, bytes) {
            return;
        }
        self.make_room(cx, bytes);
        message.via = self.me;
        message.since = cx.now;
        Self::notice(cx, Notice::Bridged { id, group, onward });
        self.hand_in(cx, onward, &mut message, |at| {
            at.checked_rem(each) == Some(first)
        });
        self.keep(cx, onward, message);
    }
}

/// The terms of a message where it has gone on to.
fn beyond(terms: &Terms) -> Terms {
    Terms {
        urgent: false,
        life_ms: terms.life_ms,
        onward: Vec::new(),
    }
}

/// The message as it is in the next group.
fn handed_on(
    message: &Message,
    view: View,
    onward: &Onward,
    adoption: u32,
    terms: Terms,
) -> Message {
    let mut chains = Message::chains();
    for chain in &mut chains {
        chain.state = ChainState::Done;
    }
    Message {
        seat: None,
        origin: message.origin,
        boot: message.boot,
        seq: onward.seq,
        signature: onward.signature,
        payload: message.payload.clone(),
        terms,
        onward_waits: false,
        class: MessageClass::Ordinary,
        way: Way::Tree,
        via: message.via,
        hop: 0,
        marks: Flags(0),
        arc: 1,
        end: None,
        watermark: 0,
        budget: budget(view.gaps(), adoption),
        custodians: message.custodians,
        duties: BTreeMap::new(),
        holders: BTreeSet::new(),
        passed: BTreeSet::new(),
        served: BTreeMap::new(),
        chains,
        star: None,
        verdict: Judged::Good,
        since: message.since,
        report: Report {
            members: view.members(),
            ..Report::default()
        },
        reported: false,
        view,
    }
}

/// Which of the bridge of a message a member is, and how many they are; the origin is the first.
fn turn(
    id: &MessageId,
    view: &View,
    (origin, me): (Seat, Seat),
    entries: u32,
) -> Option<(usize, usize)> {
    let others = u64::from(view.members().saturating_sub(1));
    let chosen = u64::from(entries.max(1)).saturating_sub(1).min(others);
    let count = usize::try_from(chosen).ok()?.checked_add(1)?;
    if me == origin {
        return Some((0, count));
    }
    let head = id.0.0.first_chunk::<8>().copied().unwrap_or_default();
    let first = u64::from_be_bytes(head).checked_rem(others)?;
    let ahead = u64::from(view.distance(origin, me)).checked_sub(1)?;
    let place = (0..chosen).position(|at| {
        let offset = at.saturating_mul(others).checked_div(chosen);
        let place = offset.and_then(|offset| first.checked_add(offset)?.checked_rem(others));
        place == Some(ahead)
    })?;
    Some((place.checked_add(1)?, count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rain::tests::{Toy, member};

    #[test]
    fn every_member_knows_who_is_of_the_bridge_and_the_origin_is() {
        let rules = Toy(member(0));
        for n in 1..40 {
            let members = (0..n).map(|n| member(n).into());
            let view = View::new(GroupId::AllStaked, 1, None, members, &rules).unwrap();
            for byte in 0..20 {
                let id = MessageId(Hash32([byte * 13; 32]));
                for origin in [0, n / 2, n - 1] {
                    let turns = (0..n).filter_map(|me| turn(&id, &view, (origin, me), 5));
                    let mut turns: Vec<_> = turns.collect();
                    turns.sort_unstable();
                    let count = n.min(5) as usize;
                    let each: Vec<_> = (0..count).map(|at| (at, count)).collect();
                    assert_eq!(turns, each, "{n} members, origin {origin}");
                    assert_eq!(turn(&id, &view, (origin, origin), 5), Some((0, count)));
                }
            }
        }
    }
}
