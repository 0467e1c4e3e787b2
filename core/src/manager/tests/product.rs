//! Every situation of a connection times every input, compared with a table.
//!
//! The table is the specification: a row says what changes and what is asked for; a pair that is
//! not in it changes nothing and asks for nothing.
//! src: Ouroboros network specification, "Connection Manager", transitions; ouroboros-network,
//! connection manager and inbound governor

mod tables;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};
use core::time::Duration;

use tables::TABLES;

use super::{
    super::{Config, Heat, Way},
    rig::adopted,
    *,
};

/// What a connection can be in: phase, data flow, our use, the peer's use, and how it came there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum At {
    Absent,
    Dialling,
    /// We dialled; the handshake runs.
    GreetOut,
    /// The peer dialled; the handshake runs.
    GreetIn,
    /// The same, and a request waits for it.
    GreetInWaited,
    /// Refused or queried; the peer reads that.
    Refusing,
    OutUni,
    /// Used by us, duplex, the peer's idle time runs; dialled by us.
    Tick,
    /// The same, dialled by the peer.
    TickIn,
    Cold,
    ColdIn,
    LingerUni,
    LingerDup,
    LingerDupIn,
    IdleUni,
    IdleDup,
    /// Dialled by us and released.
    IdleDupOut,
    WarmUni,
    HotUni,
    Warm,
    Hot,
    /// A warm and a hot responder.
    Both,
    /// Dialled by us and released.
    WarmOut,
    DupWarm,
    DupHot,
    DupBoth,
    /// Dialled by the peer.
    DupWarmIn,
    /// Ended for idleness; remembered.
    Quarantine,
    /// Ended after our release; remembered, and the demotion is still to be told.
    QuarantineOwed,
    /// As the first, and a request waits.
    QuarantineWaited,
}

const EVERY: [At; 30] = [
    At::Absent,
    At::Dialling,
    At::GreetOut,
    At::GreetIn,
    At::GreetInWaited,
    At::Refusing,
    At::OutUni,
    At::Tick,
    At::TickIn,
    At::Cold,
    At::ColdIn,
    At::LingerUni,
    At::LingerDup,
    At::LingerDupIn,
    At::IdleUni,
    At::IdleDup,
    At::IdleDupOut,
    At::WarmUni,
    At::HotUni,
    At::Warm,
    At::Hot,
    At::Both,
    At::WarmOut,
    At::DupWarm,
    At::DupHot,
    At::DupBoth,
    At::DupWarmIn,
    At::Quarantine,
    At::QuarantineOwed,
    At::QuarantineWaited,
];

/// What can happen to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum In {
    /// Somebody wants the peer.
    Acquire,
    /// Somebody wants the peer, but not by dialling.
    AcquireInbound,
    /// The request that made it, or waits for it, is taken back.
    Cancel,
    Release,
    Abort,
    /// A socket with the same two addresses is accepted.
    Accept,
    Connected,
    ConnectFailed,
    AgreedDuplex,
    AgreedOneWay,
    Lingering,
    StartWarm,
    StartHot,
    EndWarm,
    EndHot,
    Ended,
    /// The time of the peer's idleness, our lingering or the quarantine is over.
    Due,
    /// Half of it is.
    Early,
}

const INPUTS: [In; 18] = [
    In::Acquire,
    In::AcquireInbound,
    In::Cancel,
    In::Release,
    In::Abort,
    In::Accept,
    In::Connected,
    In::ConnectFailed,
    In::AgreedDuplex,
    In::AgreedOneWay,
    In::Lingering,
    In::StartWarm,
    In::StartHot,
    In::EndWarm,
    In::EndHot,
    In::Ended,
    In::Due,
    In::Early,
];

/// What each situation is called, and what the peer does in it.
const NAMES: [(At, State, Option<Heat>); 29] = {
    use Heat::{Cold, Hot, Idle, Warm};
    [
        (At::Dialling, State::ReservedOutbound, None),
        (At::GreetOut, State::UnnegotiatedOutbound, None),
        (At::GreetIn, State::UnnegotiatedInbound, None),
        (At::GreetInWaited, State::UnnegotiatedInbound, None),
        (At::Refusing, State::Terminating, None),
        (At::OutUni, State::OutboundUni, None),
        (At::Tick, State::OutboundDupTicking, Some(Idle)),
        (At::TickIn, State::OutboundDupTicking, Some(Idle)),
        (At::Cold, State::OutboundDupExpired, Some(Cold)),
        (At::ColdIn, State::OutboundDupExpired, Some(Cold)),
        (At::LingerUni, State::OutboundIdleUni, None),
        (At::LingerDup, State::OutboundIdleDup, Some(Cold)),
        (At::LingerDupIn, State::OutboundIdleDup, Some(Cold)),
        (At::IdleUni, State::InboundIdleUni, Some(Idle)),
        (At::IdleDup, State::InboundIdleDup, Some(Idle)),
        (At::IdleDupOut, State::InboundIdleDup, Some(Idle)),
        (At::WarmUni, State::InboundUni, Some(Warm)),
        (At::HotUni, State::InboundUni, Some(Hot)),
        (At::Warm, State::InboundDup, Some(Warm)),
        (At::Hot, State::InboundDup, Some(Hot)),
        (At::Both, State::InboundDup, Some(Hot)),
        (At::WarmOut, State::InboundDup, Some(Warm)),
        (At::DupWarm, State::Duplex, Some(Warm)),
        (At::DupHot, State::Duplex, Some(Hot)),
        (At::DupBoth, State::Duplex, Some(Hot)),
        (At::DupWarmIn, State::Duplex, Some(Warm)),
        (At::Quarantine, State::Terminating, None),
        (At::QuarantineOwed, State::Terminating, None),
        (At::QuarantineWaited, State::Terminating, None),
    ]
};

/// A row: in these situations, upon this input, the connection goes there and this is asked for.
type Row = (&'static [At], In, Next, &'static str);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Its state stays.
    Same,
    /// This connection's new state and the peer's use.
    Is(State, Option<Heat>),
    /// Out of the table.
    Gone,
    /// Out of the table, and a new connection is greeted.
    Succeeded,
    /// It stays, and another one is new.
    Joined,
}

const fn is(state: State, heat: Heat) -> Next {
    Next::Is(state, Some(heat))
}

const fn bare(state: State) -> Next {
    Next::Is(state, None)
}

const USED: &[At] = &[
    At::OutUni,
    At::Tick,
    At::TickIn,
    At::Cold,
    At::ColdIn,
    At::DupWarm,
    At::DupHot,
    At::DupBoth,
    At::DupWarmIn,
];
/// Open, and we hold it: used or lingering.
const HELD: &[At] = &[
    At::OutUni,
    At::Tick,
    At::TickIn,
    At::Cold,
    At::ColdIn,
    At::DupWarm,
    At::DupHot,
    At::DupBoth,
    At::DupWarmIn,
    At::LingerUni,
    At::LingerDup,
    At::LingerDupIn,
];
/// Open, and we do not hold it.
const THEIRS: &[At] = &[
    At::IdleUni,
    At::IdleDup,
    At::IdleDupOut,
    At::WarmUni,
    At::HotUni,
    At::Warm,
    At::Hot,
    At::Both,
    At::WarmOut,
];

/// A rig brought into a situation, the connection, and the request that made it or waits.
struct Scene {
    rig: Rig,
    conn: Serial,
    request: Request,
}

fn scene(at: At) -> Scene {
    let mut rig = Rig::open();
    let them = peer(1);
    let conn = bring(&mut rig, at);
    let request = match at {
        At::GreetInWaited | At::QuarantineWaited => {
            let (request, actions) = rig.acquire(them);
            assert_eq!(words(&actions), "", "{at:?} waits");
            assert_eq!(rig.manager.waiting(), 1);
            request
        }
        _ => Request(1),
    };
    if let Some((_, state, heat)) = NAMES.iter().find(|(name, ..)| *name == at) {
        assert_eq!(
            (rig.state(conn), rig.manager.heat(conn)),
            (*state, *heat),
            "{at:?}"
        );
    } else {
        assert_eq!(rig.manager.len(), 0);
    }
    Scene { rig, conn, request }
}

fn bring(rig: &mut Rig, at: At) -> Serial {
    let them = peer(1);
    let idle = Duration::from_secs(5);
    match at {
        At::Absent => Serial(99),
        At::Dialling => rig.dialling(them),
        At::GreetOut => rig.greeting(them),
        At::GreetIn | At::GreetInWaited => rig.accepted(them),
        At::Refusing => {
            let conn = rig.accepted(them);
            rig.feed(Event::Lingering { conn });
            conn
        }
        At::OutUni => rig.dialled(them, ONE_WAY),
        At::Tick => rig.dialled(them, DUPLEX),
        At::IdleUni => rig.inbound(them, ONE_WAY),
        At::IdleDup => rig.inbound(them, DUPLEX),
        At::TickIn => after(rig, At::IdleDup, |rig, _| drop(rig.acquire(peer(1)))),
        At::Cold => after(rig, At::Tick, |rig, _| drop(rig.tick(idle))),
        At::ColdIn => after(rig, At::TickIn, |rig, _| drop(rig.tick(idle))),
        At::LingerUni => after(rig, At::OutUni, |rig, conn| drop(rig.release(conn))),
        At::LingerDup => after(rig, At::Cold, |rig, conn| drop(rig.release(conn))),
        At::LingerDupIn => after(rig, At::ColdIn, |rig, conn| drop(rig.release(conn))),
        At::IdleDupOut => after(rig, At::Tick, |rig, conn| drop(rig.release(conn))),
        At::WarmUni => after(rig, At::IdleUni, |rig, conn| drop(rig.start(conn, WARM))),
        At::HotUni => after(rig, At::IdleUni, |rig, conn| drop(rig.start(conn, HOT))),
        At::Warm => after(rig, At::IdleDup, |rig, conn| drop(rig.start(conn, WARM))),
        At::Hot => after(rig, At::IdleDup, |rig, conn| drop(rig.start(conn, HOT))),
        At::Both => after(rig, At::Warm, |rig, conn| drop(rig.start(conn, HOT))),
        At::WarmOut => after(rig, At::DupWarm, |rig, conn| drop(rig.release(conn))),
        At::DupWarm => after(rig, At::Tick, |rig, conn| drop(rig.start(conn, WARM))),
        At::DupHot => after(rig, At::Cold, |rig, conn| drop(rig.start(conn, HOT))),
        At::DupBoth => after(rig, At::DupWarm, |rig, conn| drop(rig.start(conn, HOT))),
        At::DupWarmIn => after(rig, At::Warm, |rig, _| drop(rig.acquire(peer(1)))),
        At::Quarantine | At::QuarantineWaited => {
            after(rig, At::IdleDup, |rig, _| drop(rig.tick(idle)))
        }
        At::QuarantineOwed => after(rig, At::LingerDup, |rig, _| drop(rig.tick(idle))),
    }
}

fn after(rig: &mut Rig, at: At, then: impl Fn(&mut Rig, Serial)) -> Serial {
    let conn = bring(rig, at);
    then(rig, conn);
    conn
}

fn feed(scene: &mut Scene, at: At, input: In) -> Vec<Action> {
    let Scene { rig, conn, request } = scene;
    let conn = *conn;
    let them = peer(1);
    let span = Duration::from_secs(match at {
        At::Quarantine | At::QuarantineOwed | At::QuarantineWaited => 60,
        _ => 5,
    });
    match input {
        In::Acquire => rig.acquire(them).1,
        In::AcquireInbound => rig.acquire_via(them, DUPLEX, Via::Inbound).1,
        In::Cancel => rig.cancel(*request),
        In::Release => rig.release(conn),
        In::Abort => rig.feed(Event::Abort(conn, Fault::Unfinished)),
        In::Accept => rig.accept_from(them),
        In::Connected => rig.feed(Event::Connected {
            conn,
            local: home(),
        }),
        In::ConnectFailed => rig.feed(Event::ConnectFailed {
            conn,
            cause: Cause::Refused,
        }),
        In::AgreedDuplex => rig.agree(conn, DUPLEX),
        In::AgreedOneWay => rig.agree(conn, ONE_WAY),
        In::Lingering => rig.feed(Event::Lingering { conn }),
        In::StartWarm => rig.start(conn, WARM),
        In::StartHot => rig.start(conn, HOT),
        In::EndWarm => rig.stop(conn, WARM),
        In::EndHot => rig.stop(conn, HOT),
        In::Ended => rig.ended(conn),
        In::Due => rig.tick(span),
        In::Early => rig.tick(span / 2),
    }
}

fn row(at: At, input: In) -> Option<&'static Row> {
    let mut rows = TABLES
        .iter()
        .flat_map(|table| table.iter())
        .filter(|row| row.0.contains(&at) && row.1 == input);
    let row = rows.next();
    assert!(rows.next().is_none(), "two rows for {at:?} and {input:?}");
    row
}

/// What is different from the table, if anything.
fn compare(at: At, input: In) -> Result<(), String> {
    let mut scene = scene(at);
    let was = (
        scene.rig.state(scene.conn),
        scene.rig.manager.heat(scene.conn),
    );
    let before: BTreeSet<Serial> = scene.rig.manager.conns().map(|(conn, _)| conn).collect();
    let actions = feed(&mut scene, at, input);
    let rig = &scene.rig;
    let now = (rig.state(scene.conn), rig.manager.heat(scene.conn));
    let new: BTreeMap<Serial, State> = rig
        .manager
        .conns()
        .filter(|(conn, _)| !before.contains(conn))
        .collect();
    let (next, asked) = row(at, input).map_or((Next::Same, ""), |row| (row.2, row.3));
    let (expected, news) = match next {
        Next::Same => (was, 0),
        Next::Joined => (was, 1),
        Next::Is(state, heat) => ((state, heat), 0),
        Next::Gone => ((State::Unknown, None), 0),
        Next::Succeeded => ((State::Unknown, None), 1),
    };
    let got = words(&actions);
    if now == expected && new.len() == news && got == asked {
        return Ok(());
    }
    Err(format!(
        "{at:?}, {input:?}: {now:?} and {} new, asks \"{got}\"; the table says {expected:?} and \
         {news} new, \"{asked}\"",
        new.len()
    ))
}

#[test]
fn every_situation_and_input_is_as_the_table_says() {
    let mut wrong = Vec::new();
    let mut compared = 0;
    for at in EVERY {
        for input in INPUTS {
            compared += 1;
            wrong.extend(compare(at, input).err());
        }
    }
    assert_eq!(compared, 540);
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn every_row_of_the_table_names_reachable_pairs_once() {
    let mut pairs = BTreeSet::new();
    for row in TABLES.iter().flat_map(|table| table.iter()) {
        for at in row.0 {
            assert!(pairs.insert((*at, row.1)), "{at:?} and {:?} twice", row.1);
            assert!(EVERY.contains(at) && INPUTS.contains(&row.1));
        }
    }
    assert!(pairs.len() > 150, "{}", pairs.len());
    let named: BTreeSet<At> = NAMES.iter().map(|name| name.0).collect();
    assert_eq!(named.len() + 1, EVERY.len());
    let states: BTreeSet<State> = NAMES.iter().map(|name| name.1).collect();
    assert_eq!(states.len(), 14, "all but those outside the table");
}

/// What an explanation says would change a connection, as inputs of the table.
fn input(way: Way, at: At) -> In {
    match way {
        Way::Connected => In::Connected,
        Way::AgreedDuplex => In::AgreedDuplex,
        Way::AgreedOneWay => In::AgreedOneWay,
        Way::Refused => In::Lingering,
        Way::Acquire => In::Acquire,
        Way::Release => In::Release,
        Way::PeerStarts => In::StartWarm,
        Way::PeerEnds if matches!(at, At::HotUni | At::Hot | At::DupHot) => In::EndHot,
        Way::PeerEnds => In::EndWarm,
        Way::Timer => In::Due,
        Way::PeerReturns => In::Accept,
    }
}

#[test]
fn an_explanation_says_what_the_table_says() {
    let mut told = 0;
    for (at, state, heat) in NAMES {
        let Scene { rig, conn, .. } = scene(at);
        let explained = rig.manager.explain(peer(1));
        assert_eq!(explained, rig.manager.explain_all(), "{at:?}");
        let [it] = &explained[..] else {
            panic!("{at:?}: {explained:?}")
        };
        assert_eq!((it.conn, it.state, it.heat), (conn, state, heat));
        let waits = matches!(at, At::GreetInWaited | At::QuarantineWaited);
        assert_eq!(it.waiting, usize::from(waits), "{at:?}");
        // It has a timer exactly where time alone changes something, and that fires then.
        assert_eq!(it.timer.is_some(), row(at, In::Due).is_some(), "{at:?}");
        for (way, to) in &it.ways {
            // Both responders would have to end.
            if *way == Way::PeerEnds && matches!(at, At::Both | At::DupBoth) {
                continue;
            }
            told += 1;
            let row = row(at, input(*way, at));
            let next = row.map_or(Next::Same, |row| row.2);
            // Who waits has it at once.
            let fits = match next {
                Next::Is(next, _) => next == *to || at == At::GreetInWaited,
                Next::Gone => *to == State::Terminated,
                Next::Succeeded => *to == State::UnnegotiatedInbound || at == At::QuarantineWaited,
                Next::Same | Next::Joined => false,
            };
            assert!(fits, "{at:?}: {way} to {to:?}, the table says {next:?}");
        }
        for row in TABLES.iter().flat_map(|table| table.iter()) {
            if let Next::Is(to, _) = row.2
                && row.0.contains(&at)
                && to != state
                && at != At::GreetInWaited
            {
                assert!(
                    it.ways.iter().any(|way| way.1 == to),
                    "{at:?}: {to:?} is not told"
                );
            }
        }
    }
    assert!(told > 50, "{told}");
}

/// The two steps of a peer that is hot at once are both told.
#[test]
fn a_first_hot_responder_passes_through_warm_and_a_last_one_too() {
    use super::super::Trace;
    let heats = |actions: &[Action]| -> Vec<(Option<Heat>, Option<Heat>)> {
        let heat = |action: &Action| match action {
            Action::Trace(Trace::Remote { from, to, .. }) => Some((*from, *to)),
            _ => None,
        };
        actions.iter().filter_map(heat).collect()
    };
    for at in [At::IdleUni, At::IdleDup, At::Tick] {
        let Scene { mut rig, conn, .. } = scene(at);
        let [idle, warm, hot] = [Some(Heat::Idle), Some(Heat::Warm), Some(Heat::Hot)];
        assert_eq!(heats(&rig.start(conn, HOT)), [(idle, warm), (warm, hot)]);
        assert_eq!(heats(&rig.stop(conn, HOT)), [(hot, warm), (warm, idle)]);
    }
    let Scene { mut rig, conn, .. } = scene(At::Cold);
    let [cold, warm, hot] = [Some(Heat::Cold), Some(Heat::Warm), Some(Heat::Hot)];
    assert_eq!(heats(&rig.start(conn, HOT)), [(cold, warm), (warm, hot)]);
}

/// A shutdown ends every situation and answers who waits.
#[test]
fn a_shutdown_ends_every_situation() {
    for at in EVERY {
        let Scene { mut rig, conn, .. } = scene(at);
        let held = rig.watch.held();
        let actions = rig.feed(Event::Shutdown);
        let mut answers = outcomes(&actions);
        if rig.state(conn) != State::Unknown {
            assert_eq!(
                closed(&actions),
                [(conn, Fault::Closed)],
                "{at:?} is ended in order"
            );
            let fault = Fault::Closed;
            answers.extend(outcomes(&rig.feed(Event::Ended { conn, fault })));
        }
        for (_, outcome) in answers {
            assert_eq!(outcome, Err(NotAcquired::Shutdown), "{at:?}");
        }
        assert_eq!(rig.watch.due(), 0, "{at:?}: every request is answered");
        assert!(rig.watch.stopped, "{at:?}");
        assert!(rig.watch.all_gone(), "{at:?}");
        assert_eq!(rig.watch.held(), 0, "{at:?}: {held} were held");
        let (_, actions) = rig.acquire(peer(2));
        assert_eq!(words(&actions), "no shutdown");
        let refused = rig.accept_from(peer(3));
        assert_eq!(
            (words(&refused).as_str(), adopted(&refused)),
            ("reset", None)
        );
    }
}

#[test]
fn a_dial_that_asks_for_one_way_offers_one_way() {
    let mut rig = Rig::open();
    let (_, actions) = rig.acquire_via(peer(1), ONE_WAY, Via::Dial);
    assert_eq!(words(&actions), "dial");
    let conn = Serial(1);
    let greet = rig.feed(Event::Connected {
        conn,
        local: home(),
    });
    assert!(
        greet
            .iter()
            .any(|action| matches!(action, Action::Greet { mode: ONE_WAY, .. })),
        "{}",
        words(&greet)
    );
    rig.agree(conn, ONE_WAY);
    assert_eq!(rig.state(conn), State::OutboundUni);
}

/// A node that runs no responders offers and binds for one way, whatever is asked.
#[test]
fn a_node_without_responders_never_offers_duplex() {
    let mut rig = Rig::listening(Config {
        mode: ONE_WAY,
        ..Config::default()
    });
    let (_, actions) = rig.acquire(peer(1));
    assert!(matches!(
        actions.iter().find(|a| matches!(a, Action::Dial { .. })),
        Some(Action::Dial { bind: None, .. })
    ),);
    let greet = rig.feed(Event::Connected {
        conn: Serial(1),
        local: home(),
    });
    assert!(
        greet
            .iter()
            .any(|action| matches!(action, Action::Greet { mode: ONE_WAY, .. }))
    );
}
