//! Read buffers that all connections share: handed out when there is something to read, lent to
//! the node as slices, used again when it has dropped them.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;

/// The buffers.
#[derive(Debug)]
pub(super) struct Pool {
    shelf: Mutex<Shelf>,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Shelf {
    free: Vec<Vec<u8>>,
    lent: VecDeque<Bytes>,
}

impl Pool {
    /// Buffers of this capacity.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            shelf: Mutex::default(),
            bytes,
        }
    }

    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        self.with(Shelf::take)
            .unwrap_or_else(|| Vec::with_capacity(self.bytes))
    }

    /// Makes what was read immutable: a short piece is copied and its buffer kept, so that no
    /// short piece keeps a large buffer alive.
    pub(super) fn freeze(&self, buffer: Vec<u8>) -> Bytes {
        if buffer.len() < self.bytes / SHORT {
            let copy = Bytes::copy_from_slice(&buffer);
            self.give_back(buffer);
            return copy;
        }
        let bytes = Bytes::from(buffer);
        self.with(|shelf| {
            if shelf.lent.len() >= LENT_MAX {
                // Whoever has it drops it for good.
                shelf.lent.pop_front();
            }
            shelf.lent.push_back(bytes.clone());
        });
        bytes
    }

    /// Takes back a buffer that was not lent.
    pub(super) fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        self.with(|shelf| {
            if shelf.free.len() < FREE_MAX {
                shelf.free.push(buffer);
            }
        });
    }

    fn with<R>(&self, work: impl FnOnce(&mut Shelf) -> R) -> R {
        work(&mut self.shelf.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Shelf {
    fn take(&mut self) -> Option<Vec<u8>> {
        if let Some(buffer) = self.free.pop() {
            return Some(buffer);
        }
        let at = self.lent.iter().position(Bytes::is_unique)?;
        let mut bytes = self.lent.remove(at)?;
        // Nothing is left to be copied, so this is the same memory, empty.
        bytes.clear();
        Some(bytes.into())
    }
}

/// A read of less than this part of the buffer is copied.
const SHORT: usize = 16;
/// Buffers kept, at most, of those that nobody has, and of those that the node may still have.
const FREE_MAX: usize = 4;
const LENT_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_slice_is_dropped_and_not_before() {
        let pool = Pool::new(64);
        let mut buffer = pool.take();
        let memory = buffer.as_ptr();
        buffer.extend_from_slice(&[7; 40]);
        let slice = pool.freeze(buffer).slice(10..20);
        let other = pool.take();
        assert_ne!(other.as_ptr(), memory);
        assert_eq!(slice[..], [7; 10]);
        drop(slice);
        let again = pool.take();
        assert_eq!((again.as_ptr(), again.len()), (memory, 0));
        assert_eq!(again.capacity(), 64);
    }

    #[test]
    fn a_short_piece_is_copied_and_its_buffer_used_at_once() {
        let pool = Pool::new(64);
        let mut buffer = pool.take();
        let memory = buffer.as_ptr();
        buffer.extend_from_slice(b"abc");
        let piece = pool.freeze(buffer);
        let again = pool.take();
        assert_eq!(again.as_ptr(), memory);
        assert_eq!(piece[..], *b"abc");
    }

    #[test]
    fn no_more_buffers_are_remembered_than_the_maximum() {
        let pool = Pool::new(64);
        let all: Vec<Bytes> = (0..100).map(|_| pool.freeze(vec![1; 64])).collect();
        assert_eq!(pool.with(|shelf| shelf.lent.len()), LENT_MAX);
        for _ in 0..100 {
            pool.give_back(Vec::new());
        }
        assert_eq!(pool.with(|shelf| shelf.free.len()), FREE_MAX);
        assert_eq!(all.len(), 100);
    }
}
