//! Bytes without meaning: segment headers, CBOR tokens, message ends.

pub mod codec;
pub mod frame;
pub mod reassembly;
pub mod scan;

use bytes::Bytes;
use smallvec::SmallVec;

/// Bytes for one vectored write, in order.
pub type Batch = SmallVec<[Bytes; 8]>;

/// One encoded message: a head of our own and, behind it, at most one large payload that is
/// never copied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Encoded {
    /// The first bytes; the whole message when `body` is empty.
    pub head: Bytes,
    /// The rest, shared with whoever holds the payload.
    pub body: Bytes,
}

impl Encoded {
    /// Bytes of the whole message.
    pub fn len(&self) -> usize {
        self.head.len().saturating_add(self.body.len())
    }

    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.head.is_empty() && self.body.is_empty()
    }
}
