//! Structured gossip: `RainTree`, its clean-up by IGYM ("I got you, want?"), and groups.

mod check;
mod cleanup;
pub mod config;
pub mod event;
mod frontier;
mod group;
pub mod id;
mod intake;
mod interest;
pub mod links;
mod machine;
mod message;
mod peers;
mod promises;
mod pull;
mod relay;
mod seen;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod view;

pub use config::{Acks, Cleanup, Config, Limits, Reach, Redundancy, Shape, Times, Validation};
pub use event::{
    Action, Delivery, Event, Interest, Look, MessageClass, Misdeed, Notice, Options, Priority,
    Refusal, Report, Verdict, Way,
};
pub use links::Links;
pub use machine::{Rain, Stats};
pub use tree::Gaps;
pub use view::{Member, Seat, Side, View, ViewDigest, ViewError};
