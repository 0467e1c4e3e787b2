//! The side of the node.

use std::{io, path::PathBuf};

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another node answers there.
    #[error("{}: another node answers there", .0.display())]
    InUse(PathBuf),
    /// Something else is there, which is left alone.
    #[error("{}: there already, and no socket", .0.display())]
    NotASocket(PathBuf),
    /// The system does not allow it.
    #[error("{}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system has none.
    #[error("this system has no Unix domain sockets")]
    Unsupported,
}

#[cfg(unix)]
pub use unix::Server;

#[cfg(not(unix))]
pub use other::Server;

#[cfg(unix)]
mod unix {
    use std::{
        fs, io,
        os::unix::{
            fs::{FileTypeExt, PermissionsExt},
            net::UnixStream as Blocking,
        },
        path::{Path, PathBuf},
        sync::Arc,
    };

    use tokio::{
        io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
        net::{UnixListener, UnixStream},
        sync::Semaphore,
        task::{self, JoinHandle},
        time::timeout,
    };

    use super::{
        super::{Answer, CONNECTIONS_MAX, PATIENCE, REQUEST_BYTES_MAX, Source, answer},
        Error,
    };

    /// A control socket that answers until it is dropped, and then is gone.
    #[derive(Debug)]
    pub struct Server {
        path: PathBuf,
        task: JoinHandle<()>,
    }

    impl Server {
        /// Makes the socket, in place of one that nobody answers, and answers from now on. Needs a
        /// runtime.
        pub fn start(path: &Path, source: Arc<dyn Source>) -> Result<Self, Error> {
            clear(path)?;
            let listener = bind(path).map_err(|source| Error::Io {
                path: path.to_owned(),
                source,
            })?;
            Ok(Self {
                path: path.to_owned(),
                task: tokio::spawn(attend(listener, source)),
            })
        }

        /// Where it is.
        pub fn path(&self) -> &Path {
            &self.path
        }
    }

    impl Drop for Server {
        fn drop(&mut self) {
            self.task.abort();
            // It may have been removed by hand; a node that finds it will remove it.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Makes sure that nobody answers there and that nothing else is lost.
    fn clear(path: &Path) -> Result<(), Error> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(source) => Err(Error::Io {
                path: path.to_owned(),
                source,
            }),
            Ok(there) if !there.file_type().is_socket() => Err(Error::NotASocket(path.to_owned())),
            Ok(_) => match Blocking::connect(path) {
                Ok(_) => Err(Error::InUse(path.to_owned())),
                Err(_) => Ok(()),
            },
        }
    }

    /// Binds in a directory that only we can enter, closes the socket to others, and moves it to
    /// its place, over one that is stale: at no time can anybody else connect.
    fn bind(path: &Path) -> io::Result<UnixListener> {
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        // Short names: the path of a socket has a hundred bytes or so.
        let dir = tempfile::Builder::new()
            .prefix(".s")
            .rand_bytes(6)
            .tempdir_in(parent)?;
        let new = dir.path().join("s");
        let listener = UnixListener::bind(&new)?;
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
        fs::rename(&new, path)?;
        Ok(listener)
    }

    async fn attend(listener: UnixListener, source: Arc<dyn Source>) {
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let source = Arc::clone(&source);
                    tokio::spawn(async move {
                        // Whoever asks may go at any time.
                        let _ = converse(stream, source).await;
                        drop(place);
                    });
                }
                // Out of descriptors, most likely: let others end.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
            }
        }
    }

    async fn converse(stream: UnixStream, source: Arc<dyn Source>) -> io::Result<()> {
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read);
        loop {
            let mut line = Vec::new();
            let mut limited = (&mut read).take(REQUEST_BYTES_MAX + 1);
            timeout(PATIENCE, limited.read_until(b'\n', &mut line)).await??;
            if line.is_empty() {
                return Ok(());
            }
            let whole = line.ends_with(b"\n");
            let source = Arc::clone(&source);
            let told = task::spawn_blocking(move || {
                let told = if whole {
                    answer(source.as_ref(), &line)
                } else {
                    Answer::Error(format!("not a line of at most {REQUEST_BYTES_MAX} bytes"))
                };
                serde_json::to_vec(&told)
            });
            let mut told = told.await??;
            told.push(b'\n');
            timeout(PATIENCE, write.write_all(&told)).await??;
            if !whole {
                return Ok(());
            }
        }
    }
}

#[cfg(not(unix))]
mod other {
    use std::{path::Path, sync::Arc};

    use super::{super::Source, Error};

    /// A control socket: not on this system.
    #[derive(Debug)]
    pub enum Server {}

    impl Server {
        /// Always [`Error::Unsupported`].
        pub fn start(_: &Path, _: Arc<dyn Source>) -> Result<Self, Error> {
            Err(Error::Unsupported)
        }

        /// Where it is.
        pub fn path(&self) -> &Path {
            match *self {}
        }
    }
}
