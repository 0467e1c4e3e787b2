//! The cases.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use bytes::Bytes;
use samanea_core::{
    base::{Instant, ListenerId, NoRules, Rules, Ticket, TxId},
    chain::{Answer, Question},
    conn::Cause,
    governor::{self, NotFound},
    node::{Action, Command, Event, Node, Notice, Tap},
};

use super::{Driver, PATIENCE, Plan, Running, Script, Seen, pattern};
use crate::{Application, NoApplication, Options, Reply, Resolver, socket};

/// All cases: a name that is a sentence, and the case.
pub const CASES: &[(&str, Case)] = &[
    ("ten megabytes come back byte by byte", echo),
    ("many connections at once come back byte by byte", many),
    ("a window of one byte never starves", one_byte_window),
    ("thousands of pieces in one write arrive in order", pieces),
    ("bytes that many threads ask for arrive in order", crowd),
    ("a refused dial is a failed connection", refused),
    ("a dial leaves from the address to bind", bound),
    (
        "a dial beside its own connection is an address in use",
        beside,
    ),
    ("dials that cross connect both nodes", crossed),
    ("a dial that is given up tells nothing", given_up),
    ("a reset by the peer is told", reset_by_peer),
    (
        "an end by the peer is told after its last bytes",
        ended_by_peer,
    ),
    (
        "an end by the peer is answered by a reset",
        answered_by_reset,
    ),
    (
        "an end by the peer leaves what was asked for to be written",
        answered_in_order,
    ),
    ("a reset by the node reaches the peer", reset_by_node),
    ("an orderly close writes what is queued first", orderly),
    (
        "an orderly close waits no longer than its time",
        orderly_timeout,
    ),
    ("connections are accepted one for each request", accepts),
    ("what is not adopted is reset", not_adopted),
    ("a slow reader holds no more than the window", slow_reader),
    ("pausing reads pushes back on the peer", paused),
    ("a tick comes when the deadline has come", deadline),
    ("a deadline that moves earlier wakes the clock", earlier),
    ("questions are answered at once or later", questions),
    ("notices arrive in order", notices),
    ("the tap sees events and actions in one order", tapped),
    ("each name that is asked for is answered once", names),
    ("shutdown leaves nothing behind", shutdown),
    (
        "shutdown ends a node that does not stop by itself",
        stubborn,
    ),
];

/// Runs the case of this name.
///
/// # Panics
///
/// When the case fails or there is none of this name.
pub fn run(name: &str, driver: &dyn Driver) {
    let case = CASES.iter().find(|(known, _)| *known == name);
    case.expect("a case of this name").1(driver);
}

type Case = fn(&dyn Driver);

/// Nothing new for so long means that nothing more will come.
const QUIET: Duration = Duration::from_millis(100);
const TEN_MB: u64 = 10 << 20;

/// A running node and what its machine sees.
pub(super) struct Stage {
    pub(super) node: Box<dyn Running>,
    seen: Receiver<Seen>,
}

impl Stage {
    fn new(driver: &dyn Driver, plan: Plan) -> Self {
        Self::with(driver, plan, Arc::new(NoApplication), listening())
    }

    pub(super) fn with(
        driver: &dyn Driver,
        plan: Plan,
        app: Arc<dyn Application>,
        options: Options,
    ) -> Self {
        let (sender, seen) = channel();
        let node = Node::new(Script::new(plan, sender), 7);
        let node = driver.start(node, app, options).expect("the node starts");
        let stage = Self { node, seen };
        for local in stage.node.listening() {
            assert_eq!(stage.next(), Seen::Listening(local));
        }
        stage
    }

    /// What it sees next.
    pub(super) fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("something is seen")
    }

    /// Waits for this, over anything but signs of an error.
    fn wait_for(&self, wanted: &Seen) {
        loop {
            let seen = self.next();
            if seen == *wanted {
                return;
            }
            assert!(!matches!(seen, Seen::Corrupt | Seen::Late), "{seen:?}");
        }
    }

    fn addr(&self) -> SocketAddr {
        self.node.listening()[0]
    }

    pub(super) fn dial(&self, remote: SocketAddr) {
        self.node.command(Command::AddPeer(remote));
    }

    pub(super) fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr()).expect("the node accepts");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn read<R>(&self, mut look: impl FnMut(&Script) -> R) -> R {
        let mut result = None;
        self.node.with(&mut |script| result = Some(look(script)));
        result.expect("the node is shown")
    }

    /// Ends it and looks for what must never be seen.
    pub(super) fn end(self) {
        self.node.shutdown();
        assert!(self.node.wait(), "all of it ends");
        drop(self.node);
        for seen in self.seen {
            assert!(!matches!(seen, Seen::Corrupt | Seen::Late), "{seen:?}");
        }
    }
}

pub(super) fn listening() -> Options {
    Options {
        listen: vec![([127, 0, 0, 1], 0).into()],
        ..Options::default()
    }
}

fn expected(bytes: u64) -> Vec<u8> {
    (0..bytes).map(pattern).collect()
}

fn echo(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            echoes: true,
            ..Plan::default()
        },
    );
    let client = Stage::new(
        driver,
        Plan {
            sends: TEN_MB,
            wants: TEN_MB,
            closes: Some(false),
            ..Plan::default()
        },
    );
    client.dial(server.addr());
    client.wait_for(&Seen::Complete);
    server.wait_for(&Seen::Closed(Cause::Eof));
    assert_eq!(server.read(|script| script.received), TEN_MB);
    assert_eq!(server.read(|script| script.flushed), TEN_MB);
    server.end();
    client.end();
}

fn many(driver: &dyn Driver) {
    const CONNS: usize = 40;
    let server = Stage::new(
        driver,
        Plan {
            accepts: 40,
            echoes: true,
            window_bytes: 4_096,
            ..Plan::default()
        },
    );
    let client = Stage::new(
        driver,
        Plan {
            sends: 100_000,
            wants: 100_000,
            piece_bytes: 700,
            window_bytes: 10_000,
            closes: Some(false),
            ..Plan::default()
        },
    );
    for _ in 0..CONNS {
        client.dial(server.addr());
    }
    for _ in 0..CONNS {
        client.wait_for(&Seen::Complete);
    }
    for _ in 0..CONNS {
        server.wait_for(&Seen::Closed(Cause::Eof));
    }
    assert_eq!(client.read(|script| script.received), 4_000_000);
    server.end();
    client.end();
}

fn one_byte_window(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            echoes: true,
            window_bytes: 1,
            ..Plan::default()
        },
    );
    let client = Stage::new(
        driver,
        Plan {
            sends: 300,
            wants: 300,
            window_bytes: 1,
            ..Plan::default()
        },
    );
    client.dial(server.addr());
    client.wait_for(&Seen::Complete);
    server.end();
    client.end();
}

fn pieces(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            wants: 30_000,
            ..Plan::default()
        },
    );
    let client = Stage::new(
        driver,
        Plan {
            sends: 30_000,
            piece_bytes: 7,
            pieces: 5_000,
            ..Plan::default()
        },
    );
    client.dial(server.addr());
    server.wait_for(&Seen::Complete);
    server.end();
    client.end();
}

fn crowd(driver: &dyn Driver) {
    const ROUNDS: u64 = 100;
    const THREADS: u64 = 3;
    const BYTES: u16 = 60_000;
    let all = ROUNDS * THREADS * 2 * u64::from(BYTES);
    // Little room, so that the socket is full again and again.
    let options = Options {
        unsent_bytes: 4_096,
        ..listening()
    };
    let plan = Plan {
        accepts: 1,
        window_bytes: 64 << 20,
        ..Plan::default()
    };
    let server = Stage::with(driver, plan, Arc::new(NoApplication), options);
    let mut raw = server.raw();
    server.wait_for(&Seen::Offered(raw.local_addr().unwrap()));
    let node = &*server.node;
    let more = || {
        node.command(Command::SampleTips {
            count: BYTES,
            slot: 0,
        });
    };
    let (mut at, mut piece) = (0, vec![0; 1 << 16]);
    for round in 1..=ROUNDS {
        std::thread::scope(|scope| {
            // Half of it fills the socket; the other half comes while the peer reads.
            (0..THREADS).for_each(|_| more());
            for _ in 0..THREADS {
                scope.spawn(more);
            }
            // The round ends when all has come: nothing else would set it going again.
            while at < all / ROUNDS * round {
                let wanted = 1 + usize::try_from(at * 7 % 65_000).unwrap();
                let bytes = raw.read(&mut piece[..wanted]).unwrap();
                assert!(bytes > 0, "ended after {at} bytes");
                for byte in &piece[..bytes] {
                    assert_eq!(*byte, pattern(at), "at {at}");
                    at += 1;
                }
            }
        });
    }
    while server.read(|script| script.flushed) < all {
        server.wait_for(&Seen::Sent);
    }
    server.end();
}

fn refused(driver: &dyn Driver) {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let client = Stage::new(driver, Plan::default());
    client.dial(nobody);
    assert_eq!(client.next(), Seen::ConnectFailed(Cause::Refused));
    client.end();
}

fn bound(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            ..Plan::default()
        },
    );
    let client = bound_stage(driver, Plan::default(), listening());
    client.dial(server.addr());
    server.wait_for(&Seen::Offered(client.addr()));
    client.wait_for(&Seen::Connected(client.addr()));
    server.end();
    client.end();
}

/// A node that binds the address on which it listens.
fn bound_stage(driver: &dyn Driver, plan: Plan, options: Options) -> Stage {
    let free = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let options = Options {
        listen: vec![free],
        ..options
    };
    let plan = Plan {
        bind: Some(free),
        ..plan
    };
    Stage::with(driver, plan, Arc::new(NoApplication), options)
}

fn beside(driver: &dyn Driver) {
    let plan = Plan {
        accepts: 1,
        sends: 1,
        wants: 1,
        ..Plan::default()
    };
    let one = bound_stage(driver, plan, listening());
    let other = bound_stage(driver, plan, listening());
    one.dial(other.addr());
    one.wait_for(&Seen::Complete);
    other.wait_for(&Seen::Complete);
    for (from, to) in [(&one, &other), (&other, &one)] {
        from.dial(to.addr());
        from.wait_for(&Seen::ConnectFailed(Cause::AddressInUse));
    }
    one.end();
    other.end();
}

/// The first segment of one dial is dropped, because the other's queue is full.
fn crossed(driver: &dyn Driver) {
    // What a queue holds, and what happens when it is full, differs elsewhere.
    if !cfg!(target_os = "linux") {
        return;
    }
    let plan = Plan {
        sends: 1,
        wants: 1,
        ..Plan::default()
    };
    let full = Options {
        backlog: 0,
        ..listening()
    };
    let one = bound_stage(driver, plan, listening());
    let other = bound_stage(driver, plan, full);
    let _in_queue = other.raw();
    one.dial(other.addr());
    while !is_dialling(one.addr(), other.addr()) {
        std::thread::yield_now();
    }
    other.dial(one.addr());
    for node in [one, other] {
        node.wait_for(&Seen::Connected(node.addr()));
        node.wait_for(&Seen::Complete);
        assert_eq!(node.read(|script| script.offered), 0);
        node.end();
    }
}

fn given_up(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 8,
            ..Plan::default()
        },
    );
    let client = Stage::new(driver, Plan::default());
    for _ in 0..8 {
        client.dial(server.addr());
        client.node.command(Command::RemovePeer(server.addr()));
    }
    // `end` finds events of connections that the node has closed.
    client.end();
    server.end();
}

fn reset_by_peer(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            ..Plan::default()
        },
    );
    let raw = server.raw();
    server.wait_for(&Seen::Offered(raw.local_addr().unwrap()));
    socket::reset_on_close(&raw);
    drop(raw);
    assert_eq!(server.next(), Seen::Closed(Cause::Reset));
    server.end();
}

fn ended_by_peer(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            wants: 200_000,
            ..Plan::default()
        },
    );
    let mut raw = server.raw();
    raw.write_all(&expected(200_000)).unwrap();
    drop(raw);
    server.wait_for(&Seen::Complete);
    assert_eq!(server.next(), Seen::Closed(Cause::Eof));
    server.end();
}

/// Whether the kernel has a connection in the state `SYN_SENT` between these.
fn is_dialling(from: SocketAddr, to: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let [from, to] = [from, to].map(|addr| format!(":{:04X}", addr.port()));
    table.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words[..], [_, near, far, "02", ..] if near.ends_with(&from) && far.ends_with(&to))
    })
}

fn answered_by_reset(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            echoes: true,
            ..Plan::default()
        },
    );
    let mut raw = server.raw();
    raw.write_all(&expected(10)).unwrap();
    raw.read_exact(&mut [0; 10]).unwrap();
    socket::close_in_order(&raw).unwrap();
    let error = raw.read(&mut [0; 16]).expect_err("no orderly end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    server.wait_for(&Seen::Closed(Cause::Eof));
    server.end();
}

fn answered_in_order(driver: &dyn Driver) {
    const ALL: u64 = 40 << 20;
    let options = Options {
        close_timeout: PATIENCE,
        ..listening()
    };
    let plan = Plan {
        accepts: 1,
        sends: ALL,
        // More than the kernel takes.
        window_bytes: ALL,
        ..Plan::default()
    };
    let server = Stage::with(driver, plan, Arc::new(NoApplication), options);
    let mut raw = server.raw();
    server.wait_for(&Seen::Full);
    socket::close_in_order(&raw).unwrap();
    server.wait_for(&Seen::Closed(Cause::Eof));
    let mut all = Vec::new();
    raw.read_to_end(&mut all).expect("an orderly end");
    assert!(all == expected(ALL), "all bytes in order");
    server.end();
}

fn reset_by_node(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            ..Plan::default()
        },
    );
    let mut raw = server.raw();
    let remote = raw.local_addr().unwrap();
    server.wait_for(&Seen::Offered(remote));
    server.node.command(Command::RemovePeer(remote));
    let error = raw.read(&mut [0; 16]).expect_err("no orderly end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    server.end();
}

fn orderly(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            sends: 3_000_000,
            // All of it is asked for at once, and the close with it.
            window_bytes: 4_000_000,
            closes: Some(false),
            ..Plan::default()
        },
    );
    let mut raw = server.raw();
    // Unread bytes at the other end must not destroy what is on its way.
    raw.write_all(&[1; 1_000]).unwrap();
    let mut all = Vec::new();
    raw.read_to_end(&mut all).expect("an orderly end");
    assert!(all == expected(3_000_000), "all bytes in order");
    drop(raw);
    server.end();
}

fn orderly_timeout(driver: &dyn Driver) {
    let options = Options {
        close_timeout: Duration::from_millis(20),
        ..listening()
    };
    let plan = Plan {
        accepts: 1,
        sends: 40 << 20,
        // More than the kernel takes.
        window_bytes: 40 << 20,
        closes: Some(false),
        ..Plan::default()
    };
    let server = Stage::with(driver, plan, Arc::new(NoApplication), options);
    let mut raw = server.raw();
    server.wait_for(&Seen::Offered(raw.local_addr().unwrap()));
    // Whoever does not read is reset: `end` waits for the connection to be gone.
    server.end();
    let mut all = Vec::new();
    let error = raw.read_to_end(&mut all).expect_err("no orderly end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(all.len() < 40 << 20);
}

fn accepts(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 2,
            echoes: true,
            ..Plan::default()
        },
    );
    let mut raws: Vec<TcpStream> = (0..4).map(|_| server.raw()).collect();
    for raw in &mut raws {
        raw.write_all(&expected(1)).unwrap();
    }
    let mut back = [0];
    for raw in raws.iter_mut().take(2) {
        raw.read_exact(&mut back).unwrap();
    }
    assert_eq!(server.read(|script| script.offered), 2);
    server.node.command(Command::Extend {
        header: Bytes::new(),
    });
    raws[2].read_exact(&mut back).unwrap();
    assert_eq!(server.read(|script| script.offered), 3);
    server.end();
}

fn not_adopted(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            adopts: false,
            ..Plan::default()
        },
    );
    let error = server.raw().read(&mut [0; 16]).expect_err("no orderly end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    server.end();
}

fn slow_reader(driver: &dyn Driver) {
    const ALL: u64 = 40 << 20;
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            sends: ALL,
            ..Plan::default()
        },
    );
    let mut raw = server.raw();
    server.wait_for(&Seen::Full);
    // Until the kernel takes no more; a wait that is too short only makes the case easier.
    while server.seen.recv_timeout(QUIET).is_ok() {}
    assert!(server.read(|script| script.flushed) < ALL);
    let mut all = vec![0; usize::try_from(ALL).unwrap()];
    raw.read_exact(&mut all).unwrap();
    assert!(all == expected(ALL), "all bytes in order");
    server.wait_for(&Seen::Sent);
    assert_eq!(server.read(|script| script.flushed), ALL);
    assert_eq!(
        server.read(|script| script.in_flight_max),
        Plan::default().window_bytes
    );
    server.end();
}

fn paused(driver: &dyn Driver) {
    let server = Stage::new(
        driver,
        Plan {
            accepts: 1,
            reads: false,
            ..Plan::default()
        },
    );
    let mut raw = server.raw();
    server.wait_for(&Seen::Offered(raw.local_addr().unwrap()));
    // The step that adopts also pauses, so not one byte gets through.
    raw.set_nonblocking(true).unwrap();
    let all = expected(64 << 20);
    let mut sent = 0;
    while let Ok(bytes) = raw.write(&all[sent..]) {
        sent += bytes;
    }
    assert!(sent < all.len(), "the kernel's buffers are bounded");
    assert_eq!(server.read(|script| script.received), 0);
    server.node.command(Command::Extend {
        header: Bytes::new(),
    });
    raw.set_nonblocking(false).unwrap();
    raw.write_all(&all[sent..]).unwrap();
    drop(raw);
    server.wait_for(&Seen::Closed(Cause::Eof));
    assert_eq!(server.read(|script| script.received), 64 << 20);
    server.end();
}

fn deadline(driver: &dyn Driver) {
    let wakes = Duration::from_millis(20);
    let due = Some(Instant::ZERO.after(wakes));
    let node = Stage::new(
        driver,
        Plan {
            wakes: Some(wakes),
            ..Plan::default()
        },
    );
    let Seen::Ticked { now, due: told } = node.next() else {
        panic!("a tick comes first");
    };
    assert_eq!(told, due);
    assert!(Some(now) >= due, "never early");
    assert!(node.seen.try_recv().is_err(), "once");
    node.end();
}

fn earlier(driver: &dyn Driver) {
    let node = Stage::new(
        driver,
        Plan {
            wakes: Some(Duration::from_hours(1)),
            ..Plan::default()
        },
    );
    node.node.command(poke());
    loop {
        if let Seen::Ticked { now, due } = node.next() {
            assert!(due.is_some_and(|due| due <= now && due < Instant::from_secs(3_600)));
            break;
        }
    }
    node.end();
}

/// The command that makes a script ask, say and wait.
fn poke() -> Command {
    Command::AskPeers { amount: 0 }
}

/// Answers every second question at once, and keeps the notices.
struct Careful {
    kept: Mutex<Sender<Ticket>>,
    notices: Mutex<Sender<Notice>>,
}

impl Application for Careful {
    fn rules(&self) -> &dyn Rules {
        &NoRules
    }

    fn ask(&self, ticket: Ticket, _: Question) -> Option<Answer> {
        if ticket.0.is_multiple_of(2) {
            return Some(Answer::Taken(true));
        }
        assert!(ticket.0 != 9, "this panic is part of the case");
        self.kept.lock().unwrap().send(ticket).unwrap();
        None
    }

    fn notice(&self, _: Instant, notice: &Notice) {
        // The case may have ended.
        let _ = self.notices.lock().unwrap().send(notice.clone());
    }
}

fn careful(driver: &dyn Driver) -> (Stage, Receiver<Ticket>, Receiver<Notice>) {
    let (kept, tickets) = channel();
    let (notices, told) = channel();
    let app = Careful {
        kept: Mutex::new(kept),
        notices: Mutex::new(notices),
    };
    let stage = Stage::with(driver, Plan::default(), Arc::new(app), listening());
    (stage, tickets, told)
}

fn questions(driver: &dyn Driver) {
    let (node, tickets, _told) = careful(driver);
    node.node.command(poke());
    node.wait_for(&Seen::Answered(Ticket(2), Answer::Taken(true)));
    for expected in [Ticket(1), Ticket(3)] {
        let ticket = tickets.recv_timeout(PATIENCE).unwrap();
        assert_eq!(ticket, expected);
        node.node.answer(ticket, Answer::Taken(false));
        node.wait_for(&Seen::Answered(ticket, Answer::Taken(false)));
    }
    // Another round of tickets, 7 to 9 at the end, and the last one makes it panic.
    node.node.command(poke());
    node.node.command(poke());
    node.wait_for(&Seen::Answered(Ticket(9), Answer::Loaded(Vec::new())));
    node.end();
}

fn notices(driver: &dyn Driver) {
    const POKES: u32 = 200;
    let (node, _tickets, told) = careful(driver);
    for _ in 0..POKES {
        node.node.command(poke());
    }
    for nth in 0..3 * POKES {
        let notice = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(notice, Notice::ListenerLost(ListenerId(nth % 3)));
    }
    node.end();
}

/// Counts, and demands that actions follow each event.
struct Count {
    events: Arc<AtomicU64>,
    is_open: bool,
    last: Instant,
}

impl Tap for Count {
    fn event(&mut self, now: Instant, _: &Event) {
        assert!(!self.is_open && now >= self.last);
        self.is_open = true;
        self.last = now;
        self.events.fetch_add(1, Ordering::SeqCst);
    }

    fn actions(&mut self, _: &[Action]) {
        assert!(self.is_open);
        self.is_open = false;
    }
}

fn tapped(driver: &dyn Driver) {
    let events = Arc::<AtomicU64>::default();
    let tap = Count {
        events: Arc::clone(&events),
        is_open: false,
        last: Instant::ZERO,
    };
    let options = Options {
        tap: Some(Box::new(tap)),
        ..listening()
    };
    let plan = Plan {
        accepts: 1,
        echoes: true,
        ..Plan::default()
    };
    let server = Stage::with(driver, plan, Arc::new(NoApplication), options);
    let mut raw = server.raw();
    raw.write_all(&expected(10)).unwrap();
    raw.read_exact(&mut [0; 10]).unwrap();
    // Listening, Offered and Received, each with its turn.
    assert!(events.load(Ordering::SeqCst) >= 6);
    assert_eq!(server.read(|script| script.received), 10);
    server.end();
}

/// Answers at once, but for the last few.
struct Moody {
    kept: Mutex<Sender<Reply>>,
}

const NAMES: u64 = 3_000;

impl Resolver for Moody {
    fn resolve(&self, question: governor::Question, reply: Reply) {
        let governor::Question::Services { name } = &question else {
            return;
        };
        match name.strip_prefix('n').and_then(|n| n.parse().ok()) {
            Some(1..=NAMES) => reply.answer(Err(NotFound::NoRecord { ttl: None })),
            Some(n) if n == NAMES + 1 => {
                std::thread::spawn(move || reply.answer(Err(NotFound::NoResolver)));
            }
            Some(n) if n == NAMES + 2 => panic!("this panic is part of the case"),
            Some(_) | None => self.kept.lock().unwrap().send(reply).unwrap(),
        }
    }
}

fn names(driver: &dyn Driver) {
    let (kept, late) = channel();
    let kept = Mutex::new(kept);
    let options = Options {
        resolver: Some(Arc::new(Moody { kept })),
        ..listening()
    };
    let app = Arc::new(NoApplication);
    let shared = Arc::clone(&app) as Arc<dyn Application>;
    let node = Stage::with(driver, Plan::default(), shared, options);
    node.node.command(Command::Submit {
        id: TxId([].into_iter().collect()),
        bytes: u32::try_from(NAMES).unwrap() + 3,
    });
    let expect = |ticket, failure| {
        assert_eq!(node.next(), Seen::Resolved(Ticket(ticket), Err(failure)));
    };
    (1..=NAMES).for_each(|ticket| expect(ticket, NotFound::NoRecord { ttl: None }));
    expect(NAMES + 1, NotFound::NoResolver);
    expect(NAMES + 2, NotFound::NoAnswer);
    // One that is on its way holds nothing of a node that stops.
    let reply = late.recv_timeout(PATIENCE).unwrap();
    node.end();
    // The thread that brought an answer may be on its way out.
    let free = (0..10_000_000).any(|_| {
        std::thread::yield_now();
        Arc::strong_count(&app) == 1
    });
    assert!(free, "nobody holds the application");
    reply.answer(Err(NotFound::NoAnswer));
}

fn shutdown(driver: &dyn Driver) {
    let app = Arc::new(NoApplication);
    let server = Stage::with(
        driver,
        Plan {
            accepts: 5,
            sends: TEN_MB,
            wakes: Some(Duration::from_hours(1)),
            ..Plan::default()
        },
        Arc::clone(&app) as Arc<dyn Application>,
        listening(),
    );
    // One is idle, one does not read, one dials, and the listener waits.
    let idle = server.raw();
    let mut full = server.raw();
    full.read_exact(&mut [0; 1_000]).unwrap();
    server.dial(server.addr());
    server.wait_for(&Seen::Full);
    let addr = server.addr();
    server.end();
    assert_eq!(Arc::strong_count(&app), 1, "nobody holds the application");
    assert!(TcpStream::connect(addr).is_err(), "nobody listens");
    drop(idle);
}

/// Says never that it has stopped.
fn stubborn(driver: &dyn Driver) {
    let options = Options {
        shutdown_timeout: Duration::ZERO,
        ..listening()
    };
    let plan = Plan {
        accepts: 2,
        ..Plan::default()
    };
    let server = Stage::with(driver, plan, Arc::new(NoApplication), options);
    let mut raw = server.raw();
    server.wait_for(&Seen::Offered(raw.local_addr().unwrap()));
    server.end();
    assert!(raw.read(&mut [0; 16]).is_err(), "it is reset");
}
