//! Machines, each kept once, and what each event makes of them.

use core::hash::Hash;
use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use samanea_core::{
    base::{Actor, Cx, First, GroupId, Instant, Machine as _, MemberKey, Rules as _, Signature},
    proto::rain_link::{Data, Flags, Frame, Limit, Terms},
    rain::{Action, Config, Door, Event, Options, Rain, Redundancy, View, id},
};
use siphasher::sip128::{Hasher128 as _, SipHasher13};

use super::{Rule, Scope, Violation, laws};
use crate::rain::toy::{Keyed, member, number};

/// The unit of waiting.
const WAIT: Duration = Duration::from_secs(3);
/// What is nearer than this is no waiting.
const SOON: Duration = Duration::from_millis(1);
/// Never, for whoever adds to it.
const NEVER: Duration = Duration::MAX;
/// Who hands the message to those that hold it at the beginning: no member.
const OUTSIDER: u32 = 1_000;

/// Of whom all are members.
pub(super) fn group() -> GroupId {
    GroupId::AllStaked
}

/// What a member is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    /// What comes on the lane from a member: its place and the number of it.
    Came(u8, u16),
    /// Time has come to the next deadline.
    Tick,
}

/// The numbers of what is no frame.
pub(super) const UP: u16 = 0;
pub(super) const DOWN: u16 = 1;
pub(super) const NOT_DIALLED: u16 = 2;
const FRAMES: u16 = 3;

/// When a member has something to do by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Due {
    Never,
    Soon,
    /// After waiting for something.
    Late,
}

/// A member at one time.
#[derive(Clone, Debug)]
struct Local {
    rain: Rain,
    now: Instant,
}

/// What a member is, as far as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outside {
    /// Its number.
    pub(super) local: u32,
    /// It holds the message.
    pub(super) holds: bool,
    pub(super) due: Due,
}

/// What an event makes of a member.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) after: Outside,
    /// To whom it sends what, by place and number.
    pub(super) sends: Vec<(u8, u16)>,
    /// Whom it dials.
    pub(super) dials: Vec<u8>,
    pub(super) marks: u16,
    pub(super) wrong: Option<Violation>,
}

/// All machines seen so far.
#[derive(Debug)]
pub(super) struct Locals {
    /// The members' numbers by place on the clean-up ring.
    places: Vec<u32>,
    /// Digests are signs of life; else there are none.
    signs: bool,
    all: Vec<Local>,
    /// Their numbers by fingerprint.
    by: BTreeMap<u128, u32>,
    frames: Vec<Frame>,
    numbers: BTreeMap<u128, u16>,
    /// By number of the member, what each event made of it.
    steps: Vec<BTreeMap<Said, Arc<Step>>>,
}

fn view(of: &GroupId, members: impl Iterator<Item = u32>) -> View {
    crate::rain::world::view_of(of, members)
}

/// The settings of a scope: all waits are equal, and nothing is forgotten.
pub(super) fn config(scope: &Scope) -> Config {
    let mut config = Config {
        redundancy: Some(Redundancy::None),
        doors: vec![Door {
            from: GroupId::Role(Actor::Servicer),
            into: group(),
            entries: 3,
        }],
        ..Config::default()
    };
    config.cleanup.custodians = scope.custodians;
    config.cleanup.serve_late = scope.without != Some(Rule::LateYes);
    config.cleanup.ask_passed = scope.without != Some(Rule::Passed);
    config.cleanup.rearm = scope.without != Some(Rule::ReArm);
    config.cleanup.watch = scope.without != Some(Rule::Watch);
    let times = &mut config.times;
    times.rto_min = WAIT;
    times.rto_max = WAIT;
    // Hops take so long that the left chain never begins, or hardly any time.
    times.rtt = if scope.both || scope.published {
        Duration::from_micros(2)
    } else {
        Duration::from_secs(1 << 50)
    };
    times.clean_tick = if scope.batches {
        Duration::from_micros(10)
    } else {
        Duration::ZERO
    };
    times.suspicion = if scope.wary { NEVER } else { Duration::ZERO };
    times.watch = if scope.faults.hang { WAIT * 2 } else { NEVER };
    times.promise = WAIT;
    times.digest = NEVER;
    times.retain = NEVER;
    times.seen = Duration::ZERO;
    config
}

impl Locals {
    pub(super) fn new(members: u8, signs: bool) -> Self {
        let view = view(&group(), 0..members.into());
        let seats = (0..members.into()).filter_map(|place| view.clean_at(place));
        let keys = seats.filter_map(|seat| view.key(seat));
        Self {
            places: keys.map(|key| number(&key)).collect(),
            signs,
            all: Vec::new(),
            by: BTreeMap::new(),
            frames: Vec::new(),
            numbers: BTreeMap::new(),
            steps: Vec::new(),
        }
    }

    /// How many machines were seen.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The key of a place.
    pub(super) fn key(&self, place: u8) -> MemberKey {
        member(self.places[usize::from(place)])
    }

    fn place(&self, key: &MemberKey) -> Option<u8> {
        let number = number(key);
        let at = self.places.iter().position(|of| *of == number)?;
        u8::try_from(at).ok()
    }

    /// Whether what comes is a message.
    pub(super) fn is_data(&self, what: u16) -> bool {
        let frame = what.checked_sub(FRAMES).map(usize::from);
        let frame = frame.and_then(|at| self.frames.get(at));
        match frame {
            Some(Frame::Relay { frame, .. }) => matches!(**frame, Frame::Data(_)),
            frame => matches!(frame, Some(Frame::Data(_))),
        }
    }

    fn number_of(&mut self, frame: Frame) -> u16 {
        let new = u16::try_from(self.frames.len()).unwrap_or(u16::MAX - FRAMES) + FRAMES;
        let known = *self.numbers.entry(print(&frame)).or_insert(new);
        if known == new {
            self.frames.push(frame);
        }
        known
    }

    fn meet(&mut self, local: Local) -> Outside {
        let print = print(&local.rain.canonical(local.now));
        let new = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        let known = *self.by.entry(print).or_insert(new);
        if known == new {
            self.all.push(local);
            self.steps.push(BTreeMap::new());
        }
        self.outside(known)
    }

    fn outside(&self, local: u32) -> Outside {
        let Local { rain, now } = &self.all[local as usize];
        let due = match rain.next_deadline() {
            None | Some(Instant::FAR) => Due::Never,
            Some(at) if at.since(*now) < SOON => Due::Soon,
            Some(_) => Due::Late,
        };
        Outside {
            local,
            holds: rain.held().next().is_some(),
            due,
        }
    }

    /// A member that is connected to all others, and has the message or not.
    pub(super) fn first(&mut self, config: &Config, place: u8, holds: bool) -> Outside {
        let me = self.key(place);
        let now = Instant::ZERO;
        let mut local = Local {
            rain: Rain::new(config.clone(), me, 1),
            now,
        };
        let expires = None;
        let all = view(&group(), self.places.iter().copied());
        let servicers = GroupId::Role(Actor::Servicer);
        let handed = holds.then(|| handed(&all));
        let views = [all, view(&servicers, [OUTSIDER].into_iter())];
        let views = views.map(|view| Event::View { view, expires });
        let others = self.places.iter().filter(|of| **of != number(&me));
        let ups = others.map(|of| up(member(*of)));
        let peer = member(OUTSIDER);
        let handed = handed.map(|frame| Event::Received { peer, frame });
        let ups: Vec<Event> = ups.collect();
        let mut out = Vec::new();
        for event in views
            .into_iter()
            .chain([Event::Tick])
            .chain(ups)
            .chain(handed)
        {
            tell(&mut local, event, &mut out);
        }
        self.meet(local)
    }

    /// A member that is connected to all others publishes.
    pub(super) fn publish(&mut self, config: &Config, place: u8) -> Arc<Step> {
        let before = self.first(config, place, false);
        let mut local = self.all[before.local as usize].clone();
        let event = Event::Publish {
            tag: 1,
            group: group(),
            payload: Bytes::new(),
            options: Options::default(),
        };
        let step = self.made(&mut local, event, None);
        Arc::new(step)
    }

    /// What an event makes of a member.
    pub(super) fn step(&mut self, before: u32, said: Said) -> Arc<Step> {
        if let Some(known) = self.steps[before as usize].get(&said) {
            return Arc::clone(known);
        }
        let mut local = self.all[before as usize].clone();
        let (event, heard) = match said {
            Said::Tick => {
                let due = local.rain.next_deadline();
                local.now = due.map_or(local.now, |due| due.max(local.now));
                (Event::Tick, None)
            }
            Said::Came(from, what) => {
                let peer = self.key(from);
                match what {
                    UP => (up(peer), Some(NOTHING)),
                    DOWN => (Event::Down { peer }, Some(NOTHING)),
                    NOT_DIALLED => (Event::NotDialled { peer }, Some(NOTHING)),
                    what => {
                        let frame = self.frames[usize::from(what - FRAMES)].clone();
                        let heard = Some(frame.clone());
                        (Event::Received { peer, frame }, heard)
                    }
                }
            }
        };
        let step = Arc::new(self.made(&mut local, event, heard.as_ref()));
        self.steps[before as usize].insert(said, Arc::clone(&step));
        step
    }

    fn made(&mut self, local: &mut Local, event: Event, heard: Option<&Frame>) -> Step {
        let before = laws::Before::of(&local.rain);
        let held = local.rain.held().next().is_some();
        let mut out = Vec::new();
        let mut wrong = tell(local, event, &mut out);
        let marks = before.marks(&local.rain, heard, &out);
        let (mut sends, mut dials) = (Vec::new(), Vec::new());
        let mut got = u32::from(held);
        for action in out {
            if let Some(text) = laws::wrong(&action) {
                wrong = wrong.or(Some(Violation::new("nobody is accused", text)));
            }
            match action {
                Action::Send { peer, frame, .. } => {
                    let to = self.place(&peer);
                    let frame = self.sent(frame);
                    sends.extend(to.zip(frame));
                }
                Action::Dial { peer } => dials.extend(self.place(&peer)),
                Action::Deliver(_) => got += 1,
                _ => {}
            }
        }
        let after = self.meet(local.clone());
        if got != u32::from(after.holds) {
            let text = format!("{got} times");
            wrong = wrong.or(Some(Violation::new("delivered once", text)));
        }
        Step {
            after,
            sends,
            dials,
            marks,
            wrong,
        }
    }

    /// A frame as it travels here: digests tell nothing.
    fn sent(&mut self, frame: Frame) -> Option<u16> {
        let frame = match frame {
            Frame::Digest { group, reply, .. } => {
                if !self.signs {
                    return None;
                }
                let entries = Vec::new();
                Frame::Digest {
                    group,
                    reply,
                    entries,
                }
            }
            other => other,
        };
        Some(self.number_of(frame))
    }
}

/// 128 bits: two of a million things share them with a chance of about 2^-89.
fn print(of: &impl Hash) -> u128 {
    let mut hasher = SipHasher13::new();
    of.hash(&mut hasher);
    hasher.finish128().as_u128()
}

/// Something that is heard, but no answer to anything.
const NOTHING: Frame = Frame::Credit { bytes: 0 };

fn up(peer: MemberKey) -> Event {
    let limits = samanea_core::rain::Limits::default();
    Event::Up {
        peer,
        round_trip: None,
        payload_max: limits.payload,
        credit: limits.credit,
    }
}

/// The message as an outsider hands it in.
fn handed(view: &View) -> Frame {
    let origin = member(OUTSIDER);
    let rules = Keyed(origin);
    let mut data = Data {
        group: group(),
        epoch: view.epoch(),
        view: view.digest().0,
        origin,
        boot: 1,
        seq: 0,
        limit: Limit::Key(origin),
        flags: Flags::CHAIN.with(Flags::INJECT),
        hop: 1,
        signature: Signature::default(),
        terms: Terms::default(),
        payload: Bytes::new(),
    };
    let id = id::message_id(&data, &rules);
    data.signature = rules.sign(&id::signed_bytes(&id)).unwrap_or_default();
    Frame::Data(Box::new(data))
}

/// Tells a member something, and lets it do what is due at once; what is wrong with it then.
fn tell(local: &mut Local, event: Event, out: &mut Vec<Action>) -> Option<Violation> {
    let rules = Keyed(local.rain.me());
    let mut next = Some(event);
    while let Some(event) = next {
        let mut choice = First;
        let mut cx = Cx::new(local.now, &mut choice, &rules, out);
        let ticks = event == Event::Tick;
        local.rain.step(&mut cx, event);
        if let Err(broken) = local.rain.check_invariants() {
            return Some(Violation::new("invariants", broken.to_string()));
        }
        let due = local.rain.next_deadline();
        let due = due.is_some_and(|at| at <= local.now);
        if due && ticks {
            return Some(Violation::new("a tick leaves nothing due", ""));
        }
        next = due.then_some(Event::Tick);
    }
    None
}
