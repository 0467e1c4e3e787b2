//! Worlds of real engines: a chain travels hop by hop, whatever the links are like.

use core::time::Duration;

use samanea_core::{
    base::{Instant, Seeded, Tip},
    chain::Start,
    node::{Config, Engine, Node},
};
use samanea_sim::{
    toy,
    world::{Options, Profile, Shape, World},
};

const MAGIC: u32 = 42;

fn engines(options: Options, seed: u64) -> World<Engine> {
    World::new(
        options,
        Box::new(Seeded::new(seed)),
        Box::new(move |at, life| {
            let mut config = Config::new(MAGIC);
            config.chain.start = Start::Genesis;
            config.conn.tx_delay = Duration::ZERO;
            let of = u64::try_from(at).unwrap() << 32 | u64::from(life);
            Node::new(Engine::new(config), seed ^ of)
        }),
    )
    .unwrap()
}

/// Every host ends at the tip of the first one's chain; the time it took.
fn spread(options: Options, seed: u64, blocks: usize) -> Instant {
    let mut world = engines(options, seed);
    let chain = toy::chain(Tip::ORIGIN, blocks, seed, options.body_bytes);
    let tip = chain.last().unwrap().tip();
    for block in chain {
        world.extend(0, block);
    }
    let there = world
        .run_to(Instant::from_secs(3_600), |world| world.all_at(tip))
        .unwrap();
    assert!(
        there,
        "seed {seed}: {options}: {:?} instead of {tip:?}",
        world.tips()
    );
    world.now()
}

#[test]
fn a_chain_travels_along_a_line() {
    let options = Options {
        hosts: 6,
        shape: Shape::Line,
        ..Options::default()
    };
    let took = spread(options, 1, 300);
    assert!(took > Instant::ZERO);
}

#[test]
fn a_chain_travels_over_a_slow_and_narrow_link() {
    let profile = Profile {
        rate: 100_000,
        packet_max: 100,
        read_max: 64,
        kernel_bytes: 4_096,
        ..Profile::default()
    };
    let options = Options {
        hosts: 3,
        shape: Shape::Line,
        profile,
        ..Options::default()
    };
    spread(options, 2, 100);
}

#[test]
fn a_chain_reaches_everyone_in_worlds_of_any_shape() {
    let mut choice = Seeded::new(99);
    for seed in 0..12 {
        let options = Options::draw(&mut choice, 9);
        let blocks = if options.body_bytes > 10_000 { 20 } else { 120 };
        spread(options, seed, blocks);
    }
}
