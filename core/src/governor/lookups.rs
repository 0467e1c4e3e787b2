//! Lookups of names: one that goes on for ever for each name of the local roots, and batches on
//! demand for all other roots.
//!
//! ```text
//!  watch ─▶ monitor ──(timer)──▶ local line  (2 at a time) ─┐
//!                                                           ├─▶ walk: Resolve … resolved ─▶ done
//!  batch ─▶ names of it ───────▶ others' line (8 at a time) ┘
//! ```
//!
//! A walk is one question for a host; for a service it is the question for its servers and then
//! one for the addresses of each server in turn, until one has any.
//!
//! A monitor keeps its last addresses while lookups fail. A change of the names leaves those that
//! stay alone: addresses, timers and what is under way.
//!
//! Limits: names watched, and names that wait for a lookup of a batch,
//! [`Names::waiting_max`]; batches [`BATCHES_MAX`]; servers of one service tried, `TRIES_MAX`.
//!
//! Invariants: 1. a ticket is open exactly for each walk under way, and has a deadline; 2. each
//! line counts its walks under way, never more than its maximum; 3. what waits is each walk that
//! is not under way, once; 4. no line waits while it has room; 5. a monitor has either a timer or
//! a walk; 6. a batch waits for exactly its walks, for at least one; 7. no maximum is exceeded.
//!
//! src: ouroboros-network, DNS of root peers; RFC 2782; CIP-155

mod walk;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::{net::SocketAddr, time::Duration};

use super::{Answer, Names, NotFound, Question, Relay};
use crate::base::{Choice, Deadlines, First, Instant, Supply, Ticket, Violated, soonest, violated};
use walk::{Found, Server, Walk};

/// Batches under way at most, inclusive. The callers have one for each kind of root.
pub(super) const BATCHES_MAX: usize = 16;

/// What lookups want, and what they found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Out {
    /// Look this up; answered by [`Lookups::resolved`].
    Resolve {
        /// Its name.
        ticket: Ticket,
        /// What to look up.
        question: Question,
    },
    /// The addresses of a watched name have changed: read them again by [`Lookups::local`].
    LocalChanged,
    /// A batch is done.
    BatchDone {
        /// As [`Lookups::batch`] named it.
        batch: u64,
        /// Each different relay of it, in the order given, with its addresses: itself if it is
        /// one, none if the lookup failed.
        found: Vec<(Relay, Vec<SocketAddr>)>,
        /// The least time to live of all answers, cut to the limits; `None` without an answer.
        ttl: Option<Duration>,
        /// Whether there were names and no resolver for any of them.
        failed: bool,
    },
}

/// All lookups.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Lookups {
    config: Names,
    supply: Supply<Ticket>,
    /// The number of the last monitor or batch.
    last: u64,
    watched: BTreeMap<Relay, u64>,
    monitors: BTreeMap<u64, Monitor>,
    timers: Deadlines<u64>,
    batches: BTreeMap<u64, Batch>,
    walks: BTreeMap<Key, Job>,
    open: BTreeMap<Ticket, Key>,
    patience: Deadlines<Ticket>,
    local: Line,
    others: Line,
    left_out: u64,
}

/// Whose walk it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Key {
    /// That of a monitor.
    Monitor(u64),
    /// That of a batch, for the relay at this place.
    Batch(u64, usize),
}

/// A walk, and what it waits for: a ticket, or (`None`) its turn.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Job {
    walk: Walk,
    ticket: Option<Ticket>,
}

/// A watched name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Monitor {
    relay: Relay,
    /// In rising order.
    addrs: Vec<SocketAddr>,
    /// Of a service, whose addresses these are.
    server: Option<Server>,
    /// What the last failure cost; zero after an answer.
    delay: Duration,
}

/// Lookups on demand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Batch {
    found: Vec<(Relay, Vec<SocketAddr>)>,
    ttl: Option<Duration>,
    /// Names that are not done.
    left: usize,
    /// Whether somebody answered, if only that there is nothing.
    heard: bool,
}

/// Walks that share a limit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Line {
    waiting: VecDeque<Key>,
    open: usize,
    max: usize,
}

impl Line {
    fn new(max: usize) -> Self {
        Self {
            waiting: VecDeque::new(),
            open: 0,
            max: max.max(1),
        }
    }

    /// The next whose turn has come.
    fn next(&mut self) -> Option<Key> {
        if self.open >= self.max {
            return None;
        }
        let key = self.waiting.pop_front()?;
        self.open = self.open.saturating_add(1);
        Some(key)
    }
}

impl Batch {
    fn done(self, batch: u64) -> Out {
        Out::BatchDone {
            batch,
            found: self.found,
            ttl: self.ttl,
            failed: !self.heard,
        }
    }
}

impl Lookups {
    /// None. Limits of 0 are as 1; spans of 0 are as one second.
    pub(super) fn new(mut config: Names) -> Self {
        let second = Duration::from_secs(1);
        config.patience = config.patience.max(second);
        config.ttl_min = config.ttl_min.max(second);
        config.ttl_max = config.ttl_max.max(config.ttl_min);
        Self {
            config,
            supply: Supply::default(),
            last: 0,
            watched: BTreeMap::new(),
            monitors: BTreeMap::new(),
            timers: Deadlines::new(),
            batches: BTreeMap::new(),
            walks: BTreeMap::new(),
            open: BTreeMap::new(),
            patience: Deadlines::new(),
            local: Line::new(config.local_max),
            others: Line::new(config.others_max),
            left_out: 0,
        }
    }

    /// From now on exactly these names are watched; services are asked for as they are written,
    /// addresses are left out. Names that stay keep all they have, new ones are looked up at once.
    // deviates: the reference forgets all addresses on any change.
    pub(super) fn watch(&mut self, now: Instant, names: BTreeSet<Relay>, out: &mut Vec<Out>) {
        let is_name = |relay: &Relay| !matches!(relay, Relay::Addr(_));
        let gone: Vec<u64> = self
            .watched
            .iter()
            .filter(|(relay, _)| !names.contains(relay))
            .map(|(_, id)| *id)
            .collect();
        for id in gone {
            self.unwatch(id);
        }
        let walks = &self.walks;
        self.local.waiting.retain(|key| walks.contains_key(key));
        for relay in names.into_iter().filter(is_name) {
            if self.watched.contains_key(&relay) {
                continue;
            }
            if self.monitors.len() >= self.config.waiting_max {
                self.left_out = self.left_out.saturating_add(1);
                continue;
            }
            let id = self.number();
            let monitor = Monitor {
                relay: relay.clone(),
                addrs: Vec::new(),
                server: None,
                delay: Duration::ZERO,
            };
            self.watched.insert(relay, id);
            self.monitors.insert(id, monitor);
            self.begin_monitor(id);
        }
        self.pump(now, out);
    }

    /// The present addresses of a watched name, in rising order; none before the first answer.
    pub(super) fn local(&self, relay: &Relay) -> &[SocketAddr] {
        let id = self.watched.get(relay);
        let monitor = id.and_then(|id| self.monitors.get(id));
        monitor.map_or(&[], |monitor| &monitor.addrs)
    }

    /// Looks up each of these relays once; with `true`, a service under `_cardano._tcp.`, as those
    /// of the ledger are. Gives the number of the batch; it may be [done](Out::BatchDone) already.
    pub(super) fn batch(
        &mut self,
        now: Instant,
        relays: Vec<(Relay, bool)>,
        out: &mut Vec<Out>,
    ) -> u64 {
        let id = self.number();
        let mut seen = BTreeSet::new();
        let mut found = Vec::new();
        let mut left: usize = 0;
        let room_for_batch = self.batches.len() < BATCHES_MAX;
        for (relay, prefixed) in relays {
            if !seen.insert((relay.clone(), prefixed)) {
                continue;
            }
            let addrs = match &relay {
                Relay::Addr(addr) => alloc::vec![*addr],
                Relay::Host { .. } | Relay::Service { .. } => Vec::new(),
            };
            if let Some(walk) = Walk::new(&relay, prefixed) {
                if room_for_batch && self.others.waiting.len() < self.config.waiting_max {
                    self.enqueue(Key::Batch(id, found.len()), walk);
                    self.pump(now, out);
                    left = left.saturating_add(1);
                } else {
                    self.left_out = self.left_out.saturating_add(1);
                }
            }
            found.push((relay, addrs));
        }
        let batch = Batch {
            found,
            ttl: None,
            left,
            heard: left == 0,
        };
        if left == 0 {
            out.push(batch.done(id));
        } else {
            self.batches.insert(id, batch);
        }
        id
    }

    /// A question is answered. False when it is not open: too late, or never asked.
    pub(super) fn resolved(
        &mut self,
        now: Instant,
        choice: &mut dyn Choice,
        ticket: Ticket,
        answer: Result<Answer, NotFound>,
        out: &mut Vec<Out>,
    ) -> bool {
        let Some(key) = self.open.remove(&ticket) else {
            return false;
        };
        self.patience.set(ticket, None);
        self.advance(now, choice, key, answer, out);
        self.pump(now, out);
        true
    }

    /// Time has passed: names are looked up again, answers no longer waited for.
    pub(super) fn tick(&mut self, now: Instant, out: &mut Vec<Out>) {
        while let Some(ticket) = self.patience.pop_due(now) {
            if let Some(key) = self.open.remove(&ticket) {
                // Only an answer is drawn from.
                self.advance(now, &mut First, key, Err(NotFound::NoAnswer), out);
                self.pump(now, out);
            }
        }
        while let Some(id) = self.timers.pop_due(now) {
            self.begin_monitor(id);
        }
        self.pump(now, out);
    }

    /// When a tick changes something.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        soonest(self.patience.next(), self.timers.next()).filter(|at| *at < Instant::FAR)
    }

    /// Names that found no room.
    pub(super) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// While nothing is watched and no batch is under way its numbers mean nothing: the next
    /// begin anew.
    pub(super) fn renumber(&mut self) {
        if self.watched.is_empty() && self.batches.is_empty() {
            self.last = 0;
        }
    }

    fn number(&mut self) -> u64 {
        self.last = self.last.saturating_add(1);
        self.last
    }

    fn unwatch(&mut self, id: u64) {
        let Some(monitor) = self.monitors.remove(&id) else {
            return;
        };
        self.watched.remove(&monitor.relay);
        self.timers.set(id, None);
        if let Some(job) = self.walks.remove(&Key::Monitor(id))
            && let Some(ticket) = job.ticket
        {
            self.open.remove(&ticket);
            self.patience.set(ticket, None);
            self.local.open = self.local.open.saturating_sub(1);
        }
    }

    fn begin_monitor(&mut self, id: u64) {
        let relay = self.monitors.get(&id).map(|monitor| &monitor.relay);
        if let Some(walk) = relay.and_then(|relay| Walk::new(relay, false)) {
            self.enqueue(Key::Monitor(id), walk);
        }
    }

    fn enqueue(&mut self, key: Key, walk: Walk) {
        self.walks.insert(key, Job { walk, ticket: None });
        self.line(key).waiting.push_back(key);
    }

    fn line(&mut self, key: Key) -> &mut Line {
        match key {
            Key::Monitor(_) => &mut self.local,
            Key::Batch(..) => &mut self.others,
        }
    }

    fn pump(&mut self, now: Instant, out: &mut Vec<Out>) {
        while let Some(key) = self.local.next().or_else(|| self.others.next()) {
            self.ask(now, key, out);
        }
    }

    /// Asks the next question of a walk.
    fn ask(&mut self, now: Instant, key: Key, out: &mut Vec<Out>) {
        let Some(job) = self.walks.get_mut(&key) else {
            return;
        };
        let ticket = self.supply.take();
        job.ticket = Some(ticket);
        self.open.insert(ticket, key);
        let until = now.after(self.config.patience);
        self.patience.set(ticket, Some(until));
        let question = job.walk.question(&self.config);
        out.push(Out::Resolve { ticket, question });
    }

    /// Tells a walk the answer to its question.
    fn advance(
        &mut self,
        now: Instant,
        choice: &mut dyn Choice,
        key: Key,
        answer: Result<Answer, NotFound>,
        out: &mut Vec<Out>,
    ) {
        let Some(job) = self.walks.get_mut(&key) else {
            return;
        };
        let server = match key {
            Key::Monitor(id) => self.monitors.get(&id).and_then(|m| m.server.as_ref()),
            Key::Batch(..) => None,
        };
        let Some(result) = job.walk.told(answer, server, &self.config, choice) else {
            self.ask(now, key, out);
            return;
        };
        self.walks.remove(&key);
        let line = self.line(key);
        line.open = line.open.saturating_sub(1);
        match key {
            Key::Monitor(id) => self.finish_monitor(now, id, result, out),
            Key::Batch(id, at) => self.finish_name(id, at, result, out),
        }
    }

    fn finish_monitor(
        &mut self,
        now: Instant,
        id: u64,
        result: Result<Found, NotFound>,
        out: &mut Vec<Out>,
    ) {
        let Some(monitor) = self.monitors.get_mut(&id) else {
            return;
        };
        let config = &self.config;
        let again = match result {
            Ok(mut found) => {
                found.addrs.sort_unstable();
                if monitor.addrs != found.addrs {
                    monitor.addrs = found.addrs;
                    out.push(Out::LocalChanged);
                }
                monitor.server = found.server;
                monitor.delay = Duration::ZERO;
                clip(config, found.ttl)
            }
            Err(NotFound::NoRecord { ttl }) => {
                monitor.delay = Duration::ZERO;
                clip(config, ttl.unwrap_or(config.ttl_max))
            }
            Err(NotFound::NoAnswer | NotFound::NoResolver) => {
                let next = monitor.delay.saturating_mul(2);
                monitor.delay = clip(config, next.saturating_add(config.retry_step));
                monitor.delay
            }
        };
        self.timers.set(id, Some(now.after(again)));
    }

    fn finish_name(
        &mut self,
        id: u64,
        at: usize,
        result: Result<Found, NotFound>,
        out: &mut Vec<Out>,
    ) {
        let Some(mut batch) = self.batches.remove(&id) else {
            return;
        };
        batch.left = batch.left.saturating_sub(1);
        batch.heard |= !matches!(result, Err(NotFound::NoResolver));
        if let Ok(found) = result {
            let ttl = clip(&self.config, found.ttl);
            batch.ttl = Some(batch.ttl.map_or(ttl, |least| least.min(ttl)));
            if let Some((_, addrs)) = batch.found.get_mut(at) {
                *addrs = found.addrs;
            }
        }
        if batch.left == 0 {
            out.push(batch.done(id));
        } else {
            self.batches.insert(id, batch);
        }
    }

    /// Checks invariants 1 to 7.
    pub(super) fn check_invariants(&self) -> Result<(), Violated> {
        let check = |holds, number, text| violated(holds, "lookups", number, text);
        let has = |ticket: &Ticket, key: &Key| {
            self.patience.of(ticket).is_some()
                && self.walks.get(key).and_then(|job| job.ticket) == Some(*ticket)
        };
        let under_way = |of_line: fn(&Key) -> bool| {
            let open = self.walks.iter().filter(|(_, job)| job.ticket.is_some());
            open.filter(|(key, _)| of_line(key)).count()
        };
        let is_local = |key: &Key| matches!(key, Key::Monitor(_));
        let is_other = |key: &Key| matches!(key, Key::Batch(..));
        let (local, others) = (under_way(is_local), under_way(is_other));
        let told = self.open.iter().all(|(ticket, key)| has(ticket, key))
            && self.open.len() == self.patience.len()
            && self.open.len() == local.saturating_add(others);
        check(told, 1, "a ticket is open for each walk under way")?;
        let counted = (self.local.open, self.others.open) == (local, others)
            && local <= self.local.max
            && others <= self.others.max;
        check(counted, 2, "each line counts its walks under way")?;
        let waiting: Vec<&Key> = [&self.local, &self.others]
            .into_iter()
            .flat_map(|line| &line.waiting)
            .collect();
        let once: BTreeSet<&Key> = waiting.iter().copied().collect();
        let idle = |key: &Key| self.walks.get(key).is_some_and(|job| job.ticket.is_none());
        let apart = self.local.waiting.iter().all(is_local)
            && self.others.waiting.iter().all(is_other)
            && once.len() == waiting.len()
            && once.len().saturating_add(self.open.len()) == self.walks.len()
            && once.iter().all(|key| idle(key));
        check(apart, 3, "what waits is each walk not under way, once")?;
        let full = |line: &Line| line.waiting.is_empty() || line.open == line.max;
        let busy = full(&self.local) && full(&self.others);
        check(busy, 4, "no line waits while it has room")?;
        let awake =
            |id: &u64| self.timers.of(id).is_some() != self.walks.contains_key(&Key::Monitor(*id));
        let named = self.watched.iter().all(|(relay, id)| {
            let monitor = self.monitors.get(id);
            monitor.is_some_and(|monitor| monitor.relay == *relay)
        });
        let alive = named
            && self.watched.len() == self.monitors.len()
            && self.monitors.keys().all(awake)
            && self.monitors.len()
                == self
                    .timers
                    .len()
                    .saturating_add(self.walks.keys().filter(|key| is_local(key)).count());
        check(alive, 5, "a monitor has either a timer or a walk")?;
        let of = |id: u64| {
            self.walks
                .range(Key::Batch(id, 0)..=Key::Batch(id, usize::MAX))
        };
        let waits = |(id, batch): (&u64, &Batch)| batch.left > 0 && of(*id).count() == batch.left;
        let sum: usize = self.batches.values().map(|batch| batch.left).sum();
        let expected = self.batches.iter().all(waits)
            && sum == self.walks.keys().filter(|key| is_other(key)).count();
        check(expected, 6, "a batch waits for exactly its walks")?;
        let bounded = self.monitors.len() <= self.config.waiting_max
            && self.others.waiting.len() <= self.config.waiting_max
            && self.batches.len() <= BATCHES_MAX;
        check(bounded, 7, "no maximum is exceeded")?;
        self.timers.check_invariants()?;
        self.patience.check_invariants()
    }
}

/// A time to live within the limits.
fn clip(config: &Names, ttl: Duration) -> Duration {
    ttl.clamp(config.ttl_min, config.ttl_max)
}

#[cfg(test)]
mod tests;
