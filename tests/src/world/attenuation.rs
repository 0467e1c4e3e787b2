//! What one connection suffers on its way, drawn or written down beforehand.

use core::time::Duration;

use samanea_core::{base::Choice, conn::Cause};

use super::Side;
use crate::tape::site;

/// Why accepting fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptTrouble {
    /// The peer was gone before: the connection is lost, the listener is fine.
    Aborted,
    /// No descriptors: the connection waits on in the kernel.
    Resources,
    /// The listening socket is lost.
    Fatal,
}

/// What happens to one direction for a while.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spell {
    /// Nothing.
    #[default]
    Fine,
    /// From this age of the connection on, for so long, it carries a sixteenth.
    Slow(Duration, Duration),
    /// From this age of the connection on, for so long, reading what arrives fails like this.
    Error(Duration, Duration, Cause),
}

/// One direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// Bytes a second; 0 = as the profile says.
    pub rate: u64,
    /// What happens for a while.
    pub spell: Spell,
    /// Writes that succeed; the next one fails.
    pub writes: Option<u32>,
}

/// What one connection suffers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attenuation {
    /// The dial takes so much longer.
    pub connect: Duration,
    /// From who dials, and from who is dialled.
    pub courses: [Course; 2],
    /// Accepting it fails after so long.
    pub accept: Option<(Duration, AcceptTrouble)>,
    /// Bytes of one packet at most; 0 = as the profile says.
    pub packet_max: u32,
}

/// How much connections suffer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Roughness {
    /// Not at all.
    #[default]
    None,
    /// They are slow, but whole.
    Gentle,
    /// They fail, too.
    Rough,
}

impl Attenuation {
    /// Harms nothing.
    pub const HARMLESS: Self = Self {
        connect: Duration::ZERO,
        courses: [Course {
            rate: 0,
            spell: Spell::Fine,
            writes: None,
        }; 2],
        accept: None,
        packet_max: 0,
    };

    /// Draws one.
    pub fn draw(choice: &mut dyn Choice, roughness: Roughness) -> Self {
        let mut below = |n: u32| choice.below(site::ATTENUATION, 0, n);
        match roughness {
            Roughness::None => Self::HARMLESS,
            Roughness::Gentle => Self {
                connect: Duration::from_millis([0, 100, 1_000][pick(below(3))]),
                courses: core::array::from_fn(|_| Course {
                    rate: RATES[1 + pick(below(2))],
                    ..Course::default()
                }),
                accept: None,
                packet_max: PACKETS[pick(below(3))],
            },
            Roughness::Rough => Self {
                connect: Duration::from_millis(match below(16) {
                    0..=5 => 100,
                    6..=10 => 1_000,
                    11..=14 => 20_000,
                    _ => 200_000,
                }),
                courses: core::array::from_fn(|_| Course {
                    rate: RATES[pick(below(3))],
                    spell: spell(&mut below),
                    writes: (below(3) == 0).then(|| below(16)),
                }),
                accept: (below(3) == 0).then(|| {
                    let trouble = match below(8) {
                        0..=3 => AcceptTrouble::Aborted,
                        4..=6 => AcceptTrouble::Resources,
                        _ => AcceptTrouble::Fatal,
                    };
                    (Duration::from_millis(u64::from(below(4_000))), trouble)
                }),
                packet_max: PACKETS[pick(below(3))],
            },
        }
    }

    /// A script of up to `max` of them, the last one harmless.
    pub fn script(choice: &mut dyn Choice, roughness: Roughness, max: u32) -> Vec<Self> {
        let count = choice.below(site::ATTENUATION, 1, max.saturating_add(1));
        let mut all: Vec<_> = (0..count).map(|_| Self::draw(choice, roughness)).collect();
        all.push(Self::HARMLESS);
        all
    }

    /// The rate of one direction at this age of the connection; 0 = no limit.
    pub(super) fn rate(&self, from: Side, age: Duration, otherwise: u64) -> u64 {
        let course = &self.courses[from];
        let rate = match (course.rate, otherwise) {
            (0, other) => other,
            (own, 0) => own,
            (own, other) => own.min(other),
        };
        match course.spell {
            Spell::Slow(start, len) if is_within(age, start, len) => rate.div_ceil(16),
            Spell::Fine | Spell::Slow(..) | Spell::Error(..) => rate,
        }
    }

    /// How reading fails now, if it does.
    pub(super) fn error(&self, from: Side, age: Duration) -> Option<Cause> {
        match self.courses[from].spell {
            Spell::Error(start, len, cause) if is_within(age, start, len) => Some(cause),
            Spell::Fine | Spell::Slow(..) | Spell::Error(..) => None,
        }
    }
}

impl AcceptTrouble {
    /// What the driver says, and whether the listener is lost.
    pub const fn told(self) -> (Cause, bool) {
        match self {
            Self::Aborted => (Cause::Reset, false),
            Self::Resources => (Cause::Resources, false),
            Self::Fatal => (Cause::Other(22), true),
        }
    }
}

/// Bytes a second.
const RATES: [u64; 3] = [3_000, 49_000, 1_000_000];
/// Bytes of a packet.
const PACKETS: [u32; 3] = [1 << 10, 12 << 10, 32 << 10];
/// How reading can fail: vanished, exhausted, unsupported, invalid argument, protocol, aborted.
const CAUSES: [Cause; 6] = [
    Cause::Unreachable,
    Cause::Resources,
    Cause::Other(95),
    Cause::Other(22),
    Cause::Other(71),
    Cause::Reset,
];

fn spell(below: &mut dyn FnMut(u32) -> u32) -> Spell {
    let kind = below(4);
    let start = Duration::from_millis(u64::from(below(30_000)));
    let len = Duration::from_millis(u64::from(1 + below(20_000)));
    match kind {
        0 | 1 => Spell::Fine,
        2 => Spell::Slow(start, len),
        _ => Spell::Error(start, len, CAUSES[pick(below(6))]),
    }
}

fn is_within(age: Duration, start: Duration, len: Duration) -> bool {
    age >= start && age < start.saturating_add(len)
}

fn pick(drawn: u32) -> usize {
    usize::try_from(drawn).unwrap_or(0)
}
