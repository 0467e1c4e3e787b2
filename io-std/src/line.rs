//! One connection between the node and its socket: what waits to be written, whether to read,
//! how to end.

use std::{
    collections::VecDeque,
    io::IoSlice,
    net::SocketAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::{Buf, Bytes};
use samanea_core::{base::Serial, wire::Batch};

/// One connection as the node knows it. `S` is what the driver keeps of it.
#[derive(Debug)]
pub struct Line<S> {
    /// Its name.
    pub conn: Serial,
    /// The other end.
    pub remote: SocketAddr,
    /// What the driver keeps: how to wake whoever serves the socket.
    pub seat: S,
    outbox: Mutex<Outbox>,
    /// No event of it may be fed any more. Changes only while the node's lock is held.
    gone: AtomicBool,
}

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// What is not sent is dropped and the peer sees a reset.
    Reset,
    /// What is queued is written first, within a bounded time.
    Flush,
}

/// What the node wants of a connection now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Whether to read.
    pub reading: bool,
    /// Whether to end, and how.
    pub ending: Option<Ending>,
}

#[derive(Debug)]
struct Outbox {
    queue: Outgoing,
    wish: Wish,
}

impl<S: Default> Line<S> {
    pub(crate) fn new(conn: Serial, remote: SocketAddr) -> Self {
        Self {
            conn,
            remote,
            seat: S::default(),
            outbox: Mutex::new(Outbox {
                queue: Outgoing::default(),
                wish: Wish {
                    reading: true,
                    ending: None,
                },
            }),
            gone: AtomicBool::new(false),
        }
    }
}

impl<S> Line<S> {
    /// Moves what waits to be written behind `queue`, and tells what else is wanted.
    pub fn take(&self, queue: &mut Outgoing) -> Wish {
        let mut outbox = self.outbox();
        queue.append(&mut outbox.queue);
        outbox.wish
    }

    /// What is wanted, without taking anything.
    pub fn wish(&self) -> Wish {
        self.outbox().wish
    }

    pub(crate) fn push(&self, batch: Batch) {
        self.outbox().queue.push(batch);
    }

    pub(crate) fn read(&self, on: bool) {
        self.outbox().wish.reading = on;
    }

    /// The first ending stands, but a reset overrules.
    pub(crate) fn end(&self, ending: Ending) {
        let wish = &mut self.outbox().wish;
        if wish.ending != Some(Ending::Reset) {
            wish.ending = Some(ending);
        }
    }

    /// Called while the node's lock is held; it orders the accesses.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    pub(crate) fn set_gone(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    fn outbox(&self) -> MutexGuard<'_, Outbox> {
        self.outbox.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes to be written, in order. Bounded by the credit that the core gives itself: it asks for no
/// more than its window before the kernel has taken what it asked for earlier.
#[derive(Debug, Default)]
pub struct Outgoing {
    pieces: VecDeque<Bytes>,
}

impl Outgoing {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Appends a batch.
    pub fn push(&mut self, batch: Batch) {
        self.pieces
            .extend(batch.into_iter().filter(|piece| !piece.is_empty()));
    }

    /// Moves all of `other` behind what is here.
    pub fn append(&mut self, other: &mut Self) {
        if self.pieces.is_empty() {
            // Keeps the memory of both.
            std::mem::swap(&mut self.pieces, &mut other.pieces);
        } else {
            self.pieces.append(&mut other.pieces);
        }
    }

    /// Gives the first pieces to `write` as one vectored write, and forgets as many bytes as it
    /// took.
    pub fn write_with<R>(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> R,
        taken: impl FnOnce(&R) -> usize,
    ) -> R {
        let result = if self.pieces.len() <= FEW {
            let mut slices = [IoSlice::new(&[]); FEW];
            let used = self.fill(&mut slices);
            write(slices.get(..used).unwrap_or(&[]))
        } else {
            let mut slices = [IoSlice::new(&[]); SLICES_MAX];
            let used = self.fill(&mut slices);
            write(slices.get(..used).unwrap_or(&[]))
        };
        self.advance(taken(&result));
        result
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.pieces.clear();
    }

    fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut used = 0;
        for (slice, piece) in slices.iter_mut().zip(&self.pieces) {
            *slice = IoSlice::new(piece);
            used += 1;
        }
        used
    }

    fn advance(&mut self, mut bytes: usize) {
        while let Some(piece) = self.pieces.front_mut() {
            if bytes < piece.len() {
                piece.advance(bytes);
                return;
            }
            bytes -= piece.len();
            self.pieces.pop_front();
        }
        if self.pieces.capacity() > KEPT_MAX {
            self.pieces = VecDeque::new();
        }
    }
}

/// Pieces of one vectored write, at most: what Linux takes (`UIO_MAXIOV`).
const SLICES_MAX: usize = 1_024;
/// Places of an empty queue that are kept, at most: idle connections must not own much.
const KEPT_MAX: usize = 64;
/// So few pieces do not pay for clearing the long array.
const FEW: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(pieces: &[&'static [u8]]) -> Batch {
        pieces
            .iter()
            .map(|piece| Bytes::from_static(piece))
            .collect()
    }

    #[test]
    fn partial_writes_go_on_where_they_stopped() {
        for at_once in 1..=9 {
            let mut queue = Outgoing::default();
            queue.push(batch(&[b"abc", b"", b"de"]));
            queue.push(batch(&[b"fghi"]));
            let mut seen = Vec::new();
            while !queue.is_empty() {
                queue.write_with(
                    |slices| {
                        let all = slices.iter().flat_map(|slice| slice.iter().copied());
                        let part: Vec<u8> = all.take(at_once).collect();
                        seen.extend_from_slice(&part);
                        part.len()
                    },
                    |n| *n,
                );
            }
            assert_eq!(seen, b"abcdefghi", "{at_once} at once");
        }
    }

    #[test]
    fn a_long_queue_is_written_in_vectors_of_the_longest_kind() {
        let mut queue = Outgoing::default();
        for _ in 0..1_500 {
            queue.push(batch(&[b"x"]));
        }
        let mut lengths = Vec::new();
        while !queue.is_empty() {
            queue.write_with(
                |slices| {
                    lengths.push(slices.len());
                    slices.len()
                },
                |n| *n,
            );
        }
        assert_eq!(lengths, [1_024, 476]);
    }

    #[test]
    fn a_reset_overrules_an_orderly_end_and_not_the_other_way_round() {
        let line = Line::<()>::new(Serial(1), ([127, 0, 0, 1], 1).into());
        line.end(Ending::Flush);
        line.end(Ending::Reset);
        line.end(Ending::Flush);
        assert_eq!(line.wish().ending, Some(Ending::Reset));
    }
}
