//! The node behind its one lock, and what leaves it. Both drivers are this plus waiting.
//!
//! ```text
//!  a thread or task reads ──feed──▶ │ lock: step, step, Turn; actions to outboxes │ ──Todo──▶ it
//!  a thread or task writes ◀─take── │ outbox of its line                          │     wakes,
//!  the application ◀─ask, notice─── │ (outside the lock)                          │     dials …
//! ```
//!
//! Rules that every driver keeps:
//! 1. What was read is fed and followed by [`Event::Turn`]; then the [`Todo`] is carried out.
//! 2. The node's lock is never held while the application is called or a socket is touched.
//! 3. Before anything is fed, [`Hub::connect`] is called.
//! 4. After [`Action::Close`] no event of that connection is fed: [`Hub::feed`] refuses it.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use samanea_core::{
    base::{Instant, ListenerId, Machine, Serial, Ticket},
    chain::Question,
    governor,
    node::{Action, Event, Node, Notice, Tap},
};

use crate::{
    Application, Clock, Ending, Line, Options, Reply, Resolver, app::ignorant, names::System,
};

/// A node, its connections, and whoever looks on.
pub struct Hub<M, S> {
    state: Mutex<State<M, S>>,
    bulletin: Bulletin,
    app: Arc<dyn Application>,
    clock: Clock,
    resolver: Arc<dyn Resolver>,
    mailbox: Arc<Mailbox>,
}

/// What the lock protects.
struct State<M, S> {
    node: Node<M>,
    tap: Option<Box<dyn Tap>>,
    lines: BTreeMap<Serial, Arc<Line<S>>>,
    actions: Vec<Action>,
    /// Until when whoever waits for the deadline sleeps.
    armed: Instant,
    /// The time of all steps until the lock is free again.
    now: Instant,
    stopped: bool,
}

/// What is to be done, without the lock, by the one who fed.
pub struct Todo<S> {
    /// The connection that the feeder serves itself: it is never listed in `touched`.
    pub own: Option<Serial>,
    /// Connections with something new in their outbox.
    pub touched: Vec<Arc<Line<S>>>,
    /// Connections to open, each with the address to bind.
    pub dials: Vec<(Arc<Line<S>>, Option<SocketAddr>)>,
    /// Listeners that may accept one more each.
    pub accepts: Vec<ListenerId>,
    /// Questions to the application.
    pub asks: Vec<(Ticket, Question)>,
    /// Names to look up.
    pub lookups: Vec<(Ticket, governor::Question)>,
    /// Whether whoever waits for the deadline must look again.
    pub earlier: bool,
    /// Whether the node has said that it has stopped.
    pub stopped: bool,
    noticed: bool,
}

impl<S> Default for Todo<S> {
    fn default() -> Self {
        Self {
            own: None,
            touched: Vec::new(),
            dials: Vec::new(),
            accepts: Vec::new(),
            asks: Vec::new(),
            lookups: Vec::new(),
            earlier: false,
            stopped: false,
            noticed: false,
        }
    }
}

impl<S> Todo<S> {
    /// For whoever serves this connection.
    pub fn of(conn: Serial) -> Self {
        Self {
            own: Some(conn),
            ..Self::default()
        }
    }
}

/// A connection that was accepted and waits for what the node says.
struct Offer<S> {
    listener: ListenerId,
    remote: SocketAddr,
    adopted: Option<Arc<Line<S>>>,
}

impl<M: Machine<Event = Event, Action = Action>, S: Default> Hub<M, S> {
    /// Takes a node and the tap of `options`; the clock goes on from the node's last time.
    pub fn new(node: Node<M>, app: Arc<dyn Application>, options: &mut Options) -> Self {
        Self {
            clock: Clock::starting_at(node.now()),
            state: Mutex::new(State {
                node,
                tap: options.tap.take(),
                lines: BTreeMap::new(),
                actions: Vec::new(),
                armed: Instant::FAR,
                now: Instant::ZERO,
                stopped: false,
            }),
            bulletin: Bulletin::new(options.notices_max),
            app,
            resolver: options
                .resolver
                .take()
                .unwrap_or_else(|| Arc::new(System::new())),
            mailbox: Arc::default(),
        }
    }

    /// Says how answers of the resolver are fed: as one event, followed by a turn and by what
    /// comes of them. Only the first call counts. Answers come from any thread, one at a time;
    /// `tell` must not keep the driver alive.
    pub fn connect(&self, tell: impl Fn(Event) + Send + Sync + 'static) {
        // The first stands.
        let _ = self.mailbox.tell.set(Box::new(tell));
    }

    /// The clock of all events.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Looks at the node.
    pub fn with<R>(&self, look: impl FnOnce(&Node<M>) -> R) -> R {
        look(&self.state().node)
    }

    /// Feeds events of no connection, or of one that the caller knows to be served by itself
    /// (`of`): then nothing is fed when the node has closed it. False when nothing was fed.
    pub fn feed(
        &self,
        of: Option<&Line<S>>,
        events: impl IntoIterator<Item = Event>,
        todo: &mut Todo<S>,
    ) -> bool {
        let mut state = self.begin();
        if state.stopped || of.is_some_and(Line::is_gone) {
            return false;
        }
        for event in events {
            self.step(&mut state, event, None, todo);
        }
        todo.earlier |= state.is_earlier();
        true
    }

    /// Feeds what the kernel has taken, by connection, and one turn. Connections that the node has
    /// closed are left out.
    pub fn feed_flushed(
        &self,
        flushed: impl IntoIterator<Item = (Arc<Line<S>>, u64)>,
        todo: &mut Todo<S>,
    ) {
        let mut state = self.begin();
        if state.stopped {
            return;
        }
        for (line, bytes) in flushed {
            if !line.is_gone() {
                let conn = line.conn;
                self.step(&mut state, Event::Flushed { conn, bytes }, None, todo);
            }
        }
        self.step(&mut state, Event::Turn, None, todo);
        todo.earlier |= state.is_earlier();
    }

    /// Feeds the last event of a connection (closed, or never opened) and a turn. What the node
    /// had asked to write before and the kernel has not taken is still written.
    pub fn feed_last(&self, line: &Line<S>, event: Event, todo: &mut Todo<S>) {
        let mut state = self.begin();
        if state.stopped || line.is_gone() {
            return;
        }
        self.step(&mut state, event, None, todo);
        if !line.is_gone() {
            line.set_gone();
            line.end(Ending::Flush);
            state.lines.remove(&line.conn);
        }
        self.step(&mut state, Event::Turn, None, todo);
        todo.earlier |= state.is_earlier();
    }

    /// Feeds a connection that was just accepted. `None` means that it must be reset.
    pub fn offer(
        &self,
        listener: ListenerId,
        local: SocketAddr,
        remote: SocketAddr,
        todo: &mut Todo<S>,
    ) -> Option<Arc<Line<S>>> {
        let mut offer = Offer {
            listener,
            remote,
            adopted: None,
        };
        let mut state = self.begin();
        if state.stopped {
            return None;
        }
        let event = Event::Offered {
            listener,
            local,
            remote,
        };
        self.step(&mut state, event, Some(&mut offer), todo);
        self.step(&mut state, Event::Turn, Some(&mut offer), todo);
        todo.earlier |= state.is_earlier();
        offer.adopted
    }

    /// The time until which to sleep, for the one who waits for the deadline. Whoever moves it
    /// earlier afterwards is told so by [`Todo::earlier`]. `None` waits for that alone.
    pub fn arm(&self) -> Option<Instant> {
        let mut state = self.state();
        let deadline = state.node.next_deadline();
        state.armed = deadline.unwrap_or(Instant::FAR);
        deadline
    }

    /// Calls the application with the notices and questions that wait, and feeds the answers
    /// that it has at once; hands names over to the resolver. True when something was fed, so
    /// that there is more to do.
    pub fn consult(&self, todo: &mut Todo<S>) -> bool {
        for (ticket, question) in todo.lookups.drain(..) {
            self.resolve(ticket, question);
        }
        if std::mem::take(&mut todo.noticed) {
            self.bulletin.deliver(&*self.app);
        }
        if todo.asks.is_empty() {
            return false;
        }
        let mut answers: Vec<Event> = Vec::new();
        for (ticket, question) in todo.asks.drain(..) {
            // The thread or task has more to look after than this question.
            let answer = ignorant(&question);
            let asked = catch_unwind(AssertUnwindSafe(|| self.app.ask(ticket, question)));
            if let Some(answer) = asked.unwrap_or(Some(answer)) {
                answers.push(Event::Answered { ticket, answer });
            }
        }
        if answers.is_empty() {
            return false;
        }
        answers.push(Event::Turn);
        self.feed(None, answers, todo)
    }

    fn resolve(&self, ticket: Ticket, question: governor::Question) {
        let mailbox = Arc::clone(&self.mailbox);
        let reply = Reply::new(move |answer| {
            mailbox.post(Event::Resolved { ticket, answer });
        });
        // A reply that is lost in a panic answers by itself.
        let _ = catch_unwind(AssertUnwindSafe(|| self.resolver.resolve(question, reply)));
    }

    /// From now on nothing is fed; every connection is to be reset. Gives those to wake, the
    /// first time it is called.
    pub fn stop(&self) -> Vec<Arc<Line<S>>> {
        let mut state = self.state();
        state.stopped = true;
        // A tape gets its end.
        state.tap = None;
        let lines: Vec<_> = std::mem::take(&mut state.lines).into_values().collect();
        for line in &lines {
            line.set_gone();
            line.end(Ending::Reset);
        }
        lines
    }

    /// Notices that were dropped because the application was slow.
    pub fn notices_dropped(&self) -> u64 {
        self.bulletin.pending().dropped
    }

    fn step(
        &self,
        state: &mut State<M, S>,
        event: Event,
        offer: Option<&mut Offer<S>>,
        todo: &mut Todo<S>,
    ) {
        let now = state.now;
        if let Some(tap) = &mut state.tap {
            tap.event(now, &event);
        }
        let mut actions = std::mem::take(&mut state.actions);
        state.node.step(now, self.app.rules(), event, &mut actions);
        if let Some(tap) = &mut state.tap {
            tap.actions(&actions);
        }
        self.distribute(state, now, &mut actions, offer, todo);
        state.actions = actions;
    }

    /// Carries out what concerns the table and the outboxes, and puts the rest into `todo`.
    fn distribute(
        &self,
        state: &mut State<M, S>,
        now: Instant,
        actions: &mut Vec<Action>,
        mut offer: Option<&mut Offer<S>>,
        todo: &mut Todo<S>,
    ) {
        for action in actions.drain(..) {
            match action {
                Action::AcceptOne { listener } => todo.accepts.push(listener),
                Action::Adopt {
                    listener,
                    remote,
                    conn,
                } => {
                    if let Some(offer) = offer.as_deref_mut()
                        && (offer.listener, offer.remote) == (listener, remote)
                        && offer.adopted.is_none()
                    {
                        offer.adopted = Some(state.insert(conn, remote));
                    }
                }
                Action::Reset { .. } => {} // What is offered and not adopted is reset.
                Action::Dial { conn, remote, bind } => {
                    todo.dials.push((state.insert(conn, remote), bind));
                }
                Action::Write { conn, batch } => {
                    if let Some(line) = state.lines.get(&conn) {
                        line.push(batch);
                        todo.touch(line);
                    }
                }
                Action::Reading { conn, on } => {
                    if let Some(line) = state.lines.get(&conn) {
                        line.read(on);
                        todo.touch(line);
                    }
                }
                Action::Close { conn, reset } => {
                    if let Some(line) = state.lines.remove(&conn) {
                        line.set_gone();
                        line.end(if reset { Ending::Reset } else { Ending::Flush });
                        todo.touch(&line);
                    }
                }
                Action::Ask { ticket, question } => todo.asks.push((ticket, question)),
                Action::Resolve { ticket, question } => todo.lookups.push((ticket, question)),
                Action::Notify(notice) => {
                    todo.noticed = true;
                    todo.stopped |= notice == Notice::Stopped;
                    self.bulletin.post(now, notice);
                }
            }
        }
    }

    /// The lock, for steps; their time is never before that of a step before.
    fn begin(&self) -> MutexGuard<'_, State<M, S>> {
        let mut state = self.state();
        state.now = self.clock.now().max(state.node.now());
        state
    }

    fn state(&self) -> MutexGuard<'_, State<M, S>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M: Machine<Event = Event, Action = Action>, S: Default> State<M, S> {
    fn insert(&mut self, conn: Serial, remote: SocketAddr) -> Arc<Line<S>> {
        let line = Arc::new(Line::new(conn, remote));
        self.lines.insert(conn, Arc::clone(&line));
        line
    }

    fn is_earlier(&self) -> bool {
        self.node
            .next_deadline()
            .is_some_and(|deadline| deadline < self.armed)
    }
}

impl<S> Todo<S> {
    fn touch(&mut self, line: &Arc<Line<S>>) {
        let is_known = self.own == Some(line.conn)
            || self
                .touched
                .last()
                .is_some_and(|last| Arc::ptr_eq(last, line));
        if !is_known {
            self.touched.push(Arc::clone(line));
        }
    }
}

/// Notices on their way to the application: posted under the node's lock, delivered outside of
/// it, one at a time and in order, by whoever comes first.
struct Bulletin {
    pending: Mutex<Pending>,
    is_delivering: AtomicBool,
    max: usize,
}

#[derive(Default)]
struct Pending {
    queue: VecDeque<(Instant, Notice)>,
    dropped: u64,
}

impl Bulletin {
    fn new(max: usize) -> Self {
        Self {
            pending: Mutex::default(),
            is_delivering: AtomicBool::new(false),
            max,
        }
    }

    fn post(&self, now: Instant, notice: Notice) {
        let mut pending = self.pending();
        if pending.queue.len() >= self.max {
            pending.queue.pop_front();
            pending.dropped = pending.dropped.saturating_add(1);
        }
        pending.queue.push_back((now, notice));
    }

    fn deliver(&self, app: &dyn Application) {
        loop {
            if self.is_delivering.swap(true, Ordering::SeqCst) {
                return; // Another one is at it and will see ours.
            }
            while let Some((now, notice)) = self.next() {
                // The hook has told of a panic; the next notice may fare better.
                let _ = catch_unwind(AssertUnwindSafe(|| app.notice(now, &notice)));
            }
            self.is_delivering.store(false, Ordering::SeqCst);
            if self.pending().queue.is_empty() {
                return;
            }
        }
    }

    fn next(&self) -> Option<(Instant, Notice)> {
        self.pending().queue.pop_front()
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers of the resolver on their way to the node, fed one at a time by whoever comes first, so
/// that a resolver that answers at once is not called from within its own answer for ever.
#[derive(Default)]
struct Mailbox {
    answers: Mutex<VecDeque<Event>>,
    is_delivering: AtomicBool,
    tell: OnceLock<Box<dyn Fn(Event) + Send + Sync>>,
}

impl Mailbox {
    fn post(&self, answer: Event) {
        self.answers().push_back(answer);
        let Some(tell) = self.tell.get() else {
            return; // Nothing was fed, so nothing was asked.
        };
        loop {
            if self.is_delivering.swap(true, Ordering::SeqCst) {
                return; // Another one is at it and will see ours.
            }
            while let Some(answer) = self.next() {
                // The flag must be taken back whatever happens.
                let _ = catch_unwind(AssertUnwindSafe(|| tell(answer)));
            }
            self.is_delivering.store(false, Ordering::SeqCst);
            if self.answers().is_empty() {
                return;
            }
        }
    }

    fn next(&self) -> Option<Event> {
        self.answers().pop_front()
    }

    fn answers(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
