//! Directories of chunks, real and written here, whole and damaged.

mod support;

use std::{fs, path::Path};

use samanea::{
    Block,
    generate::Recipe,
    immutable,
    rules::{BlockFault, Eras, check_block},
};
use samanea_core::base::Rules;
use support::{say, shared, write_chunk};

#[test]
fn the_real_chunk_chains_up_to_its_known_tip() {
    let Some(dir) = shared("the real chunk", "data/chain") else {
        return;
    };
    let blocks = immutable::read(&dir).unwrap();
    assert_eq!(blocks.len(), 913);
    let tip = blocks.last().unwrap().view;
    assert_eq!(
        tip.point.to_string(),
        "39679163.53af88680ff3380814fdddc148caa1c6dbb89e5a30a5f6a439ee313424a14c55"
    );
    for (one, next) in blocks.iter().zip(&blocks[1..]) {
        assert_eq!(next.view.prev, one.view.point.hash());
        assert_eq!(next.view.block_no, one.view.block_no + 1);
        assert!(next.view.point.slot() > one.view.point.slot());
        assert_eq!(Eras.header(&next.header), Ok(next.view));
    }
    // Every body is its header's and no other's: swap neighbours, touch one byte of each.
    let (mut other, mut touched) = (0, 0);
    for (one, next) in blocks.iter().zip(&blocks[1..]) {
        assert_eq!(check_block(&one.view, &one.body), Ok(()));
        other += u32::from(check_block(&one.view, &next.body).is_err());
        let mut body = one.body.to_vec();
        let at = body.len() - 1 - usize::try_from(one.view.body_bytes).unwrap() / 2;
        body[at] ^= 0x01;
        touched += u32::from(check_block(&one.view, &body).is_err());
    }
    assert_eq!((other, touched), (912, 912));
    say(&format!("913 real blocks chain up to {}", tip.point));
}

fn chain() -> Vec<Block> {
    let recipe = Recipe {
        blocks: 12,
        ..Recipe::default()
    };
    recipe.chain().collect()
}

/// A directory of two chunks with 6 blocks each.
fn written() -> (tempfile::TempDir, Vec<Block>) {
    let dir = tempfile::tempdir().unwrap();
    let blocks = chain();
    write_chunk(dir.path(), 7, 0, &blocks[..6]);
    let first = blocks[6].view.point.slot().unwrap() - 3;
    write_chunk(dir.path(), 8, first, &blocks[6..]);
    (dir, blocks)
}

#[test]
fn what_was_written_is_read() {
    let (dir, blocks) = written();
    assert_eq!(immutable::read(dir.path()).unwrap(), blocks);
}

#[test]
fn a_missing_file_is_named() {
    for name in [
        "00007.chunk",
        "00007.primary",
        "00008.secondary",
        "00008.chunk",
    ] {
        let (dir, _) = written();
        fs::remove_file(dir.path().join(name)).unwrap();
        refused(dir.path(), name);
    }
    let (dir, _) = written();
    refused(&dir.path().join("nowhere"), "nowhere");
    for part in ["chunk", "primary", "secondary"] {
        fs::remove_file(dir.path().join(format!("00007.{part}"))).unwrap();
    }
    write_chunk(dir.path(), 6, 0, &chain()[..2]);
    refused(dir.path(), "00007.chunk");
    let empty = tempfile::tempdir().unwrap();
    refused(empty.path(), "no .chunk file");
}

#[test]
fn any_truncation_is_refused() {
    let mut cut = 0;
    for name in [
        "00007.chunk",
        "00008.chunk",
        "00007.primary",
        "00008.secondary",
    ] {
        let (dir, _) = written();
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        let step = if name.ends_with("chunk") { 997 } else { 1 };
        for len in (0..whole.len()).step_by(step) {
            fs::write(&path, &whole[..len]).unwrap();
            // A cut index may be noticed where it disagrees with its sister.
            refused(dir.path(), &name[..5]);
            cut += 1;
        }
    }
    assert!(cut > 400, "{cut}");
}

#[test]
fn any_touched_byte_is_refused() {
    let mut touched = 0;
    for part in ["chunk", "primary", "secondary"] {
        let (dir, blocks) = written();
        let path = dir.path().join(format!("00007.{part}"));
        let whole = fs::read(&path).unwrap();
        let step = if part == "chunk" { 499 } else { 1 };
        for at in (0..whole.len()).step_by(step) {
            // The header's offset and size in an entry are not needed to read blocks.
            if part == "secondary" && (8..12).contains(&(at % 56)) {
                continue;
            }
            let mut bytes = whole.clone();
            bytes[at] ^= 0x41;
            fs::write(&path, &bytes).unwrap();
            refused(dir.path(), "00007.");
            touched += 1;
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(immutable::read(dir.path()).unwrap(), blocks);
    }
    assert!(touched > 500, "{touched}");
}

#[test]
fn a_gap_between_chunks_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let blocks = chain();
    write_chunk(dir.path(), 1, 0, &blocks[..4]);
    let first = blocks[5].view.point.slot().unwrap();
    write_chunk(dir.path(), 2, first, &blocks[5..]);
    refused(dir.path(), "00002.chunk: corrupt at block 0");
}

#[test]
fn a_block_is_judged_by_its_own_header() {
    let blocks = chain();
    assert!(matches!(
        check_block(&blocks[1].view, &blocks[2].body),
        Err(BlockFault::OtherHeader { .. })
    ));
}

/// The directory is refused with one line that has `name` in it.
fn refused(dir: &Path, name: &str) {
    let line = immutable::read(dir).unwrap_err().to_string();
    assert!(line.contains(name), "{line} does not name {name}");
    assert!(!line.contains('\n'), "{line}");
}
