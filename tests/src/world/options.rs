//! Settings of a world; each run draws its own (swarm testing).

use core::{fmt, time::Duration};

use samanea_core::base::Choice;

use super::attenuation::Roughness;
use crate::tape::site;

/// How links behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// One way, the shortest.
    pub delay_min: Duration,
    /// One way, the longest; order is kept whatever is drawn.
    pub delay_max: Duration,
    /// Bytes a second; 0 = any number at once.
    pub rate: u64,
    /// Bytes of one packet at most, at least 1.
    pub packet_max: u32,
    /// Bytes of one read at most, at least 1.
    pub read_max: u32,
    /// Bytes that the kernels of both ends hold in one direction, at least 1.
    pub kernel_bytes: usize,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            delay_min: Duration::from_millis(10),
            delay_max: Duration::from_millis(10),
            rate: 0,
            packet_max: 1_448,
            read_max: 65_536,
            kernel_bytes: 262_144,
        }
    }
}

/// How the hosts are joined at the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Each knows the one before it.
    Line,
    /// Each knows the one before it, the first the last.
    Ring,
    /// Each knows one or two drawn from those before it.
    Tree,
    /// Each knows all others: every pair dials both ways.
    Full,
    /// Nobody knows anybody.
    None,
}

/// Settings of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Hosts, 1 to 50.
    pub hosts: usize,
    /// How they are joined.
    pub shape: Shape,
    /// How links behave.
    pub profile: Profile,
    /// The application's longest delay.
    pub application_max: Duration,
    /// Ticks come late by up to this much.
    pub late_max: Duration,
    /// Bytes of a body.
    pub body_bytes: usize,
    /// Bytes that a machine may have written and not flushed per connection, inclusive; 0 = not
    /// checked.
    pub window_bytes: u64,
    /// The laws that need clones (purity, early ticks) are checked every so many steps; 0 = never.
    pub laws_every: u64,
    /// The machine is replaced by its clone every so many steps; 0 = never. Must change nothing.
    pub clone_every: u64,
    /// Whether everybody keeps to the rules: then nobody may be blamed.
    pub honest: bool,
    /// Steps of one host at one instant at most.
    pub storm_max: u64,
    /// How much connections suffer that no script describes.
    pub roughness: Roughness,
    /// Whether each host has a second address and listens there too.
    pub aliases: bool,
    /// How long the kernel of who closes first in order keeps the two addresses.
    pub time_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            hosts: 2,
            shape: Shape::Line,
            profile: Profile::default(),
            application_max: Duration::from_millis(5),
            late_max: Duration::ZERO,
            body_bytes: 2_000,
            window_bytes: 0,
            laws_every: 16,
            clone_every: 0,
            honest: false,
            storm_max: 100_000,
            roughness: Roughness::None,
            aliases: false,
            time_wait: Duration::from_secs(60),
        }
    }
}

impl Options {
    /// Draws settings; sizes are spread over their orders of magnitude.
    pub fn draw(choice: &mut dyn Choice, hosts_max: u32) -> Self {
        let mut below = |n: u32| choice.below(site::OPTION, 0, n);
        let hosts = 2 + below(hosts_max.saturating_sub(1).max(1));
        let shape = match below(4) {
            0 => Shape::Line,
            1 => Shape::Ring,
            2 => Shape::Tree,
            _ if hosts <= 8 => Shape::Full,
            _ => Shape::Tree,
        };
        let delay_min = Duration::from_micros(u64::from(spread(below(18))));
        let profile = Profile {
            delay_min,
            delay_max: delay_min.saturating_mul(1 + below(3)),
            rate: match below(3) {
                0 => 0,
                _ => 20_000 << below(12),
            },
            packet_max: spread(4 + below(13)),
            read_max: spread(6 + below(11)),
            kernel_bytes: usize::try_from(spread(11 + below(9))).unwrap_or(4_096),
        };
        Self {
            hosts: usize::try_from(hosts).unwrap_or(2),
            shape,
            profile,
            application_max: Duration::from_micros(u64::from(spread(below(16)))),
            late_max: Duration::from_micros(u64::from(spread(below(20)))),
            body_bytes: usize::try_from(spread(below(16))).unwrap_or(1),
            roughness: match below(4) {
                0 => Roughness::None,
                1 => Roughness::Gentle,
                _ => Roughness::Rough,
            },
            aliases: below(4) == 0,
            ..Self::default()
        }
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let p = &self.profile;
        write!(
            f,
            "hosts={} shape={:?} delay={:?}..{:?} rate={} packet={} read={} kernel={} late={:?} body={} {:?}",
            self.hosts,
            self.shape,
            p.delay_min,
            p.delay_max,
            p.rate,
            p.packet_max,
            p.read_max,
            p.kernel_bytes,
            self.late_max,
            self.body_bytes,
            self.roughness,
        )
    }
}

/// 2 to the power of `exponent`.
const fn spread(exponent: u32) -> u32 {
    1 << if exponent > 31 { 31 } else { exponent }
}
