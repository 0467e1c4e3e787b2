//! What must hold after every act.

use samanea_core::{
    base::{Machine, Serial},
    manager::{Heat, State, is_legal, is_legal_remote},
    proto::handshake::Mode,
};

use super::{
    Scope, World,
    net::{Phase, Pipe, Told},
    node::Stage,
};

/// What the two ends of a connection may be once neither has anything to hear and each user runs
/// something on what it holds: the states of the end that dialled and of the other end.
/// src: Ouroboros network specification, "Connection Manager", symmetry of states
const PAIRS: [(State, State); 13] = {
    use State::{
        Duplex as Dup, InboundDup as InD, InboundIdleDup as IiD, InboundIdleUni as IiU,
        InboundUni as InU, OutboundDupExpired as OdX, OutboundDupTicking as OdT,
        OutboundIdleDup as OiD, OutboundIdleUni as OiU, OutboundUni as Ou,
        UnnegotiatedInbound as UnI, UnnegotiatedOutbound as UnO,
    };
    [
        (UnO, UnI),
        (UnO, UnO),
        (Ou, InU),
        (OiU, IiU),
        (Dup, Dup),
        (OdT, InD),
        (OdX, InD),
        (InD, OdT),
        (InD, OdX),
        (IiD, IiD),
        (IiD, OiD),
        (OiD, IiD),
        (OiD, OiD),
    ]
};

impl World {
    /// After a step of a node.
    pub(super) fn judge_node(&mut self, n: usize) {
        let node = self.nodes[n].clone();
        if let Err(violated) = node.manager.check_invariants() {
            self.wrong("invariants", format!("node {n}: {violated}"));
        }
        let counters = node.manager.counters();
        if counters.inbound > node.manager.config().limits.hard {
            self.wrong("hard limit", format!("node {n}: {}", counters.inbound));
        }
        if node.manager.wishes().count() != node.asked.len() {
            self.wrong("requests are kept until answered", format!("node {n}"));
        }
        for (conn, state) in node.manager.conns() {
            let said = node.traced.get(&conn).copied();
            if said != Some((state, node.manager.heat(conn))) {
                self.wrong(
                    "traces say what is",
                    format!("node {n}, {conn:?}: {said:?}"),
                );
            }
            let used = node.held.get(&conn) == Some(&false);
            if used != is_in_use(state) && node.stage == Stage::Running {
                self.wrong(
                    "we use what we hold",
                    format!("node {n}, {conn:?}: {state:?}"),
                );
            }
            let socket = self.end_of(n, conn).map(|(at, end)| {
                let pipe = &self.pipes[at];
                let side = pipe.sides[end];
                fits(pipe, side.told, state) && is_used(state) == (side.heard > 0)
            });
            if socket != Some(true) && (state != State::Terminating || socket == Some(false)) {
                self.wrong(
                    "an entry has its socket",
                    format!("node {n}, {conn:?}: {state:?}"),
                );
            }
        }
        if node.traced.len() != node.manager.len() {
            self.wrong("an end is traced", format!("node {n}"));
        }
        for conn in node.held.keys() {
            if node.manager.state(*conn) == State::Unknown {
                self.wrong("what we hold is there", format!("node {n}, {conn:?}"));
            }
        }
        let sockets = self.pipes.iter().flat_map(|p| p.nodes.iter().zip(&p.sides));
        let lost = sockets
            .filter(|(node, _)| usize::from(**node) == n)
            .filter_map(|(_, side)| side.conn)
            .find(|conn| node.manager.state(*conn) == State::Unknown);
        if let Some(conn) = lost {
            self.wrong("a socket has its entry", format!("node {n}, {conn:?}"));
        }
    }

    /// A change of state was told.
    pub(super) fn judge_step(&mut self, n: usize, conn: Serial, from: State, to: State) {
        let said = self.nodes[n].traced.get(&conn).copied();
        let before = said.map_or(State::Unknown, |(state, _)| state);
        if before != from || !is_legal(from, to) {
            let text = format!("node {n}, {conn:?}: {from:?} to {to:?}, was {before:?}");
            self.wrong("changes of state are legal", text);
        }
        let node = std::sync::Arc::make_mut(&mut self.nodes[n]);
        if to == State::Unknown {
            node.traced.remove(&conn);
            node.gone = conn;
        } else {
            node.traced
                .insert(conn, (to, said.and_then(|(_, heat)| heat)));
        }
    }

    /// A change of the peer's use was told.
    pub(super) fn judge_heat(
        &mut self,
        n: usize,
        conn: Serial,
        from: Option<Heat>,
        to: Option<Heat>,
    ) {
        let said = self.nodes[n].traced.get(&conn).copied();
        let before = said.and_then(|(_, heat)| heat);
        if before != from || !is_legal_remote(from, to) {
            let text = format!("node {n}, {conn:?}: {from:?} to {to:?}, was {before:?}");
            self.wrong("changes of use are legal", text);
        }
        let node = std::sync::Arc::make_mut(&mut self.nodes[n]);
        if let Some((_, heat)) = node.traced.get_mut(&conn) {
            *heat = to;
        }
    }

    /// What holds between the ends.
    pub(super) fn judge_pipes(&mut self, scope: &Scope) {
        let mut wrong = None;
        for pipe in self.pipes.iter().filter(|pipe| pipe.is_quiet()) {
            let states = self.states(pipe);
            let busy = pipe.nodes.iter().zip(&pipe.sides).all(|(node, side)| {
                let held = &self.nodes[usize::from(*node)].held;
                let holds = side
                    .conn
                    .is_some_and(|conn| held.get(&conn) == Some(&false));
                holds == (side.runs > 0)
            });
            if busy && !PAIRS.contains(&states) {
                wrong = Some(("both ends agree", format!("{states:?}")));
            }
        }
        let duplex = |pipe: &&Pipe| {
            let listen = pipe.nodes.iter().all(|node| !scope.is_leaf(*node));
            let agreed = pipe.sides.iter().all(|side| side.told == Told::Agreed);
            let both = pipe.mode() == Some(Mode::InitiatorAndResponder);
            pipe.is_alive() && listen && agreed && both
        };
        let bearers: Vec<[u8; 2]> = self.pipes.iter().filter(duplex).map(sorted).collect();
        for (n, bearer) in bearers.iter().enumerate() {
            if bearers[..n].contains(bearer) {
                wrong = Some(("one duplex connection", format!("{bearer:?}")));
            }
        }
        if let Some((property, text)) = wrong {
            self.wrong(property, text);
        }
    }

    fn states(&self, pipe: &Pipe) -> (State, State) {
        let state = |end: usize| {
            let node = &self.nodes[usize::from(pipe.nodes[end])];
            let conn = pipe.sides[end].conn;
            conn.map_or(State::Unknown, |conn| node.manager.state(conn))
        };
        (state(0), state(1))
    }
}

fn sorted(pipe: &Pipe) -> [u8; 2] {
    let mut nodes = pipe.nodes;
    nodes.sort_unstable();
    nodes
}

const fn is_used(state: State) -> bool {
    matches!(state, State::InboundUni | State::InboundDup | State::Duplex)
}

const fn is_in_use(state: State) -> bool {
    matches!(
        state,
        State::OutboundUni | State::OutboundDupTicking | State::OutboundDupExpired | State::Duplex
    )
}

/// Whether a state is one of a socket that is so far.
const fn fits(pipe: &Pipe, told: Told, state: State) -> bool {
    match told {
        Told::Nothing => matches!(state, State::ReservedOutbound),
        Told::Connected => {
            matches!(pipe.phase, Phase::Joined)
                && matches!(
                    state,
                    State::UnnegotiatedInbound | State::UnnegotiatedOutbound
                )
        }
        Told::Agreed => state.is_duplex() || state.is_unidirectional(),
        Told::Refused => matches!(state, State::Terminating),
        Told::Closing => !matches!(state, State::Unknown | State::ReservedOutbound),
        Told::Gone => false,
    }
}
