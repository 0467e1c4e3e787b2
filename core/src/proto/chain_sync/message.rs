//! The messages of chain-sync.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::{
    AWAIT_REPLY, FIND_INTERSECT, INTERSECT_FOUND, INTERSECT_NOT_FOUND, MSG_DONE, REQUEST_NEXT,
    ROLL_BACKWARD, ROLL_FORWARD, SPEC,
};
use crate::{
    base::{Kind, Point, Spec, State, Tip},
    proto::Protocol,
    wire::codec::{DecodeError, ListForm, Reader, Writer},
};

/// chain-sync as a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChainSync;

/// Any message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// `[0]`: what comes next?
    RequestNext,
    /// `[4, [* point]]`: which of these is the first on your chain?
    FindIntersect(Vec<Point>),
    /// `[7]`: the client's goodbye.
    Done,
    /// `[1]`: nothing yet; the answer follows.
    AwaitReply,
    /// `[2, header, tip]`: one header more.
    RollForward {
        /// The header verbatim, one item, its era envelope included.
        header: Bytes,
        /// The server's tip.
        tip: Tip,
    },
    /// `[3, point, tip]`: go back to this point.
    RollBackward {
        /// The newest common point.
        point: Point,
        /// The server's tip.
        tip: Tip,
    },
    /// `[5, point, tip]`: this one is on the chain.
    IntersectFound {
        /// One of the points asked for.
        point: Point,
        /// The server's tip.
        tip: Tip,
    },
    /// `[6, tip]`: none is.
    IntersectNotFound {
        /// The server's tip.
        tip: Tip,
    },
}

impl Protocol for ChainSync {
    const SPEC: &'static Spec = &SPEC;
    type Message = Message;

    #[inline]
    fn kind(message: &Message) -> Kind {
        match message {
            Message::RequestNext => REQUEST_NEXT,
            Message::FindIntersect(_) => FIND_INTERSECT,
            Message::Done => MSG_DONE,
            Message::AwaitReply => AWAIT_REPLY,
            Message::RollForward { .. } => ROLL_FORWARD,
            Message::RollBackward { .. } => ROLL_BACKWARD,
            Message::IntersectFound { .. } => INTERSECT_FOUND,
            Message::IntersectNotFound { .. } => INTERSECT_NOT_FOUND,
        }
    }

    fn decode(state: State, bytes: &Bytes) -> Result<Message, DecodeError> {
        let (kind, mut reader) = Reader::message(bytes, &SPEC, state)?;
        let message = match kind {
            REQUEST_NEXT => Message::RequestNext,
            FIND_INTERSECT => Message::FindIntersect(points(&mut reader)?),
            AWAIT_REPLY => Message::AwaitReply,
            ROLL_FORWARD => Message::RollForward {
                header: header(bytes, &mut reader)?,
                tip: reader.tip()?,
            },
            ROLL_BACKWARD => Message::RollBackward {
                point: reader.point()?,
                tip: reader.tip()?,
            },
            INTERSECT_FOUND => Message::IntersectFound {
                point: reader.point()?,
                tip: reader.tip()?,
            },
            INTERSECT_NOT_FOUND => Message::IntersectNotFound { tip: reader.tip()? },
            _ => Message::Done,
        };
        reader.end()?;
        Ok(message)
    }

    fn encode(message: &Message, out: &mut BytesMut) -> Bytes {
        // The busiest message is a constant.
        if matches!(message, Message::RequestNext) {
            return Bytes::from_static(&[0x81, 0]);
        }
        let mut writer = Writer::message(out, &SPEC, Self::kind(message));
        match message {
            Message::RequestNext | Message::Done | Message::AwaitReply => {}
            Message::FindIntersect(points) if points.is_empty() => {
                writer.array(0);
            }
            Message::FindIntersect(points) => {
                writer.open();
                for point in points {
                    writer.point(point);
                }
                writer.close();
            }
            Message::RollForward { header, tip } => {
                writer.raw(header).tip(tip);
            }
            Message::RollBackward { point, tip } | Message::IntersectFound { point, tip } => {
                writer.point(point).tip(tip);
            }
            Message::IntersectNotFound { tip } => {
                writer.tip(tip);
            }
        }
        Bytes::new()
    }
}

/// Both forms of list are read. src: Ouroboros network specification, "CDDL", chain-sync
fn points(reader: &mut Reader<'_>) -> Result<Vec<Point>, DecodeError> {
    let mut list = reader.list(ListForm::Either, POINTS_MAX)?;
    let mut points = Vec::new();
    while reader.more(&mut list)? {
        points.push(reader.point()?);
    }
    Ok(points)
}

/// A header in its envelope: `[era, 24(bytes)]`, and for Byron `[0, [[kind, size], 24(bytes)]]`
/// with kind 0 (epoch boundary) or 1. What is inside tag 24 is for the application to judge.
fn header(whole: &Bytes, reader: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
    let from = reader.position();
    reader.array(2)?;
    if reader.u8()? == 0 {
        reader.array(2)?;
        reader.array(2)?;
        let at = u32::try_from(reader.position()).unwrap_or(u32::MAX);
        if reader.u64()? > 1 {
            return Err(DecodeError::Range { at });
        }
        reader.u32()?;
    }
    reader.wrapped_slice()?;
    Ok(whole.slice(from..reader.position()))
}

/// No more fit into a message of 65,535 bytes.
const POINTS_MAX: u32 = 65_535;
