//! The application of a simulated host: keeps bodies, judges them, gives and takes transactions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use samanea_core::{
    base::{Hash32, Point, Tip, TxId},
    chain::{Answer, Question, Verdict},
};

use crate::toy::Block;

/// All blocks that were ever made in a world, by hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry(BTreeMap<Hash32, Block>);

impl Registry {
    /// Remembers a block.
    pub fn add(&mut self, block: Block) {
        if let Some(hash) = block.view.point.hash() {
            self.0.insert(hash, block);
        }
    }

    /// The block at a point.
    pub fn get(&self, point: &Point) -> Option<&Block> {
        self.0
            .get(&point.hash()?)
            .filter(|block| block.view.point == *point)
    }
}

/// One host's application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Application {
    kept: BTreeSet<Hash32>,
    txs: BTreeMap<TxId, Bytes>,
    /// The chain that this host's machine says is its own.
    pub tip: Tip,
    /// The next this many verdicts are that the application failed.
    pub failing: u32,
    /// Bodies judged and kept.
    pub judged: u64,
    /// Bodies given.
    pub served: u64,
    /// Transactions taken from peers.
    pub taken: u64,
}

impl Application {
    /// The host has made this block itself.
    pub fn keep(&mut self, point: &Point) {
        self.kept.extend(point.hash());
    }

    /// The host has this transaction to give away.
    pub fn hold(&mut self, id: TxId, tx: Bytes) {
        self.txs.insert(id, tx);
    }

    /// Whether it holds this transaction.
    pub fn holds(&self, id: &TxId) -> bool {
        self.txs.contains_key(id)
    }

    /// Answers a question.
    pub fn answer(&mut self, question: Question, registry: &Registry) -> Answer {
        match question {
            Question::Load(points) => Answer::Loaded(self.load(&points, registry)),
            Question::Judge { view, block } => {
                Answer::Verdict(self.judge(&view.point, &block, registry))
            }
            Question::Offer { id, tx } => {
                let news = self.txs.insert(id, tx).is_none();
                self.taken += u64::from(news);
                Answer::Taken(news)
            }
            Question::Take(ids) => Answer::Txs(
                ids.iter()
                    .filter_map(|id| self.txs.get(id).cloned())
                    .collect(),
            ),
        }
    }

    fn load(&mut self, points: &[Point], registry: &Registry) -> Vec<Bytes> {
        let bodies: Vec<_> = points
            .iter()
            .map_while(|point| {
                let block = registry.get(point)?;
                self.has(point).then(|| block.body.clone())
            })
            .collect();
        self.served += u64::try_from(bodies.len()).unwrap_or(u64::MAX);
        bodies
    }

    fn judge(&mut self, point: &Point, body: &Bytes, registry: &Registry) -> Verdict {
        if self.failing > 0 {
            self.failing -= 1;
            return Verdict::Failed;
        }
        match registry.get(point) {
            Some(block) if block.body == *body => {
                self.judged += 1;
                self.keep(point);
                Verdict::Kept
            }
            Some(_) | None => Verdict::WrongBody,
        }
    }

    fn has(&self, point: &Point) -> bool {
        point.hash().is_some_and(|hash| self.kept.contains(&hash))
    }

    /// Whether a chain may end at `tip`: each block is known, numbered in order and kept here.
    /// Walks back to `common` or to the first block.
    pub fn accepts(&self, tip: &Tip, common: &Point, registry: &Registry) -> bool {
        let mut at = *tip;
        loop {
            if at.point == *common || at.is_empty() {
                return true;
            }
            let Some(block) = registry.get(&at.point) else {
                return false;
            };
            if block.view.block_no != at.block_no || !self.has(&at.point) {
                return false;
            }
            let Some(prev) = block.view.prev else {
                return *common == Point::Origin;
            };
            let Some(before) = registry.0.get(&prev) else {
                return false;
            };
            at = before.tip();
        }
    }
}
