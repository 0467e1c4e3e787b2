//! Samanea on plain threads, and what every driver of it needs.
//!
//! A driver owns sockets and the clock and decides nothing: it feeds what it reads to a
//! [`Node`](samanea_core::node::Node) behind one lock and does what the node asks for. This crate
//! holds the parts that are not about waiting (the [`clock`], the options of [`socket`]s, the
//! meaning of [`errors`], the [`hub`]), which `samanea-tokio` uses too.

pub mod clock;
#[cfg(feature = "_conformance")]
#[doc(hidden)]
pub mod conformance;
pub mod errors;
pub mod hub;
pub mod socket;

mod app;
mod line;
mod options;
#[cfg(unix)]
mod threads;

pub use app::{Application, NoApplication};
pub use clock::Clock;
pub use line::{Ending, Line, Outgoing, Wish};
pub use options::{Limits, Options};
#[cfg(unix)]
pub use threads::{Handle, start};
