//! What once went wrong elsewhere, each as a scene.
//! src: ouroboros-network, issues and changelogs of the connection manager

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::time::Duration;

use super::{
    super::{Config, Heat, Limits, Trace, Victims},
    rig::adopted,
    transitions::NEVER,
    *,
};
use crate::base::Machine;

const SECOND: Duration = Duration::from_secs(1);

/// A few, no delay, victims by state.
fn few(hard: u32) -> Config {
    Config {
        limits: Limits {
            soft: hard,
            hard,
            delay: Duration::ZERO,
        },
        victims: Victims::ByState,
        ..Config::default()
    }
}

fn transitions(actions: &[Action]) -> Vec<(Serial, State, State)> {
    let transition = |action: &Action| match action {
        Action::Trace(Trace::Transition { conn, from, to }) => Some((*conn, *from, *to)),
        _ => None,
    };
    actions.iter().filter_map(transition).collect()
}

/// A connection that was used, released, and is remembered.
fn remembered(rig: &mut Rig) -> Serial {
    let conn = rig.dialled(peer(1), ONE_WAY);
    rig.release(conn);
    rig.tick(SECOND * 5);
    assert_eq!(rig.state(conn), State::Terminating);
    conn
}

#[test]
fn a_peer_that_is_remembered_may_dial_us_while_our_request_waits() {
    let mut rig = Rig::open();
    let old = remembered(&mut rig);
    let (request, actions) = rig.acquire(peer(1));
    assert_eq!(outcomes(&actions), []);
    let actions = rig.accept_from(peer(1));
    let new = adopted(&actions).unwrap();
    assert_ne!(new, old);
    assert_eq!(demoted(&actions), [old]);
    // The one waits for the new one, which serves it.
    let actions = rig.agree(new, DUPLEX);
    assert_eq!(outcomes(&actions), [(request, Ok(new))]);
}

#[test]
fn a_request_for_a_peer_that_is_remembered_dials_when_that_is_over() {
    let mut rig = Rig::open();
    remembered(&mut rig);
    let first = rig.acquire(peer(1)).0;
    let second = rig.acquire(peer(1)).0;
    let inbound = rig.acquire_via(peer(1), DUPLEX, Via::Inbound).0;
    assert_eq!(rig.manager.waiting(), 3);
    let actions = rig.tick(SECOND * 60);
    assert_eq!(words(&actions), "demoted, dial, no exists, no exists");
    let refused: Vec<Request> = outcomes(&actions).into_iter().map(|(r, _)| r).collect();
    assert_eq!(refused, [second, inbound]);
    assert_eq!(words(&rig.cancel(first)), "close cancelled, no cancelled");
}

#[test]
fn what_comes_late_for_an_old_connection_does_not_touch_its_successor() {
    let mut rig = Rig::open();
    let old = remembered(&mut rig);
    let new = rig.inbound(peer(1), DUPLEX);
    rig.start(new, WARM);
    rig.acquire(peer(1));
    let stale = rig.manager.stale();
    assert_eq!(rig.ended(old), []);
    assert_eq!(rig.release(old), []);
    assert_eq!(rig.start(old, HOT), []);
    assert_eq!(rig.stop(old, WARM), []);
    assert_eq!(rig.feed(Event::Abort(old, LOST)), []);
    assert_eq!(rig.manager.stale(), stale + 5);
    rig.tick(SECOND * 120);
    assert_eq!(rig.state(new), State::Duplex);
    rig.ended(new);
    assert_eq!(rig.manager.len(), 0);
    assert!(rig.watch.all_gone());
}

#[test]
fn the_late_end_of_a_socket_does_not_shorten_what_is_remembered() {
    let mut rig = Rig::open();
    let conn = remembered(&mut rig);
    let due = rig.manager.next_deadline();
    assert_eq!(rig.ended(conn), []);
    assert_eq!(rig.manager.next_deadline(), due);
    assert_eq!(words(&rig.acquire(peer(1)).1), "", "it waits");
    assert_eq!(demoted(&rig.tick(SECOND * 60)), [conn]);
}

#[test]
fn idle_time_does_not_run_on_for_a_connection_that_is_gone() {
    let mut rig = Rig::open();
    let conn = rig.inbound(peer(1), DUPLEX);
    rig.ended(conn);
    assert_eq!(rig.manager.next_deadline(), None);
    assert_eq!(rig.tick(SECOND * 5), []);
}

#[test]
fn a_responder_that_ends_on_a_pruned_connection_changes_nothing() {
    let mut rig = Rig::listening(few(1));
    let victim = rig.inbound(peer(1), DUPLEX);
    rig.start(victim, WARM);
    let ours = rig.dialled(peer(2), DUPLEX);
    let actions = rig.start(ours, WARM);
    assert_eq!(closed(&actions), [(victim, Fault::Limit)]);
    assert_eq!(rig.stop(victim, WARM), []);
    assert_eq!(rig.ended(victim), []);
    assert_eq!(rig.state(ours), State::Duplex);
}

#[test]
fn a_release_at_the_limit_that_prunes_another_takes_effect_itself() {
    let mut rig = Rig::listening(few(1));
    let ours = rig.dialled(peer(1), DUPLEX);
    let victim = rig.accepted(peer(2));
    let actions = rig.release(ours);
    assert_eq!(closed(&actions), [(victim, Fault::Limit)]);
    assert_eq!(demoted(&actions), [ours]);
    assert_eq!(rig.state(ours), State::InboundIdleDup);
    rig.tick(SECOND * 5);
    assert_eq!(rig.state(ours), State::Terminating, "nothing is stuck");
}

#[test]
fn only_those_counted_inbound_can_be_victims() {
    let mut rig = Rig::listening(few(1));
    let one_way = rig.dialled(peer(1), ONE_WAY);
    let idle = rig.dialled(peer(2), DUPLEX);
    let greeting = rig.greeting(peer(3));
    let theirs = rig.inbound(peer(4), DUPLEX);
    let open = rig.dialled(peer(5), DUPLEX);
    let actions = rig.start(open, WARM);
    assert_eq!(closed(&actions), [(theirs, Fault::Limit)]);
    let told = Trace::Pruned {
        victims: [theirs].into(),
        candidates: 2,
    };
    assert!(actions.contains(&Action::Trace(told)));
    for conn in [one_way, idle, greeting, open] {
        assert_ne!(rig.state(conn), State::Unknown);
    }
    // The next one is itself the least far when the other is as far.
    let actions = rig.start(idle, WARM);
    assert_eq!(closed(&actions).len(), 1);
    assert_eq!(rig.manager.counters().inbound, 1);
}

#[test]
fn a_trigger_can_be_its_own_victim() {
    let mut rig = Rig::listening(few(1));
    let hot = rig.inbound(peer(1), DUPLEX);
    rig.start(hot, HOT);
    let ours = rig.dialled(peer(2), DUPLEX);
    let actions = rig.release(ours);
    assert_eq!(closed(&actions), [(ours, Fault::Limit)]);
    assert_eq!(demoted(&actions), [ours], "told once");
    assert_eq!(rig.state(hot), State::InboundDup);
}

#[test]
fn dialled_connections_that_become_inbound_keep_the_limit_at_every_turn() {
    for wake in [true, false] {
        let mut rig = Rig::listening(few(3));
        for n in 1..=10 {
            let conn = rig.dialled(peer(n), DUPLEX);
            if wake {
                rig.start(conn, WARM);
            }
            rig.release(conn);
            assert_eq!(rig.manager.counters().inbound, n.min(3));
        }
        assert_eq!(rig.watch.seen.victims, 7);
    }
    // Woken while they linger.
    let mut rig = Rig::listening(few(3));
    let conns: Vec<Serial> = (1..=10).map(|n| rig.dialled(peer(n), DUPLEX)).collect();
    rig.tick(SECOND * 5);
    for conn in &conns {
        rig.release(*conn);
        assert_eq!(rig.state(*conn), State::OutboundIdleDup);
    }
    for (n, conn) in (1..).zip(&conns) {
        rig.start(*conn, WARM);
        assert_eq!(rig.manager.counters().inbound, 3.min(n));
    }
    assert_eq!((rig.watch.seen.victims, rig.watch.held()), (7, 0));
}

#[test]
fn the_release_of_a_connection_used_both_ways_prunes_nobody() {
    let mut rig = Rig::listening(few(2));
    let ours = rig.dialled(peer(1), DUPLEX);
    rig.start(ours, WARM);
    rig.inbound(peer(2), DUPLEX);
    assert_eq!(words(&rig.release(ours)), "demoted");
    assert_eq!(rig.manager.counters().inbound, 2);
    assert_eq!(rig.watch.seen.prunings, 0);
}

#[test]
fn a_pruned_peer_is_not_remembered() {
    let mut rig = Rig::listening(few(1));
    let pruned = rig.inbound(peer(1), DUPLEX);
    let ours = rig.dialled(peer(2), DUPLEX);
    rig.start(ours, WARM);
    assert_eq!(rig.state(pruned), State::Unknown);
    assert_eq!(words(&rig.acquire(peer(1)).1), "dial");
}

#[test]
fn a_connection_that_fails_while_greeting_is_not_brought_back_by_its_agreement() {
    let mut rig = Rig::open();
    let conn = rig.greeting(peer(1));
    let actions = rig.ended(conn);
    assert_eq!(words(&actions), "no lost");
    assert_eq!(rig.agree(conn, DUPLEX), []);
    let (_, actions) = rig.acquire(peer(1));
    assert_eq!(words(&actions), "dial", "the peer can be dialled again");
    // And one that dies just after, the other way round.
    let conn = rig.dialled(peer(2), DUPLEX);
    assert_eq!(demoted(&rig.ended(conn)), [conn]);
    assert_eq!(rig.agree(conn, DUPLEX), []);
    assert_eq!(rig.state(conn), State::Unknown);
}

#[test]
fn a_dial_that_is_cancelled_or_fails_leaves_its_place_free() {
    use State::{ReservedOutbound, Terminated, Unknown};
    type End = fn(&mut Rig, Serial, Request) -> Vec<Action>;
    let ends: [End; 4] = [
        |rig, _, request| rig.cancel(request),
        |rig, conn, _| {
            rig.feed(Event::ConnectFailed {
                conn,
                cause: Cause::Resources,
            })
        },
        |rig, conn, _| rig.feed(Event::Abort(conn, Fault::Cancelled)),
        |rig, _, _| rig.feed(Event::Shutdown),
    ];
    for end in ends {
        let mut rig = Rig::open();
        let (request, _) = rig.acquire(peer(1));
        let conn = Serial(1);
        let actions = end(&mut rig, conn, request);
        assert_eq!(
            transitions(&actions),
            [
                (conn, ReservedOutbound, Terminated),
                (conn, Terminated, Unknown)
            ]
        );
        assert_eq!((rig.manager.len(), outcomes(&actions).len()), (0, 1));
        let local = home();
        assert_eq!(rig.feed(Event::Connected { conn, local }), [], "too late");
        let (_, again) = rig.acquire(peer(1));
        assert!(["dial", "no shutdown"].contains(&words(&again).as_str()));
    }
}

#[test]
fn an_accepted_connection_with_the_addresses_of_one_that_greets_replaces_it_once() {
    let mut rig = Rig::open();
    let dialled = rig.greeting(peer(1));
    let actions = rig.accept_from(peer(1));
    let new = adopted(&actions).unwrap();
    assert_eq!(closed(&actions), [(dialled, Fault::Replaced)]);
    assert_eq!(rig.watch.seen.replaced, 1);
    assert_eq!(rig.agree(dialled, DUPLEX), [], "too late");
    rig.agree(new, DUPLEX);
    assert_eq!((rig.manager.len(), rig.manager.fresh()), (1, 1));
    let (_, actions) = rig.acquire(peer(1));
    assert_eq!(words(&actions), "reuse");
}

#[test]
fn when_one_end_of_a_simultaneous_open_gives_up_the_other_sees_an_end() {
    let (mut a, mut b) = (Rig::open(), Rig::open());
    let (request, _) = a.acquire(peer(2));
    let conn = Serial(1);
    let local = home();
    a.feed(Event::Connected { conn, local });
    let theirs = b.greeting(peer(1));
    let kept = b.dialled(peer(3), DUPLEX);
    let actions = a.cancel(request);
    assert_eq!(words(&actions), "close cancelled, no cancelled");
    assert_eq!(words(&b.ended(theirs)), "no lost");
    assert_eq!((a.manager.len(), b.manager.len()), (0, 1));
    assert_eq!(b.state(kept), State::OutboundDupTicking);
}

/// The steps of a connection to ourselves whose two ends have the same addresses, in any order
/// that can happen.
#[test]
fn a_connection_to_ourselves_keeps_both_ends_apart_in_every_order() {
    let orders: [[u8; 4]; 6] = [
        // Connected, accepted, the dialled end agrees, the accepted end agrees.
        [0, 1, 2, 3],
        [0, 1, 3, 2],
        [1, 0, 2, 3],
        [1, 0, 3, 2],
        [0, 2, 1, 3],
        [1, 3, 0, 2],
    ];
    for order in orders {
        for mode in [DUPLEX, ONE_WAY] {
            let mut rig = Rig::open();
            let us = home();
            let dialled = rig.dialling(us);
            let mut accepted = None;
            for step in order {
                match step {
                    0 => {
                        let actions = rig.feed(Event::Connected {
                            conn: dialled,
                            local: us,
                        });
                        assert_eq!(words(&actions), "greet", "{order:?}");
                    }
                    1 => accepted = adopted(&rig.accept_from(us)),
                    2 => assert_eq!(words(&rig.agree(dialled, mode)), "got", "{order:?}"),
                    _ => drop(rig.agree(accepted.unwrap(), mode)),
                }
            }
            let accepted = accepted.unwrap();
            assert_ne!(dialled, accepted);
            assert_eq!(rig.manager.len(), 2, "{order:?}");
            assert!(rig.state(dialled).is_outbound() && rig.state(accepted).is_inbound());
            let tracked = if mode == DUPLEX { 2 } else { 0 };
            assert_eq!(rig.manager.fresh(), tracked, "each end is announced once");
            // By their address the dialled end is meant.
            assert_eq!(words(&rig.acquire(us).1), "no exists");
            rig.release(dialled);
            rig.run(SECOND * 100);
            assert!(rig.watch.all_gone(), "{order:?}");
            for pair in NEVER {
                assert!(!rig.watch.transitions.contains_key(pair), "{pair:?}");
            }
        }
    }
}

#[test]
fn a_connection_to_another_address_of_ours_is_two_connections() {
    let mut rig = Rig::open();
    let there = SocketAddr::from(([10, 0, 0, 2], 3001));
    let dialled = rig.greeting(there);
    let accepted = adopted(&rig.accept_at(there, home())).unwrap();
    rig.agree(dialled, DUPLEX);
    rig.agree(accepted, DUPLEX);
    assert_eq!(rig.state(dialled), State::OutboundDupTicking);
    assert_eq!(rig.state(accepted), State::InboundIdleDup);
    rig.ended(accepted);
    assert_eq!(rig.state(dialled), State::OutboundDupTicking);
}

#[test]
fn a_dial_to_addresses_that_another_connection_has_ends() {
    let mut rig = Rig::open();
    let dialled = rig.dialling(peer(1));
    let theirs = rig.inbound(peer(1), DUPLEX);
    let local = home();
    let actions = rig.feed(Event::Connected {
        conn: dialled,
        local,
    });
    assert_eq!(words(&actions), "close taken, no exists");
    assert_eq!(rig.state(theirs), State::InboundIdleDup);
    assert_eq!(words(&rig.acquire(peer(1)).1), "reuse");
}

#[test]
fn two_listening_nodes_that_dial_each_other_end_with_one_connection() {
    let mut rig = Rig::open();
    let dialled = rig.dialling(peer(1));
    let theirs = rig.accepted(peer(1));
    // Both ends listen and dial from there: the kernel refuses a second one like the first.
    let actions = rig.feed(Event::ConnectFailed {
        conn: dialled,
        cause: Cause::AddressInUse,
    });
    assert_eq!(words(&actions), "no connect");
    let request = rig.acquire(peer(1)).0;
    let actions = rig.agree(theirs, DUPLEX);
    assert_eq!(outcomes(&actions), [(request, Ok(theirs))]);
    assert_eq!(rig.manager.len(), 1);
}

#[test]
fn a_refused_handshake_ends_once_whatever_else_is_told() {
    use State::{Terminated, Terminating, Unknown, UnnegotiatedInbound};
    let mut rig = Rig::open();
    let conn = rig.accepted(peer(1));
    let mut all = rig.feed(Event::Lingering { conn });
    all.extend(rig.feed(Event::Lingering { conn }));
    assert_eq!(rig.manager.counters().inbound, 0, "counted no more");
    all.extend(rig.agree(conn, DUPLEX));
    all.extend(rig.tick(SECOND * 10));
    all.extend(rig.ended(conn));
    all.extend(rig.ended(conn));
    all.extend(rig.feed(Event::Abort(conn, LOST)));
    assert_eq!(
        transitions(&all),
        [
            (conn, UnnegotiatedInbound, Terminating),
            (conn, Terminating, Terminated),
            (conn, Terminated, Unknown)
        ]
    );
    assert_eq!(closed(&all), []);
}

/// Inputs of two connections in every order that keeps each one's own.
#[test]
fn traces_are_in_the_order_of_states_however_inputs_interleave() {
    let script = |conn: Serial| {
        let agreed = agreed(DUPLEX);
        [
            Event::Agreed { conn, agreed },
            Event::ResponderStarted {
                conn,
                protocol: HOT,
            },
            Event::ResponderEnded {
                conn,
                protocol: HOT,
            },
            Event::Ended { conn, fault: LOST },
        ]
    };
    let mut orders = 0;
    let mut each: BTreeSet<Vec<(State, State)>> = BTreeSet::new();
    for mask in 0..256_u32 {
        if mask.count_ones() != 4 {
            continue;
        }
        orders += 1;
        let mut rig = Rig::open();
        let conns = [rig.accepted(peer(1)), rig.accepted(peer(2))];
        let mut rest = conns.map(|conn| script(conn).into_iter());
        let mut all = Vec::new();
        for turn in 0..8 {
            let which = usize::from(mask & (1 << turn) != 0);
            all.extend(rig.feed(rest[which].next().unwrap()));
        }
        for conn in conns {
            let mine = transitions(&all).into_iter().filter(|(c, ..)| *c == conn);
            each.insert(mine.map(|(_, from, to)| (from, to)).collect());
        }
        assert!(rig.watch.all_gone());
    }
    assert_eq!(
        (orders, each.len()),
        (70, 1),
        "one story, whatever the other does"
    );
}

#[test]
fn a_shutdown_tells_every_connection_in_one_step() {
    let mut rig = Rig::open();
    let conns: BTreeSet<Serial> = (1..=50).map(|n| rig.inbound(peer(n), DUPLEX)).collect();
    let used = rig.dialled(peer(99), DUPLEX);
    let actions = rig.feed(Event::Shutdown);
    let told: BTreeMap<Serial, Fault> = closed(&actions).into_iter().collect();
    assert_eq!(told.len(), 51);
    assert!(told.values().all(|fault| *fault == Fault::Closed));
    // One is slow; the others do not wait for it, and no timer of theirs runs on.
    for conn in &conns {
        rig.ended(*conn);
    }
    rig.tick(SECOND * 1_000);
    assert!(!rig.watch.stopped);
    let actions = rig.ended(used);
    assert_eq!(words(&actions), "demoted, stopped");
}

#[test]
fn a_shutdown_does_not_wait_for_what_is_only_remembered() {
    let mut rig = Rig::open();
    let conn = remembered(&mut rig);
    assert_eq!(rig.release(conn), [], "nor does a release");
    let actions = rig.feed(Event::Shutdown);
    assert_eq!(words(&actions), "demoted, stopped");
    assert_eq!(rig.manager.next_deadline(), None);
}

#[test]
fn after_a_shutdown_nothing_is_started_and_nothing_blocks() {
    let mut rig = Rig::open();
    let conn = rig.inbound(peer(1), DUPLEX);
    let greeting = rig.accepted(peer(2));
    rig.feed(Event::Shutdown);
    for _ in 0..1_000 {
        assert_eq!(words(&rig.start(conn, HOT)), "");
        assert_eq!(words(&rig.stop(conn, HOT)), "");
        assert_eq!(words(&rig.agree(greeting, DUPLEX)), "");
    }
    assert_eq!(words(&rig.acquire(peer(1)).1), "no shutdown");
    let listening = Event::Listening {
        listener: ListenerId(9),
        local: home(),
    };
    assert!(
        !rig.feed(listening)
            .contains(&Action::AcceptOne(ListenerId(9)))
    );
    assert_eq!(rig.feed(Event::Shutdown), []);
    rig.ended(conn);
    assert_eq!(words(&rig.ended(greeting)), "stopped");
}

#[test]
fn one_remote_with_two_local_addresses_has_two_connections() {
    let mut rig = Rig::open();
    let here = rig.inbound(peer(1), ONE_WAY);
    let actions = rig.accept_at(SocketAddr::from(([10, 0, 0, 2], 3001)), peer(1));
    let there = adopted(&actions).unwrap();
    rig.agree(there, DUPLEX);
    rig.start(here, HOT);
    assert_eq!(rig.state(here), State::InboundUni);
    assert_eq!(rig.state(there), State::InboundIdleDup);
    // The usable one is taken, whichever came first.
    let (request, actions) = rig.acquire(peer(1));
    assert_eq!(outcomes(&actions), [(request, Ok(there))]);
    rig.ended(there);
    assert_eq!(rig.state(here), State::InboundUni);
    assert_eq!(words(&rig.acquire(peer(1)).1), "no forbidden");
}

#[test]
fn of_several_connections_the_best_answers_a_request() {
    // What one remote has under several local addresses, and what a request then is told.
    type Make = fn(&mut Rig, u8) -> Serial;
    let greeting: Make =
        |rig, n| adopted(&rig.accept_at(([10, 0, 0, n], 3001).into(), peer(1))).unwrap();
    let one_way: Make = |rig, n| {
        let conn = adopted(&rig.accept_at(([10, 0, 0, n], 3001).into(), peer(1))).unwrap();
        rig.agree(conn, ONE_WAY);
        conn
    };
    let duplex: Make = |rig, n| {
        let conn = adopted(&rig.accept_at(([10, 0, 0, n], 3001).into(), peer(1))).unwrap();
        rig.agree(conn, DUPLEX);
        conn
    };
    let over: Make = |rig, n| {
        let conn = adopted(&rig.accept_at(([10, 0, 0, n], 3001).into(), peer(1))).unwrap();
        rig.feed(Event::Lingering { conn });
        conn
    };
    let rows: [(&[Make], &str); 6] = [
        (&[one_way, duplex, greeting, over], "reuse"),
        (&[over, one_way, greeting], ""),
        (&[over, one_way], "no forbidden"),
        (&[one_way, over], "no forbidden"),
        (&[over, over], ""),
        (&[greeting, duplex], "reuse"),
    ];
    for (nth, (makes, expected)) in rows.into_iter().enumerate() {
        let mut rig = Rig::open();
        for (n, make) in (10..).zip(makes) {
            make(&mut rig, n);
        }
        assert_eq!(words(&rig.acquire(peer(1)).1), expected, "row {nth}");
    }
    let mut rig = Rig::open();
    let first = duplex(&mut rig, 10);
    let second = duplex(&mut rig, 11);
    assert_eq!(
        outcomes(&rig.acquire(peer(1)).1)[0].1,
        Ok(first),
        "the elder"
    );
    assert_eq!(words(&rig.acquire(peer(1)).1), "no exists", "not the other");
    rig.tick(SECOND);
    assert_eq!(rig.state(second), State::InboundIdleDup);
}

#[test]
fn a_responder_that_starts_on_a_connection_just_gone_is_ignored() {
    let mut rig = Rig::open();
    let conn = rig.dialled(peer(1), DUPLEX);
    rig.ended(conn);
    let stale = rig.manager.stale();
    assert_eq!(rig.start(conn, HOT), []);
    assert_eq!(rig.manager.stale(), stale + 1);
    assert_eq!(rig.manager.recount(), rig.manager.counters());
}

/// A request taken back at any moment of its life leaves nothing half done.
#[test]
fn a_request_can_be_taken_back_at_any_moment() {
    for moment in 0..6 {
        let mut rig = Rig::open();
        if moment > 3 {
            rig.accepted(peer(1));
        }
        let (request, _) = rig.acquire(peer(1));
        let conn = Serial(1);
        let local = home();
        for step in 1..=moment.min(3) {
            match step {
                1 => drop(rig.feed(Event::Connected { conn, local })),
                2 => drop(rig.agree(conn, DUPLEX)),
                _ => drop(rig.start(conn, WARM)),
            }
        }
        let answered = rig.watch.due() == 0;
        let actions = rig.cancel(request);
        if answered {
            assert_eq!(actions, [], "too late at {moment}");
        } else {
            assert_eq!(outcomes(&actions), [(request, Err(NotAcquired::Cancelled))]);
        }
        assert_eq!(rig.watch.due(), 0);
        rig.cancel(request);
        if rig.state(conn) != State::Unknown {
            rig.ended(conn);
        }
        assert!(rig.watch.all_gone());
    }
}

/// We promote a peer, use it fully, leave it while it stays, and want it again.
#[test]
fn a_peer_that_stays_warm_can_be_used_again_at_once() {
    let mut rig = Rig::open();
    let conn = rig.dialled(peer(1), DUPLEX);
    rig.start(conn, WARM);
    for _ in 0..5 {
        assert_eq!(words(&rig.release(conn)), "demoted");
        assert_eq!(rig.state(conn), State::InboundDup);
        rig.tick(SECOND * 30);
        assert_eq!(words(&rig.acquire(peer(1)).1), "reuse");
        assert_eq!(rig.state(conn), State::Duplex);
    }
    assert_eq!(rig.manager.len(), 1);
}

#[test]
fn a_peer_that_uses_a_connection_does_not_keep_us_from_being_done_with_it() {
    let mut rig = Rig::open();
    // Used by the peer at the release, or woken while it lingered.
    for (n, wake_early) in [(1, true), (2, false)] {
        let conn = rig.dialled(peer(n), DUPLEX);
        if wake_early {
            rig.start(conn, WARM);
            assert_eq!(demoted(&rig.release(conn)), [conn]);
        } else {
            rig.tick(SECOND * 5);
            assert_eq!(demoted(&rig.release(conn)), []);
            rig.tick(SECOND);
            assert_eq!(demoted(&rig.start(conn, WARM)), [conn]);
        }
        rig.tick(SECOND * 100);
        assert_eq!(rig.state(conn), State::InboundDup);
    }
}

#[test]
fn a_demotion_waits_for_the_end_of_what_is_remembered() {
    let mut rig = Rig::open();
    let conn = rig.dialled(peer(1), DUPLEX);
    rig.tick(SECOND * 5);
    assert_eq!(demoted(&rig.release(conn)), []);
    assert_eq!(demoted(&rig.tick(SECOND * 5)), []);
    assert_eq!(rig.state(conn), State::Terminating);
    assert_eq!(demoted(&rig.tick(SECOND * 59)), []);
    assert_eq!(demoted(&rig.tick(SECOND)), [conn]);
}

#[test]
fn a_hot_responder_that_ends_does_not_warm_an_idle_or_cold_peer() {
    let mut rig = Rig::open();
    let idle = rig.inbound(peer(1), DUPLEX);
    let cold = rig.dialled(peer(2), DUPLEX);
    rig.start(cold, HOT);
    rig.stop(cold, HOT);
    rig.tick(SECOND * 4);
    rig.stop(idle, HOT);
    assert_eq!(rig.manager.heat(idle), Some(Heat::Idle));
    rig.tick(SECOND);
    rig.stop(cold, HOT);
    assert_eq!(rig.manager.heat(cold), Some(Heat::Cold));
}

#[test]
fn responders_that_start_and_end_at_once_make_a_legal_story() {
    let mut rig = Rig::open();
    let conn = rig.accepted(peer(1));
    rig.agree(conn, DUPLEX);
    for protocol in [HOT, WARM, HOT2, WARM2] {
        rig.start(conn, protocol);
        rig.stop(conn, protocol);
    }
    assert_eq!(words(&rig.ended(conn)), "");
    assert!(rig.watch.all_gone());
    assert!(rig.watch.remotes.len() >= 6);
}

#[test]
fn counters_are_told_after_a_change_and_only_then() {
    let mut rig = Rig::open();
    let told = |actions: &[Action]| {
        let counters = |action: &Action| match action {
            Action::Counters(counters) => Some(*counters),
            _ => None,
        };
        actions.iter().filter_map(counters).collect::<Vec<_>>()
    };
    let (_, dial) = rig.acquire(peer(1));
    assert_eq!(told(&dial), [], "a dial counts nowhere");
    let actions = rig.accept_from(peer(2));
    assert_eq!(told(&actions), [rig.manager.counters()]);
    let conn = adopted(&actions).unwrap();
    assert_eq!(told(&rig.agree(conn, DUPLEX)).len(), 1);
    assert_eq!(told(&rig.start(conn, WARM)).len(), 1);
    assert_eq!(told(&rig.start(conn, WARM2)), []);
    assert_eq!(told(&rig.feed(Event::Tick)), []);
    assert_eq!(told(&rig.acquire(peer(2)).1).len(), 1);
}

#[test]
fn repeated_ends_of_responders_are_taken_in_every_state() {
    let mut rig = Rig::open();
    let one_way = rig.dialled(peer(1), ONE_WAY);
    let duplex = rig.dialled(peer(2), DUPLEX);
    for _ in 0..3 {
        assert_eq!(rig.stop(duplex, WARM), []);
        assert_eq!(rig.stop(one_way, WARM), []);
    }
    rig.tick(SECOND * 5);
    rig.release(duplex);
    rig.release(one_way);
    for _ in 0..3 {
        assert_eq!(rig.stop(duplex, WARM), []);
        assert_eq!(rig.stop(one_way, WARM), []);
    }
    assert_eq!(rig.state(duplex), State::OutboundIdleDup);
    assert_eq!(rig.state(one_way), State::OutboundIdleUni);
}

#[test]
fn a_release_of_what_we_do_not_use_is_nothing() {
    let mut rig = Rig::open();
    let idle = rig.inbound(peer(1), ONE_WAY);
    let busy = rig.inbound(peer(2), DUPLEX);
    rig.start(busy, HOT);
    let lingering = rig.dialled(peer(3), ONE_WAY);
    rig.release(lingering);
    for conn in [idle, busy, lingering] {
        let state = rig.state(conn);
        assert_eq!(rig.release(conn), []);
        assert_eq!(rig.state(conn), state);
    }
}

#[test]
fn a_late_tick_fires_each_timer_once() {
    let mut rig = Rig::open();
    let idle = rig.inbound(peer(1), DUPLEX);
    let used = rig.dialled(peer(2), DUPLEX);
    let released = rig.dialled(peer(3), ONE_WAY);
    rig.release(released);
    let actions = rig.tick(SECOND * 100_000);
    assert_eq!(
        words(&actions),
        "mature, close idle, mature, close released"
    );
    assert_eq!(rig.state(used), State::OutboundDupExpired);
    // What is remembered is so from now on.
    assert_eq!(
        rig.manager.next_deadline(),
        Some(rig.now.after(SECOND * 60))
    );
    assert_eq!(rig.feed(Event::Tick), []);
    let actions = rig.tick(SECOND * 100_000);
    assert_eq!(demoted(&actions), [released]);
    assert_eq!((rig.state(idle), rig.manager.len()), (State::Unknown, 1));
}
