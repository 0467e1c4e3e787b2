use std::{vec, vec::Vec};

use proptest::prelude::*;

use super::*;

/// One well-formed item of any shape, with heads of any width.
pub(crate) fn any_item() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        (0_u8..2, any::<u64>(), any::<u8>()).prop_map(|(major, n, wide)| head(major, n, wide)),
        (2_u8..4, 0_usize..80, any::<u8>()).prop_map(|(major, len, wide)| string(major, len, wide)),
        (2_u8..4, proptest::collection::vec(0_usize..30, 0..4)).prop_map(|(major, lens)| {
            let chunks = lens.into_iter().map(|len| string(major, len, 0));
            endless(major, &chunks.collect::<Vec<_>>())
        }),
        prop_oneof![Just(0xf4_u8), Just(0xf5), Just(0xf6), Just(0xf7)].prop_map(|byte| vec![byte]),
        any::<u32>().prop_map(|bits| [&[0xfa_u8][..], &bits.to_be_bytes()].concat()),
        any::<u64>().prop_map(|bits| [&[0xfb_u8][..], &bits.to_be_bytes()].concat()),
    ];
    leaf.prop_recursive(6, 60, 6, |inner| {
        let list = proptest::collection::vec(inner.clone(), 0..6);
        let pairs =
            proptest::collection::vec((inner.clone(), inner.clone()), 0..4).prop_map(|pairs| {
                pairs
                    .into_iter()
                    .flat_map(|(k, v)| [k, v])
                    .collect::<Vec<_>>()
            });
        prop_oneof![
            (list.clone(), any::<u8>()).prop_map(|(items, wide)| {
                let count = u64::try_from(items.len()).unwrap();
                [head(4, count, wide), items.concat()].concat()
            }),
            list.prop_map(|items| endless(4, &items)),
            (pairs.clone(), any::<u8>()).prop_map(|(items, wide)| {
                let count = u64::try_from(items.len() / 2).unwrap();
                [head(5, count, wide), items.concat()].concat()
            }),
            pairs.prop_map(|items| endless(5, &items)),
            (any::<u16>(), any::<u8>(), inner).prop_map(|(tag, wide, item)| [
                head(6, u64::from(tag), wide),
                item
            ]
            .concat()),
        ]
    })
}

/// A head as wide as `wide` asks (0..=4) or as wide as it must be.
pub(crate) fn head(major: u8, value: u64, wide: u8) -> Vec<u8> {
    let must = match value {
        0..24 => 0,
        24..0x100 => 1,
        0x100..0x1_0000 => 2,
        0x1_0000..0x1_0000_0000 => 3,
        _ => 4,
    };
    let width = (wide % 5).max(must);
    let first = major << 5;
    let bytes = value.to_be_bytes();
    match width {
        0 => vec![first | bytes[7]],
        1 => vec![first | 0x18, bytes[7]],
        2 => [&[first | 0x19], &bytes[6..]].concat(),
        3 => [&[first | 0x1a], &bytes[4..]].concat(),
        _ => [&[first | 0x1b], &bytes[..]].concat(),
    }
}

fn string(major: u8, len: usize, wide: u8) -> Vec<u8> {
    let mut out = head(major, u64::try_from(len).unwrap(), wide);
    // Bytes that would mean something, were they not jumped over.
    out.resize(out.len() + len, if major == 2 { 0xff } else { b'a' });
    out
}

fn endless(major: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    [vec![major << 5 | 31], parts.concat(), vec![0xff]].concat()
}

/// Feeds pieces of the given lengths (again and again); where the item ends, or the flaw.
fn scan_cut(bytes: &[u8], cuts: &[usize]) -> Result<Option<usize>, DecodeError> {
    let mut scan = Scan::new();
    let mut at = 0;
    let mut cuts = cuts.iter().cycle();
    while at < bytes.len() {
        let len = (*cuts.next().unwrap()).clamp(1, bytes.len() - at);
        let least = scan.least();
        assert_eq!(scan.seen(), u64::try_from(at).unwrap());
        if let Some(n) = scan.feed(&bytes[at..at + len])? {
            assert!(n >= 1 && n <= len);
            assert!(u64::try_from(at + n).unwrap() >= least, "`least` was true");
            assert_eq!(scan, Scan::new(), "ready for the next item");
            return Ok(Some(at + n));
        }
        assert!(scan.least() > scan.seen(), "more is due");
        at += len;
    }
    Ok(None)
}

fn scan(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    scan_cut(bytes, &[usize::MAX])
}

#[test]
fn examples_end_where_they_should() {
    let table: &[(&[u8], Option<usize>)] = &[
        (&[0x81, 0x00], Some(2)),
        (&[0x81, 0x00, 0x81], Some(2)),
        (&[0x80], Some(1)),
        (&[0x98, 0x01, 0x00], Some(3)),
        (&[0x82, 0x00], None),
        (&[0x9f, 0xff], Some(2)),
        (&[0x9f, 0x01], None),
        (&[0xbf, 0x01, 0x02, 0xff], Some(4)),
        (&[0x40], Some(1)),
        (&[0x42, 0xff, 0xff, 0xff], Some(3)),
        (&[0x5f, 0x41, 0x00, 0x40, 0xff], Some(5)),
        (&[0xd8, 0x18, 0x41, 0x00], Some(4)),
        (&[0xc0, 0xc0, 0x00], Some(3)),
        (&[0x82, 0x9f, 0x81, 0x00, 0xff, 0x80], Some(6)),
        (&[0xf9, 0x00, 0x00], Some(3)),
        (&[0xf8, 0x20], Some(2)),
        (&[0xe0], Some(1)),
        (&[], None),
    ];
    for (bytes, end) in table {
        assert_eq!(scan(bytes), Ok(*end), "{bytes:02x?}");
        assert_eq!(scan_cut(bytes, &[1]), Ok(*end), "{bytes:02x?} byte by byte");
    }
}

#[test]
fn malformed_heads_are_named_by_their_place() {
    let table: &[(&[u8], u32)] = &[
        (&[0x1c], 0),
        (&[0x1f], 0),
        (&[0x3f], 0),
        (&[0x5c], 0),
        (&[0xdf], 0),
        (&[0xfc], 0),
        (&[0xf8, 0x1f], 0),
        (&[0xff], 0),
        (&[0x81, 0xff], 1),
        (&[0xbf, 0x01, 0xff], 2),
        (&[0x9f, 0xc0, 0xff], 2),
        (&[0x5f, 0x00], 1),
        (&[0x5f, 0x61, 0x61], 1),
        (&[0x5f, 0x5f], 1),
        (&[0x7f, 0x41, 0x61], 1),
        (&[0x5f, 0xc0, 0x41], 1),
        (&[0x83, 0x41, 0x00, 0x19, 0x01, 0x02, 0x1d], 6),
    ];
    for (bytes, at) in table {
        let flaw = Err(DecodeError::Unexpected { at: *at });
        assert_eq!(scan(bytes), flaw, "{bytes:02x?}");
        assert_eq!(scan_cut(bytes, &[1]), flaw, "{bytes:02x?} byte by byte");
    }
}

#[test]
fn nesting_ends_at_the_maximum() {
    let deep = |levels: usize| [vec![0x81; levels], vec![0x00]].concat();
    assert_eq!(scan(&deep(DEPTH_MAX)), Ok(Some(DEPTH_MAX + 1)));
    assert_eq!(scan(&deep(DEPTH_MAX + 1)), Err(DecodeError::Depth));
    assert_eq!(
        scan_cut(&deep(DEPTH_MAX + 1), &[7]),
        Err(DecodeError::Depth)
    );
}

#[test]
fn a_length_tells_how_much_is_due() {
    let mut scan = Scan::new();
    assert_eq!(scan.least(), 1);
    assert_eq!(
        scan.feed(&[0x82, 0x04, 0xd8, 0x18, 0x5a, 0x00, 0x10, 0x00, 0x00]),
        Ok(None)
    );
    assert_eq!(scan.least(), 9 + 0x10_0000);
    scan.reset();
    assert_eq!(scan.feed(&[0x82, 0x41]), Ok(None));
    assert_eq!(
        scan.least(),
        4,
        "one byte of the string, one of the second item"
    );
    scan.reset();
    assert_eq!(
        scan.feed(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        Ok(None)
    );
    assert_eq!(
        scan.feed(&[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        Ok(None)
    );
    assert_eq!(scan.least(), u64::MAX, "no overflow");
}

proptest! {
    /// Items end where another reader says they do, under every cut, and nowhere before.
    #[test]
    fn a_valid_item_ends_where_minicbor_says_under_every_cut(
        item in any_item(),
        behind in proptest::collection::vec(any::<u8>(), 0..4),
        cuts in proptest::collection::vec(1_usize..9, 1..6),
    ) {
        let bytes = [&item[..], &behind].concat();
        let mut decoder = minicbor::Decoder::new(&bytes);
        decoder.skip().unwrap();
        prop_assert_eq!(decoder.position(), item.len());
        prop_assert_eq!(scan(&bytes), Ok(Some(item.len())));
        prop_assert_eq!(scan_cut(&bytes, &cuts), Ok(Some(item.len())));
        prop_assert_eq!(scan(&item[..item.len() - 1]), Ok(None));
    }

    /// The cut does not matter for bytes of any kind.
    #[test]
    fn any_bytes_get_one_verdict_under_every_cut(
        item in any_item(),
        at in any::<proptest::sample::Index>(),
        byte in any::<u8>(),
        cuts in proptest::collection::vec(1_usize..9, 1..6),
    ) {
        let mut bytes = item;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let whole = scan(&bytes);
        prop_assert_eq!(scan_cut(&bytes, &cuts), whole);
        prop_assert_eq!(scan_cut(&bytes, &[1]), whole);
    }
}
