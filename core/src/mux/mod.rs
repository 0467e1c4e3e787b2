//! Many mini-protocols, both directions, one bearer.
//!
//! ```text
//!  Received(bytes) ─▶ ingress: one bounded byte queue per half ─▶ Ready(half), take(half)
//!  Write(batch) ◀──── egress: round robin, one segment a turn ◀── Send(half, message)
//!  Flushed(bytes) ──▶ credit
//! ```
//!
//! In: what was read ([`Event::Received`], [`Event::Eof`]), messages to send, the end of a turn,
//! what the kernel took. Out: which half has bytes, batches to write, which half has room again,
//! and the end. The bytes themselves are fetched with [`Mux::take`], because a half may take them
//! later than they come.
//!
//! ```
//! use bytes::Bytes;
//! use samanea_core::{
//!     base::{Cx, First, Instant, Machine as _, NoRules, ProtocolId, Role},
//!     mux::{Action, Config, Event, HalfId, Mux, ingress_bytes_max},
//!     wire::Encoded,
//! };
//!
//! let (mut dialer, mut listener) = (Mux::new(&Config::default()), Mux::new(&Config::default()));
//! let protocol = ProtocolId::KEEP_ALIVE;
//! let asks = HalfId { protocol, role: Role::Initiator };
//! let answers = HalfId { protocol, role: Role::Responder };
//! let max = ingress_bytes_max(protocol).unwrap_or(0);
//! dialer.register(asks, max);
//! listener.register(answers, max);
//!
//! let mut step = |mux: &mut Mux, event| {
//!     let (mut choice, mut actions) = (First, Vec::new());
//!     mux.step(&mut Cx::new(Instant::ZERO, &mut choice, &NoRules, &mut actions), event);
//!     actions
//! };
//! let message = Encoded { head: Bytes::from_static(&[0x82, 0x00, 0x07]), body: Bytes::new() };
//! step(&mut dialer, Event::Send { half: asks, message });
//! for action in step(&mut dialer, Event::Turn) {
//!     let Action::Write(batch) = action else { continue };
//!     for part in batch {
//!         step(&mut dialer, Event::Flushed(part.len()));
//!         let said = step(&mut listener, Event::Received(part));
//!         assert_eq!(said, [Action::Ready(answers)]);
//!     }
//! }
//! assert!(listener.take(answers).eq([Bytes::from_static(&[0x82, 0x00, 0x07])]));
//! ```
//!
//! Segments are cut only in [`Event::Turn`] and only while the bytes handed out and not flushed
//! stay within the window. Each half with bytes queued has one token in a queue; a turn of the
//! token is one segment. Ingress never waits: a queue over its maximum ends the connection.
//!
//! Limits: [`HALVES_MAX`] halves; per half, the ingress maximum given to [`Mux::register`] (plus
//! what was [given back](Mux::give_back)) and [`EGRESS_BYTES_SOFT`] plus one message of egress;
//! [`Config::window_bytes`] handed out; a batch has at most [`BATCH_BYTES_MAX`] bytes and
//! [`BATCH_SEGMENTS_MAX`] segments. What a caller sends beyond the soft limit is kept all the
//! same: dropping it would garble the stream.
//!
//! Invariants:
//! 1. At most [`HALVES_MAX`] halves, none twice.
//! 2. Each queue's counter is the sum of its parts.
//! 3. A half has a token exactly when it has egress queued, and never two.
//! 4. `pending` is the sum of what is queued in all outboxes.
//! 5. No more is in flight than the window.
//! 6. The read timer runs exactly while a segment is open and the bearer is read; the write timer
//!    exactly while bytes are in flight and nothing else ends the connection sooner.
//! 7. A half without room is marked so, and only such.
//! 8. No timer runs after the end.
//!
//! src: Ouroboros network specification, "Multiplexing"; ouroboros-network, network-mux

mod config;
mod egress;
mod error;
mod ingress;

use alloc::{collections::VecDeque, vec::Vec};

use bytes::{Bytes, BytesMut};

pub use self::{
    config::{
        BATCH_BYTES_MAX, BATCH_SEGMENTS_MAX, Config, EGRESS_BYTES_SOFT, HALVES_MAX,
        ingress_bytes_max,
    },
    error::Error,
};
use self::{egress::Outbox, ingress::Inbox};
use crate::{
    base::{Cx, Instant, Machine, ProtocolId, Role, Scratch, Violated, soonest, violated},
    wire::{
        Batch, Encoded,
        frame::{Deframer, HEADER_BYTES, PAYLOAD_BYTES_MAX},
    },
};

/// One byte stream of our side: a mini-protocol and which of its halves we run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct HalfId {
    /// The mini-protocol.
    pub protocol: ProtocolId,
    /// Our half.
    pub role: Role,
}

/// What a multiplexer can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Bytes were read, in any cut. Ignored after [`Event::Eof`], [`Event::Stop`] and the end.
    Received(Bytes),
    /// Queue one message of a half, whole. Ask [`Mux::room`] before; without room it is queued all
    /// the same. Ignored for a half that is not registered, and after the end.
    Send {
        /// Our half that speaks.
        half: HalfId,
        /// What it says.
        message: Encoded,
    },
    /// All that was readable is in and all orders are given: cut segments.
    Turn,
    /// The kernel took so many bytes of the batches, in order.
    Flushed(usize),
    /// The peer sends no more.
    Eof,
    /// Read no more, let what is queued leave, then say [`Action::Drained`].
    Stop,
    /// Time has passed.
    Tick,
}

/// What a multiplexer can ask for or report.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "a batch goes to the driver without an allocation"
)]
pub enum Action {
    /// The queue of a half, empty before, has bytes: [`Mux::take`] them. Not said again before
    /// they are taken.
    Ready(HalfId),
    /// Write these bytes; answer with [`Event::Flushed`].
    Write(Batch),
    /// A half that had no room has room again.
    Room(HalfId),
    /// The end, by a failure. Nothing follows; what was received before can still be taken.
    Failed(Error),
    /// The end, after [`Event::Stop`]. Nothing follows.
    Drained {
        /// Bytes that did not leave in time, queued or in flight.
        left: usize,
    },
}

/// The multiplexer of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Mux {
    config: Config,
    phase: Phase,
    lanes: Vec<Lane>,
    deframer: Deframer,
    /// Lanes to which the last read brought bytes, one bit each.
    fresh: u64,
    /// When the segment at hand must be whole.
    read_by: Option<Instant>,
    /// When the kernel must have taken something.
    write_by: Option<Instant>,
    /// Lanes with egress queued, the next to be served first.
    tokens: VecDeque<u8>,
    /// Bytes queued in all outboxes.
    pending: usize,
    /// Bytes handed out and not flushed.
    in_flight: usize,
    /// Where headers and short parts are put together.
    arena: Scratch<BytesMut>,
    /// The lane that was found last.
    found: Scratch<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Phase {
    Running,
    /// The peer sends no more; the halves may finish until then.
    Ending(Instant),
    /// Stopped; what is queued may leave until then.
    Draining(Instant),
    Ended,
}

/// Both queues of one half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Lane {
    half: HalfId,
    ingress_max: u32,
    inbox: Inbox,
    outbox: Outbox,
    /// Has a token.
    queued: bool,
    /// Was without room and has not been told otherwise.
    full: bool,
}

impl Mux {
    /// A multiplexer without halves, at a segment border.
    pub fn new(config: &Config) -> Self {
        let segment = config.segment_bytes_max.clamp(1, PAYLOAD_BYTES_MAX);
        let window = config
            .window_bytes
            .max(segment.saturating_add(HEADER_BYTES));
        Self {
            config: Config {
                window_bytes: window,
                segment_bytes_max: segment,
                ..config.clone()
            },
            phase: Phase::Running,
            lanes: Vec::new(),
            deframer: Deframer::new(),
            fresh: 0,
            read_by: None,
            write_by: None,
            tokens: VecDeque::new(),
            pending: 0,
            in_flight: 0,
            arena: Scratch::default(),
            found: Scratch::default(),
        }
    }

    /// Lets a half of ours take part; at most `ingress_bytes_max` bytes (inclusive) may wait for
    /// it. Nothing changes when it is there already or [`HALVES_MAX`] are.
    pub fn register(&mut self, half: HalfId, ingress_bytes_max: u32) {
        if self.lanes.len() < HALVES_MAX && self.find(half).is_none() {
            // There are few, and a connection at rest must not own room for more.
            self.lanes.reserve_exact(1);
            self.lanes.push(Lane {
                half,
                ingress_max: ingress_bytes_max,
                inbox: Inbox::default(),
                outbox: Outbox::default(),
                queued: false,
                full: false,
            });
        }
    }

    /// Takes all bytes that wait for a half, in order; its counter is 0 afterwards. Nothing for a
    /// half that is not registered.
    pub fn take(&mut self, half: HalfId) -> impl Iterator<Item = Bytes> + '_ {
        let at = self.find(half);
        at.and_then(|at| self.lanes.get_mut(at))
            .into_iter()
            .flat_map(|lane| lane.inbox.take())
    }

    /// Puts bytes that a half took and did not use before all that wait for it. They count, but
    /// never fail by themselves; no [`Action::Ready`] follows.
    pub fn give_back(&mut self, half: HalfId, rest: Bytes) {
        if let Some(lane) = self.lane_mut(half) {
            lane.inbox.put_back(rest);
        }
    }

    /// Whether a half takes part.
    pub fn is_registered(&self, half: HalfId) -> bool {
        self.lane(half).is_some()
    }

    /// Bytes that wait for a half to take them.
    pub fn waiting(&self, half: HalfId) -> usize {
        self.lane(half).map_or(0, |lane| lane.inbox.bytes())
    }

    /// Whether a half may send: fewer than [`EGRESS_BYTES_SOFT`] bytes of it are queued.
    pub fn room(&self, half: HalfId) -> bool {
        self.lane(half).is_some_and(Lane::has_room)
    }

    /// Bytes of a half that are queued and not cut.
    pub fn queued(&self, half: HalfId) -> usize {
        self.lane(half).map_or(0, |lane| lane.outbox.bytes())
    }

    /// Bytes of all halves that are queued and not cut.
    pub const fn pending(&self) -> usize {
        self.pending
    }

    /// Bytes handed out, headers included, and not flushed.
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether a segment of the peer has begun and has not come whole.
    pub const fn is_inside_segment(&self) -> bool {
        self.deframer.is_inside()
    }

    /// Whether [`Action::Failed`] or [`Action::Drained`] was said.
    pub const fn has_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }

    fn on_eof(&mut self, cx: &mut Cx<'_, Action>) {
        if self.phase != Phase::Running {
            return;
        }
        if self.deframer.is_inside() {
            self.fail(cx, Error::BearerClosed { inside: true });
        } else {
            self.phase = Phase::Ending(cx.now.after(self.config.eof_grace));
        }
    }

    fn on_stop(&mut self, cx: &mut Cx<'_, Action>) {
        if matches!(self.phase, Phase::Draining(_) | Phase::Ended) {
            return;
        }
        self.phase = Phase::Draining(cx.now.after(self.config.drain_timeout));
        self.read_by = None;
        self.write_by = None;
        self.finish_drain(cx);
    }

    fn finish_drain(&mut self, cx: &mut Cx<'_, Action>) {
        if matches!(self.phase, Phase::Draining(_)) && self.in_flight == 0 && self.pending == 0 {
            self.end(cx, Action::Drained { left: 0 });
        }
    }

    fn on_tick(&mut self, cx: &mut Cx<'_, Action>) {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= cx.now);
        if due(self.read_by) {
            return self.fail(cx, Error::SduReadTimeout);
        }
        if due(self.write_by) {
            return self.fail(cx, Error::SduWriteTimeout);
        }
        match self.phase {
            Phase::Ending(at) if due(Some(at)) => {
                self.fail(cx, Error::BearerClosed { inside: false });
            }
            Phase::Draining(at) if due(Some(at)) => {
                let left = self.pending.saturating_add(self.in_flight);
                self.end(cx, Action::Drained { left });
            }
            Phase::Running | Phase::Ending(_) | Phase::Draining(_) | Phase::Ended => {}
        }
    }

    fn fail(&mut self, cx: &mut Cx<'_, Action>, error: Error) {
        self.end(cx, Action::Failed(error));
    }

    fn end(&mut self, cx: &mut Cx<'_, Action>, last: Action) {
        self.phase = Phase::Ended;
        self.read_by = None;
        self.write_by = None;
        cx.act(last);
    }

    /// Where a half's lane is; the lane found last is looked at first.
    fn find(&mut self, half: HalfId) -> Option<usize> {
        let is = |lane: &Lane| lane.half == half;
        if self.lanes.get(*self.found).is_some_and(is) {
            return Some(*self.found);
        }
        let at = self.lanes.iter().position(is)?;
        *self.found = at;
        Some(at)
    }

    fn lane_mut(&mut self, half: HalfId) -> Option<&mut Lane> {
        let at = self.find(half)?;
        self.lanes.get_mut(at)
    }

    fn lane(&self, half: HalfId) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.half == half)
    }
}

const _: () = assert!(HALVES_MAX <= 64, "`fresh` has a bit for each half");

impl Lane {
    const fn has_room(&self) -> bool {
        self.outbox.bytes() < EGRESS_BYTES_SOFT
    }
}

impl Machine for Mux {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        match event {
            Event::Received(bytes) => self.on_received(cx, bytes),
            Event::Send { half, message } => self.on_send(half, message),
            Event::Turn => self.on_turn(cx),
            Event::Flushed(bytes) => self.on_flushed(cx, bytes),
            Event::Eof => self.on_eof(cx),
            Event::Stop => self.on_stop(cx),
            Event::Tick => self.on_tick(cx),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let phase = match self.phase {
            Phase::Ending(at) | Phase::Draining(at) => Some(at),
            Phase::Running | Phase::Ended => None,
        };
        soonest(soonest(self.read_by, self.write_by), phase)
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        let name = "mux";
        let lanes = &self.lanes;
        let twice = |at: usize, lane: &Lane| {
            let mut others = lanes.iter().skip(at.saturating_add(1));
            others.any(|other| other.half == lane.half)
        };
        let once = lanes.iter().enumerate().all(|(at, lane)| !twice(at, lane));
        let known = lanes.len() <= HALVES_MAX && once;
        violated(known, name, 1, "at most so many halves, none twice")?;
        let counted = lanes
            .iter()
            .all(|lane| lane.inbox.is_consistent() && lane.outbox.is_consistent());
        violated(counted, name, 2, "each counter is the sum of its parts")?;
        let tokens = (0_u8..).zip(lanes).all(|(at, lane)| {
            let held = self.tokens.iter().filter(|token| **token == at).count();
            let due = lane.outbox.bytes() > 0;
            lane.queued == due && held == usize::from(due)
        });
        violated(tokens, name, 3, "one token per half with egress queued")?;
        let pending: usize = lanes.iter().map(|lane| lane.outbox.bytes()).sum();
        violated(pending == self.pending, name, 4, "pending is the sum")?;
        let within = self.in_flight <= self.config.window_bytes;
        violated(within, name, 5, "in flight within the window")?;
        let running = self.phase == Phase::Running;
        let draining = matches!(self.phase, Phase::Draining(_));
        let reading = running && self.deframer.is_inside();
        let writing = self.in_flight > 0 && !self.has_ended() && !draining;
        let timed = self.read_by.is_some() == reading && self.write_by.is_some() == writing;
        violated(timed, name, 6, "timers run while they must")?;
        let marked = lanes.iter().all(|lane| lane.full != lane.has_room());
        violated(marked, name, 7, "a half without room is marked so")?;
        let quiet = !self.has_ended() || self.next_deadline().is_none();
        violated(quiet, name, 8, "no timer after the end")
    }
}

#[cfg(test)]
mod tests;
