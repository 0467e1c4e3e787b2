//! The thread.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};
use samanea_core::{
    base::{Deadlines, Instant, ListenerId, Machine},
    node::{Action, Event},
};

use super::{
    driver::{Driver, Parcel, Seat},
    talk::{Done, Phase, Talk},
};
use crate::{Line, errors, hub::Todo, socket};

/// All that the thread keeps. Keys are tokens: 0 is the waker, then the listeners, then the
/// connections, whose keys are never used again.
pub(super) struct Attendant<M> {
    driver: Arc<Driver<M>>,
    poll: Poll,
    /// By listener; `None` when it is lost.
    doors: Vec<Option<Door>>,
    talks: BTreeMap<usize, Talk>,
    next_key: usize,
    /// Connections to look at before sleeping.
    ready: BTreeSet<usize>,
    /// When an attempt to connect or an orderly end has taken too long.
    untils: Deadlines<usize>,
    stop_at: Instant,
    todo: Todo<Seat>,
    buffer: Vec<u8>,
}

/// A listening socket.
struct Door {
    listener: TcpListener,
    /// Whether there may be something to accept.
    is_ready: bool,
}

/// The token of the waker.
pub(super) const WAKER: Token = Token(0);
/// Readiness of so many sockets is asked for at once.
const EVENTS: usize = 1_024;
/// Connections accepted on one listener before others are looked after.
const ACCEPTS: u32 = 32;

impl<M> Attendant<M>
where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    pub(super) fn new(
        driver: Arc<Driver<M>>,
        poll: Poll,
        listeners: Vec<TcpListener>,
    ) -> io::Result<Self> {
        let mut doors = Vec::new();
        for mut listener in listeners {
            let token = Token(doors.len() + 1);
            poll.registry()
                .register(&mut listener, token, Interest::READABLE)?;
            doors.push(Some(Door {
                listener,
                is_ready: true,
            }));
        }
        Ok(Self {
            next_key: doors.len() + 1,
            buffer: vec![0; driver.limits.read_bytes],
            driver,
            poll,
            doors,
            talks: BTreeMap::new(),
            ready: BTreeSet::new(),
            untils: Deadlines::new(),
            stop_at: Instant::FAR,
            todo: Todo::default(),
        })
    }

    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            self.take_parcels();
            if self.driver.hub.clock().now() >= self.stop_at {
                self.stop_at = Instant::FAR;
                self.driver.stop();
            }
            if self.driver.is_stopped() {
                // Others of the handle have left a parcel for every connection before.
                self.take_parcels();
                self.doors.clear();
                self.give_up_dials();
            } else {
                (0..self.doors.len()).for_each(|at| self.accept(at));
            }
            for key in std::mem::take(&mut self.ready) {
                self.attend(key);
            }
            self.expire();
            self.tick();
            // Orderly ends that have begun are seen through.
            if self.driver.is_stopped() && self.talks.is_empty() {
                return;
            }
            let wait = self.wait();
            if self.poll.poll(&mut events, wait).is_ok() {
                for event in &events {
                    self.note(event);
                }
            }
        }
    }

    fn note(&mut self, event: &mio::event::Event) {
        let Token(key) = event.token();
        if let Some(talk) = self.talks.get_mut(&key) {
            talk.is_readable |= event.is_readable() || event.is_error();
            talk.is_writable |= event.is_writable() || event.is_error();
            self.ready.insert(key);
        } else if let Some(at) = key.checked_sub(1)
            && let Some(Some(door)) = self.doors.get_mut(at)
        {
            door.is_ready = true;
        }
    }

    /// How long to sleep at most; not at all while there is something to do.
    fn wait(&self) -> Option<Duration> {
        let mut doors = self.doors.iter().zip(&self.driver.doors);
        let is_due = doors.any(|(door, wanted)| {
            door.as_ref().is_some_and(|door| door.is_ready) && wanted.load(Ordering::SeqCst) > 0
        });
        if is_due || !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadline = self.driver.hub.arm();
        let deadline = deadline.filter(|_| !self.driver.is_stopped());
        let all = deadline.into_iter().chain(self.untils.next());
        let next = all.chain([self.stop_at]).min();
        next.filter(|at| *at != Instant::FAR)
            .map(|at| self.driver.hub.clock().until(at))
    }

    fn take_parcels(&mut self) {
        for parcel in self.driver.take_parcels() {
            match parcel {
                Parcel::Dial(line, bind) => self.dial(&line, bind),
                Parcel::Touched(line) => self.ready.extend(line.seat.key.get()),
                Parcel::News => {}
                Parcel::StopAt(at) => self.stop_at = self.stop_at.min(at),
            }
        }
    }

    /// Feeds a tick when the deadline has come.
    fn tick(&mut self) {
        let driver = &self.driver;
        let is_due = |at| at <= driver.hub.clock().now();
        if driver.hub.arm().is_some_and(is_due) {
            let events = [Event::Tick, Event::Turn];
            driver.hub.feed(None, events, &mut self.todo);
            driver.carry_out(&mut self.todo);
        }
    }

    fn dial(&mut self, line: &Arc<Line<Seat>>, bind: Option<SocketAddr>) {
        let limits = self.driver.limits;
        let begun = socket::dialler(line.remote, bind, limits.unsent_bytes).and_then(|socket| {
            socket.set_nonblocking(true)?;
            match socket.connect(&line.remote.into()) {
                Ok(()) => {}
                Err(error) if socket::is_under_way(&error) => {}
                Err(error) => return Err(error),
            }
            self.seat(line, TcpStream::from_std(socket.into()), Phase::Dialling)
        });
        match begun {
            Ok(key) => {
                let until = self.driver.hub.clock().now().after(limits.connect_timeout);
                self.untils.set(key, Some(until));
            }
            Err(error) => self.fail_dial(line, &error),
        }
    }

    fn fail_dial(&mut self, line: &Line<Seat>, error: &io::Error) {
        let failed = errors::connect_failed(line.conn, error);
        self.driver.hub.feed_last(line, failed, &mut self.todo);
        self.driver.carry_out(&mut self.todo);
    }

    /// Gives a connection its place among those that are waited for.
    fn seat(
        &mut self,
        line: &Arc<Line<Seat>>,
        mut stream: TcpStream,
        phase: Phase,
    ) -> io::Result<usize> {
        let key = self.next_key;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(key), both)?;
        self.next_key += 1;
        // It was created without one, and this thread alone gives them.
        let _ = line.seat.key.set(key);
        let talk = Talk::new(Arc::clone(line), stream, phase);
        self.talks.insert(key, talk);
        // What was asked for before there was a socket.
        self.ready.insert(key);
        Ok(key)
    }

    /// Accepts one connection for each request, as many as are there, but not for ever.
    fn accept(&mut self, at: usize) {
        let driver = Arc::clone(&self.driver);
        let (Some(wanted), Ok(id)) = (driver.doors.get(at), u32::try_from(at)) else {
            return;
        };
        let id = ListenerId(id);
        for _ in 0..ACCEPTS {
            let Some(Some(door)) = self.doors.get_mut(at) else {
                return;
            };
            if !door.is_ready || wanted.load(Ordering::SeqCst) == 0 {
                return;
            }
            let accepted = match accept(&door.listener, driver.limits.unsent_bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    door.is_ready = false;
                    return;
                }
                Err(error) if errors::is_interrupted(&error) => continue,
                accepted => accepted,
            };
            wanted.fetch_sub(1, Ordering::SeqCst);
            match accepted {
                Ok((stream, local, remote)) => {
                    // Not adopted: dropped, and so reset.
                    if let Some(line) = driver.hub.offer(id, local, remote, &mut self.todo)
                        && let Err(error) = self.seat(&line, stream, Phase::Open)
                    {
                        self.end(&line, &error);
                    }
                }
                Err(error) => self.fail_accept(at, id, &error),
            }
            driver.carry_out(&mut self.todo);
        }
    }

    fn fail_accept(&mut self, at: usize, listener: ListenerId, error: &io::Error) {
        let failed = errors::accept_failed(listener, error);
        if matches!(failed, Event::AcceptFailed { fatal: true, .. })
            && let Some(lost) = self.doors.get_mut(at)
        {
            *lost = None;
        }
        let events = [failed, Event::Turn];
        self.driver.hub.feed(None, events, &mut self.todo);
    }

    fn end(&mut self, line: &Line<Seat>, error: &io::Error) {
        let (conn, cause) = (line.conn, errors::cause(error));
        let closed = Event::Closed { conn, cause };
        self.driver.hub.feed_last(line, closed, &mut self.todo);
    }

    /// Looks once at a connection; leaves it among the ready ones when there may be more.
    fn attend(&mut self, key: usize) {
        let Some(mut talk) = self.talks.remove(&key) else {
            return;
        };
        if self.serve(&mut talk) {
            if matches!(talk.phase, Phase::Closing | Phase::Shut) && self.untils.of(&key).is_none()
            {
                let patience = self.driver.limits.close_timeout;
                let until = self.driver.hub.clock().now().after(patience);
                self.untils.set(key, Some(until));
            }
            self.talks.insert(key, talk);
        } else {
            self.untils.set(key, None);
            // Fails only for one that was never there.
            let _ = self.poll.registry().deregister(&mut talk.stream);
        }
    }

    /// False when the connection is over.
    fn serve(&mut self, talk: &mut Talk) -> bool {
        let Some(reading) = talk.prepare() else {
            return false;
        };
        match talk.phase {
            Phase::Dialling => match talk.connected() {
                None => true,
                Some(Ok(local)) => self.open(talk, local),
                Some(Err(error)) => {
                    self.fail_dial(&talk.line, &error);
                    false
                }
            },
            Phase::Open => {
                let buffer = reading.then_some(&mut self.buffer[..]);
                let done = talk.exchange(buffer);
                let is_again = talk.is_ready(reading);
                self.tell(talk, done);
                if is_again {
                    self.ready.extend(talk.line.seat.key.get());
                }
                true
            }
            Phase::Closing | Phase::Shut => talk.wind_up(&mut self.buffer),
        }
    }

    fn open(&mut self, talk: &mut Talk, local: SocketAddr) -> bool {
        let conn = talk.line.conn;
        let events = [Event::Connected { conn, local }, Event::Turn];
        self.driver
            .hub
            .feed(Some(&talk.line), events, &mut self.todo);
        self.driver.carry_out(&mut self.todo);
        talk.phase = Phase::Open;
        (talk.is_readable, talk.is_writable) = (true, true);
        if let Some(key) = talk.line.seat.key.get() {
            self.untils.set(*key, None);
            self.ready.insert(*key);
        }
        true
    }

    /// Feeds what a look brought, and does what follows.
    fn tell(&mut self, talk: &Talk, done: Done) {
        let (line, conn) = (&talk.line, talk.line.conn);
        let bytes = done.wrote;
        let flushed = (bytes > 0).then_some(Event::Flushed { conn, bytes });
        let received = done.read.map(|bytes| Event::Received { conn, bytes });
        if flushed.is_some() || received.is_some() {
            let events = flushed.into_iter().chain(received).chain([Event::Turn]);
            self.driver.hub.feed(Some(line), events, &mut self.todo);
        }
        if let Some(cause) = done.ended {
            let closed = Event::Closed { conn, cause };
            self.driver.hub.feed_last(line, closed, &mut self.todo);
            // It has an ending now.
            self.ready.extend(line.seat.key.get());
        }
        self.driver.carry_out(&mut self.todo);
    }

    /// Gives up what has taken too long.
    fn expire(&mut self) {
        let now = self.driver.hub.clock().now();
        while let Some(key) = self.untils.pop_due(now) {
            let Some(mut talk) = self.talks.remove(&key) else {
                continue;
            };
            if talk.phase == Phase::Dialling {
                self.fail_dial(&talk.line, &io::ErrorKind::TimedOut.into());
            }
            socket::reset_on_close(&talk.stream);
            // Fails only for one that was never there.
            let _ = self.poll.registry().deregister(&mut talk.stream);
        }
    }

    fn give_up_dials(&mut self) {
        self.talks.retain(|_, talk| talk.phase != Phase::Dialling);
    }
}

fn accept(
    listener: &TcpListener,
    unsent_bytes: u32,
) -> io::Result<(TcpStream, SocketAddr, SocketAddr)> {
    let (stream, remote) = listener.accept()?;
    let look = || {
        socket::tune(&stream, unsent_bytes)?;
        stream.local_addr()
    };
    let local = look().map_err(errors::gone_before_use)?;
    Ok((stream, local, remote))
}
