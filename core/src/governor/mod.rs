//! The outbound governor: which peers are known, which are connected, which are used.
//!
//! ```text
//!            learn                 Establish              Activate
//!  roots, ────────▶ cold (known) ────────────▶ warm ──────────────────▶ hot
//!  sharing,             ▲   │                  │  ▲                      │
//!  inbound              │   └─ forgotten       │  └──── Deactivate ──────┘
//!                       └────── Close ─────────┘
//! ```
//!
//! In: what the operator wants ([`Targets`], [`Topology`], [`Snapshot`]), what the application says
//! of its chain, answers to questions (names, addresses, the ledger), and what became of each
//! order. Out: orders for the peer actions, questions, and what those outside want to know.
//!
//! After each event the decisions are made in their order of precedence until none is left; each
//! compares kept numbers with targets, so what an event costs does not grow with the number of
//! known peers. Churn lowers and raises the targets in twelve steps inside the same machine.
//!
//! What was decided otherwise than in the reference, and why, is in `core/docs/governor.md`.
//!
//! src: Ouroboros network design documents, "peer selection"; ouroboros-network, outbound governor

mod active;
mod answers;
mod board;
mod canonical;
mod check;
mod churn;
mod config;
mod diversity;
mod established;
mod event;
mod explain;
mod known;
mod ledger;
mod local;
mod look;
mod lookups;
mod machine;
mod measure;
mod member;
mod modes;
mod names;
mod offenders;
mod outage;
mod outcomes;
pub mod pick;
mod requests;
mod roots;
mod routable;
mod saved;
mod sharing;
mod table;
mod targets;
mod topology;
mod trace;
mod view;

pub use answers::Answers;
pub use board::{Board, Newcomers, Score, Worth};
pub use canonical::Canonical;
pub use config::{BackOff, ChurnTimes, Config, Names, Policy, Roots, Share};
pub use diversity::Diversity;
pub use event::{
    Action, ConsensusMode, Event, Failure, FetchMode, Judgement, LedgerState, Notice, Snapshot,
    Trust,
};
pub use explain::{Explanation, Next, Source, Status};
pub use ledger::{Kind, Ledger, POOLS_MAX, Pool, QUOTA_PERCENT, RELAYS_MAX, Relay};
pub use machine::Governor;
pub use measure::{HOPS_MAX, Measure};
pub use names::{ANSWERS_MAX, Answer, NotFound, Question, Service};
pub use offenders::Offenders;
pub use outage::Outage;
pub use roots::{Group, LocalRoots, Traits};
pub use routable::is_routable;
pub use saved::{Saved, SavedOffender, SavedPeer};
pub use targets::{
    ACTIVE_MAX, ESTABLISHED_MAX, Insane, KNOWN_MAX, KNOWN_MAX_REFERENCE, Set, Targets,
};
pub use topology::{LocalGroup, PublicGroup, Topology, UseLedger};
pub use trace::{Temperature, Trace};
pub use view::{Count, Counters};

#[cfg(test)]
mod scenes;
#[cfg(test)]
mod tests;
