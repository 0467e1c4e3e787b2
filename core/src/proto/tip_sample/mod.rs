//! tip-sample.

pub mod client;
pub mod server;
