//! An application on the toy chain that keeps what it gets and remembers what it was told.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Mutex,
    time::Duration,
};

use bytes::Bytes;
use samanea_core::{
    base::{Instant, Point, Rules, Ticket, TxId},
    chain::{Answer, Question, Verdict},
    manager::Counters,
    node::Notice,
};
use samanea_sim::toy::{self, ToyRules};
use samanea_std::Application;
use tokio::{sync::Notify, time::timeout};

/// Blocks, transactions and notices of one node.
pub(crate) struct Shelf {
    kept: Mutex<Kept>,
    told: Notify,
    patience: Duration,
}

#[derive(Default)]
struct Kept {
    bodies: BTreeMap<Point, Bytes>,
    /// To give away.
    txs: BTreeMap<TxId, Bytes>,
    /// Taken from others.
    offered: BTreeMap<TxId, Bytes>,
    notices: VecDeque<Notice>,
    ups: usize,
    counters: Counters,
}

impl Shelf {
    /// An empty one; nothing is waited for longer than `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            kept: Mutex::default(),
            told: Notify::new(),
            patience,
        }
    }

    pub(crate) fn put(&self, block: &toy::Block) {
        let mut kept = self.kept.lock().unwrap();
        kept.bodies.insert(block.view.point, block.body.clone());
    }

    pub(crate) fn put_tx(&self, id: &TxId, tx: &Bytes) {
        self.kept.lock().unwrap().txs.insert(id.clone(), tx.clone());
    }

    pub(crate) fn body(&self, point: Point) -> Option<Bytes> {
        self.kept.lock().unwrap().bodies.get(&point).cloned()
    }

    /// The transactions taken from others, once there are `count`.
    pub(crate) async fn offered(&self, count: usize) -> BTreeMap<TxId, Bytes> {
        let found = timeout(self.patience, async {
            loop {
                let told = self.told.notified();
                let offered = self.kept.lock().unwrap().offered.clone();
                if offered.len() >= count {
                    return offered;
                }
                told.await;
            }
        });
        found.await.unwrap()
    }

    /// The first notice, of those not waited past, that fits.
    pub(crate) async fn wait(&self, fits: impl Fn(&Notice) -> bool) -> Notice {
        let mut passed = Vec::new();
        let found = timeout(self.patience, async {
            loop {
                let told = self.told.notified();
                while let Some(notice) = self.next() {
                    if fits(&notice) {
                        return notice;
                    }
                    passed.push(notice);
                }
                told.await;
            }
        });
        let found = found.await;
        found.unwrap_or_else(|_| panic!("not among {passed:#?}"))
    }

    /// Waits until the counters of the connections, as last told, fit.
    pub(crate) async fn counted(&self, fits: impl Fn(&Counters) -> bool) {
        let counted = timeout(self.patience, async {
            loop {
                let told = self.told.notified();
                if fits(&self.kept.lock().unwrap().counters) {
                    return;
                }
                told.await;
            }
        });
        let counted = counted.await;
        assert!(counted.is_ok(), "{:?}", self.kept.lock().unwrap().counters);
    }

    /// How many handshakes succeeded so far.
    pub(crate) fn ups(&self) -> usize {
        self.kept.lock().unwrap().ups
    }

    fn next(&self) -> Option<Notice> {
        self.kept.lock().unwrap().notices.pop_front()
    }
}

impl Application for Shelf {
    fn rules(&self) -> &dyn Rules {
        &ToyRules
    }

    fn ask(&self, _: Ticket, question: Question) -> Option<Answer> {
        let mut kept = self.kept.lock().unwrap();
        Some(match question {
            Question::Load(points) => {
                let bodies = points.iter().map_while(|at| kept.bodies.get(at).cloned());
                Answer::Loaded(bodies.collect())
            }
            Question::Judge { view, block } => {
                kept.bodies.insert(view.point, block);
                Answer::Verdict(Verdict::Kept)
            }
            Question::Offer { id, tx } => {
                kept.offered.insert(id, tx);
                self.told.notify_one();
                Answer::Taken(true)
            }
            Question::Take(ids) => {
                let txs = ids.iter().filter_map(|id| kept.txs.get(id).cloned());
                Answer::Txs(txs.collect())
            }
        })
    }

    fn notice(&self, _: Instant, notice: &Notice) {
        let mut kept = self.kept.lock().unwrap();
        kept.ups += usize::from(matches!(notice, Notice::Up { .. }));
        if let Notice::Connections(counters) = notice {
            kept.counters = *counters;
        }
        kept.notices.push_back(notice.clone());
        drop(kept);
        self.told.notify_one();
    }
}
