//! Structured gossip: models to hold the machines against, and worlds of machines alone.

pub mod measure;
pub mod model;
pub mod naive;
pub mod page;
pub mod reference;
pub mod rivals;
pub mod table;
pub mod toy;
pub mod world;
