//! When a socket is accepted, which are reset at once, and who must go.

use alloc::{collections::BTreeSet, vec, vec::Vec};
use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

use super::{
    super::{Config, Limits, Prefixes, Refusal, Trace, Victims, Wait},
    rig::adopted,
    *,
};
use crate::base::{Instant, Machine};

mod shares;

const SECOND: Duration = Duration::from_secs(1);
const SIDE: ListenerId = ListenerId(2);

fn with(soft: u32, hard: u32) -> Config {
    Config {
        limits: Limits {
            soft,
            hard,
            ..Limits::default()
        },
        ..Config::default()
    }
}

/// Without delays.
fn at_once(hard: u32) -> Config {
    Config {
        limits: Limits {
            soft: hard,
            hard,
            delay: Duration::ZERO,
        },
        ..Config::default()
    }
}

fn waits(actions: &[Action]) -> Vec<(u32, Wait)> {
    let wait = |action: &Action| match action {
        Action::Trace(Trace::Waiting { inbound, wait, .. }) => Some((*inbound, *wait)),
        _ => None,
    };
    actions.iter().filter_map(wait).collect()
}

fn refusals(actions: &[Action]) -> Vec<Refusal> {
    let refusal = |action: &Action| match action {
        Action::Trace(Trace::Refused { refusal, .. }) => Some(*refusal),
        _ => None,
    };
    actions.iter().filter_map(refusal).collect()
}

fn resumed(actions: &[Action]) -> bool {
    actions
        .iter()
        .any(|a| matches!(a, Action::Trace(Trace::Resumed { .. })))
}

fn asks(actions: &[Action]) -> bool {
    actions.contains(&Action::AcceptOne(DOOR))
}

/// Accepts one whenever asked until `n` are inbound; none of them says a word.
fn fill(rig: &mut Rig, from: u32, n: u32) -> Vec<Serial> {
    (from..from + n)
        .map(|who| {
            while !rig.watch.armed.contains(&DOOR) {
                let due = rig.manager.next_deadline().expect("waits for time");
                rig.now = due;
                rig.feed(Event::Tick);
            }
            rig.accepted(peer(who))
        })
        .collect()
}

#[test]
fn below_the_soft_limit_the_next_is_accepted_at_once() {
    let mut rig = Rig::open();
    assert!(rig.watch.armed.contains(&DOOR));
    for n in 1..=384 {
        let actions = rig.accept_from(peer(n));
        assert!(asks(&actions), "with {n}");
        assert_eq!(waits(&actions), []);
    }
    assert_eq!(rig.manager.counters().inbound, 384);
}

#[test]
fn between_the_limits_each_accept_waits_39_milliseconds_more() {
    let mut rig = Rig::open();
    fill(&mut rig, 1, 384);
    for n in 385..=511_u32 {
        let began = rig.now;
        let actions = rig.accept_from(peer(n));
        // In whole microseconds, rounded up.
        let delay = Duration::from_micros((u64::from(n - 384) * 78_125).div_ceil(2));
        assert_eq!(waits(&actions), [(n, Wait::Delay(delay))]);
        assert!(!asks(&actions));
        assert_eq!(rig.manager.next_deadline(), Some(began.after(delay)));
        rig.now = began.after(delay);
        let actions = rig.feed(Event::Tick);
        assert!(asks(&actions) && !resumed(&actions), "with {n}");
    }
    assert_eq!(rig.watch.seen.delays, 127);
    let last = rig.accept_from(peer(512));
    assert_eq!(waits(&last), [(512, Wait::HardLimit(512))]);
    assert_eq!(
        rig.manager.next_deadline(),
        None,
        "nothing but room ends that"
    );
}

#[test]
fn at_the_hard_limit_room_in_time_means_the_rest_of_the_delay() {
    let mut rig = Rig::open();
    let conns = fill(&mut rig, 1, 512);
    let began = rig.now;
    rig.now = began.after(SECOND);
    let actions = rig.ended(conns[0]);
    assert!(!asks(&actions) && !resumed(&actions));
    assert_eq!(rig.manager.next_deadline(), Some(began.after(SECOND * 5)));
    rig.now = began.after(SECOND * 5);
    let actions = rig.feed(Event::Tick);
    assert!(asks(&actions));
    let told = Trace::Resumed {
        listener: DOOR,
        inbound: 511,
    };
    assert!(actions.contains(&Action::Trace(told)));
}

#[test]
fn at_the_hard_limit_late_room_means_at_once() {
    let mut rig = Rig::open();
    let conns = fill(&mut rig, 1, 512);
    let quiet = rig.tick(SECOND * 100);
    assert_eq!(quiet, []);
    let actions = rig.ended(conns[7]);
    assert!(asks(&actions) && resumed(&actions));
}

#[test]
fn room_that_goes_again_before_the_delay_is_over_is_waited_for_again() {
    let mut rig = Rig::listening(with(2, 2));
    let first = fill(&mut rig, 1, 1)[0];
    let ours = rig.dialled(peer(9), DUPLEX);
    fill(&mut rig, 2, 1);
    rig.tick(SECOND);
    rig.ended(first);
    // Released while the peer's idle time runs, it counts again.
    rig.release(ours);
    assert_eq!(rig.manager.counters().inbound, 2);
    // That time ends before the delay does.
    let actions = rig.tick(SECOND * 4);
    assert!(asks(&actions) && resumed(&actions), "{actions:?}");
    assert_eq!(rig.manager.counters().inbound, 1);
}

#[test]
fn a_soft_limit_above_the_hard_one_leaves_the_reset_only() {
    let mut rig = Rig::listening(with(10, 2));
    fill(&mut rig, 1, 2);
    for n in 3..8 {
        let actions = rig.accept_from(peer(n));
        assert_eq!(words(&actions), "reset");
        assert_eq!(refusals(&actions), [Refusal::HardLimit(2)]);
        assert!(asks(&actions));
        assert_eq!(waits(&actions), []);
    }
}

#[test]
fn limits_of_nought_never_accept() {
    let mut rig = Rig::new(with(0, 0));
    let actions = rig.feed(Event::Listening {
        listener: DOOR,
        local: home(),
    });
    assert_eq!(waits(&actions), [(0, Wait::HardLimit(0))]);
    assert_eq!(rig.run(SECOND * 10_000), []);
    assert!(rig.watch.armed.is_empty());
    // Until others are set.
    let actions = rig.feed(Event::Limit(Limits::default()));
    assert!(asks(&actions) && resumed(&actions));
}

#[test]
fn what_was_accepted_beyond_the_hard_limit_is_reset_without_a_word() {
    let mut rig = Rig::listening(with(3, 3));
    rig.feed(Event::Listening {
        listener: SIDE,
        local: SocketAddr::from(([10, 0, 0, 1], 3002)),
    });
    fill(&mut rig, 1, 2);
    assert_eq!(
        rig.watch.armed,
        BTreeSet::from([DOOR, SIDE]),
        "one each in flight"
    );
    rig.accepted(peer(3));
    let actions = rig.feed(Event::Accepted {
        listener: SIDE,
        local: SocketAddr::from(([10, 0, 0, 1], 3002)),
        remote: peer(4),
    });
    assert_eq!(words(&actions), "reset");
    assert_eq!(refusals(&actions), [Refusal::HardLimit(3)]);
    assert_eq!(waits(&actions), [(3, Wait::HardLimit(3))]);
    assert_eq!(rig.manager.counters().inbound, 3);
    assert_eq!(rig.manager.len(), 3);
}

#[test]
fn every_listener_that_waits_goes_on_when_there_is_room() {
    let mut rig = Rig::listening(at_once(1));
    let conn = rig.accepted(peer(1));
    rig.feed(Event::Listening {
        listener: SIDE,
        local: SocketAddr::from(([10, 0, 0, 1], 3002)),
    });
    assert!(rig.watch.armed.is_empty());
    let actions = rig.ended(conn);
    assert_eq!(rig.watch.armed, BTreeSet::from([DOOR, SIDE]));
    assert_eq!(
        actions
            .iter()
            .filter(|a| matches!(a, Action::AcceptOne(_)))
            .count(),
        2
    );
}

#[test]
fn a_socket_that_nobody_asked_for_is_reset() {
    let mut rig = Rig::listening(with(1, 1));
    rig.accepted(peer(1));
    let actions = rig.accept_from(peer(2));
    assert_eq!(words(&actions), "reset");
    let stranger = rig.feed(Event::Accepted {
        listener: ListenerId(44),
        local: home(),
        remote: peer(3),
    });
    assert_eq!(words(&stranger), "reset");
    assert_eq!(refusals(&stranger), [Refusal::Unasked]);
    assert_eq!(rig.manager.len(), 1);
}

#[test]
fn what_nobody_asked_for_neither_shortens_a_wait_nor_prolongs_it() {
    let mut rig = Rig::listening(with(1, 1));
    let conn = rig.accepted(peer(1));
    rig.tick(SECOND * 3);
    assert_eq!(words(&rig.accept_from(peer(2))), "reset");
    rig.ended(conn);
    rig.tick(SECOND);
    assert!(rig.watch.armed.is_empty());
    let actions = rig.tick(SECOND);
    assert!(asks(&actions), "five seconds after the limit was met");
}

#[test]
fn a_half_open_flood_fills_exactly_to_the_hard_limit() {
    let mut rig = Rig::open();
    let conns = fill(&mut rig, 1, 512);
    // Everybody else is still in the kernel's queue: nobody is asked for.
    assert_eq!(rig.run(SECOND * 1_000), []);
    assert!(rig.watch.armed.is_empty());
    assert_eq!(rig.manager.counters().inbound, 512);
    // A peer that we use keeps its service, and we can dial all the same.
    let ours = rig.dialled(peer(5_000), DUPLEX);
    assert_eq!(rig.state(ours), State::OutboundDupTicking);
    for conn in conns {
        rig.ended(conn);
    }
    assert_eq!(rig.manager.counters().inbound, 0);
    assert_eq!(rig.manager.len(), 1);
    assert!(rig.watch.armed.contains(&DOOR));
}

#[test]
fn ten_thousand_dials_from_one_address_hold_only_its_share() {
    let mut rig = Rig::open();
    let ip = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
    let mut mine = Vec::new();
    for port in 10_000..20_000_u16 {
        let actions = rig.accept_from(SocketAddr::new(ip, port));
        if let Some(conn) = adopted(&actions) {
            mine.push(conn);
        } else {
            assert_eq!(refusals(&actions), [Refusal::Prefix(64)]);
        }
        assert!(asks(&actions), "others are let in");
    }
    assert_eq!((mine.len(), rig.watch.seen.refused), (64, 9_936));
    assert_eq!(rig.manager.counters().inbound, 64);
    for conn in mine.drain(..32) {
        rig.ended(conn);
    }
    let again = (20_000..20_100)
        .filter(|port| adopted(&rig.accept_from(SocketAddr::new(ip, *port))).is_some())
        .count();
    assert_eq!(again, 32, "as many as have gone");
    rig.accepted(peer(1));
}

/// How many of a hundred from addresses made by `of` are let in.
fn admitted(rig: &mut Rig, of: impl Fn(u16) -> IpAddr) -> usize {
    (0..100_u16)
        .filter(|n| adopted(&rig.accept_from(SocketAddr::new(of(*n), 40_000 + n))).is_some())
        .count()
}

#[test]
fn failures_to_accept_pause_and_only_a_fatal_one_loses_its_listener() {
    let mut rig = Rig::open();
    rig.feed(Event::Listening {
        listener: SIDE,
        local: SocketAddr::from(([10, 0, 0, 1], 3002)),
    });
    for (cause, pause) in [
        (Cause::Reset, 500),
        (Cause::Resources, 1_000),
        (Cause::Reset, 500),
    ] {
        let began = rig.now;
        let pause = Duration::from_millis(pause);
        let actions = rig.feed(Event::AcceptFailed {
            listener: DOOR,
            cause,
            fatal: false,
        });
        assert_eq!(waits(&actions), [(0, Wait::Pause(pause))]);
        assert!(!asks(&actions));
        assert_eq!(rig.manager.next_deadline(), Some(began.after(pause)));
        assert!(asks(&rig.tick(pause)));
    }
    let actions = rig.feed(Event::AcceptFailed {
        listener: DOOR,
        cause: Cause::Other(9),
        fatal: true,
    });
    assert_eq!(actions, [Action::ListenerLost(DOOR)]);
    assert_eq!(rig.run(SECOND * 100), []);
    assert_eq!(rig.watch.armed, BTreeSet::from([SIDE]), "the other goes on");
}

#[test]
fn a_thousand_aborts_in_a_row_are_asked_for_twice_a_second() {
    let mut rig = Rig::open();
    let began = rig.now;
    for _ in 0..1_000 {
        assert!(rig.watch.armed.contains(&DOOR));
        rig.feed(Event::AcceptFailed {
            listener: DOOR,
            cause: Cause::Reset,
            fatal: false,
        });
        let due = rig.manager.next_deadline().unwrap();
        rig.now = due;
        rig.feed(Event::Tick);
    }
    assert_eq!(rig.now.since(began), SECOND * 500);
}

#[test]
fn the_last_inbound_connections_are_kept_for_those_who_have_them_reserved() {
    let mut config = at_once(6);
    config.reserved_max = 2;
    let mut rig = Rig::listening(config);
    for n in 1..=3 {
        let (ip, on) = (peer(n).ip(), true);
        rig.feed(Event::Reserve { ip, on });
    }
    fill(&mut rig, 10, 4);
    let actions = rig.accept_from(peer(20));
    assert_eq!(refusals(&actions), [Refusal::Reserved(2)]);
    // Whoever has one comes in, and no limit per prefix keeps it out.
    for n in 1..=2 {
        assert_eq!(refusals(&rig.accept_from(peer(n))), []);
    }
    assert_eq!(rig.manager.counters().inbound, 6);
    // With nothing reserved all are everybody's.
    let mut rig = Rig::listening(at_once(6));
    let (ip, on) = (peer(1).ip(), true);
    rig.feed(Event::Reserve { ip, on });
    rig.feed(Event::Reserve { ip, on: false });
    fill(&mut rig, 10, 6);
    assert_eq!(rig.manager.counters().inbound, 6);
}

#[test]
fn no_more_than_half_of_all_inbound_connections_are_kept_for_some() {
    let mut rig = Rig::listening(at_once(4));
    for n in 1..=30 {
        let (ip, on) = (peer(n).ip(), true);
        rig.feed(Event::Reserve { ip, on });
    }
    fill(&mut rig, 100, 2);
    let actions = rig.accept_from(peer(120));
    assert_eq!(refusals(&actions), [Refusal::Reserved(2)]);
}

#[test]
fn a_failed_accept_does_not_reset_the_wait_at_the_hard_limit() {
    let mut rig = Rig::listening(with(1, 1));
    rig.feed(Event::Listening {
        listener: SIDE,
        local: SocketAddr::from(([10, 0, 0, 1], 3002)),
    });
    let conn = rig.accepted(peer(1));
    // The other socket's accept was in flight and fails.
    rig.feed(Event::AcceptFailed {
        listener: SIDE,
        cause: Cause::Reset,
        fatal: false,
    });
    assert!(rig.watch.armed.is_empty());
    rig.tick(SECOND);
    rig.ended(conn);
    rig.run(SECOND * 10);
    assert_eq!(rig.watch.armed, BTreeSet::from([DOOR, SIDE]));
}

#[test]
fn lower_limits_end_the_excess_at_once_and_higher_ones_let_in() {
    let mut rig = Rig::listening(at_once(10));
    let used: Vec<Serial> = (1..=4)
        .map(|n| {
            let conn = rig.inbound(peer(n), DUPLEX);
            rig.start(conn, HOT);
            rig.acquire(peer(n));
            conn
        })
        .collect();
    for n in 5..=10 {
        rig.inbound(peer(n), DUPLEX);
    }
    let actions = rig.feed(Event::Limit(Limits {
        soft: 3,
        hard: 3,
        delay: Duration::ZERO,
    }));
    let over = closed(&actions);
    assert_eq!(over.len(), 7);
    assert!(over.iter().all(|(_, fault)| *fault == Fault::Limit));
    let lost: Vec<&Serial> = used
        .iter()
        .filter(|conn| over.iter().any(|(victim, _)| victim == *conn))
        .collect();
    assert_eq!(lost.len(), 1, "those that we use go last");
    assert_eq!(demoted(&actions), [*lost[0]]);
    assert_eq!(rig.manager.counters().inbound, 3);
    let actions = rig.feed(Event::Limit(Limits {
        soft: 5,
        hard: 5,
        delay: Duration::ZERO,
    }));
    assert!(asks(&actions) && resumed(&actions));
}

type States = Vec<(Serial, State)>;

/// Fills to the limit with one connection of each sort, oldest first, then makes one more count.
fn crowd(victims: Victims, hard: u32) -> (Rig, States, Vec<(Serial, Fault)>) {
    let mut rig = Rig::listening(Config {
        victims,
        ..at_once(hard)
    });
    let ours = rig.dialled(peer(1), DUPLEX);
    let make = |rig: &mut Rig, n: u32| {
        let conn = rig.accepted(peer(n));
        match n % 4 {
            0 => {}
            1 => drop(rig.agree(conn, ONE_WAY)),
            2 => {
                rig.agree(conn, DUPLEX);
                rig.start(conn, HOT);
            }
            _ => {
                rig.agree(conn, DUPLEX);
                rig.start(conn, WARM);
                rig.acquire(peer(n));
            }
        }
        conn
    };
    let all: Vec<Serial> = (10..10 + hard).map(|n| make(&mut rig, n)).collect();
    let states = all.iter().map(|conn| (*conn, rig.state(*conn))).collect();
    let actions = rig.release(ours);
    (rig, states, closed(&actions))
}

#[test]
fn the_youngest_and_least_far_goes_first_by_state() {
    let (rig, states, over) = crowd(Victims::ByState, 8);
    let youngest = states
        .iter()
        .rfind(|(_, state)| *state == State::UnnegotiatedInbound)
        .unwrap();
    assert_eq!(over, [(youngest.0, Fault::Limit)]);
    assert_eq!(rig.manager.counters().inbound, 8);
}

#[test]
fn by_state_the_order_is_handshake_idle_one_way_both_ways() {
    let order = [
        State::UnnegotiatedInbound,
        State::InboundIdleUni,
        State::InboundDup,
        State::Duplex,
    ];
    let (mut rig, states, over) = crowd(Victims::ByState, 8);
    let mut gone: Vec<Serial> = over.into_iter().map(|(conn, _)| conn).collect();
    // The one whose release began it is idle and young: it goes between the others.
    for hard in (0..8).rev() {
        let actions = rig.feed(Event::Limit(Limits {
            soft: hard,
            hard,
            delay: Duration::ZERO,
        }));
        gone.extend(closed(&actions).into_iter().map(|(conn, _)| conn));
    }
    assert_eq!(gone.len(), 9);
    let kinds: Vec<State> = gone
        .iter()
        .filter_map(|conn| {
            states
                .iter()
                .find(|(c, _)| c == conn)
                .map(|(_, state)| *state)
        })
        .collect();
    let expected: Vec<State> = order.into_iter().flat_map(|state| [state, state]).collect();
    assert_eq!(kinds, expected);
}

#[test]
fn at_random_those_that_we_use_go_only_when_nobody_else_is_left() {
    let mut spared = BTreeSet::new();
    for hard in [4_u32, 8, 16] {
        let (mut rig, states, over) = crowd(Victims::Random, hard);
        assert_eq!(over.len(), 1);
        let state = |conn: Serial| states.iter().find(|(c, _)| *c == conn).map(|(_, s)| *s);
        assert_ne!(state(over[0].0), Some(State::Duplex));
        let used = hard / 4;
        let actions = rig.feed(Event::Limit(Limits {
            soft: used,
            hard: used,
            delay: Duration::ZERO,
        }));
        let gone = closed(&actions);
        assert!(
            gone.iter()
                .all(|(conn, _)| state(*conn) != Some(State::Duplex)),
            "{gone:?}"
        );
        assert_eq!(rig.manager.counters().full_duplex, used);
        spared.insert(over[0].0);
        let actions = rig.feed(Event::Limit(Limits {
            soft: 0,
            hard: 0,
            delay: Duration::ZERO,
        }));
        assert_eq!(closed(&actions).len(), usize::try_from(used).unwrap());
        assert_eq!(demoted(&actions).len(), usize::try_from(used).unwrap());
    }
    assert!(!spared.is_empty());
}

#[test]
fn chance_picks_different_victims() {
    let mut rig = Rig::listening(at_once(20));
    let mut picked = BTreeSet::new();
    let mut next = 100;
    let mut conns: Vec<Serial> = (10..30).map(|n| rig.inbound(peer(n), DUPLEX)).collect();
    for round in 0..40 {
        let ours = rig.dialled(peer(1_000 + round), DUPLEX);
        let actions = rig.release(ours);
        let over = closed(&actions);
        assert_eq!(over.len(), 1);
        conns.push(ours);
        let at = conns
            .iter()
            .position(|conn| *conn == over[0].0)
            .expect("a candidate");
        conns.remove(at);
        picked.insert(at);
        next += 1;
    }
    assert_eq!((next, conns.len()), (140, 20));
    assert!(picked.len() > 10, "{picked:?}");
}

#[test]
fn more_local_addresses_of_one_peer_than_allowed_are_refused() {
    let mut rig = Rig::open();
    for n in 0..20_u8 {
        let local = SocketAddr::from(([10, 0, 1, n], 3001));
        let actions = rig.accept_at(local, peer(1));
        if n < 16 {
            assert!(adopted(&actions).is_some(), "{n}");
        } else {
            assert_eq!(refusals(&actions), [Refusal::Locals(16)]);
        }
    }
    assert_eq!(rig.manager.len(), 16);
}

#[test]
fn a_full_table_refuses_and_says_so() {
    let mut rig = Rig::listening(Config {
        entries_max: 8,
        quarantined_max: 2,
        ..at_once(512)
    });
    let mut held = Vec::new();
    for n in 1..=20 {
        let actions = rig.accept_from(peer(n));
        match adopted(&actions) {
            Some(conn) => held.push(conn),
            None => assert_eq!(refusals(&actions), [Refusal::Table(8)]),
        }
    }
    assert_eq!((held.len(), rig.manager.len()), (8, 8));
    let (_, actions) = rig.acquire(peer(99));
    assert_eq!(words(&actions), "no full");
    rig.ended(held[0]);
    let (_, actions) = rig.acquire(peer(99));
    assert_eq!(words(&actions), "dial");
}

#[test]
fn as_many_are_remembered_as_may_be_and_the_oldest_goes_early() {
    let mut rig = Rig::listening(Config {
        quarantined_max: 4,
        ..Config::default()
    });
    let mut ended = Vec::new();
    let mut told = Vec::new();
    for n in 1..=10_u64 {
        let conn = rig.dialled(peer(u32::try_from(n).unwrap()), ONE_WAY);
        rig.release(conn);
        told.extend(demoted(&rig.run(SECOND * 5)));
        ended.push(conn);
        let terminating = u64::from(rig.manager.counters().terminating);
        assert_eq!(terminating, n.min(4));
    }
    assert_eq!(told, ended[..6], "those that went early are told too");
    told.extend(demoted(&rig.run(SECOND * 60)));
    assert_eq!(told, ended);
    assert_eq!(rig.manager.len(), 0);
}

#[test]
fn as_many_requests_wait_as_may_and_more_are_refused() {
    let mut rig = Rig::listening(Config {
        waiting_max: 5,
        ..Config::default()
    });
    let conn = rig.accepted(peer(1));
    let mut full = 0;
    for _ in 0..9 {
        let (_, actions) = rig.acquire(peer(1));
        full += u32::from(words(&actions) == "no full");
    }
    assert_eq!((rig.manager.waiting(), full), (5, 4));
    let actions = rig.agree(conn, DUPLEX);
    assert_eq!(
        words(&actions),
        "reuse, no exists, no exists, no exists, no exists"
    );
    assert_eq!(rig.manager.waiting(), 0);
}

#[test]
fn as_many_listeners_as_may_be_and_more_are_lost() {
    let mut rig = Rig::new(Config {
        listeners_max: 3,
        ..Config::default()
    });
    for n in 1..=5_u32 {
        let listener = ListenerId(n);
        let local = SocketAddr::from(([10, 0, 0, 1], u16::try_from(n).unwrap()));
        let actions = rig.feed(Event::Listening { listener, local });
        let expected = if n <= 3 {
            Action::AcceptOne(listener)
        } else {
            Action::ListenerLost(listener)
        };
        assert_eq!(actions, vec![expected]);
    }
}

#[test]
fn as_many_addresses_are_exempt_as_may_be() {
    let mut rig = Rig::listening(Config {
        exempt_max: 2,
        prefixes: Prefixes {
            max: 1,
            ..Prefixes::default()
        },
        ..Config::default()
    });
    for n in 1..=3 {
        rig.feed(Event::Exempt {
            ip: peer(n).ip(),
            on: true,
        });
    }
    let share = [1, 2, 3].map(|n| admitted(&mut rig, |_| peer(n).ip()));
    assert_eq!(share, [100, 100, 1]);
}

#[test]
fn time_at_its_end_does_no_harm() {
    let mut rig = Rig::open();
    rig.now = Instant::FAR;
    let conn = rig.inbound(peer(1), DUPLEX);
    rig.start(conn, HOT);
    rig.acquire(peer(1));
    rig.stop(conn, HOT);
    rig.release(conn);
    assert!(rig.manager.len() <= 1);
}

#[test]
fn after_a_pause_the_delay_of_the_count_still_applies() {
    let mut rig = Rig::listening(with(1, 5));
    rig.accepted(peer(1));
    rig.accepted(peer(2));
    let began = rig.now;
    rig.run(SECOND * 2);
    assert!(rig.watch.armed.contains(&DOOR));
    rig.feed(Event::AcceptFailed {
        listener: DOOR,
        cause: Cause::Reset,
        fatal: false,
    });
    let actions = rig.tick(Duration::from_millis(500));
    assert_eq!(
        waits(&actions),
        [(2, Wait::Delay(Duration::from_millis(1_250)))]
    );
    rig.run(SECOND * 2);
    assert!(rig.watch.armed.contains(&DOOR));
    assert!(rig.now.since(began) > SECOND * 4);
}

#[test]
fn as_many_read_their_refusal_as_may_and_more_are_reset() {
    let mut rig = Rig::listening(Config {
        quarantined_max: 3,
        ..Config::default()
    });
    let mut over = Vec::new();
    for n in 1..=8 {
        let conn = rig.accepted(peer(n));
        over.extend(closed(&rig.feed(Event::Lingering { conn })));
        assert_eq!(rig.manager.counters().terminating, n.min(3));
    }
    // At once: who only reads our refusal would be closed in order already.
    let expected: Vec<(Serial, Fault)> = (1..=5).map(|n| (Serial(n), Fault::Limit)).collect();
    assert_eq!(over, expected);
    assert_eq!(rig.manager.counters().inbound, 0, "they count no more");
}
