//! Recording a run of any driver into a file.
//!
//! The bytes go through a thread of their own, so that a slow disk does not hold up the node
//! until [`CHUNKS_MAX`] chunks wait; from then on it does, and nothing is lost.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{
        Arc, OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

use samanea_core::{
    base::Machine,
    node::{Action, Event, Node},
    tape::{Recorder, Sink},
};
use serde::Serialize;

/// Bytes of a tape that are gathered before they are written.
pub const CHUNK_BYTES: usize = 64 << 10;
/// Chunks that wait for the disk, at most.
pub const CHUNKS_MAX: usize = 16;

/// Begins the tape of a run that goes on from `node`, in a new file (one that is there is
/// replaced). `rules` is the rules' name, `writer` the program's name and version.
///
/// The result is what [`Options::tap`](crate::Options::tap) takes. The tape is complete when the
/// driver has stopped; a process that is killed loses at most the last chunks.
pub fn create<M>(
    path: &Path,
    node: &Node<M>,
    rules: &str,
    writer: &str,
) -> io::Result<Recorder<FileSink>>
where
    M: Machine<Event = Event, Action = Action> + Serialize,
{
    let sink = FileSink::new(File::create(path)?)?;
    Recorder::new(sink, node, rules, writer).map_err(io::Error::other)
}

/// A file that is written by a thread.
#[derive(Debug)]
pub struct FileSink {
    chunk: Vec<u8>,
    chunks: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
    failed: Arc<OnceLock<io::Error>>,
}

impl FileSink {
    /// Starts the thread; fails when there can be none.
    pub fn new(file: File) -> io::Result<Self> {
        let (chunks, incoming) = sync_channel(CHUNKS_MAX);
        let failed = Arc::default();
        let told = Arc::clone(&failed);
        let thread = thread::Builder::new()
            .name("samanea-tape".into())
            .spawn(move || copy(file, &incoming, &told))?;
        Ok(Self {
            chunk: Vec::with_capacity(CHUNK_BYTES),
            chunks: Some(chunks),
            thread: Some(thread),
            failed,
        })
    }

    /// Why the file takes no more, if so; what follows is dropped and the tape is truncated.
    pub fn failed(&self) -> Option<&io::Error> {
        self.failed.get()
    }

    fn send(&mut self) {
        let chunk = std::mem::replace(&mut self.chunk, Vec::with_capacity(CHUNK_BYTES));
        if let Some(chunks) = &self.chunks {
            // The thread ends early only when it has failed.
            let _ = chunks.send(chunk);
        }
    }
}

impl Sink for FileSink {
    fn write(&mut self, bytes: &[u8]) {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK_BYTES {
            self.send();
        }
    }
}

impl Drop for FileSink {
    fn drop(&mut self) {
        self.send();
        self.chunks = None;
        if let Some(thread) = self.thread.take() {
            // It does not panic; and if it did, the tape would be truncated and say so.
            let _ = thread.join();
        }
    }
}

fn copy(mut file: File, incoming: &Receiver<Vec<u8>>, failed: &OnceLock<io::Error>) {
    for chunk in incoming {
        if let Err(error) = file.write_all(&chunk) {
            failed.get_or_init(|| error);
            return;
        }
    }
}
