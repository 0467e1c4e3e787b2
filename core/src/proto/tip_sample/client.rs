//! Samples how soon a peer learns new tips.
//!
//! Invariants: those of the session, and 11. tips are due only while they are awaited.

use super::{FOLLOW_TIP, Message, SPEC, TipSample};
use crate::{
    base::{Cx, Instant, Machine, Role, Slot, Spec, Tip, Violated, violated},
    proto::{Action, Event, Fault, Half, Protocol as _, session::Session},
};

/// What its owner can ask of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask for the next `count` tips from `slot` on; ignored while tips are due.
    Follow {
        /// Tips wanted, at least 1.
        count: u16,
        /// The first tip has this slot or a later one.
        slot: Slot,
    },
}

/// What the client tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A tip that was asked for.
    Sampled {
        /// The tip.
        tip: Tip,
        /// Tips still due.
        left: u16,
    },
}

/// The asking half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Client {
    session: Session<TipSample>,
    /// Tips still due.
    left: u16,
    /// The next tip must have this slot or a later one; only the first tip of a question is bound.
    from: Option<Slot>,
    stopping: bool,
}

impl Client {
    /// A half that asks nothing yet. `of` is the instance that draws are made for.
    pub fn new(of: u64) -> Self {
        Self {
            session: Session::new(Role::Initiator, of, 0),
            left: 0,
            from: None,
            stopping: false,
        }
    }

    fn on_message(&mut self, cx: &mut Cx<'_, Action<Fact>>, message: Message) {
        let (tip, last) = match message {
            Message::NextTip(tip) => (tip, false),
            Message::NextTipDone(tip) => (tip, true),
            Message::FollowTip { .. } | Message::Done => return,
        };
        let early = self
            .from
            .take()
            .is_some_and(|from| tip.point.slot() < Some(from));
        if early || last != (self.left == 1) {
            return self.session.reject(cx, Fault::TipSample);
        }
        self.left = self.left.saturating_sub(1);
        let left = self.left;
        cx.act(Action::Fact(Fact::Sampled { tip, left }));
        if self.stopping {
            self.goodbye(cx);
        }
    }

    fn follow(&mut self, cx: &mut Cx<'_, Action<Fact>>, count: u16, slot: Slot) {
        let message = Message::FollowTip { count, slot };
        if count > 0 && !self.stopping && self.session.say(cx, &message).is_ok() {
            self.left = count;
            self.from = Some(slot);
        }
    }

    /// Ends the protocol unless tips are due.
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
            Event::Order(Order::Follow { count, slot }) => self.follow(cx, count, slot),
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
        let due = self.session.state() == FOLLOW_TIP && !self.session.is_over();
        violated(
            self.session.is_over() || due == (self.left > 0),
            SPEC.name,
            11,
            "tips are due only while they are awaited",
        )
    }
}

impl Half for Client {
    type Order = Order;
    type Fact = Fact;
    const SPEC: &'static Spec = TipSample::SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}
