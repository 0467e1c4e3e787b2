//! The search itself: a queue of states to expand, a set of fingerprints, links to parents.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::Hasher,
};

use hashbrown::{HashTable, hash_table::Entry};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::{Bound, Model, Report, Verdict, Violation};

/// Explores `model` breadth first until every state is expanded, a check fails or `bound` is met.
///
/// States of an unexpanded rim count as goals: what lies beyond them is unknown, so only states
/// that are stuck for certain are reported.
pub fn explore<M: Model>(model: &M, bound: Bound) -> Report<M::Act> {
    let mut search = Search::new(model, bound);
    let broken = search.run();
    search.report(broken)
}

/// A known state.
struct Known {
    print: u128,
    /// The state it was first reached from and the ordinal of the act there; an initial state is
    /// its own parent and its ordinal is the one among the initial states.
    parent: u32,
    ordinal: u16,
    depth: u32,
    /// A goal, or not expanded.
    rest: bool,
}

struct Search<'a, M: Model> {
    model: &'a M,
    bound: Bound,
    known: Vec<Known>,
    index: HashTable<u32>,
    queue: VecDeque<(u32, M::State)>,
    /// Helpful transitions, from and to.
    edges: Vec<(u32, u32)>,
    transitions: u64,
    goals: u32,
    cut: bool,
    kinds: BTreeMap<&'static str, u64>,
    marks: Vec<u64>,
    bytes: Vec<u8>,
}

/// A violation, the state expanded and the ordinal of the act taken there.
type Broken = (Violation, Option<u32>, u16);

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M, bound: Bound) -> Self {
        Self {
            model,
            bound,
            known: Vec::new(),
            index: HashTable::new(),
            queue: VecDeque::new(),
            edges: Vec::new(),
            transitions: 0,
            goals: 0,
            cut: false,
            kinds: BTreeMap::new(),
            marks: vec![0; M::MARKS.len()],
            bytes: Vec::new(),
        }
    }

    fn run(&mut self) -> Option<Broken> {
        for (n, state) in self.model.init().into_iter().enumerate() {
            let ordinal = u16::try_from(n).unwrap_or(u16::MAX);
            if let Err(violation) = self.judge(&state) {
                return Some((violation, None, ordinal));
            }
            self.meet(state, None, ordinal);
        }
        let mut acts = Vec::new();
        while let Some((from, state)) = self.queue.pop_front() {
            if self.known[from as usize].depth >= self.bound.depth {
                self.cut = true;
                continue;
            }
            acts.clear();
            self.model.acts(&state, &mut acts);
            let mut all = true;
            for (n, act) in acts.iter().enumerate() {
                let Some(next) = self.model.next(&state, act) else {
                    continue;
                };
                let ordinal = u16::try_from(n).unwrap_or(u16::MAX);
                self.transitions += 1;
                *self.kinds.entry(self.model.kind(act)).or_default() += 1;
                if let Err(violation) = self.judge(&next) {
                    return Some((violation, Some(from), ordinal));
                }
                match self.meet(next, Some(from), ordinal) {
                    Some(to) if self.model.helps(act) => self.edges.push((from, to)),
                    Some(_) => {}
                    None => all = false,
                }
            }
            // Expanded in full: from here on only a goal is a place to rest.
            self.known[from as usize].rest = !all || self.model.goal(&state);
        }
        None
    }

    fn judge(&mut self, state: &M::State) -> Result<(), Violation> {
        let hit = self.model.marks(state);
        for (n, count) in self.marks.iter_mut().enumerate() {
            *count += u64::from(hit >> n & 1 != 0);
        }
        self.model.check(state)
    }

    /// The number of `state`, which is queued when it is new; `None` when there is no more room.
    fn meet(&mut self, state: M::State, parent: Option<u32>, ordinal: u16) -> Option<u32> {
        self.bytes.clear();
        self.model.canonical(&state, &mut self.bytes);
        let print = fingerprint(&self.bytes);
        let new = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let known = &self.known;
        let entry = self.index.entry(
            low(print),
            |&n| known[n as usize].print == print,
            |&n| low(known[n as usize].print),
        );
        match entry {
            Entry::Occupied(at) => Some(*at.get()),
            Entry::Vacant(_) if new >= self.bound.states => {
                self.cut = true;
                None
            }
            Entry::Vacant(at) => {
                at.insert(new);
                let depth = parent.map_or(0, |p| self.known[p as usize].depth + 1);
                self.goals += u32::from(self.model.goal(&state));
                self.known.push(Known {
                    print,
                    parent: parent.unwrap_or(new),
                    ordinal,
                    depth,
                    rest: true,
                });
                self.queue.push_back((new, state));
                Some(new)
            }
        }
    }

    fn report(self, broken: Option<Broken>) -> Report<M::Act> {
        let whole = broken.is_none() && !self.cut;
        let verdict = match broken {
            Some((violation, from, ordinal)) => {
                let mut trace = from.map_or(Vec::new(), |from| self.trace(from));
                if let Some(from) = from {
                    trace.extend(self.act(&self.replay(from), ordinal));
                }
                Verdict::Broken(violation, trace)
            }
            None => self.rest_of_verdict(),
        };
        Report {
            states: u32::try_from(self.known.len()).unwrap_or(u32::MAX),
            transitions: self.transitions,
            depth: self.known.iter().map(|k| k.depth).max().unwrap_or(0),
            whole,
            goals: self.goals,
            kinds: self.kinds.into_iter().collect(),
            marks: M::MARKS.iter().copied().zip(self.marks).collect(),
            verdict,
        }
    }

    fn rest_of_verdict(&self) -> Verdict<M::Act> {
        if let Some(stuck) = self.stuck() {
            return Verdict::Stuck(self.trace(stuck));
        }
        let wanted = self.model.wanted();
        let hits = M::MARKS.iter().zip(&self.marks).enumerate();
        let unmarked: Vec<_> = hits
            .filter(|(n, (_, hits))| wanted >> n & 1 != 0 && **hits == 0)
            .map(|(_, (mark, _))| *mark)
            .collect();
        if unmarked.is_empty() {
            Verdict::Held
        } else {
            Verdict::Unmarked(unmarked)
        }
    }

    /// The first state found from which no place to rest is reachable by helpful acts.
    fn stuck(&self) -> Option<u32> {
        let mut reached: Vec<bool> = self.known.iter().map(|k| k.rest).collect();
        let mut back = self.edges.clone();
        back.sort_unstable_by_key(|(_, to)| *to);
        let numbers = 0..u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let mut open: Vec<u32> = numbers.clone().filter(|n| reached[*n as usize]).collect();
        while let Some(to) = open.pop() {
            let first = back.partition_point(|edge| edge.1 < to);
            for (from, _) in back[first..].iter().take_while(|edge| edge.1 == to) {
                if !core::mem::replace(&mut reached[*from as usize], true) {
                    open.push(*from);
                }
            }
        }
        numbers.clone().find(|n| !reached[*n as usize])
    }

    /// The states and ordinals from an initial state to `to`, the initial one first.
    fn path(&self, to: u32) -> Vec<u16> {
        let mut path = Vec::new();
        let mut at = to;
        loop {
            let known = &self.known[at as usize];
            path.push(known.ordinal);
            if known.parent == at {
                path.reverse();
                return path;
            }
            at = known.parent;
        }
    }

    /// Every act of a shortest way to `to`.
    fn trace(&self, to: u32) -> Vec<M::Act> {
        let mut trace = Vec::new();
        self.walk(to, |act| trace.push(act.clone()));
        trace
    }

    /// The state `to` itself, made again.
    fn replay(&self, to: u32) -> M::State {
        self.walk(to, |_| {})
    }

    fn walk(&self, to: u32, mut taken: impl FnMut(&M::Act)) -> M::State {
        let path = self.path(to);
        let mut state = self.model.init().swap_remove(usize::from(path[0]));
        for ordinal in &path[1..] {
            let act = self.act(&state, *ordinal);
            let act = act.unwrap_or_else(|| unreachable!("acts depend on the state alone"));
            taken(&act);
            let next = self.model.next(&state, &act);
            state = next.unwrap_or_else(|| unreachable!("equal acts of equal states agree"));
        }
        state
    }

    fn act(&self, state: &M::State, ordinal: u16) -> Option<M::Act> {
        let mut acts = Vec::new();
        self.model.acts(state, &mut acts);
        acts.get(usize::from(ordinal)).cloned()
    }
}

/// 128 bits: two of a thousand million states share one with a chance of about 2^-69.
fn fingerprint(bytes: &[u8]) -> u128 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish128().as_u128()
}

/// The half of a fingerprint that the table is indexed by.
#[expect(
    clippy::cast_possible_truncation,
    reason = "half of the bits are wanted"
)]
fn low(print: u128) -> u64 {
    print as u64
}
