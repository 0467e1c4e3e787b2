//! Clean-up chains of a few members, step by step, with rules that seem right and are not: what the
//! machines must do better.
//!
//! Each member that holds the message runs one chain, clockwise; whoever is asked and reachable
//! answers at once. The test says who holds it, whose chain goes on, who dies, who starts anew, and
//! between whom a connection breaks.
//!
//! src: pokt-network/pocket-network-protocol, peer-to-peer specification, "Daisy-chain clean-up"

use std::collections::BTreeSet;

/// What the members do otherwise than they should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Nothing.
    Right,
    /// Whoever asks is counted at once, not when the chain comes to it.
    CountAtOnce,
    /// Who is known to hold the message is known to hold it after its connection was lost.
    TrustMemory,
    /// Who was passed over and is asked again is passed over no longer.
    AskingForgets,
}

/// Members 0 to n−1, in the order of the clean-up ring.
#[derive(Clone, Debug)]
pub struct Few {
    rule: Rule,
    custodians: usize,
    members: Vec<Member>,
    cut: BTreeSet<(usize, usize)>,
}

#[derive(Clone, Debug, Default)]
struct Member {
    dead: bool,
    holds: bool,
    begun: bool,
    /// Steps from the own place.
    cursor: usize,
    /// Those counted, and the steps at which they are.
    counted: Vec<(usize, usize)>,
    holders: BTreeSet<usize>,
    passed: BTreeSet<usize>,
}

impl Few {
    /// So many members, of whom a chain counts so many.
    pub fn new(n: usize, custodians: usize, rule: Rule) -> Self {
        Self {
            rule,
            custodians,
            members: vec![Member::default(); n],
            cut: BTreeSet::new(),
        }
    }

    /// A member gets it over the tree, and another knows that.
    pub fn give(&mut self, at: usize, known_by: Option<usize>) {
        self.members[at].holds = true;
        if let Some(by) = known_by {
            self.members[by].holders.insert(at);
        }
    }

    /// A member's chain goes on until it has counted enough or is once around.
    pub fn go_on(&mut self, at: usize) {
        self.members[at].begun = true;
        let n = self.members.len();
        loop {
            let own = &mut self.members[at];
            if own.dead || own.counted.len() >= self.custodians || own.cursor + 1 >= n {
                return;
            }
            own.cursor += 1;
            let next = (at + own.cursor) % n;
            if !self.reaches(at, next) {
                self.members[at].passed.insert(next);
            } else if self.members[at].holders.contains(&next) || self.ask(at, next) {
                let own = &mut self.members[at];
                let cursor = own.cursor;
                own.counted.push((cursor, next));
            }
        }
    }

    /// A member dies; all others are told.
    pub fn crash(&mut self, at: usize) {
        self.members[at].dead = true;
        for other in (0..self.members.len()).filter(|other| *other != at) {
            self.lost(other, at);
        }
    }

    /// A member starts anew and remembers nothing; all others are told that it was gone.
    pub fn restart(&mut self, at: usize) {
        self.members[at] = Member::default();
        for other in (0..self.members.len()).filter(|other| *other != at) {
            self.lost(other, at);
        }
    }

    /// The connection of two members breaks; both are told.
    pub fn cut(&mut self, one: usize, two: usize) {
        self.cut.extend([(one, two), (two, one)]);
        self.lost(one, two);
        self.lost(two, one);
    }

    /// It is there again. Who passed over the other asks it again; whether the answer comes.
    pub fn mend(&mut self, one: usize, two: usize, answered: bool) {
        self.cut.remove(&(one, two));
        self.cut.remove(&(two, one));
        for (from, to) in [(one, two), (two, one)] {
            if !self.members[from].holds || !self.members[from].passed.contains(&to) {
                continue;
            }
            if self.rule == Rule::AskingForgets {
                self.members[from].passed.remove(&to);
            }
            if answered {
                self.ask(from, to);
            }
        }
    }

    /// Live members that do not hold it.
    pub fn missed(&self) -> Vec<usize> {
        let all = self.members.iter().enumerate();
        all.filter(|(_, member)| !member.dead && !member.holds)
            .map(|(at, _)| at)
            .collect()
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        !self.members[to].dead && !self.cut.contains(&(from, to))
    }

    /// The other has it afterwards, for it is given what it lacks.
    fn ask(&mut self, from: usize, to: usize) -> bool {
        let n = self.members.len();
        let own = &mut self.members[from];
        own.holders.insert(to);
        own.passed.remove(&to);
        let other = &mut self.members[to];
        other.holds = true;
        other.holders.insert(from);
        if self.rule == Rule::CountAtOnce && other.counted.len() < self.custodians {
            let steps = (from + n - to) % n;
            other.cursor = other.cursor.max(steps);
            other.counted.push((steps, from));
        }
        true
    }

    /// A member is lost to another, whose chain goes on just past it if it was counted.
    fn lost(&mut self, at: usize, peer: usize) {
        let forget = self.rule != Rule::TrustMemory;
        let own = &mut self.members[at];
        if forget {
            own.holders.remove(&peer);
        }
        let found = own.counted.iter().position(|(_, of)| *of == peer);
        if let Some(found) = found {
            own.cursor = own.counted[found].0;
            own.counted.truncate(found);
            own.passed.insert(peer);
            if own.begun || self.rule == Rule::CountAtOnce {
                self.go_on(at);
            }
        }
    }
}
