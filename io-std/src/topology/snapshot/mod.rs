//! Peer snapshots: the pools of a ledger state and their relays, in a file.
//!
//! | version | says so under | point | network | pools |
//! |---|---|---|---|---|
//! | 1, 2 | `version` | `slotNo`, without hash | not named | `bigLedgerPools` |
//! | 23 | `NodeToClientVersion` or `version` | `Point` | `NetworkMagic` | `bigLedgerPools` or `allLedgerPools` |
//!
//! *Refused*: what is of a wrong kind or out of range, a version that is none of these, pools of
//! both kinds or none, more than [`POOLS_MAX`] pools or [`BYTES_MAX`] bytes. *Warned of and left
//! out*: relays that cannot be reached under what is registered for them (names with blanks,
//! 0.0.0.0, port 0), because pools write what they like on the ledger. *Warned of*: stakes that do
//! not descend, sums that are not those of the stakes before them, unknown keys.
//!
//! Stakes are read as the decimals that they are, without floating point.
//!
//! src: cardano-node, `peerSnapshotFile`; ouroboros-network, `LedgerPeerSnapshot`

mod cbor;
mod stake;
mod write;

use std::path::Path;

use samanea_core::{
    base::{Hash32, Point},
    governor::{ConsensusMode, Ledger, POOLS_MAX, Pool, RELAYS_MAX, Relay, Snapshot, UseLedger},
};

use super::{
    Error, Warning, access,
    json::{self, Object, Value},
};

pub use cbor::{Malformed, from_cbor, to_cbor};
pub use write::to_json;

/// Bytes of a snapshot file at most, inclusive; all three thousand pools of mainnet are 2 MB.
pub const BYTES_MAX: u64 = 64 << 20;

const KEYS: &[&str] = &[
    "NetworkMagic",
    "NodeToClientVersion",
    "Point",
    "allLedgerPools",
    "bigLedgerPools",
    "slotNo",
    "version",
];

/// What a snapshot file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// The version of its format: 1, 2 or 23.
    pub version: u32,
    /// The network that it is of, if it says so.
    pub magic: Option<u32>,
    /// The point and the pools.
    pub snapshot: Snapshot,
    /// What is probably not meant.
    pub warnings: Vec<Warning>,
}

/// The node that wants to use a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Its network's magic number; `None`: any will do.
    pub magic: Option<u32>,
    /// How it protects itself while its chain is old.
    pub consensus: ConsensusMode,
    /// When it uses peers of the ledger.
    pub use_ledger: UseLedger,
}

/// Why a snapshot cannot be used by a node. The operator's: the file is of another network, too
/// old, or the setting is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// It is of another network.
    #[error("found the network magic {found}, allowed is {expected}, that of this node")]
    Magic {
        /// The file's.
        found: u32,
        /// The node's.
        expected: u32,
    },
    /// It is of the empty chain.
    #[error("found the origin for its point, allowed is a slot")]
    Origin,
    /// It does not reach the slot from which on the ledger is used.
    #[error("found slot {found}, allowed is useLedgerAfterSlot, {after}, or a later one")]
    Early {
        /// The file's.
        found: u64,
        /// The topology's.
        after: u64,
    },
    /// It does not name its block, which Genesis mode must verify.
    #[error("found version {version}, allowed in Genesis mode is 23, which names the block")]
    Unverifiable {
        /// The version.
        version: u32,
    },
}

impl File {
    /// Whether a node may use it.
    // deviates: cardano-node refuses versions 1 and 2 altogether; their relays serve as well, and
    // in Praos mode nothing else of the file is used.
    pub fn check(&self, terms: Terms) -> Result<(), Unfit> {
        if let (Some(found), Some(expected)) = (self.magic, terms.magic)
            && found != expected
        {
            return Err(Unfit::Magic { found, expected });
        }
        let found = self.snapshot.point.slot().ok_or(Unfit::Origin)?;
        if let UseLedger::After(after) = terms.use_ledger
            && found < after
        {
            return Err(Unfit::Early { found, after });
        }
        let version = self.version;
        match terms.consensus {
            ConsensusMode::Genesis if version < FIRST_WITH_HASH => {
                Err(Unfit::Unverifiable { version })
            }
            ConsensusMode::Genesis | ConsensusMode::Praos => Ok(()),
        }
    }

    /// Relays of all its pools together.
    pub fn relays(&self) -> usize {
        let pools = self.snapshot.pools.pools().iter();
        pools.map(|pool| pool.relays.len()).sum()
    }
}

const FIRST_WITH_HASH: u32 = 23;

/// Reads a snapshot file.
pub fn read(file: &Path) -> Result<File, Error> {
    parse(file, &json::load(file, BYTES_MAX)?)
}

/// Reads the bytes of a snapshot file, whose name is for messages only.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<File, Error> {
    json::fits(file, bytes, BYTES_MAX)?;
    let document = json::Document::new(file, bytes)?;
    let mut read = snapshot(&document.top()?)?;
    read.warnings = document.into_warnings();
    Ok(read)
}

fn snapshot(top: &Value<'_>) -> Result<File, Error> {
    let object = top.object(KEYS)?;
    object.warn_of_others();
    let version = version(&object)?;
    let (magic, point) = if version < FIRST_WITH_HASH {
        top.warn(format!(
            "version {version} is old: it does not name its block and its network"
        ));
        (None, legacy_point(object.need("slotNo")?)?)
    } else {
        let magic = object.need("NetworkMagic")?.whole(0, u32::MAX)?;
        (Some(magic), point(object.need("Point")?)?)
    };
    let (big_only, list) = match (object.some("bigLedgerPools"), object.some("allLedgerPools")) {
        (Some(pools), None) => (true, pools),
        (None, Some(pools)) if version >= FIRST_WITH_HASH => (false, pools),
        (Some(_), Some(all)) => {
            let found = "both bigLedgerPools and allLedgerPools";
            return Err(all.refuse(found, "one of them"));
        }
        (None, _) => (true, object.need("bigLedgerPools")?),
    };
    let pools = pools(list, big_only)?;
    Ok(File {
        version,
        magic,
        snapshot: Snapshot {
            point,
            big_only,
            pools: if big_only {
                Ledger::new(pools).all_big()
            } else {
                Ledger::new(pools)
            },
        },
        warnings: Vec::new(),
    })
}

fn version(object: &Object<'_>) -> Result<u32, Error> {
    let (new, old) = (object.some("NodeToClientVersion"), object.some("version"));
    let Some(value) = new.or(old) else {
        let found = "no version";
        let allowed = "an object with `NodeToClientVersion`: 23, or `version`: 1 or 2";
        return Err(object.whole().refuse(found, allowed));
    };
    match value.number() {
        // A version in the place of the other kind is understood.
        Some("1") if new.is_none() => Ok(1),
        Some("2") if new.is_none() => Ok(2),
        Some("23") => Ok(FIRST_WITH_HASH),
        _ if new.is_some() => Err(value.refuse_it("23")),
        _ => Err(value.refuse_it("1, 2 or 23")),
    }
}

fn is_origin(value: &Value<'_>) -> bool {
    let names_it = |value: &Value<'_>| {
        let name = value.text("").unwrap_or_default().to_lowercase();
        ["origin", "genesis", "genesispoint"].contains(&name.as_str())
    };
    if value.is_object() {
        let object = value.object(&[]);
        return object.is_ok_and(|object| object.find("tag").is_some_and(names_it));
    }
    value.is_text() && names_it(value)
}

/// A slot without hash, which becomes all zeros.
fn legacy_point(value: &Value<'_>) -> Result<Point, Error> {
    if is_origin(value) {
        return Ok(Point::Origin);
    }
    if value.number().is_none() {
        return Err(value.refuse_it("the number of a slot, or \"origin\""));
    }
    let slot = value.whole(0, u64::MAX)?;
    let hash = Hash32::default();
    Ok(Point::Block { slot, hash })
}

fn point(value: &Value<'_>) -> Result<Point, Error> {
    if is_origin(value) {
        return Ok(Point::Origin);
    }
    if !value.is_object() {
        let allowed = "an object with `blockPointSlot` and `blockPointHash`, or \"origin\"";
        return Err(value.refuse_it(allowed));
    }
    let object = value.object(&["blockPointHash", "blockPointSlot"])?;
    object.warn_of_others();
    let slot = object.need("blockPointSlot")?.whole(0, u64::MAX)?;
    let hash = hash(object.need("blockPointHash")?)?;
    Ok(Point::Block { slot, hash })
}

fn hash(value: &Value<'_>) -> Result<Hash32, Error> {
    let allowed = "64 hexadecimal digits";
    let text = value.text(allowed)?;
    let refuse = || value.refuse_it(allowed);
    if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(refuse());
    }
    let mut hash = Hash32::default();
    for (byte, digits) in hash.0.iter_mut().zip(text.as_bytes().as_chunks::<2>().0) {
        let digits = std::str::from_utf8(digits).map_err(|_| refuse())?;
        *byte = u8::from_str_radix(digits, 16).map_err(|_| refuse())?;
    }
    Ok(hash)
}

fn pools(list: &Value<'_>, big_only: bool) -> Result<Vec<Pool>, Error> {
    let values = list.list()?;
    if values.len() > POOLS_MAX {
        let found = format_args!("{} pools", values.len());
        return Err(list.refuse(found, format_args!("at most {POOLS_MAX}")));
    }
    let keys: &[&str] = if big_only {
        &["accumulatedStake", "relativeStake", "relays"]
    } else {
        &["relativeStake", "relays"]
    };
    let mut pools: Vec<Pool> = Vec::with_capacity(values.len());
    let (mut sum, mut is_odd) = (0_u64, false);
    for value in &values {
        let object = value.object(keys)?;
        object.warn_of_others();
        let stake = parts(object.need("relativeStake")?)?;
        sum = sum.saturating_add(stake);
        if pools.last().is_some_and(|pool| pool.stake < stake) {
            value.warn("has more stake than the pool before it; pools are ordered");
        }
        if big_only {
            let accumulated = object.need("accumulatedStake")?;
            // Sums are written with sixteen digits or so; a part in 2^32 is far over that.
            if parts(accumulated)?.abs_diff(sum) > 1 << 32 && !is_odd {
                is_odd = true;
                accumulated.warn("is not the sum of the stakes so far; stakes alone count");
            }
        }
        let relays = relays(object.need("relays")?)?;
        if relays.is_empty() {
            value.warn("no relay, so the pool is left out");
        } else {
            pools.push(Pool { stake, relays });
        }
    }
    Ok(pools)
}

fn parts(value: &Value<'_>) -> Result<u64, Error> {
    let allowed = "a decimal from 0 to 1";
    let number = value.number().ok_or_else(|| value.refuse_it(allowed))?;
    stake::parts(number).map_err(|no_part| match no_part {
        stake::NoPart::OutOfRange => value.refuse_it(allowed),
        stake::NoPart::Malformed => {
            let max = stake::DIGITS_MAX;
            value.refuse_it(format_args!(
                "a decimal from 0 to 1 of up to {max} characters"
            ))
        }
    })
}

fn relays(list: &Value<'_>) -> Result<Vec<Relay>, Error> {
    let mut relays = Vec::new();
    for value in list.list()? {
        if relays.len() >= RELAYS_MAX {
            list.warn(format!(
                "more than {RELAYS_MAX} relays; those behind are left out"
            ));
            break;
        }
        match access::point(&value) {
            Ok(relay) => relays.push(relay),
            Err(error) => value.warn(match error {
                Error::Refused(why) => {
                    format!("left out: found {}, allowed is {}", why.found, why.allowed)
                }
                other => format!("left out: {other}"),
            }),
        }
    }
    Ok(relays)
}

#[cfg(test)]
mod tests;
