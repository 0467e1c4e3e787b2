//! What the tests of the node share.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses its own part"
)]

use std::{
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use samanea::Block;
use samanea_core::base::{Hash32, Point};

/// A file or directory of the shared data, or a loud word that the test `who` does without.
pub fn shared(who: &str, path: &str) -> Option<PathBuf> {
    let root = env::var_os("SAMANEA_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let found = root.join(path);
    if found.exists() {
        return Some(found);
    }
    say(&format!("SKIPPED {who}: no {}", found.display()));
    None
}

/// A line on standard error, past the capture of the test runner.
pub fn say(line: &str) {
    let mut out = io::stderr();
    writeln!(out, "{line}").unwrap();
}

/// Writes blocks as chunk `number` of an `ImmutableDB` directory, laid out in slots from
/// `first_slot`.
pub fn write_chunk(dir: &Path, number: u64, first_slot: u64, blocks: &[Block]) {
    let (mut chunk, mut primary, mut secondary) = (Vec::new(), vec![1_u8], Vec::new());
    let mut slots = first_slot.checked_sub(1).map_or(-1, u64::cast_signed);
    let mut offset = |slot: i64, offset: usize| {
        while slots < slot {
            primary.extend(u32::try_from(offset).unwrap().to_be_bytes());
            slots += 1;
        }
        primary.extend(u32::try_from(offset).unwrap().to_be_bytes());
        slots += 1;
    };
    for block in blocks {
        let Point::Block {
            slot,
            hash: Hash32(hash),
        } = block.view.point
        else {
            panic!("a block has a slot");
        };
        offset(slot.cast_signed(), secondary.len());
        secondary.extend(u64::try_from(chunk.len()).unwrap().to_be_bytes());
        secondary.extend([0; 4]);
        secondary.extend(crc32fast::hash(&block.body).to_be_bytes());
        secondary.extend(hash);
        secondary.extend(slot.to_be_bytes());
        chunk.extend_from_slice(&block.body);
    }
    primary.extend(u32::try_from(secondary.len()).unwrap().to_be_bytes());
    fs::create_dir_all(dir).unwrap();
    let path = |part: &str| dir.join(format!("{number:05}.{part}"));
    fs::write(path("chunk"), chunk).unwrap();
    fs::write(path("primary"), primary).unwrap();
    fs::write(path("secondary"), secondary).unwrap();
}
