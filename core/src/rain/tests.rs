use alloc::{collections::BTreeMap, vec, vec::Vec};
use core::{hash::Hasher, time::Duration};

use bytes::Bytes;
use siphasher::sip::SipHasher13;

use super::*;
use crate::base::{
    Cx, First, GroupId, Hash32, HeaderFault, HeaderView, Instant, Machine, MemberKey, MessageId,
    Rules, Signature, TxId,
};
use crate::proto::rain_link::{Flags, Frame};

mod coverage;
mod defences;
mod open;
mod stories;
mod strangers;

/// Rules of one member: a short hash in four parts, and a signature that anybody could make.
pub(super) struct Toy(pub MemberKey);

fn short(parts: &[&[u8]], salt: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(salt, 7);
    for part in parts {
        hasher.write(part);
    }
    hasher.finish()
}

impl Rules for Toy {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn header(&self, _wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        Err(HeaderFault::Malformed)
    }

    fn tx_id(&self, _wrapped: &[u8]) -> Option<TxId> {
        None
    }

    fn hash(&self, parts: &[&[u8]]) -> Hash32 {
        let mut hash = [0; 32];
        for (salt, chunk) in (0..).zip(hash.chunks_mut(8)) {
            chunk.copy_from_slice(&short(parts, salt).to_be_bytes());
        }
        Hash32(hash)
    }

    fn sign(&self, message: &[u8]) -> Option<Signature> {
        let hash = self.hash(&[&self.0.0, message]);
        Some(Signature([hash.0, hash.0]))
    }

    fn verify(&self, member: &MemberKey, message: &[u8], signature: &Signature) -> bool {
        let hash = self.hash(&[&member.0, message]);
        signature.0 == [hash.0, hash.0]
    }
}

pub(super) fn member(n: u32) -> MemberKey {
    let mut key = [0; 32];
    key[..4].copy_from_slice(&n.to_be_bytes());
    MemberKey(key)
}

pub(super) fn number(key: &MemberKey) -> u32 {
    u32::from_be_bytes(key.0[..4].try_into().unwrap())
}

/// Members of one group that send to each other with the same delay.
pub(super) struct World {
    pub now: Instant,
    pub rains: Vec<Rain>,
    pub dead: Vec<bool>,
    pub got: Vec<u32>,
    pub payloads: u32,
    pub controls: u32,
    pub done: Vec<(u32, Report)>,
    pub notices: Vec<(u32, Notice)>,
    queue: BTreeMap<(Instant, u64), (u32, Event)>,
    queued: u64,
    delay: Duration,
    /// What goes over the tree is lost.
    pub no_tree: bool,
}

fn is_tree(frame: &Frame) -> bool {
    matches!(frame, Frame::Data(data) if data.flags.has(Flags::TREE))
}

pub(super) fn group() -> GroupId {
    GroupId::AllStaked
}

impl World {
    pub(super) fn new(n: u32, config: &Config) -> Self {
        let rules = Toy(member(0));
        let members = (0..n).map(|n| member(n).into());
        let view = View::new(group(), 1, None, members, &rules).unwrap();
        let mut world = Self {
            now: Instant::ZERO,
            rains: (0..n)
                .map(|n| Rain::new(config.clone(), member(n), 1))
                .collect(),
            dead: vec![false; n as usize],
            got: vec![0; n as usize],
            payloads: 0,
            controls: 0,
            done: Vec::new(),
            notices: Vec::new(),
            queue: BTreeMap::new(),
            queued: 0,
            delay: Duration::from_millis(50),
            no_tree: false,
        };
        for at in 0..n {
            let view = view.clone();
            let expires = None;
            world.tell(at, Event::View { view, expires });
        }
        world
    }

    pub(super) fn tell(&mut self, at: u32, event: Event) {
        let mut out = Vec::new();
        let rain = &mut self.rains[at as usize];
        let rules = Toy(rain.me());
        rain.step(&mut Cx::new(self.now, &mut First, &rules, &mut out), event);
        rain.check_invariants().unwrap();
        assert!(rain.next_deadline().is_none_or(|at| at >= self.now));
        for action in out {
            self.act(at, action);
        }
    }

    fn act(&mut self, at: u32, action: Action) {
        match action {
            Action::Send { peer, frame, .. } => {
                if self.no_tree && is_tree(&frame) {
                    return;
                }
                if matches!(frame, Frame::Data(_)) {
                    self.payloads += 1;
                } else {
                    self.controls += 1;
                }
                let (to, peer) = (number(&peer), member(at));
                assert_ne!(to, at, "nobody sends to itself");
                self.queued += 1;
                let due = (self.now.after(self.delay), self.queued);
                self.queue
                    .insert(due, (to, Event::Received { peer, frame }));
            }
            Action::Deliver(_) => self.got[at as usize] += 1,
            Action::Notice(Notice::Done { report, .. }) => self.done.push((at, report)),
            Action::Notice(notice) => self.notices.push((at, notice)),
            Action::Dial { .. }
            | Action::Address { .. }
            | Action::Cancel { .. }
            | Action::Interest(_)
            | Action::Validate { .. } => {}
        }
    }

    pub(super) fn publish(&mut self, at: u32) {
        let event = Event::Publish {
            tag: 1,
            group: group(),
            payload: Bytes::from_static(b"rain"),
            options: Options::default(),
        };
        self.tell(at, event);
    }

    /// Runs for a span of time.
    pub(super) fn run(&mut self, span: Duration) {
        let end = self.now.after(span);
        loop {
            let timers = self.rains.iter().zip(&self.dead);
            let timer = timers
                .filter(|(_, dead)| !**dead)
                .filter_map(|(rain, _)| rain.next_deadline())
                .min();
            let frame = self.queue.keys().next().map(|(at, _)| *at);
            let next = timer.into_iter().chain(frame).min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(next);
            if frame == Some(next) {
                let ((_, _), (to, event)) = self.queue.pop_first().unwrap();
                if !self.dead[to as usize] {
                    self.tell(to, event);
                }
                continue;
            }
            for at in 0..self.rains.len() {
                let due = self.rains[at]
                    .next_deadline()
                    .is_some_and(|d| d <= self.now);
                if due && !self.dead[at] {
                    self.tell(u32::try_from(at).unwrap(), Event::Tick);
                    let next = self.rains[at].next_deadline();
                    assert!(next.is_none_or(|next| next > self.now), "a tick fires all");
                }
            }
        }
    }

    /// Live members that did not get it.
    pub(super) fn missed(&self) -> Vec<u32> {
        let all = (0..).zip(self.got.iter().zip(&self.dead));
        all.filter(|(_, (got, dead))| **got == 0 && !**dead)
            .map(|(at, _)| at)
            .collect()
    }
}

/// Everybody can be reached without dialling.
pub(super) fn plain() -> Config {
    Config {
        reach: Reach::Assumed,
        redundancy: Some(Redundancy::None),
        ..Config::default()
    }
}

pub(super) fn bare() -> Config {
    let mut config = plain();
    config.cleanup.on = false;
    config
}
