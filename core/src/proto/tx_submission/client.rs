//! Supplies transactions to a peer that pulls them (the outbound side).
//!
//! ```text
//!   request ─▶ checks, in order ─▶ Fact::IdsWanted ─▶ Order::Ids ─▶ reply
//!                               ─▶ Fact::TxsWanted ─▶ Order::Txs ─▶ reply
//! ```
//!
//! It keeps the ids that are announced and not yet acknowledged, so that a peer can ask for
//! nothing else; the owner keeps the transactions. Goodbye can only be said in answer to a
//! blocking request: until one comes, a half that was told to stop answers that it has nothing.
//!
//! Invariants: those of the session, and 11. a question is open only while our answer is due;
//! 12. at most [`WINDOW`] ids are unacknowledged; 13. a stopping half has no question open.

use alloc::vec::Vec;

use bytes::Bytes;

use super::{ANSWER_BYTES_MAX, IDLE, INIT, Message, SPEC, TxSubmission, Violation, WINDOW};
use crate::{
    base::{Cx, Instant, Machine, Queue, Role, Spec, TxId, Violated, violated},
    proto::{Action, Event, Fault, Half, Protocol as _, session::Session},
};

/// What its owner answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ids and sizes in mempool order, those after the last one announced, at most as many as
    /// were asked for (more are cut off). A blocking question is answered only with at least one.
    /// A size is that of the wrapped transaction in bytes.
    Ids(Vec<(TxId, u32)>),
    /// The wrapped bodies that are still here, in the order of the request. Those behind the byte
    /// limit of the answer are left out.
    Txs(Vec<Bytes>),
}

/// What the client tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer acknowledged the oldest `acked` ids and wants up to `wanted` more.
    IdsWanted {
        /// Whether the peer waits until there is at least one.
        blocking: bool,
        /// Ids that the peer will not ask about again.
        acked: u16,
        /// Ids wanted at most.
        wanted: u16,
    },
    /// The peer wants these bodies; all were announced and not yet acknowledged.
    TxsWanted(Vec<TxId>),
}

/// The supplying half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Client {
    session: Session<TxSubmission>,
    /// Announced and not yet acknowledged, oldest first.
    unacked: Queue<TxId>,
    open: Open,
    stopping: bool,
}

/// The peer's question that our owner has to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Open {
    Nothing,
    Ids { blocking: bool, wanted: u16 },
    Txs,
}

impl Client {
    /// A half that will say hello at its start. `of` is the instance that draws are made for.
    pub fn new(of: u64) -> Self {
        Self {
            session: Session::new(Role::Initiator, of, 0),
            unacked: Queue::new(usize::from(WINDOW)),
            open: Open::Nothing,
            stopping: false,
        }
    }

    /// Ids that are announced and not yet acknowledged.
    pub fn unacked(&self) -> usize {
        self.unacked.len()
    }

    fn on_message(&mut self, cx: &mut Cx<'_, Action<Fact>>, message: Message) {
        let asked = match message {
            Message::RequestTxIds {
                blocking,
                acked,
                wanted,
            } => self.on_request_ids(blocking, acked, wanted),
            Message::RequestTxs(ids) => self.on_request_txs(ids),
            Message::Init | Message::ReplyTxIds(_) | Message::ReplyTxs(_) | Message::Done => return,
        };
        match asked {
            Err(violation) => self.session.reject(cx, Fault::Tx(violation)),
            Ok(_) if self.stopping => self.decline(cx),
            Ok(fact) => cx.act(Action::Fact(fact)),
        }
    }

    fn on_request_ids(
        &mut self,
        blocking: bool,
        acked: u16,
        wanted: u16,
    ) -> Result<Fact, Violation> {
        let unacked = u16::try_from(self.unacked.len()).unwrap_or(u16::MAX);
        check_request(unacked, blocking, acked, wanted)?;
        for _ in 0..acked {
            self.unacked.pop();
        }
        self.open = Open::Ids { blocking, wanted };
        Ok(Fact::IdsWanted {
            blocking,
            acked,
            wanted,
        })
    }

    fn on_request_txs(&mut self, ids: Vec<TxId>) -> Result<Fact, Violation> {
        let known = |id: &TxId| self.unacked.iter().any(|unacked| unacked == id);
        if !ids.iter().all(known) {
            return Err(Violation::RequestedUnavailableTx);
        }
        self.open = Open::Txs;
        Ok(Fact::TxsWanted(ids))
    }

    fn on_order(&mut self, cx: &mut Cx<'_, Action<Fact>>, order: Order) {
        match (order, self.open) {
            (Order::Ids(mut ids), Open::Ids { blocking, wanted }) => {
                ids.truncate(usize::from(wanted));
                if blocking && ids.is_empty() {
                    return;
                }
                self.announce(cx, ids);
            }
            (Order::Txs(txs), Open::Txs) => {
                self.open = Open::Nothing;
                let _ = self.session.say(cx, &Message::ReplyTxs(fitting(txs)));
            }
            (Order::Ids(_) | Order::Txs(_), _) => {}
        }
    }

    fn announce(&mut self, cx: &mut Cx<'_, Action<Fact>>, mut ids: Vec<(TxId, u32)>) {
        // The checks of the request left room for as many as it wanted.
        ids.truncate(self.unacked.room());
        self.open = Open::Nothing;
        let message = Message::ReplyTxIds(ids);
        if self.session.say(cx, &message).is_err() {
            return;
        }
        if let Message::ReplyTxIds(ids) = message {
            for (id, _) in ids {
                let _ = self.unacked.push(id);
            }
        }
    }

    /// Answers the open question, if any, in place of the owner: goodbye where that is allowed,
    /// nothing to offer elsewhere.
    fn decline(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        match core::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => {}
            Open::Ids { blocking: true, .. } => {
                let _ = self.session.say(cx, &Message::Done);
            }
            Open::Ids { .. } => self.announce(cx, Vec::new()),
            Open::Txs => {
                let _ = self.session.say(cx, &Message::ReplyTxs(Vec::new()));
            }
        }
    }
}

impl Machine for Client {
    type Event = Event<Order>;
    type Action = Action<Fact>;

    fn step(&mut self, cx: &mut Cx<'_, Action<Fact>>, event: Event<Order>) {
        if self.session.is_over() {
            return;
        }
        match event {
            Event::Start => {
                self.session.start(cx.now, cx.choice);
                if self.session.state() == INIT {
                    let _ = self.session.say(cx, &Message::Init);
                }
            }
            Event::Received(bytes) => {
                if let Some(message) = self.session.hear(cx, &bytes) {
                    self.on_message(cx, message);
                }
            }
            Event::Order(order) => self.on_order(cx, order),
            Event::Stop => {
                self.stopping = true;
                self.decline(cx);
            }
            Event::Tick => self.session.tick(cx),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.session.next_deadline()
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        self.session.check_invariants()?;
        let state = self.session.state();
        let due = !self.session.is_over() && state != INIT && state != IDLE;
        violated(
            self.session.is_over() || due != (self.open == Open::Nothing),
            SPEC.name,
            11,
            "a question is open only while our answer is due",
        )?;
        violated(
            self.unacked.len() <= usize::from(WINDOW),
            SPEC.name,
            12,
            "at most the window is unacknowledged",
        )?;
        violated(
            !self.stopping || self.open == Open::Nothing,
            SPEC.name,
            13,
            "a stopping half has no question open",
        )
    }
}

impl Half for Client {
    type Order = Order;
    type Fact = Fact;
    const SPEC: &'static Spec = TxSubmission::SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}

/// The checks on a request for ids, in the order in which they decide.
/// src: ouroboros-network, module `Ouroboros.Network.TxSubmission.Outbound`
fn check_request(
    unacked: u16,
    blocking: bool,
    acked: u16,
    requested: u16,
) -> Result<(), Violation> {
    let Some(left) = unacked.checked_sub(acked) else {
        return Err(Violation::AckedTooManyTxids { acked, unacked });
    };
    if left.saturating_add(requested) > WINDOW {
        let unacked = left;
        return Err(Violation::RequestedTooManyTxids { requested, unacked });
    }
    match blocking {
        true if requested == 0 => Err(Violation::RequestedNothing),
        true if left > 0 => Err(Violation::RequestBlocking),
        false if acked == 0 && requested == 0 => Err(Violation::RequestedNothing),
        false if left == 0 => Err(Violation::RequestNonBlocking),
        true | false => Ok(()),
    }
}

/// The bodies up to the first that would break the answer's byte limit.
fn fitting(mut txs: Vec<Bytes>) -> Vec<Bytes> {
    let mut room = ANSWER_BYTES_MAX - ANSWER_BYTES_AROUND;
    let fits = |tx: &Bytes| match room.checked_sub(tx.len()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    let count = txs.iter().map(fits).take_while(|fits| *fits).count();
    txs.truncate(count);
    txs
}

/// `82 03 9f … ff`.
const ANSWER_BYTES_AROUND: usize = 4;
