//! Two multiplexers joined by two ways of bytes.

use std::{collections::VecDeque, sync::LazyLock};

use core::time::Duration;

use bytes::{Bytes, BytesMut};
use samanea_core::{
    base::{Cx, First, Instant, Machine, NoRules, ProtocolId, Role},
    mux::{Action, Config, Event, HalfId, Mux},
    wire::Encoded,
};

use super::holds;
use crate::{
    hostile,
    speak::{below, some},
    tape::ByteTape,
};

/// Transitions of one run at most.
const TURNS_MAX: usize = 400;

/// The mini-protocols of both ends and what may wait for each of their halves.
const PROTOCOLS: &[(u16, u32)] = &[(2, 60_000), (3, 200_000), (8, 1_408), (10, 5_760)];

/// Operations on two joined multiplexers. Without hostile bytes, what a half takes is what the
/// other sent, in order; credit never exceeds the window; a failure has a cause.
///
/// # Panics
/// When a law is broken.
pub fn mux(bytes: &[u8]) {
    let mut tape = ByteTape::new(bytes);
    let config = Config {
        window_bytes: 1 << (3 + below(&mut tape, 16)),
        segment_bytes_max: 1 + some(&mut tape, 65_535),
        ..Config::default()
    };
    let mut pair = Pair {
        ends: [End::new(&config), End::new(&config)],
        now: Instant::ZERO,
        honest: true,
        window: config.window_bytes.max(config.segment_bytes_max + 8),
    };
    for _ in 0..TURNS_MAX {
        if tape.is_spent() {
            break;
        }
        pair.turn(&mut tape);
    }
}

struct Pair {
    ends: [End; 2],
    now: Instant,
    /// Whether every byte on the way is what was written.
    honest: bool,
    window: usize,
}

struct End {
    mux: Mux,
    /// What this end has handed out and the kernel has not taken.
    written: VecDeque<Bytes>,
    /// What is on the way to this end.
    arriving: BytesMut,
    /// Handed out in all, flushed in all.
    out: usize,
    flushed: usize,
    /// Per half: bytes sent, bytes taken.
    halves: Vec<(HalfId, usize, usize)>,
    ended: bool,
}

impl End {
    fn new(config: &Config) -> Self {
        let mut mux = Mux::new(config);
        let mut halves = Vec::new();
        for (number, max) in PROTOCOLS {
            for role in [Role::Initiator, Role::Responder] {
                let half = HalfId {
                    protocol: ProtocolId(*number),
                    role,
                };
                mux.register(half, *max);
                halves.push((half, 0, 0));
            }
        }
        Self {
            mux,
            written: VecDeque::new(),
            arriving: BytesMut::new(),
            out: 0,
            flushed: 0,
            halves,
            ended: false,
        }
    }

    fn half(&self, tape: &mut ByteTape) -> usize {
        some(tape, u32::try_from(self.halves.len()).unwrap_or(1))
    }
}

/// Contents repeat after this many bytes.
const PERIOD: usize = 251;

/// What all streams are cut from: rising bytes, over and over.
static CONTENT: LazyLock<Bytes> = LazyLock::new(|| (0..=250_u8).cycle().take(1 << 20).collect());

/// The content of a stream, which differs from stream to stream.
fn stream(half: HalfId, from: usize, len: usize) -> Bytes {
    let salt = usize::from(half.protocol.0) * 7 + usize::from(half.role == Role::Initiator);
    let start = (from + salt) % PERIOD;
    CONTENT.slice(start..start + len)
}

impl Pair {
    fn turn(&mut self, tape: &mut ByteTape) {
        let at = some(tape, 2);
        match below(tape, 16) {
            0..=2 => self.send(at, tape),
            3..=5 => self.feed(at, Event::Turn),
            6 | 7 => self.carry(at, tape),
            8..=10 => self.deliver(at, tape),
            11 | 12 => self.take(at, tape),
            13 => {
                let span = Duration::from_millis(u64::from(below(tape, 20_000)));
                self.now = self.now.after(span);
                self.tick(0);
                self.tick(1);
            }
            14 => self.harm(at, tape),
            _ => match below(tape, 8) {
                6 => self.feed(at, Event::Stop),
                7 => self.feed(at, Event::Eof),
                _ => self.tick(at),
            },
        }
    }

    fn send(&mut self, at: usize, tape: &mut ByteTape) {
        let end = &mut self.ends[at];
        let place = end.half(tape);
        let body = if below(tape, 4) == 3 { 20_000 } else { 256 };
        let (head, body) = (1 + some(tape, 64), some(tape, body));
        let (half, sent, _) = &mut end.halves[place];
        let half = *half;
        if !end.mux.room(half) {
            return;
        }
        let message = Encoded {
            head: stream(half, *sent, head),
            body: stream(half, *sent + head, body),
        };
        if !end.ended {
            *sent += message.len();
        }
        self.feed(at, Event::Send { half, message });
    }

    /// The kernel takes some of what was handed out.
    fn carry(&mut self, at: usize, tape: &mut ByteTape) {
        let end = &mut self.ends[at];
        let Some(mut bytes) = end.written.pop_front() else {
            return;
        };
        let some = 1 + some(tape, 65_536) % bytes.len();
        let now = bytes.split_to(some);
        if !bytes.is_empty() {
            end.written.push_front(bytes);
        }
        end.flushed += now.len();
        self.ends[1 - at].arriving.extend_from_slice(&now);
        self.feed(at, Event::Flushed(now.len()));
    }

    fn deliver(&mut self, at: usize, tape: &mut ByteTape) {
        let arriving = &mut self.ends[at].arriving;
        if arriving.is_empty() {
            return;
        }
        let len = 1 + some(tape, 65_536) % arriving.len();
        let bytes = arriving.split_to(len).freeze();
        self.feed(at, Event::Received(bytes));
    }

    fn take(&mut self, at: usize, tape: &mut ByteTape) {
        let place = self.ends[at].half(tape);
        let back = below(tape, 4) == 3;
        let end = &mut self.ends[at];
        let half = end.halves[place].0;
        let waiting = end.mux.waiting(half);
        let parts: Vec<_> = end.mux.take(half).collect();
        let got: Bytes = parts.concat().into();
        assert_eq!(got.len(), waiting);
        assert_eq!(end.mux.waiting(half), 0);
        let taken = end.halves[place].2;
        if self.honest {
            let other = HalfId {
                role: half.role.flip(),
                ..half
            };
            assert_eq!(got, stream(other, taken, got.len()), "not what was sent");
        }
        if back && !got.is_empty() {
            let rest = got.slice(got.len() / 2..);
            end.halves[place].2 += got.len() - rest.len();
            end.mux.give_back(half, rest.clone());
            assert_eq!(end.mux.waiting(half), rest.len());
        } else {
            end.halves[place].2 += got.len();
        }
        holds(self.ends[at].mux.check_invariants());
    }

    /// Bytes that no multiplexer wrote, or wrote differently.
    fn harm(&mut self, at: usize, tape: &mut ByteTape) {
        if below(tape, 4) != 3 {
            return;
        }
        self.honest = false;
        if below(tape, 2) == 0 {
            let mode = below(tape, 2);
            let bytes = hostile::bytes(tape, mode);
            self.ends[at].arriving.extend_from_slice(&bytes);
        } else {
            let n = u32::try_from(self.ends[at].arriving.len()).unwrap_or(u32::MAX);
            let place = some(tape, n);
            if let Some(byte) = self.ends[at].arriving.get_mut(place) {
                *byte ^= 1 << below(tape, 8);
            }
        }
    }

    fn tick(&mut self, at: usize) {
        let mux = &self.ends[at].mux;
        let early = mux.next_deadline().is_none_or(|by| by > self.now);
        let before = mux.clone();
        self.feed(at, Event::Tick);
        let mux = &self.ends[at].mux;
        assert!(!early || before == *mux, "an early tick");
        assert!(mux.next_deadline().is_none_or(|by| by > self.now));
    }

    fn feed(&mut self, at: usize, event: Event) {
        let mut out = Vec::new();
        let end = &mut self.ends[at];
        let mut choice = First;
        let mut cx = Cx::new(self.now, &mut choice, &NoRules, &mut out);
        end.mux.step(&mut cx, event);
        holds(end.mux.check_invariants());
        for action in out {
            assert!(!end.ended, "something after the end");
            match action {
                Action::Write(batch) => {
                    for bytes in batch {
                        assert!(!bytes.is_empty(), "an empty part");
                        end.out += bytes.len();
                        end.written.push_back(bytes);
                    }
                }
                Action::Failed(_) | Action::Drained { .. } => end.ended = true,
                Action::Ready(half) => assert!(end.mux.waiting(half) > 0),
                Action::Room(half) => assert!(end.mux.room(half)),
            }
        }
        assert!(end.out - end.flushed <= self.window, "over the window");
        assert_eq!(end.ended, end.mux.has_ended());
    }
}
