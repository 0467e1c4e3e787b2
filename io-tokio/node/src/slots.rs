//! When slots begin: what is known of public networks, said on the command line, or read from the
//! genesis file of a network.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::{Duration, SystemTime},
};

use samanea_core::base::Slot;
use serde::Deserialize;

/// When slots begin, from some slot on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotClock {
    /// The first slot of this length.
    first: Slot,
    /// When it began, since the Unix epoch.
    began: Duration,
    /// How long a slot takes; never zero.
    length: Duration,
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
            length: SECOND,
            epochs: Some((epoch, slots)),
        })
    }

    /// That of a network whose slot 0 began then, and whose slots take so long; a length of zero
    /// counts as a second.
    pub const fn since(began: Duration, length: Duration) -> Self {
        Self {
            first: 0,
            began,
            length: if length.is_zero() { SECOND } else { length },
            epochs: None,
        }
    }

    /// That of a network which began as its Shelley genesis file says.
    /// src: cardano-node, Shelley genesis
    pub fn of_genesis(file: &Path) -> Result<Self, NoGenesis> {
        let mut text = Vec::new();
        File::open(file)?
            .take(GENESIS_BYTES_MAX)
            .read_to_end(&mut text)?;
        let read: Genesis = serde_json::from_slice(&text)?;
        let start = humantime::parse_rfc3339(&read.system_start);
        let start = start.map_err(|_| NoGenesis::Start(read.system_start))?;
        let began = start.duration_since(SystemTime::UNIX_EPOCH);
        let length = Duration::try_from_secs_f64(read.slot_length);
        let length = length.ok().filter(|length| !length.is_zero());
        let epochs = (read.epoch_length > 0).then_some((0, read.epoch_length));
        Ok(Self {
            epochs,
            ..Self::since(
                began.unwrap_or_default(),
                length.ok_or(NoGenesis::Length(read.slot_length))?,
            )
        })
    }

    /// When a slot begins, since the Unix epoch; `None` before slots took as long as they do.
    pub fn begins(&self, slot: Slot) -> Option<Duration> {
        let slots = u128::from(slot.checked_sub(self.first)?);
        let nanos = self.length.as_nanos().checked_mul(slots)?;
        let nanos = u64::try_from(nanos).ok()?;
        self.began.checked_add(Duration::from_nanos(nanos))
    }

    /// The slot at a time since the Unix epoch; `None` before slots took as long as they do.
    pub fn slot_at(&self, wall: Duration) -> Option<Slot> {
        let slots = wall.checked_sub(self.began)?.as_nanos() / self.length.as_nanos();
        self.first.checked_add(u64::try_from(slots).ok()?)
    }

    /// The epoch of a slot and its number within that.
    pub fn epoch(&self, slot: Slot) -> Option<(u64, u64)> {
        let (epoch, slots) = self.epochs?;
        let since = slot.checked_sub(self.first)?;
        Some((epoch + since / slots, since % slots))
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// Bytes of a genesis file at most, inclusive: those of networks for tests have long lists.
const GENESIS_BYTES_MAX: u64 = 64 << 20;

/// What is read of a Shelley genesis file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Genesis {
    system_start: String,
    slot_length: f64,
    epoch_length: u64,
}

/// Why a genesis file does not say when slots begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoGenesis {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] io::Error),
    /// It is no genesis file.
    #[error("not a Shelley genesis file: {0}")]
    Malformed(#[from] serde_json::Error),
    /// No time that is known.
    #[error("systemStart: found {0:?}, allowed is a time like 2022-10-25T00:00:00Z")]
    Start(String),
    /// No length of time.
    #[error("slotLength: found {0}, allowed are seconds, more than 0")]
    Length(f64),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_lasts_until_the_next_one_begins() {
        let clock = SlotClock::since(Duration::from_secs(100), Duration::from_millis(200));
        for slot in [0, 1, 7, 1_000_000] {
            let begins = clock.begins(slot).unwrap();
            let next = clock.begins(slot + 1).unwrap();
            assert_eq!(next.saturating_sub(begins), Duration::from_millis(200));
            let last = next.saturating_sub(Duration::from_nanos(1));
            assert_eq!(
                (clock.slot_at(begins), clock.slot_at(last)),
                (Some(slot), Some(slot))
            );
        }
        assert_eq!(clock.slot_at(Duration::from_secs(99)), None);
        let mainnet = SlotClock::of_network(764_824_073).unwrap();
        assert_eq!(
            mainnet.slot_at(Duration::from_secs(1_663_883_091)),
            Some(72_316_800)
        );
    }

    fn genesis(text: &str) -> Result<SlotClock, NoGenesis> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shelley.json");
        std::fs::write(&file, text).unwrap();
        SlotClock::of_genesis(&file)
    }

    #[test]
    fn a_genesis_file_says_when_slots_begin() {
        let text = r#"{ "activeSlotsCoeff": 0.05, "epochLength": 500, "slotLength": 0.1,
            "systemStart": "2022-10-25T00:00:00Z", "networkMagic": 42, "initialFunds": {} }"#;
        let clock = genesis(text).unwrap();
        let begins = |slot| clock.begins(slot).unwrap().as_millis();
        assert_eq!(
            (begins(0), begins(11)),
            (1_666_656_000_000, 1_666_656_001_100)
        );
        assert_eq!(clock.epoch(1_001), Some((2, 1)));
        for (wrong, why) in [
            (
                text.replace("2022-10-25T00:00:00Z", "yesterday"),
                "found \"yesterday\"",
            ),
            (text.replace("0.1", "0"), "slotLength: found 0"),
            (text.replace("0.1", "-1"), "slotLength: found -1"),
            (
                text.replace("epochLength", "epoch"),
                "not a Shelley genesis file: missing",
            ),
            (String::new(), "not a Shelley genesis file: EOF"),
        ] {
            let error = genesis(&wrong).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

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
        let clock = SlotClock::since(Duration::from_secs(100), SECOND);
        assert_eq!(clock.begins(5), Some(Duration::from_secs(105)));
        assert_eq!((clock.epoch(5), clock.begins(u64::MAX)), (None, None));
    }
}
