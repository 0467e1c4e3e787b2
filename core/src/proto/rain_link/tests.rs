use alloc::{boxed::Box, string::String, vec, vec::Vec};
use core::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use quickcheck::{Arbitrary, Gen, QuickCheck, quickcheck};

use super::{
    ADDRESS_BYTES_MAX, BULK_BYTES_MAX, BULK_SPEC, Client, DATA, DONE, Data, Duty, ENTRIES_MAX,
    Entry, Flags, Frame, HOLES_MAX, IDS_MAX, Ids, Igyw, Joined, Left, Limit, MSG_DONE, Message,
    ONWARD_MAX, OPEN, Onward, PAYLOAD_BYTES_MAX, RECORDS_MAX, RELAY, RainBulk, RainLink, Record,
    SPEC, Server, Terms, Unfit, WORD_BYTES_MAX, Why,
    client::{Fact, Order},
    server, write_group,
};
use crate::{
    base::{Actor, GroupId, Hash32, Kind, MemberKey, MessageId, Signature},
    proto::{
        Action, Event, Fault, Half as _, Protocol as _,
        rig::Duel,
        testing::{Rig, codec_laws, encode, every_cell, flat, total},
    },
    wire::codec::{DecodeError, Writer},
};

const REASONS: [Flags; 4] = [Flags::TREE, Flags::CHAIN, Flags::REDUNDANT, Flags::PULLED];

fn key(byte: u8) -> MemberKey {
    MemberKey([byte; 32])
}

fn id(byte: u8) -> MessageId {
    MessageId(Hash32([byte; 32]))
}

fn signature(byte: u8) -> Signature {
    Signature([[byte; 32], [byte ^ 0xff; 32]])
}

fn ids(bytes: &[u8]) -> Ids {
    bytes.iter().map(|byte| id(*byte)).collect()
}

fn group() -> GroupId {
    let servicers = GroupId::Role(Actor::Servicer);
    servicers.minus(GroupId::Custom(Hash32([9; 32]))).unwrap()
}

fn deep(levels: u8) -> GroupId {
    (1..levels).fold(GroupId::Session(Hash32([0x77; 32])), |term, _| {
        GroupId::Union(Box::new((term.clone(), term)))
    })
}

fn data(payload: &'static [u8]) -> Data {
    Data {
        group: GroupId::Role(Actor::Validator),
        epoch: 300,
        view: *b"8 bytes.",
        origin: key(1),
        boot: 2,
        seq: 70_000,
        limit: Limit::Key(key(3)),
        flags: Flags::TREE.with(Flags::WANT_ACK),
        hop: 1,
        signature: signature(4),
        terms: Terms::default(),
        payload: Bytes::from_static(payload),
    }
}

fn onward(group: GroupId) -> Onward {
    Onward {
        group,
        epoch: 7,
        seq: 300,
        signature: signature(6),
    }
}

/// A message that goes on to another group.
fn bridged() -> Frame {
    let onward = vec![onward(group())];
    Frame::Data(Box::new(Data {
        terms: Terms {
            urgent: true,
            life_ms: 500,
            onward,
        },
        ..data(b"block")
    }))
}

fn joined(address: &'static [u8]) -> Joined {
    Joined {
        member: key(1),
        boot: 7,
        address: Bytes::from_static(address),
        signature: signature(2),
    }
}

const LEFT: Left = Left {
    member: MemberKey([1; 32]),
    boot: 8,
    by: MemberKey([2; 32]),
    signature: Signature([[3; 32]; 2]),
};

fn entry(origin: u8, low: u64, max: u64, holes: &[u64]) -> Entry {
    Entry {
        origin: key(origin),
        boot: 1,
        low,
        max,
        holes: holes.into(),
    }
}

fn digest(entries: Vec<Entry>) -> Frame {
    Frame::Digest {
        group: GroupId::AllStaked,
        reply: false,
        entries,
    }
}

fn pull(ranges: &[(u64, u64)]) -> Frame {
    Frame::Pull {
        group: GroupId::AllStaked,
        origin: key(1),
        boot: 2,
        ranges: ranges.into(),
    }
}

fn relay(frame: Frame) -> Frame {
    Frame::Relay {
        to: key(5),
        from: key(6),
        ttl: 9,
        frame: Box::new(frame),
    }
}

/// One frame of each kind; some have two.
fn frame(kind: u8) -> Frame {
    match kind {
        0 => Frame::Hello {
            member: key(1),
            challenge: [2; 16],
            payload_max: 4 << 20,
            credit: 8 << 20,
        },
        1 => Frame::Data(Box::new(data(b"payload"))),
        2 => Frame::Duty(Duty {
            id: id(1),
            limit: Limit::Level(3),
            flags: Flags::TREE.with(Flags::DELEGATED),
            hop: 2,
        }),
        3 => Frame::Ack { ids: ids(&[1, 2]) },
        4 => Frame::Nack {
            ids: ids(&[3]),
            why: Why::TooBig,
        },
        5 => Frame::Igyw(Igyw {
            group: group(),
            epoch: 5,
            ids: ids(&[1, 2, 3]),
            nonce: Some([6; 16]),
        }),
        6 => Frame::Yes { ids: ids(&[1]) },
        7 => Frame::No {
            ids: ids(&[1, 2]),
            proofs: vec![Hash32([8; 32]), Hash32([9; 32])],
        },
        8 => Frame::Wait { ids: ids(&[4]) },
        9 => digest(vec![entry(1, 5, 5, &[]), entry(2, 0, 300, &[7, 9, 299])]),
        10 => pull(&[(0, 3), (5, 5), (100, 158)]),
        11 => relay(frame(6)),
        12 => Frame::Credit { bytes: 65_536 },
        13 => Frame::Join {
            group: group(),
            record: joined(b"relay.example:3001"),
        },
        14 => Frame::Leave {
            group: group(),
            record: LEFT,
        },
        15 => Frame::Ping {
            group: deep(2),
            view: [1; 8],
        },
        16 => Frame::Pong {
            group: GroupId::AllStaked,
            view: [2; 8],
        },
        17 => Frame::Members {
            group: group(),
            records: vec![Record::Joined(joined(b"")), Record::Left(LEFT)],
        },
        _ => Frame::Proof {
            signature: signature(5),
        },
    }
}

fn message(kind: Kind) -> Message {
    match kind {
        MSG_DONE => Message::Done,
        Kind(kind) => Message::Frame(frame(kind)),
    }
}

fn message_of_bulk(kind: Kind) -> Message {
    match kind {
        RELAY => Message::Frame(relay(frame(1))),
        kind => message(kind),
    }
}

/// Whichever lane it goes.
fn bytes(frame: &Frame) -> Bytes {
    encode::<RainLink>(&Message::Frame(frame.clone()))
}

fn read(bytes: &Bytes, bulk: bool) -> Result<Frame, DecodeError> {
    let message = if bulk {
        RainBulk::decode(OPEN, bytes)
    } else {
        RainLink::decode(OPEN, bytes)
    };
    message.map(|message| match message {
        Message::Frame(frame) => frame,
        Message::Done => panic!("a farewell"),
    })
}

fn again(frame: &Frame) -> Result<Frame, DecodeError> {
    read(&bytes(frame), frame.is_bulk())
}

#[test]
fn each_cell_of_both_tables_is_read_as_the_table_says() {
    assert_eq!(every_cell::<RainLink>(message), 2 * 20);
    assert_eq!(every_cell::<RainBulk>(message_of_bulk), 2 * 20);
}

/// The numbers and lengths in the tables are those of the frames.
#[test]
fn the_two_lanes_share_all_kinds_and_only_relays_are_on_both() {
    for kind in (0..20).map(Kind) {
        let lanes = [&SPEC, &BULK_SPEC].map(|spec| spec.edge(OPEN, kind).is_some());
        let both = kind == RELAY || kind == MSG_DONE;
        assert_eq!(lanes, [kind != DATA, both || kind == DATA], "{kind:?}");
        let edges = SPEC.edges.iter().chain(BULK_SPEC.edges);
        for edge in edges.filter(|edge| edge.kind == kind) {
            assert_eq!(edge.label, kind.0);
            assert_eq!(encode::<RainLink>(&message(kind))[0], 0x80 | edge.items);
            let to = if kind == MSG_DONE { DONE } else { OPEN };
            assert_eq!(edge.to, to);
        }
    }
}

/// The form on the wire is fixed.
#[test]
fn frames_are_written_as_in_the_golden_file() {
    let mut written = String::new();
    let extra = [
        ("chain", chain()),
        ("relayed data", relay(frame(1))),
        ("deepest group", ping(deep(4))),
        ("bridged", bridged()),
    ];
    let each = (0..19).map(|kind| (name(kind), frame(kind)));
    for (name, frame) in each.chain(extra) {
        let _ = write!(written, "{name}: ");
        for byte in bytes(&frame) {
            let _ = write!(written, "{byte:02x}");
        }
        written.push('\n');
    }
    written.push_str("MsgDone: 8113\n");
    assert_eq!(written, include_str!("golden.txt"));
}

fn name(kind: u8) -> &'static str {
    let edges = SPEC.edges.iter().chain(BULK_SPEC.edges);
    let mut of_kind = edges.filter(|edge| edge.kind == Kind(kind));
    of_kind.next().map_or("?", |edge| edge.message)
}

fn chain() -> Frame {
    Frame::Data(Box::new(Data {
        group: GroupId::AllStaked,
        epoch: 0,
        limit: Limit::Level(24),
        flags: Flags::CHAIN,
        hop: 255,
        ..data(b"")
    }))
}

fn ping(group: GroupId) -> Frame {
    let view = [7; 8];
    Frame::Ping { group, view }
}

#[test]
fn each_line_of_the_golden_file_is_read() {
    let mut seen = 0;
    for line in include_str!("golden.txt").lines() {
        let (name, hex) = line.split_once(": ").unwrap();
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let bytes = Bytes::from(bytes);
        let reads = RainLink::decode(OPEN, &bytes).is_ok();
        assert!(reads || RainBulk::decode(OPEN, &bytes).is_ok(), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 24);
}

#[test]
fn a_payload_is_shared_and_never_copied() {
    let payload = Bytes::from(vec![7; 100_000]);
    let data = Data {
        payload: payload.clone(),
        ..data(b"")
    };
    for frame in [
        Frame::Data(Box::new(data.clone())),
        relay(Frame::Data(Box::new(data))),
    ] {
        let mut head = BytesMut::new();
        let tail = RainBulk::encode(&Message::Frame(frame.clone()), &mut head);
        assert_eq!(tail.as_ptr(), payload.as_ptr());
        assert_eq!(tail.len(), payload.len());
        let whole: Bytes = [&head[..], &tail[..]].concat().into();
        let at = whole.as_ptr_range();
        let read = match read(&whole, true).unwrap() {
            Frame::Relay { frame, .. } => *frame,
            frame => frame,
        };
        let Frame::Data(read) = read else {
            panic!("{read:?}")
        };
        assert_eq!(read.payload, payload);
        assert!(at.contains(&read.payload.as_ptr()));
    }
}

#[test]
fn an_address_keeps_no_message_alive() {
    let whole = bytes(&frame(13));
    let Ok(Frame::Join { record, .. }) = read(&whole, false) else {
        panic!("no join");
    };
    assert!(!whole.as_ptr_range().contains(&record.address.as_ptr()));
}

#[test]
fn the_largest_frames_fit_into_the_limits_of_their_lanes() {
    let full = |length| {
        let item = |at: usize| id(u8::try_from(at % 256).unwrap());
        (0..length).map(item).collect::<Ids>()
    };
    let address: &[u8] = Box::leak(vec![b'a'; ADDRESS_BYTES_MAX].into());
    let record = Record::Joined(Joined {
        boot: u32::MAX,
        ..joined(address)
    });
    let entries = (0..u8::try_from(ENTRIES_MAX).unwrap()).map(|origin| {
        let low = u64::MAX - 100;
        let holes: Vec<u64> = (1..=u64::try_from(HOLES_MAX).unwrap())
            .map(|n| low + n)
            .collect();
        entry(origin, low, u64::MAX, &holes)
    });
    let words = [
        Frame::Members {
            group: deep(4),
            records: vec![record; RECORDS_MAX],
        },
        digest(entries.collect()),
        Frame::No {
            ids: full(IDS_MAX),
            proofs: vec![Hash32([1; 32]); IDS_MAX],
        },
        Frame::Igyw(Igyw {
            group: deep(4),
            epoch: u64::MAX,
            ids: full(IDS_MAX),
            nonce: Some([0; 16]),
        }),
    ];
    for frame in words {
        let frame = relay(frame);
        assert_eq!(again(&frame).as_ref(), Ok(&frame));
        assert!(frame.encoded_bytes() <= WORD_BYTES_MAX);
    }
    let frame = relay(Frame::Data(Box::new(Data {
        group: deep(4),
        epoch: u64::MAX,
        boot: u32::MAX,
        seq: u64::MAX,
        terms: Terms {
            urgent: false,
            life_ms: u32::MAX,
            onward: vec![
                Onward {
                    epoch: u64::MAX,
                    seq: u64::MAX,
                    ..onward(deep(4))
                };
                ONWARD_MAX
            ],
        },
        payload: Bytes::from(vec![0; PAYLOAD_BYTES_MAX]),
        ..data(b"")
    })));
    assert_eq!(again(&frame).as_ref(), Ok(&frame));
    assert!(frame.encoded_bytes() <= BULK_BYTES_MAX);
}

/// Each breaks one rule, and is refused for that.
#[test]
fn what_breaks_a_rule_is_refused_by_both_ends() {
    let over = |frame: Frame, why: DecodeError| {
        assert_eq!(again(&frame), Err(why), "{frame:?}");
        let kind = frame.kind().0;
        assert_eq!(frame.check(), Err(Unfit { kind }));
        let relayed = relay(frame);
        assert_eq!(relayed.check(), Err(Unfit { kind: RELAY.0 }));
        assert_eq!(again(&relayed), Err(why), "{relayed:?}");
    };
    let max = 256;
    let many: Ids = (0..=IDS_MAX).map(|_| id(0)).collect();
    over(
        Frame::Ack { ids: many.clone() },
        DecodeError::TooMany { max },
    );
    over(Frame::Yes { ids: Ids::new() }, DecodeError::Empty);
    let nothing = Igyw {
        group: group(),
        epoch: 0,
        ids: Ids::new(),
        nonce: None,
    };
    over(Frame::Igyw(nothing), DecodeError::Empty);
    let short = Frame::No {
        ids: ids(&[1, 2]),
        proofs: vec![Hash32([0; 32])],
    };
    over(short, DecodeError::Items { want: 2, got: 1 });
    over(ping(deep(5)), DecodeError::Depth);
    over(pull(&[]), DecodeError::Empty);
    over(pull(&[(3, 2)]), DecodeError::Order);
    over(pull(&[(4, 5), (5, 6)]), DecodeError::Order);
    over(pull(&[(4, 5), (1, 2)]), DecodeError::Order);
    over(pull(&[(0, 64)]), DecodeError::TooMany { max: 64 });
    over(pull(&[(0, u64::MAX)]), DecodeError::TooMany { max: 64 });
    let two = [(0, 31), (40, 72)];
    over(pull(&two), DecodeError::TooMany { max: 64 });
    let seventeen: Vec<_> = (0..17).map(|n| (2 * n, 2 * n)).collect();
    over(pull(&seventeen), DecodeError::TooMany { max: 16 });
    let entries = vec![entry(2, 0, 0, &[]), entry(1, 0, 0, &[])];
    over(digest(entries), DecodeError::Order);
    let twice = vec![entry(1, 0, 0, &[]), entry(1, 5, 6, &[])];
    over(digest(twice), DecodeError::Order);
    for holes in [&[0][..], &[9], &[10], &[5, 4], &[5, 5]] {
        over(digest(vec![entry(1, 0, 9, holes)]), DecodeError::Order);
    }
    over(digest(vec![entry(1, 2, 1, &[])]), DecodeError::Order);
    let many: Vec<_> = (0..=64).map(|origin| entry(origin, 0, 0, &[])).collect();
    over(digest(many), DecodeError::TooMany { max: 64 });
    let holes: Vec<u64> = (1..18).collect();
    let many = digest(vec![entry(1, 0, 99, &holes)]);
    over(many, DecodeError::TooMany { max: 16 });
    let long: &[u8] = Box::leak(vec![b'a'; ADDRESS_BYTES_MAX + 1].into());
    let record = joined(long);
    let members = Frame::Members {
        group: group(),
        records: vec![Record::Joined(record.clone())],
    };
    over(members, DecodeError::TooLong { max: 255 });
    let group = group();
    let join = Frame::Join { group, record };
    over(join, DecodeError::TooLong { max: 255 });
    let records = vec![Record::Left(LEFT); RECORDS_MAX + 1];
    let group = GroupId::AllStaked;
    let members = Frame::Members { group, records };
    over(members, DecodeError::TooMany { max });
    let large = Data {
        payload: Bytes::from(vec![0; PAYLOAD_BYTES_MAX + 1]),
        ..data(b"")
    };
    let max = 4 << 20;
    over(Frame::Data(Box::new(large)), DecodeError::TooLong { max });
    let far = Data {
        terms: Terms {
            onward: vec![onward(GroupId::AllStaked); ONWARD_MAX + 1],
            ..Terms::default()
        },
        ..data(b"")
    };
    let max = u32::try_from(ONWARD_MAX).unwrap();
    over(Frame::Data(Box::new(far)), DecodeError::TooMany { max });
}

/// There is one form: terms that say nothing are the empty list.
#[test]
fn terms_that_want_nothing_are_not_spelled_out() {
    let plain = bytes(&frame(1));
    let at = plain.len() - 1 - b"payload".len() - 1;
    assert_eq!(plain[at], 0x80);
    let spelled = [&plain[..at], &[0x83, 0xf4, 0, 0x80], &plain[at + 1..]].concat();
    assert_eq!(read(&spelled.into(), true), Err(DecodeError::Empty));
    let short = [&plain[..at], &[0x82, 0xf5, 0], &plain[at + 1..]].concat();
    let (want, got) = (3, 2);
    assert_eq!(
        read(&short.into(), true),
        Err(DecodeError::Items { want, got })
    );
}

#[test]
fn a_relay_carries_one_frame_of_its_lane_and_never_a_relay() {
    let twice = relay(relay(frame(6)));
    assert_eq!(again(&twice), Err(DecodeError::Label { label: 11 }));
    assert!(twice.check().is_err());
    let (word, payload) = (bytes(&relay(frame(6))), bytes(&relay(frame(1))));
    assert_eq!(read(&payload, false), Err(DecodeError::Label { label: 1 }));
    assert_eq!(read(&word, true), Err(DecodeError::Label { label: 6 }));
    let mut farewell = word.to_vec();
    farewell.truncate(farewell.len() - bytes(&frame(6)).len());
    for (inside, why) in [
        (&[0x81, 0x13][..], DecodeError::Label { label: 19 }),
        (&[0x81, 0x18, 0x20], DecodeError::Label { label: 32 }),
        (&[0x82, 0x19, 1, 6, 0], DecodeError::Label { label: 262 }),
        (&[0x83, 0x06, 0x80], DecodeError::Short),
        (
            &[0x83, 0x06, 0x80, 0x80],
            DecodeError::Items { want: 2, got: 3 },
        ),
    ] {
        let bytes: Bytes = [&farewell[..], inside].concat().into();
        assert_eq!(read(&bytes, false), Err(why), "{inside:02x?}");
    }
}

/// Every byte of each frame changed in each bit: what is still read is another frame, or the same
/// in another form, and fits.
#[test]
fn no_flipped_bit_makes_a_frame_that_does_not_fit() {
    let (mut refused, mut other) = (0, 0);
    for frame in (0..19).map(frame) {
        let whole = bytes(&frame);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.to_vec();
                bytes[at] ^= 1 << bit;
                let bytes = Bytes::from(bytes);
                match read_any(&bytes) {
                    Some(read) => {
                        other += 1;
                        assert_eq!(read.check(), Ok(()), "{read:?}");
                        assert_eq!(again(&read).as_ref(), Ok(&read));
                    }
                    None => refused += 1,
                }
            }
        }
    }
    assert!(refused > 1_000 && other > 1_000, "{refused} {other}");
}

fn read_any(bytes: &Bytes) -> Option<Frame> {
    let word = RainLink::decode(OPEN, bytes);
    match word.or_else(|_| RainBulk::decode(OPEN, bytes)) {
        Ok(Message::Frame(frame)) => Some(frame),
        _ => None,
    }
}

#[test]
fn flags_have_exactly_one_reason_and_none_unknown() {
    let mut legal = 0;
    for bits in 0..=255 {
        let flags = Flags(bits);
        let duty = Frame::Duty(Duty {
            id: id(1),
            limit: Limit::Level(0),
            flags,
            hop: 0,
        });
        let reasons = REASONS.iter().filter(|reason| flags.has(**reason)).count();
        let valid = bits < 128 && reasons == 1;
        assert_eq!(again(&duty).is_ok(), valid, "{flags:?}");
        assert_eq!(duty.check().is_ok(), valid, "{flags:?}");
        legal += usize::from(valid);
    }
    assert_eq!(legal, 4 * 8);
}

#[test]
fn groups_are_read_as_written_and_no_others() {
    let mut cases = vec![
        (&[0x81, 0x00][..], Ok(GroupId::AllStaked)),
        (
            &[0x82, 0x00, 0x00],
            Err(DecodeError::Items { want: 1, got: 2 }),
        ),
        (&[0x82, 0x01, 0x00], Err(DecodeError::Range { at: 4 })),
        (&[0x82, 0x01, 0x07], Err(DecodeError::Range { at: 4 })),
        (
            &[0x82, 0x04, 0x80],
            Err(DecodeError::Items { want: 3, got: 2 }),
        ),
        (&[0x81, 0x06], Err(DecodeError::Range { at: 3 })),
        (&[0x82, 0x02, 0x41, 0x00], Err(DecodeError::Range { at: 4 })),
        (&[0x9f, 0x00, 0xff], Err(DecodeError::ListForm { at: 2 })),
    ];
    let roles: Vec<_> = (1..=6).map(|role| [0x82, 0x01, role]).collect();
    for (role, actor) in roles.iter().zip(Actor::ALL) {
        cases.push((role, Ok(GroupId::Role(actor))));
    }
    for (group, want) in cases {
        let ping = [&[0x83, 15], group, &[0x48], &[7; 8]].concat();
        let want = want.map(ping_of);
        assert_eq!(read(&ping.into(), false), want, "{group:02x?}");
    }
    let mut written = BytesMut::new();
    write_group(&mut Writer::new(&mut written), &group());
    assert_eq!(written[..8], [0x83, 5, 0x82, 1, 2, 0x82, 3, 0x58]);
}

fn ping_of(group: GroupId) -> Frame {
    ping(group)
}

/// A frame of any kind that mostly fits.
#[derive(Clone, Debug)]
struct Any(Frame);

impl Arbitrary for Any {
    fn arbitrary(g: &mut Gen) -> Self {
        let kind = u8::arbitrary(g) % 19;
        if kind == RELAY.0 {
            let inside = u8::arbitrary(g) % 19;
            return Self(relay(any(g, inside)));
        }
        Self(any(g, kind))
    }
}

fn any(g: &mut Gen, kind: u8) -> Frame {
    match kind {
        1 => Frame::Data(Box::new(any_data(g))),
        3 => Frame::Ack { ids: any_ids(g) },
        4 => Frame::Nack {
            ids: any_ids(g),
            why: *g.choose(&Why::ALL).unwrap(),
        },
        5 => Frame::Igyw(Igyw {
            group: any_group(g),
            epoch: u64::arbitrary(g),
            ids: any_ids(g),
            nonce: bool::arbitrary(g).then_some([u8::arbitrary(g); 16]),
        }),
        7 => {
            let ids = any_ids(g);
            let len = if bool::arbitrary(g) { ids.len() } else { 0 };
            let proofs = vec![Hash32([u8::arbitrary(g); 32]); len];
            Frame::No { ids, proofs }
        }
        9 => any_digest(g),
        10 => any_pull(g),
        12 => Frame::Credit {
            bytes: u32::arbitrary(g),
        },
        13 => Frame::Join {
            group: any_group(g),
            record: any_joined(g),
        },
        15 => ping(any_group(g)),
        17 => Frame::Members {
            group: any_group(g),
            records: (0..usize::arbitrary(g) % 4)
                .map(|_| Record::Joined(any_joined(g)))
                .collect(),
        },
        kind => frame(kind),
    }
}

fn any_ids(g: &mut Gen) -> Ids {
    let len = usize::arbitrary(g) % 6;
    (0..len).map(|_| id(u8::arbitrary(g))).collect()
}

fn any_group(g: &mut Gen) -> GroupId {
    let inner = |g: &mut Gen| Box::new((any_group(g), any_group(g)));
    match u8::arbitrary(g) % 10 {
        0 => GroupId::Union(inner(g)),
        1 => GroupId::Minus(inner(g)),
        2 | 3 => GroupId::Role(*g.choose(&Actor::ALL).unwrap()),
        4 => GroupId::Session(Hash32([u8::arbitrary(g); 32])),
        5 => GroupId::Custom(Hash32([u8::arbitrary(g); 32])),
        _ => GroupId::AllStaked,
    }
}

fn any_data(g: &mut Gen) -> Data {
    Data {
        group: any_group(g),
        epoch: u64::arbitrary(g),
        boot: u32::arbitrary(g),
        seq: u64::arbitrary(g),
        limit: if bool::arbitrary(g) {
            Limit::Level(u8::arbitrary(g))
        } else {
            Limit::Key(key(u8::arbitrary(g)))
        },
        flags: Flags(u8::arbitrary(g) & 0x38).with(*g.choose(&REASONS).unwrap()),
        hop: u8::arbitrary(g),
        terms: any_terms(g),
        payload: Vec::arbitrary(g).into(),
        ..data(b"")
    }
}

fn any_terms(g: &mut Gen) -> Terms {
    if bool::arbitrary(g) {
        return Terms::default();
    }
    let many = usize::arbitrary(g) % (ONWARD_MAX + 2);
    Terms {
        urgent: bool::arbitrary(g),
        life_ms: u32::arbitrary(g),
        onward: (0..many).map(|_| onward(any_group(g))).collect(),
    }
}

fn any_joined(g: &mut Gen) -> Joined {
    let mut address: Vec<u8> = Vec::arbitrary(g);
    if u8::arbitrary(g) % 8 == 0 {
        address.resize(ADDRESS_BYTES_MAX + usize::from(bool::arbitrary(g)), 0);
    }
    Joined {
        boot: u32::arbitrary(g),
        address: address.into(),
        ..joined(b"")
    }
}

fn any_digest(g: &mut Gen) -> Frame {
    let mut entries: Vec<_> = (0..usize::arbitrary(g) % 5)
        .map(|_| {
            let low = u64::from(u16::arbitrary(g));
            let mut holes: Vec<u64> = (0..usize::arbitrary(g) % 5)
                .map(|_| low + u64::from(u8::arbitrary(g)))
                .collect();
            if u8::arbitrary(g) % 8 > 0 {
                holes.sort_unstable();
                holes.dedup();
            }
            entry(u8::arbitrary(g) % 16, low, low + 300, &holes)
        })
        .collect();
    if u8::arbitrary(g) % 8 > 0 {
        entries.sort_by_key(|entry| (entry.origin, entry.boot));
        entries.dedup_by_key(|entry| (entry.origin, entry.boot));
    }
    digest(entries)
}

fn any_pull(g: &mut Gen) -> Frame {
    let mut next = u64::from(u32::arbitrary(g));
    let ranges: Vec<_> = (0..usize::arbitrary(g) % 6)
        .map(|_| {
            let first = next + u64::from(u8::arbitrary(g));
            let last = first + u64::from(u8::arbitrary(g) % 16);
            next = last + u64::from(u8::arbitrary(g) % 8 > 0);
            (first, last)
        })
        .collect();
    pull(&ranges)
}

quickcheck! {
    fn bytes_of_any_kind_make_no_decoder_panic(bytes: Vec<u8>) -> bool {
        total::<RainLink>(&bytes) && total::<RainBulk>(&bytes)
    }

    /// The size is known without writing.
    fn the_size_of_a_frame_is_known_before_it_is_written(any: Any) -> bool {
        bytes(&any.0).len() == any.0.encoded_bytes()
    }
}

/// A frame fits exactly if reading what was written gives it again.
#[test]
fn a_frame_is_taken_exactly_if_it_fits() {
    fn law(Any(frame): Any) -> bool {
        let fits = frame.check().is_ok();
        let message = Message::Frame(frame.clone());
        let laws = if frame.is_bulk() {
            codec_laws::<RainBulk>
        } else {
            codec_laws::<RainLink>
        };
        if fits {
            laws(&message)
        } else {
            again(&frame).is_err()
        }
    }
    QuickCheck::new()
        .tests(5_000)
        .quickcheck(law as fn(Any) -> bool);
    let mut g = Gen::new(20);
    let fit = (0..1_000).filter(|_| Any::arbitrary(&mut g).0.check().is_ok());
    let fit = fit.count();
    assert!((500..990).contains(&fit), "{fit} of 1,000 fit");
}

#[test]
fn frames_go_over_in_order_until_the_farewell() {
    let (mut duel, _) = Duel::new(Client::<RainLink>::new(7), Server::<RainLink>::new(7));
    let mut heard = Vec::new();
    let mut said = Vec::new();
    for kind in (0..19).filter(|kind| *kind != DATA.0) {
        let out = duel.client_step(Event::Order(Order::Say(frame(kind))));
        assert_eq!(out, []);
        said.push(server::Fact::Heard(frame(kind)));
    }
    assert_eq!(duel.client_step(Event::Stop), []);
    while !duel.up.is_empty() {
        heard.extend(duel.deliver_up());
    }
    assert_eq!(heard, said);
    assert_eq!(duel.ended, (true, true));
    assert!(duel.down.is_empty(), "the server never speaks");
}

#[test]
fn a_frame_that_no_peer_would_take_is_not_sent() {
    let mut words = Rig::started(Client::<RainLink>::new(7));
    let mut payloads = Rig::started(Client::<RainBulk>::new(7));
    let unfit = |kind: u8| [Action::Fact(Fact::Unfit(Unfit { kind }))];
    assert_eq!(words.order(Order::Say(frame(1))), unfit(1));
    assert_eq!(words.order(Order::Say(relay(frame(1)))), unfit(11));
    assert_eq!(words.order(Order::Say(pull(&[]))), unfit(10));
    assert_eq!(words.order(Order::Say(relay(pull(&[])))), unfit(11));
    assert_eq!(payloads.order(Order::Say(frame(0))), unfit(0));
    assert_eq!(payloads.order(Order::Say(relay(frame(6)))), unfit(11));
    let out = payloads.order(Order::Say(relay(frame(1))));
    let [Action::Send(encoded)] = &out[..] else {
        panic!("{out:?}")
    };
    assert_eq!(flat(encoded), bytes(&relay(frame(1))));
    assert_eq!(words.stop().len(), 2, "a farewell and the end");
    assert_eq!(words.order(Order::Say(frame(0))), []);
}

#[test]
fn a_listener_waits_for_ever_and_takes_what_its_lane_allows() {
    let words = Rig::started(Server::<RainLink>::new(7));
    words.clone().takes_at_most(WORD_BYTES_MAX);
    words.never_times_out();
    let payloads = Rig::started(Server::<RainBulk>::new(7));
    payloads.clone().takes_at_most(BULK_BYTES_MAX);
    payloads.never_times_out();
    assert_eq!(Client::<RainLink>::new(7).awaits(), None, "only it speaks");
}

#[test]
fn a_listener_refuses_what_is_not_of_its_lane() {
    let refused = |label| [Action::Failed(Fault::Decode(DecodeError::Label { label }))];
    let mut words = Rig::started(Server::<RainLink>::new(7));
    let out = words.receive::<RainLink>(&message(DATA));
    assert_eq!(out, refused(1));
    let mut payloads = Rig::started(Server::<RainBulk>::new(7));
    let out = payloads.receive::<RainBulk>(&message(Kind(0)));
    assert_eq!(out, refused(0));
    let mut unknown = Rig::started(Server::<RainLink>::new(7));
    let bytes = Bytes::from_static(&[0x81, 0x14]);
    let out = unknown.step(Event::Received(bytes));
    assert_eq!(out, refused(20));
}
