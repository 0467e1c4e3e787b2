//! Which addresses can be reached over the public Internet.
//!
//! In: an address that somebody told us. Out: whether it makes sense to dial it. A liar who tells
//! addresses of private networks, of our own host, or of groups would have us knock at doors that
//! are none of a peer's business; prefixes set aside for documentation and tests lead nowhere.
//!
//! An IPv6 address is routable if it is global unicast (`2000::/3`) and in none of the blocks set
//! aside there. A transition address that carries an IPv4 address (6to4, Teredo, the well-known
//! prefix of NAT64) is as routable as what it carries. One that stands for an IPv4 address
//! (mapped, compatible) is not taken at all: the same peer would be known by two addresses.
//!
//! src: IANA IPv4 and IPv6 special-purpose address registries (RFC 6890, RFC 8190); RFC 5771 and
//! RFC 4291 for multicast; RFC 1112 for `240.0.0.0/4`

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether an address can be dialled over the public Internet. Port 0 cannot.
///
/// ```
/// use samanea_core::governor::is_routable;
/// assert!(is_routable(&"1.1.1.1:3001".parse()?));
/// assert!(!is_routable(&"192.168.0.1:3001".parse()?));
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
pub fn is_routable(addr: &SocketAddr) -> bool {
    let global = match addr.ip() {
        IpAddr::V4(ip) => is_routable_v4(ip),
        IpAddr::V6(ip) => is_routable_v6(ip),
    };
    global && addr.port() != 0
}

fn is_routable_v4(ip: Ipv4Addr) -> bool {
    let bits = ip.to_bits();
    let within = |&(base, len): &(Ipv4Addr, u32)| (bits ^ base.to_bits()) >> (32 - len) == 0;
    !V4.iter().any(within)
}

fn is_routable_v6(ip: Ipv6Addr) -> bool {
    let within = |&(base, len): &(Ipv6Addr, u32)| is_within(ip, base, len);
    match carried(ip) {
        Some(carried) => carried.iter().all(|ip| is_routable_v4(*ip)),
        None => is_within(ip, GLOBAL, 3) && !V6.iter().any(within),
    }
}

fn is_within(ip: Ipv6Addr, base: Ipv6Addr, len: u32) -> bool {
    (ip.to_bits() ^ base.to_bits()) >> (128 - len) == 0
}

/// The IPv4 addresses that a transition address leads to, twice the same if it is but one;
/// `None` for any other address. Of Teredo the server and the client.
fn carried(ip: Ipv6Addr) -> Option<[Ipv4Addr; 2]> {
    let [a0, a1, a2, a3, a4, a5, a6, a7, .., b0, b1, b2, b3] = ip.octets();
    if is_within(ip, NAT64, 96) {
        Some([Ipv4Addr::new(b0, b1, b2, b3); 2])
    } else if (a0, a1) == (0x20, 0x02) {
        Some([Ipv4Addr::new(a2, a3, a4, a5); 2])
    } else if (a0, a1, a2, a3) == (0x20, 0x01, 0, 0) {
        let server = Ipv4Addr::new(a4, a5, a6, a7);
        Some([server, Ipv4Addr::new(!b0, !b1, !b2, !b3)])
    } else {
        None
    }
}

/// The IPv4 address behind a transition address: of Teredo the client's. `None` for any other.
pub(super) fn behind(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    carried(ip).map(|[_, last]| last)
}

/// IPv4 blocks that are not global.
const V4: [(Ipv4Addr, u32); 15] = [
    // This network.
    (Ipv4Addr::UNSPECIFIED, 8),
    // Private use.
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Shared by customers of a carrier.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    // Loopback.
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    // Link local.
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    // Private use.
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    // Protocol assignments: two of them are global, but are no hosts.
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    // Documentation.
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    // Relays of 6to4, given up.
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    // Private use.
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    // Benchmarks.
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    // Documentation.
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    // Documentation.
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast.
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    // Reserved, and broadcast.
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// Global unicast, `2000::/3`.
const GLOBAL: Ipv6Addr = Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0);
/// The well-known prefix of NAT64, `/96`. src: RFC 6052
const NAT64: Ipv6Addr = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0);

/// Blocks within global unicast that are not global.
const V6: [(Ipv6Addr, u32); 3] = [
    // Protocol assignments: benchmarks, hash identifiers, services that are no hosts.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    // Documentation.
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // Documentation.
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

#[cfg(test)]
mod tests {
    use alloc::format;

    use proptest::prelude::*;

    use super::*;

    /// First and last address of each block, the address before and after it, and whether those
    /// two are routable.
    const BLOCKS: [(&str, &str, &str, bool, &str, bool); 29] = [
        (
            "0.0.0.0",
            "0.255.255.255",
            "255.255.255.255",
            false,
            "1.0.0.0",
            true,
        ),
        (
            "10.0.0.0",
            "10.255.255.255",
            "9.255.255.255",
            true,
            "11.0.0.0",
            true,
        ),
        (
            "100.64.0.0",
            "100.127.255.255",
            "100.63.255.255",
            true,
            "100.128.0.0",
            true,
        ),
        (
            "127.0.0.0",
            "127.255.255.255",
            "126.255.255.255",
            true,
            "128.0.0.0",
            true,
        ),
        (
            "169.254.0.0",
            "169.254.255.255",
            "169.253.255.255",
            true,
            "169.255.0.0",
            true,
        ),
        (
            "172.16.0.0",
            "172.31.255.255",
            "172.15.255.255",
            true,
            "172.32.0.0",
            true,
        ),
        (
            "192.0.0.0",
            "192.0.0.255",
            "191.255.255.255",
            true,
            "192.0.1.0",
            true,
        ),
        (
            "192.0.2.0",
            "192.0.2.255",
            "192.0.1.255",
            true,
            "192.0.3.0",
            true,
        ),
        (
            "192.88.99.0",
            "192.88.99.255",
            "192.88.98.255",
            true,
            "192.88.100.0",
            true,
        ),
        (
            "192.168.0.0",
            "192.168.255.255",
            "192.167.255.255",
            true,
            "192.169.0.0",
            true,
        ),
        (
            "198.18.0.0",
            "198.19.255.255",
            "198.17.255.255",
            true,
            "198.20.0.0",
            true,
        ),
        (
            "198.51.100.0",
            "198.51.100.255",
            "198.51.99.255",
            true,
            "198.51.101.0",
            true,
        ),
        (
            "203.0.113.0",
            "203.0.113.255",
            "203.0.112.255",
            true,
            "203.0.114.0",
            true,
        ),
        (
            "224.0.0.0",
            "239.255.255.255",
            "223.255.255.255",
            true,
            "240.0.0.0",
            false,
        ),
        (
            "240.0.0.0",
            "255.255.255.255",
            "239.255.255.255",
            false,
            "0.0.0.0",
            false,
        ),
        ("[::]", "[::]", "[::1]", false, "[::2]", false),
        (
            "[::ffff:0:0]",
            "[::ffff:ffff:ffff]",
            "[::fffe:ffff:ffff]",
            false,
            "[::1:0:0:0]",
            false,
        ),
        (
            "[64:ff9b:1::]",
            "[64:ff9b:1:ffff:ffff:ffff:ffff:ffff]",
            "[64:ff9b::1:0:0]",
            false,
            "[64:ff9b:2::]",
            false,
        ),
        (
            "[100::]",
            "[100::ffff:ffff:ffff:ffff]",
            "[ff::1]",
            false,
            "[100:0:0:1::]",
            false,
        ),
        ("[1fff::]", "[1fff::1]", "[1ffe::]", false, "[2000::]", true),
        (
            "[2001:2::]",
            "[2001:2:0:ffff::]",
            "[2001:1::]",
            false,
            "[2001:3::]",
            false,
        ),
        (
            "[2001:10::]",
            "[2001:3f::]",
            "[2001:f::]",
            false,
            "[2001:40::]",
            false,
        ),
        (
            "[2001:1ff:ffff::]",
            "[2001:1ff:ffff::1]",
            "[2001:100::]",
            false,
            "[2001:200::]",
            true,
        ),
        (
            "[2001:db8::]",
            "[2001:db8:ffff:ffff::]",
            "[2001:db7::]",
            true,
            "[2001:db9::]",
            true,
        ),
        (
            "[3fff::]",
            "[3fff:fff::]",
            "[3ffe:ffff::]",
            true,
            "[3fff:1000::]",
            true,
        ),
        (
            "[4000::]",
            "[5f00::]",
            "[3fff:ffff::]",
            true,
            "[6000::]",
            false,
        ),
        ("[fc00::]", "[fdff::]", "[fbff::]", false, "[fe00::]", false),
        ("[fe80::]", "[febf::]", "[fe7f::]", false, "[fec0::]", false),
        ("[ff00::]", "[ff02::1]", "[feff::]", false, "[::]", false),
    ];

    fn routable(ip: &str) -> bool {
        is_routable(&format!("{ip}:3001").parse().unwrap())
    }

    #[test]
    fn blocks_set_aside_end_where_the_registries_say() {
        for (first, last, before, before_is, after, after_is) in BLOCKS {
            assert!(!routable(first) && !routable(last), "{first} {last}");
            assert_eq!(
                (routable(before), routable(after)),
                (before_is, after_is),
                "{first}"
            );
        }
    }

    #[test]
    fn a_carried_address_decides() {
        let cases = [
            ("[64:ff9b::808:808]", true),
            ("[64:ff9b::a00:1]", false),
            ("[64:ff9b::7f00:1]", false),
            ("[2002:808:808::1]", true),
            ("[2002:c0a8:1::1]", false),
            ("[2002:e000:1::1]", false),
            // Teredo: the server is plain, the client inverted.
            ("[2001:0:808:808::f7f7:f7f7]", true),
            ("[2001:0:808:808::f5ff:fffe]", false),
            ("[2001:0:a00:1::f7f7:f7f7]", false),
            ("[::ffff:8.8.8.8]", false),
            ("[::8.8.8.8]", false),
        ];
        for (ip, expected) in cases {
            assert_eq!(routable(ip), expected, "{ip}");
        }
        let teredo = "2001:0:101:101::f7f7:f7f7".parse().unwrap();
        assert_eq!(behind(teredo), Some(Ipv4Addr::new(8, 8, 8, 8)));
        assert_eq!(behind("2a00::1".parse().unwrap()), None);
    }

    #[test]
    fn nobody_listens_on_port_0() {
        assert!(!is_routable(&"8.8.8.8:0".parse().unwrap()));
        assert!(!is_routable(&"[2a00::1]:0".parse().unwrap()));
        assert!(is_routable(&"[2a00::1]:1".parse().unwrap()));
    }

    proptest! {
        /// What the standard library calls private, local or a group is never routable; and most
        /// addresses are.
        #[test]
        fn the_standard_library_agrees_as_far_as_it_goes(bits: u32, wide: u128) {
            let ip = Ipv4Addr::from_bits(bits);
            let special = ip.is_private() || ip.is_loopback() || ip.is_link_local()
                || ip.is_broadcast() || ip.is_documentation() || ip.is_multicast()
                || ip.is_unspecified();
            prop_assert!(!(special && is_routable_v4(ip)), "{ip}");
            if (16 << 24..100 << 24).contains(&bits) {
                prop_assert!(is_routable_v4(ip));
            }
            let ip = Ipv6Addr::from_bits(wide);
            let special = ip.is_loopback() || ip.is_multicast() || ip.is_unspecified()
                || ip.is_unique_local() || ip.is_unicast_link_local()
                || ip.to_ipv4_mapped().is_some();
            prop_assert!(!(special && is_routable_v6(ip)), "{ip}");
            let given = Ipv6Addr::from_bits(wide >> 8 | 0x2a << 120);
            prop_assert!(is_routable_v6(given), "{given}");
        }
    }
}
