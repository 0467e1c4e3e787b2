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
    scripts::{Flavour, Script},
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

/// Shrinks by dropping runs of events, long ones first, then all that connections suffer.
#[derive(Debug)]
struct Shrinking {
    kept: Script,
    tried: Option<Script>,
    chunk: usize,
    at: usize,
    calmed: bool,
}

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
        Ok(Shrinking {
            chunk: kept.events.len().div_ceil(2),
            at: 0,
            tried: None,
            calmed: false,
            kept,
        })
    }
}

impl ValueTree for Shrinking {
    type Value = Script;

    fn current(&self) -> Script {
        self.tried.as_ref().unwrap_or(&self.kept).clone()
    }

    fn simplify(&mut self) -> bool {
        if let Some(tried) = self.tried.take() {
            // It still fails without them.
            self.kept = tried;
        }
        if !self.calmed {
            self.calmed = true;
            self.tried = Some(self.kept.harmless());
            return true;
        }
        while self.chunk > 0 {
            if self.at < self.kept.events.len() {
                let end = self.at + self.chunk;
                self.tried = Some(self.kept.without(self.at..end));
                return true;
            }
            self.at = 0;
            self.chunk /= 2;
        }
        false
    }

    fn complicate(&mut self) -> bool {
        // What was dropped last matters: it stays.
        if self.tried.take().is_some() && self.at < self.kept.events.len() {
            self.at += self.chunk.max(1);
        }
        self.simplify()
    }
}

#[test]
fn a_script_shrinks_to_what_matters() {
    let scripts = Scripts {
        flavour: Flavour::Normal,
        nodes_max: 6,
        events_max: 60,
    };
    let mut runner = TestRunner::deterministic();
    let mut tree = scripts.new_tree(&mut runner).unwrap();
    let fails = |script: &Script| {
        let work = |event: &samanea_sim::scripts::Event| {
            matches!(event.doing, samanea_sim::scripts::Doing::WorkInbound(_))
        };
        script.events.iter().any(work)
    };
    assert!(fails(&tree.current()));
    let mut more = true;
    let mut tries = 0;
    while more && tries < 1_000 {
        tries += 1;
        more = if fails(&tree.current()) {
            tree.simplify()
        } else {
            tree.complicate()
        };
    }
    let smallest = tree.current();
    assert!(smallest.is_well_formed());
    assert_eq!(
        smallest.events.len(),
        3,
        "start, connect, work: {smallest:?}"
    );
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
