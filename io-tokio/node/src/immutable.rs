//! Reads the blocks of an `ImmutableDB` directory: `NNNNN.chunk` with the blocks one behind the
//! other, `NNNNN.secondary` with one entry a block, `NNNNN.primary` with one offset a slot.
//!
//! The index files are read with `pallas-hardano`; everything they say is then held against the
//! blocks: offsets and lengths, check sums, header hashes, slots, and that each block's parent is
//! the one before it. Blocks are slices of their chunk, which is read once.
//!
//! src: Ouroboros consensus report, section 8.2.2, "Immutable database: on-disk format"

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use pallas_hardano::storage::immutable::{
    primary,
    secondary::{self, Entry},
};
use samanea_core::base::{Hash32, Rules};

use crate::{
    Block,
    rules::{Eras, check_block, wrapped_header},
};

/// Why a directory cannot be read. Each names the file or directory; nothing is returned of a
/// directory with any fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused to open or read it.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory has no chunk.
    #[error("{}: no .chunk file in this directory", .0.display())]
    Empty(PathBuf),
    /// The directory has more blocks than are kept in memory.
    #[error("{}: more than {BYTES_MAX} bytes of blocks", .0.display())]
    TooLarge(PathBuf),
    /// A file is shorter or longer than another file says.
    #[error("{}: has {found} bytes where {} says {stated}", path.display(), by.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
        /// The length that the other file says.
        stated: u64,
        /// The other file.
        by: PathBuf,
    },
    /// A file's content is damaged.
    #[error("{}: corrupt at {at} {number}: {what}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is counted.
        at: &'static str,
        /// Which one, from 0.
        number: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// Reads all blocks of a directory in order.
pub fn read(dir: &Path) -> Result<Vec<Block>, Error> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut bytes = 0_u64;
    for name in chunks(dir)? {
        let files = Files::open(dir, &name)?;
        bytes = bytes.saturating_add(len(&files.blocks));
        if bytes > BYTES_MAX {
            return Err(Error::TooLarge(dir.to_owned()));
        }
        // A slot's place in the primary index, the same distance from its number in all of it.
        let mut base = None;
        for (number, indexed) in (0_u64..).zip(files.index()?) {
            let block = files.block(number, &indexed)?;
            if indexed.relative > 0 {
                let slot = block.view.point.slot().unwrap_or(0);
                let here = slot.wrapping_sub(u64::from(indexed.relative));
                if *base.get_or_insert(here) != here {
                    return Err(files
                        .corrupt_slot(u64::from(indexed.relative), "has a block of another slot"));
                }
            }
            if let Some(last) = blocks.last()
                && block.view.prev != last.view.point.hash()
            {
                return Err(files.corrupt_block(number, "does not follow the block before it"));
            }
            blocks.push(block);
        }
    }
    if blocks.is_empty() {
        return Err(Error::Empty(dir.to_owned()));
    }
    Ok(blocks)
}

/// The names of the chunks, in order. A directory with index files of a chunk that is not there
/// counts as one where the chunk is missing.
fn chunks(dir: &Path) -> Result<Vec<String>, Error> {
    let failed = |source| Error::Io {
        path: dir.to_owned(),
        source,
    };
    let mut names = BTreeMap::new();
    for found in fs::read_dir(dir).map_err(failed)? {
        let path = found.map_err(failed)?.path();
        let part = path.extension().and_then(|extension| extension.to_str());
        let name = path.file_stem().and_then(|stem| stem.to_str());
        if let (Some("chunk" | "primary" | "secondary"), Some(name)) = (part, name) {
            let number: u64 = name.parse().map_err(|_| Error::Io {
                path: path.clone(),
                source: io::Error::new(io::ErrorKind::InvalidData, "name is not a number"),
            })?;
            names.insert(number, name.to_owned());
        }
    }
    let mut wanted = names.keys().copied().next();
    for (number, name) in &names {
        if wanted != Some(*number) {
            let width = name.len();
            let missing = format!("{:0width$}.chunk", wanted.unwrap_or(0));
            return Err(Error::Io {
                path: dir.join(missing),
                source: io::Error::new(io::ErrorKind::NotFound, "chunk is missing"),
            });
        }
        wanted = number.checked_add(1);
    }
    if names.is_empty() {
        return Err(Error::Empty(dir.to_owned()));
    }
    Ok(names.into_values().collect())
}

/// The three files of a chunk; the chunk itself is read.
struct Files {
    chunk: PathBuf,
    primary: PathBuf,
    secondary: PathBuf,
    blocks: Bytes,
}

/// What the two index files say of one block.
struct Indexed {
    /// The slot in the chunk counted from 1; 0 is the epoch boundary block.
    relative: u32,
    entry: Entry,
    /// Where the block ends in the chunk.
    end: u64,
}

impl Files {
    fn open(dir: &Path, name: &str) -> Result<Self, Error> {
        let path = |part: &str| dir.join(format!("{name}.{part}"));
        let chunk = path("chunk");
        let blocks = fs::read(&chunk).map_err(failed(&chunk))?.into();
        Ok(Self {
            chunk,
            primary: path("primary"),
            secondary: path("secondary"),
            blocks,
        })
    }

    /// All that the index files say, held against each other and against the chunk's length.
    fn index(&self) -> Result<Vec<Indexed>, Error> {
        let offsets = self.offsets()?;
        let (primary, secondary) = (open(&self.primary)?, open(&self.secondary)?);
        let primary =
            primary::Reader::open(primary).map_err(|_| self.corrupt_slot(0, "no version"))?;
        // The offsets rise by one entry each, which is what this reader relies on.
        let mut entries = Vec::with_capacity(offsets.len());
        for (number, entry) in (0..).zip(secondary::Reader::open(primary, secondary)) {
            entries.push(entry.map_err(|_| self.corrupt_entry(number, "entry cannot be read"))?);
        }
        let ends = entries.iter().skip(1).map(|next| next.block_offset);
        let ends: Vec<u64> = ends.chain([len(&self.blocks)]).collect();
        let indexed = offsets.into_iter().zip(entries).zip(ends);
        Ok(indexed
            .map(|((relative, entry), end)| Indexed {
                relative,
                entry,
                end,
            })
            .collect())
    }

    /// The relative slots of the primary index that have a block; their offsets are checked to
    /// rise by one entry each and to end with the secondary index.
    fn offsets(&self) -> Result<Vec<u32>, Error> {
        let file = open(&self.primary)?;
        let bytes = file.metadata().map_err(failed(&self.primary))?.len();
        if bytes % OFFSET_BYTES != 1 || bytes <= OFFSET_BYTES {
            return Err(self.corrupt_slot(bytes / OFFSET_BYTES, "file ends inside an offset"));
        }
        let reader = primary::Reader::open(file).map_err(|_| self.corrupt_slot(0, "no version"))?;
        if reader.version() != PRIMARY_VERSION {
            return Err(self.corrupt_slot(0, "unknown version"));
        }
        let mut relative = Vec::new();
        let mut due = 0;
        let mut slots = 0;
        for slot in reader {
            let slot = slot.map_err(|_| self.corrupt_slot(slots, "offset cannot be read"))?;
            if let primary::Entry::Occupied(number, offset) = slot {
                if u64::from(offset) != due {
                    return Err(self.corrupt_slot(slots, "offset is not the next entry's"));
                }
                due += ENTRY_BYTES;
                relative.push(number);
            }
            slots += 1;
        }
        // A falling offset reads as an empty slot: the plain file tells.
        let raw = fs::read(&self.primary).map_err(failed(&self.primary))?;
        let (offsets, _) = raw.get(1..).unwrap_or_default().as_chunks::<4>();
        if !offsets.is_sorted() {
            return Err(self.corrupt_slot(slots, "offsets fall"));
        }
        let stated = offsets
            .last()
            .map_or(0, |last| u64::from(u32::from_be_bytes(*last)));
        let found = fs::metadata(&self.secondary)
            .map_err(failed(&self.secondary))?
            .len();
        if found == stated && due == stated {
            Ok(relative)
        } else {
            Err(Error::Length {
                path: self.secondary.clone(),
                found,
                stated,
                by: self.primary.clone(),
            })
        }
    }

    /// The block of this entry, checked against all that is known of it.
    fn block(&self, number: u64, indexed: &Indexed) -> Result<Block, Error> {
        let Indexed { entry, end, .. } = indexed;
        let cut = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        let (from, to) = (cut(entry.block_offset), cut(*end));
        if (number == 0 && from != 0) || from >= to || to > self.blocks.len() {
            return Err(if to > self.blocks.len() || from >= self.blocks.len() {
                self.short_chunk(entry.block_offset.max(*end))
            } else {
                self.corrupt_entry(number, "block's offset is not behind the one before it")
            });
        }
        let body = self.blocks.slice(from..to);
        if crc32fast::hash(&body) != entry.checksum {
            return Err(self.corrupt_block(number, "check sum differs from the secondary index"));
        }
        let header = wrapped_header(&body)
            .ok_or_else(|| self.corrupt_block(number, "not a block of a known era"))?;
        let view = Eras
            .header(&header)
            .map_err(|_| self.corrupt_block(number, "header cannot be read"))?;
        if view.point.hash() != Some(Hash32(entry.header_hash)) {
            return Err(self.corrupt_entry(number, "header hash differs from the block's"));
        }
        let boundary = indexed.relative == 0;
        let slot = u64::from_be_bytes(entry.block_or_ebb);
        if !boundary && view.point.slot() != Some(slot) {
            return Err(self.corrupt_entry(number, "slot differs from the block's"));
        }
        check_block(&view, &body).map_err(|_| {
            self.corrupt_block(number, "body is not the one that the header states")
        })?;
        Ok(Block { view, header, body })
    }

    fn short_chunk(&self, stated: u64) -> Error {
        Error::Length {
            path: self.chunk.clone(),
            found: len(&self.blocks),
            stated,
            by: self.secondary.clone(),
        }
    }

    fn corrupt_block(&self, number: u64, what: &'static str) -> Error {
        corrupt(&self.chunk, "block", number, what)
    }

    fn corrupt_entry(&self, number: u64, what: &'static str) -> Error {
        corrupt(&self.secondary, "entry", number, what)
    }

    fn corrupt_slot(&self, number: u64, what: &'static str) -> Error {
        corrupt(&self.primary, "slot", number, what)
    }
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(failed(path))
}

fn corrupt(path: &Path, at: &'static str, number: u64, what: &'static str) -> Error {
    Error::Corrupt {
        path: path.to_owned(),
        at,
        number,
        what,
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io {
        path: path.clone(),
        source,
    }
}

fn len(bytes: &Bytes) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

/// The most bytes of blocks that are read into memory, inclusive. Guess, not measured.
const BYTES_MAX: u64 = 4 << 30;
/// One offset in a primary index.
const OFFSET_BYTES: u64 = 4;
/// One entry in a secondary index.
const ENTRY_BYTES: u64 = 56;
/// The only version of primary indices there is.
const PRIMARY_VERSION: u8 = 1;
