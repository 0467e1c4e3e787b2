//! One rule a test.

use alloc::{vec, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use super::{Action, Config, Event, Fact, PeerActions, Stage};
use crate::{
    base::{Cx, First, Instant, Machine, NoRules, ProtocolId, Request, Serial},
    conn::{Cause, Fault, Temperature},
    manager::{Acquired, NotAcquired, Via},
    proto::handshake::{Agreed, Mode, VersionData},
};

const HOT: [ProtocolId; 3] = [
    ProtocolId::CHAIN_SYNC,
    ProtocolId::BLOCK_FETCH,
    ProtocolId::TX_SUBMISSION,
];
const CONN: Serial = Serial(7);

pub(super) fn agreed(version: u16, peer_sharing: bool) -> Agreed {
    let data = VersionData {
        magic: 42,
        mode: Mode::InitiatorAndResponder,
        peer_sharing,
        query: false,
        peras: false,
    };
    Agreed { version, data }
}

fn peer() -> SocketAddr {
    "10.0.0.1:3001".parse().unwrap()
}

struct Rig {
    machine: PeerActions,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self {
            machine: PeerActions::new(Config::default()),
            now: Instant::from_secs(1),
        }
    }

    fn feed(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        let mut choice = First;
        let mut cx = Cx::new(self.now, &mut choice, &NoRules, &mut out);
        self.machine.step(&mut cx, event);
        self.machine.check_invariants().unwrap();
        out
    }

    fn establish(&mut self) -> Vec<Action> {
        self.feed(Event::Establish {
            peer: peer(),
            mode: Mode::InitiatorAndResponder,
            via: Via::Dial,
        })
    }

    fn acquired(&mut self, request: u64, agreed: Agreed, reused: bool) -> Vec<Action> {
        self.feed(Event::Acquired {
            request: Request(request),
            outcome: Ok(Acquired {
                conn: CONN,
                agreed,
                reused,
            }),
        })
    }

    fn started(&mut self, all: &[ProtocolId]) -> Vec<Action> {
        let started = |protocol| Event::Started {
            conn: CONN,
            protocol,
        };
        all.iter().flat_map(|p| self.feed(started(*p))).collect()
    }

    fn stopped(&mut self, all: &[ProtocolId]) -> Vec<Action> {
        let stopped = |protocol| Event::Stopped {
            conn: CONN,
            protocol,
        };
        all.iter().flat_map(|p| self.feed(stopped(*p))).collect()
    }

    /// A peer whose keep-alive alone runs.
    fn warm() -> Self {
        let mut rig = Self::new();
        rig.establish();
        rig.acquired(1, agreed(14, false), false);
        rig.started(&[ProtocolId::KEEP_ALIVE]);
        rig
    }

    fn hot() -> Self {
        let mut rig = Self::warm();
        rig.feed(Event::Activate { peer: peer() });
        assert_eq!(rig.stage(), Some(Stage::Activating));
        rig.started(&HOT);
        assert_eq!(rig.stage(), Some(Stage::Hot));
        rig
    }

    fn stage(&self) -> Option<Stage> {
        self.machine.get(&peer()).map(super::Peer::stage)
    }

    /// Goes to the next deadline, which is `after` from now.
    fn wait(&mut self, after: Duration) -> Vec<Action> {
        let due = self.machine.next_deadline();
        assert_eq!(due, Some(self.now.after(after)));
        self.now = due.unwrap();
        let actions = self.feed(Event::Tick);
        assert_eq!(self.machine.next_deadline(), None);
        actions
    }

    fn close(&mut self) -> Vec<Action> {
        self.feed(Event::Close { peer: peer() })
    }

    fn deactivate(&mut self) -> Vec<Action> {
        self.feed(Event::Deactivate { peer: peer() })
    }

    fn end(&mut self, fault: Fault) -> Vec<Action> {
        self.feed(Event::Ended { conn: CONN, fault })
    }

    fn demote(&mut self) -> Vec<Action> {
        self.feed(Event::Demoted { conn: CONN })
    }
}

fn stops() -> [Action; 3] {
    [
        Action::Stop(CONN, Temperature::Hot),
        Action::Stop(CONN, Temperature::Warm),
        Action::Stop(CONN, Temperature::Established),
    ]
}

fn cooling(fault: Option<Fault>) -> Action {
    Action::Fact(Fact::Cooling {
        peer: peer(),
        fault,
    })
}

fn cold(fault: Option<Fault>) -> Action {
    Action::Fact(Fact::Cold {
        peer: peer(),
        fault,
    })
}

const LOST: Fault = Fault::Lost(Cause::Reset);

#[test]
fn to_establish_is_to_acquire_and_then_to_start_the_established_and_warm_bundles() {
    let mut rig = Rig::new();
    let acquire = Action::Acquire {
        request: Request(1),
        remote: peer(),
        mode: Mode::InitiatorAndResponder,
        via: Via::Dial,
    };
    assert_eq!(rig.establish(), [acquire]);
    assert_eq!(rig.stage(), Some(Stage::Acquiring(Request(1))));
    let agreed = agreed(14, true);
    let established = Fact::Established {
        peer: peer(),
        conn: CONN,
        agreed,
        reused: false,
    };
    assert_eq!(
        rig.acquired(1, agreed, false),
        [
            Action::Fact(established),
            Action::Start(CONN, Temperature::Established),
            Action::Start(CONN, Temperature::Warm),
        ]
    );
    assert_eq!(rig.stage(), Some(Stage::Warm));
    assert_eq!(rig.machine.holder(CONN), Some(peer()));
}

#[test]
fn the_bundles_follow_what_was_agreed() {
    let halves = |version, sharing| {
        let mut rig = Rig::new();
        rig.establish();
        rig.acquired(1, agreed(version, sharing), false);
        let peer = rig.machine.get(&peer()).unwrap().clone();
        peer.halves().collect::<Vec<_>>()
    };
    let (alive, share, sample) = (
        ProtocolId::KEEP_ALIVE,
        ProtocolId::PEER_SHARING,
        ProtocolId::TIP_SAMPLE,
    );
    assert_eq!(halves(14, false), [alive]);
    assert_eq!(halves(14, true), [alive, share]);
    assert_eq!(halves(0x200e, false), [alive, sample]);
    assert_eq!(halves(0x200e, true), [alive, share, sample]);
}

#[test]
fn a_failed_acquisition_leaves_the_peer_cold_and_says_why() {
    let mut rig = Rig::new();
    rig.establish();
    let why = NotAcquired::Connect(Cause::Refused);
    let failed = Event::Acquired {
        request: Request(1),
        outcome: Err(why),
    };
    let fact = Fact::NotEstablished { peer: peer(), why };
    assert_eq!(rig.feed(failed), [Action::Fact(fact)]);
    assert_eq!(rig.stage(), None);
    assert_eq!(rig.establish().len(), 1);
}

#[test]
fn a_peer_closed_while_it_waits_is_withdrawn_whatever_the_answer() {
    let why = NotAcquired::Cancelled;
    let fact = Action::Fact(Fact::NotEstablished { peer: peer(), why });
    let mut rig = Rig::new();
    rig.establish();
    assert_eq!(rig.close(), [Action::Cancel(Request(1))]);
    assert_eq!(rig.stage(), Some(Stage::Withdrawing));
    assert_eq!(rig.close(), []);
    let mut late = Rig {
        machine: rig.machine.clone(),
        now: rig.now,
    };
    let cancelled = Event::Acquired {
        request: Request(1),
        outcome: Err(why),
    };
    assert_eq!(rig.feed(cancelled), vec![fact.clone()]);
    // The connection was on its way already: it is given back unused.
    let actions = late.acquired(1, agreed(14, true), false);
    assert_eq!(actions, [Action::Release(CONN)]);
    assert_eq!(late.stage(), Some(Stage::Withdrawing));
    assert_eq!(late.end(LOST), []);
    assert_eq!(late.demote(), [fact]);
    assert_eq!(late.stage(), None);
}

#[test]
fn to_deactivate_is_to_stop_the_hot_bundle_and_wait_for_all_of_it() {
    let mut rig = Rig::hot();
    assert_eq!(rig.deactivate(), [Action::Stop(CONN, Temperature::Hot)]);
    assert_eq!(rig.stopped(&HOT[..2]), []);
    let fact = Action::Fact(Fact::Deactivated { peer: peer() });
    assert_eq!(rig.stopped(&HOT[2..]), [fact]);
    assert_eq!(rig.stage(), Some(Stage::Warm));
    assert_eq!(rig.machine.next_deadline(), None);
    let again = rig.feed(Event::Activate { peer: peer() });
    assert_eq!(again, [Action::Start(CONN, Temperature::Hot)]);
}

#[test]
fn to_close_says_cooling_first_stops_all_and_releases_when_all_has_ended() {
    let mut rig = Rig::hot();
    let mut wanted = vec![cooling(None)];
    wanted.extend(stops());
    assert_eq!(rig.close(), wanted);
    assert_eq!(rig.stopped(&HOT), []);
    assert_eq!(
        rig.stopped(&[ProtocolId::KEEP_ALIVE]),
        [Action::Release(CONN)]
    );
    assert_eq!(rig.stage(), Some(Stage::Cooling));
    assert_eq!(rig.machine.next_deadline(), None);
    // What becomes of the connection then is no failure.
    assert_eq!(rig.end(Fault::Released), []);
    assert_eq!(rig.demote(), [cold(None)]);
    assert_eq!(rig.stage(), None);
}

#[test]
fn a_stop_waits_for_halves_that_were_ordered_and_had_not_started() {
    let mut rig = Rig::warm();
    rig.feed(Event::Activate { peer: peer() });
    rig.deactivate();
    assert!(matches!(rig.stage(), Some(Stage::Deactivating { .. })));
    // Only now does the connection carry out both orders.
    assert_eq!(rig.started(&HOT), []);
    let fact = Action::Fact(Fact::Deactivated { peer: peer() });
    assert_eq!(rig.stopped(&HOT), [fact]);

    let mut rig = Rig::new();
    rig.establish();
    rig.acquired(1, agreed(14, false), false);
    assert_eq!(rig.close().len(), 4);
    assert_eq!(rig.started(&[ProtocolId::KEEP_ALIVE]), []);
    let released = rig.stopped(&[ProtocolId::KEEP_ALIVE]);
    assert_eq!(released, [Action::Release(CONN)]);
}

#[test]
fn an_established_half_that_ends_by_itself_closes_the_peer_whether_warm_or_hot() {
    let mut rig = Rig::warm();
    let mut wanted = vec![cooling(None)];
    wanted.extend(stops());
    wanted.push(Action::Release(CONN));
    assert_eq!(rig.stopped(&[ProtocolId::KEEP_ALIVE]), wanted);
    for deactivating in [false, true] {
        let mut rig = Rig::hot();
        if deactivating {
            rig.deactivate();
        }
        wanted.truncate(4);
        assert_eq!(rig.stopped(&[ProtocolId::KEEP_ALIVE]), wanted);
        assert_eq!(rig.stopped(&HOT), [Action::Release(CONN)]);
    }
}

#[test]
fn a_hot_half_that_ends_by_itself_deactivates_the_peer() {
    let mut rig = Rig::hot();
    assert_eq!(
        rig.stopped(&HOT[..1]),
        [Action::Stop(CONN, Temperature::Hot)]
    );
    let fact = Action::Fact(Fact::Deactivated { peer: peer() });
    assert_eq!(rig.stopped(&HOT[1..]), [fact]);
}

#[test]
fn a_peer_beyond_the_limit_is_told_so() {
    let config = Config {
        peers_max: 1,
        ..Config::default()
    };
    let mut rig = Rig {
        machine: PeerActions::new(config),
        now: Instant::ZERO,
    };
    rig.establish();
    let other = "10.0.0.2:3001".parse().unwrap();
    let fact = Fact::NotEstablished {
        peer: other,
        why: NotAcquired::Full,
    };
    let event = Event::Establish {
        peer: other,
        mode: Mode::InitiatorOnly,
        via: Via::Inbound,
    };
    assert_eq!(rig.feed(event), [Action::Fact(fact)]);
    assert_eq!(rig.machine.len(), 1);
}

#[test]
fn a_peer_used_in_turn_while_it_keeps_using_us_is_taken_up_again_at_once() {
    // Cold, warm, hot, warm, cold; the peer keeps its own use, so the release ends ours at once,
    // and the same connection serves the next time.
    let mut rig = Rig::hot();
    rig.deactivate();
    rig.stopped(&HOT);
    rig.close();
    let released = rig.stopped(&[ProtocolId::KEEP_ALIVE]);
    assert_eq!(released, [Action::Release(CONN)]);
    assert_eq!(rig.demote(), [cold(None)]);
    rig.establish();
    let actions = rig.acquired(2, agreed(14, false), true);
    let Some(Action::Fact(Fact::Established { conn, reused, .. })) = actions.first() else {
        panic!("{actions:?}");
    };
    assert_eq!((*conn, *reused), (CONN, true));
    rig.started(&[ProtocolId::KEEP_ALIVE]);
    rig.feed(Event::Activate { peer: peer() });
    rig.started(&HOT);
    assert_eq!(rig.stage(), Some(Stage::Hot));
    assert_eq!(rig.machine.stale(), 0);
}

#[test]
fn a_peer_demoted_by_an_error_is_not_established_again_before_the_table_lets_go_of_it() {
    let mut rig = Rig::hot();
    assert_eq!(rig.end(LOST), [cooling(Some(LOST))]);
    assert_eq!(rig.stage(), Some(Stage::Cooling));
    assert_eq!(rig.establish(), []);
    assert_eq!(rig.machine.stale(), 1);
    assert_eq!(rig.demote(), [cold(Some(LOST))]);
    assert_eq!(rig.establish().len(), 1);
}

#[test]
fn a_peer_whose_own_use_goes_on_is_cold_for_us_all_the_same() {
    // One of our halves ends by itself; the connection lives on for the peer, and the table
    // demotes it without ending it.
    let mut rig = Rig::warm();
    rig.stopped(&[ProtocolId::KEEP_ALIVE]);
    assert_eq!(rig.stage(), Some(Stage::Cooling));
    assert_eq!(rig.demote(), [cold(None)]);
    assert_eq!(rig.establish().len(), 1);
}

#[test]
fn a_connection_that_dies_twice_in_a_row_is_noticed_twice() {
    let mut rig = Rig::warm();
    for request in 2..4 {
        assert_eq!(rig.end(LOST), [cooling(Some(LOST))]);
        assert_eq!(rig.demote(), [cold(Some(LOST))]);
        assert_eq!(rig.establish().len(), 1);
        assert_eq!(rig.acquired(request, agreed(14, false), false).len(), 3);
    }
    // Told only by the table: noticed as well.
    assert_eq!(rig.demote(), [cooling(None), cold(None)]);
    assert_eq!(rig.stage(), None);
}

#[test]
fn a_demotion_that_fails_half_way_ends_as_one_that_is_waited_for() {
    // Not all halves end; the reset is not answered yet: to establish again asks for nothing.
    let mut rig = Rig::warm();
    rig.close();
    rig.wait(Duration::from_secs(120));
    for _ in 0..3 {
        assert_eq!(rig.establish(), []);
        assert_eq!(rig.feed(Event::Activate { peer: peer() }), []);
    }
    assert_eq!(rig.end(Fault::Unfinished), []);
    assert_eq!(rig.demote(), [cold(Some(Fault::Unfinished))]);
    assert_eq!(rig.establish().len(), 1);
}

#[test]
fn a_second_deactivation_does_nothing() {
    // The hot half ends by itself exactly when the peer is to be deactivated.
    let mut rig = Rig::hot();
    rig.stopped(&HOT[..1]);
    let before = rig.machine.clone();
    assert_eq!(rig.deactivate(), []);
    assert_eq!(rig.machine, before);
    rig.stopped(&HOT[1..]);
    assert_eq!(rig.deactivate(), []);
    assert_eq!(rig.stage(), Some(Stage::Warm));
}

#[test]
fn hot_halves_that_do_not_end_in_time_cost_the_connection() {
    let mut rig = Rig::hot();
    rig.deactivate();
    rig.stopped(&HOT[1..]);
    let unfinished = Fault::Unfinished;
    assert_eq!(
        rig.wait(Duration::from_secs(300)),
        [Action::Reset(CONN, unfinished), cooling(Some(unfinished))]
    );
    assert_eq!(rig.end(unfinished), []);
    assert_eq!(rig.demote(), [cold(Some(unfinished))]);
    assert!(rig.machine.is_empty());
}

#[test]
fn halves_that_do_not_end_in_time_cost_the_connection_without_a_release() {
    let mut rig = Rig::hot();
    rig.close();
    rig.stopped(&HOT);
    let unfinished = Fault::Unfinished;
    assert_eq!(
        rig.wait(Duration::from_secs(120)),
        [Action::Reset(CONN, unfinished)]
    );
    assert_eq!(rig.demote(), [cold(Some(unfinished))]);
    assert!(rig.machine.is_empty());
}

#[test]
fn closing_while_deactivating_has_its_own_time() {
    let mut rig = Rig::hot();
    rig.deactivate();
    rig.now = rig.now.after(Duration::from_secs(10));
    rig.close();
    rig.wait(Duration::from_secs(120));
    assert_eq!(rig.stage(), Some(Stage::Cooling));
}

#[test]
fn an_error_of_the_multiplexer_while_hot_makes_the_peer_cool_and_redialled_later() {
    let mut rig = Rig::hot();
    let fault = Fault::Mux(crate::mux::Error::BearerClosed { inside: true });
    assert_eq!(rig.end(fault), [cooling(Some(fault))]);
    assert_eq!(rig.stopped(&HOT), []);
    assert_eq!(rig.demote(), [cold(Some(fault))]);
    let redial = rig.establish();
    assert!(matches!(redial[..], [Action::Acquire { request, .. }] if request == Request(2)));
}

#[test]
fn one_hot_half_is_enough_to_be_hot() {
    let mut rig = Rig::warm();
    rig.feed(Event::Activate { peer: peer() });
    let fact = Action::Fact(Fact::Activated { peer: peer() });
    assert_eq!(rig.started(&HOT[..1]), [fact]);
    assert_eq!(rig.stage(), Some(Stage::Hot));
    assert_eq!(rig.started(&HOT[1..]), []);
}

#[test]
fn what_comes_for_nobody_is_counted_and_changes_nothing_else() {
    let mut rig = Rig::hot();
    let other = Serial(99);
    let protocol = ProtocolId::CHAIN_SYNC;
    let late = [
        Event::Started {
            conn: other,
            protocol,
        },
        Event::Stopped {
            conn: other,
            protocol,
        },
        Event::Started {
            conn: CONN,
            protocol,
        },
        Event::Stopped {
            conn: CONN,
            protocol: ProtocolId::TIP_SAMPLE,
        },
        Event::Demoted { conn: other },
        Event::Ended {
            conn: other,
            fault: LOST,
        },
        Event::Acquired {
            request: Request(1),
            outcome: Err(NotAcquired::Full),
        },
        Event::Activate { peer: peer() },
        Event::Deactivate {
            peer: "10.0.0.9:1".parse().unwrap(),
        },
        Event::Close {
            peer: "10.0.0.9:1".parse().unwrap(),
        },
    ];
    for (count, event) in (1..).zip(late) {
        let mut before = rig.machine.clone();
        assert_eq!(rig.feed(event), []);
        assert_eq!(rig.machine.stale(), count);
        before.stale = count;
        assert_eq!(rig.machine, before);
    }
}

#[test]
fn one_connection_is_never_held_by_two_peers() {
    let mut rig = Rig::warm();
    let other = "10.0.0.2:3001".parse().unwrap();
    rig.feed(Event::Establish {
        peer: other,
        mode: Mode::InitiatorAndResponder,
        via: Via::Dial,
    });
    let fact = Fact::NotEstablished {
        peer: other,
        why: NotAcquired::Exists,
    };
    let actions = rig.acquired(2, agreed(14, false), true);
    assert_eq!(actions, [Action::Fact(fact)]);
    assert_eq!(rig.machine.holder(CONN), Some(peer()));
}
