//! Segment headers and the borders of segments.

use bytes::Bytes;
use samanea_core::wire::frame::{Deframer, EmptySegment, HEADER_BYTES, Header};

use super::pieces;

/// How many of the first bytes say where the rest is cut.
const CUTS: usize = 4;

/// A byte stream read whole and read in pieces has the same segments and the same end; every
/// header reads and writes as itself.
///
/// # Panics
/// When a law is broken.
pub fn frame(bytes: &[u8]) {
    let Some((cuts, stream)) = bytes.split_at_checked(CUTS) else {
        return;
    };
    for header in stream.windows(HEADER_BYTES) {
        let header: [u8; HEADER_BYTES] = header.try_into().expect("a window has its length");
        assert_eq!(Header::decode(header).encode(), header);
    }
    let whole = read(core::iter::once(stream));
    let cut = read(pieces(stream, cuts));
    assert_eq!(whole, cut);
    let carried: usize = whole
        .segments
        .iter()
        .map(|(_, len)| HEADER_BYTES + len)
        .sum();
    assert!(carried <= stream.len());
}

/// What came out.
#[derive(Debug, Default, PartialEq)]
struct Read {
    /// Each segment's header and how many bytes of it came.
    segments: Vec<(Header, usize)>,
    payload: Vec<u8>,
    end: Option<EmptySegment>,
    inside: bool,
    whole: u64,
}

fn read<'a>(stream: impl Iterator<Item = &'a [u8]>) -> Read {
    let mut deframer = Deframer::new();
    let mut out = Read::default();
    'stream: for piece in stream {
        let mut input = Bytes::copy_from_slice(piece);
        loop {
            match deframer.next(&mut input) {
                Ok(Some(piece)) => out.take(&piece.header, &piece.bytes),
                Ok(None) => break,
                Err(empty) => {
                    out.end = Some(empty);
                    break 'stream;
                }
            }
        }
        assert!(input.is_empty(), "bytes are left behind");
    }
    out.inside = out.end.is_none() && deframer.is_inside();
    out.whole = deframer.whole();
    out
}

impl Read {
    fn take(&mut self, header: &Header, bytes: &[u8]) {
        assert!(!bytes.is_empty(), "an empty piece");
        self.payload.extend_from_slice(bytes);
        match self.segments.last_mut() {
            Some((open, have)) if *have < usize::from(open.len) => {
                assert_eq!(open, header);
                *have += bytes.len();
            }
            _ => self.segments.push((*header, bytes.len())),
        }
        let (header, have) = self.segments.last().expect("just pushed");
        assert!(*have <= usize::from(header.len), "more than announced");
    }
}
