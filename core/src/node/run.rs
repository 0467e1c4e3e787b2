//! The machine with its chance and its clock: what drivers hold behind one lock.

use alloc::vec::Vec;

use super::{Action, Event};
use crate::base::{Cx, Instant, Machine, Rules, Seeded, Violated};

/// A machine over node events, the seeded source of its chance, and the last time it was told.
///
/// The whole of it is state: a clone or a restored snapshot goes on exactly as the original.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Node<M> {
    machine: M,
    choice: Seeded,
    now: Instant,
}

impl<M: Machine<Event = Event, Action = Action>> Node<M> {
    /// Puts a machine at time zero, with chance that follows from `seed`.
    pub const fn new(machine: M, seed: u64) -> Self {
        Self {
            machine,
            choice: Seeded::new(seed),
            now: Instant::ZERO,
        }
    }

    /// Feeds one event at `now` (an earlier time than the last counts as the last) and appends
    /// what must be done to `out`, in order.
    pub fn step(&mut self, now: Instant, rules: &dyn Rules, event: Event, out: &mut Vec<Action>) {
        self.now = self.now.max(now);
        self.machine
            .step(&mut Cx::new(self.now, &mut self.choice, rules, out), event);
    }

    /// The earliest time at which [`Event::Tick`] would change something.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.machine.next_deadline()
    }

    /// The time of the last step.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// The seed of its chance.
    pub const fn seed(&self) -> u64 {
        self.choice.seed()
    }

    /// The machine, to look at.
    pub const fn machine(&self) -> &M {
        &self.machine
    }

    /// Checks every invariant.
    pub fn check_invariants(&self) -> Result<(), Violated> {
        self.machine.check_invariants()
    }
}

/// Sees every event before it is fed and every action that follows; a tape writer is one.
pub trait Tap: Send {
    /// An event is about to be fed.
    fn event(&mut self, now: Instant, event: &Event);
    /// The actions that followed from it, possibly none.
    fn actions(&mut self, actions: &[Action]);
}
