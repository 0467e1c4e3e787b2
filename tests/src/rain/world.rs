//! Machines of structured gossip alone, in virtual time: no connections, no bytes, frames that
//! arrive late.
//!
//! ```text
//!  publish ─▶ Rain ──Send──▶ heap by (time, to, from, count) ──Received──▶ Rain ─▶ …
//!               ▲                        │
//!               └────────Tick────────────┘
//! ```
//! Each frame takes half to one and a half times [`UNIT`], as follows from the seed, who sends
//! to whom and how many they were: so nothing that others do changes how long a frame takes. What happens at
//! the same time at one member is in the order of senders; so a run is a function of the seed.
//!
//! Limits: members are numbered without gaps; a world keeps who got which message when, and
//! nothing of frames but counts.

mod mood;

use core::{
    cmp::{Ordering, Reverse},
    hash::{Hash as _, Hasher as _},
    time::Duration,
};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use bytes::Bytes;
use samanea_core::{
    base::{Cx, GroupId, Instant, Machine as _, MemberKey, MessageId, Seeded},
    proto::rain_link::Frame,
    rain::{
        Action, Audience, Config, Delivery, Event, Notice, Options, Rain, Reach, Redundancy, View,
        Way,
    },
};
use siphasher::sip::SipHasher13;

pub use mood::Mood;

use super::toy::{Keyed, Lots, member, number};

/// How long a frame takes on average.
pub const UNIT: Duration = Duration::from_millis(100);

/// The settings of members of these worlds: everybody can be reached, nobody is asked twice by the
/// originator, and waiting for one who is dead costs four units.
pub fn config() -> Config {
    let mut config = Config {
        reach: Reach::Assumed,
        redundancy: Some(Redundancy::None),
        ..Config::default()
    };
    config.times.rtt = UNIT * 2;
    config.times.rtt_deviation = UNIT / 2;
    config.times.rto_min = UNIT * 4;
    config.times.rto_max = UNIT * 4;
    config
}

/// The same without what a group does between messages: digests and signs of life.
pub fn quiet() -> Config {
    let mut config = config();
    config.times.digest = Duration::from_secs(86_400);
    config.cleanup.watch = false;
    config
}

/// A delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Got {
    /// When.
    pub at: Instant,
    /// Over how many sends.
    pub hop: u8,
    /// How.
    pub way: Way,
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spread {
    /// When it was published.
    pub since: Instant,
    /// By member.
    pub got: BTreeMap<u32, Got>,
}

/// Frames sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// With payload.
    pub payloads: u64,
    /// Without, digests not counted.
    pub controls: u64,
    /// Digests.
    pub digests: u64,
}

/// One member.
struct Host {
    rain: Rain,
    choice: Seeded,
    mood: Mood,
    /// Events for it from here on are lost.
    gone: bool,
    /// When a tick is due, as queued.
    tick: Option<Instant>,
    /// Frames that came.
    heard: u64,
    /// With whom it has exchanged frames, and how many it has sent there.
    contacts: BTreeMap<u32, u64>,
    /// How many times as long frames to and from it take.
    slow: u32,
    /// Which part of the network it is in while that is cut.
    part: u8,
    /// The hash of all it was told and asked for, and how often.
    trace: (u64, u64),
}

/// Something under way.
struct Coming {
    at: Instant,
    to: u32,
    from: u32,
    count: u64,
    what: Option<Event>,
}

impl Coming {
    const fn order(&self) -> (Instant, u32, u32, u64) {
        (self.at, self.to, self.from, self.count)
    }
}

impl PartialEq for Coming {
    fn eq(&self, other: &Self) -> bool {
        self.order() == other.order()
    }
}

impl Eq for Coming {}

impl PartialOrd for Coming {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Coming {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

/// A world.
pub struct World {
    seed: u64,
    now: Instant,
    hosts: Vec<Host>,
    queue: BinaryHeap<Reverse<Coming>>,
    /// Whether parts of the network do not hear each other.
    cut: bool,
    /// Whether those in contact with one that crashes hear of it.
    pub reported: bool,
    /// Whether invariants are checked after each step.
    pub checked: bool,
    /// Frames between members with numbers below this, by sender: time, receiver, hash.
    pub watched: u32,
    /// What was seen of them.
    pub seen: Vec<(Instant, u32, u32, u64)>,
    sent: Sent,
    spreads: BTreeMap<MessageId, Spread>,
    /// The newest broadcast.
    published: Option<MessageId>,
    /// Who has handed which message on, and its id there.
    pub bridged: Vec<(u32, MessageId, MessageId)>,
    steps: u64,
    out: Vec<Action>,
}

impl World {
    /// Without members.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            now: Instant::ZERO,
            hosts: Vec::new(),
            queue: BinaryHeap::new(),
            cut: false,
            reported: false,
            checked: false,
            watched: 0,
            seen: Vec::new(),
            sent: Sent::default(),
            spreads: BTreeMap::new(),
            published: None,
            bridged: Vec::new(),
            steps: 0,
            out: Vec::new(),
        }
    }

    /// Members 0 to n−1 of one group, of which all have the same view.
    ///
    /// # Panics
    /// When there are more members than a view may have.
    pub fn of(n: u32, config: &Config, seed: u64) -> Self {
        let mut world = Self::new(seed);
        world.add(n, config, &GroupId::AllStaked);
        world
    }

    /// So many members more, with a group of their own.
    ///
    /// # Panics
    /// When there are more members than a view may have.
    pub fn add(&mut self, n: u32, config: &Config, group: &GroupId) {
        let first = self.members();
        let all = first..first + n;
        let view = view_of(group, all.clone());
        for _ in all.clone() {
            self.join(config);
        }
        for at in all {
            let view = view.clone();
            self.tell(
                at,
                Event::View {
                    view,
                    expires: None,
                },
            );
        }
    }

    /// Members of one group, each of which does not know of any other with this chance, in a
    /// thousand.
    ///
    /// # Panics
    /// When there are more members than a view may have.
    pub fn differing(n: u32, config: &Config, seed: u64, per_mille: u32) -> Self {
        let mut world = Self::new(seed);
        for at in 0..n {
            world.join(config);
            let mut lots = Lots::of(seed, u64::from(at) | 1 << 40);
            let known = (0..n).filter(|other| *other == at || !lots.happens(per_mille));
            let view = view_of(&GroupId::AllStaked, known);
            world.tell(
                at,
                Event::View {
                    view,
                    expires: None,
                },
            );
        }
        world
    }

    /// One member more, of no group.
    pub fn join(&mut self, config: &Config) -> u32 {
        let at = self.members();
        self.hosts.push(Host {
            rain: Rain::new(config.clone(), member(at), 1),
            choice: Seeded::new(self.seed ^ u64::from(at) << 32),
            mood: Mood::Sound,
            gone: false,
            tick: None,
            heard: 0,
            contacts: BTreeMap::new(),
            slow: 1,
            part: 0,
            trace: (0, 0),
        });
        at
    }

    /// How many members there are, alive or not.
    ///
    /// # Panics
    /// Never: numbers are 32 bits wide.
    pub fn members(&self) -> u32 {
        u32::try_from(self.hosts.len()).expect("few members")
    }

    /// The time.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Steps taken by all machines.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Frames that came to a member.
    pub fn heard(&self, at: u32) -> u64 {
        self.hosts[at as usize].heard
    }

    /// Frames sent.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// A member's machine.
    pub fn rain(&self, at: u32) -> &Rain {
        &self.hosts[at as usize].rain
    }

    /// The hash of all that a member was told and asked for, times included, and how much that
    /// was.
    pub fn trace(&self, at: u32) -> (u64, u64) {
        self.hosts[at as usize].trace
    }

    /// What a member does from now on.
    pub fn set_mood(&mut self, at: u32, mood: Mood) {
        let host = &mut self.hosts[at as usize];
        host.mood = mood;
        host.gone = mood == Mood::Dead;
    }

    /// Whether a member lives and is honest.
    pub fn is_sound(&self, at: u32) -> bool {
        let host = &self.hosts[at as usize];
        !host.gone && host.mood == Mood::Sound
    }

    /// Cuts the network: members hear those of the same part only.
    pub fn cut(&mut self, part: impl Fn(u32) -> u8) {
        for (at, host) in (0..).zip(&mut self.hosts) {
            host.part = part(at);
        }
        self.cut = true;
    }

    /// Heals the network. What was sent across meanwhile is lost.
    pub fn heal(&mut self) {
        self.cut = false;
    }

    /// From now on frames to and from a member take so many times as long.
    pub fn slow_down(&mut self, at: u32, times: u32) {
        self.hosts[at as usize].slow = times;
    }

    /// A member dies at once; those in contact with it hear of it when
    /// [`reported`](Self::reported).
    pub fn crash(&mut self, at: u32) {
        let host = &mut self.hosts[at as usize];
        host.gone = true;
        let contacts = core::mem::take(&mut host.contacts);
        if !self.reported {
            return;
        }
        for to in contacts.into_keys() {
            let peer = member(at);
            self.push(at, to, Event::Down { peer });
        }
    }

    /// A member broadcasts to a group: the id, if it was not refused.
    pub fn publish(&mut self, at: u32, group: &GroupId, payload: Bytes) -> Option<MessageId> {
        let before: BTreeSet<MessageId> = self.spreads.keys().copied().collect();
        let event = Event::Publish {
            tag: 1,
            group: group.clone(),
            payload,
            options: Options::default(),
        };
        self.tell(at, event);
        let mut all = self.spreads.keys();
        all.find(|id| !before.contains(id)).copied()
    }

    /// A member broadcasts to an audience: the id, if it was not refused.
    pub fn publish_to(&mut self, at: u32, audience: Audience, payload: Bytes) -> Option<MessageId> {
        self.published = None;
        let event = Event::PublishTo {
            tag: 1,
            audience,
            payload,
        };
        self.tell(at, event);
        self.published
    }

    /// What became of a message.
    pub fn spread(&self, id: &MessageId) -> Option<&Spread> {
        self.spreads.get(id)
    }

    /// All messages.
    pub fn spreads(&self) -> impl Iterator<Item = (&MessageId, &Spread)> {
        self.spreads.iter()
    }

    /// Live and honest members among these that did not get a message.
    pub fn missed(&self, id: &MessageId, among: core::ops::Range<u32>) -> Vec<u32> {
        let got = self.spreads.get(id).map(|spread| &spread.got);
        let missed = |at: &u32| self.is_sound(*at) && got.is_none_or(|got| !got.contains_key(at));
        among.filter(missed).collect()
    }

    /// Tells a member something at once.
    ///
    /// # Panics
    /// When an invariant does not hold and they are [checked](Self::checked).
    pub fn tell(&mut self, at: u32, event: Event) {
        let host = &mut self.hosts[at as usize];
        if host.gone {
            return;
        }
        self.steps += 1;
        let mut out = core::mem::take(&mut self.out);
        let mut hasher = SipHasher13::new_with_keys(host.trace.0, 0);
        let traced = at < self.watched;
        if traced {
            (self.now, &event).hash(&mut hasher);
        }
        if host.mood == Mood::Liar {
            mood::lie(event, &mut out);
        } else {
            let rules = Keyed(member(at));
            let mut cx = Cx::new(self.now, &mut host.choice, &rules, &mut out);
            host.rain.step(&mut cx, event);
        }
        if self.checked {
            host.rain
                .check_invariants()
                .unwrap_or_else(|broken| panic!("member {at}: {broken}"));
        }
        if traced {
            (&out, host.rain.next_deadline()).hash(&mut hasher);
            host.trace = (hasher.finish(), host.trace.1 + 1);
        }
        let dies = host.mood == Mood::Dying && mood::acknowledges(&out);
        if dies {
            mood::last_words(&mut out);
        }
        for action in out.drain(..) {
            self.act(at, action);
        }
        self.out = out;
        if dies {
            self.crash(at);
        }
        self.wake(at);
    }

    /// Queues the next tick of a member, if it is earlier than the one that is queued.
    fn wake(&mut self, at: u32) {
        let host = &mut self.hosts[at as usize];
        if host.gone || host.mood == Mood::Liar {
            return;
        }
        let Some(due) = host.rain.next_deadline() else {
            return;
        };
        if host.tick.is_some_and(|tick| tick <= due) {
            return;
        }
        host.tick = Some(due);
        self.queue.push(Reverse(Coming {
            at: due.max(self.now),
            to: at,
            from: at,
            count: u64::MAX,
            what: None,
        }));
    }

    fn act(&mut self, at: u32, action: Action) {
        match action {
            Action::Send { peer, frame, .. } => self.send(at, number(&peer), frame),
            Action::Deliver(delivery) => self.deliver(at, &delivery),
            Action::Notice(Notice::Published { id, .. }) => self.published = Some(id),
            Action::Notice(Notice::Bridged { id, onward, .. }) => {
                self.bridged.push((at, id, onward));
            }
            // Everybody can be reached.
            Action::Dial { .. }
            | Action::Address { .. }
            | Action::Cancel { .. }
            | Action::Interest(_)
            | Action::Validate { .. }
            | Action::Notice(_) => {}
        }
    }

    fn deliver(&mut self, at: u32, delivery: &Delivery) {
        let since = self.now;
        let fresh = || Spread {
            since,
            got: BTreeMap::new(),
        };
        let spread = self.spreads.entry(delivery.id).or_insert_with(fresh);
        let got = Got {
            at: since,
            hop: delivery.hop,
            way: delivery.way,
        };
        let twice = spread.got.insert(at, got);
        assert_eq!(twice, None, "member {at} got {:?} twice", delivery.id);
    }

    fn send(&mut self, from: u32, to: u32, frame: Frame) {
        let count = match &frame {
            Frame::Data(_) => &mut self.sent.payloads,
            Frame::Digest { .. } => &mut self.sent.digests,
            _ => &mut self.sent.controls,
        };
        *count += 1;
        if from < self.watched && to < self.watched {
            let mut hasher = SipHasher13::new();
            frame.hash(&mut hasher);
            self.seen.push((self.now, from, to, hasher.finish()));
        }
        let peer = member(from);
        self.push(from, to, Event::Received { peer, frame });
    }

    /// Puts an event on its way.
    ///
    /// # Panics
    /// When it is for who sends it.
    pub fn push(&mut self, from: u32, to: u32, event: Event) {
        assert_ne!(from, to, "nobody sends to itself");
        let parts = self
            .hosts
            .get(from as usize)
            .zip(self.hosts.get(to as usize));
        let apart = parts.is_none_or(|(one, two)| one.part != two.part);
        let slow = parts.map_or(1, |(one, two)| one.slow.max(two.slow));
        let count = self.hosts[from as usize].contacts.entry(to).or_insert(0);
        *count += 1;
        let count = *count;
        if let Some(other) = self.hosts.get_mut(to as usize).filter(|_| self.reported) {
            other.contacts.entry(from).or_insert(0);
        }
        if self.cut && apart {
            return;
        }
        let mut lots = Lots::of(
            self.seed ^ count << 1,
            u64::from(from) << 32 | u64::from(to),
        );
        let unit = u32::try_from(UNIT.as_micros()).unwrap_or(u32::MAX);
        let takes = Duration::from_micros(u64::from(unit / 2 + lots.below(unit + 1)));
        self.queue.push(Reverse(Coming {
            at: self.now.after(takes * slow),
            to,
            from,
            count,
            what: Some(event),
        }));
    }

    /// Lets time pass.
    ///
    /// # Panics
    /// When a tick leaves a deadline that is not later.
    pub fn run(&mut self, span: Duration) {
        let end = self.now.after(span);
        while self
            .queue
            .peek()
            .is_some_and(|Reverse(next)| next.at <= end)
        {
            let Some(Reverse(next)) = self.queue.pop() else {
                break;
            };
            self.now = self.now.max(next.at);
            let Some(host) = self.hosts.get_mut(next.to as usize) else {
                continue;
            };
            let Some(event) = next.what else {
                self.tick(next.to, next.at);
                continue;
            };
            if !host.gone {
                host.heard += u64::from(matches!(event, Event::Received { .. }));
                self.tell(next.to, event);
            }
        }
        self.now = end;
    }

    fn tick(&mut self, at: u32, due: Instant) {
        let host = &mut self.hosts[at as usize];
        let still = host.gone || host.mood == Mood::Liar;
        if still || host.tick.is_none_or(|tick| tick.max(due) != due) {
            return;
        }
        host.tick = None;
        if host
            .rain
            .next_deadline()
            .is_some_and(|next| next <= self.now)
        {
            self.tell(at, Event::Tick);
            let host = &self.hosts[at as usize];
            let next = host.rain.next_deadline();
            assert!(
                host.gone || next.is_none_or(|next| next > self.now),
                "a tick fires all"
            );
        } else {
            self.wake(at);
        }
    }
}

/// A view of epoch 1 of these members.
///
/// # Panics
/// When there are more members than a view may have.
pub fn view_of(group: &GroupId, members: impl Iterator<Item = u32>) -> View {
    let rules = Keyed(MemberKey::default());
    let members = members.map(|number| member(number).into());
    View::new(group.clone(), 1, None, members, &rules).expect("few members")
}
