//! The header index: which chains peers announce, which one is ours, which bodies to fetch from
//! whom, and what to serve.
//!
//! ```text
//!  Fact of a peer's chain-sync / block-fetch / tx-submission half ─▶ chain ─▶ Order to a half
//!  Answer of the application (bodies, verdicts)                   ─▶ chain ─▶ Question, Notice
//! ```
//! Knows points, header views and sizes; bodies pass through and are never kept.

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
pub use machine::Chain;
pub use misdeed::Misdeed;

#[cfg(test)]
mod tests;
