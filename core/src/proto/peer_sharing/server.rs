//! Answers a peer that asks for addresses of others.
//!
//! The next question is read only when this one is answered. Invariants: those of the session,
//! and 11. a question is open only while our answer is due.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{ADDRESSES_MAX, BUSY, Message, PeerSharing, SPEC};
use crate::{
    base::{Cx, Instant, Machine, Role, Spec, Violated, violated},
    proto::{Action, Event, Half, Protocol as _, session::Session},
};

/// What its owner answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// The addresses; cut to what was asked for and to what fits the byte limit.
    Share(Vec<SocketAddr>),
}

/// What the server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer asks for up to this many addresses; answered by [`Order::Share`].
    Asked(u8),
}

/// The answering half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Server {
    session: Session<PeerSharing>,
    /// What the open question asks for.
    asked: u8,
}

impl Server {
    /// A half that waits for a question. `of` is the instance that draws are made for.
    pub fn new(of: u64) -> Self {
        Self {
            session: Session::new(Role::Responder, of, 0),
            asked: 0,
        }
    }

    fn on_message(&mut self, cx: &mut Cx<'_, Action<Fact>>, message: &Message) {
        match message {
            Message::ShareRequest(amount) => {
                self.asked = *amount;
                cx.act(Action::Fact(Fact::Asked(*amount)));
            }
            Message::Done => self.session.conclude(cx),
            Message::SharePeers(_) => {}
        }
    }

    fn share(&mut self, cx: &mut Cx<'_, Action<Fact>>, mut addresses: Vec<SocketAddr>) {
        addresses.truncate(ADDRESSES_MAX.min(usize::from(self.asked)));
        if self
            .session
            .say(cx, &Message::SharePeers(addresses))
            .is_ok()
        {
            self.asked = 0;
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
            Event::Received(bytes) => {
                if let Some(message) = self.session.hear(cx, &bytes) {
                    self.on_message(cx, &message);
                }
            }
            Event::Order(Order::Share(addresses)) => self.share(cx, addresses),
            // Only the client can say goodbye.
            Event::Stop => {}
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
            "a question is open only while our answer is due",
        )
    }
}

impl Half for Server {
    type Order = Order;
    type Fact = Fact;
    const SPEC: &'static Spec = PeerSharing::SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}
