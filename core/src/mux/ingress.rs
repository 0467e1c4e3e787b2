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

use super::{Action, Error, HALVES_MAX, HalfId, Mux, Phase};
use crate::{
    base::Cx,
    wire::frame::{EmptySegment, Header, Piece},
};

impl Mux {
    pub(super) fn on_received(&mut self, cx: &mut Cx<'_, Action>, mut bytes: Bytes) {
        if self.phase != Phase::Running {
            return;
        }
        self.settle();
        let whole = self.deframer.whole();
        loop {
            match self.deframer.next(&mut bytes) {
                Ok(Some(piece)) => {
                    if let Err(error) = self.deliver(cx, piece) {
                        return self.fail(cx, error);
                    }
                }
                Ok(None) => break,
                Err(EmptySegment) => return self.fail(cx, Error::SduDecodeError),
            }
        }
        if !self.deframer.is_inside() {
            self.read_by = None;
        } else if self.read_by.is_none() || self.deframer.whole() != whole {
            self.read_by = Some(cx.now.after(self.config.read_timeout));
        }
    }

    /// Lets go of the read before, where it was not taken.
    fn settle(&mut self) {
        while self.fresh != 0 {
            let at = self.fresh.trailing_zeros();
            self.fresh &= self.fresh.wrapping_sub(1);
            let lane = usize::try_from(at)
                .ok()
                .and_then(|at| self.lanes.get_mut(at));
            if let Some(lane) = lane {
                lane.inbox.settle();
            }
        }
    }

    /// Puts a piece into the queue of the half that it is for: the flipped one of its sender.
    fn deliver(&mut self, cx: &mut Cx<'_, Action>, piece: Piece) -> Result<(), Error> {
        let Header {
            protocol, sender, ..
        } = piece.header;
        let half = HalfId {
            protocol,
            role: sender.flip(),
        };
        let found = self.find(half);
        let Some((at, lane)) = found.and_then(|at| Some((at, self.lanes.get_mut(at)?))) else {
            let known = self.lanes.iter().any(|lane| lane.half.protocol == protocol);
            return Err(if known {
                Error::InitiatorOnly {
                    protocol,
                    role: half.role,
                }
            } else {
                Error::UnknownMiniProtocol(protocol)
            });
        };
        let before = lane.inbox.bytes();
        let max = lane.ingress_max;
        let room = usize::try_from(max).map_or(usize::MAX, |max| max.saturating_sub(before));
        let over = piece.bytes.len() > room;
        let mut bytes = piece.bytes;
        bytes.truncate(room);
        if !bytes.is_empty() {
            lane.inbox.push(bytes);
            self.fresh |= 1 << (at % HALVES_MAX);
            if before == 0 {
                cx.act(Action::Ready(half));
            }
        }
        if over {
            return Err(Error::IngressQueueOverRun {
                protocol,
                role: sender,
                max,
            });
        }
        Ok(())
    }
}

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
