//! Local root peers: groups of which so many must be warm and so many hot.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::net::SocketAddr;

use crate::proto::handshake::Mode;

/// What an operator says of a local root.
/// src: cardano-node topology file, `localRoots`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Traits {
    /// Whether it may be told to others.
    pub advertise: bool,
    /// Whether it is trusted while the chain is old.
    pub trustable: bool,
    /// Whether it dials us and is never dialled.
    pub behind_firewall: bool,
    /// What we offer it.
    pub mode: Mode,
}

impl Default for Traits {
    fn default() -> Self {
        Self {
            advertise: false,
            trustable: false,
            behind_firewall: false,
            mode: Mode::InitiatorAndResponder,
        }
    }
}

/// A group of local roots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Group {
    /// Members that must be hot.
    pub hot: u32,
    /// Members that must be warm or hot; at least `hot`.
    pub warm: u32,
    /// The members, by address.
    pub members: BTreeMap<SocketAddr, Traits>,
}

/// All groups, made fit: no peer in two of them, `0 < hot <= warm <= members` in each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LocalRoots {
    groups: Vec<Group>,
    of: BTreeMap<SocketAddr, usize>,
}

impl LocalRoots {
    /// Makes groups fit, in the order of the list: members of an earlier group are left out of a
    /// later one, valencies are cut to the number of members, and a group of which nothing must
    /// be hot or warm is dropped.
    /// src: ouroboros-network, `LocalRootPeers.fromGroups`
    pub fn new(groups: impl IntoIterator<Item = Group>) -> Self {
        let mut seen: BTreeSet<SocketAddr> = BTreeSet::new();
        let mut fit = Self::default();
        for mut group in groups {
            group.members.retain(|peer, _| seen.insert(*peer));
            fit.push(group);
        }
        fit
    }

    fn push(&mut self, mut group: Group) {
        let size = u32::try_from(group.members.len()).unwrap_or(u32::MAX);
        group.warm = group.warm.min(size);
        group.hot = group.hot.min(group.warm);
        if group.hot == 0 || group.warm == 0 {
            return;
        }
        let at = self.groups.len();
        self.of.extend(group.members.keys().map(|peer| (*peer, at)));
        self.groups.push(group);
    }

    /// At most `limit` members: groups are kept from the first on, the one that does not fit is cut
    /// to its smallest addresses, those behind it are dropped. Second, how many members that cost.
    /// src: ouroboros-network, `LocalRootPeers.clampToLimit`
    pub fn clamp(&self, limit: usize) -> (Self, usize) {
        let mut left = limit;
        let mut fit = Self::default();
        for group in &self.groups {
            let members = group.members.iter().take(left).map(|(p, t)| (*p, *t));
            let cut = Group {
                members: members.collect(),
                ..*group
            };
            left = left.saturating_sub(cut.members.len());
            fit.push(cut);
        }
        let lost = self.len().saturating_sub(fit.len());
        (fit, lost)
    }

    /// The trustable members alone. src: ouroboros-network, `clampToTrustable`
    #[must_use]
    pub fn trustable(&self) -> Self {
        let mut fit = Self::default();
        for group in &self.groups {
            let members = group.members.iter().filter(|(_, traits)| traits.trustable);
            fit.push(Group {
                members: members.map(|(p, t)| (*p, *t)).collect(),
                ..*group
            });
        }
        fit
    }

    /// The groups, in order.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The group of a peer, and what is said of it.
    pub fn get(&self, peer: &SocketAddr) -> Option<(usize, Traits)> {
        let at = *self.of.get(peer)?;
        let traits = self.groups.get(at)?.members.get(peer)?;
        Some((at, *traits))
    }

    /// Whether a peer is a local root.
    pub fn contains(&self, peer: &SocketAddr) -> bool {
        self.of.contains_key(peer)
    }

    /// All members, in order of address.
    pub fn members(&self) -> impl Iterator<Item = (SocketAddr, Traits)> {
        self.of
            .keys()
            .filter_map(|peer| Some((*peer, self.get(peer)?.1)))
    }

    /// Members of all groups.
    pub fn len(&self) -> usize {
        self.of.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The sum of all hot valencies.
    pub fn hot(&self) -> u32 {
        let hot = self.groups.iter().map(|group| group.hot);
        hot.fold(0, u32::saturating_add)
    }

    /// Whether each group is fit and the index is theirs.
    pub fn is_fit(&self) -> bool {
        let sizes = self.groups.iter().all(|group| {
            let size = u32::try_from(group.members.len()).unwrap_or(u32::MAX);
            0 < group.hot && group.hot <= group.warm && group.warm <= size
        });
        let named: usize = self.groups.iter().map(|group| group.members.len()).sum();
        let indexed = self.of.iter().all(|(peer, at)| {
            let group = self.groups.get(*at);
            group.is_some_and(|group| group.members.contains_key(peer))
        });
        sizes && indexed && named == self.of.len()
    }
}

#[cfg(test)]
mod tests {
    use core::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn peer(n: u8) -> SocketAddr {
        (Ipv4Addr::new(192, 0, 2, n), 3001).into()
    }

    fn group(hot: u32, warm: u32, members: &[u8]) -> Group {
        let traits = |n: &u8| Traits {
            trustable: n.is_multiple_of(2),
            ..Traits::default()
        };
        Group {
            hot,
            warm,
            members: members.iter().map(|n| (peer(*n), traits(n))).collect(),
        }
    }

    fn groups() -> impl Strategy<Value = Vec<Group>> {
        let one = (
            0_u32..6,
            0_u32..6,
            prop::collection::btree_set(0_u8..30, 0..8),
        );
        let one = one.prop_map(|(hot, warm, members)| {
            group(hot, warm, &members.into_iter().collect::<Vec<_>>())
        });
        prop::collection::vec(one, 0..8)
    }

    proptest! {
        /// Whatever is given becomes fit, and what is fit stays as it is.
        #[test]
        fn any_groups_become_fit(groups in groups()) {
            let fit = LocalRoots::new(groups.clone());
            prop_assert!(fit.is_fit());
            prop_assert_eq!(&LocalRoots::new(fit.groups().to_vec()), &fit);
            let given: BTreeSet<_> = groups.iter().flat_map(|g| g.members.keys()).collect();
            prop_assert!(fit.members().all(|(peer, _)| given.contains(&peer)));
        }

        /// A limit is reached exactly when it binds, except by groups that fall away.
        #[test]
        fn a_limit_keeps_the_first_groups(groups in groups(), limit in 0_usize..40) {
            let all = LocalRoots::new(groups);
            let (cut, lost) = all.clamp(limit);
            prop_assert!(cut.is_fit());
            prop_assert_eq!(cut.len(), limit.min(all.len()));
            prop_assert_eq!(lost, all.len() - cut.len());
            let same = cut.members().all(|(peer, traits)| {
                all.get(&peer).is_some_and(|(_, same)| same == traits)
            });
            prop_assert!(same);
        }

        #[test]
        fn only_the_trustable_are_left(groups in groups()) {
            let all = LocalRoots::new(groups);
            let trusted = all.trustable();
            prop_assert!(trusted.is_fit());
            prop_assert!(trusted.members().all(|(_, traits)| traits.trustable));
            let expected = all.members().filter(|(_, traits)| traits.trustable).count();
            prop_assert_eq!(trusted.len(), expected);
        }
    }

    #[test]
    fn a_peer_belongs_to_the_first_group_that_names_it() {
        let roots = LocalRoots::new([
            group(1, 2, &[1, 2]),
            group(2, 9, &[2, 3]),
            group(1, 1, &[3]),
        ]);
        assert_eq!(roots.groups().len(), 2);
        assert_eq!(roots.get(&peer(2)).map(|(at, _)| at), Some(0));
        assert_eq!(roots.get(&peer(3)).map(|(at, _)| at), Some(1));
        assert_eq!((roots.groups()[1].hot, roots.groups()[1].warm), (1, 1));
        assert_eq!(roots.hot(), 2);
        assert!(!LocalRoots::new([group(0, 3, &[1])]).contains(&peer(1)));
    }

    #[test]
    fn the_group_that_does_not_fit_is_cut_to_its_smallest_addresses() {
        let roots = LocalRoots::new([group(1, 2, &[1, 2]), group(3, 3, &[9, 7, 8])]);
        let (cut, lost) = roots.clamp(3);
        assert_eq!(lost, 2);
        assert!(cut.contains(&peer(7)) && !cut.contains(&peer(8)));
        assert_eq!((cut.groups()[1].hot, cut.groups()[1].warm), (1, 1));
    }
}
