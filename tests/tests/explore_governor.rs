//! One governor among three peers in every order of events: small scopes to the end, all of it to a
//! bound.

mod support {
    pub(crate) mod checker;
}

use std::io::{self, Write};

use samanea_sim::explore::{
    Bound, Report, explore,
    governor::{Act, Scope},
};
use support::checker::{Second, second};

/// More than any small scope has.
const ALL: Bound = Bound::states(200_000);

/// Every state once.
fn whole(name: &str, scope: &Scope) -> Report<Act> {
    let report = explore(scope, ALL);
    say(name, &report);
    assert!(report.verdict.held(), "{name}: {report}");
    assert!(report.whole && report.goals > 0, "{name}: {report}");
    report
}

/// By two explorers that must agree.
fn twice(name: &str, scope: Scope) {
    let report = whole(name, &scope);
    let expected = Second {
        states: u64::from(report.states),
        generated: report.transitions + 1,
        broken: false,
    };
    assert_eq!(second(scope, ALL.states), expected, "{name}");
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
fn a_governor_whose_operator_changes_his_mind_holds_every_property() {
    twice("a governor, changes", Scope::changes());
}

#[test]
fn a_governor_on_a_failing_network_holds_every_property() {
    twice("a governor, failures", Scope::failing());
}

#[test]
fn a_governor_among_liars_holds_every_property() {
    whole("a governor, lies", &Scope::lying());
}

#[test]
fn a_governor_that_is_told_of_a_peer_holds_every_property() {
    whole("a governor, sharing", &Scope::telling());
}

#[test]
fn a_governor_holds_every_property_as_far_as_it_is_explored() {
    let bound = Bound::states(10_000);
    let report = explore(&Scope::whole(), bound);
    say("a governor", &report);
    assert!(report.verdict.held(), "{report}");
    assert_eq!((report.whole, report.states), (false, bound.states));
}
