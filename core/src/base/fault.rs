//! Classes of failure.

/// Whose fault a failure is; decides what the peer selection makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Class {
    /// Ours: stop what must stop and blame no peer.
    Internal,
    /// The network's: back off and try again.
    Network,
    /// The peer's: it broke a rule that no honest peer breaks.
    Adversarial,
}
