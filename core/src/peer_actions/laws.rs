//! Any sequence of events: against a table and connections that keep their contract, and against
//! ones that do not.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};
use core::{net::SocketAddr, time::Duration};

use proptest::{prelude::*, test_runner::TestRunner};

use super::{Action, Config, Event, Fact, PeerActions, Stage, tests::agreed};
use crate::{
    base::{Cx, First, Instant, Machine, NoRules, ProtocolId, Request, Serial},
    conn::{self, Cause, Fault, Temperature, temperature},
    manager::{Acquired, NotAcquired, Via},
    proto::handshake::Mode,
};

const PEERS: u8 = 4;
/// Fewer than there are peers, so that the limit is met.
const PEERS_MAX: usize = 3;

fn addr(peer: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, peer % PEERS], 3001))
}

/// A connection as it is, beside what the machine believes.
#[derive(Default)]
struct Line {
    orders: VecDeque<(bool, Temperature)>,
    may_run: Vec<ProtocolId>,
    running: BTreeSet<ProtocolId>,
    stopping: BTreeSet<ProtocolId>,
    released: bool,
    reset: bool,
}

/// What was seen, over all cases.
#[derive(Debug, Default)]
struct Seen {
    stages: BTreeMap<&'static str, u32>,
    facts: BTreeMap<&'static str, u32>,
    resets: u32,
    releases: u32,
    reused: u32,
    full: u32,
    stale: u64,
}

const fn stage_name(stage: Option<Stage>) -> &'static str {
    match stage {
        None => "cold",
        Some(Stage::Acquiring(_)) => "acquiring",
        Some(Stage::Withdrawing) => "withdrawing",
        Some(Stage::Warm) => "warm",
        Some(Stage::Activating) => "activating",
        Some(Stage::Hot) => "hot",
        Some(Stage::Deactivating { .. }) => "deactivating",
        Some(Stage::Closing { .. }) => "closing",
        Some(Stage::Cooling) => "cooling",
    }
}

const fn fact_name(fact: &Fact) -> &'static str {
    match fact {
        Fact::Established { .. } => "established",
        Fact::NotEstablished { .. } => "not established",
        Fact::Activated { .. } => "activated",
        Fact::Deactivated { .. } => "deactivated",
        Fact::Cooling { .. } => "cooling",
        Fact::Cold { .. } => "cold",
    }
}

struct World<'a> {
    machine: PeerActions,
    now: Instant,
    requests: Vec<Request>,
    lines: BTreeMap<Serial, Line>,
    spare: Vec<Serial>,
    next_conn: u64,
    told: BTreeMap<SocketAddr, &'static str>,
    lawful: bool,
    seen: &'a mut Seen,
}

impl<'a> World<'a> {
    fn new(lawful: bool, seen: &'a mut Seen) -> Self {
        let config = Config {
            peers_max: PEERS_MAX,
            ..Config::default()
        };
        Self {
            machine: PeerActions::new(config),
            now: Instant::from_secs(1),
            requests: Vec::new(),
            lines: BTreeMap::new(),
            spare: Vec::new(),
            next_conn: 1,
            told: BTreeMap::new(),
            lawful,
            seen,
        }
    }

    fn feed(&mut self, event: Event) {
        let tick = event == Event::Tick;
        let mut out = Vec::new();
        let mut choice = First;
        let mut cx = Cx::new(self.now, &mut choice, &NoRules, &mut out);
        self.machine.step(&mut cx, event);
        self.machine.check_invariants().unwrap();
        if tick {
            let next = self.machine.next_deadline();
            assert!(next.is_none_or(|next| next > self.now));
        }
        for action in out {
            self.carry_out(&action);
        }
        for peer in 0..PEERS {
            let name = stage_name(self.machine.get(&addr(peer)).map(super::Peer::stage));
            *self.seen.stages.entry(name).or_default() += 1;
        }
    }

    fn carry_out(&mut self, action: &Action) {
        match *action {
            Action::Acquire { request, .. } => self.requests.push(request),
            Action::Cancel(request) => {
                assert!(!self.lawful || self.requests.contains(&request));
            }
            Action::Release(conn) => {
                self.seen.releases += 1;
                if self.lawful {
                    let line = self.lines.get_mut(&conn).unwrap();
                    assert!(!line.released && !line.reset, "once, and not after a reset");
                    assert!(line.running.is_empty(), "{:?} run", line.running);
                    let empty = |bundle| line.may_run.iter().all(|p| temperature(*p) != bundle);
                    let mut due = line.orders.iter();
                    assert!(due.all(|(start, b)| !start || empty(*b)));
                    line.released = true;
                }
            }
            Action::Start(conn, bundle) => self.order(conn, true, bundle),
            Action::Stop(conn, bundle) => self.order(conn, false, bundle),
            Action::Reset(conn, fault) => {
                self.seen.resets += 1;
                assert_eq!(fault, Fault::Unfinished);
                if let Some(line) = self.lines.get_mut(&conn) {
                    assert!(!line.released && !line.reset);
                    line.reset = true;
                    line.orders.clear();
                    line.running.clear();
                    line.stopping.clear();
                    self.feed(Event::Ended { conn, fault });
                }
            }
            Action::Fact(fact) => self.hear(fact),
        }
    }

    fn order(&mut self, conn: Serial, start: bool, bundle: Temperature) {
        if let Some(line) = self.lines.get_mut(&conn) {
            line.orders.push_back((start, bundle));
        }
    }

    /// The facts of one peer come in their order, whatever happens.
    fn hear(&mut self, fact: Fact) {
        let name = fact_name(&fact);
        *self.seen.facts.entry(name).or_default() += 1;
        let before = self.told.get(&fact.peer()).copied().unwrap_or("cold");
        let fits = match name {
            "activated" => matches!(before, "established" | "deactivated"),
            "deactivated" | "cooling" => {
                matches!(before, "established" | "activated" | "deactivated")
            }
            "cold" => before == "cooling",
            _ => before == "cold",
        };
        assert!(fits, "{before} then {name}");
        if let Fact::NotEstablished { why, .. } = fact {
            self.seen.full += u32::from(why == NotAcquired::Full);
        } else {
            self.told.insert(fact.peer(), name);
        }
        if let Fact::Established { reused, .. } = fact {
            self.seen.reused += u32::from(reused);
        }
    }

    fn answer(&mut self, good: bool, arg: u8) {
        let Some(request) = self.requests.pop() else {
            return;
        };
        let outcome = if good {
            let reuse = self.spare.pop();
            let conn = reuse.unwrap_or(Serial(self.next_conn));
            self.next_conn += 1;
            let version = if arg & 1 == 0 { 14 } else { 0x200e };
            let agreed = agreed(version, arg & 2 == 0);
            let line = Line {
                may_run: conn::protocols(&agreed).collect(),
                ..Line::default()
            };
            self.lines.insert(conn, line);
            Ok(Acquired {
                conn,
                agreed,
                reused: reuse.is_some(),
            })
        } else {
            Err(NotAcquired::Connect(Cause::Refused))
        };
        self.feed(Event::Acquired { request, outcome });
    }

    /// Some connection carries out its oldest order.
    fn obey(&mut self, arg: u8) {
        let able = self.lines.iter_mut().filter(|(_, l)| !l.orders.is_empty());
        let mut able: Vec<_> = able.collect();
        let at = usize::from(arg) % able.len().max(1);
        let Some((conn, line)) = able.get_mut(at) else {
            return;
        };
        let conn = **conn;
        let Some((start, bundle)) = line.orders.pop_front() else {
            return;
        };
        if start {
            let mine = |p: &&ProtocolId| temperature(**p) == bundle;
            let begin: Vec<_> = line.may_run.iter().filter(mine).copied().collect();
            let begin = begin.into_iter().filter(|p| line.running.insert(*p));
            for protocol in begin.collect::<Vec<_>>() {
                self.feed(Event::Started { conn, protocol });
            }
        } else {
            let mine = |p: &&ProtocolId| temperature(**p) == bundle;
            let all = line.running.iter().filter(mine).copied();
            line.stopping.extend(all.collect::<Vec<_>>());
        }
    }

    /// A half ends: one that was asked to, or any.
    fn finish(&mut self, asked: bool, arg: u8) {
        let halves = self.lines.iter().flat_map(|(conn, line)| {
            let all = if asked { &line.stopping } else { &line.running };
            all.iter().map(|protocol| (*conn, *protocol))
        });
        let halves: Vec<_> = halves.collect();
        let at = usize::from(arg) % halves.len().max(1);
        let Some((conn, protocol)) = halves.get(at).copied() else {
            return;
        };
        if let Some(line) = self.lines.get_mut(&conn) {
            line.running.remove(&protocol);
            line.stopping.remove(&protocol);
        }
        self.feed(Event::Stopped { conn, protocol });
    }

    fn end(&mut self, arg: u8) {
        let at = usize::from(arg) % self.lines.len().max(1);
        let whole = self.lines.iter_mut().filter(|(_, line)| !line.reset);
        let Some((conn, line)) = whole.take(at + 1).last() else {
            return;
        };
        let conn = *conn;
        *line = Line {
            reset: true,
            released: line.released,
            ..Line::default()
        };
        let fault = Fault::Lost(Cause::Reset);
        self.feed(Event::Ended { conn, fault });
    }

    /// The table lets go of a connection that is over or released.
    fn demote(&mut self) {
        let done = |(_, line): &(&Serial, &Line)| line.reset || line.released;
        let Some(conn) = self.lines.iter().find(done).map(|(conn, _)| *conn) else {
            return;
        };
        let line = self.lines.remove(&conn);
        if line.is_some_and(|line| !line.reset) {
            self.spare.push(conn);
        }
        self.feed(Event::Demoted { conn });
    }

    fn tick(&mut self) {
        let due = self.machine.next_deadline();
        if due.is_none_or(|due| due > self.now) {
            let before = self.machine.clone();
            self.feed(Event::Tick);
            assert_eq!(self.machine, before, "an early tick changes nothing");
        }
        if let Some(due) = due {
            self.now = self.now.max(due);
            self.feed(Event::Tick);
        }
    }

    fn hostile(&mut self, op: u8, arg: u8) {
        let conn = Serial(u64::from(arg % 8));
        let all = [
            ProtocolId::CHAIN_SYNC,
            ProtocolId::BLOCK_FETCH,
            ProtocolId::TX_SUBMISSION,
            ProtocolId::KEEP_ALIVE,
            ProtocolId::PEER_SHARING,
            ProtocolId(77),
        ];
        let protocol = all[usize::from(arg / 8) % all.len()];
        let agreed = agreed(14, true);
        let request = Request(u64::from(arg % 16));
        self.feed(match op % 5 {
            0 => Event::Started { conn, protocol },
            1 => Event::Stopped { conn, protocol },
            2 => Event::Demoted { conn },
            3 => Event::Ended {
                conn,
                fault: Fault::Closed,
            },
            _ => Event::Acquired {
                request,
                outcome: Ok(Acquired {
                    conn,
                    agreed,
                    reused: true,
                }),
            },
        });
    }

    fn op(&mut self, op: u8, arg: u8) {
        let peer = addr(arg);
        match op {
            0..=24 => self.feed(Event::Establish {
                peer,
                mode: Mode::InitiatorAndResponder,
                via: Via::Dial,
            }),
            25..=49 => self.feed(Event::Activate { peer }),
            50..=64 => self.feed(Event::Deactivate { peer }),
            65..=74 => self.feed(Event::Close { peer }),
            75..=104 => self.answer(arg > 40, arg),
            105..=164 => self.obey(arg),
            165..=204 => self.finish(true, arg),
            205..=209 => self.finish(false, arg),
            210..=216 => self.end(arg),
            217..=234 => self.demote(),
            235..=239 => self.tick(),
            240..=243 => self.now = self.now.after(Duration::from_secs(u64::from(arg))),
            _ if self.lawful => self.obey(arg),
            _ => self.hostile(op, arg),
        }
        #[cfg(feature = "tape")]
        {
            let bytes = postcard::to_allocvec(&self.machine).unwrap();
            assert_eq!(
                postcard::from_bytes::<PeerActions>(&bytes).unwrap(),
                self.machine
            );
        }
    }

    /// Everybody is closed and does what it must: nothing is left.
    fn wind_up(&mut self) {
        for peer in 0..PEERS {
            self.feed(Event::Close { peer: addr(peer) });
        }
        while !self.requests.is_empty() {
            self.answer(self.requests.len().is_multiple_of(2), 1);
        }
        for _ in 0..400 {
            self.obey(0);
            self.finish(true, 0);
            self.demote();
        }
        assert!(self.machine.is_empty(), "{:?}", self.machine);
        assert_eq!(self.machine.next_deadline(), None);
        assert!(self.lines.is_empty());
    }
}

fn run(lawful: bool) -> Seen {
    let mut seen = Seen::default();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 1_500,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let ops = prop::collection::vec((any::<u8>(), any::<u8>()), 100..250);
    let seen_by = core::cell::RefCell::new(&mut seen);
    let result = runner.run(&ops, |ops| {
        let mut seen = seen_by.borrow_mut();
        let mut world = World::new(lawful, &mut seen);
        for (op, arg) in ops {
            world.op(op, arg);
        }
        if lawful {
            world.wind_up();
        }
        let stale = world.machine.stale();
        world.seen.stale += stale;
        Ok(())
    });
    assert!(result.is_ok(), "{}", result.unwrap_err());
    seen
}

fn assert_covered(seen: &Seen) {
    for name in [
        "cold",
        "acquiring",
        "withdrawing",
        "warm",
        "activating",
        "hot",
        "deactivating",
        "closing",
        "cooling",
    ] {
        let count = seen.stages.get(name).copied().unwrap_or(0);
        assert!(count >= 100, "{name}: {count}");
    }
    for name in [
        "established",
        "not established",
        "activated",
        "deactivated",
        "cooling",
        "cold",
    ] {
        let count = seen.facts.get(name).copied().unwrap_or(0);
        assert!(count >= 100, "{name}: {count}");
    }
    assert!(seen.full >= 20 && seen.reused >= 20);
    assert!(seen.releases >= 50 && seen.resets >= 20);
    assert!(seen.stale >= 100);
}

#[test]
fn under_a_lawful_table_every_peer_ends_cold_and_every_connection_is_given_back_once() {
    assert_covered(&run(true));
}

#[test]
fn no_sequence_of_events_breaks_an_invariant_or_the_order_of_facts() {
    assert_covered(&run(false));
}
