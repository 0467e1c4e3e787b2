//! What the tests of all halves share: a half with a clock, and the laws of codecs.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::{Bytes, BytesMut};

use super::{Action, Event, Fault, Half, Protocol};
use crate::{
    base::{Cx, Instant, NoRules, Rules, Seeded, State},
    wire::{Encoded, codec::DecodeError},
};

/// A started half, its clock and its rules. Invariants are checked after every step.
pub(super) struct Rig<H> {
    pub(super) half: H,
    pub(super) now: Instant,
    rules: &'static dyn Rules,
    choice: Seeded,
}

impl<H: Half + Clone + PartialEq> Rig<H> {
    /// Starts the half at 1 s; what it did at its start comes back too.
    pub(super) fn start(half: H) -> (Self, Vec<Action<H::Fact>>) {
        Self::with_rules(half, &NoRules)
    }

    pub(super) fn with_rules(half: H, rules: &'static dyn Rules) -> (Self, Vec<Action<H::Fact>>) {
        let mut rig = Self {
            half,
            now: Instant::from_secs(1),
            rules,
            choice: Seeded::new(1),
        };
        let out = rig.step(Event::Start);
        (rig, out)
    }

    pub(super) fn step(&mut self, event: Event<H::Order>) -> Vec<Action<H::Fact>> {
        let mut out = Vec::new();
        let mut cx = Cx::new(self.now, &mut self.choice, self.rules, &mut out);
        self.half.step(&mut cx, event);
        self.half.check_invariants().unwrap();
        out
    }

    pub(super) fn order(&mut self, order: H::Order) -> Vec<Action<H::Fact>> {
        self.step(Event::Order(order))
    }

    pub(super) fn stop(&mut self) -> Vec<Action<H::Fact>> {
        self.step(Event::Stop)
    }

    pub(super) fn receive<P: Protocol>(&mut self, message: &P::Message) -> Vec<Action<H::Fact>> {
        assert!(self.half.awaits().is_some(), "the peer may speak");
        self.step(Event::Received(encode::<P>(message)))
    }

    /// Ticks after `span`, and just before, which must change nothing.
    pub(super) fn tick_after(&mut self, span: Duration) -> Vec<Action<H::Fact>> {
        let due = self.now.after(span);
        self.now = Instant::from_micros(due.as_micros() - 1);
        let before = self.half.clone();
        assert!(
            self.step(Event::Tick).is_empty(),
            "an early tick does nothing"
        );
        assert!(self.half == before, "an early tick changes nothing");
        self.now = due;
        let out = self.step(Event::Tick);
        assert!(self.half.next_deadline().is_none_or(|at| at > self.now));
        out
    }
}

/// The one message among `actions`, read in `state` as the peer reads it.
pub(super) fn sent<P: Protocol, F>(state: State, actions: &[Action<F>]) -> P::Message {
    let messages: Vec<&Encoded> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Send(encoded) => Some(encoded),
            _ => None,
        })
        .collect();
    assert_eq!(messages.len(), 1, "one message is sent");
    P::decode(state, &flat(messages[0])).unwrap()
}

pub(super) fn flat(encoded: &Encoded) -> Bytes {
    [encoded.head.as_ref(), encoded.body.as_ref()]
        .concat()
        .into()
}

pub(super) fn encode<P: Protocol>(message: &P::Message) -> Bytes {
    let mut head = BytesMut::new();
    let body = P::encode(message, &mut head);
    [head.as_ref(), body.as_ref()].concat().into()
}

/// The faults among `actions`.
pub(super) fn failed<F>(actions: &[Action<F>]) -> Option<Fault> {
    actions.iter().find_map(|action| match action {
        Action::Failed(fault) => Some(*fault),
        _ => None,
    })
}

/// What is written is read again in every state that has the message, is refused by its label in
/// every other, with a byte less, with one more, and with another number of items.
pub(super) fn codec_laws<P: Protocol>(message: &P::Message) -> bool
where
    P::Message: PartialEq,
{
    let bytes = encode::<P>(message);
    let mut legal = 0;
    for (state, _) in (0_u8..).zip(P::SPEC.states) {
        let state = State(state);
        let read = P::decode(state, &bytes);
        if P::SPEC.edge(state, P::kind(message)).is_none() {
            if !matches!(read, Err(DecodeError::Label { .. })) {
                return false;
            }
            continue;
        }
        legal += 1;
        let again = read.as_ref().map(encode::<P>);
        let longer: Bytes = [bytes.as_ref(), &[0]].concat().into();
        let mut wrong = bytes.to_vec();
        wrong[0] ^= 1;
        let holds = read.as_ref() == Ok(message)
            && again.as_ref() == Ok(&bytes)
            && P::decode(state, &bytes.slice(..bytes.len() - 1)).is_err()
            && P::decode(state, &longer) == Err(DecodeError::Trailing { left: 1 })
            && P::decode(state, &wrong.into()).is_err();
        if !holds {
            return false;
        }
    }
    legal > 0
}

/// No bytes make a decoder panic, and what it accepts is read again from its own encoding.
pub(super) fn total<P: Protocol>(bytes: &[u8]) -> bool
where
    P::Message: PartialEq,
{
    // Half of the cases begin as a message does, or hardly any would be accepted.
    let labelled = [&[0x82, 0x00], bytes].concat();
    let cases = [Bytes::copy_from_slice(bytes), labelled.into()];
    cases.iter().all(|bytes| {
        (0_u8..).zip(P::SPEC.states).all(|(state, _)| {
            let state = State(state);
            match P::decode(state, bytes) {
                Ok(message) => P::decode(state, &encode::<P>(&message)) == Ok(message),
                Err(_) => true,
            }
        })
    })
}
