//! Any script: what holds at every step, and what must have come about in the end.
//!
//! An op means something different in each state, so that no op is wasted: it picks among what
//! the drivers, connections and peers can say now, and a quota of it among what nobody should say.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    vec,
    vec::Vec,
};
use core::{cell::RefCell, time::Duration};

use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config as ProptestConfig, RngAlgorithm, TestRng, TestRunner},
};

use super::{
    super::{Config, Limits, Prefixes, Victims},
    rig::{Quiet, Seen},
    transitions::{ALSO, COVERED, NEVER, REMOTE_COVERED, REMOTE_NEVER},
    *,
};
use crate::base::Machine;

/// What happens next; the numbers pick who.
#[derive(Clone, Copy, Debug)]
enum Op {
    Acquire {
        peer: u8,
        kind: u8,
    },
    Cancel(u8),
    Release(u8),
    Accept {
        peer: u8,
        local: u8,
    },
    AcceptFails(u8),
    /// The next thing that a driver or connection has to say of one of them.
    Proceed {
        who: u8,
        kind: u8,
    },
    Start {
        who: u8,
        what: u8,
    },
    Stop {
        who: u8,
        what: u8,
    },
    End(u8),
    Abort(u8),
    Pass(u16),
    Due,
    Limit(u8),
    /// Something out of place.
    Odd {
        who: u8,
        kind: u8,
    },
    Restore,
}

/// How often each comes.
#[derive(Clone, Copy)]
struct Weights {
    acquire: u32,
    release: u32,
    accept: u32,
    peers: u32,
    end: u32,
    limit: u32,
}

/// Much of everything; many inbound and small limits.
const NORMAL: Weights = Weights {
    acquire: 10,
    release: 4,
    accept: 8,
    peers: 10,
    end: 4,
    limit: 1,
};
const CROWDED: Weights = Weights {
    acquire: 8,
    release: 12,
    accept: 10,
    peers: 16,
    end: 1,
    limit: 1,
};

fn ops(weights: Weights) -> impl Strategy<Value = Vec<Op>> {
    let byte = any::<u8>();
    let op = prop_oneof![
        weights.acquire => (byte, byte).prop_map(|(peer, kind)| Op::Acquire { peer, kind }),
        1 => byte.prop_map(Op::Cancel),
        weights.release => byte.prop_map(Op::Release),
        weights.accept => (byte, byte).prop_map(|(peer, local)| Op::Accept { peer, local }),
        1 => byte.prop_map(Op::AcceptFails),
        20 => (byte, byte).prop_map(|(who, kind)| Op::Proceed { who, kind }),
        weights.peers => (byte, byte).prop_map(|(who, what)| Op::Start { who, what }),
        weights.peers => (byte, byte).prop_map(|(who, what)| Op::Stop { who, what }),
        weights.end => byte.prop_map(Op::End),
        1 => byte.prop_map(Op::Abort),
        6 => (0..3_000_u16).prop_map(Op::Pass),
        8 => Just(Op::Due),
        weights.limit => byte.prop_map(Op::Limit),
        2 => (byte, byte).prop_map(|(who, kind)| Op::Odd { who, kind }),
        1 => Just(Op::Restore),
    ];
    vec(op, 40..160)
}

/// What the world around the machine knows: which connections exist, and what runs on them.
struct World {
    rig: Rig,
    live: BTreeMap<Serial, Life>,
    due: BTreeSet<Request>,
    peers: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Life {
    Dialling,
    Greeting(Role),
    Open(BTreeSet<ProtocolId>),
    Lingering,
    /// Closed in order: its end is still to be told.
    Closing,
}

const PROTOCOLS: [ProtocolId; 6] = [
    WARM,
    HOT,
    HOT2,
    WARM2,
    ProtocolId::TX_SUBMISSION,
    ProtocolId(99),
];

impl World {
    fn new(config: Config, peers: u32) -> Self {
        let mut world = Self {
            rig: Rig::new(config),
            live: BTreeMap::new(),
            due: BTreeSet::new(),
            peers,
        };
        world.feed(Event::Listening {
            listener: DOOR,
            local: home(),
        });
        world
    }

    fn feed(&mut self, event: Event) {
        match &event {
            Event::Acquire { request, .. } => drop(self.due.insert(*request)),
            Event::Connected { conn, .. } => {
                self.live.insert(*conn, Life::Greeting(Role::Initiator));
            }
            Event::Agreed { conn, .. } => {
                drop(self.live.insert(*conn, Life::Open(BTreeSet::new())));
            }
            Event::Lingering { conn } => drop(self.live.insert(*conn, Life::Lingering)),
            Event::ConnectFailed { conn, .. } | Event::Ended { conn, .. } => {
                self.live.remove(conn);
            }
            _ => {}
        }
        let actions = self.rig.feed(event);
        self.watch(&actions);
    }

    fn watch(&mut self, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Dial { conn, .. } => drop(self.live.insert(*conn, Life::Dialling)),
                Action::Adopt { conn, .. } => {
                    self.live.insert(*conn, Life::Greeting(Role::Responder));
                }
                Action::Close { conn, fault } => {
                    if *fault == Fault::Closed {
                        self.live.insert(*conn, Life::Closing);
                    } else {
                        self.live.remove(conn);
                    }
                }
                Action::Acquired { request, .. } => drop(self.due.remove(request)),
                _ => {}
            }
        }
    }

    fn pick(&self, who: u8, is: impl Fn(&Life) -> bool) -> Option<Serial> {
        let fit: Vec<Serial> = self
            .live
            .iter()
            .filter(|(_, life)| is(life))
            .map(|(conn, _)| *conn)
            .collect();
        (!fit.is_empty()).then(|| fit[usize::from(who) % fit.len()])
    }

    fn addr(&self, n: u8) -> SocketAddr {
        // One of them is ourselves.
        match u32::from(n) % (self.peers + 1) {
            0 => home(),
            n => peer(n),
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Acquire { peer, kind } => {
                let request = self.rig.next_request();
                let remote = self.addr(peer);
                let mode = if kind.is_multiple_of(5) {
                    ONE_WAY
                } else {
                    DUPLEX
                };
                let via = if kind.is_multiple_of(7) {
                    Via::Inbound
                } else {
                    Via::Dial
                };
                self.feed(Event::Acquire {
                    request,
                    remote,
                    mode,
                    via,
                });
            }
            Op::Cancel(who) => {
                let due: Vec<Request> = self.due.iter().copied().collect();
                if !due.is_empty() {
                    self.feed(Event::Cancel(due[usize::from(who) % due.len()]));
                }
            }
            Op::Release(who) => {
                let used: Vec<Serial> = self
                    .rig
                    .manager
                    .conns()
                    .filter(|(_, state)| state.is_outbound())
                    .map(|(conn, _)| conn)
                    .collect();
                if !used.is_empty() {
                    self.feed(Event::Release(used[usize::from(who) % used.len()]));
                }
            }
            Op::Accept { peer, local } => self.accept(peer, local),
            Op::AcceptFails(kind) => {
                let cause = if kind.is_multiple_of(2) {
                    Cause::Reset
                } else {
                    Cause::Resources
                };
                let fatal = false;
                if self.rig.watch.armed.contains(&DOOR) {
                    self.feed(Event::AcceptFailed {
                        listener: DOOR,
                        cause,
                        fatal,
                    });
                }
            }
            Op::Proceed { who, kind } => self.proceed(who, kind),
            Op::Start { who, what } => {
                let protocol = PROTOCOLS[usize::from(what) % PROTOCOLS.len()];
                if let Some(conn) = self.pick(who, |life| matches!(life, Life::Open(_))) {
                    if let Some(Life::Open(running)) = self.live.get_mut(&conn) {
                        running.insert(protocol);
                    }
                    self.feed(Event::ResponderStarted { conn, protocol });
                }
            }
            Op::Stop { who, what } => self.stop(who, what),
            Op::End(who) => {
                if let Some(conn) = self.pick(who, |life| *life != Life::Dialling) {
                    self.feed(Event::Ended { conn, fault: LOST });
                }
            }
            Op::Abort(who) => {
                if let Some(conn) = self.pick(who, |life| *life != Life::Closing) {
                    self.feed(Event::Abort(conn, Fault::Unfinished));
                }
            }
            Op::Pass(ms) => {
                self.rig.now = self.rig.now.after(Duration::from_millis(ms.into()));
                self.feed(Event::Tick);
            }
            Op::Due => {
                if let Some(due) = self.rig.manager.next_deadline() {
                    self.rig.now = self.rig.now.max(due);
                }
                self.feed(Event::Tick);
            }
            Op::Limit(n) => {
                let hard = u32::from(n) % 6;
                self.feed(Event::Limit(Limits {
                    soft: hard.div_ceil(2),
                    hard,
                    delay: Duration::from_millis(50),
                }));
            }
            Op::Odd { who, kind } => self.odd(who, kind),
            Op::Restore => self.rig.restore(),
        }
    }

    fn accept(&mut self, peer: u8, local: u8) {
        let local = match local % 8 {
            0 => SocketAddr::from(([10, 0, 0, 2], 3001)),
            _ => home(),
        };
        let remote = self.addr(peer);
        if self.rig.watch.armed.contains(&DOOR) {
            self.feed(Event::Accepted {
                listener: DOOR,
                local,
                remote,
            });
        }
    }

    /// What comes next of one that dials or greets.
    fn proceed(&mut self, who: u8, kind: u8) {
        let Some(conn) = self.pick(who, |life| !matches!(life, Life::Open(_))) else {
            return;
        };
        let agreed = agreed(if kind.is_multiple_of(4) {
            ONE_WAY
        } else {
            DUPLEX
        });
        let event = match (&self.live[&conn], kind % 16) {
            (Life::Dialling, 1) => Event::ConnectFailed {
                conn,
                cause: Cause::Refused,
            },
            (Life::Dialling, _) => Event::Connected {
                conn,
                local: home(),
            },
            (Life::Greeting(Role::Responder), 1) => Event::Lingering { conn },
            (Life::Greeting(_), 2) | (Life::Lingering | Life::Closing, _) => {
                Event::Ended { conn, fault: LOST }
            }
            _ => Event::Agreed { conn, agreed },
        };
        self.feed(event);
    }

    fn stop(&mut self, who: u8, what: u8) {
        let runs = |life: &Life| matches!(life, Life::Open(running) if !running.is_empty());
        let Some(conn) = self.pick(who, runs) else {
            return;
        };
        let Some(Life::Open(running)) = self.live.get_mut(&conn) else {
            return;
        };
        let all: Vec<ProtocolId> = running.iter().copied().collect();
        let protocol = all[usize::from(what) % all.len()];
        running.remove(&protocol);
        self.feed(Event::ResponderEnded { conn, protocol });
    }

    /// Late, double and foreign events: the machine counts them or takes them for what they are.
    fn odd(&mut self, who: u8, kind: u8) {
        let conn = Serial(u64::from(who) % 24);
        let agreed = agreed(DUPLEX);
        let event = match kind % 12 {
            0 => Event::ResponderStarted {
                conn,
                protocol: HOT,
            },
            1 => Event::ResponderEnded {
                conn,
                protocol: HOT,
            },
            2 => Event::Release(conn),
            3 => Event::Cancel(Request(who.into())),
            4 => Event::Exempt {
                ip: peer(who.into()).ip(),
                on: kind.is_multiple_of(2),
            },
            5 => Event::Accepted {
                listener: ListenerId(77),
                local: home(),
                remote: peer(1),
            },
            6 if !self.live.contains_key(&conn) => Event::Agreed { conn, agreed },
            7 if !self.live.contains_key(&conn) => Event::Ended { conn, fault: LOST },
            8 if !self.live.contains_key(&conn) => Event::Connected {
                conn,
                local: home(),
            },
            9 if !self.live.contains_key(&conn) => Event::Lingering { conn },
            10 => Event::AcceptFailed {
                listener: ListenerId(78),
                cause: Cause::Reset,
                fatal: true,
            },
            _ => Event::Tick,
        };
        let live = self.live.clone();
        let actions = self.rig.feed(event);
        self.live = live;
        self.watch(&actions);
    }

    /// Everything ends; afterwards nothing is left and nothing is owed.
    fn finish(&mut self, shutdown: bool) {
        if shutdown {
            self.feed(Event::Shutdown);
        }
        for conn in self.live.keys().copied().collect::<Vec<_>>() {
            let event = match self.live.get(&conn) {
                Some(Life::Dialling) => Event::ConnectFailed {
                    conn,
                    cause: Cause::TimedOut,
                },
                Some(_) => Event::Ended { conn, fault: LOST },
                None => continue,
            };
            self.feed(event);
        }
        // What waited may dial now; that comes to nothing too.
        for _ in 0..200 {
            if self.rig.manager.is_empty() {
                break;
            }
            self.apply(Op::Due);
            let dials = self.pick(0, |_| true);
            if let Some(conn) = dials {
                let cause = Cause::TimedOut;
                self.feed(Event::ConnectFailed { conn, cause });
            }
        }
        assert!(self.rig.manager.is_empty(), "{:?}", self.live);
        assert_eq!(self.rig.manager.waiting(), 0);
        let watch = &self.rig.watch;
        assert!(watch.all_gone(), "every serial came to its end");
        assert_eq!((watch.due(), watch.held()), (0, 0), "answers and demotions");
        assert_eq!(watch.stopped, shutdown);
    }
}

/// What all scripts together have shown.
#[derive(Default)]
struct Total {
    scripts: u32,
    pruned: u32,
    seen: Seen,
    transitions: BTreeMap<(State, State), u32>,
    remotes: BTreeMap<(Option<super::super::Heat>, Option<super::super::Heat>), u32>,
}

impl Total {
    fn add(&mut self, rig: &Rig) {
        let (a, b) = (&mut self.seen, &rig.watch.seen);
        self.scripts += 1;
        self.pruned += u32::from(b.prunings > 0);
        for (total, more) in [
            (&mut a.steps, b.steps),
            (&mut a.answers, b.answers),
            (&mut a.got, b.got),
            (&mut a.demoted, b.demoted),
            (&mut a.prunings, b.prunings),
            (&mut a.victims, b.victims),
            (&mut a.refused, b.refused),
            (&mut a.delays, b.delays),
            (&mut a.hard_waits, b.hard_waits),
            (&mut a.resumed, b.resumed),
            (&mut a.idle_over, b.idle_over),
            (&mut a.linger_over, b.linger_over),
            (&mut a.quarantine_over, b.quarantine_over),
            (&mut a.matured, b.matured),
            (&mut a.counters, b.counters),
            (&mut a.early_ticks, b.early_ticks),
            (&mut a.replaced, b.replaced),
        ] {
            *total += more;
        }
        for (pair, count) in &rig.watch.transitions {
            *self.transitions.entry(*pair).or_default() += count;
        }
        for (pair, count) in &rig.watch.remotes {
            *self.remotes.entry(*pair).or_default() += count;
        }
    }
}

fn small(hard: u32, victims: Victims) -> Config {
    Config {
        limits: Limits {
            soft: hard / 2,
            hard,
            delay: Duration::from_millis(100),
        },
        prefixes: Prefixes {
            max: 3,
            ..Prefixes::default()
        },
        victims,
        mature: Duration::from_secs(20),
        time_wait: Duration::from_secs(6),
        quarantined_max: 3,
        waiting_max: 3,
        locals_max: 3,
        entries_max: 12,
        ..Config::default()
    }
}

/// Draws the same in every run, so that what must be seen is seen.
fn runner(cases: u32) -> TestRunner {
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
}

/// Runs scripts until there were `cases` of them; the same in every run.
fn run_all(cases: u32, weights: Weights, config: fn(u8) -> Config) -> Total {
    let total = Rc::new(RefCell::new(Total::default()));
    let mut runner = runner(cases);
    let script = (ops(weights), any::<u8>(), 1..7_u32);
    let verdict = runner.run(&script, |(script, setting, peers)| {
        let mut world = World::new(config(setting), peers);
        for op in script {
            world.apply(op);
        }
        world.finish(setting.is_multiple_of(3));
        total.borrow_mut().add(&world.rig);
        Ok(())
    });
    if let Err(error) = verdict {
        panic!("{error}");
    }
    Rc::into_inner(total).unwrap().into_inner()
}

/// The laws that [`Rig`] checks hold after any step of any script, and every transition that our
/// table can show has come about.
#[test]
fn every_law_holds_over_any_script_and_every_transition_comes_about() {
    let total = run_all(400, NORMAL, |setting| {
        let victims = [Victims::Random, Victims::ByState][usize::from(setting / 4 % 2)];
        small(6 + u32::from(setting % 4), victims)
    });
    let mut missing: Vec<(State, State)> = Vec::new();
    for pair in COVERED.iter().chain(ALSO) {
        if !total.transitions.contains_key(pair) {
            missing.push(*pair);
        }
    }
    assert!(
        missing.is_empty(),
        "never seen: {missing:?} in {:?}",
        total.transitions
    );
    for pair in REMOTE_COVERED {
        assert!(
            total.remotes.contains_key(pair),
            "never seen: {pair:?} in {:?}",
            total.remotes
        );
    }
    for pair in NEVER {
        assert!(!total.transitions.contains_key(pair), "{pair:?}");
    }
    for pair in REMOTE_NEVER {
        assert!(!total.remotes.contains_key(pair), "{pair:?}");
    }
    let seen = total.seen;
    assert!(seen.steps > 10_000 && seen.early_ticks > 5_000, "{seen:?}");
    assert!(seen.got > 500 && seen.demoted == seen.got, "{seen:?}");
    assert!(seen.answers > seen.got + 500, "{seen:?}");
    assert!(seen.idle_over > 200 && seen.linger_over > 20, "{seen:?}");
    assert!(seen.quarantine_over > 200 && seen.matured > 20, "{seen:?}");
    assert!(
        seen.refused > 20 && seen.delays > 100 && seen.replaced > 50,
        "{seen:?}"
    );
    assert!(seen.counters > 5_000, "{seen:?}");
}

/// With limits that are always met: who goes is one of those counted inbound, the limit holds at
/// every step, and at least a third of the scripts prune.
#[test]
fn pruning_keeps_the_limit_over_any_script() {
    let total = run_all(300, CROWDED, |setting| {
        let victims = [Victims::Random, Victims::ByState][usize::from(setting / 8 % 2)];
        small(u32::from(setting % 5), victims)
    });
    let seen = total.seen;
    assert!(
        total.pruned * 100 >= total.scripts * 35,
        "{} of {}",
        total.pruned,
        total.scripts
    );
    assert!(
        seen.victims >= seen.prunings && seen.prunings > 200,
        "{seen:?}"
    );
    assert!(seen.hard_waits > 100 && seen.resumed > 50, "{seen:?}");
    assert!(seen.demoted == seen.got && seen.got > 200, "{seen:?}");
}

/// Arrivals and departures: never above the hard limit, a delay only between the limits, and
/// never longer than its bound.
#[test]
fn the_rate_is_limited_over_any_arrivals_and_departures() {
    let mut runner = runner(200);
    let seen = Rc::new(RefCell::new((0, 0, 0, 0)));
    let script = (vec((0..10_u8, 0..800_u16), 20..80), 0..12_u32, 0..12_u32);
    let verdict = runner.run(&script, |(moves, soft, hard)| {
        let mut rig = Rig::listening(Config {
            limits: Limits {
                soft,
                hard,
                delay: Duration::from_secs(1),
            },
            ..Config::default()
        });
        let mut there: Vec<Serial> = Vec::new();
        let mut queue = 0;
        let mut next = 0;
        for (kind, ms) in moves {
            rig.run(Duration::from_millis(ms.into()));
            if kind < 6 {
                queue += 1;
            } else if !there.is_empty() {
                let conn = there.remove(usize::from(kind) % there.len());
                rig.ended(conn);
            }
            while queue > 0 && rig.watch.armed.contains(&DOOR) {
                queue -= 1;
                next += 1;
                there.extend(rig::adopted(&rig.accept_from(peer(next))));
            }
            assert_eq!(
                there.len(),
                usize::try_from(rig.manager.counters().inbound).unwrap()
            );
        }
        let mut seen = seen.borrow_mut();
        seen.0 += rig.watch.seen.delays;
        seen.1 += rig.watch.seen.hard_waits;
        seen.2 += rig.watch.seen.resumed;
        seen.3 += rig.watch.seen.refused;
        Ok(())
    });
    if let Err(error) = verdict {
        panic!("{error}");
    }
    let (delays, hard, resumed, refused) = *seen.borrow();
    assert!(
        delays > 200 && hard > 100 && resumed > 50 && refused > 20,
        "{delays} delays, {hard} waits, {resumed} resumed, {refused} refused"
    );
}

/// The same history again without traces, restored from its snapshot after every step: the same
/// actions but for the traces.
#[test]
fn traces_only_watch_and_snapshots_lose_nothing() {
    let mut runner = runner(60);
    let steps = Rc::new(RefCell::new((0, 0)));
    let verdict = runner.run(&(ops(NORMAL), any::<u8>()), |(script, setting)| {
        let config = small(4 + u32::from(setting % 4), Victims::Random);
        let mut world = World::new(config.clone(), 4);
        for op in script {
            world.apply(op);
        }
        world.finish(true);
        let mut quiet = Quiet::new(config);
        for (now, event, actions) in &world.rig.watch.log {
            let told = quiet.step(*now, event.clone());
            let expected: Vec<&Action> = actions
                .iter()
                .filter(|a| !matches!(a, Action::Trace(_)))
                .collect();
            prop_assert_eq!(told.iter().collect::<Vec<_>>(), expected);
            let mut steps = steps.borrow_mut();
            steps.0 += 1;
            steps.1 += told.len();
        }
        Ok(())
    });
    if let Err(error) = verdict {
        panic!("{error}");
    }
    let (steps, told) = *steps.borrow();
    assert!(
        steps > 2_000 && told > 2_000,
        "{steps} steps, {told} actions"
    );
}

/// Any event for anybody at any time, as no driver, connection or owner would say it.
fn wild(rig: &mut Rig, (kind, who, what): (u8, u8, u8)) -> Event {
    let conn = Serial(u64::from(who) % 16);
    let remote = peer(u32::from(what) % 4);
    let local = match what % 3 {
        0 => remote,
        1 => home(),
        _ => SocketAddr::from(([10, 0, 0, 2], 3001)),
    };
    let listener = ListenerId(u32::from(who) % 3);
    let protocol = PROTOCOLS[usize::from(what) % PROTOCOLS.len()];
    let mode = if what.is_multiple_of(4) {
        ONE_WAY
    } else {
        DUPLEX
    };
    let cause = [Cause::Reset, Cause::Resources, Cause::Refused][usize::from(what % 3)];
    match kind % 18 {
        0 | 1 => Event::Acquire {
            request: rig.next_request(),
            remote,
            mode,
            via: if who.is_multiple_of(5) {
                Via::Inbound
            } else {
                Via::Dial
            },
        },
        2 => Event::Cancel(Request(who.into())),
        3 => Event::Release(conn),
        4 => Event::Abort(
            conn,
            [Fault::Closed, Fault::Replaced, LOST][usize::from(what % 3)],
        ),
        5 => Event::Listening { listener, local },
        6 | 7 => Event::Accepted {
            listener,
            local,
            remote,
        },
        8 => Event::AcceptFailed {
            listener,
            cause,
            fatal: who > 250,
        },
        9 => Event::Connected { conn, local },
        10 => Event::ConnectFailed { conn, cause },
        11 | 12 => Event::Agreed {
            conn,
            agreed: agreed(mode),
        },
        13 => Event::Lingering { conn },
        14 => Event::ResponderStarted { conn, protocol },
        15 => Event::ResponderEnded { conn, protocol },
        16 => Event::Ended { conn, fault: LOST },
        _ => {
            rig.now = rig.now.after(Duration::from_millis(u64::from(what) * 40));
            Event::Tick
        }
    }
}

#[test]
fn nothing_that_can_be_said_breaks_a_law() {
    let mut runner = runner(300);
    let seen = Rc::new(RefCell::new((0, 0)));
    let script = vec((any::<u8>(), any::<u8>(), any::<u8>()), 50..250);
    let verdict = runner.run(&script, |script| {
        let mut rig = Rig::listening(small(6, Victims::ByState));
        for op in script {
            let event = wild(&mut rig, op);
            rig.feed(event);
        }
        rig.feed(Event::Shutdown);
        let mut seen = seen.borrow_mut();
        seen.0 += rig.watch.transitions.values().sum::<u32>();
        seen.1 += rig.watch.seen.got;
        for pair in NEVER {
            prop_assert!(!rig.watch.transitions.contains_key(pair), "{:?}", pair);
        }
        Ok(())
    });
    if let Err(error) = verdict {
        panic!("{error}");
    }
    let (transitions, got) = *seen.borrow();
    assert!(transitions > 5_000 && got > 100, "{transitions}, {got}");
}
