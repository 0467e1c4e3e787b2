//! A state of a scope, and what can happen in it.

use std::sync::Arc;

use samanea_core::{
    base::{Instant, ListenerId, Machine},
    manager::Event,
};

use super::{
    Act, End, Mark, Scope, Trouble, Violation,
    net::{Phase, Pipe, Told, address},
    node::{Bytes, Node, Stage},
    steps::Kind,
};

/// The one listening socket of a node.
pub(super) const LISTENER: ListenerId = ListenerId(0);

/// All nodes and all that is between them.
#[derive(Clone, Debug)]
pub struct World {
    pub(super) now: Instant,
    pub(super) nodes: Vec<Arc<Node>>,
    pub(super) pipes: Vec<Pipe>,
    pub(super) marks: u128,
    pub(super) broken: Option<Violation>,
}

impl World {
    pub(super) fn new(scope: &Scope) -> Self {
        let now = Instant::from_secs(1_000);
        let nodes = (0..scope.nodes).map(|node| Arc::new(Node::new(scope, node)));
        let mut world = Self {
            now,
            nodes: nodes.collect(),
            pipes: Vec::new(),
            marks: 0,
            broken: None,
        };
        for node in (0..scope.nodes).filter(|node| !scope.is_leaf(*node)) {
            let listening = Event::Listening {
                listener: LISTENER,
                local: address(node),
            };
            world.feed(usize::from(node), listening, 0, None, Kind::Other);
        }
        // With a hard limit of one the first is asked for at once; a wait would be a unit long.
        for node in &mut world.nodes {
            Arc::make_mut(node).refresh(now);
        }
        world
    }

    pub(super) fn verdict(&self) -> Result<(), Violation> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    pub(super) const fn marks(&self) -> u128 {
        self.marks
    }

    pub(super) fn mark(&mut self, mark: Mark) {
        self.marks |= mark.bit();
    }

    /// Remembers the first thing that is wrong.
    pub(super) fn wrong(&mut self, property: &'static str, text: impl Into<String>) {
        if self.broken.is_none() {
            self.broken = Some(Violation::new(property, text));
        }
    }

    pub(super) fn is_at_rest(&self, scope: &Scope) -> bool {
        let mut nodes = (0..scope.nodes).zip(&self.nodes);
        self.pipes.is_empty() && nodes.all(|(n, node)| node.is_at_rest(!scope.is_leaf(n)))
    }

    pub(super) fn canonical(&self, out: &mut Vec<u8>) {
        for node in &self.nodes {
            out.extend_from_slice(node.bytes());
        }
        let mut pipes: Vec<Vec<u8>> = Vec::with_capacity(self.pipes.len());
        for pipe in &self.pipes {
            let mut bytes = Vec::new();
            let rank = |node: u8, conn| self.nodes[usize::from(node)].rank(conn);
            pipe.encode(rank, &mut Bytes(&mut bytes));
            pipes.push(bytes);
        }
        pipes.sort_unstable();
        out.extend(pipes.iter().flatten());
    }

    // What can happen.

    pub(super) fn acts(&self, scope: &Scope, out: &mut Vec<Act>) {
        for wish in &scope.wishes {
            let node = &self.nodes[usize::from(wish.node)];
            let asked = node.asked.iter().filter(|(_, of)| *of == wish.of).count();
            if asked < scope.waiting && node.stage == Stage::Running {
                out.push(Act::Acquire(*wish));
            }
        }
        for (n, node) in (0..).zip(&self.nodes) {
            if scope.has(Trouble::Cancelled) {
                out.extend((0..).zip(&node.asked).map(|(at, _)| Act::Cancel(n, at)));
            }
            if node.is_due(self.now) {
                out.push(Act::Tick(n));
            }
            if scope.has(Trouble::Late) {
                out.push(Act::Late(n));
            }
            if scope.has(Trouble::Stopped) && node.stage == Stage::Running {
                out.push(Act::Shutdown(n));
            }
        }
        let due = self.nodes.iter().any(|node| node.is_due(self.now));
        let mut deadlines = self.nodes.iter().map(|node| deadline(node));
        if !due && deadlines.any(|at| at.is_some()) {
            out.push(Act::Pass);
        }
        for (at, pipe) in (0..).zip(&self.pipes) {
            self.of_pipe(scope, at, pipe, out);
            for end in 0..2 {
                self.of_end(scope, at, pipe, end, out);
            }
        }
    }

    /// What can happen to a pipe as a whole.
    fn of_pipe(&self, scope: &Scope, at: u8, pipe: &Pipe, out: &mut Vec<Act>) {
        let end = |side: u8| End {
            pipe: at,
            side,
            node: pipe.nodes[usize::from(side)],
        };
        let other = pipe.nodes[1];
        let runs = self.nodes[usize::from(other)].stage == Stage::Running;
        let listens = !scope.is_leaf(other) && runs;
        match pipe.phase {
            Phase::Doomed => out.push(Act::Fail(end(0))),
            Phase::Dialled => {
                let queued = self.pipes.iter().filter(|p| p.is_queued(other)).count();
                if self.mirror(pipe).is_some() || listens && queued < scope.backlog {
                    out.push(Act::Arrive(end(0)));
                }
                if scope.has(Trouble::Failed) || !listens {
                    out.push(Act::Fail(end(0)));
                }
            }
            Phase::Joined => {
                if scope.has(Trouble::Lost) && !pipe.dead {
                    out.push(Act::Lose(end(0)));
                }
                if pipe.is_queued(other) && self.nodes[usize::from(other)].accepting {
                    out.push(Act::Accept(end(1)));
                    if scope.has(Trouble::Aborted) && pipe.dead {
                        out.push(Act::Abort(end(1)));
                    }
                }
            }
        }
    }

    /// What can happen at one end of a pipe.
    fn of_end(&self, scope: &Scope, at: u8, pipe: &Pipe, n: u8, out: &mut Vec<Act>) {
        let (mine, theirs) = (usize::from(n), usize::from(1 - n));
        let (side, peer) = (&pipe.sides[mine], &pipe.sides[theirs]);
        let Some(conn) = side.conn else { return };
        let node = pipe.nodes[mine];
        let end = End {
            pipe: at,
            side: n,
            node,
        };
        if pipe.phase != Phase::Joined {
            return;
        }
        match side.told {
            Told::Nothing => out.push(Act::Connect(end)),
            Told::Connected => {
                let may = if pipe.mutual || n == 1 {
                    peer.offers.is_some()
                } else {
                    peer.agreed
                };
                if may {
                    out.push(Act::Agree(end));
                }
                let refuses = scope.has(Trouble::Refused) && n == 1 && !pipe.mutual;
                if refuses && peer.offers.is_some() {
                    out.push(Act::Refuse(end));
                }
            }
            Told::Agreed => {
                let held = self.nodes[usize::from(node)].held.get(&conn) == Some(&false);
                if held && !pipe.dead && side.runs < scope.initiators {
                    out.push(Act::Start(end));
                }
                if side.runs > 0 && !pipe.dead {
                    out.push(Act::Stop(end));
                }
                let victims = u8::try_from(scope.hard + 1).unwrap_or(u8::MAX);
                if held && side.runs == 0 {
                    out.extend((0..victims).map(|victim| Act::Release(end, victim)));
                }
                if side.flash || side.heard < peer.runs {
                    out.extend((0..victims).map(|victim| Act::Hear(end, victim)));
                } else if side.heard > peer.runs {
                    out.push(Act::Hear(end, 0));
                }
            }
            Told::Refused | Told::Closing | Told::Gone => {}
        }
        let connected = matches!(side.told, Told::Connected | Told::Agreed);
        let refused = pipe.refused && n == 0;
        if connected && (pipe.dead || refused) || matches!(side.told, Told::Refused | Told::Closing)
        {
            out.push(Act::Over(end));
        }
    }

    /// The dial of the other node from and to the same addresses.
    pub(super) fn mirror(&self, pipe: &Pipe) -> Option<usize> {
        let [a, b] = pipe.addresses;
        let mirrors = |p: &Pipe| p.phase == Phase::Dialled && p.addresses == [b, a];
        self.pipes.iter().position(mirrors)
    }
}

fn deadline(node: &Node) -> Option<Instant> {
    node.manager.next_deadline()
}
