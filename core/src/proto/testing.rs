//! What the tests of all halves share: the laws of codecs, and readers of actions.

use alloc::vec::Vec;
use core::fmt::Debug;

use bytes::{Bytes, BytesMut};

pub(super) use super::rig::Rig;
use super::{Action, Fault, Protocol};
use crate::{
    base::{Kind, State},
    wire::{Encoded, codec::DecodeError},
};

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

/// A message whole.
pub(super) fn flat(encoded: &Encoded) -> Bytes {
    [encoded.head.as_ref(), encoded.body.as_ref()]
        .concat()
        .into()
}

/// A message as it travels.
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

/// Asserts for each cell of the table that a message decodes there exactly if it has an edge, and
/// then only whole, alone and in a definite array; gives how many cells there are.
pub(super) fn every_cell<P: Protocol>(sample: impl Fn(Kind) -> P::Message) -> usize
where
    P::Message: Debug + PartialEq,
{
    P::SPEC.check().unwrap();
    let mut seen = 0;
    for (state, kind, edge) in P::SPEC.cells() {
        let message = sample(kind);
        assert_eq!(P::kind(&message), kind);
        let bytes = encode::<P>(&message);
        let got = P::decode(state, &bytes);
        if edge.is_some() {
            assert_eq!(got.as_ref(), Ok(&message), "{state:?}");
            let longer = [&bytes[..], &[0]].concat();
            assert!(P::decode(state, &longer.into()).is_err());
            for len in 0..bytes.len().min(2_000) {
                assert!(P::decode(state, &bytes.slice(..len)).is_err());
            }
            let open = [&[0x9f], &bytes[1..], &[0xff]].concat();
            assert!(P::decode(state, &open.into()).is_err());
        } else {
            assert_ne!(got.ok(), Some(message), "{state:?} {kind:?}");
        }
        seen += 1;
    }
    seen
}
