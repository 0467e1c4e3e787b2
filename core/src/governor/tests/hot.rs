//! Who is used: rows of the tables of too few and too many.
//!
//! src: ouroboros-network, peer selection governor, active peers

use alloc::{vec, vec::Vec};

use super::rig::{Rig, big, group, ledger, locals, peer, peers, plain, s, targets, use_ledger};
use crate::governor::{Action, Event, Status, Targets, Topology};

fn knowing(established: u32, active: u32, n: u8) -> Rig {
    let wanted = targets(0, u32::from(n), established, active);
    let mut rig = Rig::young(plain(), wanted, Topology::default());
    rig.tell(Event::Mature(
        peers(0..n).iter().map(|p| (*p, true)).collect(),
    ));
    rig.pass(s(10));
    rig
}

#[test]
fn as_many_are_used_as_are_wanted() {
    for (established, active, hot) in [(0, 0, 0), (5, 0, 0), (5, 3, 3), (8, 8, 8)] {
        let rig = knowing(established, active, 8);
        assert_eq!(rig.hot().len(), hot);
        let ordered = rig.count(|action| matches!(action, Action::Activate { .. }));
        assert_eq!(ordered, hot);
    }
}

#[test]
fn failures_are_forgotten_two_minutes_after_an_activation() {
    let mut rig = knowing(1, 0, 1);
    rig.lose(peer(0), super::rig::fault(crate::base::Class::Network));
    rig.pass(s(60));
    assert_eq!(rig.explain(peer(0)).failures, 1);
    rig.tell(Event::Targets {
        deadline: targets(0, 1, 1, 1),
        sync: Targets::SYNC,
    });
    rig.pass(s(119));
    assert_eq!(rig.explain(peer(0)).failures, 1);
    rig.pass(s(3));
    assert_eq!(rig.explain(peer(0)).failures, 0);
}

/// A connection alone forgets nothing.
#[test]
fn failures_are_not_forgotten_for_being_connected() {
    let mut rig = knowing(1, 0, 1);
    rig.lose(peer(0), super::rig::fault(crate::base::Class::Network));
    rig.pass(s(1_000));
    assert_eq!(rig.status(peer(0)), Some(Status::Warm));
    assert_eq!(rig.explain(peer(0)).failures, 1);
}

#[test]
fn an_activation_that_fails_costs_ten_seconds_and_counts() {
    let mut rig = knowing(1, 0, 1);
    rig.lazy.insert(peer(0));
    rig.tell(Event::Targets {
        deadline: targets(0, 1, 1, 1),
        sync: Targets::SYNC,
    });
    rig.pass(s(3));
    let failed = rig.explain(peer(0));
    assert_eq!((failed.status, failed.failures), (Status::ColdWaiting, 1));
    rig.clear();
    let start = rig.now;
    rig.pass(s(15));
    let dialled = rig.dials(peer(0));
    assert_eq!(dialled.len(), 1);
    let waited = dialled[0].since(start);
    assert!(waited >= s(6) && waited <= s(13), "{waited:?}");
}

/// Hot valency, warm valency, members: how many members are hot, whatever the targets.
#[test]
fn each_group_has_its_hot_members() {
    let table = [(1, 1, 3, 1), (1, 3, 3, 1), (2, 3, 3, 2), (5, 5, 3, 3)];
    for (hot, warm, members, used) in table {
        let topology = locals(vec![group(hot, warm, &peers(0..members))]);
        let mut rig = Rig::young(plain(), targets(0, 10, 0, 0), topology);
        rig.pass(s(10));
        assert_eq!(rig.hot().len(), used);
        let warm = usize::try_from(warm).unwrap().min(usize::from(members));
        assert_eq!(rig.established().len(), warm);
    }
}

#[test]
fn local_roots_beyond_their_valency_are_demoted_though_the_target_is_not_exceeded() {
    let wanted = targets(0, 10, 10, 10);
    let members = peers(0..4);
    let topology = locals(vec![group(4, 4, &members)]);
    let mut rig = Rig::young(plain(), wanted, topology);
    rig.pass(s(10));
    assert_eq!(rig.hot().len(), 4);
    let fewer = locals(vec![group(1, 4, &members)]);
    rig.tell(Event::Topology(fewer.into()));
    rig.pass(s(10));
    assert_eq!((rig.hot().len(), rig.established().len()), (1, 4));
}

#[test]
fn the_general_rule_never_demotes_a_local_root() {
    let topology = locals(vec![group(2, 2, &peers(0..2))]);
    let mut rig = Rig::young(plain(), targets(0, 10, 6, 5), topology);
    rig.tell(Event::Mature(
        peers(2..8).iter().map(|p| (*p, true)).collect(),
    ));
    rig.pass(s(10));
    assert_eq!(rig.hot().len(), 5);
    rig.tell(Event::Targets {
        deadline: targets(0, 10, 6, 0),
        sync: Targets::SYNC,
    });
    rig.pass(s(10));
    let left: Vec<_> = rig.hot().into_iter().collect();
    assert_eq!(left, peers(0..2));
}

#[test]
fn big_ledger_peers_are_used_by_their_own_target() {
    let mut rig = Rig::young(plain(), big(4, 3, 2), use_ledger());
    rig.ledger(ledger(&peers(0..6), &[]));
    rig.pass(s(30));
    assert_eq!(rig.governor.counters().big.active, 2);
    assert_eq!(rig.governor.counters().ordinary.active, 0);
    rig.tell(Event::Targets {
        deadline: big(4, 3, 1),
        sync: Targets::SYNC,
    });
    rig.pass(s(30));
    let counters = rig.governor.counters();
    assert_eq!((counters.big.active, counters.big.established), (1, 3));
}

/// Who is demoted is worth least.
#[test]
fn the_hot_peer_that_was_never_first_is_demoted() {
    let mut rig = knowing(3, 3, 3);
    for slot in 1..60_u64 {
        let at = u8::try_from(slot % 2).unwrap();
        rig.tell(Event::Announced {
            peer: peer(at),
            slot,
        });
        rig.pass(s(1));
        rig.tell(Event::Announced {
            peer: peer(2),
            slot,
        });
    }
    rig.tell(Event::Targets {
        deadline: targets(0, 3, 3, 2),
        sync: Targets::SYNC,
    });
    rig.pass(s(5));
    assert_eq!(rig.hot().into_iter().collect::<Vec<_>>(), peers(0..2));
    assert!(rig.explain(peer(2)).tepid);
}
