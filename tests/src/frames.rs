//! Frames of structured gossip, drawn from a [`Choice`].

use bytes::Bytes;
use samanea_core::{
    base::{Actor, Choice, GroupId, Hash32, Kind, MemberKey, MessageId, Signature},
    proto::rain_link::{
        ADDRESS_BYTES_MAX, DATA, Data, Duty, Entry, Flags, Frame, Ids, Igyw, Joined, Left, Limit,
        MSG_DONE, Message, Onward, PULLED_MAX, RELAY, Record, Terms, Why,
    },
};

use crate::{
    speak::{below, some},
    toy,
};

/// A message of this kind that a peer takes on the lane of payloads (`bulk`) or of words, if the
/// kind belongs there.
pub fn message(kind: Kind, choice: &mut dyn Choice, bulk: bool) -> Message {
    if kind == MSG_DONE {
        return Message::Done;
    }
    Message::Frame(frame(kind, choice, bulk))
}

/// A frame of this kind that fits; a relay carries what belongs to the lane.
pub fn frame(kind: Kind, choice: &mut dyn Choice, bulk: bool) -> Frame {
    if kind != RELAY {
        return plain(kind, choice);
    }
    let inside = match below(choice, 17) {
        _ if bulk => DATA,
        at if at < 1 => Kind(0),
        at => Kind(byte(at) + if at < 10 { 1 } else { 2 }),
    };
    Frame::Relay {
        to: key(choice),
        from: key(choice),
        ttl: byte(below(choice, 256)),
        frame: Box::new(plain(inside, choice)),
    }
}

fn plain(kind: Kind, choice: &mut dyn Choice) -> Frame {
    match kind.0 {
        0 => Frame::Hello {
            member: key(choice),
            challenge: [byte(below(choice, 256)); 16],
            payload_max: below(choice, u32::MAX),
            credit: below(choice, u32::MAX),
        },
        1 => Frame::Data(Box::new(data(choice))),
        2 => Frame::Duty(Duty {
            id: id(choice),
            limit: limit(choice),
            flags: flags(choice),
            hop: byte(below(choice, 256)),
        }),
        3 => Frame::Ack { ids: ids(choice) },
        4 => Frame::Nack {
            ids: ids(choice),
            why: Why::ALL[some(choice, 7) % Why::ALL.len()],
        },
        5 => Frame::Igyw(Igyw {
            group: group(choice),
            epoch: wide(choice),
            ids: ids(choice),
            nonce: (below(choice, 2) == 1).then(|| [byte(below(choice, 256)); 16]),
        }),
        6 => Frame::Yes { ids: ids(choice) },
        7 => {
            let ids = ids(choice);
            let len = ids.len() * some(choice, 2);
            let proofs = (0..len).map(|_| hash(choice)).collect();
            Frame::No { ids, proofs }
        }
        8 => Frame::Wait { ids: ids(choice) },
        9 => digest(choice),
        10 => pull(choice),
        12 => Frame::Credit {
            bytes: below(choice, u32::MAX),
        },
        13 => Frame::Join {
            group: group(choice),
            record: joined(choice),
        },
        14 => Frame::Leave {
            group: group(choice),
            record: left(choice),
        },
        15 => Frame::Ping {
            group: group(choice),
            view: [byte(below(choice, 256)); 8],
        },
        16 => Frame::Pong {
            group: group(choice),
            view: [byte(below(choice, 256)); 8],
        },
        17 => Frame::Members {
            group: group(choice),
            records: (0..some(choice, 5)).map(|_| record(choice)).collect(),
        },
        _ => Frame::Proof {
            signature: signature(choice),
        },
    }
}

fn data(choice: &mut dyn Choice) -> Data {
    Data {
        group: group(choice),
        epoch: wide(choice),
        view: [byte(below(choice, 256)); 8],
        origin: key(choice),
        boot: below(choice, u32::MAX),
        seq: wide(choice),
        limit: limit(choice),
        flags: flags(choice),
        hop: byte(below(choice, 256)),
        signature: signature(choice),
        terms: terms(choice),
        payload: Bytes::from(vec![byte(below(choice, 256)); some(choice, 300)]),
    }
}

/// Plain terms, or others, for groups that may be none of anybody's.
pub fn terms(choice: &mut dyn Choice) -> Terms {
    let mut terms = Terms::default();
    if below(choice, 2) == 1 {
        terms.urgent = below(choice, 2) == 1;
        terms.life_ms = below(choice, 1 << 20);
        let many = some(choice, 5);
        terms.onward = (0..many).map(|_| onward(choice)).collect();
    }
    terms
}

fn onward(choice: &mut dyn Choice) -> Onward {
    Onward {
        group: group(choice),
        epoch: wide(choice),
        seq: wide(choice),
        signature: signature(choice),
    }
}

fn digest(choice: &mut dyn Choice) -> Frame {
    let mut entries: Vec<Entry> = (0..some(choice, 6)).map(|_| entry(choice)).collect();
    entries.sort_by_key(|entry| (entry.origin, entry.boot));
    entries.dedup_by_key(|entry| (entry.origin, entry.boot));
    Frame::Digest {
        group: group(choice),
        reply: below(choice, 2) == 1,
        entries,
    }
}

fn entry(choice: &mut dyn Choice) -> Entry {
    let low = wide(choice).min(u64::MAX - 1_000);
    let mut last = low;
    let holes = (0..some(choice, 17))
        .map(|_| {
            last += 1 + u64::from(below(choice, 16));
            last
        })
        .collect();
    Entry {
        origin: key(choice),
        boot: below(choice, 4),
        low,
        max: last + u64::from(below(choice, 16)) + u64::from(last > low),
        holes,
    }
}

fn pull(choice: &mut dyn Choice) -> Frame {
    let mut next = wide(choice).min(u64::MAX - 1_000);
    let ranges = (0..=some(choice, 16).min(15))
        .map(|_| {
            let first = next + u64::from(below(choice, 16));
            let last = first + u64::from(below(choice, PULLED_MAX / 16));
            next = last + 1;
            (first, last)
        })
        .collect();
    Frame::Pull {
        group: group(choice),
        origin: key(choice),
        boot: below(choice, 4),
        ranges,
    }
}

fn joined(choice: &mut dyn Choice) -> Joined {
    let len = some(choice, 256).min(ADDRESS_BYTES_MAX);
    Joined {
        member: key(choice),
        boot: below(choice, u32::MAX),
        address: Bytes::from(vec![b'a'; len]),
        signature: signature(choice),
    }
}

fn left(choice: &mut dyn Choice) -> Left {
    Left {
        member: key(choice),
        boot: below(choice, u32::MAX),
        by: key(choice),
        signature: signature(choice),
    }
}

fn record(choice: &mut dyn Choice) -> Record {
    if below(choice, 2) == 0 {
        Record::Joined(joined(choice))
    } else {
        Record::Left(left(choice))
    }
}

/// At most as deep as a term may be.
fn group(choice: &mut dyn Choice) -> GroupId {
    let mut term = leaf(choice);
    for _ in 0..some(choice, 4) {
        let other = leaf(choice);
        let both = Box::new(if below(choice, 2) == 0 {
            (term, other)
        } else {
            (other, term)
        });
        term = if below(choice, 2) == 0 {
            GroupId::Union(both)
        } else {
            GroupId::Minus(both)
        };
    }
    term
}

fn leaf(choice: &mut dyn Choice) -> GroupId {
    match below(choice, 4) {
        0 => GroupId::AllStaked,
        1 => GroupId::Role(Actor::ALL[some(choice, 6) % Actor::ALL.len()]),
        2 => GroupId::Session(hash(choice)),
        _ => GroupId::Custom(hash(choice)),
    }
}

fn ids(choice: &mut dyn Choice) -> Ids {
    (0..=some(choice, 5)).map(|_| id(choice)).collect()
}

fn limit(choice: &mut dyn Choice) -> Limit {
    if below(choice, 2) == 0 {
        Limit::Level(byte(below(choice, 256)))
    } else {
        Limit::Key(key(choice))
    }
}

fn flags(choice: &mut dyn Choice) -> Flags {
    let reasons = [Flags::TREE, Flags::CHAIN, Flags::REDUNDANT, Flags::PULLED];
    let marks = byte(below(choice, 256)) & 0b0011_1000;
    reasons[some(choice, 4) % reasons.len()].with(Flags(marks))
}

/// One of a few.
fn hash(choice: &mut dyn Choice) -> Hash32 {
    toy::hash_of(&below(choice, 16).to_be_bytes())
}

fn id(choice: &mut dyn Choice) -> MessageId {
    MessageId(hash(choice))
}

fn key(choice: &mut dyn Choice) -> MemberKey {
    MemberKey(hash(choice).0)
}

fn signature(choice: &mut dyn Choice) -> Signature {
    Signature([hash(choice).0, hash(choice).0])
}

/// A number of any length on the wire.
fn wide(choice: &mut dyn Choice) -> u64 {
    let bits = below(choice, 64);
    u64::from(below(choice, u32::MAX)) << 32 >> bits
}

fn byte(value: u32) -> u8 {
    u8::try_from(value).unwrap_or(u8::MAX)
}
