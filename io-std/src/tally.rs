//! Counts threads, so that one can wait until none is left.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How many threads live.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    count: Mutex<usize>,
    none_left: Condvar,
}

/// One of them; counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Arc<Tally>);

impl Tally {
    pub(crate) fn enter(self: &Arc<Self>) -> Counted {
        *self.count() += 1;
        Counted(Arc::clone(self))
    }

    /// Waits until none is left.
    pub(crate) fn wait(&self) {
        let count = self.count();
        let none = self.none_left.wait_while(count, |count| *count > 0);
        drop(none.unwrap_or_else(PoisonError::into_inner));
    }

    /// The same, but not for longer than `patience`: false when some are left.
    pub(crate) fn wait_for(&self, patience: Duration) -> bool {
        let count = self.count();
        let waited = self
            .none_left
            .wait_timeout_while(count, patience, |count| *count > 0);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    fn count(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut count = self.0.count();
        *count -= 1;
        if *count == 0 {
            self.0.none_left.notify_all();
        }
    }
}
