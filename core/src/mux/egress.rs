//! Bytes of our halves that wait to be cut into segments.
//!
//! ```text
//!  message ─push─▶ outbox of its half ─┐
//!                                      ├─ one segment a turn, round robin ─▶ batch ─▶ driver
//!  message ─push─▶ outbox of its half ─┘
//! ```
//!
//! Short parts are copied twice (into their outbox and behind their header), long ones never.

use alloc::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

use super::Batch;
use crate::wire::{Encoded, frame::Header};

/// Parts of at most this many bytes are copied, longer ones shared. A shared part costs two
/// entries of a vectored write and two reference counts. Guess, not measured.
pub(super) const COPIED_BYTES_MAX: usize = 1_024;

/// The queue of one half.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Outbox {
    /// Parts in order.
    parts: VecDeque<Part>,
    /// The bytes of all short parts in order.
    short: BytesMut,
    /// Bytes of all parts.
    bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Part {
    /// So many bytes of `short`; never two of these in a row.
    Short(usize),
    /// Shared with whoever made the message.
    Long(Bytes),
}

impl Outbox {
    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of them that will be copied.
    pub(super) fn short_bytes(&self) -> usize {
        self.short.len()
    }

    /// Appends a message whole.
    pub(super) fn push(&mut self, message: Encoded) {
        self.push_part(message.head);
        self.push_part(message.body);
    }

    fn push_part(&mut self, part: Bytes) {
        let len = part.len();
        if len == 0 {
            return;
        }
        self.bytes = self.bytes.saturating_add(len);
        if len > COPIED_BYTES_MAX {
            self.parts.push_back(Part::Long(part));
            return;
        }
        self.short.extend_from_slice(&part);
        match self.parts.back_mut() {
            Some(Part::Short(before)) => *before = before.saturating_add(len),
            _ => self.parts.push_back(Part::Short(len)),
        }
    }

    /// Cuts one segment of `header.len` bytes, header first; the caller has checked that so many
    /// wait.
    pub(super) fn cut(&mut self, header: Header, batch: &mut Gather<'_>) {
        batch.copy(&header.encode());
        let mut due = usize::from(header.len);
        self.bytes = self.bytes.saturating_sub(due);
        while due > 0 {
            let Some(part) = self.parts.front_mut() else {
                break;
            };
            let (len, used_up) = match part {
                Part::Short(left) => {
                    let len = due.min(*left);
                    batch.copy(self.short.get(..len).unwrap_or_default());
                    self.short.advance(len.min(self.short.len()));
                    *left = left.saturating_sub(len);
                    (len, *left == 0)
                }
                Part::Long(bytes) => {
                    let len = due.min(bytes.len());
                    batch.share(bytes, len);
                    (len, bytes.is_empty())
                }
            };
            due = due.saturating_sub(len);
            if used_up {
                self.parts.pop_front();
            }
        }
    }

    /// Gives memory back once nothing waits.
    pub(super) fn rest(&mut self) {
        if self.bytes == 0 && self.short.capacity() > COPIED_BYTES_MAX {
            self.short = BytesMut::new();
            self.parts = VecDeque::new();
        }
    }

    /// Whether the counter is right and the parts are as documented.
    pub(super) fn is_consistent(&self) -> bool {
        let mut short = 0_usize;
        let mut long = 0_usize;
        let mut after_short = false;
        for part in &self.parts {
            match part {
                Part::Short(0) => return false,
                Part::Short(_) if after_short => return false,
                Part::Short(len) => short = short.saturating_add(*len),
                Part::Long(bytes) if bytes.is_empty() => return false,
                Part::Long(bytes) => long = long.saturating_add(bytes.len()),
            }
            after_short = matches!(part, Part::Short(_));
        }
        short == self.short.len() && short.saturating_add(long) == self.bytes
    }
}

/// A batch in the making: copied bytes gather in `arena` until a shared part comes.
pub(super) struct Gather<'a> {
    arena: &'a mut BytesMut,
    batch: Batch,
    bytes: usize,
}

impl<'a> Gather<'a> {
    /// An empty batch with memory for `copied` bytes. What `arena` held is forgotten, its memory
    /// used.
    pub(super) fn new(arena: &'a mut BytesMut, copied: usize) -> Self {
        arena.clear();
        arena.reserve(copied);
        Self {
            arena,
            batch: Batch::new(),
            bytes: 0,
        }
    }

    /// Bytes so far.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The batch; empty when nothing was put in.
    pub(super) fn finish(mut self) -> Batch {
        self.seal();
        self.batch
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.bytes = self.bytes.saturating_add(bytes.len());
        self.arena.extend_from_slice(bytes);
    }

    fn share(&mut self, from: &mut Bytes, len: usize) {
        self.bytes = self.bytes.saturating_add(len);
        if len <= COPIED_BYTES_MAX {
            self.arena
                .extend_from_slice(from.get(..len).unwrap_or_default());
            from.advance(len.min(from.len()));
        } else {
            self.seal();
            self.batch.push(from.split_to(len.min(from.len())));
        }
    }

    fn seal(&mut self) {
        if !self.arena.is_empty() {
            self.batch.push(self.arena.split().freeze());
        }
    }
}
