//! Tells a peer our next tips as soon as they are ours.
//!
//! Invariants: those of the session, and 11. tips are owed only while it is our turn.

use super::{FOLLOW_TIP, Message, SPEC, TipSample};
use crate::{
    base::{Cx, Instant, Machine, Role, Slot, Spec, Tip, Violated, violated},
    proto::{Action, Event, Fault, Half, Protocol as _, session::Session},
};

/// What its owner tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Our tip is now this; sent when the peer waits for it and its slot is late enough.
    Tip(Tip),
}

/// What the server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer wants the next `count` tips from `slot` on; answered by [`Order::Tip`].
    Asked {
        /// Tips wanted, at least 1.
        count: u16,
        /// The first tip must have this slot or a later one.
        slot: Slot,
    },
}

/// The answering half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Server {
    session: Session<TipSample>,
    /// Tips still owed.
    left: u16,
    /// The next tip must have this slot or a later one; only the first tip of a question is bound.
    from: Option<Slot>,
}

impl Server {
    /// A half that waits for a question. `of` is the instance that draws are made for.
    pub fn new(of: u64) -> Self {
        Self {
            session: Session::new(Role::Responder, of, 0),
            left: 0,
            from: None,
        }
    }

    fn on_message(&mut self, cx: &mut Cx<'_, Action<Fact>>, message: Message) {
        match message {
            Message::FollowTip { count: 0, .. } => {
                self.session.reject(cx, Fault::TipSample);
            }
            Message::FollowTip { count, slot } => {
                self.left = count;
                self.from = Some(slot);
                cx.act(Action::Fact(Fact::Asked { count, slot }));
            }
            Message::Done => self.session.conclude(cx),
            Message::NextTip(_) | Message::NextTipDone(_) => {}
        }
    }

    fn tell(&mut self, cx: &mut Cx<'_, Action<Fact>>, tip: Tip) {
        if self.from.is_some_and(|from| tip.point.slot() < Some(from)) {
            return;
        }
        let message = match self.left {
            0 => return,
            1 => Message::NextTipDone(tip),
            _ => Message::NextTip(tip),
        };
        if self.session.say(cx, &message).is_ok() {
            self.left = self.left.saturating_sub(1);
            self.from = None;
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
                    self.on_message(cx, message);
                }
            }
            Event::Order(Order::Tip(tip)) => self.tell(cx, tip),
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
        let due = self.session.state() == FOLLOW_TIP;
        violated(
            self.session.is_over() || due == (self.left > 0),
            SPEC.name,
            11,
            "tips are owed only while it is our turn",
        )
    }
}

impl Half for Server {
    type Order = Order;
    type Fact = Fact;
    const SPEC: &'static Spec = TipSample::SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}
