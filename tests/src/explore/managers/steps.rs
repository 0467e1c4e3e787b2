//! Steps of a node, and what its driver and its user make of the actions.

use core::net::SocketAddr;
use std::sync::Arc;

use samanea_core::{
    base::{Request, Role, Serial},
    conn::Fault,
    manager::{Acquired, Action, Event, Heat, NotAcquired, Refusal, State, Trace, Wait},
};

use super::{
    Mark, World,
    net::{Phase, Pipe, Told, address, node_at},
    node::Stage,
};

/// Where an event comes from, for what its actions mean.
#[derive(Clone, Copy)]
pub(super) struct Origin {
    pub(super) node: usize,
    /// The pipe that was just accepted.
    pub(super) accepted: Option<usize>,
    /// The connection that the event is about.
    pub(super) about: Option<Serial>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Acquire,
    Accept,
    Other,
}

impl World {
    pub(super) fn feed(
        &mut self,
        node: usize,
        event: Event,
        victim: u8,
        accepted: Option<usize>,
        kind: Kind,
    ) -> u32 {
        let origin = Origin {
            node,
            accepted,
            about: None,
            kind,
        };
        self.feed_from(origin, event, victim)
    }

    pub(super) fn feed_from(&mut self, origin: Origin, event: Event, victim: u8) -> u32 {
        let mut actions = Vec::new();
        let now = self.now;
        let node = Arc::make_mut(&mut self.nodes[origin.node]);
        let of = node.step(now, event, victim, &mut actions);
        for action in actions {
            self.carry_out(origin, action);
        }
        Arc::make_mut(&mut self.nodes[origin.node]).refresh(now);
        self.judge_node(origin.node);
        of
    }

    fn carry_out(&mut self, origin: Origin, action: Action) {
        let n = origin.node;
        match action {
            Action::AcceptOne(_) => {
                let node = Arc::make_mut(&mut self.nodes[n]);
                if core::mem::replace(&mut node.accepting, true) {
                    self.wrong("one accept at a time", format!("node {n}"));
                }
            }
            Action::Adopt { conn, .. } => match origin.accepted {
                Some(at) => self.pipes[at].sides[1].conn = Some(conn),
                None => self.wrong("only what is accepted is adopted", format!("{conn:?}")),
            },
            Action::Reset { .. } => match origin.accepted {
                Some(at) => self.pipes[at].leave(1),
                None => self.wrong("only what is accepted is reset", format!("node {n}")),
            },
            Action::Dial { conn, remote, bind } => {
                if origin.kind != Kind::Acquire {
                    self.mark(Mark::WaitedOut);
                }
                self.dial(n, conn, remote, bind);
            }
            Action::Greet {
                conn, role, mode, ..
            } => match self.end_of(n, conn) {
                Some((at, end)) if self.pipes[at].sides[end].told == Told::Nothing => {
                    let dialled = end == 0 || self.pipes[at].mutual;
                    if dialled != (role == Role::Initiator) {
                        self.wrong("who dialled greets as initiator", format!("{conn:?}"));
                    }
                    let side = &mut self.pipes[at].sides[end];
                    side.told = Told::Connected;
                    side.offers = Some(mode);
                }
                _ => self.wrong("each connection is greeted once", format!("{conn:?}")),
            },
            Action::Close { conn, fault } => match self.end_of(n, conn) {
                Some((at, _)) if self.pipes[at].phase != Phase::Joined => {
                    self.pipes[at].leave(0);
                    self.pipes[at].leave(1);
                }
                Some((at, end)) if fault == Fault::Closed => {
                    self.pipes[at].sides[end].told = Told::Closing;
                    if self.nodes[n].manager.state(conn) == State::Duplex {
                        self.mark(Mark::StoppedInUse);
                    }
                }
                Some((at, end)) => self.pipes[at].leave(end),
                None => self.wrong("only what is there is closed", format!("{conn:?}")),
            },
            Action::Acquired { request, outcome } => self.answered(origin, request, outcome),
            Action::Demoted { conn, .. } => {
                let node = Arc::make_mut(&mut self.nodes[n]);
                if node.held.remove(&conn).is_none() {
                    self.wrong("what we hold is taken from us once", format!("{conn:?}"));
                }
            }
            Action::Trace(trace) => self.traced(origin, &trace),
            Action::Mature | Action::Counters(_) => {}
            Action::Stopped if self.nodes[n].stage == Stage::Stopping => {
                Arc::make_mut(&mut self.nodes[n]).stage = Stage::Stopped;
                if self.nodes.iter().all(|node| node.stage == Stage::Stopped) {
                    self.mark(Mark::AllStopped);
                }
            }
            Action::ListenerLost(_) | Action::Stopped => {
                self.wrong("nothing stops by itself", format!("node {n}"));
            }
        }
    }

    fn answered(
        &mut self,
        origin: Origin,
        request: Request,
        outcome: Result<Acquired, NotAcquired>,
    ) {
        let n = origin.node;
        let node = Arc::make_mut(&mut self.nodes[n]);
        let asked = node.asked.iter().position(|(asked, _)| *asked == request);
        let Some(asked) = asked else {
            return self.wrong("a request is answered once", format!("{request:?}"));
        };
        node.asked.remove(asked);
        let won = outcome.map(|acquired| {
            let again = node.held.insert(acquired.conn, false).is_some();
            (acquired.reused, again)
        });
        match (won, origin.kind) {
            (Ok((_, true)), _) => {
                self.wrong("a connection is given once", format!("{request:?}"));
            }
            (Ok((true, _)), Kind::Acquire) => self.mark(Mark::Reuse),
            (Ok((true, _)), _) => self.mark(Mark::Waited),
            _ => {}
        }
    }

    /// The pipe and end that a connection of a node is.
    pub(super) fn end_of(&self, node: usize, conn: Serial) -> Option<(usize, usize)> {
        self.pipes.iter().enumerate().find_map(|(at, pipe)| {
            let is = |end: &usize| {
                usize::from(pipe.nodes[*end]) == node && pipe.sides[*end].conn == Some(conn)
            };
            (0..2).find(is).map(|end| (at, end))
        })
    }

    fn dial(&mut self, node: usize, conn: Serial, remote: SocketAddr, bind: Option<SocketAddr>) {
        let Some(to) = node_at(remote) else {
            return self.wrong("only nodes are dialled", format!("{remote}"));
        };
        let from = u8::try_from(node).unwrap_or(u8::MAX);
        let local = bind.unwrap_or_else(|| self.free_port(from));
        let taken = self.pipes.iter().any(|pipe| pipe.joins(local, remote));
        let phase = if taken { Phase::Doomed } else { Phase::Dialled };
        let pipe = Pipe::new([from, to], [local, remote], phase, conn);
        self.pipes.push(pipe);
    }

    /// The lowest port that the kernel has not given away.
    fn free_port(&self, node: u8) -> SocketAddr {
        let mut local = address(node);
        let taken = |at: &SocketAddr| {
            let of = |pipe: &Pipe| !pipe.dead && pipe.addresses[0] == *at;
            self.pipes.iter().any(of)
        };
        local.set_port(4_001);
        while taken(&local) {
            local.set_port(local.port() + 1);
        }
        local
    }

    fn traced(&mut self, origin: Origin, trace: &Trace) {
        match trace {
            Trace::Transition { conn, from, to } => {
                if origin.kind == Kind::Accept && *from == State::Terminating {
                    self.mark(Mark::Returned);
                }
                self.mark(Mark::Step(*from, *to));
                self.judge_step(origin.node, *conn, *from, *to);
            }
            Trace::Remote { conn, from, to } => {
                if *to == Some(Heat::Hot) {
                    self.mark(Mark::Hot);
                }
                self.judge_heat(origin.node, *conn, *from, *to);
            }
            Trace::Pruned { victims, .. } => {
                self.mark(Mark::Pruned);
                if origin.about.is_some_and(|conn| victims.contains(&conn)) {
                    self.mark(Mark::PrunedItself);
                }
            }
            Trace::Waiting {
                wait: Wait::Delay(_),
                ..
            } => self.mark(Mark::Delayed),
            Trace::Resumed { .. } => self.mark(Mark::Resumed),
            Trace::Refused { refusal, .. } => match refusal {
                Refusal::HardLimit(_) => self.mark(Mark::HardLimit),
                other => self.wrong("no other limit is met", format!("{other}")),
            },
            Trace::Matured { .. } => self.mark(Mark::Matured),
            Trace::Replaced { .. } => self.mark(Mark::Replaced),
            _ => {}
        }
    }
}
