//! A whole driver with nothing but the standard library: one thread, sockets that do not block,
//! and the loop over the node. It scans its sockets, so it is for reading, not for running many
//! connections; `samanea_std::start` and `samanea_tokio::start` are for that.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    time::Duration,
};

use samanea_core::{
    base::{Instant, ListenerId, NoRules, Serial},
    conn::Cause,
    node::{Action, Command, Config, Engine, Event, Node, Notice},
};
use samanea_std::{Clock, errors::cause};

/// A socket and what it has not taken yet.
type Conn = (TcpStream, Vec<u8>);

struct Driver {
    node: Node<Engine>,
    clock: Clock,
    listener: TcpListener,
    accepts: u32,
    offered: Option<TcpStream>,
    conns: BTreeMap<Serial, Conn>,
    ups: u32,
}

impl Driver {
    /// Feeds facts and a turn, then does what the node asks for, and what follows from that.
    fn feed(&mut self, facts: impl IntoIterator<Item = Event>) {
        let mut facts: Vec<Event> = facts.into_iter().collect();
        while !facts.is_empty() {
            let (now, mut actions) = (self.clock.now(), Vec::new());
            for fact in facts.drain(..).chain([Event::Turn]) {
                self.node.step(now, &NoRules, fact, &mut actions);
            }
            facts.extend(actions.into_iter().filter_map(|action| self.act(action)));
        }
    }

    /// Does one thing; the result is the fact that follows at once, if any.
    fn act(&mut self, action: Action) -> Option<Event> {
        match action {
            Action::AcceptOne { .. } => self.accepts += 1,
            Action::Adopt { conn, .. } => {
                let stream = self.offered.take()?;
                self.conns.insert(conn, (stream, Vec::new()));
            }
            Action::Reset { .. } => self.offered = None,
            Action::Dial { conn, remote, .. } => {
                // Waiting here holds up the rest: a real driver connects elsewhere.
                let opened = TcpStream::connect_timeout(&remote, Duration::from_secs(5));
                return Some(
                    match opened.and_then(|stream| Ok((open(&stream)?, stream))) {
                        Ok((local, stream)) => {
                            self.conns.insert(conn, (stream, Vec::new()));
                            Event::Connected { conn, local }
                        }
                        Err(error) => Event::ConnectFailed {
                            conn,
                            cause: cause(&error),
                        },
                    },
                );
            }
            Action::Write { conn, batch } => {
                let (_, unsent) = self.conns.get_mut(&conn)?;
                batch
                    .iter()
                    .for_each(|piece| unsent.extend_from_slice(piece));
            }
            Action::Close { conn, .. } => drop(self.conns.remove(&conn)),
            Action::Notify(Notice::Up { .. }) => self.ups += 1,
            // A real driver pauses reads, and its application answers what it is asked.
            Action::Reading { .. } | Action::Ask { .. } | Action::Notify(_) => {}
        }
        None
    }

    /// Looks once at every socket and at the clock.
    fn poll(&mut self) {
        if self.accepts > 0
            && let Ok((stream, remote)) = self.listener.accept()
            && let Ok(local) = open(&stream)
        {
            self.accepts -= 1;
            self.offered = Some(stream);
            self.feed([Event::Offered {
                listener: ListenerId(0),
                local,
                remote,
            }]);
        }
        let all: Vec<Serial> = self.conns.keys().copied().collect();
        for conn in all {
            let Some(talk) = self.conns.get_mut(&conn) else {
                continue;
            };
            let facts: Vec<Event> = [flush(conn, talk), receive(conn, talk)]
                .into_iter()
                .flatten()
                .collect();
            if facts
                .iter()
                .any(|fact| matches!(fact, Event::Closed { .. }))
            {
                self.conns.remove(&conn);
            }
            self.feed(facts);
        }
        if self
            .node
            .next_deadline()
            .is_some_and(|at| at <= self.clock.now())
        {
            self.feed([Event::Tick]);
        }
    }
}

fn open(stream: &TcpStream) -> io::Result<std::net::SocketAddr> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    stream.local_addr()
}

/// Writes what the kernel takes.
fn flush(conn: Serial, (stream, unsent): &mut Conn) -> Option<Event> {
    let bytes = stream.write(unsent).ok().filter(|bytes| *bytes > 0)?;
    unsent.drain(..bytes);
    Some(Event::Flushed {
        conn,
        bytes: bytes as u64,
    })
}

/// Reads what is there; an error of a write comes up here too.
fn receive(conn: Serial, (stream, _): &mut Conn) -> Option<Event> {
    let mut buffer = vec![0; 64 << 10];
    match stream.read(&mut buffer) {
        Ok(0) => Some(Event::Closed {
            conn,
            cause: Cause::Eof,
        }),
        Ok(bytes) => {
            buffer.truncate(bytes);
            Some(Event::Received {
                conn,
                bytes: buffer.into(),
            })
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(error) => Some(Event::Closed {
            conn,
            cause: cause(&error),
        }),
    }
}

/// Two nodes in one loop, until both say that the handshake is done.
fn main() -> io::Result<()> {
    let mut drivers = Vec::new();
    for seed in [1, 2] {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let local = listener.local_addr()?;
        let mut driver = Driver {
            node: Node::new(Engine::new(Config::new(42)), seed),
            clock: Clock::starting_at(Instant::ZERO),
            listener,
            accepts: 0,
            offered: None,
            conns: BTreeMap::new(),
            ups: 0,
        };
        driver.feed([Event::Listening {
            listener: ListenerId(0),
            local,
        }]);
        drivers.push(driver);
    }
    let other = drivers[1].listener.local_addr()?;
    drivers[0].feed([Event::Command(Command::AddPeer(other))]);
    while drivers.iter().any(|driver| driver.ups == 0) {
        drivers.iter_mut().for_each(Driver::poll);
        std::thread::yield_now();
    }
    Ok(())
}
