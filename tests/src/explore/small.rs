//! Small models whose state counts and shortest defects are known: they try the explorer.

use super::{Model, Violation};

/// Peterson's lock of two processes.
/// src: G. L. Peterson, "Myths about the mutual exclusion problem", 1981
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peterson {
    /// The planted defect: the turn is given away before the flag is raised.
    pub turn_first: bool,
}

/// What the two processes share and where each is: 0 outside, 1 first word written, 2 both
/// written, 3 inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    at: [u8; 2],
    flag: [bool; 2],
    turn: u8,
}

impl Model for Peterson {
    type State = Lock;
    /// The process that takes its next step.
    type Act = u8;

    const MARKS: &'static [&'static str] = &["one waits while the other is inside"];

    fn init(&self) -> Vec<Lock> {
        vec![Lock::default()]
    }

    fn acts(&self, lock: &Lock, out: &mut Vec<u8>) {
        out.extend((0..2).filter(|&me| {
            let other = usize::from(1 - me);
            lock.at[usize::from(me)] != 2 || !lock.flag[other] || lock.turn == me
        }));
    }

    fn next(&self, lock: &Lock, &me: &u8) -> Option<Lock> {
        let mut next = *lock;
        let mine = usize::from(me);
        match (lock.at[mine], self.turn_first) {
            (0, false) | (1, true) => next.flag[mine] = true,
            (0, true) | (1, false) => next.turn = 1 - me,
            (2, _) => {}
            _ => next.flag[mine] = false,
        }
        next.at[mine] = (lock.at[mine] + 1) % 4;
        Some(next)
    }

    fn canonical(&self, lock: &Lock, out: &mut Vec<u8>) {
        out.extend(lock.at);
        out.extend(lock.flag.map(u8::from));
        out.push(lock.turn);
    }

    fn kind(&self, me: &u8) -> &'static str {
        if *me == 0 { "first" } else { "second" }
    }

    fn check(&self, lock: &Lock) -> Result<(), Violation> {
        if lock.at == [3, 3] {
            return Err(Violation::new("one at a time", "both are inside"));
        }
        Ok(())
    }

    fn marks(&self, lock: &Lock) -> u128 {
        u128::from(lock.at == [2, 3] || lock.at == [3, 2])
    }

    fn goal(&self, lock: &Lock) -> bool {
        lock.at == [0, 0]
    }
}

/// Commit in two phases.
/// src: J. Gray and L. Lamport, "Consensus on transaction commit", 2004, appendix
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TwoPhase {
    /// Resource managers, 1 to 8.
    pub managers: u8,
    /// A planted defect of the coordinator.
    pub defect: Option<Hasty>,
}

/// What the coordinator of a [`TwoPhase`] does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hasty {
    /// It commits although one vote is missing.
    OneVoteShort,
    /// It never aborts.
    NeverAborts,
}

/// What one manager, or the coordinator, has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing yet.
    Working,
    /// Ready for either.
    Prepared,
    /// The transaction took place.
    Committed,
    /// It did not.
    Aborted,
}

/// Managers, the coordinator, and the messages that were ever sent, as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    managers: Vec<Decision>,
    coordinator: Decision,
    /// Votes sent and votes counted.
    votes: [u8; 2],
}

/// A step of a [`TwoPhase`]; numbers are managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// A manager votes for the commit.
    Prepare(u8),
    /// A manager gives up by itself.
    GiveUp(u8),
    /// The coordinator counts a vote.
    Count(u8),
    /// The coordinator decides.
    Decide(Decision),
    /// A manager hears the decision.
    Hear(u8),
}

impl Model for TwoPhase {
    type State = Transaction;
    type Act = Phase;

    const MARKS: &'static [&'static str] = &["all committed", "all aborted"];

    fn init(&self) -> Vec<Transaction> {
        vec![Transaction {
            managers: vec![Decision::Working; usize::from(self.managers)],
            coordinator: Decision::Working,
            votes: [0; 2],
        }]
    }

    fn acts(&self, at: &Transaction, out: &mut Vec<Phase>) {
        let [sent, counted] = at.votes;
        let undecided = at.coordinator == Decision::Working;
        for (n, manager) in (0..self.managers).zip(&at.managers) {
            if *manager == Decision::Working {
                out.extend([Phase::Prepare(n), Phase::GiveUp(n)]);
            }
            if undecided && sent & !counted & 1 << n != 0 {
                out.push(Phase::Count(n));
            }
            if !undecided && *manager != at.coordinator {
                out.push(Phase::Hear(n));
            }
        }
        let short = u32::from(self.defect == Some(Hasty::OneVoteShort));
        if undecided && counted.count_ones() + short >= u32::from(self.managers) {
            out.push(Phase::Decide(Decision::Committed));
        }
        if undecided && self.defect != Some(Hasty::NeverAborts) {
            out.push(Phase::Decide(Decision::Aborted));
        }
    }

    fn next(&self, at: &Transaction, act: &Phase) -> Option<Transaction> {
        let mut next = at.clone();
        match *act {
            Phase::Prepare(n) => {
                next.managers[usize::from(n)] = Decision::Prepared;
                next.votes[0] |= 1 << n;
            }
            Phase::GiveUp(n) => next.managers[usize::from(n)] = Decision::Aborted,
            Phase::Count(n) => next.votes[1] |= 1 << n,
            Phase::Decide(decision) => next.coordinator = decision,
            Phase::Hear(n) => next.managers[usize::from(n)] = at.coordinator,
        }
        Some(next)
    }

    fn canonical(&self, at: &Transaction, out: &mut Vec<u8>) {
        out.extend(at.managers.iter().map(|m| *m as u8));
        out.push(at.coordinator as u8);
        out.extend(at.votes);
    }

    fn kind(&self, act: &Phase) -> &'static str {
        match act {
            Phase::Prepare(_) => "prepare",
            Phase::GiveUp(_) => "give up",
            Phase::Count(_) => "count",
            Phase::Decide(_) => "decide",
            Phase::Hear(_) => "hear",
        }
    }

    fn check(&self, at: &Transaction) -> Result<(), Violation> {
        let any = |decision| at.managers.contains(&decision);
        if any(Decision::Committed) && any(Decision::Aborted) {
            return Err(Violation::new("all agree", format!("{:?}", at.managers)));
        }
        Ok(())
    }

    fn marks(&self, at: &Transaction) -> u128 {
        let all = |decision| at.managers.iter().all(|m| *m == decision);
        u128::from(all(Decision::Committed)) | u128::from(all(Decision::Aborted)) << 1
    }

    fn goal(&self, at: &Transaction) -> bool {
        self.marks(at) != 0
    }
}

/// A token that goes around; its holder may enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Processes, 2 to 8.
    pub processes: u8,
    /// The planted defect: the last process keeps a copy of what it hands on.
    pub copies: bool,
}

/// A step of a [`Ring`]; numbers are processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It hands the token on.
    HandOn(u8),
    /// It enters.
    Enter(u8),
    /// It leaves.
    Leave(u8),
}

impl Model for Ring {
    /// Who has a token and who is inside, as bits.
    type State = [u8; 2];
    type Act = Turn;

    const MARKS: &'static [&'static str] = &["the last one is inside"];

    fn init(&self) -> Vec<[u8; 2]> {
        vec![[1, 0]]
    }

    fn acts(&self, [tokens, inside]: &[u8; 2], out: &mut Vec<Turn>) {
        for n in (0..self.processes).filter(|n| tokens & 1 << n != 0) {
            if inside & 1 << n == 0 {
                out.extend([Turn::HandOn(n), Turn::Enter(n)]);
            } else {
                out.push(Turn::Leave(n));
            }
        }
    }

    fn next(&self, &[tokens, inside]: &[u8; 2], act: &Turn) -> Option<[u8; 2]> {
        Some(match *act {
            Turn::HandOn(n) => {
                let keeps = self.copies && n + 1 == self.processes;
                let left = if keeps { tokens } else { tokens & !(1 << n) };
                [left | 1 << ((n + 1) % self.processes), inside]
            }
            Turn::Enter(n) => [tokens, inside | 1 << n],
            Turn::Leave(n) => [tokens, inside & !(1 << n)],
        })
    }

    fn canonical(&self, state: &[u8; 2], out: &mut Vec<u8>) {
        out.extend(state);
    }

    fn kind(&self, act: &Turn) -> &'static str {
        match act {
            Turn::HandOn(_) => "hand on",
            Turn::Enter(_) => "enter",
            Turn::Leave(_) => "leave",
        }
    }

    fn check(&self, [_, inside]: &[u8; 2]) -> Result<(), Violation> {
        if inside.count_ones() > 1 {
            return Err(Violation::new("one at a time", format!("{inside:b}")));
        }
        Ok(())
    }

    fn marks(&self, [_, inside]: &[u8; 2]) -> u128 {
        u128::from(*inside == 1 << (self.processes - 1))
    }
}
