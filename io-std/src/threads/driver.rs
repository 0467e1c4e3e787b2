//! What all threads share, and the handle.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    os::unix::net::UnixStream,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use samanea_core::{
    base::{Instant, ListenerId, Machine, Ticket},
    chain::Answer,
    conn::Cause,
    node::{Action, Command, Event, Node},
};
use socket2::Socket;

use super::{
    pool::Pool,
    porter::{self, Porter},
    reader,
    seat::{Pace, Seat},
};
use crate::{
    Application, Limits, Line, Options,
    hub::{Hub, Todo},
    socket,
    tally::Tally,
};

/// Binds the listeners and starts to run the node; fails when an address cannot be bound or no
/// thread can be started.
pub fn start<M>(
    node: Node<M>,
    app: Arc<dyn Application>,
    mut options: Options,
) -> io::Result<Handle<M>>
where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    let mut listeners = Vec::new();
    let mut listening = Vec::new();
    for addr in &options.listen {
        let socket = socket::listen(*addr, options.backlog, options.unsent_bytes)?;
        socket.set_nonblocking(true)?;
        listening.push(porter::plain(&socket.local_addr()?)?);
        listeners.push(socket);
    }
    let (bell, ear) = UnixStream::pair()?;
    bell.set_nonblocking(true)?;
    ear.set_nonblocking(true)?;
    let limits = options.limits();
    let driver = Arc::new(Driver {
        hub: Hub::new(node, app, &mut options),
        limits,
        pool: Pool::new(limits.read_bytes),
        doors: listeners.iter().map(|_| AtomicU32::new(0)).collect(),
        listening,
        bell,
        is_rung: AtomicBool::new(false),
        parcels: Mutex::default(),
        is_stopped: AtomicBool::new(false),
        readers: AtomicUsize::new(0),
        tally: Arc::default(),
    });
    let weak = Arc::downgrade(&driver);
    driver.hub.connect(move |event| {
        if let Some(driver) = weak.upgrade() {
            driver.tell(event);
        }
    });
    let mut shift = Shift::default();
    for (listener, local) in (0..).map(ListenerId).zip(&driver.listening) {
        let local = *local;
        let listening = Event::Listening { listener, local };
        let events = [listening, Event::Turn];
        driver.hub.feed(None, events, &mut shift.todo);
    }
    let porter = Porter::new(Arc::clone(&driver), listeners, ear);
    driver.spawn("samanea-porter", move || porter.run())?;
    driver.carry_out(&mut shift);
    Ok(Handle(driver))
}

/// A running node. Clones are the same node; dropping them does not stop it.
pub struct Handle<M>(Arc<Driver<M>>);

impl<M> Clone for Handle<M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<M> Handle<M>
where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    /// Gives an order to the node. May be called from any thread.
    pub fn command(&self, command: Command) {
        self.0.tell(Event::Command(command));
    }

    /// Answers a question that [`Application::ask`] left open. May be called from any thread.
    pub fn answer(&self, ticket: Ticket, answer: Answer) {
        self.0.tell(Event::Answered { ticket, answer });
    }

    /// Where the node listens, in the order of [`Options::listen`].
    pub fn listening(&self) -> &[SocketAddr] {
        &self.0.listening
    }

    /// Looks at the node, which waits meanwhile: be quick.
    pub fn with<R>(&self, look: impl FnOnce(&Node<M>) -> R) -> R {
        self.0.hub.with(look)
    }

    /// The time as the node is told it.
    pub fn now(&self) -> Instant {
        self.0.hub.clock().now()
    }

    /// Ends at once, as if the process were killed: the node is told nothing and says nothing, all
    /// sockets are reset. [`wait`](Self::wait) tells when nothing is left.
    pub fn kill(&self) {
        self.0.stop();
    }

    /// Orders the node to end everything, and resets what is left when it says that it has
    /// stopped or [`Options::shutdown_timeout`] has passed. Returns at once.
    pub fn shutdown(&self) {
        let driver = &self.0;
        driver.tell(Event::Command(Command::Shutdown));
        let patience = driver.limits.shutdown_timeout;
        if patience.is_zero() {
            driver.stop();
        } else {
            driver.send(Parcel::StopAt(self.now().after(patience)));
        }
    }

    /// Waits until no thread and no socket of the node is left: after
    /// [`shutdown`](Self::shutdown), or when the node has stopped by itself. Not to be called by
    /// the application when the driver calls it.
    pub fn wait(&self) {
        self.0.tally.wait();
    }

    /// The same, but for no longer than `patience`; false when something is left.
    pub fn wait_for(&self, patience: Duration) -> bool {
        self.0.tally.wait_for(patience)
    }
}

/// What all threads share.
pub(super) struct Driver<M> {
    pub(super) hub: Hub<M, Seat>,
    pub(super) limits: Limits,
    pub(super) pool: Pool,
    /// For each listener, how many connections may still be accepted.
    pub(super) doors: Vec<AtomicU32>,
    listening: Vec<SocketAddr>,
    /// Rings for the porter.
    bell: UnixStream,
    is_rung: AtomicBool,
    parcels: Mutex<Vec<Parcel>>,
    is_stopped: AtomicBool,
    /// Connections whose thread has not come to its end. As long as there is one the porter stays:
    /// somebody may be about to give it a connection that ends in order.
    readers: AtomicUsize,
    tally: Arc<Tally>,
}

/// Something for the porter to look after.
pub(super) enum Parcel {
    /// A connection to open, and the address to bind.
    Dial(Arc<Line<Seat>>, Option<SocketAddr>),
    /// A connection whose socket is full, or that is about to end.
    Full(Arc<Line<Seat>>),
    /// The driver stops at this time if the node does not before.
    StopAt(Instant),
}

/// What a thread that feeds keeps from one time to the next.
#[derive(Default)]
pub(super) struct Shift {
    pub(super) todo: Todo<Seat>,
    flushed: Vec<(Arc<Line<Seat>>, u64)>,
}

impl<M> Driver<M>
where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    fn tell(self: &Arc<Self>, event: Event) {
        let mut shift = Shift::default();
        self.hub.feed(None, [event, Event::Turn], &mut shift.todo);
        self.carry_out(&mut shift);
    }

    /// Does what followed from feeding, and all that follows from that. Writing is left to the
    /// porter after some rounds, so that nobody writes for ever who also has to read.
    pub(super) fn carry_out(&self, shift: &mut Shift) {
        let mut rounds = 0;
        loop {
            self.hand_over(&mut shift.todo);
            let pace = if rounds < ROUNDS {
                Pace::Write
            } else {
                Pace::Leave
            };
            for line in shift.todo.touched.drain(..) {
                let pumped = line.pump(pace);
                if pumped.to_porter {
                    self.send(Parcel::Full(Arc::clone(&line)));
                }
                if pumped.wrote > 0 {
                    shift.flushed.push((line, pumped.wrote));
                }
            }
            if !shift.flushed.is_empty() {
                self.hub
                    .feed_flushed(shift.flushed.drain(..), &mut shift.todo);
                rounds += 1;
            } else if !self.hub.consult(&mut shift.todo) {
                break;
            }
        }
        if std::mem::take(&mut shift.todo.stopped) {
            self.stop();
        }
    }

    /// Gives the porter what is its.
    fn hand_over(&self, todo: &mut Todo<Seat>) {
        let mut is_news = std::mem::take(&mut todo.earlier);
        for listener in todo.accepts.drain(..) {
            if let Some(door) = usize::try_from(listener.0)
                .ok()
                .and_then(|at| self.doors.get(at))
            {
                door.fetch_add(1, Ordering::SeqCst);
                is_news = true;
            }
        }
        for (line, bind) in todo.dials.drain(..) {
            self.send(Parcel::Dial(line, bind));
        }
        // One that is being opened and no longer wanted is the porter's too.
        is_news |= todo
            .touched
            .iter()
            .any(|line| line.seat.socket.get().is_none());
        if is_news {
            self.wake_porter();
        }
    }

    /// Gives a connection its socket and its thread.
    pub(super) fn open(
        self: &Arc<Self>,
        line: &Arc<Line<Seat>>,
        socket: Socket,
        shift: &mut Shift,
    ) {
        // It was created without one, and the porter alone gives them.
        let _ = line.seat.socket.set(socket);
        let (driver, of) = (Arc::clone(self), Arc::clone(line));
        self.readers.fetch_add(1, Ordering::SeqCst);
        if self
            .spawn("samanea-reader", move || reader::read(&driver, &of))
            .is_err()
        {
            self.reader_ends(line);
            let closed = Event::Closed {
                conn: line.conn,
                cause: Cause::Resources,
            };
            self.hub.feed_last(line, closed, &mut shift.todo);
        }
        // What was asked for before there was a socket.
        shift.todo.touched.push(Arc::clone(line));
    }

    pub(super) fn stop(&self) {
        let lines = self.hub.stop();
        self.is_stopped.store(true, Ordering::SeqCst);
        for line in lines {
            line.pump(Pace::Leave);
        }
        self.wake_porter();
    }
}

impl<M> Driver<M> {
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Nothing more will be read from a connection.
    pub(super) fn reader_ends(&self, line: &Line<Seat>) {
        line.read_out();
        self.readers.fetch_sub(1, Ordering::SeqCst);
        self.wake_porter();
    }

    /// For the porter: whether any connection is left.
    pub(super) fn has_readers(&self) -> bool {
        self.readers.load(Ordering::SeqCst) > 0
    }

    fn send(&self, parcel: Parcel) {
        self.with_parcels(|parcels| parcels.push(parcel));
        self.wake_porter();
    }

    /// For the porter: what came in.
    pub(super) fn with_parcels<R>(&self, work: impl FnOnce(&mut Vec<Parcel>) -> R) -> R {
        work(&mut self.parcels.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn has_no_parcels(&self) -> bool {
        self.with_parcels(|parcels| parcels.is_empty())
    }

    pub(super) fn wake_porter(&self) {
        if !self.is_rung.swap(true, Ordering::SeqCst) {
            // One byte at most is on its way, so there is room.
            let _ = (&self.bell).write(&[0]);
        }
    }

    /// For the porter, when it has heard the bell and before it looks at what there is. Who rings
    /// later than the read is seen by this look, or rings again: the order of the two matters.
    pub(super) fn hush(&self, mut ear: &UnixStream) {
        // Nothing else is ever sent, and an empty ear is fine.
        let _ = ear.read(&mut [0; 64]);
        self.is_rung.store(false, Ordering::SeqCst);
    }

    fn spawn(&self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let counted = self.tally.enter();
        thread::Builder::new()
            .name(name.into())
            .stack_size(self.limits.stack_bytes)
            .spawn(move || {
                work();
                drop(counted);
            })?;
        Ok(())
    }
}

/// Times that one who feeds also writes what follows from its writing.
const ROUNDS: u32 = 4;
