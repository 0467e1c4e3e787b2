//! Messages as bytes.

use bytes::{Bytes, BytesMut};

use super::{
    ACK, BULK_SPEC, CREDIT, DATA, DIGEST, DUTY, Frame, HELLO, IGYW, JOIN, LEAVE, Limit, MEMBERS,
    MSG_DONE, NACK, NO, PING, PONG, PROOF, PULL, RELAY, RainBulk, RainLink, Record, SPEC, WAIT,
    Why, YES,
    frame::{Data, Entry, Joined, Left, Terms, write_group},
    items,
    read::read,
};
use crate::{
    base::{Kind, MessageId, Spec, State},
    proto::Protocol,
    wire::codec::{DecodeError, Writer},
};

/// All messages of a link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Message {
    /// A frame.
    Frame(Frame),
    /// `[19]`: the speaker ends the protocol.
    Done,
}

impl Protocol for RainLink {
    const SPEC: &'static Spec = &SPEC;
    type Message = Message;

    fn kind(message: &Message) -> Kind {
        message.kind()
    }

    fn decode(state: State, bytes: &Bytes) -> Result<Message, DecodeError> {
        read::<Self>(state, bytes)
    }

    fn encode(message: &Message, out: &mut BytesMut) -> Bytes {
        write(message, out)
    }
}

impl Protocol for RainBulk {
    const SPEC: &'static Spec = &BULK_SPEC;
    type Message = Message;

    fn kind(message: &Message) -> Kind {
        message.kind()
    }

    fn decode(state: State, bytes: &Bytes) -> Result<Message, DecodeError> {
        read::<Self>(state, bytes)
    }

    fn encode(message: &Message, out: &mut BytesMut) -> Bytes {
        write(message, out)
    }
}

impl Message {
    /// Which kind of message this is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Frame(frame) => frame.kind(),
            Self::Done => MSG_DONE,
        }
    }
}

impl Frame {
    /// Which kind of message this is; its number on the wire.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Hello { .. } => HELLO,
            Self::Data(_) => DATA,
            Self::Duty(_) => DUTY,
            Self::Ack { .. } => ACK,
            Self::Nack { .. } => NACK,
            Self::Igyw(_) => IGYW,
            Self::Yes { .. } => YES,
            Self::No { .. } => NO,
            Self::Wait { .. } => WAIT,
            Self::Digest { .. } => DIGEST,
            Self::Pull { .. } => PULL,
            Self::Relay { .. } => RELAY,
            Self::Credit { .. } => CREDIT,
            Self::Join { .. } => JOIN,
            Self::Leave { .. } => LEAVE,
            Self::Ping { .. } => PING,
            Self::Pong { .. } => PONG,
            Self::Members { .. } => MEMBERS,
            Self::Proof { .. } => PROOF,
        }
    }

    /// Whether it goes the way of payloads ([`RainBulk`]), not that of words.
    pub fn is_bulk(&self) -> bool {
        match self {
            Self::Data(_) => true,
            Self::Relay { frame, .. } => matches!(**frame, Self::Data(_)),
            _ => false,
        }
    }
}

/// Writes a message: the head to `out`; the payload that follows it, if any, is given back.
fn write(message: &Message, out: &mut BytesMut) -> Bytes {
    let mut writer = Writer::new(out);
    match message {
        Message::Frame(frame) => write_frame(&mut writer, frame),
        Message::Done => {
            begin(&mut writer, MSG_DONE);
            Bytes::new()
        }
    }
}

fn begin(writer: &mut Writer<'_>, kind: Kind) {
    writer.array(u64::from(items(kind))).u64(kind.0);
}

fn write_frame(writer: &mut Writer<'_>, frame: &Frame) -> Bytes {
    begin(writer, frame.kind());
    match frame {
        Frame::Data(data) => return write_data(writer, data),
        Frame::Relay {
            to,
            from,
            ttl,
            frame,
        } => {
            writer.bytes(&to.0).bytes(&from.0).u64(*ttl);
            return write_frame(writer, frame);
        }
        Frame::Hello {
            member,
            challenge,
            payload_max,
            credit,
        } => {
            writer.bytes(&member.0).bytes(challenge);
            writer.u64(*payload_max).u64(*credit);
        }
        Frame::Duty(duty) => {
            writer.hash(&duty.id.0);
            write_limit(writer, duty.limit);
            writer.u64(duty.flags.0).u64(duty.hop);
        }
        Frame::Ack { ids } | Frame::Yes { ids } | Frame::Wait { ids } => write_ids(writer, ids),
        Frame::Nack { ids, why } => {
            write_ids(writer, ids);
            writer.u64(number(*why));
        }
        Frame::Igyw(igyw) => {
            write_group(writer, &igyw.group);
            writer.u64(igyw.epoch);
            write_ids(writer, &igyw.ids);
            writer.bytes(igyw.nonce.as_ref().map_or(&[], |nonce| nonce.as_slice()));
        }
        Frame::No { ids, proofs } => {
            write_ids(writer, ids);
            writer.array(count(proofs.len()));
            for proof in proofs {
                writer.hash(proof);
            }
        }
        Frame::Digest {
            group,
            reply,
            entries,
        } => {
            write_group(writer, group);
            writer.bool(*reply).array(count(entries.len()));
            for entry in entries {
                write_entry(writer, entry);
            }
        }
        Frame::Pull {
            group,
            origin,
            boot,
            ranges,
        } => {
            write_group(writer, group);
            writer.bytes(&origin.0).u64(*boot);
            writer.array(count(ranges.len()));
            for (first, last) in ranges {
                writer.array(2).u64(*first).u64(*last);
            }
        }
        Frame::Credit { bytes } => {
            writer.u64(*bytes);
        }
        Frame::Join { group, record } => {
            write_group(writer, group);
            write_joined(writer, record);
        }
        Frame::Leave { group, record } => {
            write_group(writer, group);
            write_left(writer, record);
        }
        Frame::Ping { group, view } | Frame::Pong { group, view } => {
            write_group(writer, group);
            writer.bytes(view);
        }
        Frame::Members { group, records } => {
            write_group(writer, group);
            writer.array(count(records.len()));
            for record in records {
                write_record(writer, record);
            }
        }
        Frame::Proof { signature } => {
            writer.bytes(&signature.to_bytes());
        }
    }
    Bytes::new()
}

fn write_data(writer: &mut Writer<'_>, data: &Data) -> Bytes {
    write_group(writer, &data.group);
    writer.u64(data.epoch).bytes(&data.view);
    writer.bytes(&data.origin.0).u64(data.boot).u64(data.seq);
    write_limit(writer, data.limit);
    writer.u64(data.flags.0).u64(data.hop);
    writer.bytes(&data.signature.to_bytes());
    write_terms(writer, &data.terms);
    writer.bytes_head(data.payload.len());
    data.payload.clone()
}

/// Writes terms as they stand in frames and in what ids are hashes of.
pub(crate) fn write_terms(writer: &mut Writer<'_>, terms: &Terms) {
    if terms.is_plain() {
        writer.array(0);
        return;
    }
    writer.array(3).bool(terms.urgent).u64(terms.life_ms);
    writer.array(count(terms.onward.len()));
    for onward in &terms.onward {
        writer.array(4);
        write_group(writer, &onward.group);
        writer.u64(onward.epoch).u64(onward.seq);
        writer.bytes(&onward.signature.to_bytes());
    }
}

fn write_limit(writer: &mut Writer<'_>, limit: Limit) {
    match limit {
        Limit::Key(key) => writer.bytes(&key.0),
        Limit::Level(level) => writer.u64(level),
    };
}

fn write_ids(writer: &mut Writer<'_>, ids: &[MessageId]) {
    writer.array(count(ids.len()));
    for id in ids {
        writer.hash(&id.0);
    }
}

fn write_entry(writer: &mut Writer<'_>, entry: &Entry) {
    writer.array(5).bytes(&entry.origin.0).u64(entry.boot);
    writer.u64(entry.low).u64(entry.max);
    writer.array(count(entry.holes.len()));
    for hole in &entry.holes {
        writer.u64(*hole);
    }
}

/// `[0, …]` or `[1, …]`, with what stands in a join or leave behind the group.
fn write_record(writer: &mut Writer<'_>, record: &Record) {
    writer.array(5);
    match record {
        Record::Joined(joined) => {
            writer.u64(0_u8);
            write_joined(writer, joined);
        }
        Record::Left(left) => {
            writer.u64(1_u8);
            write_left(writer, left);
        }
    }
}

fn write_joined(writer: &mut Writer<'_>, joined: &Joined) {
    writer.bytes(&joined.member.0).u64(joined.boot);
    writer.bytes(&joined.address);
    writer.bytes(&joined.signature.to_bytes());
}

fn write_left(writer: &mut Writer<'_>, left: &Left) {
    writer.bytes(&left.member.0).u64(left.boot);
    writer.bytes(&left.by.0).bytes(&left.signature.to_bytes());
}

fn number(why: Why) -> u64 {
    let at = Why::ALL.iter().position(|each| *each == why);
    at.map_or(0, count)
}

fn count(items: usize) -> u64 {
    u64::try_from(items).unwrap_or(u64::MAX)
}
