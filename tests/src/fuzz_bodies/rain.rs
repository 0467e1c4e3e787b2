//! A few members of structured gossip, a stranger who says anything, and a network that loses,
//! repeats and reorders.

use core::time::Duration;
use std::collections::BTreeMap;

use bytes::Bytes;
use samanea_core::{
    base::{Cx, GroupId, Instant, Kind, Machine as _, MemberKey, MessageId, Rules as _},
    proto::rain_link::{Data, Flags, Frame, Ids, Limit},
    rain::{
        Acks, Action, Audience, Config, Door, Event, MessageClass, Options, Rain, Reach,
        Redundancy, Shape, Validation, Verdict, View, audience, id,
    },
};

use super::holds;
use crate::{
    frames,
    rain::toy::{Keyed, member},
    speak::{below, some},
    tape::ByteTape,
};

/// Events of one run at most.
const EVENTS_MAX: usize = 400;
/// Frames under way at most; beyond, they are lost.
const FRAMES_MAX: usize = 64;
/// Nobody gets a message twice within this: ids are remembered longer.
const ONCE: Duration = Duration::from_secs(100);

/// The first bytes draw settings, the rest what happens. After each step every invariant holds,
/// what is sent can be read, nobody sends to itself, and nobody gets a message twice.
///
/// # Panics
/// When a law is broken.
pub fn rain(bytes: &[u8]) {
    let mut tape = ByteTape::new(bytes);
    let mut room = Room::new(&mut tape);
    for _ in 0..EVENTS_MAX {
        if tape.is_spent() {
            break;
        }
        room.happen(&mut tape);
    }
    room.settle();
}

struct Room {
    now: Instant,
    rains: Vec<Rain>,
    /// Key 0 to n−1 are members with a machine; n is a member without, n + 1 is none.
    view: View,
    under_way: Vec<(MemberKey, usize, Frame)>,
    ids: Vec<MessageId>,
    got: BTreeMap<(usize, MessageId), Instant>,
}

fn group() -> GroupId {
    audience::validators()
}

/// Where blocks go on to: one who is a member here, too, one without a machine, and a stranger.
fn others(n: u32) -> View {
    let rules = Keyed(member(0));
    let members = [1, n, n + 2].map(|number| member(number).into());
    let view = View::new(audience::others(), 1, None, members, &rules);
    view.unwrap_or_else(|_| unreachable!("a few members"))
}

impl Room {
    fn new(tape: &mut ByteTape) -> Self {
        let n = 2 + below(tape, 2);
        let config = settings(tape);
        let rules = Keyed(member(0));
        let members = (0..=n).map(|number| member(number).into());
        let view = View::new(group(), 1, None, members, &rules);
        let view = view.unwrap_or_else(|_| unreachable!("a few members"));
        let mut room = Self {
            now: Instant::from_secs(1),
            rains: (0..n)
                .map(|number| Rain::new(config.clone(), member(number), 1))
                .collect(),
            view,
            under_way: Vec::new(),
            ids: Vec::new(),
            got: BTreeMap::new(),
        };
        for at in 0..room.rains.len() {
            let (view, expires) = (room.view.clone(), None);
            room.tell(tape, at, Event::View { view, expires });
            let (view, expires) = (others(n), None);
            room.tell(tape, at, Event::View { view, expires });
        }
        room
    }

    fn someone(&self, tape: &mut ByteTape) -> usize {
        below(tape, u32::try_from(self.rains.len()).unwrap_or(1)) as usize
    }

    /// Any key: of a member, of one who has no machine, of none.
    fn anyone(&self, tape: &mut ByteTape) -> MemberKey {
        let n = u32::try_from(self.rains.len()).unwrap_or(1);
        member(below(tape, n + 2))
    }

    fn happen(&mut self, tape: &mut ByteTape) {
        let at = self.someone(tape);
        match below(tape, 16) {
            0 => self.publish(tape, at),
            1..=4 => self.arrive(tape, true),
            5 => self.arrive(tape, false),
            6 => {
                let lost = some(tape, u32::try_from(self.under_way.len()).unwrap_or(0));
                if lost < self.under_way.len() {
                    self.under_way.swap_remove(lost);
                }
            }
            7 | 8 => self.tick_next(tape),
            9 => {
                self.now = self
                    .now
                    .after(Duration::from_millis(below(tape, 8_192).into()));
                self.tell(tape, at, Event::Tick);
            }
            10 => {
                let peer = self.anyone(tape);
                let event = match below(tape, 4) {
                    0 => Event::Down { peer },
                    1 => Event::NotDialled { peer },
                    2 => Event::Queued {
                        peer,
                        bytes: below(tape, 1 << 24),
                    },
                    _ => Event::Up {
                        peer,
                        round_trip: Some(Duration::from_millis(below(tape, 512).into())),
                        payload_max: 1 << below(tape, 20),
                        credit: 1 << below(tape, 20),
                    },
                };
                self.tell(tape, at, event);
            }
            11 => {
                let verdicts = [Verdict::Accept, Verdict::Reject, Verdict::Ignore];
                let verdict = verdicts[some(tape, 3)];
                if let Some(id) = self.some_id(tape) {
                    self.tell(tape, at, Event::Verdict { id, verdict });
                }
            }
            12 | 13 => {
                let peer = self.anyone(tape);
                let frame = self.hostile(tape);
                self.tell(tape, at, Event::Received { peer, frame });
            }
            14 => self.rearrange(tape, at),
            _ => self.snapshot(at),
        }
    }

    fn some_id(&self, tape: &mut ByteTape) -> Option<MessageId> {
        let at = some(tape, u32::try_from(self.ids.len()).unwrap_or(0));
        self.ids.get(at).copied()
    }

    fn publish(&mut self, tape: &mut ByteTape, at: usize) {
        let redundancies = [
            None,
            Some(Redundancy::None),
            Some(Redundancy::OriginatorStar),
            Some(Redundancy::Thirds),
            Some(Redundancy::AskedStar),
        ];
        let bits = below(tape, 256);
        let options = Options {
            class: [MessageClass::Ordinary, MessageClass::Consensus][(bits & 1) as usize],
            redundancy: redundancies[(bits >> 1) as usize % redundancies.len()],
            critical: bits & 64 != 0,
            byzantine: bits & 128 != 0,
            life: (bits & 0b110_0000 == 0b110_0000).then_some(Duration::from_millis(700)),
        };
        let payload = Bytes::from(vec![7; 1 << below(tape, 18)]);
        let (tag, group) = (bits.into(), group());
        let event = if bits % 8 == 5 {
            let audience = Audience::Block;
            Event::PublishTo {
                tag,
                audience,
                payload,
            }
        } else {
            Event::Publish {
                tag,
                group,
                payload,
                options,
            }
        };
        self.tell(tape, at, event);
    }

    /// Something that is under way comes, and perhaps again later.
    fn arrive(&mut self, tape: &mut ByteTape, once: bool) {
        let at = some(tape, u32::try_from(self.under_way.len()).unwrap_or(0));
        if at >= self.under_way.len() {
            return;
        }
        let (peer, to, frame) = if once {
            self.under_way.remove(at)
        } else {
            self.under_way[at].clone()
        };
        self.now = self.now.after(Duration::from_millis(20));
        self.tell(tape, to, Event::Received { peer, frame });
    }

    /// Time goes on to the earliest deadline of all.
    fn tick_next(&mut self, tape: &mut ByteTape) {
        let due = self.rains.iter().enumerate();
        let due = due.filter_map(|(at, rain)| Some((rain.next_deadline()?, at)));
        let Some((due, at)) = due.min() else {
            return;
        };
        self.now = self.now.max(due);
        self.tell(tape, at, Event::Tick);
    }

    /// Views come and go.
    fn rearrange(&mut self, tape: &mut ByteTape, at: usize) {
        let n = u32::try_from(self.rains.len()).unwrap_or(1);
        let event = match below(tape, 4) {
            0 => Event::Forget(group()),
            1 => Event::View {
                view: self.view.clone(),
                expires: Some(Duration::from_secs(3)),
            },
            bits => {
                let epoch = self.view.epoch() + u64::from(below(tape, 3));
                let who = member(below(tape, n + 2));
                let (joined, left) = if bits == 2 {
                    (Some(who.into()), None)
                } else {
                    (None, Some(who))
                };
                let rules = Keyed(who);
                let view = self.view.next(epoch, None, joined, left, &rules);
                let Ok(view) = view else { return };
                if below(tape, 2) == 0 {
                    self.view = view.clone();
                }
                Event::View {
                    view,
                    expires: None,
                }
            }
        };
        self.tell(tape, at, event);
    }

    /// What comes out of a snapshot is what went in.
    fn snapshot(&self, at: usize) {
        let rain = &self.rains[at];
        let bytes = postcard::to_allocvec(rain).unwrap_or_default();
        assert!(
            postcard::from_bytes::<Rain>(&bytes).as_ref() == Ok(rain),
            "{rain:?}"
        );
    }

    /// A frame that fits, of any kind, about what is known here; or a message that is well signed
    /// and says anything else.
    fn hostile(&self, tape: &mut ByteTape) -> Frame {
        let kind = below(tape, 32);
        if kind >= 19 {
            return self.signed(tape);
        }
        let kind = Kind(u8::try_from(kind).unwrap_or(0));
        let mut frame = frames::frame(kind, tape, false);
        let known = self.some_id(tape);
        let us = below(tape, 4) > 0;
        let (n, from) = (self.view.members(), below(tape, self.view.members() + 1));
        let limit = Limit::Key(member(from % (n + 1)));
        match &mut frame {
            Frame::Ack { ids }
            | Frame::Nack { ids, .. }
            | Frame::Yes { ids }
            | Frame::Wait { ids } => {
                replaced(ids, known);
            }
            Frame::No { ids, proofs } => {
                replaced(ids, known);
                proofs.truncate(ids.len());
                if proofs.len() < ids.len() {
                    proofs.clear();
                }
            }
            Frame::Igyw(igyw) => {
                replaced(&mut igyw.ids, known);
                igyw.group = if us { group() } else { igyw.group.clone() };
                igyw.epoch = if us { self.view.epoch() } else { igyw.epoch };
            }
            Frame::Duty(duty) => {
                duty.id = known.unwrap_or(duty.id);
                duty.limit = if us { limit } else { duty.limit };
            }
            Frame::Digest { group: of, .. }
            | Frame::Pull { group: of, .. }
            | Frame::Join { group: of, .. }
            | Frame::Leave { group: of, .. }
            | Frame::Ping { group: of, .. }
            | Frame::Pong { group: of, .. }
            | Frame::Members { group: of, .. }
                if us =>
            {
                *of = group();
            }
            _ => {}
        }
        frame
    }

    fn signed(&self, tape: &mut ByteTape) -> Frame {
        let origin = self.anyone(tape);
        let ways = [Flags::TREE, Flags::CHAIN, Flags::REDUNDANT, Flags::PULLED];
        let mut flags = ways[some(tape, 4)];
        let bits = below(tape, 8);
        for (bit, flag) in [Flags::WANT_ACK, Flags::DELEGATED, Flags::INJECT]
            .into_iter()
            .enumerate()
        {
            if bits >> bit & 1 != 0 {
                flags = flags.with(flag);
            }
        }
        let limit = match below(tape, 3) {
            0 => Limit::Level(u8::try_from(below(tape, 256)).unwrap_or(0)),
            _ => Limit::Key(self.anyone(tape)),
        };
        let epoch = (self.view.epoch() + u64::from(below(tape, 3))).saturating_sub(1);
        let same = below(tape, 2) == 0;
        let mut data = Data {
            group: if below(tape, 4) > 0 {
                group()
            } else {
                audience::others()
            },
            epoch,
            view: if same { self.view.digest().0 } else { [0; 8] },
            origin,
            boot: below(tape, 3),
            seq: [0, 1, 2, 3, 16, 5_000, u64::MAX - 1, u64::MAX][some(tape, 8)],
            limit,
            flags,
            hop: u8::try_from(below(tape, 256)).unwrap_or(0),
            signature: samanea_core::base::Signature::default(),
            terms: frames::terms(tape),
            payload: Bytes::from(vec![1; some(tape, 64)]),
        };
        let rules = Keyed(origin);
        let id = id::message_id(&data, &rules);
        if below(tape, 8) > 0 {
            data.signature = rules.sign(&id::signed_bytes(&id)).unwrap_or_default();
        }
        Frame::Data(Box::new(data))
    }

    fn tell(&mut self, tape: &mut ByteTape, at: usize, event: Event) {
        let rain = &mut self.rains[at];
        let me = rain.me();
        let rules = Keyed(me);
        let ticks = event == Event::Tick;
        let early = ticks && rain.next_deadline().is_none_or(|due| due > self.now);
        let before = early.then(|| rain.clone());
        let mut out = Vec::new();
        rain.step(&mut Cx::new(self.now, tape, &rules, &mut out), event);
        holds(rain.check_invariants());
        let next = rain.next_deadline();
        assert!(
            !ticks || next.is_none_or(|next| next > self.now),
            "a tick fires all: {rain:?}"
        );
        if let Some(before) = before {
            assert!(
                before == *rain && out.is_empty(),
                "an early tick changes something: {rain:?}"
            );
        }
        for action in out {
            self.act(at, me, action);
        }
    }

    fn act(&mut self, at: usize, me: MemberKey, action: Action) {
        match action {
            Action::Send { peer, frame, .. } => {
                assert_ne!(peer, me, "{frame:?} for itself");
                assert_eq!(frame.check(), Ok(()), "{frame:?}");
                let to = self.rains.iter().position(|rain| rain.me() == peer);
                if let Some(to) = to.filter(|_| self.under_way.len() < FRAMES_MAX) {
                    self.under_way.push((me, to, frame));
                }
            }
            Action::Deliver(delivery) => {
                let id = delivery.id;
                let before = self.got.insert((at, id), self.now);
                let again = before.is_some_and(|before| self.now.since(before) < ONCE);
                assert!(!again, "{at} got {id:?} twice");
                if !self.ids.contains(&id) {
                    self.ids.push(id);
                }
            }
            Action::Dial { peer } => assert_ne!(peer, me, "dials itself"),
            Action::Interest(interest) => {
                let mut all = interest
                    .hot
                    .iter()
                    .chain(&interest.warm)
                    .chain(&interest.accept);
                assert!(!all.any(|key| *key == me), "is interested in itself");
            }
            Action::Cancel { .. }
            | Action::Validate { .. }
            | Action::Address { .. }
            | Action::Notice(_) => {}
        }
    }

    /// With nothing more to come, every message ends.
    fn settle(&mut self) {
        let mut tape = ByteTape::new(&[]);
        self.under_way.clear();
        self.now = self.now.after(Duration::from_secs(61));
        for at in 0..self.rains.len() {
            self.tell(&mut tape, at, Event::Tick);
            assert_eq!(self.rains[at].held().count(), 0, "{:?}", self.rains[at]);
        }
    }
}

fn replaced(ids: &mut Ids, known: Option<MessageId>) {
    if let Some(known) = known {
        *ids = [known].into_iter().collect();
    }
}

/// Settings with small limits, so that they are met.
fn settings(tape: &mut ByteTape) -> Config {
    let mut config = Config::default();
    let bits = below(tape, 256);
    config.shape = [
        Shape::Exact,
        Shape::Exact,
        Shape::Legacy,
        Shape::LegacyForwardAll,
    ][(bits & 3) as usize];
    config.acks = [Acks::All, Acks::All, Acks::Top, Acks::Off][(bits >> 2 & 3) as usize];
    config.reach = [Reach::Told, Reach::Assumed][(bits >> 4 & 1) as usize];
    config.cleanup.challenge = bits & 32 != 0;
    config.validation = [
        Validation::None,
        Validation::Beside,
        Validation::Before,
        Validation::None,
    ][(bits >> 6 & 3) as usize];
    let bits = below(tape, 256);
    config.cleanup.custodians = u8::try_from(bits & 3).unwrap_or(0);
    config.adoption = bits >> 2 & 3;
    config.star_asks_max = 1 + (bits >> 4 & 1);
    if bits & 32 != 0 {
        let limits = &mut config.limits;
        (limits.messages, limits.peers, limits.suspects) = (3, 2, 1);
        (limits.promises, limits.waiters, limits.passed) = (1, 1, 1);
        (limits.parked, limits.origins, limits.dials) = (1, 1, 1);
        (limits.batch, limits.asked_rate, limits.groups) = (1, 4, 2);
        (limits.origin_share, limits.credit) = (1, 1 << 12);
    }
    config.doors = if bits & 64 != 0 {
        let entries = 1 + (bits & 3);
        let door = |into| Door {
            from: group(),
            into,
            entries,
        };
        [group(), audience::others()].map(door).into()
    } else {
        Vec::new()
    };
    config
}

#[cfg(test)]
mod tests {
    use super::{super::noise, *};

    #[test]
    fn noise_breaks_no_law() {
        for seed in 0..1_500 {
            rain(&noise(seed, 400));
        }
    }
}
