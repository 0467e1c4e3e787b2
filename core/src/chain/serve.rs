//! Who fetches bodies from us: one range a connection, loaded window by window.
//!
//! ```text
//!  Requested ─▶ Load ─Loaded─▶ Start, Block… ─▶ Load (unless the egress is full) … ─▶ Done
//!          └──▶ NoBlocks
//! ```
//! A range may lie on any branch whose bodies are all here. Two windows at most are over the
//! egress mark: the one in the buffer and the one being loaded.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::index::Index;
use crate::base::{Hash32, Point, Serial, Ticket};

/// Where serving a range stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Phase {
    /// Nothing is asked for: the egress is full, or no question may be asked.
    Waiting,
    /// Bodies are being loaded.
    Loading(Ticket, usize),
}

/// One range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Stream {
    to: Hash32,
    next: u64,
    last: u64,
    started: bool,
    phase: Phase,
}

/// One peer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Reader {
    full: bool,
    stream: Option<Stream>,
}

/// What to do with bodies that were loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loaded {
    /// They are void.
    Void,
    /// Say that the range is not here.
    Missing,
    /// Send them.
    Send {
        /// Whether they are the first.
        first: bool,
        /// Whether nothing follows.
        last: bool,
        /// How many of them.
        count: usize,
    },
}

/// All peers that fetch from us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Serve {
    by: BTreeMap<Serial, Reader>,
    stalled: BTreeSet<Serial>,
}

impl Serve {
    /// A peer asks for a range; whether it is here.
    pub(super) fn request(
        &mut self,
        index: &Index,
        conn: Serial,
        from: &Point,
        to: &Point,
        max: usize,
    ) -> bool {
        let reader = self.by.len() < max || self.by.contains_key(&conn);
        let range = || {
            let (first, last) = (index.at_point(from)?, index.at_point(to)?);
            let here = index.is_range(first, last)?;
            let heights = (index.entry(first)?.height, index.entry(last)?.height);
            here.then_some((to.hash()?, heights))
        };
        let (true, Some((to, (next, last)))) = (reader, range()) else {
            return false;
        };
        self.by.entry(conn).or_default().stream = Some(Stream {
            to,
            next,
            last,
            started: false,
            phase: Phase::Waiting,
        });
        true
    }

    /// The next points to load for this peer: `None` when it waits for nothing or must wait on.
    /// An empty list means that they are here no longer.
    pub(super) fn wanted(
        &self,
        index: &Index,
        conn: Serial,
        count: usize,
        bytes: u64,
    ) -> Option<Vec<Point>> {
        let reader = self.by.get(&conn)?;
        let stream = reader.stream.as_ref()?;
        if reader.full || stream.phase != Phase::Waiting {
            return None;
        }
        let points = index
            .find(&stream.to)
            .map(|to| index.window(to, stream.next, count, bytes));
        Some(points.unwrap_or_default())
    }

    /// The points are being loaded under this ticket, or (`None`) will be asked for again.
    pub(super) fn loading(&mut self, conn: Serial, ticket: Option<Ticket>, count: usize) {
        let stream = self.by.get_mut(&conn);
        let Some(stream) = stream.and_then(|reader| reader.stream.as_mut()) else {
            return;
        };
        match ticket {
            Some(ticket) => stream.phase = Phase::Loading(ticket, count),
            None => {
                self.stalled.insert(conn);
            }
        }
    }

    /// One peer whose question found no place.
    pub(super) fn pop_stalled(&mut self) -> Option<Serial> {
        self.stalled.pop_first()
    }

    /// Bodies were loaded.
    pub(super) fn loaded(&mut self, conn: Serial, ticket: Ticket, got: usize) -> Loaded {
        let Some(reader) = self.by.get_mut(&conn) else {
            return Loaded::Void;
        };
        let Some(stream) = reader.stream.as_mut() else {
            return Loaded::Void;
        };
        let count = match stream.phase {
            Phase::Loading(asked, count) if asked == ticket => count,
            _ => return Loaded::Void,
        };
        let first = !stream.started;
        if got < count {
            reader.stream = None;
            return if first {
                Loaded::Missing
            } else {
                Loaded::Send {
                    first,
                    last: true,
                    count: got,
                }
            };
        }
        stream.started = true;
        stream.phase = Phase::Waiting;
        stream.next += count as u64;
        let last = stream.next > stream.last;
        if last {
            reader.stream = None;
        }
        Loaded::Send { first, last, count }
    }

    /// The range is here no longer; whether its beginning was sent.
    pub(super) fn end(&mut self, conn: Serial) -> bool {
        let reader = self.by.get_mut(&conn);
        let stream = reader.and_then(|reader| reader.stream.take());
        stream.is_some_and(|stream| stream.started)
    }

    /// The egress buffer of the peer is full, or has room again.
    pub(super) fn level(&mut self, conn: Serial, full: bool) {
        if let Some(reader) = self.by.get_mut(&conn) {
            reader.full = full;
        }
    }

    pub(super) fn remove(&mut self, conn: Serial) {
        self.by.remove(&conn);
        self.stalled.remove(&conn);
    }
}
