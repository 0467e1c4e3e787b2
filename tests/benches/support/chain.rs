//! A chain of noughts: a block's hash is its number.

use bytes::{BufMut as _, Bytes, BytesMut};
use samanea_core::base::{Hash32, HeaderView, Point};

/// The block of this number, one a slot.
pub(crate) fn point(number: u64) -> Point {
    Point::Block {
        slot: number,
        hash: hash(number),
    }
}

fn hash(number: u64) -> Hash32 {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Hash32(bytes)
}

/// `[6, 24(bytes)]` with `bytes` bytes in it, at least eight.
pub(crate) fn header(number: u64, bytes: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(bytes + 7);
    let length = u16::try_from(bytes).unwrap();
    out.put_slice(&[0x82, 0x06, 0xd8, 0x18, 0x59]);
    out.put_u16(length);
    out.put_u64(number);
    out.put_bytes(7, bytes - 8);
    out.freeze()
}

/// What such a header says.
pub(crate) fn read(wrapped: &[u8]) -> Option<HeaderView> {
    let number = u64::from_be_bytes(*wrapped.get(7..)?.first_chunk()?);
    Some(HeaderView {
        point: point(number),
        block_no: number,
        prev: number.checked_sub(1).map(hash),
        boundary: false,
        body_bytes: 65_536,
    })
}
