//! The driver on threads: one that reads for each connection, and one porter for all waiting
//! that is not reading.
//!
//! ```text
//!  reader of a connection ─Received, Turn─▶ ┌──────────┐ ◀─Command, Answered─ Handle
//!  porter: accept, connect ─Offered, …────▶ │   node   │
//!          the deadline ────Tick, Turn────▶ │ one lock │ ──Ask, Notice──▶ Application
//!          full sockets ────Flushed, Turn─▶ └──────────┘
//! ```
//!
//! Whoever steps also writes, without blocking; what a full socket does not take waits for the
//! porter. A connection whose peer is silent costs a sleeping thread and no buffer.

mod driver;
mod pool;
mod porter;
mod reader;
mod seat;

pub use driver::{Handle, start};
