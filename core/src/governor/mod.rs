//! The outbound governor: which peers are known, which are connected, which are used.

mod board;
mod churn;
mod config;
mod event;
mod explain;
mod ledger;
mod names;
mod roots;
mod saved;
mod targets;
mod topology;
mod trace;
mod view;

pub use board::{Board, Newcomers, Score, Worth};
pub use config::{BackOff, ChurnTimes, Config, Names, Policy, Roots, Share};
pub use event::{
    Action, ConsensusMode, Event, Failure, FetchMode, Judgement, LedgerState, Notice, Snapshot,
    Trust,
};
pub use explain::{Explanation, Next, Source, Status};
pub use ledger::{Kind, Ledger, POOLS_MAX, Pool, QUOTA_PERCENT, RELAYS_MAX, Relay};
pub use names::{ANSWERS_MAX, Answer, NotFound, Question, Service};
pub use roots::{Group, LocalRoots, Traits};
pub use saved::{Saved, SavedOffender, SavedPeer};
pub use targets::{
    ACTIVE_MAX, ESTABLISHED_MAX, Insane, KNOWN_MAX, KNOWN_MAX_REFERENCE, Set, Targets,
};
pub use topology::{LocalGroup, PublicGroup, Topology, UseLedger};
pub use trace::{Temperature, Trace};
pub use view::{Count, Counters};
