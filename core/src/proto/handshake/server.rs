//! Answers a proposal.
//!
//! In: `Start`, one proposal. Out: the answer, then exactly one fact and the end. `Stop` and
//! orders mean nothing here.

use bytes::Bytes;

use super::{Agreed, Config, Failure, Handshake, Message, SPEC, VersionTable, negotiate};
use crate::{
    base::{Cx, Instant, Machine, Role, Spec, Violated},
    proto::{Action, Event, Half, session::Session},
};

/// The half of the end that was dialled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Server {
    session: Session<Handshake>,
    offer: VersionTable,
}

/// Nothing is asked of the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {}

/// How it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// We accepted; the answer is on its way.
    Agreed(Agreed),
    /// We refuse; the refusal is on its way and should be flushed before the connection ends.
    Refusing(Failure),
    /// The peer only wanted our table, which is on its way.
    Queried,
}

impl Server {
    /// A server for the connection `of` that accepts what follows from `config`. Only a client
    /// queries, so that switch does not count here.
    pub fn new(of: u64, config: &Config) -> Self {
        let config = Config {
            query: false,
            ..*config
        };
        Self::offering(of, config.table())
    }

    /// A server for the connection `of` that accepts from this table.
    pub fn offering(of: u64, offer: VersionTable) -> Self {
        Self {
            session: Session::new(Role::Responder, of, 0),
            offer,
        }
    }

    fn on_received(&mut self, cx: &mut Cx<'_, Action<Fact>>, bytes: &Bytes) {
        match self.session.hear(cx, bytes) {
            Some(Message::ProposeVersions(theirs)) => {
                let (answer, fact) = self.judge(&theirs);
                self.answer(cx, &answer, fact);
            }
            Some(
                Message::ReplyVersions(_)
                | Message::AcceptVersion { .. }
                | Message::Refuse(_)
                | Message::QueryReply(_),
            ) => self.session.conclude(cx),
            None => {}
        }
    }

    fn judge(&self, theirs: &VersionTable) -> (Message, Fact) {
        match negotiate(&self.offer, theirs) {
            Ok(agreed) if agreed.data.query => {
                (Message::QueryReply(self.offer.clone()), Fact::Queried)
            }
            Ok(agreed) => {
                let Agreed { version, data } = agreed;
                let data = data.encode(version);
                (
                    Message::AcceptVersion { version, data },
                    Fact::Agreed(agreed),
                )
            }
            Err(refusal) => (
                Message::Refuse(refusal.to_reason(&self.offer)),
                Fact::Refusing(refusal.into()),
            ),
        }
    }

    fn answer(&mut self, cx: &mut Cx<'_, Action<Fact>>, answer: &Message, fact: Fact) {
        let Some(turn) = self.session.turn() else {
            return;
        };
        if let Ok(encoded) = turn.send(cx.now, cx.choice, answer) {
            cx.act(Action::Send(encoded));
            cx.act(Action::Fact(fact));
            self.session.conclude(cx);
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
