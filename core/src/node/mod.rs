//! The whole node as one machine: what a driver feeds and what it is asked to do.

mod action;
mod config;
mod engine;
mod event;
mod explain;
mod run;

pub use action::{Action, Notice};
pub use config::{Config, Gossip};
pub use engine::Engine;
pub use event::{Command, Event};
pub use explain::{Explanation, GroupLook};
pub use run::{Node, Tap};
