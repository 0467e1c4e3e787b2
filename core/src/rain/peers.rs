//! What is known of members beside their place: whether they are up, how far away, how much they
//! take, whether they were silent lately.
//!
//! src: RFC 6298, "Computing TCP's Retransmission Timer", for the round trip

use alloc::{collections::BTreeMap, vec::Vec};
use core::time::Duration;

use super::{
    canonical::{Heard, Seen},
    config::{Config, Limits, Reach, Times},
};
use crate::base::{GroupId, Instant, MemberKey, MessageId};

/// Payloads of at least so many bytes tell how fast a member takes bytes; smaller ones how far
/// away it is.
const BULK_BYTES: u32 = 16 << 10;
/// Bytes a second before anything is measured, and the least that is believed.
const RATE: u64 = 1_000_000;
const RATE_MIN: u64 = 64 << 10;
/// Members with a measured round trip before the time of a hop is made from them.
const SAMPLES_MIN: usize = 4;
/// Added to every wait. src: [OURS] guess, not measured
const GRACE: Duration = Duration::from_millis(20);

/// All members of whom something is known.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Peers {
    known: BTreeMap<MemberKey, Peer>,
    /// Silent lately, until when that counts.
    suspects: BTreeMap<MemberKey, Instant>,
    /// Dials that are not answered.
    dials: u32,
    /// What a hop takes for nearly all.
    hop: Duration,
}

/// A member.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Peer {
    pub line: Line,
    smoothed: Option<(Duration, Duration)>,
    rate: u64,
    /// The largest payload it takes.
    pub payload_max: u32,
    /// Payload bytes that we may send.
    pub credit: u32,
    /// Payload bytes that it may send.
    pub granted: u32,
    /// Payload bytes on the way to it.
    pub queued: u32,
    /// When anything came from it.
    pub heard: Instant,
    /// Questions not yet sent.
    pub asks: Vec<Question>,
    /// By how many chains of live messages it is counted.
    pub counted: u32,
    /// Since when it is asked for a sign of life.
    pub probed: Option<Instant>,
    /// How often it wanted a payload and did not take it since it took one.
    pub unreliable: u8,
    bucket: (u32, Instant),
}

/// Whether a member can be sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Line {
    Down,
    Dialling,
    Up,
}

/// A question that waits to be sent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Question {
    pub group: GroupId,
    pub epoch: u64,
    pub id: MessageId,
}

impl Peer {
    fn new(now: Instant, reach: Reach, limits: &Limits) -> Self {
        Self {
            line: match reach {
                Reach::Told => Line::Down,
                Reach::Assumed => Line::Up,
            },
            smoothed: None,
            rate: RATE,
            payload_max: limits.payload,
            credit: limits.credit,
            granted: limits.credit,
            queued: 0,
            heard: now,
            asks: Vec::new(),
            counted: 0,
            probed: None,
            unreliable: 0,
            bucket: (limits.asked_rate, now),
        }
    }

    /// Takes so many questions from what it may ask in a second; whether they were there.
    pub(super) fn may_ask(&mut self, now: Instant, ids: usize, per_second: u32) -> bool {
        let (left, since) = self.bucket;
        let passed = u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
        let fresh = passed.saturating_mul(per_second.into()) / 1_000_000;
        let fresh = u32::try_from(fresh).unwrap_or(per_second);
        let left = left.saturating_add(fresh).min(per_second);
        let since = if fresh > 0 { now } else { since };
        let wanted = u32::try_from(ids).unwrap_or(u32::MAX);
        let rest = left.checked_sub(wanted);
        self.bucket = (rest.unwrap_or(left), since);
        rest.is_some()
    }

    fn is_idle(&self) -> bool {
        self.line == Line::Down && self.counted == 0 && self.asks.is_empty()
    }
}

impl Peers {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            known: BTreeMap::new(),
            suspects: BTreeMap::new(),
            dials: 0,
            hop: config.times.rtt / 2,
        }
    }

    pub(super) fn get(&self, peer: &MemberKey) -> Option<&Peer> {
        self.known.get(peer)
    }

    pub(super) fn get_mut(&mut self, peer: &MemberKey) -> Option<&mut Peer> {
        self.known.get_mut(peer)
    }

    /// The entry of a member, made when there is none. Beyond the maximum the idle one heard from
    /// longest ago goes.
    pub(super) fn entry(&mut self, now: Instant, peer: MemberKey, config: &Config) -> &mut Peer {
        if self.known.len() >= config.limits.peers && !self.known.contains_key(&peer) {
            let idle = self.known.iter().filter(|(_, known)| known.is_idle());
            let oldest = idle.min_by_key(|(key, known)| (known.heard, **key));
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.known.remove(&oldest);
            }
        }
        let fresh = || Peer::new(now, config.reach, &config.limits);
        self.known.entry(peer).or_insert_with(fresh)
    }

    pub(super) fn is_up(&self, peer: &MemberKey, reach: Reach) -> bool {
        let line = self.known.get(peer).map(|known| known.line);
        match reach {
            Reach::Told => line == Some(Line::Up),
            Reach::Assumed => line.is_none_or(|line| line == Line::Up),
        }
    }

    pub(super) fn is_suspected(&self, now: Instant, peer: &MemberKey) -> bool {
        self.suspects.get(peer).is_some_and(|until| *until > now)
    }

    /// A member did not answer; whether that is news.
    pub(super) fn suspect(&mut self, now: Instant, peer: MemberKey, config: &Config) -> bool {
        let news = !self.is_suspected(now, &peer);
        if self.suspects.len() >= config.limits.suspects && !self.suspects.contains_key(&peer) {
            let first = self
                .suspects
                .iter()
                .min_by_key(|(key, until)| (**until, **key));
            if let Some(first) = first.map(|(key, _)| *key) {
                self.suspects.remove(&first);
            }
        }
        self.suspects
            .insert(peer, now.after(config.times.suspicion));
        news
    }

    /// Something came from a member.
    pub(super) fn heard(&mut self, now: Instant, peer: MemberKey, config: &Config) {
        self.suspects.remove(&peer);
        let known = self.entry(now, peer, config);
        known.heard = now;
        known.probed = None;
    }

    /// A dial may be made, and is counted; `false` when too many are under way.
    pub(super) fn dial(&mut self, now: Instant, peer: MemberKey, config: &Config) -> bool {
        let room = self.dials < config.limits.dials;
        let known = self.entry(now, peer, config);
        if known.line != Line::Down || !room {
            return false;
        }
        known.line = Line::Dialling;
        self.dials = self.dials.saturating_add(1);
        true
    }

    /// A member is up, or down; what it was before.
    pub(super) fn turn(
        &mut self,
        now: Instant,
        peer: MemberKey,
        line: Line,
        config: &Config,
    ) -> Line {
        let known = self.entry(now, peer, config);
        let before = core::mem::replace(&mut known.line, line);
        if line == Line::Down {
            known.asks.clear();
            known.queued = 0;
            known.unreliable = 0;
            known.credit = config.limits.credit;
            known.granted = config.limits.credit;
        }
        if before == Line::Dialling {
            self.dials = self.dials.saturating_sub(1);
        }
        before
    }

    /// A payload of so many bytes was acknowledged after this time.
    pub(super) fn sample(&mut self, peer: &MemberKey, took: Duration, bytes: u32) {
        let Some(known) = self.known.get_mut(peer) else {
            return;
        };
        if bytes >= BULK_BYTES {
            let distance = known.smoothed.map_or(Duration::ZERO, |(rtt, _)| rtt);
            let took = took.saturating_sub(distance).max(Duration::from_millis(1));
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).max(1);
            let rate = u64::from(bytes).saturating_mul(1_000_000) / micros;
            let smoothed = known.rate.saturating_mul(7).saturating_add(rate) / 8;
            known.rate = smoothed.max(RATE_MIN);
        } else {
            known.smoothed = Some(match known.smoothed {
                None => (took, took / 2),
                Some((rtt, deviation)) => (
                    (rtt * 7 + took) / 8,
                    (deviation * 3 + rtt.abs_diff(took)) / 4,
                ),
            });
        }
    }

    /// How long to wait for an answer of a member that is sent so many bytes of payload.
    pub(super) fn patience(&self, peer: &MemberKey, bytes: u32, times: &Times) -> Duration {
        let known = self.known.get(peer);
        let smoothed = known.and_then(|known| known.smoothed);
        let (rtt, deviation) = smoothed.unwrap_or((times.rtt, times.rtt_deviation));
        let wait = (rtt + deviation * 4 + GRACE).clamp(times.rto_min, times.rto_max);
        let bytes = u64::from(bytes).saturating_add(known.map_or(0, |known| known.queued.into()));
        let rate = known.map_or(RATE, |known| known.rate).max(1);
        wait.saturating_add(Duration::from_micros(
            bytes.saturating_mul(1_000_000) / rate,
        ))
    }

    /// What a hop takes for nineteen of twenty members that are up.
    pub(super) const fn hop(&self) -> Duration {
        self.hop
    }

    /// Measures the time of a hop anew: half the round trip at the 95th of a hundred, by nearest
    /// rank.
    pub(super) fn measure_hop(&mut self, times: &Times) {
        let up = self.known.values().filter(|known| known.line == Line::Up);
        let mut trips: Vec<Duration> = up.filter_map(|known| Some(known.smoothed?.0)).collect();
        trips.sort_unstable();
        let rank = trips.len().saturating_mul(95).div_ceil(100);
        let measured = (trips.len() >= SAMPLES_MIN)
            .then(|| trips.get(rank.saturating_sub(1)).copied())
            .flatten();
        self.hop = measured.unwrap_or(times.rtt) / 2;
    }

    pub(super) fn with_asks(&self) -> Vec<MemberKey> {
        let asks = self.known.iter();
        asks.filter(|(_, known)| !known.asks.is_empty())
            .map(|(key, _)| *key)
            .collect()
    }

    /// How often members are counted by chains, added up.
    pub(super) fn counted(&self) -> u64 {
        let all = self.known.values().map(|known| u64::from(known.counted));
        all.sum()
    }

    /// A message has ended: nobody is asked about it any more.
    pub(super) fn forget_asks(&mut self, id: &MessageId) {
        for known in self.known.values_mut() {
            known.asks.retain(|question| question.id != *id);
        }
    }

    /// Times as seen from a moment, with the next watch of each member.
    pub(super) fn rebase(
        &mut self,
        seen: Seen,
        heard: Heard,
        watched: impl Fn(&MemberKey) -> Option<Instant>,
        asked_rate: u32,
    ) {
        for (key, known) in &mut self.known {
            // At its next watch a member is asked for a sign of life, if not heard from by then,
            // unless this time was so late that it excuses it.
            let excused = known.probed.is_none() && {
                let until = known.heard.after(heard.watch);
                watched(key).is_some_and(|watch| until > watch)
            };
            let asked = seen.within(known.heard, heard.asked);
            known.heard = if excused || asked {
                seen.ago(known.heard, Duration::MAX)
            } else {
                Instant::FAR
            };
            known.probed = known.probed.map(|_| Instant::ZERO);
            known.bucket = (asked_rate, Instant::ZERO);
        }
        for until in self.suspects.values_mut() {
            *until = seen.ahead(*until);
        }
        self.suspects.retain(|_, until| *until > Instant::ZERO);
    }

    pub(super) fn dials(&self) -> (u32, usize) {
        let dialling = self.known.values();
        let dialling = dialling.filter(|known| known.line == Line::Dialling);
        (self.dials, dialling.count())
    }
}
