//! One governor among scripted peers: every law of peer selection holds, and each was put to the
//! test.
//!
//! All scenarios are played once; each test then asks for one law. A law that is broken is shown
//! by the shortest scenario found that breaks it.

mod leaving;
mod regressions;
mod table;

use core::time::Duration;
use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    sync::OnceLock,
};

use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestError, TestRunner},
};
use samanea_core::base::Seeded;
use samanea_sim::governor::{
    Breach, Doing, Extras, Flavour, Journal, Law, Scenario, Seen, Share, Size, Verdict, run,
    shortest,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// What all scenarios have shown.
#[derive(Default)]
struct Report {
    seen: Seen,
    broken: BTreeMap<Law, (Scenario, Breach)>,
}

impl Report {
    fn add(&mut self, scenario: &Scenario, verdict: Verdict) {
        self.seen.add(&verdict.seen);
        for (law, breach) in verdict.broken {
            let other = || (scenario.clone(), breach);
            self.broken.entry(law).or_insert_with(other);
        }
    }

    fn merge(&mut self, other: Self) {
        self.seen.add(&other.seen);
        for (law, breach) in other.broken {
            self.broken.entry(law).or_insert(breach);
        }
    }
}

/// The scenario of a number.
fn scenario(number: u64) -> Scenario {
    let place = usize::try_from(number).unwrap();
    let flavour = Flavour::ALL[place % 7];
    let extras = [Extras::Off, Extras::On][place / 7 % 2];
    let long = place / 14 % 4 == 3;
    let (peers, events, hours) = if long { (16, 60, 10) } else { (40, 50, 2) };
    let size = Size {
        peers,
        events,
        horizon: HOUR * hours,
    };
    Scenario::draw(&mut Seeded::new(number), flavour, extras, size)
}

/// How many scenarios are played.
const SCENARIOS: u64 = 336;

fn report() -> &'static Report {
    static REPORT: OnceLock<Report> = OnceLock::new();
    REPORT.get_or_init(|| {
        let play = |odd: u64| {
            let mut part = Report::default();
            for number in (0..SCENARIOS).filter(|number| number % 2 == odd) {
                let scenario = scenario(number);
                part.add(&scenario, run(&scenario, Journal::Off));
            }
            part
        };
        let whole = std::thread::scope(|scope| {
            let odd = scope.spawn(|| play(1));
            let mut whole = play(0);
            whole.merge(odd.join().unwrap());
            whole
        });
        let _ = writeln!(io::stderr(), "{}", whole.seen);
        let _ = writeln!(io::stderr(), "broken: {:?}", whole.broken.keys());
        whole
    })
}

/// The law was never broken, and had at least so many cases.
#[track_caller]
fn holds(law: Law, least: u64) {
    let report = report();
    if let Some((scenario, _)) = report.broken.get(&law) {
        panic!("{}", told(scenario, law));
    }
    let cases = report.seen.cases(law);
    assert!(cases >= least, "{law:?} had {cases} cases only");
}

/// A failing scenario in its shortest form, and what led there.
fn told(scenario: &Scenario, law: Law) -> String {
    let (scenario, verdict) = shortest(scenario, law, 200);
    let breach = verdict.broken.get(&law).map(ToString::to_string);
    format!(
        "{}\nin {scenario:#?}\nafter\n{}",
        breach.unwrap_or_default(),
        verdict.journal.join("\n")
    )
}

#[test]
fn a_world_that_is_not_empty_gets_an_answer() {
    holds(Law::Output, 10_000);
}

#[test]
fn all_invariants_hold_after_every_step() {
    holds(Law::Invariants, 100_000);
}

#[test]
fn no_event_is_taken_in_without_a_look_at_what_follows() {
    holds(Law::Awake, 20_000);
}

#[test]
fn time_passes_between_many_steps() {
    holds(Law::Livelock, 100_000);
}

#[test]
fn nobody_is_busy_without_a_reason() {
    holds(Law::Busyness, 1_000);
}

#[test]
fn ticks_come_when_they_are_due_and_early_ones_change_nothing() {
    holds(Law::Deadlines, 10_000);
}

#[test]
fn a_journey_through_a_snapshot_changes_nothing() {
    holds(Law::Snapshot, 1_000);
}

#[test]
fn every_connection_is_what_it_is_believed_to_be() {
    holds(Law::Follows, 100_000);
}

#[test]
fn every_order_can_be_carried_out() {
    holds(Law::Orders, 1_000);
}

#[test]
fn counters_are_what_counting_gives() {
    holds(Law::Counters, 100_000);
}

#[test]
fn peers_that_asked_for_the_same_pause_do_not_return_together() {
    holds(Law::Fuzz, 50);
}

#[test]
fn nobody_is_known_of_whom_nobody_told() {
    holds(Law::Revealed, 2_000);
}

#[test]
fn everybody_known_can_be_reached_from_the_roots() {
    holds(Law::Reachable, 1_000);
}

#[test]
fn big_ledger_peers_come_from_the_ledger() {
    holds(Law::BigRevealed, 100);
}

#[test]
fn addresses_are_asked_for_when_peers_are_wanted() {
    holds(Law::Asks, 100);
}

#[test]
fn nobody_is_asked_for_addresses_too_often() {
    holds(Law::Chatty, 1_000);
}

#[test]
fn who_does_not_share_is_never_asked() {
    holds(Law::SharingAgreed, 500);
}

#[test]
fn addresses_that_are_told_are_known_while_peers_are_wanted() {
    holds(Law::SharesTaken, 200);
}

#[test]
fn nobody_is_forgotten_below_the_target() {
    holds(Law::NotBelow, 500);
}

#[test]
fn above_the_target_no_cold_peer_stays_known() {
    holds(Law::KnownAbove, 500);
}

#[test]
fn no_big_ledger_peer_is_forgotten_below_the_target() {
    holds(Law::BigNotBelow, 50);
}

#[test]
fn above_the_target_no_cold_big_ledger_peer_stays_known() {
    holds(Law::BigKnownAbove, 500);
}

#[test]
fn roots_are_asked_for_when_they_are_wanted() {
    holds(Law::Roots, 500);
}

#[test]
fn big_ledger_peers_are_asked_for_when_they_are_wanted() {
    holds(Law::BigRoots, 500);
}

#[test]
fn below_the_target_no_cold_peer_is_overlooked() {
    holds(Law::EstablishedBelow, 500);
}

#[test]
fn above_the_target_no_warm_peer_is_overlooked() {
    holds(Law::EstablishedAbove, 500);
}

#[test]
fn below_the_target_no_cold_big_ledger_peer_is_overlooked() {
    holds(Law::BigEstablishedBelow, 500);
}

#[test]
fn above_the_target_no_warm_big_ledger_peer_is_overlooked() {
    holds(Law::BigEstablishedAbove, 300);
}

#[test]
fn no_cold_member_of_a_group_is_overlooked() {
    holds(Law::GroupWarm, 500);
}

#[test]
fn below_the_target_no_warm_peer_is_overlooked() {
    holds(Law::ActiveBelow, 500);
}

#[test]
fn above_the_target_no_hot_peer_is_overlooked() {
    holds(Law::ActiveAbove, 500);
}

#[test]
fn below_the_target_no_warm_big_ledger_peer_stays_warm() {
    holds(Law::BigActiveBelow, 500);
}

#[test]
fn above_the_target_no_hot_big_ledger_peer_is_overlooked() {
    holds(Law::BigActiveAbove, 200);
}

#[test]
fn no_warm_member_of_a_group_is_overlooked() {
    holds(Law::GroupHot, 500);
}

#[test]
fn no_hot_member_of_a_group_stays_hot_beyond_its_valency() {
    holds(Law::GroupCool, 30);
}

#[test]
fn a_peer_kept_by_command_is_made_hot() {
    holds(Law::Kept, 200);
}

#[test]
fn nobody_is_promoted_beyond_a_target() {
    holds(Law::NoOvershoot, 1_000);
}

#[test]
fn while_the_chain_is_old_no_untrusted_peer_stays() {
    holds(Law::OnlyTrusted, 1000);
}

#[test]
fn once_only_trusted_peers_are_left_no_other_returns() {
    holds(Law::StaysTrusted, 1000);
}

#[test]
fn then_all_trusted_local_roots_are_known() {
    holds(Law::TrustedKnown, 200);
}

#[test]
fn a_node_with_a_young_chain_does_not_stay_on_bootstrap_peers() {
    holds(Law::NotOnlyBootstrap, 1000);
}

#[test]
fn bootstrap_peers_come_only_when_they_are_needed() {
    holds(Law::NoBootstrap, 50);
}

#[test]
fn with_local_roots_alone_nobody_else_is_ever_known() {
    holds(Law::LocalOnly, 200);
}

#[test]
fn local_roots_are_those_of_the_topology() {
    holds(Law::Locals, 1_000);
}

#[test]
fn nobody_behind_a_firewall_is_dialled() {
    holds(Law::Firewall, 20);
}

#[test]
fn local_roots_are_offered_what_the_operator_says() {
    holds(Law::Mode, 200);
}

#[test]
fn names_of_local_roots_are_looked_up_again() {
    holds(Law::Names, 5000);
}

#[test]
fn who_cannot_get_rid_of_untrusted_peers_gives_up_in_time() {
    holds(Law::Stuck, 1);
}

#[test]
fn consensus_is_told_whether_all_peers_are_trusted() {
    holds(Law::Trust, 10_000);
}

#[test]
fn only_who_was_reached_and_may_be_told_is_told_to_others() {
    holds(Law::Shareable, 200);
}

#[test]
fn only_peers_that_are_no_roots_are_forgotten_for_their_failures() {
    holds(Law::Forgetting, 500);
}

#[test]
fn each_failure_doubles_the_pause() {
    holds(Law::BackOff, 200);
}

#[test]
fn who_broke_a_rule_is_left_alone_for_its_time() {
    holds(Law::HeldOff, 500);
}

#[test]
fn the_steps_of_the_churn_come_in_order() {
    holds(Law::ChurnOrder, 500);
}

#[test]
fn the_churn_wants_what_its_table_says() {
    holds(Law::ChurnTargets, 500);
}

#[test]
fn everything_of_interest_has_happened() {
    let seen = &report().seen;
    let least = [
        ("a big ledger peer is hot", 100),
        ("a public root is hot", 20),
        ("a bootstrap peer is hot", 20),
        ("a shared peer is hot", 100),
        ("a whole cycle of the churn", 50),
        ("inbound peers are taken", 20),
        ("an outage is noticed", 5),
        ("only trusted peers are left", 5),
        ("a demotion fails", 5),
        ("a peer does not answer", 5),
        ("an answer adds nobody", 5),
        ("an answer adds somebody", 20),
        ("an answer comes too late", 5),
        ("roots cannot be had", 5),
        ("a surplus peer is forgotten", 50),
        ("addresses are told", 50),
        ("forgotten after too many failures", 5),
        ("offence", 20),
        ("restart", 20),
        ("trusted", 100),
        ("a local root is offered one direction", 20),
        ("cooling", 100),
        ("warm, waiting", 50),
        ("deactivating", 100),
    ];
    let missing: Vec<_> = least
        .iter()
        .filter(|(what, least)| seen.marks(what) < *least)
        .map(|(what, least)| (what, seen.marks(what), least))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// Of the peers of a kind for which the targets have a place, so many in a hundred get there, and
/// in so many in a hundred of the runs in which there are such peers one of them does.
#[track_caller]
fn get_there(share: Share, peers_percent: u64, runs_percent: u64) {
    let part = report()
        .seen
        .shares
        .get(&share)
        .copied()
        .unwrap_or_default();
    assert!(part.runs >= 100 && part.peers >= 500, "too few: {part:?}");
    let of = |some: u64, all: u64| some * 100 / all;
    let (peers, runs) = (
        of(part.peers_there, part.peers),
        of(part.runs_there, part.runs),
    );
    assert!(peers >= peers_percent, "{peers} of 100 peers: {part:?}");
    assert!(runs >= runs_percent, "in {runs} of 100 runs: {part:?}");
}

#[test]
fn most_public_roots_for_which_there_is_a_place_are_connected() {
    get_there(Share::PublicEstablished, 65, 85);
}

#[test]
fn most_connected_public_roots_for_which_there_is_a_place_are_made_hot() {
    get_there(Share::PublicActive, 60, 85);
}

#[test]
fn most_big_ledger_peers_for_which_there_is_a_place_are_connected() {
    get_there(Share::BigEstablished, 65, 90);
}

#[test]
fn most_connected_big_ledger_peers_for_which_there_is_a_place_are_made_hot() {
    get_there(Share::BigActive, 50, 95);
}

/// Where every peer does as it is told, fewer of them are always reached in time.
#[test]
fn with_tame_peers_no_step_of_the_churn_downwards_is_late() {
    let mut seen = Seen::default();
    for number in 0..24 {
        let mut scenario = scenario(number * 7);
        scenario = scenario.simpler().swap_remove(0);
        scenario.events.clear();
        // Local roots stay hot whatever the target is.
        for doing in &mut scenario.start {
            if let Doing::Topology(topology) = doing {
                topology.local.clear();
            }
        }
        scenario.config.churn.on = true;
        scenario.horizon = HOUR * 5;
        seen.add(&run(&scenario, Journal::Off).seen);
    }
    assert_eq!(seen.marks("a step downwards took too long"), 0);
    let cycles = seen.marks("a whole cycle of the churn");
    assert!(cycles >= 40, "{cycles} cycles");
}

/// Scenarios of other numbers keep every law. The same ones in every run; with the variable
/// `PROPTEST_RNG_SEED`, those that nobody has seen before.
#[test]
fn no_scenario_breaks_a_law() {
    let mut config = ProptestConfig {
        cases: 14,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(20_260_101);
    }
    let numbers = 1_000..u64::MAX / 2;
    let verdict = TestRunner::new(config).run(&numbers, |number| {
        let scenario = scenario(number);
        let verdict = run(&scenario, Journal::Off);
        match verdict.broken.keys().next() {
            None => Ok(()),
            Some(law) => Err(TestCaseError::fail(told(&scenario, *law))),
        }
    });
    match verdict {
        Ok(()) => {}
        Err(TestError::Fail(why, number)) => panic!("scenario {number}: {why}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}
