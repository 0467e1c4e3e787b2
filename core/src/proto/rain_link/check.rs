//! What a frame must keep beside its form.

use super::{
    ADDRESS_BYTES_MAX, Data, ENTRIES_MAX, Entry, Frame, HOLES_MAX, IDS_MAX, Joined, ONWARD_MAX,
    PAYLOAD_BYTES_MAX, RECORDS_MAX, Record,
};
use crate::{
    base::{GroupId, MessageId},
    wire::codec::DecodeError,
};

/// The most messages that one pull asks for, inclusive.
pub const PULLED_MAX: u32 = 64;

/// A frame that no peer would take, by its number on the wire: a mistake of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[error("a frame {kind} that no peer would take")]
pub struct Unfit {
    /// The number of its kind.
    pub kind: u8,
}

impl Frame {
    /// Whether a peer takes it: lists within their constants, none empty that says something, all
    /// rising that must rise, groups not too deep, no relay in a relay. Exactly then reading what
    /// was written gives the frame again.
    pub fn check(&self) -> Result<(), Unfit> {
        let fits = match self {
            Self::Relay { frame, .. } => {
                !matches!(**frame, Self::Relay { .. }) && frame.check().is_ok()
            }
            Self::Hello { .. } | Self::Credit { .. } | Self::Proof { .. } => true,
            Self::Data(data) => data_fits(data),
            Self::Duty(duty) => duty.flags.is_valid(),
            Self::Ack { ids } | Self::Nack { ids, .. } | Self::Yes { ids } | Self::Wait { ids } => {
                ids_fit(ids)
            }
            Self::Igyw(igyw) => ids_fit(&igyw.ids) && group_fits(&igyw.group),
            Self::No { ids, proofs } => {
                ids_fit(ids) && (proofs.is_empty() || proofs.len() == ids.len())
            }
            Self::Digest { group, entries, .. } => {
                group_fits(group)
                    && entries.len() <= ENTRIES_MAX
                    && entries_rise(entries)
                    && entries.iter().all(entry_rises)
                    && entries.iter().all(|entry| entry.holes.len() <= HOLES_MAX)
            }
            Self::Pull { group, ranges, .. } => {
                group_fits(group) && ranges.len() <= HOLES_MAX && ranges_fit(ranges).is_ok()
            }
            Self::Join { group, record } => group_fits(group) && joined_fits(record),
            Self::Leave { group, .. } | Self::Ping { group, .. } | Self::Pong { group, .. } => {
                group_fits(group)
            }
            Self::Members { group, records } => {
                let each = |record: &Record| match record {
                    Record::Joined(joined) => joined_fits(joined),
                    Record::Left(_) => true,
                };
                group_fits(group) && records.len() <= RECORDS_MAX && records.iter().all(each)
            }
        };
        let kind = self.kind().0;
        if fits { Ok(()) } else { Err(Unfit { kind }) }
    }
}

fn data_fits(data: &Data) -> bool {
    let onward = &data.terms.onward;
    group_fits(&data.group)
        && data.flags.is_valid()
        && onward.len() <= ONWARD_MAX
        && onward.iter().all(|onward| group_fits(&onward.group))
        && data.payload.len() <= PAYLOAD_BYTES_MAX
}

fn group_fits(group: &GroupId) -> bool {
    group.depth() <= GroupId::DEPTH_MAX
}

fn ids_fit(ids: &[MessageId]) -> bool {
    (1..=IDS_MAX).contains(&ids.len())
}

fn joined_fits(joined: &Joined) -> bool {
    joined.address.len() <= ADDRESS_BYTES_MAX
}

/// Whether entries rise in (origin, life).
pub(super) fn entries_rise(entries: &[Entry]) -> bool {
    entries.is_sorted_by(|a, b| (a.origin, a.boot) < (b.origin, b.boot))
}

/// Whether an entry's holes rise between its lowest and highest number, which are held.
pub(super) fn entry_rises(entry: &Entry) -> bool {
    let within = |hole: &u64| entry.low < *hole && *hole < entry.max;
    entry.low <= entry.max
        && entry.holes.is_sorted_by(|a, b| a < b)
        && entry.holes.iter().all(within)
}

/// Whether ranges rise without a number in two of them, and ask for something, and not too much.
pub(super) fn ranges_fit(ranges: &[(u64, u64)]) -> Result<(), DecodeError> {
    if ranges.is_empty() {
        return Err(DecodeError::Empty);
    }
    let forward = ranges.iter().all(|(first, last)| first <= last);
    if !forward || !ranges.is_sorted_by(|a, b| a.1 < b.0) {
        return Err(DecodeError::Order);
    }
    let max = PULLED_MAX;
    let lens = ranges.iter().map(|(first, last)| {
        let span = last.saturating_sub(*first);
        span.saturating_add(1)
    });
    if lens.fold(0_u64, u64::saturating_add) > u64::from(max) {
        return Err(DecodeError::TooMany { max });
    }
    Ok(())
}
