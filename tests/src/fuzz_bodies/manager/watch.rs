//! A table of connections under watch: every action is checked against the laws as it comes.

use std::collections::{BTreeMap, BTreeSet};

use core::net::{IpAddr, SocketAddr};

use samanea_core::{
    base::{Choice, Cx, Instant, ListenerId, Machine as _, NoRules, Request, Serial, Site},
    conn::Fault,
    manager::{Action, Config, Counters, Event, Heat, Limits, Manager, Provenance, State, Via},
};

use super::{
    doors::{Doors, Moment},
    verdict,
};
use crate::{fuzz_bodies::holds, tape::ByteTape};

/// What a run has come across; a run that saw nothing shows nothing.
#[derive(Clone, Debug, Default)]
pub(in crate::fuzz_bodies) struct Seen {
    pub(in crate::fuzz_bodies) transitions: BTreeMap<(State, State), u32>,
    pub(in crate::fuzz_bodies) heats: BTreeMap<(Option<Heat>, Option<Heat>), u32>,
    pub(in crate::fuzz_bodies) refusals: BTreeMap<&'static str, u32>,
    pub(in crate::fuzz_bodies) answers: BTreeMap<&'static str, u32>,
    pub(in crate::fuzz_bodies) pruned: u32,
    pub(in crate::fuzz_bodies) matured: u32,
    pub(in crate::fuzz_bodies) asked_late: u32,
    pub(in crate::fuzz_bodies) stale: u32,
    pub(in crate::fuzz_bodies) restored: u32,
}

impl Seen {
    /// What another run has come across as well.
    #[cfg(test)]
    pub(in crate::fuzz_bodies) fn add(&mut self, other: Self) {
        for (transition, count) in other.transitions {
            *self.transitions.entry(transition).or_default() += count;
        }
        for (heats, count) in other.heats {
            *self.heats.entry(heats).or_default() += count;
        }
        for (name, count) in other.refusals {
            *self.refusals.entry(name).or_default() += count;
        }
        for (name, count) in other.answers {
            *self.answers.entry(name).or_default() += count;
        }
        self.pruned += other.pruned;
        self.matured += other.matured;
        self.asked_late += other.asked_late;
        self.stale += other.stale;
        self.restored += other.restored;
    }
}

/// The machine, and what must be true of it by what it said.
pub(in crate::fuzz_bodies) struct Watch {
    pub(super) manager: Manager,
    /// One restored from a snapshot, for the next step.
    twin: Option<Manager>,
    pub(super) now: Instant,
    pub(super) config: Config,
    pub(super) limits: Limits,
    pub(super) conns: BTreeMap<Serial, Conn>,
    pub(super) doors: Doors,
    pub(super) exempt: BTreeSet<IpAddr>,
    pub(super) reserved: BTreeSet<IpAddr>,
    pub(super) due: BTreeMap<Request, (SocketAddr, Via)>,
    pub(super) held: BTreeSet<Serial>,
    counters: Counters,
    pub(super) last: Serial,
    /// The highest request so far.
    pub(super) requests: u64,
    pub(super) stopping: bool,
    pub(super) stopped: bool,
    /// Where those that ended in this step were before.
    pub(super) ended: Vec<(State, Provenance)>,
    pub(in crate::fuzz_bodies) seen: Seen,
}

/// A connection as its actions and traces tell it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conn {
    pub(super) state: State,
    pub(super) heat: Option<Heat>,
    pub(super) remote: SocketAddr,
    pub(super) local: Option<SocketAddr>,
    pub(super) provenance: Provenance,
    pub(super) socket: Socket,
    pub(super) greeted: bool,
    pub(super) acquired: bool,
    /// Whether it is found by its addresses.
    pub(super) listed: bool,
    /// When its timer fires.
    pub(super) fires: Option<Instant>,
    pub(super) maturity: Maturity,
}

/// Whether a connection counts as one to share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Maturity {
    Never,
    From(Instant),
    Now,
}

/// A socket as the driver knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Socket {
    Dialling,
    Open,
    /// Told to close, in order.
    Closing,
    Closed,
}

impl Conn {
    pub(super) fn has_socket(&self) -> bool {
        matches!(self.socket, Socket::Open | Socket::Closing)
    }
}

/// Draws come from the tape, the keys of hash tables do not.
struct Drawn<'a>(&'a mut ByteTape);

impl Choice for Drawn<'_> {
    fn below(&mut self, site: Site, of: u64, n: u32) -> u32 {
        if site == Site::SLOTS_KEY {
            7
        } else {
            self.0.below(site, of, n)
        }
    }
}

fn step(manager: &mut Manager, now: Instant, tape: &mut ByteTape, event: Event) -> Vec<Action> {
    let (mut choice, mut out) = (Drawn(tape), Vec::new());
    manager.step(&mut Cx::new(now, &mut choice, &NoRules, &mut out), event);
    out
}

impl Watch {
    pub(in crate::fuzz_bodies) fn new(config: Config) -> Self {
        let mut manager = Manager::new(config.clone());
        // The first step draws the keys of its hash tables.
        step(
            &mut manager,
            Instant::ZERO,
            &mut ByteTape::default(),
            Event::Tick,
        );
        Self {
            manager: Manager::new(config.clone()),
            twin: None,
            now: Instant::ZERO,
            limits: config.limits,
            config,
            conns: BTreeMap::new(),
            doors: Doors::default(),
            exempt: BTreeSet::new(),
            reserved: BTreeSet::new(),
            due: BTreeMap::new(),
            held: BTreeSet::new(),
            counters: Counters::default(),
            last: Serial(0),
            requests: 0,
            stopping: false,
            stopped: false,
            ended: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Inbound connections by what was traced.
    pub(super) fn inbound(&self) -> u32 {
        let inbound = self.conns.values().filter(|conn| conn.state.is_inbound());
        u32::try_from(inbound.count()).unwrap_or(u32::MAX)
    }

    /// The next step is taken by a machine restored from a snapshot as well.
    pub(super) fn restore(&mut self) {
        let bytes = postcard::to_allocvec(&self.manager).expect("a snapshot");
        let twin: Manager = postcard::from_bytes(&bytes).expect("the snapshot back");
        assert!(twin == self.manager, "a snapshot is not what was taken");
        holds(twin.check_invariants());
        self.twin = Some(twin);
        self.seen.restored += 1;
    }

    /// One event, and all laws.
    pub(in crate::fuzz_bodies) fn feed(&mut self, tape: &mut ByteTape, event: &Event) {
        let inert = self.is_inert(event);
        let before = inert.then(|| self.manager.clone());
        let was_full = self.inbound() >= self.limits.hard;
        let matured = self.mature();
        let verdict = verdict::of(self, event);
        let asked = matches!(event, Event::Accepted { listener, .. }
            if self.doors.is_asked(*listener) && !self.stopping);
        self.hear(event);
        let twin = self.twin.take().map(|mut twin| {
            let said = step(&mut twin, self.now, &mut tape.clone(), event.clone());
            (twin, said)
        });
        let said = step(&mut self.manager, self.now, tape, event.clone());
        if let Some((twin, also)) = twin {
            assert_eq!(said, also, "a restored machine acts differently");
            assert!(twin == self.manager, "a restored machine ends differently");
        }
        if let Some(before) = before {
            assert!(said.is_empty(), "{event:?} is stale: {said:?}");
            let same = if *event == Event::Tick {
                before == self.manager
            } else {
                before.canonical(self.now) == self.manager.canonical(self.now)
            };
            assert!(same, "{event:?} changed something");
            self.seen.stale += 1;
        }
        self.obey(event, &said);
        verdict::check(self, verdict, &said);
        if *event == Event::Tick {
            self.ripen();
        }
        // One that became mature and ended in one tick is a change too.
        let changed = matured != self.mature();
        let told = said.contains(&Action::Mature);
        assert!(
            told == changed || (told && *event == Event::Tick),
            "mature peers: {event:?}"
        );
        let moment = Moment {
            now: self.now,
            limits: self.limits,
            inbound: self.inbound(),
            was_full,
        };
        self.check_doors(event, asked, moment, &said);
        self.check_counters(&said);
        self.check_all(event);
    }

    /// Whether an event is for what is not there, so that nothing may come of it.
    fn is_inert(&self, event: &Event) -> bool {
        let state = |conn: &Serial| self.conns.get(conn).map_or(State::Unknown, |c| c.state);
        match event {
            Event::Acquire { request, .. } => self.due.contains_key(request),
            Event::Cancel(request) => !self.due.contains_key(request),
            Event::Connected { conn, .. } | Event::ConnectFailed { conn, .. } => {
                state(conn) != State::ReservedOutbound
            }
            Event::Agreed { conn, .. } => !matches!(
                state(conn),
                State::UnnegotiatedInbound | State::UnnegotiatedOutbound
            ),
            Event::Lingering { conn } => state(conn) != State::UnnegotiatedInbound,
            Event::ResponderStarted { conn, .. } | Event::ResponderEnded { conn, .. } => {
                self.conns.get(conn).is_none_or(|conn| conn.heat.is_none())
            }
            Event::Ended { conn, .. } => self.conns.get(conn).is_none_or(|conn| !conn.has_socket()),
            Event::Release(conn) => !self.held.contains(conn),
            Event::Abort(conn, _) => {
                let known = self.conns.get(conn);
                known.is_none_or(|conn| conn.socket == Socket::Closed)
            }
            Event::AcceptFailed { listener, .. } => self.doors.local(*listener).is_none(),
            Event::Tick => {
                let deadline = self.manager.next_deadline();
                deadline.is_none_or(|by| by > self.now)
            }
            _ => false,
        }
    }

    /// Who is mature, as serials.
    fn mature(&self) -> BTreeSet<Serial> {
        let now = Maturity::Now;
        let mature = self.conns.iter().filter(|(_, conn)| conn.maturity == now);
        mature.map(|(conn, _)| *conn).collect()
    }

    fn ripen(&mut self) {
        for conn in self.conns.values_mut() {
            if matches!(conn.maturity, Maturity::From(at) if at <= self.now) {
                conn.maturity = Maturity::Now;
                self.seen.matured += 1;
            }
        }
    }

    fn check_doors(&mut self, event: &Event, asked: bool, moment: Moment, said: &[Action]) {
        let deaf = self.stopping && matches!(event, Event::Listening { .. });
        if !deaf {
            self.doors.heard(event, &self.config, asked, moment);
        }
        let mut wanted = std::mem::take(&mut self.doors.wanted);
        for action in said {
            match action {
                Action::AcceptOne(listener) => {
                    assert!(
                        wanted.remove(listener),
                        "{listener} is asked too early, or twice"
                    );
                    if !matches!(event, Event::Accepted { .. } | Event::Listening { .. }) {
                        self.seen.asked_late += 1;
                    }
                }
                Action::ListenerLost(listener) => {
                    assert_eq!(self.doors.local(*listener), None::<SocketAddr>);
                }
                _ => {}
            }
        }
        let late: Vec<ListenerId> = wanted.into_iter().collect();
        assert!(late.is_empty(), "not asked: {late:?} after {event:?}");
    }

    fn check_counters(&mut self, said: &[Action]) {
        let counters = self.manager.counters();
        let told = said.iter().filter_map(|action| match action {
            Action::Counters(counters) => Some(*counters),
            _ => None,
        });
        let told: Vec<Counters> = told.collect();
        if counters == self.counters {
            assert!(told.is_empty(), "counters that did not change");
        } else {
            assert_eq!(told, [counters]);
        }
        self.counters = counters;
        assert_eq!(counters.inbound, self.inbound());
        let greeted = self.conns.values().filter(|conn| {
            matches!(
                conn.state,
                State::UnnegotiatedInbound | State::UnnegotiatedOutbound
            )
        });
        let greeted = u32::try_from(greeted.count()).expect("few connections");
        assert_eq!(
            counters.duplex + counters.unidirectional + greeted,
            counters.inbound + counters.outbound - counters.full_duplex
        );
    }

    fn check_all(&self, event: &Event) {
        holds(self.manager.check_invariants());
        let deadline = self.manager.next_deadline();
        if *event == Event::Tick {
            assert!(
                deadline.is_none_or(|by| by > self.now),
                "a tick leaves work"
            );
        }
        assert_eq!(deadline, self.deadline(), "the deadline after {event:?}");
        let known = self.conns.iter().map(|(conn, known)| (*conn, known.state));
        let mut told: Vec<_> = self.manager.conns().collect();
        told.sort_unstable();
        assert!(known.eq(told), "states are not those traced");
        for (conn, known) in &self.conns {
            assert_eq!(self.manager.heat(*conn), known.heat);
            let (socket, held) = (known.socket, self.held.contains(conn));
            let uses = known.state.is_outbound() && known.state != State::UnnegotiatedOutbound;
            match known.state {
                State::ReservedOutbound => assert!(socket == Socket::Dialling && !held),
                State::Terminating => assert!(socket != Socket::Dialling),
                _ => assert!(known.has_socket() && known.greeted && held == uses),
            }
        }
        assert!(self.held.iter().all(|conn| self.conns.contains_key(conn)));
        assert!(
            self.manager.wishes().eq(self.due.keys().copied()),
            "requests"
        );
        let mut mature: Vec<_> = self.manager.mature().map(|(remote, _)| remote).collect();
        let fresh = |conn: &&Conn| matches!(conn.maturity, Maturity::From(_));
        let fresh = self.conns.values().filter(fresh).count();
        assert_eq!(self.manager.fresh(), fresh);
        let known = self.conns.values();
        let known = known.filter(|conn| conn.maturity == Maturity::Now);
        let mut known: Vec<_> = known.map(|conn| conn.remote).collect();
        mature.sort_unstable();
        known.sort_unstable();
        assert_eq!(mature, known, "mature peers");
    }

    /// When something is due, by what was traced.
    fn deadline(&self) -> Option<Instant> {
        let conns = self.conns.values();
        let timers = conns.flat_map(|conn| {
            let matures = match conn.maturity {
                Maturity::From(at) => Some(at),
                Maturity::Never | Maturity::Now => None,
            };
            [conn.fires, matures]
        });
        let doors = self.doors.due(&self.limits, self.inbound());
        timers.flatten().chain(doors).min()
    }

    /// All that can end, ends; and then there is nothing left.
    pub(in crate::fuzz_bodies) fn end(&mut self, tape: &mut ByteTape) {
        for _ in 0..64 {
            let Some((conn, known)) = self.conns.iter().next() else {
                break;
            };
            let (conn, cause) = (*conn, samanea_core::conn::Cause::Reset);
            let event = match known.socket {
                Socket::Dialling => Event::ConnectFailed { conn, cause },
                Socket::Open | Socket::Closing => Event::Ended {
                    conn,
                    fault: Fault::Lost(cause),
                },
                Socket::Closed => {
                    let fires = known.fires.expect("what is over has a timer");
                    self.now = self.now.max(fires);
                    Event::Tick
                }
            };
            self.feed(tape, &event);
        }
        assert!(self.conns.is_empty(), "some never end: {:?}", self.conns);
        assert!(self.manager.is_empty() && self.held.is_empty() && self.due.is_empty());
        assert_eq!(self.manager.counters(), Counters::default());
        assert_eq!(self.stopped, self.stopping);
    }
}
