//! When slots begin: what is known of public networks, or said on the command line.

use std::time::Duration;

use samanea_core::base::Slot;

/// When slots begin, from some slot on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotClock {
    /// The first slot of this length.
    first: Slot,
    /// When it began, since the Unix epoch.
    began: Duration,
    /// The epoch that began with it, and slots to an epoch.
    epochs: Option<(u64, u64)>,
}

/// Magic, first slot of a second, when that began in seconds since the Unix epoch, its epoch.
/// src: the genesis files of the networks; Byron's slots took twenty seconds
const KNOWN: [(u32, Slot, u64, u64, u64); 3] = [
    // mainnet
    (764_824_073, 4_492_800, 1_596_059_091, 208, 432_000),
    // preprod
    (1, 86_400, 1_655_769_600, 4, 432_000),
    // preview
    (2, 0, 1_666_656_000, 0, 86_400),
];

impl SlotClock {
    /// That of a public network.
    pub fn of_network(magic: u32) -> Option<Self> {
        let (_, first, began, epoch, slots) = *KNOWN.iter().find(|known| known.0 == magic)?;
        Some(Self {
            first,
            began: Duration::from_secs(began),
            epochs: Some((epoch, slots)),
        })
    }

    /// That of a network whose slot 0 began then and whose slots take a second.
    pub const fn since(began: Duration) -> Self {
        Self {
            first: 0,
            began,
            epochs: None,
        }
    }

    /// When a slot begins, since the Unix epoch; `None` before slots took a second.
    pub fn begins(&self, slot: Slot) -> Option<Duration> {
        let seconds = slot.checked_sub(self.first)?;
        self.began.checked_add(Duration::from_secs(seconds))
    }

    /// The epoch of a slot and its number within that.
    pub fn epoch(&self, slot: Slot) -> Option<(u64, u64)> {
        let (epoch, slots) = self.epochs?;
        let since = slot.checked_sub(self.first)?;
        Some((epoch + since / slots, since % slots))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_of_mainnet_begin_when_they_did() {
        let clock = SlotClock::of_network(764_824_073).unwrap();
        // Epoch 365 began on 22 September 2022 at 21:44:51.
        assert_eq!(clock.epoch(72_316_801), Some((365, 1)));
        assert_eq!(
            clock.begins(72_316_800),
            Some(Duration::from_secs(1_663_883_091))
        );
        assert_eq!((clock.begins(1), clock.epoch(1)), (None, None));
    }

    #[test]
    fn an_unknown_network_has_no_clock_and_a_given_start_no_epochs() {
        assert_eq!(SlotClock::of_network(42), None);
        let clock = SlotClock::since(Duration::from_secs(100));
        assert_eq!(clock.begins(5), Some(Duration::from_secs(105)));
        assert_eq!((clock.epoch(5), clock.begins(u64::MAX)), (None, None));
    }
}
