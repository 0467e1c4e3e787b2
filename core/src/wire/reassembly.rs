//! From segment payloads to whole messages.
//!
//! ```text
//!  piece ─push─▶ queue of pieces ─next(limit)─▶ one whole message
//!                    └── a message over several pieces is copied once into one buffer
//! ```
//!
//! Messages have no length of their own and no relation to segment borders: a message is one CBOR
//! array, found by [`Scan`]. A message inside one piece is a slice of it, without a copy. Every
//! byte is walked over once, however the message is cut.
//!
//! Limits: what is pushed is bounded by who pushes (push again only after
//! [`next`](Reassembly::next) said `None`); the message in progress by the limit given to
//! [`next`](Reassembly::next).
//!
//! Invariants: 1. `len` is the sum of all parts; 2. later pieces only behind a first one, and none
//! empty; 3. a message in progress has a byte at
//! least, and its scan has seen exactly those collected.

use alloc::{boxed::Box, collections::VecDeque};

use bytes::{Bytes, BytesMut};

use super::{codec::DecodeError, scan::Scan};
use crate::base::{Violated, violated};

/// A buffer for a message of known length is reserved up to here at once; beyond, it grows with
/// the bytes that came, so that a length alone costs nothing. Covers today's blocks.
const RESERVE_BYTES_MAX: usize = 128 << 10;

/// The major type of every message.
const ARRAY: u8 = 4;

/// Why the next message cannot be had; the peer's fault, and the stream has no meaning any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Error {
    /// The message has more bytes than the limit.
    #[error("message of more than {max} bytes")]
    TooLarge {
        /// The limit, inclusive.
        max: usize,
    },
    /// The bytes are no CBOR array.
    #[error("malformed message: {0}")]
    Malformed(DecodeError),
}

/// The bytes of one stream on their way to messages.
///
/// ```
/// use bytes::Bytes;
/// use samanea_core::wire::reassembly::{Error, Reassembly};
///
/// let mut stream = Reassembly::new();
/// stream.push(Bytes::from_static(&[0x81, 0x00, 0x82, 0x01])); // one message and a half
/// assert_eq!(stream.next(100), Ok(Some(Bytes::from_static(&[0x81, 0x00]))));
/// assert_eq!(stream.next(100), Ok(None));
/// stream.push(Bytes::from_static(&[0x02]));
/// assert_eq!(stream.next(2), Err(Error::TooLarge { max: 2 }));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Reassembly {
    /// The message in progress, `None` between messages.
    partial: Option<Box<Partial>>,
    /// What follows.
    first: Bytes,
    /// What follows `first`.
    later: VecDeque<Bytes>,
    /// Bytes of all that.
    len: usize,
}

/// The beginning of a message that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Partial {
    /// Its first bytes, at least one.
    collected: BytesMut,
    /// Where the walk over it stands: at the end of `collected`.
    scan: Scan,
}

impl Reassembly {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends bytes of the stream.
    pub fn push(&mut self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        self.len = self.len.saturating_add(piece.len());
        if self.first.is_empty() {
            self.first = piece;
        } else {
            self.later.push_back(piece);
        }
    }

    /// Takes the next message off the front; `None` when it is not whole yet.
    ///
    /// A message of exactly `limit` bytes passes. One of more fails as soon as its heads tell (a
    /// string's length is enough) and at the latest when `limit` bytes of it are here. The verdict
    /// does not depend on how the bytes were cut. The limit may change from call to call.
    ///
    /// After an error nothing is held.
    pub fn next(&mut self, limit: usize) -> Result<Option<Bytes>, Error> {
        self.walk(limit).inspect_err(|_| *self = Self::default())
    }

    /// Bytes held that no [`next`](Self::next) has returned yet.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether a message has begun and not come whole, as far as [`next`](Self::next) has looked.
    pub const fn is_inside(&self) -> bool {
        self.partial.is_some()
    }

    /// Takes all bytes that were not returned, in order, and starts anew. For the bytes behind the
    /// last message of an instance, which belong to the next instance.
    pub fn take_rest(&mut self) -> Bytes {
        let all = core::mem::take(self);
        let mut rest = match all.partial {
            Some(partial) => partial.collected,
            None if all.later.is_empty() => return all.first,
            None => BytesMut::new(),
        };
        rest.reserve(all.len.saturating_sub(rest.len()));
        rest.extend_from_slice(&all.first);
        for piece in &all.later {
            rest.extend_from_slice(piece);
        }
        rest.freeze()
    }

    /// Checks invariants 1 to 3.
    pub fn check_invariants(&self) -> Result<(), Violated> {
        let name = "reassembly";
        let later: usize = self.later.iter().map(Bytes::len).sum();
        let collected = self.partial.as_ref().map_or(0, |part| part.collected.len());
        let sum = collected + self.first.len() + later;
        violated(sum == self.len, name, 1, "len is the sum of all parts")?;
        let gapless = self.later.iter().all(|piece| !piece.is_empty())
            && (self.later.is_empty() || !self.first.is_empty());
        violated(gapless, name, 2, "later pieces behind a first, none empty")?;
        let seen = self
            .partial
            .as_ref()
            .is_none_or(|part| collected > 0 && usize::try_from(part.scan.seen()) == Ok(collected));
        violated(seen, name, 3, "a scan has seen the collected bytes")
    }

    fn walk(&mut self, limit: usize) -> Result<Option<Bytes>, Error> {
        while let Some(&first) = self.first.first() {
            let mut partial = match self.partial.take() {
                Some(partial) => partial,
                None if first >> 5 != ARRAY => {
                    let flaw = DecodeError::Unexpected { at: 0 };
                    return Err(Error::Malformed(flaw));
                }
                None => {
                    let mut scan = Scan::new();
                    let window = self.first.get(..limit).unwrap_or(&self.first);
                    if let Some(len) = scan.feed(window).map_err(Error::Malformed)? {
                        self.len = self.len.saturating_sub(len);
                        return Ok(Some(self.take_first(len)));
                    }
                    let collected = BytesMut::new();
                    self.go_on(Box::new(Partial { collected, scan }), limit)?;
                    continue;
                }
            };
            let room = limit.saturating_sub(partial.collected.len());
            let window = self.first.get(..room).unwrap_or(&self.first);
            if let Some(len) = partial.scan.feed(window).map_err(Error::Malformed)? {
                let mut message = partial.collected;
                message.extend_from_slice(&self.take_first(len));
                self.len = self.len.saturating_sub(message.len());
                return Ok(Some(message.freeze()));
            }
            self.go_on(partial, limit)?;
        }
        Ok(None)
    }

    /// The first piece belongs to a message that goes on: collects it, unless the limit will be
    /// broken.
    fn go_on(&mut self, mut partial: Box<Partial>, limit: usize) -> Result<(), Error> {
        let least = usize::try_from(partial.scan.least()).unwrap_or(usize::MAX);
        if least > limit {
            return Err(Error::TooLarge { max: limit });
        }
        let piece = self.take_first(self.first.len());
        partial.collect(&piece, least);
        self.partial = Some(partial);
        Ok(())
    }

    /// Takes `len` bytes off the first piece, which has as many.
    fn take_first(&mut self, len: usize) -> Bytes {
        if len < self.first.len() {
            return self.first.split_to(len);
        }
        let next = self.later.pop_front().unwrap_or_default();
        core::mem::replace(&mut self.first, next)
    }
}

impl Partial {
    /// Appends a piece of a message of at least `least` bytes.
    fn collect(&mut self, piece: &[u8], least: usize) {
        let have = self.collected.len().saturating_add(piece.len());
        if self.collected.capacity() < have.max(least.min(RESERVE_BYTES_MAX)) {
            let twice = have.saturating_mul(2).max(RESERVE_BYTES_MAX);
            let want = least.min(twice).max(have);
            self.collected
                .reserve(want.saturating_sub(self.collected.len()));
        }
        self.collected.extend_from_slice(piece);
    }
}

#[cfg(test)]
mod tests;
