//! Links at work: dialling, packets, reads, ends.

use core::{net::SocketAddr, time::Duration};

use bytes::{Bytes, BytesMut};
use samanea_core::{
    base::{Instant, Serial},
    conn::Cause,
    node::Event,
};

use super::{
    Broken, Due, NOTHING, Party, Socket, Subject, World, address,
    link::{Endpoint, Lane, Link, LinkId, Piece, Side, Spoil},
    stranger,
};
use crate::tape::site;

/// Connections that wait in a listener's kernel at most.
const BACKLOG_MAX: usize = 128;
/// How long the kernel tries to dial a host that is silent.
const SYN_TIMEOUT: Duration = Duration::from_secs(127);

impl<M: Subject> World<M> {
    /// A dial reaches its target.
    pub(super) fn syn(&mut self, at: usize, conn: Serial) {
        let Some(Socket::Dialing { remote, local }) = self
            .hosts
            .get(at)
            .and_then(|host| host.sockets.get(&conn))
            .cloned()
        else {
            return;
        };
        if self.tuple_in_use(local, remote) {
            return self.fail_dial(at, conn, Cause::AddressInUse, Duration::ZERO);
        }
        if remote == stranger::ADDRESS {
            let link = self.open_link((self.party(at), local), (Party::Stranger, remote));
            return self.told_connected(link, 0, at, conn);
        }
        let target = (0..self.hosts.len()).find(|host| address(*host) == remote);
        let Some(target) = target else {
            return self.fail_dial(at, conn, Cause::TimedOut, SYN_TIMEOUT);
        };
        if let Some(other) = self.mirrored(target, local, remote) {
            let link = self.open_link((self.party(at), local), (self.party(target), remote));
            self.told_connected(link, 0, at, conn);
            self.told_connected(link, 1, target, other);
            return;
        }
        let back = self.draw_delay(at);
        let full = self
            .hosts
            .get(target)
            .is_none_or(|host| host.node.is_none() || host.listener.backlog.len() >= BACKLOG_MAX);
        if full || target == at {
            return self.fail_dial(at, conn, Cause::Refused, back);
        }
        let link = self.open_link((self.party(at), local), (self.party(target), remote));
        self.told_connected(link, 0, at, conn);
        self.wait_for_accept(target, link);
    }

    /// A link waits in the listener's kernel.
    pub(super) fn wait_for_accept(&mut self, target: usize, link: LinkId) {
        let remote = self.links.get(&link).map(|link| link.ends[0].local);
        if let (Some(host), Some(remote)) = (self.hosts.get_mut(target), remote) {
            host.listener.backlog.push_back((link, remote));
        }
        self.offer(target);
    }

    /// The other host dials exactly the other way round: a simultaneous open.
    fn mirrored(&self, target: usize, local: SocketAddr, remote: SocketAddr) -> Option<Serial> {
        let host = self.hosts.get(target)?;
        let wanted = Socket::Dialing {
            remote: local,
            local: remote,
        };
        host.sockets
            .iter()
            .find(|(_, socket)| **socket == wanted)
            .map(|(conn, _)| *conn)
    }

    fn party(&self, at: usize) -> Party {
        let life = self.hosts.get(at).map_or(0, |host| host.life);
        Party::Host { at, life }
    }

    fn told_connected(&mut self, link: LinkId, side: Side, at: usize, conn: Serial) {
        let Some(end) = self.links.get_mut(&link).map(|link| &mut link.ends[side]) else {
            return;
        };
        end.conn = Some(conn);
        end.reading = true;
        let local = end.local;
        if let Some(host) = self.hosts.get_mut(at) {
            host.sockets.insert(conn, Socket::Open(link, side));
        }
        let event = Event::Connected { conn, local };
        self.plan(Duration::ZERO, at, Due::FeedConn(conn, event));
        self.plan_read(link, side);
    }

    /// Tells a host that its dial came to nothing.
    pub(super) fn fail_dial(&mut self, at: usize, conn: Serial, cause: Cause, after: Duration) {
        let event = Event::ConnectFailed { conn, cause };
        self.plan(after, at, Due::FeedConn(conn, event));
    }

    /// A link to whom is dialled from who dials.
    pub(super) fn open_link(
        &mut self,
        from: (Party, SocketAddr),
        to: (Party, SocketAddr),
    ) -> LinkId {
        let end = |(party, local)| Endpoint {
            party,
            conn: None,
            local,
            open: true,
            reading: false,
        };
        let id = self.next_link;
        self.next_link += 1;
        let link = Link {
            ends: [end(from), end(to)],
            lanes: [Lane::default(), Lane::default()],
        };
        self.links.insert(id, link);
        id
    }

    /// Whether a live link has these two addresses.
    pub(super) fn tuple_in_use(&self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.links.values().any(|link| {
            let [a, b] = &link.ends;
            let same =
                (a.local, b.local) == (local, remote) || (b.local, a.local) == (local, remote);
            same && (a.open || b.open)
        })
    }

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
        let lane = &mut link.lanes[side];
        lane.pumping = false;
        let taken = lane.take_in(&profile);
        let sender = link.ends[side].clone();
        if lane.has_unsent() && now < lane.busy_until {
            let when = lane.busy_until;
            self.plan_pump(id, side, when);
        } else if lane.has_unsent() {
            let max = usize::try_from(profile.packet_max.max(1)).unwrap_or(1);
            let packet = lane.packet(max);
            let bytes = u64::try_from(packet.len()).unwrap_or(0);
            let sending = bytes
                .saturating_mul(1_000_000)
                .checked_div(profile.rate)
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
            return;
        }
        let arrival = lane
            .busy_until
            .max(self.now)
            .after(delay)
            .max(lane.last_arrival);
        lane.last_arrival = arrival;
        self.plan_at(arrival, usize::MAX, Due::Arrive(id, 1 - side, piece));
    }

    /// Something arrives at `side`.
    pub(super) fn arrive(&mut self, id: LinkId, side: Side, piece: Piece) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let lane = &mut link.lanes[1 - side];
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
                let stranger = link.ends[side].party == Party::Stranger;
                if stranger || bytes.is_empty() {
                    lane.free(gone);
                    self.plan_pump(id, 1 - side, self.now);
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
        let end = &link.ends[side];
        let lane = &mut link.lanes[1 - side];
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
        let end = link.ends[side].clone();
        let lane = &mut link.lanes[1 - side];
        lane.read_due = false;
        if !end.open || !end.reading {
            return Ok(());
        }
        let (Some(at), Some(conn)) = (self.living(end.party), end.conn) else {
            return Ok(());
        };
        let Some(lane) = self
            .links
            .get_mut(&id)
            .map(|link| &mut link.lanes[1 - side])
        else {
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
        self.plan_pump(id, 1 - side, self.now);
        self.feed(at, &Event::Received { conn, bytes })?;
        self.plan_read(id, side);
        Ok(())
    }

    /// The socket at `side` ends by itself; its machine is told.
    pub(super) fn lost(&mut self, id: LinkId, side: Side, cause: Cause) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        if !link.ends[side].open {
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

    /// The holder of `side` lets go of its socket.
    pub(super) fn drop_end(&mut self, id: LinkId, side: Side, reset: bool) {
        let now = self.now;
        let delay = self.draw_delay(usize::try_from(id).unwrap_or(0));
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.ends[side].open = false;
        if reset {
            let lane = &mut link.lanes[side];
            lane.clear();
            if !lane.hole {
                let arrival = now.after(delay);
                self.plan_at(arrival, usize::MAX, Due::Arrive(id, 1 - side, Piece::Reset));
            }
        } else {
            link.lanes[side].fin_wanted = true;
            self.plan_pump(id, side, now);
        }
        self.forget(id);
    }

    /// Forgets a link that nobody holds.
    fn forget(&mut self, id: LinkId) {
        if self.links.get(&id).is_some_and(Link::is_dead) {
            self.links.remove(&id);
        }
    }
}

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
