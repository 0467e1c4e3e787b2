//! Whole nodes under scripts: every table of connections keeps its rules, and nothing is left.

use std::io::{self, Write as _};

use proptest::{
    prelude::*,
    strategy::{NewTree, ValueTree},
    test_runner::{TestRng, TestRunner},
};
use samanea_core::base::{Choice, Seeded, Site};
use samanea_sim::{
    play::play,
    scripts::{Flavour, Script, Shrink},
};

/// Chance of a property test.
struct Drawn<'a>(&'a mut TestRng);

impl Choice for Drawn<'_> {
    fn below(&mut self, _site: Site, _of: u64, n: u32) -> u32 {
        if n < 2 { 0 } else { self.0.random_range(0..n) }
    }
}

/// Scripts of one flavour.
#[derive(Clone, Copy, Debug)]
struct Scripts {
    flavour: Flavour,
    nodes_max: u32,
    events_max: usize,
}

/// Shrinks as scripts do.
#[derive(Debug)]
struct Shrinking(Shrink);

impl Strategy for Scripts {
    type Tree = Shrinking;
    type Value = Script;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Self> {
        let kept = Script::draw(
            &mut Drawn(runner.rng()),
            self.flavour,
            self.nodes_max,
            self.events_max,
        );
        Ok(Shrinking(Shrink::new(kept)))
    }
}

impl ValueTree for Shrinking {
    type Value = Script;

    fn current(&self) -> Script {
        self.0.current().clone()
    }

    fn simplify(&mut self) -> bool {
        self.0.simplify()
    }

    fn complicate(&mut self) -> bool {
        self.0.complicate()
    }
}

#[test]
fn seeded_scripts_leave_no_socket_behind() {
    for seed in 0..10 {
        let flavour = [Flavour::Normal, Flavour::Pruning][usize::from(seed % 2 == 1)];
        let script = Script::draw(&mut Seeded::new(seed), flavour, 7, 40);
        let played = play(&script, seed).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        let _ = writeln!(
            io::stderr(),
            "script {seed}: {} steps, {} met, {}",
            played.steps,
            played.met,
            played.oracle.seen
        );
    }
}
