//! How long frames are on the wire, without writing them.

use super::{
    Data, Entry, Frame, Joined, Limit, Onward, Record, Terms,
    frame::{Duty, Igyw},
    items,
};
use crate::base::GroupId;

/// A byte string of 32 bytes with its head.
const HASH: usize = 34;
/// A signature with its head.
const SIGNATURE: usize = 66;

impl Frame {
    /// Bytes of the frame as it is written, the payload included.
    pub fn encoded_bytes(&self) -> usize {
        let body = match self {
            Self::Hello {
                payload_max,
                credit,
                ..
            } => sum([HASH, 17, number(*payload_max), number(*credit)]),
            Self::Data(data) => data_bytes(data),
            Self::Duty(duty) => duty_bytes(duty),
            Self::Ack { ids } | Self::Yes { ids } | Self::Wait { ids } => hashes(ids.len()),
            Self::Nack { ids, .. } => sum([hashes(ids.len()), 1]),
            Self::Igyw(igyw) => igyw_bytes(igyw),
            Self::No { ids, proofs } => sum([hashes(ids.len()), hashes(proofs.len())]),
            Self::Digest { group, entries, .. } => sum([
                group_bytes(group),
                1,
                head(entries.len()),
                total(entries.iter().map(entry_bytes)),
            ]),
            Self::Pull {
                group,
                boot,
                ranges,
                ..
            } => {
                let range = |(first, last): &(u64, u64)| sum([1, number(*first), number(*last)]);
                sum([
                    group_bytes(group),
                    HASH,
                    number(*boot),
                    head(ranges.len()),
                    total(ranges.iter().map(range)),
                ])
            }
            Self::Relay { ttl, frame, .. } => {
                sum([HASH, HASH, number(*ttl), frame.encoded_bytes()])
            }
            Self::Credit { bytes } => number(*bytes),
            Self::Join { group, record } => sum([group_bytes(group), joined_bytes(record)]),
            Self::Leave { group, record } => sum([group_bytes(group), left_bytes(record.boot)]),
            Self::Ping { group, .. } | Self::Pong { group, .. } => sum([group_bytes(group), 9]),
            Self::Members { group, records } => sum([
                group_bytes(group),
                head(records.len()),
                total(records.iter().map(record_bytes)),
            ]),
            Self::Proof { .. } => SIGNATURE,
        };
        let kind = self.kind();
        sum([number(items(kind)), number(kind.0), body])
    }
}

fn data_bytes(data: &Data) -> usize {
    sum([
        group_bytes(&data.group),
        number(data.epoch),
        9,
        HASH,
        number(data.boot),
        number(data.seq),
        limit_bytes(data.limit),
        number(data.flags.0),
        number(data.hop),
        SIGNATURE,
        terms_bytes(&data.terms),
        string(data.payload.len()),
    ])
}

fn terms_bytes(terms: &Terms) -> usize {
    if terms.is_plain() {
        return 1;
    }
    let onward = |onward: &Onward| {
        let (group, epoch) = (group_bytes(&onward.group), number(onward.epoch));
        sum([1, group, epoch, number(onward.seq), SIGNATURE])
    };
    sum([
        2,
        number(terms.life_ms),
        head(terms.onward.len()),
        total(terms.onward.iter().map(onward)),
    ])
}

fn duty_bytes(duty: &Duty) -> usize {
    let (flags, hop) = (number(duty.flags.0), number(duty.hop));
    sum([HASH, limit_bytes(duty.limit), flags, hop])
}

fn igyw_bytes(igyw: &Igyw) -> usize {
    let nonce = igyw.nonce.map_or(0, |nonce| nonce.len());
    sum([
        group_bytes(&igyw.group),
        number(igyw.epoch),
        hashes(igyw.ids.len()),
        string(nonce),
    ])
}

fn limit_bytes(limit: Limit) -> usize {
    match limit {
        Limit::Key(_) => HASH,
        Limit::Level(level) => number(level),
    }
}

fn entry_bytes(entry: &Entry) -> usize {
    sum([
        1,
        HASH,
        number(entry.boot),
        number(entry.low),
        number(entry.max),
        head(entry.holes.len()),
        total(entry.holes.iter().map(|hole| number(*hole))),
    ])
}

fn record_bytes(record: &Record) -> usize {
    let body = match record {
        Record::Joined(joined) => joined_bytes(joined),
        Record::Left(left) => left_bytes(left.boot),
    };
    sum([2, body])
}

fn joined_bytes(joined: &Joined) -> usize {
    let address = string(joined.address.len());
    sum([HASH, number(joined.boot), address, SIGNATURE])
}

fn left_bytes(boot: u32) -> usize {
    sum([HASH, number(boot), HASH, SIGNATURE])
}

fn group_bytes(group: &GroupId) -> usize {
    match group {
        GroupId::AllStaked => 2,
        GroupId::Role(_) => 3,
        GroupId::Session(_) | GroupId::Custom(_) => sum([2, HASH]),
        GroupId::Union(both) | GroupId::Minus(both) => {
            sum([2, group_bytes(&both.0), group_bytes(&both.1)])
        }
    }
}

/// A list of so many hashes.
fn hashes(count: usize) -> usize {
    sum([head(count), count.saturating_mul(HASH)])
}

/// A byte string of so many bytes.
fn string(bytes: usize) -> usize {
    sum([head(bytes), bytes])
}

fn head(count: usize) -> usize {
    number(u64::try_from(count).unwrap_or(u64::MAX))
}

/// The shortest head with this argument.
fn number(value: impl Into<u64>) -> usize {
    match value.into() {
        0..24 => 1,
        24..0x100 => 2,
        0x100..0x1_0000 => 3,
        0x1_0000..0x1_0000_0000 => 5,
        _ => 9,
    }
}

fn sum<const N: usize>(parts: [usize; N]) -> usize {
    total(parts.into_iter())
}

fn total(parts: impl Iterator<Item = usize>) -> usize {
    parts.fold(0, usize::saturating_add)
}
