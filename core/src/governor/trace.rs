//! What the governor did.

use core::{net::SocketAddr, time::Duration};

use super::{Judgement, Source, Targets};
use crate::base::Class;

/// What the governor did, in words that operators of a Cardano node know.
/// src: ouroboros-network, `TracePeerSelection`
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Trace {
    /// Other targets are in force.
    TargetsChanged {
        /// Until now.
        old: Targets,
        /// From now on.
        new: Targets,
    },
    /// Local roots have changed: so many came, went, and have other traits.
    LocalRootsChanged {
        /// New ones.
        added: u32,
        /// No longer ones.
        removed: u32,
        /// With other traits or in another group.
        changed: u32,
    },
    /// Roots are asked for.
    RootsRequest {
        /// Whether big ledger peers are.
        big: bool,
        /// How many.
        wanted: u32,
    },
    /// Roots have come.
    RootsResult {
        /// Whether big ledger peers were asked for.
        big: bool,
        /// So many that were not known as roots.
        new: u32,
        /// The next request is due after this.
        retry: Duration,
    },
    /// None could be asked for.
    RootsFailure {
        /// Whether big ledger peers were asked for.
        big: bool,
        /// The next request is due after this.
        retry: Duration,
    },
    /// Peers are asked for addresses.
    ShareRequest {
        /// Whom.
        peer: SocketAddr,
        /// How many.
        amount: u8,
    },
    /// Addresses have come.
    ShareResult {
        /// From whom.
        peer: SocketAddr,
        /// So many in the message.
        told: u32,
        /// So many that were new and taken.
        taken: u32,
        /// So many that cannot be routed, are our own, or are held off.
        refused: u32,
    },
    /// No answer in time.
    ShareTimeout {
        /// Of whom.
        peer: SocketAddr,
    },
    /// Peers were learned from inbound connections.
    Inbound {
        /// So many.
        taken: u32,
    },
    /// A peer is forgotten because there are too many.
    Forgotten {
        /// The peer.
        peer: SocketAddr,
        /// What it was.
        source: Source,
    },
    /// Promotion cold to warm.
    PromoteCold {
        /// The peer.
        peer: SocketAddr,
        /// What it is.
        source: Source,
    },
    /// It is warm.
    PromoteColdDone {
        /// The peer.
        peer: SocketAddr,
    },
    /// It is not.
    PromoteColdFailed {
        /// The peer.
        peer: SocketAddr,
        /// Whose fault.
        class: Class,
        /// Not tried again before this.
        delay: Duration,
        /// Whether it was forgotten.
        forgotten: bool,
    },
    /// Promotion warm to hot.
    PromoteWarm {
        /// The peer.
        peer: SocketAddr,
        /// What it is.
        source: Source,
    },
    /// It is hot.
    PromoteWarmDone {
        /// The peer.
        peer: SocketAddr,
    },
    /// Demotion hot to warm.
    DemoteHot {
        /// The peer.
        peer: SocketAddr,
        /// What it is.
        source: Source,
    },
    /// It is warm.
    DemoteHotDone {
        /// The peer.
        peer: SocketAddr,
    },
    /// Demotion warm to cold.
    DemoteWarm {
        /// The peer.
        peer: SocketAddr,
        /// What it is.
        source: Source,
    },
    /// It is cold.
    DemoteWarmDone {
        /// The peer.
        peer: SocketAddr,
    },
    /// A demotion that we asked for ended in a failure.
    DemoteFailed {
        /// The peer.
        peer: SocketAddr,
    },
    /// A peer is on its way down, or warm, without our having asked for it.
    Asynchronous {
        /// The peer.
        peer: SocketAddr,
        /// What it is.
        source: Source,
        /// What it becomes.
        to: Temperature,
        /// Not promoted again before this.
        delay: Duration,
    },
    /// A peer broke a rule: it left all sets at once and is held off.
    Offence {
        /// The peer.
        peer: SocketAddr,
        /// For this long.
        hold_off: Duration,
    },
    /// The chain became old or young.
    JudgementChanged(Judgement),
    /// Bootstrap was switched on or off.
    BootstrapChanged(bool),
    /// Only trusted peers are left.
    OnlyTrusted,
    /// A step of the churn begins.
    ChurnStep {
        /// From 1 to 12.
        step: u8,
        /// The targets of this step.
        targets: Targets,
    },
    /// A step of the churn is done.
    ChurnDone {
        /// From 1 to 12.
        step: u8,
        /// After this long.
        took: Duration,
        /// Whether the target was not reached in time.
        timeout: bool,
    },
    /// Nearly all dials fail: failures do not count.
    Outage(bool),
}

/// How close a peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Temperature {
    /// Known.
    Cold,
    /// On its way to cold.
    Cooling,
    /// Connected.
    Warm,
    /// In use.
    Hot,
}
