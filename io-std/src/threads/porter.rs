//! The one thread that waits for everything but incoming bytes: the deadline, connections to
//! accept and to open, and sockets that are full.

use std::{
    io,
    net::SocketAddr,
    os::unix::net::UnixStream,
    sync::{Arc, atomic::Ordering},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use samanea_core::{
    base::{Instant, ListenerId, Machine},
    node::{Action, Event},
};
use socket2::{SockAddr, Socket};

use super::{
    driver::{Driver, Parcel, Shift},
    seat::{Look, Seat},
};
use crate::{Ending, Line, errors, socket};

/// All that the thread keeps.
pub(super) struct Porter<M> {
    driver: Arc<Driver<M>>,
    ear: UnixStream,
    /// By listener; `None` when it is lost.
    listeners: Vec<Option<Socket>>,
    dials: Vec<Dial>,
    full: Vec<Full>,
    stop_at: Instant,
    shift: Shift,
}

/// A connection that is being opened.
struct Dial {
    line: Arc<Line<Seat>>,
    socket: Socket,
    until: Instant,
}

/// A connection with a full socket, or one that is about to end.
struct Full {
    line: Arc<Line<Seat>>,
    /// When it must have ended, if it is to end.
    until: Instant,
    /// Whether bytes waited when it was last looked at. Polled until it is looked at again, even
    /// if others write them all meanwhile: others who add more rely on that.
    is_polled: bool,
}

/// What is ready, by position.
#[derive(Default)]
struct Ready {
    bell: bool,
    listeners: Vec<usize>,
    dials: Vec<usize>,
    full: Vec<usize>,
}

impl<M> Porter<M>
where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    pub(super) fn new(driver: Arc<Driver<M>>, listeners: Vec<Socket>, ear: UnixStream) -> Self {
        Self {
            driver,
            ear,
            listeners: listeners.into_iter().map(Some).collect(),
            dials: Vec::new(),
            full: Vec::new(),
            stop_at: Instant::FAR,
            shift: Shift::default(),
        }
    }

    pub(super) fn run(mut self) {
        loop {
            let ready = self.wait();
            if ready.bell {
                self.driver.hush(&self.ear);
            }
            self.take_parcels();
            if self.driver.hub.clock().now() >= self.stop_at {
                self.stop_at = Instant::FAR;
                self.driver.stop();
            }
            if self.driver.is_stopped() {
                self.listeners.clear();
                self.dials.clear();
            } else {
                self.finish_dials(&ready.dials);
                for at in ready.listeners {
                    self.accept(at);
                }
            }
            for at in ready.full {
                if let Some(full) = self.full.get(at) {
                    self.shift.todo.touched.push(Arc::clone(&full.line));
                }
            }
            self.driver.carry_out(&mut self.shift);
            self.clear_full();
            self.tick();
            // Orderly ends that have begun are seen through, those included that another thread has
            // begun and not yet handed over: their readers have not ended.
            let is_over = self.driver.is_stopped() && !self.driver.has_readers();
            if is_over && self.full.is_empty() && self.driver.has_no_parcels() {
                return;
            }
        }
    }

    /// Feeds a tick when the deadline has come.
    fn tick(&mut self) {
        let driver = &self.driver;
        let is_due = |at| at <= driver.hub.clock().now();
        if driver.hub.arm().is_some_and(is_due) {
            let events = [Event::Tick, Event::Turn];
            driver.hub.feed(None, events, &mut self.shift.todo);
            driver.carry_out(&mut self.shift);
        }
    }

    /// Sleeps until something is ready, the bell rings or the next time has come.
    fn wait(&self) -> Ready {
        let mut fds = vec![PollFd::new(&self.ear, PollFlags::IN)];
        let doors = self.listeners.iter().zip(&self.driver.doors).enumerate();
        let doors: Vec<usize> = doors
            .filter(|(_, (socket, wanted))| socket.is_some() && wanted.load(Ordering::SeqCst) > 0)
            .map(|(at, _)| at)
            .collect();
        let open = doors
            .iter()
            .filter_map(|at| self.listeners.get(*at)?.as_ref());
        fds.extend(open.map(|socket| PollFd::new(socket, PollFlags::IN)));
        let dials = self.dials.iter();
        fds.extend(dials.map(|dial| PollFd::new(&dial.socket, PollFlags::OUT)));
        let is_full: Vec<usize> = (0..self.full.len())
            .filter(|at| self.full.get(*at).is_some_and(|full| full.is_polled))
            .collect();
        let sockets = is_full
            .iter()
            .filter_map(|at| self.full.get(*at)?.line.seat.socket.get());
        fds.extend(sockets.map(|socket| PollFd::new(socket, PollFlags::OUT)));
        let timeout = self.next_time().map(|at| {
            let wait = self.driver.hub.clock().until(at);
            Timespec {
                tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(wait.subsec_nanos()),
            }
        });
        if poll(&mut fds, timeout.as_ref()).is_err() {
            return Ready::default(); // Interrupted.
        }
        let mut fired = fds.iter().map(|fd| !fd.revents().is_empty());
        let bell = fired.next().unwrap_or(false);
        let mut pick = |all: Vec<usize>| -> Vec<usize> {
            all.into_iter()
                .filter(|_| fired.next().unwrap_or(false))
                .collect()
        };
        Ready {
            bell,
            listeners: pick(doors),
            dials: pick((0..self.dials.len()).collect()),
            full: pick(is_full),
        }
    }

    fn next_time(&self) -> Option<Instant> {
        let dials = self.dials.iter().map(|dial| dial.until);
        let ends = self.full.iter().map(|full| full.until);
        let deadline = self.driver.hub.arm();
        let deadline = deadline.filter(|_| !self.driver.is_stopped());
        let all = dials.chain(ends).chain(deadline).chain([self.stop_at]);
        all.min().filter(|at| *at != Instant::FAR)
    }

    fn take_parcels(&mut self) {
        let parcels = self.driver.with_parcels(std::mem::take);
        for parcel in parcels {
            match parcel {
                Parcel::Dial(line, bind) => self.dial(line, bind),
                Parcel::Full(line) => self.full.push(Full {
                    line,
                    until: Instant::FAR,
                    is_polled: true,
                }),
                Parcel::StopAt(at) => self.stop_at = self.stop_at.min(at),
            }
        }
    }

    fn dial(&mut self, line: Arc<Line<Seat>>, bind: Option<SocketAddr>) {
        let limits = self.driver.limits;
        let begun = socket::dialler(line.remote, bind, limits.unsent_bytes).and_then(|socket| {
            socket.set_nonblocking(true)?;
            match socket.connect(&line.remote.into()) {
                Ok(()) => Ok(socket),
                Err(error) if socket::is_under_way(&error) => Ok(socket),
                Err(error) => Err(error),
            }
        });
        match begun {
            Ok(socket) => {
                let until = self.driver.hub.clock().now().after(limits.connect_timeout);
                self.dials.push(Dial {
                    line,
                    socket,
                    until,
                });
            }
            Err(error) => self.fail_dial(&line, &error),
        }
    }

    /// Ends those dials that have succeeded, failed, taken too long, or are no longer wanted.
    fn finish_dials(&mut self, ready: &[usize]) {
        let now = self.driver.hub.clock().now();
        let dials = std::mem::take(&mut self.dials);
        for (at, dial) in dials.into_iter().enumerate() {
            if dial.line.wish().ending.is_some() {
                continue; // Dropping the socket ends the attempt.
            }
            if ready.contains(&at) {
                match connected(&dial.socket) {
                    Ok(local) => self.open_dial(dial, local),
                    Err(error) => self.fail_dial(&dial.line, &error),
                }
            } else if dial.until <= now {
                self.fail_dial(&dial.line, &io::ErrorKind::TimedOut.into());
            } else {
                self.dials.push(dial);
            }
        }
    }

    fn open_dial(&mut self, dial: Dial, local: SocketAddr) {
        let Dial { line, socket, .. } = dial;
        let conn = line.conn;
        let events = [Event::Connected { conn, local }, Event::Turn];
        self.driver
            .hub
            .feed(Some(&line), events, &mut self.shift.todo);
        self.driver.open(&line, socket, &mut self.shift);
        self.driver.carry_out(&mut self.shift);
    }

    fn fail_dial(&mut self, line: &Line<Seat>, error: &io::Error) {
        let failed = errors::connect_failed(line.conn, error);
        self.driver
            .hub
            .feed_last(line, failed, &mut self.shift.todo);
        self.driver.carry_out(&mut self.shift);
    }

    /// Accepts one connection for each request, as many as are there, but not for ever.
    fn accept(&mut self, at: usize) {
        let driver = Arc::clone(&self.driver);
        let (Some(door), Ok(id)) = (driver.doors.get(at), u32::try_from(at)) else {
            return;
        };
        let listener = ListenerId(id);
        for _ in 0..ACCEPTS {
            let Some(Some(socket)) = self.listeners.get(at) else {
                return;
            };
            if door.load(Ordering::SeqCst) == 0 {
                return;
            }
            let accepted = match accept(socket, driver.limits.unsent_bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if errors::is_interrupted(&error) => continue,
                accepted => accepted,
            };
            door.fetch_sub(1, Ordering::SeqCst);
            match accepted {
                Ok((socket, local, remote)) => {
                    let todo = &mut self.shift.todo;
                    match driver.hub.offer(listener, local, remote, todo) {
                        Some(line) => driver.open(&line, socket, &mut self.shift),
                        None => drop(socket), // And so reset.
                    }
                }
                Err(error) => self.fail_accept(at, listener, &error),
            }
            driver.carry_out(&mut self.shift);
        }
    }

    fn fail_accept(&mut self, at: usize, listener: ListenerId, error: &io::Error) {
        let failed = errors::accept_failed(listener, error);
        if matches!(failed, Event::AcceptFailed { fatal: true, .. })
            && let Some(lost) = self.listeners.get_mut(at)
        {
            *lost = None;
        }
        let events = [failed, Event::Turn];
        self.driver.hub.feed(None, events, &mut self.shift.todo);
    }

    /// Forgets connections that are full no more, and gives up those that take too long to end.
    fn clear_full(&mut self) {
        let now = self.driver.hub.clock().now();
        let patience = self.driver.limits.close_timeout;
        self.full.retain_mut(|full| {
            match full.line.look_for_porter() {
                Look::Leave => return false,
                Look::Poll => full.is_polled = true,
                Look::Linger => full.is_polled = false,
            }
            if full.line.wish().ending == Some(Ending::Flush) && full.until == Instant::FAR {
                full.until = now.after(patience);
            }
            if full.until <= now {
                full.line.give_up();
            }
            full.until > now
        });
    }
}

fn accept(listener: &Socket, unsent_bytes: u32) -> io::Result<(Socket, SocketAddr, SocketAddr)> {
    let (socket, remote) = listener.accept()?;
    let look = || {
        socket.set_nonblocking(false)?;
        socket::tune(&socket, unsent_bytes)?;
        Ok((plain(&socket.local_addr()?)?, plain(&remote)?))
    };
    let (local, remote) = look().map_err(errors::gone_before_use)?;
    Ok((socket, local, remote))
}

/// The outcome of an attempt to connect; the socket blocks from now on.
fn connected(socket: &Socket) -> io::Result<SocketAddr> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    // A socket that was never connected is ready too.
    socket.peer_addr()?;
    socket.set_nonblocking(false)?;
    plain(&socket.local_addr()?)
}

/// An address as the core knows it.
pub(super) fn plain(addr: &SockAddr) -> io::Result<SocketAddr> {
    addr.as_socket()
        .ok_or_else(|| io::ErrorKind::Unsupported.into())
}

/// Connections accepted on one listener before others are looked after.
const ACCEPTS: u32 = 32;
