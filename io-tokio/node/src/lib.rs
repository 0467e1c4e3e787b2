//! A node on the Samanea stack: the parts of the binary, each usable alone.
//!
//! ```text
//!  immutable (files) ─┐                                   ┌─▶ cli: devnet, run, ping, replay, peers, explain
//!                     ├─▶ Block {view, header, body} ─▶ app (store) ◀─▶ driver ◀─▶ samanea_core
//!  generate (a seed) ─┘                                   ▲
//!  a peer's block ─▶ rules::check_block ──────────────────┘
//!
//!  driver ─▶ office (looks at the engine) ─▶ metrics (HTTP), control (socket) ─▶ peers, map
//!                                       └──▶ memory (state directory)
//! ```

pub mod age;
pub mod app;
pub mod cli;
pub mod control;
pub mod devnet;
pub mod driver;
pub mod generate;
pub mod groups;
pub mod immutable;
pub mod map;
pub mod memory;
pub mod metrics;
pub mod office;
pub mod peers;
pub mod ping;
pub mod rules;
pub mod slots;
pub mod store;
pub mod tape;
pub mod topology;

use bytes::Bytes;
use samanea_core::base::HeaderView;

/// A block with all that is needed to announce and to serve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What its header says.
    pub view: HeaderView,
    /// The header, wrapped as chain-sync carries it.
    pub header: Bytes,
    /// The block, the bytes inside block-fetch's tag 24.
    pub body: Bytes,
}
