//! Whole blocks: the header that is announced for one, and whether one has the body that its
//! header promises.

use bytes::Bytes;
use minicbor::{Decoder, data::Tag};
use samanea_core::base::{Hash32, HeaderView};

use super::{array_of, at_end, blake2b, cardano, item, local};

/// Why a block is not the one that a header promised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum BlockFault {
    /// The bytes are no block of a known era.
    #[error("no block of a known era")]
    Malformed,
    /// The block's header is another one.
    #[error("header {found} where {wanted} is expected")]
    OtherHeader {
        /// The hash of the header that was announced.
        wanted: Hash32,
        /// The hash of the header in the block.
        found: Hash32,
    },
    /// The body's size is not the one that the header states.
    #[error("body of {found} bytes where the header states {stated}")]
    BodySize {
        /// What the header states.
        stated: u64,
        /// What the block has.
        found: u64,
    },
    /// The body's hash is not the one that the header states.
    #[error("body does not have the hash that the header states")]
    BodyHash,
}

/// A block cut into its header and the items of its body; all of them slices of the input.
struct Parts<'b> {
    tag: u8,
    header: &'b [u8],
    /// The items of the block after the header, those that are there.
    body: [&'b [u8]; BODY_ITEMS_MAX],
    bytes: usize,
}

/// Transactions, witnesses, auxiliary data and, since Alonzo, the numbers of invalid ones.
const BODY_ITEMS_MAX: usize = 4;
/// What block-fetch puts before a Byron block, tag 24 and the head of a byte string, which the
/// size in the header's envelope counts.
/// src: ouroboros-consensus golden files, `Header_Byron_EBB` beside `Block_Byron_EBB`
const BYRON_OVERHEAD: usize = 7;
/// The last block tag that is known: Conway.
const TAG_MAX: u8 = 7;
/// The first block tag with four items in the body: Alonzo.
const TAG_ALONZO: u8 = 5;

impl<'b> Parts<'b> {
    fn read(block: &'b [u8]) -> Option<Self> {
        let mut d = Decoder::new(block);
        array_of(&mut d, 2)?;
        let tag = d.u8().ok()?;
        let after = match tag {
            0 | 1 => 2,
            2..TAG_ALONZO => 3,
            TAG_ALONZO..=TAG_MAX => 4,
            local::ERA => 1,
            _ => return None,
        };
        array_of(&mut d, after + 1)?;
        let header = item(&mut d)?;
        let mut body: [&[u8]; BODY_ITEMS_MAX] = [&[]; BODY_ITEMS_MAX];
        for (part, _) in body.iter_mut().zip(0..after) {
            *part = item(&mut d)?;
        }
        at_end(&d).then_some(Self {
            tag,
            header,
            body,
            bytes: block.len(),
        })
    }

    fn hash(&self) -> Hash32 {
        match self.tag {
            kind @ (0 | 1) => blake2b(&[&[0x82, kind], self.header]),
            _ => blake2b(&[self.header]),
        }
    }

    fn wrapped(&self) -> Bytes {
        match self.tag {
            kind @ (0 | 1) => {
                let size = self.bytes.saturating_add(BYRON_OVERHEAD);
                let size = u32::try_from(size).unwrap_or(u32::MAX);
                local::written(|e| {
                    e.array(2)?.u8(0)?.array(2)?.array(2)?.u8(kind)?.u32(size)?;
                    e.tag(Tag::new(24))?.bytes(self.header)?;
                    Ok(())
                })
                .into()
            }
            local::ERA => local::wrap(self.header),
            tag => local::wrap_as(tag - 1, self.header),
        }
    }

    /// Byron's proofs of the body (a Merkle root over the transactions and three more hashes)
    /// are left to a ledger; for every other era size and hash are checked.
    fn check_body(&self) -> Result<(), BlockFault> {
        match self.tag {
            0 | 1 => Ok(()),
            local::ERA => {
                let header = local::Header::read(self.header).ok_or(BlockFault::Malformed)?;
                let [body, ..] = self.body;
                let body = local::body(&mut Decoder::new(body)).ok_or(BlockFault::Malformed)?;
                same_size(u64::from(header.body_bytes), body.len())?;
                same_hash(header.body_hash, blake2b(&[body]))
            }
            tag => {
                let (bytes, hash) =
                    cardano::stated_body(tag - 1, self.header).ok_or(BlockFault::Malformed)?;
                same_size(bytes, self.body.iter().map(|part| part.len()).sum())?;
                // src: Cardano ledger, Shelley and Alonzo block bodies: the hash of the
                // concatenated hashes of the items
                let hashes = self.body.map(|part| blake2b(&[part]).0);
                let items = if tag < TAG_ALONZO { 3 } else { BODY_ITEMS_MAX };
                let joined = hashes.as_flattened();
                same_hash(hash, blake2b(&[joined.get(..items * 32).unwrap_or(joined)]))
            }
        }
    }
}

/// The header of a block (the bytes inside tag 24), wrapped as chain-sync carries it; `None` when
/// the bytes are no block of a known era.
pub fn wrapped_header(block: &[u8]) -> Option<Bytes> {
    Parts::read(block).map(|parts| parts.wrapped())
}

/// Checks that a block (the bytes inside tag 24) is the one that this header promised: the header
/// inside has the announced hash, and the body the size and the hash that the header states. Of
/// Byron blocks the header's hash alone is checked. No rule of a ledger is.
pub fn check_block(view: &HeaderView, block: &[u8]) -> Result<(), BlockFault> {
    let parts = Parts::read(block).ok_or(BlockFault::Malformed)?;
    let wanted = view.point.hash().unwrap_or_default();
    let found = parts.hash();
    if wanted != found {
        return Err(BlockFault::OtherHeader { wanted, found });
    }
    parts.check_body()
}

fn same_size(stated: u64, found: usize) -> Result<(), BlockFault> {
    let found = u64::try_from(found).unwrap_or(u64::MAX);
    if stated == found {
        Ok(())
    } else {
        Err(BlockFault::BodySize { stated, found })
    }
}

fn same_hash(stated: Hash32, found: Hash32) -> Result<(), BlockFault> {
    if stated == found {
        Ok(())
    } else {
        Err(BlockFault::BodyHash)
    }
}
