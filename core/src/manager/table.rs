//! The entries and every index over them, kept together.
//!
//! Whatever an event does touches a number of slots that does not depend on how many there are:
//! timers of one kind all run equally long, so each kind is a list in order of time, threaded
//! through the entries; inbound connections stand in dense rows by kind, so that a victim is drawn
//! without a search.

use alloc::{collections::BTreeMap, vec::Vec};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use smallvec::SmallVec;

use super::{
    Config, Heat, Prefixes, Provenance, State,
    entry::{Entry, Line, Link, Phase},
};
use crate::base::{Instant, Scratch, Serial, SlotIndex, Slots};

/// Kinds of inbound connections, in the order in which the policy by state prunes them.
pub(super) const BUCKETS: usize = 9;
/// Those that we do not use ourselves come first.
pub(super) const NOT_OURS: usize = 7;

/// The number of lines.
const LINES: usize = 5;

/// All connections, by serial, by remote address, by state, by time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Table {
    pub(super) slots: Slots<Serial, Entry>,
    remotes: Slots<SocketAddr, SmallVec<[Serial; 1]>>,
    prefixes: Slots<IpAddr, u32>,
    bits: Prefixes,
    states: [u32; State::ALL.len()],
    heats: [u32; 4],
    pub(super) inbound: u32,
    buckets: [Vec<SlotIndex>; BUCKETS],
    mature: Vec<SlotIndex>,
    lines: [Timeline; LINES],
    touched: Scratch<u64>,
    tallied: Scratch<u64>,
}

/// Under what an entry is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place {
    state: State,
    heat: Option<Heat>,
    bucket: Option<usize>,
    prefix: Option<IpAddr>,
}

impl Place {
    fn of(entry: &Entry, bits: Prefixes) -> Self {
        let state = entry.state();
        Self {
            state,
            heat: entry.heat(),
            bucket: bucket(state, entry.provenance),
            prefix: counted_prefix(entry, bits),
        }
    }
}

/// Entries in order of time, threaded through their links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Timeline {
    head: Option<SlotIndex>,
    tail: Option<SlotIndex>,
    len: usize,
}

impl Table {
    pub(super) fn new(config: &Config, key: (u64, u64)) -> Self {
        Self {
            slots: Slots::new(key, config.entries_max),
            remotes: Slots::new(key, config.entries_max),
            prefixes: Slots::new(key, config.entries_max),
            bits: config.prefixes,
            states: [0; State::ALL.len()],
            heats: [0; 4],
            inbound: 0,
            buckets: Default::default(),
            mature: Vec::new(),
            lines: Default::default(),
            touched: Scratch::default(),
            tallied: Scratch::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len() >= self.slots.max()
    }

    /// Slots looked at so far; a measure of work.
    pub(super) fn touched(&self) -> u64 {
        *self.touched
    }

    pub(super) fn slot(&self, conn: Serial) -> Option<SlotIndex> {
        self.slots.slot(&conn)
    }

    pub(super) fn at(&self, slot: SlotIndex) -> Option<(Serial, &Entry)> {
        self.slots.at(slot).map(|(conn, entry)| (*conn, entry))
    }

    fn at_mut(&mut self, slot: SlotIndex) -> Option<&mut Entry> {
        *self.touched = self.touched.saturating_add(1);
        self.slots.at_mut(slot).map(|(_, entry)| entry)
    }

    /// The connections of one remote address and port that can be found by it.
    pub(super) fn of_remote(&self, remote: SocketAddr) -> &[Serial] {
        self.remotes.get(&remote).map_or(&[], SmallVec::as_slice)
    }

    /// Puts a new entry in; `listed` when it can be found by its remote address. `None` when
    /// there is no room.
    pub(super) fn insert(&mut self, conn: Serial, entry: Entry, listed: bool) -> Option<SlotIndex> {
        let remote = entry.remote;
        let slot = self.slots.insert(conn, entry).ok()?;
        if listed {
            if let Some(list) = self.remotes.get_mut(&remote) {
                list.push(conn);
            } else {
                // There is room: never more remotes than entries.
                let _ = self.remotes.insert(remote, SmallVec::from_elem(conn, 1));
            }
        }
        self.enter(slot);
        Some(slot)
    }

    /// An entry can be found by its remote address no longer.
    pub(super) fn hide(&mut self, slot: SlotIndex) {
        let Some((conn, remote)) = self.at(slot).map(|(conn, entry)| (conn, entry.remote)) else {
            return;
        };
        if let Some(list) = self.remotes.get_mut(&remote) {
            list.retain(|other| *other != conn);
            if list.is_empty() {
                self.remotes.remove(&remote);
            }
        }
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, slot: SlotIndex) -> Option<(Serial, Entry)> {
        self.leave(slot);
        self.stop(slot, Line::Idle);
        self.unripe(slot);
        self.hide(slot);
        let conn = self.at(slot)?.0;
        let entry = self.slots.remove(&conn)?;
        Some((conn, entry))
    }

    /// Changes an entry and all that is kept about it.
    pub(super) fn change(&mut self, slot: SlotIndex, now: Instant, f: impl FnOnce(&mut Entry)) {
        let bits = self.bits;
        let Some(entry) = self.at_mut(slot) else {
            return;
        };
        let before = Place::of(entry, bits);
        entry.since = now;
        f(entry);
        let after = Place::of(entry, bits);
        if before == after {
            return;
        }
        self.tally(&before, -1);
        self.tally(&after, 1);
        if before.bucket != after.bucket {
            self.leave_row(slot, before.bucket);
            self.enter_row(slot, after.bucket);
        }
        if before.prefix != after.prefix {
            self.leave_prefix(before.prefix);
            self.enter_prefix(after.prefix);
        }
    }

    /// Counts an entry no longer.
    fn leave(&mut self, slot: SlotIndex) {
        if let Some((_, entry)) = self.at(slot) {
            let place = Place::of(entry, self.bits);
            self.tally(&place, -1);
            self.leave_row(slot, place.bucket);
            self.leave_prefix(place.prefix);
        }
    }

    /// Counts a new entry.
    fn enter(&mut self, slot: SlotIndex) {
        if let Some((_, entry)) = self.at(slot) {
            let place = Place::of(entry, self.bits);
            self.tally(&place, 1);
            self.enter_row(slot, place.bucket);
            self.enter_prefix(place.prefix);
        }
    }

    fn tally(&mut self, place: &Place, by: i8) {
        *self.tallied = self.tallied.wrapping_add(1);
        count(&mut self.states, place.state as usize, by);
        if let Some(heat) = place.heat {
            count(&mut self.heats, heat as usize, by);
        }
    }

    fn leave_row(&mut self, slot: SlotIndex, bucket: Option<usize>) {
        let at = self.at(slot).map(|(_, entry)| entry.bucket as usize);
        let row = bucket.and_then(|bucket| self.buckets.get_mut(bucket));
        let (Some(at), Some(row)) = (at, row) else {
            return;
        };
        self.inbound = self.inbound.saturating_sub(1);
        if at < row.len() {
            row.swap_remove(at);
            let moved = row.get(at).copied();
            if let Some(moved) = moved.and_then(|moved| self.at_mut(moved)) {
                moved.bucket = u32::try_from(at).unwrap_or(0);
            }
        }
    }

    fn enter_row(&mut self, slot: SlotIndex, bucket: Option<usize>) {
        if let Some(row) = bucket.and_then(|bucket| self.buckets.get_mut(bucket)) {
            self.inbound = self.inbound.saturating_add(1);
            let at = u32::try_from(row.len()).unwrap_or(u32::MAX);
            row.push(slot);
            if let Some(entry) = self.at_mut(slot) {
                entry.bucket = at;
            }
        }
    }

    fn leave_prefix(&mut self, prefix: Option<IpAddr>) {
        let Some(prefix) = prefix else { return };
        let left = self.prefixes.get_mut(&prefix).map(|count| {
            *count = count.saturating_sub(1);
            *count
        });
        if left == Some(0) {
            self.prefixes.remove(&prefix);
        }
    }

    fn enter_prefix(&mut self, prefix: Option<IpAddr>) {
        let Some(prefix) = prefix else { return };
        match self.prefixes.get_mut(&prefix) {
            Some(count) => *count = count.saturating_add(1),
            None => {
                // There is room: never more prefixes than entries.
                let _ = self.prefixes.insert(prefix, 1);
            }
        }
    }

    /// How often the counts by state or by heat have changed.
    pub(super) fn tallied(&self) -> u64 {
        *self.tallied
    }

    /// Accepted connections with an open socket from the prefix of an address.
    pub(super) fn of_prefix(&self, ip: IpAddr) -> u32 {
        let prefix = prefix(ip, self.bits);
        self.prefixes.get(&prefix).copied().unwrap_or(0)
    }

    /// How many are in a state.
    pub(super) fn count(&self, state: State) -> u32 {
        self.states.get(state as usize).copied().unwrap_or(0)
    }

    /// How many peers are so hot.
    pub(super) fn count_heat(&self, heat: Heat) -> u32 {
        self.heats.get(heat as usize).copied().unwrap_or(0)
    }

    /// The inbound ones of one kind.
    pub(super) fn bucket(&self, bucket: usize) -> &[SlotIndex] {
        self.buckets.get(bucket).map_or(&[], Vec::as_slice)
    }

    /// Starts a timer of an entry; one that ran for it on such a line stops.
    pub(super) fn start(&mut self, slot: SlotIndex, line: Line, at: Instant) {
        self.stop(slot, line);
        let mut prev = self.line(line).tail;
        while let Some(place) = prev.and_then(|prev| self.link(prev, line)) {
            if place.at <= at {
                break;
            }
            prev = place.prev;
        }
        let next = match prev {
            Some(prev) => self.link(prev, line).and_then(|place| place.next),
            None => self.line(line).head,
        };
        if let Some(place) = self.link_mut(slot, line) {
            *place = Link {
                line: Some(line),
                at,
                prev,
                next,
            };
        }
        self.join(line, prev, Some(slot));
        self.join(line, Some(slot), next);
        let timeline = self.line_mut(line);
        timeline.len = timeline.len.saturating_add(1);
    }

    /// Stops the timer that an entry has on lines of this kind: all but maturity share one.
    pub(super) fn stop(&mut self, slot: SlotIndex, kind: Line) {
        let Some(place) = self.link_mut(slot, kind).map(core::mem::take) else {
            return;
        };
        let Some(line) = place.line else { return };
        self.join(line, place.prev, place.next);
        let timeline = self.line_mut(line);
        timeline.len = timeline.len.saturating_sub(1);
    }

    /// Makes two entries neighbours on a line; `None` is its end.
    fn join(&mut self, line: Line, prev: Option<SlotIndex>, next: Option<SlotIndex>) {
        match prev.and_then(|prev| self.link_mut(prev, line)) {
            Some(place) => place.next = next,
            None => self.line_mut(line).head = next,
        }
        match next.and_then(|next| self.link_mut(next, line)) {
            Some(place) => place.prev = prev,
            None => self.line_mut(line).tail = prev,
        }
    }

    /// The first of a line, and when.
    pub(super) fn first(&self, line: Line) -> Option<(SlotIndex, Instant)> {
        let head = self.line(line).head?;
        self.link(head, line).map(|link| (head, link.at))
    }

    /// The first of a line if its time has come.
    pub(super) fn due(&self, line: Line, now: Instant) -> Option<SlotIndex> {
        self.first(line)
            .and_then(|(slot, at)| (at <= now).then_some(slot))
    }

    pub(super) fn on_line(&self, line: Line) -> usize {
        self.line(line).len
    }

    /// When the timer of an entry fires, and on which line it is.
    pub(super) fn timer(entry: &Entry) -> Option<(Line, Instant)> {
        entry.timer.line.map(|line| (line, entry.timer.at))
    }

    /// The entry is mature from now on.
    pub(super) fn ripen(&mut self, slot: SlotIndex) {
        self.stop(slot, Line::Maturity);
        let at = u32::try_from(self.mature.len()).unwrap_or(u32::MAX);
        if let Some(entry) = self.at_mut(slot) {
            entry.mature = Some(at);
            self.mature.push(slot);
        }
    }

    /// The entry matures no longer, and is not mature.
    pub(super) fn unripe(&mut self, slot: SlotIndex) {
        self.stop(slot, Line::Maturity);
        let Some(at) = self.at_mut(slot).and_then(|entry| entry.mature.take()) else {
            return;
        };
        let at = at as usize;
        if at < self.mature.len() {
            self.mature.swap_remove(at);
            let moved = self.mature.get(at).copied();
            if let Some(moved) = moved.and_then(|moved| self.at_mut(moved)) {
                moved.mature = u32::try_from(at).ok();
            }
        }
    }

    /// The mature ones.
    pub(super) fn mature(&self) -> &[SlotIndex] {
        &self.mature
    }

    fn line(&self, line: Line) -> Timeline {
        self.lines.get(line as usize).copied().unwrap_or_default()
    }

    fn line_mut(&mut self, line: Line) -> &mut Timeline {
        let [idle, linger, quarantine, lingering, maturity] = &mut self.lines;
        match line {
            Line::Idle => idle,
            Line::Linger => linger,
            Line::Quarantine => quarantine,
            Line::Lingering => lingering,
            Line::Maturity => maturity,
        }
    }

    fn link(&self, slot: SlotIndex, line: Line) -> Option<Link> {
        let (_, entry) = self.at(slot)?;
        Some(match line {
            Line::Maturity => entry.maturity,
            _ => entry.timer,
        })
    }

    fn link_mut(&mut self, slot: SlotIndex, line: Line) -> Option<&mut Link> {
        let entry = self.at_mut(slot)?;
        Some(match line {
            Line::Maturity => &mut entry.maturity,
            _ => &mut entry.timer,
        })
    }

    /// The slots of a line in order; stops when the line is longer than it says.
    pub(super) fn walk(&self, line: Line) -> impl Iterator<Item = (SlotIndex, Link)> {
        let timeline = self.line(line);
        let first = timeline
            .head
            .and_then(|slot| Some((slot, self.link(slot, line)?)));
        core::iter::successors(first, move |(_, link)| {
            let next = link.next?;
            Some((next, self.link(next, line)?))
        })
        .take(timeline.len.saturating_add(1))
    }

    /// Whether every remote list names live entries of that remote, once each, and every entry
    /// that must be found is.
    pub(super) fn remotes_agree(&self) -> bool {
        let named = self.remotes.iter().all(|(remote, list)| {
            !list.is_empty()
                && list.iter().enumerate().all(|(i, conn)| {
                    self.slots.get(conn).is_some_and(|e| e.remote == *remote)
                        && !list.iter().take(i).any(|other| other == conn)
                })
        });
        let found = self.slots.iter().all(|(conn, entry)| {
            self.of_remote(entry.remote).contains(conn) || entry.local == Some(entry.remote)
        });
        named && found && self.remotes.check_invariants().is_ok()
    }

    /// Whether the counts of prefixes are those of the entries.
    pub(super) fn prefixes_agree(&self) -> bool {
        let mut counts: BTreeMap<IpAddr, u32> = BTreeMap::new();
        for (_, entry) in self.slots.iter() {
            if let Some(prefix) = counted_prefix(entry, self.bits) {
                *counts.entry(prefix).or_default() += 1;
            }
        }
        self.prefixes.len() == counts.len()
            && counts
                .iter()
                .all(|(prefix, count)| self.prefixes.get(prefix) == Some(count))
    }

    /// Whether each inbound entry stands where it says, and nothing else stands there.
    pub(super) fn buckets_agree(&self) -> bool {
        let rows: usize = self.buckets.iter().map(Vec::len).sum();
        let standing = self.buckets.iter().enumerate().all(|(i, row)| {
            row.iter().enumerate().all(|(at, slot)| {
                self.at(*slot).is_some_and(|(_, entry)| {
                    bucket(entry.state(), entry.provenance) == Some(i)
                        && entry.bucket as usize == at
                })
            })
        });
        standing && rows == self.inbound as usize
    }
}

fn count(of: &mut [u32], at: usize, by: i8) {
    if let Some(count) = of.get_mut(at) {
        *count = if by < 0 {
            count.saturating_sub(1)
        } else {
            count.saturating_add(1)
        };
    }
}

/// The kind of an inbound connection: the less far, the lower; one way before both, dialled by the
/// peer before dialled by us.
pub(super) const fn bucket(state: State, provenance: Provenance) -> Option<usize> {
    let inbound = matches!(provenance, Provenance::Inbound);
    Some(match state {
        State::UnnegotiatedInbound => 0,
        State::InboundIdleUni => 1,
        State::InboundIdleDup if inbound => 2,
        State::InboundIdleDup => 3,
        State::InboundUni => 4,
        State::InboundDup if inbound => 5,
        State::InboundDup => 6,
        State::Duplex if inbound => 7,
        State::Duplex => 8,
        _ => return None,
    })
}

/// The prefix that an entry is counted under, if it is.
fn counted_prefix(entry: &Entry, bits: Prefixes) -> Option<IpAddr> {
    let counted = entry.provenance == Provenance::Inbound && entry.has_socket();
    counted.then(|| prefix(entry.remote.ip(), bits))
}

/// The first bits of an address, the others zero. An IPv4 address in IPv6 clothes is taken as IPv4.
pub(super) fn prefix(ip: IpAddr, bits: Prefixes) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(bits.v4_bits.min(32)))
                .unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(bits.v6_bits.min(128)))
                .unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

impl Phase {
    /// Whether its place may be taken by a new connection with the same addresses.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Lingering | Self::Quarantined { .. })
    }
}
