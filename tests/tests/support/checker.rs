//! The same models under another model checker.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::Arc,
};

use samanea_sim::explore::Model;
use stateright::{Checker, Property};

/// What the other checker found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Second {
    /// Different states.
    pub(crate) states: u64,
    /// Initial states and transitions.
    pub(crate) generated: u64,
    /// Whether a state fails its check.
    pub(crate) broken: bool,
}

/// Explores `model` with the other checker, on one thread.
pub(crate) fn second<M>(model: M, states: u32) -> Second
where
    M: Model + Send + Sync + 'static,
    M::State: Send + Sync + 'static,
    M::Act: PartialEq + Send + Sync + 'static,
{
    let checker = stateright::Model::checker(Adapter(model))
        .threads(1)
        .target_state_count(usize::try_from(states).unwrap())
        .spawn_bfs()
        .join();
    Second {
        states: checker.unique_state_count() as u64,
        generated: checker.state_count() as u64,
        broken: checker.discovery(ALWAYS).is_some(),
    }
}

const ALWAYS: &str = "every check holds";

struct Adapter<M>(M);

/// A state known by its canonical bytes alone.
struct Named<S> {
    bytes: Vec<u8>,
    broken: bool,
    state: Arc<S>,
}

impl<M: Model> Adapter<M> {
    fn name(&self, state: M::State) -> Named<M::State> {
        let broken = self.0.check(&state).is_err();
        let mut bytes = vec![u8::from(broken)];
        self.0.canonical(&state, &mut bytes);
        Named {
            bytes,
            broken,
            state: Arc::new(state),
        }
    }
}

impl<M> stateright::Model for Adapter<M>
where
    M: Model,
{
    type State = Named<M::State>;
    type Action = M::Act;

    fn init_states(&self) -> Vec<Self::State> {
        self.0.init().into_iter().map(|s| self.name(s)).collect()
    }

    fn actions(&self, state: &Self::State, out: &mut Vec<M::Act>) {
        self.0.acts(&state.state, out);
    }

    fn next_state(&self, last: &Self::State, act: M::Act) -> Option<Self::State> {
        self.0.next(&last.state, &act).map(|s| self.name(s))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always(ALWAYS, |_: &Self, s: &Self::State| {
            !s.broken
        })]
    }
}

impl<S> Clone for Named<S> {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            broken: self.broken,
            state: Arc::clone(&self.state),
        }
    }
}

impl<S> fmt::Debug for Named<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x?}", self.bytes)
    }
}

impl<S> PartialEq for Named<S> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<S> Hash for Named<S> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.bytes.hash(hasher);
    }
}
