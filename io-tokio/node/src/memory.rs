//! What a node remembers over a restart: its state directory.
//!
//! ```text
//!  DIR/lock            held while a node runs: one node a directory
//!  DIR/peers.state     who is known, and what they are held to be
//!  DIR/peers.state.bad-1 …  files that could not be read, set aside
//!
//!  peers.state = "samanea\0" | version u32 | length u64 | CRC-32 of the rest u32 | rest
//! ```
//! Numbers are big-endian. The rest is [`Saved`] as postcard encodes it: a tenth of the size of
//! JSON and read in one pass, which counts with a million peers; people have `samanea peers`.
//!
//! A file is written beside its place, flushed to the disk and then renamed, so that there is
//! always a whole one: the old or the new. One that cannot be read is set aside under another
//! name and the node starts without it. At most [`BAD_MAX`] such files are kept; the last name is
//! used again. No more than [`BYTES_MAX`] bytes are read.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use samanea_core::governor::Saved;

/// Version of the format that is written, and the only one that is read.
pub const VERSION: u32 = 1;
/// The largest file that is read, in bytes, inclusive: two million peers, each with an offence.
pub const BYTES_MAX: u64 = 128 << 20;
/// Files set aside at most.
pub const BAD_MAX: u32 = 8;

const MAGIC: &[u8; 8] = b"samanea\0";
const HEAD: usize = 8 + 4 + 8 + 4;

/// Why bytes are not what was saved. Nobody's fault that could be told from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// It does not begin as such a file does.
    #[error("not a file of saved peers")]
    NotOurs,
    /// Another version of the program has written it.
    #[error("format {0}, and this program reads format {VERSION}")]
    Version(u32),
    /// It ends too early, or goes on.
    #[error("{have} bytes behind the head, which promises {want}")]
    Length {
        /// Bytes that are there.
        have: u64,
        /// Bytes that should be.
        want: u64,
    },
    /// It is larger than any that is written.
    #[error("more than {BYTES_MAX} bytes")]
    TooLarge,
    /// Its checksum is that of other bytes.
    #[error("wrong checksum")]
    Checksum,
    /// Its checksum is right and its content is not: a defect of the program that wrote it.
    #[error("right checksum, wrong content")]
    Content,
}

/// The bytes of a file.
pub fn to_bytes(saved: &Saved) -> Result<Vec<u8>, postcard::Error> {
    let rest = postcard::to_allocvec(saved)?;
    let length = u64::try_from(rest.len()).unwrap_or(u64::MAX);
    let mut bytes = Vec::with_capacity(HEAD + rest.len());
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes.extend(crc32fast::hash(&rest).to_be_bytes());
    bytes.extend(rest);
    Ok(bytes)
}

/// Reads the bytes of a file.
pub fn from_bytes(bytes: &[u8]) -> Result<Saved, Malformed> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(Malformed::NotOurs)?;
    let have = u64::try_from(rest.len()).unwrap_or(u64::MAX);
    let cut = Malformed::Length { have, want: 16 };
    let (version, rest) = rest.split_first_chunk().ok_or(cut)?;
    let version = u32::from_be_bytes(*version);
    if version != VERSION {
        return Err(Malformed::Version(version));
    }
    let (want, rest) = rest.split_first_chunk().ok_or(cut)?;
    let (checksum, rest) = rest.split_first_chunk().ok_or(cut)?;
    let (have, want) = (have.saturating_sub(16), u64::from_be_bytes(*want));
    if have != want {
        return Err(Malformed::Length { have, want });
    }
    if crc32fast::hash(rest) != u32::from_be_bytes(*checksum) {
        return Err(Malformed::Checksum);
    }
    match postcard::take_from_bytes(rest) {
        Ok((saved, [])) => Ok(saved),
        _ => Err(Malformed::Content),
    }
}

/// Why a state directory cannot be used, or a file in it not written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system does not allow it.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another node uses the directory.
    #[error("{}: another node uses it", .0.display())]
    InUse(PathBuf),
    /// What is known cannot be encoded: our defect.
    #[error("{0}")]
    Encoding(postcard::Error),
}

/// A file that could not be read.
#[derive(Debug)]
pub struct SetAside {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub why: String,
    /// Where it is now, or why it is still there.
    pub to: io::Result<PathBuf>,
}

/// The state directory of one node, held while this lives.
#[derive(Debug)]
pub struct StateDir {
    dir: PathBuf,
    /// Lets the directory go when it is closed.
    _lock: File,
}

impl StateDir {
    /// Takes the directory, which is made if it is not there.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| Error::Io { path, source }
        };
        fs::create_dir_all(dir).map_err(failed(dir))?;
        let path = dir.join("lock");
        let lock = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                dir: dir.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(Error::InUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(&path)(source)),
        }
    }

    /// A file of this name in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What was saved last; an `Err` when that cannot be read, and it is set aside.
    pub fn recall(&self) -> Result<Option<Saved>, Box<SetAside>> {
        let path = self.file(PEERS);
        let why = match read(&path) {
            Ok(None) => return Ok(None),
            Ok(Some(bytes)) => match from_bytes(&bytes) {
                Ok(saved) => return Ok(Some(saved)),
                Err(malformed) => malformed.to_string(),
            },
            Err(error) => error.to_string(),
        };
        let to = self.set_aside(&path);
        Err(Box::new(SetAside { path, why, to }))
    }

    /// Saves, instead of what was saved before.
    pub fn keep(&self, saved: &Saved) -> Result<(), Error> {
        let bytes = to_bytes(saved).map_err(Error::Encoding)?;
        let path = self.file(PEERS);
        self.write(&path, &bytes)
            .map_err(|source| Error::Io { path, source })
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".peers.state-")
            .tempfile_in(&self.dir)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        sync(&self.dir)
    }

    fn set_aside(&self, path: &Path) -> io::Result<PathBuf> {
        let bad = |n| self.file(&format!("{PEERS}.bad-{n}"));
        let free = (1..BAD_MAX).map(bad).find(|to| !to.exists());
        let to = free.unwrap_or_else(|| bad(BAD_MAX));
        fs::rename(path, &to)?;
        Ok(to)
    }
}

/// The whole file; `None` when there is none.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    let got = file.take(BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(got).is_ok_and(|got| got <= BYTES_MAX) {
        Ok(Some(bytes))
    } else {
        Err(io::Error::other(Malformed::TooLarge))
    }
}

/// Makes a rename last over a loss of power, where directories can be flushed.
#[cfg(unix)]
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(not(unix))]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}

const PEERS: &str = "peers.state";

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, time::Duration};

    use samanea_core::governor::{SavedOffender, SavedPeer};

    use super::*;

    fn saved(peers: u8) -> Saved {
        let addr = |n: u8| match n % 2 {
            0 => SocketAddr::from(([192, 0, 2, n], 3001)),
            _ => SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into()], 3001)),
        };
        Saved {
            peers: (0..peers)
                .map(|n| SavedPeer {
                    peer: addr(n),
                    failures: n,
                    reached: n % 3 == 0,
                    advertise: [None, Some(true), Some(false)][usize::from(n % 3)],
                    established: n % 5 == 0,
                })
                .collect(),
            offenders: vec![SavedOffender {
                peer: addr(200),
                left: Duration::from_millis(1_234),
                offences: 2,
                forgiven: Duration::from_secs(600),
            }],
        }
    }

    fn names(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
        let mut names: Vec<_> = entries.map(|entry| name(entry).unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_kept_is_recalled_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(&dir.path().join("new/state")).unwrap();
        assert!(state.recall().unwrap().is_none());
        for peers in [0, 1, 100, 3] {
            let saved = saved(peers);
            state.keep(&saved).unwrap();
            assert_eq!(state.recall().unwrap(), Some(saved));
        }
        assert_eq!(
            names(&dir.path().join("new/state")),
            ["lock", "peers.state"]
        );
    }

    #[test]
    fn a_directory_serves_one_node_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDir::open(dir.path()).unwrap();
        let second = StateDir::open(dir.path());
        assert!(matches!(second, Err(Error::InUse(_))), "{second:?}");
        drop(first);
        StateDir::open(dir.path()).unwrap();
    }

    #[test]
    fn every_truncation_and_every_addition_is_refused() {
        let bytes = to_bytes(&saved(20)).unwrap();
        for len in 0..bytes.len() {
            assert!(from_bytes(&bytes[..len]).is_err(), "{len}");
        }
        for more in [0, 1, 0xff] {
            let longer = [bytes.as_slice(), &[more]].concat();
            assert!(matches!(from_bytes(&longer), Err(Malformed::Length { .. })));
        }
    }

    #[test]
    fn every_flip_of_bits_in_one_byte_is_refused() {
        let bytes = to_bytes(&saved(20)).unwrap();
        let mut flips = 0;
        for at in 0..bytes.len() {
            for mask in 1..=u8::MAX {
                let mut bytes = bytes.clone();
                bytes[at] ^= mask;
                assert!(from_bytes(&bytes).is_err(), "{at} {mask}");
                flips += 1;
            }
        }
        assert!(flips > 50_000, "{flips}");
    }

    #[test]
    fn right_checksums_of_wrong_contents_do_no_harm() {
        let whole = to_bytes(&saved(20)).unwrap();
        let mut refused = 0;
        for at in HEAD..whole.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = whole.clone();
                bytes[at] = value;
                let sum = crc32fast::hash(&bytes[HEAD..]);
                bytes[HEAD - 4..HEAD].copy_from_slice(&sum.to_be_bytes());
                refused += usize::from(from_bytes(&bytes).is_err());
            }
        }
        assert!(refused > 100, "{refused}");
    }

    #[test]
    fn each_malformed_file_is_told_apart() {
        let bytes = to_bytes(&saved(2)).unwrap();
        let with = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            from_bytes(&bytes).unwrap_err().to_string()
        };
        assert_eq!(with(0, b'x'), "not a file of saved peers");
        assert_eq!(with(11, 9), "format 9, and this program reads format 1");
        let have = bytes.len() - HEAD;
        let want = have ^ 1;
        assert_eq!(
            with(19, u8::try_from(want).unwrap()),
            format!("{have} bytes behind the head, which promises {want}")
        );
        assert_eq!(with(HEAD, 0xaa), "wrong checksum");
    }

    #[test]
    fn what_cannot_be_read_is_set_aside_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        let path = state.file(PEERS);
        for round in 1..=BAD_MAX + 2 {
            fs::write(&path, format!("garbage {round}")).unwrap();
            let aside = state.recall().unwrap_err();
            let to = aside.to.unwrap();
            let n = round.min(BAD_MAX);
            assert_eq!(to, dir.path().join(format!("peers.state.bad-{n}")));
            assert_eq!(fs::read_to_string(to).unwrap(), format!("garbage {round}"));
            assert!(state.recall().unwrap().is_none(), "gone from its place");
        }
        state.keep(&saved(1)).unwrap();
        assert_eq!(state.recall().unwrap(), Some(saved(1)));
        assert_eq!(names(dir.path()).len(), 2 + 8);
    }

    #[test]
    fn a_directory_in_its_place_is_set_aside_like_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        fs::create_dir(state.file(PEERS)).unwrap();
        assert!(state.recall().unwrap_err().to.is_ok());
        state.keep(&saved(1)).unwrap();
    }

    #[test]
    fn a_failed_save_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::open(dir.path()).unwrap();
        fs::create_dir(state.file(PEERS)).unwrap();
        let error = state.keep(&saved(1)).unwrap_err().to_string();
        assert!(error.contains("peers.state: "), "{error}");
        assert_eq!(names(dir.path()), ["lock", "peers.state"]);
    }
}
