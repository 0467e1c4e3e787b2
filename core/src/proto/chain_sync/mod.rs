//! chain-sync.

pub mod client;
pub mod server;
