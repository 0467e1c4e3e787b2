//! The head of a tape: who wrote it and where the run begins.

use alloc::{string::String, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{Error, frame};
use crate::{
    base::Machine,
    node::{Action, Event, Node},
};

/// The first frame of a tape.
///
/// Read it before a replay to choose the rules and the machine that fit.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The version of this crate that wrote the tape.
    pub core: String,
    /// The program that wrote it and its version, as it names itself.
    pub writer: String,
    /// The rules' name.
    pub rules: String,
    /// The seed of the run's chance.
    pub seed: u64,
    /// The time of the last step before the first event, in microseconds.
    pub began_us: u64,
    /// The whole state at the start, configuration included: a `Node` in postcard.
    snapshot: Vec<u8>,
}

impl Head {
    /// A head for a run that goes on from `node`. `rules` is the rules' name, `writer` the
    /// program's name and version.
    pub fn new<M>(node: &Node<M>, rules: &str, writer: &str) -> Result<Self, Error>
    where
        M: Machine<Event = Event, Action = Action> + Serialize,
    {
        Ok(Self {
            core: String::from(CORE),
            writer: String::from(writer),
            rules: String::from(rules),
            seed: node.seed(),
            began_us: node.now().as_micros(),
            snapshot: postcard::to_allocvec(node).map_err(|_| Error::Snapshot)?,
        })
    }

    /// Reads the head of a tape whose first bytes are these.
    pub fn read(bytes: &[u8]) -> Result<Self, Error> {
        let mut splitter = frame::Splitter::default();
        splitter.push(bytes);
        let payload = splitter.next()?.ok_or(Error::NoHead)?;
        frame::decode(payload).ok_or(Error::Corrupt { frame: 0 })
    }

    /// The state at the start, its invariants checked.
    pub fn restore<M>(&self) -> Result<Node<M>, Error>
    where
        M: Machine<Event = Event, Action = Action> + for<'de> Deserialize<'de>,
    {
        if self.core != CORE {
            return Err(Error::Version);
        }
        let node: Node<M> = frame::decode(&self.snapshot).ok_or(Error::Snapshot)?;
        let same = node.seed() == self.seed && node.now().as_micros() == self.began_us;
        match node.check_invariants() {
            Ok(()) if same => Ok(node),
            _ => Err(Error::Snapshot),
        }
    }

    /// Bytes of the snapshot.
    pub const fn snapshot_bytes(&self) -> usize {
        self.snapshot.len()
    }
}

impl core::fmt::Debug for Head {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Head")
            .field("core", &self.core)
            .field("writer", &self.writer)
            .field("rules", &self.rules)
            .field("seed", &self.seed)
            .field("began_us", &self.began_us)
            .field("snapshot_bytes", &self.snapshot.len())
            .finish()
    }
}

/// This crate's version.
const CORE: &str = env!("CARGO_PKG_VERSION");
