//! Samanea on tokio: one light task per connection around a node behind one lock.
//!
//! ```text
//!  task per connection ─Received, Flushed, Turn─▶ ┌──────────┐ ◀─Command, Answered─ Handle
//!                      ◀── its outbox ─────────── │   node   │
//!  task per listener ──Offered, Turn────────────▶ │ one lock │ ──Ask, Notice──▶ Application
//!  task of the clock ──Tick, Turn───────────────▶ └──────────┘
//! ```
//!
//! An idle connection owns no read buffer: its task waits for the socket to be readable and then
//! reads into a buffer of its worker thread. What is read is sliced, never copied, unless it is
//! short. There is no queue but the outboxes, which the core's own credit bounds.

mod conversation;
mod driver;
mod tally;

pub use driver::{Handle, start};
pub use samanea_std::{Application, NoApplication, Options};
