//! Reads frames, strictly.

use alloc::{boxed::Box, vec::Vec};

use bytes::Bytes;
use smallvec::SmallVec;

use super::{
    ACK, ADDRESS_BYTES_MAX, CREDIT, DATA, DIGEST, DUTY, Data, Duty, ENTRIES_MAX, Entry, Flags,
    Frame, HELLO, HOLES_MAX, IDS_MAX, IGYW, Ids, Igyw, JOIN, Joined, LEAVE, Lane, Left, Limit,
    MEMBERS, MSG_DONE, Message, NACK, NO, ONWARD_MAX, Onward, PAYLOAD_BYTES_MAX, PING, PONG, PROOF,
    PULL, RECORDS_MAX, RELAY, Record, Terms, WAIT, Why, YES,
    check::{entries_rise, entry_rises, ranges_fit},
    items,
};
use crate::{
    base::{Actor, GroupId, Hash32, Kind, MemberKey, MessageId, Signature, State},
    wire::codec::{DecodeError, ListForm, Reader},
};

/// Reads exactly one message of a lane.
pub(super) fn read<L: Lane>(state: State, bytes: &Bytes) -> Result<Message, DecodeError> {
    let (kind, mut reader) = Reader::message(bytes, L::SPEC, state)?;
    let message = if kind == MSG_DONE {
        Message::Done
    } else {
        Message::Frame(frame::<L>(&mut reader, kind)?)
    };
    reader.end()?;
    Ok(message)
}

/// What follows the label of a frame.
fn frame<L: Lane>(reader: &mut Reader<'_>, kind: Kind) -> Result<Frame, DecodeError> {
    if kind != RELAY {
        return plain(reader, kind);
    }
    let (to, from, ttl) = (key(reader)?, key(reader)?, reader.u8()?);
    let got = reader.array_head()?;
    let label = reader.u64()?;
    let inner = u8::try_from(label).map(Kind).ok();
    let inner = inner.filter(|kind| L::may_be_relayed(*kind));
    let inner = inner.ok_or(DecodeError::Label { label })?;
    let want = u32::from(items(inner));
    if want == 0 {
        return Err(DecodeError::Label { label });
    }
    if got != u64::from(want) {
        let got = u32::try_from(got).unwrap_or(u32::MAX);
        return Err(DecodeError::Items { want, got });
    }
    let frame = Box::new(plain(reader, inner)?);
    Ok(Frame::Relay {
        to,
        from,
        ttl,
        frame,
    })
}

/// What follows the label of a frame that is no relay.
fn plain(reader: &mut Reader<'_>, kind: Kind) -> Result<Frame, DecodeError> {
    Ok(match kind {
        HELLO => Frame::Hello {
            member: key(reader)?,
            challenge: reader.exactly()?,
            payload_max: reader.u32()?,
            credit: reader.u32()?,
        },
        DATA => Frame::Data(Box::new(data(reader)?)),
        DUTY => Frame::Duty(Duty {
            id: MessageId(reader.hash()?),
            limit: limit(reader)?,
            flags: flags(reader)?,
            hop: reader.u8()?,
        }),
        ACK => Frame::Ack { ids: ids(reader)? },
        NACK => Frame::Nack {
            ids: ids(reader)?,
            why: why(reader)?,
        },
        IGYW => Frame::Igyw(igyw(reader)?),
        YES => Frame::Yes { ids: ids(reader)? },
        NO => no(reader)?,
        WAIT => Frame::Wait { ids: ids(reader)? },
        DIGEST => digest(reader)?,
        PULL => pull(reader)?,
        CREDIT => Frame::Credit {
            bytes: reader.u32()?,
        },
        JOIN => Frame::Join {
            group: group(reader)?,
            record: joined(reader)?,
        },
        LEAVE => Frame::Leave {
            group: group(reader)?,
            record: left(reader)?,
        },
        PING => Frame::Ping {
            group: group(reader)?,
            view: reader.exactly()?,
        },
        PONG => Frame::Pong {
            group: group(reader)?,
            view: reader.exactly()?,
        },
        MEMBERS => members(reader)?,
        PROOF => Frame::Proof {
            signature: signature(reader)?,
        },
        Kind(label) => {
            let label = u64::from(label);
            return Err(DecodeError::Label { label });
        }
    })
}

fn data(reader: &mut Reader<'_>) -> Result<Data, DecodeError> {
    Ok(Data {
        group: group(reader)?,
        epoch: reader.u64()?,
        view: reader.exactly()?,
        origin: key(reader)?,
        boot: reader.u32()?,
        seq: reader.u64()?,
        limit: limit(reader)?,
        flags: flags(reader)?,
        hop: reader.u8()?,
        signature: signature(reader)?,
        terms: terms(reader)?,
        payload: payload(reader)?,
    })
}

fn terms(reader: &mut Reader<'_>) -> Result<Terms, DecodeError> {
    let got = reader.array_head()?;
    let mut terms = Terms::default();
    if got == 0 {
        return Ok(terms);
    }
    if got != 3 {
        let got = u32::try_from(got).unwrap_or(u32::MAX);
        return Err(DecodeError::Items { want: 3, got });
    }
    (terms.urgent, terms.life_ms) = (reader.bool()?, reader.u32()?);
    each(reader, ONWARD_MAX, |reader| {
        reader.array(4)?;
        terms.onward.push(Onward {
            group: group(reader)?,
            epoch: reader.u64()?,
            seq: reader.u64()?,
            signature: signature(reader)?,
        });
        Ok(())
    })?;
    if terms.is_plain() {
        return Err(DecodeError::Empty);
    }
    Ok(terms)
}

/// Shared with the message.
fn payload(reader: &mut Reader<'_>) -> Result<Bytes, DecodeError> {
    let payload = reader.bytes()?;
    if payload.len() > PAYLOAD_BYTES_MAX {
        let max = narrow(PAYLOAD_BYTES_MAX);
        return Err(DecodeError::TooLong { max });
    }
    Ok(payload)
}

fn igyw(reader: &mut Reader<'_>) -> Result<Igyw, DecodeError> {
    Ok(Igyw {
        group: group(reader)?,
        epoch: reader.u64()?,
        ids: ids(reader)?,
        nonce: nonce(reader)?,
    })
}

/// None is an empty string.
fn nonce(reader: &mut Reader<'_>) -> Result<Option<[u8; 16]>, DecodeError> {
    let at = narrow(reader.position());
    let bytes = reader.slice()?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let nonce = bytes.try_into().map_err(|_| DecodeError::Range { at })?;
    Ok(Some(nonce))
}

fn no(reader: &mut Reader<'_>) -> Result<Frame, DecodeError> {
    let ids = ids(reader)?;
    let mut proofs = Vec::new();
    each(reader, IDS_MAX, |reader| {
        proofs.push(reader.hash()?);
        Ok(())
    })?;
    if !proofs.is_empty() && proofs.len() != ids.len() {
        let (want, got) = (narrow(ids.len()), narrow(proofs.len()));
        return Err(DecodeError::Items { want, got });
    }
    Ok(Frame::No { ids, proofs })
}

fn digest(reader: &mut Reader<'_>) -> Result<Frame, DecodeError> {
    let (group, reply) = (group(reader)?, reader.bool()?);
    let mut entries = Vec::new();
    each(reader, ENTRIES_MAX, |reader| {
        entries.push(entry(reader)?);
        Ok(())
    })?;
    if !entries_rise(&entries) {
        return Err(DecodeError::Order);
    }
    Ok(Frame::Digest {
        group,
        reply,
        entries,
    })
}

fn entry(reader: &mut Reader<'_>) -> Result<Entry, DecodeError> {
    reader.array(5)?;
    let mut entry = Entry {
        origin: key(reader)?,
        boot: reader.u32()?,
        low: reader.u64()?,
        max: reader.u64()?,
        holes: SmallVec::new(),
    };
    each(reader, HOLES_MAX, |reader| {
        entry.holes.push(reader.u64()?);
        Ok(())
    })?;
    if !entry_rises(&entry) {
        return Err(DecodeError::Order);
    }
    Ok(entry)
}

fn pull(reader: &mut Reader<'_>) -> Result<Frame, DecodeError> {
    let (group, origin, boot) = (group(reader)?, key(reader)?, reader.u32()?);
    let mut ranges = SmallVec::new();
    each(reader, HOLES_MAX, |reader| {
        reader.array(2)?;
        ranges.push((reader.u64()?, reader.u64()?));
        Ok(())
    })?;
    ranges_fit(&ranges)?;
    Ok(Frame::Pull {
        group,
        origin,
        boot,
        ranges,
    })
}

fn members(reader: &mut Reader<'_>) -> Result<Frame, DecodeError> {
    let group = group(reader)?;
    let mut records = Vec::new();
    each(reader, RECORDS_MAX, |reader| {
        records.push(record(reader)?);
        Ok(())
    })?;
    Ok(Frame::Members { group, records })
}

fn record(reader: &mut Reader<'_>) -> Result<Record, DecodeError> {
    reader.array(5)?;
    match reader.u64()? {
        0 => joined(reader).map(Record::Joined),
        1 => left(reader).map(Record::Left),
        label => Err(DecodeError::Label { label }),
    }
}

/// The address is copied: it must not keep a whole message alive.
fn joined(reader: &mut Reader<'_>) -> Result<Joined, DecodeError> {
    Ok(Joined {
        member: key(reader)?,
        boot: reader.u32()?,
        address: Bytes::copy_from_slice(reader.slice_max(narrow(ADDRESS_BYTES_MAX))?),
        signature: signature(reader)?,
    })
}

fn left(reader: &mut Reader<'_>) -> Result<Left, DecodeError> {
    Ok(Left {
        member: key(reader)?,
        boot: reader.u32()?,
        by: key(reader)?,
        signature: signature(reader)?,
    })
}

fn ids(reader: &mut Reader<'_>) -> Result<Ids, DecodeError> {
    let mut ids = Ids::new();
    each(reader, IDS_MAX, |reader| {
        ids.push(MessageId(reader.hash()?));
        Ok(())
    })?;
    if ids.is_empty() {
        return Err(DecodeError::Empty);
    }
    Ok(ids)
}

fn key(reader: &mut Reader<'_>) -> Result<MemberKey, DecodeError> {
    let Hash32(key) = reader.hash()?;
    Ok(MemberKey(key))
}

fn signature(reader: &mut Reader<'_>) -> Result<Signature, DecodeError> {
    let at = narrow(reader.position());
    Signature::new(reader.slice()?).ok_or(DecodeError::Range { at })
}

fn limit(reader: &mut Reader<'_>) -> Result<Limit, DecodeError> {
    if reader.is_at_number() {
        return reader.u8().map(Limit::Level);
    }
    key(reader).map(Limit::Key)
}

fn flags(reader: &mut Reader<'_>) -> Result<Flags, DecodeError> {
    let at = narrow(reader.position());
    let flags = Flags(reader.u8()?);
    if flags.is_valid() {
        return Ok(flags);
    }
    Err(DecodeError::Range { at })
}

fn why(reader: &mut Reader<'_>) -> Result<Why, DecodeError> {
    let at = narrow(reader.position());
    let why = Why::ALL.get(usize::from(reader.u8()?));
    why.copied().ok_or(DecodeError::Range { at })
}

/// Reads a group; the counterpart of [`super::write_group`].
fn group(reader: &mut Reader<'_>) -> Result<GroupId, DecodeError> {
    term(reader, GroupId::DEPTH_MAX)
}

/// A term of at most `room` levels.
fn term(reader: &mut Reader<'_>, room: u8) -> Result<GroupId, DecodeError> {
    let room = room.checked_sub(1).ok_or(DecodeError::Depth)?;
    let got = reader.array_head()?;
    let at = narrow(reader.position());
    let label = reader.u64()?;
    let want = match label {
        0 => 1,
        1..=3 => 2,
        4 | 5 => 3,
        _ => return Err(DecodeError::Range { at }),
    };
    if got != u64::from(want) {
        let got = u32::try_from(got).unwrap_or(u32::MAX);
        return Err(DecodeError::Items { want, got });
    }
    Ok(match label {
        0 => GroupId::AllStaked,
        1 => GroupId::Role(actor(reader)?),
        2 => GroupId::Session(reader.hash()?),
        3 => GroupId::Custom(reader.hash()?),
        _ => {
            let both = Box::new((term(reader, room)?, term(reader, room)?));
            if label == 4 {
                GroupId::Union(both)
            } else {
                GroupId::Minus(both)
            }
        }
    })
}

fn actor(reader: &mut Reader<'_>) -> Result<Actor, DecodeError> {
    let at = narrow(reader.position());
    let number = usize::from(reader.u8()?).checked_sub(1);
    let actor = number.and_then(|at| Actor::ALL.get(at));
    actor.copied().ok_or(DecodeError::Range { at })
}

/// Reads each item of a definite list of at most `max`.
fn each<'a>(
    reader: &mut Reader<'a>,
    max: usize,
    mut item: impl FnMut(&mut Reader<'a>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut list = reader.list(ListForm::Definite, narrow(max))?;
    while reader.more(&mut list)? {
        item(reader)?;
    }
    Ok(())
}

fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
