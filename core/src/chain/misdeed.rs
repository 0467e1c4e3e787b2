//! How a peer can break the rules of chains.

use crate::base::{Class, Hash32, Point};

/// How a peer broke a rule of chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Misdeed {
    /// A header whose parent is not the end of the peer's chain.
    #[error("header {0:?} does not connect")]
    NotConnected(Hash32),
    /// A rollback to a point that is not on the peer's chain or deeper than allowed.
    #[error("rollback to {0}")]
    Rollback(Point),
    /// A block number or slot that does not rise.
    #[error("header {0:?} is out of order")]
    Order(Hash32),
    /// A block that is not the next one of the range asked for.
    #[error("not the block that was asked for")]
    WrongBlock,
    /// A range that ended before its last block.
    #[error("range ended early")]
    TooFew,
    /// More blocks than the range has, or blocks that nobody asked for.
    #[error("more blocks than asked for")]
    TooMany,
    /// A block that breaks the ledger's rules.
    #[error("invalid block {0:?}")]
    InvalidBlock(Hash32),
}

impl Misdeed {
    /// Whose fault it is.
    pub const fn class(self) -> Class {
        Class::Adversarial
    }
}
