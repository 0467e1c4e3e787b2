//! The built-in chain's headers and blocks: the least that a block-diffusing network needs.
//!
//! ```text
//!  header  [block_no, slot, prev / null, body_hash, body_size]   or a sixth item: padding, bytes
//!  block   [200, [header, body]]                                 body: bytes
//! ```
//! Hashes are Blake2b-256: a header's over its bytes, a body's over the content of its byte
//! string.

use bytes::Bytes;
use minicbor::{Decoder, Encoder, data::Tag};
use samanea_core::base::{BlockNo, Hash32, HeaderFault, HeaderView, Point, Slot};

use super::{at_end, blake2b};

/// The era's number, the same in headers, blocks and transactions; far from any number that
/// Cardano uses.
pub const ERA: u8 = 200;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Header<'a> {
    /// The block's number.
    pub block_no: BlockNo,
    /// The block's slot.
    pub slot: Slot,
    /// The hash of the header before, `None` for the first.
    pub prev: Option<Hash32>,
    /// The hash of the body's content.
    pub body_hash: Hash32,
    /// The size of the body's content in bytes.
    pub body_bytes: u32,
    /// Bytes without a meaning, to give headers a realistic size; left out when empty.
    pub padding: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads a header; `None` when the bytes are none, or more than one.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut d = Decoder::new(bytes);
        let items = d.array().ok()??;
        let header = Self {
            block_no: d.u64().ok()?,
            slot: d.u64().ok()?,
            prev: match d.datatype().ok()? {
                minicbor::data::Type::Null => d.null().ok().map(|()| None)?,
                _ => Some(hash(&mut d)?),
            },
            body_hash: hash(&mut d)?,
            body_bytes: d.u32().ok()?,
            padding: match items {
                5 => &[],
                6 => d.bytes().ok()?,
                _ => return None,
            },
        };
        at_end(&d).then_some(header)
    }

    /// Writes the header.
    pub fn to_bytes(&self) -> Vec<u8> {
        written(|e| {
            e.array(if self.padding.is_empty() { 5 } else { 6 })?
                .u64(self.block_no)?
                .u64(self.slot)?;
            match &self.prev {
                Some(prev) => e.bytes(&prev.0)?,
                None => e.null()?,
            }
            .bytes(&self.body_hash.0)?
            .u32(self.body_bytes)?;
            if !self.padding.is_empty() {
                e.bytes(self.padding)?;
            }
            Ok(())
        })
    }
}

/// Writes a block of this header and body, as block-fetch carries it inside tag 24.
pub fn block(header: &[u8], body: &[u8]) -> Bytes {
    let mut bytes = written(|e| {
        e.array(2)?.u8(ERA)?.array(2)?;
        Ok(())
    });
    bytes.extend_from_slice(header);
    bytes.extend(written(|e| e.bytes(body).map(|_| ())));
    bytes.into()
}

/// Wraps a header as chain-sync carries it.
pub fn wrap(header: &[u8]) -> Bytes {
    wrap_as(ERA, header)
}

/// Wraps a header of any era but Byron as chain-sync carries it.
pub(super) fn wrap_as(era: u8, header: &[u8]) -> Bytes {
    written(|e| {
        e.array(2)?.u8(era)?.tag(Tag::new(24))?.bytes(header)?;
        Ok(())
    })
    .into()
}

/// The content of a block's body, the second item of its inner list.
pub(super) fn body<'b>(d: &mut Decoder<'b>) -> Option<&'b [u8]> {
    d.bytes().ok()
}

pub(super) fn header(bytes: &[u8]) -> Result<HeaderView, HeaderFault> {
    let header = Header::read(bytes).ok_or(HeaderFault::Malformed)?;
    Ok(HeaderView {
        point: Point::Block {
            slot: header.slot,
            hash: blake2b(&[bytes]),
        },
        block_no: header.block_no,
        prev: header.prev,
        boundary: false,
        body_bytes: header.body_bytes,
    })
}

fn hash(d: &mut Decoder<'_>) -> Option<Hash32> {
    d.bytes().ok()?.try_into().ok().map(Hash32)
}

/// Writes into a vector, which cannot fail.
pub(super) fn written(
    write: impl FnOnce(
        &mut Encoder<&mut Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<core::convert::Infallible>>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let done = write(&mut Encoder::new(&mut bytes));
    debug_assert!(done.is_ok(), "a vector takes everything");
    bytes
}
