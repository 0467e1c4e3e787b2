//! Messages as bytes.

use bytes::{Bytes, BytesMut};

use super::{MSG_DONE, MSG_FOLLOW_TIP, NEXT_TIP, NEXT_TIP_DONE, SPEC, TipSample};
use crate::{
    base::{Kind, Slot, Spec, State, Tip},
    proto::Protocol,
    wire::codec::{DecodeError, Reader, Writer},
};

/// All messages of tip-sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Message {
    /// `[0, count, slot]`: the client asks for the next tips.
    FollowTip {
        /// Tips wanted; 0 is a fault.
        count: u16,
        /// The first tip has this slot or a later one.
        slot: Slot,
    },
    /// `[1, tip]`: a tip, and more are due.
    NextTip(Tip),
    /// `[2, tip]`: the last tip that was due.
    NextTipDone(Tip),
    /// `[3]`: the client ends the protocol.
    Done,
}

impl Protocol for TipSample {
    const SPEC: &'static Spec = &SPEC;
    type Message = Message;

    fn kind(message: &Message) -> Kind {
        match message {
            Message::FollowTip { .. } => MSG_FOLLOW_TIP,
            Message::NextTip(_) => NEXT_TIP,
            Message::NextTipDone(_) => NEXT_TIP_DONE,
            Message::Done => MSG_DONE,
        }
    }

    fn decode(state: State, bytes: &Bytes) -> Result<Message, DecodeError> {
        let (kind, mut reader) = Reader::message(bytes, &SPEC, state)?;
        let message = match kind {
            MSG_FOLLOW_TIP => Message::FollowTip {
                count: reader.u16()?,
                slot: reader.u64()?,
            },
            NEXT_TIP => Message::NextTip(reader.tip()?),
            NEXT_TIP_DONE => Message::NextTipDone(reader.tip()?),
            _ => Message::Done,
        };
        reader.end()?;
        Ok(message)
    }

    fn encode(message: &Message, out: &mut BytesMut) -> Bytes {
        let mut writer = Writer::message(out, &SPEC, Self::kind(message));
        match message {
            Message::FollowTip { count, slot } => writer.u64(*count).u64(*slot),
            Message::NextTip(tip) | Message::NextTipDone(tip) => writer.tip(tip),
            Message::Done => &mut writer,
        };
        Bytes::new()
    }
}

/// Writes `MsgFollowTip` as it was in 2020: three items behind a head of two. No multiplexer can
/// find its end; for comparison with records only.
pub fn write_historical(count: u16, slot: Slot, out: &mut BytesMut) {
    Writer::new(out).array(2).u64(0_u8).u64(count).u64(slot);
}

/// Reads what [`write_historical`] writes: the number of tips and the slot.
pub fn read_historical(bytes: &Bytes) -> Result<(u16, Slot), DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.array(2)?;
    let label = reader.u64()?;
    if label != 0 {
        return Err(DecodeError::Label { label });
    }
    let read = (reader.u16()?, reader.u64()?);
    reader.end()?;
    Ok(read)
}
