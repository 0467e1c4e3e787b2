//! The table as a machine: requests, dials, handshakes, ends.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::{IpAddr, SocketAddr};

use super::{
    Acquired, Action, Config, Counters, Event, Flow, Heat, LocalUse, NotAcquired, RemoteUse, State,
    Trace, Via,
    accept::Door,
    entry::{Entry, Line, Open, Phase},
    requests::answer,
    table::Table,
};
use crate::{
    base::{
        Cx, Instant, ListenerId, Machine, Request, Role, Serial, Site, SlotIndex, Supply, Violated,
    },
    conn::Fault,
    proto::handshake::{Agreed, Mode},
};

/// The table of connections, the accept limits and the inbound governor as one machine.
///
/// Limits: those of [`Config`], each named there. What comes for a connection that is gone is
/// counted and changes nothing.
///
/// Invariants: 1. what is kept about the entries is what the entries say: counts by state and by
/// heat, rows of inbound ones, counts by prefix, lists by remote address; 2. never more inbound
/// connections than the hard limit; 3. flow, local use and remote use of an open connection fit
/// together; 4. a timer runs exactly where a state has one, in order of time; 5. a duplex
/// connection that is open either matures or is mature, no other is either; 6. a request waits
/// for a connection that is greeting us or over, or owns one that is dialled or greeted; 7. no
/// remote address is dialled twice at a time; 8. every maximum holds; 9. two live connections
/// have different addresses, unless they are the two ends of one to ourselves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Manager {
    pub(super) config: Config,
    pub(super) serials: Supply<Serial>,
    pub(super) table: Table,
    pub(super) doors: BTreeMap<ListenerId, Door>,
    pub(super) exempt: BTreeSet<IpAddr>,
    pub(super) reserved: BTreeSet<IpAddr>,
    pub(super) wishes: BTreeMap<Request, Wish>,
    /// Requests that wait, by what they wait for, in order of arrival.
    pub(super) queue: BTreeSet<(Serial, Request)>,
    counted: Counters,
    stale: u64,
    keyed: bool,
    pub(super) stopping: bool,
    stopped: bool,
}

/// A request that is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Wish {
    pub(super) conn: Serial,
    pub(super) owner: bool,
    pub(super) remote: SocketAddr,
    pub(super) mode: Mode,
    pub(super) via: Via,
}

impl Manager {
    /// An empty table.
    pub fn new(config: Config) -> Self {
        Self {
            table: Table::new(&config, (0, 0)),
            config,
            serials: Supply::default(),
            doors: BTreeMap::new(),
            exempt: BTreeSet::new(),
            reserved: BTreeSet::new(),
            wishes: BTreeMap::new(),
            queue: BTreeSet::new(),
            counted: Counters::default(),
            stale: 0,
            keyed: false,
            stopping: false,
            stopped: false,
        }
    }

    pub(super) const fn count_stale(&mut self) {
        self.stale = self.stale.saturating_add(1);
    }

    /// Events that came for what was gone.
    pub const fn stale(&self) -> u64 {
        self.stale
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn trace(&self, cx: &mut Cx<'_, Action>, what: impl FnOnce() -> Trace) {
        if self.config.trace {
            cx.act(Action::Trace(what()));
        }
    }

    /// Tells what became of an entry since it was in `state`, and its peer in `heat`.
    pub(super) fn traced(
        &self,
        cx: &mut Cx<'_, Action>,
        slot: SlotIndex,
        state: State,
        heat: Option<Heat>,
    ) {
        if !self.config.trace {
            return;
        }
        if let Some((conn, entry)) = self.table.at(slot) {
            let (from, to) = (state, entry.state());
            if from != to {
                cx.act(Action::Trace(Trace::Transition { conn, from, to }));
            }
            trace_heat(cx, conn, heat, entry.heat());
        }
    }

    /// Changes an entry, keeps the counts, tells.
    pub(super) fn change(
        &mut self,
        cx: &mut Cx<'_, Action>,
        slot: SlotIndex,
        f: impl FnOnce(&mut Entry),
    ) {
        let Some((_, entry)) = self.table.at(slot) else {
            return;
        };
        let (state, heat) = (entry.state(), entry.heat());
        self.table.change(slot, cx.now, f);
        self.traced(cx, slot, state, heat);
    }

    pub(super) fn change_open(
        &mut self,
        cx: &mut Cx<'_, Action>,
        slot: SlotIndex,
        f: impl FnOnce(&mut Open),
    ) {
        self.change(cx, slot, |entry| {
            if let Phase::Open(open) = &mut entry.phase {
                f(open);
            }
        });
    }

    pub(super) fn open(&self, slot: SlotIndex) -> Option<Open> {
        match self.table.at(slot)?.1.phase {
            Phase::Open(open) => Some(open),
            _ => None,
        }
    }

    pub(super) fn is_over(&self, slot: SlotIndex) -> bool {
        self.table
            .at(slot)
            .is_some_and(|(_, entry)| entry.phase.is_over())
    }

    /// Whether nothing but the memory of a connection is left.
    fn is_remembered(&self, slot: SlotIndex) -> bool {
        self.table
            .at(slot)
            .is_some_and(|(_, entry)| matches!(entry.phase, Phase::Quarantined { .. }))
    }

    /// The connection that is found by these two addresses.
    pub(super) fn with_id(&self, remote: SocketAddr, local: SocketAddr) -> Option<SlotIndex> {
        self.table.of_remote(remote).iter().find_map(|conn| {
            let slot = self.table.slot(*conn)?;
            let (_, entry) = self.table.at(slot)?;
            (entry.local == Some(local)).then_some(slot)
        })
    }

    fn connected(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, local: SocketAddr) {
        let Some(slot) = self.table.slot(conn) else {
            return self.count_stale();
        };
        let Some((remote, request, mode)) = self.dialling(slot) else {
            return self.count_stale();
        };
        let role = Role::Initiator;
        let old = self.with_id(remote, local);
        let own = local == remote;
        if old.is_some_and(|old| !self.is_over(old)) && !own {
            return self.close(cx, slot, Fault::Taken);
        }
        self.change(cx, slot, |entry| {
            entry.local = Some(local);
            entry.phase = Phase::Greeting { role, request };
        });
        cx.act(Action::Greet {
            conn,
            remote,
            role,
            mode,
        });
        if let Some(old) = old {
            if self.is_over(old) {
                self.replace(cx, old);
            } else {
                // Of a connection to ourselves the dialled end is the one that is found.
                self.table.hide(old);
            }
        }
    }

    fn dialling(&self, slot: SlotIndex) -> Option<(SocketAddr, Request, Mode)> {
        let (_, entry) = self.table.at(slot)?;
        match entry.phase {
            Phase::Dialling { request, mode } => Some((entry.remote, request, mode)),
            _ => None,
        }
    }

    fn agreed(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, agreed: Agreed) {
        let slot = self.table.slot(conn);
        let phase = slot.and_then(|slot| Some((slot, self.table.at(slot)?.1.phase)));
        let Some((slot, Phase::Greeting { role, request })) = phase else {
            return self.count_stale();
        };
        if self.stopping {
            return;
        }
        let flow = match agreed.data.mode {
            Mode::InitiatorAndResponder => Flow::Duplex,
            Mode::InitiatorOnly => Flow::Unidirectional,
        };
        let (local, remote) = match (role, flow) {
            (Role::Initiator, Flow::Unidirectional) => (LocalUse::InUse, RemoteUse::Never),
            (Role::Initiator, Flow::Duplex) => (LocalUse::InUse, RemoteUse::Idle),
            (Role::Responder, Flow::Unidirectional) => (LocalUse::Never, RemoteUse::Idle),
            (Role::Responder, Flow::Duplex) => (LocalUse::None, RemoteUse::Idle),
        };
        self.change(cx, slot, |entry| {
            entry.phase = Phase::Open(Open {
                flow,
                agreed,
                local,
                remote,
            });
        });
        if remote == RemoteUse::Idle {
            self.start_idle(cx.now, slot);
        }
        if flow == Flow::Duplex {
            let at = cx.now.after(self.config.mature);
            self.table.start(slot, Line::Maturity, at);
        }
        if role == Role::Initiator {
            self.wishes.remove(&request);
            let reused = false;
            let outcome = Ok(Acquired {
                conn,
                agreed,
                reused,
            });
            answer(cx, request, outcome);
        }
        // Those who waited for an inbound handshake: the first may have it, if it is of use.
        while let Some(waiter) = self.pop_waiter(conn) {
            match (flow, self.open(slot).map(|open| open.local)) {
                (Flow::Unidirectional, _) => answer(cx, waiter, Err(NotAcquired::Forbidden)),
                (Flow::Duplex, Some(LocalUse::None)) => self.reuse(cx, waiter, slot),
                (Flow::Duplex, _) => answer(cx, waiter, Err(NotAcquired::Exists)),
            }
        }
    }

    fn lingering(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        let Some(slot) = self.table.slot(conn) else {
            return self.count_stale();
        };
        let greeted = self.table.at(slot).is_some_and(|(_, entry)| {
            matches!(
                entry.phase,
                Phase::Greeting {
                    role: Role::Responder,
                    ..
                }
            )
        });
        if !greeted || self.stopping {
            return self.count_stale();
        }
        self.change(cx, slot, |entry| entry.phase = Phase::Lingering);
        self.table.start(slot, Line::Lingering, cx.now);
        self.bound_remembered(cx);
    }

    fn shutdown(&mut self, cx: &mut Cx<'_, Action>) {
        if self.stopping {
            return;
        }
        self.stopping = true;
        self.doors.clear();
        if !self.table.mature().is_empty() {
            cx.act(Action::Mature);
        }
        while let Some((_, request)) = self.queue.pop_first() {
            self.wishes.remove(&request);
            answer(cx, request, Err(NotAcquired::Shutdown));
        }
        let all: alloc::vec::Vec<SlotIndex> = self
            .table
            .slots
            .iter()
            .filter_map(|(conn, _)| self.table.slot(*conn))
            .collect();
        for slot in all {
            let Some((conn, entry)) = self.table.at(slot) else {
                continue;
            };
            match entry.phase {
                Phase::Dialling { .. } | Phase::Quarantined { .. } => {
                    self.close(cx, slot, Fault::Cancelled);
                }
                Phase::Greeting { .. } | Phase::Open(_) | Phase::Lingering => {
                    let fault = Fault::Closed;
                    cx.act(Action::Close { conn, fault });
                    self.table.stop(slot, Line::Idle);
                    self.table.unripe(slot);
                }
            }
        }
    }

    fn tick(&mut self, cx: &mut Cx<'_, Action>) {
        self.mature_due(cx);
        while let Some(slot) = self.table.due(Line::Idle, cx.now) {
            self.idle_over(cx, slot);
        }
        while let Some(slot) = self.table.due(Line::Linger, cx.now) {
            self.quarantine(cx, slot, Fault::Released);
        }
        while let Some(slot) = self.table.due(Line::Quarantine, cx.now) {
            self.close(cx, slot, Fault::Closed);
        }
        self.open_doors(cx, true);
    }

    /// The hash keys are drawn before anything is hashed, so that nobody can know them.
    fn draw_keys(&mut self, cx: &mut Cx<'_, Action>) {
        let mut word = || {
            let mut half = || u64::from(cx.choice.below(Site::SLOTS_KEY, 1, u32::MAX));
            half() << 32 | half()
        };
        let key = (word(), word());
        self.table = Table::new(&self.config, key);
        self.keyed = true;
    }
}

/// Tells a change of a peer's use: to and from hot by way of warm.
pub(super) fn trace_heat(
    cx: &mut Cx<'_, Action>,
    conn: Serial,
    from: Option<Heat>,
    to: Option<Heat>,
) {
    use Heat::{Cold, Hot, Idle, Warm};
    let mut tell = |from, to| {
        if from != to {
            cx.act(Action::Trace(Trace::Remote { conn, from, to }));
        }
    };
    match (from, to) {
        (Some(Idle | Cold), Some(Hot)) | (Some(Hot), Some(Idle | Cold)) => {
            tell(from, Some(Warm));
            tell(Some(Warm), to);
        }
        _ => tell(from, to),
    }
}

impl Machine for Manager {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        if !self.keyed && event != Event::Tick {
            self.draw_keys(cx);
        }
        let tallied = self.table.tallied();
        let was_full = self.table.inbound >= self.config.limits.hard;
        match event {
            Event::Acquire {
                request,
                remote,
                mode,
                via,
            } => {
                let wish = Wish {
                    conn: Serial(0),
                    owner: false,
                    remote,
                    mode,
                    via,
                };
                self.acquire(cx, request, wish);
            }
            Event::Cancel(request) => self.cancel(cx, request),
            Event::Release(conn) => self.release(cx, conn),
            Event::Abort(conn, fault) => match self.table.slot(conn) {
                Some(slot) if !self.stopping && !self.is_remembered(slot) => {
                    self.close(cx, slot, fault);
                }
                _ => self.count_stale(),
            },
            Event::Listening { listener, local } => self.listening(cx, listener, local),
            Event::Accepted {
                listener,
                local,
                remote,
            } => self.accepted(cx, listener, local, remote),
            Event::AcceptFailed {
                listener,
                cause,
                fatal,
            } => self.accept_failed(cx, listener, cause, fatal),
            Event::Connected { conn, local } => self.connected(cx, conn, local),
            Event::ConnectFailed { conn, cause } => match self.table.slot(conn) {
                Some(slot) if self.dialling(slot).is_some() => {
                    self.gone(cx, slot, Fault::Lost(cause));
                }
                _ => self.count_stale(),
            },
            Event::Agreed { conn, agreed } => self.agreed(cx, conn, agreed),
            Event::Lingering { conn } => self.lingering(cx, conn),
            Event::ResponderStarted { conn, protocol } => self.started(cx, conn, protocol),
            Event::ResponderEnded { conn, protocol } => self.ended(cx, conn, protocol),
            Event::Ended { conn, fault } => match self.table.slot(conn) {
                Some(slot) if self.table.at(slot).is_some_and(|(_, e)| e.has_socket()) => {
                    self.gone(cx, slot, fault);
                }
                _ => self.count_stale(),
            },
            Event::Limit(limits) => self.limit(cx, limits),
            Event::Exempt { ip, on } => self.set_exempt(ip, on),
            Event::Reserve { ip, on } => self.set_reserved(ip, on),
            Event::Shutdown => self.shutdown(cx),
            Event::Tick => self.tick(cx),
        }
        if was_full && self.table.inbound < self.config.limits.hard {
            self.open_doors(cx, false);
        }
        if tallied != self.table.tallied() {
            let counters = self.counters();
            if counters != self.counted {
                self.counted = counters;
                cx.act(Action::Counters(counters));
            }
        }
        if self.stopping && !self.stopped && self.table.len() == 0 {
            self.stopped = true;
            cx.act(Action::Stopped);
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        [Line::Idle, Line::Linger, Line::Quarantine, Line::Maturity]
            .into_iter()
            .filter_map(|line| self.table.first(line).map(|(_, at)| at))
            .chain(self.doors_due())
            .min()
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        self.invariants()
    }
}
