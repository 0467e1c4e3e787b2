//! Scopes explored to their end, or to a bound.

use core::fmt::Debug;
use std::io::{self, Write};

use samanea_sim::explore::{Bound, Model, Report, explore};

use super::checker::{Second, second};

/// Every state once: all properties hold, and the end is reached within `bound`.
pub(crate) fn whole<M: Model>(name: &str, scope: &M, bound: Bound) -> Report<M::Act> {
    let report = explore(scope, bound);
    say(name, &report);
    assert!(report.verdict.held(), "{name}: {report}");
    assert!(report.whole && report.goals > 0, "{name}: {report}");
    report
}

/// The same by two explorers that must agree.
pub(crate) fn twice<M>(name: &str, scope: M, bound: Bound) -> Report<M::Act>
where
    M: Model + Send + Sync + 'static,
    M::State: Send + Sync + 'static,
    M::Act: PartialEq + Send + Sync + 'static,
{
    let report = whole(name, &scope, bound);
    let begins = u64::try_from(scope.init().len()).unwrap_or(u64::MAX);
    let expected = Second {
        states: u64::from(report.states),
        generated: report.transitions + begins,
        broken: false,
    };
    assert_eq!(second(scope, bound.states), expected, "{name}");
    report
}

/// So many states of a scope that has more.
pub(crate) fn partly<M: Model>(name: &str, scope: &M, states: u32) {
    let report = explore(scope, Bound::states(states));
    say(name, &report);
    assert!(report.verdict.held(), "{report}");
    assert_eq!((report.whole, report.states), (false, states));
}

fn say<A: Debug>(name: &str, report: &Report<A>) {
    let said = writeln!(
        io::stderr(),
        "explore: {} states, {} transitions, depth {} of {name}",
        report.states,
        report.transitions,
        report.depth
    );
    assert!(said.is_ok());
}
