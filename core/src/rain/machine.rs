//! The machine: what it keeps, and how events come in.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use super::{
    Action, Config, Event, Gaps, Look, Misdeed, Notice, Seat, Side, View,
    audience::Route,
    event::Verdict,
    group::Group,
    interest,
    message::Message,
    peers::{Line, Peers},
    promises::Promises,
    seen::Seen,
    tally::Tally,
};
use crate::{
    base::{
        Cx, Deadlines, GroupId, Instant, Machine, MemberKey, MessageId, Site, Violated, violated,
    },
    proto::rain_link::{Frame, Record},
};

/// Structured gossip of one node. See the [module](super).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Rain {
    pub(super) config: Config,
    pub(super) me: MemberKey,
    /// In which life this node is; grows with each restart.
    pub(super) boot: u32,
    pub(super) groups: BTreeMap<GroupId, Group>,
    /// The group of a number, and the next number.
    pub(super) numbers: BTreeMap<u32, GroupId>,
    pub(super) number: u32,
    /// Forgotten groups, and the numbers of the next own message to them: a number is not used
    /// twice in one life. At most as many as groups; the first goes first.
    pub(super) forgotten: VecDeque<(GroupId, u64)>,
    pub(super) peers: Peers,
    pub(super) messages: BTreeMap<MessageId, Message>,
    /// What they add up to.
    pub(super) tally: Tally,
    pub(super) seen: Seen,
    pub(super) promises: Promises,
    pub(super) timers: Deadlines<Timer>,
    pub(super) stats: Stats,
}

/// What waits for a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Timer {
    /// A child must acknowledge.
    Duty(MessageId, Seat),
    /// A member asked by a chain must answer, or take the payload.
    Chain(MessageId, Side),
    /// A member asked by the originator must answer.
    Star(MessageId, Seat),
    /// A chain starts.
    Start(MessageId, Side),
    /// A promise ends.
    Promise(MessageId),
    /// The application must judge.
    Verdict(MessageId),
    /// A message ends.
    Expire(MessageId),
    /// Questions are sent.
    Clean,
    /// A dial must succeed.
    Dial(MemberKey),
    /// A member counted by chains must be heard from.
    Watch(MemberKey),
    /// Digests are sent.
    Digest(u32),
    /// Messages of unknown views are dropped.
    Park(u32),
    /// A group ends.
    Group(u32),
    /// Neighbours are asked whether they are there.
    Ping(u32),
}

/// Counts since the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Stats {
    /// Messages published.
    pub published: u64,
    /// Messages delivered.
    pub delivered: u64,
    /// Of them over a clean-up chain.
    pub by_chain: u64,
    /// Of them pulled.
    pub by_pull: u64,
    /// Copies of messages that were known.
    pub duplicates: u64,
    /// Payloads sent.
    pub payloads: u64,
    /// Their bytes.
    pub payload_bytes: u64,
    /// Frames without payload sent.
    pub controls: u64,
    /// Duties of silent children taken over.
    pub adopted: u64,
    /// Duties of silent children given on.
    pub delegated: u64,
    /// Chains that went on because one they counted was lost.
    pub rearmed: u64,
    /// Hops that delivered messages came over, added up.
    pub hops: u64,
    /// Messages dropped before their time because there were too many.
    pub evicted: u64,
    /// Events about members or messages that are gone.
    pub stale: u64,
    /// Views ignored because their epoch was known or old.
    pub old_views: u64,
    /// Frames from members that broke a rule.
    pub misdeeds: u64,
}

impl Rain {
    /// A node with this key. `boot` must be greater in each life of the node than in the one
    /// before, or others take its new messages for old ones.
    pub fn new(config: Config, me: MemberKey, boot: u32) -> Self {
        Self {
            peers: Peers::new(&config),
            config,
            me,
            boot,
            groups: BTreeMap::new(),
            numbers: BTreeMap::new(),
            number: 0,
            forgotten: VecDeque::new(),
            messages: BTreeMap::new(),
            tally: Tally::default(),
            seen: Seen::new(),
            promises: Promises::default(),
            timers: Deadlines::new(),
            stats: Stats::default(),
        }
    }

    /// This node's key.
    pub fn me(&self) -> MemberKey {
        self.me
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Counts since the beginning.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The newest view of a group.
    pub fn view(&self, group: &GroupId) -> Option<&View> {
        self.groups.get(group)?.newest()
    }

    /// All groups, in order.
    pub fn groups(&self) -> impl Iterator<Item = &GroupId> {
        self.groups.keys()
    }

    /// Ids of messages that are held, in order.
    pub fn held(&self) -> impl Iterator<Item = &MessageId> {
        self.messages.keys()
    }

    /// How many messages of a group are held.
    pub fn held_of(&self, group: &GroupId) -> usize {
        let all = self.messages.values();
        all.filter(|message| message.view.group() == group).count()
    }

    /// What is known of a message that is held.
    pub fn look(&self, id: &MessageId) -> Option<Look> {
        self.messages.get(id).map(Message::look)
    }

    /// Does something with a message that is held, then sees whether its part is done.
    pub(super) fn with<T>(
        &mut self,
        cx: &mut Cx<'_, Action>,
        id: MessageId,
        act: impl FnOnce(&mut Self, &mut Cx<'_, Action>, &mut Message) -> T,
    ) -> Option<T> {
        let mut message = self.messages.remove(&id)?;
        let done = act(self, cx, &mut message);
        self.look_whether_done(cx, id, &mut message);
        self.messages.insert(id, message);
        Some(done)
    }

    /// The same for all messages, in the order of ids.
    pub(super) fn with_all(
        &mut self,
        cx: &mut Cx<'_, Action>,
        mut act: impl FnMut(&mut Self, &mut Cx<'_, Action>, MessageId, &mut Message),
    ) {
        let ids: Vec<MessageId> = self.messages.keys().copied().collect();
        for id in ids {
            self.with(cx, id, |rain, cx, message| act(rain, cx, id, message));
        }
    }

    pub(super) fn notice(cx: &mut Cx<'_, Action>, notice: Notice) {
        cx.act(Action::Notice(notice));
    }

    pub(super) fn misdeed(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey, what: Misdeed) {
        self.stats.misdeeds = self.stats.misdeeds.saturating_add(1);
        Self::notice(cx, Notice::Misdeed { peer, what });
    }

    fn on_view(
        &mut self,
        cx: &mut Cx<'_, Action>,
        view: View,
        expires: Option<core::time::Duration>,
    ) {
        let group = view.group().clone();
        let epoch = view.epoch();
        let newest = self.view(&group).map(View::epoch);
        let full = self.groups.len() >= self.config.limits.groups && newest.is_none();
        if full || newest.is_some_and(|newest| newest >= epoch) {
            self.stats.old_views = self.stats.old_views.saturating_add(1);
            return Self::notice(cx, Notice::OldView { group, epoch });
        }
        let interest = interest::of(&view, &self.me, &self.config);
        let open = self.groups.get(&group);
        if open.is_some_and(|known| known.membership.is_some()) {
            // Its members say themselves who they are.
            return self.stale();
        }
        let no = if let Some(known) = self.groups.get_mut(&group) {
            known.views.push_back(view);
            while known.views.len() > self.config.limits.views.max(1) {
                known.views.pop_front();
            }
            known.no
        } else {
            let no = self.number_of_new(cx, &group);
            let mut fresh = Group::new(no, view);
            fresh.next = self.next_after_forgotten(&group);
            self.groups.insert(group.clone(), fresh);
            no
        };
        let ends = expires.map(|span| cx.now.after(span));
        self.timers.set(Timer::Group(no), ends);
        self.peers.measure_hop(&self.config.times);
        cx.act(Action::Interest(interest));
        self.unpark(cx, &group, epoch);
        self.bridge_waiting(cx, &group);
    }

    /// A number for a group that is new, and the time of its first digest.
    pub(super) fn number_of_new(&mut self, cx: &mut Cx<'_, Action>, group: &GroupId) -> u32 {
        let no = self.number;
        self.number = self.number.saturating_add(1);
        self.numbers.insert(no, group.clone());
        let tick = self.config.times.digest;
        let millis = u32::try_from(tick.as_millis()).unwrap_or(u32::MAX);
        let first = cx.choice.below(Site::RAIN_DIGEST, no.into(), millis);
        let first = core::time::Duration::from_millis(first.into());
        let at = cx.now.after(first);
        self.timers.set(Timer::Digest(no), Some(at));
        no
    }

    /// The number of the next own message to a group, which may have been known before.
    pub(super) fn next_after_forgotten(&mut self, group: &GroupId) -> u64 {
        let before = self.forgotten.iter().position(|(of, _)| of == group);
        let before = before.and_then(|at| self.forgotten.remove(at));
        before.map_or(0, |(_, next)| next)
    }

    /// Forgets a group and all that is held of it.
    pub(super) fn on_forget(&mut self, cx: &mut Cx<'_, Action>, group: &GroupId) {
        let Some(known) = self.groups.remove(group) else {
            return self.stale();
        };
        self.numbers.remove(&known.no);
        if known.next > 0 {
            self.forgotten.push_back((group.clone(), known.next));
        }
        if self.forgotten.len() > self.config.limits.groups {
            self.forgotten.pop_front();
        }
        for timer in [
            Timer::Digest(known.no),
            Timer::Park(known.no),
            Timer::Group(known.no),
            Timer::Ping(known.no),
        ] {
            self.timers.set(timer, None);
        }
        let held = self.messages.iter();
        let ids: Vec<MessageId> = held
            .filter(|(_, message)| message.view.group() == group)
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.end(cx, id, super::seen::Fate::Expired);
        }
        cx.act(Action::Interest(super::Interest::none(group.clone())));
    }

    fn on_up(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        round_trip: Option<core::time::Duration>,
        (payload_max, credit): (u32, u32),
    ) {
        if peer == self.me {
            return self.stale();
        }
        self.peers.turn(cx.now, peer, Line::Up, &self.config);
        self.peers.heard(cx.now, peer, &self.config);
        if let Some(took) = round_trip {
            self.peers.sample(&peer, took, 0);
        }
        if let Some(known) = self.peers.get_mut(&peer) {
            known.payload_max = payload_max;
            known.credit = credit;
        }
        self.timers.set(Timer::Dial(peer), None);
        self.with_all(cx, |rain, cx, id, message| {
            if let Some(seat) = message.view.seat(&peer) {
                rain.reached(cx, id, message, seat);
            }
        });
        self.greet(cx, peer);
        let groups: Vec<GroupId> = self.groups.keys().cloned().collect();
        for group in groups {
            self.introduce_to(cx, &group, peer);
        }
    }

    fn on_down(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey) {
        let before = self.peers.turn(cx.now, peer, Line::Down, &self.config);
        if before == Line::Down {
            return self.stale();
        }
        self.timers.set(Timer::Dial(peer), None);
        if before == Line::Up {
            self.suspect(cx, peer);
        }
        self.unpromise(cx, &peer);
        self.lost(cx, peer);
    }

    /// A member is lost to all messages.
    pub(super) fn lost(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey) {
        self.with_all(cx, |rain, cx, id, message| {
            if let Some(seat) = message.view.seat(&peer) {
                rain.lost_to(cx, id, message, seat);
            }
        });
    }

    pub(super) fn suspect(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey) {
        if self.peers.suspect(cx.now, peer, &self.config) {
            Self::notice(cx, Notice::Suspected { peer });
        }
    }

    pub(super) fn stale(&mut self) {
        self.stats.stale = self.stats.stale.saturating_add(1);
    }

    fn on_tick(&mut self, cx: &mut Cx<'_, Action>) {
        while let Some(timer) = self.timers.pop_due(cx.now) {
            match timer {
                Timer::Duty(id, seat) => self.duty_is_late(cx, id, seat),
                Timer::Chain(id, side) => self.chain_is_late(cx, id, side),
                Timer::Star(id, seat) => self.star_is_late(cx, id, seat),
                Timer::Start(id, side) => self.start(cx, id, side),
                Timer::Promise(id) => self.promise_ends(cx, id),
                Timer::Verdict(id) => self.verdict_is_late(cx, id),
                Timer::Expire(id) => self.end(cx, id, super::seen::Fate::Expired),
                Timer::Clean => self.flush(cx),
                Timer::Dial(peer) => self.on_down(cx, peer),
                Timer::Watch(peer) => self.watch(cx, peer),
                Timer::Digest(no) => self.digest_tick(cx, no),
                Timer::Park(no) => self.park_ends(cx, no),
                Timer::Ping(no) => self.ping_tick(cx, no),
                Timer::Group(no) => {
                    if let Some(group) = self.numbers.get(&no).cloned() {
                        self.on_forget(cx, &group);
                    }
                }
            }
        }
    }

    fn on_received(&mut self, cx: &mut Cx<'_, Action>, peer: MemberKey, frame: Frame) {
        if peer == self.me {
            return self.stale();
        }
        self.peers.heard(cx.now, peer, &self.config);
        match frame {
            Frame::Data(data) => self.on_data(cx, peer, *data),
            Frame::Duty(duty) => self.on_duty(cx, peer, duty),
            Frame::Ack { ids } => self.on_ack(cx, peer, &ids),
            Frame::Nack { ids, why } => self.on_nack(cx, peer, &ids, why),
            Frame::Igyw(igyw) => self.on_igyw(cx, peer, &igyw),
            Frame::Yes { ids } => self.on_yes(cx, peer, &ids),
            Frame::No { ids, proofs } => self.on_no(cx, peer, &ids, &proofs),
            Frame::Wait { ids } => self.on_wait(cx, peer, &ids),
            Frame::Digest {
                group,
                reply,
                entries,
            } => self.on_digest(cx, peer, &group, reply, &entries),
            Frame::Pull {
                group,
                origin,
                boot,
                ranges,
            } => self.on_pull(cx, peer, &group, (origin, boot), &ranges),
            Frame::Credit { bytes } => self.on_credit(cx, peer, bytes),
            Frame::Relay {
                to,
                from,
                ttl,
                frame,
            } => self.on_relay(cx, peer, (to, from), ttl, *frame),
            Frame::Join { group, record } => self.on_join(cx, peer, &group, record),
            Frame::Leave { group, record } => {
                self.on_records(cx, peer, &group, [Record::Left(record)].into());
            }
            Frame::Members { group, records } => self.on_records(cx, peer, &group, records),
            Frame::Ping { group, view } => self.on_ping(cx, peer, &group, view, true),
            Frame::Pong { group, view } => self.on_ping(cx, peer, &group, view, false),
            // The link's own.
            Frame::Hello { .. } | Frame::Proof { .. } => self.stale(),
        }
    }
}

impl Machine for Rain {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        match event {
            Event::View { view, expires } => self.on_view(cx, view, expires),
            Event::Forget(group) => self.on_forget(cx, &group),
            Event::Join {
                group,
                address,
                contacts,
            } => self.join(cx, &group, address, contacts),
            Event::Leave(group) => self.leave(cx, &group),
            Event::Publish {
                tag,
                group,
                payload,
                options,
            } => {
                let route = Route::to(group, options);
                self.publish(cx, tag, &route, payload);
            }
            Event::PublishTo {
                tag,
                audience,
                payload,
            } => self.publish(cx, tag, &audience.route(), payload),
            Event::Received { peer, frame } => self.on_received(cx, peer, frame),
            Event::Up {
                peer,
                round_trip,
                payload_max,
                credit,
            } => self.on_up(cx, peer, round_trip, (payload_max, credit)),
            Event::Down { peer } | Event::NotDialled { peer } => self.on_down(cx, peer),
            Event::Queued { peer, bytes } => {
                if let Some(known) = self.peers.get_mut(&peer) {
                    known.queued = bytes;
                }
            }
            Event::Verdict { id, verdict } => self.on_verdict(cx, id, verdict),
            Event::Tick => self.on_tick(cx),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        super::check::check(self)
    }
}

/// The work that a plan for this view allows beside the own: a multiple of the depth.
pub(super) fn budget(gaps: &Gaps, times: u32) -> u32 {
    u32::from(gaps.levels()).saturating_mul(times)
}

pub(super) fn holds(condition: bool, number: u16, text: &'static str) -> Result<(), Violated> {
    violated(condition, "rain", number, text)
}

/// Rejected messages are dropped with blame, ignored ones without.
pub(super) const fn is_good(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Accept)
}
