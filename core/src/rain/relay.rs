//! The tree at work: messages come in, duties go out, silent children are replaced.
//!
//! A duty is the arc that a child was given. It is open until the child acknowledges. A child that
//! is silent is *adopted*: its parent makes the sends that the child would have made; when a
//! message has cost a node enough of those, the arc is *delegated* whole to the next slot. With
//! the exact tree this reaches everybody alive whoever is dead from the start: each arc ends at a
//! live member that acknowledged, or at the adopter, or is empty.
//!
//! It does not help when a member dies after it acknowledged: that is what the clean-up is for.
//!
//! src: pokt-network/pocket-network-protocol, peer-to-peer specification, "Redundancy"; the
//! replacement of a silent peer by the children it would have reached is its idea, the scope (all
//! duties, not the two at the top) and the budget are ours

use alloc::{boxed::Box, collections::VecDeque};

use bytes::Bytes;

use super::{
    Action, Delivery, Misdeed, Priority, Rain, Redundancy, Seat, Side, Start, View, Way,
    config::{Acks, Reach, Shape, Validation},
    event::MessageClass,
    machine::Timer,
    message::{Judged, Message, Stage, Work},
    peers::Line,
    tree::{self, Share},
};
use crate::{
    base::{Cx, MemberKey, MessageId},
    proto::rain_link::{Data, Duty, Flags, Frame, Limit, Why},
};

/// A payload of at least so many bytes is offered before it is sent where a copy may be there
/// already: in the legacy tree.
const GATE_BYTES: u32 = 16 << 10;

/// A part of an arc that somebody must take.
#[derive(Clone, Copy, Debug)]
struct Task {
    seat: Seat,
    len: u32,
    flags: Flags,
}

impl Rain {
    /// Gives out what a longer arc than before adds: slots `before..len` of the arc that begins
    /// at this node.
    pub(super) fn plant(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        (before, len): (u32, u32),
    ) {
        let Some(seat) = message.seat else {
            return;
        };
        let skip = before.max(1).saturating_sub(1);
        let base = message.view.ahead(seat, skip);
        let flags = Flags::TREE.with(message.marks);
        let grown = len.saturating_sub(skip);
        let tasks = shares(message, base, grown, flags);
        self.assign(cx, id, message, tasks);
    }

    /// Gives out levels of the legacy tree: from `from` down to above `down_to`, as whoever sits
    /// at `base` would.
    pub(super) fn plant_levels(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        base: Seat,
        (from, down_to): (u8, u8),
    ) {
        let flags = Flags::TREE.with(message.marks);
        let tasks = levels(message, base, (from, down_to), flags);
        self.assign(cx, id, message, tasks);
    }

    /// Carries out tasks and those that follow from members who are silent at once.
    fn assign(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        mut tasks: VecDeque<Task>,
    ) {
        while let Some(task) = tasks.pop_front() {
            if Some(task.seat) == message.seat {
                continue;
            }
            let key = message.key(task.seat);
            let known = message.duties.get(&task.seat).copied();
            if let Some(work) = known.filter(|work| work.len >= task.len) {
                let again = self.config.shape == Shape::LegacyForwardAll;
                if !again || work.stage.is_open() {
                    if again {
                        self.push(cx, id, message, task);
                    }
                    continue;
                }
            }
            if !self.is_acked(message) {
                self.push(cx, id, message, task);
                continue;
            }
            let silent = self.peers.is_suspected(cx.now, &key);
            if silent || !self.give(cx, id, message, task) {
                message.duties.remove(&task.seat);
                self.timers.set(Timer::Duty(id, task.seat), None);
                self.replace(message, task, &mut tasks);
            }
        }
    }

    /// Whether duties of this message are acknowledged.
    fn is_acked(&self, message: &Message) -> bool {
        match self.config.acks {
            Acks::All => true,
            // The originator's first sends.
            Acks::Top => message.hop == 0 && message.duties.len() < 2,
            Acks::Off => false,
        }
    }

    /// Sends a payload without keeping anything of it.
    fn push(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, message: &mut Message, task: Task) {
        let key = message.key(task.seat);
        if self.peers.is_up(&key, self.config.reach) {
            let limit = limit_of(self.config.shape, message, task);
            self.pay(cx, id, message, task.seat, (limit, task.flags));
        }
    }

    /// Gives a duty to a child; `false` when it cannot be reached.
    fn give(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        task: Task,
    ) -> bool {
        let key = message.key(task.seat);
        let bytes = message.bytes();
        let mut wait = self.peers.patience(&key, bytes, &self.config.times);
        let held = message.holders.contains(&task.seat);
        let before = message.duties.get(&task.seat).copied();
        let flags = task.flags.with(Flags::WANT_ACK);
        let limit = limit_of(self.config.shape, message, task);
        let direct = self.peers.is_up(&key, self.config.reach);
        let stage = if message.verdict == Judged::Awaited {
            Stage::Unsent
        } else if direct {
            let sent = before.is_some_and(|work| work.stage == Stage::Sent);
            if held || sent {
                self.tell(cx, id, message, task.seat, (limit, flags));
                Stage::Told
            } else if self.is_gated(message, &key, flags) {
                self.ask(cx, id, message, task.seat);
                wait += self.config.times.clean_tick;
                Stage::Asked
            } else {
                self.pay(cx, id, message, task.seat, (limit, flags));
                Stage::Sent
            }
        } else if self.call(cx, key) {
            wait += self.config.times.dial;
            Stage::Unsent
        } else if self.has_way(&key) {
            // Through others, there and back.
            self.pay(cx, id, message, task.seat, (limit, flags));
            let hops = u32::from(message.view.gaps().levels()).saturating_mul(2);
            wait += self.peers.hop() * hops.saturating_mul(2);
            Stage::Sent
        } else {
            return false;
        };
        let work = Work {
            len: task.len,
            flags: task.flags,
            stage,
            sent: cx.now,
            once: before.is_none() && stage == Stage::Sent && direct,
        };
        message.duties.insert(task.seat, work);
        if message.verdict != Judged::Awaited {
            let timer = Timer::Duty(id, task.seat);
            self.timers.set(timer, Some(cx.now.after(wait)));
        }
        true
    }

    /// Whether a member is being dialled, or is from now on.
    pub(super) fn call(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey) -> bool {
        let line = self.peers.get(&peer).map(|known| known.line);
        if line == Some(Line::Dialling) {
            return true;
        }
        if self.config.reach == Reach::Assumed || !self.peers.dial(cx.now, peer, &self.config) {
            return false;
        }
        let until = cx.now.after(self.config.times.dial);
        self.timers.set(Timer::Dial(peer), Some(until));
        cx.act(Action::Dial { peer });
        true
    }

    /// Whether a member is asked before the payload is sent.
    fn is_gated(&self, message: &Message, peer: &MemberKey, flags: Flags) -> bool {
        let bytes = message.bytes();
        let credit = self.peers.get(peer).map(|known| known.credit);
        let poor = credit.is_some_and(|credit| credit < bytes);
        let queued = self.peers.get(peer).map_or(0, |known| known.queued);
        let shape = self.config.shape != Shape::Exact && bytes >= GATE_BYTES;
        let jammed = queued > self.config.limits.credit / 2;
        // Who is asked by one from outside takes what it has room for.
        let outside = flags.has(Flags::INJECT) && message.way == Way::Own && bytes >= GATE_BYTES;
        poor || jammed || outside || (shape && self.config.acks == Acks::All)
    }

    /// What follows when nobody takes a task: the sends that the child would have made, or, past
    /// the budget, the same arc for the next slot.
    fn replace(&mut self, message: &mut Message, task: Task, tasks: &mut VecDeque<Task>) {
        if self.config.shape != Shape::Exact {
            let level = u8::try_from(task.len).unwrap_or(u8::MAX);
            let sends = levels(message, task.seat, (level.saturating_sub(1), 0), task.flags);
            let cost = u32::try_from(sends.len()).unwrap_or(u32::MAX);
            if let Some(left) = message.budget.checked_sub(cost).filter(|_| cost > 0) {
                message.budget = left;
                message.report.adopted = message.report.adopted.saturating_add(1);
                self.stats.adopted = self.stats.adopted.saturating_add(1);
                tasks.extend(sends);
            }
            return;
        }
        if task.len <= 1 {
            return;
        }
        let cost = message.view.gaps().planned(task.len);
        if let Some(left) = message.budget.checked_sub(cost) {
            message.budget = left;
            message.report.adopted = message.report.adopted.saturating_add(1);
            self.stats.adopted = self.stats.adopted.saturating_add(1);
            tasks.extend(shares(message, task.seat, task.len, task.flags));
        } else {
            message.report.delegated = message.report.delegated.saturating_add(1);
            self.stats.delegated = self.stats.delegated.saturating_add(1);
            let flags = task.flags.with(Flags::DELEGATED);
            let rest = Share {
                slot: 1,
                len: task.len.saturating_sub(1),
            };
            tasks.extend(spread(message, task.seat, rest, flags));
        }
    }

    /// A duty came to nothing.
    pub(super) fn duty_failed(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        seat: Seat,
    ) {
        self.timers.set(Timer::Duty(id, seat), None);
        let Some(work) = message.duties.remove(&seat) else {
            return;
        };
        let task = Task {
            seat,
            len: work.len,
            flags: work.flags,
        };
        let mut tasks = VecDeque::new();
        self.replace(message, task, &mut tasks);
        self.assign(cx, id, message, tasks);
    }

    pub(super) fn duty_is_late(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, seat: Seat) {
        let key = self.messages.get(&id).map(|message| message.key(seat));
        if let Some(key) = key {
            self.suspect(cx, key);
        }
        self.with(cx, id, |rain, cx, message| {
            rain.duty_failed(cx, id, message, seat);
        });
    }

    /// A child is up, or has said that it holds the message: gives it what waits for it.
    pub(super) fn duty_goes_on(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        seat: Seat,
    ) {
        let Some(work) = message.duties.get(&seat).copied() else {
            return;
        };
        if !matches!(work.stage, Stage::Unsent | Stage::Asked) {
            return;
        }
        let task = Task {
            seat,
            len: work.len,
            flags: work.flags,
        };
        message.duties.remove(&seat);
        let tasks = VecDeque::from([task]);
        self.assign(cx, id, message, tasks);
    }

    /// Sends the payload to a child that was asked first and wants it.
    pub(super) fn duty_wanted(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        seat: Seat,
    ) -> bool {
        let Some(work) = message.duties.get(&seat).copied() else {
            return false;
        };
        if work.stage != Stage::Asked {
            return false;
        }
        let (len, flags) = (work.len, work.flags);
        let limit = limit_of(self.config.shape, message, Task { seat, len, flags });
        let asking = flags.with(Flags::WANT_ACK);
        self.pay(cx, id, message, seat, (limit, asking));
        let work = Work {
            stage: Stage::Sent,
            ..work
        };
        message.duties.insert(seat, work);
        let (key, bytes) = (message.key(seat), message.bytes());
        let wait = self.peers.patience(&key, bytes, &self.config.times);
        let timer = Timer::Duty(id, seat);
        self.timers.set(timer, Some(cx.now.after(wait)));
        true
    }

    /// Sends a payload.
    pub(super) fn pay(
        &mut self,
        cx: &mut Cx<'_, Action>,
        _id: MessageId,
        message: &mut Message,
        seat: Seat,
        (limit, flags): (Limit, Flags),
    ) {
        let peer = message.key(seat);
        let bytes = message.bytes();
        let flags = if message.seat.is_none() {
            flags.with(Flags::INJECT)
        } else {
            flags
        };
        let data = Data {
            group: message.view.group().clone(),
            epoch: message.view.epoch(),
            view: message.view.digest().0,
            origin: message.origin,
            boot: message.boot,
            seq: message.seq,
            limit,
            flags,
            hop: message.hop.saturating_add(1),
            signature: message.signature,
            terms: message.terms.clone(),
            payload: message.payload.clone(),
        };
        if let Some(known) = self.peers.get_mut(&peer) {
            known.credit = known.credit.saturating_sub(bytes);
        }
        message.report.payloads = message.report.payloads.saturating_add(1);
        self.stats.payloads = self.stats.payloads.saturating_add(1);
        self.stats.payload_bytes = self.stats.payload_bytes.saturating_add(bytes.into());
        let priority = match message.class {
            MessageClass::Ordinary => Priority::Bulk,
            MessageClass::Consensus => Priority::Urgent,
        };
        self.emit(cx, peer, Frame::Data(Box::new(data)), priority);
    }

    /// Sends an arc to one that holds the message.
    fn tell(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &Message,
        seat: Seat,
        (limit, flags): (Limit, Flags),
    ) {
        let hop = message.hop.saturating_add(1);
        let duty = Duty {
            id,
            limit,
            flags,
            hop,
        };
        self.send(cx, message.key(seat), Frame::Duty(duty));
    }

    /// Sends a frame without payload to a member.
    pub(super) fn send(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey, frame: Frame) {
        self.stats.controls = self.stats.controls.saturating_add(1);
        self.emit(cx, peer, frame, Priority::Control);
    }

    pub(super) fn nack(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        id: MessageId,
        why: Why,
    ) {
        let ids = [id].into_iter().collect();
        self.send(cx, peer, Frame::Nack { ids, why });
    }

    /// A duty for a message that is held, or not.
    pub(super) fn on_duty(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey, duty: Duty) {
        let id = duty.id;
        let acked = self.with(cx, id, |rain, cx, message| {
            let seat = message.view.seat(&peer);
            if seat.is_none() && !rain.is_handed_in(duty.flags, &peer, message.view.group()) {
                return false;
            }
            if message.way == Way::Vouched {
                rain.nack(cx, peer, id, Why::UnknownEpoch);
                return true;
            }
            rain.send_ack(cx, peer, id);
            if let Some(seat) = seat {
                rain.proved(cx, id, message, seat);
            }
            // Whose view it is was not said: the arc is taken as it is.
            let way = (duty.limit, duty.flags);
            let reach = rain.reach_of(cx, (&id, message), peer, way, None);
            rain.grow(cx, id, message, reach, (duty.limit, duty.flags));
            true
        });
        match acked {
            Some(true) => {}
            Some(false) => self.misdeed(cx, peer, Misdeed::Outsider),
            None => {
                let why = self.fate_of(&id).unwrap_or(Why::Unknown);
                self.nack(cx, peer, id, why);
            }
        }
    }

    pub(super) fn send_ack(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey, id: MessageId) {
        let ids = [id].into_iter().collect();
        self.send(cx, peer, Frame::Ack { ids });
    }

    /// How many slots (or, in the legacy tree, which level) a copy makes this node responsible
    /// for. With equal views the arc must be the one that follows from the originator.
    pub(super) fn reach_of(
        &mut self,
        cx: &mut Cx<'_, Action>,
        (id, message): (&MessageId, &Message),
        peer: MemberKey,
        (limit, flags): (Limit, Flags),
        digest: Option<[u8; 8]>,
    ) -> u32 {
        let only_copy = Flags(Flags::CHAIN.0 | Flags::REDUNDANT.0 | Flags::PULLED.0);
        let (Some(seat), 0) = (message.seat, flags.0 & only_copy.0) else {
            return 1;
        };
        let view = &message.view;
        match (limit, self.config.shape) {
            (Limit::Level(level), Shape::Legacy | Shape::LegacyForwardAll) => {
                if level > view.gaps().levels() {
                    self.misdeed(cx, peer, Misdeed::Level);
                    return 0;
                }
                level.into()
            }
            (Limit::Key(key), Shape::Exact) => {
                let end = view.seat_from(&key);
                let end = if end >= view.members() { 0 } else { end };
                let said = match view.distance(seat, end) {
                    0 => view.members(),
                    slots => slots,
                };
                let same = digest.is_some_and(|digest| digest == view.digest().0);
                if !same || flags.has(Flags::DELEGATED) {
                    // Never beyond the originator, where the ring was cut.
                    let most = view.seat(&message.origin).map(|at| view.distance(seat, at));
                    return said.min(most.filter(|most| *most > 0).unwrap_or(view.members()));
                }
                let due = self.due(id, message, seat);
                if said != due {
                    self.misdeed(cx, peer, Misdeed::Arc);
                }
                due
            }
            // Another form than ours: deliver, and leave the rest to the clean-up.
            (Limit::Level(_), Shape::Exact) | (Limit::Key(_), _) => 1,
        }
    }

    /// The arc of a seat as it follows from who published the message, or, when that is none of
    /// the members, from where it enters.
    fn due(&self, id: &MessageId, message: &Message, seat: Seat) -> u32 {
        let view = &message.view;
        let leaf = |from: Seat| move |slot: u32| view.is_leaf_only(view.ahead(from, slot));
        if let Some(origin) = view.seat(&message.origin) {
            let at = view.distance(origin, seat);
            return view.gaps().derive(at, leaf(origin)).len;
        }
        let count = self.entries_for(&message.origin, view.group());
        let mut entries = entries(id, view, count);
        let Some((from, len)) = entries.find(|(from, len)| view.distance(*from, seat) < *len)
        else {
            return 1;
        };
        let at = view.distance(from, seat);
        let mut parts = tree::spread(Share { slot: 0, len }, leaf(from));
        let part = parts.find(|part| part.slot <= at && at < part.slot.saturating_add(part.len));
        part.map_or(1, |part| {
            let first = view.ahead(from, part.slot);
            let at = at.saturating_sub(part.slot);
            view.gaps().derive_within(part.len, at, leaf(first)).len
        })
    }

    /// From whom a seat hears over the tree, when the publisher is a member.
    pub(super) fn parent(message: &Message, seat: Seat) -> Option<Seat> {
        let view = &message.view;
        let origin = view.seat(&message.origin)?;
        let leaf = |slot: u32| view.is_leaf_only(view.ahead(origin, slot));
        let derived = view.gaps().derive(view.distance(origin, seat), leaf);
        derived.parent.map(|slot| view.ahead(origin, slot))
    }

    /// Hands a message to the members at which it enters a group from outside. They have disjoint
    /// arcs; a silent one is replaced by the next slot, never by this node. `mine` says of each
    /// whether this node hands in there.
    pub(super) fn hand_in(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        mine: impl Fn(usize) -> bool,
    ) {
        message.budget = 0;
        let count = self.entries_for(&message.origin, message.view.group());
        let entries = entries(&id, &message.view, count).enumerate();
        let entries = entries.filter(|(at, _)| mine(*at));
        let tasks = entries.flat_map(|(_, (from, len))| {
            let share = Share { slot: 0, len };
            spread(message, from, share, Flags::TREE.with(Flags::INJECT))
        });
        let tasks = tasks.collect();
        self.assign(cx, id, message, tasks);
    }

    /// Sends a message to each member itself: of a group so small, that takes less time than the
    /// tree. Each acknowledges it and forwards it to nobody.
    pub(super) fn send_to_each(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
    ) {
        let Some(seat) = message.seat else {
            return;
        };
        let each = (1..message.view.members()).map(|offset| Task {
            seat: message.view.ahead(seat, offset),
            len: 1,
            flags: Flags::REDUNDANT,
        });
        let tasks = each.collect();
        self.assign(cx, id, message, tasks);
    }

    /// Takes a longer arc than before.
    pub(super) fn grow(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        reach: u32,
        (limit, flags): (Limit, Flags),
    ) {
        if flags.has(Flags::DELEGATED) {
            message.marks = message.marks.with(Flags::DELEGATED);
        }
        if self.config.shape == Shape::Exact {
            if reach > message.arc {
                let before = core::mem::replace(&mut message.arc, reach);
                message.end = match limit {
                    Limit::Key(key) => Some(key),
                    Limit::Level(_) => None,
                };
                self.plant(cx, id, message, (before, reach));
            }
            return;
        }
        let level = u8::try_from(reach).unwrap_or(u8::MAX).saturating_sub(1);
        let Some(seat) = message.seat else {
            return;
        };
        if self.config.shape == Shape::LegacyForwardAll {
            self.plant_levels(cx, id, message, seat, (level, 0));
        } else if level > message.watermark {
            let before = core::mem::replace(&mut message.watermark, level);
            self.plant_levels(cx, id, message, seat, (level, before));
        }
    }

    /// Delivers a message that is new here.
    pub(super) fn deliver(&mut self, cx: &mut Cx<'_, Action>, id: MessageId, message: &Message) {
        self.stats.delivered = self.stats.delivered.saturating_add(1);
        self.stats.hops = self.stats.hops.saturating_add(message.hop.into());
        let by = match message.way {
            Way::Chain => Some(&mut self.stats.by_chain),
            Way::Pulled => Some(&mut self.stats.by_pull),
            Way::Own | Way::Tree | Way::Redundant | Way::Vouched => None,
        };
        if let Some(by) = by {
            *by = by.saturating_add(1);
        }
        cx.act(Action::Deliver(Delivery {
            id,
            group: message.view.group().clone(),
            epoch: message.view.epoch(),
            origin: message.origin,
            boot: message.boot,
            seq: message.seq,
            hop: message.hop,
            via: message.via,
            way: message.way,
            payload: message.payload.clone(),
        }));
        if message.verdict != Judged::Good {
            cx.act(Action::Validate { id });
            let until = match self.config.validation {
                Validation::Before => Some(cx.now.after(self.config.times.verdict)),
                Validation::None | Validation::Beside => None,
            };
            self.timers.set(Timer::Verdict(id), until);
        }
    }

    /// Further copies, by the redundancy of the message.
    pub(super) fn add_copies(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        message: &mut Message,
        redundancy: Redundancy,
    ) {
        let Some(seat) = message.seat else {
            return;
        };
        let n = message.view.members();
        let thirds = tree::legacy_targets(n, tree::levels(n));
        let all = match redundancy {
            Redundancy::OriginatorStar if message.hop == 0 => 1..n,
            Redundancy::OriginatorStar
            | Redundancy::Thirds
            | Redundancy::None
            | Redundancy::AskedStar => 0..0,
        };
        let thirds = thirds
            .into_iter()
            .filter(|_| redundancy == Redundancy::Thirds);
        for offset in all.chain(thirds) {
            let to = message.view.ahead(seat, offset);
            let key = message.key(to);
            if to != seat && self.peers.is_up(&key, self.config.reach) {
                let limit = Limit::Key(message.key(message.view.ahead(to, 1)));
                self.pay(cx, id, message, to, (limit, Flags::REDUNDANT));
            }
        }
    }

    pub(super) fn on_credit(&mut self, cx: &Cx<'_, Action>, peer: MemberKey, bytes: u32) {
        let entry = self.peers.entry(cx.now, peer, &self.config);
        entry.credit = entry.credit.saturating_add(bytes);
    }

    /// A copy came: its bytes are granted again, and more than was granted is a misdeed.
    pub(super) fn take_credit(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        payload: &Bytes,
    ) {
        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let most = self.config.limits.credit;
        let entry = self.peers.entry(cx.now, peer, &self.config);
        let over = bytes > entry.granted;
        entry.granted = entry.granted.saturating_sub(bytes);
        let used = most.saturating_sub(entry.granted);
        let grant = (used >= most / 4).then_some(used);
        if grant.is_some() {
            entry.granted = most;
        }
        if over {
            self.misdeed(cx, peer, Misdeed::Flood);
        }
        if let Some(bytes) = grant {
            self.send(cx, peer, Frame::Credit { bytes });
        }
    }

    pub(super) fn start_timer(&mut self, cx: &Cx<'_, Action>, id: MessageId, message: &Message) {
        if !self.config.cleanup.on {
            return;
        }
        let hop = self.peers.hop();
        let wait = match message.way {
            Way::Chain | Way::Pulled | Way::Vouched => core::time::Duration::from_micros(1),
            Way::Own | Way::Tree | Way::Redundant => {
                let levels = message.view.gaps().levels();
                let left = match self.config.cleanup.start {
                    Start::AfterTree => levels.saturating_sub(message.hop),
                    Start::AfterReceipt => 0,
                };
                let hops = u32::from(left).saturating_add(self.config.cleanup.patience);
                (hop * hops).min(self.config.times.start_max)
            }
        };
        let right = cx.now.after(wait);
        // After as many round trips as the right chains of others take to ask this node: whoever
        // has asked holds it, and is counted unasked.
        let trip = hop * 2 + self.config.times.clean_tick;
        let left = right.after(trip * u32::from(message.custodians));
        for (side, at) in [(Side::Right, right), (Side::Left, left)] {
            self.timers.set(Timer::Start(id, side), Some(at));
        }
    }
}

/// The shares of an arc of `len` slots that begins at `base`, as tasks.
fn shares(message: &Message, base: Seat, len: u32, flags: Flags) -> VecDeque<Task> {
    let gaps = *message.view.gaps();
    let mut tasks = VecDeque::new();
    for share in gaps.plan(len) {
        tasks.extend(spread(message, base, share, flags));
    }
    tasks
}

/// A share as tasks: members that take no arc get the message alone.
fn spread(message: &Message, base: Seat, share: Share, flags: Flags) -> VecDeque<Task> {
    let view = &message.view;
    let leaf = |slot: u32| view.is_leaf_only(view.ahead(base, slot));
    let parts = tree::spread(share, leaf);
    parts
        .map(|part| Task {
            seat: view.ahead(base, part.slot),
            len: part.len,
            flags,
        })
        .collect()
}

/// The sends of the legacy tree as tasks.
fn levels(
    message: &Message,
    base: Seat,
    (from, down_to): (u8, u8),
    flags: Flags,
) -> VecDeque<Task> {
    let view = &message.view;
    let sends = tree::legacy_sends(view.members(), from, down_to);
    sends
        .map(|(offset, level)| Task {
            seat: view.ahead(base, offset),
            len: level.into(),
            flags,
        })
        .collect()
}

/// Where a message enters a group from outside, and the arc that each of those members gets:
/// disjoint, and together the ring.
pub(super) fn entries(
    id: &MessageId,
    view: &View,
    count: u32,
) -> impl Iterator<Item = (Seat, u32)> + use<> {
    let n = u64::from(view.members());
    let count = u64::from(count).clamp(1, n.max(1));
    let head = id.0.0.first_chunk::<8>().copied().unwrap_or_default();
    let first = u64::from_be_bytes(head).checked_rem(n).unwrap_or(0);
    let at = move |i: u64| i.saturating_mul(n) / count;
    let narrow = |wide: u64| u32::try_from(wide).unwrap_or(u32::MAX);
    (0..count).filter(move |_| n > 0).map(move |i| {
        let from = first.saturating_add(at(i)).checked_rem(n).unwrap_or(0);
        let len = at(i.saturating_add(1)).saturating_sub(at(i));
        (narrow(from), narrow(len))
    })
}

/// How far a child is responsible, as it travels.
fn limit_of(shape: Shape, message: &Message, task: Task) -> Limit {
    match shape {
        Shape::Exact => {
            let view = &message.view;
            let end = view.ahead(task.seat, task.len);
            // Where the own arc ends, as it was said: it need not be a member here, and others
            // who know members before it must not take them twice.
            let said = message.end.filter(|key| {
                let at = view.seat_from(key);
                end == if at >= view.members() { 0 } else { at }
            });
            Limit::Key(said.unwrap_or_else(|| message.key(end)))
        }
        Shape::Legacy | Shape::LegacyForwardAll => {
            Limit::Level(u8::try_from(task.len).unwrap_or(u8::MAX))
        }
    }
}
