//! A toy chain: headers of fifty bytes, bodies of noise, rules that read them.
//!
//! ```text
//! header   [era, 24(bytes .cbor [number, slot, previous / null, body hash, body bytes])]
//! body     noise that follows from the header's content; its hash stands in the header
//! tx       [era, 24(bytes)], its id [era, hash]
//! ```
//! Hashes are Blake2b-256 of the bytes inside tag 24, as on the real chain.

use blake2::{
    Blake2bVar,
    digest::{Update, VariableOutput},
};
use bytes::Bytes;
use minicbor::{Decoder, Encoder, data::IanaTag};
use samanea_core::base::{BlockNo, Hash32, HeaderFault, HeaderView, Point, Rules, Slot, Tip, TxId};

/// The one era of the toy chain.
const ERA: u8 = 6;

/// Blake2b-256.
pub fn hash_of(bytes: &[u8]) -> Hash32 {
    let mut out = [0; 32];
    if let Ok(mut hasher) = Blake2bVar::new(out.len()) {
        hasher.update(bytes);
        let _ = hasher.finalize_variable(&mut out);
    }
    Hash32(out)
}

/// A block of the toy chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The wrapped header.
    pub header: Bytes,
    /// The body: what travels inside tag 24.
    pub body: Bytes,
    /// What the rules read in the header.
    pub view: HeaderView,
}

impl Block {
    /// The block behind `prev` in `slot`; `salt` makes siblings differ.
    pub fn after(prev: Tip, slot: Slot, salt: u64, body_bytes: usize) -> Self {
        let number = prev.len();
        let body = noise(&[number, slot, salt], body_bytes);
        let inner = encode(|e| {
            e.array(5)?.u64(number)?.u64(slot)?;
            match prev.point.hash() {
                Some(hash) => e.bytes(&hash.0)?,
                None => e.null()?,
            };
            e.bytes(&hash_of(&body).0)?.u64(as_u64(body.len()))?;
            Ok(())
        });
        let view = HeaderView {
            point: Point::Block {
                slot,
                hash: hash_of(&inner),
            },
            block_no: number,
            prev: prev.point.hash(),
            boundary: false,
            body_bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
        };
        Self {
            header: wrapped(&inner),
            body,
            view,
        }
    }

    /// The chain that ends here.
    pub const fn tip(&self) -> Tip {
        Tip {
            point: self.view.point,
            block_no: self.view.block_no,
        }
    }
}

/// `count` blocks behind `prev`, one a slot.
pub fn chain(prev: Tip, count: usize, salt: u64, body_bytes: usize) -> Vec<Block> {
    let mut tip = prev;
    let mut blocks = Vec::with_capacity(count);
    for _ in 0..count {
        let slot = tip.point.slot().map_or(0, |slot| slot + 1);
        let block = Block::after(tip, slot, salt, body_bytes);
        tip = block.tip();
        blocks.push(block);
    }
    blocks
}

/// A wrapped transaction of about `bytes` bytes and its id.
pub fn transaction(salt: u64, bytes: usize) -> (TxId, Bytes) {
    let inner = noise(&[salt, 0x7478], bytes.max(1));
    (tx_id(&inner), wrapped(&inner))
}

/// The rules of the toy chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToyRules;

impl Rules for ToyRules {
    fn name(&self) -> &'static str {
        "toy"
    }

    fn header(&self, wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        read_header(wrapped).map(|(view, _)| view)
    }

    fn tx_id(&self, wrapped: &[u8]) -> Option<TxId> {
        unwrapped(wrapped).ok().map(tx_id)
    }
}

/// What a header says of its block, and the hash that the body must have.
pub fn read_header(wrapped: &[u8]) -> Result<(HeaderView, Hash32), HeaderFault> {
    let inner = unwrapped(wrapped)?;
    let (block_no, slot, prev, body, body_bytes) =
        fields(inner).map_err(|_| HeaderFault::Malformed)?;
    let view = HeaderView {
        point: Point::Block {
            slot,
            hash: hash_of(inner),
        },
        block_no,
        prev,
        boundary: false,
        body_bytes,
    };
    Ok((view, body))
}

/// Number, slot, previous hash, body hash, body bytes.
type Fields = (BlockNo, Slot, Option<Hash32>, Hash32, u32);

fn fields(inner: &[u8]) -> Result<Fields, minicbor::decode::Error> {
    let mut d = Decoder::new(inner);
    let bad = || minicbor::decode::Error::message("not a toy header");
    if d.array()? != Some(5) {
        return Err(bad());
    }
    let (number, slot) = (d.u64()?, d.u64()?);
    let hash = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map(Hash32).map_err(|_| bad());
    let prev = if d.datatype()? == minicbor::data::Type::Null {
        d.null()?;
        None
    } else {
        Some(hash(d.bytes()?)?)
    };
    let body = hash(d.bytes()?)?;
    let fields = (number, slot, prev, body, d.u32()?);
    if d.position() == inner.len() {
        Ok(fields)
    } else {
        Err(bad())
    }
}

/// The bytes inside the envelope.
fn unwrapped(wrapped: &[u8]) -> Result<&[u8], HeaderFault> {
    let mut d = Decoder::new(wrapped);
    let era = (|| {
        if d.array()? == Some(2) {
            d.u8()
        } else {
            Err(minicbor::decode::Error::message("no envelope"))
        }
    })()
    .map_err(|_| HeaderFault::Malformed)?;
    if era != ERA {
        return Err(HeaderFault::UnknownEra(era));
    }
    let tagged = d.tag().is_ok_and(|tag| tag == IanaTag::Cbor.tag());
    match d.bytes() {
        Ok(inner) if tagged && d.position() == wrapped.len() => Ok(inner),
        _ => Err(HeaderFault::Malformed),
    }
}

fn wrapped(inner: &[u8]) -> Bytes {
    Bytes::from(encode(|e| {
        e.array(2)?.u8(ERA)?.tag(IanaTag::Cbor)?.bytes(inner)?;
        Ok(())
    }))
}

fn tx_id(inner: &[u8]) -> TxId {
    let id = encode(|e| {
        e.array(2)?.u8(ERA)?.bytes(&hash_of(inner).0)?;
        Ok(())
    });
    TxId(id.into_iter().collect())
}

/// Writes to memory, which does not fail.
fn encode(
    write: impl FnOnce(
        &mut Encoder<Vec<u8>>,
    ) -> Result<(), minicbor::encode::Error<core::convert::Infallible>>,
) -> Vec<u8> {
    let mut e = Encoder::new(Vec::new());
    let _ = write(&mut e);
    e.into_writer()
}

/// Bytes that look like noise and follow from `seed` alone.
fn noise(seed: &[u64], len: usize) -> Bytes {
    let mut state = seed.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |state, part| {
        (state ^ part)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9)
            .rotate_left(29)
    });
    let mut out = Vec::with_capacity(len.saturating_add(8));
    while out.len() < len {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        out.extend_from_slice(&(word ^ (word >> 31)).to_le_bytes());
    }
    out.truncate(len);
    Bytes::from(out)
}

fn as_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_read_what_was_written() {
        for block in chain(Tip::ORIGIN, 20, 7, 100) {
            assert_eq!(ToyRules.header(&block.header), Ok(block.view));
            let (_, body) = read_header(&block.header).unwrap();
            assert_eq!(body, hash_of(&block.body));
        }
    }

    #[test]
    fn a_changed_byte_never_reads_as_the_same_header() {
        let block = Block::after(Tip::ORIGIN, 3, 1, 10);
        for at in 0..block.header.len() {
            let mut bytes = block.header.to_vec();
            bytes[at] ^= 1;
            assert_ne!(ToyRules.header(&bytes), Ok(block.view), "byte {at}");
        }
    }

    #[test]
    fn a_transaction_has_the_id_that_travels_with_it() {
        let (id, tx) = transaction(4, 300);
        assert_eq!(ToyRules.tx_id(&tx), Some(id));
        assert_eq!(ToyRules.tx_id(&tx[1..]), None);
    }
}
