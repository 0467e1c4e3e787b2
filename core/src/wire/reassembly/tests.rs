use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::wire::scan::tests::{any_item, head};

const LIMIT: usize = 1 << 20;

/// A message of `len` bytes: an array of one byte string.
fn message(len: usize) -> Vec<u8> {
    let mut out = vec![0x81];
    for wide in 0..5 {
        let body = len - 1 - [1, 2, 3, 5, 9][usize::from(wide)];
        let string = head(2, u64::try_from(body).unwrap(), wide);
        if string.len() + 1 + body == len {
            out.extend_from_slice(&string);
            break;
        }
    }
    out.resize(len, 0xee);
    out
}

fn next(reassembly: &mut Reassembly, limit: usize) -> Result<Option<Bytes>, Error> {
    let got = reassembly.next(limit);
    reassembly.check_invariants().unwrap();
    got
}

/// All messages of a stream cut into pieces, or those before the error and the error.
fn messages(stream: &Bytes, cuts: &[usize], limit: usize) -> (Vec<Bytes>, Option<Error>, Bytes) {
    let mut reassembly = Reassembly::new();
    let mut out = Vec::new();
    let mut rest = stream.clone();
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let len = (*cuts.next().unwrap()).clamp(1, rest.len());
        reassembly.push(rest.split_to(len));
        loop {
            match next(&mut reassembly, limit) {
                Ok(Some(message)) => out.push(message),
                Ok(None) => break,
                Err(error) => return (out, Some(error), Bytes::new()),
            }
        }
    }
    (out, None, reassembly.take_rest())
}

#[test]
fn a_message_inside_one_piece_is_not_copied() {
    let piece = Bytes::from(vec![0x81, 0x00, 0x81, 0x01, 0x82]);
    let mut reassembly = Reassembly::new();
    reassembly.push(piece.clone());
    assert_eq!(reassembly.len(), 5);
    for (from, to) in [(0, 2), (2, 4)] {
        let message = next(&mut reassembly, LIMIT).unwrap().unwrap();
        assert_eq!(message, piece[from..to]);
        assert_eq!(message.as_ptr(), piece[from..to].as_ptr());
    }
    assert_eq!(next(&mut reassembly, LIMIT), Ok(None));
    assert_eq!((reassembly.len(), reassembly.is_inside()), (1, true));
}

#[test]
fn exactly_the_limit_passes_and_one_more_fails_without_waiting() {
    for len in [3, 30, 300, 3_000] {
        let bytes = Bytes::from(message(len));
        for cuts in [&[1][..], &[7, 2], &[usize::MAX]] {
            let (got, error, _) = messages(&bytes, cuts, len);
            assert_eq!((got, error), (vec![bytes.clone()], None));
            let (got, error, _) = messages(&bytes, cuts, len - 1);
            assert_eq!(
                (got, error),
                (vec![], Some(Error::TooLarge { max: len - 1 }))
            );
        }
        let mut reassembly = Reassembly::new();
        reassembly.push(bytes.slice(..bytes.len().min(4)));
        let early = next(&mut reassembly, len - 1);
        assert_eq!(
            early,
            Err(Error::TooLarge { max: len - 1 }),
            "the length is enough"
        );
        assert!(reassembly.is_empty());
    }
}

#[test]
fn a_list_without_a_length_fails_at_the_limit() {
    let mut reassembly = Reassembly::new();
    reassembly.push(Bytes::from_static(&[0x81, 0x9f, 0, 0]));
    assert_eq!(next(&mut reassembly, 5), Ok(None));
    reassembly.push(Bytes::from_static(&[0]));
    assert_eq!(next(&mut reassembly, 5), Err(Error::TooLarge { max: 5 }));
}

#[test]
fn what_is_no_array_is_no_message() {
    for first in [0x00, 0x41, 0x61, 0xa0, 0xc1, 0xf6, 0xff, b'G'] {
        let mut reassembly = Reassembly::new();
        reassembly.push(Bytes::from(vec![first]));
        let malformed = Error::Malformed(DecodeError::Unexpected { at: 0 });
        assert_eq!(next(&mut reassembly, LIMIT), Err(malformed));
    }
}

#[test]
fn a_length_alone_reserves_little() {
    let mut reassembly = Reassembly::new();
    reassembly.push(Bytes::from_static(&[0x81, 0x5a, 0, 0x20, 0, 0]));
    assert_eq!(next(&mut reassembly, 1 << 24), Ok(None));
    assert!(reassembly.partial.as_ref().unwrap().collected.capacity() <= RESERVE_BYTES_MAX);
    let mut reassembly = Reassembly::new();
    let bytes = Bytes::from(message(90_000));
    reassembly.push(bytes.slice(..12_288));
    assert_eq!(next(&mut reassembly, LIMIT), Ok(None));
    assert!(
        reassembly.partial.as_ref().unwrap().collected.capacity() >= 90_000,
        "reserved once"
    );
}

#[test]
fn the_rest_starts_the_next_instance() {
    let mut first = Reassembly::new();
    for piece in [&[0x81, 0x07, 0x82][..], &[0x01], &[], &[0x02, 0x81, 0x03]] {
        first.push(Bytes::copy_from_slice(piece));
    }
    assert_eq!(next(&mut first, LIMIT).unwrap().unwrap()[..], [0x81, 0x07]);
    let rest = first.take_rest();
    assert_eq!(
        (&rest[..], first.is_empty()),
        (&[0x82, 1, 2, 0x81, 3][..], true)
    );
    let mut second = Reassembly::new();
    second.push(Bytes::from_static(&[0x81, 0x09, 0x82]));
    assert_eq!(next(&mut second, LIMIT).unwrap().unwrap()[..], [0x81, 0x09]);
    assert_eq!(
        next(&mut second, LIMIT),
        Ok(None),
        "it has begun to collect"
    );
    second.push(rest.slice(1..));
    assert_eq!(second.take_rest(), rest);
}

proptest! {
    /// Messages, errors and the rest are the same under every cut.
    #[test]
    fn the_cut_does_not_matter(
        items in proptest::collection::vec(any_item(), 1..8),
        flip in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
        short in 0_usize..4,
        limit in 1_usize..200,
        cuts in proptest::collection::vec(1_usize..40, 1..6),
    ) {
        let sent: Vec<Vec<u8>> = items.iter().map(|item| [&[0x81][..], item].concat()).collect();
        let mut stream = sent.concat();
        if let Some((at, byte)) = flip {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        stream.truncate(stream.len().saturating_sub(short));
        let stream = Bytes::from(stream);
        let whole = messages(&stream, &[usize::MAX], limit);
        prop_assert_eq!(&messages(&stream, &cuts, limit), &whole);
        prop_assert_eq!(&messages(&stream, &[1], limit), &whole);
        if flip.is_none() && whole.1.is_none() && short == 0 {
            prop_assert_eq!(whole.0.len(), sent.len());
            prop_assert!(whole.0.iter().zip(&sent).all(|(got, sent)| got == sent));
        }
    }
}
