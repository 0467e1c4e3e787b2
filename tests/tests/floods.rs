//! What happens to a node, and to a friend that uses it, while strangers flood it: bounded memory,
//! exact counts, no wrong victim. The node is the real engine; sockets are played here, time is
//! virtual.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::{self, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use samanea_core::{
    base::{Instant, ListenerId, NoRules, ProtocolId, Role, Serial},
    conn::Cause,
    manager::{Counters, Limits},
    node::{Action, Command, Config, Engine, Event, Node, Notice},
    proto::{
        Protocol,
        handshake::{self, Handshake, Mode},
        keep_alive::{self, KeepAlive},
    },
    wire::frame::Header,
};

const MAGIC: u32 = 42;
const LISTENER: ListenerId = ListenerId(0);
const HOME: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 3001);
const FRIEND: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)), 3001);

/// The node under attack, its friend, and the sockets between them and the strangers.
struct Siege {
    now: Instant,
    node: Node<Engine>,
    friend: Node<Engine>,
    /// The connection of the two, as each names it.
    pair: [Option<Serial>; 2],
    /// Connections that the node may still accept.
    asked: u32,
    adopted: BTreeMap<Serial, SocketAddr>,
    resets: u64,
    closed: BTreeSet<Serial>,
    written: BTreeMap<Serial, u64>,
    round_trips: u64,
    friend_downs: u64,
    counters: Counters,
    inbound_max: u32,
    answer: Option<Answer>,
}

/// What the node makes of an accepted connection.
#[derive(Clone, Copy)]
enum Answer {
    Adopted(Serial),
    Reset,
}

impl Answer {
    fn adopted(self) -> Option<Serial> {
        match self {
            Self::Adopted(conn) => Some(conn),
            Self::Reset => None,
        }
    }
}

impl Siege {
    /// The friend is up and probes once a second.
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new(MAGIC);
        config.manager.limits = Limits {
            soft: 48,
            hard: 64,
            delay: Duration::from_secs(5),
        };
        change(&mut config);
        let mut other = Config::new(MAGIC);
        other.conn.probe_period = Duration::from_secs(1);
        let mut siege = Self {
            now: Instant::ZERO,
            node: Node::new(Engine::new(config), 7),
            friend: Node::new(Engine::new(other), 8),
            pair: [None; 2],
            asked: 0,
            adopted: BTreeMap::new(),
            resets: 0,
            closed: BTreeSet::new(),
            written: BTreeMap::new(),
            round_trips: 0,
            friend_downs: 0,
            counters: Counters::default(),
            inbound_max: 0,
            answer: None,
        };
        let local = HOME;
        siege.tell(
            0,
            Event::Listening {
                listener: LISTENER,
                local,
            },
        );
        siege.tell(1, Event::Command(Command::AddPeer(HOME)));
        siege.pass(Duration::from_secs(3));
        assert!(siege.round_trips > 0, "the friend is served");
        siege
    }

    /// Feeds one event to the node (0) or to its friend (1), and all that follows between them.
    fn tell(&mut self, at: usize, event: Event) {
        let mut facts = VecDeque::from([(at, event)]);
        while let Some((at, event)) = facts.pop_front() {
            let mut actions = Vec::new();
            let node = if at == 0 {
                &mut self.node
            } else {
                &mut self.friend
            };
            node.step(self.now, &NoRules, event, &mut actions);
            node.step(self.now, &NoRules, Event::Turn, &mut actions);
            node.check_invariants().unwrap();
            for action in actions {
                self.carry_out(at, action, &mut facts);
            }
        }
    }

    fn carry_out(&mut self, at: usize, action: Action, facts: &mut VecDeque<(usize, Event)>) {
        let other = 1 - at;
        match action {
            Action::AcceptOne { .. } => {
                self.asked += 1;
                assert_eq!(self.asked, 1, "one at a time");
            }
            Action::Adopt { conn, remote, .. } if remote == FRIEND => {
                self.pair[at] = Some(conn);
                self.answer = Some(Answer::Adopted(conn));
            }
            Action::Adopt { conn, remote, .. } => {
                self.adopted.insert(conn, remote);
                self.answer = Some(Answer::Adopted(conn));
            }
            Action::Reset { .. } => {
                self.resets += 1;
                self.answer = Some(Answer::Reset);
            }
            Action::Dial { conn, .. } => {
                assert_eq!(at, 1, "the node dials nobody");
                self.pair[1] = Some(conn);
                assert_eq!(self.asked, 1);
                self.asked = 0;
                let (listener, local, remote) = (LISTENER, HOME, FRIEND);
                facts.push_back((
                    0,
                    Event::Offered {
                        listener,
                        local,
                        remote,
                    },
                ));
                facts.push_back((
                    1,
                    Event::Connected {
                        conn,
                        local: FRIEND,
                    },
                ));
            }
            Action::Write { conn, batch } if self.pair[at] == Some(conn) => {
                let bytes = batch.iter().map(|part| part.len() as u64).sum();
                facts.push_back((at, Event::Flushed { conn, bytes }));
                let conn = self.pair[other].expect("both know it");
                for bytes in batch {
                    facts.push_back((other, Event::Received { conn, bytes }));
                }
            }
            Action::Write { conn, batch } => {
                let bytes: u64 = batch.iter().map(|part| part.len() as u64).sum();
                *self.written.entry(conn).or_default() += bytes;
                facts.push_back((at, Event::Flushed { conn, bytes }));
            }
            Action::Close { conn, .. } => {
                assert_ne!(self.pair[at], Some(conn), "the friend is no victim");
                assert!(self.closed.insert(conn), "once");
                self.adopted.remove(&conn);
            }
            Action::Notify(Notice::RoundTrip { .. }) if at == 1 => self.round_trips += 1,
            Action::Notify(Notice::Down { .. }) if at == 1 => self.friend_downs += 1,
            Action::Notify(Notice::Connections(counters)) if at == 0 => {
                self.counters = counters;
                self.inbound_max = self.inbound_max.max(counters.inbound);
            }
            Action::Reading { .. }
            | Action::Ask { .. }
            | Action::Resolve { .. }
            | Action::Notify(_) => {}
        }
    }

    /// Lets time pass, ticking both as they ask.
    fn pass(&mut self, span: Duration) {
        let until = self.now.after(span);
        loop {
            let due = [&self.node, &self.friend].map(Node::next_deadline);
            let next = due.into_iter().flatten().min();
            match next {
                Some(at) if at <= until => self.now = self.now.max(at),
                _ => break,
            }
            for (at, due) in due.into_iter().enumerate() {
                if due.is_some_and(|due| due <= self.now) {
                    self.tell(at, Event::Tick);
                }
            }
        }
        self.now = until;
    }

    /// A stranger dials; `None` when nobody accepts, else what the node said: adopted or reset.
    fn dial(&mut self, remote: SocketAddr) -> Option<Answer> {
        if self.asked == 0 {
            return None;
        }
        self.asked = 0;
        self.answer = None;
        let (listener, local) = (LISTENER, HOME);
        self.tell(
            0,
            Event::Offered {
                listener,
                local,
                remote,
            },
        );
        Some(self.answer.take().expect("adopted or reset"))
    }

    /// The same, after as long as the node waits before it accepts.
    fn dial_patiently(&mut self, remote: SocketAddr) -> Option<Serial> {
        for _ in 0..10_000 {
            if let Some(answer) = self.dial(remote) {
                return answer.adopted();
            }
            self.pass(Duration::from_millis(100));
        }
        panic!("nothing is accepted any more");
    }

    fn send(&mut self, conn: Serial, bytes: Bytes) {
        if self.adopted.contains_key(&conn) {
            self.tell(0, Event::Received { conn, bytes });
        }
    }

    fn reset(&mut self, conn: Serial) {
        if self.adopted.remove(&conn).is_some() {
            let cause = Cause::Reset;
            self.tell(0, Event::Closed { conn, cause });
        }
    }

    /// The friend was served all along, and nothing is left of the strangers a while later.
    fn end(mut self, what: &str, dials: u64) {
        let adopted: Vec<Serial> = self.adopted.keys().copied().collect();
        for conn in adopted {
            self.reset(conn);
        }
        let before = self.round_trips;
        self.pass(Duration::from_secs(90));
        assert!(self.round_trips >= before + 80, "the friend is served");
        assert_eq!(self.friend_downs, 0);
        let manager = self.node.machine().manager();
        assert_eq!(manager.len(), 1, "the friend's connection alone is left");
        assert_eq!(manager.counters(), manager.recount());
        assert_eq!(self.counters, manager.counters());
        let _ = writeln!(
            io::stderr(),
            "floods: {what}: {dials} dials, {} resets, {} inbound at most, {} round trips",
            self.resets,
            self.inbound_max,
            self.round_trips,
        );
    }
}

/// The `n`th stranger, each from a network of its own.
fn stranger(n: u32) -> SocketAddr {
    let ip = Ipv4Addr::from_bits(0x0b00_0000 + n * 256 + 1);
    (ip, 3001).into()
}

/// One address, from the `n`th of its ports.
fn neighbour(n: u16) -> SocketAddr {
    (Ipv4Addr::new(192, 0, 2, 9), 10_000 + n).into()
}

fn segment(protocol: ProtocolId, message: &[u8]) -> Bytes {
    let header = Header {
        time_us: 0,
        sender: Role::Initiator,
        protocol,
        len: u16::try_from(message.len()).unwrap(),
    };
    let mut bytes = BytesMut::from(&header.encode()[..]);
    bytes.extend_from_slice(message);
    bytes.freeze()
}

fn proposal(mode: Mode) -> Bytes {
    let mut offer = handshake::Config::new(MAGIC);
    offer.mode = mode;
    let mut out = BytesMut::new();
    let rest = Handshake::encode(
        &handshake::Message::ProposeVersions(offer.table()),
        &mut out,
    );
    out.extend_from_slice(&rest);
    segment(ProtocolId::HANDSHAKE, &out)
}

fn keep_alive(message: keep_alive::Message) -> Bytes {
    let mut out = BytesMut::new();
    let rest = KeepAlive::encode(&message, &mut out);
    out.extend_from_slice(&rest);
    segment(ProtocolId::KEEP_ALIVE, &out)
}

#[test]
fn a_flood_of_half_open_connections_meets_the_hard_limit_and_passes() {
    let mut siege = Siege::new(|_| {});
    let dials = 2_000;
    for n in 0..dials {
        siege.dial_patiently(stranger(n));
        assert!(siege.counters.inbound <= 64);
    }
    // Each of them was given its ten seconds and no more.
    assert!(siege.inbound_max > 48, "the soft limit was passed");
    assert!(siege.adopted.len() < 64);
    siege.end("half-open", dials.into());
}

#[test]
fn ten_thousand_dials_from_one_address_hold_no_more_than_their_share() {
    let mut siege = Siege::new(|config| config.manager.prefixes.max = 16);
    let mut adopted = 0;
    for n in 0..10_000 {
        let answer = siege.dial(neighbour(n)).expect("below the soft limit");
        adopted += u64::from(answer.adopted().is_some());
    }
    assert_eq!((adopted, siege.resets), (16, 10_000 - 16));
    // The next prefix is welcome all the same, and so is the address when one of its own is gone.
    assert!(siege.dial(stranger(1)).unwrap().adopted().is_some());
    assert!(siege.dial(neighbour(10_001)).unwrap().adopted().is_none());
    let first = *siege.adopted.keys().next().unwrap();
    siege.reset(first);
    assert!(siege.dial(neighbour(10_002)).unwrap().adopted().is_some());
    assert_eq!(siege.counters.inbound, 1 + 16 + 1);
    siege.end("one address", 10_003);
}

#[test]
fn peers_that_fall_silent_after_the_handshake_end_after_the_idle_time() {
    let mut siege = Siege::new(|_| {});
    let dials = 600;
    for n in 0..dials {
        if let Some(conn) = siege.dial_patiently(stranger(n)) {
            let mode = [Mode::InitiatorOnly, Mode::InitiatorAndResponder][n as usize % 2];
            siege.send(conn, proposal(mode));
            assert!(siege.written[&conn] > 0, "answered");
        }
        let manager = siege.node.machine().manager();
        assert!(siege.counters.inbound <= 64);
        assert!(manager.len() <= manager.config().entries_max);
    }
    siege.pass(Duration::from_secs(6));
    assert_eq!(siege.counters.inbound, 1, "only the friend's");
    assert!(siege.counters.terminating > 0, "they are remembered");
    siege.end("silent after the handshake", dials.into());
}

#[test]
fn a_peer_that_starts_and_stops_a_responder_in_a_loop_costs_one_entry() {
    let mut siege = Siege::new(|_| {});
    let conn = siege.dial(stranger(1)).unwrap().adopted().unwrap();
    siege.send(conn, proposal(Mode::InitiatorAndResponder));
    let rounds = 5_000;
    let probe = keep_alive(keep_alive::Message::KeepAlive(7));
    let done = keep_alive(keep_alive::Message::Done);
    for _ in 0..rounds {
        siege.send(conn, probe.clone());
        assert_eq!(siege.counters.remote_warm, 1);
        siege.send(conn, done.clone());
        assert_eq!(siege.counters.remote_idle, 1);
        assert_eq!(siege.node.machine().manager().len(), 2);
    }
    assert!(siege.adopted.contains_key(&conn), "it broke no rule");
    siege.end("starts and stops", 1);
}

#[test]
fn a_reset_at_any_byte_of_the_handshake_leaves_nothing() {
    let mut siege = Siege::new(|_| {});
    let bytes = proposal(Mode::InitiatorAndResponder);
    let mut dials = 0;
    for cut in 0..=bytes.len() {
        for whole in [true, false] {
            let conn = siege.dial(stranger(dials)).unwrap().adopted().unwrap();
            dials += 1;
            let part = bytes.slice(..cut);
            if whole && cut > 0 {
                siege.send(conn, part);
            } else {
                for at in 0..cut {
                    siege.send(conn, part.slice(at..=at));
                }
            }
            siege.reset(conn);
            assert_eq!(siege.node.machine().manager().len(), 1, "cut at {cut}");
        }
    }
    assert_eq!(dials as usize, 2 * (bytes.len() + 1));
    siege.end("reset within the handshake", dials.into());
}

#[test]
fn failures_of_accepting_pause_it_and_end_nothing() {
    let mut siege = Siege::new(|_| {});
    let (listener, fatal) = (LISTENER, false);
    for (cause, pause) in [(Cause::Aborted, 500), (Cause::Resources, 1_000)] {
        for _ in 0..100 {
            assert_eq!(siege.asked, 1);
            siege.asked = 0;
            siege.tell(
                0,
                Event::AcceptFailed {
                    listener,
                    cause,
                    fatal,
                },
            );
            siege.pass(Duration::from_millis(pause - 1));
            assert_eq!(siege.asked, 0, "it waits");
            siege.pass(Duration::from_millis(1));
        }
    }
    assert_eq!(siege.asked, 1, "it accepts again");
    assert!(siege.dial(stranger(1)).unwrap().adopted().is_some());
    siege.end("failing accepts", 201);
}
