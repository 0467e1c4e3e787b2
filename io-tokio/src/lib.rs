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
//!
//! # Running a node
//!
//! ```
//! use samanea_core::node::{Command, Config, Engine, Node};
//! use samanea_tokio::{NoApplication, Options};
//! use std::sync::Arc;
//!
//! # fn main() -> std::io::Result<()> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let mut options = Options::default();
//! options.listen = vec![([127, 0, 0, 1], 0).into()];
//! let node = Node::new(Engine::new(Config::new(42)), 1);
//! let handle = samanea_tokio::start(node, Arc::new(NoApplication), options).await?;
//! handle.command(Command::AddPeer(handle.listening()[0]));
//! handle.shutdown();
//! handle.wait().await;
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! What the application keeps and judges it says through [`Application`], which is called on the
//! runtime's worker threads: what takes long is answered later, through the [`Handle`].
//!
//! Names are looked up by [`Options::resolver`]; without one, by hickory with the servers of the
//! system (feature `dns`, on by default).

mod conversation;
#[cfg(feature = "dns")]
mod dns;
mod driver;
mod tally;

#[cfg(feature = "dns")]
pub use dns::Dns;
pub use driver::{Handle, start};
pub use samanea_std::{Application, NoApplication, Options, Reply, Resolver};
