//! How messages begin and end: published, received, judged, expired.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use bytes::Bytes;

use super::{
    Action, Misdeed, Notice, Rain, Redundancy, Refusal, Report, View, Way,
    audience::{Outside, Route},
    config::{Acks, Shape, Validation},
    event::{MessageClass, Options, Verdict},
    frontier::Known,
    id::{Head, message_id, signed_bytes},
    machine::{Timer, budget, is_good},
    message::{Judged, Message, Stage},
    seen::Fate,
};
use crate::{
    base::{Cx, MemberKey, MessageId},
    proto::rain_link::{Data, Flags, Frame, Why},
};

impl Rain {
    /// Broadcasts.
    pub(super) fn publish(
        &mut self,
        cx: &mut Cx<'_, Action>,
        tag: u64,
        route: &Route,
        payload: Bytes,
    ) {
        match self.begin_own(cx, route, payload) {
            Err(why) => Self::notice(cx, Notice::Refused { tag, why }),
            Ok((id, mut message)) => {
                self.stats.published = self.stats.published.saturating_add(1);
                Self::notice(cx, Notice::Published { tag, id });
                self.broadcast(cx, id, &mut message, route.options);
                self.keep(cx, id, message);
                self.bridge(cx, id);
            }
        }
    }

    fn begin_own(
        &mut self,
        cx: &mut Cx<'_, Action>,
        route: &Route,
        payload: Bytes,
    ) -> Result<(MessageId, Message), Refusal> {
        let (group, options) = (&route.group, route.options);
        let max = self.config.limits.payload;
        let bytes = payload.len();
        if u32::try_from(bytes).map_or(true, |bytes| bytes > max) {
            return Err(Refusal::TooBig { bytes, max });
        }
        let known = self.groups.get(group).ok_or(Refusal::NotMember)?;
        let view = known.newest().cloned().ok_or(Refusal::NotMember)?;
        let seq = known.next;
        if view.is_empty() {
            return Err(Refusal::EmptyGroup);
        }
        let seat = view.seat(&self.me);
        let outside = route.outside == Outside::HandedIn && self.door(&self.me, group).is_some();
        if seat.is_none() && !outside {
            return Err(Refusal::NotMember);
        }
        let terms = self.terms(cx, route, &payload)?;
        let head = Head {
            group,
            epoch: view.epoch(),
            origin: &self.me,
            boot: self.boot,
            seq,
            terms: &terms,
        };
        let id = head.id(&payload, cx.rules);
        let signature = cx.rules.sign(&signed_bytes(&id)).ok_or(Refusal::NoKey)?;
        if self.messages.contains_key(&id) || !self.has_room(self.me, bytes) {
            return Err(Refusal::QueueFull);
        }
        self.make_room(cx, bytes);
        if let Some(known) = self.groups.get_mut(group) {
            known.next = seq.saturating_add(1);
        }
        for onward in &terms.onward {
            if let Some(known) = self.groups.get_mut(&onward.group) {
                known.next = onward.seq.saturating_add(1);
            }
        }
        let custodians = if options.byzantine {
            self.config.cleanup.custodians_byzantine
        } else {
            self.config.cleanup.custodians
        };
        let message = Message {
            seat,
            origin: self.me,
            boot: self.boot,
            seq,
            signature,
            payload,
            onward_waits: !terms.onward.is_empty(),
            terms,
            class: options.class,
            way: Way::Own,
            via: self.me,
            hop: 0,
            marks: Flags(0),
            arc: 1,
            end: None,
            watermark: 0,
            budget: budget(view.gaps(), self.config.adoption),
            custodians,
            duties: BTreeMap::new(),
            holders: seat.into_iter().collect(),
            passed: BTreeSet::new(),
            served: BTreeMap::new(),
            chains: Message::chains(),
            star: None,
            verdict: Judged::Good,
            since: cx.now,
            report: Report {
                members: view.members(),
                ..Report::default()
            },
            reported: false,
            view,
        };
        Ok((id, message))
    }

    fn broadcast(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        options: Options,
    ) {
        let n = message.view.members();
        if message.seat.is_none() {
            message.rest();
            return self.hand_in(cx, id, message, |_| true);
        }
        self.deliver(cx, id, message);
        let few = n <= self.config.star_max;
        if options.class == MessageClass::Consensus && few {
            self.send_to_each(cx, id, message);
        } else {
            self.spread_own(cx, id, message);
        }
        let asked = options.critical || n <= self.config.star_asked_max;
        let default = if asked && self.config.shape == Shape::Exact && self.config.acks == Acks::All
        {
            Redundancy::AskedStar
        } else {
            Redundancy::None
        };
        let redundancy = options.redundancy.or(self.config.redundancy);
        self.begin_cleanup(cx, id, message);
        match redundancy.unwrap_or(default) {
            Redundancy::AskedStar => {
                message.star = Some(super::message::Star {
                    begun: false,
                    cursor: 0,
                    asked: BTreeSet::new(),
                });
            }
            other => self.add_copies(cx, id, message, other),
        }
    }

    fn spread_own(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, message: &mut Message) {
        let n = message.view.members();
        if self.config.shape == Shape::Exact {
            message.arc = n;
            self.plant(cx, id, message, (1, n));
        } else if let Some(seat) = message.seat {
            let top = message.view.gaps().levels();
            message.watermark = top;
            self.plant_levels(cx, id, message, seat, (top, 0));
        }
    }

    /// Keeps a message from now on.
    pub(super) fn keep(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, mut message: Message) {
        let group = message.view.group();
        let origin = (message.origin, message.boot);
        let most = self.config.limits.origins;
        if let Some(known) = self.groups.get_mut(group) {
            known.frontiers.came(cx.now, origin, message.seq, id, most);
        }
        self.tally.add(id, &message);
        let life = match message.terms.life_ms {
            0 => self.config.times.retain,
            life => Duration::from_millis(life.into()).min(self.config.times.retain),
        };
        let end = cx.now.after(life);
        self.timers.set(Timer::Expire(id), Some(end));
        self.look_whether_done(cx, id, &mut message);
        self.messages.insert(id, message);
    }

    fn begin_cleanup(&mut self, cx: &Cx<'_, Action>, id: MessageId, message: &mut Message) {
        let alone = message.seat.is_none() || message.way == Way::Vouched;
        if self.config.cleanup.on && !alone {
            self.start_timer(cx, id, message);
        } else {
            message.rest();
        }
    }

    /// Whether an origin has room for one more message of its share.
    pub(super) fn has_room(&self, origin: MemberKey, bytes: usize) -> bool {
        self.is_in_share(self.tally.of(&origin), bytes)
    }

    /// The same for all messages together whose origin is known by vouchers alone.
    pub(super) fn has_room_for_stranger(&self, bytes: usize) -> bool {
        let all = self.messages.values();
        let vouched = all.filter(|message| message.way == Way::Vouched);
        let of = vouched.fold((0_u32, 0_u64), |(count, sum), message| {
            let sum = sum.saturating_add(message.bytes().into());
            (count.saturating_add(1), sum)
        });
        self.is_in_share(of, bytes)
    }

    /// Whether one message more fits beside so many with so many bytes.
    fn is_in_share(&self, (count, sum): (u32, u64), bytes: usize) -> bool {
        let limits = &self.config.limits;
        let share = limits.origin_share.max(1);
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let part = usize::try_from(share).unwrap_or(1);
        usize::try_from(count).unwrap_or(usize::MAX) < (limits.messages / part).max(1)
            && sum.saturating_add(bytes) <= limits.bytes / u64::from(share)
    }

    /// The oldest messages end until one more fits.
    pub(super) fn make_room(&mut self, cx: &mut Cx<'_, Action>, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        loop {
            let many = self.messages.len() >= self.config.limits.messages.max(1);
            let large = self.tally.bytes().saturating_add(bytes) > self.config.limits.bytes;
            let Some(oldest) = self.tally.oldest().filter(|_| many || large) else {
                return;
            };
            self.stats.evicted = self.stats.evicted.saturating_add(1);
            self.end(cx, oldest, Fate::Expired);
        }
    }

    /// Why a message that is not held is not.
    pub(super) fn fate_of(&self, id: &MessageId) -> Option<Why> {
        Some(match self.seen.fate(id)? {
            Fate::Expired => Why::Expired,
            Fate::Rejected => Why::Invalid,
        })
    }

    /// A message came.
    pub(super) fn on_data(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey, data: Data) {
        self.take_credit(cx, peer, &data.payload);
        let id = message_id(&data, cx.rules);
        if self.copy(cx, peer, id, &data) {
            return;
        }
        match self.check(cx, peer, &id, &data) {
            Ok(view) => self.take(cx, peer, id, data, view),
            Err(Refused::Park) => self.park(cx, peer, id, data),
            Err(Refused::Stranger) => self.park_stranger(cx, peer, id, data),
            Err(Refused::Drop(what)) => self.misdeed(cx, peer, what),
            Err(Refused::Say(why, what)) => {
                self.nack(cx, peer, id, why);
                if let Some(what) = what {
                    self.misdeed(cx, peer, what);
                }
            }
        }
    }

    /// A further copy of a message that is held; whether it was one.
    pub(super) fn copy(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        id: MessageId,
        data: &Data,
    ) -> bool {
        let held = self.with(cx, id, |rain, cx, message| {
            rain.stats.duplicates = rain.stats.duplicates.saturating_add(1);
            message.report.duplicates = message.report.duplicates.saturating_add(1);
            let seat = message.view.seat(&peer);
            if seat.is_none() && !rain.is_handed_in(data.flags, &peer, &data.group) {
                return;
            }
            if message.way == Way::Vouched {
                return rain.nack(cx, peer, id, Why::UnknownEpoch);
            }
            if data.flags.has(Flags::WANT_ACK) {
                rain.send_ack(cx, peer, id);
            }
            if let Some(seat) = seat {
                rain.proved(cx, id, message, seat);
            }
            let way = (data.limit, data.flags);
            let reach = rain.reach_of(cx, (&id, message), peer, way, Some(data.view));
            message.hop = message.hop.min(data.hop);
            rain.grow(cx, id, message, reach, way);
        });
        held.is_some()
    }

    /// Whether a new message is to be taken, and in which view.
    pub(super) fn check(
        &self,
        cx: &Cx<'_, Action>,
        peer: MemberKey,
        id: &MessageId,
        data: &Data,
    ) -> Result<View, Refused> {
        if let Some(why) = self.fate_of(id) {
            return Err(Refused::Say(why, None));
        }
        if data.payload.len() > usize::try_from(self.config.limits.payload).unwrap_or(usize::MAX) {
            return Err(Refused::Say(Why::TooBig, Some(Misdeed::Flood)));
        }
        let outsider = Some(Misdeed::Outsider);
        let known = self.groups.get(&data.group);
        let known = known.ok_or(Refused::Say(Why::NotMember, outsider))?;
        let newest = known.newest().ok_or(Refused::Say(Why::NotMember, None))?;
        if data.epoch > newest.epoch() {
            return Err(Refused::Park);
        }
        let injected = self.is_handed_in(data.flags, &peer, &data.group);
        if !known.knows(&peer) && !injected {
            return Err(Refused::Drop(Misdeed::Outsider));
        }
        // Of an older view than those that are kept: delivered, if its origin still counts.
        let view = known.view(data.epoch).unwrap_or(newest);
        if view.seat(&self.me).is_none() {
            return Err(Refused::Say(Why::NotMember, None));
        }
        let member =
            view.seat(&data.origin).is_some() || self.door(&data.origin, &data.group).is_some();
        // With the same view its sender knows better.
        let same = data.view == view.digest().0 || view.epoch() != data.epoch;
        if !member && (same || injected) {
            return Err(Refused::Say(Why::Invalid, Some(Misdeed::Invalid)));
        }
        match known.frontiers.known(data.origin, data.boot, data.seq) {
            Known::Past => return Err(Refused::Say(Why::Expired, None)),
            Known::New | Known::Held(_) => {}
        }
        if !cx
            .rules
            .verify(&data.origin, &signed_bytes(id), &data.signature)
        {
            return Err(Refused::Say(Why::Invalid, Some(Misdeed::Invalid)));
        }
        if !member {
            return Err(Refused::Stranger);
        }
        if !self.has_room(data.origin, data.payload.len()) {
            return Err(Refused::Say(Why::Busy, None));
        }
        Ok(view.clone())
    }

    /// Takes a new message.
    pub(super) fn take(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        id: MessageId,
        data: Data,
        view: View,
    ) {
        self.make_room(cx, data.payload.len());
        self.look_for_equivocation(cx, id, &data);
        let old = view.epoch() != data.epoch;
        let known =
            view.seat(&data.origin).is_some() || self.door(&data.origin, &data.group).is_some();
        let way = if known {
            way_of(data.flags)
        } else {
            Way::Vouched
        };
        let seat = view.seat(&self.me);
        let holders = seat.into_iter().chain(view.seat(&peer)).collect();
        let levels = view.gaps().levels();
        let mut message = Message {
            seat,
            origin: data.origin,
            boot: data.boot,
            seq: data.seq,
            signature: data.signature,
            payload: kept(data.payload),
            onward_waits: !data.terms.onward.is_empty(),
            class: if data.terms.urgent && view.seat(&data.origin).is_some() {
                MessageClass::Consensus
            } else {
                MessageClass::Ordinary
            },
            terms: data.terms,
            way,
            via: peer,
            hop: data.hop.min(levels.saturating_add(1)),
            marks: Flags(data.flags.0 & Flags::DELEGATED.0),
            arc: 1,
            end: None,
            watermark: 0,
            budget: budget(view.gaps(), self.config.adoption),
            custodians: self.config.cleanup.custodians,
            duties: BTreeMap::new(),
            holders,
            passed: BTreeSet::new(),
            served: BTreeMap::new(),
            chains: Message::chains(),
            star: None,
            verdict: match self.config.validation {
                Validation::None => Judged::Good,
                Validation::Beside => Judged::Asked,
                Validation::Before => Judged::Awaited,
            },
            since: cx.now,
            report: Report {
                members: view.members(),
                ..Report::default()
            },
            reported: false,
            view,
        };
        if data.flags.has(Flags::WANT_ACK) {
            self.send_ack(cx, peer, id);
        }
        self.settle_promise(cx, id, &mut message, &peer);
        self.deliver(cx, id, &message);
        if way == Way::Pulled
            && let Some(known) = self.groups.get_mut(message.view.group())
        {
            known.frontiers.pulled(data.origin, data.boot);
        }
        if matches!(way, Way::Chain | Way::Pulled) && !old {
            self.look_for_withholder(cx, &id, &message);
        }
        if way == Way::Vouched {
            // For this node alone.
            message.rest();
            return self.keep(cx, id, message);
        }
        if !old {
            let limit = (data.limit, data.flags);
            let reach = self.reach_of(cx, (&id, &message), peer, limit, Some(data.view));
            self.grow(cx, id, &mut message, reach, limit);
        }
        if self.config.redundancy == Some(Redundancy::Thirds) && way != Way::Redundant {
            self.add_copies(cx, id, &mut message, Redundancy::Thirds);
        }
        self.begin_cleanup(cx, id, &mut message);
        let awaited = message.verdict == Judged::Awaited;
        self.keep(cx, id, message);
        if !awaited {
            self.bridge(cx, id);
        }
    }

    /// A message came, and not from the member that was to bring it over the tree, which is up.
    fn look_for_withholder(&self, cx: &mut Cx<'_, Action>, id: &MessageId, message: &Message) {
        let parent = message
            .seat
            .filter(|_| self.config.shape == Shape::Exact)
            .and_then(|seat| Self::parent(message, seat));
        let Some(peer) = parent.map(|seat| message.key(seat)) else {
            return;
        };
        let up = self.peers.is_up(&peer, self.config.reach);
        if up && peer != message.via && !self.peers.is_suspected(cx.now, &peer) {
            let id = *id;
            Self::notice(cx, Notice::Withheld { peer, id });
        }
    }

    fn look_for_equivocation(&self, cx: &mut Cx<'_, Action>, id: MessageId, data: &Data) {
        let known = self.groups.get(&data.group);
        let known = known.map(|g| g.frontiers.known(data.origin, data.boot, data.seq));
        if let Some(Known::Held(first)) = known.filter(|known| *known != Known::Held(id)) {
            let (origin, second) = (data.origin, id);
            Self::notice(
                cx,
                Notice::Equivocation {
                    origin,
                    first,
                    second,
                },
            );
        }
    }

    /// What the application thinks.
    pub(super) fn on_verdict(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, verdict: Verdict) {
        let asked = self.messages.get(&id).map(|message| message.verdict);
        if asked.is_none_or(|asked| asked == Judged::Good) {
            return self.stale();
        }
        self.timers.set(Timer::Verdict(id), None);
        if is_good(verdict) {
            self.with(cx, id, |rain, cx, message| {
                message.verdict = Judged::Good;
                let unsent = message.duties.iter();
                let unsent: alloc::vec::Vec<_> = unsent
                    .filter(|(_, work)| work.stage == Stage::Unsent)
                    .map(|(seat, _)| *seat)
                    .collect();
                for seat in unsent {
                    rain.duty_goes_on(cx, id, message, seat);
                }
                if rain.config.validation == Validation::Before {
                    rain.begin_cleanup(cx, id, message);
                }
            });
            self.bridge(cx, id);
            return;
        }
        let via = self.messages.get(&id).map(|message| message.via);
        let why = if verdict == Verdict::Reject {
            Why::Invalid
        } else {
            Why::Busy
        };
        if let Some(via) = via.filter(|via| *via != self.me) {
            self.nack(cx, via, id, why);
            if verdict == Verdict::Reject {
                self.misdeed(cx, via, Misdeed::Invalid);
            }
        }
        self.end(cx, id, Fate::Rejected);
    }

    /// The application has not judged in time: the sender takes its duty back.
    pub(super) fn verdict_is_late(&mut self, cx: &mut Cx<'_, Action>, id: MessageId) {
        let via = self.with(cx, id, |rain, _, message| {
            for (seat, _) in core::mem::take(&mut message.duties) {
                rain.timers.set(Timer::Duty(id, seat), None);
            }
            message.via
        });
        if let Some(via) = via.filter(|via| *via != self.me) {
            self.nack(cx, via, id, Why::Busy);
        }
    }

    /// A message is kept no longer.
    pub(super) fn end(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, fate: Fate) {
        let Some(mut message) = self.messages.remove(&id) else {
            return;
        };
        self.tally.take(id, &message);
        for (seat, work) in &message.duties {
            self.timers.set(Timer::Duty(id, *seat), None);
            if work.stage.is_open() && fate == Fate::Rejected {
                let peer = message.key(*seat);
                cx.act(Action::Cancel { peer, id });
            }
        }
        for side in super::Side::BOTH {
            self.timers.set(Timer::Chain(id, side), None);
            self.timers.set(Timer::Start(id, side), None);
        }
        if let Some(star) = &message.star {
            for seat in &star.asked {
                self.timers.set(Timer::Star(id, *seat), None);
            }
        }
        self.timers.set(Timer::Verdict(id), None);
        self.timers.set(Timer::Expire(id), None);
        self.release(&message);
        for seat in message.served.keys() {
            if !message.holders.contains(seat) {
                self.unreliable(cx, message.key(*seat));
            }
        }
        self.peers.forget_asks(&id);
        if let Some(known) = self.groups.get_mut(message.view.group()) {
            let (origin, boot) = (message.origin, message.boot);
            known.frontiers.gone(origin, boot, message.seq);
        }
        let life = self.config.times.seen;
        let most = self.config.limits.seen;
        self.seen.add(cx.now, id, fate, most, life);
        if !message.reported {
            message.report.passed = u32::try_from(message.passed.len()).unwrap_or(u32::MAX);
            let report = message.report;
            Self::notice(cx, Notice::Done { id, report });
        }
    }

    /// Sends a message again to one who pulls it.
    pub(super) fn send_again(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, peer: MemberKey) {
        self.with(cx, id, |rain, cx, message| {
            let seat = message.view.seat(&peer);
            let Some(seat) = seat.filter(|_| message.way != Way::Vouched) else {
                return;
            };
            message.report.served_by_pull = message.report.served_by_pull.saturating_add(1);
            let next = message.view.ahead(seat, 1);
            let limit = crate::proto::rain_link::Limit::Key(message.key(next));
            rain.pay(cx, id, message, seat, (limit, Flags::PULLED));
        });
    }
}

/// Why a message is not taken.
pub(super) enum Refused {
    /// Its view is not known yet.
    Park,
    /// Its origin is no member here, and its sender acts on another view.
    Stranger,
    /// Without an answer.
    Drop(Misdeed),
    /// With one, and perhaps blame.
    Say(Why, Option<Misdeed>),
}

/// A small payload on its own, so that it does not keep what else was read with it.
fn kept(payload: Bytes) -> Bytes {
    if payload.len() <= COPIED_MAX {
        Bytes::copy_from_slice(&payload)
    } else {
        payload
    }
}

/// Payloads of at most so many bytes are copied.
const COPIED_MAX: usize = 1_024;

fn way_of(flags: Flags) -> Way {
    if flags.has(Flags::CHAIN) {
        Way::Chain
    } else if flags.has(Flags::REDUNDANT) {
        Way::Redundant
    } else if flags.has(Flags::PULLED) {
        Way::Pulled
    } else {
        Way::Tree
    }
}

/// Sent when what is wanted has come from elsewhere.
pub(super) fn no(id: MessageId) -> Frame {
    Frame::No {
        ids: [id].into_iter().collect(),
        proofs: alloc::vec::Vec::new(),
    }
}
