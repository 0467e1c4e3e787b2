//! Settings of the chain.

use crate::base::Point;

/// Where a chain begins when nothing is known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Start {
    /// At genesis: the first header has no parent.
    #[default]
    Genesis,
    /// Behind this point: the first header's parent has its hash.
    Anchor(Point),
    /// With the first header that is offered, whatever its parent.
    TrustFirst,
}

/// Settings of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Config {
    /// Where the chain begins.
    pub start: Start,
    /// The security parameter: the deepest rollback in blocks. Default 2,160.
    /// src: Cardano mainnet genesis, `securityParam`
    pub k: u64,
    /// Headers kept at most, inclusive; beyond it the oldest are forgotten and the anchor moves
    /// up, never into the last `k`. Default 131,072. Guess, not measured.
    pub headers_max: usize,
    /// Questions to the application open at most, inclusive. Default 1,024.
    pub tickets_max: usize,
    /// Bodies of one question to load at most, inclusive. Default 32.
    pub load_max: usize,
    /// Transaction ids kept at most, inclusive. Default 8,192.
    pub txs_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            start: Start::Genesis,
            k: 2_160,
            headers_max: 131_072,
            tickets_max: 1_024,
            load_max: 32,
            txs_max: 8_192,
        }
    }
}
