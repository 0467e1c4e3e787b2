//! Pulls transactions from a peer (the inbound side) within the window of ten.
//!
//! ```text
//!   ids ─▶ Fact::Announced ─▶ Order::Wanted ─▶ bodies requested ─▶ Fact::Arrived
//!                                    └─ the others are settled at once
//! ```
//!
//! The machine keeps window, acknowledgement and batch rules by itself; the owner says which ids
//! are news and takes the bodies. Settled ids are acknowledged as soon as all before them are. More
//! ids are asked for beside every request for bodies; a blocking request goes out when nothing is
//! left to do. An id that is still in the window when it comes again is settled at once.
//!
//! deviates: bodies are requested in the order of the announcements, not of the ids, so they
//! arrive in that order and none is ever kept here.
//!
//! src: ouroboros-network, module `Ouroboros.Network.TxSubmission.Inbound.V1`
//!
//! Invariants: those of the session, and 11. the ids in the window and the ids asked for are at
//! most [`WINDOW`]; 12. the oldest id in the window is not settled; 13. the open questions are those
//! that the session awaits; 14. as many ids are being judged as were announced to the owner; 15. as
//! many ids are requested as the open requests for bodies ask for.

use alloc::{collections::VecDeque, vec::Vec};
use core::time::Duration;

use bytes::Bytes;

use super::{IDLE, Message, SPEC, TX_IDS_BLOCKING, TxSubmission, Violation, WINDOW};
use crate::{
    base::{Cx, Instant, Machine, Queue, Role, Rules, Spec, TxId, Violated, soonest, violated},
    proto::{Action, Event, Fault, Half, Protocol as _, session::Session},
};

/// How long the first request waits by default, so as not to disturb the start of a sync.
/// src: cardano-node, default of `TxSubmissionInitDelay`
pub const FIRST_REQUEST_DELAY: Duration = Duration::from_secs(60);

/// Ids asked for at once, inclusive.
pub const IDS_PER_REQUEST: u16 = 3;

/// Bodies asked for at once, inclusive.
pub const TXS_PER_REQUEST: usize = 2;

/// By how many bytes a body may differ from its announced size, inclusive.
pub const SIZE_TOLERANCE: u32 = 32;

/// Questions open at once: each asks for one id or one body of the window at least.
const OPEN_MAX: usize = 2 * WINDOW as usize;

/// What its owner answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Answer to the oldest unanswered [`Fact::Announced`]: which of those ids are wanted (in any
    /// order); the others count as settled.
    Wanted(Vec<TxId>),
}

/// What the server tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The peer has these transactions, ten at most; answered by [`Order::Wanted`].
    Announced(Vec<(TxId, u32)>),
    /// Bodies that were asked for, in the order of the peer's announcements.
    Arrived(Vec<(TxId, Bytes)>),
}

/// The pulling half.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Server {
    session: Session<TxSubmission>,
    delay: Duration,
    /// When the first request goes out; only between the hello and that time.
    opens: Option<Instant>,
    /// Announced and not yet settled with all before it, oldest first.
    window: VecDeque<Entry>,
    /// Our open questions, oldest first.
    asked: Queue<Asked>,
    /// How many ids each unanswered announcement to the owner has, oldest first.
    judging: Queue<u16>,
    /// Settled ids that the peer has not yet been told of.
    acks: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Entry {
    id: TxId,
    size: u32,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Stage {
    /// The owner has not yet said whether it is news.
    Judging,
    /// To be requested.
    Wanted,
    /// Asked for.
    Requested,
    /// Answered, omitted, or no news.
    Settled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
enum Asked {
    /// Up to so many ids.
    Ids(u16),
    /// The oldest so many of the requested bodies that no earlier question asks for.
    Txs(u16),
}

impl Server {
    /// A half that waits for the hello and then `delay` (usually [`FIRST_REQUEST_DELAY`]) before
    /// it asks. `of` is the instance that draws are made for.
    pub fn new(of: u64, delay: Duration) -> Self {
        Self {
            session: Session::new(Role::Responder, of, OPEN_MAX),
            delay,
            opens: None,
            window: VecDeque::new(),
            asked: Queue::new(OPEN_MAX),
            judging: Queue::new(usize::from(WINDOW)),
            acks: 0,
        }
    }

    /// Ids that are announced and not yet settled with all before them.
    pub fn unsettled(&self) -> usize {
        self.window.len()
    }

    fn on_message(&mut self, cx: &mut Cx<'_, Action<Fact>>, message: Message) {
        let done = match message {
            Message::Init => {
                if !self.delay.is_zero() {
                    self.opens = Some(cx.now.after(self.delay));
                }
                Ok(None)
            }
            Message::ReplyTxIds(ids) => self.on_ids(ids),
            Message::ReplyTxs(txs) => self.on_txs(cx.rules, txs),
            Message::Done => return self.session.conclude(cx),
            Message::RequestTxIds { .. } | Message::RequestTxs(_) => return,
        };
        match done {
            Err(violation) => return self.session.reject(cx, Fault::Tx(violation)),
            Ok(Some(fact)) => cx.act(Action::Fact(fact)),
            Ok(None) => {}
        }
        self.settle();
        self.pull(cx);
    }

    /// Puts ids into the window; those that are not there already are announced to the owner.
    fn on_ids(&mut self, ids: Vec<(TxId, u32)>) -> Result<Option<Fact>, Violation> {
        let Some(Asked::Ids(wanted)) = self.asked.pop() else {
            return Ok(None);
        };
        let got = u16::try_from(ids.len()).unwrap_or(u16::MAX);
        if got > wanted {
            return Err(Violation::TooManyIds { wanted, got });
        }
        let mut news = Vec::with_capacity(ids.len());
        for (id, size) in ids {
            let again = self.window.iter().any(|entry| entry.id == id);
            let stage = if again {
                Stage::Settled
            } else {
                news.push((id.clone(), size));
                Stage::Judging
            };
            self.window.push_back(Entry { id, size, stage });
        }
        if news.is_empty() {
            return Ok(None);
        }
        // Each announcement has an id of the window, so there is room.
        let _ = self
            .judging
            .push(u16::try_from(news.len()).unwrap_or(u16::MAX));
        Ok(Some(Fact::Announced(news)))
    }

    /// Matches bodies with what was requested; whatever is missing is settled too.
    fn on_txs(&mut self, rules: &dyn Rules, txs: Vec<Bytes>) -> Result<Option<Fact>, Violation> {
        let Some(Asked::Txs(count)) = self.asked.pop() else {
            return Ok(None);
        };
        let requested = self.window.iter_mut();
        let mut due: Vec<(&mut Entry, Option<Bytes>)> = requested
            .filter(|entry| entry.stage == Stage::Requested)
            .take(usize::from(count))
            .map(|entry| (entry, None))
            .collect();
        for tx in txs {
            let id = rules.tx_id(&tx).ok_or(Violation::UnrequestedTx)?;
            let (entry, body) = due
                .iter_mut()
                .find(|(entry, body)| body.is_none() && entry.id == id)
                .ok_or(Violation::UnrequestedTx)?;
            let got = u32::try_from(tx.len()).unwrap_or(u32::MAX);
            let announced = entry.size;
            if got.abs_diff(announced) > SIZE_TOLERANCE {
                return Err(Violation::WrongSize { announced, got });
            }
            *body = Some(tx);
        }
        let mut arrived = Vec::with_capacity(due.len());
        for (entry, body) in due {
            entry.stage = Stage::Settled;
            if let Some(body) = body {
                arrived.push((entry.id.clone(), body));
            }
        }
        Ok((!arrived.is_empty()).then_some(Fact::Arrived(arrived)))
    }

    fn on_wanted(&mut self, cx: &mut Cx<'_, Action<Fact>>, wanted: &[TxId]) {
        let Some(count) = self.judging.pop() else {
            return;
        };
        let judging = self.window.iter_mut();
        for entry in judging
            .filter(|entry| entry.stage == Stage::Judging)
            .take(usize::from(count))
        {
            entry.stage = if wanted.contains(&entry.id) {
                Stage::Wanted
            } else {
                Stage::Settled
            };
        }
        self.settle();
        self.pull(cx);
    }

    /// Takes the longest settled prefix out of the window; it will be acknowledged.
    fn settle(&mut self) {
        while self
            .window
            .front()
            .is_some_and(|entry| entry.stage == Stage::Settled)
        {
            self.window.pop_front();
            self.acks = self.acks.saturating_add(1);
        }
    }

    /// Asks for all that the window allows.
    fn pull(&mut self, cx: &mut Cx<'_, Action<Fact>>) {
        if self.opens.is_some() || self.session.state() != IDLE {
            return;
        }
        while self.request_txs(cx) {
            let wanted = self.room().min(IDS_PER_REQUEST);
            if wanted > 0 {
                self.request_ids(cx, false, wanted);
            }
        }
        if self.asked.is_empty() && self.window.is_empty() {
            self.request_ids(cx, true, IDS_PER_REQUEST);
        }
    }

    /// Requests the oldest wanted bodies; says whether there were any.
    fn request_txs(&mut self, cx: &mut Cx<'_, Action<Fact>>) -> bool {
        let wanted = self.window.iter_mut();
        let ids: Vec<TxId> = wanted
            .filter(|entry| entry.stage == Stage::Wanted)
            .take(TXS_PER_REQUEST)
            .map(|entry| {
                entry.stage = Stage::Requested;
                entry.id.clone()
            })
            .collect();
        let count = u16::try_from(ids.len()).unwrap_or(u16::MAX);
        if count == 0 || self.session.say(cx, &Message::RequestTxs(ids)).is_err() {
            return false;
        }
        self.asked.push(Asked::Txs(count)).is_ok()
    }

    fn request_ids(&mut self, cx: &mut Cx<'_, Action<Fact>>, blocking: bool, wanted: u16) {
        let message = Message::RequestTxIds {
            blocking,
            acked: self.acks,
            wanted,
        };
        if self.session.say(cx, &message).is_ok() {
            self.acks = 0;
            let _ = self.asked.push(Asked::Ids(wanted));
        }
    }

    /// Ids that still fit the window when all that were asked for come.
    fn room(&self) -> u16 {
        let here = u16::try_from(self.window.len()).unwrap_or(u16::MAX);
        WINDOW.saturating_sub(here).saturating_sub(self.ids_asked())
    }

    fn ids_asked(&self) -> u16 {
        let ids = self.asked.iter().map(|asked| match asked {
            Asked::Ids(wanted) => *wanted,
            Asked::Txs(_) => 0,
        });
        ids.fold(0, u16::saturating_add)
    }

    fn in_stage(&self, stage: Stage) -> usize {
        let entries = self.window.iter();
        entries.filter(|entry| entry.stage == stage).count()
    }
}

impl Machine for Server {
    type Event = Event<Order>;
    type Action = Action<Fact>;

    fn step(&mut self, cx: &mut Cx<'_, Action<Fact>>, event: Event<Order>) {
        if self.session.is_over() {
            return;
        }
        match event {
            Event::Start => self.session.start(cx.now, cx.choice),
            Event::Received(bytes) => {
                if let Some(message) = self.session.hear(cx, &bytes) {
                    self.on_message(cx, message);
                }
            }
            Event::Order(Order::Wanted(ids)) => self.on_wanted(cx, &ids),
            // Only the client can say goodbye.
            Event::Stop => {}
            Event::Tick => {
                self.session.tick(cx);
                if self.opens.is_some_and(|opens| opens <= cx.now) && !self.session.is_over() {
                    self.opens = None;
                    self.pull(cx);
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.session.is_over() {
            return None;
        }
        soonest(self.session.next_deadline(), self.opens)
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        self.session.check_invariants()?;
        if self.session.is_over() {
            return Ok(());
        }
        let (machine, max) = (SPEC.name, usize::from(WINDOW));
        let blocking = usize::from(self.session.state() == TX_IDS_BLOCKING);
        let judging: u16 = self.judging.iter().sum();
        let requested = self.asked.iter().map(|asked| match asked {
            Asked::Ids(_) => 0,
            Asked::Txs(count) => usize::from(*count),
        });
        violated(
            self.window.len() + usize::from(self.ids_asked()) <= max,
            machine,
            11,
            "the ids in the window and the ids asked for are at most the window",
        )?;
        violated(
            self.window
                .front()
                .is_none_or(|entry| entry.stage != Stage::Settled),
            machine,
            12,
            "the oldest id in the window is not settled",
        )?;
        violated(
            self.asked.len() == self.session.outstanding() + blocking,
            machine,
            13,
            "the open questions are those that the session awaits",
        )?;
        violated(
            self.in_stage(Stage::Judging) == usize::from(judging),
            machine,
            14,
            "as many ids are being judged as were announced to the owner",
        )?;
        violated(
            self.in_stage(Stage::Requested) == requested.sum::<usize>(),
            machine,
            15,
            "as many ids are requested as the open requests for bodies ask for",
        )
    }
}

impl Half for Server {
    type Order = Order;
    type Fact = Fact;
    const SPEC: &'static Spec = TxSubmission::SPEC;

    fn awaits(&self) -> Option<usize> {
        self.session.awaits()
    }
}
