//! How many of one source are let in.

use super::*;

fn v4(a: u8, b: u8, c: u8, n: u16) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, u8::try_from(n).unwrap()))
}

fn v6(a: u16, b: u16, c: u16, n: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, c, n, n, 0, 0, n + 1))
}

#[test]
fn a_prefix_of_either_family_has_its_share_and_no_more() {
    let mut rig = Rig::open();
    assert_eq!(admitted(&mut rig, |n| v4(203, 0, 113, n)), 64);
    assert_eq!(admitted(&mut rig, |n| v4(203, 0, 113, 200 + n % 2)), 0);
    assert_eq!(
        admitted(&mut rig, |n| v4(203, 0, 114, n)),
        64,
        "the next /24"
    );
    assert_eq!(admitted(&mut rig, |n| v6(0x2001, 0xdb8, 1, n)), 64);
    assert_eq!(admitted(&mut rig, |n| v6(0x2001, 0xdb8, 1, 500 + n)), 0);
    assert_eq!(
        admitted(&mut rig, |n| v6(0x2001, 0xdb8, 2, n)),
        64,
        "the next /48"
    );
    assert_eq!(rig.manager.counters().inbound, 256);
}

#[test]
fn an_ipv4_peer_on_an_ipv6_socket_is_the_same_source() {
    let mut rig = Rig::open();
    assert_eq!(admitted(&mut rig, |n| v4(203, 0, 113, n)), 64);
    let mapped = |a: u8, b: u8, c: u8, n: u16| match v4(a, b, c, n) {
        IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
        v6 @ IpAddr::V6(_) => v6,
    };
    assert_eq!(admitted(&mut rig, |n| mapped(203, 0, 113, n)), 0);
    assert_eq!(admitted(&mut rig, |n| mapped(203, 0, 114, n)), 64);
}

#[test]
fn the_prefixes_and_their_share_can_be_set() {
    let prefixes = Prefixes {
        v4_bits: 16,
        v6_bits: 32,
        max: 3,
    };
    let mut rig = Rig::listening(Config {
        prefixes,
        ..Config::default()
    });
    assert_eq!(
        admitted(&mut rig, |n| v4(203, 5, u8::try_from(n).unwrap(), 1)),
        3
    );
    assert_eq!(admitted(&mut rig, |n| v6(0x2001, 0xdb8, n, 1)), 3);
    for (bits, max, let_in) in [(0, 5, 5), (32, 1, 100), (24, 0, 100), (255, 1, 100)] {
        let prefixes = Prefixes {
            v4_bits: bits,
            max,
            ..Prefixes::default()
        };
        let mut rig = Rig::listening(Config {
            prefixes,
            ..Config::default()
        });
        assert_eq!(
            admitted(&mut rig, |n| v4(7, 7, 7, n)),
            let_in,
            "/{bits}, {max} each"
        );
    }
}

#[test]
fn loopback_and_the_exempt_have_no_share() {
    let mut rig = Rig::open();
    assert_eq!(admitted(&mut rig, |n| v4(127, 0, 0, n)), 100);
    let ip = v4(203, 0, 113, 9);
    rig.feed(Event::Exempt { ip, on: true });
    assert_eq!(admitted(&mut rig, |_| ip), 100);
    let near = v4(198, 51, 100, 9);
    rig.feed(Event::Exempt { ip: near, on: true });
    for port in 1..=10 {
        rig.accepted(SocketAddr::new(near, port));
    }
    let neighbours = admitted(&mut rig, |_| v4(198, 51, 100, 10));
    assert_eq!(neighbours, 54, "a neighbour shares the prefix with it");
    rig.feed(Event::Exempt { ip, on: false });
    assert_eq!(admitted(&mut rig, |_| ip), 0, "again limited");
    let mut rig = Rig::open();
    let here = IpAddr::V6(Ipv6Addr::LOCALHOST);
    assert_eq!(admitted(&mut rig, |_| here), 100);
}

#[test]
fn a_source_is_charged_for_as_long_as_a_socket_is_open() {
    let one = Prefixes {
        max: 1,
        ..Prefixes::default()
    };
    let mut rig = Rig::listening(Config {
        prefixes: one,
        ..Config::default()
    });
    let other = SocketAddr::new(peer(1).ip(), 9);
    let refused = |rig: &mut Rig| refusals(&rig.accept_from(other)) == [Refusal::Prefix(1)];
    let conn = rig.inbound(peer(1), DUPLEX);
    assert!(refused(&mut rig));
    rig.acquire(peer(1));
    assert_eq!(rig.manager.counters().inbound, 0, "used by us alone");
    assert!(refused(&mut rig), "its socket is still open");
    rig.tick(SECOND * 5);
    rig.release(conn);
    assert!(refused(&mut rig), "lingering");
    rig.tick(SECOND * 5);
    assert_eq!(rig.state(conn), State::Terminating);
    let conn = adopted(&rig.accept_from(other)).expect("only remembered");
    rig.feed(Event::Lingering { conn });
    assert!(
        refusals(&rig.accept_from(peer(1))) == [Refusal::Prefix(1)],
        "reading our refusal"
    );
    rig.ended(conn);
    assert!(adopted(&rig.accept_from(peer(1))).is_some());
}

#[test]
fn our_own_dials_are_not_charged_to_the_peers_prefix() {
    let one = Prefixes {
        max: 1,
        ..Prefixes::default()
    };
    let mut rig = Rig::listening(Config {
        prefixes: one,
        ..Config::default()
    });
    for port in 1..10 {
        rig.dialled(SocketAddr::new(peer(1).ip(), port), DUPLEX);
    }
    assert!(adopted(&rig.accept_from(SocketAddr::new(peer(1).ip(), 99))).is_some());
}
