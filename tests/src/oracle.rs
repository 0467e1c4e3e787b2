//! What must hold of every table of connections, judged from its traces alone.
//!
//! 1. Every change of state is one that the reference allows; those of one connection chain up
//!    from unknown to unknown. 2. The same of the peer's use. 3. The counters are what the states
//!    add up to. 4. Never more inbound connections than the hard limit, and who is reset for it
//!    was a candidate. 5. No state with a timer lasts longer than its timer.
//!
//! src: ouroboros-network, connection manager and inbound governor properties

use core::{fmt, time::Duration};
use std::collections::{BTreeMap, VecDeque};

use samanea_core::{
    base::{Instant, Serial},
    manager::{
        Counters, Heat, REMOTE_TRANSITIONS, State, TRANSITIONS, Trace, is_legal, is_legal_remote,
    },
    node::{Config, Notice},
};

/// Complaints kept at most.
const COMPLAINTS_MAX: usize = 20;

/// What was seen of all tables of a world, and what was wrong.
#[derive(Debug, Default)]
pub struct Oracle {
    limits: Vec<Limits>,
    tables: BTreeMap<(usize, u32), Table>,
    /// What broke a rule.
    pub complaints: Vec<String>,
    /// What was seen.
    pub seen: Seen,
    last: VecDeque<(Instant, usize, Notice)>,
}

/// Notices kept for those who must understand a failure.
const LAST_MAX: usize = 60;

/// How often what was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Changes of state.
    pub transitions: BTreeMap<(State, State), u64>,
    /// Changes of a peer's use.
    pub remote: BTreeMap<(Option<Heat>, Option<Heat>), u64>,
    /// Counters compared.
    pub counters: u64,
    /// Stays in a state with a timer that were measured.
    pub stays: u64,
    /// Connections reset for the limit.
    pub pruned: u64,
    /// Connections refused without a word.
    pub refused: u64,
    /// Waits of listeners.
    pub waits: u64,
    /// Peers that became mature.
    pub matured: u64,
    /// Connections replaced by one with the same addresses.
    pub replaced: u64,
    /// Connections whose whole life was seen.
    pub lives: u64,
}

/// The settings that matter.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    hard: u32,
    idle: Option<Duration>,
    linger: Duration,
    time_wait: Duration,
}

/// One life of one node.
#[derive(Debug, Default)]
struct Table {
    conns: BTreeMap<Serial, Conn>,
    stopping: bool,
}

#[derive(Clone, Copy, Debug)]
struct Conn {
    state: State,
    /// Since when the timer of the state runs.
    since: Instant,
    heat: Option<Heat>,
}

/// Which timer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timer {
    Idle,
    Linger,
    TimeWait,
    Greeting,
}

/// How long a handshake may take: two messages.
const GREETING: Duration = Duration::from_secs(20);

const fn timer(state: State) -> Option<Timer> {
    match state {
        State::InboundIdleUni | State::InboundIdleDup | State::OutboundDupTicking => {
            Some(Timer::Idle)
        }
        State::OutboundIdleUni | State::OutboundIdleDup => Some(Timer::Linger),
        State::Terminating => Some(Timer::TimeWait),
        State::UnnegotiatedOutbound | State::UnnegotiatedInbound => Some(Timer::Greeting),
        State::Unknown
        | State::ReservedOutbound
        | State::OutboundUni
        | State::OutboundDupExpired
        | State::InboundUni
        | State::InboundDup
        | State::Duplex
        | State::Terminated => None,
    }
}

impl Limits {
    fn of(&self, timer: Timer) -> Option<Duration> {
        match timer {
            Timer::Idle => self.idle,
            Timer::Linger => Some(self.linger),
            Timer::TimeWait => Some(self.time_wait),
            Timer::Greeting => Some(GREETING),
        }
    }
}

impl Oracle {
    /// An oracle over nodes with these settings.
    pub fn new(settings: &[Config]) -> Self {
        Self {
            limits: settings.iter().map(limits).collect(),
            ..Self::default()
        }
    }

    /// A node says something.
    pub fn notice(&mut self, now: Instant, at: usize, life: u32, notice: &Notice) {
        let told = matches!(
            notice,
            Notice::Trace(_) | Notice::Up { .. } | Notice::Down { .. } | Notice::Peer(_)
        );
        if told {
            if self.last.len() >= LAST_MAX {
                self.last.pop_front();
            }
            self.last.push_back((now, at, notice.clone()));
        }
        match notice {
            Notice::Trace(trace) => self.trace(now, at, life, trace),
            Notice::Connections(counters) => self.counters(at, life, counters),
            _ => {}
        }
    }

    /// The hard limit of a node is another one from now on.
    pub fn allow(&mut self, at: usize, hard: u32) {
        if let Some(limits) = self.limits.get_mut(at) {
            limits.hard = hard;
        }
    }

    /// The node is told to shut down: the limit binds it no longer.
    pub fn stopping(&mut self, at: usize, life: u32) {
        self.tables.entry((at, life)).or_default().stopping = true;
    }

    /// A table tells what happened.
    pub fn trace(&mut self, now: Instant, at: usize, life: u32, trace: &Trace) {
        match trace {
            Trace::Transition { conn, from, to } => {
                self.transition(now, (at, life), *conn, *from, *to);
            }
            Trace::Remote { conn, from, to } => self.remote((at, life), *conn, *from, *to),
            Trace::Pruned {
                victims,
                candidates,
            } => {
                self.seen.pruned += u64::try_from(victims.len()).unwrap_or(0);
                let many = u32::try_from(victims.len()).unwrap_or(u32::MAX);
                let hard = self.limits.get(at).map_or(0, |limits| limits.hard);
                if many < candidates.saturating_sub(hard) || many > *candidates || many == 0 {
                    self.complain(
                        at,
                        format!("{many} of {candidates} pruned with {hard} allowed"),
                    );
                }
            }
            Trace::Waiting { .. } => self.seen.waits += 1,
            Trace::Refused { .. } => self.seen.refused += 1,
            Trace::Matured { count } => self.seen.matured += u64::from(*count),
            Trace::Replaced { .. } => self.seen.replaced += 1,
            _ => {}
        }
    }

    fn transition(
        &mut self,
        now: Instant,
        table: (usize, u32),
        conn: Serial,
        from: State,
        to: State,
    ) {
        *self.seen.transitions.entry((from, to)).or_default() += 1;
        if !is_legal(from, to) {
            self.complain(
                table.0,
                format_args!("{conn}: {from:?} to {to:?} is not allowed"),
            );
        }
        let before = self
            .tables
            .entry(table)
            .or_default()
            .conns
            .get(&conn)
            .copied();
        let was = before.map_or(State::Unknown, |before| before.state);
        if was != from && !(was == State::Unknown && from == State::Terminated) {
            self.complain(
                table.0,
                format_args!("{conn}: {from:?} to {to:?}, but it was {was:?}"),
            );
        }
        if let Some(before) = before {
            self.stayed(now, table, conn, &before);
        }
        let conns = &mut self.tables.entry(table).or_default().conns;
        if to == State::Unknown {
            let heat = conns.remove(&conn).and_then(|conn| conn.heat);
            self.seen.lives += 1;
            if heat.is_some() {
                self.complain(table.0, format_args!("{conn} is gone and still {heat:?}"));
            }
            return;
        }
        let same = before.is_some_and(|b| timer(b.state) == timer(to));
        let since = before.filter(|_| same).map_or(now, |before| before.since);
        let heat = before.and_then(|before| before.heat);
        conns.insert(
            conn,
            Conn {
                state: to,
                since,
                heat,
            },
        );
    }

    /// It was in a state until now: not for longer than the state's timer runs.
    fn stayed(&mut self, now: Instant, table: (usize, u32), conn: Serial, before: &Conn) {
        let limit = timer(before.state)
            .and_then(|timer| self.limits.get(table.0)?.of(timer))
            .map(|limit| limit.saturating_mul(11) / 10);
        let stayed = now.since(before.since);
        if let Some(limit) = limit {
            self.seen.stays += 1;
            if stayed > limit {
                let state = before.state;
                self.complain(table.0, format_args!("{conn}: {stayed:?} in {state:?}"));
            }
        }
    }

    fn remote(&mut self, table: (usize, u32), conn: Serial, from: Option<Heat>, to: Option<Heat>) {
        *self.seen.remote.entry((from, to)).or_default() += 1;
        if !is_legal_remote(from, to) {
            self.complain(
                table.0,
                format_args!("{conn}: {from:?} to {to:?} is not allowed"),
            );
        }
        let conns = &mut self.tables.entry(table).or_default().conns;
        match conns.get_mut(&conn) {
            Some(known) if known.heat == from => known.heat = to,
            other => {
                let was = other.copied();
                self.complain(
                    table.0,
                    format_args!("{conn}: {from:?} to {to:?}, but it was {was:?}"),
                );
            }
        }
    }

    /// A table tells its counters: they are what its states add up to.
    pub fn counters(&mut self, at: usize, life: u32, told: &Counters) {
        self.seen.counters += 1;
        let table = self.tables.entry((at, life)).or_default();
        let stopping = table.stopping;
        let counted = count(table.conns.values());
        if counted != *told {
            self.complain(at, format_args!("{told:?} told, {counted:?} counted"));
        }
        let hard = self.limits.get(at).map_or(0, |limits| limits.hard);
        if told.inbound > hard && !stopping {
            self.complain(at, format_args!("{} inbound of {hard}", told.inbound));
        }
    }

    /// The world is over; `life` says in which life a node is and whether it is up. Whoever was
    /// shut down has no connection left.
    pub fn finish(&mut self, now: Instant, life: impl Fn(usize) -> Option<(u32, bool)>) {
        let tables = core::mem::take(&mut self.tables);
        for ((at, of), table) in &tables {
            let is_last = life(*at) == Some((*of, true));
            for (serial, conn) in &table.conns {
                if is_last {
                    self.complain(*at, format_args!("{serial} is left: {conn:?} at {now:?}"));
                }
            }
        }
        self.tables = tables;
    }

    /// The last notices, one a line.
    pub fn journal(&self) -> String {
        let line = |(now, at, notice): &(Instant, usize, Notice)| format!("{now} {at} {notice:?}");
        self.last.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Fails when anything was wrong.
    pub fn verdict(&self) -> Result<(), String> {
        if self.complaints.is_empty() {
            Ok(())
        } else {
            Err(format!(
                "{}\n{}",
                self.complaints.join("\n"),
                self.journal()
            ))
        }
    }

    fn complain(&mut self, at: usize, text: impl fmt::Display) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(format!("node {at}: {text}"));
        }
    }
}

impl Seen {
    /// Adds what another world has seen.
    pub fn add(&mut self, other: &Self) {
        for (transition, count) in &other.transitions {
            *self.transitions.entry(*transition).or_default() += count;
        }
        for (transition, count) in &other.remote {
            *self.remote.entry(*transition).or_default() += count;
        }
        self.counters += other.counters;
        self.stays += other.stays;
        self.pruned += other.pruned;
        self.refused += other.refused;
        self.waits += other.waits;
        self.matured += other.matured;
        self.replaced += other.replaced;
        self.lives += other.lives;
    }

    /// How many changes of state there were.
    pub fn count(&self) -> u64 {
        self.transitions.values().sum()
    }

    /// Those of the changes of state that were never seen.
    pub fn missing(&self, wanted: &[(State, State)]) -> Vec<(State, State)> {
        let seen = |pair: &&(State, State)| !self.transitions.contains_key(*pair);
        wanted.iter().filter(seen).copied().collect()
    }

    /// Those of the changes of use that were never seen.
    pub fn missing_remote(
        &self,
        wanted: &[(Option<Heat>, Option<Heat>)],
    ) -> Vec<(Option<Heat>, Option<Heat>)> {
        let seen = |pair: &&(Option<Heat>, Option<Heat>)| !self.remote.contains_key(*pair);
        wanted.iter().filter(seen).copied().collect()
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} transitions ({} of {} kinds), {} of use ({} of {} kinds), {} lives, {} counters, \
             {} stays, {} pruned, {} refused, {} waits, {} matured, {} replaced",
            self.count(),
            self.transitions.len(),
            TRANSITIONS.len(),
            self.remote.values().sum::<u64>(),
            self.remote.len(),
            REMOTE_TRANSITIONS.len(),
            self.lives,
            self.counters,
            self.stays,
            self.pruned,
            self.refused,
            self.waits,
            self.matured,
            self.replaced,
        )
    }
}

fn limits(config: &Config) -> Limits {
    let manager = &config.manager;
    Limits {
        hard: manager.limits.hard,
        idle: manager.idle,
        linger: manager.linger,
        time_wait: manager.time_wait,
    }
}

fn count<'a>(conns: impl Iterator<Item = &'a Conn>) -> Counters {
    let mut counters = Counters::default();
    for Conn { state, heat, .. } in conns {
        counters.full_duplex += u32::from(*state == State::Duplex);
        counters.duplex += u32::from(state.is_duplex());
        counters.unidirectional += u32::from(state.is_unidirectional());
        counters.inbound += u32::from(state.is_inbound());
        counters.outbound += u32::from(state.is_outbound());
        counters.terminating += u32::from(*state == State::Terminating);
        counters.remote_idle += u32::from(*heat == Some(Heat::Idle));
        counters.remote_cold += u32::from(*heat == Some(Heat::Cold));
        counters.remote_warm += u32::from(*heat == Some(Heat::Warm));
        counters.remote_hot += u32::from(*heat == Some(Heat::Hot));
    }
    counters
}
