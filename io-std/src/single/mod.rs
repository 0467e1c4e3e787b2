//! The driver on one thread, which waits for all sockets at once: portable, and the driver of this
//! crate where there is no Unix.
//!
//! ```text
//!  the thread: accept, connect, read, write ─Received, …─▶ ┌──────────┐ ◀─Command, Answered─ Handle
//!              the deadline ───────────────Tick, Turn────▶ │ one lock │ ──Ask, Notice──▶ Application
//!                                                          └──────────┘
//! ```
//!
//! Others who step leave a parcel for each connection that has something new, and wake the thread.
//! It takes all parcels before it sleeps, and a waker that was rung before it sleeps ends that
//! sleep at once: so none is overlooked.

mod attendant;
mod driver;
mod talk;

pub use driver::{Handle, start};
