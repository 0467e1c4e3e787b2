//! Structured gossip: `RainTree`, its clean-up by IGYM ("I got you, want?"), and groups.

pub mod id;
pub mod tree;
pub mod view;

pub use tree::Gaps;
pub use view::{Member, Seat, Side, View, ViewDigest, ViewError};
