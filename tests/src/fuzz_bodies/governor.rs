//! One governor in a scripted world.

use core::time::Duration;

use crate::{
    governor::{Extras, Flavour, Journal, Scenario, Size, run},
    tape::ByteTape,
};

/// How long a world lasts at most, in minutes.
const MINUTES: u64 = 30;

/// A tape that draws a world of few peers: who they are, how they behave, what the operator and the
/// network do when, and how the draws of the governor fall. Every law of peer selection holds.
///
/// # Panics
/// When a law is broken; the message holds what the governor was told and did before.
pub fn governor(bytes: &[u8]) {
    let mut tape = ByteTape::new(bytes);
    let flavour = Flavour::ALL[usize::from(tape.byte()) % Flavour::ALL.len()];
    let head = tape.byte();
    let extras = [Extras::Off, Extras::On][usize::from(head & 1)];
    let size = Size {
        peers: 3 + u32::from(head >> 1) % 6,
        events: bytes.len().min(160) / 8,
        horizon: Duration::from_secs(60 * (1 + u64::from(head >> 4) * MINUTES / 16)),
    };
    let scenario = Scenario::draw(&mut tape, flavour, extras, size);
    let verdict = run(&scenario, Journal::Off);
    let Some((law, breach)) = verdict.broken.into_iter().next() else {
        return;
    };
    let journal = run(&scenario, Journal::Until(law)).journal;
    panic!("{breach:?}\n{scenario:#?}\n{}", journal.join("\n"));
}
