//! Structured gossip: models to hold the machines against, and worlds of machines alone.

pub mod model;
pub mod toy;
pub mod world;
