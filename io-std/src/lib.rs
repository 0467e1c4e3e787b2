//! Samanea on plain threads, and what every driver of it needs.
//!
//! A driver owns sockets and the clock and decides nothing: it feeds what it reads to a
//! [`Node`](samanea_core::node::Node) behind one lock and does what the node asks for.
//!
//! # Running a node
//!
//! ```
//! # fn main() -> std::io::Result<()> {
//! use samanea_core::node::{Command, Config, Engine, Node};
//! use samanea_std::{NoApplication, Options};
//! use std::sync::Arc;
//!
//! let mut options = Options::default();
//! options.listen = vec![([127, 0, 0, 1], 0).into()];
//! let node = Node::new(Engine::new(Config::new(42)), 1);
//! let handle = samanea_std::start(node, Arc::new(NoApplication), options)?;
//! handle.command(Command::AddPeer(handle.listening()[0]));
//! handle.shutdown();
//! handle.wait();
//! # Ok(())
//! # }
//! ```
//!
//! What the application keeps and judges it says through [`Application`]; what is recorded for a
//! replay goes through [`Options::tap`], to a file with the feature `tape`.
//!
//! # Writing your own driver
//!
//! Everything that is not about waiting is here and shared with `samanea-tokio`: the [`clock`],
//! the options of [`socket`]s, the meaning of [`errors`], and the [`hub`], which holds the lock
//! and routes what the node asks for. None of it is needed, though: the loop over the node itself
//! takes a hundred and fifty lines.
//!
//! ```
#![doc = include_str!("../examples/write_your_own_driver.rs")]
//! ```
//!
//! # Platforms
//!
//! On Unix the driver has a thread for each connection, which reads where it waits: the fastest
//! way for few connections. Elsewhere, where no thread can be woken from a read and none can write
//! without blocking beside it, one thread serves all sockets; the interface is the same.

pub mod clock;
#[cfg(feature = "_conformance")]
#[doc(hidden)]
pub mod conformance;
pub mod descriptors;
pub mod errors;
#[cfg(feature = "gossip")]
pub mod gossip;
pub mod hub;
pub mod socket;
#[cfg(feature = "tape")]
pub mod tape;
#[cfg(feature = "topology")]
pub mod topology;

mod app;
mod line;
mod names;
mod options;
#[cfg(any(not(unix), feature = "_conformance"))]
#[cfg_attr(unix, doc(hidden))]
pub mod single;
mod tally;
#[cfg(unix)]
mod threads;

pub use app::{Application, NoApplication};
pub use clock::Clock;
pub use line::{Ending, Line, Outgoing, Wish};
pub use names::{OnThreads, Reply, Resolver, System};
pub use options::{Limits, Options};
#[cfg(not(unix))]
pub use single::{Handle, start};
#[cfg(unix)]
pub use threads::{Handle, start};
