//! Speaks on one lane of a link.
//!
//! Invariants: those of the session.

use super::{Frame, Lane, Message, OPEN, Unfit};
use crate::{
    base::{Cx, Instant, Machine, Role, Spec, Violated},
    proto::{Action, Event, Half, session::Session},
};

/// What its owner can ask of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Send this; ignored after the farewell.
    Say(Frame),
}

/// What the client tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A frame was not sent, because no peer would have taken it on this lane.
    Unfit(Unfit),
}

/// The speaking half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound = ""))]
pub struct Client<L> {
    session: Session<L>,
}

impl<L: Lane> Client<L> {
    /// A half that has said nothing yet. `of` is the instance that draws are made for.
    pub fn new(of: u64) -> Self {
        Self {
            session: Session::new(Role::Initiator, of, 0),
        }
    }

    fn say(&mut self, cx: &mut Cx<'_, Action<Fact>>, frame: Frame) {
        if let Err(unfit) = fits::<L>(&frame) {
            return cx.act(Action::Fact(Fact::Unfit(unfit)));
        }
        // It is always our turn until the farewell.
        let _ = self.session.say(cx, &Message::Frame(frame));
    }
}

/// Whether a frame belongs to the lane and can be read there.
fn fits<L: Lane>(frame: &Frame) -> Result<(), Unfit> {
    let here = match frame {
        Frame::Relay { frame, .. } => L::may_be_relayed(frame.kind()),
        _ => L::SPEC.edge(OPEN, frame.kind()).is_some(),
    };
    if here {
        return frame.check();
    }
    let kind = frame.kind().0;
    Err(Unfit { kind })
}

impl<L: Lane> Machine for Client<L> {
    type Event = Event<Order>;
    type Action = Action<Fact>;

    fn step(&mut self, cx: &mut Cx<'_, Action<Fact>>, event: Event<Order>) {
        if self.session.is_over() {
            return;
        }
        match event {
            Event::Start => self.session.start(cx.now, cx.choice),
            // Only we speak; the owner never reads for this half.
            Event::Received(bytes) => drop(self.session.hear(cx, &bytes)),
            Event::Order(Order::Say(frame)) => self.say(cx, frame),
            Event::Stop => drop(self.session.say(cx, &Message::Done)),
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

impl<L: Lane> Half for Client<L> {
    type Order = Order;
    type Fact = Fact;
    const SPEC: &'static Spec = L::SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}
