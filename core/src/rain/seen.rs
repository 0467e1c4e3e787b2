//! Which messages were seen, for a bounded time and in bounded space.

use alloc::collections::BTreeMap;
use core::time::Duration;

use super::canonical;
use crate::base::{Instant, MessageId};

/// Two generations of ids. The younger one becomes the older, and the older one is forgotten, when
/// it is full or as old as ids are to be remembered: so each is remembered at least half as many
/// ids or that long, whichever ends first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Seen {
    young: BTreeMap<MessageId, Fate>,
    old: BTreeMap<MessageId, Fate>,
    since: Instant,
}

/// What became of a message that is held no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Fate {
    /// It was kept as long as messages are.
    Expired,
    /// The application rejected it.
    Rejected,
}

impl Seen {
    pub(super) const fn new() -> Self {
        Self {
            young: BTreeMap::new(),
            old: BTreeMap::new(),
            since: Instant::ZERO,
        }
    }

    pub(super) fn fate(&self, id: &MessageId) -> Option<Fate> {
        self.young.get(id).or_else(|| self.old.get(id)).copied()
    }

    pub(super) fn add(
        &mut self,
        now: Instant,
        id: MessageId,
        fate: Fate,
        max: usize,
        life: Duration,
    ) {
        let full = self.young.len() >= (max / 2).max(1);
        let aged = now.since(self.since) >= life;
        if full || aged {
            self.old = core::mem::take(&mut self.young);
            self.since = now;
        }
        self.young.insert(id, fate);
    }

    /// Times as seen from a moment.
    pub(super) fn rebase(&mut self, from: canonical::Seen, life: Duration) {
        self.since = from.ago(self.since, life);
    }

    pub(super) fn len(&self) -> usize {
        self.young.len().saturating_add(self.old.len())
    }
}
