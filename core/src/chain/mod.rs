//! The header index: which chains peers announce, which one is ours, which bodies to fetch from
//! whom, and what to serve.
//!
//! ```text
//!  Fact of a peer's chain-sync / block-fetch / tx-submission half ─▶ chain ─▶ Order to a half
//!  Answer of the application (bodies, verdicts)                   ─▶ chain ─▶ Question, Notice
//!
//!  candidates ── headers ──▶ index ──▶ fetch ── bodies ──▶ Judge ── Kept ──▶ our chain
//!                                                                               │
//!                      followers (headers), serve (bodies), tips ◀──────────────┘
//! ```
//! Knows points, header views and sizes; bodies pass through and are never kept.
//!
//! - *Our chain* is the longest path of kept blocks from the anchor; on a tie the one we have.
//!   It never goes back more than `k` blocks, and its tip's number never falls.
//! - *Following*: headers are checked for order and place only; what is in them is the
//!   application's ([`Rules`](crate::base::Rules)). A body is judged once, by a question.
//! - *Serving*: only judged blocks are announced and given away.
//! - A peer that breaks a rule is named in one [`Action::Misdeed`] and heard no longer.
//!
//! Block numbers rise by one and slots rise from block to block; a Byron chain with its epoch
//! boundary blocks is followed from an anchor behind them.
//!
//! Limits: all in [`Config`]. The oldest headers are forgotten, far peers paused, bodies asked
//! for only when their verdict has a place among the questions; nothing else grows.
//!
//! src: Ouroboros network specification, "Chain-Sync", "Block Fetch" and "Tx-Submission"

mod action;
mod candidates;
mod config;
mod event;
mod fetch;
mod follow;
mod followers;
mod index;
mod machine;
mod misdeed;
mod serve;
mod supply;
mod tickets;
mod tips;
mod txs;

pub use action::{Action, Notice, Order, Question};
pub use config::{Config, Start};
pub use event::{Answer, Event, Verdict};
pub use machine::{Chain, Served};
pub use misdeed::Misdeed;

#[cfg(test)]
mod tests;
