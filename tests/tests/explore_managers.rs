//! Tables of connections in every order of events: two nodes to the end, three to a bound.

mod support {
    pub(crate) mod checker;
    pub(crate) mod explored;
}

use samanea_sim::explore::{
    Bound,
    managers::{Scope, Trouble},
};
use support::explored::{partly, twice};

/// More than any scope has.
const ALL: Bound = Bound::states(3_000_000);

/// Every state once, by two explorers that must agree.
fn whole(name: &str, scope: Scope) {
    // Nothing in it, with each node running or stopped.
    let rests = if scope.troubles.contains(&Trouble::Stopped) {
        1 << scope.nodes
    } else {
        1
    };
    let report = twice(name, scope, ALL);
    assert_eq!(report.goals, rests, "{name}");
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
    partly("three", &Scope::three(), 60_000);
}
