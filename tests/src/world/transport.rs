//! Links at work: packets, reads, ends.

use core::time::Duration;

use bytes::{Bytes, BytesMut};
use samanea_core::{base::Instant, conn::Cause, node::Event};

use super::{
    Broken, Due, NOTHING, Party, Subject, World,
    link::{Lane, Link, LinkId, Piece, Side, Spoil},
};
use crate::tape::site;

impl<M: Subject> World<M> {
    /// One way through a link.
    pub(super) fn draw_delay(&mut self, of: usize) -> Duration {
        let profile = self.options.profile;
        let spread = profile.delay_max.saturating_sub(profile.delay_min);
        profile.delay_min + self.draw_span(site::DELAY, of, spread)
    }

    /// The sender's kernel will work at `when`.
    pub(super) fn plan_pump(&mut self, id: LinkId, side: Side, when: Instant) {
        if let Some(lane) = self.links.get_mut(&id).map(|link| &mut link.lanes[side])
            && !lane.pumping
        {
            lane.pumping = true;
            self.plan_at(when, usize::MAX, Due::Pump(id, side));
        }
    }

    /// The sender's kernel takes what fits and sends one packet.
    pub(super) fn pump(&mut self, id: LinkId, side: Side) {
        let profile = self.options.profile;
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let age = now.since(link.born);
        let rate = link.suffers.rate(side, age, profile.rate);
        let packet_max = match link.suffers.packet_max {
            0 => profile.packet_max,
            own => own,
        };
        let lane = &mut link.lanes[side];
        lane.pumping = false;
        let taken = lane.take_in(&profile);
        let sender = link.ends[side].clone();
        if lane.has_unsent() && now < lane.busy_until {
            let when = lane.busy_until;
            self.plan_pump(id, side, when);
        } else if lane.has_unsent() {
            let max = usize::try_from(packet_max.max(1)).unwrap_or(1);
            let packet = lane.packet(max);
            let bytes = u64::try_from(packet.len()).unwrap_or(0);
            let sending = bytes
                .saturating_mul(1_000_000)
                .checked_div(rate)
                .map_or(Duration::ZERO, Duration::from_micros);
            lane.busy_until = now.after(sending);
            let again = lane.has_unsent().then_some(lane.busy_until);
            self.depart(id, side, Piece::Data(packet));
            if let Some(when) = again {
                self.plan_pump(id, side, when);
            }
        }
        self.send_fin(id, side);
        if taken > 0
            && let (Some(at), Some(conn)) = (self.living(sender.party), sender.conn)
        {
            let event = Event::Flushed { conn, bytes: taken };
            self.plan(Duration::ZERO, at, Due::FeedConn(conn, event));
        }
        self.forget(id);
    }

    fn send_fin(&mut self, id: LinkId, side: Side) {
        let Some(lane) = self.links.get_mut(&id).map(|link| &mut link.lanes[side]) else {
            return;
        };
        if lane.fin_wanted && !lane.fin_sent && lane.is_drained() {
            lane.fin_sent = true;
            self.depart(id, side, Piece::Fin);
        }
    }

    /// Puts a piece on its way; nothing overtakes.
    fn depart(&mut self, id: LinkId, side: Side, piece: Piece) {
        let delay = self.draw_delay(usize::try_from(id).unwrap_or(0));
        let Some(lane) = self.links.get_mut(&id).map(|link| &mut link.lanes[side]) else {
            return;
        };
        if lane.hole {
            if !core::mem::replace(&mut lane.unheard, true) {
                let until = self.now.after(GIVING_UP);
                self.plan_at(until, usize::MAX, Due::GiveUp(id, side));
            }
            return;
        }
        let arrival = lane
            .busy_until
            .max(self.now)
            .after(delay)
            .max(lane.last_arrival);
        lane.last_arrival = arrival;
        let to = self.links.get(&id).map_or(side, |link| link.facing(side));
        self.plan_at(arrival, usize::MAX, Due::Arrive(id, to, piece));
    }

    /// Something arrives at `side`.
    pub(super) fn arrive(&mut self, id: LinkId, side: Side, piece: Piece) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let from = link.facing(side);
        let age = now.since(link.born);
        let lane = &mut link.lanes[from];
        if lane.hole {
            return;
        }
        match piece {
            Piece::Reset => return self.lost(id, side, Cause::Reset),
            Piece::Fin => lane.eof = true,
            Piece::Data(bytes) => {
                let gone = bytes.len();
                let bytes = spoilt(bytes, lane.spoil.take());
                if !link.ends[side].open {
                    // A kernel answers bytes for a closed socket with a reset.
                    self.drop_end(id, side, true);
                    return;
                }
                if let Some(cause) = link.suffers.error(from, age) {
                    return self.fail_end(id, side, cause);
                }
                let stranger = link.ends[side].party == Party::Stranger;
                if stranger || bytes.is_empty() {
                    lane.free(gone);
                    self.plan_pump(id, from, now);
                    return;
                }
                // What was added or left out on the way is no longer the sender's business.
                lane.free(gone.saturating_sub(bytes.len()));
                lane.arrived(bytes);
            }
        }
        self.plan_read(id, side);
    }

    /// The receiver's driver will read when it may.
    pub(super) fn plan_read(&mut self, id: LinkId, side: Side) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let from = link.facing(side);
        let end = &link.ends[side];
        let lane = &mut link.lanes[from];
        let may = end.open && end.reading && end.conn.is_some();
        if may && lane.is_readable() && !lane.read_due {
            lane.read_due = true;
            self.plan_at(self.now, usize::MAX, Due::Read(id, side));
        }
    }

    /// The receiver's driver reads once.
    pub(super) fn read(&mut self, id: LinkId, side: Side) -> Result<(), Broken> {
        let max = self.options.profile.read_max.max(1);
        let of = id.wrapping_mul(2) + u64::from(side == 1);
        // Mostly as much as there is, sometimes a few bytes.
        let max = match self.choice.below(site::CUT, of, 8) {
            0 => 1 + self.choice.below(site::CUT, of, max.min(64)),
            _ => max,
        };
        let Some(link) = self.links.get_mut(&id) else {
            return Ok(());
        };
        let from = link.facing(side);
        let end = link.ends[side].clone();
        let lane = &mut link.lanes[from];
        lane.read_due = false;
        if !end.open || !end.reading {
            return Ok(());
        }
        let (Some(at), Some(conn)) = (self.living(end.party), end.conn) else {
            return Ok(());
        };
        let Some(lane) = self.links.get_mut(&id).map(|link| &mut link.lanes[from]) else {
            return Ok(());
        };
        let bytes = lane.read(usize::try_from(max).unwrap_or(1));
        if bytes.is_empty() {
            if lane.eof {
                self.lost(id, side, Cause::Eof);
            }
            return Ok(());
        }
        lane.free(bytes.len());
        if let Some(host) = self.hosts.get_mut(at) {
            host.tally.bytes_in += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        }
        self.plan_pump(id, from, self.now);
        self.feed(at, &Event::Received { conn, bytes })?;
        self.plan_read(id, side);
        Ok(())
    }

    /// The sender's kernel has tried for long to get a packet through.
    pub(super) fn give_up(&mut self, id: LinkId, side: Side) {
        let still = self.links.get_mut(&id).is_some_and(|link| {
            let lane = &mut link.lanes[side];
            lane.unheard = false;
            lane.hole
        });
        if still {
            self.lost(id, side, Cause::TimedOut);
        }
    }

    /// The socket at `side` ends by itself; its machine is told.
    pub(super) fn lost(&mut self, id: LinkId, side: Side, cause: Cause) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if cause != Cause::Eof {
            link.ends
                .iter_mut()
                .for_each(|end| end.closed_first = false);
        }
        if !link.ends[side].open {
            link.lanes[side].fin_wanted = false;
            link.lanes.iter_mut().for_each(Lane::clear);
            return self.forget(id);
        }
        if link.ends[side].conn.is_none() && cause == Cause::Eof {
            return;
        }
        link.ends[side].open = false;
        link.lanes.iter_mut().for_each(Lane::clear);
        let end = link.ends[side].clone();
        if let (Some(at), Some(conn)) = (self.living(end.party), end.conn) {
            let event = Event::Closed { conn, cause };
            self.plan(Duration::ZERO, at, Due::FeedConn(conn, event));
        }
        self.forget(id);
    }

    /// The socket at `side` fails: its machine is told, and the other end is reset when the driver
    /// closes it.
    pub(super) fn fail_end(&mut self, id: LinkId, side: Side, cause: Cause) {
        self.send_reset(id, side);
        self.lost(id, side, cause);
    }

    /// The holder of `side` lets go of its socket.
    pub(super) fn drop_end(&mut self, id: LinkId, side: Side, reset: bool) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let was_open = core::mem::replace(&mut link.ends[side].open, false);
        if reset {
            link.ends[side].closed_first = false;
            link.lanes[side].fin_wanted = false;
            link.lanes[side].clear();
            self.send_reset(id, side);
        } else {
            let from = link.facing(side);
            link.ends[side].closed_first = was_open && !link.lanes[from].eof && !link.echo;
            link.lanes[side].fin_wanted = true;
            self.plan_pump(id, side, now);
        }
        self.forget(id);
    }

    /// Puts a reset on its way; it overtakes nothing that matters.
    fn send_reset(&mut self, id: LinkId, side: Side) {
        let delay = self.draw_delay(usize::try_from(id).unwrap_or(0));
        let Some(link) = self.links.get(&id) else {
            return;
        };
        let to = link.facing(side);
        if !link.lanes[side].hole && to != side {
            let arrival = self.now.after(delay);
            self.plan_at(arrival, usize::MAX, Due::Arrive(id, to, Piece::Reset));
        }
    }

    /// Forgets a link that nobody holds; who closed first keeps its addresses for a while.
    fn forget(&mut self, id: LinkId) {
        if !self.links.get(&id).is_some_and(Link::is_dead) {
            return;
        }
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        let until = self.now.after(self.options.time_wait);
        for side in 0..2 {
            if link.ends[side].closed_first {
                let addresses = (link.ends[side].local, link.ends[1 - side].local);
                self.time_waits.insert(addresses, until);
            }
        }
        let now = self.now;
        if self.time_waits.len() > TIME_WAITS {
            self.time_waits.retain(|_, until| *until > now);
        }
    }
}

/// How long a kernel sends again what is never acknowledged.
const GIVING_UP: Duration = Duration::from_secs(924);
/// Addresses kept before those of the past are thrown out.
const TIME_WAITS: usize = 1_000;

/// What is left of a packet.
fn spoilt(bytes: Bytes, spoil: Option<Spoil>) -> Bytes {
    match spoil {
        None => bytes,
        Some(Spoil::Drop) => NOTHING,
        Some(Spoil::Cut { keep }) => {
            bytes.slice(..bytes.len().min(usize::try_from(keep).unwrap_or(0)))
        }
        Some(Spoil::Twice) => {
            let mut twice = BytesMut::from(&bytes[..]);
            twice.extend_from_slice(&bytes);
            twice.freeze()
        }
        Some(Spoil::Flip { at, mask }) => {
            let mut changed = BytesMut::from(&bytes[..]);
            let at = usize::try_from(at).unwrap_or(0) % changed.len().max(1);
            if let Some(byte) = changed.get_mut(at) {
                *byte ^= mask;
            }
            changed.freeze()
        }
    }
}
