//! block-fetch.

pub mod client;
pub mod server;
