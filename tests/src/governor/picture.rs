//! What a governor says of itself at one instant.

use core::net::SocketAddr;
use std::collections::BTreeMap;

use samanea_core::governor::{
    Count, Counters, Explanation, Governor, Source, Status, Targets, Trust,
};

/// All explanations, and what hangs on them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// The peers.
    pub peers: BTreeMap<SocketAddr, Explanation>,
    /// Targets in force.
    pub targets: Targets,
    /// Counters as it keeps them.
    pub counters: Counters,
    /// The state told to consensus.
    pub trust: Trust,
}

impl Picture {
    /// Of a governor.
    pub fn of(governor: &Governor) -> Self {
        let all = governor.explain_all();
        Self {
            peers: all.map(|of| (of.peer, of)).collect(),
            targets: governor.targets(),
            counters: *governor.counters(),
            trust: governor.trust(),
        }
    }

    /// How many peers it has of some kind.
    pub fn count(&self, is: impl Fn(&Explanation) -> bool) -> u32 {
        let count = self.peers.values().filter(|peer| is(peer)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// The peers of some kind.
    pub fn those<'a>(
        &'a self,
        is: impl Fn(&Explanation) -> bool + 'a,
    ) -> impl Iterator<Item = &'a Explanation> {
        self.peers.values().filter(move |peer| is(peer))
    }

    /// Counters counted anew.
    pub fn recount(&self) -> Counters {
        let of = |is: &dyn Fn(Source) -> bool| {
            let with = |has: &dyn Fn(Status) -> bool| {
                self.count(|peer| is(peer.source) && has(peer.status))
            };
            Count {
                known: with(&|_| true),
                available: with(&|status| status != Status::ColdWaiting),
                cold_promotions: with(&|status| status == Status::Connecting),
                established: with(&Status::is_established),
                warm_demotions: with(&|status| status == Status::Closing),
                warm_promotions: with(&|status| status == Status::Activating),
                active: with(&Status::is_active),
                active_demotions: with(&|status| status == Status::Deactivating),
                cooling: with(&|status| status == Status::Cooling),
            }
        };
        Counters {
            roots: self.count(|peer| !matches!(peer.source, Source::NonRoot | Source::Member)),
            ordinary: of(&|source| !matches!(source, Source::Big | Source::Member)),
            big: of(&|source| source == Source::Big),
            local: of(&|source| source == Source::Local),
            non_root: of(&|source| source == Source::NonRoot),
            bootstrap: of(&|source| source == Source::Bootstrap),
            config: of(&|source| source == Source::Config),
            ledger: of(&|source| source == Source::Ledger),
            members: of(&|source| source == Source::Member),
        }
    }
}
