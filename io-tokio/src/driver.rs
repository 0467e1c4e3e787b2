//! The tasks that are not connections, and the handle.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use samanea_core::{
    base::{Instant, ListenerId, Machine, Ticket},
    chain::Answer,
    node::{Action, Command, Event, Node},
};
use samanea_std::{
    Application, Limits, Line, Options, errors,
    hub::{Hub, Todo},
    socket,
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime,
    sync::{Notify, Semaphore, watch},
};

use crate::{
    conversation::converse,
    tally::{Counted, Tally},
};

/// Binds the listeners and starts to run the node. Must be called within a tokio runtime with
/// I/O and time enabled; fails when an address cannot be bound.
pub async fn start<M>(
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
        listeners.push(TcpListener::from_std(socket.into())?);
    }
    let listening = listeners
        .iter()
        .map(TcpListener::local_addr)
        .collect::<io::Result<Vec<_>>>()?;
    let runtime = runtime::Handle::current();
    #[cfg(feature = "dns")]
    options
        .resolver
        .get_or_insert_with(|| Arc::new(crate::Dns::system(runtime.clone())));
    let driver = Arc::new(Driver {
        hub: Hub::new(node, app, &mut options),
        limits: options.limits(),
        doors: listeners.iter().map(|_| Semaphore::new(0)).collect(),
        listening,
        deadline: Notify::new(),
        stopped: watch::Sender::new(false),
        tally: Arc::default(),
        runtime,
    });
    let weak = Arc::downgrade(&driver);
    driver.hub.connect(move |event| {
        if let Some(driver) = weak.upgrade() {
            driver.tell(event);
        }
    });
    driver.spawn(keep_time(Arc::clone(&driver)));
    let mut todo = Todo::default();
    for (id, listener) in (0..).map(ListenerId).zip(listeners) {
        let local = listener.local_addr()?;
        let listening = Event::Listening {
            listener: id,
            local,
        };
        driver.hub.feed(None, [listening, Event::Turn], &mut todo);
        driver.spawn(attend(Arc::clone(&driver), id, listener));
    }
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
            driver.spawn(stop_after(Arc::clone(driver), patience));
        }
    }

    /// Waits until no task and no socket of the node is left: after
    /// [`shutdown`](Self::shutdown), or when the node has stopped by itself.
    pub async fn wait(&self) {
        self.0.stopped().await;
        self.0.tally.empty().await;
    }
}

/// What all tasks share.
pub(crate) struct Driver<M> {
    pub(crate) hub: Hub<M, Notify>,
    pub(crate) limits: Limits,
    /// For each listener, how many connections may still be accepted.
    doors: Vec<Semaphore>,
    listening: Vec<SocketAddr>,
    /// The deadline has moved earlier.
    deadline: Notify,
    stopped: watch::Sender<bool>,
    tally: Arc<Tally>,
    runtime: runtime::Handle,
}

impl<M> Driver<M>
where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    fn tell(self: &Arc<Self>, event: Event) {
        let mut todo = Todo::default();
        self.hub.feed(None, [event, Event::Turn], &mut todo);
        self.carry_out(&mut todo);
    }

    /// Does what followed from feeding, and all that follows from that.
    pub(crate) fn carry_out(self: &Arc<Self>, todo: &mut Todo<Notify>) {
        loop {
            self.wake(todo);
            if !self.hub.consult(todo) {
                break;
            }
        }
        if std::mem::take(&mut todo.stopped) {
            self.stop();
        }
    }

    /// The part of it that calls nobody.
    pub(crate) fn wake(self: &Arc<Self>, todo: &mut Todo<Notify>) {
        for line in todo.touched.drain(..) {
            line.seat.notify_one();
        }
        for (line, bind) in todo.dials.drain(..) {
            self.spawn(dial(Arc::clone(self), line, bind));
        }
        for listener in todo.accepts.drain(..) {
            if let Some(door) = usize::try_from(listener.0)
                .ok()
                .and_then(|at| self.doors.get(at))
            {
                door.add_permits(1);
            }
        }
        if std::mem::take(&mut todo.earlier) {
            self.deadline.notify_one();
        }
    }

    fn stop(&self) {
        for line in self.hub.stop() {
            line.seat.notify_one();
        }
        self.stopped.send_replace(true);
    }

    async fn stopped(&self) {
        // Fails only without a sender, and that is ours.
        let _ = self.stopped.subscribe().wait_for(|stopped| *stopped).await;
    }

    fn spawn(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let counted: Counted = self.tally.enter();
        self.runtime.spawn(async move {
            task.await;
            drop(counted);
        });
    }
}

/// Feeds a tick whenever the deadline has come.
async fn keep_time<M>(driver: Arc<Driver<M>>)
where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    let mut todo = Todo::default();
    let mut stopped = driver.stopped.subscribe();
    loop {
        let deadline = driver.hub.arm();
        let wait = deadline.map(|at| driver.hub.clock().until(at));
        if wait == Some(Duration::ZERO) {
            driver.hub.feed(None, [Event::Tick, Event::Turn], &mut todo);
            driver.carry_out(&mut todo);
            tokio::task::yield_now().await;
            if *stopped.borrow() {
                return;
            }
            continue;
        }
        let sleep = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = driver.deadline.notified() => {}
            () = sleep => {}
        }
    }
}

/// Accepts one connection for each request of the node.
async fn attend<M>(driver: Arc<Driver<M>>, id: ListenerId, listener: TcpListener)
where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    let Some(door) = usize::try_from(id.0)
        .ok()
        .and_then(|at| driver.doors.get(at))
    else {
        return;
    };
    let mut todo = Todo::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = driver.stopped() => return,
            accepted = accept_one(door, &listener) => accepted,
        };
        let accepted = accepted.and_then(|(stream, remote)| {
            let look = || {
                socket::tune(&stream, driver.limits.unsent_bytes)?;
                stream.local_addr()
            };
            let local = look().map_err(errors::gone_before_use)?;
            Ok((local, stream, remote))
        });
        match accepted {
            Ok((local, stream, remote)) => match driver.hub.offer(id, local, remote, &mut todo) {
                Some(line) => driver.spawn(converse(Arc::clone(&driver), line, stream)),
                None => drop(stream), // And so reset.
            },
            Err(error) => {
                let failed = errors::accept_failed(id, &error);
                let is_lost = matches!(failed, Event::AcceptFailed { fatal: true, .. });
                driver.hub.feed(None, [failed, Event::Turn], &mut todo);
                if is_lost {
                    driver.carry_out(&mut todo);
                    return;
                }
            }
        }
        driver.carry_out(&mut todo);
    }
}

async fn accept_one(
    door: &Semaphore,
    listener: &TcpListener,
) -> io::Result<(TcpStream, SocketAddr)> {
    let request = door.acquire().await.map_err(io::Error::other)?;
    loop {
        match listener.accept().await {
            Err(error) if errors::is_interrupted(&error) => {}
            accepted => {
                request.forget();
                return accepted;
            }
        }
    }
}

/// Opens a connection and goes on to serve it.
async fn dial<M>(driver: Arc<Driver<M>>, line: Arc<Line<Notify>>, bind: Option<SocketAddr>)
where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    let connected = tokio::select! {
        biased;
        () = ended(&line) => return,
        connected = connect(line.remote, bind, driver.limits) => connected,
    };
    let mut todo = Todo::of(line.conn);
    match connected {
        Ok((stream, local)) => {
            let conn = line.conn;
            let events = [Event::Connected { conn, local }, Event::Turn];
            driver.hub.feed(Some(&line), events, &mut todo);
            driver.carry_out(&mut todo);
            // A task of its own, which needs less memory than one that dials.
            driver.spawn(converse(Arc::clone(&driver), line, stream));
        }
        Err(error) => {
            let failed = errors::connect_failed(line.conn, &error);
            driver.hub.feed_last(&line, failed, &mut todo);
            driver.carry_out(&mut todo);
        }
    }
}

async fn connect(
    remote: SocketAddr,
    bind: Option<SocketAddr>,
    limits: Limits,
) -> io::Result<(TcpStream, SocketAddr)> {
    let socket = socket::dialler(remote, bind, limits.unsent_bytes)?;
    socket.set_nonblocking(true)?;
    let connecting = TcpSocket::from_std_stream(socket.into()).connect(remote);
    let stream = tokio::time::timeout(limits.connect_timeout, connecting)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let local = stream.local_addr()?;
    Ok((stream, local))
}

/// Waits until the node wants the connection no more.
async fn ended(line: &Line<Notify>) {
    // One that is not open has nothing to flush: any ending will do.
    while line.wish().ending.is_none() {
        line.seat.notified().await;
    }
}

/// Stops the driver in the end if the node does not.
async fn stop_after<M>(driver: Arc<Driver<M>>, patience: Duration)
where
    M: Machine<Event = Event, Action = Action> + Send + 'static,
{
    tokio::select! {
        biased;
        () = driver.stopped() => {}
        () = tokio::time::sleep(patience) => driver.stop(),
    }
}
