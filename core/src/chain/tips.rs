//! Who wants to hear our next tips.

use alloc::{collections::BTreeMap, vec::Vec};

use crate::base::{Serial, Slot, Tip};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Asker {
    left: u16,
    /// The first tip must be this late.
    from: Option<Slot>,
}

impl Asker {
    /// Whether to tell it this tip.
    fn takes(&mut self, tip: &Tip) -> bool {
        let late = match (tip.point.slot(), self.from) {
            (None, _) => false,
            (Some(slot), Some(from)) => slot >= from,
            (Some(_), None) => true,
        };
        if late && self.left > 0 {
            self.from = None;
            self.left -= 1;
            return true;
        }
        false
    }
}

/// All who ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Tips {
    by: BTreeMap<Serial, Asker>,
}

impl Tips {
    /// A peer asks for `count` tips from `slot` on; whether our present one is the first.
    pub(super) fn ask(
        &mut self,
        conn: Serial,
        count: u16,
        slot: Slot,
        tip: &Tip,
        max: usize,
    ) -> bool {
        if self.by.len() >= max && !self.by.contains_key(&conn) {
            return false;
        }
        let mut asker = Asker {
            left: count,
            from: Some(slot),
        };
        let now = asker.takes(tip);
        if asker.left > 0 {
            self.by.insert(conn, asker);
        } else {
            self.by.remove(&conn);
        }
        now
    }

    /// Our tip has changed: whom to tell.
    pub(super) fn changed(&mut self, tip: &Tip) -> Vec<Serial> {
        let mut told = Vec::new();
        self.by.retain(|&conn, asker| {
            if asker.takes(tip) {
                told.push(conn);
            }
            asker.left > 0
        });
        told
    }

    pub(super) fn remove(&mut self, conn: Serial) {
        self.by.remove(&conn);
    }
}
