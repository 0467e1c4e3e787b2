//! Tables of connections in every order of events: two nodes to the end, three to a bound.

mod support {
    pub(crate) mod checker;
}

use std::io::{self, Write};

use samanea_sim::explore::{
    Bound, Report, explore,
    managers::{Act, Scope, Trouble},
};
use support::checker::{Second, second};

/// More than any scope has.
const ALL: Bound = Bound::states(3_000_000);

/// Every state once, by two explorers that must agree.
fn whole(name: &str, scope: Scope) -> Report<Act> {
    let report = explore(&scope, ALL);
    say(name, &report);
    assert!(report.verdict.held(), "{name}: {report}");
    assert!(report.whole, "{name}: {report}");
    // Nothing in it, with each node running or stopped.
    let rests = if scope.troubles.contains(&Trouble::Stopped) {
        1 << scope.nodes
    } else {
        1
    };
    assert_eq!(report.goals, rests, "{name}");
    let expected = Second {
        states: u64::from(report.states),
        generated: report.transitions + 1,
        broken: false,
    };
    assert_eq!(second(scope, ALL.states), expected, "{name}");
    report
}

fn say(name: &str, report: &Report<Act>) {
    let said = writeln!(
        io::stderr(),
        "explore: {} states, {} transitions, depth {} of {name}",
        report.states,
        report.transitions,
        report.depth
    );
    assert!(said.is_ok());
}

#[test]
fn two_nodes_that_want_each_other_hold_every_property() {
    whole("two that meet", Scope::meeting());
}

#[test]
fn two_nodes_with_room_for_one_connection_hold_every_property() {
    whole("two that crowd", Scope::crowding());
}

#[test]
fn two_nodes_on_a_failing_network_hold_every_property() {
    whole("two that fail", Scope::failing());
}

#[test]
fn a_node_that_only_dials_holds_every_property() {
    whole("a leaf", Scope::leaf());
}

#[test]
fn nodes_that_stop_at_any_time_leave_nothing() {
    whole("two that stop", Scope::stopping());
}

#[test]
fn a_node_that_dials_itself_holds_every_property() {
    whole("one alone", Scope::alone());
}

#[test]
fn three_nodes_hold_every_property_as_far_as_they_are_explored() {
    let bound = Bound::states(60_000);
    let report = explore(&Scope::three(), bound);
    say("three", &report);
    assert!(report.verdict.held(), "{report}");
    assert_eq!((report.whole, report.states), (false, bound.states));
}
