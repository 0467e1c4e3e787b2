//! Choices from a tape of bytes: what a fuzzer mutates and a property test shrinks.

use samanea_core::base::{Choice, Site};

/// Places at which the simulator draws; far from those of the core.
pub mod site {
    use samanea_core::base::Site;

    /// What happens next.
    pub const TRANSITION: Site = Site(1_000);
    /// Which node, link or block it happens to.
    pub const WHICH: Site = Site(1_001);
    /// How many bytes a read takes.
    pub const CUT: Site = Site(1_002);
    /// How long a link delays.
    pub const DELAY: Site = Site(1_003);
    /// How long the application takes.
    pub const APPLICATION: Site = Site(1_004);
    /// Settings of a run.
    pub const OPTION: Site = Site(1_005);
    /// When a law is checked.
    pub const LAW: Site = Site(1_006);
    /// How a byte is spoilt.
    pub const SPOIL: Site = Site(1_007);
    /// The order of messages and fields of hand-made sessions.
    pub const SESSION: Site = Site(1_008);
    /// How long virtual time stands still between transitions.
    pub const PAUSE: Site = Site(1_009);
    /// What a connection suffers on its way.
    pub const ATTENUATION: Site = Site(1_010);
    /// What a script says.
    pub const SCRIPT: Site = Site(1_011);
    /// What happens to a few nodes.
    pub const NODES: Site = Site(1_012);
}

/// A tape of bytes as a [`Choice`]: each draw reads one byte when the bound is at most 256, else
/// two or four. Past its end every draw is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByteTape {
    bytes: Vec<u8>,
    at: usize,
}

impl ByteTape {
    /// A tape that starts at the first byte.
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            at: 0,
        }
    }

    /// Whether all bytes are read.
    pub fn is_spent(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next byte, 0 past the end.
    pub fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at = self.at.saturating_add(1);
        byte
    }

    /// The next `len` bytes, fewer at the end.
    pub fn bytes(&mut self, len: usize) -> &[u8] {
        let from = self.at.min(self.bytes.len());
        let to = from.saturating_add(len).min(self.bytes.len());
        self.at = to;
        self.bytes.get(from..to).unwrap_or_default()
    }

    /// All that is left.
    pub fn rest(&mut self) -> &[u8] {
        self.bytes(usize::MAX)
    }
}

impl Choice for ByteTape {
    fn below(&mut self, _site: Site, _of: u64, n: u32) -> u32 {
        let width = match n {
            0 | 1 => return 0,
            2..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ => 4,
        };
        let drawn = (0..width).fold(0_u32, |sum, _| (sum << 8) | u32::from(self.byte()));
        drawn % n
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_tape_always_draws_the_first() {
        let mut tape = ByteTape::new(&[7, 1, 2]);
        assert_eq!(tape.below(site::CUT, 0, 1), 0);
        assert_eq!(tape.below(site::CUT, 0, 5), 2);
        assert_eq!(tape.below(site::CUT, 0, 1_000), 258);
        assert!(tape.is_spent());
        assert_eq!(tape.below(site::CUT, 0, u32::MAX), 0);
    }
}
