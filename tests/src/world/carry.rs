//! The driver's part: carries out what a machine asks for.

use core::{net::SocketAddr, time::Duration};

use samanea_core::{
    base::{Class, ListenerId, Serial},
    chain,
    conn::Cause,
    node::{Action, Event, Notice},
    wire::Batch,
};

use super::{Breach, Broken, Due, Party, Socket, Subject, World};
use crate::tape::site;

impl<M: Subject> World<M> {
    /// Carries out one action of a host.
    pub(super) fn carry_out(&mut self, at: usize, action: Action) -> Result<(), Broken> {
        match action {
            Action::AcceptOne { listener } => self.accept_one(at, listener),
            Action::Adopt {
                listener,
                remote,
                conn,
            } => self.adopt(at, listener, remote, conn),
            Action::Reset { listener, remote } => self.refuse(at, listener, remote),
            Action::Dial { conn, remote, bind } => self.dial(at, conn, remote, bind),
            Action::Write { conn, batch } => self.write(at, conn, batch),
            Action::Reading { conn, on } => {
                self.set_reading(at, conn, on);
                Ok(())
            }
            Action::Close { conn, reset } => {
                self.close(at, conn, reset);
                Ok(())
            }
            Action::Ask { ticket, question } => {
                let Some(host) = self.hosts.get_mut(at) else {
                    return Ok(());
                };
                let answer = host.application.answer(question, &self.registry);
                let after = self.draw_span(site::APPLICATION, at, self.options.application_max);
                self.plan(after, at, Due::Feed(Event::Answered { ticket, answer }));
                Ok(())
            }
            Action::Notify(notice) => self.notify(at, notice),
            Action::Resolve { ticket, question } => {
                let answer = self.names.answer(self.now, &question);
                let event = Event::Resolved { ticket, answer };
                self.plan(Duration::ZERO, at, Due::Feed(event));
                Ok(())
            }
        }
    }

    fn contract(&self, at: usize, text: &'static str) -> Broken {
        self.broken(at, Breach::Contract(text))
    }

    fn accept_one(&mut self, at: usize, listener: ListenerId) -> Result<(), Broken> {
        let known = self
            .hosts
            .get_mut(at)
            .and_then(|host| host.listener(listener))
            .filter(|known| !known.armed && !known.closed);
        let Some(known) = known else {
            return Err(self.contract(at, "accept on an unknown listener, or twice"));
        };
        known.armed = true;
        self.offer(at, listener);
        Ok(())
    }

    /// Takes the offered link with this other end out of the list.
    fn take_offered(
        &mut self,
        at: usize,
        listener: ListenerId,
        remote: SocketAddr,
    ) -> Result<super::LinkId, Broken> {
        let found = self.hosts.get_mut(at).and_then(|host| {
            let waiting = &mut host.listener(listener)?.offered;
            let place = waiting.iter().position(|(_, from)| *from == remote)?;
            waiting.remove(place)
        });
        found
            .map(|(link, _)| link)
            .ok_or_else(|| self.contract(at, "an answer to a connection that was not offered"))
    }

    fn adopt(
        &mut self,
        at: usize,
        listener: ListenerId,
        remote: SocketAddr,
        conn: Serial,
    ) -> Result<(), Broken> {
        let link = self.take_offered(at, listener, remote)?;
        self.name(at, conn)?;
        if let Some(host) = self.hosts.get_mut(at) {
            host.sockets.insert(conn, Socket::Open(link, 1));
        }
        match self.links.get_mut(&link).map(|link| &mut link.ends[1]) {
            Some(end) if end.open => {
                end.conn = Some(conn);
                end.reading = true;
                self.plan_read(link, 1);
            }
            // It ended while it waited.
            Some(_) | None => {
                let cause = Cause::Reset;
                let event = Event::Closed { conn, cause };
                self.plan(Duration::ZERO, at, Due::FeedConn(conn, event));
            }
        }
        Ok(())
    }

    fn refuse(
        &mut self,
        at: usize,
        listener: ListenerId,
        remote: SocketAddr,
    ) -> Result<(), Broken> {
        let link = self.take_offered(at, listener, remote)?;
        self.drop_end(link, 1, true);
        Ok(())
    }

    /// A serial must be new.
    pub(super) fn name(&mut self, at: usize, conn: Serial) -> Result<(), Broken> {
        let new = self
            .hosts
            .get_mut(at)
            .is_some_and(|host| host.used.insert(conn));
        if new {
            Ok(())
        } else {
            Err(self.contract(at, "a serial is used twice"))
        }
    }

    fn write(&mut self, at: usize, conn: Serial, batch: Batch) -> Result<(), Broken> {
        let Some(host) = self.hosts.get_mut(at) else {
            return Ok(());
        };
        let (link, side) = match host.sockets.get(&conn) {
            Some(Socket::Open(link, side)) => (*link, *side),
            Some(Socket::Dialing(_)) => {
                return Err(self.contract(at, "a write before the dial has succeeded"));
            }
            None if host.used.contains(&conn) => return Ok(()),
            None => return Err(self.contract(at, "a write to a connection that never was")),
        };
        let bytes: usize = batch.iter().map(bytes::Bytes::len).sum();
        if bytes == 0 {
            return Err(self.contract(at, "a write of no bytes"));
        }
        host.tally.bytes_out += u64::try_from(bytes).unwrap_or(u64::MAX);
        if let Some(tap) = &mut self.tap {
            tap(at, host.life, conn, &batch);
        }
        let Some(known) = self.links.get_mut(&link).filter(|l| l.ends[side].open) else {
            // The socket has failed, and the machine is about to be told.
            return Ok(());
        };
        let end = &mut known.ends[side];
        end.writes = end.writes.saturating_add(1);
        let fails = known.suffers.courses[side].writes;
        if fails.is_some_and(|after| end.writes > after) {
            self.fail_end(link, side, Cause::Other(BROKEN_PIPE));
            return Ok(());
        }
        let lane = &mut known.lanes[side];
        {
            batch.into_iter().for_each(|bytes| lane.write(bytes));
            let outstanding = lane.written.saturating_sub(lane.flushed);
            if self.options.window_bytes > 0 && outstanding > self.options.window_bytes {
                return Err(self.broken(at, Breach::Window { bytes: outstanding }));
            }
        }
        self.plan_pump(link, side, self.now);
        Ok(())
    }

    fn set_reading(&mut self, at: usize, conn: Serial, on: bool) {
        let socket = self.hosts.get(at).and_then(|host| host.sockets.get(&conn));
        if let Some(&Socket::Open(link, side)) = socket {
            if let Some(link) = self.links.get_mut(&link) {
                link.ends[side].reading = on;
            }
            self.plan_read(link, side);
        }
    }

    fn close(&mut self, at: usize, conn: Serial, reset: bool) {
        let socket = self
            .hosts
            .get_mut(at)
            .and_then(|host| host.sockets.remove(&conn));
        match socket {
            Some(Socket::Open(link, side)) => self.drop_end(link, side, reset),
            Some(Socket::Dialing(dial)) => {
                if let Some((link, side)) = dial.link {
                    self.drop_end(link, side, true);
                }
            }
            None => {}
        }
    }

    fn notify(&mut self, at: usize, notice: Notice) -> Result<(), Broken> {
        let Some(host) = self.hosts.get_mut(at) else {
            return Ok(());
        };
        if let Notice::Chain(chain::Notice::TipChanged { tip, common, .. }) = &notice {
            let fine = host.application.accepts(tip, common, &self.registry);
            host.application.tip = *tip;
            host.tally.tips += 1;
            if !fine {
                let text = format!("{}", tip.point);
                return Err(self.broken(at, Breach::Tip(text)));
            }
        }
        let blamed = match &notice {
            Notice::Down { fault, .. } if fault.class() == Class::Adversarial => Some(*fault),
            _ => None,
        };
        if let Some(watch) = &mut self.watch {
            watch(self.now, at, host.life, &notice);
        }
        host.note(self.now, notice);
        match blamed {
            Some(fault) if self.options.honest => Err(self.broken(at, Breach::Blamed(fault))),
            _ => Ok(()),
        }
    }

    /// The host at an end, when that end's life still goes on.
    pub(super) fn living(&self, party: Party) -> Option<usize> {
        match party {
            Party::Stranger => None,
            Party::Host { at, life } => self
                .hosts
                .get(at)
                .filter(|host| host.life == life && host.node.is_some())
                .map(|_| at),
        }
    }
}

/// The kernel's number for a write to a connection that is gone.
const BROKEN_PIPE: i32 = 32;
