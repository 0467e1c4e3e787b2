//! Writing snapshots as files.

use samanea_core::base::Point;
use serde_json::{Value, json};

use super::{FIRST_WITH_HASH, File};
use crate::topology::write::point;

/// A snapshot file of the version that the snapshot has. What was read and is written reads the
/// same, stakes to the last bit.
pub fn to_json(file: &File) -> String {
    let snapshot = &file.snapshot;
    let mut sum = 0_u64;
    let pools = snapshot.pools.pools().iter().map(|pool| {
        let relays: Value = pool.relays.iter().map(point).collect();
        sum = sum.saturating_add(pool.stake);
        let stake = decimal(pool.stake);
        if snapshot.big_only {
            let sum = decimal(sum);
            format!(r#"{{"accumulatedStake":{sum},"relativeStake":{stake},"relays":{relays}}}"#)
        } else {
            format!(r#"{{"relativeStake":{stake},"relays":{relays}}}"#)
        }
    });
    let pools: Vec<String> = pools.collect();
    let pools = format!("[{}]", pools.join(","));
    let key = if snapshot.big_only {
        "bigLedgerPools"
    } else {
        "allLedgerPools"
    };
    let (version, slot) = (file.version, snapshot.point.slot());
    let head = if version < FIRST_WITH_HASH {
        let slot = slot.map_or_else(|| json!("origin"), |slot| json!(slot));
        format!(r#""version":{version},"slotNo":{slot}"#)
    } else {
        let point = match snapshot.point {
            Point::Origin => json!("origin"),
            Point::Block { slot, hash } => {
                json!({ "blockPointHash": hash.to_string(), "blockPointSlot": slot })
            }
        };
        let magic = file.magic.unwrap_or(0);
        format!(r#""NetworkMagic":{magic},"NodeToClientVersion":{version},"Point":{point}"#)
    };
    format!("{{{head},\"{key}\":{pools}}}\n")
}

/// Parts of 2^64 as a decimal with twenty-one places, the least that reads as these parts again.
fn decimal(parts: u64) -> String {
    if parts == u64::MAX {
        return "1".into();
    }
    // Long division, so that the decimal is the true value or the next place above it.
    let mut rest = u128::from(parts);
    let mut digits = Vec::with_capacity(PLACES);
    for _ in 0..PLACES {
        rest *= 10;
        digits.push(u8::try_from(rest >> 64).unwrap_or(9));
        rest &= u128::from(u64::MAX);
    }
    if rest > 0 {
        for digit in digits.iter_mut().rev() {
            *digit = (*digit + 1) % 10;
            if *digit > 0 {
                break;
            }
        }
    }
    let digits: String = digits
        .iter()
        .map(|digit| char::from(b'0' + digit))
        .collect();
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return "0".into();
    }
    format!("0.{digits}")
}

/// 10^-21 is far below 2^-64: rounding up stays within the part.
const PLACES: usize = 21;
