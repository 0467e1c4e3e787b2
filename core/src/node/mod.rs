//! The whole node as one machine: what a driver feeds and what it is asked to do.

mod action;
mod config;
mod event;
mod run;

pub use action::{Action, Notice};
pub use config::Config;
pub use event::{Command, Event};
pub use run::{Node, Tap};
