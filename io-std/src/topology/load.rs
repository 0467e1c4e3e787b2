//! A topology with its snapshot, as a node starts with them and reloads them.

use std::path::{Path, PathBuf};

use samanea_core::governor::{ConsensusMode, UseLedger};

use super::{Error, File, Place, Warning, read, snapshot};

/// A topology file and the snapshot that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The topology, changed where the consensus mode forbids something.
    pub topology: File,
    /// The snapshot, if it is used: ledger peers are enabled, and the file could be read.
    pub snapshot: Option<snapshot::File>,
    /// All that is probably not meant, of both files.
    pub warnings: Vec<Warning>,
}

/// Why a node cannot start with a topology. The operator's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// A file is not as it must be.
    #[error(transparent)]
    File(#[from] Error),
    /// The snapshot is not for this node.
    #[error("{}: {unfit}", file.display())]
    Snapshot {
        /// The snapshot file.
        file: PathBuf,
        /// Why.
        unfit: snapshot::Unfit,
    },
}

/// Reads a topology file and its snapshot for a node on the network `magic`, if that is known.
///
/// The snapshot is read only if ledger peers are enabled. One that cannot be read is fatal in
/// Genesis mode, which trusts nothing else; in Praos mode it is warned of. One of another network,
/// of the origin or of a slot before `useLedgerAfterSlot` is always fatal. In Genesis mode
/// bootstrap peers are disabled with a warning.
///
/// src: cardano-node, start-up
pub fn load(file: &Path, magic: Option<u32>, consensus: ConsensusMode) -> Result<Loaded, Unusable> {
    let mut topology = read(file)?;
    let mut warnings = std::mem::take(&mut topology.warnings);
    let is_genesis = consensus == ConsensusMode::Genesis;
    let mut warn = |path: &str, what: &str| {
        warnings.push(Warning {
            place: Place {
                file: file.to_owned(),
                line: None,
                path: path.to_owned(),
            },
            what: what.to_owned(),
        });
    };
    if is_genesis && topology.topology.bootstrap.take().is_some() {
        warn("bootstrapPeers", "not used in Genesis mode");
    }
    let path = topology.snapshot_path(file);
    if topology.topology.use_ledger == UseLedger::Never && path.is_some() {
        warn(
            "peerSnapshotFile",
            "not read, because ledger peers are disabled",
        );
    }
    let path = path.filter(|_| topology.topology.use_ledger != UseLedger::Never);
    let mut snapshot = None;
    if let Some(path) = path {
        match snapshot::read(&path) {
            Ok(mut read) => {
                let terms = snapshot::Terms {
                    magic,
                    consensus,
                    use_ledger: topology.topology.use_ledger,
                };
                if let Err(unfit) = read.check(terms) {
                    return Err(Unusable::Snapshot { file: path, unfit });
                }
                warnings.append(&mut read.warnings);
                snapshot = Some(read);
            }
            Err(error) if is_genesis => return Err(error.into()),
            Err(error) => warn("peerSnapshotFile", &format!("not used: {error}")),
        }
    }
    Ok(Loaded {
        topology,
        snapshot,
        warnings,
    })
}
