//! Tables of connections joined by an abstract network: every order of events in a small scope.
//!
//! ```text
//!  user ─Acquire, Cancel, Release─▶ Manager ─Dial, AcceptOne, Greet, Close…─▶ pipes
//!                                      ▲                                        │
//!            Accepted, Connected, Agreed, Responder…, Ended, Tick ◀─────────────┘
//! ```
//!
//! Each node is one real [`Manager`]. A pipe is one attempt to connect or one connection, with two
//! ends that are told of everything at times of their own: the kernel completes a dial before the
//! other end accepts; two dials from listening addresses to each other become one connection; an
//! address pair that is taken cannot be dialled; a reset is noticed late. After the handshake the
//! user of an end starts and stops initiators and the other end hears of it later. Time passes in
//! units of one second, and a tick that is due may come after other events of that second.
//!
//! States are canonical: connections and requests are named by rank, times are relative.

mod happen;
mod laws;
mod marks;
mod net;
mod node;
mod scopes;
mod steps;
mod world;

use core::{fmt, time::Duration};

use samanea_core::{
    manager::{Config, Limits, Manager, Prefixes, Via, Victims},
    proto::handshake::Mode,
};

use super::{Model, Violation};
pub use marks::Mark;
pub use world::World;

/// One unit of time.
const UNIT: Duration = Duration::from_secs(1);

/// What a world consists of and what may happen in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Nodes, 1 to 4. All of them listen but the leaves.
    pub nodes: u8,
    /// How many of the last nodes only dial.
    pub leaves: u8,
    /// The hard limit on inbound connections; the soft limit is the same unless it says otherwise.
    pub hard: u32,
    /// The soft limit.
    pub soft: u32,
    /// Who acquires whom and how.
    pub wishes: Vec<Wish>,
    /// Requests of one node for one other that are not answered, at most.
    pub waiting: usize,
    /// How many initiators a user runs, 1 or 2; the second is a hot one.
    pub initiators: u8,
    /// Connected and not yet accepted, at most, for each listening node.
    pub backlog: usize,
    /// What may go wrong.
    pub troubles: Vec<Trouble>,
    /// How long an end is remembered, in units.
    pub time_wait: u32,
    /// What must be seen.
    pub wanted: Vec<Mark>,
}

/// One way in which one node may want another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Who.
    pub node: u8,
    /// Whom.
    pub of: u8,
    /// What it offers.
    pub mode: Mode,
    /// Whether it dials.
    pub via: Via,
}

impl Wish {
    /// Dials and runs responders too.
    pub const fn duplex(node: u8, of: u8) -> Self {
        let (mode, via) = (Mode::InitiatorAndResponder, Via::Dial);
        Self {
            node,
            of,
            mode,
            via,
        }
    }

    /// Dials from a port of its own.
    pub const fn one_way(node: u8, of: u8) -> Self {
        let (mode, via) = (Mode::InitiatorOnly, Via::Dial);
        Self {
            node,
            of,
            mode,
            via,
        }
    }

    /// Takes only what the other has dialled.
    pub const fn inbound(node: u8, of: u8) -> Self {
        let (mode, via) = (Mode::InitiatorAndResponder, Via::Inbound);
        Self {
            node,
            of,
            mode,
            via,
        }
    }
}

/// Something that may go wrong in a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The network loses connections.
    Lost,
    /// Dials fail.
    Failed,
    /// Servers refuse.
    Refused,
    /// Connections are aborted before they are accepted.
    Aborted,
    /// Users no longer want what they asked for.
    Cancelled,
    /// What drivers and users say of a connection comes when it is gone.
    Late,
    /// Nodes stop.
    Stopped,
}

impl Trouble {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Lost,
        Self::Failed,
        Self::Refused,
        Self::Aborted,
        Self::Cancelled,
        Self::Late,
        Self::Stopped,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Aborted => "aborted",
            Self::Cancelled => "cancelled",
            Self::Late => "late",
            Self::Stopped => "stopped",
        }
    }
}

impl Scope {
    /// `nodes` listening nodes, each of which may want each other in both ways, with no trouble.
    pub fn full(nodes: u8) -> Self {
        let pairs = (0..nodes).flat_map(|a| (0..nodes).map(move |b| (a, b)));
        let pairs = pairs.filter(|(a, b)| a != b);
        Self {
            nodes,
            leaves: 0,
            hard: 1,
            soft: 1,
            wishes: pairs
                .flat_map(|(a, b)| [Wish::duplex(a, b), Wish::one_way(a, b)])
                .collect(),
            waiting: 1,
            initiators: 1,
            backlog: 1,
            troubles: Vec::new(),
            time_wait: 1,
            wanted: Vec::new(),
        }
    }

    fn config(&self, node: u8) -> Config {
        let mut config = Config::default();
        if self.is_leaf(node) {
            config.mode = Mode::InitiatorOnly;
        }
        config.limits = Limits {
            soft: self.soft,
            hard: self.hard,
            delay: UNIT,
        };
        config.prefixes = Prefixes {
            max: 0,
            ..Prefixes::default()
        };
        config.victims = Victims::Random;
        config.entries_max = 16;
        config.quarantined_max = 8;
        config.waiting_max = 8;
        config.idle = Some(UNIT);
        config.linger = UNIT;
        config.time_wait = UNIT * self.time_wait;
        config.mature = UNIT;
        config.abort_pause = UNIT;
        config.shortage_pause = UNIT;
        config.trace = true;
        config
    }

    fn has(&self, trouble: Trouble) -> bool {
        self.troubles.contains(&trouble)
    }

    fn is_leaf(&self, node: u8) -> bool {
        node >= self.nodes.saturating_sub(self.leaves)
    }

    fn manager(&self, node: u8) -> Manager {
        Manager::new(self.config(node))
    }
}

/// A pipe of the current state, by its place, and which of its ends: 0 has dialled.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct End {
    pipe: u8,
    side: u8,
    /// The node at that end, for the reader.
    node: u8,
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = if self.side == 0 { "dialled" } else { "other" };
        write!(f, "node {}, {which} end of pipe {}", self.node, self.pipe)
    }
}

/// Something that can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The user of a node wants another.
    Acquire(Wish),
    /// The user no longer wants what it has asked for: the how-manieth of its requests.
    Cancel(u8, u8),
    /// The user has done with a connection; when too many are inbound then, this one is the
    /// how-manieth victim.
    Release(End, u8),
    /// What was dialled arrives at the other node.
    Arrive(End),
    /// The dial fails.
    Fail(End),
    /// The node that dialled learns that it is connected.
    Connect(End),
    /// The other node accepts.
    Accept(End),
    /// The other node learns that the first in its backlog was aborted.
    Abort(End),
    /// The handshake succeeds as this end sees it.
    Agree(End),
    /// This end refuses.
    Refuse(End),
    /// The user of this end starts an initiator.
    Start(End),
    /// The user of this end stops its last initiator.
    Stop(End),
    /// This end hears that a responder starts or ends; victims as for `Release`.
    Hear(End, u8),
    /// The network loses the connection.
    Lose(End),
    /// This end learns that the connection is over.
    Over(End),
    /// A node is told everything about the connection that left its table last.
    Late(u8),
    /// A node is told to stop.
    Shutdown(u8),
    /// A unit of time passes.
    Pass,
    /// A node ticks.
    Tick(u8),
}

impl Model for Scope {
    type State = World;
    type Act = Act;

    const MARKS: &'static [&'static str] = &marks::NAMES;

    fn init(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn acts(&self, world: &World, out: &mut Vec<Act>) {
        world.acts(self, out);
    }

    fn next(&self, world: &World, act: &Act) -> Option<World> {
        world.next(self, *act)
    }

    fn canonical(&self, world: &World, out: &mut Vec<u8>) {
        world.canonical(out);
    }

    fn kind(&self, act: &Act) -> &'static str {
        match act {
            Act::Acquire(_) => "acquire",
            Act::Cancel(..) => "cancel",
            Act::Release(..) => "release",
            Act::Arrive(_) => "arrive",
            Act::Fail(_) => "fail",
            Act::Connect(_) => "connect",
            Act::Accept(_) => "accept",
            Act::Abort(_) => "abort",
            Act::Agree(_) => "agree",
            Act::Refuse(_) => "refuse",
            Act::Start(_) => "start",
            Act::Stop(_) => "stop",
            Act::Hear(..) => "hear",
            Act::Lose(_) => "lose",
            Act::Over(_) => "over",
            Act::Late(_) => "late",
            Act::Shutdown(_) => "shutdown",
            Act::Pass => "pass",
            Act::Tick(_) => "tick",
        }
    }

    fn check(&self, world: &World) -> Result<(), Violation> {
        world.verdict()
    }

    fn marks(&self, world: &World) -> u128 {
        world.marks()
    }

    fn wanted(&self) -> u128 {
        self.wanted.iter().fold(0, |all, mark| all | mark.bit())
    }

    /// Nothing is left of anything, and whoever listens accepts.
    fn goal(&self, world: &World) -> bool {
        world.is_at_rest(self)
    }

    /// New wishes and faults bring no rest.
    fn helps(&self, act: &Act) -> bool {
        !matches!(
            act,
            Act::Acquire(_)
                | Act::Cancel(..)
                | Act::Start(_)
                | Act::Refuse(_)
                | Act::Lose(_)
                | Act::Late(_)
                | Act::Shutdown(_)
        )
    }
}
