//! The parts of the node binary: rules for real eras and the built-in chain, a store of blocks,
//! and where blocks come from.
//!
//! ```text
//!  immutable (files) ─┐
//!                     ├─▶ Block {view, header, body} ─▶ store ─▶ the node serves it
//!  generate (a seed) ─┘                                   ▲
//!  a peer's block ─▶ rules::check_block ──────────────────┘
//! ```

pub mod generate;
pub mod immutable;
pub mod rules;
pub mod store;

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
