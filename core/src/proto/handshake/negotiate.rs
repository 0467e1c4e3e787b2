//! What follows from two offers.

use alloc::{format, string::String};

use super::{Agreed, Failure, Mode, Reason, Version, VersionData, VersionTable};

/// Why two offers do not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// No common version.
    #[error("no common version")]
    VersionMismatch,
    /// The settings of the chosen version cannot be read.
    #[error("settings of version {0} cannot be read")]
    DecodeError(Version),
    /// Another network.
    #[error("version {version}: network magic {got} instead of {want}")]
    Magic {
        /// The chosen version.
        version: Version,
        /// Ours.
        want: u32,
        /// The peer's.
        got: u32,
    },
}

/// Chooses the highest common version and combines the settings. Total and symmetric: both ends
/// reach the same verdict from the two offers, which is all that simultaneous open has.
///
/// Restricting settings win: initiator-only if either end is, peer sharing and Peras if both
/// want them; a query by either end is a query.
/// src: ouroboros-network, `acceptableVersion` of the node-to-node version data
// deviates: the text of the network specification takes peer sharing from the remote side alone.
pub fn negotiate(local: &VersionTable, remote: &VersionTable) -> Result<Agreed, Refusal> {
    let common = local.0.iter().rev().find_map(|(version, ours)| {
        let theirs = remote.0.get(version)?;
        Some((*version, ours, theirs))
    });
    let (version, ours, theirs) = common.ok_or(Refusal::VersionMismatch)?;
    let unreadable = |_| Refusal::DecodeError(version);
    let ours = VersionData::decode(version, ours).map_err(unreadable)?;
    let theirs = VersionData::decode(version, theirs).map_err(unreadable)?;
    if ours.magic != theirs.magic {
        return Err(Refusal::Magic {
            version,
            want: ours.magic,
            got: theirs.magic,
        });
    }
    let data = combine(ours, theirs);
    Ok(Agreed { version, data })
}

/// The settings of two records of one network.
const fn combine(a: VersionData, b: VersionData) -> VersionData {
    VersionData {
        magic: a.magic,
        mode: match (a.mode, b.mode) {
            (Mode::InitiatorAndResponder, Mode::InitiatorAndResponder) => {
                Mode::InitiatorAndResponder
            }
            (Mode::InitiatorOnly, _) | (_, Mode::InitiatorOnly) => Mode::InitiatorOnly,
        },
        peer_sharing: a.peer_sharing && b.peer_sharing,
        query: a.query || b.query,
        peras: a.peras && b.peras,
    }
}

impl Refusal {
    /// How a server that offers `local` says it.
    pub fn to_reason(self, local: &VersionTable) -> Reason {
        match self {
            Self::VersionMismatch => {
                Reason::VersionMismatch(local.0.keys().copied().map(u64::from).collect())
            }
            Self::DecodeError(version) => Reason::DecodeError {
                version,
                text: String::from("unknown encoding of version data"),
            },
            Self::Magic { version, want, got } => Reason::Refused {
                version,
                text: format!("version data mismatch: network magic {want} /= {got}"),
            },
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::VersionMismatch => Self::VersionMismatch,
            Refusal::DecodeError(version) => Self::DecodeError(version),
            Refusal::Magic { want, got, .. } => Self::Magic { want, got },
        }
    }
}
