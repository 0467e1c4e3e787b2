//! Probes at once and then 10 s after each answer.

use core::time::Duration;

/// Nothing is asked of a running keep-alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {}

/// What the client tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A probe came back after this long.
    RoundTrip(Duration),
}
