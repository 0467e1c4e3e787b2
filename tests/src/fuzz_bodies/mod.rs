//! The bodies of the fuzz targets, as plain functions of bytes.
//!
//! A body returns when all is well and panics at the first broken law, so that libFuzzer, the
//! replay of committed inputs and property tests call the very same code. Bytes that have no
//! meaning are a short run, never an error.

mod accept;
mod facing;
mod frame;
mod governor;
mod handshake;
mod manager;
mod messages;
mod mux;
mod node;
mod rain;
mod rain_messages;
mod reassembly;
mod session;
mod topology;

use samanea_core::base::Violated;

pub use accept::accept;
pub use frame::frame;
pub use governor::governor;
pub use handshake::handshake;
pub use manager::manager;
pub use messages::messages;
pub use mux::mux;
pub use node::node;
pub use rain::rain;
pub use rain_messages::rain_messages;
pub use reassembly::reassembly;
pub use session::session;
pub use topology::topology;

/// A body and the name of its target.
pub type Body = (&'static str, fn(&[u8]));

/// All of them.
pub const ALL: &[Body] = &[
    ("frame", frame),
    ("reassembly", reassembly),
    ("messages", messages),
    ("handshake", handshake),
    ("session", session),
    ("mux", mux),
    ("node", node),
    ("manager", manager),
    ("accept", accept),
    ("topology", topology),
    ("governor", governor),
    ("rain_messages", rain_messages),
    ("rain", rain),
];

/// Panics when an invariant does not hold.
#[track_caller]
fn holds(verdict: Result<(), Violated>) {
    if let Err(violated) = verdict {
        panic!("{violated}");
    }
}

/// Cuts `bytes` into pieces whose lengths come in turn from `lengths`, each at least 1.
fn pieces<'a>(bytes: &'a [u8], lengths: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = bytes;
    let mut lengths = lengths.iter().cycle();
    core::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let len = usize::from(*lengths.next().unwrap_or(&255)).max(1);
        let (now, later) = rest.split_at(len.min(rest.len()));
        rest = later;
        Some(now)
    })
}

/// Bytes that follow from a seed.
#[cfg(test)]
fn noise(seed: u64, len: usize) -> Vec<u8> {
    use samanea_core::base::Choice as _;
    let mut choice = samanea_core::base::Seeded::new(seed);
    let mut byte = || choice.below(crate::tape::site::SESSION, 0, 256);
    (0..len)
        .map(|_| u8::try_from(byte()).unwrap_or(0))
        .collect()
}
