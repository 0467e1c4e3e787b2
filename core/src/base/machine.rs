//! The one shape of everything that decides: *(state, event) → (state, actions)*.

use alloc::vec::Vec;

use super::{Choice, Instant, Rules};

/// A pure state machine.
///
/// Laws that every implementation keeps:
/// 1. `step` is total: it never panics, whatever the state and the event.
/// 2. Only the machine's tick event fires timers; after a tick at `now`,
///    [`next_deadline`](Machine::next_deadline) is later than `now` or `None`. An early tick
///    changes nothing; a tick may be arbitrarily late.
/// 3. Equal history gives equal state and equal actions on every platform.
pub trait Machine {
    /// All that the machine can be told.
    type Event;
    /// All that the machine can ask for.
    type Action;

    /// Takes one event; appends actions to `cx` in the order in which they must be carried out.
    fn step(&mut self, cx: &mut Cx<'_, Self::Action>, event: Self::Event);

    /// The earliest time at which a tick would change something; `None` = only events wake it.
    fn next_deadline(&self) -> Option<Instant>;

    /// Checks every documented invariant, cheap ones first.
    fn check_invariants(&self) -> Result<(), Violated>;

    /// The pure form of [`step`](Machine::step).
    fn stepped(
        mut self,
        now: Instant,
        choice: &mut dyn Choice,
        rules: &dyn Rules,
        event: Self::Event,
    ) -> (Self, Vec<Self::Action>)
    where
        Self: Sized,
    {
        let mut out = Vec::new();
        self.step(&mut Cx::new(now, choice, rules, &mut out), event);
        (self, out)
    }
}

/// What a step may use: the time, chance, the application's quick rules, and the list of actions.
pub struct Cx<'a, A> {
    /// The time of this step; never earlier than that of the step before.
    pub now: Instant,
    /// The only source of chance.
    pub choice: &'a mut dyn Choice,
    /// Pure and quick questions to the application.
    pub rules: &'a dyn Rules,
    out: &'a mut Vec<A>,
}

impl<'a, A> Cx<'a, A> {
    /// A context that appends to `out`.
    pub fn new(
        now: Instant,
        choice: &'a mut dyn Choice,
        rules: &'a dyn Rules,
        out: &'a mut Vec<A>,
    ) -> Self {
        Self {
            now,
            choice,
            rules,
            out,
        }
    }

    /// Asks for one action.
    pub fn act(&mut self, action: A) {
        self.out.push(action);
    }

    /// A context for a child machine whose actions go to `out`.
    pub fn child<'b, B>(&'b mut self, out: &'b mut Vec<B>) -> Cx<'b, B> {
        Cx {
            now: self.now,
            choice: &mut *self.choice,
            rules: self.rules,
            out,
        }
    }
}

/// A broken invariant: which one, by its number in the machine's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{machine}: invariant {number} does not hold: {text}")]
pub struct Violated {
    /// The machine's name.
    pub machine: &'static str,
    /// The number in the machine's list of invariants.
    pub number: u16,
    /// The invariant in words.
    pub text: &'static str,
}

/// `Ok` when `holds`, else the named invariant.
pub fn violated(
    holds: bool,
    machine: &'static str,
    number: u16,
    text: &'static str,
) -> Result<(), Violated> {
    if holds {
        Ok(())
    } else {
        Err(Violated {
            machine,
            number,
            text,
        })
    }
}
