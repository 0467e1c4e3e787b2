//! Reading the topology again, when it is told to or when a file changes.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use samanea_core::node::Command;
use samanea_std::topology::{self, Loaded};
use tokio::time::{self, Interval, MissedTickBehavior};
use tracing::{error, info};

use super::plan;

/// How often files are looked at. Who cannot wait sends a signal.
const PERIOD: Duration = Duration::from_secs(2);

/// The topology that a node runs with, and its files.
pub(super) struct Watched {
    roots: plan::Roots,
    /// The files as they were last read, the snapshot's last.
    stamps: Vec<(PathBuf, Stamp)>,
    interval: Interval,
}

/// What tells one state of a file from another: its length, its time, and which file it is, since
/// two of one length may have been put there in one tick of the clock. `None`: it cannot be looked
/// at.
type Stamp = Option<(u64, SystemTime, u64)>;

impl Watched {
    /// Watches from now on. Needs a runtime.
    pub(super) fn new(roots: plan::Roots) -> Self {
        let mut interval = time::interval(PERIOD);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stamps = stamps(&roots.file, &roots.loaded);
        Self {
            roots,
            stamps,
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
            let now = self.stamps.iter().map(|(path, _)| stamp(path));
            let is_new = now.ne(self.stamps.iter().map(|(_, was)| *was));
            if is_new {
                return;
            }
        }
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
        for (path, was) in &mut self.stamps {
            *was = stamp(path);
        }
        let new = match topology::load(file, *magic, *consensus) {
            Ok(new) => new,
            Err(why) => {
                error!("topology not changed: {why}");
                return Vec::new();
            }
        };
        let mut stamps = stamps(file, &new);
        for (path, now) in &mut stamps {
            let before = self.stamps.iter().find(|(other, _)| other == path);
            *now = before.map_or(*now, |(_, before)| *before);
        }
        self.stamps = stamps;
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

fn stamps(file: &Path, loaded: &Loaded) -> Vec<(PathBuf, Stamp)> {
    let snapshot = loaded.topology.snapshot_path(file);
    let files = std::iter::once(file.to_owned()).chain(snapshot);
    files.map(|path| (path.clone(), stamp(&path))).collect()
}

fn stamp(path: &Path) -> Stamp {
    let found = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let file = std::os::unix::fs::MetadataExt::ino(&found);
    #[cfg(not(unix))]
    let file = 0;
    Some((found.len(), found.modified().ok()?, file))
}
