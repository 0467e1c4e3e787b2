//! What an operator writes down: topology files, peer snapshots and node configurations, as
//! cardano-node reads them.
//!
//! ```text
//!  topology.json ──read──▶ File {Topology, snapshot's path, warnings} ──diff──▶ what changed
//!  peer-snapshot.json ──▶ snapshot::File ──▶ governor::Snapshot
//!  config.json ─────────▶ configuration::Settings ──▶ governor, manager and node settings
//! ```
//!
//! # Formats of topology files
//!
//! | format | told by | since |
//! |---|---|---|
//! | [`Current`](Format::Current) | `localRoots` | cardano-node 8 |
//! | [`First`](Format::First) | `LocalRoots` | cardano-node 1.35 with P2P switched on |
//! | [`Legacy`](Format::Legacy) | `Producers` | before P2P: each producer becomes a group of its own |
//!
//! A file with the keys of two formats is read as the first of them in this table; the keys of the
//! other are warned of.
//!
//! # What is refused and what is warned of
//!
//! *Refused*, with file, line, path, what was found and what is allowed: anything of a wrong kind
//! or out of range; a key twice in one object (which of the two is meant?); missing `localRoots`,
//! `publicRoots`, `accessPoints`, or a valency; `warmValency` below the hot one; 0.0.0.0 and ::, port 0,
//! an IP address without port, names that the domain name system cannot have; `bootstrapPeers: []` without a
//! trustable local root, which would leave nobody to trust; more than
//! [`Topology::ACCESS_POINTS_MAX`] access points, as many groups, or [`BYTES_MAX`] bytes.
//!
//! *Warned of*: unknown keys (a misspelt `trustable` should not be silent, a comment should not be
//! fatal); a root named twice (the first counts); `valency` and `hotValency` that differ (the first counts); a
//! valency of 0 (the group is not used) and one that its addresses can never reach; a service name
//! without `_cardano._tcp.` (is a port missing?).
//!
//! src: cardano-node topology file; CIP-155 for service names

pub mod configuration;
pub mod groups;
pub mod snapshot;

mod access;
mod diff;
mod json;
mod load;
mod older;
mod read;
mod write;

use std::path::{Path, PathBuf};

use samanea_core::governor::Topology;

pub use diff::{Change, diff, when};
pub use json::{Error, Place, Refused, WARNINGS_MAX, Warning};
pub use load::{Loaded, Unusable, load};
pub use write::to_json;

/// Bytes of a topology file at most, inclusive: as many groups and access points as are allowed
/// fit.
pub const BYTES_MAX: u64 = 16 << 20;

/// The format of a topology file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `localRoots`, as written today.
    Current,
    /// `LocalRoots.groups`, the first format of P2P nodes.
    First,
    /// `Producers`, of nodes before P2P.
    Legacy,
}

/// What a topology file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// How it says it.
    pub format: Format,
    /// The roots.
    pub topology: Topology,
    /// The peer snapshot as written, relative to the topology file.
    pub snapshot: Option<PathBuf>,
    /// What is probably not meant.
    pub warnings: Vec<Warning>,
}

impl File {
    /// Where the peer snapshot of the topology file `file` is.
    pub fn snapshot_path(&self, file: &Path) -> Option<PathBuf> {
        let beside = file.parent().unwrap_or(Path::new(""));
        self.snapshot.as_ref().map(|path| beside.join(path))
    }
}

/// Reads a topology file.
pub fn read(file: &Path) -> Result<File, Error> {
    parse(file, &json::load(file, BYTES_MAX)?)
}

/// Reads the bytes of a topology file, whose name is for messages only.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<File, Error> {
    json::fits(file, bytes, BYTES_MAX)?;
    let document = json::Document::new(file, bytes)?;
    let mut read = read::topology(&document.top()?)?;
    read.warnings = document.into_warnings();
    Ok(read)
}

#[cfg(test)]
mod tests;
