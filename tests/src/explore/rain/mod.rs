//! A few members that hold or lack one message, their clean-up chains, and every order of events.
//!
//! ```text
//!  member a ──▶ frame, frame, lost ──▶ member b      one lane each way between any two, in order
//!     ▲                                   │
//!     └───────── ticks of its own ────────┘
//! ```
//!
//! A scope begins with a message in the hands of any set of members (sets that are turns of each
//! other on the clean-up ring are one), or with one member that publishes it. From there on
//! anything on the way between two members may come next, and faults may happen at any moment, as
//! many as the scope allows:
//! * a member *crashes*: its connections fall, and of what it has sent any last part is lost;
//! * a member *hangs*: the same, but nobody is told;
//! * a connection *breaks*: what is on the way both ways is lost, both members are told, each in
//!   its time, and it comes up again later;
//! * a member is *hasty*: it takes as silent whom it has not heard yet, though something is on the
//!   way to it or from it. Members with nothing on the way may let time pass as they like: clocks
//!   of different members have nothing to do with each other.
//!
//! Digests say nothing here, so that nothing but the chains brings the message: a digest is a sign
//! of life alone, and without hanging members there are none.
//!
//! States are canonical: times are relative, counts of the past are left out. Machines are kept
//! once each, with what each event makes of them; a state is their numbers and what is on the way.
//! Once everybody alive holds the message a state is not followed further, unless the scope says
//! so: nobody can lose it again.

mod laws;
mod locals;
mod scopes;
mod walk;
mod world;

use parking::Table;

use super::{Model, Violation};
pub use laws::Mark;
pub use walk::{Tally, walk};
pub use world::World;

/// What may happen among a few members.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "things that may happen or not, each by itself"
)]
pub struct Scope {
    /// Members, 2 to 7.
    pub members: u8,
    /// Holders that a chain finds before it ends.
    pub custodians: u8,
    /// Both chains run; else the right one alone, which is all that the proof needs.
    pub both: bool,
    /// A member publishes; else some hold the message at the beginning and know of nobody else.
    pub published: bool,
    /// Questions are collected for a while.
    pub batches: bool,
    /// Who was silent once is taken as silent until something comes from it; else never.
    pub wary: bool,
    /// Faults, at most so many of each.
    pub faults: Faults,
    /// States in which everybody alive holds the message are followed, too.
    pub beyond: bool,
    /// A rule that is not kept.
    pub without: Option<Rule>,
    /// What must be seen.
    pub wanted: Vec<Mark>,
    table: Table,
}

/// How many faults of a kind there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// Members that crash or hang.
    pub ends: u8,
    /// Whether members crash.
    pub crash: bool,
    /// Whether members hang. Only then custodians are watched: nothing else needs it.
    pub hang: bool,
    /// Connections that break.
    pub breaks: u8,
    /// Members that are hasty.
    pub hasty: u8,
}

/// A rule of the chains that can be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Late answers are served.
    LateYes,
    /// Who was passed over is asked in passing, and again.
    Passed,
    /// Chains go on when a custodian is lost.
    ReArm,
    /// Custodians are watched.
    Watch,
}

/// Something that can happen; members are named by place on the clean-up ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// What comes next on the lane from one to another arrives.
    Arrive(u8, u8),
    /// The rest of what one that has ended had sent to another is lost.
    Lose(u8, u8),
    /// Time passes for a member up to its next deadline.
    Tick(u8),
    /// The same, too early.
    Hasty(u8),
    /// A member crashes.
    Crash(u8),
    /// A member hangs.
    Hang(u8),
    /// The connection of two breaks.
    Break(u8, u8),
    /// It comes up again.
    Mend(u8, u8),
}

impl Model for Scope {
    type State = World;
    type Act = Act;

    const MARKS: &'static [&'static str] = &laws::NAMES;

    fn init(&self) -> Vec<World> {
        World::all(self)
    }

    fn acts(&self, world: &World, out: &mut Vec<Act>) {
        if self.beyond || !world.is_decided(&self.table) {
            world.acts(out);
        }
    }

    fn next(&self, world: &World, act: &Act) -> Option<World> {
        world.next(&self.table, *act)
    }

    fn canonical(&self, world: &World, out: &mut Vec<u8>) {
        world.canonical(out);
    }

    fn kind(&self, act: &Act) -> &'static str {
        match act {
            Act::Arrive(..) => "arrive",
            Act::Lose(..) => "lose",
            Act::Tick(_) => "tick",
            Act::Hasty(_) => "hasty",
            Act::Crash(_) => "crash",
            Act::Hang(_) => "hang",
            Act::Break(..) => "break",
            Act::Mend(..) => "mend",
        }
    }

    fn check(&self, world: &World) -> Result<(), Violation> {
        world.verdict(&self.table)
    }

    fn marks(&self, world: &World) -> u128 {
        world.marks().into()
    }

    fn wanted(&self) -> u128 {
        self.wanted.iter().fold(0, |all, mark| all | mark.bit128())
    }

    /// Everybody alive holds the message, or nobody who could hand it on.
    fn goal(&self, world: &World) -> bool {
        world.is_decided(&self.table)
    }

    /// Faults bring it to nobody.
    fn helps(&self, act: &Act) -> bool {
        matches!(act, Act::Arrive(..) | Act::Tick(_) | Act::Mend(..))
    }
}

/// The machines of a scope, behind a lock that outlives panics.
mod parking {
    use std::{
        fmt,
        sync::{Arc, Mutex, MutexGuard, PoisonError},
    };

    use super::locals::Locals;

    /// The machines of a scope, shared by all its clones.
    #[derive(Clone)]
    pub(crate) struct Table(Arc<Mutex<Locals>>);

    impl Table {
        pub(crate) fn new(locals: Locals) -> Self {
            Self(Arc::new(Mutex::new(locals)))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, Locals> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    impl fmt::Debug for Table {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{} machines", self.lock().len())
        }
    }
}
