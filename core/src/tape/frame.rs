//! Frames: a length and one postcard value.

use alloc::vec::Vec;

use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

use super::{Digest, Error, FORMAT, FRAME_BYTES_MAX, MAGIC};
use crate::node;

/// A frame after the head, as read.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Record {
    /// An event, fed this many microseconds after the one before.
    Event(u64, node::Event),
    /// The event before led to this many actions; the short digest after them.
    Actions(u64, u64),
    /// Events and the digest so far.
    Checkpoint(u64, Digest),
    /// The tape ends in order: events and the digest.
    End(u64, Digest),
    /// The recorder met an event that is too large: events and the digest before it.
    Cut(u64, Digest),
}

/// A frame after the head, as written; encodes as [`Record`] does.
#[derive(Serialize)]
pub(super) enum RecordRef<'a> {
    Event(u64, &'a node::Event),
    Actions(u64, u64),
    Checkpoint(u64, Digest),
    End(u64, Digest),
    Cut(u64, Digest),
}

/// A value that is too large for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Overwrites `out` with a frame that holds `value`; leaves it empty when that is too large.
pub(super) fn encode<T: Serialize>(value: &T, out: &mut Vec<u8>) -> Result<(), TooLarge> {
    out.clear();
    out.extend_from_slice(&[0; LENGTH_BYTES]);
    let said = postcard::serialize_with_flavor(value, Payload(&mut *out));
    let length = u32::try_from(out.len().saturating_sub(LENGTH_BYTES));
    let head = out.first_chunk_mut::<LENGTH_BYTES>();
    if let (Ok(()), Ok(length), Some(head)) = (said, length, head) {
        *head = length.to_le_bytes();
        return Ok(());
    }
    out.clear();
    Err(TooLarge)
}

/// Postcard's output behind a frame's length, bounded.
struct Payload<'a>(&'a mut Vec<u8>);

impl Flavor for Payload<'_> {
    type Output = ();

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.try_extend(&[data])
    }

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        if self.0.len().saturating_add(data.len()) > LENGTH_BYTES + FRAME_BYTES_MAX {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// The first bytes of a tape: the magic and the format.
pub(super) fn preamble() -> [u8; PREAMBLE_BYTES] {
    let mut out = [0; PREAMBLE_BYTES];
    let bytes = MAGIC.into_iter().chain(FORMAT.to_le_bytes());
    out.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    out
}

/// Splits bytes as they come into frames.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    held: Vec<u8>,
    /// Bytes of `held` already given out.
    from: usize,
    /// Frames given out.
    frames: u64,
    begun: bool,
}

impl Splitter {
    /// Appends bytes that follow those before.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.held.drain(..self.from.min(self.held.len()));
        self.from = 0;
        self.held.extend_from_slice(bytes);
    }

    /// The next frame's payload when all of it is there.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Error> {
        if !self.begun && !self.begin()? {
            return Ok(None);
        }
        let rest = self.held.get(self.from..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(Error::Corrupt { frame: self.frames });
        }
        let Some(payload) = rest.get(..length) else {
            return Ok(None);
        };
        self.from = self
            .from
            .saturating_add(LENGTH_BYTES)
            .saturating_add(length);
        self.frames = self.frames.saturating_add(1);
        Ok(Some(payload))
    }

    /// How many frames were given out, the head included.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Bytes that belong to no frame given out.
    pub(super) const fn left_over(&self) -> usize {
        self.held.len().saturating_sub(self.from)
    }

    /// Bytes that it has room for.
    #[cfg(test)]
    pub(super) const fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// Reads the preamble; `false` = not all there yet. A wrong first byte is enough to refuse.
    fn begin(&mut self) -> Result<bool, Error> {
        let there = self.held.len().min(MAGIC.len());
        if self.held.get(..there) != MAGIC.get(..there) {
            return Err(Error::NotATape);
        }
        let Some(format) = self
            .held
            .get(MAGIC.len()..)
            .and_then(|b| b.first_chunk::<2>())
        else {
            return Ok(false);
        };
        let got = u16::from_le_bytes(*format);
        if got != FORMAT {
            return Err(Error::Format { got });
        }
        self.from = PREAMBLE_BYTES;
        self.begun = true;
        Ok(true)
    }
}

/// Decodes a payload with nothing left over.
pub(super) fn decode<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Option<T> {
    match postcard::take_from_bytes(payload) {
        Ok((value, [])) => Some(value),
        _ => None,
    }
}

const LENGTH_BYTES: usize = 4;
const PREAMBLE_BYTES: usize = 10;
