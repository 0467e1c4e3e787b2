//! Quick questions to the application.

use super::{BlockNo, Hash32, MemberKey, Point, Signature, TxId};

/// What the stack needs to know of a header; the rest stays opaque.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct HeaderView {
    /// The block's slot and hash; never the origin in an honest view.
    pub point: Point,
    /// The block's number.
    pub block_no: BlockNo,
    /// The hash of the block before, `None` for the first block of a chain.
    pub prev: Option<Hash32>,
    /// Whether this is a boundary block: it has the number of the block before it, and may have
    /// the slot of the block after it. Byron's epochs begin with one; other eras have none.
    /// src: Cardano Byron chain specification, "Epoch boundary blocks"
    pub boundary: bool,
    /// The size of the block's body in bytes where the header says it, else an estimate.
    pub body_bytes: u32,
}

/// Why the application refuses a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum HeaderFault {
    /// The era is not known here.
    #[error("unknown era {0}")]
    UnknownEra(u8),
    /// The bytes are not a header of their era.
    #[error("malformed header")]
    Malformed,
    /// The header breaks a rule of its chain.
    #[error("invalid header")]
    Invalid,
}

/// Pure and quick questions that the application answers inside a step. Never part of the state;
/// a tape names the rules by [`name`](Rules::name).
pub trait Rules {
    /// A stable name, written into tapes.
    fn name(&self) -> &str;

    /// Reads a wrapped header exactly as chain-sync carried it (the era envelope included) and
    /// checks what can be checked from the bytes alone.
    fn header(&self, wrapped: &[u8]) -> Result<HeaderView, HeaderFault>;

    /// The id of a wrapped transaction exactly as tx-submission carried it, in the wrapped form
    /// in which ids travel; `None` when the bytes are no transaction.
    fn tx_id(&self, wrapped: &[u8]) -> Option<TxId>;

    /// The hash of these bytes one after the other, from which the ids of gossiped messages and
    /// the digests of views are made. All members of a group must use the same one; Blake2b-256 is
    /// the default of the drivers. Needed for structured gossip alone.
    fn hash(&self, parts: &[&[u8]]) -> Hash32 {
        let _ = parts;
        Hash32::default()
    }

    /// Signs as this node's member; `None` = it has no key, and publishes nothing. The same bytes
    /// must give the same signature each time, as Ed25519 does. Needed for structured gossip
    /// alone.
    fn sign(&self, message: &[u8]) -> Option<Signature> {
        let _ = message;
        None
    }

    /// Whether the member signed exactly these bytes. Needed for structured gossip alone.
    fn verify(&self, member: &MemberKey, message: &[u8], signature: &Signature) -> bool {
        let _ = (member, message, signature);
        false
    }
}

/// Rules that know no header; for machines that never ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoRules;

impl Rules for NoRules {
    fn name(&self) -> &'static str {
        "none"
    }

    fn header(&self, _wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        Err(HeaderFault::Malformed)
    }

    fn tx_id(&self, _wrapped: &[u8]) -> Option<TxId> {
        None
    }
}
