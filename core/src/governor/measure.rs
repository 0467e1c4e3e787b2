//! How far peers are: round trips, and hops to whoever makes blocks.
//!
//! In: how long keep-alive probes took, and when each peer announced which slot. Out: for each
//! peer a smoothed round trip, a number of hops, and both as one cost.
//!
//! # The round trip
//!
//! The first probe as it is; then an eighth of each further one is mixed in, in whole
//! microseconds. src: RFC 6298, section 2
//!
//! # The hop distance
//!
//! *The hop distance of a peer is the least number of links between us and the maker of a block,
//! by way of that peer.* It cannot be seen, but it can be estimated: a link that a block takes
//! costs about a round trip (the header is announced, the body is asked for, the body comes), so
//! a peer that is n links further from the maker than the best of our peers announces the block
//! about n round trips later. So, for each slot:
//!
//! - the peer that announces it first is 1 hop from the maker: we know no better;
//! - another is 1 + lag / unit hops from it, rounded to the nearest, 16 at most. Its *lag* is how
//!   much later than the first it had the slot: it had it half its round trip before it reached
//!   us. The *unit* is what a link costs, for which the mean round trip of our own peers stands,
//!   50 ms at least. It is not the peer's own: a peer in the next room takes blocks over links
//!   that are longer than the one to us. A peer whose round trip is not known is taken to be one
//!   unit away; one beyond 500 ms counts as that, so that no peer alone moves the mean by much.
//!
//! The hop distance is the least of the last 8 such numbers: the least, because makers are in many
//! places and the question is how near this peer is to the nearest; the last ones, so that it
//! rises when the network changes.
//!
//! A slot measures only what was news for everybody:
//!
//! - The first is noted when a second peer announces the slot; what one peer alone says is no
//!   measure, and a slot that nobody else has heard of does not make later ones old.
//! - A slot below one that two peers have announced in the last 10 min is ignored, as is an
//!   announcement that lags more than 5 s: its sender was catching up, or told us when we asked.
//!   Those slow by nature earn nothing on the [board](super::Board).
//! - Slots that come less than 250 ms after each other are not measured, because somebody is
//!   catching up, we perhaps: real slots are a second apart. Who knows that the node catches up
//!   should not tell announcements at all.
//!
//! A peer lowers its number by being early, which is what we want of it, or by slowing its probes
//! down, which costs it more than it gains. It raises that of others by being first, and by at
//! most 250 ms more if its probes are slow.
//!
//! # The cost
//!
//! The round trip, and `hop_cost` for each hop but one. A peer that has announced nothing that
//! counts (it was never hot) is taken to be as many hops away as those who have are on average,
//! rounded down. Without a round trip there is no cost.
//!
//! Limits: `peers_max` peers, at least one; a further one takes the place of one of whom nothing
//! was heard since about as many others came, or, if there is none, of any. 16 slots.
//!
//! Invariants: 1. the sums and counts of hops and round trips are those of the peers; 2. never more peers and slots
//! than the maximum; 3. no number of hops is 0 or above the maximum.

use alloc::collections::{BTreeMap, VecDeque};
use core::{net::SocketAddr, ops::Bound, time::Duration};

use smallvec::SmallVec;

use crate::base::{Instant, Slot, Violated, violated};

/// Hops at most. Blocks reach 15,000 nodes over 6 links each of which fans out to five.
/// Guess, not measured.
pub const HOPS_MAX: u8 = 16;

/// A hop costs no less, in microseconds. Guess: a round trip within a continent, and looking at
/// a header.
const UNIT_MIN: u64 = 50_000;
/// A round trip counts as no more when hops are counted, in microseconds: around the world and a
/// little. Guess, not measured.
const LINK_MAX: u64 = 500_000;
/// What lags more is no measure. src: Ouroboros network specification: blocks reach nearly all
/// nodes within 5 s
const LAG_MAX: Duration = Duration::from_secs(5);
/// Slots that come faster are not news. Guess, not measured.
const GAP_MIN: Duration = Duration::from_millis(250);
/// For so long nothing older than a slot that two peers announced is news.
const NEWEST_LIFE: Duration = Duration::from_secs(600);
/// The least of so many numbers counts.
const LAST: usize = 8;
/// Slots on which announcements are compared.
const SLOTS_MAX: usize = 16;
/// No round trip is longer, in microseconds: the time limits of keep-alive are shorter.
const ROUND_TRIP_MAX: u64 = 600_000_000;

/// What was measured of each peer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Measure {
    peers_max: usize,
    peers: BTreeMap<SocketAddr, Record>,
    /// Who was looked at last when somebody had to make room.
    hand: Option<SocketAddr>,
    /// Slots by when they were first announced, the latest last.
    slots: VecDeque<News>,
    /// The highest slot that two peers have announced, and when that was.
    newest: Option<(Slot, Instant)>,
    /// Of all peers that have a hop distance.
    hops: Mean,
    /// Of all peers that have a round trip, each cut to [`LINK_MAX`].
    links: Mean,
}

/// What was measured of a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Record {
    /// In microseconds.
    round_trip: Option<u64>,
    /// The last numbers of hops, the oldest first.
    hops: SmallVec<[u8; LAST]>,
    /// Whether anything was heard of it since it was looked at last.
    heard: bool,
}

/// A sum and of how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Mean {
    sum: u64,
    of: u64,
}

impl Mean {
    /// One of them has changed.
    fn change(&mut self, before: Option<u64>, after: Option<u64>) {
        if let Some(before) = before {
            self.sum = self.sum.saturating_sub(before);
            self.of = self.of.saturating_sub(1);
        }
        if let Some(after) = after {
            self.sum = self.sum.saturating_add(after);
            self.of = self.of.saturating_add(1);
        }
    }

    /// Rounded down.
    fn mean(self) -> Option<u64> {
        self.sum.checked_div(self.of)
    }
}

/// A slot that was announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct News {
    slot: Slot,
    first: SocketAddr,
    at: Instant,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum State {
    /// One peer has announced it.
    Alone,
    /// So have others.
    Confirmed,
    /// It came with others in a burst.
    Burst,
}

impl Measure {
    /// Nothing measured, of `peers_max` peers at most.
    pub const fn new(peers_max: usize) -> Self {
        Self {
            peers_max: if peers_max == 0 { 1 } else { peers_max },
            peers: BTreeMap::new(),
            hand: None,
            slots: VecDeque::new(),
            newest: None,
            hops: Mean { sum: 0, of: 0 },
            links: Mean { sum: 0, of: 0 },
        }
    }

    /// A probe of a peer came back.
    pub fn round_trip(&mut self, peer: SocketAddr, took: Duration) {
        let took = u64::try_from(took.as_micros())
            .unwrap_or(u64::MAX)
            .min(ROUND_TRIP_MAX);
        let record = self.record(peer);
        let before = record.link();
        let mixed = |old: u64| old.saturating_mul(7).saturating_add(took).saturating_add(4) / 8;
        record.round_trip = Some(record.round_trip.map_or(took, mixed));
        let after = record.link();
        self.links.change(before, after);
    }

    /// A peer has announced a slot.
    pub fn announced(&mut self, now: Instant, peer: SocketAddr, slot: Slot) {
        self.forget_slots(now);
        let Some(at) = self.slots.iter().position(|news| news.slot == slot) else {
            self.first(now, peer, slot);
            return;
        };
        let Some(news) = self.slots.get_mut(at) else {
            return;
        };
        let (first, since, state) = (news.first, news.at, news.state);
        if first == peer || state == State::Burst {
            return;
        }
        news.state = State::Confirmed;
        if self.newest.is_none_or(|(newest, _)| newest <= slot) {
            self.newest = Some((slot, now));
        }
        if state == State::Alone {
            self.note(first, 1);
        }
        let lag = now.since(since);
        self.note(
            peer,
            self.links_between(&first, &peer, lag).saturating_add(1),
        );
    }

    /// How many links further than the first a peer is that lags so much.
    fn links_between(&self, first: &SocketAddr, peer: &SocketAddr, lag: Duration) -> u8 {
        let unit = self.links.mean().unwrap_or(0).max(UNIT_MIN);
        let way = |peer| self.peers.get(peer).and_then(Record::link).unwrap_or(unit) / 2;
        let lag = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        let lag = lag.saturating_add(way(first)).saturating_sub(way(peer));
        let links = lag.saturating_add(unit / 2).checked_div(unit).unwrap_or(0);
        u8::try_from(links).unwrap_or(HOPS_MAX)
    }

    /// Forgets slots whose time is over.
    fn forget_slots(&mut self, now: Instant) {
        let over = |news: &News| now.since(news.at) > LAG_MAX;
        while self.slots.front().is_some_and(over) {
            self.slots.pop_front();
        }
        let over = |(_, at): &(Slot, Instant)| now.since(*at) > NEWEST_LIFE;
        self.newest = self.newest.filter(|newest| !over(newest));
    }

    /// Nobody has announced this slot of late.
    fn first(&mut self, now: Instant, first: SocketAddr, slot: Slot) {
        if self.newest.is_some_and(|(newest, _)| slot <= newest) {
            return;
        }
        let mut state = State::Alone;
        if let Some(before) = self.slots.back_mut()
            && now.since(before.at) < GAP_MIN
        {
            before.state = State::Burst;
            state = State::Burst;
        }
        if self.slots.len() >= SLOTS_MAX {
            self.slots.pop_front();
        }
        let at = now;
        self.slots.push_back(News {
            slot,
            first,
            at,
            state,
        });
    }

    fn note(&mut self, peer: SocketAddr, hops: u8) {
        let record = self.record(peer);
        let before = record.least();
        if record.hops.len() >= LAST {
            record.hops.remove(0);
        }
        record.hops.push(hops.min(HOPS_MAX));
        let after = record.least();
        self.hops
            .change(before.map(u64::from), after.map(u64::from));
    }

    fn record(&mut self, peer: SocketAddr) -> &mut Record {
        if self.peers.len() >= self.peers_max && !self.peers.contains_key(&peer) {
            self.make_room();
        }
        let record = self.peers.entry(peer).or_default();
        record.heard = true;
        record
    }

    /// Forgets the next peer, in turn, of whom nothing was heard since the last turn.
    fn make_room(&mut self) {
        // The second time around nobody was heard of any more.
        for _ in 0..=self.peers.len() {
            let after = self.hand.map_or(Bound::Unbounded, Bound::Excluded);
            let mut behind = self.peers.range((after, Bound::Unbounded));
            let next = behind.next().or_else(|| self.peers.first_key_value());
            let Some(peer) = next.map(|(peer, _)| *peer) else {
                return;
            };
            let record = self.peers.get_mut(&peer);
            let spared = record.is_some_and(|record| core::mem::take(&mut record.heard));
            self.hand = Some(peer);
            if !spared {
                return self.forget(&peer);
            }
        }
    }

    /// Forgets a peer.
    pub fn forget(&mut self, peer: &SocketAddr) {
        if let Some(record) = self.peers.remove(peer) {
            self.hops.change(record.least().map(u64::from), None);
            self.links.change(record.link(), None);
        }
    }

    /// The smoothed round trip.
    pub fn rtt(&self, peer: &SocketAddr) -> Option<Duration> {
        self.peers.get(peer)?.round_trip.map(Duration::from_micros)
    }

    /// The hop distance, 1 to [`HOPS_MAX`].
    pub fn hops(&self, peer: &SocketAddr) -> Option<u8> {
        self.peers.get(peer)?.least()
    }

    /// What a peer costs when the closest are picked.
    pub fn cost(&self, peer: &SocketAddr, hop_cost: Duration) -> Option<Duration> {
        let record = self.peers.get(peer)?;
        let average = || u32::try_from(self.hops.mean()?).ok();
        let hops = record.least().map(u32::from).or_else(average).unwrap_or(1);
        let hops = hop_cost.saturating_mul(hops.saturating_sub(1));
        Some(Duration::from_micros(record.round_trip?).saturating_add(hops))
    }

    /// Of how many peers anything is known.
    pub fn len(&self) -> usize {
        self.peers.len()
    }

    /// Whether nothing is known of anybody.
    pub fn is_empty(&self) -> bool {
        self.peers.is_empty()
    }

    /// Checks all invariants.
    pub fn check_invariants(&self) -> Result<(), Violated> {
        let name = "measure";
        let (mut hops, mut links) = (Mean::default(), Mean::default());
        for record in self.peers.values() {
            hops.change(None, record.least().map(u64::from));
            links.change(None, record.link());
        }
        let same = (self.hops, self.links) == (hops, links);
        violated(same, name, 1, "sums and counts are those of the peers")?;
        let few = self.peers.len() <= self.peers_max && self.slots.len() <= SLOTS_MAX;
        violated(few, name, 2, "never more peers and slots than the maximum")?;
        let in_range = |hops: &u8| (1..=HOPS_MAX).contains(hops);
        let mut records = self.peers.values();
        let all = records.all(|record| record.hops.iter().all(in_range));
        violated(all, name, 3, "hops are within their range")
    }
}

impl Record {
    fn least(&self) -> Option<u8> {
        self.hops.iter().min().copied()
    }

    fn link(&self) -> Option<u64> {
        self.round_trip.map(|round_trip| round_trip.min(LINK_MAX))
    }
}

#[cfg(test)]
mod tests;
