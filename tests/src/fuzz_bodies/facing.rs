//! One half of a protocol against a session that plays its peer.

use std::collections::VecDeque;

use core::time::Duration;

use bytes::Bytes;
use samanea_core::{
    base::{Cx, Instant, Role},
    proto::{Action, Event, Half, session::Session},
};

use super::{
    holds,
    session::{OUTSTANDING_MAX, TURNS_MAX, say},
};
use crate::{
    hostile,
    speak::{Speak, below},
    tape::ByteTape,
    toy::ToyRules,
};

/// Whatever its owner orders, what a half says to an honest peer is legal in the peer's table. It
/// says nothing after its end, and early ticks change nothing.
pub(super) fn facing<P: Speak, H: Half + Clone + PartialEq>(
    half: H,
    role: Role,
    tape: &mut ByteTape,
    order: impl Fn(&mut ByteTape) -> Option<H::Order>,
) {
    let mut run = Facing::<P, H> {
        half,
        peer: Session::new(role.flip(), 2, OUTSTANDING_MAX),
        said: VecDeque::new(),
        unheard: VecDeque::new(),
        now: Instant::ZERO,
        over: false,
        honest: true,
    };
    run.peer.start(run.now, tape);
    run.feed(Event::Start, tape);
    for _ in 0..TURNS_MAX {
        if tape.is_spent() {
            break;
        }
        match below(tape, 8) {
            0 | 1 => {
                if let Some(order) = order(tape) {
                    run.feed(Event::Order(order), tape);
                }
            }
            2..=4 => {
                run.peer_reads(tape);
                if let Some(bytes) = say(&mut run.peer, run.now, tape) {
                    run.unheard.push_back(bytes);
                }
            }
            5 => {
                if below(tape, 8) == 7 {
                    // What the peer did not say by its table: from here on, the two disagree.
                    run.unheard.push_back(hostile::message(tape));
                    run.honest = false;
                }
                run.half_reads(tape);
            }
            6 if below(tape, 8) == 7 => run.feed(Event::Stop, tape),
            _ => {
                let span = Duration::from_millis(u64::from(below(tape, 40_000)));
                run.now = run.now.after(span);
                run.tick(tape);
            }
        }
    }
}

struct Facing<P, H> {
    half: H,
    /// The other end of the table.
    peer: Session<P>,
    /// What the half said and the peer has not read.
    said: VecDeque<Bytes>,
    /// What the peer said and the half has not read.
    unheard: VecDeque<Bytes>,
    now: Instant,
    over: bool,
    /// Whether the peer keeps to its table.
    honest: bool,
}

impl<P: Speak, H: Half + Clone + PartialEq> Facing<P, H> {
    fn feed(&mut self, event: Event<H::Order>, tape: &mut ByteTape) {
        let mut out = Vec::new();
        let mut cx = Cx::new(self.now, tape, &ToyRules, &mut out);
        self.half.step(&mut cx, event);
        holds(self.half.check_invariants());
        for action in out {
            assert!(!self.over, "something after the end");
            match action {
                Action::Send(encoded) => {
                    self.said
                        .push_back([encoded.head, encoded.body].concat().into());
                }
                Action::Fact(_) => {}
                Action::Ended | Action::Failed(_) => self.over = true,
            }
        }
        if self.over {
            assert_eq!(self.half.next_deadline(), None, "a timer after the end");
        }
        self.peer_reads(tape);
    }

    /// The peer reads all it may.
    fn peer_reads(&mut self, tape: &mut ByteTape) {
        while self.peer.awaited().is_some()
            && let Some(bytes) = self.said.pop_front()
        {
            let state = self.peer.awaited();
            let read = self.peer.receive(self.now, tape, &bytes);
            assert!(
                read.is_ok() || !self.honest,
                "a half says {bytes:x} in {state:?}: {read:?}"
            );
        }
    }

    /// The half reads one message when it may.
    fn half_reads(&mut self, tape: &mut ByteTape) {
        let max = self.half.awaits();
        if let Some(max) = max
            && let Some(bytes) = self.unheard.pop_front()
            && bytes.len() <= max
        {
            self.feed(Event::Received(bytes), tape);
        }
    }

    fn tick(&mut self, tape: &mut ByteTape) {
        let early = self
            .half
            .next_deadline()
            .is_none_or(|deadline| deadline > self.now);
        let before = self.half.clone();
        self.feed(Event::Tick, tape);
        assert!(!early || before == self.half, "an early tick");
        let deadline = self.half.next_deadline();
        assert!(
            deadline.is_none_or(|deadline| deadline > self.now),
            "{deadline:?} at {:?}",
            self.now
        );
    }
}
