//! Writes messages in the form that every reader accepts: shortest heads.

use bytes::{BufMut, BytesMut};

use crate::base::{Edge, Hash32, Kind, Point, Spec, Tip};

/// Appends CBOR items with the shortest heads to a buffer.
#[derive(Debug)]
pub struct Writer<'a>(&'a mut BytesMut);

impl<'a> Writer<'a> {
    /// Appends to `out`.
    #[inline]
    pub fn new(out: &'a mut BytesMut) -> Self {
        Self(out)
    }

    /// Begins a message: a definite array and the label, as the table has them for `kind`. The
    /// items behind the label follow. A kind that is not in the table writes nothing.
    #[inline]
    pub fn message(out: &'a mut BytesMut, spec: &Spec, kind: Kind) -> Self {
        let mut writer = Self(out);
        if let Some(edge) = spec.edges.iter().find(|edge| edge.kind == kind) {
            let Edge { items, label, .. } = *edge;
            writer.array(u64::from(items)).u64(u64::from(label));
        }
        writer
    }

    /// The head of a definite array of `items`.
    #[inline]
    pub fn array(&mut self, items: u64) -> &mut Self {
        self.head(0x80, items)
    }

    /// The head of a definite map of `pairs`.
    pub fn map(&mut self, pairs: u64) -> &mut Self {
        self.head(0xa0, pairs)
    }

    /// The head of an indefinite list, closed by [`Writer::close`].
    #[inline]
    pub fn open(&mut self) -> &mut Self {
        self.0.put_u8(0x9f);
        self
    }

    /// The end of an indefinite list.
    #[inline]
    pub fn close(&mut self) -> &mut Self {
        self.0.put_u8(0xff);
        self
    }

    /// An unsigned number.
    #[inline]
    pub fn u64(&mut self, value: impl Into<u64>) -> &mut Self {
        self.head(0x00, value.into())
    }

    /// `false` or `true`.
    #[inline]
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.0.put_u8(0xf4 + u8::from(value));
        self
    }

    /// A definite byte string.
    #[inline]
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes_head(bytes.len()).raw(bytes)
    }

    /// The head of a definite byte string of `len` bytes that follow otherwise.
    #[inline]
    pub fn bytes_head(&mut self, len: usize) -> &mut Self {
        self.head(0x40, u64::try_from(len).unwrap_or(u64::MAX))
    }

    /// `24(…)` up to the `len` bytes of content, which follow otherwise.
    #[inline]
    pub fn wrapped_head(&mut self, len: usize) -> &mut Self {
        self.head(0xc0, 24).bytes_head(len)
    }

    /// A definite text string.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.head(0x60, u64::try_from(text.len()).unwrap_or(u64::MAX))
            .raw(text.as_bytes())
    }

    /// Items that are encoded already.
    #[inline]
    pub fn raw(&mut self, items: &[u8]) -> &mut Self {
        self.0.put_slice(items);
        self
    }

    /// A byte string of 32 bytes.
    #[inline]
    pub fn hash(&mut self, hash: &Hash32) -> &mut Self {
        self.bytes(&hash.0)
    }

    /// `[]` or `[slot, hash]`.
    #[inline]
    pub fn point(&mut self, point: &Point) -> &mut Self {
        match point {
            Point::Origin => self.array(0),
            Point::Block { slot, hash } => self.array(2).u64(*slot).hash(hash),
        }
    }

    /// `[point, block number]`, the number 0 at the origin.
    #[inline]
    pub fn tip(&mut self, tip: &Tip) -> &mut Self {
        let block_no = if tip.is_empty() { 0 } else { tip.block_no };
        self.array(2).point(&tip.point).u64(block_no)
    }

    /// The shortest head of a major type, its three bits in `major`.
    #[inline]
    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        if let Ok(small @ 0..24) = u8::try_from(value) {
            self.0.put_u8(major | small);
        } else if let Ok(byte) = u8::try_from(value) {
            self.0.put_slice(&[major | 0x18, byte]);
        } else if let Ok(short) = u16::try_from(value) {
            self.0.put_u8(major | 0x19);
            self.0.put_u16(short);
        } else if let Ok(word) = u32::try_from(value) {
            self.0.put_u8(major | 0x1a);
            self.0.put_u32(word);
        } else {
            self.0.put_u8(major | 0x1b);
            self.0.put_u64(value);
        }
        self
    }
}
