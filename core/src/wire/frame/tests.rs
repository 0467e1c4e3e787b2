use std::vec::Vec;

use super::*;

fn header() -> Header {
    Header {
        time_us: 0x0102_0304,
        sender: Role::Responder,
        protocol: ProtocolId(2),
        len: 0x0a0b,
    }
}

#[test]
fn a_header_travels_as_in_the_picture() {
    let bytes = [1, 2, 3, 4, 0x80, 2, 0x0a, 0x0b];
    assert_eq!(header().encode(), bytes);
    assert_eq!(Header::decode(bytes), header());
    let initiator = Header {
        sender: Role::Initiator,
        ..header()
    };
    assert_eq!(initiator.encode()[4], 0);
}

#[test]
fn every_eight_bytes_read_and_written_again_are_the_same() {
    fn law(word: u64) -> bool {
        Header::decode(word.to_be_bytes()).encode() == word.to_be_bytes()
    }
    quickcheck::QuickCheck::new()
        .tests(10_000)
        .quickcheck(law as fn(u64) -> bool);
}

#[test]
fn a_length_of_zero_is_an_error_once_the_header_is_whole() {
    let mut deframer = Deframer::new();
    let mut start = Bytes::from_static(&[0, 0, 0, 0, 0, 2, 0]);
    assert_eq!(deframer.next(&mut start), Ok(None));
    assert!(deframer.is_inside());
    let mut last = Bytes::from_static(&[0, 9, 9]);
    assert_eq!(deframer.next(&mut last), Err(EmptySegment));
}

#[test]
fn a_payload_over_two_reads_comes_as_two_slices_of_them() {
    let mut deframer = Deframer::new();
    let mut read = Bytes::from_static(&[0, 0, 0, 0, 0, 8, 0, 3, 1, 2]);
    let at = read.as_ptr();
    let piece = deframer.next(&mut read).unwrap().unwrap();
    assert_eq!((&piece.bytes[..], piece.header.len), (&[1, 2][..], 3));
    assert_eq!(piece.bytes.as_ptr(), at.wrapping_add(8), "not a copy");
    assert_eq!(deframer.next(&mut read), Ok(None));
    assert!(deframer.is_inside());
    assert_eq!(deframer.whole(), 0);
    let mut read = Bytes::from_static(&[3, 7]);
    let piece = deframer.next(&mut read).unwrap().unwrap();
    assert_eq!(&piece.bytes[..], &[3]);
    assert!(!deframer.is_inside());
    assert_eq!((deframer.whole(), &read[..]), (1, &[7][..]));
}

#[test]
fn a_message_as_one_segment_has_its_header_and_both_parts() {
    let message = Encoded {
        head: Bytes::from_static(&[0x82, 4]),
        body: Bytes::from_static(&[7; 5]),
    };
    let mut bytes = segment(9, Role::Initiator, ProtocolId(3), &message).unwrap();
    let piece = Deframer::new().next(&mut bytes).unwrap().unwrap();
    assert_eq!((piece.header.time_us, piece.header.len), (9, 7));
    assert_eq!(&piece.bytes[..], &[0x82, 4, 7, 7, 7, 7, 7]);
    let none = Encoded::default();
    assert_eq!(segment(9, Role::Initiator, ProtocolId(3), &none), None);
    let long = Encoded {
        body: Bytes::from(std::vec![0; PAYLOAD_BYTES_MAX]),
        ..message
    };
    assert_eq!(segment(9, Role::Initiator, ProtocolId(3), &long), None);
}

/// Segments out of a stream cut anywhere: (header, payload), and whether one is open at the end.
fn deframe(stream: &Bytes, cuts: &[usize]) -> (Vec<(Header, Vec<u8>)>, bool) {
    let mut deframer = Deframer::new();
    let mut out: Vec<(Header, Vec<u8>)> = Vec::new();
    let mut left = 0_usize;
    let mut rest = stream.clone();
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let len = (*cuts.next().unwrap()).clamp(1, rest.len());
        let mut read = rest.split_to(len);
        while let Some(piece) = deframer.next(&mut read).unwrap() {
            assert!(!piece.bytes.is_empty());
            if left == 0 {
                left = usize::from(piece.header.len);
                out.push((piece.header, Vec::new()));
            }
            left -= piece.bytes.len();
            out.last_mut().unwrap().1.extend_from_slice(&piece.bytes);
        }
        assert!(read.is_empty());
    }
    (out, deframer.is_inside())
}

proptest::proptest! {
    /// The cut of the reads does not matter.
    #[test]
    fn segments_come_out_as_they_went_in_under_every_cut(
        lens in proptest::collection::vec((1_u16..400, 0_u16..0x8000, proptest::bool::ANY), 1..20),
        cuts in proptest::collection::vec(1_usize..300, 1..10),
        short in 0_usize..20,
    ) {
        let mut stream = BytesMut::new();
        let mut sent = Vec::new();
        for (at, (len, number, responds)) in lens.into_iter().enumerate() {
            let header = Header {
                time_us: u32::try_from(at).unwrap(),
                sender: if responds { Role::Responder } else { Role::Initiator },
                protocol: ProtocolId(number),
                len,
            };
            let payload: Vec<u8> = (0..len).map(|i| i.to_le_bytes()[0]).collect();
            stream.put_slice(&header.encode());
            stream.put_slice(&payload);
            sent.push((header, payload));
        }
        let stream = stream.freeze();
        proptest::prop_assert_eq!(deframe(&stream, &cuts), (sent, false));
        let part = stream.slice(..stream.len().saturating_sub(short).max(1));
        proptest::prop_assert_eq!(deframe(&part, &cuts), deframe(&part, &[usize::MAX]));
    }
}
