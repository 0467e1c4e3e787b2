//! The operator's roots as they are written, names unresolved.

use alloc::vec::Vec;

use super::{Relay, Traits};
use crate::base::Slot;

/// When peers of the ledger are used. src: cardano-node topology file, `useLedgerAfterSlot`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum UseLedger {
    /// Never; a negative number. Default.
    #[default]
    Never,
    /// At once; 0.
    Always,
    /// When the tip of the ledger has this slot or a later one.
    After(Slot),
}

/// A group of local roots as written. src: cardano-node topology file, `localRoots`
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LocalGroup {
    /// Members that must be hot.
    pub hot: u32,
    /// Members that must be warm or hot.
    pub warm: u32,
    /// What is said of all members.
    pub traits: Traits,
    /// The members; services are asked for as they are written.
    pub access_points: Vec<Relay>,
}

/// Public roots as written. src: cardano-node topology file, `publicRoots`
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PublicGroup {
    /// Whether they may be told to others.
    pub advertise: bool,
    /// The roots; services are asked for as they are written.
    pub access_points: Vec<Relay>,
}

/// All roots as written.
///
/// Limits: [`ACCESS_POINTS_MAX`](Self::ACCESS_POINTS_MAX) in all; what is beyond is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Topology {
    /// Groups of local roots.
    pub local: Vec<LocalGroup>,
    /// Public roots, used only while the ledger names nobody.
    pub public: Vec<PublicGroup>,
    /// Bootstrap peers; `None`: bootstrap is disabled.
    pub bootstrap: Option<Vec<Relay>>,
    /// When peers of the ledger are used.
    pub use_ledger: UseLedger,
}

impl Topology {
    /// Access points of one topology, at most.
    pub const ACCESS_POINTS_MAX: usize = 10_000;
}
