//! What the thread and others share, and the handle.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use mio::{Poll, Waker, net::TcpListener};
use samanea_core::{
    base::{Instant, ListenerId, Machine, Ticket},
    chain::Answer,
    node::{Action, Command, Event, Node},
};

use super::attendant::{Attendant, WAKER};
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
    for addr in &options.listen {
        let socket = socket::listen(*addr, options.backlog, options.unsent_bytes)?;
        socket.set_nonblocking(true)?;
        listeners.push(TcpListener::from_std(socket.into()));
    }
    let listening = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<io::Result<Vec<_>>>()?;
    let poll = Poll::new()?;
    let driver = Arc::new(Driver {
        hub: Hub::new(node, app, &mut options),
        limits: options.limits(),
        doors: listeners.iter().map(|_| AtomicU32::new(0)).collect(),
        listening,
        waker: Waker::new(poll.registry(), WAKER)?,
        parcels: Mutex::default(),
        is_stopped: AtomicBool::new(false),
        tally: Arc::default(),
    });
    let weak = Arc::downgrade(&driver);
    driver.hub.connect(move |event| {
        if let Some(driver) = weak.upgrade() {
            driver.tell(event);
        }
    });
    let mut todo = Todo::default();
    for (listener, local) in (0..).map(ListenerId).zip(&driver.listening) {
        let local = *local;
        let listening = Event::Listening { listener, local };
        driver.hub.feed(None, [listening, Event::Turn], &mut todo);
    }
    let attendant = Attendant::new(Arc::clone(&driver), poll, listeners)?;
    let counted = driver.tally.enter();
    thread::Builder::new()
        .name("samanea".into())
        .stack_size(driver.limits.stack_bytes)
        .spawn(move || {
            attendant.run();
            drop(counted);
        })?;
    driver.carry_out(&mut todo);
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
            driver.send([Parcel::StopAt(self.now().after(patience))]);
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

/// What the driver keeps of a connection.
#[derive(Debug, Default)]
pub(super) struct Seat {
    /// Its key with the thread, once it has a socket.
    pub(super) key: OnceLock<usize>,
}

/// What the thread and others share.
pub(super) struct Driver<M> {
    pub(super) hub: Hub<M, Seat>,
    pub(super) limits: Limits,
    /// For each listener, how many connections may still be accepted.
    pub(super) doors: Vec<AtomicU32>,
    listening: Vec<SocketAddr>,
    waker: Waker,
    parcels: Mutex<Vec<Parcel>>,
    is_stopped: AtomicBool,
    tally: Arc<Tally>,
}

/// Something for the thread to look after.
pub(super) enum Parcel {
    /// A connection to open, and the address to bind.
    Dial(Arc<Line<Seat>>, Option<SocketAddr>),
    /// A connection with something new in its outbox.
    Touched(Arc<Line<Seat>>),
    /// A listener may accept, or the deadline has moved.
    News,
    /// The driver stops at this time if the node does not before.
    StopAt(Instant),
}

impl<M> Driver<M>
where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    fn tell(&self, event: Event) {
        let mut todo = Todo::default();
        self.hub.feed(None, [event, Event::Turn], &mut todo);
        self.carry_out(&mut todo);
    }

    /// Does what followed from feeding, and all that follows from that; sockets are left to the
    /// thread.
    pub(super) fn carry_out(&self, todo: &mut Todo<Seat>) {
        loop {
            self.hand_over(todo);
            if !self.hub.consult(todo) {
                break;
            }
        }
        if std::mem::take(&mut todo.stopped) {
            self.stop();
        }
    }

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
        // A dial comes before what is asked of it.
        let dials = todo.dials.drain(..);
        let dials = dials.map(|(line, bind)| Parcel::Dial(line, bind));
        let touched = todo.touched.drain(..).map(Parcel::Touched);
        self.send(dials.chain(touched).chain(is_news.then_some(Parcel::News)));
    }

    /// From now on nothing is fed, and every connection is reset.
    pub(super) fn stop(&self) {
        let lines = self.hub.stop();
        self.is_stopped.store(true, Ordering::SeqCst);
        let touched = lines.into_iter().map(Parcel::Touched);
        self.send(touched.chain([Parcel::News]));
    }
}

impl<M> Driver<M> {
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// For the thread: what came in.
    pub(super) fn take_parcels(&self) -> Vec<Parcel> {
        self.with_parcels(std::mem::take)
    }

    fn send(&self, parcels: impl IntoIterator<Item = Parcel>) {
        let is_first = self.with_parcels(|waiting| {
            let was_empty = waiting.is_empty();
            waiting.extend(parcels);
            was_empty && !waiting.is_empty()
        });
        if is_first {
            // Later ones are taken together with the first. Fails only without memory.
            let _ = self.waker.wake();
        }
    }

    fn with_parcels<R>(&self, work: impl FnOnce(&mut Vec<Parcel>) -> R) -> R {
        work(&mut self.parcels.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
