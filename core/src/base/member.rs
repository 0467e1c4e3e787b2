//! The words of structured gossip that all layers share: members, groups, messages.

use alloc::boxed::Box;
use core::fmt;

use super::Hash32;

/// The key of a member of a group: its Ed25519 public key, or whatever 32 bytes the network knows
/// its members by. Shorter addresses are padded with zeros at the end, which keeps their order.
///
/// Members stand on a ring in the order of these bytes. Who a connection belongs to is proved
/// outside, before a member is said to be up.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct MemberKey(pub [u8; 32]);

impl fmt::Debug for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hash32(self.0).fmt(f)
    }
}

impl fmt::Display for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Hash32(self.0), f)
    }
}

/// The content id of a gossiped message: the hash of its head and of the hash of its payload.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct MessageId(pub Hash32);

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A signature of 64 bytes, as two halves.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Signature(pub [[u8; 32]; 2]);

impl Signature {
    /// From 64 bytes; `None` of any other length.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let (left, right) = bytes.split_at_checked(32)?;
        Some(Self([left.try_into().ok()?, right.try_into().ok()?]))
    }

    /// All 64 bytes.
    pub fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        let [left, right] = self.0;
        for (to, from) in bytes.iter_mut().zip(left.into_iter().chain(right)) {
            *to = from;
        }
        bytes
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Hash32(self.0[0]).fmt(f)
    }
}

/// What a staked node does for the network.
///
/// src: Pocket Network v1 utility specification, "Actors"
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Actor {
    /// Pays for service.
    Application,
    /// Serves.
    Servicer,
    /// Watches those who serve ("fisherman").
    Watcher,
    /// Makes blocks.
    Validator,
    /// Serves on behalf of applications.
    Gateway,
    /// Keeps everything.
    Archival,
}

impl Actor {
    /// All, in the order of their numbers on the wire, 1 to 6.
    pub const ALL: [Self; 6] = [
        Self::Application,
        Self::Servicer,
        Self::Watcher,
        Self::Validator,
        Self::Gateway,
        Self::Archival,
    ];
}

/// Who takes part in a broadcast: gossip never leaves its group.
///
/// Two terms that mean the same set are different groups: the term is the name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum GroupId {
    /// Everybody with a stake.
    AllStaked,
    /// Everybody who does this.
    Role(Actor),
    /// The members of a session, by the session's hash.
    Session(Hash32),
    /// A group that the application defines, by a hash of its choice.
    Custom(Hash32),
    /// Who is in one or the other. At most [`GroupId::DEPTH_MAX`] deep.
    Union(Box<(Self, Self)>),
    /// Who is in the first and not in the second.
    Minus(Box<(Self, Self)>),
}

impl GroupId {
    /// How deep a term may be; a group without operators has depth 1.
    pub const DEPTH_MAX: u8 = 4;

    /// The depth of the term.
    pub fn depth(&self) -> u8 {
        match self {
            Self::AllStaked | Self::Role(_) | Self::Session(_) | Self::Custom(_) => 1,
            Self::Union(both) | Self::Minus(both) => {
                both.0.depth().max(both.1.depth()).saturating_add(1)
            }
        }
    }

    /// Who is in one or the other; `None` when the term would be too deep.
    pub fn union(self, other: Self) -> Option<Self> {
        Self::checked(Self::Union(Box::new((self, other))))
    }

    /// Who is in this and not in the other; `None` when the term would be too deep.
    pub fn minus(self, other: Self) -> Option<Self> {
        Self::checked(Self::Minus(Box::new((self, other))))
    }

    fn checked(self) -> Option<Self> {
        (self.depth() <= Self::DEPTH_MAX).then_some(self)
    }
}

impl fmt::Debug for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllStaked => f.write_str("all staked"),
            Self::Role(actor) => write!(f, "{actor:?}"),
            Self::Session(hash) => write!(f, "session {hash:?}"),
            Self::Custom(hash) => write!(f, "custom {hash:?}"),
            Self::Union(both) => write!(f, "({} or {})", both.0, both.1),
            Self::Minus(both) => write!(f, "({} without {})", both.0, both.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;

    use super::*;

    #[test]
    fn a_term_is_at_most_four_deep() {
        let one = GroupId::Role(Actor::Validator);
        let two = one.clone().union(GroupId::AllStaked).unwrap();
        let three = GroupId::AllStaked.minus(two.clone()).unwrap();
        let four = three.clone().union(two.clone()).unwrap();
        let depths = [&one, &two, &three, &four].map(GroupId::depth);
        assert_eq!(depths, [1, 2, 3, GroupId::DEPTH_MAX]);
        assert_eq!(four.clone().union(one.clone()), None);
        assert_eq!(one.clone().minus(four.clone()), None);
        // Two of the same depth are one deeper, not twice as deep.
        assert_eq!(three.clone().minus(three).unwrap().depth(), 4);
        assert_eq!(format!("{two}"), "(Validator or all staked)");
    }

    #[test]
    fn terms_that_mean_the_same_are_different_groups() {
        let (a, b) = (GroupId::AllStaked, GroupId::Role(Actor::Archival));
        let (left, right) = (a.clone().union(b.clone()), b.clone().union(a.clone()));
        assert_ne!(left, right);
        assert_ne!(a.clone().union(b.clone()), a.minus(b));
    }

    #[test]
    fn actors_are_numbered_in_their_order() {
        assert!(Actor::ALL.is_sorted());
        assert_eq!(Actor::ALL.len(), 6);
    }

    #[test]
    fn a_signature_is_two_halves_of_64_bytes() {
        let bytes: [u8; 64] = core::array::from_fn(|at| u8::try_from(at).unwrap());
        let signature = Signature::new(&bytes).unwrap();
        assert_eq!(signature.to_bytes(), bytes);
        assert_eq!(signature.0[1][0], 32);
        assert_eq!(Signature::new(&bytes[..63]), None);
        assert_eq!(Signature::new(&[0; 65]), None);
    }
}
