//! When each listening socket may accept, and what of it is taken.

use core::net::{IpAddr, SocketAddr};

use super::{
    Action, Limits, Manager, Provenance, Refusal, Trace, Wait,
    entry::{Entry, Link, Phase},
};
use crate::{
    base::{Cx, Instant, ListenerId, Request, Role, SlotIndex},
    conn::Cause,
};

/// A listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Door {
    pub(super) local: SocketAddr,
    pub(super) state: Turn,
}

/// What a listening socket does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Turn {
    /// One connection is asked for.
    Asked,
    /// The next is asked for then.
    Delayed(Instant),
    /// Accepting failed: what is to be done is decided then.
    Paused(Instant),
    /// The hard limit was met then.
    Full(Instant),
}

/// What is to be done about the next connection with `inbound` of them there.
fn turn(limits: &Limits, inbound: u32, now: Instant) -> Turn {
    if inbound < limits.soft {
        return Turn::Asked;
    }
    if inbound >= limits.hard {
        return Turn::Full(now);
    }
    let over = inbound.saturating_sub(limits.soft);
    let span = limits.hard.saturating_sub(limits.soft).max(1);
    let delay = limits
        .delay
        .saturating_mul(over)
        .checked_div(span)
        .unwrap_or_default();
    if delay.is_zero() {
        Turn::Asked
    } else {
        Turn::Delayed(now.after(delay))
    }
}

impl Manager {
    pub(super) fn listening(
        &mut self,
        cx: &mut Cx<'_, Action>,
        listener: ListenerId,
        local: SocketAddr,
    ) {
        let room = self.doors.len() < self.config.listeners_max;
        if self.stopping || self.doors.contains_key(&listener) {
            return self.count_stale();
        }
        if !room {
            return cx.act(Action::ListenerLost(listener));
        }
        let state = Turn::Full(cx.now);
        self.doors.insert(listener, Door { local, state });
        self.open_door(cx, listener);
    }

    /// Decides about the next connection of a socket.
    fn open_door(&mut self, cx: &mut Cx<'_, Action>, listener: ListenerId) {
        let inbound = self.table.inbound;
        let state = turn(&self.config.limits, inbound, cx.now);
        let Some(door) = self.doors.get_mut(&listener) else {
            return;
        };
        door.state = state;
        let wait = match state {
            Turn::Asked => return cx.act(Action::AcceptOne(listener)),
            Turn::Delayed(until) | Turn::Paused(until) => Wait::Delay(until.since(cx.now)),
            Turn::Full(_) => Wait::HardLimit(self.config.limits.hard),
        };
        self.trace(cx, || Trace::Waiting {
            listener,
            inbound,
            wait,
        });
    }

    /// Sockets whose wait is over accept again.
    pub(super) fn open_doors(&mut self, cx: &mut Cx<'_, Action>, timers: bool) {
        if self.doors.values().all(|door| door.state == Turn::Asked) {
            return;
        }
        let room = self.table.inbound < self.config.limits.hard;
        let delay = self.config.limits.delay;
        let ready = |door: &Door| match door.state {
            Turn::Asked => false,
            Turn::Delayed(until) | Turn::Paused(until) => timers && until <= cx.now,
            Turn::Full(since) => room && since.after(delay) <= cx.now,
        };
        let listeners = self.doors.iter().filter(|(_, door)| ready(door));
        let listeners: smallvec::SmallVec<[ListenerId; 4]> = listeners.map(|(id, _)| *id).collect();
        for listener in listeners {
            let Some(door) = self.doors.get_mut(&listener) else {
                continue;
            };
            match door.state {
                Turn::Full(_) => {
                    door.state = Turn::Asked;
                    let inbound = self.table.inbound;
                    self.trace(cx, || Trace::Resumed { listener, inbound });
                    cx.act(Action::AcceptOne(listener));
                }
                // The delay was that of the connection it was drawn for: the next one is asked for
                // whatever came meanwhile, short of the hard limit.
                Turn::Delayed(_) if room => {
                    door.state = Turn::Asked;
                    cx.act(Action::AcceptOne(listener));
                }
                Turn::Asked | Turn::Delayed(_) | Turn::Paused(_) => self.open_door(cx, listener),
            }
        }
    }

    /// When a socket accepts again, if nothing else happens.
    pub(super) fn doors_due(&self) -> Option<Instant> {
        let room = self.table.inbound < self.config.limits.hard;
        let delay = self.config.limits.delay;
        self.doors
            .values()
            .filter_map(|door| match door.state {
                Turn::Asked => None,
                Turn::Delayed(until) | Turn::Paused(until) => Some(until),
                Turn::Full(since) => room.then(|| since.after(delay)),
            })
            .min()
    }

    pub(super) fn accept_failed(
        &mut self,
        cx: &mut Cx<'_, Action>,
        listener: ListenerId,
        cause: Cause,
        fatal: bool,
    ) {
        let Some(door) = self.doors.get_mut(&listener) else {
            return self.count_stale();
        };
        if fatal {
            self.doors.remove(&listener);
            return cx.act(Action::ListenerLost(listener));
        }
        let pause = match cause {
            Cause::Resources => self.config.shortage_pause,
            _ => self.config.abort_pause,
        };
        door.state = Turn::Paused(cx.now.after(pause));
        let inbound = self.table.inbound;
        let wait = Wait::Pause(pause);
        self.trace(cx, || Trace::Waiting {
            listener,
            inbound,
            wait,
        });
    }

    pub(super) fn accepted(
        &mut self,
        cx: &mut Cx<'_, Action>,
        listener: ListenerId,
        local: SocketAddr,
        remote: SocketAddr,
    ) {
        let refusal = self.refusal(listener, local, remote).or_else(|| {
            self.make_room(cx);
            let max = u32::try_from(self.table.slots.max()).unwrap_or(u32::MAX);
            self.table.is_full().then_some(Refusal::Table(max))
        });
        if let Some(refusal) = refusal {
            cx.act(Action::Reset { listener, remote });
            self.trace(cx, || Trace::Refused { remote, refusal });
        } else {
            self.adopt(cx, listener, local, remote);
        }
        // What nobody asked for shortens no wait and prolongs none.
        if refusal != Some(Refusal::Unasked) {
            self.open_door(cx, listener);
        }
    }

    /// Why an accepted connection is not wanted, if so.
    fn refusal(
        &self,
        listener: ListenerId,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> Option<Refusal> {
        let asked = self
            .doors
            .get(&listener)
            .is_some_and(|door| door.state == Turn::Asked);
        if self.stopping || !asked {
            return Some(Refusal::Unasked);
        }
        // A dead connection with these addresses makes room for the new one.
        let replaced = self.with_id(remote, local);
        let replaced = replaced.filter(|slot| !self.is_own(*slot));
        let replaced = replaced.and_then(|slot| self.table.at(slot));
        let (inbound, accepted) = replaced.map_or((0, 0), |(_, entry)| {
            let accepted = entry.provenance == Provenance::Inbound && entry.has_socket();
            (u32::from(entry.state().is_inbound()), u32::from(accepted))
        });
        let hard = self.config.limits.hard;
        if self.table.inbound.saturating_sub(inbound) >= hard {
            return Some(Refusal::HardLimit(hard));
        }
        let ip = remote.ip().to_canonical();
        let expected = self.reserved.contains(&ip);
        let kept = self.kept_inbound();
        if !expected && self.table.inbound.saturating_sub(inbound) >= hard.saturating_sub(kept) {
            return Some(Refusal::Reserved(kept));
        }
        let max = self.config.prefixes.max;
        let limited = max > 0 && !ip.is_loopback() && !self.exempt.contains(&ip) && !expected;
        if limited && self.table.of_prefix(ip).saturating_sub(accepted) >= max {
            return Some(Refusal::Prefix(max));
        }
        let locals = self.config.locals_max;
        let full = replaced.is_none() && self.table.of_remote(remote).len() >= locals;
        full.then(|| Refusal::Locals(u32::try_from(locals).unwrap_or(u32::MAX)))
    }

    /// Whether a connection is a live end of one to ourselves with the same address at both ends.
    fn is_own(&self, slot: SlotIndex) -> bool {
        let entry = self.table.at(slot).map(|(_, entry)| entry);
        entry.is_some_and(|entry| entry.local == Some(entry.remote)) && !self.is_over(slot)
    }

    /// Takes an accepted connection in; one that is over, or dead unseen, gives way to it.
    fn adopt(
        &mut self,
        cx: &mut Cx<'_, Action>,
        listener: ListenerId,
        local: SocketAddr,
        remote: SocketAddr,
    ) {
        let old = self.with_id(remote, local);
        // Of a connection to ourselves the dialled end alone is found by its addresses.
        let own = old.is_some_and(|slot| self.is_own(slot));
        let conn = self.serials.take();
        let role = Role::Responder;
        let entry = Entry {
            remote,
            local: Some(local),
            provenance: Provenance::Inbound,
            phase: Phase::Greeting {
                role,
                request: Request(0),
            },
            since: cx.now,
            timer: Link::default(),
            maturity: Link::default(),
            bucket: 0,
            mature: None,
        };
        let Some(slot) = self.table.insert(conn, entry, !own) else {
            return cx.act(Action::Reset { listener, remote });
        };
        self.traced(cx, slot, super::State::Unknown, None);
        cx.act(Action::Adopt {
            listener,
            remote,
            conn,
        });
        cx.act(Action::Greet {
            conn,
            remote,
            role,
            mode: self.config.mode,
        });
        if let Some(slot) = old.filter(|_| !own) {
            self.replace(cx, slot);
        }
    }

    /// How many inbound connections are kept for those who have them reserved.
    fn kept_inbound(&self) -> u32 {
        let wanted = u32::try_from(self.reserved.len()).unwrap_or(u32::MAX);
        wanted
            .min(self.config.reserved_max)
            .min(self.config.limits.hard / 2)
    }

    /// Keeps an inbound connection for an address, or no longer.
    pub(super) fn set_reserved(&mut self, ip: IpAddr, on: bool) {
        let ip = ip.to_canonical();
        if !on {
            self.reserved.remove(&ip);
        } else if self.reserved.len() < self.config.exempt_max {
            self.reserved.insert(ip);
        }
    }

    /// Exempts an address from the limit per prefix, or no longer.
    pub(super) fn set_exempt(&mut self, ip: IpAddr, on: bool) {
        let ip = ip.to_canonical();
        if !on {
            self.exempt.remove(&ip);
        } else if self.exempt.len() < self.config.exempt_max {
            self.exempt.insert(ip);
        }
    }
}

impl Door {
    /// What it does, and in how many microseconds it will do more; at the hard limit, for how
    /// many it has waited, no longer than matters.
    pub(super) fn canonical(&self, now: Instant, limits: &Limits) -> (u8, u64) {
        let us = |span: core::time::Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        match self.state {
            Turn::Asked => (0, 0),
            Turn::Delayed(until) => (1, us(until.since(now))),
            Turn::Full(since) => (2, us(now.since(since).min(limits.delay))),
            Turn::Paused(until) => (3, us(until.since(now))),
        }
    }
}
