//! One governor in a world of scripted peers, and all that must hold there.
//!
//! A [`Scenario`] is plain data, drawn from any `Choice`: a seed, the bytes of a fuzzer, a property
//! test. [`run`] plays it in virtual time and holds every [`Law`] against what the governor does:
//! after each step, at the end of each instant, and over spans of time. [`Seen`] counts how often
//! each law had something to say, so that a law that saw nothing can be told from one that holds.

mod able;
mod aims;
mod dns;
mod doings;
mod draw;
mod laws;
mod orders;
mod overlooked;
mod picture;
mod run;
mod safety;
mod scenario;
mod settled;
mod shares;
mod taken;
mod trusted;
mod world;

pub use able::{Able, Overlookable, Waiting};
pub use laws::{Breach, Law, Seen};
pub use picture::Picture;
pub use run::{Journal, Run, Verdict, run, shortest};
pub use scenario::{
    Chance, Doing, Drop, Extras, Flavour, Lookup, Manners, Meaning, Name, Outcome, PORT, Peer,
    Reply, Scenario, Size, To, Weather, address,
};
pub use shares::{Part, Share};
pub use world::{Line, Said, Stage, World};
