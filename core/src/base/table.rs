//! Protocol tables: agency, edges, time and byte limits as constants.
//!
//! A table is the runtime authority of its protocol, its documentation, the generator's grammar
//! and the model checker's input; nothing else says which message is legal where.

use alloc::string::String;
use core::{fmt::Write as _, time::Duration};

use super::{Choice, ProtocolId, Site};

/// Which end of a mini-protocol instance this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub enum Role {
    /// Runs the client half. Bytes it sends carry mode bit 0.
    Initiator,
    /// Runs the server half. Bytes it sends carry mode bit 1.
    Responder,
}

impl Role {
    /// The other end.
    #[must_use]
    pub const fn flip(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }
}

/// Who may send in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Agency {
    /// The initiator.
    Client,
    /// The responder.
    Server,
    /// Nobody: the protocol has ended.
    Nobody,
}

impl Agency {
    /// Whether `role` may send.
    pub const fn is(self, role: Role) -> bool {
        matches!(
            (self, role),
            (Self::Client, Role::Initiator) | (Self::Server, Role::Responder)
        )
    }
}

/// A state of a protocol: its index in [`Spec::states`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct State(pub u8);

/// A kind of message: its place in the protocol's list of kinds. Two kinds may share a label
/// (blocking and non-blocking requests do).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Kind(pub u8);

/// How long the receiver waits in a state for the whole next message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLimit {
    /// For ever.
    None,
    /// This long.
    Fixed(Duration),
    /// Uniform between two bounds (inclusive, whole seconds), drawn on each entry.
    Drawn {
        /// Seconds at least.
        min: u32,
        /// Seconds at most.
        max: u32,
    },
}

impl TimeLimit {
    /// The span for one entry of the state; `None` = no limit.
    pub fn draw(self, choice: &mut dyn Choice, of: u64) -> Option<Duration> {
        match self {
            Self::None => None,
            Self::Fixed(span) => Some(span),
            Self::Drawn { min, max } => {
                let spread = max.saturating_sub(min).saturating_add(1);
                let more = choice.below(Site::MUST_REPLY, of, spread);
                Some(Duration::from_secs(u64::from(min) + u64::from(more)))
            }
        }
    }
}

/// One state: who may send, how long and how much the other end waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// The name in the field's documents.
    pub name: &'static str,
    /// Who may send.
    pub agency: Agency,
    /// How long the waiting end waits.
    pub time: TimeLimit,
    /// Bytes that one message may have here, inclusive.
    pub bytes_max: usize,
}

/// One message that may be sent in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Where it may be sent.
    pub from: State,
    /// Its label on the wire: the first item of the array.
    pub label: u8,
    /// Items of the array, the label included.
    pub items: u8,
    /// Which kind of message.
    pub kind: Kind,
    /// The name in the field's documents.
    pub message: &'static str,
    /// Where it leads.
    pub to: State,
    /// Whether the sender may send it while earlier replies are outstanding, staying in `from`.
    pub pipelined: bool,
}

/// A protocol as a constant table. The first state is the initial one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// The number on the multiplexer.
    pub protocol: ProtocolId,
    /// The name in the field's documents.
    pub name: &'static str,
    /// States; [`State`] is an index here.
    pub states: &'static [StateRow],
    /// Messages by state.
    pub edges: &'static [Edge],
}

/// What is wrong with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecFault {
    /// No states at all.
    #[error("{0}: no states")]
    Empty(&'static str),
    /// More than [`Spec::STATES_MAX`] states or a kind at or above that number.
    #[error("{0}: more states or kinds than a table may have")]
    TooMany(&'static str),
    /// A limit of a state that no message can keep: no bytes at all, or a drawn time whose least
    /// is above its most.
    #[error("{0}: {1} has a limit that nothing keeps")]
    Limit(&'static str, &'static str),
    /// An edge leaves or enters a state that is not there.
    #[error("{0}: {1} names a state that is not there")]
    NoState(&'static str, &'static str),
    /// An edge leaves a state in which nobody may send.
    #[error("{0}: {1} leaves a final state")]
    FromFinal(&'static str, &'static str),
    /// Two edges of one state have the same kind.
    #[error("{0}: {1} is there twice")]
    Twice(&'static str, &'static str),
    /// A state with agency that no edge leaves.
    #[error("{0}: nothing leaves {1}")]
    Stuck(&'static str, &'static str),
    /// A state that cannot be reached from the first.
    #[error("{0}: {1} is out of reach")]
    Unreachable(&'static str, &'static str),
}

impl Spec {
    /// The first state.
    pub const INITIAL: State = State(0);

    /// States at most, inclusive; kinds are below it.
    pub const STATES_MAX: u8 = 64;

    /// The row of a state.
    pub fn row(&self, state: State) -> Option<&'static StateRow> {
        self.states.get(usize::from(state.0))
    }

    /// The edge of `kind` out of `state`.
    pub fn edge(&self, state: State, kind: Kind) -> Option<&'static Edge> {
        self.edges
            .iter()
            .find(|edge| edge.from == state && edge.kind == kind)
    }

    /// All edges out of `state`.
    pub fn edges_from(&self, state: State) -> impl Iterator<Item = &'static Edge> {
        self.edges.iter().filter(move |edge| edge.from == state)
    }

    /// Whether `role` may send in `state`.
    pub fn may_send(&self, state: State, role: Role) -> bool {
        self.row(state).is_some_and(|row| row.agency.is(role))
    }

    /// Whether the protocol has ended in `state`.
    pub fn is_final(&self, state: State) -> bool {
        self.row(state)
            .is_none_or(|row| row.agency == Agency::Nobody)
    }

    /// Every state × every kind of the table, with the edge where there is one.
    pub fn cells(&self) -> impl Iterator<Item = (State, Kind, Option<&'static Edge>)> + '_ {
        let kinds = self
            .edges
            .iter()
            .map(|edge| edge.kind.0)
            .max()
            .map_or(0, |max| max.saturating_add(1));
        (0_u8..).zip(self.states).flat_map(move |(state, _)| {
            (0..kinds).map(move |kind| {
                (
                    State(state),
                    Kind(kind),
                    self.edge(State(state), Kind(kind)),
                )
            })
        })
    }

    /// Whether the table makes sense by itself.
    pub fn check(&self) -> Result<(), SpecFault> {
        if self.states.is_empty() {
            return Err(SpecFault::Empty(self.name));
        }
        let kinds = self.edges.iter().all(|edge| edge.kind.0 < Self::STATES_MAX);
        if self.states.len() > usize::from(Self::STATES_MAX) || !kinds {
            return Err(SpecFault::TooMany(self.name));
        }
        self.check_edges()?;
        self.check_states()
    }

    fn check_edges(&self) -> Result<(), SpecFault> {
        for (at, edge) in self.edges.iter().enumerate() {
            let (Some(from), Some(_)) = (self.row(edge.from), self.row(edge.to)) else {
                return Err(SpecFault::NoState(self.name, edge.message));
            };
            if from.agency == Agency::Nobody {
                return Err(SpecFault::FromFinal(self.name, edge.message));
            }
            let before = self.edges.iter().take(at);
            if before
                .clone()
                .any(|e| e.from == edge.from && e.kind == edge.kind)
            {
                return Err(SpecFault::Twice(self.name, edge.message));
            }
        }
        Ok(())
    }

    fn check_states(&self) -> Result<(), SpecFault> {
        let reached = self.reached();
        for (state, row) in (0_u8..).zip(self.states) {
            let leaves = self.edges_from(State(state)).next().is_some();
            if row.agency != Agency::Nobody && !leaves {
                return Err(SpecFault::Stuck(self.name, row.name));
            }
            if reached & bit(State(state)) == 0 {
                return Err(SpecFault::Unreachable(self.name, row.name));
            }
            let never = matches!(row.time, TimeLimit::Drawn { min, max } if min > max);
            if never || (row.agency != Agency::Nobody && row.bytes_max == 0) {
                return Err(SpecFault::Limit(self.name, row.name));
            }
        }
        Ok(())
    }

    /// The states that can be reached from the first, a bit each.
    fn reached(&self) -> u64 {
        let mut reached = bit(Self::INITIAL);
        loop {
            let more = self
                .edges
                .iter()
                .filter(|edge| reached & bit(edge.from) != 0)
                .fold(reached, |all, edge| all | bit(edge.to));
            if more == reached {
                return reached;
            }
            reached = more;
        }
    }

    /// The table in Markdown, one row an edge, for the documentation.
    pub fn to_markdown(&self) -> String {
        let mut out = String::new();
        let _ = writeln!(out, "### {} ({})\n", self.name, self.protocol);
        out.push_str("| State | Agency | Message | Next state | Time limit | Byte limit |\n");
        out.push_str("|---|---|---|---|---|---|\n");
        for (state, row) in (0_u8..).zip(self.states) {
            let agency = match row.agency {
                Agency::Client => "client",
                Agency::Server => "server",
                Agency::Nobody => "nobody",
            };
            let time = match row.time {
                TimeLimit::None => String::from("none"),
                TimeLimit::Fixed(span) => alloc::format!("{} s", span.as_secs()),
                TimeLimit::Drawn { min, max } => alloc::format!("drawn {min} to {max} s"),
            };
            if row.agency == Agency::Nobody {
                let _ = writeln!(out, "| {} | {agency} | | | | |", row.name);
            }
            for edge in self.edges_from(State(state)) {
                let to = self.row(edge.to).map_or("?", |row| row.name);
                let _ = writeln!(
                    out,
                    "| {} | {agency} | `[{}, …]` of {} {} | {to} | {time} | {} |",
                    row.name, edge.label, edge.items, edge.message, row.bytes_max
                );
            }
        }
        out
    }
}

fn bit(state: State) -> u64 {
    1_u64.checked_shl(state.0.into()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
