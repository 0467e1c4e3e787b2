//! Who was first: a board of the latest slots, and what each peer is worth by it.
//!
//! In: the first header and the first body of each slot that each peer gave us. Out: for each peer
//! how often it was first with a header (upstreamyness) and with a body (fetchyness), over a
//! sliding window of slots.
//!
//! Limits: `window` slots on each half of the board; peers registered at most `peers_max`, a new one
//! beyond that is not registered and scores like a stranger.
//!
//! Invariants: 1. each peer's counts are the entries that name it; 2. neither half has more
//! entries than the window; 3. never more peers than the maximum.
//!
//! src: ouroboros-network, `PeerMetric`

use alloc::{collections::BTreeMap, vec::Vec};
use core::{cmp::Ordering, net::SocketAddr};

use crate::base::{Instant, Slot, Violated, violated};

/// What a peer is worth when hot peers are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Worth {
    /// Slots in which it was first with the header.
    Upstream,
    /// Slots in which it was first with the body.
    FetchedBlocks,
    /// Bytes of the bodies with which it was first. What counts while catching up.
    FetchedBytes,
    /// Headers and bodies together. What counts near the tip.
    #[default]
    Both,
}

/// A score in 2^-16 of a slot or byte, so that corrections need no rounding that matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Score(pub u64);

impl Score {
    /// Of whole slots or bytes.
    pub const fn whole(n: u64) -> Self {
        Self(n.saturating_mul(1 << 16))
    }
}

/// Whether those who came late are given what they could not earn yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Newcomers {
    /// A peer that was there for a part of the window only gets for the rest what the middle one
    /// of all peers earned; one that was there for less than a tenth of it gets that for all of it.
    /// Default: without it the peers promoted last are the first to go, whatever they are worth.
    /// The middle rather than the average, because some bad peers among the others would put the
    /// newcomer last but those.
    #[default]
    Middle,
    /// Only what was earned counts. src: ouroboros-network, as shipped
    Nothing,
}

/// The board.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Board {
    window: usize,
    peers_max: usize,
    headers: BTreeMap<Slot, First>,
    bodies: BTreeMap<Slot, First>,
    peers: BTreeMap<SocketAddr, Record>,
}

/// Who was first for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct First {
    peer: SocketAddr,
    at: Instant,
    bytes: u32,
}

/// What is known of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Record {
    joined: Slot,
    seen: Slot,
    headers: u32,
    bodies: u32,
    bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Headers,
    Bodies,
}

impl Board {
    /// An empty board of `window` slots, at least one, for `peers_max` peers.
    pub const fn new(window: usize, peers_max: usize) -> Self {
        Self {
            window: if window == 0 { 1 } else { window },
            peers_max,
            headers: BTreeMap::new(),
            bodies: BTreeMap::new(),
            peers: BTreeMap::new(),
        }
    }

    /// A peer has announced the header of this slot.
    pub fn header(&mut self, peer: SocketAddr, slot: Slot, at: Instant) {
        self.report(Half::Headers, slot, First { peer, at, bytes: 0 });
    }

    /// A peer has given us the body of this slot.
    pub fn body(&mut self, peer: SocketAddr, slot: Slot, at: Instant, bytes: u32) {
        self.report(Half::Bodies, slot, First { peer, at, bytes });
    }

    fn report(&mut self, half: Half, slot: Slot, first: First) {
        if !self.register(first.peer, slot) {
            return;
        }
        let board = self.half(half);
        let old = board.get(&slot).copied();
        let lowest = board.keys().next().copied();
        let full = board.len() >= self.window;
        let too_old = old.is_none() && full && lowest.is_some_and(|lowest| slot < lowest);
        let late = old.is_some_and(|old| old.at <= first.at);
        if too_old || late {
            return;
        }
        let oldest = self.oldest();
        if let Some(old) = self.half_mut(half).insert(slot, first) {
            self.count(half, old, Sign::Minus);
        }
        self.count(half, first, Sign::Plus);
        while self.half(half).len() > self.window {
            if let Some((_, gone)) = self.half_mut(half).pop_first() {
                self.count(half, gone, Sign::Minus);
            }
        }
        if self.oldest() != oldest {
            self.forget_old();
        }
    }

    /// Notes that a peer is there; `false` when there is no room for another.
    fn register(&mut self, peer: SocketAddr, slot: Slot) -> bool {
        if let Some(record) = self.peers.get_mut(&peer) {
            record.seen = record.seen.max(slot);
            return true;
        }
        if self.peers.len() >= self.peers_max {
            return false;
        }
        let record = Record {
            joined: slot,
            seen: slot,
            headers: 0,
            bodies: 0,
            bytes: 0,
        };
        self.peers.insert(peer, record);
        true
    }

    /// Peers that the board does not name and that were not seen within it are forgotten.
    fn forget_old(&mut self) {
        if let Some(oldest) = self.oldest() {
            self.peers
                .retain(|_, peer| peer.seen >= oldest || peer.headers > 0 || peer.bodies > 0);
        }
    }

    fn oldest(&self) -> Option<Slot> {
        let first = |board: &BTreeMap<Slot, First>| board.keys().next().copied();
        let (headers, bodies) = (first(&self.headers), first(&self.bodies));
        headers.into_iter().chain(bodies).min()
    }

    fn newest(&self) -> Option<Slot> {
        let last = |board: &BTreeMap<Slot, First>| board.keys().next_back().copied();
        let (headers, bodies) = (last(&self.headers), last(&self.bodies));
        headers.into_iter().chain(bodies).max()
    }

    const fn half(&self, half: Half) -> &BTreeMap<Slot, First> {
        match half {
            Half::Headers => &self.headers,
            Half::Bodies => &self.bodies,
        }
    }

    const fn half_mut(&mut self, half: Half) -> &mut BTreeMap<Slot, First> {
        match half {
            Half::Headers => &mut self.headers,
            Half::Bodies => &mut self.bodies,
        }
    }

    fn count(&mut self, half: Half, first: First, sign: Sign) {
        let Some(record) = self.peers.get_mut(&first.peer) else {
            return;
        };
        let bytes = u64::from(first.bytes);
        match (half, sign) {
            (Half::Headers, Sign::Plus) => record.headers = record.headers.saturating_add(1),
            (Half::Headers, Sign::Minus) => record.headers = record.headers.saturating_sub(1),
            (Half::Bodies, Sign::Plus) => {
                record.bodies = record.bodies.saturating_add(1);
                record.bytes = record.bytes.saturating_add(bytes);
            }
            (Half::Bodies, Sign::Minus) => {
                record.bodies = record.bodies.saturating_sub(1);
                record.bytes = record.bytes.saturating_sub(bytes);
            }
        }
    }

    /// What a peer is worth, and the slot since which the board knows it. A stranger is worth
    /// nothing and was never there: it sorts before all others.
    pub fn worth(
        &self,
        peer: &SocketAddr,
        worth: Worth,
        newcomers: Newcomers,
    ) -> (Score, Option<Slot>) {
        let Some(record) = self.peers.get(peer) else {
            return (Score(0), None);
        };
        let own = Score::whole(earned(record, worth));
        let gift = match newcomers {
            Newcomers::Nothing => 0,
            Newcomers::Middle => self.gift(record, worth),
        };
        (Score(own.0.saturating_add(gift)), Some(record.joined))
    }

    /// What a peer gets for the part of the window in which it was not there: what the middle one
    /// of those there for a tenth of it or longer earned a slot, times the slots it missed; rounded
    /// down to 2^-16.
    fn gift(&self, record: &Record, worth: Worth) -> u64 {
        let (Some(oldest), Some(newest)) = (self.oldest(), self.newest()) else {
            return 0;
        };
        let span = newest.saturating_sub(oldest).saturating_add(1);
        let present = |record: &Record| {
            let missed = record.joined.saturating_sub(oldest).min(span);
            span.saturating_sub(missed)
        };
        let is_new = |present: u64| present < span / 10;
        let mine = present(record);
        let missed = if is_new(mine) {
            span
        } else {
            span.saturating_sub(mine)
        };
        if missed == 0 {
            return 0;
        }
        let all = self.peers.values();
        let settled = all.filter(|peer| !is_new(present(peer)));
        let mut rates: Vec<Rate> = settled
            .map(|peer| Rate {
                earned: earned(peer, worth),
                slots: present(peer).max(1),
            })
            .collect();
        rates.sort_unstable_by(Rate::compare);
        let middle = rates.get(rates.len() / 2);
        middle.map_or(0, |middle| middle.over(missed))
    }

    /// How many peers are registered.
    pub fn peers(&self) -> usize {
        self.peers.len()
    }

    /// Forgets a peer and all that names it.
    pub fn forget(&mut self, peer: &SocketAddr) {
        if self.peers.remove(peer).is_some() {
            self.headers.retain(|_, first| first.peer != *peer);
            self.bodies.retain(|_, first| first.peer != *peer);
        }
    }

    /// Checks all invariants.
    pub fn check_invariants(&self) -> Result<(), Violated> {
        let name = "board";
        let sums = self.peers.iter().all(|(peer, record)| {
            let mine = |board: &BTreeMap<Slot, First>| {
                let mine = board.values().filter(|first| first.peer == *peer);
                mine.fold((0_u32, 0_u64), |(n, bytes), first| {
                    (
                        n.saturating_add(1),
                        bytes.saturating_add(first.bytes.into()),
                    )
                })
            };
            let (headers, (bodies, bytes)) = (mine(&self.headers).0, mine(&self.bodies));
            (record.headers, record.bodies, record.bytes) == (headers, bodies, bytes)
        });
        let known = |first: &First| self.peers.contains_key(&first.peer);
        let named = self.headers.values().chain(self.bodies.values()).all(known);
        violated(sums && named, name, 1, "each peer's counts are its entries")?;
        let short = self.headers.len() <= self.window && self.bodies.len() <= self.window;
        violated(short, name, 2, "never more entries than the window")?;
        let few = self.peers.len() <= self.peers_max;
        violated(few, name, 3, "never more peers than the maximum")
    }
}

#[derive(Clone, Copy)]
enum Sign {
    Plus,
    Minus,
}

/// Earned in so many slots, at least one.
#[derive(Clone, Copy)]
struct Rate {
    earned: u64,
    slots: u64,
}

impl Rate {
    /// Which of two is more.
    fn compare(&self, other: &Self) -> Ordering {
        let of = |a: &Self, b: &Self| u128::from(a.earned).saturating_mul(b.slots.into());
        of(self, other).cmp(&of(other, self))
    }

    /// What it comes to in `slots`, in 2^-16, rounded down.
    fn over(self, slots: u64) -> u64 {
        let scaled = (u128::from(self.earned) << 16).saturating_mul(slots.into());
        u64::try_from(scaled.checked_div(self.slots.into()).unwrap_or(0)).unwrap_or(u64::MAX)
    }
}

fn earned(record: &Record, worth: Worth) -> u64 {
    match worth {
        Worth::Upstream => record.headers.into(),
        Worth::FetchedBlocks => record.bodies.into(),
        Worth::FetchedBytes => record.bytes,
        Worth::Both => u64::from(record.headers).saturating_add(record.bodies.into()),
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        base::{self, Site},
        governor::pick,
    };

    fn peer(n: u8) -> SocketAddr {
        (Ipv4Addr::new(192, 0, 2, n), 3001).into()
    }

    fn score(board: &Board, n: u8, worth: Worth) -> u64 {
        board.worth(&peer(n), worth, Newcomers::Nothing).0.0 >> 16
    }

    #[derive(Clone, Copy, Debug)]
    struct Report {
        body: bool,
        peer: u8,
        slot: u64,
        at: u64,
        bytes: u32,
    }

    fn reports() -> impl Strategy<Value = Vec<Report>> {
        let one = (
            any::<bool>(),
            0_u8..12,
            0_u64..60,
            0_u64..1_000,
            0_u32..90_000,
        );
        let one = one.prop_map(|(body, peer, slot, at, bytes)| Report {
            body,
            peer,
            slot,
            at,
            bytes,
        });
        prop::collection::vec(one, 1..200)
    }

    fn tell(board: &mut Board, r: Report) {
        let at = Instant::from_millis(r.at);
        if r.body {
            board.body(peer(r.peer), r.slot, at, r.bytes);
        } else {
            board.header(peer(r.peer), r.slot, at);
        }
    }

    proptest! {
        /// Counts follow the entries whatever is reported, and are never more than the window.
        #[test]
        fn scores_are_the_entries_of_the_board(
            reports in reports(), window in 1_usize..40, peers_max in 1_usize..14,
        ) {
            let mut board = Board::new(window, peers_max);
            for report in reports {
                tell(&mut board, report);
                board.check_invariants().unwrap();
                let all: u64 = (0..12).map(|n| score(&board, n, Worth::Upstream)).sum();
                prop_assert!(all <= window as u64);
            }
        }

        /// Property 68 of the reference: with five peers or more, and a board of 90 slots or more, a
        /// newcomer is not among the worst fifth, whoever earned how much before.
        #[test]
        fn a_newcomer_is_not_among_the_worst_fifth(
            first in prop::collection::vec((0_u8..20, 0_u8..20, 0_u32..90_000), 90..200),
            peers in 4_u8..20,
            is_first: bool,
        ) {
            let mut board = Board::new(180, 100);
            for (slot, (header, body, bytes)) in (0..).zip(&first) {
                let at = Instant::from_secs(slot);
                for n in 0..peers {
                    let late = u64::from(n != header % peers);
                    board.header(peer(n), slot, Instant::from_millis(slot * 1_000 + late));
                }
                board.body(peer(body % peers), slot, at, *bytes);
            }
            let last = first.len() as u64 - 1;
            let at = Instant::from_secs(last + u64::from(!is_first));
            board.header(peer(peers), last + 1, at);
            board.header(peer(0), last + 1, Instant::from_secs(last + 1));
            let worths = [Worth::Upstream, Worth::FetchedBlocks, Worth::FetchedBytes, Worth::Both];
            for worth in worths {
                let all = 0..=peers;
                let worth = |n| board.worth(&peer(n), worth, Newcomers::Middle);
                let hot = all.map(|n| (n, worth(n)));
                let fifth = usize::from(peers + 1) / 5;
                let picked = pick::worst(&mut base::First, Site(60_000), fifth, hot);
                prop_assert_eq!(picked.len(), fifth);
                prop_assert!(!picked.contains(&peers), "{picked:?}");
            }
        }

        /// With room for all slots and peers the board names the earliest of each slot.
        #[test]
        fn the_earliest_of_each_slot_is_named(reports in reports()) {
            let mut board = Board::new(1_000, 1_000);
            let mut first: BTreeMap<u64, (u64, u8)> = BTreeMap::new();
            let headers = reports.iter().filter(|r| !r.body);
            for report in headers {
                tell(&mut board, *report);
                let entry = first.entry(report.slot).or_insert((report.at, report.peer));
                if report.at < entry.0 {
                    *entry = (report.at, report.peer);
                }
            }
            for n in 0..12 {
                let expected = first.values().filter(|(_, peer)| *peer == n).count();
                prop_assert_eq!(score(&board, n, Worth::Upstream), expected as u64);
            }
        }
    }

    #[test]
    fn the_window_slides_and_what_is_older_is_not_let_in() {
        let mut board = Board::new(3, 10);
        for slot in [10, 11, 12] {
            board.header(peer(1), slot, Instant::from_secs(slot));
        }
        board.header(peer(2), 9, Instant::ZERO);
        assert_eq!(score(&board, 2, Worth::Upstream), 0);
        board.header(peer(2), 13, Instant::from_secs(13));
        assert_eq!(score(&board, 1, Worth::Upstream), 2);
        assert_eq!(score(&board, 2, Worth::Upstream), 1);
    }

    #[test]
    fn each_worth_counts_its_own() {
        let mut board = Board::new(180, 10);
        board.header(peer(1), 1, Instant::from_secs(1));
        board.body(peer(2), 1, Instant::from_secs(2), 70_000);
        board.body(peer(1), 1, Instant::from_secs(3), 70_000);
        let of = |n| {
            [
                Worth::Upstream,
                Worth::FetchedBlocks,
                Worth::FetchedBytes,
                Worth::Both,
            ]
            .map(|worth| score(&board, n, worth))
        };
        assert_eq!(of(1), [1, 0, 0, 1]);
        assert_eq!(of(2), [0, 1, 70_000, 1]);
        let stranger = board.worth(&peer(3), Worth::Both, Newcomers::Middle);
        assert_eq!(stranger, (Score(0), None));
    }

    #[test]
    fn peers_that_are_not_seen_any_more_are_forgotten() {
        let mut board = Board::new(2, 10);
        board.header(peer(1), 1, Instant::from_secs(1));
        board.header(peer(2), 1, Instant::from_secs(2));
        assert_eq!(board.peers(), 2);
        for slot in 2..5 {
            board.header(peer(3), slot, Instant::from_secs(slot));
        }
        assert_eq!(board.peers(), 1);
        board.forget(&peer(3));
        board.check_invariants().unwrap();
        assert_eq!(board.peers(), 0);
    }

    /// Equally good peers, one of which came when half of the board or more was written: how often
    /// of a hundred times it is among the worst fifth.
    fn worst_of_100(newcomers: Newcomers) -> u32 {
        let (peers, slots) = (10_u8, 160_u64);
        let mut state = 1_u64;
        let mut draw = |n: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % n
        };
        let mut worst = 0;
        for _ in 0..100 {
            let mut board = Board::new(180, 100);
            let came = 80 + draw(60);
            for slot in 0..slots {
                let from = u64::from(slot < came);
                let first = from + draw(u64::from(peers) - from);
                for n in u8::try_from(from).unwrap()..peers {
                    let late = u64::from(u64::from(n) != first);
                    let at = Instant::from_millis(slot * 20_000 + 100 * late);
                    board.header(peer(n), slot, at);
                }
            }
            let key = |n| board.worth(&peer(n), Worth::Upstream, newcomers);
            let below = (1..peers).filter(|n| key(*n) < key(0)).count();
            worst += u32::from(below < usize::from(peers / 5));
        }
        worst
    }

    #[test]
    fn a_newcomer_is_among_the_worst_no_more_often_than_others() {
        let plain = worst_of_100(Newcomers::Nothing);
        let given = worst_of_100(Newcomers::Middle);
        assert!(plain >= 90, "{plain}");
        assert!(given <= 25, "{given}");
    }
}
