//! Tapes in files: one is there only when it is whole.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use samanea_core::{
    base::{Instant, Machine},
    node::{Action, Event, Node, Tap},
    tape::{self, Recorder, Sink},
};
use serde::Serialize;
use tempfile::NamedTempFile;

/// Why a tape cannot be written. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct Error {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// A tape on its way to a file: hand [`tap`](Self::tap) to a driver, then [`finish`](Self::finish)
/// it. Before that, and when it is dropped, no file of that name comes to be.
pub struct TapeFile {
    path: PathBuf,
    out: Shared<Out>,
    recorder: Shared<Option<Recorder<ToOut>>>,
}

type Shared<T> = Arc<Mutex<T>>;

impl TapeFile {
    /// Begins the tape of a run that goes on from `node`, in a temporary file beside `path`.
    pub fn create<M>(path: &Path, node: &Node<M>, rules: &str) -> Result<Self, Error>
    where
        M: Machine<Event = Event, Action = Action> + Serialize,
    {
        let failed = |source| Error {
            path: path.to_owned(),
            source,
        };
        if path.is_dir() {
            return Err(failed(io::ErrorKind::IsADirectory.into()));
        }
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        let file = new_file(dir).map_err(failed)?;
        let out = Arc::new(Mutex::new(Out {
            file: Some(BufWriter::with_capacity(BUFFER_BYTES, file)),
            failed: None,
        }));
        let recorder = Recorder::new(ToOut(Arc::clone(&out)), node, rules, WRITER)
            .map_err(|error| failed(io::Error::other(error)))?;
        Ok(Self {
            path: path.to_owned(),
            out,
            recorder: Arc::new(Mutex::new(Some(recorder))),
        })
    }

    /// What writes the tape.
    pub fn tap(&self) -> Box<dyn Tap> {
        Box::new(ToRecorder(Arc::clone(&self.recorder)))
    }

    /// Writes the end and gives the file its name. Nothing is recorded afterwards.
    pub fn finish(self) -> Result<Summary, Error> {
        let failed = |source| Error {
            path: self.path.clone(),
            source,
        };
        let mut recorder = lock(&self.recorder)
            .take()
            .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        recorder.finish();
        let summary = Summary {
            events: recorder.events(),
            digest: recorder.digest(),
        };
        let mut out = lock(&self.out);
        if let Some(source) = out.failed.take() {
            return Err(failed(source));
        }
        let file = out.file.take();
        let file = file.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let file = file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.persist(&self.path)
            .map_err(|error| failed(error.error))?;
        Ok(summary)
    }
}

/// The driver may hold its tap for longer: the temporary file goes now.
impl Drop for TapeFile {
    fn drop(&mut self) {
        lock(&self.out).file = None;
    }
}

/// A temporary file that keeps the rights that any new file would have.
fn new_file(dir: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".samanea-").suffix(".part");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(dir)
}

/// What is on a finished tape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Events.
    pub events: u64,
    /// The digest of all actions.
    pub digest: tape::Digest,
}

/// Who writes tapes.
const WRITER: &str = concat!("samanea ", env!("CARGO_PKG_VERSION"));
/// What is gathered before it is written.
const BUFFER_BYTES: usize = 256 << 10;

/// The file below a recorder; remembers the first failure and drops what follows.
struct Out {
    file: Option<BufWriter<NamedTempFile>>,
    failed: Option<io::Error>,
}

struct ToOut(Shared<Out>);

impl Sink for ToOut {
    fn write(&mut self, bytes: &[u8]) {
        let mut out = lock(&self.0);
        if out.failed.is_none()
            && let Some(Err(error)) = out.file.as_mut().map(|file| file.write_all(bytes))
        {
            out.failed = Some(error);
        }
    }
}

struct ToRecorder(Shared<Option<Recorder<ToOut>>>);

impl Tap for ToRecorder {
    fn event(&mut self, now: Instant, event: &Event) {
        if let Some(recorder) = lock(&self.0).as_mut() {
            recorder.event(now, event);
        }
    }

    fn actions(&mut self, actions: &[Action]) {
        if let Some(recorder) = lock(&self.0).as_mut() {
            recorder.actions(actions);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
