//! The header index: which chains peers announce, which one is ours, which bodies to fetch from
//! whom, and what to serve.
//!
//! ```text
//!  Fact of a peer's chain-sync / block-fetch / tx-submission half ─▶ chain ─▶ Order to a half
//!  Answer of the application (bodies, verdicts)                   ─▶ chain ─▶ Question, Notice
//! ```
//! Knows points, header views and sizes; bodies pass through and are never kept.

mod action;
mod config;
mod event;
mod machine;
mod misdeed;

pub use action::{Action, Notice, Order, Question};
pub use config::{Config, Start};
pub use event::{Answer, Event, Verdict};
pub use machine::Chain;
pub use misdeed::Misdeed;
