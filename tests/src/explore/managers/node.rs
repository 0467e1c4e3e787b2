//! One node: the real table of connections and what its driver and user remember.

use core::hash::{Hash, Hasher};
use std::collections::BTreeMap;

use samanea_core::{
    base::{Choice, Cx, Instant, Machine, NoRules, Request, Serial, Site},
    manager::{Action, Event, Heat, Manager, State, Via},
};

use super::{Scope, Wish};

/// A node and those who use it.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) manager: Manager,
    /// The driver was asked to accept one.
    pub(super) accepting: bool,
    /// Requests that are not answered, in order, and for whom.
    pub(super) asked: Vec<(Request, u8)>,
    asks: u64,
    /// Connections that we were given and have not lost, and whether we have released them.
    pub(super) held: BTreeMap<Serial, bool>,
    /// What the traces have said of each connection.
    pub(super) traced: BTreeMap<Serial, (State, Option<Heat>)>,
    /// The last connection that left the table.
    pub(super) gone: Serial,
    pub(super) stage: Stage,
    /// The canonical form, and the connections in order of rank.
    bytes: Vec<u8>,
    ranks: Vec<Serial>,
}

impl Node {
    pub(super) fn new(scope: &Scope, node: u8) -> Self {
        Self {
            manager: scope.manager(node),
            accepting: false,
            asked: Vec::new(),
            asks: 0,
            held: BTreeMap::new(),
            traced: BTreeMap::new(),
            gone: Serial(0),
            stage: Stage::Running,
            bytes: Vec::new(),
            ranks: Vec::new(),
        }
    }

    /// A new request for another node.
    pub(super) fn ask(&mut self, wish: Wish) -> Request {
        self.asks += 1;
        let request = Request(self.asks);
        self.asked.push((request, wish.of));
        request
    }

    /// One step; how many victims there were to choose from.
    pub(super) fn step(
        &mut self,
        now: Instant,
        event: Event,
        victim: u8,
        out: &mut Vec<Action>,
    ) -> u32 {
        let mut pick = Pick {
            wanted: u32::from(victim),
            of: 1,
        };
        let mut cx = Cx::new(now, &mut pick, &NoRules, out);
        self.manager.step(&mut cx, event);
        pick.of
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.manager.next_deadline().is_some_and(|at| at <= now)
    }

    /// Nothing is left here.
    pub(super) fn is_at_rest(&self, listens: bool) -> bool {
        let nothing = self.manager.is_empty() && self.asked.is_empty();
        nothing
            && match self.stage {
                Stage::Running => self.accepting == listens,
                Stage::Stopping => false,
                Stage::Stopped => true,
            }
    }

    /// The last request that was answered; none such when it is not.
    pub(super) fn answered(&self) -> Request {
        let waits = |n: &u64| self.asked.iter().any(|(asked, _)| asked.0 == *n);
        Request((1..=self.asks).rev().find(|n| !waits(n)).unwrap_or(0))
    }

    pub(super) fn rank(&self, conn: Serial) -> usize {
        self.ranks.binary_search(&conn).unwrap_or(usize::MAX)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Makes the canonical form anew, after a step or when time has passed.
    pub(super) fn refresh(&mut self, now: Instant) {
        let (canonical, ranks) = self.manager.canonical(now);
        self.ranks = ranks;
        let mut bytes = core::mem::take(&mut self.bytes);
        bytes.clear();
        let mut into = Bytes(&mut bytes);
        canonical.hash(&mut into);
        self.accepting.hash(&mut into);
        for (_, of) in &self.asked {
            of.hash(&mut into);
        }
        (u8::MAX, self.stage, self.held.len()).hash(&mut into);
        for (conn, released) in &self.held {
            (self.rank(*conn), released).hash(&mut into);
        }
        self.bytes = bytes;
    }
}

/// Whether a node goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Stage {
    Running,
    /// It was told to stop.
    Stopping,
    /// It has said that nothing is left.
    Stopped,
}

/// How an acquisition is told to the table.
pub(super) fn acquire(wish: Wish, request: Request) -> Event {
    let via: Via = wish.via;
    Event::Acquire {
        request,
        remote: super::net::address(wish.of),
        mode: wish.mode,
        via,
    }
}

/// Takes the wanted victim; everything else is the first.
struct Pick {
    wanted: u32,
    of: u32,
}

impl Choice for Pick {
    fn below(&mut self, site: Site, _of: u64, n: u32) -> u32 {
        if site != Site::VICTIM {
            return 0;
        }
        self.of = self.of.max(n);
        self.wanted.min(n.saturating_sub(1))
    }
}

/// Keeps the bytes that a hash would be made of.
pub(super) struct Bytes<'a>(pub(super) &'a mut Vec<u8>);

impl Hasher for Bytes<'_> {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}
