//! Which bodies are asked of whom, and what is due.
//!
//! ```text
//!  candidate ─▶ blocks with only a header ─▶ contiguous ranges ─▶ Request
//!                bytes in flight ≥ high: busy until they are ≤ low
//! ```
//! A peer is asked only for blocks of its own candidate, only when that is longer than our chain,
//! and never for a block that is due from anyone. Marks follow the round-trip time, as if every
//! path carried 500 KB/s.
//! src: Ouroboros network specification, "Block Fetch decision logic"
//!
//! deviates: one mode for all; near the tip no body is asked for twice either. Peers that are
//! equally good are ordered by latency alone.
//!
//! Invariants: 1. the counts of blocks and of active peers are right; 2. the bytes in flight of a
//! peer are those of its ranges; 3. never more than [`REQUESTS_MAX`] ranges of one peer.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};
use core::time::Duration;

use super::{
    Misdeed,
    candidates::{Candidate, Phase},
    index::{Index, State},
};
use crate::base::{Hash32, Instant, Point, Serial, Violated, violated};

/// Requests in flight to one peer at most, inclusive.
pub(super) const REQUESTS_MAX: usize = 100;
/// The low mark at least, in bytes.
const LOW_MIN: u64 = 196_608;

/// How far away a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Latency {
    round_trip_us: u64,
    sampled: Option<Instant>,
}

impl Latency {
    /// Before any sample: half a second each way.
    const UNKNOWN: Self = Self {
        round_trip_us: 1_000_000,
        sampled: None,
    };

    /// One more sample, weighted by the time since the one before in parts of 1,000 s.
    fn sample(&mut self, now: Instant, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let new = took.min(60_000_000);
        let old = self.round_trip_us;
        self.round_trip_us = match self.sampled {
            None => new,
            Some(before) => {
                let span = now.since(before).as_micros().min(1_000_000_000);
                let step = u128::from(new.abs_diff(old)) * span / 1_000_000_000;
                let step = u64::try_from(step).unwrap_or(0);
                if new > old { old + step } else { old - step }
            }
        };
        self.sampled = Some(now);
    }

    /// Below this many bytes in flight the peer is asked again.
    fn low(self) -> u64 {
        LOW_MIN.max((self.round_trip_us + 20_000).div_ceil(2))
    }

    fn high(self) -> u64 {
        self.low() * 2
    }
}

/// A range that is due.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Range {
    pub(super) from: Point,
    pub(super) to: Point,
    /// Blocks still to come, with their bytes as the headers say.
    blocks: VecDeque<(Hash32, u64)>,
}

impl Range {
    /// Blocks still to come, oldest first.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Hash32> + '_ {
        self.blocks.iter().map(|(hash, _)| *hash)
    }

    fn bytes(&self) -> u64 {
        self.blocks.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// One peer as a source of bodies.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Source {
    ranges: VecDeque<Range>,
    bytes: u64,
    busy: bool,
    resting: bool,
}

/// All sources.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Fetch {
    by: BTreeMap<Serial, Source>,
    latency: BTreeMap<Serial, Latency>,
    latency_max: usize,
    active: usize,
    active_max: usize,
    due: usize,
    /// Whether no bodies are fetched because the application is in trouble.
    pub(super) held: bool,
    /// Whether a body was not asked for because no question had a place.
    pub(super) starved: bool,
}

impl Fetch {
    pub(super) const fn new(active_max: usize, latency_max: usize) -> Self {
        Self {
            by: BTreeMap::new(),
            latency: BTreeMap::new(),
            latency_max,
            active: 0,
            active_max,
            due: 0,
            held: false,
            starved: false,
        }
    }

    /// Bodies that are due.
    pub(super) const fn due(&self) -> usize {
        self.due
    }

    pub(super) fn add(&mut self, conn: Serial) {
        self.by.entry(conn).or_default();
    }

    /// The peer is gone as a source; what was due from it.
    pub(super) fn remove(&mut self, conn: Serial) -> VecDeque<Range> {
        let Some(source) = self.by.remove(&conn) else {
            return VecDeque::new();
        };
        if !source.ranges.is_empty() {
            self.active -= 1;
        }
        for range in &source.ranges {
            self.due -= range.blocks.len();
        }
        source.ranges
    }

    /// A keep-alive probe came back.
    pub(super) fn sample(&mut self, conn: Serial, now: Instant, took: Duration) {
        if self.latency.len() < self.latency_max || self.latency.contains_key(&conn) {
            let latency = self.latency.entry(conn).or_insert(Latency::UNKNOWN);
            latency.sample(now, took);
        }
    }

    /// The connection is gone.
    pub(super) fn forget(&mut self, conn: Serial) {
        self.latency.remove(&conn);
    }

    fn latency(&self, conn: Serial) -> Latency {
        let known = self.latency.get(&conn).copied();
        known.unwrap_or(Latency::UNKNOWN)
    }

    /// Microseconds there and back.
    pub(super) fn round_trip_us(&self, conn: Serial) -> u64 {
        self.latency(conn).round_trip_us
    }

    /// Lets the peer rest (or ends that).
    pub(super) fn rest(&mut self, conn: Serial, resting: bool) {
        if let Some(source) = self.by.get_mut(&conn) {
            source.resting = resting;
        }
    }

    /// Whether the peer may be asked for anything now.
    fn may_ask(&self, conn: Serial) -> bool {
        self.by.get(&conn).is_some_and(|source| {
            !source.resting
                && !source.busy
                && source.ranges.len() < REQUESTS_MAX
                && (!source.ranges.is_empty() || self.active < self.active_max)
        })
    }

    /// What this peer is to be asked: ranges of its candidate, at most `room` blocks. They are
    /// due from now on.
    pub(super) fn plan(
        &mut self,
        index: &mut Index,
        conn: Serial,
        candidate: &mut Candidate,
        room: usize,
        k: u64,
    ) -> Vec<(Point, Point)> {
        let mut asked = Vec::new();
        let worth = candidate.phase == Phase::Followed
            && candidate.length(index) > index.tip().len()
            && candidate.fork().saturating_add(k) >= index.tip_height();
        if !worth || !self.may_ask(conn) {
            return asked;
        }
        let high = self.latency(conn).high();
        let Some(source) = self.by.get_mut(&conn) else {
            return asked;
        };
        let idle = source.ranges.is_empty();
        let mut left = room;
        while left > 0 && source.ranges.len() < REQUESTS_MAX && source.bytes < high {
            let Some(range) = next_range(index, candidate, left, high - source.bytes) else {
                break;
            };
            left = left.saturating_sub(range.blocks.len());
            self.due += range.blocks.len();
            source.bytes += range.bytes();
            asked.push((range.from, range.to));
            source.ranges.push_back(range);
        }
        if !asked.is_empty() {
            source.busy = source.bytes >= high;
            self.active += usize::from(idle);
        }
        asked
    }

    /// A block came: which one it answers for.
    pub(super) fn block(&mut self, conn: Serial) -> Result<Hash32, Misdeed> {
        let low = self.latency(conn).low();
        let source = self.by.get_mut(&conn).ok_or(Misdeed::TooMany)?;
        let range = source.ranges.front_mut().ok_or(Misdeed::TooMany)?;
        let (hash, bytes) = range.blocks.pop_front().ok_or(Misdeed::TooMany)?;
        source.bytes -= bytes;
        source.busy = source.bytes > low;
        self.due -= 1;
        Ok(hash)
    }

    /// The oldest range is complete.
    pub(super) fn done(&mut self, conn: Serial) -> Result<(), Misdeed> {
        let source = self.by.get_mut(&conn).ok_or(Misdeed::TooMany)?;
        let range = source.ranges.front().ok_or(Misdeed::TooMany)?;
        if !range.blocks.is_empty() {
            return Err(Misdeed::TooFew);
        }
        source.ranges.pop_front();
        self.active -= usize::from(source.ranges.is_empty());
        Ok(())
    }

    /// The peer has not got the oldest range.
    pub(super) fn no_blocks(&mut self, conn: Serial) -> Result<Range, Misdeed> {
        let source = self.by.get_mut(&conn).ok_or(Misdeed::TooMany)?;
        let range = source.ranges.pop_front().ok_or(Misdeed::TooMany)?;
        self.unasked(conn, range)
    }

    /// The newest range with these ends was not sent.
    pub(super) fn refused(&mut self, conn: Serial, from: Point, to: Point) -> Option<Range> {
        let source = self.by.get_mut(&conn)?;
        let same = |range: &Range| range.from == from && range.to == to;
        let at = source.ranges.iter().rposition(same)?;
        let range = source.ranges.remove(at)?;
        self.unasked(conn, range).ok()
    }

    fn unasked(&mut self, conn: Serial, range: Range) -> Result<Range, Misdeed> {
        let low = self.latency(conn).low();
        let source = self.by.get_mut(&conn).ok_or(Misdeed::TooMany)?;
        source.bytes -= range.bytes();
        source.busy = source.bytes > low;
        self.due -= range.blocks.len();
        self.active -= usize::from(source.ranges.is_empty());
        Ok(range)
    }

    /// Checks invariants 1 to 3.
    pub(super) fn check_invariants(&self) -> Result<(), Violated> {
        let name = "chain fetch";
        let sources = self.by.values();
        let active = sources.clone().filter(|s| !s.ranges.is_empty()).count();
        let ranges = sources.clone().flat_map(|s| &s.ranges);
        let due: usize = ranges.map(|range| range.blocks.len()).sum();
        let right = active == self.active && due == self.due;
        violated(right, name, 1, "the counts are right")?;
        for source in sources {
            let bytes: u64 = source.ranges.iter().map(Range::bytes).sum();
            violated(
                bytes == source.bytes,
                name,
                2,
                "the bytes in flight are right",
            )?;
            let few = source.ranges.len() <= REQUESTS_MAX;
            violated(few, name, 3, "never too many ranges")?;
        }
        Ok(())
    }
}

/// The next contiguous blocks of a candidate whose bodies nobody has asked for: at most `count`,
/// and no more after `bytes` are reached.
fn next_range(
    index: &mut Index,
    candidate: &mut Candidate,
    count: usize,
    bytes: u64,
) -> Option<Range> {
    let mut blocks = VecDeque::new();
    let (mut from, mut to) = (Point::Origin, Point::Origin);
    let mut sum = 0_u64;
    candidate.next = candidate.next.max(candidate.fork() + 1);
    while candidate.next <= candidate.head_height() && blocks.len() < count && sum < bytes {
        let ix = candidate.at(index, candidate.next)?;
        let entry = index.entry(ix)?;
        let (point, body) = (entry.view.point, u64::from(entry.view.body_bytes.max(1)));
        if entry.state == State::Announced {
            if blocks.is_empty() {
                from = point;
            }
            to = point;
            sum += body;
            blocks.push_back((point.hash()?, body));
            index.set_state(ix, State::Due);
        } else if !blocks.is_empty() {
            break;
        }
        candidate.next += 1;
    }
    (!blocks.is_empty()).then_some(Range { from, to, blocks })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_moves_the_distance_by_the_time_that_passed() {
        let mut latency = Latency::UNKNOWN;
        let mut at = Vec::new();
        for (seconds, ms) in [(0, 100), (500, 300), (510, 1_200), (5_000, 7), (5_000, 900)] {
            latency.sample(Instant::from_secs(seconds), Duration::from_millis(ms));
            at.push(latency.round_trip_us);
        }
        assert_eq!(at, [100_000, 200_000, 210_000, 7_000, 7_000]);
        assert_eq!(Latency::UNKNOWN.low(), 510_000);
        assert_eq!((latency.low(), latency.high()), (LOW_MIN, 2 * LOW_MIN));
    }
}
