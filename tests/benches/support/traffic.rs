//! A script of events for a table of connections of about constant size.

use std::collections::{BTreeMap, VecDeque};

use core::{net::SocketAddr, time::Duration};

use samanea_core::{
    base::{Cx, Instant, ListenerId, Machine as _, NoRules, ProtocolId, Request, Seeded, Serial},
    conn::{Cause, Fault},
    manager::{Action, Config, Event, Heat, Limits, Manager, State, Via},
    proto::handshake::{Agreed, Mode, V15, VersionData},
};

/// Of the draws of the machine.
pub(crate) const SEED: u64 = 7;

/// What happens, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// No limit is met.
    Normal,
    /// The hard limit on inbound connections is met all the time.
    Pruning,
}

impl Script {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Pruning => "pruning",
        }
    }

    /// What happens, by weight: inbound connection, outbound connection, inbound mini-protocols,
    /// outbound mini-protocols, close inbound, close outbound, loss of power. With the limit met
    /// each of many outbound connections closed follows one begun.
    const fn weights(self) -> [u32; 7] {
        match self {
            Self::Normal => [4, 4, 10, 8, 6, 4, 4],
            Self::Pruning => [4, 24, 16, 4, 4, 20, 1],
        }
    }
}

/// A table and what is said to it.
pub(crate) struct Traffic {
    script: Script,
    size: usize,
    pub(crate) manager: Manager,
    choice: Seeded,
    /// Draws of the script.
    dice: u64,
    now: Instant,
    pause: Duration,
    /// Live connections with an open socket, and where they stand in this row.
    row: Vec<Serial>,
    places: BTreeMap<Serial, usize>,
    greeted: VecDeque<Serial>,
    dialled: VecDeque<Serial>,
    sources: u32,
    requests: u64,
    asked: bool,
    told: Vec<(Instant, Event)>,
    kinds: BTreeMap<&'static str, usize>,
}

const DOOR: ListenerId = ListenerId(1);
const HERE: ([u8; 4], u16) = ([172, 16, 0, 1], 3_001);

impl Traffic {
    pub(crate) fn new(script: Script, size: usize) -> Self {
        let count = u32::try_from(size).unwrap();
        let mut config = Config::default();
        let most = match script {
            Script::Normal => count * 4,
            Script::Pruning => count / 2,
        };
        config.limits = Limits {
            soft: most,
            hard: most,
            delay: Duration::from_millis(1),
        };
        config.prefixes.max = u32::MAX;
        config.entries_max = size * 4;
        config.quarantined_max = size * 2;
        Self {
            script,
            size,
            manager: Manager::new(config),
            choice: Seeded::new(SEED),
            dice: 1,
            now: Instant::ZERO,
            // A tenth of the entries or so is remembered for a minute.
            pause: Duration::from_nanos(72_000_000_000 / u64::from(count)),
            row: Vec::new(),
            places: BTreeMap::new(),
            greeted: VecDeque::new(),
            dialled: VecDeque::new(),
            sources: 0,
            requests: 0,
            asked: false,
            told: Vec::new(),
            kinds: BTreeMap::new(),
        }
    }

    /// The events that fill the table.
    pub(crate) fn filled(&mut self) -> Vec<(Instant, Event)> {
        let (listener, local) = (DOOR, HERE.into());
        self.tell(Event::Listening { listener, local });
        let mut turn = 0_usize;
        while self.manager.len() < self.size {
            turn += 1;
            if turn.is_multiple_of(2)
                && self.manager.counters().inbound < self.manager.config().limits.hard
            {
                self.arrive();
            } else {
                self.dial();
            }
            self.settle(self.size / 50);
        }
        std::mem::take(&mut self.told)
    }

    /// The next events, at least so many.
    pub(crate) fn more(&mut self, count: usize) -> Vec<(Instant, Event)> {
        self.kinds.clear();
        while self.told.len() < count {
            self.now = self.now.after(self.pause);
            self.turn();
            self.settle(self.size / 50);
            if self
                .manager
                .next_deadline()
                .is_some_and(|by| by <= self.now)
            {
                self.tell(Event::Tick);
            }
        }
        std::mem::take(&mut self.told)
    }

    /// Which events there were, in percent.
    pub(crate) fn mix(&self) -> String {
        let all: usize = self.kinds.values().sum();
        let part = |(kind, count): (&&str, &usize)| format!("{kind} {} %", count * 100 / all);
        let parts: Vec<String> = self.kinds.iter().map(part).collect();
        parts.join(", ")
    }

    fn draw(&mut self, n: usize) -> usize {
        // xorshift64: the script needs no better.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        usize::try_from(self.dice >> 20).unwrap() % n.max(1)
    }

    fn turn(&mut self) {
        let weights = self.script.weights();
        let all: u32 = weights.iter().sum();
        let mut drawn = u32::try_from(self.draw(all as usize)).unwrap();
        let mut what = 0;
        while drawn >= weights[what] {
            drawn -= weights[what];
            what += 1;
        }
        // The size stays about what it is.
        let few = self.manager.len() < self.size;
        match what {
            0 | 6 if few => self.arrive(),
            0 | 6 => self.lose(),
            1 if few => self.dial(),
            1 => self.reuse(),
            2 => self.use_us(),
            3 if self.draw(2) == 0 => self.reuse(),
            4 => self.end_all(),
            _ => self.release(),
        }
    }

    /// A peer dials.
    fn arrive(&mut self) {
        if self.asked {
            self.asked = false;
            let remote = self.source();
            self.tell(Event::Accepted {
                listener: DOOR,
                local: HERE.into(),
                remote,
            });
        }
    }

    /// We dial.
    fn dial(&mut self) {
        let remote = self.source();
        self.acquire(remote);
    }

    /// We use a connection of a peer.
    fn reuse(&mut self) {
        let idle = |state| matches!(state, State::InboundDup | State::InboundIdleDup);
        if let Some(conn) = self.pick(idle) {
            let (remote, _) = self.manager.addresses(conn).unwrap();
            self.acquire(remote);
        }
    }

    fn acquire(&mut self, remote: SocketAddr) {
        self.requests += 1;
        self.tell(Event::Acquire {
            request: Request(self.requests),
            remote,
            mode: Mode::InitiatorAndResponder,
            via: Via::Dial,
        });
    }

    fn release(&mut self) {
        let held = |state| {
            matches!(
                state,
                State::OutboundUni
                    | State::OutboundDupTicking
                    | State::OutboundDupExpired
                    | State::Duplex
            )
        };
        if let Some(conn) = self.pick(held) {
            self.tell(Event::Release(conn));
        }
    }

    /// A peer begins to use us, or ends one use and begins it again.
    fn use_us(&mut self) {
        let Some(conn) = self.pick(|_| true) else {
            return;
        };
        let (chain, keep) = (ProtocolId::CHAIN_SYNC, ProtocolId::KEEP_ALIVE);
        match self.manager.heat(conn) {
            None => {}
            Some(Heat::Idle | Heat::Cold) => {
                self.start(conn, chain);
                self.start(conn, keep);
            }
            Some(Heat::Warm | Heat::Hot) => {
                self.tell(Event::ResponderEnded {
                    conn,
                    protocol: chain,
                });
                self.start(conn, chain);
            }
        }
    }

    fn start(&mut self, conn: Serial, protocol: ProtocolId) {
        self.tell(Event::ResponderStarted { conn, protocol });
    }

    /// A peer has done with us.
    fn end_all(&mut self) {
        let uses = |state| matches!(state, State::InboundDup | State::InboundUni | State::Duplex);
        if let Some(conn) = self.pick(uses) {
            for protocol in [ProtocolId::KEEP_ALIVE, ProtocolId::CHAIN_SYNC] {
                self.tell(Event::ResponderEnded { conn, protocol });
            }
        }
    }

    /// A peer is gone.
    fn lose(&mut self) {
        if let Some(conn) = self.pick(|_| true) {
            self.tell(Event::Ended {
                conn,
                fault: Fault::Lost(Cause::Reset),
            });
        }
    }

    /// What is on its way arrives when so many more are.
    fn settle(&mut self, behind: usize) {
        if self.dialled.len() > behind
            && let Some(conn) = self.dialled.pop_front()
        {
            let port = 1_024 + u16::try_from(conn.0 % 60_000).unwrap();
            let local = (HERE.0, port).into();
            self.tell(Event::Connected { conn, local });
        }
        if self.greeted.len() > behind
            && let Some(conn) = self.greeted.pop_front()
        {
            let mode = match conn.0 % 4 {
                0 => Mode::InitiatorOnly,
                _ => Mode::InitiatorAndResponder,
            };
            let data = VersionData {
                magic: 42,
                mode,
                peer_sharing: true,
                query: false,
                peras: false,
            };
            let version = V15;
            let agreed = Agreed { version, data };
            self.tell(Event::Agreed { conn, agreed });
            // Most peers use us at once.
            if self.manager.heat(conn).is_some() && conn.0 % 8 != 0 {
                self.start(conn, ProtocolId::CHAIN_SYNC);
                self.start(conn, ProtocolId::KEEP_ALIVE);
            }
        }
    }

    /// An address that was not there before.
    fn source(&mut self) -> SocketAddr {
        self.sources += 1;
        let [_, b, c, d] = self.sources.to_be_bytes();
        SocketAddr::from(([10, b, c, d], 3_001))
    }

    /// A connection in such a state, if a few draws find one.
    fn pick(&mut self, fits: impl Fn(State) -> bool) -> Option<Serial> {
        (0..16).find_map(|_| {
            let at = self.draw(self.row.len());
            let conn = self.row.get(at).copied()?;
            fits(self.manager.state(conn)).then_some(conn)
        })
    }

    fn tell(&mut self, event: Event) {
        *self.kinds.entry(kind(&event)).or_default() += 1;
        self.told.push((self.now, event.clone()));
        let over = match event {
            Event::Ended { conn, .. } => Some(conn),
            _ => None,
        };
        let mut out = Vec::new();
        let mut cx = Cx::new(self.now, &mut self.choice, &NoRules, &mut out);
        self.manager.step(&mut cx, event);
        if let Some(conn) = over {
            self.unlist(conn);
        }
        for action in out {
            match action {
                Action::AcceptOne(_) => self.asked = true,
                Action::Dial { conn, .. } => self.dialled.push_back(conn),
                Action::Greet { conn, .. } => self.greeted.push_back(conn),
                Action::Close { conn, .. } => self.unlist(conn),
                Action::Acquired {
                    outcome: Ok(got), ..
                } => self.list(got.conn),
                _ => {}
            }
        }
        if let Some((_, Event::Agreed { conn, .. })) = self.told.last() {
            let conn = *conn;
            self.list(conn);
        }
    }

    fn list(&mut self, conn: Serial) {
        if !self.places.contains_key(&conn) && self.manager.agreement(conn).is_some() {
            self.places.insert(conn, self.row.len());
            self.row.push(conn);
        }
    }

    fn unlist(&mut self, conn: Serial) {
        if let Some(at) = self.places.remove(&conn) {
            self.row.swap_remove(at);
            if let Some(moved) = self.row.get(at) {
                self.places.insert(*moved, at);
            }
        }
    }
}

fn kind(event: &Event) -> &'static str {
    match event {
        Event::Acquire { .. } => "acquire",
        Event::Release(_) => "release",
        Event::Accepted { .. } => "accepted",
        Event::Connected { .. } => "connected",
        Event::Agreed { .. } => "agreed",
        Event::ResponderStarted { .. } => "responder started",
        Event::ResponderEnded { .. } => "responder ended",
        Event::Ended { .. } => "ended",
        Event::Tick => "tick",
        _ => "other",
    }
}
