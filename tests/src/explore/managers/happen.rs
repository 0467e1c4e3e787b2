//! What happens in a state: the network moves, or a node is told something.

use std::sync::Arc;

use samanea_core::{
    base::{ProtocolId, Serial},
    conn::{Cause, Fault},
    manager::{Event, Explanation, Timer},
    proto::handshake::{Agreed, Failure, Mode, V15, VersionData},
};

use super::{
    Act, End, Mark, Scope, UNIT, World,
    net::{Phase, Side, Told, address},
    node::{Stage, acquire},
    steps::{Kind, Origin},
    world::LISTENER,
};

/// The second is a hot one.
const PROTOCOLS: [ProtocolId; 2] = [ProtocolId::KEEP_ALIVE, ProtocolId::CHAIN_SYNC];

impl World {
    pub(super) fn next(&self, scope: &Scope, act: Act) -> Option<Self> {
        let mut world = self.clone();
        world.marks = 0;
        let victims = world.happen(act);
        if let Act::Release(_, victim) | Act::Hear(_, victim) = act
            && u32::from(victim) >= victims
        {
            return None;
        }
        world.pipes.retain(|pipe| !pipe.is_over());
        world.judge_pipes(scope);
        Some(world)
    }

    /// How many victims there were to choose from.
    fn happen(&mut self, act: Act) -> u32 {
        match act {
            Act::Acquire(wish) => {
                let node = usize::from(wish.node);
                let request = Arc::make_mut(&mut self.nodes[node]).ask(wish);
                self.feed(node, acquire(wish, request), 0, None, Kind::Acquire)
            }
            Act::Cancel(node, at) => {
                let node = usize::from(node);
                let (request, _) = self.nodes[node].asked[usize::from(at)];
                self.feed(node, Event::Cancel(request), 0, None, Kind::Other)
            }
            Act::Late(node) => self.late(usize::from(node)),
            Act::Shutdown(node) => {
                let n = usize::from(node);
                for pipe in self.pipes.iter_mut().filter(|pipe| pipe.is_queued(node)) {
                    pipe.leave(1);
                }
                let stopping = Arc::make_mut(&mut self.nodes[n]);
                (stopping.stage, stopping.accepting) = (Stage::Stopping, false);
                self.feed(n, Event::Shutdown, 0, None, Kind::Other)
            }
            Act::Pass => {
                self.now = self.now.after(UNIT);
                for node in &mut self.nodes {
                    Arc::make_mut(node).refresh(self.now);
                }
                1
            }
            Act::Tick(node) => {
                let of = self.feed(usize::from(node), Event::Tick, 0, None, Kind::Other);
                if self.nodes[usize::from(node)].is_due(self.now) {
                    self.wrong("a tick fires what is due", format!("node {node}"));
                }
                of
            }
            Act::Lose(end) => {
                self.pipes[usize::from(end.pipe)].dead = true;
                1
            }
            Act::Start(end) => {
                self.side(end).runs += 1;
                1
            }
            Act::Stop(end) => {
                let pipe = &mut self.pipes[usize::from(end.pipe)];
                let [mine, theirs] = [end.side, 1 - end.side].map(usize::from);
                pipe.sides[mine].runs -= 1;
                let unheard = pipe.sides[theirs].heard == 0 && pipe.sides[mine].runs == 0;
                let there = pipe.sides[theirs].told != Told::Gone;
                pipe.sides[theirs].flash |= unheard && there;
                1
            }
            Act::Arrive(end) => self.arrive(end),
            Act::Fail(end) => self.fail(end),
            Act::Accept(end) => self.accept(end),
            Act::Abort(end) => self.abort(end),
            Act::Connect(end)
            | Act::Agree(end)
            | Act::Refuse(end)
            | Act::Over(end)
            | Act::Release(end, _)
            | Act::Hear(end, _) => match self.side(end).conn {
                Some(conn) => self.tell(act, end, conn),
                None => 1,
            },
        }
    }

    fn side(&mut self, end: End) -> &mut Side {
        &mut self.pipes[usize::from(end.pipe)].sides[usize::from(end.side)]
    }

    fn arrive(&mut self, end: End) -> u32 {
        let at = usize::from(end.pipe);
        self.pipes[at].phase = Phase::Joined;
        if let Some(mirror) = self.mirror(&self.pipes[at]) {
            self.mark(Mark::SimultaneousOpen);
            self.pipes[at].mutual = true;
            self.pipes[at].sides[1] = self.pipes[mirror].sides[0];
            self.pipes.remove(mirror);
        }
        1
    }

    fn fail(&mut self, end: End) -> u32 {
        let pipe = self.pipes.remove(usize::from(end.pipe));
        let cause = match pipe.phase {
            Phase::Doomed => Cause::AddressInUse,
            Phase::Dialled | Phase::Joined => Cause::Refused,
        };
        if pipe.phase == Phase::Doomed {
            self.mark(Mark::Collision);
        }
        match pipe.sides[0].conn {
            Some(conn) => {
                let failed = Event::ConnectFailed { conn, cause };
                self.feed(usize::from(end.node), failed, 0, None, Kind::Other)
            }
            None => 1,
        }
    }

    fn accept(&mut self, end: End) -> u32 {
        let (at, node) = (usize::from(end.pipe), usize::from(end.node));
        let [remote, local] = self.pipes[at].addresses;
        Arc::make_mut(&mut self.nodes[node]).accepting = false;
        let accepted = Event::Accepted {
            listener: LISTENER,
            local,
            remote,
        };
        self.feed(node, accepted, 0, Some(at), Kind::Accept);
        let side = &self.pipes[at].sides[1];
        if side.conn.is_none() && side.told == Told::Nothing {
            self.wrong("what is accepted is adopted or reset", format!("{end:?}"));
        }
        1
    }

    fn abort(&mut self, end: End) -> u32 {
        let node = usize::from(end.node);
        self.pipes[usize::from(end.pipe)].leave(1);
        Arc::make_mut(&mut self.nodes[node]).accepting = false;
        let failed = Event::AcceptFailed {
            listener: LISTENER,
            cause: Cause::Reset,
            fatal: false,
        };
        self.feed(node, failed, 0, None, Kind::Other)
    }

    /// Tells an end what it does not know yet.
    fn tell(&mut self, act: Act, end: End, conn: Serial) -> u32 {
        let pipe = &mut self.pipes[usize::from(end.pipe)];
        let [mine, theirs] = [end.side, 1 - end.side].map(usize::from);
        let refused = pipe.refused;
        let (peer, mode, local) = (pipe.sides[theirs], pipe.mode(), pipe.addresses[mine]);
        let side = &mut pipe.sides[mine];
        let mut choice = 0;
        let event = match act {
            Act::Connect(_) => Event::Connected { conn, local },
            Act::Agree(_) => {
                let Some(mode) = mode else { return 1 };
                (side.told, side.agreed) = (Told::Agreed, true);
                let agreed = agreed(mode);
                Event::Agreed { conn, agreed }
            }
            Act::Refuse(_) => {
                side.told = Told::Refused;
                pipe.refused = true;
                self.mark(Mark::Refused);
                Event::Lingering { conn }
            }
            Act::Over(_) => {
                let closing = side.told == Told::Closing;
                pipe.leave(mine);
                let fault = if closing {
                    Fault::Closed
                } else if refused {
                    Fault::Handshake(Failure::VersionMismatch)
                } else {
                    Fault::Lost(Cause::Reset)
                };
                Event::Ended { conn, fault }
            }
            Act::Release(_, victim) => {
                choice = victim;
                let node = Arc::make_mut(&mut self.nodes[usize::from(end.node)]);
                node.held.insert(conn, true);
                Event::Release(conn)
            }
            Act::Hear(_, victim) if side.flash || side.heard < peer.runs => {
                choice = victim;
                let protocol = PROTOCOLS[usize::from(side.heard)];
                side.heard += 1;
                side.flash = false;
                self.is_just_in_time(end.node, conn);
                Event::ResponderStarted { conn, protocol }
            }
            _ => {
                side.heard -= 1;
                let protocol = PROTOCOLS[usize::from(side.heard)];
                Event::ResponderEnded { conn, protocol }
            }
        };
        let origin = Origin {
            node: usize::from(end.node),
            accepted: None,
            about: Some(conn),
            kind: Kind::Other,
        };
        self.feed_from(origin, event, choice)
    }

    /// Whatever is said of a connection that is gone changes nothing.
    fn late(&mut self, n: usize) -> u32 {
        let now = self.now;
        let node = Arc::make_mut(&mut self.nodes[n]);
        let (conn, request, before) = (node.gone, node.answered(), node.bytes().to_vec());
        let (protocol, fault) = (PROTOCOLS[0], Fault::Lost(Cause::Reset));
        let local = address(u8::try_from(n).unwrap_or(u8::MAX));
        let (cause, agreed) = (Cause::Reset, agreed(Mode::InitiatorAndResponder));
        let mut actions = Vec::new();
        for event in [
            Event::Connected { conn, local },
            Event::ConnectFailed { conn, cause },
            Event::Agreed { conn, agreed },
            Event::Lingering { conn },
            Event::ResponderStarted { conn, protocol },
            Event::ResponderEnded { conn, protocol },
            Event::Release(conn),
            Event::Cancel(request),
            Event::Abort(conn, fault),
            Event::Ended { conn, fault },
        ] {
            node.step(now, event, 0, &mut actions);
        }
        node.refresh(now);
        if !actions.is_empty() || node.bytes() != before {
            self.wrong(
                "what comes late changes nothing",
                format!("{conn:?}: {actions:?}"),
            );
        }
        1
    }

    fn is_just_in_time(&mut self, node: u8, conn: Serial) {
        let now = self.now;
        let all = self.nodes[usize::from(node)].manager.explain_all();
        let fires = |e: &Explanation| {
            e.conn == conn && e.timer.is_some_and(|(t, at)| t == Timer::Idle && at <= now)
        };
        if all.iter().any(fires) {
            self.mark(Mark::JustInTime);
        }
    }
}

fn agreed(mode: Mode) -> Agreed {
    Agreed {
        version: V15,
        data: VersionData {
            magic: 42,
            mode,
            peer_sharing: false,
            query: false,
            peras: false,
        },
    }
}
