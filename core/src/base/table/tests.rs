//! Tables with one fault each.

use alloc::{boxed::Box, string::String, vec, vec::Vec};

use super::*;
use crate::base::{First, Seeded};

const fn row(name: &'static str, agency: Agency) -> StateRow {
    StateRow {
        name,
        agency,
        time: TimeLimit::None,
        bytes_max: 10,
    }
}

const fn edge(from: u8, kind: u8, to: u8) -> Edge {
    Edge {
        from: State(from),
        label: kind,
        items: 1,
        kind: Kind(kind),
        message: MESSAGES[kind as usize % 4],
        to: State(to),
        pipelined: false,
    }
}

const MESSAGES: [&str; 4] = ["MsgAsk", "MsgTell", "MsgDone", "MsgOther"];

/// Ask and tell until done.
fn sound() -> (Vec<StateRow>, Vec<Edge>) {
    let states = vec![
        row("StIdle", Agency::Client),
        row("StBusy", Agency::Server),
        row("StDone", Agency::Nobody),
    ];
    (states, vec![edge(0, 0, 1), edge(1, 1, 0), edge(0, 2, 2)])
}

fn spec(states: Vec<StateRow>, edges: Vec<Edge>) -> Spec {
    Spec {
        protocol: ProtocolId::KEEP_ALIVE,
        name: "test",
        states: Box::leak(states.into_boxed_slice()),
        edges: Box::leak(edges.into_boxed_slice()),
    }
}

/// The fault of the sound table after `plant`.
fn fault(plant: impl Fn(&mut Vec<StateRow>, &mut Vec<Edge>)) -> SpecFault {
    let (mut states, mut edges) = sound();
    plant(&mut states, &mut edges);
    spec(states, edges).check().unwrap_err()
}

#[test]
fn a_sound_table_passes() {
    let (states, edges) = sound();
    assert_eq!(spec(states, edges).check(), Ok(()));
}

#[test]
fn every_planted_fault_is_found() {
    use SpecFault as F;
    assert_eq!(fault(|s, _| s.clear()), F::Empty("test"));
    assert_eq!(
        fault(|_, e| e[1].to = State(9)),
        F::NoState("test", "MsgTell")
    );
    assert_eq!(
        fault(|_, e| e[2].from = State(3)),
        F::NoState("test", "MsgDone")
    );
    assert_eq!(
        fault(|_, e| e.push(edge(2, 3, 0))),
        F::FromFinal("test", "MsgOther")
    );
    assert_eq!(
        fault(|_, e| e.push(edge(0, 0, 2))),
        F::Twice("test", "MsgAsk")
    );
    assert_eq!(fault(|_, e| e.truncate(1)), F::Stuck("test", "StBusy"));
    assert_eq!(
        fault(|_, e| e.truncate(2)),
        F::Unreachable("test", "StDone")
    );
    assert_eq!(fault(|s, _| s[1].bytes_max = 0), F::Limit("test", "StBusy"));
    let drawn = TimeLimit::Drawn { min: 3, max: 2 };
    assert_eq!(fault(|s, _| s[0].time = drawn), F::Limit("test", "StIdle"));
    assert_eq!(fault(|_, e| e[0].kind = Kind(64)), F::TooMany("test"));
    assert_eq!(fault(|_, e| e[0].kind = Kind(255)), F::TooMany("test"));
    let many = |s: &mut Vec<StateRow>, _: &mut Vec<Edge>| s.resize(300, s[2]);
    assert_eq!(fault(many), F::TooMany("test"));
}

#[test]
fn states_that_only_reach_each_other_are_out_of_reach() {
    let island = |states: &mut Vec<StateRow>, edges: &mut Vec<Edge>| {
        states.push(row("StNear", Agency::Client));
        states.push(row("StFar", Agency::Server));
        edges.extend([edge(3, 0, 4), edge(4, 1, 3)]);
    };
    assert_eq!(fault(island), SpecFault::Unreachable("test", "StNear"));
}

#[test]
fn the_largest_table_that_passes_can_be_enumerated() {
    let mut states = vec![row("StLoop", Agency::Client); 63];
    states.push(row("StDone", Agency::Nobody));
    let edges = (0..63).map(|at| edge(at, 63 - at, at + 1)).collect();
    let spec = spec(states, edges);
    assert_eq!(spec.check(), Ok(()));
    assert_eq!(spec.cells().count(), 64 * 64);
    assert_eq!(
        spec.cells().filter(|(_, _, edge)| edge.is_some()).count(),
        63
    );
}

#[test]
fn a_table_answers_what_may_be_said_where() {
    let (states, edges) = sound();
    let spec = spec(states, edges);
    assert!(spec.may_send(State(0), Role::Initiator));
    assert!(!spec.may_send(State(0), Role::Responder));
    assert!(spec.may_send(State(1), Role::Initiator.flip()));
    assert!(!spec.may_send(State(2), Role::Initiator));
    assert!(!spec.may_send(State(9), Role::Initiator));
    assert!(spec.is_final(State(2)) && spec.is_final(State(9)) && !spec.is_final(State(1)));
    assert_eq!(spec.edge(State(0), Kind(2)).unwrap().message, "MsgDone");
    assert_eq!(spec.edge(State(1), Kind(2)), None);
    assert_eq!(spec.edges_from(State(0)).count(), 2);
}

#[test]
fn a_drawn_limit_stays_between_its_bounds_and_meets_both() {
    let limit = TimeLimit::Drawn { min: 5, max: 8 };
    let mut choice = Seeded::new(1);
    let drawn: Vec<u64> = (0..200)
        .filter_map(|_| limit.draw(&mut choice, 1))
        .map(|span| span.as_secs())
        .collect();
    assert_eq!(drawn.len(), 200);
    assert_eq!(
        (drawn.iter().min(), drawn.iter().max()),
        (Some(&5), Some(&8))
    );
    let widest = TimeLimit::Drawn {
        min: 0,
        max: u32::MAX,
    };
    assert_eq!(widest.draw(&mut First, 1), Some(Duration::ZERO));
    assert_eq!(TimeLimit::None.draw(&mut First, 1), None);
    let fixed = TimeLimit::Fixed(Duration::from_secs(2));
    assert_eq!(fixed.draw(&mut First, 1), Some(Duration::from_secs(2)));
}

#[test]
fn the_rendered_table_has_a_row_for_each_message_and_each_end() {
    let (mut states, edges) = sound();
    states[1].time = TimeLimit::Fixed(Duration::from_secs(60));
    states[0].time = TimeLimit::Drawn { min: 1, max: 2 };
    let expected = "### test (8)\n\n\
        | State | Agency | Message | Next state | Time limit | Byte limit |\n\
        |---|---|---|---|---|---|\n\
        | StIdle | client | `[0, …]` of 1 MsgAsk | StBusy | drawn 1 to 2 s | 10 |\n\
        | StIdle | client | `[2, …]` of 1 MsgDone | StDone | drawn 1 to 2 s | 10 |\n\
        | StBusy | server | `[1, …]` of 1 MsgTell | StIdle | 60 s | 10 |\n\
        | StDone | nobody | | | | |\n";
    assert_eq!(spec(states, edges).to_markdown(), String::from(expected));
}
