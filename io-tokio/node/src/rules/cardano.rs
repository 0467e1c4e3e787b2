//! Headers and transactions of the real eras.

use minicbor::{Decoder, Encoder};
use pallas_traverse::MultiEraHeader;
use samanea_core::base::{Hash32, HeaderFault, HeaderView, Point, TxId};
use smallvec::SmallVec;

use super::{array_of, at_end, blake2b, embedded, item};

/// The last era that the reader knows: Conway.
const ERA_MAX: u8 = 6;

/// A header of Byron: an epoch boundary (`kind` 0) or a main block's (`kind` 1).
///
/// An epoch boundary block has the number of the block before it and the slot of the block after
/// it; the one of epoch 0 begins the chain, and what it names as its parent is the hash of the
/// genesis file, so it has none here.
pub(super) fn byron(kind: u8, size: u32, bytes: &[u8]) -> Result<HeaderView, HeaderFault> {
    if kind > 1 {
        return Err(HeaderFault::Malformed);
    }
    let header = read(0, Some(kind), bytes)?;
    let first = header
        .as_eb()
        .is_some_and(|ebb| ebb.consensus_data.epoch_id == 0);
    // The reader takes a hash of the two-item list [kind, header].
    Ok(HeaderView {
        point: Point::Block {
            slot: header.slot(),
            hash: blake2b(&[&[0x82, kind], bytes]),
        },
        block_no: header.number(),
        prev: header
            .previous_hash()
            .filter(|_| !first)
            .map(|hash| Hash32(*hash)),
        boundary: kind == 0,
        body_bytes: size,
    })
}

/// A header of Shelley or a later era.
pub(super) fn shelley_on(era: u8, bytes: &[u8]) -> Result<HeaderView, HeaderFault> {
    if era > ERA_MAX {
        return Err(HeaderFault::UnknownEra(era));
    }
    let header = read(era, None, bytes)?;
    Ok(HeaderView {
        point: Point::Block {
            slot: header.slot(),
            hash: blake2b(&[bytes]),
        },
        block_no: header.number(),
        prev: header.previous_hash().map(|hash| Hash32(*hash)),
        boundary: false,
        body_bytes: u32::try_from(body(&header).map_or(0, |(bytes, _)| bytes))
            .map_err(|_| HeaderFault::Invalid)?,
    })
}

/// The size and hash of the body as a header of Shelley or a later era states them.
pub(super) fn stated_body(era: u8, bytes: &[u8]) -> Option<(u64, Hash32)> {
    body(&read(era, None, bytes).ok()?)
}

fn body(header: &MultiEraHeader<'_>) -> Option<(u64, Hash32)> {
    if let Some(header) = header.as_alonzo() {
        let body = &header.header_body;
        return Some((body.block_body_size, Hash32(*body.block_body_hash)));
    }
    let body = &header.as_babbage()?.header_body;
    Some((body.block_body_size, Hash32(*body.block_body_hash)))
}

/// Reads a header and makes sure that nothing follows it.
fn read(era: u8, kind: Option<u8>, bytes: &[u8]) -> Result<MultiEraHeader<'_>, HeaderFault> {
    let header = MultiEraHeader::decode(era, kind, bytes).map_err(|_| HeaderFault::Malformed)?;
    if header.cbor().len() == bytes.len() {
        Ok(header)
    } else {
        Err(HeaderFault::Malformed)
    }
}

/// The id of a wrapped transaction in wrapped form: the hash of the transaction's body under the
/// era's number; in Byron under the kind of the object as well.
pub(super) fn tx_id(wrapped: &[u8]) -> Option<TxId> {
    let mut d = Decoder::new(wrapped);
    array_of(&mut d, 2)?;
    let era = d.u8().ok()?;
    let (kind, hash) = if era == 0 {
        array_of(&mut d, 2)?;
        let kind = d.u8().ok().filter(|kind| *kind <= 3)?;
        let object = item(&mut d)?;
        let hashed = if kind == 0 {
            let mut tx = Decoder::new(object);
            array_of(&mut tx, 2)?;
            item(&mut tx)?
        } else {
            object
        };
        (Some(kind), blake2b(&[hashed]))
    } else {
        let tx = embedded(&mut d)?;
        (None, blake2b(&[hashed_part(era, tx)?]))
    };
    at_end(&d).then(|| wrapped_id(era, kind, hash)).flatten()
}

/// What is hashed for a transaction's id: its first item, the body; the built-in chain hashes
/// all of it.
fn hashed_part(era: u8, tx: &[u8]) -> Option<&[u8]> {
    if era == super::local::ERA {
        return Some(tx);
    }
    if era > ERA_MAX {
        return None;
    }
    let mut d = Decoder::new(tx);
    let items = d.array().ok()??;
    (3..=4).contains(&items).then_some(())?;
    let body = item(&mut d)?;
    for _ in 1..items {
        d.skip().ok()?;
    }
    at_end(&d).then_some(body)
}

fn wrapped_id(era: u8, kind: Option<u8>, hash: Hash32) -> Option<TxId> {
    let mut bytes = [0_u8; 40];
    let mut e = Encoder::new(minicbor::encode::write::Cursor::new(&mut bytes[..]));
    e.array(2).ok()?.u8(era).ok()?;
    if let Some(kind) = kind {
        e.array(2).ok()?.u8(kind).ok()?;
    }
    e.bytes(&hash.0).ok()?;
    let len = e.into_writer().position();
    Some(TxId(SmallVec::from_slice(bytes.get(..len)?)))
}
