//! Clean-up chains among a few members in every order of events: small scopes to the end, larger
//! ones in random walks.

mod support {
    pub(crate) mod checker;
    pub(crate) mod explored;
}

use std::io::{self, Write};

use samanea_sim::explore::{
    Bound, Verdict, explore,
    rain::{Faults, Mark, Rule, Scope, Tally, walk},
};
use support::explored::{partly, twice, whole};

/// More than any small scope has.
const ALL: Bound = Bound::states(2_000_000);

fn scope(family: &str, members: u8, custodians: u8) -> Scope {
    Scope::of(family, members, custodians).expect("a family")
}

/// Every state once, with one and with two holders to find.
fn both_counts(family: &str, members: u8) {
    for custodians in [1, 2] {
        let name = format!("{family}-{members}-{custodians}");
        whole(&name, &scope(family, members, custodians), ALL);
    }
}

/// The same by two explorers that must agree.
fn both_counts_twice(family: &str, members: u8) {
    for custodians in [1, 2] {
        let name = format!("{family}-{members}-{custodians}");
        twice(&name, scope(family, members, custodians), ALL);
    }
}

#[test]
fn three_members_of_whom_two_crash_leave_out_nobody() {
    both_counts_twice("crashes", 3);
}

#[test]
fn three_members_of_whom_two_crash_or_hang_leave_out_nobody() {
    both_counts_twice("hangs", 3);
}

#[test]
fn three_members_with_both_chains_of_whom_two_crash_leave_out_nobody() {
    both_counts_twice("both", 3);
}

#[test]
fn three_members_of_whom_one_publishes_and_two_crash_leave_out_nobody() {
    both_counts("publishes", 3);
}

#[test]
fn three_members_that_collect_questions_leave_out_nobody() {
    both_counts("batches", 3);
}

#[test]
fn three_members_that_forget_silence_and_dial_leave_out_nobody() {
    both_counts("unwary", 3);
}

#[test]
fn three_members_with_connections_that_break_twice_leave_out_nobody() {
    whole("breaks-3-1", &scope("breaks", 3, 1), ALL);
}

#[test]
fn three_members_that_are_hasty_twice_leave_out_nobody() {
    both_counts("hasty", 3);
}

#[test]
fn three_members_to_whom_everything_happens_leave_out_nobody() {
    whole("everything-3-1", &scope("everything", 3, 1), ALL);
}

#[test]
fn four_members_of_whom_two_crash_leave_out_nobody() {
    both_counts("crashes", 4);
}

#[test]
fn five_members_of_whom_one_crashes_leave_out_nobody() {
    whole("crash-5-1", &scope("crash", 5, 1), ALL);
}

#[test]
fn members_that_all_hold_it_stay_as_they_should() {
    let mut scope = scope("crash", 3, 1);
    scope.beyond = true;
    whole("crash-3-1, beyond", &scope, ALL);
}

#[test]
fn six_members_leave_out_nobody_as_far_as_they_are_explored() {
    let mut scope = scope("everything", 6, 2);
    scope.wanted = vec![Mark::ByChain, Mark::ServedLate];
    partly("everything-6-2", &scope, 10_000);
}

/// Each rule by itself, with the faults it is for.
#[test]
fn without_any_one_rule_one_of_three_members_is_left_out() {
    let hasty = Faults {
        hasty: 1,
        ..Faults::default()
    };
    let breaks = Faults {
        breaks: 1,
        ..Faults::default()
    };
    let crash = Faults {
        ends: 1,
        crash: true,
        ..Faults::default()
    };
    let hang = Faults {
        ends: 1,
        hang: true,
        ..Faults::default()
    };
    for (rule, faults) in [
        (Rule::LateYes, hasty),
        (Rule::Passed, breaks),
        (Rule::ReArm, crash),
        (Rule::Watch, hang),
    ] {
        let scope = Scope::quiet(3, 1).with(faults).without(rule);
        let report = explore(&scope, ALL);
        let Verdict::Broken(violation, trace) = &report.verdict else {
            panic!("without {rule:?}: {report}");
        };
        assert_eq!(violation.property, "everybody alive gets it");
        let text = format!("chains: without {rule:?}: {violation} after {trace:?}");
        assert!(writeln!(io::stderr(), "{text}").is_ok());
    }
}

#[test]
fn random_walks_of_up_to_seven_members_leave_out_nobody() {
    let mut tally = Tally::default();
    for seed in 0..1_500 {
        walk(seed, &mut tally).unwrap_or_else(|why| panic!("{why}"));
    }
    assert!(writeln!(io::stderr(), "chains: {tally}").is_ok());
    for (mark, least) in [
        (Mark::ReArmed, 100),
        (Mark::GivenUp, 10),
        (Mark::ServedLate, 50),
        (Mark::AskedPassed, 50),
        (Mark::AskedInTurn, 10),
        (Mark::ByChain, 1_000),
    ] {
        assert!(tally.seen(mark) > least, "{mark:?}: {tally}");
    }
    assert!(tally.reached > 1_000, "{tally}");
}
