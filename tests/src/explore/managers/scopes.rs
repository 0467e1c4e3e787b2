//! Small scopes, and what each must show: those of one and two nodes are explored to the end.

use samanea_core::manager::State;

use super::{Mark, Scope, Trouble, Wish};

impl Scope {
    /// The names of these scopes.
    pub const NAMES: [&'static str; 7] = [
        "alone", "crowding", "failing", "leaf", "meeting", "stopping", "three",
    ];

    /// One of these scopes, by its name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "alone" => Some(Self::alone()),
            "crowding" => Some(Self::crowding()),
            "failing" => Some(Self::failing()),
            "leaf" => Some(Self::leaf()),
            "meeting" => Some(Self::meeting()),
            "stopping" => Some(Self::stopping()),
            "three" => Some(Self::three()),
            _ => None,
        }
    }

    /// Two listening nodes that want each other both ways: dials that meet half-way or collide,
    /// reuse, and a user that runs hot initiators too.
    pub fn meeting() -> Self {
        let mut scope = Self::full(2);
        scope.wishes = vec![Wish::duplex(0, 1), Wish::duplex(1, 0)];
        scope.initiators = 2;
        scope.soft = 0;
        scope.hard = 2;
        scope.wanted = duplex_steps();
        scope.wanted.extend([
            Mark::SimultaneousOpen,
            Mark::Collision,
            Mark::Reuse,
            Mark::Waited,
            Mark::WaitedOut,
            Mark::Returned,
            Mark::Delayed,
            Mark::Hot,
            Mark::Matured,
            Mark::JustInTime,
        ]);
        scope
    }

    /// One node dials from its listening address, the other from a port of its own, and there is
    /// room for one inbound connection only.
    pub fn crowding() -> Self {
        let mut scope = Self::full(2);
        scope.wishes = vec![Wish::duplex(0, 1), Wish::one_way(1, 0), Wish::inbound(1, 0)];
        scope.wanted = one_way_steps();
        scope.wanted.extend(duplex_steps());
        scope.wanted.extend([
            Mark::Reuse,
            Mark::HardLimit,
            Mark::Pruned,
            Mark::PrunedItself,
            Mark::Resumed,
        ]);
        scope
    }

    /// Two nodes that both dial from their listening addresses, on a network that fails in every
    /// way.
    pub fn failing() -> Self {
        let mut scope = Self::full(2);
        scope.wishes = vec![Wish::duplex(0, 1), Wish::inbound(1, 0)];
        scope.waiting = 2;
        scope.troubles = running();
        scope.wanted = duplex_steps();
        scope.wanted.extend([
            Mark::Step(State::ReservedOutbound, State::Terminated),
            Mark::Step(State::UnnegotiatedOutbound, State::Terminated),
            Mark::Step(State::UnnegotiatedInbound, State::Terminating),
            Mark::Replaced,
            Mark::Returned,
            Mark::Refused,
            Mark::Reuse,
            Mark::Waited,
            Mark::WaitedOut,
        ]);
        scope
    }

    /// Two nodes that stop at any time.
    pub fn stopping() -> Self {
        let mut scope = Self::full(2);
        scope.wishes = vec![Wish::duplex(0, 1), Wish::inbound(1, 0)];
        scope.troubles = vec![Trouble::Stopped, Trouble::Late];
        scope.wanted = vec![Mark::AllStopped, Mark::StoppedInUse];
        scope
    }

    /// One node that dials itself from another port.
    pub fn alone() -> Self {
        let mut scope = Self::full(1);
        scope.wishes = vec![Wish::one_way(0, 0)];
        scope.troubles = Trouble::ALL.to_vec();
        scope.waiting = 2;
        scope.wanted = one_way_steps();
        scope
    }

    /// Three listening nodes around room for one inbound connection each: two dial the first, which
    /// would use what the second has dialled and dials the third itself.
    pub fn three() -> Self {
        let mut scope = Self::full(3);
        scope.wishes = vec![
            Wish::duplex(1, 0),
            Wish::duplex(2, 0),
            Wish::inbound(0, 1),
            Wish::duplex(0, 2),
        ];
        scope.wanted = vec![
            Mark::SimultaneousOpen,
            Mark::Reuse,
            Mark::HardLimit,
            Mark::Pruned,
            Mark::Resumed,
            Mark::Returned,
        ];
        scope
    }

    /// A node that only dials, and one that would use what it dials.
    pub fn leaf() -> Self {
        let mut scope = Self::full(2);
        scope.leaves = 1;
        scope.wishes = vec![Wish::duplex(1, 0), Wish::inbound(0, 1), Wish::duplex(0, 1)];
        scope.troubles = running();
        scope.backlog = 2;
        scope.wanted = one_way_steps();
        scope
            .wanted
            .extend([Mark::Refused, Mark::Replaced, Mark::Returned, Mark::Resumed]);
        scope
    }
}

/// Everything but that nodes stop.
fn running() -> Vec<Trouble> {
    let mut all = Trouble::ALL.to_vec();
    all.retain(|trouble| *trouble != Trouble::Stopped);
    all
}

/// The life of a duplex connection, both ends.
fn duplex_steps() -> Vec<Mark> {
    let steps = Mark::steps().filter(|mark| match mark {
        Mark::Step(from, to) => {
            let duplex = |state: State| !state.is_unidirectional() && state != State::Terminating;
            let failed = *to == State::Terminated;
            duplex(*from) && duplex(*to) && !failed
        }
        _ => false,
    });
    let mut steps: Vec<Mark> = steps.collect();
    steps.push(Mark::Step(State::InboundIdleDup, State::Terminating));
    steps.push(Mark::Step(State::OutboundIdleDup, State::Terminating));
    steps
}

/// The life of a connection used one way, both ends.
fn one_way_steps() -> Vec<Mark> {
    let one_way = |state: State| state.is_unidirectional();
    let steps = Mark::steps().filter(|mark| match mark {
        Mark::Step(from, to) => one_way(*from) || one_way(*to),
        _ => false,
    });
    steps.collect()
}
