//! The kernels' part before bytes flow: dials, listeners, and the addresses that are taken.
//!
//! ```text
//!  Dial ─▶ SYN sent ──delay──▶ nobody there          refused, or silence and a timeout
//!                             ├ a socket of the same two addresses: it dies, the SYN is sent again
//!                             ├ it dials us the other way round: simultaneous open, nobody accepts
//!                             └ a listener ──delay──▶ Connected ──delay──▶ accept queue
//!  Dial to the own address and port: the socket is its own peer
//! ```
//! Two sockets of one host never have the same two addresses in the same order; who closes first
//! in order keeps them a while longer, and only a dial of the other side may use them then.

use core::{net::SocketAddr, time::Duration};

use samanea_core::{
    base::{ListenerId, Serial},
    conn::Cause,
    node::Event,
};

use super::{
    AcceptTrouble, Attenuation, Broken, Dial, Due, Party, Roughness, Socket, Subject, World,
    link::{Endpoint, Lane, Link, LinkId},
    stranger,
};

/// Connections that wait in a listener's kernel at most.
const BACKLOG_MAX: usize = 128;
/// How long the kernel tries to dial a host that is silent.
const SYN_TIMEOUT: Duration = Duration::from_secs(127);
/// How long a listener's kernel waits for the end of an opening.
const OPENING: Duration = Duration::from_secs(63);
/// After how long it tries again.
const SYN_AGAIN: Duration = Duration::from_secs(1);

impl<M: Subject> World<M> {
    pub(super) fn dial(
        &mut self,
        at: usize,
        conn: Serial,
        remote: SocketAddr,
        bind: Option<SocketAddr>,
    ) -> Result<(), Broken> {
        self.name(at, conn)?;
        let suffers = self.next_attenuation(at, remote);
        let now = self.now;
        let Some(host) = self.hosts.get_mut(at) else {
            return Ok(());
        };
        let local = bind.unwrap_or_else(|| host.ephemeral());
        let own = host.owns(local);
        let dial = Dial {
            remote,
            local,
            since: now,
            link: None,
            failed: false,
            suffers,
        };
        let free = own && !self.is_taken(at, local, remote);
        if let Some(host) = self.hosts.get_mut(at) {
            host.sockets.insert(conn, Socket::Dialing(Box::new(dial)));
        }
        if free {
            let after = self.draw_delay(at).saturating_add(suffers.connect);
            self.plan(after.min(SYN_TIMEOUT), at, Due::Syn(conn));
        } else {
            self.fail_dial(at, conn, Cause::AddressInUse, Duration::ZERO);
        }
        Ok(())
    }

    /// What the next connection between these two suffers: the script of who dials goes first.
    fn next_attenuation(&mut self, at: usize, remote: SocketAddr) -> Attenuation {
        let target = self.hosts.iter().position(|host| host.owns(remote));
        let scripted = [Some(at), target]
            .into_iter()
            .flatten()
            .find_map(|host| self.hosts.get_mut(host)?.script.pop_front());
        match (scripted, self.options.roughness) {
            (Some(scripted), _) => scripted,
            (None, Roughness::None) => Attenuation::HARMLESS,
            (None, roughness) => Attenuation::draw(&mut *self.choice, roughness),
        }
    }

    /// Whether a socket of this host has these two addresses, or its kernel keeps them.
    fn is_taken(&self, at: usize, local: SocketAddr, remote: SocketAddr) -> bool {
        let linked = self
            .links
            .values()
            .any(|link| link.side_of(local, remote).is_some());
        let dialling = self.dials_of(at, local, remote).is_some();
        let waits = self.time_waits.get(&(local, remote));
        linked || dialling || waits.is_some_and(|until| *until > self.now)
    }

    /// The dial of this host between these two addresses.
    fn dials_of(&self, at: usize, local: SocketAddr, remote: SocketAddr) -> Option<Serial> {
        let sockets = &self.hosts.get(at)?.sockets;
        sockets.iter().find_map(|(conn, socket)| match socket {
            Socket::Dialing(dial) => {
                let same = (dial.local, dial.remote) == (local, remote);
                (same && !dial.failed).then_some(*conn)
            }
            Socket::Open(..) => None,
        })
    }

    fn dial_mut(&mut self, at: usize, conn: Serial) -> Option<&mut Dial> {
        match self.hosts.get_mut(at)?.sockets.get_mut(&conn)? {
            Socket::Dialing(dial) if !dial.failed => Some(dial),
            Socket::Dialing(_) | Socket::Open(..) => None,
        }
    }

    /// A dial reaches its target.
    pub(super) fn syn(&mut self, at: usize, conn: Serial) {
        let Some(dial) = self.dial_mut(at, conn).cloned() else {
            return;
        };
        if dial.link.is_some() {
            // The other's dial was here first and met this one.
            return;
        }
        if self.now.since(dial.since) >= SYN_TIMEOUT {
            return self.fail_dial(at, conn, Cause::TimedOut, Duration::ZERO);
        }
        let (local, remote) = (dial.local, dial.remote);
        if remote == stranger::ADDRESS {
            return self.answer(at, conn, (Party::Stranger, remote));
        }
        if local == remote {
            return self.answer(at, conn, (self.party(at), remote));
        }
        let target = self.hosts.iter().position(|host| host.owns(remote));
        let there = target.filter(|target| self.hosts.get(*target).is_some_and(|h| !h.silent));
        let Some(target) = there else {
            return self.plan(SYN_TIMEOUT, at, Due::Syn(conn));
        };
        if self.kills_the_old(remote, local) {
            return self.plan(SYN_AGAIN, at, Due::Syn(conn));
        }
        if let Some(other) = self.dials_of(target, remote, local) {
            return self.meet((at, conn), (target, other));
        }
        let party = self.party(target);
        let listener = self
            .hosts
            .get_mut(target)
            .filter(|host| host.node.is_some())
            .and_then(|host| host.listening_at(remote));
        match listener {
            None => {
                let back = self.draw_delay(at);
                self.fail_dial(at, conn, Cause::Refused, back);
            }
            Some(listener) if listener.backlog.len() >= BACKLOG_MAX => {
                self.plan(SYN_AGAIN, at, Due::Syn(conn));
            }
            Some(_) => self.answer(at, conn, (party, remote)),
        }
    }

    /// A socket of an earlier connection with these addresses answers a dial with a reset of
    /// itself.
    fn kills_the_old(&mut self, local: SocketAddr, remote: SocketAddr) -> bool {
        self.time_waits.remove(&(local, remote));
        let old = self
            .links
            .iter()
            .find_map(|(id, link)| Some((*id, link.side_of(local, remote)?)));
        let Some((id, side)) = old else {
            return false;
        };
        if let Some(link) = self.links.get_mut(&id) {
            link.lanes[side].fin_wanted = false;
            link.ends[side].closed_first = false;
        }
        self.lost(id, side, Cause::Reset);
        true
    }

    /// The target's kernel answers a dial.
    fn answer(&mut self, at: usize, conn: Serial, to: (Party, SocketAddr)) {
        let Some(dial) = self.dial_mut(at, conn).cloned() else {
            return;
        };
        let link = self.open_link((self.party(at), dial.local), to, dial.suffers);
        if let Some(dial) = self.dial_mut(at, conn) {
            dial.link = Some((link, 0));
        }
        let back = self.draw_delay(at);
        self.plan(back, at, Due::SynAck(conn));
        self.plan(OPENING, usize::MAX, Due::Unopened(link));
    }

    /// A listener's kernel gives up a connection whose dialler never said its last word.
    pub(super) fn unopened(&mut self, id: LinkId) {
        let Some(end) = self.links.get(&id).map(|link| &link.ends[1]) else {
            return;
        };
        let Party::Host { at, .. } = end.party else {
            return;
        };
        if end.open && end.conn.is_none() && self.holders(at, (id, 1)) == 0 {
            self.drop_end(id, 1, true);
        }
    }

    /// Two hosts dial each other from the addresses to which the other dials.
    fn meet(&mut self, (at, conn): (usize, Serial), (target, other): (usize, Serial)) {
        let Some(dial) = self.dial_mut(at, conn).cloned() else {
            return;
        };
        let to = (self.party(target), dial.remote);
        let link = self.open_link((self.party(at), dial.local), to, dial.suffers);
        self.met = self.met.saturating_add(1);
        for (host, conn, side) in [(at, conn, 0), (target, other, 1)] {
            if let Some(dial) = self.dial_mut(host, conn) {
                dial.link = Some((link, side));
            }
        }
        let there = self.draw_delay(at);
        let back = self.draw_delay(target);
        self.plan(there, at, Due::SynAck(conn));
        self.plan(there.saturating_add(back), target, Due::SynAck(other));
    }

    /// The answer reaches who dialled: connected, unless the other end has died meanwhile.
    pub(super) fn syn_ack(&mut self, at: usize, conn: Serial) {
        let met = self.dial_mut(at, conn).and_then(|dial| dial.link);
        let Some((id, side)) = met else {
            return;
        };
        let Some(end) = self
            .links
            .get_mut(&id)
            .map(|link| &mut link.ends[side])
            .filter(|end| end.open)
        else {
            return self.fail_dial(at, conn, Cause::Refused, Duration::ZERO);
        };
        end.conn = Some(conn);
        end.reading = true;
        let local = end.local;
        if let Some(host) = self.hosts.get_mut(at) {
            host.sockets.insert(conn, Socket::Open(id, side));
        }
        let event = Event::Connected { conn, local };
        self.plan(Duration::ZERO, at, Due::FeedConn(conn, event));
        self.plan_read(id, side);
        if side == 0 {
            let delay = self.draw_delay(at);
            self.plan(delay, usize::MAX, Due::Ack(id));
        }
    }

    /// The dialler's last word of the opening reaches the listener.
    pub(super) fn ack(&mut self, id: LinkId) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        let end = &link.ends[1];
        if link.echo || !end.open || end.conn.is_some() {
            return;
        }
        let dialled = self.hosts.iter().any(|host| {
            host.sockets
                .values()
                .any(|socket| matches!(socket, Socket::Dialing(dial) if dial.link == Some((id, 1))))
        });
        if let (Some(target), false) = (self.living(end.party), dialled) {
            self.wait_for_accept(target, id);
        }
    }

    /// A link waits in the listener's kernel.
    pub(super) fn wait_for_accept(&mut self, target: usize, link: LinkId) {
        let Some([from, to]) = self
            .links
            .get(&link)
            .map(|l| [0, 1].map(|s| l.ends[s].local))
        else {
            return;
        };
        let listener = self
            .hosts
            .get_mut(target)
            .and_then(|host| host.listening_at(to));
        match listener {
            Some(listener) => {
                listener.backlog.push_back((link, from));
                let id = listener.id;
                self.offer(target, id);
            }
            None => self.drop_end(link, 1, true),
        }
    }

    /// Offers the oldest waiting connection when the machine wants one.
    pub(super) fn offer(&mut self, at: usize, listener: ListenerId) {
        let links = &mut self.links;
        let Some(listener) = self
            .hosts
            .get_mut(at)
            .and_then(|host| host.listener(listener))
        else {
            return;
        };
        if !listener.armed || listener.closed {
            return;
        }
        let Some((link, remote)) = listener.backlog.pop_front() else {
            return;
        };
        listener.armed = false;
        let trouble = links
            .get_mut(&link)
            .and_then(|link| link.suffers.accept.take());
        if let Some((after, trouble)) = trouble {
            if trouble == AcceptTrouble::Resources {
                listener.backlog.push_front((link, remote));
            }
            let id = listener.id;
            self.fail_accept(at, id, trouble, after);
            if trouble != AcceptTrouble::Resources {
                self.drop_end(link, 1, true);
            }
            return;
        }
        listener.offered.push_back((link, remote));
        let event = Event::Offered {
            listener: listener.id,
            local: listener.local,
            remote,
        };
        self.plan(Duration::ZERO, at, Due::Feed(event));
    }

    /// Accepting will fail; the machine had asked for it.
    pub(super) fn fail_accept(
        &mut self,
        at: usize,
        listener: ListenerId,
        trouble: AcceptTrouble,
        after: Duration,
    ) {
        let (cause, fatal) = trouble.told();
        if fatal {
            self.close_listener(at, listener);
        }
        let event = Event::AcceptFailed {
            listener,
            cause,
            fatal,
        };
        self.plan(after, at, Due::Feed(event));
    }

    /// The kernel accepts no more here; what waited is reset.
    pub(super) fn close_listener(&mut self, at: usize, listener: ListenerId) {
        let Some(known) = self
            .hosts
            .get_mut(at)
            .and_then(|host| host.listener(listener))
        else {
            return;
        };
        known.closed = true;
        known.armed = false;
        for (link, _) in core::mem::take(&mut known.backlog) {
            self.drop_end(link, 1, true);
        }
    }

    pub(super) fn party(&self, at: usize) -> Party {
        let life = self.hosts.get(at).map_or(0, |host| host.life);
        Party::Host { at, life }
    }

    /// Tells a host that its dial came to nothing.
    fn fail_dial(&mut self, at: usize, conn: Serial, cause: Cause, after: Duration) {
        if let Some(dial) = self.dial_mut(at, conn) {
            dial.failed = true;
            let event = Event::ConnectFailed { conn, cause };
            self.plan(after, at, Due::FeedConn(conn, event));
        }
    }

    /// A link to whom is dialled from who dials.
    pub(super) fn open_link(
        &mut self,
        from: (Party, SocketAddr),
        to: (Party, SocketAddr),
        suffers: Attenuation,
    ) -> LinkId {
        let echo = from == to;
        let end = |(party, local), open| Endpoint {
            party,
            conn: None,
            local,
            open,
            reading: false,
            closed_first: false,
            writes: 0,
        };
        let id = self.next_link;
        self.next_link += 1;
        let link = Link {
            ends: [end(from, true), end(to, !echo)],
            lanes: [Lane::default(), Lane::default()],
            echo,
            born: self.now,
            suffers,
        };
        self.links.insert(id, link);
        id
    }
}
