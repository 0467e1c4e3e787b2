//! One connection: handshake, multiplexer and mini-protocol halves inside; facts up, orders down.
//!
//! ```text
//!  bytes ─Received─▶ handshake / mux ─▶ halves ─Fact▶ the owner of the table
//!  bytes ◀──Write─── mux ◀─────────── halves ◀Order─ the owner of the table
//! ```

mod config;
mod connection;
mod fact;
mod fault;
mod greeting;
mod half;
mod order;

pub use config::Config;
pub use connection::{Action, Connection, Event, Profile};
pub use fact::Fact;
pub use fault::{Cause, Fault};
pub use half::{protocols, temperature};
pub use order::{Order, Temperature};

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod links;
#[cfg(test)]
mod scenes;
#[cfg(test)]
mod tests;
