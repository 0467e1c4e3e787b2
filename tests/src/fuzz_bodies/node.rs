//! Whole nodes in a small world.

use samanea_core::base::Choice as _;

use crate::{
    engines,
    tape::{ByteTape, site},
    world::{HOSTILE_OF_1000, Options, Profile, Shape, World},
};

/// Transitions of one run at most.
const TRANSITIONS_MAX: usize = 24;

/// A tape of transitions, a quarter of them hostile, on two or three nodes. After every step all
/// invariants hold and the laws of ticks and of purity are kept.
///
/// # Panics
/// When a law is broken.
pub fn node(bytes: &[u8]) {
    let mut tape = ByteTape::new(bytes);
    let options = Options {
        hosts: 2 + usize::from(tape.byte() & 1),
        shape: [Shape::Line, Shape::Full, Shape::None][usize::from(tape.byte() % 3)],
        profile: Profile {
            kernel_bytes: 512 << (tape.byte() % 8),
            packet_max: 64 << (tape.byte() % 8),
            ..Profile::default()
        },
        body_bytes: 200,
        window_bytes: 600 << 10,
        laws_every: 32,
        ..Options::default()
    };
    let turns = bytes.len().min(TRANSITIONS_MAX);
    // The world reads on from the same tape.
    let blocks = 1 + usize::try_from(tape.below(site::WHICH, 0, 8)).unwrap_or(0);
    let run = || {
        let mut world = World::new(options, Box::new(tape.clone()), engines::make(1))?;
        world.grow(0, blocks, 0);
        for _ in 0..turns {
            world.disturb(HOSTILE_OF_1000)?;
        }
        Ok(())
    };
    let verdict: Result<(), crate::world::Broken> = run();
    if let Err(broken) = verdict {
        panic!("{broken}");
    }
}
