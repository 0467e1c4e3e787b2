//! Tapes of a small machine that echoes, draws, asks the rules and sets a timer.

use alloc::{format, string::String, vec, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use smallvec::smallvec;

use super::{frame, *};
use crate::{
    base::{
        Cx, HeaderFault, HeaderView, Instant, Machine, NoRules, Rules, Serial, Site, TxId,
        Violated, violated,
    },
    node::{Action, Event, Node, Notice, Tap},
};

/// Echoes bytes with a drawn byte and the length of their id; tells a round trip 200 ms later.
///
/// Invariants: 1. bytes in are at least events in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Echo {
    events: u64,
    bytes: u64,
    due: Option<(Instant, Serial)>,
}

impl Machine for Echo {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        match event {
            Event::Received { conn, bytes } => {
                self.events += 1;
                self.bytes += bytes.len() as u64;
                let drawn = low(cx.choice.below(Site::COOKIE, conn.0, 256).into());
                let id = cx
                    .rules
                    .tx_id(&bytes)
                    .map_or(0, |id| low(id.0.len() as u64));
                self.due = Some((cx.now.after(Duration::from_millis(200)), conn));
                cx.act(Action::Write {
                    conn,
                    batch: smallvec![bytes, Bytes::from(vec![drawn, id])],
                });
            }
            Event::Tick => {
                if let Some((_, conn)) = self.due.take_if(|(at, _)| *at <= cx.now) {
                    cx.act(Action::Notify(Notice::RoundTrip {
                        conn,
                        took: cx.now.since(Instant::ZERO),
                    }));
                    cx.act(Action::Reading { conn, on: true });
                }
            }
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.due.map(|(at, _)| at)
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        violated(self.bytes >= self.events, "echo", 1, "bytes >= events")
    }
}

/// An echo that forgets something in its snapshots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Forgetful {
    #[serde(skip)]
    seen: u64,
}

impl Machine for Forgetful {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, _: &mut Cx<'_, Action>, _: Event) {
        self.seen += 1;
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        violated(self.seen < 5, "forgetful", 7, "less than five")
    }
}

/// Rules that know an id of one byte for what begins with `odd`.
struct Odd(u8);

impl Rules for Odd {
    fn name(&self) -> &'static str {
        "none"
    }

    fn header(&self, _: &[u8]) -> Result<HeaderView, HeaderFault> {
        Err(HeaderFault::Malformed)
    }

    fn tx_id(&self, wrapped: &[u8]) -> Option<TxId> {
        (wrapped.first() == Some(&self.0)).then(|| TxId(smallvec![1]))
    }
}

/// Rules of another name.
struct Others;

impl Rules for Others {
    fn name(&self) -> &'static str {
        "others"
    }

    fn header(&self, _: &[u8]) -> Result<HeaderView, HeaderFault> {
        Err(HeaderFault::Malformed)
    }

    fn tx_id(&self, _: &[u8]) -> Option<TxId> {
        None
    }
}

fn received(conn: u64, bytes: &[u8]) -> Event {
    Event::Received {
        conn: Serial(conn),
        bytes: Bytes::copy_from_slice(bytes),
    }
}

fn low(n: u64) -> u8 {
    n.to_le_bytes()[0]
}

/// The `n`th event of the run of all tests, and its time.
fn nth(n: u64) -> (Instant, Event) {
    let event = match n % 5 {
        0 | 1 => received(n % 3, &[low(n), 1, 2]),
        2 => Event::Tick,
        3 => Event::Listening {
            listener: crate::base::ListenerId(1),
            local: SocketAddr::from(([127, 0, 0, 1], 3001)),
        },
        _ => Event::Turn,
    };
    (Instant::from_millis(n * 300), event)
}

/// Records `events` events of [`nth`]; the tape and the state after them.
fn recorded(events: u64) -> (Vec<u8>, Node<Echo>) {
    let mut node = Node::new(Echo::default(), 7);
    let mut recorder = Recorder::new(Vec::new(), &node, "none", "tests").unwrap();
    run(&mut node, &mut recorder, 0..events);
    recorder.finish();
    (recorder.sink().clone(), node)
}

fn run(node: &mut Node<Echo>, tap: &mut dyn Tap, events: core::ops::Range<u64>) {
    let mut out = Vec::new();
    for n in events {
        let (now, event) = nth(n);
        out.clear();
        tap.event(now, &event);
        node.step(now, &NoRules, event, &mut out);
        tap.actions(&out);
    }
}

fn again(tape: &[u8], rules: &dyn Rules) -> Result<Report, Error> {
    replay::<Echo>(tape, rules, Options::default())
}

#[test]
fn a_recorded_run_replays_to_the_same_digest_and_state() {
    let (tape, node) = recorded(3_000);
    let mut replay: Replay<'_, Echo> = Replay::new(&NoRules, Options::default());
    replay.push(&tape).unwrap();
    assert_eq!(replay.node(), Some(&node));
    let report = replay.finish().unwrap();
    assert_eq!(report.events, 3_000);
    assert!(report.actions > 2_300, "{report:?}");
    assert_eq!(report.ending, Ending::Complete);
    assert_eq!(report.now, Instant::from_millis(2_999 * 300));
    assert_eq!(again(&tape, &NoRules), Ok(report));
}

#[test]
fn the_digest_of_a_known_run_is_known() {
    let (tape, _) = recorded(100);
    let report = again(&tape, &NoRules).unwrap();
    assert_eq!(
        format!("{}", report.digest),
        "0f11b480d6ced7327b047217b53680325e4b916b453140f6b35b420d626fbd2a"
    );
    assert!(tape.starts_with(b"samanea\x1a\x01\x00"));
}

#[test]
fn chunks_of_any_size_make_no_difference() {
    let (tape, _) = recorded(50);
    let whole = again(&tape, &NoRules).unwrap();
    for size in [1, 2, 3, 7, 64, 1_000] {
        let mut replay: Replay<'_, Echo> = Replay::new(&NoRules, Options::default());
        for chunk in tape.chunks(size) {
            replay.push(chunk).unwrap();
        }
        assert_eq!(replay.finish(), Ok(whole), "chunks of {size}");
    }
}

#[test]
fn a_replay_on_record_is_the_same_tape() {
    let (tape, _) = recorded(2_100);
    let start = Node::new(Echo::default(), 7);
    let mut second = Recorder::new(Vec::new(), &start, "none", "tests").unwrap();
    let mut replay: Replay<'_, Echo> =
        Replay::new(&NoRules, Options::default()).watched(&mut second);
    replay.push(&tape).unwrap();
    replay.finish().unwrap();
    second.finish();
    assert!(*second.sink() == tape);
}

#[test]
fn a_snapshot_restored_half_way_changes_nothing() {
    let (tape, _) = recorded(1_500);
    let plain = again(&tape, &NoRules).unwrap();
    assert!(!plain.restored);
    for at in [1, 2, 750, 1_023, 1_024, 1_500] {
        let options = Options {
            restore_after: Some(at),
            check_invariants: true,
        };
        let report = replay::<Echo>(&tape, &NoRules, options).unwrap();
        let expected = Report {
            restored: true,
            ..plain
        };
        assert_eq!(report, expected, "restored after {at}");
    }
}

#[test]
fn a_tape_may_begin_in_the_middle_of_a_run() {
    let (_, end) = recorded(20);
    let (_, mut node) = recorded(10);
    let mut recorder = Recorder::new(Vec::new(), &node, "none", "tests").unwrap();
    run(&mut node, &mut recorder, 10..20);
    recorder.finish();
    assert_eq!(node, end);
    let mut replay: Replay<'_, Echo> = Replay::new(&NoRules, Options::default());
    replay.push(recorder.sink()).unwrap();
    assert_eq!(replay.node(), Some(&end));
    assert_eq!(replay.finish().unwrap().ending, Ending::Complete);
}

#[test]
fn other_actions_are_found_at_the_first_event_that_has_them() {
    let (tape, _) = recorded(300);
    // The 206th event is the first to begin with the byte 205.
    let diverged = again(&tape, &Odd(205)).unwrap_err();
    let Error::Diverged { event, frame } = diverged else {
        panic!("{diverged}");
    };
    assert_eq!(event, 206);
    let Record { at, .. } = records(&tape)
        .into_iter()
        .find(|record| record.event == 206 && record.is_actions)
        .unwrap();
    assert_eq!(frame, at);
}

#[test]
fn actions_that_are_missing_or_too_many_are_found() {
    let (tape, _) = recorded(40);
    let spans = records(&tape);
    let (mut fewer, mut moved) = (0, 0);
    for record in spans.iter().filter(|record| record.is_actions) {
        let mut without = tape.clone();
        without.drain(record.bytes.clone());
        let error = again(&without, &NoRules).unwrap_err();
        let event = record.event;
        assert!(matches!(error, Error::Diverged { event: e, .. } if e == event));
        fewer += 1;
        let mut twice = tape.clone();
        let copy = tape[record.bytes.clone()].to_vec();
        twice.splice(record.bytes.end..record.bytes.end, copy);
        let error = again(&twice, &NoRules).unwrap_err();
        assert!(matches!(error, Error::Diverged { event: e, .. } if e == event));
        moved += 1;
    }
    assert!(fewer > 15 && moved > 15);
}

#[test]
fn a_tape_cut_anywhere_replays_as_far_as_it_goes() {
    let (tape, _) = recorded(60);
    let mut before = 0;
    let (mut heads, mut short) = (0, 0);
    for end in 0..tape.len() {
        match again(&tape[..end], &NoRules) {
            Err(Error::NoHead) => heads += 1,
            Ok(report) => {
                assert!(matches!(report.ending, Ending::Truncated { .. }));
                assert!(report.events >= before);
                before = report.events;
                short += 1;
            }
            Err(error) => panic!("cut at {end}: {error}"),
        }
    }
    assert_eq!(before, 60);
    assert!(heads > 20 && short > 400, "{heads} {short}");
}

#[test]
fn no_flipped_bit_passes_for_the_recorded_run() {
    let (tape, _) = recorded(30);
    let whole = again(&tape, &NoRules).unwrap();
    let head_end = 14 + u32::from_le_bytes(tape[10..14].try_into().unwrap()) as usize;
    let mut refused = 0;
    for at in 0..tape.len() {
        for bit in 0..8 {
            let mut bad = tape.clone();
            bad[at] ^= 1 << bit;
            match again(&bad, &NoRules) {
                Err(_) => refused += 1,
                // Who wrote the tape and when things happened without effect are told, not
                // checked; all else that passes must have stopped early.
                Ok(report) if at < head_end => assert_eq!(report.digest, whole.digest),
                Ok(report) => {
                    let same = report.digest == whole.digest && report.events == whole.events;
                    assert!(same || report.ending != Ending::Complete, "{at} {bit}");
                }
            }
        }
    }
    assert!(refused > tape.len() * 4, "{refused} of {}", tape.len() * 8);
}

#[test]
fn what_is_no_tape_of_this_kind_is_named() {
    let (tape, _) = recorded(3);
    assert_eq!(again(b"", &NoRules), Err(Error::NoHead));
    assert_eq!(again(b"sam", &NoRules), Err(Error::NoHead));
    assert_eq!(again(b"PK\x03\x04", &NoRules), Err(Error::NotATape));
    let mut newer = tape.clone();
    newer[8] = 9;
    assert_eq!(again(&newer, &NoRules), Err(Error::Format { got: 9 }));
    assert_eq!(again(&tape, &Others), Err(Error::OtherRules));
    let mut longer = tape.clone();
    longer.extend_from_slice(&tape[10..]);
    let error = again(&longer, &NoRules).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[test]
fn a_tape_of_another_version_is_refused_but_its_head_can_be_read() {
    let (tape, _) = recorded(3);
    let head = Head::read(&tape).unwrap();
    assert_eq!((head.rules.as_str(), head.seed), ("none", 7));
    assert_eq!(head.writer, "tests");
    assert_eq!(head.core, env!("CARGO_PKG_VERSION"));
    let mut older = head.clone();
    older.core = String::from("0.0.0");
    let mut first = Vec::new();
    frame::encode(&older, &mut first).unwrap();
    let tape = [frame::preamble().as_slice(), &first].concat();
    assert_eq!(Head::read(&tape).unwrap(), older);
    assert_eq!(again(&tape, &NoRules), Err(Error::Version));
    assert!(format!("{head:?}").contains("snapshot_bytes"));
}

#[test]
fn a_snapshot_that_contradicts_itself_is_refused() {
    let wrong = Echo {
        events: 2,
        bytes: 1,
        due: None,
    };
    let recorder = Recorder::new(Vec::new(), &Node::new(wrong, 1), "none", "tests").unwrap();
    assert_eq!(again(recorder.sink(), &NoRules), Err(Error::Snapshot));
}

#[test]
fn a_snapshot_that_forgets_and_an_invariant_that_breaks_are_found() {
    let node = Node::new(Forgetful::default(), 1);
    let mut recorder = Recorder::new(Vec::new(), &node, "none", "tests").unwrap();
    for _ in 0..6 {
        recorder.event(Instant::ZERO, &Event::Turn);
        recorder.actions(&[]);
    }
    recorder.finish();
    let replayed = |options| replay::<Forgetful>(recorder.sink(), &NoRules, options);
    assert_eq!(replayed(Options::default()).unwrap().events, 6);
    let options = Options {
        restore_after: Some(3),
        ..Options::default()
    };
    assert_eq!(replayed(options), Err(Error::Unfaithful { event: 3 }));
    let options = Options {
        check_invariants: true,
        ..Options::default()
    };
    let error = replayed(options).unwrap_err();
    assert!(matches!(error, Error::Violated { event: 5, violated } if violated.number == 7));
}

#[test]
fn a_run_that_dies_within_a_step_leaves_the_event_that_killed_it() {
    let mut node = Node::new(Echo::default(), 7);
    let mut recorder = Recorder::new(Vec::new(), &node, "none", "tests").unwrap();
    run(&mut node, &mut recorder, 0..10);
    let (now, event) = nth(10);
    recorder.event(now, &event);
    recorder.finish();
    let report = again(recorder.sink(), &NoRules).unwrap();
    assert_eq!(report.events, 11);
    assert_eq!(report.ending, Ending::Truncated { left_over: 0 });
}

#[test]
fn a_dropped_recorder_ends_its_tape() {
    struct Shared<'a>(&'a std::sync::Mutex<Vec<u8>>);
    impl Sink for Shared<'_> {
        fn write(&mut self, bytes: &[u8]) {
            self.0.lock().unwrap().extend_from_slice(bytes);
        }
    }
    let bytes = std::sync::Mutex::new(Vec::new());
    let mut node = Node::new(Echo::default(), 7);
    let mut recorder = Recorder::new(Shared(&bytes), &node, "none", "tests").unwrap();
    run(&mut node, &mut recorder, 0..10);
    drop(recorder);
    let report = again(&bytes.lock().unwrap(), &NoRules).unwrap();
    assert_eq!(report.ending, Ending::Complete);
}

#[test]
fn an_event_too_large_for_a_frame_ends_the_tape_and_the_tape_says_so() {
    let mut node = Node::new(Echo::default(), 7);
    let mut recorder = Recorder::new(Vec::new(), &node, "none", "tests").unwrap();
    run(&mut node, &mut recorder, 0..10);
    let digest = recorder.digest();
    recorder.event(Instant::ZERO, &received(1, &vec![0; FRAME_BYTES_MAX]));
    recorder.actions(&[]);
    run(&mut node, &mut recorder, 10..20);
    recorder.finish();
    let report = again(recorder.sink(), &NoRules).unwrap();
    assert_eq!((report.events, report.digest), (10, digest));
    assert_eq!(report.ending, Ending::Cut);
}

#[test]
fn an_earlier_time_counts_as_the_last() {
    let mut node = Node::new(Echo::default(), 7);
    let mut recorder = Recorder::new(Vec::new(), &node, "none", "tests").unwrap();
    run(&mut node, &mut recorder, 5..6);
    run(&mut node, &mut recorder, 0..3);
    recorder.finish();
    let mut replay: Replay<'_, Echo> = Replay::new(&NoRules, Options::default());
    replay.push(recorder.sink()).unwrap();
    assert_eq!(replay.node(), Some(&node));
    assert_eq!(replay.finish().unwrap().now, Instant::from_millis(1_500));
}

#[test]
fn a_claimed_length_allocates_nothing() {
    let (tape, _) = recorded(0);
    let largest = u32::try_from(FRAME_BYTES_MAX).unwrap();
    for (length, refused) in [(largest, false), (largest + 1, true), (u32::MAX, true)] {
        let mut splitter = frame::Splitter::default();
        splitter.push(&frame::preamble());
        splitter.push(&length.to_le_bytes());
        splitter.push(&[1, 2, 3]);
        assert_eq!(splitter.next().is_err(), refused, "{length}");
        assert!(splitter.held_bytes() < 100);
    }
    // Within a frame: a byte string of 2^62 bytes in an event of ten.
    let mut bad = tape.clone();
    let claims = [
        0, 0, 5, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f,
    ];
    let length = u32::try_from(claims.len()).unwrap().to_le_bytes();
    let end = bad.len() - END_BYTES;
    bad.truncate(end);
    bad.extend_from_slice(&length);
    bad.extend_from_slice(&claims);
    assert_eq!(again(&bad, &NoRules), Err(Error::Corrupt { frame: 1 }));
}

#[test]
fn the_digest_tells_numbers_order_and_grouping_apart() {
    let digest = |groups: &[(u64, &[u32])]| {
        let mut digest = Digest::default();
        for (event, actions) in groups {
            digest.roll(*event, actions);
        }
        digest
    };
    let all = [
        digest(&[]),
        digest(&[(1, &[1, 2])]),
        digest(&[(1, &[2, 1])]),
        digest(&[(2, &[1, 2])]),
        digest(&[(1, &[1]), (1, &[2])]),
        digest(&[(1, &[1]), (2, &[2])]),
        digest(&[(1, &[1])]),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(all.iter().skip(at + 1).all(|other| other != one), "{at}");
    }
    assert_eq!(digest(&[(1, &[])]), Digest::default());
}

proptest! {
    /// Whatever follows a head, a replay ends in a report or a typed error.
    #[test]
    fn hostile_bytes_end_in_an_error_or_a_report(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
        tail in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let (tape, _) = recorded(0);
        let mut bad = tape[..tape.len() - END_BYTES].to_vec();
        for frame in &frames {
            bad.extend_from_slice(&u32::try_from(frame.len()).unwrap().to_le_bytes());
            bad.extend_from_slice(frame);
        }
        bad.extend_from_slice(&tail);
        match again(&bad, &NoRules) {
            Ok(report) => prop_assert!(report.events <= frames.len() as u64),
            Err(error) => prop_assert!(!matches!(error, Error::NoHead | Error::NotATape)),
        }
    }

    /// Any bytes at all.
    #[test]
    fn any_bytes_end_in_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(again(&bytes, &NoRules).is_err());
        let with_preamble = [frame::preamble().as_slice(), &bytes].concat();
        prop_assert!(again(&with_preamble, &NoRules).is_err());
    }
}

/// Bytes of the frame that ends the tape of a run without events.
const END_BYTES: usize = 4 + 1 + 1 + 32;

/// A frame after the head, where it lies and the event it belongs to.
struct Record {
    at: u64,
    event: u64,
    is_actions: bool,
    bytes: core::ops::Range<usize>,
}

fn records(tape: &[u8]) -> Vec<Record> {
    let mut out = Vec::new();
    let (mut from, mut at, mut event) = (10, 0, 0);
    while from < tape.len() {
        let length = u32::from_le_bytes(tape[from..from + 4].try_into().unwrap()) as usize;
        let end = from + 4 + length;
        if at > 0 {
            event += u64::from(tape[from + 4] == 0);
            out.push(Record {
                at,
                event,
                is_actions: tape[from + 4] == 1,
                bytes: from..end,
            });
        }
        (from, at) = (end, at + 1);
    }
    out
}
