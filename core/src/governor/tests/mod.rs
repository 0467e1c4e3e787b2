//! What the governor decides, row by row of its tables, and what it does better than it could.
//!
//! Nothing here looks inside the machine: a [`Rig`](rig::Rig) tells it facts, carries out its
//! orders after a second each, and asks it to explain.

mod asynchronous;
mod constants;
mod established;
mod hot;
mod known;
mod modes;
mod regressions;
mod rig;
mod sources;
mod worked;
