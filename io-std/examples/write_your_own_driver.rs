//! A whole driver with the standard library alone: one thread, sockets that do not block, and the
//! loop over the node. It looks at every socket in turn, so it is for reading, not for running
//! many connections; `samanea_std::start` and `samanea_tokio::start` are for that.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
};

use samanea_core::{
    base::{Instant, ListenerId, NoRules, Serial},
    conn::Cause,
    governor::NotFound,
    node::{Action, Command, Config, Engine, Event, Node, Notice},
};
use samanea_std::{Clock, errors::cause};

const LISTENER: ListenerId = ListenerId(0);

struct Driver {
    node: Node<Engine>,
    clock: Clock,
    listener: TcpListener,
    accepts: u32,
    offered: Option<TcpStream>,
    /// Each socket, and what it has not taken yet.
    conns: BTreeMap<Serial, (TcpStream, Vec<u8>)>,
    ups: u32,
}

impl Driver {
    /// Feeds facts and a turn, then does what the node asks for, and what follows from that.
    fn feed(&mut self, mut facts: Vec<Event>) {
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
                self.conns.insert(conn, (self.offered.take()?, Vec::new()));
            }
            Action::Reset { .. } => self.offered = None,
            Action::Dial { conn, remote, .. } => return Some(self.dial(conn, remote)),
            Action::Write { conn, batch } => self.conns.get_mut(&conn)?.1.extend(batch.concat()),
            Action::Close { conn, .. } => drop(self.conns.remove(&conn)),
            Action::Notify(Notice::Up { .. }) => self.ups += 1,
            // A real driver pauses reads, sends the rest before a close without reset, and has
            // an application that answers what it is asked.
            Action::Reading { .. } | Action::Ask { .. } | Action::Notify(_) => {}
            Action::Resolve { ticket, .. } => {
                let answer = Err(NotFound::NoResolver);
                return Some(Event::Resolved { ticket, answer });
            }
        }
        None
    }

    /// Waits for the connection, which holds up the rest: a real driver does it elsewhere.
    fn dial(&mut self, conn: Serial, remote: SocketAddr) -> Event {
        match TcpStream::connect(remote).and_then(|stream| Ok((open(&stream)?, stream))) {
            Ok((local, stream)) => {
                self.conns.insert(conn, (stream, Vec::new()));
                Event::Connected { conn, local }
            }
            Err(error) => Event::ConnectFailed {
                conn,
                cause: cause(&error),
            },
        }
    }

    /// Looks once at every socket and at the clock.
    fn poll(&mut self) -> io::Result<()> {
        if self.accepts > 0
            && let Ok((stream, remote)) = self.listener.accept()
        {
            let local = open(&stream)?;
            self.accepts -= 1;
            self.offered = Some(stream);
            self.feed(vec![Event::Offered {
                listener: LISTENER,
                local,
                remote,
            }]);
        }
        let mut facts = Vec::new();
        self.conns
            .retain(|conn, (stream, unsent)| exchange(*conn, stream, unsent, &mut facts));
        if self
            .node
            .next_deadline()
            .is_some_and(|at| at <= self.clock.now())
        {
            facts.push(Event::Tick);
        }
        self.feed(facts);
        Ok(())
    }
}

fn open(stream: &TcpStream) -> io::Result<SocketAddr> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    stream.local_addr()
}

/// Writes what the kernel takes and reads what is there; false when the connection has ended.
fn exchange(
    conn: Serial,
    stream: &mut TcpStream,
    unsent: &mut Vec<u8>,
    facts: &mut Vec<Event>,
) -> bool {
    // An error of a write comes up in the read.
    if let Ok(taken @ 1..) = stream.write(unsent) {
        unsent.drain(..taken);
        facts.push(Event::Flushed {
            conn,
            bytes: taken as u64,
        });
    }
    let mut buffer = vec![0; 64 << 10];
    let ended = match stream.read(&mut buffer) {
        Ok(0) => Cause::Eof,
        Ok(bytes) => {
            buffer.truncate(bytes);
            facts.push(Event::Received {
                conn,
                bytes: buffer.into(),
            });
            return true;
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
        Err(error) => cause(&error),
    };
    facts.push(Event::Closed { conn, cause: ended });
    false
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
        driver.feed(vec![Event::Listening {
            listener: LISTENER,
            local,
        }]);
        drivers.push(driver);
    }
    let other = drivers[1].listener.local_addr()?;
    drivers[0].feed(vec![Event::Command(Command::AddPeer(other))]);
    while drivers.iter().any(|driver| driver.ups == 0) {
        drivers.iter_mut().try_for_each(Driver::poll)?;
        std::thread::yield_now();
    }
    Ok(())
}
