//! When a listening socket may accept, told once more and in another way than the machine does.
//!
//! With `n` inbound connections: below the soft limit at once; at the hard limit when there is
//! room again and the full delay has passed since it was met; between the two after a part of the
//! delay that grows evenly with `n`.

use std::collections::{BTreeMap, BTreeSet};

use core::{net::SocketAddr, time::Duration};

use samanea_core::{
    base::{Instant, ListenerId},
    conn::Cause,
    manager::{Config, Event, Limits},
};

/// All listening sockets.
#[derive(Clone, Debug, Default)]
pub(super) struct Doors {
    doors: BTreeMap<ListenerId, Door>,
    /// Sockets that must be asked to accept in this step.
    pub(super) wanted: BTreeSet<ListenerId>,
}

#[derive(Clone, Debug)]
struct Door {
    local: SocketAddr,
    waits: Waits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waits {
    /// For a connection.
    Peer,
    /// As long as the rate limit says.
    Rate(Instant),
    /// After a failure.
    Pause(Instant),
    /// For room; since then.
    Room(Instant),
}

/// What a step leaves to be judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// The limits after the step.
    pub(super) limits: Limits,
    /// Inbound connections after the step.
    pub(super) inbound: u32,
    /// Whether the hard limit was met before the step.
    pub(super) was_full: bool,
}

impl Doors {
    pub(super) fn is_asked(&self, listener: ListenerId) -> bool {
        let door = self.doors.get(&listener);
        door.is_some_and(|door| door.waits == Waits::Peer)
    }

    /// All names, in order.
    pub(super) fn names(&self) -> Vec<ListenerId> {
        self.doors.keys().copied().collect()
    }

    pub(super) fn local(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.doors.get(&listener).map(|door| door.local)
    }

    /// Where something listens in the family of an address.
    pub(super) fn like(&self, remote: SocketAddr) -> Option<SocketAddr> {
        let mut locals = self.doors.values().map(|door| door.local);
        locals.find(|local| local.is_ipv4() == remote.is_ipv4())
    }

    /// What an event does to the sockets; `asked` tells whether its connection was asked for.
    pub(super) fn heard(&mut self, event: &Event, config: &Config, asked: bool, at: Moment) {
        match event {
            Event::Listening { listener, local } => {
                let room = self.doors.len() < config.listeners_max;
                if room && !self.doors.contains_key(listener) {
                    let (local, waits) = (*local, Waits::Peer);
                    self.doors.insert(*listener, Door { local, waits });
                    self.decide(*listener, at);
                }
            }
            Event::Accepted { listener, .. } if asked => self.decide(*listener, at),
            Event::AcceptFailed {
                listener,
                cause,
                fatal,
            } => {
                if *fatal {
                    self.doors.remove(listener);
                } else if let Some(door) = self.doors.get_mut(listener) {
                    let pause = match cause {
                        Cause::Resources => config.shortage_pause,
                        _ => config.abort_pause,
                    };
                    door.waits = Waits::Pause(at.now.after(pause));
                }
            }
            Event::Tick => self.tick(at),
            Event::Shutdown => self.doors.clear(),
            _ => {}
        }
        if at.was_full && at.inbound < at.limits.hard {
            self.room(at);
        }
    }

    fn decide(&mut self, listener: ListenerId, at: Moment) {
        let Moment { limits, now, .. } = at;
        let Some(door) = self.doors.get_mut(&listener) else {
            return;
        };
        door.waits = if at.inbound < limits.soft {
            Waits::Peer
        } else if at.inbound >= limits.hard {
            Waits::Room(now)
        } else {
            let over = u128::from(at.inbound - limits.soft);
            let span = u128::from(limits.hard - limits.soft);
            let ns = limits.delay.as_nanos() * over / span;
            match u64::try_from(ns.div_ceil(1_000)) {
                Ok(0) => Waits::Peer,
                Ok(us) => Waits::Rate(now.after(Duration::from_micros(us))),
                Err(_) => Waits::Rate(Instant::FAR),
            }
        };
        if door.waits == Waits::Peer {
            self.wanted.insert(listener);
        }
    }

    fn ask(&mut self, listener: ListenerId) {
        if let Some(door) = self.doors.get_mut(&listener) {
            door.waits = Waits::Peer;
            self.wanted.insert(listener);
        }
    }

    fn tick(&mut self, at: Moment) {
        for listener in self.names() {
            match self.doors[&listener].waits {
                Waits::Rate(until) if until <= at.now && at.inbound < at.limits.hard => {
                    self.ask(listener);
                }
                Waits::Rate(until) | Waits::Pause(until) if until <= at.now => {
                    self.decide(listener, at);
                }
                Waits::Peer | Waits::Rate(_) | Waits::Pause(_) | Waits::Room(_) => {}
            }
        }
        if at.inbound < at.limits.hard {
            self.room(at);
        }
    }

    /// There is room: who has waited long enough for it goes on.
    fn room(&mut self, at: Moment) {
        for listener in self.names() {
            if let Waits::Room(since) = self.doors[&listener].waits
                && since.after(at.limits.delay) <= at.now
            {
                self.ask(listener);
            }
        }
    }

    /// When a socket goes on if nothing else happens.
    pub(super) fn due(&self, limits: &Limits, inbound: u32) -> Option<Instant> {
        let due = self.doors.values().filter_map(|door| match door.waits {
            Waits::Peer => None,
            Waits::Rate(until) | Waits::Pause(until) => Some(until),
            Waits::Room(since) => (inbound < limits.hard).then(|| since.after(limits.delay)),
        });
        due.min()
    }
}
