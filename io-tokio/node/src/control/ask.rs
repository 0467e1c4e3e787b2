//! The side of whoever asks.

use std::{io, path::Path, time::Duration};

use super::{Answer, Request};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The system does not let us ask: most likely no node runs there.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// What came is no answer: another version of the program.
    #[error("not an answer: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The node says no.
    #[error("{0}")]
    Node(String),
}

/// How long the answer may take: a large table takes a moment.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer that is read, in bytes: twice what the largest table needs.
const ANSWER_BYTES_MAX: u64 = 128 << 20;

/// Asks the node that answers at this socket.
#[cfg(unix)]
pub fn ask(path: &Path, request: &Request) -> Result<Answer, Refused> {
    use std::{
        io::{BufRead, BufReader, Read, Write},
        os::unix::net::UnixStream,
    };

    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut told = Vec::new();
    BufReader::new(stream.take(ANSWER_BYTES_MAX)).read_until(b'\n', &mut told)?;
    if told.is_empty() {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    match serde_json::from_slice(&told)? {
        Answer::Error(word) => Err(Refused::Node(word)),
        answer => Ok(answer),
    }
}

/// Asks the node that answers at this socket: not on this system.
#[cfg(not(unix))]
pub fn ask(_: &Path, _: &Request) -> Result<Answer, Refused> {
    let _ = (PATIENCE, ANSWER_BYTES_MAX);
    Err(Refused::Io(io::ErrorKind::Unsupported.into()))
}
