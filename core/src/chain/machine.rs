//! The machine.

use super::{Action, Config, Event};
use crate::base::{Cx, Instant, Machine, Tip, Violated};

/// The chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Chain {
    config: Config,
}

impl Chain {
    /// An empty chain.
    pub fn new(config: Config) -> Self {
        Self { config }
    }

    /// The end of our chain: the last block whose body the application keeps.
    pub fn tip(&self) -> Tip {
        Tip::ORIGIN
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }
}

impl Machine for Chain {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, _cx: &mut Cx<'_, Action>, _event: Event) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        Ok(())
    }
}
