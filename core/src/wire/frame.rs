//! The 8-byte segment header and its incremental reader.
//!
//! ```text
//!  0               4 bit 7   4..6            6..8
//!  ┌───────────────┬───┬─────────────────────┬──────────────┐
//!  │ time, µs (32) │ M │ mini-protocol (15)  │ length (16)  │  payload of that length …
//!  └───────────────┴───┴─────────────────────┴──────────────┘
//! ```
//!
//! All numbers are big-endian. `M` is 0 in segments of an initiator half and 1 in those of a
//! responder half. The [`Deframer`] buffers nothing but a header that is not yet whole.
//!
//! src: Ouroboros network specification, "Multiplexing", wire format

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::Encoded;
use crate::base::{ProtocolId, Role};

/// Bytes of a segment header.
pub const HEADER_BYTES: usize = 8;

/// Bytes of payload that one segment can carry, inclusive.
pub const PAYLOAD_BYTES_MAX: usize = 65_535;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Header {
    /// The low 32 bits of the sender's clock in microseconds; only differences mean anything.
    pub time_us: u32,
    /// The half that sent the segment; the receiver's half is the flipped one.
    pub sender: Role,
    /// The mini-protocol, 0..=32,767; higher bits are not sent.
    pub protocol: ProtocolId,
    /// Bytes of payload behind the header; 0 is not legal on the wire.
    pub len: u16,
}

impl Header {
    /// The header as it travels.
    pub fn encode(self) -> [u8; HEADER_BYTES] {
        let mode = match self.sender {
            Role::Initiator => 0,
            Role::Responder => 0x8000,
        };
        let number = (self.protocol.0 & 0x7fff) | mode;
        let word = u64::from(self.time_us) << 32 | u64::from(number) << 16 | u64::from(self.len);
        word.to_be_bytes()
    }

    /// Reads a header; every eight bytes are one. A length of 0 is for the caller to refuse.
    pub fn decode(bytes: [u8; HEADER_BYTES]) -> Self {
        let [t0, t1, t2, t3, n0, n1, l0, l1] = bytes;
        let number = u16::from_be_bytes([n0, n1]);
        Self {
            time_us: u32::from_be_bytes([t0, t1, t2, t3]),
            sender: if number & 0x8000 == 0 {
                Role::Initiator
            } else {
                Role::Responder
            },
            protocol: ProtocolId(number & 0x7fff),
            len: u16::from_be_bytes([l0, l1]),
        }
    }
}

/// One message as one segment: header, head and body in one buffer. For the handshake, in which
/// a message is always one segment.
///
/// `None` when the message is empty or longer than [`PAYLOAD_BYTES_MAX`].
pub fn segment(
    time_us: u32,
    sender: Role,
    protocol: ProtocolId,
    message: &Encoded,
) -> Option<Bytes> {
    let len = u16::try_from(message.len()).ok().filter(|len| *len > 0)?;
    let header = Header {
        time_us,
        sender,
        protocol,
        len,
    };
    let mut out = BytesMut::with_capacity(HEADER_BYTES.saturating_add(message.len()));
    out.put_slice(&header.encode());
    out.put_slice(&message.head);
    out.put_slice(&message.body);
    Some(out.freeze())
}

/// A header with a length of 0. The peer's fault; the stream cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a segment of no bytes")]
pub struct EmptySegment;

/// A run of payload bytes of one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The header of the segment that the bytes belong to.
    pub header: Header,
    /// At least one byte; a slice of what was read.
    pub bytes: Bytes,
}

/// Cuts a byte stream at its segment borders, whatever the reads were.
///
/// Payload is passed on as it arrives and never kept: a payload that arrives in two reads comes
/// out as two pieces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Deframer {
    /// The header's first bytes, as many as `have`; beyond that zero.
    head: [u8; HEADER_BYTES],
    have: u8,
    /// The segment whose payload is due, and how much of it.
    open: Option<(Header, u16)>,
    /// Segments that came whole.
    whole: u64,
}

impl Deframer {
    /// At a segment border.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece off the front of `input`; `None` once `input` is used up. What is
    /// behind the piece stays in `input`.
    ///
    /// After an error the stream has no meaning any more.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Piece>, EmptySegment> {
        let (header, left) = match self.open {
            Some(open) => open,
            None => match self.header(input)? {
                Some(header) => (header, header.len),
                None => return Ok(None),
            },
        };
        let have = u16::try_from(input.len()).unwrap_or(u16::MAX);
        let len = left.min(have);
        if len == left {
            self.open = None;
            self.whole = self.whole.wrapping_add(1);
        } else {
            self.open = Some((header, left.saturating_sub(len)));
            if len == 0 {
                return Ok(None);
            }
        }
        let bytes = input.split_to(usize::from(len));
        Ok(Some(Piece { header, bytes }))
    }

    /// Whether a segment has begun (with the first byte of its header) and has not come whole.
    pub const fn is_inside(&self) -> bool {
        self.have > 0 || self.open.is_some()
    }

    /// Segments that came whole so far; wraps.
    pub const fn whole(&self) -> u64 {
        self.whole
    }

    fn header(&mut self, input: &mut Bytes) -> Result<Option<Header>, EmptySegment> {
        let bytes = if let (0, Some(bytes)) = (self.have, input.first_chunk()) {
            let bytes = *bytes;
            input.advance(HEADER_BYTES);
            bytes
        } else {
            let at = usize::from(self.have);
            let len = HEADER_BYTES.saturating_sub(at).min(input.len());
            let got = input.split_to(len);
            for (to, from) in self.head.iter_mut().skip(at).zip(&got) {
                *to = *from;
                self.have = self.have.saturating_add(1);
            }
            if usize::from(self.have) < HEADER_BYTES {
                return Ok(None);
            }
            self.have = 0;
            core::mem::take(&mut self.head)
        };
        let header = Header::decode(bytes);
        if header.len == 0 {
            return Err(EmptySegment);
        }
        Ok(Some(header))
    }
}

#[cfg(test)]
mod tests;
