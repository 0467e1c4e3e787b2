//! How many peers there should be of each temperature.

/// Numbers of peers that the governor aims at. Known ⊇ established ⊇ active; big ledger peers are
/// counted apart, but for `root`, which counts every root.
/// src: cardano-node configuration, `TargetNumberOf…`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Targets {
    /// Root peers, at least: local, public, bootstrap, ledger and big ledger peers together.
    /// `TargetNumberOfRootPeers`
    pub root: u32,
    /// Known peers. `TargetNumberOfKnownPeers`
    pub known: u32,
    /// Warm and hot peers. `TargetNumberOfEstablishedPeers`
    pub established: u32,
    /// Hot peers. `TargetNumberOfActivePeers`
    pub active: u32,
    /// Known big ledger peers. `TargetNumberOfKnownBigLedgerPeers`
    pub known_big: u32,
    /// Warm and hot big ledger peers. `TargetNumberOfEstablishedBigLedgerPeers`
    pub established_big: u32,
    /// Hot big ledger peers. `TargetNumberOfActiveBigLedgerPeers`
    pub active_big: u32,
}

/// Hot peers of each kind at most, inclusive. src: ouroboros-network, `sanePeerSelectionTargets`
pub const ACTIVE_MAX: u32 = 100;
/// Warm and hot peers of each kind at most, inclusive.
pub const ESTABLISHED_MAX: u32 = 1_000;
/// Known peers of each kind at most in the reference, inclusive. Ours is [`KNOWN_MAX`].
pub const KNOWN_MAX_REFERENCE: u32 = 10_000;
/// Known peers of each kind at most, inclusive.
// deviates: the reference allows ten thousand, because each decision costs it time in proportion.
pub const KNOWN_MAX: u32 = 2_000_000;

/// A set of peers that has a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Set {
    /// All roots.
    Root,
    /// Known peers.
    Known,
    /// Established peers.
    Established,
    /// Active peers.
    Active,
    /// Known big ledger peers.
    KnownBig,
    /// Established big ledger peers.
    EstablishedBig,
    /// Active big ledger peers.
    ActiveBig,
}

impl core::fmt::Display for Set {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Known => "known",
            Self::Established => "established",
            Self::Active => "active",
            Self::KnownBig => "known big ledger",
            Self::EstablishedBig => "established big ledger",
            Self::ActiveBig => "active big ledger",
        })
    }
}

/// Why targets are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Insane {
    /// One target exceeds the next larger one. The operator's; nothing was changed.
    #[error("target of {what} peers is {got}, more than the {max} of {of}")]
    Order {
        /// The smaller set.
        what: Set,
        /// Its target.
        got: u32,
        /// The larger set.
        of: Set,
        /// Its target.
        max: u32,
    },
    /// A target exceeds its limit. The operator's; nothing was changed.
    #[error("target of {what} peers is {got}, more than {max}")]
    Limit {
        /// The set.
        what: Set,
        /// Its target.
        got: u32,
        /// The limit, inclusive.
        max: u32,
    },
}

impl Targets {
    /// None of anything: what holds before the first churn, and while a node that must trust only
    /// its bootstrap peers gets rid of all others.
    pub const ZERO: Self = Self {
        root: 0,
        known: 0,
        established: 0,
        active: 0,
        known_big: 0,
        established_big: 0,
        active_big: 0,
    };

    /// Defaults of a relay. src: ouroboros-network, default deadline targets
    pub const RELAY: Self = Self {
        root: 60,
        known: 150,
        established: 30,
        active: 20,
        known_big: 15,
        established_big: 10,
        active_big: 5,
    };

    /// Defaults of a block producer. src: ouroboros-network, default deadline targets
    pub const BLOCK_PRODUCER: Self = Self {
        root: 100,
        known: 100,
        established: 30,
        active: 20,
        known_big: 15,
        established_big: 10,
        active_big: 5,
    };

    /// Defaults of Genesis mode while the chain is old. src: ouroboros-network, default sync targets
    pub const SYNC: Self = Self {
        root: 0,
        known: 150,
        established: 10,
        active: 5,
        known_big: 100,
        established_big: 40,
        active_big: 30,
    };

    /// Whether each set fits into the next larger one and none is over its limit.
    pub const fn check(&self) -> Result<(), Insane> {
        let order = [
            (Set::Active, self.active, Set::Established, self.established),
            (Set::Established, self.established, Set::Known, self.known),
            (Set::Root, self.root, Set::Known, self.known),
            (
                Set::ActiveBig,
                self.active_big,
                Set::EstablishedBig,
                self.established_big,
            ),
            (
                Set::EstablishedBig,
                self.established_big,
                Set::KnownBig,
                self.known_big,
            ),
        ];
        let mut rest: &[_] = &order;
        while let [(what, got, of, max), after @ ..] = rest {
            let (what, got, of, max) = (*what, *got, *of, *max);
            if got > max {
                return Err(Insane::Order { what, got, of, max });
            }
            rest = after;
        }
        let limits = [
            (Set::Active, self.active, ACTIVE_MAX),
            (Set::Established, self.established, ESTABLISHED_MAX),
            (Set::Known, self.known, KNOWN_MAX),
            (Set::ActiveBig, self.active_big, ACTIVE_MAX),
            (Set::EstablishedBig, self.established_big, ESTABLISHED_MAX),
            (Set::KnownBig, self.known_big, KNOWN_MAX),
        ];
        let mut rest: &[_] = &limits;
        while let [(what, got, max), after @ ..] = rest {
            let (what, got, max) = (*what, *got, *max);
            if got > max {
                return Err(Insane::Limit { what, got, max });
            }
            rest = after;
        }
        Ok(())
    }

    /// Whether nothing is aimed at.
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
}

const _: () = {
    assert!(Targets::RELAY.check().is_ok());
    assert!(Targets::BLOCK_PRODUCER.check().is_ok());
    assert!(Targets::SYNC.check().is_ok());
    assert!(KNOWN_MAX >= KNOWN_MAX_REFERENCE);
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn targets() -> impl Strategy<Value = Targets> {
        prop::array::uniform7(prop_oneof![0_u32..1_200, Just(u32::MAX), Just(KNOWN_MAX)]).prop_map(
            |[
                root,
                known,
                established,
                active,
                known_big,
                established_big,
                active_big,
            ]| Targets {
                root,
                known,
                established,
                active,
                known_big,
                established_big,
                active_big,
            },
        )
    }

    proptest! {
        /// What is accepted is a chain of sets within their limits, and nothing else is.
        #[test]
        fn targets_are_sane_exactly_when_the_sets_fit(t in targets()) {
            let fits = t.active <= t.established
                && t.established <= t.known
                && t.root <= t.known
                && t.active_big <= t.established_big
                && t.established_big <= t.known_big
                && t.active.max(t.active_big) <= 100
                && t.established.max(t.established_big) <= 1_000
                && t.known.max(t.known_big) <= KNOWN_MAX;
            prop_assert_eq!(t.check().is_ok(), fits);
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let active = Targets {
            active: 31,
            ..Targets::RELAY
        };
        let Err(refused) = active.check() else {
            panic!("31 of 30");
        };
        assert_eq!(
            alloc::format!("{refused}"),
            "target of active peers is 31, more than the 30 of established"
        );
        assert!(Targets::ZERO.check().is_ok() && Targets::ZERO.is_zero());
    }
}
