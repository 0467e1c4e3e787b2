//! A toy protocol with every feature of a table: pipelining, a reply in two steps, a stream.

use core::time::Duration;

use super::*;
use crate::base::{Agency, First, ProtocolId, TimeLimit};

const IDLE: State = State(0);
const BUSY: State = State(1);
const WAIT: State = State(2);
const STREAM: State = State(3);
const DONE: State = State(4);

const ASK: u8 = 0;
const OPEN: u8 = 1;
const BYE: u8 = 2;
const LATER: u8 = 3;
const ANSWER: u8 = 4;
const ITEM: u8 = 5;
const END: u8 = 6;

static SPEC: Spec = Spec {
    protocol: ProtocolId(1),
    name: "toy",
    states: &[
        row("Idle", Agency::Client, TimeLimit::None),
        row(
            "Busy",
            Agency::Server,
            TimeLimit::Fixed(Duration::from_secs(10)),
        ),
        row(
            "Wait",
            Agency::Server,
            TimeLimit::Drawn { min: 100, max: 200 },
        ),
        row(
            "Stream",
            Agency::Server,
            TimeLimit::Fixed(Duration::from_secs(60)),
        ),
        row("Done", Agency::Nobody, TimeLimit::None),
    ],
    edges: &[
        edge(IDLE, ASK, BUSY, true),
        edge(IDLE, OPEN, STREAM, false),
        edge(IDLE, BYE, DONE, false),
        edge(BUSY, LATER, WAIT, false),
        edge(BUSY, ANSWER, IDLE, false),
        edge(WAIT, ANSWER, IDLE, false),
        edge(STREAM, ITEM, STREAM, false),
        edge(STREAM, END, IDLE, false),
    ],
};

const fn row(name: &'static str, agency: Agency, time: TimeLimit) -> StateRow {
    StateRow {
        name,
        agency,
        time,
        bytes_max: 4,
    }
}

const fn edge(from: State, kind: u8, to: State, pipelined: bool) -> Edge {
    Edge {
        from,
        label: kind,
        items: 1,
        kind: Kind(kind),
        message: "toy message",
        to,
        pipelined,
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Toy;

impl Protocol for Toy {
    const SPEC: &'static Spec = &SPEC;
    type Message = u8;

    fn kind(message: &u8) -> Kind {
        Kind(*message)
    }

    fn decode(_state: State, bytes: &Bytes) -> Result<u8, DecodeError> {
        bytes.first().copied().ok_or(DecodeError::Short)
    }

    fn encode(message: &u8, out: &mut BytesMut) -> Bytes {
        out.extend_from_slice(&[*message]);
        Bytes::new()
    }
}

const NOW: Instant = Instant::from_secs(1_000);

fn client() -> Session<Toy> {
    let mut session = Session::new(Role::Initiator, 7, 3);
    session.start(NOW, &mut First);
    session
}

fn server() -> Session<Toy> {
    let mut session = Session::new(Role::Responder, 7, 0);
    session.start(NOW, &mut First);
    session
}

fn send(session: &mut Session<Toy>, at: u64, kind: u8) -> Result<Encoded, NotAllowed> {
    let sent = session
        .turn()
        .expect("our turn")
        .send(Instant::from_secs(at), &mut First, &kind);
    session.check_invariants().unwrap();
    sent
}

fn receive(session: &mut Session<Toy>, at: u64, kind: u8) -> Result<u8, Fault> {
    let bytes = Bytes::copy_from_slice(&[kind]);
    let got = session.receive(Instant::from_secs(at), &mut First, &bytes);
    session.check_invariants().unwrap();
    got
}

fn deadline(session: &Session<Toy>) -> Option<u64> {
    session.next_deadline().map(|at| at.as_micros() / 1_000_000)
}

#[test]
fn the_toy_table_makes_sense() {
    SPEC.check().unwrap();
}

#[test]
fn pipelined_messages_keep_the_state_and_replies_come_in_order() {
    let mut c = client();
    for at in [1_000, 1_001, 1_002] {
        send(&mut c, at, ASK).unwrap();
    }
    assert_eq!((c.state(), c.outstanding()), (IDLE, 3));
    assert_eq!(send(&mut c, 1_003, ASK), Err(NotAllowed::Full { max: 3 }));
    assert_eq!(
        send(&mut c, 1_003, BYE),
        Err(NotAllowed::Outstanding { outstanding: 3 })
    );
    for left in [2, 1, 0] {
        assert_eq!(receive(&mut c, 1_003, ANSWER), Ok(ANSWER));
        assert_eq!(c.outstanding(), left);
    }
    assert_eq!(c.awaits(), None);
    send(&mut c, 1_004, BYE).unwrap();
    assert!(c.is_over() && !c.has_failed() && c.turn().is_none());
}

#[test]
fn a_wait_begins_at_the_later_of_its_request_and_the_reply_before_it() {
    let mut c = client();
    assert_eq!(deadline(&c), None);
    send(&mut c, 1_000, ASK).unwrap();
    send(&mut c, 1_005, ASK).unwrap();
    assert_eq!(deadline(&c), Some(1_010), "the first request was first");
    receive(&mut c, 1_008, ANSWER).unwrap();
    assert_eq!(deadline(&c), Some(1_018), "the reply before it came later");
    receive(&mut c, 1_009, ANSWER).unwrap();
    assert_eq!(deadline(&c), None);
    send(&mut c, 1_020, ASK).unwrap();
    assert_eq!(deadline(&c), Some(1_030), "the request came later");
}

#[test]
fn a_reply_in_two_steps_starts_a_new_limit_and_holds_the_others_back() {
    let mut c = client();
    send(&mut c, 1_000, ASK).unwrap();
    send(&mut c, 1_000, ASK).unwrap();
    receive(&mut c, 1_001, LATER).unwrap();
    assert_eq!((c.awaited(), c.outstanding()), (Some(WAIT), 2));
    assert_eq!(deadline(&c), Some(1_101), "drawn anew, at least 100 s");
    receive(&mut c, 1_050, ANSWER).unwrap();
    assert_eq!((c.awaited(), deadline(&c)), (Some(BUSY), Some(1_060)));
}

#[test]
fn each_message_of_a_stream_starts_its_limit_anew() {
    let mut c = client();
    send(&mut c, 1_000, OPEN).unwrap();
    assert_eq!(deadline(&c), Some(1_060));
    receive(&mut c, 1_030, ITEM).unwrap();
    assert_eq!(deadline(&c), Some(1_090));
    assert!(c.turn().is_none());
    receive(&mut c, 1_031, END).unwrap();
    assert!(c.turn().is_some());
}

#[test]
fn time_runs_out_once_and_not_before() {
    let mut c = client();
    send(&mut c, 1_000, ASK).unwrap();
    let before = c.clone();
    assert_eq!(c.expired(Instant::from_micros(1_009_999_999)), None);
    assert_eq!(c, before);
    let late = Instant::from_secs(1_010);
    assert_eq!(c.expired(late), Some(Fault::TimedOut { state: BUSY.0 }));
    assert_eq!((c.expired(late), c.next_deadline()), (None, None));
    assert!(c.is_over() && c.has_failed() && c.turn().is_none() && c.awaits().is_none());
}

#[test]
fn a_responder_takes_one_message_at_a_time() {
    let mut s = server();
    assert_eq!(s.awaits(), Some(4));
    assert!(s.turn().is_none());
    receive(&mut s, 1_000, ASK).unwrap();
    assert_eq!(s.awaits(), None, "the next request stays where it is");
    send(&mut s, 1_000, LATER).unwrap();
    assert_eq!(s.awaits(), None);
    send(&mut s, 1_000, ANSWER).unwrap();
    assert_eq!(s.awaits(), Some(4));
}

#[test]
fn the_byte_limit_is_inclusive() {
    let mut c = client();
    send(&mut c, 1_000, ASK).unwrap();
    let mut over = c.clone();
    let at = Bytes::from_static(&[ANSWER; 4]);
    assert_eq!(c.receive(NOW, &mut First, &at), Ok(ANSWER));
    let more = Bytes::from_static(&[ANSWER; 5]);
    assert_eq!(
        over.receive(NOW, &mut First, &more),
        Err(Fault::TooLarge { max: 4 })
    );
    assert!(over.has_failed());
}

#[test]
fn every_cell_of_the_table_without_an_edge_is_a_fault() {
    let mut seen = 0;
    for (state, kind, edge) in SPEC.cells() {
        let mut s = server();
        s.role = match SPEC.row(state).map(|row| row.agency) {
            Some(Agency::Client) => Role::Responder,
            Some(Agency::Server | Agency::Nobody) | None => Role::Initiator,
        };
        s.state = state;
        let got = s.receive(NOW, &mut First, &Bytes::copy_from_slice(&[kind.0]));
        s.check_invariants().unwrap();
        match edge {
            Some(edge) => assert_eq!((got, s.state), (Ok(kind.0), edge.to)),
            None => {
                assert!(matches!(got, Err(Fault::Decode(DecodeError::Label { .. }))));
            }
        }
        seen += 1;
    }
    assert_eq!(seen, 5 * 7);
}

#[test]
fn a_message_while_it_is_our_turn_is_a_fault() {
    let mut c = client();
    assert!(receive(&mut c, 1_000, ANSWER).is_err());
    assert!(c.has_failed());
    assert!(receive(&mut c, 1_000, ANSWER).is_err(), "and stays one");
}

#[test]
fn encoding_reuses_its_memory() {
    let mut c = client();
    let mut places = alloc::collections::BTreeSet::new();
    for _ in 0..10_000 {
        let sent = send(&mut c, 1_000, ASK).unwrap();
        assert_eq!(&sent.head[..], &[ASK]);
        // Which 64 KiB the bytes lie in: a bound on how many chunks there were.
        places.insert(sent.head.as_ptr() as usize >> 16);
        drop(sent);
        receive(&mut c, 1_000, ANSWER).unwrap();
    }
    assert!(places.len() <= 8, "{} places", places.len());
}

/// Runtime relies on it: a reply to a pipelined message never ends elsewhere.
#[test]
fn every_pipelined_exchange_leads_back_to_where_it_began() {
    use crate::proto::{
        block_fetch, chain_sync, handshake, keep_alive, peer_sharing, rain_link, tip_sample,
        tx_submission,
    };
    let specs = [
        &SPEC,
        &handshake::SPEC,
        &keep_alive::SPEC,
        &chain_sync::SPEC,
        &block_fetch::SPEC,
        &peer_sharing::SPEC,
        &tip_sample::SPEC,
        &rain_link::SPEC,
        &rain_link::BULK_SPEC,
        &tx_submission::SPEC,
    ];
    let mut seen = 0;
    for spec in specs {
        for first in spec.edges.iter().filter(|edge| edge.pipelined) {
            let sender = spec.row(first.from).map(|row| row.agency);
            let mut reached = alloc::vec![first.to];
            let mut at = 0;
            while let Some(state) = reached.get(at).copied() {
                let row = spec.row(state).unwrap();
                if row.agency == Agency::Nobody || Some(row.agency) == sender {
                    assert_eq!(state, first.from, "{} {}", spec.name, first.message);
                } else {
                    let next = spec.edges_from(state).map(|edge| edge.to);
                    let new: alloc::vec::Vec<_> = next.filter(|to| !reached.contains(to)).collect();
                    reached.extend(new);
                }
                at += 1;
            }
            assert!(reached.contains(&first.from));
            seen += 1;
        }
    }
    assert!(seen >= 4, "{seen} pipelined messages");
}
