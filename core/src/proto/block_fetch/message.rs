//! The messages of block-fetch.

use bytes::{Bytes, BytesMut};

use super::{BATCH_DONE, BLOCK, CLIENT_DONE, NO_BLOCKS, REQUEST_RANGE, SPEC, START_BATCH};
use crate::{
    base::{Kind, Point, Spec, State},
    proto::Protocol,
    wire::codec::{DecodeError, Reader, Writer},
};

/// block-fetch as a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockFetch;

/// Any message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// `[0, point, point]`: the blocks from the first to the second, both inclusive.
    RequestRange {
        /// The oldest block.
        from: Point,
        /// The newest block.
        to: Point,
    },
    /// `[1]`: the client's goodbye.
    ClientDone,
    /// `[2]`: the blocks follow.
    StartBatch,
    /// `[3]`: the range is not here.
    NoBlocks,
    /// `[4, 24(bytes)]`: the bytes inside tag 24, never copied.
    Block(Bytes),
    /// `[5]`: that was the last one.
    BatchDone,
}

impl Protocol for BlockFetch {
    const SPEC: &'static Spec = &SPEC;
    type Message = Message;

    #[inline]
    fn kind(message: &Message) -> Kind {
        match message {
            Message::RequestRange { .. } => REQUEST_RANGE,
            Message::ClientDone => CLIENT_DONE,
            Message::StartBatch => START_BATCH,
            Message::NoBlocks => NO_BLOCKS,
            Message::Block(_) => BLOCK,
            Message::BatchDone => BATCH_DONE,
        }
    }

    fn decode(state: State, bytes: &Bytes) -> Result<Message, DecodeError> {
        let (kind, mut reader) = Reader::message(bytes, &SPEC, state)?;
        let message = match kind {
            REQUEST_RANGE => Message::RequestRange {
                from: reader.point()?,
                to: reader.point()?,
            },
            START_BATCH => Message::StartBatch,
            NO_BLOCKS => Message::NoBlocks,
            BLOCK => Message::Block(reader.wrapped()?),
            BATCH_DONE => Message::BatchDone,
            _ => Message::ClientDone,
        };
        reader.end()?;
        Ok(message)
    }

    fn encode(message: &Message, out: &mut BytesMut) -> Bytes {
        let mut writer = Writer::message(out, &SPEC, Self::kind(message));
        match message {
            Message::RequestRange { from, to } => {
                writer.point(from).point(to);
                Bytes::new()
            }
            Message::Block(body) => {
                writer.wrapped_head(body.len());
                body.clone()
            }
            Message::ClientDone | Message::StartBatch | Message::NoBlocks | Message::BatchDone => {
                Bytes::new()
            }
        }
    }
}
