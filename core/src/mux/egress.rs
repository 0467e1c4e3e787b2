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

use super::{Action, BATCH_BYTES_MAX, BATCH_SEGMENTS_MAX, Batch, HalfId, Mux, Phase};
use crate::{
    base::Cx,
    wire::{
        Encoded,
        frame::{HEADER_BYTES, Header},
    },
};

impl Mux {
    pub(super) fn on_send(&mut self, half: HalfId, message: Encoded) {
        if self.has_ended() || message.is_empty() {
            return;
        }
        let Some(at) = self.find(half) else {
            return;
        };
        let Some(lane) = self.lanes.get_mut(at) else {
            return;
        };
        self.pending = self.pending.saturating_add(message.len());
        lane.outbox.push(message);
        lane.full = !lane.has_room();
        if !lane.queued {
            lane.queued = true;
            self.tokens.push_back(u8::try_from(at).unwrap_or(u8::MAX));
        }
    }

    pub(super) fn on_turn(&mut self, cx: &mut Cx<'_, Action>) {
        if self.has_ended() || self.pending == 0 {
            return;
        }
        let idle = self.in_flight == 0;
        let time_us = u32::try_from(cx.now.as_micros() & 0xffff_ffff).unwrap_or(0);
        loop {
            let batch = self.cut(time_us);
            if batch.is_empty() {
                break;
            }
            cx.act(Action::Write(batch));
        }
        if idle && self.in_flight > 0 && !matches!(self.phase, Phase::Draining(_)) {
            self.write_by = Some(cx.now.after(self.config.write_timeout));
        }
        if self.pending == 0 && self.arena.capacity() > ARENA_BYTES_KEPT {
            *self.arena = BytesMut::new();
        }
        for lane in self.lanes.iter_mut().filter(|lane| lane.full) {
            if lane.has_room() {
                lane.full = false;
                cx.act(Action::Room(lane.half));
            }
        }
    }

    /// One batch: a segment of each half in turn, as many as window and batch hold.
    fn cut(&mut self, time_us: u32) -> Batch {
        let room = self.config.window_bytes.saturating_sub(self.in_flight);
        let room = room.min(BATCH_BYTES_MAX);
        let copied = self.copied_bytes(room);
        let mut gather = Gather::new(&mut self.arena, copied);
        for _ in 0..BATCH_SEGMENTS_MAX {
            let Some(&token) = self.tokens.front() else {
                break;
            };
            let Some(lane) = self.lanes.get_mut(usize::from(token)) else {
                break;
            };
            let len = lane.outbox.bytes().min(self.config.segment_bytes_max);
            let after = gather
                .bytes()
                .saturating_add(HEADER_BYTES)
                .saturating_add(len);
            if after > room {
                break;
            }
            let header = Header {
                time_us,
                sender: lane.half.role,
                protocol: lane.half.protocol,
                len: u16::try_from(len).unwrap_or(u16::MAX),
            };
            lane.outbox.cut(header, &mut gather);
            self.pending = self.pending.saturating_sub(len);
            self.tokens.pop_front();
            if lane.outbox.bytes() > 0 {
                self.tokens.push_back(token);
            } else {
                lane.queued = false;
                lane.outbox.rest();
            }
        }
        self.in_flight = self.in_flight.saturating_add(gather.bytes());
        gather.finish()
    }

    /// About how many bytes the next batch copies, at most `room`.
    fn copied_bytes(&self, room: usize) -> usize {
        let lanes = self
            .tokens
            .iter()
            .filter_map(|token| self.lanes.get(usize::from(*token)));
        let bytes = lanes.fold(0_usize, |sum, lane| {
            let segments = lane.outbox.bytes().min(room) / self.config.segment_bytes_max;
            let headers = segments.saturating_add(1).saturating_mul(HEADER_BYTES);
            sum.saturating_add(lane.outbox.short_bytes())
                .saturating_add(headers)
        });
        bytes.min(room)
    }

    pub(super) fn on_flushed(&mut self, cx: &mut Cx<'_, Action>, bytes: usize) {
        if self.has_ended() || bytes == 0 {
            return;
        }
        self.in_flight = self.in_flight.saturating_sub(bytes);
        if self.in_flight == 0 {
            self.write_by = None;
        } else if self.write_by.is_some() {
            self.write_by = Some(cx.now.after(self.config.write_timeout));
        }
        self.finish_drain(cx);
    }
}

/// Parts of at most this many bytes are copied, longer ones shared. A shared part costs two
/// entries of a vectored write and two reference counts. Guess, not measured.
pub(super) const COPIED_BYTES_MAX: usize = 1_024;

/// Memory for batches that is kept while nothing is queued.
const ARENA_BYTES_KEPT: usize = 1_024;

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
