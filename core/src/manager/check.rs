//! What must always hold, and what can be looked at.

use core::net::SocketAddr;

use super::{
    Counters, Flow, Heat, Manager, Provenance, State,
    entry::{Entry, Line, Link, LocalUse, Phase, RemoteUse},
    table::Table,
};
use crate::{
    base::{Instant, Request, Role, Serial, SlotIndex, Violated, violated},
    proto::handshake::Agreed,
};

impl Manager {
    /// The state of a connection; [`State::Unknown`] when it is not in the table.
    pub fn state(&self, conn: Serial) -> State {
        self.entry(conn).map_or(State::Unknown, Entry::state)
    }

    /// What the peer does with a connection, where it may do anything.
    pub fn heat(&self, conn: Serial) -> Option<Heat> {
        self.entry(conn).and_then(Entry::heat)
    }

    /// What was agreed on a connection.
    pub fn agreement(&self, conn: Serial) -> Option<Agreed> {
        match self.entry(conn)?.phase {
            Phase::Open(open) => Some(open.agreed),
            _ => None,
        }
    }

    /// The addresses of a connection, ours only when it is connected.
    pub fn addresses(&self, conn: Serial) -> Option<(SocketAddr, Option<SocketAddr>)> {
        self.entry(conn).map(|entry| (entry.remote, entry.local))
    }

    pub(super) fn entry(&self, conn: Serial) -> Option<&Entry> {
        self.table.slots.get(&conn)
    }

    /// All connections with their states, in the order of their slots.
    pub fn conns(&self) -> impl Iterator<Item = (Serial, State)> {
        self.table
            .slots
            .iter()
            .map(|(conn, entry)| (*conn, entry.state()))
    }

    /// How many connections are in the table, those remembered among them.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether the table is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Requests that wait for a handshake of the peer or the end of a quarantine.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Requests that are not answered.
    pub fn wishes(&self) -> impl Iterator<Item = Request> {
        self.wishes.keys().copied()
    }

    /// Duplex peers whose connection has lasted long enough, and what was agreed with each.
    pub fn mature(&self) -> impl Iterator<Item = (SocketAddr, Agreed)> {
        self.table.mature().iter().filter_map(|slot| {
            let (_, entry) = self.table.at(*slot)?;
            match entry.phase {
                Phase::Open(open) => Some((entry.remote, open.agreed)),
                _ => None,
            }
        })
    }

    /// Duplex peers that are not mature yet.
    pub fn fresh(&self) -> usize {
        self.table.on_line(Line::Maturity)
    }

    /// Slots of the table changed or walked through so far: a measure of work that must not grow
    /// with the table. No part of the state.
    pub fn touched(&self) -> u64 {
        self.table.touched()
    }

    /// The counters, kept along the way.
    pub fn counters(&self) -> Counters {
        let sum = |is: fn(State) -> bool| -> u32 {
            State::ALL
                .into_iter()
                .filter(|state| is(*state))
                .map(|state| self.table.count(state))
                .sum()
        };
        Counters {
            full_duplex: self.table.count(State::Duplex),
            duplex: sum(State::is_duplex),
            unidirectional: sum(State::is_unidirectional),
            inbound: self.table.inbound,
            outbound: sum(State::is_outbound),
            terminating: self.table.count(State::Terminating),
            remote_idle: self.table.count_heat(Heat::Idle),
            remote_cold: self.table.count_heat(Heat::Cold),
            remote_warm: self.table.count_heat(Heat::Warm),
            remote_hot: self.table.count_heat(Heat::Hot),
        }
    }

    /// The counters, counted anew.
    pub fn recount(&self) -> Counters {
        let entries = || self.table.slots.iter().map(|(_, entry)| entry);
        let states = |is: fn(State) -> bool| length(entries().filter(|e| is(e.state())));
        let heats = |heat| length(entries().filter(|e| e.heat() == Some(heat)));
        Counters {
            full_duplex: states(|state| state == State::Duplex),
            duplex: states(State::is_duplex),
            unidirectional: states(State::is_unidirectional),
            inbound: states(State::is_inbound),
            outbound: states(State::is_outbound),
            terminating: states(|state| state == State::Terminating),
            remote_idle: heats(Heat::Idle),
            remote_cold: heats(Heat::Cold),
            remote_warm: heats(Heat::Warm),
            remote_hot: heats(Heat::Hot),
        }
    }

    pub(super) fn invariants(&self) -> Result<(), Violated> {
        let name = "manager";
        let table = &self.table;
        let check = |holds, number, text| violated(holds, name, number, text);
        let few = table.inbound <= self.config.limits.hard;
        check(
            few || self.stopping,
            2,
            "no more inbound connections than the hard limit",
        )?;
        self.maxima()?;
        table.slots.check_invariants()?;
        let counted = self.counters() == self.recount();
        let agree = counted && table.buckets_agree() && table.prefixes_agree();
        check(agree, 1, "counts and rows are those of the entries")?;
        check(
            table.remotes_agree(),
            1,
            "lists by remote address are those of the entries",
        )?;
        for (conn, entry) in table.slots.iter() {
            if let Phase::Open(open) = &entry.phase {
                check(open.is_allowed(), 3, "flow and uses fit together")?;
            }
            check(
                self.timer_fits(entry),
                4,
                "a timer runs where a state has one",
            )?;
            let matures = entry.maturity.line.is_some();
            let open_duplex =
                matches!(&entry.phase, Phase::Open(open) if open.flow == Flow::Duplex);
            let one = matures != entry.mature.is_some() && open_duplex;
            let none = !matures && entry.mature.is_none() && !open_duplex;
            let fits = one || none || (self.stopping && !matures && entry.mature.is_none());
            check(fits, 5, "an open duplex connection matures or is mature")?;
            check(
                self.owner_fits(*conn, entry),
                6,
                "a dial or greeting has its request",
            )?;
        }
        check(self.lines_agree(), 4, "timers are in order of time")?;
        check(
            self.wishes_agree(),
            6,
            "a request waits for what it can wait for",
        )?;
        check(
            self.dials_differ(),
            7,
            "no remote address is dialled twice at a time",
        )?;
        check(
            self.ids_differ(),
            9,
            "two live connections have different addresses",
        )
    }

    fn maxima(&self) -> Result<(), Violated> {
        let config = &self.config;
        let table = &self.table;
        let holds = table.len() <= config.entries_max
            && table.on_line(Line::Quarantine) <= config.remembered_max(Line::Quarantine)
            && table.on_line(Line::Lingering) <= config.remembered_max(Line::Lingering)
            && self.queue.len() <= config.waiting_max
            && self.doors.len() <= config.listeners_max
            && self.exempt.len() <= config.exempt_max
            && self.reserved.len() <= config.exempt_max;
        violated(holds, "manager", 8, "every maximum holds")
    }

    fn timer_fits(&self, entry: &Entry) -> bool {
        let line = entry.timer.line;
        let wanted = match &entry.phase {
            _ if self.stopping => return line.is_none() || entry.phase.is_over(),
            Phase::Dialling { .. } | Phase::Greeting { .. } => None,
            Phase::Open(open) => match (open.local, open.remote) {
                (LocalUse::Linger, _) => Some(Line::Linger),
                (_, RemoteUse::Idle) if self.config.idle.is_some() => Some(Line::Idle),
                _ => None,
            },
            Phase::Lingering => Some(Line::Lingering),
            Phase::Quarantined { .. } => Some(Line::Quarantine),
        };
        line == wanted
    }

    fn lines_agree(&self) -> bool {
        [
            Line::Idle,
            Line::Linger,
            Line::Quarantine,
            Line::Lingering,
            Line::Maturity,
        ]
        .into_iter()
        .all(|line| {
            let mut before: Option<(SlotIndex, Link)> = None;
            let mut len = 0;
            for (slot, link) in self.table.walk(line) {
                let fits = link.line == Some(line)
                    && link.prev == before.map(|(slot, _)| slot)
                    && before.is_none_or(|(_, other)| other.at <= link.at);
                if !fits {
                    return false;
                }
                before = Some((slot, link));
                len += 1;
            }
            let threaded = self.table.slots.iter().filter(|(_, entry)| {
                entry.timer.line == Some(line) || entry.maturity.line == Some(line)
            });
            len == self.table.on_line(line) && len == threaded.count()
        })
    }

    fn owner_fits(&self, conn: Serial, entry: &Entry) -> bool {
        match entry.phase {
            Phase::Dialling { request, .. }
            | Phase::Greeting {
                role: Role::Initiator,
                request,
            } => self
                .wishes
                .get(&request)
                .is_some_and(|wish| wish.owner && wish.conn == conn),
            _ => true,
        }
    }

    fn wishes_agree(&self) -> bool {
        let waiting = self.wishes.values().filter(|wish| !wish.owner).count();
        let fits = self.wishes.iter().all(|(request, wish)| {
            let Some(entry) = self.entry(wish.conn) else {
                return false;
            };
            let greeting = matches!(
                entry.phase,
                Phase::Greeting {
                    role: Role::Responder,
                    ..
                }
            );
            let waits = self.queue.contains(&(wish.conn, *request));
            wish.owner != waits && (wish.owner || greeting || entry.phase.is_over())
        });
        fits && waiting == self.queue.len()
    }

    fn dials_differ(&self) -> bool {
        self.table.slots.iter().all(|(_, entry)| {
            let dials = |conn: &&Serial| {
                self.entry(**conn)
                    .is_some_and(|e| matches!(e.phase, Phase::Dialling { .. }))
            };
            self.table
                .of_remote(entry.remote)
                .iter()
                .filter(dials)
                .count()
                <= 1
        })
    }

    fn ids_differ(&self) -> bool {
        self.table.slots.iter().all(|(conn, entry)| {
            let same = |other: &&Serial| {
                *other != conn
                    && entry.local.is_some()
                    && self.entry(**other).is_some_and(|e| e.local == entry.local)
            };
            let listed = self.table.of_remote(entry.remote);
            !listed.contains(conn) || !listed.iter().any(|other| same(&other))
        })
    }

    /// The state with ids renamed by rank, times made relative to `now` and counters left out:
    /// equal for states that behave alike. With it the serials in rank order, so that what else
    /// names them can be renamed too.
    pub fn canonical(&self, now: Instant) -> (Canonical, alloc::vec::Vec<Serial>) {
        let mut ranked: alloc::vec::Vec<(Serial, &Entry)> =
            self.table.slots.iter().map(|(c, e)| (*c, e)).collect();
        ranked.sort_unstable_by_key(|(conn, _)| *conn);
        let serials: alloc::vec::Vec<Serial> = ranked.iter().map(|(conn, _)| *conn).collect();
        let rank = |conn: Serial| serials.binary_search(&conn).unwrap_or(usize::MAX);
        let ahead = |at: Instant| u64::try_from(at.since(now).as_micros()).unwrap_or(u64::MAX);
        let entries = ranked.iter().map(|(conn, entry)| CanonicalEntry {
            remote: entry.remote,
            local: entry.local,
            listed: self.table.of_remote(entry.remote).contains(conn),
            provenance: entry.provenance,
            state: entry.state(),
            held: entry.is_held(),
            remote_use: match &entry.phase {
                Phase::Open(open) => Some(open.remote),
                _ => None,
            },
            mode: match &entry.phase {
                Phase::Dialling { mode, .. } => Some(*mode),
                _ => None,
            },
            fires_in: Table::timer(entry).map(|(_, at)| ahead(at)),
            mature_in: entry.maturity.line.map(|_| ahead(entry.maturity.at)),
            mature: entry.mature.is_some(),
        });
        let canonical = Canonical {
            entries: entries.collect(),
            doors: self
                .doors
                .values()
                .map(|door| door.canonical(now, &self.config.limits))
                .collect(),
            wishes: self
                .wishes
                .values()
                .map(|wish| (rank(wish.conn), wish.owner))
                .collect(),
            stopping: self.stopping,
        };
        (canonical, serials)
    }
}

/// See [`Manager::canonical`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Canonical {
    entries: alloc::vec::Vec<CanonicalEntry>,
    doors: alloc::vec::Vec<(u8, u64)>,
    wishes: alloc::vec::Vec<(usize, bool)>,
    stopping: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct CanonicalEntry {
    remote: SocketAddr,
    local: Option<SocketAddr>,
    listed: bool,
    provenance: Provenance,
    state: State,
    held: bool,
    remote_use: Option<RemoteUse>,
    mode: Option<crate::proto::handshake::Mode>,
    fires_in: Option<u64>,
    mature_in: Option<u64>,
    mature: bool,
}

fn length<T>(of: impl Iterator<Item = T>) -> u32 {
    u32::try_from(of.count()).unwrap_or(u32::MAX)
}
