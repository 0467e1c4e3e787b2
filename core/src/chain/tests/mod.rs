//! Tests of the chain: one machine by hand, then several wired back to back.

mod bounds;
mod follow;
mod serve;
mod speed;
mod txs;
mod world;
mod worlds;
