//! Message ends in a stream without lengths.

use bytes::Bytes;
use samanea_core::wire::reassembly::{Error, Reassembly};

use super::{holds, pieces};

/// How many of the first bytes say where the rest is cut; two more are the limit.
const CUTS: usize = 3;

/// A stream pushed whole and pushed in pieces has the same messages and the same end; messages
/// are the stream's bytes, in order, none over the limit.
///
/// # Panics
/// When a law is broken.
pub fn reassembly(bytes: &[u8]) {
    let Some((head, stream)) = bytes.split_at_checked(CUTS + 2) else {
        return;
    };
    let (cuts, limit) = head.split_at(CUTS);
    let limit = usize::from(u16::from_be_bytes([limit[0], limit[1]]));
    let whole = read(core::iter::once(stream), limit);
    let cut = read(pieces(stream, cuts), limit);
    assert_eq!(whole, cut, "the cut changed the outcome");
    let joined: Vec<u8> = whole.messages.iter().flatten().copied().collect();
    assert!(stream.starts_with(&joined), "not the stream's bytes");
    assert!(
        whole.messages.iter().all(|message| message.len() <= limit),
        "a message over the limit"
    );
    if whole.end.is_none() {
        assert_eq!(joined.len() + whole.held.len(), stream.len());
        assert!(stream.ends_with(&whole.held), "bytes are lost");
    }
}

/// What came out.
#[derive(Debug, Default, PartialEq)]
struct Read {
    messages: Vec<Bytes>,
    end: Option<Error>,
    held: Bytes,
}

fn read<'a>(stream: impl Iterator<Item = &'a [u8]>, limit: usize) -> Read {
    let mut reassembly = Reassembly::new();
    let mut out = Read::default();
    for piece in stream {
        reassembly.push(Bytes::copy_from_slice(piece));
        loop {
            match reassembly.next(limit) {
                Ok(Some(message)) => out.messages.push(message),
                Ok(None) => break,
                Err(error) => {
                    assert!(reassembly.is_empty(), "held after an error");
                    out.end = Some(error);
                    return out;
                }
            }
            holds(reassembly.check_invariants());
        }
        holds(reassembly.check_invariants());
    }
    let len = reassembly.len();
    out.held = reassembly.take_rest();
    assert_eq!(out.held.len(), len);
    out
}
