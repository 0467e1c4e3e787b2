//! Counts tasks, so that one can wait until none is left.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// How many tasks live.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    count: AtomicUsize,
    none_left: Notify,
}

/// One of them; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Tally>);

impl Tally {
    pub(crate) fn enter(self: &Arc<Self>) -> Counted {
        self.count.fetch_add(1, Ordering::SeqCst);
        Counted(Arc::clone(self))
    }

    /// Waits until none is left.
    pub(crate) async fn empty(&self) {
        loop {
            let mut none_left = std::pin::pin!(self.none_left.notified());
            none_left.as_mut().enable();
            if self.count.load(Ordering::SeqCst) == 0 {
                return;
            }
            none_left.await;
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.none_left.notify_waiters();
        }
    }
}
