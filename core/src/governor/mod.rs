//! The outbound governor's parts: what it aims at, whom it must keep, who is worth keeping.
//!
//! Each part is a pure value with its own tests; the machine that decides by them comes to stand on
//! top.

mod board;
mod ledger;
mod roots;
mod targets;

pub use board::{Board, Newcomers, Score, Worth};
pub use ledger::{Kind, Ledger, POOLS_MAX, Pool, QUOTA_PERCENT, RELAYS_MAX, Relay};
pub use roots::{Group, LocalRoots, Traits};
pub use targets::{ACTIVE_MAX, ESTABLISHED_MAX, Insane, KNOWN_MAX, KNOWN_MAX_REFERENCE, Targets};
