//! Blocks in memory, by point.
//!
//! Holds reference-counted bytes: keeping and serving a block copies nothing. When more than the
//! maximum are kept, those with the lowest slots go first.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use samanea_core::base::Point;

/// A bounded store of blocks that many tasks share.
#[derive(Debug)]
pub struct Store {
    blocks_max: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    blocks: BTreeMap<Point, Bytes>,
    bytes: u64,
}

impl Store {
    /// An empty store for at most `blocks_max` blocks, inclusive.
    pub fn new(blocks_max: usize) -> Self {
        Self {
            blocks_max,
            inner: Mutex::default(),
        }
    }

    /// Keeps a block (the bytes inside tag 24) under its point. A full store lets go of the block
    /// with the lowest slot, which may be this one.
    pub fn keep(&self, point: Point, block: Bytes) {
        let mut inner = self.lock();
        inner.bytes += len(&block);
        if let Some(before) = inner.blocks.insert(point, block) {
            inner.bytes -= len(&before);
        }
        while inner.blocks.len() > self.blocks_max {
            let Some((_, oldest)) = inner.blocks.pop_first() else {
                break;
            };
            inner.bytes -= len(&oldest);
        }
    }

    /// The blocks at these points in this order, as far as they are here: it ends before the
    /// first that is missing.
    pub fn load(&self, points: &[Point]) -> Vec<Bytes> {
        let inner = self.lock();
        points
            .iter()
            .map_while(|point| inner.blocks.get(point).cloned())
            .collect()
    }

    /// How many blocks are kept.
    pub fn len(&self) -> usize {
        self.lock().blocks.len()
    }

    /// Whether no block is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes the kept blocks have.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// Every change is complete before the lock is let go, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn len(block: &Bytes) -> u64 {
    u64::try_from(block.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use samanea_core::base::Hash32;

    use super::*;

    fn point(slot: u64) -> Point {
        Point::Block {
            slot,
            hash: Hash32([7; 32]),
        }
    }

    #[test]
    fn loading_ends_before_the_first_missing_block() {
        let store = Store::new(8);
        for slot in [1, 2, 4] {
            store.keep(
                point(slot),
                Bytes::from(vec![0; usize::try_from(slot).unwrap()]),
            );
        }
        let loaded = store.load(&[point(2), point(1), point(3), point(4)]);
        assert_eq!(loaded.iter().map(Bytes::len).collect::<Vec<_>>(), [2, 1]);
        assert_eq!((store.len(), store.bytes()), (3, 7));
    }

    #[test]
    fn a_full_store_lets_the_lowest_slots_go() {
        let store = Store::new(2);
        for slot in 1..=5 {
            store.keep(point(slot), Bytes::from_static(b"block"));
        }
        assert_eq!((store.len(), store.bytes()), (2, 10));
        assert!(store.load(&[point(3)]).is_empty());
        assert_eq!(store.load(&[point(4), point(5)]).len(), 2);
    }

    #[test]
    fn keeping_a_block_twice_counts_it_once() {
        let store = Store::new(2);
        store.keep(point(1), Bytes::from_static(b"block"));
        store.keep(point(1), Bytes::from_static(b"again"));
        assert_eq!((store.len(), store.bytes()), (1, 5));
    }

    #[test]
    fn serving_shares_the_bytes() {
        let store = Store::new(2);
        let block = Bytes::from(vec![1, 2, 3]);
        store.keep(point(1), block.clone());
        let [served] = store.load(&[point(1)]).try_into().unwrap();
        assert_eq!(served.as_ptr(), block.as_ptr());
    }
}
