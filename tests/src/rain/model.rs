//! The trees and the chains as plain functions of who is dead from the start: no time, no frames,
//! nobody fails on the way. What the machines do can be held against these.
//!
//! Slots are counted from the originator, which is slot 0 and alive. A send into a dead slot
//! counts for its sender and is never read.
//!
//! src: pokt-network/pocket-network-protocol, peer-to-peer specification, "`RainTree`"

use std::collections::{BTreeMap, VecDeque};

use samanea_core::rain::{
    Gaps, Side,
    tree::{legacy_sends, levels},
};

/// What came of a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How often each slot got the message.
    pub reads: Vec<u32>,
    /// How often each slot sent it.
    pub writes: Vec<u32>,
    /// Who got it at level 1 of the legacy tree, where nothing is sent on.
    pub at_bottom: Vec<bool>,
    /// How many of the writes went to the dead.
    pub lost: u32,
    /// How many were asked whether they want it, the dead among them.
    pub asks: u32,
}

impl Outcome {
    fn new(n: usize) -> Self {
        Self {
            reads: vec![0; n],
            writes: vec![0; n],
            at_bottom: vec![false; n],
            lost: 0,
            asks: 0,
        }
    }

    /// Whether the slot has the message.
    pub fn has(&self, slot: u32) -> bool {
        slot == 0 || self.reads[slot as usize] > 0
    }

    /// Who is alive and did not get it.
    pub fn missed(&self, dead: &[bool]) -> Vec<u32> {
        let slots = (0..).zip(dead);
        let missed = slots.filter(|(slot, dead)| !**dead && !self.has(*slot));
        missed.map(|(slot, _)| slot).collect()
    }

    /// How many times the message was sent.
    pub fn sends(&self) -> u32 {
        self.writes.iter().sum()
    }

    /// Sends; whether somebody reads it.
    fn send(&mut self, dead: &[bool], from: u32, to: u32) -> bool {
        self.writes[from as usize] += 1;
        if dead[to as usize] {
            self.lost += 1;
            return false;
        }
        self.reads[to as usize] += 1;
        true
    }
}

/// What the sender does whose child is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing: the child's arc is lost.
    None,
    /// It sends what the child would have sent, as long as its sends of this kind are no more
    /// than these; past that the arc goes to the slot after the child.
    Adopt(u32),
}

/// The exact tree.
pub fn exact(dead: &[bool], repair: Repair) -> Outcome {
    let n = count(dead);
    let gaps = Gaps::new(n);
    let budget = match repair {
        Repair::None => 0,
        Repair::Adopt(budget) => budget,
    };
    let mut budgets = vec![budget; dead.len()];
    let mut outcome = Outcome::new(dead.len());
    // Who sends, to the shares of whose arc.
    let mut open = VecDeque::new();
    let plan = |open: &mut VecDeque<_>, sender: u32, base: u32, len: u32| {
        let shares = gaps.plan(len);
        open.extend(shares.map(|share| (sender, base + share.slot, share.len)));
    };
    plan(&mut open, 0, 0, n);
    while let Some((sender, slot, len)) = open.pop_front() {
        if outcome.send(dead, sender, slot) {
            plan(&mut open, slot, slot, len);
            continue;
        }
        let (cost, left) = (gaps.planned(len), &mut budgets[sender as usize]);
        if len == 1 || repair == Repair::None {
            continue;
        }
        if *left >= cost {
            *left -= cost;
            plan(&mut open, sender, slot, len);
        } else {
            open.push_back((sender, slot + 1, len - 1));
        }
    }
    outcome
}

/// What a member of the legacy tree does with a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// Sends it on, every time.
    Always,
    /// Keeps the highest level that it has acted on, and acts only on those above.
    Watermark,
    /// As with a watermark; and who sends to a silent member acts in its place.
    Adopt,
}

/// The legacy tree.
pub fn legacy(dead: &[bool], forward: Forward) -> Outcome {
    let n = count(dead);
    let mut outcome = Outcome::new(dead.len());
    // By who acts and in whose place.
    let mut marks = BTreeMap::new();
    let mut open = VecDeque::from([(0, 0, levels(n))]);
    while let Some((sender, place, level)) = open.pop_front() {
        let mark = marks.entry((sender, place)).or_insert(0);
        let done = match forward {
            Forward::Always => 0,
            Forward::Watermark | Forward::Adopt => *mark,
        };
        *mark = level.max(done);
        for (offset, level) in legacy_sends(n, level, done) {
            let to = (place + offset) % n;
            if to == sender {
                // Only in the place of another.
                open.push_back((sender, sender, level - 1));
            } else if outcome.send(dead, sender, to) {
                outcome.at_bottom[to as usize] |= level == 1;
                open.push_back((to, to, level - 1));
            } else if forward == Forward::Adopt {
                open.push_back((sender, to, level - 1));
            }
        }
    }
    outcome
}

/// The clean-up as the original pseudo-code has it: every holder asks the two next to it, once.
pub fn ask_neighbours_once(dead: &[bool], outcome: &mut Outcome) {
    let ring: Vec<u32> = (0..count(dead)).collect();
    walk(dead, outcome, &ring, |_| true, |_, _| true);
}

/// The chains: who has the message goes along the ring, passes over the silent, gives it to who
/// has it not, and stops when it has counted so many who have it. Who gets it so does the same;
/// of those that had it before, those who start.
pub fn chains(
    dead: &[bool],
    outcome: &mut Outcome,
    ring: &[u32],
    custodians: u32,
    starts: impl Fn(u32) -> bool,
) {
    walk(dead, outcome, ring, starts, |_, counted| {
        counted >= custodians
    });
}

fn walk(
    dead: &[bool],
    outcome: &mut Outcome,
    ring: &[u32],
    starts: impl Fn(u32) -> bool,
    stop: impl Fn(usize, u32) -> bool,
) {
    let n = ring.len();
    let mut open: VecDeque<usize> = (0..n)
        .filter(|place| outcome.has(ring[*place]) && starts(ring[*place]))
        .collect();
    while let Some(place) = open.pop_front() {
        for side in Side::BOTH {
            let mut counted = 0;
            for steps in 1..n {
                let next = match side {
                    Side::Right => (place + steps) % n,
                    Side::Left => (place + n - steps) % n,
                };
                let (own, other) = (ring[place], ring[next]);
                outcome.asks += 1;
                if !dead[other as usize] {
                    counted += 1;
                    if !outcome.has(other) {
                        outcome.send(dead, own, other);
                        open.push_back(next);
                    }
                }
                if stop(steps, counted) {
                    break;
                }
            }
        }
    }
}

fn count(dead: &[bool]) -> u32 {
    u32::try_from(dead.len()).expect("no more slots than a ring has")
}
