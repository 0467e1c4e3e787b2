//! What can be wrong with a run.

use samanea_core::{
    base::{Instant, Violated},
    conn::Fault,
};

/// A broken law or invariant: where, when and which.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("host {host} at {at:?} after {steps} steps: {breach}")]
pub struct Broken {
    /// The host, by its place in the world.
    pub host: usize,
    /// Virtual time.
    pub at: Instant,
    /// Steps of all machines so far.
    pub steps: u64,
    /// Which law.
    pub breach: Breach,
}

/// Which law or invariant is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// An invariant of the machine.
    #[error("{0}")]
    Invariant(#[from] Violated),
    /// After a tick at `now` the next deadline is not later than `now`.
    #[error("after a tick the next deadline is {deadline:?}, not later")]
    Deadline {
        /// The deadline.
        deadline: Instant,
    },
    /// A tick before the deadline changed something.
    #[error("an early tick changed the state or asked for {actions} actions")]
    EarlyTick {
        /// Actions that it asked for.
        actions: usize,
    },
    /// Two equal machines went different ways with the same event.
    #[error("equal machines differ after {event}")]
    Impure {
        /// The event.
        event: String,
    },
    /// An action that no driver can carry out.
    #[error("a driver cannot do this: {0}")]
    Contract(&'static str),
    /// More bytes handed to the driver and not yet flushed than the window allows.
    #[error("{bytes} bytes written and not flushed")]
    Window {
        /// Bytes.
        bytes: u64,
    },
    /// Steps without time passing.
    #[error("{steps} steps at the same instant")]
    Storm {
        /// How many.
        steps: u64,
    },
    /// A tip that the application cannot have accepted.
    #[error("the tip {0} stands on a block that was never kept")]
    Tip(String),
    /// An honest peer was blamed.
    #[error("an honest peer is blamed: {0}")]
    Blamed(Fault),
    /// A socket that nobody holds, or that is held and is not there.
    #[error("leftover: {0}")]
    Leftover(String),
    /// The worlds' promise at the end of a run.
    #[error("{0}")]
    Unmet(String),
}
