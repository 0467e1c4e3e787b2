//! Whom a group wants connections to.
//!
//! A member only ever sends to 2L fixed offsets on the tree ring, whoever publishes, and to its
//! neighbours on the clean-up ring; so a few dozen connections serve a group of ten thousand.

use alloc::{collections::BTreeSet, vec::Vec};

use super::{Config, Interest, Seat, Side, View, config::Shape, tree};
use crate::base::{GroupId, MemberKey};

/// Levels from the top whose targets are used for every message.
const HOT_LEVELS: u8 = 2;

impl Interest {
    /// Nobody.
    pub fn none(group: GroupId) -> Self {
        Self {
            group,
            hot: Vec::new(),
            warm: Vec::new(),
            accept: Vec::new(),
        }
    }
}

/// What a member of this view wants; nothing when it is none.
pub(super) fn of(view: &View, me: &MemberKey, config: &Config) -> Interest {
    let mut interest = Interest::none(view.group().clone());
    let Some(seat) = view.seat(me) else {
        return interest;
    };
    let n = view.members();
    let levels = view.gaps().levels();
    let (mut hot, mut warm, mut accept) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for level in (1..=levels).rev() {
        for offset in offsets(view, level, config.shape) {
            let to = if levels.saturating_sub(level) < HOT_LEVELS {
                &mut hot
            } else {
                &mut warm
            };
            to.insert(view.ahead(seat, offset));
            accept.insert(view.ahead(seat, n.saturating_sub(offset)));
        }
    }
    if let Some(place) = view.clean_place(seat) {
        let k = u32::from(config.cleanup.custodians).min(n.saturating_sub(1));
        for side in Side::BOTH {
            for steps in 1..=k {
                let at = view.clean_ahead(place, steps, side);
                if let Some(neighbour) = view.clean_at(at) {
                    hot.insert(neighbour);
                    accept.insert(neighbour);
                }
            }
        }
    }
    let keys = |seats: &BTreeSet<Seat>| -> Vec<MemberKey> {
        let others = seats.iter().filter(|of| **of != seat);
        others.filter_map(|of| view.key(*of)).collect()
    };
    warm.retain(|of| !hot.contains(of));
    interest.hot = keys(&hot);
    interest.warm = keys(&warm);
    interest.accept = keys(&accept);
    interest
}

/// The offsets that are sent to at a level.
fn offsets(view: &View, level: u8, shape: Shape) -> impl Iterator<Item = u32> {
    let n = view.members();
    let pair = match shape {
        Shape::Exact => {
            let gap = view.gaps().gap(level);
            [gap, gap.saturating_mul(2)]
        }
        Shape::Legacy | Shape::LegacyForwardAll => tree::legacy_targets(n, level),
    };
    pair.into_iter()
        .filter(move |offset| *offset > 0 && *offset < n)
}
