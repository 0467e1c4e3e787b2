//! The application of a node: blocks and transactions in memory, and what is going on, for
//! whoever watches.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use samanea_core::{
    base::{HeaderView, Instant, Rules, Serial, Ticket, Tip, TxId},
    chain::{self, Answer, Question, Verdict},
    governor,
    node::Notice,
    rain,
};
use samanea_std::{Application, clock, gossip::Voice, topology::groups::to_name};
use tokio::sync::watch;
use tracing::{Span, debug, info, warn};

use crate::{
    Block,
    groups::Outbox,
    metrics::Measures,
    rules::{BlockFault, Eras, MemberEras, check_block},
    store::Store,
};

/// What is known of a node from its notices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The tip of its chain.
    pub tip: Tip,
    /// When it was reached.
    pub at: Instant,
    /// Blocks fetched from peers.
    pub fetched: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The other ends of its connections.
    pub peers: BTreeMap<Serial, SocketAddr>,
    /// Connections that ended and dials that failed.
    pub lost: u64,
    /// Why the last of them did.
    pub last_fault: Option<String>,
    /// Listening sockets that are lost.
    pub listeners_lost: usize,
    /// Times that what is known of peers should have been saved.
    pub saves_due: u64,
}

/// The application of one node.
#[derive(Debug)]
pub struct App {
    store: Store,
    pool: Pool,
    progress: watch::Sender<Progress>,
    measures: Arc<Measures>,
    /// Present when it takes part in structured gossip.
    member: Option<MemberEras>,
    outbox: Arc<Outbox>,
    /// What its log lines are told under.
    span: Span,
}

impl App {
    /// Keeps at most `blocks_max` blocks, inclusive.
    pub fn new(blocks_max: usize) -> Self {
        Self::within(Span::none(), blocks_max)
    }

    /// The same, with log lines that are told under `span`.
    pub fn within(span: Span, blocks_max: usize) -> Self {
        Self {
            span,
            store: Store::new(blocks_max),
            pool: Pool::default(),
            progress: watch::Sender::default(),
            measures: Arc::default(),
            member: None,
            outbox: Arc::default(),
        }
    }

    /// The same, that measures by a clock of slots.
    #[must_use]
    pub fn measuring(self, measures: Measures) -> Self {
        Self {
            measures: Arc::new(measures),
            ..self
        }
    }

    /// The same, with a voice in structured gossip.
    #[must_use]
    pub fn speaking(self, voice: Voice) -> Self {
        Self {
            member: Some(MemberEras(voice)),
            ..self
        }
    }

    /// What is measured along the way.
    pub const fn measures(&self) -> &Arc<Measures> {
        &self.measures
    }

    /// What comes of broadcasts.
    pub const fn outbox(&self) -> &Arc<Outbox> {
        &self.outbox
    }

    /// Keeps a block of our own, so that it can be served once the node knows its header.
    pub fn keep(&self, block: &Block) {
        self.store.keep(block.view.point, block.body.clone());
    }

    /// The blocks.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// What is going on, now and whenever it changes.
    pub fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    fn judge(&self, view: &HeaderView, block: Bytes) -> Verdict {
        match check_block(view, &block) {
            Ok(()) => {
                self.store.keep(view.point, block);
                Verdict::Kept
            }
            Err(fault) => {
                let wrong: BlockFault = fault;
                warn!(point = %view.point, %wrong, "block refused");
                Verdict::WrongBody
            }
        }
    }

    fn on_governor(&self, notice: &governor::Notice) {
        use governor::Notice;
        match notice {
            Notice::Trace(trace) => {
                debug!(?trace, "peers");
                self.measures.trace(trace);
            }
            Notice::SaveDue => self
                .progress
                .send_modify(|progress| progress.saves_due += 1),
            Notice::Trust(trust) => info!(?trust, "peers"),
            Notice::TargetsRefused(insane) => warn!(%insane, "targets refused"),
            Notice::RootsCut(count) => {
                warn!(
                    count,
                    "local roots beyond the target of known peers are left out"
                );
            }
            Notice::Stuck => warn!("untrusted peers cannot be let go: restart the node"),
            other => debug!(?other, "peers"),
        }
    }

    fn on_gossip(&self, notice: &rain::Notice) {
        use rain::Notice;
        match notice {
            Notice::Published { tag, id } => {
                info!(%id, "published");
                self.outbox.tell(*tag, Ok(*id));
            }
            Notice::Refused { tag, why } => {
                warn!(%why, "not published");
                self.outbox.tell(*tag, Err(*why));
            }
            Notice::Bridged { id, group, onward } => {
                info!(%id, group = to_name(group), %onward, "handed on");
            }
            Notice::Done { id, report } => debug!(%id, ?report, "message done"),
            Notice::OldView { group, epoch } => {
                warn!(
                    group = to_name(group),
                    epoch, "view ignored: not a later epoch"
                );
            }
            other => debug!(?other, "gossip"),
        }
    }

    fn on_chain(&self, now: Instant, notice: &chain::Notice) {
        match notice {
            chain::Notice::TipChanged { tip, common, from } => {
                let (block, point) = (tip.block_no, tip.point);
                if let Some(from) = from {
                    info!(block, %point, %from, "tip");
                } else {
                    debug!(block, %point, "tip of our own");
                }
                debug!(%common, "newest common point");
                self.progress.send_modify(|progress| {
                    progress.tip = *tip;
                    progress.at = now;
                });
            }
            chain::Notice::Fetched { from, point, bytes } => {
                debug!(%point, bytes, ?from, "block");
                self.progress.send_modify(|progress| {
                    progress.fetched += 1;
                    progress.bytes += bytes;
                });
            }
            chain::Notice::NoIntersection(from) => {
                warn!(?from, "peer has no point in common with our chain");
            }
            other => debug!(?other, "chain"),
        }
    }
}

impl Application for App {
    fn rules(&self) -> &dyn Rules {
        match &self.member {
            Some(rules) => rules,
            None => &Eras,
        }
    }

    fn ask(&self, _ticket: Ticket, question: Question) -> Option<Answer> {
        let _within = self.span.enter();
        Some(match question {
            Question::Load(points) => Answer::Loaded(self.store.load(&points)),
            Question::Judge { view, block } => Answer::Verdict(self.judge(&view, block)),
            Question::Offer { id, tx } => {
                Answer::Taken(Eras.tx_id(&tx).as_ref() == Some(&id) && self.pool.take(id, tx))
            }
            Question::Take(ids) => Answer::Txs(self.pool.give(&ids)),
        })
    }

    fn notice(&self, now: Instant, notice: &Notice) {
        let _within = self.span.enter();
        self.measures.notice(clock::wall(), notice);
        match notice {
            Notice::Up {
                conn,
                remote,
                dialled,
                agreed,
            } => {
                info!(?conn, %remote, dialled, version = agreed.version, "connected");
                self.progress.send_modify(|progress| {
                    progress.peers.insert(*conn, *remote);
                });
            }
            Notice::Down {
                conn,
                remote,
                fault,
            } => {
                info!(?conn, %remote, %fault, "connection ended");
                self.progress.send_modify(|progress| {
                    progress.peers.remove(conn);
                    progress.lost += 1;
                    progress.last_fault = Some(format!("{remote}: {fault}"));
                });
            }
            Notice::RoundTrip { conn, took } => debug!(?conn, ?took, "round trip"),
            Notice::PeerTip { conn, tip } => {
                debug!(?conn, block = tip.block_no, point = %tip.point, "peer's tip");
            }
            Notice::Chain(notice) => self.on_chain(now, notice),
            Notice::Governor(notice) => self.on_governor(notice),
            Notice::Delivered(delivery) => info!(
                group = to_name(&delivery.group),
                origin = %delivery.origin,
                id = %delivery.id,
                hops = delivery.hop,
                way = ?delivery.way,
                bytes = delivery.payload.len(),
                text = preview(&delivery.payload),
                "delivered"
            ),
            Notice::Gossip(notice) => self.on_gossip(notice),
            Notice::Member { key, conn } => {
                debug!(member = %key, linked = conn.is_some(), "member");
            }
            Notice::ListenerLost(listener) => {
                warn!(?listener, "no longer listening");
                self.progress
                    .send_modify(|progress| progress.listeners_lost += 1);
            }
            other => debug!(?other, "notice"),
        }
    }
}

/// The beginning of a payload, as far as it is text on one line.
fn preview(payload: &[u8]) -> String {
    let start = payload.get(..PREVIEW_BYTES).unwrap_or(payload);
    let text = match str::from_utf8(start) {
        Ok(text) => text,
        // Cut within a letter.
        Err(error) => {
            str::from_utf8(start.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
    };
    let plain = |letter: &char| !letter.is_control();
    text.chars().take_while(plain).collect()
}

/// How much of a payload is put into the log, in bytes.
const PREVIEW_BYTES: usize = 64;

/// Transactions that are passed on: those that were offered last. Nothing of them is validated
/// but that their ids are theirs.
#[derive(Debug, Default)]
struct Pool(Mutex<Txs>);

#[derive(Debug, Default)]
struct Txs {
    by_id: BTreeMap<TxId, Bytes>,
    /// Oldest first; the same ids as in `by_id`.
    order: VecDeque<TxId>,
}

/// Transactions kept at most, inclusive; the oldest go first. Guess, not measured.
const TXS_MAX: usize = 1_024;
/// The largest transaction that is taken, in bytes, inclusive.
/// src: Cardano mainnet protocol parameters, `maxTxSize`
const TX_BYTES_MAX: usize = 16_384;

impl Pool {
    fn take(&self, id: TxId, tx: Bytes) -> bool {
        let mut txs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tx.len() > TX_BYTES_MAX || txs.by_id.contains_key(&id) {
            return false;
        }
        if txs.order.len() >= TXS_MAX
            && let Some(oldest) = txs.order.pop_front()
        {
            txs.by_id.remove(&oldest);
        }
        txs.order.push_back(id.clone());
        txs.by_id.insert(id, tx);
        true
    }

    fn give(&self, ids: &[TxId]) -> Vec<Bytes> {
        let txs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ids.iter()
            .filter_map(|id| txs.by_id.get(id).cloned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use samanea_core::base::Hash32;

    use super::*;
    use crate::{generate::Recipe, rules::local};

    fn ticket() -> Ticket {
        Ticket(0)
    }

    #[test]
    fn only_the_right_body_is_kept_and_served() {
        let app = App::new(10);
        let [one, two]: [Block; 2] = Recipe::default()
            .chain()
            .take(2)
            .collect::<Vec<_>>()
            .try_into()
            .unwrap();
        let judge = |view, block| app.ask(ticket(), Question::Judge { view, block });
        assert_eq!(
            judge(one.view, two.body.clone()),
            Some(Answer::Verdict(Verdict::WrongBody))
        );
        assert_eq!(
            judge(one.view, one.body.clone()),
            Some(Answer::Verdict(Verdict::Kept))
        );
        let load = Question::Load(vec![one.view.point, two.view.point]);
        assert_eq!(
            app.ask(ticket(), load),
            Some(Answer::Loaded(vec![one.body]))
        );
    }

    #[test]
    fn a_transaction_is_taken_once_under_its_own_id() {
        let app = App::new(10);
        let tx = local::wrap(b"a transaction");
        let id = Eras.tx_id(&tx).unwrap();
        let wrong = Eras.tx_id(&local::wrap(b"another")).unwrap();
        let offer = |id: &TxId| {
            let offer = Question::Offer {
                id: id.clone(),
                tx: tx.clone(),
            };
            app.ask(ticket(), offer)
        };
        assert_eq!(offer(&wrong), Some(Answer::Taken(false)));
        assert_eq!(offer(&id), Some(Answer::Taken(true)));
        assert_eq!(offer(&id), Some(Answer::Taken(false)));
        assert_eq!(
            app.ask(ticket(), Question::Take(vec![wrong, id])),
            Some(Answer::Txs(vec![tx]))
        );
    }

    #[test]
    fn a_full_pool_lets_the_oldest_go() {
        let pool = Pool::default();
        let id = |n: u32| Eras.tx_id(&local::wrap(&n.to_be_bytes())).unwrap();
        for n in 0..=u32::try_from(TXS_MAX).unwrap() {
            assert!(pool.take(id(n), Bytes::from_static(b"tx")));
        }
        assert!(pool.give(&[id(0)]).is_empty());
        assert_eq!(pool.give(&[id(1)]).len(), 1);
        assert!(!pool.take(id(0), vec![0; TX_BYTES_MAX + 1].into()));
    }

    #[test]
    fn progress_follows_the_notices() {
        let app = App::new(10);
        let tip = Tip {
            point: samanea_core::base::Point::Block {
                slot: 5,
                hash: Hash32([1; 32]),
            },
            block_no: 4,
        };
        app.notice(
            Instant::from_micros(9),
            &Notice::Chain(chain::Notice::TipChanged {
                tip,
                common: samanea_core::base::Point::Origin,
                from: None,
            }),
        );
        let progress = app.watch().borrow().clone();
        assert_eq!((progress.tip, progress.at), (tip, Instant::from_micros(9)));
    }
}
