//! What the messages that are held add up to, so that room is found without a walk over them.

use alloc::collections::{BTreeMap, BTreeSet};

use super::message::Message;
use crate::base::{Instant, MemberKey, MessageId};

/// Sums over all messages; each is added once and taken off once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Tally {
    bytes: u64,
    /// Messages and payload bytes of each origin that has any.
    origins: BTreeMap<MemberKey, (u32, u64)>,
    /// The oldest first.
    ages: BTreeSet<(Instant, MessageId)>,
}

impl Tally {
    pub(super) fn add(&mut self, id: MessageId, message: &Message) {
        let bytes = u64::from(message.bytes());
        self.bytes = self.bytes.saturating_add(bytes);
        let (count, sum) = self.origins.entry(message.origin).or_default();
        *count = count.saturating_add(1);
        *sum = sum.saturating_add(bytes);
        self.ages.insert((message.since, id));
    }

    pub(super) fn take(&mut self, id: MessageId, message: &Message) {
        let bytes = u64::from(message.bytes());
        self.bytes = self.bytes.saturating_sub(bytes);
        if let Some((count, sum)) = self.origins.get_mut(&message.origin) {
            *count = count.saturating_sub(1);
            *sum = sum.saturating_sub(bytes);
            if *count == 0 {
                self.origins.remove(&message.origin);
            }
        }
        self.ages.remove(&(message.since, id));
    }

    /// Without the ages of messages.
    pub(super) fn rebase(&mut self) {
        self.ages = self
            .ages
            .iter()
            .map(|(_, id)| (Instant::ZERO, *id))
            .collect();
    }

    /// Payload bytes of all messages.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Messages of an origin, and their payload bytes.
    pub(super) fn of(&self, origin: &MemberKey) -> (u32, u64) {
        self.origins.get(origin).copied().unwrap_or_default()
    }

    /// The message that is held longest.
    pub(super) fn oldest(&self) -> Option<MessageId> {
        self.ages.first().map(|(_, id)| *id)
    }
}
