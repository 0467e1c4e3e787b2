//! Frames of structured gossip: what is read is written and read again as the same, whatever is
//! drawn is read, and nothing costs more memory than its bytes.

use bytes::Bytes;
use samanea_core::{
    base::{GroupId, Kind},
    proto::{
        Protocol as _,
        rain_link::{
            BULK_BYTES_MAX, Frame, Lane, Message, OPEN, RainBulk, RainLink, Record, WORD_BYTES_MAX,
        },
    },
    wire::{reassembly::Reassembly, scan::Scan},
};

use crate::{
    frames,
    speak::{Speak, below, some},
    tape::ByteTape,
};

/// The first byte names the lane, and whether the rest is a message as it travels or a tape from
/// which frames are drawn.
///
/// # Panics
/// When a law is broken.
pub fn rain_messages(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else {
        return;
    };
    match first % 4 {
        0 => read::<RainLink>(rest),
        1 => read::<RainBulk>(rest),
        2 => drawn::<RainLink>(&mut ByteTape::new(rest), false),
        _ => drawn::<RainBulk>(&mut ByteTape::new(rest), true),
    }
}

/// Whatever can be read at all is one whole item, fits, and reads as the same again.
fn read<L: Lane>(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(message) = L::decode(OPEN, &bytes) else {
        return;
    };
    let whole = Scan::new().feed(&bytes);
    assert_eq!(whole, Ok(Some(bytes.len())), "{message:?}");
    let Message::Frame(frame) = &message else {
        return;
    };
    assert_eq!(frame.check(), Ok(()), "{frame:?}");
    // A head may be longer than it must be, never shorter.
    assert!(frame.encoded_bytes() <= bytes.len(), "{frame:?}");
    // A hole of one byte takes eight, and a list that grows has room for as many again; an entry
    // of 39 bytes takes at most three times as many.
    assert!(held(frame) <= 32 * bytes.len(), "{frame:?}");
    payload_is_shared(frame, &bytes);
    again::<L>(&message);
}

/// Frames that fit, drawn; then with a byte spoilt.
fn drawn<L: Lane + Speak>(tape: &mut ByteTape, bulk: bool) {
    for _ in 0..FRAMES_MAX {
        if tape.is_spent() {
            break;
        }
        let edges = L::SPEC.edges;
        let at = some(tape, u32::try_from(edges.len()).unwrap_or(1));
        let Some(edge) = edges.get(at) else { return };
        let message = frames::message(edge.kind, tape, bulk);
        assert_eq!(L::kind(&message), edge.kind);
        if let Message::Frame(frame) = &message {
            assert_eq!(frame.check(), Ok(()), "{frame:?}");
            assert_eq!(frame.is_bulk(), bulk);
            assert_eq!(frame.encoded_bytes(), <L as Speak>::bytes(&message).len());
        }
        let bytes = again::<L>(&message);
        spoilt::<L>(&bytes, tape);
        // On the other lane it is refused, or is a farewell or a relay of that lane.
        let other = if bulk {
            RainLink::decode(OPEN, &bytes)
        } else {
            RainBulk::decode(OPEN, &bytes)
        };
        assert!(
            other.is_err() || message == Message::Done,
            "{message:?} on both lanes"
        );
    }
}

/// Frames of one run at most.
const FRAMES_MAX: usize = 64;

fn spoilt<L: Lane>(bytes: &Bytes, tape: &mut ByteTape) {
    let mut changed = bytes.to_vec();
    let at = some(tape, u32::try_from(changed.len()).unwrap_or(1));
    if let Some(byte) = changed.get_mut(at) {
        *byte ^= 1 << below(tape, 8);
    }
    read::<L>(&changed);
    let cut = some(tape, u32::try_from(bytes.len()).unwrap_or(1));
    assert!(
        L::decode(OPEN, &bytes.slice(..cut)).is_err(),
        "read when cut at {cut}"
    );
}

/// Reads as the same, and its end is found with and without bytes behind it, within its limit.
fn again<L: Lane>(message: &Message) -> Bytes {
    let mut out = bytes::BytesMut::new();
    let body = L::encode(message, &mut out);
    let bytes: Bytes = [&out[..], &body[..]].concat().into();
    assert_eq!(L::decode(OPEN, &bytes).as_ref(), Ok(message));
    let limit = if L::SPEC.edge(OPEN, Kind(0)).is_some() {
        WORD_BYTES_MAX
    } else {
        BULK_BYTES_MAX
    };
    let mut stream = Reassembly::new();
    stream.push([&bytes[..], &[0x80]].concat().into());
    assert_eq!(stream.next(limit), Ok(Some(bytes.clone())));
    bytes
}

/// A payload is a slice of its message.
fn payload_is_shared(frame: &Frame, bytes: &Bytes) {
    let frame = match frame {
        Frame::Relay { frame, .. } => &**frame,
        frame => frame,
    };
    if let Frame::Data(data) = frame
        && !data.payload.is_empty()
    {
        assert!(bytes.as_ptr_range().contains(&data.payload.as_ptr()));
    }
}

/// Bytes that a frame holds on the heap, a payload not counted: that is shared.
fn held(frame: &Frame) -> usize {
    match frame {
        Frame::Relay { frame, .. } => size_of::<Frame>() + held(frame),
        Frame::Data(data) => size_of_val(&**data) + group(&data.group),
        Frame::Ack { ids } | Frame::Nack { ids, .. } | Frame::Yes { ids } | Frame::Wait { ids } => {
            spilled(ids)
        }
        Frame::Igyw(igyw) => spilled(&igyw.ids) + group(&igyw.group),
        Frame::No { ids, proofs } => spilled(ids) + proofs.capacity() * 32,
        Frame::Digest {
            entries, group: of, ..
        } => {
            let holes = entries.iter().map(|entry| entry.holes.capacity() * 8);
            group(of) + size_of_val(&entries[..]) * 2 + holes.sum::<usize>()
        }
        Frame::Pull {
            ranges, group: of, ..
        } => ranges.capacity() * 16 + group(of),
        Frame::Members { records, group: of } => {
            let addresses = records.iter().map(|record| match record {
                Record::Joined(joined) => joined.address.len(),
                Record::Left(_) => 0,
            });
            records.capacity() * size_of::<Record>() + addresses.sum::<usize>() + group(of)
        }
        Frame::Join { group: of, record } => record.address.len() + group(of),
        Frame::Leave { group: of, .. }
        | Frame::Ping { group: of, .. }
        | Frame::Pong { group: of, .. } => group(of),
        Frame::Hello { .. } | Frame::Duty(_) | Frame::Credit { .. } | Frame::Proof { .. } => 0,
    }
}

/// Bytes that a term holds on the heap.
fn group(term: &GroupId) -> usize {
    match term {
        GroupId::Union(both) | GroupId::Minus(both) => {
            size_of_val(&**both) + group(&both.0) + group(&both.1)
        }
        GroupId::AllStaked | GroupId::Role(_) | GroupId::Session(_) | GroupId::Custom(_) => 0,
    }
}

fn spilled(ids: &samanea_core::proto::rain_link::Ids) -> usize {
    if ids.spilled() {
        ids.capacity() * 32
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::{super::noise, *};

    #[test]
    fn noise_breaks_no_law() {
        for seed in 0..1_000 {
            for first in 0..4 {
                let bytes = [&[first][..], &noise(seed, 120)].concat();
                rain_messages(&bytes);
            }
        }
    }

    #[test]
    fn every_kind_is_drawn_and_read() {
        let mut seen = 0;
        for (bulk, spec) in [(false, RainLink::SPEC), (true, RainBulk::SPEC)] {
            for edge in spec.edges {
                let tape = noise(u64::from(edge.kind.0), 400);
                let message = frames::message(edge.kind, &mut ByteTape::new(&tape), bulk);
                let bytes = if bulk {
                    again::<RainBulk>(&message)
                } else {
                    again::<RainLink>(&message)
                };
                assert!(!bytes.is_empty());
                seen += 1;
            }
        }
        assert_eq!(seen, 22);
    }
}
