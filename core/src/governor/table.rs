//! Known peers in cells by source and status.
//!
//! Every peer is in exactly one cell, and knows its place there: a change of status costs a
//! constant number of memory accesses at any size, a random peer of a cell costs one, and the
//! numbers that targets are compared with are kept, never counted.

use alloc::{collections::BTreeSet, vec::Vec};
use core::{
    hash::{Hash, Hasher},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::BitOr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use siphasher::sip::SipHasher13;

use super::{Count, Counters, Source, Status};
use crate::base::{Instant, Scratch, SlotIndex, Slots, Violated, violated};

/// An address in 20 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Addr {
    ip: [u8; 16],
    port: u16,
    v6: bool,
}

impl From<SocketAddr> for Addr {
    fn from(addr: SocketAddr) -> Self {
        let (ip, v6) = match addr.ip() {
            IpAddr::V4(ip) => (ip.to_ipv6_mapped().octets(), false),
            IpAddr::V6(ip) => (ip.octets(), true),
        };
        Self {
            ip,
            port: addr.port(),
            v6,
        }
    }
}

impl From<Addr> for SocketAddr {
    fn from(addr: Addr) -> Self {
        let ip = Ipv6Addr::from_octets(addr.ip);
        let ip: IpAddr = if addr.v6 {
            ip.into()
        } else {
            ip.to_ipv4_mapped().unwrap_or(Ipv4Addr::UNSPECIFIED).into()
        };
        (ip, addr.port).into()
    }
}

/// What is true of a peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Flags(u8);

impl Flags {
    /// Hot since it was last cold.
    pub(super) const TEPID: Self = Self(1);
    /// We were connected to it, or it to us for long.
    pub(super) const REACHED: Self = Self(1 << 1);
    /// Whether it shares peers is known.
    pub(super) const SHARING_KNOWN: Self = Self(1 << 2);
    /// It shares peers.
    pub(super) const SHARING: Self = Self(1 << 3);
    /// Whether it may be told to others is known.
    pub(super) const ADVERTISE_KNOWN: Self = Self(1 << 4);
    /// It may be told to others.
    pub(super) const ADVERTISE: Self = Self(1 << 5);
    /// It became warm from hot by our own choice.
    pub(super) const DEMOTED: Self = Self(1 << 6);
    /// A connection to it ended by its fault while we were ending it, or it is to be tried first.
    pub(super) const PREFERRED: Self = Self(1 << 7);

    pub(super) const fn has(self, flag: Self) -> bool {
        self.0 & flag.0 == flag.0
    }

    pub(super) const fn set(&mut self, flag: Self, on: bool) {
        if on {
            self.0 |= flag.0;
        } else {
            self.0 &= !flag.0;
        }
    }

    /// Sets a pair of "is known" and "is so".
    pub(super) const fn know(&mut self, known: Self, is: Self, value: bool) {
        self.set(known, true);
        self.set(is, value);
    }
}

impl BitOr for Flags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What is known of a peer: 28 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Peer {
    /// When its waiting ends; only while it waits.
    until: Instant,
    /// Its place in its cell.
    place: u32,
    /// When its status changed last, in whole seconds.
    pub(super) since: u32,
    /// Which list of relays it was drawn from (ledger), or who told of it (others): a tag, 0 for
    /// none.
    pub(super) origin: u32,
    source: Source,
    status: Status,
    pub(super) flags: Flags,
    pub(super) failures: u8,
}

impl Peer {
    pub(super) const fn new(now: Instant, source: Source, status: Status) -> Self {
        Self {
            until: Instant::ZERO,
            place: 0,
            since: seconds(now),
            origin: 0,
            source,
            status,
            flags: Flags(0),
            failures: 0,
        }
    }

    pub(super) const fn source(&self) -> Source {
        self.source
    }

    pub(super) const fn status(&self) -> Status {
        self.status
    }

    /// Until when it waits.
    pub(super) const fn until(&self) -> Instant {
        self.until
    }
}

/// Whole seconds of a time.
#[expect(clippy::cast_possible_truncation, reason = "136 years")]
pub(super) const fn seconds(at: Instant) -> u32 {
    (at.as_micros() / 1_000_000) as u32
}

const SOURCES: usize = Source::ALL.len();
const STATUSES: usize = Status::ALL.len();

/// All known peers.
///
/// Limits: as many as given.
///
/// Invariants: 1. a peer is in the cell of its source and status, at its place, and nowhere else;
/// 2. exactly those that wait have a time, their own; 3. the counters are what counting gives.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Table {
    peers: Slots<Addr, Peer>,
    cells: [[Vec<SlotIndex>; STATUSES]; SOURCES],
    waiting: BTreeSet<(Instant, SlotIndex)>,
    counters: Counters,
    key: (u64, u64),
    touched: Scratch<AtomicUsize>,
}

impl Table {
    pub(super) fn new(key: (u64, u64), max: usize) -> Self {
        Self {
            peers: Slots::new(key, max),
            cells: Default::default(),
            waiting: BTreeSet::new(),
            counters: Counters::default(),
            key,
            touched: Scratch::default(),
        }
    }

    /// Peers looked at so far, each as often as it was; a measure of work.
    pub(super) fn touched(&self) -> usize {
        self.touched.load(Ordering::Relaxed)
    }

    fn touch(&self) {
        // No more than one thread has the machine: a count may be lost only where it is shared.
        let touched = self.touched().wrapping_add(1);
        self.touched.store(touched, Ordering::Relaxed);
    }

    /// Another key, while nobody is known.
    pub(super) fn rekey(&mut self, key: (u64, u64)) {
        if self.peers.is_empty() {
            self.key = (self.key.0 ^ key.0, self.key.1 ^ key.1);
            self.peers = Slots::new(self.key, self.peers.max());
        }
    }

    /// A number that tells one address from others, never 0; other peers cannot aim at it.
    pub(super) fn tag(&self, addr: &SocketAddr) -> u32 {
        let mut hasher = SipHasher13::new_with_keys(self.key.1, self.key.0);
        Addr::from(*addr).hash(&mut hasher);
        u32::try_from(hasher.finish() >> 32).map_or(1, |tag| tag.max(1))
    }

    pub(super) const fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    pub(super) fn slot(&self, peer: SocketAddr) -> Option<SlotIndex> {
        self.peers.slot(&peer.into())
    }

    pub(super) fn contains(&self, peer: SocketAddr) -> bool {
        self.peers.contains(&peer.into())
    }

    pub(super) fn get(&self, peer: SocketAddr) -> Option<&Peer> {
        self.touch();
        self.peers.get(&peer.into())
    }

    pub(super) fn at(&self, slot: SlotIndex) -> Option<(SocketAddr, &Peer)> {
        self.touch();
        let (addr, peer) = self.peers.at(slot)?;
        Some(((*addr).into(), peer))
    }

    /// A peer, to change what is neither its source nor its status.
    pub(super) fn at_mut(&mut self, slot: SlotIndex) -> Option<&mut Peer> {
        self.touch();
        self.peers.at_mut(slot).map(|(_, peer)| peer)
    }

    /// All peers, in slot order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SocketAddr, &Peer)> {
        self.peers.iter().map(|(addr, peer)| {
            self.touch();
            ((*addr).into(), peer)
        })
    }

    /// The peers of one source and status.
    pub(super) fn cell(&self, source: Source, status: Status) -> &[SlotIndex] {
        let cell = self.cells.get(source as usize);
        cell.and_then(|cells| cells.get(status as usize))
            .map_or(&[], Vec::as_slice)
    }

    /// Peers of one source and status.
    pub(super) fn size(&self, source: Source, status: Status) -> usize {
        self.cell(source, status).len()
    }

    /// A new peer; `None` when it is known or there is no room.
    pub(super) fn insert(&mut self, addr: SocketAddr, peer: Peer) -> Option<SlotIndex> {
        let slot = self.peers.insert(addr.into(), peer).ok()?;
        self.enter(slot, peer.source, peer.status);
        Some(slot)
    }

    /// A peer is known no longer.
    pub(super) fn remove(&mut self, slot: SlotIndex) -> Option<(SocketAddr, Peer)> {
        let addr = *self.peers.at(slot)?.0;
        self.leave(slot);
        let peer = self.peers.remove(&addr)?;
        Some((addr.into(), peer))
    }

    /// Another status, from now on.
    pub(super) fn set_status(&mut self, now: Instant, slot: SlotIndex, status: Status) {
        self.leave(slot);
        let Some((_, peer)) = self.peers.at_mut(slot) else {
            return;
        };
        peer.status = status;
        peer.since = seconds(now);
        let source = peer.source;
        self.enter(slot, source, status);
    }

    /// Cold or warm, and left alone until then.
    pub(super) fn wait(&mut self, now: Instant, slot: SlotIndex, status: Status, until: Instant) {
        self.set_status(now, slot, status);
        if let Some((_, peer)) = self.peers.at_mut(slot) {
            peer.until = until;
            self.waiting.insert((until, slot));
        }
    }

    /// Another source.
    pub(super) fn set_source(&mut self, slot: SlotIndex, source: Source) {
        let until = self.peers.at(slot).map(|(_, peer)| peer.until);
        self.leave(slot);
        let Some((_, peer)) = self.peers.at_mut(slot) else {
            return;
        };
        peer.source = source;
        let status = peer.status;
        if let Some(until) = until.filter(|_| waits(status)) {
            peer.until = until;
            self.waiting.insert((until, slot));
        }
        self.enter(slot, source, status);
    }

    /// The earliest time at which somebody has waited long enough.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    /// Lets one peer go whose waiting is over; whether there was one.
    pub(super) fn pop_due(&mut self, now: Instant) -> bool {
        let Some(&(at, slot)) = self.waiting.first() else {
            return false;
        };
        if at > now {
            return false;
        }
        let status = match self.peers.at(slot).map(|(_, peer)| peer.status) {
            Some(Status::WarmWaiting) => Status::Warm,
            _ => Status::Cold,
        };
        self.set_status(now, slot, status);
        true
    }

    /// Enters the cell; the place is the last.
    fn enter(&mut self, slot: SlotIndex, source: Source, status: Status) {
        let cell = self.cells.get_mut(source as usize);
        let Some(cell) = cell.and_then(|cells| cells.get_mut(status as usize)) else {
            return;
        };
        let place = u32::try_from(cell.len()).unwrap_or(u32::MAX);
        cell.push(slot);
        if let Some((_, peer)) = self.peers.at_mut(slot) {
            peer.place = place;
        }
        count(&mut self.counters, source, status, u32::saturating_add);
    }

    /// Leaves cell and waiting; the last of the cell takes the place.
    fn leave(&mut self, slot: SlotIndex) {
        let Some((_, peer)) = self.peers.at_mut(slot) else {
            return;
        };
        let Peer {
            place,
            source,
            status,
            until,
            ..
        } = *peer;
        peer.until = Instant::ZERO;
        if waits(status) {
            self.waiting.remove(&(until, slot));
        }
        let cell = self.cells.get_mut(source as usize);
        let Some(cell) = cell.and_then(|cells| cells.get_mut(status as usize)) else {
            return;
        };
        if cell.get(place as usize) != Some(&slot) {
            return;
        }
        cell.swap_remove(place as usize);
        if let Some(moved) = cell.get(place as usize).copied()
            && let Some((_, peer)) = self.peers.at_mut(moved)
        {
            peer.place = place;
        }
        count(&mut self.counters, source, status, u32::saturating_sub);
    }

    /// Replaces each time by what `ahead` makes of it, and how long a peer has been what it is by
    /// its age, `rest` at most and only while it matters.
    pub(super) fn rebase(
        &mut self,
        now: Instant,
        ahead: impl Fn(Instant) -> Instant,
        rest: Duration,
    ) {
        let rest = u32::try_from(rest.as_secs()).unwrap_or(u32::MAX);
        let slots: Vec<SlotIndex> = self.cells.iter().flatten().flatten().copied().collect();
        for slot in slots {
            if let Some((_, peer)) = self.peers.at_mut(slot) {
                let age = seconds(now).saturating_sub(peer.since).min(rest);
                let matters = peer.flags.has(Flags::DEMOTED);
                peer.since = if matters { age } else { 0 };
                peer.until = if waits(peer.status) {
                    ahead(peer.until)
                } else {
                    Instant::ZERO
                };
            }
        }
        let waiting = self.waiting.iter();
        self.waiting = waiting.map(|(at, slot)| (ahead(*at), *slot)).collect();
    }

    pub(super) fn check_invariants(&self) -> Result<(), Violated> {
        let name = "known peers";
        self.peers.check_invariants()?;
        let mut in_cells = 0_usize;
        for source in Source::ALL {
            for status in Status::ALL {
                for (place, slot) in (0_u32..).zip(self.cell(source, status)) {
                    in_cells = in_cells.saturating_add(1);
                    let fits = self.peers.at(*slot).is_some_and(|(_, peer)| {
                        (peer.source, peer.status, peer.place) == (source, status, place)
                    });
                    violated(fits, name, 1, "a peer is at its place in its cell")?;
                }
            }
        }
        let text = "every peer is in one cell";
        violated(in_cells == self.peers.len(), name, 1, text)?;
        let mut waiting = 0_usize;
        let mut counted = Counters::default();
        for (addr, peer) in self.peers.iter() {
            count(&mut counted, peer.source, peer.status, u32::saturating_add);
            if waits(peer.status) {
                waiting = waiting.saturating_add(1);
                let slot = self.peers.slot(addr);
                let there = slot.is_some_and(|slot| self.waiting.contains(&(peer.until, slot)));
                violated(there, name, 2, "who waits has a time")?;
            }
        }
        let text = "nobody else has a time";
        violated(waiting == self.waiting.len(), name, 2, text)?;
        violated(counted == self.counters, name, 3, "the counters are right")
    }
}

const fn waits(status: Status) -> bool {
    matches!(status, Status::ColdWaiting | Status::WarmWaiting)
}

fn count(counters: &mut Counters, source: Source, status: Status, by: fn(u32, u32) -> u32) {
    let one = match source {
        Source::Big => return tally(&mut counters.big, &mut counters.roots, true, status, by),
        Source::Member => return tally(&mut counters.members, &mut 0, false, status, by),
        Source::Local => &mut counters.local,
        Source::Config => &mut counters.config,
        Source::Bootstrap => &mut counters.bootstrap,
        Source::Ledger => &mut counters.ledger,
        Source::NonRoot => &mut counters.non_root,
    };
    let root = source != Source::NonRoot;
    tally(one, &mut counters.roots, root, status, by);
    tally(&mut counters.ordinary, &mut 0, false, status, by);
}

fn tally(count: &mut Count, roots: &mut u32, root: bool, status: Status, by: fn(u32, u32) -> u32) {
    let bump = |n: &mut u32, is: bool| {
        if is {
            *n = by(*n, 1);
        }
    };
    bump(roots, root);
    bump(&mut count.known, true);
    bump(&mut count.available, status != Status::ColdWaiting);
    bump(&mut count.cold_promotions, status == Status::Connecting);
    bump(&mut count.established, status.is_established());
    bump(&mut count.warm_demotions, status == Status::Closing);
    bump(&mut count.warm_promotions, status == Status::Activating);
    bump(&mut count.active, status.is_active());
    bump(&mut count.active_demotions, status == Status::Deactivating);
    bump(&mut count.cooling, status == Status::Cooling);
}
