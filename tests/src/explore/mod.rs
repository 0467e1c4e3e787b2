//! Breadth-first exploration of finite models, every state of a small scope once.
//!
//! ```text
//! Model ──init, acts, next──▶ explore ──▶ Report: counts, marks, and a shortest trace when
//!   ▲                            │                a property does not hold
//!   └────canonical bytes─────────┘ visited set of 128-bit fingerprints, parent links
//! ```
//!
//! Three kinds of property are judged:
//! 1. *always*: [`Model::check`] holds after every transition, also one into a known state;
//! 2. *sometimes*: every mark that the model [wants](Model::wanted) is hit by some transition;
//! 3. *never stuck*: from every state a goal state stays reachable by helpful acts alone.
//!
//! Limits: [`Bound`] says how many states and how deep. The first violation of *always* is one of
//! least depth, because states are taken in order of depth.

pub mod governor;
pub mod managers;
pub mod rain;
mod search;
pub mod small;

use core::fmt::{self, Debug};

pub use search::explore;

/// A finite model: states, what can happen in them and what must hold.
///
/// Equal canonical bytes must mean that the two states have the same future: the same acts up to
/// renaming, the same checks, the same goal.
pub trait Model {
    /// A state; only those not yet expanded are kept.
    type State: Clone;
    /// Something that can happen.
    type Act: Clone + Debug;

    /// The names of what can be seen sometimes, at most 128.
    const MARKS: &'static [&'static str];

    /// Where exploration begins.
    fn init(&self) -> Vec<Self::State>;

    /// Appends all that can happen in `state`, in an order that depends on `state` alone; at most
    /// 65,536 acts.
    fn acts(&self, state: &Self::State, out: &mut Vec<Self::Act>);

    /// The state after `act`; `None` when nothing changes that the model cares about.
    fn next(&self, state: &Self::State, act: &Self::Act) -> Option<Self::State>;

    /// Appends bytes that are equal exactly for states with the same future.
    fn canonical(&self, state: &Self::State, out: &mut Vec<u8>);

    /// The kind of an act, for the counts.
    fn kind(&self, act: &Self::Act) -> &'static str;

    /// What must hold in `state` and on the way into it.
    fn check(&self, state: &Self::State) -> Result<(), Violation>;

    /// Which of [`MARKS`](Self::MARKS) the way into `state` has hit, one bit each.
    fn marks(&self, state: &Self::State) -> u128 {
        let _ = state;
        0
    }

    /// Which of [`MARKS`](Self::MARKS) must be hit in this scope; all of them unless it says less.
    fn wanted(&self) -> u128 {
        u128::MAX
    }

    /// Whether `state` is one in which the model may rest.
    fn goal(&self, state: &Self::State) -> bool {
        let _ = state;
        true
    }

    /// Whether `act` may be counted on to bring a goal nearer. New work and faults may not.
    fn helps(&self, act: &Self::Act) -> bool {
        let _ = act;
        true
    }
}

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{property}: {text}")]
pub struct Violation {
    /// The property's name.
    pub property: &'static str,
    /// What was seen.
    pub text: String,
}

impl Violation {
    /// A violation of `property`.
    pub fn new(property: &'static str, text: impl Into<String>) -> Self {
        Self {
            property,
            text: text.into(),
        }
    }
}

/// How far to explore; both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// States to keep at most.
    pub states: u32,
    /// Acts from an initial state at most.
    pub depth: u32,
}

impl Bound {
    /// As deep as it goes, at most `states` states.
    pub const fn states(states: u32) -> Self {
        Self {
            states,
            depth: u32::MAX,
        }
    }
}

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Report<A> {
    /// Different states seen.
    pub states: u32,
    /// Transitions taken, those into known states included.
    pub transitions: u64,
    /// The greatest distance of a state from an initial one.
    pub depth: u32,
    /// Whether every reachable state was expanded.
    pub whole: bool,
    /// States in which the model may rest.
    pub goals: u32,
    /// Transitions by kind of act, in order of name.
    pub kinds: Vec<(&'static str, u64)>,
    /// Hits of each mark, in the model's order.
    pub marks: Vec<(&'static str, u64)>,
    /// What became of the properties.
    pub verdict: Verdict<A>,
}

/// What became of the properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<A> {
    /// All of them held.
    Held,
    /// *Always* is broken; the trace is a shortest one, its last act breaks the property.
    Broken(Violation, Vec<A>),
    /// *Never stuck* is broken; the trace is a shortest one into a stuck state.
    Stuck(Vec<A>),
    /// These marks were never hit.
    Unmarked(Vec<&'static str>),
}

impl<A> Verdict<A> {
    /// Whether all properties held.
    pub fn held(&self) -> bool {
        matches!(self, Self::Held)
    }
}

impl<A: Debug> fmt::Display for Verdict<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let trace = match self {
            Self::Held => return f.write_str("all properties held"),
            Self::Unmarked(marks) => return write!(f, "never seen: {}", marks.join(", ")),
            Self::Broken(violation, trace) => {
                write!(f, "{violation}, after {} acts:", trace.len())?;
                trace
            }
            Self::Stuck(trace) => {
                write!(f, "no goal is reachable after {} acts:", trace.len())?;
                trace
            }
        };
        for (n, act) in trace.iter().enumerate() {
            write!(f, "\n  {:3}  {act:?}", n + 1)?;
        }
        Ok(())
    }
}

impl<A: Debug> fmt::Display for Report<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} states ({}), {} transitions, depth {}, {} goals",
            self.states,
            if self.whole { "all" } else { "to the bound" },
            self.transitions,
            self.depth,
            self.goals
        )?;
        for (title, counts) in [("acts", &self.kinds), ("marks", &self.marks)] {
            write!(f, "{title}:")?;
            for (name, count) in counts {
                write!(f, " {name} {count};")?;
            }
            writeln!(f)?;
        }
        write!(f, "{}", self.verdict)
    }
}
