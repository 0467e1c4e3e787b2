//! The table of connections under any order of events.

mod doors;
mod follow;
mod verdict;
mod watch;

use core::{net::SocketAddr, time::Duration};

use samanea_core::{
    base::{ListenerId, Machine as _, ProtocolId, Request, Serial},
    conn::{Cause, Fault},
    manager::{Config, Event, Limits, Prefixes, State, Via, Victims},
    proto::handshake::{Agreed, Mode, V15, VersionData},
};

use crate::{
    speak::{below, some},
    tape::ByteTape,
};

pub(in crate::fuzz_bodies) use watch::{Seen, Watch};

/// Events of one run at most.
const EVENTS_MAX: usize = 300;

/// A tape of settings and events, for live connections and dead ones. After each: all invariants,
/// legal transitions without a gap, counters as counted anew, one answer to each request, sockets
/// accepted only when they may be, deadlines and mature peers as told once more from the traces;
/// a machine restored from a snapshot does the same.
///
/// # Panics
/// When a law is broken.
pub fn manager(bytes: &[u8]) {
    run(bytes);
}

fn run(bytes: &[u8]) -> Seen {
    let mut tape = ByteTape::new(bytes);
    let mut watch = Watch::new(settings(&mut tape));
    for _ in 0..EVENTS_MAX {
        if tape.is_spent() {
            break;
        }
        let event = watch.event(&mut tape);
        watch.feed(&mut tape, &event);
    }
    watch.end(&mut tape);
    watch.seen
}

/// Small limits, so that all of them are met.
pub(in crate::fuzz_bodies) fn settings(tape: &mut ByteTape) -> Config {
    let mut config = Config::default();
    config.trace = true;
    config.limits = limits(tape);
    let bits = below(tape, 4);
    config.prefixes = Prefixes {
        v4_bits: [24, 32, 8, 0][bits as usize],
        v6_bits: [48, 128, 32, 0][bits as usize],
        max: [0, 1, 2, 3, 5][some(tape, 5)],
    };
    config.victims = [Victims::Random, Victims::ByState][some(tape, 2)];
    config.mode =
        [Mode::InitiatorAndResponder, Mode::InitiatorOnly][usize::from(below(tape, 8) == 7)];
    config.entries_max = [12, 1, 2, 3, 5, 7, 9, 30][some(tape, 8)];
    config.quarantined_max = [6, 0, 1, 2, 3, 4, 5, 20][some(tape, 8)];
    config.waiting_max = [4, 0, 1, 2][some(tape, 4)];
    config.locals_max = 1 + some(tape, 3);
    config.listeners_max = 1 + some(tape, 3);
    config.exempt_max = some(tape, 3);
    config.reserved_max = 2;
    config.idle = (below(tape, 8) != 7).then(|| span(tape));
    config.linger = span(tape);
    config.time_wait = span(tape) * 6;
    config.mature = span(tape) * 9;
    config.abort_pause = span(tape) / 10;
    config.shortage_pause = span(tape) / 5;
    config
}

/// Limits on inbound connections, not always sensible ones.
pub(in crate::fuzz_bodies) fn limits(tape: &mut ByteTape) -> Limits {
    let hard = below(tape, 9);
    Limits {
        soft: below(tape, hard + 2),
        hard,
        delay: span(tape),
    }
}

/// Mostly five seconds.
fn span(tape: &mut ByteTape) -> Duration {
    let us = [5_000_000, 0, 1, 999_999, 5_000_001, 3, 7_000_000, 100_000];
    Duration::from_micros(us[some(tape, 8)])
}

/// An address, port and all: equal ones, near ones, one of our own.
pub(in crate::fuzz_bodies) fn remote(tape: &mut ByteTape) -> SocketAddr {
    let all = [
        "10.0.0.1:3001",
        "10.0.0.1:4001",
        "10.0.0.2:3001",
        "10.0.1.1:3001",
        "[2001:db8::1]:3001",
        "[2001:db8::2]:3001",
        "127.0.0.1:3001",
        "10.9.0.1:3001",
        "[::ffff:10.0.0.3]:3001",
        "[2001:db8:0:1::1]:3001",
        "10.0.0.3:3001",
        "10.1.0.1:3001",
    ];
    let text = all[some(tape, 12)];
    text.parse().expect("an address")
}

/// One of our own.
pub(in crate::fuzz_bodies) fn local(tape: &mut ByteTape) -> SocketAddr {
    let all = ["10.9.0.1:3001", "10.9.0.2:3001", "[2001:db8:9::1]:3001"];
    let text = all[some(tape, 3)];
    text.parse().expect("an address")
}

fn agreed(tape: &mut ByteTape) -> Agreed {
    let mode = [Mode::InitiatorAndResponder, Mode::InitiatorOnly][usize::from(below(tape, 4) == 3)];
    Agreed {
        version: V15,
        data: VersionData {
            magic: 42,
            mode,
            peer_sharing: true,
            query: false,
            peras: false,
        },
    }
}

fn fault(tape: &mut ByteTape) -> Fault {
    [
        Fault::Lost(Cause::Reset),
        Fault::Ended(Cause::Eof),
        Fault::Closed,
        Fault::Unfinished,
        Fault::Cancelled,
        Fault::Replaced,
        Fault::Limit,
        Fault::Taken,
    ][some(tape, 8)]
}

fn cause(tape: &mut ByteTape) -> Cause {
    [
        Cause::Aborted,
        Cause::Resources,
        Cause::Reset,
        Cause::Refused,
    ][some(tape, 4)]
}

fn protocol(tape: &mut ByteTape) -> ProtocolId {
    [
        ProtocolId::CHAIN_SYNC,
        ProtocolId::KEEP_ALIVE,
        ProtocolId::PEER_SHARING,
        ProtocolId::TX_SUBMISSION,
        ProtocolId(99),
    ][some(tape, 5)]
}

impl Watch {
    /// The next event of the tape; time passes before some of them.
    fn event(&mut self, tape: &mut ByteTape) -> Event {
        match below(tape, 40) {
            0..=4 => Event::Acquire {
                request: self.request(tape),
                remote: remote(tape),
                mode: [Mode::InitiatorAndResponder, Mode::InitiatorOnly][some(tape, 2)],
                via: [Via::Dial, Via::Inbound][usize::from(below(tape, 4) == 3)],
            },
            5 | 6 => Event::Cancel(self.some_due(tape)),
            7..=9 => Event::Release(self.conn(tape, State::is_outbound)),
            10 => Event::Abort(self.conn(tape, |_| true), fault(tape)),
            11..=17 => self.accepted(tape),
            18..=20 => Event::Connected {
                conn: self.conn(tape, |state| state == State::ReservedOutbound),
                local: local(tape),
            },
            21..=25 => Event::Agreed {
                conn: self.conn(tape, is_greeting),
                agreed: agreed(tape),
            },
            26..=29 => Event::ResponderStarted {
                conn: self.conn(tape, |state| !is_greeting(state)),
                protocol: protocol(tape),
            },
            30..=32 => Event::ResponderEnded {
                conn: self.conn(tape, uses_us),
                protocol: protocol(tape),
            },
            33 => Event::Ended {
                conn: self.conn(tape, |_| true),
                fault: fault(tape),
            },
            34..=37 => self.passed(tape),
            38 => {
                self.restore();
                self.passed(tape)
            }
            _ => self.rare(tape),
        }
    }

    fn rare(&self, tape: &mut ByteTape) -> Event {
        match below(tape, 16) {
            0..=2 => Event::Limit(limits(tape)),
            3 => Event::Exempt {
                ip: remote(tape).ip(),
                on: below(tape, 2) == 0,
            },
            4 => Event::Reserve {
                ip: remote(tape).ip(),
                on: below(tape, 2) == 0,
            },
            5..=7 => Event::AcceptFailed {
                listener: self.listener(tape),
                cause: cause(tape),
                fatal: below(tape, 8) == 7,
            },
            8 | 9 => Event::Lingering {
                conn: self.conn(tape, |state| state == State::UnnegotiatedInbound),
            },
            10 | 11 => Event::ConnectFailed {
                conn: self.conn(tape, |state| state == State::ReservedOutbound),
                cause: cause(tape),
            },
            12 if below(tape, 8) == 7 => Event::Shutdown,
            _ => Event::Listening {
                listener: ListenerId(below(tape, 4)),
                local: local(tape),
            },
        }
    }

    /// A connection at a listening socket; the sockets come about on the way.
    fn accepted(&self, tape: &mut ByteTape) -> Event {
        let listener = self.listener(tape);
        match self.doors.local(listener) {
            Some(at) => Event::Accepted {
                listener,
                local: if below(tape, 8) == 7 { local(tape) } else { at },
                remote: remote(tape),
            },
            None => Event::Listening {
                listener,
                local: local(tape),
            },
        }
    }

    /// Mostly one that is there.
    pub(in crate::fuzz_bodies) fn listener(&self, tape: &mut ByteTape) -> ListenerId {
        let names = self.doors.names();
        let any = below(tape, 8);
        match names.get(any as usize % (names.len() + 1)) {
            Some(listener) => *listener,
            None => ListenerId(any % 4),
        }
    }

    /// A new name, now and then one that is in use.
    fn request(&self, tape: &mut ByteTape) -> Request {
        if below(tape, 32) == 31 {
            self.some_due(tape)
        } else {
            Request(self.requests + 1)
        }
    }

    fn some_due(&self, tape: &mut ByteTape) -> Request {
        let at = some(tape, 8);
        let due = self.due.keys().nth(at % (self.due.len() + 1));
        due.copied().unwrap_or(Request(self.requests))
    }

    /// A connection, mostly one in such a state; now and then a dead one.
    pub(in crate::fuzz_bodies) fn conn(
        &self,
        tape: &mut ByteTape,
        fits: impl Fn(State) -> bool,
    ) -> Serial {
        let at = some(tape, 64);
        let fitting = || self.conns.iter().filter(|(_, conn)| fits(conn.state));
        let count = fitting().count();
        if at >= 60 || count == 0 {
            return Serial(u64::from(below(tape, 64)) % (self.last.0 + 2));
        }
        let found = fitting().nth(at % count);
        found.map_or(Serial(0), |(conn, _)| *conn)
    }

    /// Time passes: to the deadline, just short of it, or by some span.
    pub(in crate::fuzz_bodies) fn passed(&mut self, tape: &mut ByteTape) -> Event {
        let deadline = self.manager.next_deadline();
        let to = match (below(tape, 8), deadline) {
            (0..=3, Some(by)) => by,
            (4, Some(by)) => {
                samanea_core::base::Instant::from_micros(by.as_micros().saturating_sub(1))
            }
            _ => self
                .now
                .after(Duration::from_millis(u64::from(below(tape, 40_000)))),
        };
        self.now = self.now.max(to);
        Event::Tick
    }
}

impl Watch {
    /// Time passes.
    pub(in crate::fuzz_bodies) fn pass(&mut self, span: Duration) -> Event {
        self.now = self.now.after(span);
        Event::Tick
    }

    /// Where a socket listens.
    pub(in crate::fuzz_bodies) fn listens(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.doors.local(listener)
    }

    /// An address to come from: mostly another port each time.
    pub(in crate::fuzz_bodies) fn source(&self, tape: &mut ByteTape) -> SocketAddr {
        let mut from = remote(tape);
        if below(tape, 2) == 0 {
            from.set_port(u16::try_from(20_000 + self.last.0).unwrap_or(1));
        }
        from
    }
}

fn is_greeting(state: State) -> bool {
    matches!(
        state,
        State::UnnegotiatedInbound | State::UnnegotiatedOutbound
    )
}

fn uses_us(state: State) -> bool {
    matches!(state, State::InboundUni | State::InboundDup | State::Duplex)
}

#[cfg(test)]
mod tests;
