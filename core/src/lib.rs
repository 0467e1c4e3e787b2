//! A peer-to-peer stack for block-diffusing networks as pure state machines.
#![no_std]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing,
        clippy::float_arithmetic,
        clippy::std_instead_of_core,
        clippy::std_instead_of_alloc,
        clippy::print_stdout
    )
)]

extern crate alloc;
#[cfg(any(test, feature = "arbitrary"))]
extern crate std;

pub mod base;
pub mod chain;
pub mod conn;
pub mod mux;
pub mod node;
pub mod proto;
#[cfg(feature = "tape")]
pub mod tape;
pub mod wire;
