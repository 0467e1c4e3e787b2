//! Several chains wired back to back.

use proptest::prelude::*;

use super::world::World;
use crate::chain::Config;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A node makes blocks on the block so far below its tip.
    Forge { node: u8, depth: u8, count: u8 },
    /// A link is cut and tied anew.
    Relink(u8),
    /// Something is delivered, several times.
    Deliver { pick: u16, times: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0_u8..3, 0_u8..8, 1_u8..10).prop_map(|(node, depth, count)| Op::Forge {
            node,
            depth,
            count
        }),
        1 => any::<u8>().prop_map(Op::Relink),
        8 => (any::<u16>(), 1_u8..30).prop_map(|(pick, times)| Op::Deliver { pick, times }),
    ]
}

fn config() -> Config {
    Config {
        k: 1_000,
        load_max: 3,
        candidate_max: 12,
        tickets_max: 16,
        ..Config::default()
    }
}

/// Links as pairs of client and server.
const PAIR: &[(usize, usize)] = &[(0, 1), (1, 0)];
const LINE: &[(usize, usize)] = &[(0, 1), (1, 0), (1, 2), (2, 1)];
const RING: &[(usize, usize)] = &[(0, 1), (1, 2), (2, 0)];

fn play(world: &mut World, ops: &[Op]) {
    for op in ops {
        match *op {
            Op::Forge { node, depth, count } => {
                let node = usize::from(node) % world.nodes.len();
                world.forge(node, u64::from(depth), u64::from(count));
            }
            Op::Relink(rank) => world.relink(usize::from(rank)),
            Op::Deliver { pick, times } => {
                let mut pick = usize::from(pick);
                for _ in 0..times {
                    world.deliver(pick);
                    pick = pick.wrapping_mul(31).wrapping_add(7);
                }
            }
        }
    }
}

/// One node makes the longest chain of all; everybody must end on it.
fn heal(world: &mut World) {
    world.settle();
    let longest = (0..world.nodes.len())
        .filter(|&node| !world.nodes[node].evil)
        .max_by_key(|&node| world.nodes[node].chain.tip().len())
        .unwrap();
    world.forge(longest, 0, 1);
    world.settle();
    let tip = world.nodes[longest].chain.tip();
    for node in world.nodes.iter().filter(|node| !node.evil) {
        assert_eq!(node.chain.tip(), tip);
        assert_eq!(node.chain.bodies_due(), 0);
        assert_eq!(node.chain.questions(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever forks and rollbacks came before, all chains end equal; no body is asked for twice
    /// while it is due, nor of a peer that did not announce it (checked by the world).
    #[test]
    fn all_tips_are_equal_in_the_end(
        shape in 0_usize..3,
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let links = [PAIR, LINE, RING][shape];
        let mut world = World::new(if shape == 0 { 2 } else { 3 }, &config());
        for &(client, server) in links {
            world.link(client, server);
        }
        play(&mut world, &ops);
        heal(&mut world);
        prop_assert!(world.seen.requests > 0 && world.seen.blocks > 0);
        prop_assert_eq!(world.seen.misdeeds, 0);
    }

    /// One node makes invalid blocks or gives wrong bodies away: it alone is blamed, and the
    /// others agree in the end.
    #[test]
    fn only_the_culprit_is_blamed(
        ops in prop::collection::vec(op(), 1..40),
        wrong in any::<bool>(),
        depth in 0_u8..4,
    ) {
        let mut world = World::new(3, &config());
        world.nodes[2].evil = true;
        for &(client, server) in &[(0, 1), (1, 0), (0, 2), (1, 2), (2, 1)] {
            world.link(client, server);
        }
        let ops: alloc::vec::Vec<Op> = ops
            .into_iter()
            .map(|op| match op {
                Op::Forge { node: 2, depth, count } => Op::Forge { node: 1, depth, count },
                Op::Relink(_) => Op::Deliver { pick: 3, times: 9 },
                op => op,
            })
            .collect();
        play(&mut world, &ops);
        world.settle();
        let bad = world.forge(2, u64::from(depth), u64::from(depth) + 8);
        if wrong {
            world.wrong.insert(bad[2]);
        } else {
            world.invalid.insert(bad[2]);
        }
        heal(&mut world);
        prop_assert!(world.seen.misdeeds > 0);
    }
}

#[test]
fn random_worlds_see_rollbacks_and_switches() {
    let mut world = World::new(2, &config());
    for &(client, server) in PAIR {
        world.link(client, server);
    }
    world.forge(0, 0, 20);
    world.settle();
    world.forge(1, 5, 8);
    world.settle();
    world.forge(0, 7, 9);
    heal(&mut world);
    assert!(world.seen.switches >= 3, "{:?}", world.seen);
    assert!(world.seen.rollbacks >= 4, "{:?}", world.seen);
    assert_eq!(world.nodes[0].chain.tip().len(), 26);
}
