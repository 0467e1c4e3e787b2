//! The peers' use of connections: heat, idleness, maturity.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use super::{
    super::{Config, Heat, Trace},
    *,
};
use crate::base::Machine;

const SECOND: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(5);
const MATURE: Duration = Duration::from_secs(900);

fn mature(rig: &Rig) -> Vec<SocketAddr> {
    rig.manager.mature().map(|(addr, _)| addr).collect()
}

#[test]
fn a_peer_is_hot_while_any_hot_responder_runs() {
    for hot in [HOT, HOT2, ProtocolId::TX_SUBMISSION] {
        let mut rig = Rig::open();
        let conn = rig.inbound(peer(1), DUPLEX);
        rig.start(conn, WARM);
        assert_eq!(rig.manager.heat(conn), Some(Heat::Warm));
        rig.start(conn, hot);
        assert_eq!(
            rig.manager.heat(conn),
            Some(Heat::Hot),
            "{hot} alone suffices"
        );
        rig.stop(conn, WARM);
        assert_eq!(rig.manager.heat(conn), Some(Heat::Hot));
        rig.stop(conn, hot);
        assert_eq!(rig.manager.heat(conn), Some(Heat::Idle));
    }
}

#[test]
fn two_hot_responders_end_before_the_peer_is_warm() {
    let mut rig = Rig::open();
    let conn = rig.inbound(peer(1), DUPLEX);
    for protocol in [WARM, HOT, HOT2, WARM2] {
        rig.start(conn, protocol);
    }
    rig.stop(conn, HOT);
    assert_eq!(rig.manager.heat(conn), Some(Heat::Hot));
    rig.stop(conn, HOT2);
    assert_eq!(rig.manager.heat(conn), Some(Heat::Warm));
    rig.stop(conn, WARM);
    assert_eq!(rig.manager.heat(conn), Some(Heat::Warm));
    rig.stop(conn, WARM2);
    assert_eq!(rig.manager.heat(conn), Some(Heat::Idle));
}

#[test]
fn a_double_start_and_a_double_end_count_once() {
    let mut rig = Rig::open();
    let conn = rig.inbound(peer(1), DUPLEX);
    rig.start(conn, HOT);
    assert_eq!(rig.start(conn, HOT), []);
    rig.stop(conn, HOT);
    assert_eq!(rig.manager.heat(conn), Some(Heat::Idle));
    let due = rig.manager.next_deadline();
    rig.now = rig.now.after(SECOND);
    assert_eq!(rig.stop(conn, HOT), []);
    assert_eq!(rig.manager.next_deadline(), due, "the idle time goes on");
}

#[test]
fn the_idle_time_begins_anew_only_when_the_last_responder_ends() {
    let mut rig = Rig::open();
    let conn = rig.inbound(peer(1), DUPLEX);
    rig.tick(SECOND * 3);
    rig.start(conn, HOT);
    rig.tick(SECOND * 100);
    assert_eq!(rig.state(conn), State::InboundDup);
    rig.stop(conn, HOT);
    rig.tick(SECOND * 4);
    // Taking and leaving it does not begin the time anew.
    rig.acquire(peer(1));
    assert_eq!(rig.state(conn), State::OutboundDupTicking);
    rig.release(conn);
    assert_eq!(rig.state(conn), State::InboundIdleDup);
    rig.tick(SECOND);
    assert_eq!(rig.state(conn), State::Terminating);
}

#[test]
fn no_idle_time_keeps_idle_connections_for_ever() {
    let mut rig = Rig::listening(Config {
        idle: None,
        ..Config::default()
    });
    let one_way = rig.inbound(peer(1), ONE_WAY);
    let both = rig.inbound(peer(2), DUPLEX);
    rig.run(Duration::from_secs(1_000_000));
    assert_eq!(rig.state(one_way), State::InboundIdleUni);
    assert_eq!(rig.state(both), State::InboundIdleDup);
    let used = rig.dialled(peer(3), DUPLEX);
    rig.run(Duration::from_secs(1_000_000));
    assert_eq!(rig.state(used), State::OutboundDupTicking);
}

#[test]
fn a_responder_that_begins_before_the_late_tick_keeps_the_connection() {
    let mut rig = Rig::open();
    let conn = rig.inbound(peer(1), DUPLEX);
    rig.now = rig.now.after(IDLE * 10);
    rig.start(conn, WARM);
    rig.feed(Event::Tick);
    assert_eq!(rig.state(conn), State::InboundDup);
}

#[test]
fn a_responder_that_begins_after_the_tick_is_too_late_or_wakes_a_cold_peer() {
    let mut rig = Rig::open();
    let gone = rig.inbound(peer(1), DUPLEX);
    let kept = rig.dialled(peer(2), DUPLEX);
    rig.tick(IDLE);
    let stale = rig.manager.stale();
    assert_eq!(rig.start(gone, WARM), []);
    assert_eq!(rig.state(gone), State::Terminating);
    assert_eq!(rig.manager.stale(), stale + 1, "counted");
    assert_eq!(rig.manager.heat(kept), Some(Heat::Cold));
    rig.start(kept, WARM);
    assert_eq!(rig.state(kept), State::Duplex);
    assert_eq!(rig.manager.heat(kept), Some(Heat::Warm));
}

#[test]
fn responders_that_start_and_stop_in_a_loop_change_nothing_for_good() {
    let mut rig = Rig::open();
    let conn = rig.inbound(peer(1), DUPLEX);
    for turn in 0..10_000_u64 {
        rig.now = rig.now.after(Duration::from_millis(1));
        let protocol = [WARM, HOT, HOT2, WARM2][usize::try_from(turn % 4).unwrap()];
        rig.start(conn, protocol);
        rig.stop(conn, protocol);
    }
    assert_eq!(
        (rig.manager.len(), rig.state(conn)),
        (1, State::InboundIdleDup)
    );
    rig.tick(IDLE);
    assert_eq!(rig.state(conn), State::Terminating);
}

#[test]
fn responders_of_a_connection_that_the_peer_may_not_use_are_ignored() {
    let mut rig = Rig::open();
    let conn = rig.dialled(peer(1), ONE_WAY);
    let stale = rig.manager.stale();
    assert_eq!(rig.start(conn, HOT), []);
    assert_eq!(rig.stop(conn, HOT), []);
    assert_eq!(rig.manager.heat(conn), None);
    assert_eq!(rig.manager.stale(), stale + 2);
}

#[test]
fn unknown_serials_change_nothing_and_are_counted() {
    let mut rig = Rig::open();
    let never = Serial(77);
    let events = [
        Event::Release(never),
        Event::Abort(never, LOST),
        Event::Connected {
            conn: never,
            local: home(),
        },
        Event::ConnectFailed {
            conn: never,
            cause: Cause::Refused,
        },
        Event::Agreed {
            conn: never,
            agreed: agreed(DUPLEX),
        },
        Event::Lingering { conn: never },
        Event::ResponderStarted {
            conn: never,
            protocol: HOT,
        },
        Event::ResponderEnded {
            conn: never,
            protocol: HOT,
        },
        Event::Ended {
            conn: never,
            fault: LOST,
        },
    ];
    for (nth, event) in (1..).zip(events) {
        assert_eq!(rig.feed(event), []);
        assert_eq!(rig.manager.stale(), nth);
    }
}

#[test]
fn a_duplex_peer_is_mature_after_its_time_even_when_nothing_else_happens() {
    let mut rig = Rig::open();
    let conn = rig.dialled(peer(1), DUPLEX);
    rig.tick(IDLE);
    assert_eq!((rig.manager.fresh(), mature(&rig)), (1, vec![]));
    assert_eq!(
        rig.manager.next_deadline(),
        Some(rig.now.after(SECOND * 895))
    );
    let early = rig.tick(Duration::from_micros(894_999_999));
    assert!(!early.contains(&Action::Mature));
    let actions = rig.tick(Duration::from_micros(1));
    assert!(actions.contains(&Action::Mature));
    assert!(actions.contains(&Action::Trace(Trace::Matured { count: 1 })));
    assert_eq!((rig.manager.fresh(), mature(&rig)), (0, vec![peer(1)]));
    assert_eq!(rig.state(conn), State::OutboundDupExpired);
    let gone = rig.ended(conn);
    assert!(gone.contains(&Action::Mature), "the set has changed");
    assert_eq!((rig.manager.fresh(), mature(&rig)), (0, vec![]));
}

#[test]
fn one_way_peers_never_mature() {
    let mut rig = Rig::open();
    let inbound = rig.inbound(peer(1), ONE_WAY);
    rig.start(inbound, HOT);
    rig.dialled(peer(2), ONE_WAY);
    rig.run(MATURE * 2);
    assert_eq!((rig.manager.fresh(), mature(&rig)), (0, vec![]));
    assert_eq!(rig.manager.len(), 2);
}

#[test]
fn of_two_connections_of_one_peer_the_end_of_one_does_not_hide_the_other() {
    let mut rig = Rig::open();
    let here = rig.inbound(peer(1), DUPLEX);
    let there = SocketAddr::from(([10, 0, 0, 2], 3001));
    let actions = rig.accept_at(there, peer(1));
    let other = rig::adopted(&actions).unwrap();
    rig.agree(other, DUPLEX);
    for conn in [here, other] {
        rig.start(conn, HOT);
    }
    assert_eq!(rig.manager.fresh(), 2);
    rig.tick(MATURE);
    assert_eq!(
        mature(&rig),
        [peer(1), peer(1)],
        "by each of its connections"
    );
    rig.ended(here);
    assert_eq!(mature(&rig), [peer(1)], "the other is as old");
    rig.ended(other);
    assert_eq!(mature(&rig), []);
}

#[test]
fn a_connection_that_comes_back_is_fresh_again() {
    let mut rig = Rig::open();
    let old = rig.inbound(peer(1), DUPLEX);
    rig.start(old, HOT);
    rig.tick(MATURE);
    rig.ended(old);
    let new = rig.inbound(peer(1), DUPLEX);
    rig.start(new, HOT);
    assert_eq!((rig.manager.fresh(), mature(&rig)), (1, vec![]));
    rig.tick(SECOND * 899);
    assert_eq!(mature(&rig), []);
    rig.tick(SECOND);
    assert_eq!(mature(&rig), [peer(1)]);
}

/// Splitting the fresh at any time loses nobody and keeps only the young.
#[test]
fn maturing_splits_the_fresh_by_age_and_loses_nobody() {
    let mut rig = Rig::open();
    let step = MATURE / 30;
    for n in 1..=40_u32 {
        let conn = rig.inbound(peer(n), DUPLEX);
        rig.start(conn, HOT);
        // In steps of `step`, peer k is mature from (k + 30) steps on.
        rig.tick(step);
        let old = n.saturating_sub(29);
        assert_eq!(
            mature(&rig).len(),
            usize::try_from(old).unwrap(),
            "after {n}"
        );
        assert_eq!(rig.manager.fresh(), usize::try_from(n - old).unwrap());
        let expected: Vec<SocketAddr> = (1..=old).map(peer).collect();
        let mut told = mature(&rig);
        told.sort_unstable();
        assert_eq!(told, expected);
    }
    assert!(rig.watch.seen.matured == 11);
}

#[test]
fn several_peers_mature_in_one_late_tick_and_are_told_once() {
    let mut rig = Rig::open();
    for n in 1..=5 {
        let conn = rig.inbound(peer(n), DUPLEX);
        rig.start(conn, WARM);
        rig.now = rig.now.after(SECOND);
    }
    let actions = rig.tick(MATURE * 3);
    let told = actions.iter().filter(|a| **a == Action::Mature).count();
    assert_eq!((told, mature(&rig).len()), (1, 5));
    assert!(actions.contains(&Action::Trace(Trace::Matured { count: 5 })));
    assert_eq!(rig.feed(Event::Tick), []);
}
