//! A deterministic world of Samanea nodes, its generators and its fuzz bodies.
//!
//! Nothing here runs in production: this is where whole nodes meet without sockets and without
//! clocks, where sequences of events come from, and where the bodies of the fuzz targets live so
//! that they compile and replay with the ordinary tests.

pub mod corpus;
pub mod engines;
pub mod explore;
pub mod frames;
pub mod fuzz_bodies;
pub mod governor;
pub mod hostile;
pub mod nodes;
pub mod oracle;
pub mod play;
pub mod rain;
pub mod scripts;
pub mod speak;
pub mod tables;
pub mod tape;
pub mod toy;
pub mod world;
