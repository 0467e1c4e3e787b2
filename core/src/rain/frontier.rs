//! Which of an origin's messages came, and which are still held: from this digests are made, and
//! what is missing is seen.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use smallvec::SmallVec;

use super::canonical::Seen;
use crate::{
    base::{Instant, MemberKey, MessageId},
    proto::rain_link::{ENTRIES_MAX, Entry, HOLES_MAX},
};

/// How far apart the numbers of one origin may be that are remembered or asked for.
const SPAN_MAX: u64 = 4_096;
/// Numbers looked at for one digest.
pub(super) const STEPS: u64 = 2 * SPAN_MAX;
/// Messages asked for at once.
const PULL_MAX: u64 = 64;
/// Lives of an origin that are remembered.
const BOOTS_MAX: usize = 2;

/// All origins of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Frontiers {
    by: BTreeMap<(MemberKey, u32), Frontier>,
    /// Where the next digest goes on.
    cursor: (MemberKey, u32),
}

/// One life of one origin.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Frontier {
    held: BTreeMap<u64, MessageId>,
    /// Everything below came, or is given up.
    next: u64,
    /// What came above, at most [`SPAN_MAX`].
    above: BTreeSet<u64>,
    /// What is missing was asked for, and may be asked for again from then on.
    pulling: Option<Instant>,
    newest: Instant,
}

/// What a number is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// It did not come.
    New,
    /// It is held, as this message.
    Held(MessageId),
    /// It came, or is too old to be wanted.
    Past,
}

impl Frontiers {
    pub(super) fn known(&self, origin: MemberKey, boot: u32, seq: u64) -> Known {
        let Some(frontier) = self.by.get(&(origin, boot)) else {
            let later = self.by.range((origin, boot)..=(origin, u32::MAX)).count();
            return if later >= BOOTS_MAX {
                Known::Past
            } else {
                Known::New
            };
        };
        match frontier.held.get(&seq) {
            Some(id) => Known::Held(*id),
            None if seq < frontier.next || frontier.above.contains(&seq) => Known::Past,
            None => Known::New,
        }
    }

    /// A message came and is held. Beyond the maximum the origin heard from longest ago is
    /// forgotten, one of whom nothing is held first.
    pub(super) fn came(
        &mut self,
        now: Instant,
        (origin, boot): (MemberKey, u32),
        seq: u64,
        id: MessageId,
        origins_max: usize,
    ) {
        self.room(origin, boot, origins_max);
        let frontier = self.by.entry((origin, boot)).or_default();
        frontier.newest = now;
        frontier.held.insert(seq, id);
        if seq >= frontier.next {
            frontier.above.insert(seq);
        }
        frontier.close_up();
    }

    fn room(&mut self, origin: MemberKey, boot: u32, origins_max: usize) {
        if self.by.contains_key(&(origin, boot)) {
            return;
        }
        let lives: Vec<u32> = self
            .by
            .range((origin, 0)..=(origin, u32::MAX))
            .map(|((_, boot), _)| *boot)
            .collect();
        if let (true, Some(first)) = (lives.len() >= BOOTS_MAX, lives.first()) {
            self.by.remove(&(origin, *first));
        }
        if self.by.len() >= origins_max {
            let all = self.by.iter();
            let oldest = all.min_by_key(|(key, f)| (!f.held.is_empty(), f.newest, **key));
            if let Some(oldest) = oldest.map(|(key, _)| *key) {
                self.by.remove(&oldest);
            }
        }
    }

    /// A message is held no longer.
    pub(super) fn gone(&mut self, origin: MemberKey, boot: u32, seq: u64) {
        if let Some(frontier) = self.by.get_mut(&(origin, boot)) {
            frontier.held.remove(&seq);
        }
    }

    /// What is held and `ripe`, for the next digest: at most [`ENTRIES_MAX`] origins, in turns when
    /// there are more.
    pub(super) fn digest(&mut self, ripe: impl Fn(&MessageId) -> bool) -> Vec<Entry> {
        let all = self.by.iter().filter(|(_, f)| !f.held.is_empty());
        let all: Vec<(&(MemberKey, u32), &Frontier)> = all.collect();
        let first = all.partition_point(|(key, _)| **key < self.cursor);
        let turn = all
            .iter()
            .cycle()
            .skip(first)
            .take(all.len().min(ENTRIES_MAX));
        let chosen: Vec<((MemberKey, u32), Entry)> = turn
            .filter_map(|(key, frontier)| Some((**key, frontier.entry(**key, &ripe)?)))
            .collect();
        let next = all.iter().cycle().nth(first.saturating_add(chosen.len()));
        self.cursor = next.map(|(key, _)| **key).unwrap_or_default();
        let mut entries: Vec<Entry> = chosen.into_iter().map(|(_, entry)| entry).collect();
        entries.sort_unstable_by_key(|entry| (entry.origin, entry.boot));
        entries
    }

    /// What another holds and is not here, as ranges to ask for; and it is not asked for again
    /// before `until`. Each number looked at is a step; without steps left nothing is
    /// asked for.
    pub(super) fn missing(
        &mut self,
        now: Instant,
        entry: &Entry,
        here: impl Fn(u64) -> bool,
        (until, origins_max): (Instant, usize),
        steps: &mut u64,
    ) -> SmallVec<[(u64, u64); 2]> {
        let mut ranges: SmallVec<[(u64, u64); 2]> = SmallVec::new();
        if entry.max < entry.low {
            return ranges;
        }
        let key = (entry.origin, entry.boot);
        let frontier = self.by.get(&key);
        if frontier.is_some_and(|f| f.pulling.is_some_and(|again| again > now)) {
            return ranges;
        }
        let low = entry.low.max(entry.max.saturating_sub(SPAN_MAX));
        let mut wanted = 0_u64;
        for seq in low..=entry.max {
            if wanted >= PULL_MAX || ranges.len() > HOLES_MAX || *steps == 0 {
                break;
            }
            *steps = steps.saturating_sub(1);
            let new = self.known(entry.origin, entry.boot, seq) == Known::New;
            if !new || entry.holes.contains(&seq) || here(seq) {
                continue;
            }
            wanted = wanted.saturating_add(1);
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(seq) => *last = seq,
                _ => ranges.push((seq, seq)),
            }
        }
        ranges.truncate(HOLES_MAX);
        if !ranges.is_empty() {
            self.room(entry.origin, entry.boot, origins_max);
            let frontier = self.by.entry(key).or_default();
            frontier.pulling = Some(until);
            frontier.newest = now;
        }
        ranges
    }

    /// What came of what was asked for.
    pub(super) fn pulled(&mut self, origin: MemberKey, boot: u32) {
        if let Some(frontier) = self.by.get_mut(&(origin, boot)) {
            frontier.pulling = None;
        }
    }

    /// The held messages of an origin in a range, at most so many.
    pub(super) fn held(
        &self,
        origin: MemberKey,
        boot: u32,
        (first, last): (u64, u64),
        max: usize,
    ) -> Vec<MessageId> {
        let Some(frontier) = self.by.get(&(origin, boot)) else {
            return Vec::new();
        };
        if last < first {
            return Vec::new();
        }
        let held = frontier.held.range(first..=last);
        held.take(max).map(|(_, id)| *id).collect()
    }

    /// Times as seen from a moment.
    pub(super) fn rebase(&mut self, seen: Seen) {
        for frontier in self.by.values_mut() {
            let pulling = frontier.pulling.map(|again| seen.ahead(again));
            frontier.pulling = pulling.filter(|again| *again > Instant::ZERO);
            frontier.newest = Instant::ZERO;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by.len()
    }
}

impl Frontier {
    /// Moves the beginning over what has come; gives up what is too far behind.
    fn close_up(&mut self) {
        let far = u64::try_from(self.above.len()).unwrap_or(u64::MAX) > SPAN_MAX;
        if let (true, Some(first)) = (far, self.above.first()) {
            self.next = *first;
        }
        while self.above.remove(&self.next) {
            self.next = self.next.saturating_add(1);
        }
    }

    /// What is held as one entry: the highest numbers, with as many holes as fit.
    fn entry(
        &self,
        (origin, boot): (MemberKey, u32),
        ripe: &impl Fn(&MessageId) -> bool,
    ) -> Option<Entry> {
        let ripe = self.held.iter().rev().filter(|(_, id)| ripe(id));
        let mut ripe = ripe.map(|(seq, _)| *seq);
        let max = ripe.next()?;
        let mut holes: SmallVec<[u64; 2]> = SmallVec::new();
        let mut low = max;
        for seq in ripe {
            let between = seq.saturating_add(1)..low;
            let count = usize::try_from(low.saturating_sub(seq)).unwrap_or(usize::MAX);
            let count = count.saturating_sub(1);
            let far = max.saturating_sub(seq) > SPAN_MAX;
            if far || holes.len().saturating_add(count) > HOLES_MAX {
                break;
            }
            holes.extend(between.rev());
            low = seq;
        }
        holes.reverse();
        Some(Entry {
            origin,
            boot,
            low,
            max,
            holes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Hash32;

    fn origin() -> MemberKey {
        MemberKey([7; 32])
    }

    fn id(n: u8) -> MessageId {
        MessageId(Hash32([n; 32]))
    }

    fn with(seqs: &[u64]) -> Frontiers {
        let mut frontiers = Frontiers::default();
        for seq in seqs {
            let n = u8::try_from(*seq % 256).unwrap();
            frontiers.came(Instant::ZERO, (origin(), 1), *seq, id(n), 8);
        }
        frontiers
    }

    #[test]
    fn a_digest_lists_what_is_held_and_the_other_asks_for_what_it_lacks() {
        let mut full = with(&[0, 1, 2, 4, 5]);
        let mut less = with(&[1, 4]);
        let entries = full.digest(|_| true);
        assert_eq!(entries.len(), 1);
        assert_eq!((entries[0].low, entries[0].max), (0, 5));
        assert_eq!(entries[0].holes.as_slice(), [3]);
        let later = Instant::ZERO.after(core::time::Duration::from_secs(1));
        let none = |_| false;
        let wanted = less.missing(
            Instant::ZERO,
            &entries[0],
            none,
            (later, 8),
            &mut STEPS.clone(),
        );
        assert_eq!(wanted.as_slice(), [(0, 0), (2, 2), (5, 5)]);
        let again = less.missing(
            Instant::ZERO,
            &entries[0],
            none,
            (later, 8),
            &mut STEPS.clone(),
        );
        assert!(again.is_empty(), "one request at a time");
        assert!(
            !less
                .missing(later, &entries[0], none, (later, 8), &mut STEPS.clone())
                .is_empty()
        );
    }

    #[test]
    fn what_has_expired_is_not_wanted_again() {
        let mut frontiers = with(&[0, 1]);
        frontiers.gone(origin(), 1, 0);
        assert_eq!(frontiers.known(origin(), 1, 0), Known::Past);
        assert_eq!(frontiers.known(origin(), 1, 1), Known::Held(id(1)));
        assert_eq!(frontiers.known(origin(), 1, 2), Known::New);
        let entries = frontiers.digest(|_| true);
        assert_eq!((entries[0].low, entries[0].max), (1, 1));
    }

    #[test]
    fn only_the_two_newest_lives_of_an_origin_count() {
        let mut frontiers = Frontiers::default();
        for boot in [1, 2, 3] {
            frontiers.came(Instant::ZERO, (origin(), boot), 0, id(1), 8);
        }
        assert_eq!(frontiers.len(), 2);
        assert_eq!(frontiers.known(origin(), 1, 5), Known::Past);
        assert_eq!(frontiers.known(origin(), 4, 0), Known::New);
    }

    #[test]
    fn holes_beyond_the_maximum_cut_the_tail() {
        let seqs: Vec<u64> = (0..40).map(|n| n * 2).collect();
        let mut frontiers = with(&seqs);
        let entries = frontiers.digest(|_| true);
        assert_eq!(entries[0].holes.len(), HOLES_MAX);
        assert_eq!(entries[0].max, 78);
        assert_eq!(entries[0].low, 78 - 2 * 16);
    }
}
