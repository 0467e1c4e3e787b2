//! The one runner of all protocol tables: whose turn it is, what may come, and until when.
//!
//! ```text
//!   turn() ─▶ Turn::send(message) ─▶ Encoded          state, and the states of pipelined
//!   receive(bytes) ─▶ Message or Fault                replies still awaited, oldest first
//! ```
//!
//! In: whole messages, the time. Out: decoded messages, encoded ones, faults. A pipelined message
//! leaves the sender's state as it is and appends the state in which its reply is awaited; replies
//! are taken strictly in order. At most `outstanding_max` replies are awaited at once.
//!
//! The limits of a state bind the end that waits in it. A wait begins when the later of two things
//! has happened: its request was handed over for sending, and the reply before it was complete.
//! For one state the owner can set another limit, or none.
//! src: Ouroboros network specification, chapter "Multiplexing mini-protocols", pipelining; chapter
//! "Mini Protocols", time and size limits of states
//!
//! Invariants:
//! 1. The state is one of the table's.
//! 2. Replies are outstanding only while we have agency.
//! 3. In every awaited state the peer has agency.
//! 4. There is a deadline only while the peer may speak.
//! 5. At most `outstanding_max` replies are awaited.

use core::{marker::PhantomData, time::Duration};

use bytes::{Bytes, BytesMut};

use super::{Action, Fault, Protocol};
use crate::{
    base::{
        Choice, Cx, Edge, Instant, Kind, Queue, Role, Scratch, Spec, State, StateRow, Violated,
        violated,
    },
    wire::{Encoded, codec::DecodeError},
};

/// One end of one running mini-protocol instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(bound = ""))]
pub struct Session<P> {
    role: Role,
    /// The instance that draws are made for.
    of: u64,
    state: State,
    /// Where the replies to pipelined messages are awaited, oldest first.
    awaited: Queue<State>,
    deadline: Option<Instant>,
    /// A state whose time limit is not the table's.
    limit: Option<(State, Option<Duration>)>,
    /// Nothing can be sent or received any more, although the state is not final.
    failed: bool,
    arena: Scratch<Arena>,
    protocol: PhantomData<P>,
}

/// Why a message was not sent; a mistake of ours, and nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotAllowed {
    /// The peer has agency, or nobody.
    #[error("not our turn in state {state}")]
    NotOurTurn {
        /// The index of the state.
        state: u8,
    },
    /// The table has no such message in this state.
    #[error("message kind {kind} cannot be sent in state {state}")]
    NoEdge {
        /// The index of the state.
        state: u8,
        /// The kind.
        kind: u8,
    },
    /// The message must not be sent while replies are outstanding.
    #[error("{outstanding} replies are outstanding")]
    Outstanding {
        /// How many.
        outstanding: usize,
    },
    /// As many replies are outstanding as this session awaits at most.
    #[error("{max} replies are outstanding, the maximum")]
    Full {
        /// The maximum, inclusive.
        max: usize,
    },
}

impl<P: Protocol> Session<P> {
    /// An end in the first state, its timer not yet running. `of` is the instance that draws are
    /// made for (the connection's serial); `outstanding_max` (inclusive) bounds the pipelined
    /// replies awaited, 0 for a protocol without pipelining.
    pub fn new(role: Role, of: u64, outstanding_max: usize) -> Self {
        Self {
            role,
            of,
            state: Spec::INITIAL,
            awaited: Queue::new(outstanding_max),
            deadline: None,
            limit: None,
            failed: false,
            arena: Scratch::default(),
            protocol: PhantomData,
        }
    }

    /// Another time limit than the table's for one state, `None` for none. It holds from the next
    /// wait in that state on; one that is lifted ends a wait under way too. The last one given
    /// counts.
    pub fn limit(&mut self, state: State, limit: Option<Duration>) {
        self.limit = Some((state, limit));
        if limit.is_none() && self.awaited() == Some(state) {
            self.deadline = None;
        }
    }

    /// Starts the timer of the first state if the peer speaks first. Called once.
    pub fn start(&mut self, now: Instant, choice: &mut dyn Choice) {
        self.rearm(now, choice);
    }

    /// The end that this is.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The instance that draws are made for.
    pub const fn of(&self) -> u64 {
        self.of
    }

    /// The state in which our next message would be sent, or in which we wait when no pipelined
    /// reply is outstanding.
    pub const fn state(&self) -> State {
        self.state
    }

    /// The state in which the next message of the peer will be read; `None` while it is our turn
    /// and nothing is outstanding, and when the session is over.
    pub fn awaited(&self) -> Option<State> {
        if self.failed {
            return None;
        }
        match self.awaited.front() {
            Some(state) => Some(*state),
            None if P::SPEC.may_send(self.state, self.role.flip()) => Some(self.state),
            None => None,
        }
    }

    /// While the peer may speak: the byte limit (inclusive) of its next message.
    pub fn awaits(&self) -> Option<usize> {
        self.awaited_row().map(|row| row.bytes_max)
    }

    /// Pipelined replies not yet received.
    pub fn outstanding(&self) -> usize {
        self.awaited.len()
    }

    /// Whether nothing can be sent or received any more.
    pub fn is_over(&self) -> bool {
        self.failed || P::SPEC.is_final(self.state)
    }

    /// Whether nothing can be sent or received any more because [`fail`](Self::fail) was called.
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Takes one whole message of the peer. After a fault the session is over.
    pub fn receive(
        &mut self,
        now: Instant,
        choice: &mut dyn Choice,
        bytes: &Bytes,
    ) -> Result<P::Message, Fault> {
        let received = self.read(bytes);
        match received {
            Ok((message, edge)) => {
                self.arrive(edge.to);
                self.rearm(now, choice);
                Ok(message)
            }
            Err(fault) => Err(self.fail(fault)),
        }
    }

    /// The right to send one message, when we have it. It may be there while replies are
    /// outstanding; then only messages that may be pipelined are allowed.
    pub fn turn(&mut self) -> Option<Turn<'_, P>> {
        let ours = !self.failed && P::SPEC.may_send(self.state, self.role);
        ours.then_some(Turn { session: self })
    }

    /// When the wait for the peer's next message ends.
    pub const fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The fault, once, when the peer's time is up at `now`; the session is over then. Changes
    /// nothing earlier.
    pub fn expired(&mut self, now: Instant) -> Option<Fault> {
        let state = self.awaited()?;
        let late = self.deadline.is_some_and(|deadline| deadline <= now);
        late.then(|| self.fail(Fault::TimedOut { state: state.0 }))
    }

    /// Sends one message, and says [`Action::Ended`] when it is the last one. When it cannot be
    /// sent now, nothing happens.
    pub fn say<F>(
        &mut self,
        cx: &mut Cx<'_, Action<F>>,
        message: &P::Message,
    ) -> Result<(), NotAllowed> {
        let state = self.state.0;
        let turn = self.turn().ok_or(NotAllowed::NotOurTurn { state })?;
        let encoded = turn.send(cx.now, cx.choice, message)?;
        cx.act(Action::Send(encoded));
        self.conclude(cx);
        Ok(())
    }

    /// Takes one whole message of the peer; a fault becomes [`Action::Failed`].
    pub fn hear<F>(&mut self, cx: &mut Cx<'_, Action<F>>, bytes: &Bytes) -> Option<P::Message> {
        match self.receive(cx.now, cx.choice, bytes) {
            Ok(message) => Some(message),
            Err(fault) => {
                cx.act(Action::Failed(fault));
                None
            }
        }
    }

    /// Says [`Action::Ended`] when the final state is reached.
    pub fn conclude<F>(&self, cx: &mut Cx<'_, Action<F>>) {
        if P::SPEC.is_final(self.state) {
            cx.act(Action::Ended);
        }
    }

    /// Says [`Action::Failed`] when the peer's time is up.
    pub fn tick<F>(&mut self, cx: &mut Cx<'_, Action<F>>) {
        if let Some(fault) = self.expired(cx.now) {
            cx.act(Action::Failed(fault));
        }
    }

    /// Ends the session for a fault that only the half can see, and says [`Action::Failed`].
    pub fn reject<F>(&mut self, cx: &mut Cx<'_, Action<F>>, fault: Fault) {
        let fault = self.fail(fault);
        cx.act(Action::Failed(fault));
    }

    /// Ends the session for a fault that only the half can see; hands the fault back.
    pub fn fail(&mut self, fault: Fault) -> Fault {
        self.failed = true;
        self.deadline = None;
        self.awaited.clear();
        fault
    }

    /// Checks the invariants of the module's list.
    pub fn check_invariants(&self) -> Result<(), Violated> {
        let spec = P::SPEC;
        let peer = self.role.flip();
        violated(
            spec.row(self.state).is_some(),
            spec.name,
            1,
            "the state is one of the table's",
        )?;
        violated(
            self.awaited.is_empty() || spec.may_send(self.state, self.role),
            spec.name,
            2,
            "replies are outstanding only while we have agency",
        )?;
        violated(
            self.awaited.iter().all(|state| spec.may_send(*state, peer)),
            spec.name,
            3,
            "in every awaited state the peer has agency",
        )?;
        violated(
            self.deadline.is_none() || self.awaited().is_some(),
            spec.name,
            4,
            "there is a deadline only while the peer may speak",
        )?;
        violated(
            self.awaited.len() <= self.awaited.max(),
            spec.name,
            5,
            "at most outstanding_max replies are awaited",
        )
    }

    /// Decodes in the awaited state; changes nothing.
    fn read(&self, bytes: &Bytes) -> Result<(P::Message, &'static Edge), Fault> {
        // Nobody may speak: whatever came has no place here.
        let state = self.awaited().unwrap_or(self.state);
        let row = self
            .awaited_row()
            .ok_or(Fault::Decode(DecodeError::Label { label: 0 }))?;
        if bytes.len() > row.bytes_max {
            return Err(Fault::TooLarge { max: row.bytes_max });
        }
        let message = P::decode(state, bytes).map_err(Fault::Decode)?;
        let kind = P::kind(&message);
        let edge = P::SPEC
            .edge(state, kind)
            .ok_or(Fault::Decode(DecodeError::Label {
                label: u64::from(kind.0),
            }))?;
        Ok((message, edge))
    }

    /// Moves on to where a received message leads.
    fn arrive(&mut self, to: State) {
        let Some(front) = self.awaited.front_mut() else {
            self.state = to;
            return;
        };
        if P::SPEC.may_send(to, self.role.flip()) {
            *front = to;
        } else {
            self.awaited.pop();
            // Tables lead every pipelined exchange back to where it began.
            if to != self.state {
                self.state = to;
                self.awaited.clear();
            }
        }
    }

    /// A new wait begins at `now`, if there is one.
    fn rearm(&mut self, now: Instant, choice: &mut dyn Choice) {
        let span = match (self.awaited(), self.limit) {
            (Some(state), Some((of, limit))) if of == state => limit,
            _ => self
                .awaited_row()
                .and_then(|row| row.time.draw(choice, self.of)),
        };
        self.deadline = span.map(|span| now.after(span));
    }

    fn awaited_row(&self) -> Option<&'static StateRow> {
        self.awaited().and_then(|state| P::SPEC.row(state))
    }
}

/// The right to send one message.
#[derive(Debug)]
pub struct Turn<'a, P> {
    session: &'a mut Session<P>,
}

impl<P: Protocol> Turn<'_, P> {
    /// Whether a message of this kind may be sent now.
    pub fn allows(&self, kind: Kind) -> Result<(), NotAllowed> {
        self.edge(kind).map(|_| ())
    }

    /// Sends one message: moves on, starts the wait for the answer and gives the bytes.
    pub fn send(
        self,
        now: Instant,
        choice: &mut dyn Choice,
        message: &P::Message,
    ) -> Result<Encoded, NotAllowed> {
        let edge = self.edge(P::kind(message))?;
        let session = self.session;
        let pipelined = edge.pipelined && session.awaited.max() > 0;
        if pipelined {
            let full = session.awaited.push(edge.to);
            full.map_err(|full| NotAllowed::Full { max: full.max })?;
        } else {
            session.state = edge.to;
        }
        // Behind another reply the wait begins when that one is complete.
        if session.awaited.len() <= 1 {
            session.rearm(now, choice);
        }
        Ok(session.arena.encode::<P>(message))
    }

    fn edge(&self, kind: Kind) -> Result<&'static Edge, NotAllowed> {
        let session = &*self.session;
        let edge = P::SPEC
            .edge(session.state, kind)
            .ok_or(NotAllowed::NoEdge {
                state: session.state.0,
                kind: kind.0,
            })?;
        let outstanding = session.awaited.len();
        if outstanding > 0 && !edge.pipelined {
            return Err(NotAllowed::Outstanding { outstanding });
        }
        let max = session.awaited.max();
        if outstanding > 0 && outstanding >= max {
            return Err(NotAllowed::Full { max });
        }
        Ok(edge)
    }
}

/// Memory that messages are encoded into, cut off as they are sent. A chunk is used again as soon
/// as nobody holds its messages; a busy session works in larger chunks.
#[derive(Debug)]
struct Arena {
    buffer: BytesMut,
    chunk: usize,
    /// Bytes of the message before: a guess at the next one.
    last: usize,
}

impl Default for Arena {
    fn default() -> Self {
        Self {
            buffer: BytesMut::new(),
            chunk: CHUNK_MIN,
            last: HEAD_BYTES,
        }
    }
}

impl Arena {
    fn encode<P: Protocol>(&mut self, message: &P::Message) -> Encoded {
        if self.buffer.capacity() < self.last {
            self.buffer.reserve(self.chunk.max(self.last));
            self.chunk = CHUNK_MAX.min(self.chunk.saturating_mul(2));
        }
        let body = P::encode(message, &mut self.buffer);
        if self.buffer.is_empty() {
            // A constant: it needs none of this memory.
            return Encoded {
                head: body,
                body: Bytes::new(),
            };
        }
        let head = self.buffer.split().freeze();
        self.last = head.len().max(HEAD_BYTES);
        Encoded { head, body }
    }
}

/// Most messages are shorter than this.
const HEAD_BYTES: usize = 64;
/// The first chunk: enough for a session that says little.
const CHUNK_MIN: usize = 256;
/// The largest chunk of a session of short messages. Guess, not measured: keeps allocation off
/// the path of 1 KiB messages.
const CHUNK_MAX: usize = 16 << 10;

#[cfg(test)]
mod tests;
