//! What the table of connections takes in, under arrivals of any kind.

use core::time::Duration;

use samanea_core::{
    conn::{Cause, Fault},
    manager::{Config, Event, State},
    proto::handshake::{Agreed, Mode, V15, VersionData},
};

use super::manager::{Seen, Watch, limits, local, remote, settings};
use crate::{speak::below, tape::ByteTape};

/// Events of one run at most.
const EVENTS_MAX: usize = 400;

/// Arrivals, failures, handshakes, ends and pauses at up to three listening sockets. Never more
/// than the hard limit; one connection asked for at a time and socket, and asked for exactly when
/// the limits say; each arrival adopted, or reset for the reason that was expected.
///
/// # Panics
/// When a law is broken.
pub fn accept(bytes: &[u8]) {
    run(bytes);
}

fn run(bytes: &[u8]) -> Seen {
    let mut tape = ByteTape::new(bytes);
    let mut watch = Watch::new(roomy(&mut tape));
    for _ in 0..EVENTS_MAX {
        if tape.is_spent() {
            break;
        }
        let event = watch.arrival(&mut tape);
        watch.feed(&mut tape, &event);
    }
    watch.end(&mut tape);
    watch.seen
}

/// Settings under which it is mostly the accept limits that are met.
fn roomy(tape: &mut ByteTape) -> Config {
    let mut config = settings(tape);
    if below(tape, 4) != 3 {
        config.entries_max = 64;
        config.quarantined_max = 32;
        config.listeners_max = 3;
        config.limits.hard = config.limits.hard.saturating_mul(2);
    }
    config
}

impl Watch {
    fn arrival(&mut self, tape: &mut ByteTape) -> Event {
        match below(tape, 32) {
            0..=13 => {
                let listener = self.listener(tape);
                match self.listens(listener) {
                    Some(at) => Event::Accepted {
                        listener,
                        local: at,
                        remote: self.source(tape),
                    },
                    None => Event::Listening {
                        listener,
                        local: local(tape),
                    },
                }
            }
            14 | 15 => Event::AcceptFailed {
                listener: self.listener(tape),
                cause: [Cause::Aborted, Cause::Resources][usize::from(below(tape, 2) == 1)],
                fatal: below(tape, 16) == 15,
            },
            16..=18 => Event::Agreed {
                conn: self.conn(tape, |state| state == State::UnnegotiatedInbound),
                agreed: Agreed {
                    version: V15,
                    data: VersionData {
                        magic: 42,
                        mode: Mode::InitiatorOnly,
                        peer_sharing: false,
                        query: false,
                        peras: false,
                    },
                },
            },
            19 => Event::Lingering {
                conn: self.conn(tape, |state| state == State::UnnegotiatedInbound),
            },
            20..=22 => Event::Ended {
                conn: self.conn(tape, |_| true),
                fault: Fault::Ended(Cause::Eof),
            },
            23 => Event::Exempt {
                ip: remote(tape).ip(),
                on: below(tape, 2) == 0,
            },
            24 => Event::Limit(limits(tape)),
            25 | 26 => {
                let span = Duration::from_millis(u64::from(below(tape, 256)) * 20);
                self.pass(span)
            }
            _ => self.passed(tape),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz_bodies::noise;

    #[test]
    fn random_arrivals_meet_every_limit() {
        let mut seen = Seen::default();
        for seed in 0..400 {
            seen.add(run(&noise(seed, 400)));
        }
        for (name, least) in [
            ("hard limit", 100),
            ("prefix", 100),
            ("locals", 20),
            ("table", 20),
            ("unasked", 100),
        ] {
            let count = seen.refusals.get(name).copied().unwrap_or(0);
            assert!(count >= least, "refused for {name}: {count}: {seen:?}");
        }
        assert!(seen.asked_late >= 500, "{seen:?}");
        assert!(seen.pruned >= 20, "{seen:?}");
    }
}
