//! Where roots come from: ledger, snapshot, public roots, names.
//!
//! src: ouroboros-network, public root peers, ledger peers, DNS of root peers

use alloc::{boxed::Box, vec, vec::Vec};

use super::rig::{Rig, big, group, ledger, locals, peer, peers, plain, s, targets, use_ledger};
use crate::{
    base::{Hash32, Point, Ticket},
    governor::{
        Action, Answer, Event, LedgerState, NotFound, PublicGroup, Question, Relay, Service,
        Snapshot, Source, Targets, Topology, UseLedger,
    },
};

fn public(members: &[core::net::SocketAddr]) -> PublicGroup {
    PublicGroup {
        advertise: true,
        access_points: members.iter().map(|addr| Relay::Addr(*addr)).collect(),
    }
}

fn after(slot: u64) -> Topology {
    Topology {
        use_ledger: UseLedger::After(slot),
        public: vec![public(&peers(50..52))],
        ..Topology::default()
    }
}

/// From which slot on the ledger is used, its tip: who answers.
#[test]
fn the_ledger_answers_from_its_slot_on_and_public_roots_before() {
    let table = [
        (UseLedger::Never, Some(1_000), Source::Config),
        (UseLedger::Always, None, Source::Ledger),
        (UseLedger::Always, Some(1_000), Source::Ledger),
        (UseLedger::After(500), None, Source::Config),
        (UseLedger::After(500), Some(499), Source::Config),
        (UseLedger::After(500), Some(500), Source::Ledger),
    ];
    for (use_ledger, tip, source) in table {
        let topology = Topology {
            use_ledger,
            ..after(0)
        };
        let mut rig = Rig::young(plain(), targets(2, 9, 0, 0), topology);
        let pools = ledger(&[], &peers(0..2));
        rig.tell(Event::Ledger(Box::new(LedgerState { tip, pools })));
        rig.pass(s(10));
        let sources: Vec<_> = rig.governor.explain_all().map(|p| p.source).collect();
        assert_eq!(sources, [source; 2], "{use_ledger:?}, {tip:?}");
    }
}

/// The slot of the snapshot, the tip of the ledger, from which slot on: whose peers are used.
#[test]
fn a_snapshot_is_used_while_it_is_younger_than_the_ledger() {
    let table = [
        (Some(600), Some(100), UseLedger::Always, true),
        (Some(600), None, UseLedger::Always, true),
        (Some(600), Some(600), UseLedger::Always, true),
        (Some(600), Some(601), UseLedger::Always, false),
        (Some(600), Some(100), UseLedger::After(600), true),
        (Some(600), Some(700), UseLedger::After(650), false),
        (None, Some(100), UseLedger::Always, false),
    ];
    for (slot, tip, use_ledger, from_file) in table {
        let topology = Topology {
            use_ledger,
            ..Topology::default()
        };
        let mut rig = Rig::young(plain(), big(2, 0, 0), topology);
        let hash = Hash32::default();
        let point = slot.map_or(Point::Origin, |slot| Point::Block { slot, hash });
        rig.tell(Event::Snapshot(Some(Box::new(Snapshot {
            point,
            big_only: true,
            pools: ledger(&peers(20..24), &[]),
        }))));
        let pools = ledger(&peers(0..4), &[]);
        rig.tell(Event::Ledger(Box::new(LedgerState { tip, pools })));
        rig.pass(s(30));
        let known = rig.known();
        assert_eq!(known.len(), 2);
        let file = peers(20..24);
        assert_eq!(
            known.iter().all(|peer| file.contains(peer)),
            from_file,
            "{slot:?}, {tip:?}"
        );
    }
}

#[test]
fn all_pools_of_a_file_of_big_pools_are_big() {
    let mut rig = Rig::young(plain(), big(6, 0, 0), use_ledger());
    rig.tell(Event::Snapshot(Some(Box::new(Snapshot {
        point: Point::Block {
            slot: 5,
            hash: Hash32::default(),
        },
        big_only: true,
        pools: ledger(&peers(0..1), &peers(1..6)),
    }))));
    rig.pass(s(60));
    assert_eq!(rig.governor.counters().big.known, 6);
}

#[test]
fn the_ledger_state_is_asked_for_again_when_it_is_old() {
    for (pools, life) in [(ledger(&[], &peers(0..1)), 1_847), (ledger(&[], &[]), 30)] {
        let mut rig = Rig::young(plain(), targets(5, 9, 0, 0), use_ledger());
        rig.ledger(pools);
        rig.clear();
        rig.pass(s(life - 1));
        let want = |rig: &Rig| rig.count(|action| matches!(action, Action::WantLedger));
        assert_eq!(want(&rig), 0, "{life}");
        rig.pass(s(300));
        assert!(want(&rig) > 0, "{life}");
    }
}

/// All that a driver was asked, and not answered yet.
fn questions(rig: &Rig) -> Vec<(Ticket, Question)> {
    let asked = rig.log.iter().filter_map(|(_, action)| match action {
        Action::Resolve { ticket, question } => Some((*ticket, question.clone())),
        _ => None,
    });
    asked.collect()
}

fn host(name: &str) -> Relay {
    Relay::Host {
        name: name.into(),
        port: 3001,
    }
}

fn named(relays: Vec<Relay>) -> Topology {
    let mut named = group(1, 1, &[]);
    named.access_points = relays;
    locals(vec![named])
}

fn addresses(peers: &[core::net::SocketAddr], ttl: u64) -> Answer {
    Answer::Addresses {
        addrs: peers.iter().map(core::net::SocketAddr::ip).collect(),
        ttl: s(ttl),
    }
}

/// The time to live of the answer: when the name is looked up again.
#[test]
fn names_are_looked_up_again_when_their_time_is_over_within_limits() {
    for (ttl, again) in [
        (0, 60),
        (59, 60),
        (60, 60),
        (300, 300),
        (900, 900),
        (9_999, 900),
    ] {
        let mut rig = Rig::young(plain(), targets(0, 9, 0, 0), named(vec![host("a.test")]));
        let (ticket, _) = questions(&rig)[0].clone();
        rig.tell(Event::Resolved {
            ticket,
            answer: Ok(addresses(&[peer(1)], ttl)),
        });
        rig.clear();
        rig.pass(s(again - 1));
        assert!(questions(&rig).is_empty(), "{ttl}");
        rig.pass(s(2));
        assert_eq!(questions(&rig).len(), 1, "{ttl}");
    }
}

/// Failures in a row: when the name is looked up again. What was known stays.
#[test]
fn failed_lookups_are_repeated_later_each_time_and_nobody_is_lost() {
    let mut rig = Rig::young(plain(), targets(0, 9, 0, 0), named(vec![host("a.test")]));
    let (ticket, _) = questions(&rig)[0].clone();
    rig.tell(Event::Resolved {
        ticket,
        answer: Ok(addresses(&[peer(1)], 60)),
    });
    for wait in [60, 60, 125, 255, 515, 900, 900] {
        rig.clear();
        rig.pass(s(wait - 1));
        assert!(questions(&rig).is_empty(), "{wait}");
        rig.pass(s(2));
        let (ticket, _) = questions(&rig)[0].clone();
        rig.tell(Event::Resolved {
            ticket,
            answer: Err(NotFound::NoAnswer),
        });
        assert_eq!(rig.source(peer(1)), Some(Source::Local));
    }
}

#[test]
fn all_addresses_of_a_name_join_its_group_and_leave_it_again() {
    let mut rig = Rig::young(plain(), targets(0, 9, 0, 0), named(vec![host("a.test")]));
    let (ticket, _) = questions(&rig)[0].clone();
    rig.tell(Event::Resolved {
        ticket,
        answer: Ok(addresses(&peers(1..4), 60)),
    });
    let local = |rig: &Rig| rig.those(|peer| peer.source == Source::Local);
    assert_eq!(local(&rig).into_iter().collect::<Vec<_>>(), peers(1..4));
    rig.pass(s(61));
    let (ticket, _) = questions(&rig).pop().unwrap();
    rig.tell(Event::Resolved {
        ticket,
        answer: Ok(addresses(&peers(3..5), 60)),
    });
    assert_eq!(local(&rig).into_iter().collect::<Vec<_>>(), peers(3..5));
}

#[test]
fn no_more_than_two_names_of_local_roots_are_looked_up_at_a_time() {
    let names = ["a.test", "b.test", "c.test", "d.test"].map(host).to_vec();
    let mut rig = Rig::young(plain(), targets(0, 9, 0, 0), named(names));
    assert_eq!(questions(&rig).len(), 2);
    let (ticket, _) = questions(&rig)[0].clone();
    rig.tell(Event::Resolved {
        ticket,
        answer: Err(NotFound::NoAnswer),
    });
    assert_eq!(questions(&rig).len(), 3);
}

/// A service of the operator is asked for as it is written, one of the ledger below its prefix;
/// when the first server cannot be found the next is tried.
#[test]
fn a_service_fails_over_to_its_next_server() {
    let service = Relay::Service {
        name: "_x._tcp.a.test".into(),
    };
    let mut rig = Rig::young(plain(), targets(0, 9, 0, 0), named(vec![service]));
    let (ticket, question) = questions(&rig)[0].clone();
    let name = "_x._tcp.a.test".into();
    assert_eq!(question, Question::Services { name });
    let server = |priority, target: &str| Service {
        priority,
        weight: 1,
        port: 3001,
        target: target.into(),
    };
    rig.tell(Event::Resolved {
        ticket,
        answer: Ok(Answer::Services {
            services: vec![server(2, "second.test"), server(1, "first.test")],
            ttl: s(60),
        }),
    });
    let asked = |rig: &Rig| match questions(rig).pop().unwrap() {
        (ticket, Question::Addresses { name, .. }) => (ticket, name),
        (_, Question::Services { .. }) => panic!("a service"),
    };
    let (ticket, name) = asked(&rig);
    assert_eq!(&*name, "first.test");
    rig.tell(Event::Resolved {
        ticket,
        answer: Err(NotFound::NoAnswer),
    });
    let (ticket, name) = asked(&rig);
    assert_eq!(&*name, "second.test");
    rig.tell(Event::Resolved {
        ticket,
        answer: Ok(addresses(&[peer(7)], 60)),
    });
    assert_eq!(rig.source(peer(7)), Some(Source::Local));
}

#[test]
fn a_service_of_the_ledger_is_asked_for_below_its_prefix() {
    let pool = crate::governor::Pool {
        stake: 1 << 40,
        relays: vec![Relay::Service {
            name: "a.test".into(),
        }],
    };
    let mut rig = Rig::young(plain(), targets(1, 9, 0, 0), use_ledger());
    rig.ledger(crate::governor::Ledger::new([pool]));
    rig.pass(s(5));
    let name = "_cardano._tcp.a.test".into();
    assert_eq!(questions(&rig)[0].1, Question::Services { name });
}

/// The least time of all records counts.
#[test]
fn a_service_is_asked_for_again_when_its_own_time_or_its_hosts_is_over() {
    let service = Relay::Service {
        name: "a.test".into(),
    };
    for (service_ttl, host_ttl, again) in [(900, 100, 100), (100, 900, 100)] {
        let topology = named(vec![service.clone()]);
        let mut rig = Rig::young(plain(), targets(0, 9, 0, 0), topology);
        let (ticket, _) = questions(&rig)[0].clone();
        rig.tell(Event::Resolved {
            ticket,
            answer: Ok(Answer::Services {
                services: vec![Service {
                    priority: 0,
                    weight: 0,
                    port: 3001,
                    target: "h.test".into(),
                }],
                ttl: s(service_ttl),
            }),
        });
        let (ticket, _) = questions(&rig).pop().unwrap();
        rig.tell(Event::Resolved {
            ticket,
            answer: Ok(addresses(&[peer(1)], host_ttl)),
        });
        rig.clear();
        rig.pass(s(again - 1));
        assert!(questions(&rig).is_empty());
        rig.pass(s(2));
        assert_eq!(questions(&rig).len(), 1);
    }
}

#[test]
fn local_roots_that_do_not_fit_are_told_to_the_operator() {
    let topology = locals(vec![group(2, 2, &peers(0..8))]);
    let mut rig = Rig::young(plain(), targets(0, 5, 0, 0), topology);
    let cut = |rig: &Rig, n| {
        rig.count(|action| *action == Action::Notice(crate::governor::Notice::RootsCut(n)))
    };
    assert_eq!(cut(&rig, 3), 1);
    rig.tell(Event::Targets {
        deadline: targets(0, 20, 0, 0),
        sync: Targets::SYNC,
    });
    assert_eq!(rig.governor.counters().local.known, 8);
}
