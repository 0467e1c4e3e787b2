//! A small machine that does with its connections what its plan says and tells what it sees.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::mpsc::Sender,
    time::Duration,
};

use bytes::Bytes;
use samanea_core::{
    base::{Cx, Instant, ListenerId, Machine, Serial, Supply, Ticket, Violated, violated},
    chain::{Answer, Question},
    conn::Cause,
    governor,
    node::{Action, Command, Event, Notice},
};

/// What the machine does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Connections that it asks to accept on each listener when it hears of it.
    pub accepts: u32,
    /// Whether it adopts what is offered.
    pub adopts: bool,
    /// Whether it sends back what it receives.
    pub echoes: bool,
    /// Bytes of [`pattern`] that it sends on each connection.
    pub sends: u64,
    /// Bytes of each piece that it sends.
    pub piece_bytes: usize,
    /// Pieces of each write that it asks for.
    pub pieces: usize,
    /// Bytes asked for and not yet flushed, at most.
    pub window_bytes: u64,
    /// Whether it reads from the beginning.
    pub reads: bool,
    /// How a connection is closed when all is sent (and, where something is to be received, all
    /// is received): `Some(reset)`.
    pub closes: Option<bool>,
    /// Bytes of [`pattern`] that it wants before it closes.
    pub wants: u64,
    /// The local address of its dials.
    pub bind: Option<SocketAddr>,
    /// When it wants to be woken first, after time zero.
    pub wakes: Option<Duration>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            accepts: 0,
            adopts: true,
            echoes: false,
            sends: 0,
            piece_bytes: 64 << 10,
            pieces: 1,
            window_bytes: 512 << 10,
            reads: true,
            closes: None,
            wants: 0,
            bind: None,
            wakes: None,
        }
    }
}

/// What the machine saw.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the events are")]
pub enum Seen {
    Listening(SocketAddr),
    Offered(SocketAddr),
    AcceptFailed(Cause),
    Connected(SocketAddr),
    ConnectFailed(Cause),
    Closed(Cause),
    /// All that it wanted has come, byte by byte as the pattern says.
    Complete,
    /// A byte that the pattern does not have there.
    Corrupt,
    /// The window is full.
    Full,
    /// The window is empty again and all is sent.
    Sent,
    Answered(Ticket, Answer),
    Resolved(Ticket, Result<governor::Answer, governor::NotFound>),
    Ticked {
        now: Instant,
        due: Option<Instant>,
    },
    /// An event of a connection that was closed.
    Late,
}

/// One connection.
#[derive(Debug)]
struct Talk {
    remote: SocketAddr,
    is_open: bool,
    reading: bool,
    to_send: u64,
    sent: u64,
    received: u64,
    in_flight: u64,
    echo: VecDeque<Bytes>,
    echo_bytes: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Script {
    plan: Plan,
    seen: Sender<Seen>,
    serials: Supply<Serial>,
    tickets: Supply<Ticket>,
    talks: BTreeMap<Serial, Talk>,
    due: Option<Instant>,
    names_left: u32,
    listener: ListenerId,
    pool: Bytes,
    /// Connections offered.
    pub offered: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes flushed.
    pub flushed: u64,
    /// The most bytes that were asked for and not flushed on one connection.
    pub in_flight_max: u64,
    /// Turns.
    pub turns: u64,
}

/// The byte at this place of every stream.
pub fn pattern(at: u64) -> u8 {
    let mixed = (at % PERIOD).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56).to_le_bytes()[0]
}

/// The pattern repeats after so many bytes: a prime, so that no exchange of whole buffers goes
/// unseen.
const PERIOD: u64 = 65_521;

impl Script {
    /// A machine with this plan that tells what it sees.
    pub fn new(plan: Plan, seen: Sender<Seen>) -> Self {
        Self {
            plan,
            seen,
            serials: Supply::default(),
            tickets: Supply::default(),
            talks: BTreeMap::new(),
            due: plan.wakes.map(|wakes| Instant::ZERO.after(wakes)),
            names_left: 0,
            listener: ListenerId(0),
            // So long that every piece is one slice.
            pool: (0..3 * PERIOD).map(pattern).collect(),
            offered: 0,
            received: 0,
            flushed: 0,
            in_flight_max: 0,
            turns: 0,
        }
    }

    fn see(&self, seen: Seen) {
        // The case may have ended.
        let _ = self.seen.send(seen);
    }

    fn insert(&mut self, conn: Serial, remote: SocketAddr, is_open: bool) {
        let talk = Talk {
            remote,
            is_open,
            reading: true,
            to_send: self.plan.sends,
            sent: 0,
            received: 0,
            in_flight: 0,
            echo: VecDeque::new(),
            echo_bytes: 0,
        };
        self.talks.insert(conn, talk);
    }

    fn on_received(&mut self, conn: Serial, bytes: Bytes) {
        let Some(talk) = self.talks.get_mut(&conn) else {
            return self.see(Seen::Late);
        };
        let from = slot(talk.received);
        let is_right = bytes
            .chunks(len(PERIOD))
            .all(|chunk| self.pool.get(from..from + chunk.len()) == Some(chunk));
        talk.received += bytes.len() as u64;
        self.received += bytes.len() as u64;
        let is_complete = talk.received == self.plan.wants;
        if self.plan.echoes {
            talk.echo_bytes += bytes.len() as u64;
            talk.echo.push_back(bytes);
        }
        if !is_right {
            self.see(Seen::Corrupt);
        }
        if is_complete {
            self.see(Seen::Complete);
        }
    }

    fn on_flushed(&mut self, conn: Serial, bytes: u64) {
        let Some(talk) = self.talks.get_mut(&conn) else {
            return self.see(Seen::Late);
        };
        let left = talk.in_flight.checked_sub(bytes);
        talk.in_flight = left.unwrap_or(0);
        self.flushed += bytes;
        let is_sent = talk.in_flight == 0 && talk.sent > 0 && talk.to_send == 0;
        if left.is_none() {
            self.see(Seen::Corrupt);
        }
        if is_sent && !self.plan.echoes {
            self.see(Seen::Sent);
        }
    }

    fn on_turn(&mut self, cx: &mut Cx<'_, Action>) {
        self.turns += 1;
        let mut talks = std::mem::take(&mut self.talks);
        talks.retain(|conn, talk| self.turn(cx, *conn, talk));
        self.talks = talks;
    }

    /// Writes what fits; false when the connection is closed.
    fn turn(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, talk: &mut Talk) -> bool {
        if !talk.is_open {
            return true;
        }
        let plan = self.plan;
        while talk.to_send > 0 && talk.in_flight < plan.window_bytes {
            let mut batch = samanea_core::wire::Batch::new();
            while talk.to_send > 0 && batch.len() < plan.pieces {
                let room = plan.window_bytes - talk.in_flight;
                let bytes = talk.to_send.min(room).min(plan.piece_bytes as u64);
                if bytes == 0 {
                    break;
                }
                let from = slot(talk.sent);
                batch.push(self.pool.slice(from..from + len(bytes)));
                talk.to_send -= bytes;
                talk.sent += bytes;
                talk.in_flight += bytes;
            }
            cx.act(Action::Write { conn, batch });
            if talk.in_flight == plan.window_bytes {
                self.see(Seen::Full);
            }
        }
        while talk.in_flight < plan.window_bytes
            && let Some(mut bytes) = talk.echo.pop_front()
        {
            let room = len(plan.window_bytes - talk.in_flight);
            if bytes.len() > room {
                talk.echo.push_front(bytes.split_off(room));
            }
            talk.in_flight += bytes.len() as u64;
            talk.echo_bytes -= bytes.len() as u64;
            let batch = [bytes].into_iter().collect();
            cx.act(Action::Write { conn, batch });
        }
        self.in_flight_max = self.in_flight_max.max(talk.in_flight);
        let reading = plan.reads && talk.echo_bytes < plan.window_bytes;
        if reading != talk.reading {
            talk.reading = reading;
            cx.act(Action::Reading { conn, on: reading });
        }
        match plan.closes {
            Some(reset) if talk.to_send == 0 && talk.received >= plan.wants => {
                cx.act(Action::Close { conn, reset });
                false
            }
            _ => true,
        }
    }

    fn on_command(&mut self, cx: &mut Cx<'_, Action>, command: &Command) {
        match *command {
            Command::AddPeer(remote) => {
                let conn = self.serials.take();
                let bind = self.plan.bind;
                cx.act(Action::Dial { conn, remote, bind });
                self.insert(conn, remote, false);
            }
            Command::RemovePeer(remote) => {
                self.talks.retain(|conn, talk| {
                    if talk.remote == remote {
                        let conn = *conn;
                        cx.act(Action::Close { conn, reset: true });
                    }
                    talk.remote != remote
                });
            }
            // Accept one more, and read.
            Command::Extend { .. } => {
                self.plan.reads = true;
                let listener = self.listener;
                cx.act(Action::AcceptOne { listener });
            }
            // Send so much more on each connection.
            Command::SampleTips { count, .. } => {
                for talk in self.talks.values_mut() {
                    talk.to_send += u64::from(count);
                }
            }
            // Be woken soon, ask, and say something, three times.
            Command::AskPeers { .. } => {
                self.due = Some(cx.now.after(Duration::from_millis(5)));
                for n in 0..3 {
                    let ticket = self.tickets.take();
                    let question = Question::Load(Vec::new());
                    cx.act(Action::Ask { ticket, question });
                    cx.act(Action::Notify(Notice::ListenerLost(ListenerId(n))));
                }
            }
            Command::Shutdown => {
                for conn in std::mem::take(&mut self.talks).into_keys() {
                    cx.act(Action::Close { conn, reset: true });
                }
                cx.act(Action::Notify(Notice::Stopped));
            }
            // Look so many names up, one after the other.
            Command::Submit { bytes, .. } => {
                self.names_left = bytes;
                self.resolve_next(cx);
            }
            Command::Limit(_)
            | Command::Targets { .. }
            | Command::Topology(_)
            | Command::Snapshot(_)
            | Command::Ledger(_)
            | Command::Restore(_)
            | Command::Judgement(_)
            | Command::FetchMode(_)
            | Command::OwnAddress(_)
            | Command::View { .. }
            | Command::Forget(_)
            | Command::JoinGroup { .. }
            | Command::LeaveGroup(_)
            | Command::Member { .. }
            | Command::Publish { .. }
            | Command::PublishTo { .. }
            | Command::Verdict { .. } => {}
        }
    }

    fn resolve_next(&mut self, cx: &mut Cx<'_, Action>) {
        let Some(left) = self.names_left.checked_sub(1) else {
            return;
        };
        self.names_left = left;
        let ticket = self.tickets.take();
        let name = format!("n{ticket}").into();
        let question = governor::Question::Services { name };
        cx.act(Action::Resolve { ticket, question });
    }

    fn on_offered(&mut self, cx: &mut Cx<'_, Action>, listener: ListenerId, remote: SocketAddr) {
        self.offered += 1;
        self.see(Seen::Offered(remote));
        if !self.plan.adopts {
            return cx.act(Action::Reset { listener, remote });
        }
        let conn = self.serials.take();
        cx.act(Action::Adopt {
            listener,
            remote,
            conn,
        });
        self.insert(conn, remote, true);
    }
}

impl Machine for Script {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        match event {
            Event::Listening { listener, local } => {
                self.listener = listener;
                self.see(Seen::Listening(local));
                for _ in 0..self.plan.accepts {
                    cx.act(Action::AcceptOne { listener });
                }
            }
            Event::Offered {
                listener, remote, ..
            } => self.on_offered(cx, listener, remote),
            Event::AcceptFailed { cause, .. } => self.see(Seen::AcceptFailed(cause)),
            Event::Connected { conn, local } => {
                match self.talks.get_mut(&conn) {
                    Some(talk) => talk.is_open = true,
                    None => self.see(Seen::Late),
                }
                self.see(Seen::Connected(local));
            }
            Event::ConnectFailed { conn, cause } => {
                if self.talks.remove(&conn).is_none() {
                    self.see(Seen::Late);
                }
                self.see(Seen::ConnectFailed(cause));
            }
            Event::Received { conn, bytes } => self.on_received(conn, bytes),
            Event::Flushed { conn, bytes } => self.on_flushed(conn, bytes),
            Event::Closed { conn, cause } => {
                if self.talks.remove(&conn).is_none() {
                    self.see(Seen::Late);
                }
                self.see(Seen::Closed(cause));
            }
            Event::Answered { ticket, answer } => self.see(Seen::Answered(ticket, answer)),
            Event::Command(command) => self.on_command(cx, &command),
            Event::Turn => self.on_turn(cx),
            Event::Tick => {
                let (now, due) = (cx.now, self.due);
                if due.is_some_and(|due| due <= now) {
                    self.due = None;
                }
                self.see(Seen::Ticked { now, due });
            }
            Event::Resolved { ticket, answer } => {
                self.see(Seen::Resolved(ticket, answer));
                self.resolve_next(cx);
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        violated(
            self.in_flight_max <= self.plan.window_bytes,
            "script",
            1,
            "no more is in flight than the window",
        )
    }
}

/// Where in the pool a place of a stream is.
fn slot(at: u64) -> usize {
    len(at % PERIOD)
}

fn len(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
