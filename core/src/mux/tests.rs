use core::time::Duration;
use std::{collections::BTreeMap, vec, vec::Vec};

use proptest::prelude::*;

use super::*;
use crate::{
    base::{First, NoRules},
    wire::frame::Header,
};

const fn half(number: u16, role: Role) -> HalfId {
    HalfId {
        protocol: ProtocolId(number),
        role,
    }
}

const CLIENT: HalfId = half(2, Role::Initiator);
const SERVER: HalfId = half(2, Role::Responder);
const HALVES: [HalfId; 4] = [
    CLIENT,
    half(3, Role::Initiator),
    half(8, Role::Initiator),
    half(2, Role::Responder),
];

/// A multiplexer and its clock; every step is followed by a check of the invariants.
struct Bench {
    mux: Mux,
    now: Instant,
}

impl Bench {
    fn new(config: &Config, halves: &[HalfId], max: u32) -> Self {
        let mut mux = Mux::new(config);
        for half in halves {
            mux.register(*half, max);
        }
        let now = Instant::from_secs(1);
        Self { mux, now }
    }

    fn step(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        let tick = event == Event::Tick;
        let mut choice = First;
        let mut cx = Cx::new(self.now, &mut choice, &NoRules, &mut out);
        self.mux.step(&mut cx, event);
        self.mux.check_invariants().unwrap();
        if tick {
            assert!(self.mux.next_deadline().is_none_or(|at| at > self.now));
        }
        out
    }

    fn send(&mut self, half: HalfId, head: &[u8], body: Bytes) {
        let head = Bytes::copy_from_slice(head);
        let message = Encoded { head, body };
        assert_eq!(self.step(Event::Send { half, message }), []);
    }

    /// Ends the turn; the batches.
    fn turn(&mut self) -> Vec<Batch> {
        self.step(Event::Turn)
            .into_iter()
            .filter_map(batch)
            .collect()
    }

    fn received(&mut self, bytes: &[u8]) -> Vec<Action> {
        self.step(Event::Received(Bytes::copy_from_slice(bytes)))
    }

    fn taken(&mut self, half: HalfId) -> Vec<u8> {
        self.mux.take(half).collect::<Vec<_>>().concat()
    }

    /// Early ticks change nothing; then the time has come.
    fn tick_at_deadline(&mut self, after: Duration) -> Vec<Action> {
        let at = self.mux.next_deadline().unwrap();
        assert_eq!(at.since(self.now), after);
        self.now = Instant::from_micros(at.as_micros() - 1);
        let before = self.mux.clone();
        assert_eq!(self.step(Event::Tick), []);
        assert_eq!(self.mux, before);
        self.now = at;
        self.step(Event::Tick)
    }
}

fn batch(action: Action) -> Option<Batch> {
    match action {
        Action::Write(batch) => Some(batch),
        Action::Ready(_) | Action::Room(_) | Action::Failed(_) | Action::Drained { .. } => None,
    }
}

fn bytes(batch: &Batch) -> usize {
    batch.iter().map(Bytes::len).sum()
}

/// The headers in batches.
fn headers(batches: &[Batch]) -> Vec<Header> {
    let mut wire = Bytes::from(batches.concat().concat());
    let mut deframer = Deframer::new();
    let mut out = Vec::new();
    while let Some(piece) = deframer.next(&mut wire).unwrap() {
        out.push(piece.header);
    }
    assert!(!deframer.is_inside());
    out
}

/// A whole segment as its sender writes it.
fn segment(sender: HalfId, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        time_us: 0,
        sender: sender.role,
        protocol: sender.protocol,
        len: u16::try_from(payload.len()).unwrap(),
    };
    [&header.encode()[..], payload].concat()
}

#[test]
fn a_message_arrives_at_the_other_half() {
    let mut a = Bench::new(&Config::default(), &[CLIENT], 1_000);
    let mut b = Bench::new(&Config::default(), &[SERVER], 1_000);
    a.now = Instant::from_micros(0x7_0102_0304);
    a.send(CLIENT, &[0x81, 0], Bytes::new());
    let batches = a.turn();
    let wire = [1, 2, 3, 4, 0, 2, 0, 2, 0x81, 0];
    assert_eq!(batches.concat().concat(), wire);
    assert_eq!(a.mux.in_flight(), 10);
    assert_eq!(b.received(&wire), [Action::Ready(SERVER)]);
    assert_eq!(b.taken(SERVER), [0x81, 0]);
    assert_eq!(b.mux.waiting(SERVER), 0);
}

#[test]
fn short_messages_share_a_segment_and_long_payloads_are_not_copied() {
    let mut a = Bench::new(&Config::default(), &[CLIENT], 0);
    let body = Bytes::from(vec![7; 30_000]);
    a.send(CLIENT, &[1, 2], Bytes::new());
    a.send(CLIENT, &[3], body.clone());
    a.send(CLIENT, &[4], Bytes::from_static(&[5, 6]));
    let batches = a.turn();
    assert_eq!(batches.len(), 1);
    let lens: Vec<u16> = headers(&batches).iter().map(|header| header.len).collect();
    assert_eq!(lens, [12_288, 12_288, 30_006 - 2 * 12_288]);
    let mut at = 0;
    for part in batches[0].iter().filter(|part| part.len() > 1_024) {
        assert_eq!(part.as_ptr(), body[at..].as_ptr(), "shared");
        at += part.len();
    }
    assert_eq!(at, body.len());
    assert_eq!(
        batches[0].len(),
        7,
        "header, slice, …, header, slice, the last three bytes"
    );
    assert_eq!(&batches[0][6][..], [4, 5, 6]);
}

#[test]
fn three_halves_take_turns_of_one_segment() {
    let mut a = Bench::new(&Config::default(), &HALVES[..3], 0);
    a.send(HALVES[0], &[], Bytes::from(vec![0; 60_000]));
    a.send(HALVES[1], &[], Bytes::from(vec![1; 30_000]));
    a.send(HALVES[2], &[2], Bytes::new());
    let order: Vec<u16> = headers(&a.turn()).iter().map(|h| h.protocol.0).collect();
    assert_eq!(order, [2, 3, 8, 2, 3, 2, 3, 2, 2]);
    // A half that comes late waits for one segment of each other.
    for (turn, window) in [(1, 24_592), (2, 1 << 20)] {
        let config = Config {
            window_bytes: window,
            ..Config::default()
        };
        let mut a = Bench::new(&config, &HALVES[..3], 0);
        a.send(HALVES[0], &[], Bytes::from(vec![0; 60_000]));
        a.send(HALVES[1], &[], Bytes::from(vec![1; 60_000]));
        let first = headers(&a.turn()).len();
        assert_eq!(first, if turn == 1 { 2 } else { 10 });
        a.send(HALVES[2], &[2], Bytes::new());
        a.step(Event::Flushed(24_592));
        let next: Vec<u16> = headers(&a.turn()).iter().map(|h| h.protocol.0).collect();
        assert_eq!(next, if turn == 1 { vec![2, 3] } else { vec![8] });
    }
}

#[test]
fn batches_keep_their_bounds() {
    let config = Config {
        window_bytes: 1 << 20,
        ..Config::default()
    };
    let mut a = Bench::new(&config, &[CLIENT], 0);
    a.send(CLIENT, &[], Bytes::from(vec![0; 600_000]));
    let batches = a.turn();
    assert!(batches.iter().all(|batch| bytes(batch) <= BATCH_BYTES_MAX));
    assert_eq!(batches.len(), 5);
    assert_eq!(bytes(&batches[0]), 10 * 12_296);
    let tiny = Config {
        segment_bytes_max: 1,
        ..config
    };
    let mut a = Bench::new(&tiny, &[CLIENT], 0);
    a.send(CLIENT, &[0; 250], Bytes::new());
    let counts: Vec<usize> = a.turn().iter().map(|batch| bytes(batch) / 9).collect();
    assert_eq!(counts, [BATCH_SEGMENTS_MAX, BATCH_SEGMENTS_MAX, 50]);
}

#[test]
fn credit_is_spent_and_comes_back() {
    let config = Config {
        window_bytes: 30_000,
        ..Config::default()
    };
    let mut a = Bench::new(&config, &[CLIENT], 0);
    a.send(CLIENT, &[], Bytes::from(vec![0; 60_000]));
    assert_eq!(a.turn().iter().map(bytes).sum::<usize>(), 2 * 12_296);
    assert_eq!(a.turn(), Vec::<Batch>::new());
    a.step(Event::Flushed(6_000));
    assert_eq!(
        a.turn(),
        Vec::<Batch>::new(),
        "not enough for a whole segment"
    );
    a.step(Event::Flushed(900));
    assert_eq!(a.turn().iter().map(bytes).sum::<usize>(), 12_296);
    assert_eq!(a.mux.pending(), 60_000 - 3 * 12_288);
    // A window smaller than a segment is raised to it.
    let config = Config {
        window_bytes: 0,
        ..config
    };
    let mut a = Bench::new(&config, &[CLIENT], 0);
    a.send(CLIENT, &[], Bytes::from(vec![0; 20_000]));
    assert_eq!(a.turn().iter().map(bytes).sum::<usize>(), 12_296);
}

#[test]
fn a_half_below_the_soft_limit_has_room_for_a_whole_message() {
    let mut a = Bench::new(&Config::default(), &[CLIENT], 0);
    a.send(CLIENT, &[], Bytes::from(vec![0; EGRESS_BYTES_SOFT - 1]));
    assert!(a.mux.room(CLIENT));
    a.send(CLIENT, &[], Bytes::from(vec![0; 400_000]));
    assert!(!a.mux.room(CLIENT));
    a.send(CLIENT, &[1], Bytes::new());
    assert_eq!(
        a.mux.queued(CLIENT),
        EGRESS_BYTES_SOFT + 400_000,
        "nothing is lost"
    );
    let mut said = 0;
    while a.mux.pending() > 0 {
        let before = a.mux.room(CLIENT);
        let out = a.step(Event::Turn);
        let room = out.contains(&Action::Room(CLIENT));
        assert_eq!(room, !before && a.mux.room(CLIENT));
        said += usize::from(room);
        a.step(Event::Flushed(a.mux.in_flight()));
    }
    assert_eq!(said, 1);
    assert!(!a.mux.room(SERVER), "not registered");
}

#[test]
fn ingress_holds_its_maximum_and_not_one_more() {
    let mut b = Bench::new(&Config::default(), &[SERVER], 10);
    assert_eq!(
        b.received(&segment(CLIENT, &[1; 6])),
        [Action::Ready(SERVER)]
    );
    assert_eq!(b.received(&segment(CLIENT, &[2; 4])), []);
    let mut over = Bench {
        mux: b.mux.clone(),
        now: b.now,
    };
    let error = Error::IngressQueueOverRun {
        protocol: ProtocolId(2),
        role: Role::Initiator,
        max: 10,
    };
    assert_eq!(
        over.received(&segment(CLIENT, &[3])),
        [Action::Failed(error)]
    );
    assert_eq!(
        over.received(&segment(CLIENT, &[3])),
        [],
        "nothing follows the end"
    );
    assert_eq!(over.taken(SERVER).len(), 10);
    assert_eq!(b.taken(SERVER), [1, 1, 1, 1, 1, 1, 2, 2, 2, 2]);
    assert_eq!(
        b.received(&segment(CLIENT, &[3; 10])),
        [Action::Ready(SERVER)]
    );
}

#[test]
fn segments_for_nobody_end_the_connection() {
    let table = [
        (
            segment(half(7, Role::Initiator), &[0]),
            Error::UnknownMiniProtocol(ProtocolId(7)),
        ),
        (
            segment(SERVER, &[0]),
            Error::InitiatorOnly {
                protocol: ProtocolId(2),
                role: Role::Initiator,
            },
        ),
        (segment(CLIENT, &[]), Error::SduDecodeError),
    ];
    for (wire, error) in table {
        let mut b = Bench::new(&Config::default(), &[SERVER], 10);
        let wire = [segment(CLIENT, &[9]), wire].concat();
        let out = b.received(&wire);
        assert_eq!(out, [Action::Ready(SERVER), Action::Failed(error)]);
        assert!(b.mux.has_ended());
        assert_eq!(b.taken(SERVER), [9]);
    }
}

#[test]
fn what_a_half_gives_back_comes_first_and_counts() {
    let mut b = Bench::new(&Config::default(), &[SERVER], 5);
    b.mux.give_back(SERVER, Bytes::from_static(&[1, 2]));
    assert_eq!(
        b.received(&segment(CLIENT, &[3])),
        [],
        "the queue was not empty"
    );
    assert_eq!(b.received(&segment(CLIENT, &[4])), []);
    b.mux.give_back(SERVER, Bytes::from_static(&[0]));
    b.mux.give_back(SERVER, Bytes::new());
    assert_eq!(b.mux.waiting(SERVER), 5);
    let mut c = Bench {
        mux: b.mux.clone(),
        now: b.now,
    };
    assert_eq!(b.taken(SERVER), [0, 1, 2, 3, 4]);
    assert!(matches!(
        c.received(&segment(CLIENT, &[5]))[..],
        [Action::Failed(_)]
    ));
}

#[test]
fn bytes_that_are_not_taken_do_not_keep_their_reads_alive() {
    let mut b = Bench::new(&Config::default(), &[SERVER], 1_000);
    let read = Bytes::from(segment(CLIENT, &[1; 100]));
    b.step(Event::Received(read.clone()));
    assert!(!read.is_unique());
    b.step(Event::Received(Bytes::from(segment(CLIENT, &[2; 3]))));
    assert!(read.is_unique());
    assert_eq!(b.taken(SERVER).len(), 103);
}

#[test]
fn each_segment_has_its_own_time_to_arrive() {
    let span = Duration::from_secs(30);
    let mut b = Bench::new(&Config::default(), &[SERVER], 1_000);
    assert_eq!(b.mux.next_deadline(), None, "no timer before a first byte");
    let wire = segment(CLIENT, &[1; 20]);
    b.received(&wire[..1]);
    let first = b.mux.next_deadline().unwrap();
    assert_eq!(first, b.now.after(span));
    b.now = b.now.after(Duration::from_secs(29));
    b.received(&wire[1..15]);
    assert_eq!(b.mux.next_deadline(), Some(first), "the same segment");
    let mut late = Bench {
        mux: b.mux.clone(),
        now: b.now,
    };
    let end = late.tick_at_deadline(Duration::from_secs(1));
    assert_eq!(end, [Action::Failed(Error::SduReadTimeout)]);
    b.received(&[&wire[15..], &wire[..9]].concat());
    assert_eq!(
        b.mux.next_deadline(),
        Some(b.now.after(span)),
        "the next segment"
    );
    b.received(&wire[9..]);
    assert_eq!(b.mux.next_deadline(), None);
}

#[test]
fn a_kernel_that_takes_nothing_ends_the_connection() {
    let span = Duration::from_secs(30);
    let mut a = Bench::new(&Config::default(), &[CLIENT], 0);
    a.send(CLIENT, &[0; 100], Bytes::new());
    assert_eq!(a.mux.next_deadline(), None);
    a.turn();
    a.now = a.now.after(Duration::from_secs(20));
    a.send(CLIENT, &[0; 100], Bytes::new());
    a.turn();
    assert_eq!(
        a.mux.next_deadline().unwrap().since(a.now),
        Duration::from_secs(10)
    );
    a.step(Event::Flushed(1));
    assert_eq!(a.mux.next_deadline().unwrap().since(a.now), span);
    let mut b = Bench {
        mux: a.mux.clone(),
        now: a.now,
    };
    assert_eq!(
        a.tick_at_deadline(span),
        [Action::Failed(Error::SduWriteTimeout)]
    );
    b.step(Event::Flushed(215));
    assert_eq!((b.mux.next_deadline(), b.mux.in_flight()), (None, 0));
}

#[test]
fn a_stop_lets_what_is_queued_leave() {
    let mut a = Bench::new(&Config::default(), &[CLIENT], 0);
    let mut idle = Bench {
        mux: a.mux.clone(),
        now: a.now,
    };
    assert_eq!(idle.step(Event::Stop), [Action::Drained { left: 0 }]);
    a.send(CLIENT, &[0; 100], Bytes::new());
    assert_eq!(a.step(Event::Stop), []);
    assert_eq!(
        a.received(&segment(SERVER, &[1])),
        [],
        "nothing is read any more"
    );
    let mut slow = Bench {
        mux: a.mux.clone(),
        now: a.now,
    };
    assert_eq!(bytes(&a.turn()[0]), 108);
    assert_eq!(a.step(Event::Flushed(100)), []);
    assert_eq!(a.step(Event::Flushed(8)), [Action::Drained { left: 0 }]);
    assert_eq!(a.step(Event::Stop), []);
    slow.turn();
    slow.step(Event::Flushed(30));
    let end = slow.tick_at_deadline(Duration::from_secs(2));
    assert_eq!(end, [Action::Drained { left: 78 }]);
}

#[test]
fn the_end_of_the_stream_is_fatal_at_once_only_inside_a_segment() {
    let mut b = Bench::new(&Config::default(), &[SERVER], 10);
    let mut inside = Bench {
        mux: b.mux.clone(),
        now: b.now,
    };
    inside.received(&[0]);
    assert!(inside.mux.is_inside_segment());
    let closed = |inside| Action::Failed(Error::BearerClosed { inside });
    assert_eq!(inside.step(Event::Eof), [closed(true)]);
    b.received(&segment(CLIENT, &[1]));
    assert_eq!(b.step(Event::Eof), []);
    assert_eq!(b.taken(SERVER), [1]);
    b.send(SERVER, &[2], Bytes::new());
    assert_eq!(b.turn().len(), 1, "the other direction goes on");
    assert_eq!(b.tick_at_deadline(Duration::from_secs(1)), [closed(false)]);
    assert_eq!(b.step(Event::Eof), []);
}

#[cfg(feature = "tape")]
#[test]
fn a_snapshot_half_way_changes_nothing() {
    let mut a = Bench::new(&Config::default(), &[CLIENT, SERVER], 100);
    a.send(CLIENT, &[1, 2, 3], Bytes::from(vec![4; 700_000]));
    a.turn();
    a.received(&[&segment(CLIENT, &[5; 9]), &segment(SERVER, &[6; 9])[..12]].concat());
    let bytes = postcard::to_allocvec(&a.mux).unwrap();
    let mut b = Bench {
        mux: postcard::from_bytes(&bytes).unwrap(),
        now: a.now,
    };
    assert_eq!(a.mux, b.mux);
    for event in [Event::Flushed(400_000), Event::Turn, Event::Eof] {
        assert_eq!(a.step(event.clone()), b.step(event));
    }
    assert_eq!(
        (a.taken(SERVER), a.taken(CLIENT)),
        (b.taken(SERVER), b.taken(CLIENT))
    );
}

#[test]
fn an_idle_multiplexer_is_small() {
    let lane = size_of::<Lane>();
    assert!(size_of::<Mux>() <= 400, "{}", size_of::<Mux>());
    assert!(lane <= 176, "{lane}");
    assert!(size_of::<crate::wire::reassembly::Reassembly>() <= 80);
}

#[test]
fn the_known_maxima_are_a_tenth_over_their_base() {
    let max = |number| ingress_bytes_max(ProtocolId(number));
    assert_eq!(max(2), Some(300 * 1_400 / 10 * 11));
    assert_eq!(max(3), Some(20_971_540 + 2_097_154));
    assert_eq!(max(4), Some(10 * (44 + 65_540) + 65_584));
    assert_eq!((max(8), max(10)), (Some(1_280 + 128), Some(4 * 1_440)));
    assert_eq!((max(16), max(17)), (Some(220_000), Some(55_000)));
    assert_eq!(max(5), None);
}

/// Anything at all, at any time.
fn hostile() -> impl Strategy<Value = Event> {
    let lens = proptest::collection::vec((0_usize..5, 0_usize..80), 1..4);
    prop_oneof![
        4 => lens.prop_map(|lens| {
            let senders = [CLIENT, CLIENT, half(3, Role::Responder), SERVER, half(9, Role::Initiator)];
            let wire = lens.into_iter().map(|(at, len)| segment(senders[at], &vec![0; len]));
            Event::Received(Bytes::from(wire.collect::<Vec<_>>().concat()))
        }),
        2 => proptest::collection::vec(any::<u8>(), 0..20)
            .prop_map(|bytes| Event::Received(Bytes::from(bytes))),
        3 => (0_usize..4, 0_usize..3_000, 0_usize..9_000).prop_map(|(at, head, body)| Event::Send {
            half: HALVES[at],
            message: Encoded { head: Bytes::from(vec![1; head]), body: Bytes::from(vec![2; body]) },
        }),
        3 => Just(Event::Turn),
        2 => (0_usize..30_000).prop_map(Event::Flushed),
        1 => Just(Event::Flushed(usize::MAX)),
        1 => Just(Event::Eof),
        1 => Just(Event::Stop),
        4 => Just(Event::Tick),
    ]
}

/// What happens on one of two joined ends.
#[derive(Clone, Debug)]
enum Op {
    Send(usize, usize, usize),
    Turn,
    Carry(usize),
    Take(usize),
    GiveBack(usize, usize),
    Wait(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0_usize..4, 0_usize..40, prop_oneof![Just(0_usize), 0_usize..5_000])
            .prop_map(|(half, head, body)| Op::Send(half, head, body)),
        3 => Just(Op::Turn),
        4 => (1_usize..9_000).prop_map(Op::Carry),
        3 => (0_usize..4).prop_map(Op::Take),
        1 => (0_usize..4, 0_usize..50).prop_map(|(half, len)| Op::GiveBack(half, len)),
        1 => (0_u64..1_000).prop_map(Op::Wait),
    ]
}

/// One end of the pair, with what it said and heard.
struct End {
    bench: Bench,
    wire: Vec<u8>,
    said: BTreeMap<HalfId, Vec<u8>>,
    heard: BTreeMap<HalfId, Vec<u8>>,
    ready: BTreeMap<HalfId, bool>,
    byte: u8,
}

impl End {
    fn new(config: &Config, halves: &[HalfId]) -> Self {
        Self {
            bench: Bench::new(config, halves, 1 << 24),
            wire: Vec::new(),
            said: BTreeMap::new(),
            heard: BTreeMap::new(),
            ready: BTreeMap::new(),
            byte: 0,
        }
    }

    fn send(&mut self, half: HalfId, head: usize, body: usize) {
        let mut fill = |len| -> Vec<u8> {
            (0..len)
                .map(|_| {
                    self.byte = self.byte.wrapping_add(1);
                    self.byte
                })
                .collect()
        };
        let (head, body) = (fill(head), fill(body));
        let said = self.said.entry(half).or_default();
        said.extend_from_slice(&head);
        said.extend_from_slice(&body);
        self.bench.send(half, &head, Bytes::from(body));
    }

    fn turn(&mut self, config: &Config) {
        for batch in self.bench.turn() {
            assert!(bytes(&batch) <= BATCH_BYTES_MAX);
            assert!(batch.iter().all(|part| !part.is_empty()));
            self.wire.extend_from_slice(&batch.concat());
        }
        assert_eq!(self.bench.mux.in_flight(), self.wire.len());
        assert!(self.wire.len() <= config.window_bytes.max(config.segment_bytes_max + 8));
    }

    fn take(&mut self, half: HalfId) {
        let waiting = self.bench.mux.waiting(half);
        let got = self.bench.taken(half);
        assert_eq!(got.len(), waiting);
        self.heard.entry(half).or_default().extend_from_slice(&got);
        self.ready.insert(half, false);
    }

    fn give_back(&mut self, half: HalfId, len: usize) {
        let heard = self.heard.entry(half).or_default();
        let at = heard.len().saturating_sub(len);
        let rest = Bytes::from(heard.split_off(at));
        if !rest.is_empty() {
            self.ready.insert(half, true);
        }
        self.bench.mux.give_back(half, rest);
        self.bench.mux.check_invariants().unwrap();
    }
}

/// Moves up to `len` bytes of what `from` wrote to `to`.
fn carry(from: &mut End, to: &mut End, len: usize) {
    let len = len.min(from.wire.len());
    if len == 0 {
        return;
    }
    let rest = from.wire.split_off(len);
    let read = core::mem::replace(&mut from.wire, rest);
    assert_eq!(from.bench.step(Event::Flushed(len)), []);
    for action in to.bench.received(&read) {
        let Action::Ready(half) = action else {
            panic!("{action:?}");
        };
        let before = to.ready.insert(half, true);
        assert_ne!(before, Some(true), "said twice without a take");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes, the invariants hold, ticks fire what is due and nothing else, an early tick
    /// changes nothing, and the end is said once and last.
    #[test]
    fn nothing_follows_the_end_whatever_comes(
        events in proptest::collection::vec((hostile(), 0_u64..4_000), 1..80),
    ) {
        let config = Config { window_bytes: 20_000, ..Config::default() };
        let mut bench = Bench::new(&config, &[SERVER, half(3, Role::Initiator)], 100);
        let mut ended = false;
        for (event, later_ms) in events {
            bench.now = bench.now.after(Duration::from_millis(later_ms));
            let due = bench.mux.next_deadline().is_some_and(|at| at <= bench.now);
            let early = (event == Event::Tick && !due).then(|| bench.mux.clone());
            let out = bench.step(event);
            prop_assert!(!ended || out.is_empty());
            if let Some(before) = early {
                prop_assert!(out.is_empty() && before == bench.mux);
            }
            for action in out {
                prop_assert!(!ended, "the end is the last");
                ended = matches!(action, Action::Failed(_) | Action::Drained { .. });
            }
            prop_assert_eq!(bench.mux.has_ended(), ended);
        }
        bench.now = Instant::FAR;
        let last = bench.step(Event::Tick);
        prop_assert!(last.len() <= 1);
        prop_assert_eq!(bench.mux.next_deadline(), None);
    }

    /// Whatever two joined ends do, every byte arrives once, in order, at the right half.
    #[test]
    fn two_joined_ends_deliver_every_stream_in_order(
        ops in proptest::collection::vec((any::<bool>(), op()), 1..200),
        window_bytes in 0_usize..20_000,
        segment_bytes_max in 1_usize..3_000,
    ) {
        let config = Config { window_bytes, segment_bytes_max, ..Config::default() };
        let flipped = HALVES.map(|half| HalfId { role: half.role.flip(), ..half });
        let (mut a, mut b) = (End::new(&config, &HALVES), End::new(&config, &flipped));
        for (half, flip) in HALVES.into_iter().zip(flipped) {
            a.send(half, 3, 2_000);
            b.send(flip, 2_000, 3);
        }
        for (left, op) in ops {
            let (here, there) = if left { (&mut a, &mut b) } else { (&mut b, &mut a) };
            let halves = if left { &HALVES } else { &flipped };
            match op {
                Op::Send(half, head, body) => here.send(halves[half], head, body),
                Op::Turn => here.turn(&config),
                Op::Carry(len) => carry(here, there, len),
                Op::Take(half) => here.take(halves[half]),
                Op::GiveBack(half, len) => here.give_back(halves[half], len),
                Op::Wait(us) => {
                    here.bench.now = here.bench.now.after(Duration::from_micros(us));
                    prop_assert_eq!(here.bench.step(Event::Tick), []);
                }
            }
        }
        while a.bench.mux.pending() + b.bench.mux.pending() + a.wire.len() + b.wire.len() > 0 {
            a.turn(&config);
            b.turn(&config);
            carry(&mut a, &mut b, 5_000);
            carry(&mut b, &mut a, 5_000);
        }
        for (half, flip) in HALVES.into_iter().zip(flipped) {
            a.take(half);
            b.take(flip);
            let none = Vec::new();
            prop_assert_eq!(&b.heard[&flip], a.said.get(&half).unwrap_or(&none));
            prop_assert_eq!(&a.heard[&half], b.said.get(&flip).unwrap_or(&none));
        }
        prop_assert_eq!(a.bench.mux.next_deadline(), None);
    }

    /// The cut of the reads does not matter: the same halves become ready in the same order, the
    /// same bytes wait, the same end comes.
    #[test]
    fn any_stream_has_one_meaning_under_every_cut(
        segments in proptest::collection::vec((0_usize..5, 1_usize..60), 1..20),
        spoil in proptest::option::of((any::<proptest::sample::Index>(), any::<u8>())),
        cuts in proptest::collection::vec(1_usize..50, 1..5),
    ) {
        let senders = [CLIENT, half(3, Role::Initiator), SERVER, half(8, Role::Initiator), CLIENT];
        let mut stream: Vec<u8> = Vec::new();
        for (half, len) in segments {
            stream.extend_from_slice(&segment(senders[half], &vec![0xaa; len]));
        }
        if let Some((at, byte)) = spoil {
            let at = at.index(stream.len());
            stream[at] = byte;
        }
        let halves = [SERVER, half(3, Role::Responder), CLIENT, half(8, Role::Responder)];
        let run = |cuts: &[usize]| {
            let mut b = Bench::new(&Config::default(), &halves, 200);
            let mut out = Vec::new();
            let mut rest = &stream[..];
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (read, behind) = rest.split_at((*cuts.next().unwrap()).clamp(1, rest.len()));
                out.extend(b.received(read));
                rest = behind;
            }
            out.extend(b.step(Event::Eof));
            (out, halves.map(|half| b.taken(half)))
        };
        let whole = run(&[usize::MAX]);
        prop_assert!(!whole.0.is_empty());
        prop_assert_eq!(&run(&cuts), &whole);
        prop_assert_eq!(&run(&[1]), &whole);
    }
}
