//! The machine: which room an event belongs to.

use core::time::Duration;

use super::{
    Action, Answer, Config, Event, Notice, Order, Question, Verdict,
    candidates::Candidates,
    fetch::Fetch,
    followers::Followers,
    index::Index,
    serve::Serve,
    tickets::{Asked, Tickets},
    tips::Tips,
    txs::Txs,
};
use crate::{
    base::{
        Choice, Cx, Deadlines, Instant, Machine, ProtocolId, Serial, Site, Ticket, Tip, Violated,
        violated,
    },
    proto::{chain_sync, tip_sample},
};

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Timer {
    /// Bodies may be fetched again.
    Fetch,
    /// Bodies may be fetched from this peer again.
    Rest(Serial),
    /// A common point may be looked for again.
    Follow(Serial),
}

/// The chain: a [`Machine`] over [`Event`] and [`Action`].
///
/// Invariants: 1. never more candidates than peers allowed; 2. every body that is due has a place
/// among the questions; 3. never more headers than allowed; then those of its rooms.
///
/// ```
/// use samanea_core::chain::{Chain, Config};
///
/// let chain = Chain::new(Config::default());
/// assert!(chain.tip().is_empty());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Chain {
    pub(super) config: Config,
    /// Whether the keys of the tables are drawn.
    keyed: bool,
    pub(super) index: Index,
    pub(super) candidates: Candidates,
    pub(super) fetch: Fetch,
    pub(super) followers: Followers,
    pub(super) serve: Serve,
    pub(super) txs: Txs,
    pub(super) tips: Tips,
    pub(super) tickets: Tickets,
    pub(super) timers: Deadlines<Timer>,
    /// Whether any candidate is paused.
    pub(super) paused: bool,
    pub(super) ignored: u64,
    pub(super) served: Served,
}

/// What was given to followers since the start; no decision depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Served {
    /// Headers, one for each follower.
    pub headers: u64,
    /// Blocks, one for each peer that fetched it.
    pub blocks: u64,
}

impl Chain {
    /// An empty chain.
    pub fn new(config: Config) -> Self {
        Self {
            keyed: false,
            index: Index::new(config.start, config.k, config.headers_max),
            candidates: Candidates::default(),
            fetch: Fetch::new(config.fetch_peers_max.max(1), config.peers_max),
            followers: Followers::default(),
            serve: Serve::default(),
            txs: Txs::new(config.txs_max),
            tips: Tips::default(),
            tickets: Tickets::new(config.tickets_max),
            timers: Deadlines::new(),
            paused: false,
            ignored: 0,
            served: Served::default(),
            config,
        }
    }

    /// The end of our chain: the last block whose body the application keeps, as all before it.
    pub const fn tip(&self) -> Tip {
        self.index.tip()
    }

    /// The settings.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Headers known, on our chain and beside it.
    pub fn headers(&self) -> usize {
        self.index.len()
    }

    /// Bodies asked of peers that have not come yet.
    pub const fn bodies_due(&self) -> usize {
        self.fetch.due()
    }

    /// Questions to the application that are open.
    pub fn questions(&self) -> usize {
        self.tickets.len()
    }

    /// The tip that a peer told last, while it is followed.
    pub fn peer_tip(&self, conn: Serial) -> Option<Tip> {
        self.candidates
            .get(conn)
            .map(|candidate| candidate.tip)
            .filter(|tip| !tip.is_empty())
    }

    /// Events that found nothing to do: of connections that are gone, headers that do not fit.
    pub const fn ignored(&self) -> u64 {
        self.ignored
    }

    /// What was given to followers.
    pub const fn served(&self) -> Served {
        self.served
    }

    /// Tells a follower, and counts it.
    pub(super) fn tell(
        &mut self,
        cx: &mut Cx<'_, Action>,
        conn: Serial,
        order: chain_sync::server::Order,
    ) {
        if matches!(order, chain_sync::server::Order::Forward { .. }) {
            self.served.headers = self.served.headers.saturating_add(1);
        }
        cx.act(Action::Order(conn, Order::ChainServe(order)));
    }

    pub(super) const fn ignore(&mut self) {
        self.ignored = self.ignored.saturating_add(1);
    }

    fn draw_keys(&mut self, choice: &mut dyn Choice) {
        let mut word = || {
            let mut half = || u64::from(choice.below(Site::SLOTS_KEY, 0, u32::MAX));
            half() << 32 | half()
        };
        self.index.key((word(), word()));
        self.txs.key((word(), word()));
        self.keyed = true;
    }

    fn on_tick(&mut self, cx: &mut Cx<'_, Action>) {
        let mut again = false;
        while let Some(timer) = self.timers.pop_due(cx.now) {
            match timer {
                Timer::Fetch => {
                    self.fetch.held = false;
                    again = true;
                }
                Timer::Rest(conn) => {
                    self.fetch.rest(conn, false);
                    again = true;
                }
                Timer::Follow(conn) => self.find(cx, conn),
            }
        }
        if again {
            self.fetch_all(cx);
        }
    }

    fn on_gone(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        self.on_unfollow(cx, conn);
        self.followers.remove(conn);
        self.serve.remove(conn);
        self.tips.remove(conn);
        self.txs.stop_pull(conn);
        self.fetch.forget(conn);
    }

    fn on_serve_stopped(&mut self, conn: Serial, protocol: ProtocolId) {
        match protocol {
            ProtocolId::CHAIN_SYNC => self.followers.remove(conn),
            ProtocolId::BLOCK_FETCH => self.serve.remove(conn),
            ProtocolId::TX_SUBMISSION => self.txs.stop_pull(conn),
            ProtocolId::TIP_SAMPLE => self.tips.remove(conn),
            _ => self.ignore(),
        }
    }

    fn on_chain_serve(
        &mut self,
        cx: &mut Cx<'_, Action>,
        conn: Serial,
        fact: chain_sync::server::Fact,
    ) {
        use chain_sync::server::Fact;
        let max = self.config.peers_max;
        let order = match fact {
            Fact::FindIntersect(points) => self.followers.find(&self.index, conn, max, &points),
            Fact::RequestNext => self.followers.next(&self.index, conn, max),
        };
        match order {
            Some(order) => self.tell(cx, conn, order),
            None => self.ignore(),
        }
    }

    fn on_round_trip(&mut self, now: Instant, conn: Serial, took: Duration) {
        self.fetch.sample(conn, now, took);
    }

    fn on_tip_tell(
        &mut self,
        cx: &mut Cx<'_, Action>,
        conn: Serial,
        fact: &tip_sample::server::Fact,
    ) {
        let tip_sample::server::Fact::Asked { count, slot } = *fact;
        let tip = self.index.tip();
        let max = self.config.peers_max;
        if self.tips.ask(conn, count, slot, &tip, max) {
            let order = tip_sample::server::Order::Tip(tip);
            cx.act(Action::Order(conn, Order::TipTell(order)));
        }
    }

    fn on_answer(&mut self, cx: &mut Cx<'_, Action>, ticket: Ticket, answer: Answer) {
        let Some(asked) = self.tickets.close(ticket) else {
            self.ignore();
            return;
        };
        match (asked, answer) {
            (Asked::Judge { from, hash, bytes }, answer) => {
                let verdict = match answer {
                    Answer::Verdict(verdict) => verdict,
                    Answer::Loaded(_) | Answer::Taken(_) | Answer::Txs(_) => Verdict::Failed,
                };
                self.on_verdict(cx, from, &hash, bytes, verdict);
            }
            (Asked::Load(conn), Answer::Loaded(bodies)) => {
                self.on_loaded(cx, conn, ticket, bodies);
            }
            (Asked::Load(conn), _) => self.on_loaded(cx, conn, ticket, alloc::vec![]),
            (Asked::Offer { id, bytes }, answer) => {
                let accepted = matches!(answer, Answer::Taken(true));
                self.on_taken(cx, id, bytes, accepted);
            }
            (Asked::Take(conn), Answer::Txs(txs)) => self.give_txs(cx, conn, txs),
            (Asked::Take(conn), _) => self.give_txs(cx, conn, alloc::vec![]),
        }
        while let Some(conn) = self.serve.pop_stalled() {
            if !self.load(cx, conn) {
                break;
            }
        }
        if self.fetch.starved && self.tickets.room_for_bodies(self.fetch.due()) > 0 {
            self.fetch_all(cx);
        }
    }

    /// Asks the application, when a question has a place.
    pub(super) fn ask(
        &mut self,
        cx: &mut Cx<'_, Action>,
        asked: Asked,
        question: Question,
    ) -> Option<Ticket> {
        let ticket = self.tickets.ask(asked)?;
        cx.act(Action::Ask(ticket, question));
        Some(ticket)
    }
}

impl Machine for Chain {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        if !self.keyed && event != Event::Tick {
            self.draw_keys(cx.choice);
        }
        match event {
            Event::Follow(conn) => self.on_follow(cx, conn),
            Event::Unfollow(conn) => self.on_unfollow(cx, conn),
            Event::Gone(conn) => self.on_gone(cx, conn),
            Event::ChainSync(conn, fact) => self.on_chain_sync(cx, conn, fact),
            Event::ChainServe(conn, fact) => self.on_chain_serve(cx, conn, fact),
            Event::BlockFetch(conn, fact) => self.on_block_fetch(cx, conn, fact),
            Event::BlockServe(conn, fact) => self.on_block_serve(cx, conn, &fact),
            Event::BlockServeFull(conn) => self.serve.level(conn, true),
            Event::BlockServeRoom(conn) => {
                self.serve.level(conn, false);
                self.load(cx, conn);
            }
            Event::ServeStopped(conn, protocol) => self.on_serve_stopped(conn, protocol),
            Event::TxSupply(conn, fact) => self.on_tx_supply(cx, conn, fact),
            Event::TxPull(conn, fact) => self.on_tx_pull(cx, conn, fact),
            Event::TipAsk(from, tip_sample::client::Fact::Sampled { tip, left }) => {
                cx.act(Action::Notice(Notice::TipSampled { from, tip, left }));
            }
            Event::TipTell(conn, fact) => self.on_tip_tell(cx, conn, &fact),
            Event::RoundTrip(conn, took) => self.on_round_trip(cx.now, conn, took),
            Event::Extend { header } => self.on_extend(cx, &header),
            Event::Submit { id, bytes } => self.on_taken(cx, id, bytes, true),
            Event::Answer(ticket, answer) => self.on_answer(cx, ticket, answer),
            Event::Tick => self.on_tick(cx),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        let name = "chain";
        let few = self.candidates.len() <= self.config.peers_max;
        violated(few, name, 1, "never more candidates than peers")?;
        let places = self.tickets.len() + self.fetch.due() <= self.config.tickets_max.max(4);
        violated(places, name, 2, "every body that is due has a place")?;
        let held = self.index.len() <= self.config.headers_max;
        violated(held, name, 3, "never more headers than the maximum")?;
        self.tickets.check_invariants()?;
        self.fetch.check_invariants()?;
        self.txs.check_invariants()?;
        self.timers.check_invariants()?;
        self.followers.check_invariants(&self.index)?;
        self.candidates.check_invariants(&self.index)?;
        self.index.check_invariants()
    }
}
