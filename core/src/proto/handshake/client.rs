//! Proposes, and judges the answer.
//!
//! In: `Start`, one answer. Out: the proposal, then exactly one fact and the end. An answer that
//! the peer negotiated is negotiated again from its own words, so that one who answers with its
//! own record instead does no harm. `Stop` and orders mean nothing here.

use bytes::Bytes;

use super::{
    Agreed, Config, Failure, Handshake, Message, Reason, Refusal, SPEC, Version, VersionTable,
    negotiate,
};
use crate::{
    base::{Cx, Instant, Machine, Role, Spec, Violated},
    proto::{Action, Event, Half, session::Session},
};

/// The half of the end that dialled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Client {
    session: Session<Handshake>,
    offer: VersionTable,
}

/// Nothing is asked of the handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {}

/// How it came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Both ends agree. Whether by the peer's acceptance or because both dialled makes no
    /// difference.
    Agreed(Agreed),
    /// They do not.
    Refused(Failure),
    /// We asked only for the peer's table: here it is, without versions unknown to us.
    Queried(VersionTable),
}

impl Client {
    /// A client for the connection `of` that offers what follows from `config`.
    pub fn new(of: u64, config: &Config) -> Self {
        Self::offering(of, config.table())
    }

    /// A client for the connection `of` that offers this table.
    pub fn offering(of: u64, offer: VersionTable) -> Self {
        Self {
            session: Session::new(Role::Initiator, of, 0),
            offer,
        }
    }

    fn on_start(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        self.session.start(cx.now, cx.choice);
        let proposal = Message::ProposeVersions(self.offer.clone());
        // Refused only when it was sent before.
        let _ = self.session.say(cx, &proposal);
    }

    fn on_received(&mut self, cx: &mut Cx<'_, Action<Fact>>, bytes: &Bytes) {
        let fact = match self.session.hear(cx, bytes) {
            Some(Message::AcceptVersion { version, data }) => self.accepted(version, data),
            Some(Message::Refuse(reason)) => Fact::Refused(refused(&reason)),
            Some(Message::QueryReply(table)) => Fact::Queried(table),
            Some(Message::ReplyVersions(theirs) | Message::ProposeVersions(theirs)) => {
                match negotiate(&self.offer, &theirs) {
                    Ok(agreed) => Fact::Agreed(agreed),
                    Err(refusal) => Fact::Refused(refusal.into()),
                }
            }
            None => return,
        };
        cx.act(Action::Fact(fact));
        self.session.conclude(cx);
    }

    fn accepted(&self, version: Version, data: Bytes) -> Fact {
        if !self.offer.0.contains_key(&version) {
            return Fact::Refused(Failure::NotRecognised(version));
        }
        let chosen = VersionTable([(version, data)].into());
        match negotiate(&self.offer, &chosen) {
            Ok(agreed) => Fact::Agreed(agreed),
            Err(Refusal::DecodeError(version)) => Fact::Refused(Failure::DecodeError(version)),
            Err(Refusal::Magic { .. } | Refusal::VersionMismatch) => {
                Fact::Refused(Failure::InvalidSelection(version))
            }
        }
    }
}

/// What the peer could not read is its verdict on us, not ours on it.
const fn refused(reason: &Reason) -> Failure {
    match reason {
        Reason::VersionMismatch(_) => Failure::VersionMismatch,
        Reason::DecodeError { version, .. } | Reason::Refused { version, .. } => {
            Failure::Refused(*version)
        }
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
            Event::Start => self.on_start(cx),
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

impl Half for Client {
    type Order = Order;
    type Fact = Fact;

    const SPEC: &'static Spec = &SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}
