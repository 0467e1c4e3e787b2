//! The explorer against models whose answers are known, and against another model checker.

mod support {
    pub(crate) mod checker;
}

use samanea_sim::explore::{
    Bound, Model, Verdict, explore,
    small::{Hasty, Peterson, Ring, TwoPhase},
};
use support::checker::{Second, second};

const ALL: Bound = Bound::states(1_000_000);

/// Both explorers see as many states and judge alike.
fn agree<M>(model: M) -> u32
where
    M: Model + Send + Sync + 'static,
    M::State: Send + Sync + 'static,
    M::Act: PartialEq + Send + Sync + 'static,
{
    let ours = explore(&model, ALL);
    let theirs = second(model, ALL.states);
    match &ours.verdict {
        Verdict::Broken(..) => assert!(theirs.broken),
        Verdict::Held | Verdict::Stuck(_) | Verdict::Unmarked(_) => {
            let initial = 1;
            let expected = Second {
                states: u64::from(ours.states),
                generated: ours.transitions + initial,
                broken: false,
            };
            assert_eq!(theirs, expected);
        }
    }
    ours.states
}

#[test]
fn two_phase_commit_has_the_published_number_of_states() {
    for (managers, states) in [(3, 288), (5, 8_832)] {
        let model = TwoPhase {
            managers,
            defect: None,
        };
        let report = explore(&model, ALL);
        assert!(report.verdict.held(), "{report}");
        assert!(report.whole);
        assert_eq!(report.states, states, "{managers} managers");
        assert_eq!(agree(model), states);
    }
}

#[test]
fn a_commit_with_a_vote_missing_breaks_agreement_in_five_acts() {
    let model = TwoPhase {
        managers: 2,
        defect: Some(Hasty::OneVoteShort),
    };
    let report = explore(&model, ALL);
    let Verdict::Broken(violation, trace) = report.verdict else {
        panic!("{report}");
    };
    assert_eq!(violation.property, "all agree");
    assert_eq!(trace.len(), 5, "{trace:?}");
    assert_replays(&model, &trace);
    agree(model);
}

#[test]
fn a_coordinator_that_never_aborts_leaves_a_manager_stuck_after_two_acts() {
    let model = TwoPhase {
        managers: 2,
        defect: Some(Hasty::NeverAborts),
    };
    let report = explore(&model, ALL);
    let Verdict::Stuck(trace) = &report.verdict else {
        panic!("{report}");
    };
    assert_eq!(trace.len(), 2, "{report}");
    agree(model);
}

#[test]
fn petersons_lock_holds_and_its_swapped_form_breaks_in_six_acts() {
    let report = explore(&Peterson { turn_first: false }, ALL);
    assert!(report.verdict.held() && report.whole, "{report}");
    agree(Peterson { turn_first: false });
    let swapped = Peterson { turn_first: true };
    let report = explore(&swapped, ALL);
    let Verdict::Broken(_, trace) = report.verdict else {
        panic!("{report}");
    };
    assert_eq!(trace.len(), 6, "{trace:?}");
    assert_replays(&swapped, &trace);
    agree(swapped);
}

#[test]
fn a_ring_of_n_has_two_n_states_and_a_copied_token_breaks_it_after_n_plus_two_acts() {
    for processes in 2..=8 {
        let ring = Ring {
            processes,
            copies: false,
        };
        let n = u32::from(processes);
        let report = explore(&ring, ALL);
        assert!(report.verdict.held() && report.whole, "{report}");
        let seen = (report.states, report.transitions, report.depth);
        assert_eq!(seen, (2 * n, u64::from(3 * n), n));
        assert_eq!(report.goals, report.states);
        let each = u64::from(n);
        let kinds = [("enter", each), ("hand on", each), ("leave", each)];
        assert_eq!(report.kinds, kinds);
        agree(ring);
        let copying = Ring {
            processes,
            copies: true,
        };
        let Verdict::Broken(_, trace) = explore(&copying, ALL).verdict else {
            panic!("two tokens and nobody met");
        };
        assert_eq!(trace.len(), usize::from(processes) + 2);
        assert_replays(&copying, &trace);
        agree(copying);
    }
}

#[test]
fn a_bound_is_kept_and_an_unseen_mark_fails() {
    let ring = Ring {
        processes: 6,
        copies: false,
    };
    let (states, depth) = (u32::MAX, 3);
    let report = explore(&ring, Bound { states, depth });
    assert_eq!((report.whole, report.depth), (false, 3));
    assert_eq!(
        report.verdict,
        Verdict::Unmarked(vec!["the last one is inside"])
    );
    let report = explore(&ring, Bound::states(7));
    assert_eq!((report.whole, report.states), (false, 7));
    assert!(!report.verdict.held());
}

/// The trace ends in the first state that breaks the check.
fn assert_replays<M: Model>(model: &M, trace: &[M::Act]) {
    let mut state = model.init().remove(0);
    for (n, act) in trace.iter().enumerate() {
        state = model.next(&state, act).expect("the act can be taken");
        assert_eq!(model.check(&state).is_err(), n + 1 == trace.len());
    }
}
