//! Who is connected: rows of the tables of too few and too many.
//!
//! src: ouroboros-network, peer selection governor, established peers

use alloc::{vec, vec::Vec};
use core::time::Duration;

use super::rig::{Rig, big, group, ledger, locals, peer, peers, plain, s, targets, use_ledger};
use crate::{
    base::Class,
    governor::{Action, Event, Status, Targets, Topology, Trace, Traits},
    proto::handshake::Mode,
};

/// A governor that has learned these peers from inbound connections.
fn knowing(established: u32, n: u8) -> Rig {
    let known = u32::from(n);
    let mut rig = Rig::young(
        plain(),
        targets(0, known, established, 0),
        Topology::default(),
    );
    for chunk in peers(0..n).chunks(10) {
        rig.tell(Event::Mature(chunk.iter().map(|p| (*p, true)).collect()));
        rig.pass(s(60));
    }
    assert_eq!(rig.known().len(), usize::from(n));
    rig
}

#[test]
fn as_many_are_connected_as_are_wanted() {
    let table = [(0, 8, 0), (1, 8, 1), (5, 8, 5), (8, 8, 8)];
    for (wanted, known, connected) in table {
        let rig = knowing(wanted, known);
        assert_eq!(rig.established().len(), connected, "{wanted} of {known}");
        let dialled = rig.count(|action| matches!(action, Action::Establish { .. }));
        assert_eq!(dialled, connected, "nobody is dialled in vain");
    }
}

/// The delay after the nth failure; the sixth forgets.
#[test]
fn failures_to_connect_cost_twice_as_much_each_time_and_the_sixth_forgets() {
    let mut rig = Rig::young(plain(), targets(0, 1, 1, 0), Topology::default());
    rig.refuses.insert(peer(1), Class::Network);
    rig.tell(Event::Mature(vec![(peer(1), true)]));
    rig.tell(Event::Mature(Vec::new()));
    rig.pass(s(400));
    let delays: Vec<(Duration, bool)> = rig
        .traces()
        .into_iter()
        .filter_map(|(_, trace)| match trace {
            Trace::PromoteColdFailed {
                delay, forgotten, ..
            } => Some((delay, forgotten)),
            _ => None,
        })
        .collect();
    let table = [5, 10, 20, 40, 80];
    assert_eq!(delays.len(), table.len() + 1);
    for ((delay, forgotten), expected) in delays.iter().zip(table) {
        assert!(
            *delay >= s(expected - 2) && *delay <= s(expected + 2),
            "{delay:?}, {expected} s"
        );
        assert!(!forgotten);
    }
    assert!(delays.last().unwrap().1);
    assert!(rig.known().is_empty());
    let times = rig.dials(peer(1));
    for (pair, expected) in times.windows(2).zip(table) {
        let apart = pair[1].since(pair[0]);
        assert!(apart >= s(expected - 1) && apart <= s(expected + 3));
    }
}

#[test]
fn roots_of_the_operator_are_never_forgotten_and_tried_at_the_longest_pause() {
    let topology = locals(vec![group(1, 1, &[peer(1)])]);
    let mut rig = Rig::young(plain(), targets(1, 5, 0, 0), Topology::default());
    rig.refuses.insert(peer(1), Class::Network);
    rig.tell(Event::Topology(topology.into()));
    rig.pass(s(3_600));
    let times = rig.dials(peer(1));
    assert!(times.len() > 20);
    for pair in times.windows(2).skip(6) {
        let apart = pair[1].since(pair[0]);
        assert!(apart >= s(159) && apart <= s(163), "{apart:?}");
    }
    assert_eq!(rig.status(peer(1)), Some(Status::ColdWaiting));
}

/// Warm valency, members, established target: how many members are connected.
#[test]
fn local_roots_are_connected_beyond_the_target_of_established_peers() {
    let table = [(1, 3, 0, 1), (2, 3, 0, 2), (3, 3, 1, 3), (9, 3, 2, 3)];
    for (warm, members, wanted, connected) in table {
        let topology = locals(vec![group(1, warm, &peers(0..members))]);
        let mut rig = Rig::young(plain(), targets(0, 10, wanted, 0), topology);
        rig.pass(s(5));
        assert_eq!(rig.established().len(), connected, "{warm} of {members}");
    }
}

#[test]
fn a_local_root_is_offered_what_its_group_says() {
    let modes = [Mode::InitiatorAndResponder, Mode::InitiatorOnly];
    for (mode, behind_firewall) in modes.into_iter().flat_map(|m| [(m, false), (m, true)]) {
        let mut group = group(1, 1, &[peer(1)]);
        group.traits = Traits {
            behind_firewall,
            mode,
            ..Traits::default()
        };
        let rig = Rig::young(plain(), targets(0, 5, 0, 0), locals(vec![group]));
        let ordered = rig.log.iter().find_map(|(_, action)| match action {
            Action::Establish { mode, dial, .. } => Some((*mode, *dial)),
            _ => None,
        });
        assert_eq!(ordered, Some((mode, !behind_firewall)));
    }
}

#[test]
fn a_surplus_of_warm_peers_is_closed_and_each_may_be_connected_at_once() {
    let mut rig = knowing(6, 8);
    let wanted = targets(0, 8, 2, 0);
    rig.clear();
    rig.tell(Event::Targets {
        deadline: wanted,
        sync: Targets::SYNC,
    });
    assert_eq!(
        rig.count(|action| matches!(action, Action::Close { .. })),
        4
    );
    rig.pass(s(5));
    assert_eq!(rig.established().len(), 2);
    let cold = rig.those(|peer| peer.status == Status::Cold);
    assert_eq!(cold.len(), 6, "no pause, no failure");
    let failed = rig.those(|peer| peer.failures > 0);
    assert!(failed.is_empty());
}

/// Hot peers and local roots are not closed for a target.
#[test]
fn only_warm_peers_that_are_no_local_roots_are_closed() {
    let topology = locals(vec![group(1, 2, &peers(0..2))]);
    let mut rig = Rig::young(plain(), targets(0, 8, 6, 4), topology);
    rig.tell(Event::Mature(
        peers(2..8).iter().map(|p| (*p, true)).collect(),
    ));
    rig.pass(s(10));
    assert_eq!((rig.hot().len(), rig.warm().len()), (4, 2));
    let kept: Vec<_> = rig.hot().into_iter().chain(peers(0..2)).collect();
    rig.tell(Event::Targets {
        deadline: targets(0, 8, 4, 4),
        sync: Targets::SYNC,
    });
    rig.pass(s(5));
    let left = rig.established();
    assert!(kept.iter().all(|peer| left.contains(peer)));
}

#[test]
fn big_ledger_peers_have_targets_of_their_own() {
    let mut rig = Rig::young(plain(), big(4, 3, 0), use_ledger());
    rig.ledger(ledger(&peers(0..6), &peers(10..12)));
    rig.pass(s(30));
    let counters = *rig.governor.counters();
    assert_eq!(counters.big.known, 4);
    assert_eq!(counters.big.established, 3);
    assert_eq!(counters.ordinary.known, 0);
    rig.tell(Event::Targets {
        deadline: big(4, 1, 0),
        sync: Targets::SYNC,
    });
    rig.pass(s(30));
    assert_eq!(rig.governor.counters().big.established, 1);
    rig.tell(Event::Targets {
        deadline: big(2, 1, 0),
        sync: Targets::SYNC,
    });
    rig.pass(s(30));
    assert_eq!(rig.governor.counters().big.known, 2);
}

/// A peer is half as likely again to stay that was never used: see the weights of the table.
#[test]
fn who_was_used_before_is_closed_more_often() {
    let (mut tepid_gone, mut fresh_gone) = (0, 0);
    for seed in 0..200 {
        let mut rig = Rig::with(
            {
                let mut config = plain();
                config.deadline = targets(0, 8, 8, 4);
                config
            },
            crate::base::Seeded::new(seed),
        );
        rig.tell(Event::Mature(
            peers(0..8).iter().map(|p| (*p, true)).collect(),
        ));
        rig.pass(s(10));
        rig.tell(Event::Targets {
            deadline: targets(0, 8, 8, 0),
            sync: Targets::SYNC,
        });
        rig.pass(s(10));
        let tepid = rig.those(|peer| peer.tepid);
        assert_eq!(tepid.len(), 4);
        rig.tell(Event::Targets {
            deadline: targets(0, 8, 6, 0),
            sync: Targets::SYNC,
        });
        rig.pass(s(10));
        let left = rig.established();
        tepid_gone += tepid.iter().filter(|peer| !left.contains(peer)).count();
        fresh_gone += 8 - left.len() - tepid.iter().filter(|p| !left.contains(p)).count();
    }
    assert_eq!(tepid_gone + fresh_gone, 400);
    assert!(tepid_gone > fresh_gone + 60, "{tepid_gone}, {fresh_gone}");
}
