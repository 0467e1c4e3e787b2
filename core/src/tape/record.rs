//! Writing a tape while a node runs.

use alloc::vec::Vec;

use serde::Serialize;

use super::{
    CHECKPOINT_EVENTS, Digest, Error, Head, Sink,
    frame::{self, RecordRef, TooLarge},
};
use crate::{
    base::{Instant, Machine},
    node::{Action, Event, Node, Tap},
};

/// Writes the tape of one node to a sink, frame by frame.
///
/// An event is written before it is fed, so that a run that dies within a step leaves the event
/// that killed it as the last record. [`finish`](Recorder::finish), also called on drop, writes
/// the end; a tape without one replays as far as it goes.
#[derive(Debug)]
pub struct Recorder<S: Sink> {
    sink: S,
    last: Instant,
    events: u64,
    /// An event was written and its actions are due.
    due: bool,
    digest: Digest,
    ended: bool,
    frame: Vec<u8>,
}

impl<S: Sink> Recorder<S> {
    /// Begins the tape of a run that goes on from `node`: writes the head. `rules` is the rules'
    /// name, `writer` the program's name and version.
    pub fn new<M>(mut sink: S, node: &Node<M>, rules: &str, writer: &str) -> Result<Self, Error>
    where
        M: Machine<Event = Event, Action = Action> + Serialize,
    {
        let mut first = Vec::new();
        let head = Head::new(node, rules, writer)?;
        frame::encode(&head, &mut first).map_err(|TooLarge| Error::TooLarge)?;
        sink.write(&frame::preamble());
        sink.write(&first);
        Ok(Self {
            sink,
            last: node.now(),
            events: 0,
            due: false,
            digest: Digest::default(),
            ended: false,
            frame: first,
        })
    }

    /// Writes the end; nothing is recorded after it. Not written while the actions of an event
    /// are due: that run died within a step.
    pub fn finish(&mut self) {
        if !self.due {
            self.end(&RecordRef::End(self.events, self.digest));
        }
    }

    /// Events written.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The digest of all actions so far.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The sink, to look at.
    pub const fn sink(&self) -> &S {
        &self.sink
    }

    fn write(&mut self, record: &RecordRef<'_>) -> Result<(), TooLarge> {
        frame::encode(record, &mut self.frame)?;
        self.sink.write(&self.frame);
        Ok(())
    }

    fn end(&mut self, record: &RecordRef<'_>) {
        if !self.ended {
            self.ended = self.write(record).is_ok();
        }
    }
}

impl<S: Sink + Send> Tap for Recorder<S> {
    fn event(&mut self, now: Instant, event: &Event) {
        if self.ended {
            return;
        }
        let now = self.last.max(now);
        let after_us = now.as_micros().saturating_sub(self.last.as_micros());
        if self.write(&RecordRef::Event(after_us, event)).is_err() {
            self.end(&RecordRef::Cut(self.events, self.digest));
            return;
        }
        self.last = now;
        self.events = self.events.saturating_add(1);
        self.due = true;
    }

    fn actions(&mut self, actions: &[Action]) {
        if self.ended || !self.due {
            return;
        }
        self.due = false;
        if !actions.is_empty() {
            self.digest.roll(self.events, actions);
            let count = u64::try_from(actions.len()).unwrap_or(u64::MAX);
            // A record of two numbers always fits a frame.
            let _ = self.write(&RecordRef::Actions(count, self.digest.short()));
        }
        if self.events.is_multiple_of(CHECKPOINT_EVENTS) {
            let _ = self.write(&RecordRef::Checkpoint(self.events, self.digest));
        }
    }
}

impl<S: Sink> Drop for Recorder<S> {
    fn drop(&mut self) {
        self.finish();
    }
}
