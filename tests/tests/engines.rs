//! Worlds of real engines.

use std::io::{self, Write as _};

use core::time::Duration;

use samanea_core::base::Seeded;
use samanea_sim::{
    engines::{make, scenario},
    world::{Options, Shape, World},
};

#[test]
fn a_chain_travels_down_a_line() {
    let options = Options {
        hosts: 5,
        shape: Shape::Line,
        ..Options::default()
    };
    let mut world = World::new(options, Box::new(Seeded::new(1)), make(1)).unwrap();
    let end = world.grow(0, 50, 0);
    let settled = world.settle_at(end, Duration::from_secs(60)).unwrap();
    assert!(settled.is_some(), "{:?}", world.unmet(end, Duration::ZERO));
    let _ = writeln!(
        io::stderr(),
        "engines: 5 hosts settled in {settled:?}, {} steps",
        world.steps()
    );
}

#[test]
fn seeded_worlds_keep_all_laws_and_end_with_one_chain() {
    for seed in 0..12 {
        match scenario(seed, 6, 0) {
            Ok(report) => {
                let _ = writeln!(io::stderr(), "engines: {report}");
            }
            Err(broken) => panic!("seed {seed}: {broken}"),
        }
    }
}

#[test]
fn equal_seeds_give_equal_worlds_and_snapshots_change_nothing() {
    for seed in [1, 2, 3] {
        let first = scenario(seed, 4, 0).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        assert_eq!(
            scenario(seed, 4, 0).unwrap().hash,
            first.hash,
            "seed {seed} twice"
        );
        assert_eq!(
            scenario(seed, 4, 1).unwrap().hash,
            first.hash,
            "seed {seed} with clones"
        );
    }
}
