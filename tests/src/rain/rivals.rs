//! Other ways to spread a message, in worlds with the same delays and the same dead: for
//! comparison only.

use core::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::{measure::Measured, toy::Lots};

/// A way to spread a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rival {
    /// To all neighbours in a random graph of about this degree.
    Flood(u32),
    /// To so many members drawn at random.
    Random(u32),
    /// Along a tree made before the failures in a random graph of this degree, ids to the other
    /// neighbours, payloads asked for when they do not come.
    ///
    /// src: Leitão, Pereira, Rodrigues, "Epidemic broadcast trees", 2007; the tree is that of a
    /// breadth-first search, and the graph is not repaired while the message spreads
    Plumtree(u32),
}

/// Microseconds of a unit of delay.
const UNIT: u64 = 1_000_000;
/// How long after the first id a payload is waited for, then after each further id.
const GRAFT: (u64, u64) = (2 * UNIT, 3 * UNIT);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    Payload {
        hop: u8,
    },
    Have,
    Want,
    /// The next to be asked, by number.
    Graft(u32),
}

/// A graph in which everybody has about `degree` neighbours: each draws half of them.
fn graph(n: u32, degree: u32, lots: &mut Lots) -> Vec<BTreeSet<u32>> {
    let mut links = vec![BTreeSet::new(); n as usize];
    for at in 0..n {
        let mut left = (degree / 2 + (at & degree & 1)).min(n.saturating_sub(1));
        let mut tries = 0;
        while left > 0 && tries < 64 {
            tries += 1;
            let to = lots.below(n);
            if to != at && links[at as usize].insert(to) {
                links[to as usize].insert(at);
                left -= 1;
            }
        }
    }
    links
}

/// The tree of a breadth-first search from 0: links in both directions.
fn tree(links: &[BTreeSet<u32>]) -> Vec<BTreeSet<u32>> {
    let mut eager = vec![BTreeSet::new(); links.len()];
    let mut known = vec![false; links.len()];
    let mut queue = std::collections::VecDeque::from([0_u32]);
    known[0] = true;
    while let Some(at) = queue.pop_front() {
        for to in &links[at as usize] {
            if !core::mem::replace(&mut known[*to as usize], true) {
                eager[at as usize].insert(*to);
                eager[*to as usize].insert(at);
                queue.push_back(*to);
            }
        }
    }
    eager
}

/// When, its number, from whom, to whom, what.
type Coming = (u64, u64, u32, u32, What);

struct Run<'a> {
    dead: &'a [bool],
    lots: Lots,
    queue: BinaryHeap<Reverse<Coming>>,
    count: u64,
    now: u64,
    measured: Measured,
    sent: Vec<u32>,
}

impl Run<'_> {
    fn send(&mut self, from: u32, to: u32, what: What) {
        match what {
            What::Payload { .. } => {
                self.measured.payloads += 1;
                self.sent[from as usize] += 1;
            }
            What::Have | What::Want | What::Graft(_) => self.measured.controls += 1,
        }
        let takes = UNIT / 2 + u64::from(self.lots.below(u32::try_from(UNIT).unwrap_or(1) + 1));
        self.put(takes, from, to, what);
    }

    fn put(&mut self, takes: u64, from: u32, to: u32, what: What) {
        self.count += 1;
        self.queue
            .push(Reverse((self.now + takes, self.count, from, to, what)));
    }
}

/// Spreads one message from member 0, who lives.
pub fn spread(rival: Rival, dead: &[bool], seed: u64) -> Measured {
    let n = u32::try_from(dead.len()).unwrap_or(u32::MAX);
    let mut lots = Lots::of(seed, 77);
    let links = match rival {
        Rival::Flood(degree) | Rival::Plumtree(degree) => graph(n, degree, &mut lots),
        Rival::Random(_) => vec![BTreeSet::new(); dead.len()],
    };
    let eager = tree(&links);
    let mut run = Run {
        dead,
        lots,
        queue: BinaryHeap::new(),
        count: 0,
        now: 0,
        measured: Measured::of(dead),
        sent: vec![0; dead.len()],
    };
    let mut hops: Vec<Option<u8>> = vec![None; dead.len()];
    // Who offered it, and how many of them were asked.
    let mut offers: Vec<(Vec<u32>, usize)> = vec![(Vec::new(), 0); dead.len()];
    run.put(0, 0, 0, What::Payload { hop: 0 });
    while let Some(Reverse((at, _, from, to, what))) = run.queue.pop() {
        run.now = at;
        if run.dead[to as usize] {
            continue;
        }
        let own = to as usize;
        match what {
            What::Payload { hop } if hops[own].is_none() => {
                hops[own] = Some(hop);
                if to != 0 {
                    run.measured.got(hop, at, UNIT);
                }
                let hop = hop.saturating_add(1);
                match rival {
                    Rival::Flood(_) => {
                        for other in links[own].iter().filter(|other| **other != from) {
                            run.send(to, *other, What::Payload { hop });
                        }
                    }
                    Rival::Random(fan_out) => {
                        let mut chosen = BTreeSet::new();
                        while chosen.len() < fan_out.min(n - 1) as usize {
                            let other = run.lots.below(n);
                            if other != to {
                                chosen.insert(other);
                            }
                        }
                        for other in chosen {
                            run.send(to, other, What::Payload { hop });
                        }
                    }
                    Rival::Plumtree(_) => {
                        for other in links[own].iter().filter(|other| **other != from) {
                            let what = if eager[own].contains(other) {
                                What::Payload { hop }
                            } else {
                                What::Have
                            };
                            run.send(to, *other, what);
                        }
                    }
                }
            }
            What::Payload { .. } => run.measured.duplicates += 1,
            What::Have => {
                if hops[own].is_none() {
                    offers[own].0.push(from);
                    if offers[own].0.len() == 1 {
                        run.put(GRAFT.0, to, to, What::Graft(0));
                    }
                }
            }
            What::Graft(_) => {
                let (all, asked) = &mut offers[own];
                if hops[own].is_some() {
                    continue;
                }
                let Some(next) = all.get(*asked).copied() else {
                    // Whoever offers it next is asked at once.
                    offers[own] = (Vec::new(), 0);
                    continue;
                };
                *asked += 1;
                run.send(to, next, What::Want);
                run.put(GRAFT.1, to, to, What::Graft(0));
            }
            What::Want => {
                if let Some(hop) = hops[own] {
                    let hop = hop.saturating_add(1);
                    run.send(to, from, What::Payload { hop });
                }
            }
        }
    }
    run.measured.busiest = run.sent.iter().copied().max().unwrap_or(0);
    run.measured
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_nobody_dead_flood_and_plumtree_reach_everybody() {
        for n in [2, 3, 27, 100] {
            let dead = vec![false; n];
            for rival in [Rival::Flood(8), Rival::Plumtree(5)] {
                let measured = spread(rival, &dead, 3);
                assert_eq!(measured.reached as usize, n - 1, "{rival:?} of {n}");
            }
        }
        let dead = vec![false; 100];
        let tree = spread(Rival::Plumtree(5), &dead, 3);
        let flood = spread(Rival::Flood(8), &dead, 3);
        assert!(
            tree.payloads < 120 && flood.payloads > 500,
            "{tree:?} {flood:?}"
        );
    }

    #[test]
    fn a_fan_out_misses_some_and_nobody_dead_is_counted() {
        let dead: Vec<bool> = (0..1_000).map(|at| at % 3 == 1).collect();
        let measured = spread(Rival::Random(4), &dead, 3);
        assert!(measured.reached < measured.live, "{measured:?}");
        assert!(measured.reached * 10 > measured.live * 8, "{measured:?}");
    }
}
