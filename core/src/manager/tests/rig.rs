//! One machine, what it was told, and what must hold whatever that was.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::{net::SocketAddr, time::Duration};

use super::{
    super::{Config, Counters, Heat, Manager, Trace, Victims, Wait, is_legal, is_legal_remote},
    *,
};
use crate::base::{Cx, Instant, Machine, NoRules, Seeded};

/// A machine under watch. Every step checks what [`Watch`] lists.
pub(super) struct Rig {
    pub(super) manager: Manager,
    pub(super) now: Instant,
    pub(super) watch: Watch,
    choice: Seeded,
    requests: u64,
    config: Config,
}

/// What was seen, for laws that span more than one step.
#[derive(Default)]
pub(super) struct Watch {
    /// Where each serial's transitions have led; never forgotten.
    states: BTreeMap<Serial, State>,
    heats: BTreeMap<Serial, Heat>,
    /// Since when a peer runs nothing: reuse and release do not begin it anew.
    idle: BTreeMap<Serial, Instant>,
    /// Since when a connection is in this state.
    since: BTreeMap<Serial, Instant>,
    /// Refused in the handshake: over, without a timer of ours.
    refused: BTreeSet<Serial>,
    asked: BTreeSet<Request>,
    answered: BTreeSet<Request>,
    held: BTreeSet<Serial>,
    closed: BTreeSet<Serial>,
    /// Sockets that may accept one connection.
    pub(super) armed: BTreeSet<ListenerId>,
    counters: Counters,
    limits: (u32, u32, Duration),
    stopping: bool,
    pub(super) stopped: bool,
    /// Transitions that came about.
    pub(super) transitions: BTreeMap<(State, State), u32>,
    /// Changes of a peer's use that came about.
    pub(super) remotes: BTreeMap<(Option<Heat>, Option<Heat>), u32>,
    pub(super) seen: Seen,
    /// All of it, to be told again.
    pub(super) log: Vec<(Instant, Event, Vec<Action>)>,
}

/// How much was seen of what; a law that saw nothing has shown nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) steps: u32,
    pub(super) answers: u32,
    pub(super) got: u32,
    pub(super) demoted: u32,
    pub(super) prunings: u32,
    pub(super) victims: u32,
    pub(super) refused: u32,
    pub(super) delays: u32,
    pub(super) hard_waits: u32,
    pub(super) resumed: u32,
    pub(super) idle_over: u32,
    pub(super) linger_over: u32,
    pub(super) quarantine_over: u32,
    pub(super) matured: u32,
    pub(super) counters: u32,
    pub(super) early_ticks: u32,
    pub(super) replaced: u32,
}

impl Rig {
    pub(super) fn new(config: Config) -> Self {
        let mut config = config;
        config.trace = true;
        let watch = Watch {
            limits: (config.limits.soft, config.limits.hard, config.limits.delay),
            ..Watch::default()
        };
        Self {
            manager: Manager::new(config.clone()),
            now: Instant::from_secs(1_000),
            watch,
            choice: Seeded::new(5),
            requests: 0,
            config,
        }
    }

    /// With the defaults, listening at [`home`].
    pub(super) fn open() -> Self {
        Self::listening(Config::default())
    }

    /// Listening at [`home`].
    pub(super) fn listening(config: Config) -> Self {
        let mut rig = Self::new(config);
        rig.feed(Event::Listening {
            listener: DOOR,
            local: home(),
        });
        rig
    }

    /// One event; every law is checked.
    pub(super) fn feed(&mut self, event: Event) -> Vec<Action> {
        self.check_an_early_tick();
        self.watch.hear(&event);
        let ticked = event == Event::Tick;
        let before: BTreeMap<Serial, State> = self.manager.conns().collect();
        let actions = self.step(event.clone());
        self.watch.log.push((self.now, event, actions.clone()));
        self.manager.check_invariants().unwrap();
        self.watch.judge(&self.config, self.now, &before, &actions);
        self.compare();
        if ticked {
            self.check_timers();
        }
        actions
    }

    fn step(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        let mut cx = Cx::new(self.now, &mut self.choice, &NoRules, &mut out);
        self.manager.step(&mut cx, event);
        out
    }

    /// Time passes, then ticks.
    pub(super) fn tick(&mut self, span: Duration) -> Vec<Action> {
        self.now = self.now.after(span);
        self.feed(Event::Tick)
    }

    /// Ticks at each deadline up to `span` from now.
    pub(super) fn run(&mut self, span: Duration) -> Vec<Action> {
        let end = self.now.after(span);
        let mut all = Vec::new();
        while let Some(due) = self.manager.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            all.extend(self.feed(Event::Tick));
        }
        self.now = end;
        all.extend(self.feed(Event::Tick));
        all
    }

    /// A tick before the deadline changes nothing.
    fn check_an_early_tick(&mut self) {
        if self
            .manager
            .next_deadline()
            .is_none_or(|due| due > self.now)
        {
            let mut early = self.manager.clone();
            let mut out = Vec::new();
            let mut choice = self.choice.clone();
            early.step(
                &mut Cx::new(self.now, &mut choice, &NoRules, &mut out),
                Event::Tick,
            );
            assert_eq!(out, [], "an early tick does nothing");
            assert!(early == self.manager, "an early tick changes nothing");
            self.watch.seen.early_ticks += 1;
        }
    }

    /// The table and the counters say the same as the traces.
    fn compare(&self) {
        let table: BTreeMap<Serial, State> = self.manager.conns().collect();
        let traced: BTreeMap<Serial, State> = self
            .watch
            .states
            .iter()
            .filter(|(_, state)| **state != State::Unknown)
            .map(|(conn, state)| (*conn, *state))
            .collect();
        assert_eq!(table, traced, "the table is what the traces say");
        assert_eq!(self.manager.len(), table.len());
        let mut counted = Counters::default();
        for (conn, state) in &table {
            assert_eq!(self.manager.state(*conn), *state);
            let heat = self.manager.heat(*conn);
            assert_eq!(heat, self.watch.heats.get(conn).copied(), "{conn}: heat");
            check_the_product(*state, heat);
            count(&mut counted, *state, heat);
        }
        let counters = self.manager.counters();
        assert_eq!(counters, counted, "counters are those of the table");
        assert_eq!(counters, self.manager.recount());
        assert_eq!(counters, self.watch.counters, "the last counters told");
        let in_handshake = table
            .values()
            .filter(|s| matches!(s, State::UnnegotiatedInbound | State::UnnegotiatedOutbound))
            .count();
        assert_eq!(
            usize::try_from(counters.duplex + counters.unidirectional).unwrap() + in_handshake,
            usize::try_from(counters.inbound + counters.outbound - counters.full_duplex).unwrap(),
        );
        let (inbound, hard) = (counters.inbound, self.watch.limits.1);
        assert!(
            inbound <= hard || self.watch.stopping,
            "{inbound} inbound, hard limit {hard}"
        );
        self.compare_peers(&table);
        let waiting = self.watch.asked.len() - self.watch.answered.len();
        let made = table
            .values()
            .filter(|s| matches!(s, State::ReservedOutbound | State::UnnegotiatedOutbound))
            .count();
        assert_eq!(
            waiting,
            self.manager.waiting() + made,
            "each request due an answer waits or has a dial of its own"
        );
        let users: BTreeSet<Serial> = table
            .iter()
            .filter(|(_, state)| {
                state.is_outbound() && !matches!(state, State::UnnegotiatedOutbound)
            })
            .map(|(conn, _)| *conn)
            .collect();
        assert!(
            users.is_subset(&self.watch.held),
            "who is used or lingers is held: {users:?} {:?}",
            self.watch.held
        );
        for conn in self.watch.held.difference(&users) {
            assert_eq!(
                self.manager.state(*conn),
                State::Terminating,
                "{conn} is held"
            );
        }
    }

    /// Tracked duplex peers are the fresh and the mature ones.
    fn compare_peers(&self, table: &BTreeMap<Serial, State>) {
        let duplex = table
            .iter()
            .filter(|(conn, state)| state.is_duplex() && self.manager.heat(**conn).is_some())
            .count();
        let mature: Vec<(SocketAddr, Agreed)> = self.manager.mature().collect();
        assert!(mature.iter().all(|(_, agreed)| agreed.data.mode == DUPLEX));
        let known = self.manager.fresh() + mature.len();
        assert_eq!(
            known,
            if self.watch.stopping { 0 } else { duplex },
            "fresh or mature"
        );
    }

    /// After a tick nothing is due any more.
    fn check_timers(&self) {
        let now = self.now;
        let next = self.manager.next_deadline();
        assert!(next.is_none_or(|next| next > now), "{next:?} at {now:?}");
        for (conn, state) in self.manager.conns().filter(|_| !self.watch.stopping) {
            if let (Some(Heat::Idle), Some(idle)) = (self.manager.heat(conn), self.config.idle) {
                let since = self.watch.idle[&conn];
                assert!(now < since.after(idle), "{conn} idle since {since:?}");
            }
            let since = self.watch.since[&conn];
            match state {
                State::OutboundIdleUni | State::OutboundIdleDup => {
                    assert!(now < since.after(self.config.linger), "{conn} {state:?}");
                }
                State::Terminating if !self.watch.refused.contains(&conn) => {
                    assert!(now < since.after(self.config.time_wait), "{conn} {state:?}");
                }
                _ => {}
            }
        }
    }

    // What a driver, a connection or a peer does.

    pub(super) fn next_request(&mut self) -> Request {
        self.requests += 1;
        Request(self.requests)
    }

    /// Asks for a duplex connection by dialling.
    pub(super) fn acquire(&mut self, remote: SocketAddr) -> (Request, Vec<Action>) {
        self.acquire_via(remote, DUPLEX, Via::Dial)
    }

    pub(super) fn acquire_via(
        &mut self,
        remote: SocketAddr,
        mode: Mode,
        via: Via,
    ) -> (Request, Vec<Action>) {
        let request = self.next_request();
        let actions = self.feed(Event::Acquire {
            request,
            remote,
            mode,
            via,
        });
        (request, actions)
    }

    pub(super) fn cancel(&mut self, request: Request) -> Vec<Action> {
        self.feed(Event::Cancel(request))
    }

    pub(super) fn release(&mut self, conn: Serial) -> Vec<Action> {
        self.feed(Event::Release(conn))
    }

    pub(super) fn ended(&mut self, conn: Serial) -> Vec<Action> {
        self.feed(Event::Ended { conn, fault: LOST })
    }

    pub(super) fn agree(&mut self, conn: Serial, mode: Mode) -> Vec<Action> {
        let agreed = agreed(mode);
        self.feed(Event::Agreed { conn, agreed })
    }

    pub(super) fn start(&mut self, conn: Serial, protocol: ProtocolId) -> Vec<Action> {
        self.feed(Event::ResponderStarted { conn, protocol })
    }

    pub(super) fn stop(&mut self, conn: Serial, protocol: ProtocolId) -> Vec<Action> {
        self.feed(Event::ResponderEnded { conn, protocol })
    }

    pub(super) fn accept_from(&mut self, remote: SocketAddr) -> Vec<Action> {
        self.accept_at(home(), remote)
    }

    pub(super) fn accept_at(&mut self, local: SocketAddr, remote: SocketAddr) -> Vec<Action> {
        self.feed(Event::Accepted {
            listener: DOOR,
            local,
            remote,
        })
    }

    /// A dial under way.
    pub(super) fn dialling(&mut self, remote: SocketAddr) -> Serial {
        let (_, actions) = self.acquire(remote);
        actions
            .iter()
            .find_map(|action| match action {
                Action::Dial { conn, .. } => Some(*conn),
                _ => None,
            })
            .unwrap_or_else(|| panic!("no dial: {}", words(&actions)))
    }

    /// A dial that has connected.
    pub(super) fn greeting(&mut self, remote: SocketAddr) -> Serial {
        let conn = self.dialling(remote);
        let local = home();
        self.feed(Event::Connected { conn, local });
        conn
    }

    /// A connection that we dialled and use.
    pub(super) fn dialled(&mut self, remote: SocketAddr, mode: Mode) -> Serial {
        let conn = self.greeting(remote);
        self.agree(conn, mode);
        conn
    }

    /// A connection that was accepted.
    pub(super) fn accepted(&mut self, remote: SocketAddr) -> Serial {
        let actions = self.accept_from(remote);
        adopted(&actions).unwrap_or_else(|| panic!("not adopted: {}", words(&actions)))
    }

    /// A connection that was accepted and greeted.
    pub(super) fn inbound(&mut self, remote: SocketAddr, mode: Mode) -> Serial {
        let conn = self.accepted(remote);
        self.agree(conn, mode);
        conn
    }

    pub(super) fn state(&self, conn: Serial) -> State {
        self.manager.state(conn)
    }

    /// The same again from its snapshot.
    pub(super) fn restore(&mut self) {
        self.manager = restored(&self.manager);
    }
}

/// A machine without traces that lives from snapshot to snapshot.
pub(super) struct Quiet {
    manager: Manager,
    choice: Seeded,
}

impl Quiet {
    pub(super) fn new(config: Config) -> Self {
        Self {
            manager: Manager::new(config),
            choice: Seeded::new(5),
        }
    }

    pub(super) fn step(&mut self, now: Instant, event: Event) -> Vec<Action> {
        self.manager = restored(&self.manager);
        let mut out = Vec::new();
        let mut cx = Cx::new(now, &mut self.choice, &NoRules, &mut out);
        self.manager.step(&mut cx, event);
        out
    }
}

/// The same again from its snapshot, when there are snapshots.
fn restored(manager: &Manager) -> Manager {
    #[cfg(feature = "tape")]
    let again: Manager = postcard::from_bytes(&postcard::to_allocvec(manager).unwrap()).unwrap();
    #[cfg(not(feature = "tape"))]
    let again = manager.clone();
    assert!(again == *manager, "a snapshot loses nothing");
    again
}

/// The serial under which a socket was adopted.
pub(super) fn adopted(actions: &[Action]) -> Option<Serial> {
    actions.iter().find_map(|action| match action {
        Action::Adopt { conn, .. } => Some(*conn),
        _ => None,
    })
}

impl Watch {
    fn hear(&mut self, event: &Event) {
        self.seen.steps += 1;
        match event {
            Event::Acquire { request, .. } => {
                self.asked.insert(*request);
            }
            Event::Accepted { listener, .. } | Event::AcceptFailed { listener, .. } => {
                self.armed.remove(listener);
            }
            Event::Lingering { conn }
                if self.states.get(conn) == Some(&State::UnnegotiatedInbound) =>
            {
                self.refused.insert(*conn);
            }
            Event::Shutdown => {
                self.stopping = true;
                self.armed.clear();
            }
            Event::Limit(limits) => self.limits = (limits.soft, limits.hard, limits.delay),
            _ => {}
        }
    }

    fn judge(
        &mut self,
        config: &Config,
        now: Instant,
        before: &BTreeMap<Serial, State>,
        actions: &[Action],
    ) {
        let mut told = None;
        for action in actions {
            self.judge_speech(action);
            match action {
                Action::Trace(trace) => self.judge_trace(config, now, before, trace),
                Action::Counters(counters) => told = Some(*counters),
                Action::Acquired { request, outcome } => {
                    assert!(self.asked.contains(request), "{request} was asked");
                    assert!(self.answered.insert(*request), "{request} has one answer");
                    self.seen.answers += 1;
                    if let Ok(acquired) = outcome {
                        assert!(self.held.insert(acquired.conn), "held twice");
                        self.seen.got += 1;
                    }
                }
                Action::Demoted { conn, .. } => {
                    assert!(self.held.remove(conn), "{conn} was held");
                    self.seen.demoted += 1;
                }
                Action::AcceptOne(listener) => {
                    assert!(self.armed.insert(*listener), "asked to accept twice");
                }
                Action::ListenerLost(listener) => {
                    self.armed.remove(listener);
                }
                Action::Stopped => {
                    assert!(!self.stopped, "stops once");
                    self.stopped = true;
                }
                _ => {}
            }
        }
        if let Some(counters) = told {
            assert_ne!(
                counters, self.counters,
                "counters are told when they change"
            );
            self.counters = counters;
            self.seen.counters += 1;
        }
    }

    /// Nothing is asked of a connection that was closed.
    fn judge_speech(&mut self, action: &Action) {
        match action {
            Action::Close { conn, fault } => {
                let again = !self.closed.insert(*conn);
                assert!(
                    !again || *fault != Fault::Closed,
                    "{conn} is closed in order but once"
                );
            }
            Action::Greet { conn, .. } | Action::Dial { conn, .. } => {
                assert!(!self.closed.contains(conn), "{conn} was closed");
            }
            _ => {}
        }
    }

    fn judge_trace(
        &mut self,
        config: &Config,
        now: Instant,
        before: &BTreeMap<Serial, State>,
        trace: &Trace,
    ) {
        match trace {
            Trace::Transition { conn, from, to } => self.follow(config, now, *conn, *from, *to),
            Trace::Remote { conn, from, to } => self.follow_heat(config, now, *conn, *from, *to),
            Trace::Pruned {
                victims,
                candidates,
            } => self.judge_pruning(config, before, victims, *candidates),
            Trace::Waiting { inbound, wait, .. } => {
                let (soft, hard, delay) = self.limits;
                match wait {
                    Wait::Delay(span) => {
                        assert!(soft < *inbound && *inbound < hard, "{inbound}");
                        assert!(*span <= delay && *span > Duration::ZERO);
                        self.seen.delays += 1;
                    }
                    Wait::HardLimit(limit) => {
                        assert_eq!(*limit, hard);
                        assert!(*inbound >= hard);
                        self.seen.hard_waits += 1;
                    }
                    Wait::Pause(span) => {
                        assert!(*span == config.abort_pause || *span == config.shortage_pause);
                    }
                }
            }
            Trace::Resumed { inbound, .. } => {
                assert!(*inbound < self.limits.1);
                self.seen.resumed += 1;
            }
            Trace::Refused { .. } => self.seen.refused += 1,
            Trace::Matured { count } => {
                assert!(*count > 0);
                self.seen.matured += count;
            }
            Trace::Replaced { .. } => self.seen.replaced += 1,
        }
    }

    fn follow(&mut self, config: &Config, now: Instant, conn: Serial, from: State, to: State) {
        let last = self.states.insert(conn, to);
        if from == State::Unknown {
            assert_eq!(last, None, "{conn} is used again");
        } else {
            assert_eq!(last, Some(from), "{conn}: transitions form a chain");
        }
        assert!(is_legal(from, to), "{conn}: {from:?} to {to:?}");
        assert!(from != to, "{conn}: stays in {from:?}");
        let since = self.since.insert(conn, now).unwrap_or(now);
        match (from, to) {
            (State::OutboundIdleUni | State::OutboundIdleDup, State::Terminating)
                if !self.refused.contains(&conn) =>
            {
                assert!(now >= since.after(config.linger), "{conn} lingers");
                self.seen.linger_over += 1;
            }
            (
                State::InboundIdleUni | State::InboundIdleDup | State::OutboundDupTicking,
                State::Terminating | State::OutboundDupExpired,
            ) => {
                let idle = config.idle.expect("no idle time runs");
                assert!(now >= self.idle[&conn].after(idle), "{conn} is idle");
                self.seen.idle_over += 1;
            }
            (State::Terminating, State::Terminated) => self.seen.quarantine_over += 1,
            _ => {}
        }
        *self.transitions.entry((from, to)).or_default() += 1;
    }

    fn follow_heat(
        &mut self,
        config: &Config,
        now: Instant,
        conn: Serial,
        from: Option<Heat>,
        to: Option<Heat>,
    ) {
        assert_eq!(
            self.heats.get(&conn).copied(),
            from,
            "{conn}: heats form a chain"
        );
        assert!(is_legal_remote(from, to), "{conn}: {from:?} to {to:?}");
        assert!(from != to, "{conn}: stays {from:?}");
        if (from, to) == (Some(Heat::Idle), Some(Heat::Cold)) {
            let idle = config.idle.expect("no idle time runs");
            assert!(now >= self.idle[&conn].after(idle), "{conn} is idle");
        }
        match to {
            Some(heat) => {
                self.heats.insert(conn, heat);
            }
            None => {
                self.heats.remove(&conn);
            }
        }
        if to == Some(Heat::Idle) {
            self.idle.insert(conn, now);
        }
        *self.remotes.entry((from, to)).or_default() += 1;
    }

    /// As many as are too many, out of those counted inbound, the right ones.
    fn judge_pruning(
        &mut self,
        config: &Config,
        before: &BTreeMap<Serial, State>,
        victims: &[Serial],
        candidates: u32,
    ) {
        let class = |conn: &Serial| match before.get(conn) {
            Some(state) if state.is_inbound() => Some(*state),
            _ => None,
        };
        let inbound: Vec<Serial> = before
            .keys()
            .copied()
            .filter(|c| class(c).is_some())
            .collect();
        // Those before the step, the trigger, or fewer when the limits change.
        let len = u32::try_from(inbound.len()).unwrap();
        assert!(
            candidates == len || candidates == len + 1,
            "{candidates} of {len}"
        );
        let hard = self.limits.1;
        assert_eq!(u32::try_from(victims.len()).unwrap(), candidates - hard);
        let distinct: BTreeSet<&Serial> = victims.iter().collect();
        assert_eq!(distinct.len(), victims.len());
        let triggers: Vec<&Serial> = victims.iter().filter(|c| class(c).is_none()).collect();
        assert!(triggers.len() <= 1, "one trigger at most: {triggers:?}");
        let far = |state: State| match (config.victims, state) {
            (_, State::Duplex) => 3,
            (Victims::Random, _) | (_, State::UnnegotiatedInbound) => 0,
            (_, State::InboundIdleUni | State::InboundIdleDup) => 1,
            _ => 2,
        };
        let rest = inbound.iter().filter(|conn| !victims.contains(conn));
        let nearest = rest.filter_map(class).map(far).min();
        let farthest = victims.iter().filter_map(class).map(far).max();
        if let (Some(nearest), Some(farthest)) = (nearest, farthest) {
            assert!(farthest <= nearest, "{victims:?} of {before:?}");
        }
        self.seen.prunings += 1;
        self.seen.victims += u32::try_from(victims.len()).unwrap();
    }

    /// Whether every serial came to its end.
    pub(super) fn all_gone(&self) -> bool {
        self.states.values().all(|state| *state == State::Unknown) && self.heats.is_empty()
    }

    /// Requests without an answer.
    pub(super) fn due(&self) -> usize {
        self.asked.len() - self.answered.len()
    }

    /// Connections whose demotion is still to come.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }
}

/// Which peers' uses go with a state.
fn check_the_product(state: State, heat: Option<Heat>) {
    let fits = match state {
        State::OutboundDupTicking | State::InboundIdleUni | State::InboundIdleDup => {
            heat == Some(Heat::Idle)
        }
        State::OutboundDupExpired | State::OutboundIdleDup => heat == Some(Heat::Cold),
        State::InboundUni | State::InboundDup | State::Duplex => {
            matches!(heat, Some(Heat::Warm | Heat::Hot))
        }
        State::ReservedOutbound
        | State::UnnegotiatedOutbound
        | State::UnnegotiatedInbound
        | State::OutboundUni
        | State::OutboundIdleUni
        | State::Terminating => heat.is_none(),
        State::Unknown | State::Terminated => false,
    };
    assert!(fits, "{state:?} with {heat:?}");
}

fn count(counters: &mut Counters, state: State, heat: Option<Heat>) {
    counters.full_duplex += u32::from(state == State::Duplex);
    counters.duplex += u32::from(matches!(
        state,
        State::OutboundDupTicking
            | State::OutboundDupExpired
            | State::OutboundIdleDup
            | State::InboundIdleDup
            | State::InboundDup
            | State::Duplex
    ));
    counters.unidirectional += u32::from(matches!(
        state,
        State::OutboundUni | State::OutboundIdleUni | State::InboundIdleUni | State::InboundUni
    ));
    counters.inbound += u32::from(matches!(
        state,
        State::UnnegotiatedInbound
            | State::InboundIdleUni
            | State::InboundIdleDup
            | State::InboundUni
            | State::InboundDup
            | State::Duplex
    ));
    counters.outbound += u32::from(matches!(
        state,
        State::UnnegotiatedOutbound
            | State::OutboundUni
            | State::OutboundDupTicking
            | State::OutboundDupExpired
            | State::OutboundIdleUni
            | State::OutboundIdleDup
            | State::Duplex
    ));
    counters.terminating += u32::from(state == State::Terminating);
    counters.remote_idle += u32::from(heat == Some(Heat::Idle));
    counters.remote_cold += u32::from(heat == Some(Heat::Cold));
    counters.remote_warm += u32::from(heat == Some(Heat::Warm));
    counters.remote_hot += u32::from(heat == Some(Heat::Hot));
}
