//! Structured gossip: `RainTree`, its clean-up by IGYM ("I got you, want?"), and groups.
//!
//! ```text
//!  View, Publish, Verdict ─▶ ┌──────────────────────────────┐ ─▶ Deliver, Validate, Notice
//!                            │ Rain                         │
//!  frames of members ──────▶ │  intake ─▶ relay ─▶ cleanup  │ ─▶ frames to members
//!  Up, Down, Queued ───────▶ │        promises   pull       │ ─▶ Dial, Interest
//!                            └──────────────────────────────┘
//! ```
//!
//! A broadcast goes to the members of one group and to nobody else. Three layers carry it:
//!
//! 1. the [tree]: n−1 payloads, no path longer than ⌈log₃ n⌉, whoever publishes. Every send
//!    is acknowledged; who is silent is replaced;
//! 2. the clean-up chains: every holder asks its neighbours on a second ring until it has found
//!    holders, and goes on when one of those is lost. They find whoever the tree lost because a
//!    member died after it acknowledged;
//! 3. digests: every few seconds neighbours compare what they hold. They repair partitions and
//!    views that differ.
//!
//! What a member does follows from its [`View`] alone: who is in the group at an epoch, immutable,
//! named in each message. Content ids are hashes, and origins sign: the application hashes, signs
//! and verifies through [`Rules`](crate::base::Rules).
//!
//! Limits: those of [`Limits`], each with what happens beyond. A message is kept for
//! [`retain`](Times::retain), its id for [`seen`](Times::seen).
//!
//! Invariants: those of the machine, checked by
//! [`check_invariants`](crate::base::Machine::check_invariants): 1. no container holds more than
//! its maximum; 2. the sums over messages are theirs; 3. an open duty has a timer, a settled
//! one has none; 4. a chain that waits has a timer; 5. a chain counts in order and no more than it
//! is to find; 6. a node never sends to itself; 7. each member is counted as often as chains count
//! it; 8. dials that are counted are under way; 9. every message ends.
//!
//! src: pokt-network/pocket-network-protocol, peer-to-peer specification, for the tree, the chains
//! and their messages; what is ours is said where it stands

pub mod audience;
mod bridge;
mod canonical;
mod check;
mod cleanup;
pub mod config;
mod detour;
pub mod event;
mod frontier;
mod group;
pub mod id;
mod intake;
mod interest;
pub mod links;
mod machine;
mod membership;
mod message;
mod parked;
mod peers;
mod promises;
mod pull;
mod relay;
mod seen;
mod tally;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod view;

pub use audience::Audience;
pub use canonical::Canonical;
pub use config::{
    Acks, Cleanup, Config, Door, Limits, Reach, Redundancy, Shape, Start, Times, Validation,
};
pub use event::{
    Action, Delivery, Event, Interest, Look, MessageClass, Misdeed, Notice, Options, Priority,
    Refusal, Report, Verdict, Way,
};
pub use links::Links;
pub use machine::{Rain, Stats};
pub use tree::Gaps;
pub use view::{Member, Seat, Side, View, ViewDigest, ViewError};
