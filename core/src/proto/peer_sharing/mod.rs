//! peer-sharing.

pub mod client;
pub mod server;
