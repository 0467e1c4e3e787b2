//! Serves headers to one follower; the owner keeps the read pointer.
//!
//! In: questions of the peer, answers of the owner. Out: one fact a question, one message an
//! answer. The next question is read only when this one is answered. An order that does not
//! answer what was asked is ignored. `Stop` means nothing here: only the client can end.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{ChainSync, IDLE, Message, SPEC};
use crate::{
    base::{Cx, Instant, Machine, Point, Role, Spec, Tip, Violated},
    proto::{Action, Event, Half, session::Session},
};

/// The server half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Server {
    session: Session<ChainSync>,
}

/// What its owner answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The first of the peer's points that is on our chain.
    Found {
        /// That point.
        point: Point,
        /// Our tip.
        tip: Tip,
    },
    /// None of the peer's points is on our chain.
    NotFound {
        /// Our tip.
        tip: Tip,
    },
    /// The next header of our chain.
    Forward {
        /// The header exactly as it travels, its era envelope included.
        header: Bytes,
        /// Our tip.
        tip: Tip,
    },
    /// The follower has to go back to this point.
    Backward {
        /// The newest point both have.
        point: Point,
        /// Our tip.
        tip: Tip,
    },
    /// The follower is at our tip; `Forward` or `Backward` comes when that changes.
    Await,
}

/// What the server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The follower asks for the first of these points that is on our chain; answered by
    /// [`Order::Found`] or [`Order::NotFound`].
    FindIntersect(Vec<Point>),
    /// The follower asks for the next change; answered by [`Order::Forward`],
    /// [`Order::Backward`], or [`Order::Await`] and later one of the two.
    RequestNext,
}

impl Server {
    /// A server for the connection `of`, which waits for questions as long as the table says.
    pub fn new(of: u64) -> Self {
        Self {
            session: Session::new(Role::Responder, of, 0),
        }
    }

    /// The same, but it waits for each question so long, or for ever.
    #[must_use]
    pub fn with_idle(mut self, idle: Option<Duration>) -> Self {
        self.session.limit(IDLE, idle);
        self
    }

    fn on_received(&mut self, cx: &mut Cx<'_, Action<Fact>>, bytes: &Bytes) {
        match self.session.hear(cx, bytes) {
            Some(Message::RequestNext) => cx.act(Action::Fact(Fact::RequestNext)),
            Some(Message::FindIntersect(points)) => {
                cx.act(Action::Fact(Fact::FindIntersect(points)));
            }
            Some(
                Message::Done
                | Message::AwaitReply
                | Message::RollForward { .. }
                | Message::RollBackward { .. }
                | Message::IntersectFound { .. }
                | Message::IntersectNotFound { .. },
            ) => self.session.conclude(cx),
            None => {}
        }
    }

    fn on_order(&mut self, cx: &mut Cx<'_, Action<Fact>>, order: Order) {
        let message = match order {
            Order::Found { point, tip } => Message::IntersectFound { point, tip },
            Order::NotFound { tip } => Message::IntersectNotFound { tip },
            Order::Forward { header, tip } => Message::RollForward { header, tip },
            Order::Backward { point, tip } => Message::RollBackward { point, tip },
            Order::Await => Message::AwaitReply,
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
