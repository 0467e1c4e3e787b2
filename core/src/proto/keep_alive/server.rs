//! Answers every probe with its cookie.
//!
//! In: probes. Out: answers; a probe may be at most 97 s away. `Stop` means nothing here: only
//! the client can end the protocol.

use bytes::Bytes;

use super::{KeepAlive, Message, SPEC};
use crate::{
    base::{Cx, Instant, Machine, Role, Spec, Violated},
    proto::{Action, Event, Half, session::Session},
};

/// The server half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Server {
    session: Session<KeepAlive>,
}

/// Nothing is asked of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {}

/// The server tells nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {}

impl Server {
    /// A server for the connection `of`.
    pub fn new(of: u64) -> Self {
        Self {
            session: Session::new(Role::Responder, of, 0),
        }
    }

    fn on_received(&mut self, cx: &mut Cx<'_, Action<Fact>>, bytes: &Bytes) {
        match self.session.hear(cx, bytes) {
            Some(Message::KeepAlive(cookie)) => {
                // We have agency now, so it can be sent.
                let _ = self.session.say(cx, &Message::Response(cookie));
            }
            Some(Message::Done | Message::Response(_)) => self.session.conclude(cx),
            None => {}
        }
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
            Event::Order(order) => match order {},
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
