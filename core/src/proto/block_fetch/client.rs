//! Fetches ranges of block bodies, many requests in flight.
//!
//! In: ranges wanted, the peer's answers. Out: facts in the order of the requests. Whether a
//! block is the one that was asked for is for the owner to judge. Requests beyond those in flight
//! wait here, and beyond that are refused. `Stop` refuses what waits and says goodbye when
//! nothing is in flight.
//!
//! Invariants, beside those of the [`Session`]:
//! 31. A request waits only while as many are in flight as may be.

use bytes::Bytes;

use super::{BlockFetch, Message, SPEC};
use crate::{
    base::{Cx, Instant, Machine, Point, Queue, Role, Spec, Violated, violated},
    proto::{Action, Event, Half, session::Session},
};

/// The client half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Client {
    session: Session<BlockFetch>,
    in_flight_max: usize,
    /// Ranges not yet asked for, oldest first.
    waiting: Queue<(Point, Point)>,
    stopping: bool,
}

/// What its owner can ask of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask for the bodies from `from` to `to`, both inclusive, older first. At most 100 are in
    /// flight; more wait in the client's queue of the same size, then are refused as
    /// [`Fact::Refused`].
    Request {
        /// The oldest block wanted.
        from: Point,
        /// The newest block wanted.
        to: Point,
    },
}

/// What the client tells; answers come in the order of the requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer begins to stream the oldest unanswered range.
    Started,
    /// The next block of the range: the bytes inside tag 24, uncopied.
    Block(Bytes),
    /// The range is complete, as the peer sees it.
    Done,
    /// The peer has not got the oldest unanswered range.
    NoBlocks,
    /// The request found no room, or came after `Stop`, and was not sent.
    Refused {
        /// As in the order.
        from: Point,
        /// As in the order.
        to: Point,
    },
}

impl Client {
    /// Requests in flight at most, inclusive.
    /// src: ouroboros-network, block-fetch policy, requests in flight per peer
    pub const IN_FLIGHT_MAX: usize = 100;

    /// A client for the connection `of` with [`Client::IN_FLIGHT_MAX`].
    pub fn new(of: u64) -> Self {
        Self::with_in_flight_max(of, Self::IN_FLIGHT_MAX)
    }

    /// A client that has at most `max` requests (inclusive, at least 1) in flight, and as many
    /// waiting.
    pub fn with_in_flight_max(of: u64, max: usize) -> Self {
        let max = max.max(1);
        Self {
            session: Session::new(Role::Initiator, of, max),
            in_flight_max: max,
            waiting: Queue::new(max),
            stopping: false,
        }
    }

    /// Requests sent and not yet answered in full.
    pub fn in_flight(&self) -> usize {
        self.session.outstanding()
    }

    fn on_received(&mut self, cx: &mut Cx<'_, Action<Fact>>, bytes: &Bytes) {
        let fact = match self.session.hear(cx, bytes) {
            Some(Message::StartBatch) => Fact::Started,
            Some(Message::Block(body)) => Fact::Block(body),
            Some(Message::BatchDone) => Fact::Done,
            Some(Message::NoBlocks) => Fact::NoBlocks,
            // Only ever sent by us; the table has no such edge here.
            Some(Message::RequestRange { .. } | Message::ClientDone) => return,
            None => {
                self.waiting.clear();
                return;
            }
        };
        cx.act(Action::Fact(fact));
        self.pump(cx);
    }

    fn on_request(&mut self, cx: &mut Cx<'_, Action<Fact>>, from: Point, to: Point) {
        if self.stopping || self.waiting.push((from, to)).is_err() {
            cx.act(Action::Fact(Fact::Refused { from, to }));
            return;
        }
        self.pump(cx);
    }

    fn on_stop(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        self.stopping = true;
        while let Some((from, to)) = self.waiting.pop() {
            cx.act(Action::Fact(Fact::Refused { from, to }));
        }
        self.pump(cx);
    }

    /// Sends all that may be sent now.
    fn pump(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        while self.session.outstanding() < self.in_flight_max {
            let Some((from, to)) = self.waiting.pop() else {
                break;
            };
            // Our turn and there is room: it is always allowed.
            let _ = self.session.say(cx, &Message::RequestRange { from, to });
        }
        if self.stopping && self.session.outstanding() == 0 {
            let _ = self.session.say(cx, &Message::ClientDone);
        }
    }
}

impl Machine for Client {
    type Event = Event<Order>;
    type Action = Action<Fact>;

    fn step(&mut self, cx: &mut Cx<'_, Action<Fact>>, event: Event<Order>) {
        if self.session.is_over() {
            return;
        }
        match event {
            Event::Start => self.session.start(cx.now, cx.choice),
            Event::Received(bytes) => self.on_received(cx, &bytes),
            Event::Order(Order::Request { from, to }) => self.on_request(cx, from, to),
            Event::Stop => self.on_stop(cx),
            Event::Tick => {
                self.session.tick(cx);
                if self.session.is_over() {
                    self.waiting.clear();
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.session.next_deadline()
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        self.session.check_invariants()?;
        violated(
            self.waiting.is_empty() || self.session.outstanding() == self.in_flight_max,
            SPEC.name,
            31,
            "a request waits only while as many are in flight as may be",
        )
    }
}

impl Half for Client {
    type Order = Order;
    type Fact = Fact;

    const SPEC: &'static Spec = &SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}
