//! One connection: what its socket is ready for, and what comes of trying.

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    sync::Arc,
};

use bytes::Bytes;
use mio::net::TcpStream;
use samanea_core::conn::Cause;

use super::driver::Seat;
use crate::{Ending, Line, Outgoing, errors, socket};

/// A connection with a socket.
pub(super) struct Talk {
    pub(super) line: Arc<Line<Seat>>,
    pub(super) stream: TcpStream,
    pub(super) phase: Phase,
    queue: Outgoing,
    /// Whether the socket may have something to read, and room.
    pub(super) is_readable: bool,
    pub(super) is_writable: bool,
    /// Whether the peer has ended: then our end is a reset when nothing is left to write.
    is_ended: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Being opened.
    Dialling,
    /// In use.
    Open,
    /// The node has done with it; what waits is written, and the peer's end waited for.
    Closing,
    /// The same, and we have said that no more comes.
    Shut,
}

/// What one look at the socket brought.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) wrote: u64,
    pub(super) read: Option<Bytes>,
    pub(super) ended: Option<Cause>,
}

impl Talk {
    pub(super) fn new(line: Arc<Line<Seat>>, stream: TcpStream, phase: Phase) -> Self {
        let is_open = phase == Phase::Open;
        Self {
            line,
            stream,
            phase,
            queue: Outgoing::default(),
            is_readable: is_open,
            is_writable: is_open,
            is_ended: false,
        }
    }

    /// Takes what the outbox has. `None` when the connection is over: to be dropped, and so reset.
    pub(super) fn prepare(&mut self) -> Option<bool> {
        let wish = self.line.take(&mut self.queue);
        match (wish.ending, self.phase) {
            (Some(Ending::Reset), _) | (Some(Ending::Flush), Phase::Dialling) => {
                socket::reset_on_close(&self.stream);
                None
            }
            (Some(Ending::Flush), Phase::Open) if self.is_ended && self.queue.is_empty() => None,
            (Some(Ending::Flush), Phase::Open) => {
                self.phase = Phase::Closing;
                Some(false)
            }
            (Some(Ending::Flush), Phase::Closing | Phase::Shut) => Some(false),
            (None, _) => Some(wish.reading),
        }
    }

    /// The outcome of the dial; `None` while there is none.
    pub(super) fn connected(&self) -> Option<io::Result<SocketAddr>> {
        match self.stream.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return Some(Err(error)),
        }
        match self.stream.peer_addr() {
            Ok(_) => Some(self.stream.local_addr()),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => None,
            Err(error) => Some(Err(error)),
        }
    }

    /// Writes what the kernel takes and reads once. What the peer said before the connection broke
    /// still counts: it puts off the failure of a write.
    pub(super) fn exchange(&mut self, buffer: Option<&mut [u8]>) -> Done {
        let mut done = Done::default();
        if self.is_writable {
            self.write(&mut done);
        }
        if let Some(buffer) = buffer
            && self.is_readable
        {
            match self.read(buffer) {
                Ok(None) => {}
                Ok(Some(0)) => done.ended = Some(done.ended.unwrap_or(Cause::Eof)),
                Ok(Some(bytes)) => {
                    done.ended = None;
                    done.read = buffer.get(..bytes).map(Bytes::copy_from_slice);
                }
                Err(error) => done.ended = Some(errors::cause(&error)),
            }
        }
        if let Some(cause) = done.ended {
            self.is_ended = cause == Cause::Eof;
            if !self.is_ended {
                self.queue.clear();
            }
        }
        done
    }

    fn write(&mut self, done: &mut Done) {
        while !self.queue.is_empty() {
            let stream = &mut self.stream;
            let wrote = self.queue.write_with(
                |slices| stream.write_vectored(slices),
                |wrote| *wrote.as_ref().unwrap_or(&0),
            );
            match wrote {
                Ok(0) => return done.ended = Some(Cause::Reset),
                Ok(bytes) => done.wrote += bytes as u64,
                Err(error) if errors::is_interrupted(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.is_writable = false;
                }
                Err(error) => return done.ended = Some(errors::cause(&error)),
            }
        }
    }

    /// `None` when nothing is there.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            match self.stream.read(buffer) {
                Ok(bytes) => return Ok(Some(bytes)),
                Err(error) if errors::is_interrupted(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    return Ok(None);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes on with an orderly end: false when it is over.
    pub(super) fn wind_up(&mut self, buffer: &mut [u8]) -> bool {
        if self.phase == Phase::Closing {
            let mut done = Done::default();
            if self.is_writable {
                self.write(&mut done);
            }
            if done.ended.is_some() {
                return false;
            }
            if !self.queue.is_empty() {
                return true;
            }
            if socket::close_in_order(&self.stream).is_err() {
                return false;
            }
            self.phase = Phase::Shut;
        }
        // A drop with unread bytes would destroy what the peer has not read yet.
        while self.is_readable {
            match self.read(buffer) {
                Ok(Some(0)) | Err(_) => return false,
                Ok(Some(_) | None) => {}
            }
        }
        true
    }

    /// Whether looking again now may bring something.
    pub(super) fn is_ready(&self, reading: bool) -> bool {
        (self.is_readable && reading) || (self.is_writable && !self.queue.is_empty())
    }
}
