//! The whole node as one machine: what a driver feeds and what it is asked to do.

mod action;
mod event;

pub use action::{Action, Batch, Notice};
pub use event::{Command, Event};
