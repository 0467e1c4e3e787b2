//! Reading the topology again, when it is told to or when a file changes.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hasher},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use samanea_core::node::Command;
use samanea_std::{
    clock,
    topology::{self, Loaded},
};
use tokio::time::{self, Interval, MissedTickBehavior};
use tracing::{error, info};

use super::plan;

/// How often files are looked at. Who cannot wait sends a signal.
const PERIOD: Duration = Duration::from_secs(2);

/// Times of files may be as coarse as two seconds: within these a second change may leave the stamp
/// as it is. src: the FAT file system, time of last write
const COARSE: Duration = Duration::from_secs(4);
/// Bytes of a file that are compared at most, inclusive; no file that is read is longer.
const BYTES_MAX: u64 = topology::snapshot::BYTES_MAX;

/// The topology that a node runs with, and its files.
pub(super) struct Watched {
    roots: plan::Roots,
    /// The files as they were last read, the snapshot's last.
    files: Vec<Seen>,
    interval: Interval,
}

impl Watched {
    /// Watches from now on. Needs a runtime.
    pub(super) fn new(roots: plan::Roots) -> Self {
        let mut interval = time::interval(PERIOD);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let files = files(&roots.file, &roots.loaded);
        Self {
            roots,
            files: files.map(Seen::new).collect(),
            interval,
        }
    }

    /// What the node is told at the start.
    pub(super) fn all(&self) -> Vec<Command> {
        let Loaded {
            topology, snapshot, ..
        } = &self.roots.loaded;
        let snapshot = snapshot.as_ref().map(|read| read.snapshot.clone().into());
        vec![
            Command::Topology(topology.topology.clone().into()),
            Command::Snapshot(snapshot),
        ]
    }

    /// Waits until a file has changed.
    pub(super) async fn changed(&mut self) {
        loop {
            self.interval.tick().await;
            if self.is_changed() {
                return;
            }
        }
    }

    fn is_changed(&mut self) -> bool {
        self.files.iter_mut().any(Seen::is_changed)
    }

    /// Reads all again and logs the difference: what the node is told of it. A file with
    /// errors changes nothing.
    pub(super) fn reload(&mut self) -> Vec<Command> {
        let plan::Roots {
            file,
            magic,
            consensus,
            ..
        } = &self.roots;
        // Before they are read, so that no change falls between.
        for seen in &mut self.files {
            *seen = Seen::new(std::mem::take(&mut seen.path));
        }
        let new = match topology::load(file, *magic, *consensus) {
            Ok(new) => new,
            Err(why) => {
                error!("topology not changed: {why}");
                return Vec::new();
            }
        };
        let files: Vec<_> = files(file, &new).collect();
        self.files.retain(|seen| files.contains(&seen.path));
        for path in files {
            if self.files.iter().all(|seen| seen.path != path) {
                self.files.push(Seen::new(path));
            }
        }
        plan::log_warnings(&new.warnings);
        let old = std::mem::replace(&mut self.roots.loaded, new);
        let new = &self.roots.loaded;
        let changes = topology::diff(&old.topology.topology, &new.topology.topology);
        for change in &changes {
            info!("{change}");
        }
        let mut commands = Vec::new();
        if !changes.is_empty() {
            commands.push(Command::Topology(new.topology.topology.clone().into()));
        }
        let point = |loaded: &Loaded| match &loaded.snapshot {
            Some(read) => read.snapshot.point.to_string(),
            None => "none".into(),
        };
        let is_new_snapshot = old.snapshot != new.snapshot;
        if is_new_snapshot {
            info!("~ snapshot, {} -> {}", point(&old), point(new));
            let snapshot = new.snapshot.as_ref().map(|read| read.snapshot.clone());
            commands.push(Command::Snapshot(snapshot.map(Into::into)));
        }
        let changes = changes.len().saturating_add(usize::from(is_new_snapshot));
        info!(changes, "topology read again");
        commands
    }
}

/// A topology file and the snapshot that it names.
fn files(file: &Path, loaded: &Loaded) -> impl Iterator<Item = PathBuf> + use<> {
    let snapshot = loaded.topology.snapshot_path(file);
    std::iter::once(file.to_owned()).chain(snapshot)
}

/// A file as it was when it was looked at.
struct Seen {
    path: PathBuf,
    stamp: Stamp,
    /// What was in it, while the stamp may not tell a later change.
    content: Option<u64>,
}

/// What tells one state of a file from another: its length, its time, and which file it is. `None`:
/// it cannot be looked at.
type Stamp = Option<(u64, SystemTime, u64)>;

impl Seen {
    fn new(path: PathBuf) -> Self {
        let stamp = stamp(&path);
        let content = is_coarse(stamp).then(|| content(&path));
        Self {
            path,
            stamp,
            content,
        }
    }

    /// Whether it is another now. Two of one length, under one name, may have been written in one
    /// tick of the file system's clock, even in the same place: as long as that may be, what is in
    /// them is compared.
    fn is_changed(&mut self) -> bool {
        if stamp(&self.path) != self.stamp {
            return true;
        }
        let Some(was) = self.content else {
            return false;
        };
        // Before it is read: what is written later has a later time.
        let coarse = is_coarse(self.stamp);
        if content(&self.path) != was {
            return true;
        }
        if !coarse {
            self.content = None;
        }
        false
    }
}

/// Whether what is written now may bear the same time.
fn is_coarse(stamp: Stamp) -> bool {
    let since = |(_, at, _): (_, SystemTime, _)| at.duration_since(SystemTime::UNIX_EPOCH).ok();
    // A time that is still to come says nothing at all.
    let at = stamp.and_then(since);
    at.is_some_and(|at| clock::wall().saturating_sub(at) < COARSE)
}

fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let file = std::os::unix::fs::MetadataExt::ino(&found);
    #[cfg(not(unix))]
    let file = 0;
    Some((found.len(), found.modified().ok()?, file))
}

/// A digest of what is in a file; of one that cannot be read, of nothing.
fn content(path: &Path) -> u64 {
    let mut digest = DefaultHasher::new();
    // The rest of what cannot be read shows when it is loaded.
    let _ = File::open(path).and_then(|file| read(file, &mut digest));
    digest.finish()
}

fn read(file: File, digest: &mut DefaultHasher) -> io::Result<()> {
    let mut file = BufReader::new(file.take(BYTES_MAX));
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(());
        }
        digest.write(bytes);
        let n = bytes.len();
        file.consume(n);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + clock::wall()
    }

    fn write(file: &Path, text: &str, at: SystemTime) {
        fs::write(file, text).unwrap();
        let file = File::options().write(true).open(file).unwrap();
        file.set_modified(at).unwrap();
    }

    #[test]
    fn a_second_change_of_one_length_in_one_tick_is_seen_in_the_same_place() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("topology.json");
        let hour = Duration::from_secs(3_600);
        for at in [now(), now() + hour] {
            write(&file, "one", at);
            let mut seen = Seen::new(file.clone());
            assert!(!seen.is_changed());
            write(&file, "two", at);
            assert_eq!(stamp(&file), seen.stamp, "the stamp says nothing");
            assert!(seen.is_changed());
        }
    }

    #[test]
    fn an_old_file_is_told_by_its_stamp_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("topology.json");
        let old = now() - Duration::from_secs(3_600);
        write(&file, "one", old);
        let mut seen = Seen::new(file.clone());
        assert_eq!((seen.content, seen.is_changed()), (None, false));
        write(&file, "four", old);
        assert!(seen.is_changed());
        let mut seen = Seen::new(file.clone());
        fs::remove_file(&file).unwrap();
        assert!(seen.is_changed());
        let mut seen = Seen::new(file.clone());
        assert!(!seen.is_changed());
        write(&file, "four", old);
        assert!(seen.is_changed());
    }

    #[test]
    fn what_is_in_a_file_is_compared_until_its_time_is_old() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("topology.json");
        write(&file, "one", now());
        let mut seen = Seen::new(file.clone());
        assert!(seen.content.is_some());
        // As if it had been looked at long ago.
        let old = now() - Duration::from_secs(3_600);
        write(&file, "one", old);
        seen.stamp = stamp(&file);
        assert!(!seen.is_changed());
        assert_eq!(seen.content, None);
    }
}
