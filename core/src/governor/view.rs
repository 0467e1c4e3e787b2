//! Numbers of peers, by source and state: what targets are compared with and what operators see.

/// Numbers of peers of one source or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Count {
    /// Known: cold, warm or hot.
    pub known: u32,
    /// Cold and not waiting for a time, or established.
    pub available: u32,
    /// Cold and being made warm.
    pub cold_promotions: u32,
    /// Warm, hot or cooling.
    pub established: u32,
    /// Warm and being made cold.
    pub warm_demotions: u32,
    /// Warm and being made hot.
    pub warm_promotions: u32,
    /// Hot.
    pub active: u32,
    /// Hot and being made warm.
    pub active_demotions: u32,
    /// On their way to cold without our having asked for it; among the established.
    pub cooling: u32,
}

impl Count {
    /// Known and not established.
    pub const fn cold(&self) -> u32 {
        self.known.saturating_sub(self.established)
    }

    /// Established and not active.
    pub const fn warm(&self) -> u32 {
        self.established.saturating_sub(self.active)
    }
}

/// Numbers of all peers. `ordinary`, `local`, `non_root` and `bootstrap` do not count big ledger
/// peers; `big` counts nothing else.
/// src: ouroboros-network, `PeerSelectionView`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Counters {
    /// Roots of every source, big ledger peers included.
    pub roots: u32,
    /// All but big ledger peers and members.
    pub ordinary: Count,
    /// Big ledger peers.
    pub big: Count,
    /// Local roots.
    pub local: Count,
    /// Learned from peers, or from inbound connections.
    pub non_root: Count,
    /// Bootstrap peers.
    pub bootstrap: Count,
    /// Public roots of the topology file.
    pub config: Count,
    /// Ledger peers that are not big.
    pub ledger: Count,
    /// Members of groups of structured gossip, which no target counts.
    pub members: Count,
}
