//! Running a tape again.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{
    Digest, Error, Head,
    frame::{self, Record, Splitter},
};
use crate::{
    base::{Instant, Machine, Rules},
    node::{Action, Event, Node, Tap},
};

/// What a replay does besides comparing digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// After this event (the first is 1) the state is encoded, decoded, compared with itself, and
    /// the decoded one goes on. Default never.
    pub restore_after: Option<u64>,
    /// Check every invariant after every event. Default no.
    pub check_invariants: bool,
}

/// How a tape ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order: the recorder was finished.
    Complete,
    /// The recorder met an event too large for a frame; what came before is on the tape.
    Cut,
    /// In the middle: the recorder or its machine died. Every whole record was replayed.
    Truncated {
        /// Bytes after the last whole frame.
        left_over: usize,
    },
}

/// What a replay saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Events fed.
    pub events: u64,
    /// Actions that followed.
    pub actions: u64,
    /// The digest of all of them.
    pub digest: Digest,
    /// The time of the last event.
    pub now: Instant,
    /// Whether a snapshot was restored on the way.
    pub restored: bool,
    /// How the tape ended.
    pub ending: Ending,
}

/// A replay in progress: takes a tape in chunks of any size and compares as it goes.
///
/// ```text
///  push(chunk) ─▶ frames ─▶ head: restore ─▶ event: step ─▶ actions: compare ─▶ …  finish ─▶ Report
/// ```
/// Holds the bytes of one incomplete frame and one chunk at most. After an error nothing more can
/// be replayed; what was replayed before it is still there to look at.
pub struct Replay<'r, M> {
    rules: &'r dyn Rules,
    options: Options,
    tap: Option<&'r mut dyn Tap>,
    splitter: Splitter,
    node: Option<Node<M>>,
    digest: Digest,
    events: u64,
    actions: u64,
    /// Actions of the last event that no record has confirmed yet.
    due: Option<Due>,
    restored: bool,
    /// Set once an end was read.
    ending: Option<Ending>,
    out: Vec<Action>,
}

#[derive(Clone, Copy)]
struct Due {
    count: u64,
    short: u64,
}

impl<'r, M> Replay<'r, M>
where
    M: Machine<Event = Event, Action = Action> + PartialEq + Serialize + for<'de> Deserialize<'de>,
{
    /// A replay under these rules; their name must be the tape's.
    pub fn new(rules: &'r dyn Rules, options: Options) -> Self {
        Self {
            rules,
            options,
            tap: None,
            splitter: Splitter::default(),
            node: None,
            digest: Digest::default(),
            events: 0,
            actions: 0,
            due: None,
            restored: false,
            ending: None,
            out: Vec::new(),
        }
    }

    /// Shows every event and its actions to `tap`, as a driver would.
    #[must_use]
    pub fn watched(mut self, tap: &'r mut dyn Tap) -> Self {
        self.tap = Some(tap);
        self
    }

    /// Replays all whole frames of what was pushed before and `chunk`.
    pub fn push(&mut self, chunk: &[u8]) -> Result<(), Error> {
        self.splitter.push(chunk);
        loop {
            let frame = self.splitter.frames();
            let Some(payload) = self.splitter.next()? else {
                return Ok(());
            };
            let corrupt = Error::Corrupt { frame };
            if frame == 0 {
                let head: Head = frame::decode(payload).ok_or(corrupt)?;
                self.begin(&head)?;
            } else {
                let record = frame::decode(payload).ok_or(corrupt)?;
                self.take(frame, record)?;
            }
        }
    }

    /// The tape has no more bytes.
    pub fn finish(self) -> Result<Report, Error> {
        let node = self.node.as_ref().ok_or(Error::NoHead)?;
        let left_over = self.splitter.left_over();
        Ok(Report {
            events: self.events,
            actions: self.actions,
            digest: self.digest,
            now: node.now(),
            restored: self.restored,
            ending: self.ending.unwrap_or(Ending::Truncated { left_over }),
        })
    }

    /// The state after the last event, `None` before the head was read.
    pub const fn node(&self) -> Option<&Node<M>> {
        self.node.as_ref()
    }

    /// Events fed so far.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// The actions of the last event.
    pub fn last_actions(&self) -> &[Action] {
        &self.out
    }

    fn begin(&mut self, head: &Head) -> Result<(), Error> {
        if head.rules != self.rules.name() {
            return Err(Error::OtherRules);
        }
        self.node = Some(head.restore()?);
        Ok(())
    }

    fn take(&mut self, frame: u64, record: Record) -> Result<(), Error> {
        if self.ending.is_some() {
            return Err(Error::Corrupt { frame });
        }
        match record {
            Record::Event(after_us, event) => {
                self.settled(frame)?;
                self.feed(after_us, event)
            }
            Record::Actions(count, short) => {
                let event = self.events;
                match self.due.take() {
                    Some(due) if due.count == count && due.short == short => Ok(()),
                    _ => Err(Error::Diverged { event, frame }),
                }
            }
            Record::Checkpoint(events, digest) => self.compare(frame, events, digest),
            Record::End(events, digest) => {
                self.compare(frame, events, digest)?;
                self.ending = Some(Ending::Complete);
                Ok(())
            }
            Record::Cut(events, digest) => {
                self.compare(frame, events, digest)?;
                self.ending = Some(Ending::Cut);
                Ok(())
            }
        }
    }

    /// No actions wait for their record: the last event had none, or they were compared.
    fn settled(&self, frame: u64) -> Result<(), Error> {
        match self.due {
            None => Ok(()),
            Some(_) => Err(Error::Diverged {
                event: self.events,
                frame,
            }),
        }
    }

    fn compare(&self, frame: u64, events: u64, digest: Digest) -> Result<(), Error> {
        self.settled(frame)?;
        if events != self.events {
            return Err(Error::Corrupt { frame });
        }
        if digest != self.digest {
            return Err(Error::Diverged {
                event: self.events,
                frame,
            });
        }
        Ok(())
    }

    fn feed(&mut self, after_us: u64, event: Event) -> Result<(), Error> {
        let node = self.node.as_mut().ok_or(Error::NoHead)?;
        let now = Instant::from_micros(node.now().as_micros().saturating_add(after_us));
        if let Some(tap) = self.tap.as_mut() {
            tap.event(now, &event);
        }
        self.out.clear();
        node.step(now, self.rules, event, &mut self.out);
        if let Some(tap) = self.tap.as_mut() {
            tap.actions(&self.out);
        }
        self.events = self.events.saturating_add(1);
        let event = self.events;
        if !self.out.is_empty() {
            self.digest.roll(event, &self.out);
            let count = u64::try_from(self.out.len()).unwrap_or(u64::MAX);
            self.actions = self.actions.saturating_add(count);
            self.due = Some(Due {
                count,
                short: self.digest.short(),
            });
        }
        if self.options.check_invariants {
            node.check_invariants()
                .map_err(|violated| Error::Violated { event, violated })?;
        }
        if self.options.restore_after == Some(event) {
            let bytes = postcard::to_allocvec(node).map_err(|_| Error::Unfaithful { event })?;
            let restored: Node<M> = frame::decode(&bytes).ok_or(Error::Unfaithful { event })?;
            if restored != *node {
                return Err(Error::Unfaithful { event });
            }
            *node = restored;
            self.restored = true;
        }
        Ok(())
    }
}

/// Replays a tape that is wholly in memory.
pub fn replay<M>(bytes: &[u8], rules: &dyn Rules, options: Options) -> Result<Report, Error>
where
    M: Machine<Event = Event, Action = Action> + PartialEq + Serialize + for<'de> Deserialize<'de>,
{
    let mut replay: Replay<'_, M> = Replay::new(rules, options);
    for chunk in bytes.chunks(CHUNK_BYTES) {
        replay.push(chunk)?;
    }
    replay.finish()
}

/// What is copied at a time from a tape that is wholly in memory.
const CHUNK_BYTES: usize = 1 << 20;
