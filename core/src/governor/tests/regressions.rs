//! What went wrong elsewhere, and does not here.
//!
//! src: ouroboros-network, behavior of its peer selection governor

use alloc::{boxed::Box, vec, vec::Vec};
use core::net::SocketAddr;

use super::rig::{
    Rig, big, fault, full, group, ledger, locals, peer, peers, plain, s, targets, use_ledger,
};
use crate::{
    base::{Class, Hash32, Point, Seeded},
    governor::{
        Action, Event, Judgement, LedgerState, PublicGroup, Relay, Snapshot, Source, Status,
        Targets, Topology, Trace, UseLedger,
    },
};

/// Elsewhere two arguments were swapped, so that about half of all answers added nobody.
#[test]
fn every_answer_adds_those_it_tells_whatever_the_chance() {
    for seed in 0..64 {
        let mut config = plain();
        config.deadline = targets(0, 40, 1, 0);
        let mut rig = Rig::with(config, Seeded::new(seed));
        rig.tell(Event::Mature(vec![(peer(0), true)]));
        rig.knows.insert(peer(0), peers(1..11));
        rig.pass(s(320));
        assert_eq!(rig.known().len(), 11, "seed {seed}");
    }
}

/// Elsewhere nothing woke the node for these: it waited for something else to happen.
#[test]
fn a_request_for_big_ledger_peers_wakes_the_node_by_itself() {
    let mut rig = Rig::young(plain(), big(3, 0, 0), use_ledger());
    rig.ledger(ledger(&[], &[]));
    rig.pass(s(10));
    let made = rig.requests(true).len();
    rig.pass(s(100));
    assert!(rig.requests(true).len() > made);
}

#[test]
fn inbound_peers_are_looked_at_again_without_being_woken() {
    let mut rig = Rig::young(plain(), targets(0, 30, 0, 0), Topology::default());
    rig.tell(Event::Mature(
        peers(0..30).iter().map(|p| (*p, false)).collect(),
    ));
    assert_eq!(rig.known().len(), 10);
    rig.pass(s(125));
    assert_eq!(rig.known().len(), 30, "ten a minute, by its own clock");
}

/// Elsewhere a file of the old kind looked new at every turn.
#[test]
fn the_same_snapshot_told_again_changes_nothing() {
    for point in [
        Point::Origin,
        Point::Block {
            slot: 7,
            hash: Hash32::default(),
        },
    ] {
        let mut rig = Rig::young(plain(), big(3, 0, 0), use_ledger());
        let snapshot = Snapshot {
            point,
            big_only: true,
            pools: ledger(&peers(0..2), &[]),
        };
        let tell = Event::Snapshot(Some(Box::new(snapshot)));
        rig.tell(tell.clone());
        rig.pass(s(5));
        rig.clear();
        let before = rig.governor.clone();
        rig.tell(tell);
        assert_eq!(rig.log, []);
        assert_eq!(rig.governor, before);
    }
}

/// Elsewhere another snapshot made a node that had cleaned itself disconnect once more.
#[test]
fn another_snapshot_does_not_disconnect_trusted_peers() {
    let topology = Topology {
        bootstrap: Some(vec![Relay::Addr(peer(1))]),
        use_ledger: UseLedger::Always,
        ..Topology::default()
    };
    let mut config = plain();
    config.deadline = targets(1, 9, 3, 2);
    let mut rig = Rig::new(config);
    rig.tell(Event::Topology(topology.into()));
    rig.tell(Event::Judgement(Judgement::TooOld));
    rig.pass(s(60));
    assert_eq!(rig.status(peer(1)), Some(Status::Hot));
    rig.clear();
    rig.tell(Event::Snapshot(Some(Box::new(Snapshot {
        point: Point::Block {
            slot: 9,
            hash: Hash32::default(),
        },
        big_only: true,
        pools: ledger(&peers(5..8), &[]),
    }))));
    rig.pass(s(60));
    assert_eq!(rig.status(peer(1)), Some(Status::Hot));
    let orders =
        rig.count(|action| matches!(action, Action::Deactivate { .. } | Action::Close { .. }));
    assert_eq!(orders, 0);
}

/// Elsewhere a removed root that was being demoted was ordered to be demoted again.
#[test]
fn a_removed_root_is_demoted_once() {
    let members = peers(0..3);
    let topology = locals(vec![group(3, 3, &members)]);
    let mut rig = Rig::young(plain(), targets(0, 9, 0, 0), topology);
    rig.pass(s(10));
    assert_eq!(rig.hot().len(), 3);
    rig.silent = true;
    rig.clear();
    rig.tell(Event::Topology(locals(vec![group(1, 3, &members)]).into()));
    rig.tell(Event::Topology(Topology::default().into()));
    rig.pass(s(60));
    for peer in members {
        let orders =
            rig.count(|action| matches!(action, Action::Deactivate { peer: p } if *p == peer));
        assert_eq!(orders, 1);
    }
}

/// Elsewhere such a change was stored, and what others are told of was not changed.
#[test]
fn another_flag_of_a_root_counts_at_once() {
    let with = |advertise, trustable| {
        let mut group = group(1, 1, &[peer(0)]);
        group.traits.advertise = advertise;
        group.traits.trustable = trustable;
        locals(vec![group])
    };
    let mut rig = Rig::young(plain(), targets(0, 9, 0, 0), with(false, false));
    rig.pass(s(10));
    for advertise in [true, false] {
        rig.clear();
        rig.tell(Event::Topology(with(advertise, true).into()));
        assert_eq!(rig.explain(peer(0)).advertise, advertise);
        let orders = rig.count(|action| !matches!(action, Action::Notice(_)));
        assert_eq!(orders, 0, "and its connection stays as it is");
        let changed = Trace::LocalRootsChanged {
            added: 0,
            removed: 0,
            changed: 1,
        };
        assert!(rig.traces().iter().any(|(_, trace)| *trace == changed));
    }
}

/// Elsewhere demotions of any peers counted for each group.
#[test]
fn each_group_counts_its_own_demotions() {
    let (a, b) = (peers(0..3), peers(3..6));
    let topology = locals(vec![group(3, 3, &a), group(3, 3, &b)]);
    let mut rig = Rig::young(plain(), targets(0, 12, 3, 3), topology);
    rig.pass(s(10));
    assert_eq!(rig.hot().len(), 6);
    rig.silent = true;
    let first = locals(vec![group(1, 3, &a), group(3, 3, &b)]);
    rig.tell(Event::Topology(first.into()));
    let both = locals(vec![group(1, 3, &a), group(2, 3, &b)]);
    rig.tell(Event::Topology(both.into()));
    let going = rig.those(|peer| peer.status == Status::Deactivating);
    let of = |group: &[SocketAddr]| group.iter().filter(|p| going.contains(p)).count();
    assert_eq!((of(&a), of(&b)), (2, 1));
}

/// Elsewhere the operator's public roots became big ledger peers that way.
#[test]
fn public_roots_never_answer_for_big_ledger_peers() {
    let topology = Topology {
        public: vec![PublicGroup {
            advertise: true,
            access_points: peers(0..3).into_iter().map(Relay::Addr).collect(),
        }],
        use_ledger: UseLedger::Never,
        ..Topology::default()
    };
    let wanted = Targets {
        known_big: 3,
        ..targets(3, 9, 0, 0)
    };
    let mut rig = Rig::young(plain(), wanted, topology);
    rig.pass(s(600));
    for peer in peers(0..3) {
        let root = rig.explain(peer);
        assert_eq!((root.source, root.advertise), (Source::Config, true));
    }
    assert_eq!(rig.governor.counters().big.known, 0);
}

/// Elsewhere a peer that hung when it was to stop was the first to be taken again.
#[test]
fn a_demotion_that_fails_counts_against_the_peer() {
    for (count, failures) in [(true, 1), (false, 0)] {
        let mut config = plain();
        config.policy.count_failed_demotions = count;
        let mut rig = Rig::young(config, targets(0, 1, 1, 0), Topology::default());
        rig.tell(Event::Mature(vec![(peer(0), true)]));
        rig.pass(s(5));
        rig.hangs.insert(peer(0));
        rig.tell(Event::Targets {
            deadline: targets(0, 1, 0, 0),
            sync: Targets::SYNC,
        });
        rig.pass(s(130));
        assert_eq!(rig.explain(peer(0)).failures, failures);
        rig.clear();
        let start = rig.now;
        rig.tell(Event::Targets {
            deadline: targets(0, 1, 1, 0),
            sync: Targets::SYNC,
        });
        rig.pass(s(20));
        let waited = rig.dials(peer(0))[0].since(start);
        assert_eq!(waited > s(0), count, "{waited:?}");
    }
}

/// Elsewhere a peer just demoted was as likely as any other to be promoted at once.
#[test]
fn who_was_just_demoted_is_promoted_only_if_there_is_nobody_else() {
    let mut rig = Rig::young(full(), targets(0, 6, 6, 2), Topology::default());
    rig.tell(Event::Mature(
        peers(0..6).iter().map(|p| (*p, true)).collect(),
    ));
    rig.pass(s(10));
    let first = rig.hot();
    let aim = |rig: &mut Rig, active| {
        rig.tell(Event::Targets {
            deadline: targets(0, 6, 6, active),
            sync: Targets::SYNC,
        });
        rig.pass(s(10));
    };
    aim(&mut rig, 0);
    aim(&mut rig, 2);
    assert_eq!(rig.hot().intersection(&first).count(), 0);
    aim(&mut rig, 6);
    assert_eq!(rig.hot().len(), 6, "there is nobody else");
}

/// Elsewhere six failures, some three minutes, were enough to forget all peers.
#[test]
fn an_outage_of_our_own_forgets_nobody() {
    let survivors = |detect| {
        let mut config = full();
        config.policy.detect_outage = detect;
        let mut rig = Rig::young(config, targets(0, 30, 20, 5), Topology::default());
        for chunk in peers(0..30).chunks(10) {
            rig.tell(Event::Mature(chunk.iter().map(|p| (*p, true)).collect()));
            rig.pass(s(60));
        }
        rig.tell(Event::Mature(Vec::new()));
        rig.pass(s(300));
        rig.refuses = peers(0..30)
            .into_iter()
            .map(|p| (p, Class::Network))
            .collect();
        for lost in rig.established() {
            rig.lose(lost, fault(Class::Network));
        }
        rig.pass(s(7_200));
        let left = rig.known().len();
        rig.refuses.clear();
        rig.pass(s(400));
        (left, rig.established().len())
    };
    let (left, back) = survivors(true);
    assert!(left >= 25, "{left} of 30");
    assert!(back >= 15, "{back} of 20");
    let (left, _) = survivors(false);
    assert!(left < 5, "without it {left} are left");
}

/// Elsewhere draws were made with replacement, so that a request brought fewer than it asked for.
#[test]
fn a_draw_brings_as_many_as_were_asked_for() {
    for seed in 0..32 {
        let mut config = plain();
        config.deadline = targets(10, 20, 0, 0);
        let mut rig = Rig::with(config, Seeded::new(seed));
        rig.tell(Event::Topology(use_ledger().into()));
        rig.ledger(ledger(&[], &peers(0..12)));
        assert_eq!(rig.governor.counters().ledger.known, 10);
    }
}

#[test]
fn private_addresses_and_our_own_are_not_taken_from_peers() {
    let mut rig = Rig::young(plain(), targets(0, 40, 1, 0), Topology::default());
    rig.tell(Event::Mature(vec![(peer(0), true)]));
    rig.tell(Event::OwnAddress(peer(5)));
    let bad: [([u8; 4], u16); 8] = [
        ([10, 1, 1, 1], 3001),
        ([192, 168, 1, 1], 3001),
        ([172, 16, 1, 1], 3001),
        ([127, 0, 0, 1], 3001),
        ([169, 254, 1, 1], 3001),
        ([224, 0, 0, 1], 3001),
        ([0, 0, 0, 0], 3001),
        ([40, 9, 1, 7], 0),
    ];
    let mut told: Vec<SocketAddr> = bad.into_iter().map(SocketAddr::from).collect();
    told.extend([peer(5), peer(6)]);
    rig.knows.insert(peer(0), told);
    rig.pass(s(320));
    let known: Vec<_> = rig.known().into_iter().collect();
    assert_eq!(known, [peer(0), peer(6)]);
}

/// Elsewhere nothing was kept over a restart.
#[test]
fn a_restart_begins_with_those_who_were_known() {
    let mut rig = Rig::young(plain(), targets(0, 9, 4, 2), Topology::default());
    rig.tell(Event::Mature(
        peers(0..9).iter().map(|p| (*p, true)).collect(),
    ));
    rig.pass(s(10));
    let (known, connected) = (rig.known(), rig.established());
    assert_eq!((known.len(), connected.len()), (9, 4));
    let saved = rig.governor.saved(rig.now);
    let mut again = Rig::young(plain(), targets(0, 9, 4, 2), Topology::default());
    again.tell(Event::Restore(Box::new(saved)));
    assert_eq!(again.known(), known);
    again.pass(s(10));
    assert_eq!(again.established(), connected, "those first that were used");
}

#[test]
fn who_is_held_off_is_so_after_a_restart() {
    let mut rig = Rig::young(plain(), targets(0, 9, 4, 2), Topology::default());
    rig.tell(Event::Mature(vec![(peer(0), true)]));
    rig.pass(s(10));
    rig.lose(peer(0), fault(Class::Adversarial));
    rig.pass(s(100));
    let saved = rig.governor.saved(rig.now);
    let mut again = Rig::young(plain(), targets(0, 9, 4, 2), Topology::default());
    again.tell(Event::Restore(Box::new(saved)));
    again.tell(Event::Mature(vec![(peer(0), true)]));
    again.pass(s(400));
    assert!(again.known().is_empty());
    again.pass(s(200));
    assert_eq!(again.status(peer(0)), Some(Status::Hot));
}

/// Not more of one network than the cap, even if there is nobody else; local roots aside.
#[test]
fn no_network_holds_more_places_than_the_cap() {
    let crowd: Vec<SocketAddr> = (1..20_u8)
        .map(|n| SocketAddr::from(([50, 50, n, 7], 3001)))
        .collect();
    for (cap, connected) in [(4, 4), (u32::MAX, 10)] {
        let mut config = full();
        config.policy.prefix_max = cap;
        let mut rig = Rig::young(config, targets(0, 30, 10, 0), Topology::default());
        for part in crowd.chunks(10) {
            rig.tell(Event::Mature(part.iter().map(|p| (*p, true)).collect()));
            rig.pass(s(61));
        }
        assert_eq!(rig.established().len(), connected);
        rig.tell(Event::Mature(vec![(peer(1), true)]));
        rig.pass(s(61));
        assert!(rig.established().contains(&peer(1)) || cap == u32::MAX);
    }
}

/// The relays of one operator, drawn from the ledger.
#[test]
fn no_operator_holds_more_places_than_the_cap() {
    let pool = |relays: Vec<SocketAddr>| crate::governor::Pool {
        stake: 1 << 40,
        relays: relays.into_iter().map(Relay::Addr).collect(),
    };
    let pools =
        crate::governor::Ledger::new([pool(peers(0..8)), pool(peers(8..9)), pool(peers(9..10))]);
    let mut rig = Rig::young(full(), targets(10, 20, 10, 0), use_ledger());
    let tip = Some(1);
    rig.tell(Event::Ledger(Box::new(LedgerState { tip, pools })));
    rig.pass(s(60));
    let up = rig.established();
    assert_eq!(rig.known().len(), 10);
    let of_one = peers(0..8).iter().filter(|peer| up.contains(peer)).count();
    assert_eq!((of_one, up.len()), (2, 4));
}

/// What operators read is what it says. Elsewhere warm and hot were swapped.
#[test]
fn counters_of_local_roots_say_warm_for_warm_and_hot_for_hot() {
    let topology = locals(vec![group(1, 3, &peers(0..4))]);
    let mut rig = Rig::young(plain(), targets(0, 9, 0, 0), topology);
    rig.pass(s(10));
    let local = rig.governor.counters().local;
    assert_eq!((local.cold(), local.warm(), local.active), (1, 2, 1));
}

/// A root that is removed while it is being demoted, or whose demotion fails, breaks nothing.
#[test]
fn roots_may_go_and_come_back_at_any_point_of_a_demotion() {
    let members = peers(0..3);
    let all = locals(vec![group(2, 3, &members)]);
    for (hangs, wait) in [(false, 0), (false, 1), (true, 0), (true, 299), (true, 301)] {
        let mut rig = Rig::young(plain(), targets(0, 9, 2, 1), all.clone());
        rig.pass(s(10));
        if hangs {
            rig.hangs.extend(members.clone());
        }
        let fewer = locals(vec![group(1, 1, &members[..1])]);
        rig.tell(Event::Topology(fewer.into()));
        rig.pass(s(wait));
        rig.tell(Event::Targets {
            deadline: targets(0, 2, 1, 0),
            sync: Targets::SYNC,
        });
        rig.tell(Event::Topology(all.clone().into()));
        rig.hangs.clear();
        rig.tell(Event::Targets {
            deadline: targets(0, 9, 2, 1),
            sync: Targets::SYNC,
        });
        rig.pass(s(1_000));
        let counters = rig.governor.counters();
        assert_eq!(counters.local.known, 3);
        assert_eq!((counters.local.established, counters.local.active), (3, 2));
    }
}

/// Failures of our own blame nobody.
#[test]
fn a_fault_of_our_own_costs_no_peer_anything() {
    let mut rig = Rig::young(plain(), targets(0, 1, 1, 0), Topology::default());
    rig.refuses.insert(peer(0), Class::Internal);
    rig.tell(Event::Mature(vec![(peer(0), true)]));
    rig.tell(Event::Mature(Vec::new()));
    rig.pass(s(3_600));
    assert_eq!(rig.explain(peer(0)).failures, 0);
    let tries = rig.dials(peer(0)).len();
    assert!(tries > 10 && tries < 2_000, "{tries}");
}

#[test]
fn a_peer_that_is_released_on_its_way_to_its_end_is_not_closed_again() {
    let mut rig = Rig::young(plain(), targets(0, 0, 0, 0), Topology::default());
    let peer = peer(9);
    rig.tell(Event::Keep(peer));
    rig.pass(s(60));
    assert!(rig.established().contains(&peer));
    rig.clear();
    let failure = None;
    rig.tell(Event::Cooling { peer, failure });
    rig.tell(Event::Release(peer));
    let close = Action::Close { peer };
    assert_eq!(rig.count(|action| *action == close), 0);
    assert!(rig.governor.is_gone(&peer));
    rig.tell(Event::Cold { peer, failure });
    assert!(!rig.governor.is_gone(&peer));
}
