//! Serves ranges of block bodies; the owner loads them.
//!
//! In: requests of the peer, answers of the owner. Out: one fact a request, one message an order.
//! The next request is read only when this one is answered. An order that does not fit what was
//! asked is ignored. `Stop` means nothing here: only the client can end the protocol.

use bytes::Bytes;

use super::{BlockFetch, Message, SPEC};
use crate::{
    base::{Cx, Instant, Machine, Point, Role, Spec, Violated},
    proto::{Action, Event, Half, session::Session},
};

/// The server half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Server {
    session: Session<BlockFetch>,
}

/// What its owner answers to one [`Fact::Requested`]: either `NoBlocks`, or `Start`, any number
/// of `Block`s and `Done`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The range is here and will be streamed.
    Start,
    /// The range is not here.
    NoBlocks,
    /// The next block: the bytes that go inside tag 24, never copied.
    Block(Bytes),
    /// That was the last one.
    Done,
}

/// What the server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer wants these bodies, both ends inclusive, older first. The next request is read
    /// only when this one is answered.
    Requested {
        /// The oldest block wanted.
        from: Point,
        /// The newest block wanted.
        to: Point,
    },
}

impl Server {
    /// A server for the connection `of`.
    pub fn new(of: u64) -> Self {
        Self {
            session: Session::new(Role::Responder, of, 0),
        }
    }

    fn on_received(&mut self, cx: &mut Cx<'_, Action<Fact>>, bytes: &Bytes) {
        match self.session.hear(cx, bytes) {
            Some(Message::RequestRange { from, to }) => {
                cx.act(Action::Fact(Fact::Requested { from, to }));
            }
            Some(
                Message::ClientDone
                | Message::StartBatch
                | Message::NoBlocks
                | Message::Block(_)
                | Message::BatchDone,
            ) => self.session.conclude(cx),
            None => {}
        }
    }

    fn on_order(&mut self, cx: &mut Cx<'_, Action<Fact>>, order: Order) {
        let message = match order {
            Order::Start => Message::StartBatch,
            Order::NoBlocks => Message::NoBlocks,
            Order::Block(body) => Message::Block(body),
            Order::Done => Message::BatchDone,
        };
        // Late and unasked answers are ignored.
        let _ = self.session.say(cx, &message);
    }
}

impl Machine for Server {
    type Event = Event<Order>;
    type Action = Action<Fact>;

    fn step(&mut self, cx: &mut Cx<'_, Action<Fact>>, event: Event<Order>) {
        if self.session.is_over() {
            return;
        }
        match event {
            Event::Start => self.session.start(cx.now, cx.choice),
            Event::Received(bytes) => self.on_received(cx, &bytes),
            Event::Order(order) => self.on_order(cx, order),
            Event::Stop => {}
            Event::Tick => self.session.tick(cx),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.session.next_deadline()
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        self.session.check_invariants()
    }
}

impl Half for Server {
    type Order = Order;
    type Fact = Fact;

    const SPEC: &'static Spec = &SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}
