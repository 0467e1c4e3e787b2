//! Listens on one lane of a link.
//!
//! Invariants: those of the session.

use super::{Frame, Lane, Message};
use crate::{
    base::{Cx, Instant, Machine, Role, Spec, Violated},
    proto::{Action, Event, Half, session::Session},
};

/// The server can be asked nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {}

/// What the server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer said this.
    Heard(Frame),
}

/// The listening half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound = ""))]
pub struct Server<L> {
    session: Session<L>,
}

impl<L: Lane> Server<L> {
    /// A half that has heard nothing yet. `of` is the instance that draws are made for.
    pub fn new(of: u64) -> Self {
        Self {
            session: Session::new(Role::Responder, of, 0),
        }
    }
}

impl<L: Lane> Machine for Server<L> {
    type Event = Event<Order>;
    type Action = Action<Fact>;

    fn step(&mut self, cx: &mut Cx<'_, Action<Fact>>, event: Event<Order>) {
        if self.session.is_over() {
            return;
        }
        match event {
            Event::Start => self.session.start(cx.now, cx.choice),
            Event::Received(bytes) => match self.session.hear(cx, &bytes) {
                Some(Message::Frame(frame)) => cx.act(Action::Fact(Fact::Heard(frame))),
                Some(Message::Done) => self.session.conclude(cx),
                None => {}
            },
            Event::Order(order) => match order {},
            // Only the speaker can say goodbye.
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

impl<L: Lane> Half for Server<L> {
    type Order = Order;
    type Fact = Fact;
    const SPEC: &'static Spec = L::SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}
