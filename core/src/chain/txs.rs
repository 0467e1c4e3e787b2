//! Transactions by id: which are here to give away, and which are worth pulling.
//!
//! One list in order of arrival holds the ids of all that the application has accepted or
//! refused; each peer that is supplied has a place in it. Ids that peers announced and that are
//! being pulled are known beside it.
//!
//! Limits: `max` ids in the list (the oldest are forgotten), as many due beside it,
//! [`DUE_MAX`] due from one peer (the oldest are given up), [`SOURCES_MAX`] peers asked for the
//! same one.
//!
//! Invariants: 1. every id of the list is known at its place; 2. the list and what is due are
//! within their limits.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use crate::base::{Serial, Slots, TxId, Violated, violated};

/// Ids due from one peer at most, inclusive: two windows of tx-submission.
const DUE_MAX: usize = 20;
/// Peers that are asked for the same transaction at once, at most, inclusive.
const SOURCES_MAX: u8 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Known {
    /// In the list.
    Listed,
    /// Being pulled from so many peers, or offered to the application.
    Due(u8),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Item {
    id: TxId,
    bytes: u32,
    accepted: bool,
}

/// A peer that is supplied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Place {
    /// The place in the list up to which it has heard.
    next: u64,
    /// Ids that it waits for.
    waits: u16,
}

/// Ids and sizes as they are announced.
pub(super) type Ids = Vec<(TxId, u32)>;

/// All transactions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Txs {
    max: usize,
    list: VecDeque<Item>,
    /// The place of the first of the list.
    first: u64,
    known: Slots<TxId, Known>,
    supplied: BTreeMap<Serial, Place>,
    pulled: BTreeMap<Serial, VecDeque<TxId>>,
}

impl Txs {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            list: VecDeque::new(),
            first: 0,
            known: Slots::new((0, 0), max.saturating_mul(2)),
            supplied: BTreeMap::new(),
            pulled: BTreeMap::new(),
        }
    }

    /// Hashes under this key from now on; only while empty.
    pub(super) fn key(&mut self, key: (u64, u64)) {
        if self.known.is_empty() {
            self.known = Slots::new(key, self.known.max());
        }
    }

    /// A supplied peer wants up to `wanted` more ids; `None` when it waits for the first.
    pub(super) fn ids(
        &mut self,
        conn: Serial,
        blocking: bool,
        wanted: u16,
        max: usize,
    ) -> Option<Ids> {
        if self.supplied.len() >= max && !self.supplied.contains_key(&conn) {
            return (!blocking).then(Vec::new);
        }
        let place = self.supplied.entry(conn).or_default();
        let ids = take(&self.list, self.first, place, wanted);
        if blocking && ids.is_empty() {
            place.waits = wanted;
            return None;
        }
        Some(ids)
    }

    /// Puts an id at the end of the list; `false` when it is there already.
    pub(super) fn list(&mut self, id: TxId, bytes: u32, accepted: bool) -> bool {
        if self.known.get(&id) == Some(&Known::Listed) || self.max == 0 {
            return false;
        }
        while self.list.len() >= self.max {
            if let Some(old) = self.list.pop_front() {
                self.known.remove(&old.id);
                self.first += 1;
            }
        }
        match self.known.get_mut(&id) {
            Some(known) => *known = Known::Listed,
            None => {
                if self.known.insert(id.clone(), Known::Listed).is_err() {
                    return false;
                }
            }
        }
        self.list.push_back(Item {
            id,
            bytes,
            accepted,
        });
        true
    }

    /// What to tell those who wait for an id.
    pub(super) fn wake(&mut self) -> Vec<(Serial, Ids)> {
        let mut woken = Vec::new();
        for (&conn, place) in &mut self.supplied {
            if place.waits == 0 {
                continue;
            }
            let ids = take(&self.list, self.first, place, place.waits);
            if !ids.is_empty() {
                place.waits = 0;
                woken.push((conn, ids));
            }
        }
        woken
    }

    /// A peer has these: which are wanted of it.
    pub(super) fn announced(&mut self, conn: Serial, ids: &[(TxId, u32)], max: usize) -> Vec<TxId> {
        let mut wanted = Vec::new();
        if self.pulled.len() >= max && !self.pulled.contains_key(&conn) {
            return wanted;
        }
        for (id, _) in ids {
            let due = self.pulled.entry(conn).or_default();
            if due.contains(id) {
                continue;
            }
            match self.known.get_mut(id) {
                Some(Known::Due(peers)) if *peers < SOURCES_MAX => *peers += 1,
                Some(_) => continue,
                None => {
                    let full = self.known.len() - self.list.len() >= self.max;
                    if full || self.known.insert(id.clone(), Known::Due(1)).is_err() {
                        continue;
                    }
                }
            }
            due.push_back(id.clone());
            wanted.push(id.clone());
            if due.len() > DUE_MAX
                && let Some(old) = due.pop_front()
            {
                self.give_up(&old);
            }
        }
        wanted
    }

    /// A transaction came; whether it is still wanted.
    pub(super) fn arrived(&mut self, conn: Serial, id: &TxId) -> bool {
        let Some(due) = self.pulled.get_mut(&conn) else {
            return false;
        };
        let Some(at) = due.iter().position(|due| due == id) else {
            return false;
        };
        due.remove(at);
        matches!(self.known.get(id), Some(Known::Due(_)))
    }

    /// One attempt to get it has failed.
    pub(super) fn give_up(&mut self, id: &TxId) {
        match self.known.get_mut(id) {
            Some(Known::Due(peers)) if *peers > 1 => *peers -= 1,
            Some(Known::Due(_)) => {
                self.known.remove(id);
            }
            Some(Known::Listed) | None => {}
        }
    }

    /// Whether the peer is supplied.
    pub(super) fn is_supplied(&self, conn: Serial) -> bool {
        self.supplied.contains_key(&conn)
    }

    /// The peer is supplied no longer.
    pub(super) fn stop_supply(&mut self, conn: Serial) {
        self.supplied.remove(&conn);
    }

    /// Nothing is pulled from the peer any more.
    pub(super) fn stop_pull(&mut self, conn: Serial) {
        for id in self.pulled.remove(&conn).unwrap_or_default() {
            self.give_up(&id);
        }
    }

    /// Checks invariants 1 and 2.
    pub(super) fn check_invariants(&self) -> Result<(), Violated> {
        let name = "chain transactions";
        let known = |item: &Item| self.known.get(&item.id) == Some(&Known::Listed);
        let all = self.list.iter().all(known);
        violated(all, name, 1, "every id of the list is known")?;
        let due = self.known.len() - self.list.len();
        let held = self.list.len() <= self.max && due <= self.max;
        let each = self.pulled.values().all(|due| due.len() <= DUE_MAX);
        violated(held && each, name, 2, "within the limits")?;
        self.known.check_invariants()
    }
}

/// The next accepted ids behind a peer's place, at most `wanted`.
fn take(list: &VecDeque<Item>, first: u64, place: &mut Place, wanted: u16) -> Ids {
    let mut ids = Vec::new();
    let skip = usize::try_from(place.next.saturating_sub(first)).unwrap_or(usize::MAX);
    let mut next = place.next.max(first);
    for item in list.iter().skip(skip) {
        if ids.len() >= usize::from(wanted) {
            break;
        }
        next += 1;
        if item.accepted {
            ids.push((item.id.clone(), item.bytes));
        }
    }
    place.next = next;
    ids
}
