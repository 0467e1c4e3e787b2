//! Cases that every driver must pass, run over real sockets on loopback: port 0, no sleeps, every
//! wait bounded by [`PATIENCE`].
//!
//! A driver implements [`Driver`] and calls [`run`] for each name in [`CASES`].

mod cases;
mod script;
#[cfg(unix)]
mod shortage;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use samanea_core::{
    base::Ticket,
    chain::Answer,
    node::{Command, Node},
};

use crate::{Application, Options};

pub use cases::{CASES, run};
pub use script::{Plan, Script, Seen, pattern};
#[cfg(unix)]
pub use shortage::without_descriptors;

/// The longest that a case waits for anything; reached only when the case fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A driver under test.
pub trait Driver {
    /// Starts a node.
    fn start(
        &self,
        node: Node<Script>,
        app: Arc<dyn Application>,
        options: Options,
    ) -> std::io::Result<Box<dyn Running>>;
}

/// A node that a driver runs: what its handle offers.
pub trait Running: Send + Sync {
    /// Gives an order.
    fn command(&self, command: Command);
    /// Answers a question.
    fn answer(&self, ticket: Ticket, answer: Answer);
    /// Where it listens.
    fn listening(&self) -> Vec<SocketAddr>;
    /// Looks at the machine.
    fn with(&self, look: &mut dyn FnMut(&Script));
    /// Begins to stop.
    fn shutdown(&self);
    /// Ends without a word.
    fn kill(&self);
    /// Waits until nothing of it runs any more; false when that takes longer than
    /// [`PATIENCE`].
    fn wait(&self) -> bool;
}
