//! The messages of keep-alive.

use bytes::{Bytes, BytesMut};

use super::{KEEP_ALIVE, MSG_DONE, RESPONSE, SPEC};
use crate::{
    base::{Kind, Spec, State},
    proto::Protocol,
    wire::codec::{DecodeError, Reader, Writer},
};

/// keep-alive as a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeepAlive;

/// Any message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Message {
    /// `[0, cookie]`: a probe.
    KeepAlive(u16),
    /// `[2]`: the client's goodbye.
    Done,
    /// `[1, cookie]`: the probe's cookie comes back.
    Response(u16),
}

impl Protocol for KeepAlive {
    const SPEC: &'static Spec = &SPEC;
    type Message = Message;

    fn kind(message: &Message) -> Kind {
        match message {
            Message::KeepAlive(_) => KEEP_ALIVE,
            Message::Done => MSG_DONE,
            Message::Response(_) => RESPONSE,
        }
    }

    fn decode(state: State, bytes: &Bytes) -> Result<Message, DecodeError> {
        let (kind, mut reader) = Reader::message(bytes, &SPEC, state)?;
        let message = match kind {
            KEEP_ALIVE => Message::KeepAlive(reader.u16()?),
            RESPONSE => Message::Response(reader.u16()?),
            _ => Message::Done,
        };
        reader.end()?;
        Ok(message)
    }

    fn encode(message: &Message, out: &mut BytesMut) -> Bytes {
        let mut writer = Writer::message(out, &SPEC, Self::kind(message));
        match message {
            Message::KeepAlive(cookie) | Message::Response(cookie) => {
                writer.u64(*cookie);
            }
            Message::Done => {}
        }
        Bytes::new()
    }
}
