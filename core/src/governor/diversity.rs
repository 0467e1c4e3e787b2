//! How many peers may come from one network or one operator.
//!
//! In: who becomes established and who ceases to be. Out: whether one more of its kind is wanted.
//! Without it whoever holds many addresses of one range, or a stake pool whose relays are drawn
//! again and again, may come to be all that we see of the network.
//!
//! A network is a `/16` of IPv4 or a `/32` of IPv6, about what one provider gets; a transition
//! address counts where the IPv4 address behind it does. Unroutable addresses are not counted. An
//! operator is whoever registered a list of relays, by a number of the caller's.
//!
//! Limits: as many entries as peers were added.

use alloc::collections::BTreeMap;
use core::net::{IpAddr, SocketAddr};

use super::{Policy, is_routable, routable::behind};

/// Counts of peers by network and operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Diversity {
    prefix_max: u32,
    operator_max: u32,
    prefixes: BTreeMap<Prefix, u32>,
    operators: BTreeMap<u32, u32>,
}

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Prefix {
    V4([u8; 2]),
    V6([u8; 4]),
}

impl Diversity {
    /// Nobody counted.
    pub const fn new(policy: &Policy) -> Self {
        Self {
            prefix_max: policy.prefix_max,
            operator_max: policy.operator_max,
            prefixes: BTreeMap::new(),
            operators: BTreeMap::new(),
        }
    }

    /// Whether one more peer of this network and this operator is wanted.
    pub fn may(&self, addr: &SocketAddr, operator: Option<u32>) -> bool {
        let prefix = prefix(addr).is_none_or(|p| has_room(&self.prefixes, &p, self.prefix_max));
        let operator = operator.is_none_or(|o| has_room(&self.operators, &o, self.operator_max));
        prefix && operator
    }

    /// Counts a peer, whether it may or not.
    pub fn add(&mut self, addr: &SocketAddr, operator: Option<u32>) {
        if let Some(prefix) = prefix(addr) {
            add(&mut self.prefixes, prefix);
        }
        if let Some(operator) = operator {
            add(&mut self.operators, operator);
        }
    }

    /// Counts a peer no longer; to be told the same as [`add`](Self::add) was.
    pub fn remove(&mut self, addr: &SocketAddr, operator: Option<u32>) {
        if let Some(prefix) = prefix(addr) {
            remove(&mut self.prefixes, &prefix);
        }
        if let Some(operator) = operator {
            remove(&mut self.operators, &operator);
        }
    }

    /// Whether nobody is counted.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty() && self.operators.is_empty()
    }
}

/// The network of an address; `None` if it is not routable.
fn prefix(addr: &SocketAddr) -> Option<Prefix> {
    if !is_routable(addr) {
        return None;
    }
    let ip = match addr.ip() {
        IpAddr::V6(ip) => behind(ip).map_or(IpAddr::V6(ip), IpAddr::V4),
        v4 @ IpAddr::V4(_) => v4,
    };
    Some(match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            Prefix::V4([a, b])
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.octets();
            Prefix::V6([a, b, c, d])
        }
    })
}

fn has_room<K: Ord>(counts: &BTreeMap<K, u32>, key: &K, max: u32) -> bool {
    max == u32::MAX || counts.get(key).copied().unwrap_or(0) < max
}

fn add<K: Ord>(counts: &mut BTreeMap<K, u32>, key: K) {
    let count = counts.entry(key).or_insert(0);
    *count = count.saturating_add(1);
}

fn remove<K: Ord>(counts: &mut BTreeMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn addr(addr: &str) -> SocketAddr {
        addr.parse().unwrap()
    }

    fn policy(prefix_max: u32, operator_max: u32) -> Policy {
        Policy {
            prefix_max,
            operator_max,
            ..Policy::default()
        }
    }

    #[test]
    fn a_network_is_full_and_has_room_again() {
        let cases = [
            ["8.8.0.1:1", "8.8.255.1:2", "8.8.3.3:3", "8.9.0.1:1"],
            [
                "[2a00:1::1]:1",
                "[2a00:1:ffff::1]:2",
                "[2a00:1::2]:3",
                "[2a00:2::1]:1",
            ],
            [
                "8.8.0.1:1",
                "[64:ff9b::808:1]:1",
                "[2002:808:1::1]:1",
                "[64:ff9b::809:1]:1",
            ],
        ];
        for case in cases {
            let [first, second, third, other] = case.map(addr);
            let mut diversity = Diversity::new(&policy(2, 9));
            diversity.add(&first, None);
            assert!(diversity.may(&second, None));
            diversity.add(&second, None);
            assert!(!diversity.may(&third, None), "{case:?}");
            assert!(diversity.may(&other, None), "{case:?}");
            diversity.remove(&first, None);
            assert!(diversity.may(&third, None));
        }
    }

    #[test]
    fn an_operator_is_counted_over_all_networks() {
        let mut diversity = Diversity::new(&policy(9, 2));
        diversity.add(&addr("8.8.8.8:1"), Some(7));
        diversity.add(&addr("10.0.0.1:1"), Some(7));
        assert!(!diversity.may(&addr("9.9.9.9:1"), Some(7)));
        assert!(diversity.may(&addr("9.9.9.9:1"), Some(8)));
        assert!(diversity.may(&addr("9.9.9.9:1"), None));
    }

    #[test]
    fn private_networks_are_not_counted_and_the_largest_number_is_none() {
        let mut diversity = Diversity::new(&policy(1, u32::MAX));
        for _ in 0..100 {
            diversity.add(&addr("127.0.0.1:1"), Some(1));
        }
        assert!(diversity.may(&addr("127.0.0.1:2"), Some(1)));
        let mut diversity = Diversity::new(&policy(u32::MAX, 1));
        for _ in 0..100 {
            diversity.add(&addr("8.8.8.8:1"), None);
        }
        assert!(diversity.may(&addr("8.8.8.8:1"), None));
    }

    proptest! {
        /// Counts are those of a plain list, and nothing stays of those who left.
        #[test]
        fn counts_are_those_of_a_list(
            ops in prop::collection::vec((any::<bool>(), 0_u8..4, 0_u8..4, prop::option::of(0_u32..3)), 1..80),
            caps in (0_u32..4, 0_u32..4),
        ) {
            let mut diversity = Diversity::new(&policy(caps.0, caps.1));
            let mut list: Vec<(u8, SocketAddr, Option<u32>)> = Vec::new();
            for (remove, net, host, operator) in ops {
                let peer = SocketAddr::from(([9, net, 0, host], 1));
                let at = list.iter().position(|entry| *entry == (net, peer, operator));
                match at {
                    Some(at) if remove => {
                        diversity.remove(&peer, operator);
                        list.swap_remove(at);
                    }
                    _ => {
                        diversity.add(&peer, operator);
                        list.push((net, peer, operator));
                    }
                }
                let same_net = list.iter().filter(|entry| entry.0 == net).count();
                let same_operator = list.iter().filter(|entry| entry.2 == operator).count();
                let may = same_net < caps.0 as usize
                    && (operator.is_none() || same_operator < caps.1 as usize);
                prop_assert_eq!(diversity.may(&peer, operator), may);
            }
            for (_, peer, operator) in list {
                prop_assert!(!diversity.is_empty());
                diversity.remove(&peer, operator);
            }
            prop_assert!(diversity.is_empty());
        }
    }
}
