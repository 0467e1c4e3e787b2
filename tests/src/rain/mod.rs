//! Structured gossip: models to hold the machines against.

pub mod model;
