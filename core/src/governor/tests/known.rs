//! Who is known: rows of the tables of too few and too many.
//!
//! src: ouroboros-network, peer selection governor, known peers

use alloc::{vec, vec::Vec};

use super::rig::{Rig, SECOND, group, ledger, locals, peer, peers, plain, s, targets, use_ledger};
use crate::governor::{Action, Event, Source, Targets, Topology, Trace};

fn asked(rig: &Rig) -> Vec<u8> {
    let asked = rig.log.iter().filter_map(|(_, action)| match action {
        Action::AskPeers { amount, .. } => Some(*amount),
        _ => None,
    });
    asked.collect()
}

/// Wanted, connected peers that share: whom is asked, and for how many each.
#[test]
fn peers_are_asked_for_what_is_missing_in_equal_parts() {
    let table = [
        (30, 1, vec![29]),
        (30, 2, vec![14, 14]),
        (30, 5, vec![12, 12]),
        (10, 2, vec![8, 8]),
        (1_000, 2, vec![255, 255]),
        (2, 2, vec![]),
    ];
    for (known, connected, amounts) in table {
        let wanted = targets(0, known, u32::from(connected), 0);
        let mut rig = Rig::young(plain(), wanted, Topology::default());
        rig.tell(Event::Mature(
            peers(0..connected).iter().map(|p| (*p, true)).collect(),
        ));
        rig.pass(s(299));
        assert_eq!(asked(&rig), [], "not before five minutes");
        rig.pass(s(5));
        assert_eq!(asked(&rig), amounts, "{known} known, {connected} connected");
    }
}

#[test]
fn a_peer_is_asked_again_after_a_quarter_of_an_hour() {
    let mut rig = Rig::young(plain(), targets(0, 30, 1, 0), Topology::default());
    rig.tell(Event::Mature(vec![(peer(0), true)]));
    rig.knows.insert(peer(0), Vec::new());
    rig.pass(s(3_600));
    let times = rig.when(|action| matches!(action, Action::AskPeers { .. }));
    assert!(times.len() >= 4);
    for pair in times.windows(2) {
        assert_eq!(pair[1].since(pair[0]), s(900));
    }
}

#[test]
fn who_does_not_share_is_not_asked_and_nobody_is_when_we_do_not() {
    for (theirs, ours) in [(false, true), (true, false)] {
        let mut config = plain();
        config.sharing = ours;
        let topology = locals(vec![group(1, 1, &[peer(0)])]);
        let mut rig = Rig::young(config, targets(0, 30, 1, 0), Topology::default());
        rig.sharing = theirs;
        rig.tell(Event::Topology(topology.into()));
        rig.pass(s(3_600));
        assert_eq!(asked(&rig), []);
    }
}

#[test]
fn no_more_than_two_are_asked_at_a_time_and_each_is_waited_for_ten_seconds() {
    let mut rig = Rig::young(plain(), targets(0, 100, 6, 0), Topology::default());
    rig.tell(Event::Mature(
        peers(0..6).iter().map(|p| (*p, true)).collect(),
    ));
    rig.pass(s(400));
    let times = rig.when(|action| matches!(action, Action::AskPeers { .. }));
    assert_eq!(times.len(), 6);
    for pairs in times.chunks(2).collect::<Vec<_>>().windows(2) {
        assert_eq!(pairs[0][0], pairs[0][1]);
        assert_eq!(pairs[1][0].since(pairs[0][0]), s(10));
    }
}

/// What is told is taken at once, as far as it is wanted.
#[test]
fn answers_fill_the_missing_places_and_no_more() {
    for (known, told, taken) in [(30, 20, 20), (11, 20, 10), (1, 20, 0)] {
        let mut rig = Rig::young(plain(), targets(0, known, 1, 0), Topology::default());
        rig.tell(Event::Mature(vec![(peer(0), true)]));
        rig.knows.insert(peer(0), peers(10..10 + told));
        rig.pass(s(310));
        assert_eq!(rig.known().len(), 1 + taken);
        for told in rig.known().into_iter().filter(|p| *p != peer(0)) {
            let told = rig.explain(told);
            assert_eq!(told.source, Source::NonRoot);
            assert!(told.advertise && !told.reached);
            assert_eq!((told.told_by, told.sharing), (Some(peer(0)), None));
        }
    }
}

#[test]
fn inbound_peers_are_taken_ten_at_a_time_once_a_minute() {
    let mut rig = Rig::young(plain(), targets(0, 25, 0, 0), Topology::default());
    let start = rig.now;
    rig.tell(Event::Mature(
        peers(0..40).iter().map(|p| (*p, false)).collect(),
    ));
    rig.pass(s(300));
    let taken: Vec<_> = rig
        .traces()
        .into_iter()
        .filter_map(|(at, trace)| match trace {
            Trace::Inbound { taken } => Some((at.since(start), taken)),
            _ => None,
        })
        .collect();
    assert_eq!(taken, [(s(0), 10), (s(60), 10), (s(120), 5)]);
    let one = rig.governor.explain_all().next().unwrap();
    assert!(one.reached && one.advertise);
    assert_eq!(one.sharing, Some(false));
}

/// Wanted afterwards: how many are left, of 10 that are cold.
#[test]
fn above_the_target_cold_peers_are_forgotten_down_to_it() {
    for wanted in [10, 9, 5, 0] {
        let mut rig = Rig::young(plain(), targets(0, 10, 0, 0), Topology::default());
        rig.tell(Event::Mature(
            peers(0..10).iter().map(|p| (*p, true)).collect(),
        ));
        rig.tell(Event::Mature(Vec::new()));
        assert_eq!(rig.known().len(), 10);
        rig.tell(Event::Targets {
            deadline: targets(0, wanted, 0, 0),
            sync: Targets::SYNC,
        });
        assert_eq!(rig.known().len(), usize::try_from(wanted).unwrap());
    }
}

#[test]
fn neither_connected_peers_nor_local_roots_are_forgotten_for_the_target() {
    let topology = locals(vec![group(1, 1, &peers(0..2))]);
    let mut rig = Rig::young(plain(), targets(0, 8, 4, 0), topology);
    rig.tell(Event::Mature(
        peers(2..8).iter().map(|p| (*p, true)).collect(),
    ));
    rig.pass(s(5));
    rig.tell(Event::Mature(Vec::new()));
    let connected = rig.established();
    assert_eq!(connected.len(), 4);
    rig.tell(Event::Targets {
        deadline: targets(0, 4, 4, 0),
        sync: Targets::SYNC,
    });
    let left = rig.known();
    assert!(connected.is_subset(&left));
    assert!(left.contains(&peer(0)) && left.contains(&peer(1)));
    assert_eq!(left.len(), 5, "one local root is cold");
}

/// Roots wanted, peers wanted: roots left, of 6 roots and 4 others.
#[test]
fn roots_are_forgotten_only_as_far_as_there_are_more_than_wanted() {
    let table = [(6, 6, 6), (6, 8, 6), (4, 4, 4), (0, 0, 0)];
    for (roots, known, left) in table {
        let mut rig = Rig::young(plain(), targets(6, 10, 0, 0), use_ledger());
        rig.ledger(ledger(&[], &peers(0..6)));
        rig.pass(s(30));
        rig.tell(Event::Mature(
            peers(10..14).iter().map(|p| (*p, true)).collect(),
        ));
        rig.tell(Event::Mature(Vec::new()));
        assert_eq!(rig.known().len(), 10);
        rig.tell(Event::Targets {
            deadline: targets(roots, known, 0, 0),
            sync: Targets::SYNC,
        });
        let counters = rig.governor.counters();
        assert!(counters.roots >= left, "{roots} of {known}: {counters:?}");
        assert_eq!(counters.ordinary.known, known);
    }
}

/// Requests that bring nobody: 2, 4, 8 … 256 seconds apart.
#[test]
fn requests_for_roots_in_vain_are_made_less_and_less_often() {
    for big in [false, true] {
        let wanted = if big {
            super::rig::big(5, 0, 0)
        } else {
            targets(5, 5, 0, 0)
        };
        let mut rig = Rig::young(plain(), wanted, Topology::default());
        rig.ledger(ledger(&[], &[]));
        rig.pass(s(2_000));
        rig.clear();
        // Other roots: what was asked for in vain is forgotten.
        rig.tell(Event::Topology(use_ledger().into()));
        rig.pass(s(2_000));
        let times = rig.requests(big);
        let apart: Vec<u64> = times
            .windows(2)
            .map(|pair| pair[1].since(pair[0]).as_secs())
            .collect();
        assert_eq!(apart[..9], [2, 4, 8, 16, 32, 64, 128, 256, 256], "{big}");
    }
}

#[test]
fn after_success_the_ledger_is_asked_again_in_five_seconds() {
    let mut rig = Rig::young(plain(), targets(10, 20, 0, 0), use_ledger());
    rig.ledger(ledger(&[], &peers(0..4)));
    rig.pass(s(4));
    assert_eq!(rig.governor.counters().ledger.known, 4);
    let first = rig.requests(false);
    rig.pass(s(2));
    let times = rig.requests(false);
    assert_eq!(times.len(), first.len() + 1);
    let last = times[times.len() - 1];
    assert_eq!(last.since(times[times.len() - 2]), s(5));
    let _ = SECOND;
}

/// Source, and what is said to others of it.
#[test]
fn who_is_told_to_others_depends_on_where_we_know_them_from() {
    let mut advertised = group(1, 1, &[peer(0)]);
    advertised.traits.advertise = true;
    let quiet = group(1, 1, &[peer(1)]);
    let mut topology = use_ledger();
    topology.local = vec![advertised, quiet];
    let mut rig = Rig::young(plain(), targets(9, 20, 20, 0), topology);
    rig.ledger(ledger(&[], &peers(2..3)));
    rig.tell(Event::Mature(vec![(peer(3), true)]));
    rig.knows.insert(peer(3), peers(4..5));
    rig.pass(s(400));
    let table = [
        (0, Source::Local, true),
        (1, Source::Local, false),
        (2, Source::Ledger, false),
        (3, Source::NonRoot, true),
        (4, Source::NonRoot, true),
    ];
    for (n, source, told) in table {
        let explained = rig.explain(peer(n));
        assert_eq!(
            (explained.source, explained.advertise),
            (source, told),
            "{n}"
        );
    }
}
