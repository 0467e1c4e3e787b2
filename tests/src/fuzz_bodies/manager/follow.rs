//! What events and actions say, word by word, and whether they may say it.

use core::net::SocketAddr;

use samanea_core::{
    base::{Role, Serial},
    conn::Fault,
    manager::{
        Action, Event, Heat, NotAcquired, Provenance, Refusal, State, Trace, Via, is_legal,
        is_legal_remote,
    },
    proto::handshake::Mode,
};

use super::{
    verdict,
    watch::{Conn, Maturity, Socket, Watch},
};

impl Watch {
    /// What an event says by itself.
    pub(super) fn hear(&mut self, event: &Event) {
        match event {
            Event::Acquire {
                request,
                remote,
                via,
                ..
            } => {
                self.requests = self.requests.max(request.0);
                self.due.entry(*request).or_insert((*remote, *via));
            }
            Event::Connected { conn, local } => {
                if let Some(conn) = self.conns.get_mut(conn)
                    && conn.socket == Socket::Dialling
                {
                    conn.socket = Socket::Open;
                    conn.local = Some(*local);
                }
            }
            Event::ConnectFailed { conn, .. } => {
                if let Some(conn) = self.conns.get_mut(conn)
                    && conn.socket == Socket::Dialling
                {
                    conn.socket = Socket::Closed;
                }
            }
            Event::Ended { conn, .. } => {
                if let Some(conn) = self.conns.get_mut(conn)
                    && conn.has_socket()
                {
                    conn.socket = Socket::Closed;
                }
            }
            Event::Limit(limits) => self.limits = *limits,
            Event::Exempt { ip, on: false } => {
                self.exempt.remove(&ip.to_canonical());
            }
            Event::Exempt { ip, .. } if self.exempt.len() < self.config.exempt_max => {
                self.exempt.insert(ip.to_canonical());
            }
            Event::Reserve { ip, on: false } => {
                self.reserved.remove(&ip.to_canonical());
            }
            Event::Reserve { ip, .. } if self.reserved.len() < self.config.exempt_max => {
                self.reserved.insert(ip.to_canonical());
            }
            Event::Shutdown => {
                self.stopping = true;
                for conn in self.conns.values_mut() {
                    conn.maturity = Maturity::Never;
                    if conn.state != State::Terminating {
                        conn.fires = None;
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn obey(&mut self, event: &Event, said: &[Action]) {
        self.ended.clear();
        for action in said {
            let answer = matches!(
                action,
                Action::Acquired { .. }
                    | Action::Reset { .. }
                    | Action::Trace(Trace::Refused { .. })
            );
            assert!(!self.stopped || answer, "{action:?} after the end");
            match action {
                Action::Trace(Trace::Transition { conn, from, to }) => {
                    self.moved(event, *conn, *from, *to);
                }
                Action::Trace(Trace::Remote { conn, from, to }) => self.heated(*conn, *from, *to),
                Action::Trace(Trace::Pruned {
                    victims,
                    candidates,
                }) => self.pruned(victims, *candidates),
                Action::Trace(Trace::Refused { refusal, .. }) => self.refused(*refusal),
                Action::Trace(_)
                | Action::Mature
                | Action::Counters(_)
                | Action::AcceptOne(_)
                | Action::ListenerLost(_)
                | Action::Reset { .. } => {}
                Action::Adopt { conn, remote, .. } => {
                    let conn = self.fresh(*conn);
                    conn.remote = *remote;
                    conn.provenance = Provenance::Inbound;
                    conn.socket = Socket::Open;
                }
                Action::Dial { conn, remote, bind } => self.dialled(*conn, *remote, *bind),
                Action::Greet { conn, role, .. } => self.greets(*conn, *role),
                Action::Close { conn, fault } => self.closed(*conn, *fault),
                Action::Acquired { request, outcome } => {
                    assert!(
                        self.due.remove(request).is_some(),
                        "answered twice: {request}"
                    );
                    let name = match outcome {
                        Ok(got) => {
                            self.acquired(got.conn, got.reused);
                            "ok"
                        }
                        Err(why) => answer_name(why),
                    };
                    *self.seen.answers.entry(name).or_default() += 1;
                }
                Action::Demoted { conn, remote } => {
                    assert!(self.held.remove(conn), "demoted but not held: {conn}");
                    if let Some(conn) = self.conns.get(conn) {
                        assert_eq!(conn.remote, *remote);
                    }
                }
                Action::Stopped => {
                    assert!(self.stopping && self.conns.is_empty(), "stopped too early");
                    self.stopped = true;
                }
            }
        }
    }

    /// A connection that was named in a trace just before.
    fn fresh(&mut self, conn: Serial) -> &mut Conn {
        let found = self.conns.get_mut(&conn);
        let fresh = found.filter(|conn| conn.socket == Socket::Closed && !conn.greeted);
        fresh.expect("a connection that was just traced")
    }

    fn moved(&mut self, event: &Event, conn: Serial, from: State, to: State) {
        assert!(is_legal(from, to), "{conn}: {from:?} to {to:?}");
        *self.seen.transitions.entry((from, to)).or_default() += 1;
        if from == State::Unknown {
            assert!(conn > self.last, "{conn} was used before");
            self.last = conn;
            self.begin(event, conn, to);
            return;
        }
        let now = self.now;
        let known = self.conns.get_mut(&conn).expect("a live connection");
        assert_eq!(known.state, from, "{conn}: a gap before {to:?}");
        known.state = to;
        match to {
            State::InboundIdleUni | State::InboundIdleDup | State::OutboundDupTicking => {
                // Between these the time runs on.
                let runs = matches!(from, State::InboundIdleDup | State::OutboundDupTicking);
                if !runs {
                    known.fires = self.config.idle.map(|idle| now.after(idle));
                }
            }
            State::OutboundIdleUni | State::OutboundIdleDup => {
                known.fires = Some(now.after(self.config.linger));
            }
            State::Terminating if from == State::UnnegotiatedInbound => known.fires = None,
            State::Terminating => known.fires = Some(now.after(self.config.time_wait)),
            _ => known.fires = None,
        }
        if to.is_duplex() && !from.is_duplex() {
            known.maturity = Maturity::From(now.after(self.config.mature));
        }
        match to {
            State::Terminating | State::Terminated => known.maturity = Maturity::Never,
            State::Unknown => {
                let told = matches!(known.socket, Socket::Closing | Socket::Closed);
                assert!(told, "{conn}: a socket was forgotten");
                self.conns.remove(&conn);
            }
            _ => {}
        }
        if to == State::Terminated {
            let provenance = self.conns[&conn].provenance;
            self.ended.push((from, provenance));
        }
    }

    fn begin(&mut self, event: &Event, conn: Serial, state: State) {
        let (remote, local, listed) = match event {
            Event::Accepted { local, remote, .. } if state == State::UnnegotiatedInbound => {
                let own = local == remote
                    && self
                        .with_id(*remote, *local)
                        .is_some_and(|other| self.conns[&other].state != State::Terminating);
                (*remote, Some(*local), !own)
            }
            _ => (SocketAddr::from(([0; 4], 0)), None, true),
        };
        let begun = Conn {
            state,
            heat: None,
            remote,
            local,
            provenance: Provenance::Outbound,
            socket: Socket::Closed,
            greeted: false,
            acquired: false,
            listed,
            fires: None,
            maturity: Maturity::Never,
        };
        self.conns.insert(conn, begun);
    }

    /// The connection that is found by these two addresses.
    pub(super) fn with_id(&self, remote: SocketAddr, local: SocketAddr) -> Option<Serial> {
        let mut found = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.listed && conn.remote == remote && conn.local == Some(local));
        found.next().map(|(conn, _)| *conn)
    }

    fn heated(&mut self, conn: Serial, from: Option<Heat>, to: Option<Heat>) {
        assert!(is_legal_remote(from, to), "{conn}: {from:?} to {to:?}");
        *self.seen.heats.entry((from, to)).or_default() += 1;
        let known = self.conns.get_mut(&conn).expect("a live connection");
        assert_eq!(known.heat, from, "{conn}: a gap before {to:?}");
        known.heat = to;
    }

    fn dialled(&mut self, conn: Serial, remote: SocketAddr, bind: Option<SocketAddr>) {
        let wanted = self.due.values().any(|due| *due == (remote, Via::Dial));
        assert!(wanted, "dialled unasked: {remote}");
        if let Some(bind) = bind {
            assert_eq!(Some(bind), self.doors.like(remote), "bound elsewhere");
            assert_eq!(self.config.mode, Mode::InitiatorAndResponder);
        }
        let conn = self.fresh(conn);
        conn.remote = remote;
        conn.socket = Socket::Dialling;
    }

    fn greets(&mut self, conn: Serial, role: Role) {
        let known = self.conns.get_mut(&conn).expect("a live connection");
        assert!(!known.greeted && known.socket == Socket::Open);
        known.greeted = true;
        let state = match role {
            Role::Initiator => State::UnnegotiatedOutbound,
            Role::Responder => State::UnnegotiatedInbound,
        };
        assert_eq!(known.state, state);
        // Of a connection to ourselves the dialled end is the one that is found.
        let (remote, local) = (known.remote, known.local);
        for (other, known) in &mut self.conns {
            let same = known.remote == remote && known.local == local && *other != conn;
            if role == Role::Initiator && same && known.state != State::Terminating {
                known.listed = false;
            }
        }
    }

    fn closed(&mut self, conn: Serial, fault: Fault) {
        let known = self.conns.get_mut(&conn).expect("a live connection");
        let open = matches!(known.socket, Socket::Dialling | Socket::Open);
        // One that closes in order may be reset after all.
        let hurried = known.socket == Socket::Closing && fault != Fault::Closed;
        assert!(open || hurried, "{conn} is closed twice");
        known.socket = if fault == Fault::Closed && self.stopping {
            Socket::Closing
        } else {
            Socket::Closed
        };
    }

    fn acquired(&mut self, conn: Serial, reused: bool) {
        assert!(self.held.insert(conn), "{conn} is held already");
        let known = self.conns.get_mut(&conn).expect("a live connection");
        let usable = known.state.is_outbound() && known.state != State::UnnegotiatedOutbound;
        assert!(usable, "{conn} is {:?}", known.state);
        let before = known.acquired || known.provenance == Provenance::Inbound;
        assert_eq!(reused, before, "{conn} is reused");
        known.acquired = true;
    }

    /// As many as there were too many, and none that stood behind one that was spared.
    fn pruned(&mut self, victims: &[Serial], candidates: u32) {
        let left = self.inbound();
        assert_eq!(left, self.limits.hard, "pruned too many or too few");
        let count = u32::try_from(victims.len()).expect("few victims");
        assert_eq!(candidates, left + count);
        assert!(self.ended.len() >= victims.len() && count > 0);
        self.seen.pruned += count;
        let rank = |state, provenance| verdict::rank(&self.config, state, provenance);
        let mut worst = 0;
        for (state, provenance) in &self.ended {
            worst = worst.max(rank(*state, *provenance));
        }
        for conn in self.conns.values().filter(|conn| conn.state.is_inbound()) {
            assert!(
                rank(conn.state, conn.provenance) >= worst,
                "the wrong victim"
            );
        }
    }

    fn refused(&mut self, refusal: Refusal) {
        let name = match refusal {
            Refusal::HardLimit(_) => "hard limit",
            Refusal::Reserved(_) => "reserved",
            Refusal::Prefix(_) => "prefix",
            Refusal::Locals(_) => "locals",
            Refusal::Table(_) => "table",
            Refusal::Unasked => "unasked",
            _ => "other",
        };
        *self.seen.refusals.entry(name).or_default() += 1;
    }
}

fn answer_name(why: &NotAcquired) -> &'static str {
    use NotAcquired as N;
    match why {
        N::Exists => "exists",
        N::Forbidden => "forbidden",
        N::Releasing => "releasing",
        N::NotFound => "not found",
        N::Full => "full",
        N::Connect(_) => "connect",
        N::Ended(_) => "ended",
        N::Cancelled => "cancelled",
        N::Shutdown => "shutdown",
        _ => "other",
    }
}
