//! The connection as a machine.

mod halves;
mod link;

use alloc::{collections::VecDeque, vec::Vec};

use bytes::Bytes;

use self::link::Link;
use super::{
    Cause, Config, Fact, Fault, Order, Temperature,
    greeting::{self, Greeting, Outcome},
    half::{self, AnyHalf},
};
use crate::{
    base::{Cx, Instant, Machine, ProtocolId, Role, Scratch, Serial, Violated, soonest, violated},
    mux::{self, HalfId, Mux},
    proto::{
        self,
        handshake::{self, Agreed, Mode, is_ours},
    },
    wire::{Batch, reassembly::Reassembly},
};

/// What a connection can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The socket is connected; the first event, once.
    Start,
    /// Bytes came in.
    Received(Bytes),
    /// The kernel has taken this many bytes.
    Flushed(u64),
    /// The socket ended or failed.
    Closed(Cause),
    /// The owner wants something.
    Order(Order),
    /// Cut segments.
    Turn,
    /// Time has passed.
    Tick,
}

/// What a connection asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write these bytes.
    Write(Batch),
    /// Close the socket, at once (`reset`) or behind what was written.
    Close {
        /// Whether to reset.
        reset: bool,
    },
    /// Something happened.
    Fact(Fact),
}

/// What every connection of a node has in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Profile {
    /// What we offer in the handshake.
    pub offer: handshake::Config,
    /// Limits.
    pub config: Config,
}

/// One connection from the first byte to the last.
///
/// ```text
///  Greeting ─agreed─▶ Open ─Close / fault─▶ Closing ─drained or 2 s─▶ Over
///     └─ refused, failed, queried ──────────────┘
/// ```
///
/// Invariants: 1. a multiplexer exists exactly while open or closing after it was open; 2. every
/// running half is registered with the multiplexer; 3. when over, no deadline is left.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Connection {
    serial: Serial,
    role: Role,
    config: Config,
    ours: Mode,
    phase: Phase,
    slots: Vec<Slot>,
    link: Link,
    mux_acts: Scratch<Vec<mux::Action>>,
    half_acts: Scratch<Vec<proto::Action<Fact>>>,
    work: Scratch<VecDeque<HalfId>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Phase {
    Greeting(Greeting),
    Open(Open),
    /// Only what is queued is still written, until then at most; the fault is told at the end.
    Closing {
        open: Option<Open>,
        until: Instant,
        fault: Fault,
    },
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Open {
    mux: Mux,
    /// Bytes of the handshake that the kernel has not reported yet.
    greeted: u64,
}

/// A half that this connection may run.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Slot {
    id: HalfId,
    half: Option<AnyHalf>,
    bytes: Reassembly,
    /// Asked to end. Of keep-alive: to be asked when nothing else of ours runs.
    stopping: bool,
    /// Of the keep-alive responder: it runs because another one does, and has heard nothing yet.
    unheard: bool,
}

impl Connection {
    /// A connection whose socket is about to be connected. `role` is the initiator's when we
    /// dialled.
    pub fn new(serial: Serial, role: Role, profile: &Profile) -> Self {
        Self {
            serial,
            role,
            config: profile.config.clone(),
            ours: profile.offer.mode,
            phase: Phase::Greeting(Greeting::new(serial, role, &profile.offer)),
            slots: Vec::new(),
            link: Link::default(),
            mux_acts: Scratch::default(),
            half_acts: Scratch::default(),
            work: Scratch::default(),
        }
    }

    /// Whether nothing will ever happen any more.
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Whether a half runs.
    pub fn runs(&self, id: HalfId) -> bool {
        self.slots
            .iter()
            .any(|slot| slot.id == id && slot.half.is_some())
    }

    /// Whether there are bytes that a [`Event::Turn`] might write.
    pub fn has_output(&self) -> bool {
        match &self.phase {
            Phase::Greeting(_) | Phase::Over => false,
            Phase::Open(open) => open.mux.pending() > 0,
            Phase::Closing { open, .. } => open.as_ref().is_some_and(|o| o.mux.pending() > 0),
        }
    }

    fn greet(&mut self, cx: &mut Cx<'_, Action>, event: greeting::Event) {
        let Phase::Greeting(greeting) = &mut self.phase else {
            return;
        };
        let mut batch = Batch::new();
        let outcome = greeting.step(cx, event, &mut batch);
        if !batch.is_empty() {
            cx.act(Action::Write(batch));
        }
        match outcome {
            Outcome::Waiting => {}
            Outcome::Agreed {
                agreed,
                rest,
                greeted,
            } => self.open(cx, agreed, rest, greeted),
            Outcome::Failed(fault) => self.end(cx, fault),
            Outcome::Refusing(fault) => {
                let until = cx.now.after(self.config.linger);
                self.phase = Phase::Closing {
                    open: None,
                    until,
                    fault,
                };
                cx.act(Action::Fact(Fact::Lingering));
            }
            Outcome::Queried(table) => {
                cx.act(Action::Fact(Fact::Queried(table)));
                self.end(cx, Fault::Handshake(handshake::Failure::Query));
            }
        }
    }

    /// The handshake is done: sets the halves up and hands over what came behind it.
    fn open(&mut self, cx: &mut Cx<'_, Action>, agreed: Agreed, rest: Bytes, greeted: u64) {
        let duplex = agreed.data.mode == Mode::InitiatorAndResponder;
        let initiators = self.role == Role::Initiator || duplex;
        let responders =
            self.role == Role::Responder || (duplex && self.ours == Mode::InitiatorAndResponder);
        let mut mux = Mux::new(&self.config.mux);
        let linked = self.config.rain && is_ours(agreed.version) && initiators && responders;
        let link = half::LINK.into_iter().filter(|_| linked);
        for protocol in half::protocols(&agreed).chain(link) {
            for (role, here) in [(Role::Initiator, initiators), (Role::Responder, responders)] {
                if here {
                    let id = HalfId { protocol, role };
                    mux.register(id, mux::ingress_bytes_max(protocol).unwrap_or(0));
                    let bytes = Reassembly::default();
                    // There are few, and a connection at rest must not own room for more.
                    self.slots.reserve_exact(1);
                    self.slots.push(Slot {
                        id,
                        half: None,
                        bytes,
                        stopping: false,
                        unheard: false,
                    });
                }
            }
        }
        self.phase = Phase::Open(Open { mux, greeted });
        cx.act(Action::Fact(Fact::Agreed(agreed)));
        if !rest.is_empty() {
            self.mux(cx, mux::Event::Received(rest));
        }
    }

    /// One event for the multiplexer, then everything that follows from it.
    fn mux(&mut self, cx: &mut Cx<'_, Action>, event: mux::Event) {
        let open = match &mut self.phase {
            Phase::Open(open)
            | Phase::Closing {
                open: Some(open), ..
            } => open,
            Phase::Greeting(_) | Phase::Closing { .. } | Phase::Over => return,
        };
        let mut acts = core::mem::take(&mut *self.mux_acts);
        open.mux.step(&mut cx.child(&mut acts), event);
        let mut failed = None;
        let mut drained = false;
        for action in acts.drain(..) {
            match action {
                mux::Action::Ready(id) => self.work.push_back(id),
                mux::Action::Write(batch) => cx.act(Action::Write(batch)),
                mux::Action::Room(id) => cx.act(Action::Fact(Fact::Room {
                    protocol: id.protocol,
                    role: id.role,
                })),
                mux::Action::Failed(error) => failed = Some(error),
                mux::Action::Drained { .. } => drained = true,
            }
        }
        *self.mux_acts = acts;
        match (&self.phase, failed) {
            (Phase::Closing { fault, .. }, Some(_)) => {
                let fault = *fault;
                self.end(cx, fault);
            }
            (_, Some(error)) => self.end(cx, Fault::Mux(error)),
            (Phase::Closing { fault, .. }, None) if drained => {
                let fault = *fault;
                self.finish(cx, fault, Reset::No);
            }
            (_, None) => self.pump_all(cx),
        }
    }

    fn order(&mut self, cx: &mut Cx<'_, Action>, order: Order) {
        match (&self.phase, order) {
            (Phase::Open(_), Order::Start(bundle)) => {
                self.link.keep(bundle);
                for id in self.initiators(bundle) {
                    self.start(cx, id);
                }
                self.pump_all(cx);
            }
            (Phase::Open(_), Order::Link) => {
                self.link(cx);
                self.pump_all(cx);
            }
            (Phase::Open(_), Order::Unlink) => {
                self.unlink(cx);
                self.pump_all(cx);
            }
            (Phase::Open(_), Order::Stop(bundle)) => {
                if bundle == Temperature::Established {
                    self.unlink(cx);
                }
                for id in self.initiators(bundle) {
                    self.stop(cx, id);
                }
                self.pump_all(cx);
            }
            (Phase::Open(_), Order::Close) => self.close(cx),
            (Phase::Greeting(_) | Phase::Open(_) | Phase::Closing { .. }, Order::Reset(fault)) => {
                self.end(cx, fault);
            }
            (Phase::Open(_), order) => {
                let Some(at) = half::target(&order).and_then(|id| self.slot(id)) else {
                    return;
                };
                let Some(slot) = self.slots.get_mut(at) else {
                    return;
                };
                let Some(half) = &mut slot.half else { return };
                let id = slot.id;
                let mut acts = core::mem::take(&mut *self.half_acts);
                half.order(&mut cx.child(&mut acts), order);
                self.settle(cx, at, acts);
                self.work.push_back(id);
                self.pump_all(cx);
            }
            (Phase::Greeting(_), Order::Close) => self.finish(cx, Fault::Closed, Reset::Yes),
            // Refused or queried: enough time to read that.
            (
                Phase::Closing {
                    open: None, fault, ..
                },
                Order::Close,
            ) => {
                let fault = *fault;
                self.finish(cx, fault, Reset::No);
            }
            (Phase::Greeting(_) | Phase::Closing { .. } | Phase::Over, _) => {}
        }
    }

    fn initiators(&self, bundle: Temperature) -> Vec<HalfId> {
        let mine = |id: &HalfId| {
            let bundled = !half::LINK.contains(&id.protocol);
            bundled && id.role == Role::Initiator && half::temperature(id.protocol) == bundle
        };
        self.slots.iter().map(|slot| slot.id).filter(mine).collect()
    }

    /// Asks a half to end. Keep-alive is asked last: a farewell of another half may be the first
    /// that the peer hears of it, and would start the peer's keep-alive anew for nobody.
    pub(super) fn stop(&mut self, cx: &mut Cx<'_, Action>, id: HalfId) {
        let others = self.runs_beside_keep_alive(Role::Initiator);
        let Some(at) = self.slot(id) else { return };
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        let Some(half) = &mut slot.half else { return };
        slot.stopping = true;
        if id.protocol == ProtocolId::KEEP_ALIVE && others {
            return;
        }
        let mut acts = core::mem::take(&mut *self.half_acts);
        half.stop(&mut cx.child(&mut acts));
        self.settle(cx, at, acts);
    }

    /// Our own orderly end: halves are dropped, what is queued gets a little time.
    fn close(&mut self, cx: &mut Cx<'_, Action>) {
        let Phase::Open(open) = core::mem::replace(&mut self.phase, Phase::Over) else {
            return;
        };
        let until = cx.now.after(self.config.mux.drain_timeout);
        self.slots.clear();
        self.phase = Phase::Closing {
            open: Some(open),
            until,
            fault: Fault::Closed,
        };
        self.mux(cx, mux::Event::Stop);
    }

    /// The connection fails: nothing more is written.
    fn end(&mut self, cx: &mut Cx<'_, Action>, fault: Fault) {
        self.finish(cx, fault, Reset::Yes);
    }

    fn finish(&mut self, cx: &mut Cx<'_, Action>, fault: Fault, reset: Reset) {
        if self.is_over() {
            return;
        }
        self.phase = Phase::Over;
        self.slots = Vec::new();
        self.work.clear();
        cx.act(Action::Close {
            reset: reset == Reset::Yes,
        });
        cx.act(Action::Fact(Fact::Ended(fault)));
    }

    fn closed(&mut self, cx: &mut Cx<'_, Action>, cause: Cause) {
        let fault = match &self.phase {
            Phase::Over => return,
            Phase::Greeting(greeting) => greeting.closed(cause),
            Phase::Closing { fault, .. } => *fault,
            Phase::Open(open) => {
                let running = self.slots.iter().any(|slot| slot.half.is_some());
                match cause {
                    Cause::Eof if open.mux.is_inside_segment() => {
                        Fault::Mux(mux::Error::BearerClosed { inside: true })
                    }
                    _ if running => Fault::Lost(cause),
                    _ => Fault::Ended(cause),
                }
            }
        };
        self.finish(cx, fault, Reset::Yes);
    }

    fn tick(&mut self, cx: &mut Cx<'_, Action>) {
        match &self.phase {
            Phase::Over => {}
            Phase::Greeting(_) => self.greet(cx, greeting::Event::Tick),
            Phase::Closing { until, fault, .. } if *until <= cx.now => {
                let fault = *fault;
                self.finish(cx, fault, Reset::No);
            }
            Phase::Closing { .. } => self.mux(cx, mux::Event::Tick),
            Phase::Open(_) => {
                self.mux(cx, mux::Event::Tick);
                for at in 0..self.slots.len() {
                    let due = |slot: &Slot| slot.half.as_ref().and_then(AnyHalf::next_deadline);
                    let Some(slot) = self.slots.get_mut(at) else {
                        break;
                    };
                    if due(slot).is_none_or(|due| due > cx.now) {
                        continue;
                    }
                    let Some(half) = &mut slot.half else { continue };
                    let mut acts = core::mem::take(&mut *self.half_acts);
                    half.tick(&mut cx.child(&mut acts));
                    self.settle(cx, at, acts);
                }
                self.pump_all(cx);
            }
        }
    }

    fn flushed(&mut self, cx: &mut Cx<'_, Action>, bytes: u64) {
        let open = match &mut self.phase {
            Phase::Open(open)
            | Phase::Closing {
                open: Some(open), ..
            } => open,
            Phase::Greeting(greeting) => return greeting.flushed(bytes),
            Phase::Closing { .. } | Phase::Over => return,
        };
        let early = bytes.min(open.greeted);
        open.greeted = open.greeted.saturating_sub(early);
        let rest = usize::try_from(bytes.saturating_sub(early)).unwrap_or(usize::MAX);
        if rest > 0 {
            self.mux(cx, mux::Event::Flushed(rest));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reset {
    Yes,
    No,
}

impl Machine for Connection {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        match event {
            Event::Start => self.greet(cx, greeting::Event::Start),
            Event::Received(bytes) => match &self.phase {
                Phase::Greeting(_) => self.greet(cx, greeting::Event::Received(bytes)),
                Phase::Open(_) => self.mux(cx, mux::Event::Received(bytes)),
                Phase::Closing { .. } | Phase::Over => {}
            },
            Event::Flushed(bytes) => self.flushed(cx, bytes),
            Event::Closed(cause) => self.closed(cx, cause),
            Event::Order(order) => self.order(cx, order),
            Event::Turn => self.mux(cx, mux::Event::Turn),
            Event::Tick => self.tick(cx),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Over => None,
            Phase::Greeting(greeting) => greeting.next_deadline(),
            Phase::Closing { open, until, .. } => soonest(
                Some(*until),
                open.as_ref().and_then(|open| open.mux.next_deadline()),
            ),
            Phase::Open(open) => self
                .slots
                .iter()
                .filter_map(|slot| slot.half.as_ref().and_then(AnyHalf::next_deadline))
                .chain(open.mux.next_deadline())
                .min(),
        }
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        let name = "connection";
        let running = self.slots.iter().any(|slot| slot.half.is_some());
        let open = matches!(self.phase, Phase::Open(_));
        violated(
            open || !running,
            name,
            1,
            "halves run only while the connection is open",
        )?;
        if let Phase::Open(open) = &self.phase {
            let known = self
                .slots
                .iter()
                .all(|slot| open.mux.is_registered(slot.id));
            violated(
                known,
                name,
                2,
                "every half is registered with the multiplexer",
            )?;
            open.mux.check_invariants()?;
        }
        for slot in &self.slots {
            if let Some(half) = &slot.half {
                half.check_invariants()?;
            }
        }
        let quiet = !self.is_over() || self.next_deadline().is_none();
        violated(
            quiet,
            name,
            3,
            "no deadline is left when the connection is over",
        )
    }
}
