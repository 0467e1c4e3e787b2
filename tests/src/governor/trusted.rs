//! When only trusted peers may be used, and who they are.

use samanea_core::governor::{Config, ConsensusMode, Explanation, Judgement, Source};

use super::world::World;

/// Whether only trusted peers may be used.
pub(super) fn is_sensitive(config: &Config, world: &World<'_>) -> bool {
    config.consensus == ConsensusMode::Praos
        && world.said.topology.bootstrap.is_some()
        && world.said.judgement == Judgement::TooOld
}

/// Whether a peer may be used while only trusted ones may.
pub(super) fn is_trusted(world: &World<'_>, peer: &Explanation) -> bool {
    peer.kept
        || peer.source == Source::Bootstrap
        || (peer.source == Source::Local
            && world.said.topology.local.iter().any(|group| {
                let mut points = group.access_points.iter();
                group.traits.trustable
                    && points.any(|relay| world.behind(relay).contains(&peer.peer))
            }))
}
