//! Bytes of the peer that wait for one of our halves.
//!
//! ```text
//!  piece ─push─▶ │ older, copied tight │ pieces of the last read, as slices │ ─take─▶ half
//! ```
//!
//! A slice keeps the whole read alive, so what a half has not taken by the next read is copied
//! once into a tight buffer: a half that is not served holds about as many bytes as were sent.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

/// The queue of one half.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Inbox {
    /// What earlier reads left.
    older: BytesMut,
    /// What the last read brought.
    pieces: Vec<Bytes>,
    /// Bytes of both.
    bytes: usize,
}

/// Pieces for which an emptied queue keeps its memory.
const PIECES_KEPT: usize = 8;

impl Inbox {
    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Appends a piece; the caller has checked the maximum.
    pub(super) fn push(&mut self, piece: Bytes) {
        self.bytes = self.bytes.saturating_add(piece.len());
        self.pieces.push(piece);
    }

    /// Puts bytes before all others.
    pub(super) fn put_back(&mut self, rest: Bytes) {
        if rest.is_empty() {
            return;
        }
        self.bytes = self.bytes.saturating_add(rest.len());
        if self.older.is_empty() {
            self.pieces.insert(0, rest);
        } else {
            let behind = core::mem::take(&mut self.older);
            self.older.reserve(rest.len().saturating_add(behind.len()));
            self.older.extend_from_slice(&rest);
            self.older.extend_from_slice(&behind);
        }
    }

    /// Lets go of the last read.
    pub(super) fn settle(&mut self) {
        if self.pieces.is_empty() {
            return;
        }
        for piece in &self.pieces {
            self.older.extend_from_slice(piece);
        }
        self.clear_pieces();
    }

    /// Everything, in order; the queue is empty as soon as the iterator is gone.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Bytes> + '_ {
        self.bytes = 0;
        if self.pieces.capacity() > PIECES_KEPT && self.pieces.len() <= PIECES_KEPT {
            self.pieces.shrink_to(PIECES_KEPT);
        }
        let older = core::mem::take(&mut self.older);
        let older = (!older.is_empty()).then(|| older.freeze());
        older.into_iter().chain(self.pieces.drain(..))
    }

    /// Whether the counter is right and no piece is empty.
    pub(super) fn is_consistent(&self) -> bool {
        let pieces: usize = self.pieces.iter().map(Bytes::len).sum();
        let none_empty = self.pieces.iter().all(|piece| !piece.is_empty());
        none_empty && pieces.saturating_add(self.older.len()) == self.bytes
    }

    fn clear_pieces(&mut self) {
        self.pieces.clear();
        self.pieces.shrink_to(PIECES_KEPT);
    }
}
