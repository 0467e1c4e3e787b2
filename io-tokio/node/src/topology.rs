//! Who knows whom in a devnet.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};

/// Draws whom each node dials: node 0, the source, nobody; every other node one or two nodes
/// before it, at most three places away, so that blocks travel several hops, to some nodes by more
/// than one way. The same for the same seed everywhere.
pub fn draw(nodes: usize, seed: u64) -> Vec<Vec<usize>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut below = |n: usize| {
        let n = u64::try_from(n).unwrap_or(1).max(1);
        usize::try_from(rng.next_u64() % n).unwrap_or(0)
    };
    (0..nodes)
        .map(|node| {
            let reach = node.min(REACH);
            if reach == 0 {
                return Vec::new();
            }
            let first = node - 1 - below(reach.min(2));
            let second = node - 1 - below(reach);
            if first == second || below(2) == 0 {
                vec![first]
            } else {
                vec![first, second]
            }
        })
        .collect()
}

/// How many places before a node its neighbours can be, inclusive.
const REACH: usize = 3;

/// How many connections blocks cross at least on their way from node 0 to each node; `None` where
/// there is no way. `dials` is as [`draw`] gives it; blocks travel either way on a connection.
pub fn hops(dials: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut hops = vec![None; dials.len()];
    if let Some(source) = hops.first_mut() {
        *source = Some(0);
    }
    // As many rounds as there are nodes reach everything that can be reached.
    for _ in dials {
        for (node, others) in dials.iter().enumerate() {
            for &other in others {
                for (from, to) in [(node, other), (other, node)] {
                    let way = hops.get(from).copied().flatten().map(|hops| hops + 1);
                    if let (Some(way), Some(to)) = (way, hops.get_mut(to)) {
                        *to = Some(to.map_or(way, |before: usize| before.min(way)));
                    }
                }
            }
        }
    }
    hops
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_but_the_source_knows_one_or_two_nodes_before_it() {
        let (mut one, mut two) = (0, 0);
        for seed in 0..200 {
            for nodes in 0..20 {
                let dials = draw(nodes, seed);
                assert_eq!(dials.len(), nodes);
                for (node, others) in dials.iter().enumerate() {
                    assert!(others.iter().all(|other| *other < node), "{dials:?}");
                    assert_eq!(others.is_empty(), node == 0);
                    one += u32::from(others.len() == 1);
                    two += u32::from(others.len() == 2 && others[0] != others[1]);
                }
                assert!(hops(&dials).iter().all(Option::is_some));
            }
        }
        assert!(one > 1_000 && two > 1_000, "{one} {two}");
    }

    #[test]
    fn blocks_travel_several_hops() {
        for seed in 0..200 {
            let farthest = hops(&draw(8, seed)).into_iter().flatten().max();
            assert!(farthest >= Some(3), "seed {seed}: {farthest:?}");
        }
    }

    #[test]
    fn hops_are_counted_along_the_shortest_way() {
        let dials = [vec![], vec![0], vec![1], vec![2, 0], vec![]];
        let hops = hops(&dials);
        assert_eq!(hops, [Some(0), Some(1), Some(2), Some(1), None]);
    }
}
