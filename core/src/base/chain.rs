//! The chain words that all layers share: slots, hashes, points and tips.

use core::fmt;

use smallvec::SmallVec;

/// A slot number.
pub type Slot = u64;
/// A block's height: the number of blocks before it.
pub type BlockNo = u64;

/// A 32-byte hash.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Hash32(pub [u8; 32]);

impl fmt::Debug for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Display for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// A place on a chain: before the first block, or a block by slot and hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Point {
    /// Before the first block.
    #[default]
    Origin,
    /// The block with this hash, in this slot.
    Block {
        /// The block's slot.
        slot: Slot,
        /// The hash of its header.
        hash: Hash32,
    },
}

impl Point {
    /// The slot, `None` at the origin.
    pub const fn slot(&self) -> Option<Slot> {
        match self {
            Self::Origin => None,
            Self::Block { slot, .. } => Some(*slot),
        }
    }

    /// The hash, `None` at the origin.
    pub const fn hash(&self) -> Option<Hash32> {
        match self {
            Self::Origin => None,
            Self::Block { hash, .. } => Some(*hash),
        }
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin => f.write_str("origin"),
            Self::Block { slot, hash } => write!(f, "{slot}.{hash}"),
        }
    }
}

/// The end of a chain: its last point and that block's number. The number means nothing at the
/// origin and is 0 there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Tip {
    /// The last block.
    pub point: Point,
    /// Its number; 0 at the origin.
    pub block_no: BlockNo,
}

impl Tip {
    /// The empty chain.
    pub const ORIGIN: Self = Self {
        point: Point::Origin,
        block_no: 0,
    };

    /// Blocks from the origin to here: 0 at the origin, else `block_no + 1`.
    pub const fn len(&self) -> u64 {
        match self.point {
            Point::Origin => 0,
            Point::Block { .. } => self.block_no.saturating_add(1),
        }
    }

    /// Whether this is the empty chain.
    pub const fn is_empty(&self) -> bool {
        matches!(self.point, Point::Origin)
    }
}

/// A transaction id exactly as it travels, the era envelope included (about 36 bytes). Opaque:
/// equal ids are equal bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TxId(pub SmallVec<[u8; 40]>);

impl fmt::Debug for TxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tx")?;
        self.0
            .iter()
            .rev()
            .take(4)
            .try_for_each(|b| write!(f, "{b:02x}"))
    }
}
