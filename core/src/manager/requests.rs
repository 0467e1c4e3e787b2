//! Requests for connections: reuse, dial, wait, or a reason why not.

use core::net::SocketAddr;

use super::{
    Acquired, Action, LocalUse, Manager, NotAcquired, Provenance, State, Via,
    entry::{Entry, Link, Phase},
    machine::Wish,
};
use crate::{
    base::{Cx, Request, Role, Serial, SlotIndex},
    conn::Fault,
    proto::handshake::Mode,
};

/// What is best done with a request, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Offer {
    /// We have one.
    Exists,
    /// This one can be used.
    Reuse,
    /// The peer greets us: wait.
    Greeting,
    /// We have just released this one.
    Releasing,
    /// The peer uses this one alone.
    Forbidden,
    /// This one is over but remembered: wait.
    Over,
}

impl Manager {
    pub(super) fn acquire(&mut self, cx: &mut Cx<'_, Action>, request: Request, wish: Wish) {
        if self.wishes.contains_key(&request) {
            return self.count_stale();
        }
        let refused = |cx: &mut Cx<'_, Action>, why| answer(cx, request, Err(why));
        if self.stopping {
            return refused(cx, NotAcquired::Shutdown);
        }
        let best = self.table.of_remote(wish.remote).iter().filter_map(|conn| {
            let slot = self.table.slot(*conn)?;
            Some((offer(self.table.at(slot)?.1), *conn, slot))
        });
        match best.min() {
            None if wish.via == Via::Inbound => refused(cx, NotAcquired::NotFound),
            None => self.dial(cx, request, wish),
            Some((Offer::Exists, ..)) => refused(cx, NotAcquired::Exists),
            Some((Offer::Releasing, ..)) => refused(cx, NotAcquired::Releasing),
            Some((Offer::Forbidden, ..)) => refused(cx, NotAcquired::Forbidden),
            Some((Offer::Reuse, _, slot)) => self.reuse(cx, request, slot),
            Some((Offer::Greeting | Offer::Over, conn, _)) => {
                if self.queue.len() >= self.config.waiting_max {
                    return refused(cx, NotAcquired::Full);
                }
                self.queue.insert((conn, request));
                self.wishes.insert(request, Wish { conn, ..wish });
            }
        }
    }

    pub(super) fn reuse(&mut self, cx: &mut Cx<'_, Action>, request: Request, slot: SlotIndex) {
        let (Some((conn, _)), Some(open)) = (self.table.at(slot), self.open(slot)) else {
            return;
        };
        self.change_open(cx, slot, |open| open.local = LocalUse::InUse);
        let outcome = Ok(Acquired {
            conn,
            agreed: open.agreed,
            reused: true,
        });
        answer(cx, request, outcome);
    }

    fn dial(&mut self, cx: &mut Cx<'_, Action>, request: Request, wish: Wish) {
        self.make_room(cx);
        let remote = wish.remote;
        let mode = wish.mode.min(self.config.mode);
        let conn = self.serials.take();
        let entry = Entry {
            remote,
            local: None,
            provenance: Provenance::Outbound,
            phase: Phase::Dialling { request, mode },
            since: cx.now,
            timer: Link::default(),
            maturity: Link::default(),
            bucket: 0,
            mature: None,
        };
        let Some(slot) = self.table.insert(conn, entry, true) else {
            return answer(cx, request, Err(NotAcquired::Full));
        };
        let owner = true;
        self.wishes.insert(
            request,
            Wish {
                conn,
                owner,
                ..wish
            },
        );
        self.traced(cx, slot, State::Unknown, None);
        let bind = (mode == Mode::InitiatorAndResponder)
            .then(|| self.listening_like(remote))
            .flatten();
        cx.act(Action::Dial { conn, remote, bind });
    }

    /// Where we listen in the family of an address.
    fn listening_like(&self, remote: SocketAddr) -> Option<SocketAddr> {
        let mut locals = self.doors.values().map(|door| door.local);
        locals.find(|local| local.is_ipv4() == remote.is_ipv4())
    }

    pub(super) fn cancel(&mut self, cx: &mut Cx<'_, Action>, request: Request) {
        let Some(wish) = self.wishes.get(&request).copied() else {
            return self.count_stale();
        };
        if !wish.owner {
            self.wishes.remove(&request);
            self.queue.remove(&(wish.conn, request));
            return answer(cx, request, Err(NotAcquired::Cancelled));
        }
        if let Some(slot) = self.table.slot(wish.conn) {
            self.close(cx, slot, Fault::Cancelled);
        }
    }

    /// The first request that waits for a connection is taken from the queue.
    pub(super) fn pop_waiter(&mut self, conn: Serial) -> Option<Request> {
        let (request, _) = self.pop_wish(conn)?;
        Some(request)
    }

    pub(super) fn pop_wish(&mut self, conn: Serial) -> Option<(Request, Wish)> {
        let range = (conn, Request(0))..=(conn, Request(u64::MAX));
        let &(_, request) = self.queue.range(range).next()?;
        self.queue.remove(&(conn, request));
        Some((request, self.wishes.remove(&request)?))
    }
}

/// How an entry serves a request.
fn offer(entry: &Entry) -> Offer {
    match &entry.phase {
        Phase::Dialling { .. }
        | Phase::Greeting {
            role: Role::Initiator,
            ..
        } => Offer::Exists,
        Phase::Greeting {
            role: Role::Responder,
            ..
        } => Offer::Greeting,
        Phase::Open(open) => match open.local {
            LocalUse::InUse => Offer::Exists,
            LocalUse::None => Offer::Reuse,
            LocalUse::Linger => Offer::Releasing,
            LocalUse::Never => Offer::Forbidden,
        },
        Phase::Lingering | Phase::Quarantined { .. } => Offer::Over,
    }
}

/// Answers a request.
pub(super) fn answer(
    cx: &mut Cx<'_, Action>,
    request: Request,
    outcome: Result<Acquired, NotAcquired>,
) {
    cx.act(Action::Acquired { request, outcome });
}
