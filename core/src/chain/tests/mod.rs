//! Tests of the chain: one machine by hand, then several wired back to back.

mod any;
mod bounds;
mod follow;
mod serve;
mod txs;
mod world;
mod worlds;
