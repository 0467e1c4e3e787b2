//! Asks a peer for addresses of others.
//!
//! One question at a time. Invariants: those of the session, and 11. a question is open only while
//! its answer is awaited.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{BUSY, Message, PeerSharing, SPEC};
use crate::{
    base::{Cx, Instant, Machine, Role, Spec, Violated, violated},
    proto::{Action, Event, Fault, Half, Protocol as _, session::Session},
};

/// What its owner can ask of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask for up to this many addresses; ignored while an answer is due.
    Ask(u8),
}

/// What the client tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer's answer, at most as many as asked for.
    Shared(Vec<SocketAddr>),
}

/// The asking half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Client {
    session: Session<PeerSharing>,
    /// What the open question asked for.
    asked: u8,
    stopping: bool,
}

impl Client {
    /// A half that asks nothing yet. `of` is the instance that draws are made for.
    pub fn new(of: u64) -> Self {
        Self {
            session: Session::new(Role::Initiator, of, 0),
            asked: 0,
            stopping: false,
        }
    }

    fn on_message(&mut self, cx: &mut Cx<'_, Action<Fact>>, message: Message) {
        let Message::SharePeers(addresses) = message else {
            return;
        };
        let (asked, got) = (core::mem::take(&mut self.asked), addresses.len());
        if got > usize::from(asked) {
            return self.session.reject(cx, Fault::TooManyPeers { asked, got });
        }
        cx.act(Action::Fact(Fact::Shared(addresses)));
        if self.stopping {
            self.goodbye(cx);
        }
    }

    /// Ends the protocol unless an answer is due.
    fn goodbye(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        let _ = self.session.say(cx, &Message::Done);
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
            Event::Received(bytes) => {
                if let Some(message) = self.session.hear(cx, &bytes) {
                    self.on_message(cx, message);
                }
            }
            Event::Order(Order::Ask(amount)) => {
                if !self.stopping && self.session.say(cx, &Message::ShareRequest(amount)).is_ok() {
                    self.asked = amount;
                }
            }
            Event::Stop => {
                self.stopping = true;
                self.goodbye(cx);
            }
            Event::Tick => self.session.tick(cx),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.session.next_deadline()
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        self.session.check_invariants()?;
        violated(
            self.asked == 0 || self.session.state() == BUSY,
            SPEC.name,
            11,
            "a question is open only while its answer is awaited",
        )
    }
}

impl Half for Client {
    type Order = Order;
    type Fact = Fact;
    const SPEC: &'static Spec = PeerSharing::SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}
