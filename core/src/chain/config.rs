//! Settings of the chain.

use core::time::Duration;

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
    /// up, never into the last `k`. When nothing can be forgotten, a peer with news is followed
    /// anew later. Default 131,072. Guess, not measured.
    pub headers_max: usize,
    /// Headers of one peer's chain beyond our tip at most, inclusive: there the peer is asked for
    /// no more until half are left. What is under way may exceed it once over; beyond that (and
    /// `k` for a fork) the peer is followed anew later. Default 8,192. Guess, not measured.
    pub candidate_max: usize,
    /// Peers on each side (followed, following) at most, inclusive; more are not answered.
    /// Default 512, the default number of connections.
    pub peers_max: usize,
    /// Peers from which bodies are fetched at once, at most, inclusive. Default 4; no body is
    /// asked for twice while an answer is due.
    ///
    /// deviates: the specification fetches from one peer at a time in both modes; with several
    /// the same bodies come sooner, and the in-flight limits of each peer stay as specified.
    /// src: Ouroboros network specification, "Block Fetch decision logic"
    pub fetch_peers_max: usize,
    /// How long a peer that had not got a range, or an application that could not judge a block,
    /// is left alone. Default 1 s. Guess, not measured.
    pub rest: Duration,
    /// How long a peer without a recent common point is left alone before it is asked again.
    /// Default 10 s. Guess, not measured.
    pub refollow: Duration,
    /// Questions to the application open at most, inclusive, at least 4; three quarters are for
    /// bodies. Default 1,024.
    pub tickets_max: usize,
    /// Bodies of one question to load at most, inclusive. Default 32.
    pub load_max: usize,
    /// Bytes of one question to load at most, as the headers say (the body that crosses it
    /// included). Default 262,143, the soft limit of one half's egress.
    /// src: Ouroboros network specification, "Multiplexing"
    pub load_bytes_max: u64,
    /// Transaction ids kept at most, inclusive; beyond it the oldest are forgotten. Default 8,192.
    pub txs_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            start: Start::Genesis,
            k: 2_160,
            headers_max: 131_072,
            candidate_max: 8_192,
            peers_max: 512,
            fetch_peers_max: 4,
            rest: Duration::from_secs(1),
            refollow: Duration::from_secs(10),
            tickets_max: 1_024,
            load_max: 32,
            load_bytes_max: 262_143,
            txs_max: 8_192,
        }
    }
}
