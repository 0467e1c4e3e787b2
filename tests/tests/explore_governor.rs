//! One governor among four peers in every order of events: small scopes to the end, all of it to a
//! bound.

mod support {
    pub(crate) mod checker;
    pub(crate) mod explored;
}

use samanea_sim::explore::{Bound, governor::Scope};
use support::explored::{partly, twice, whole};

/// More than any small scope has.
const ALL: Bound = Bound::states(200_000);

#[test]
fn a_governor_whose_operator_changes_his_mind_holds_every_property() {
    twice("a governor, changes", Scope::changes(), ALL);
}

#[test]
fn a_governor_on_a_failing_network_holds_every_property() {
    twice("a governor, failures", Scope::failing(), ALL);
}

#[test]
fn a_governor_among_liars_holds_every_property() {
    whole("a governor, lies", &Scope::lying(), ALL);
}

#[test]
fn a_governor_that_is_told_of_a_peer_holds_every_property() {
    whole("a governor, sharing", &Scope::telling(), ALL);
}

#[test]
fn a_governor_with_a_big_ledger_peer_holds_every_property() {
    whole("a governor, big ledger peers", &Scope::big(), ALL);
}

#[test]
fn a_governor_whose_chain_becomes_old_holds_every_property() {
    twice("a governor, bootstrap", Scope::distrusting(), ALL);
}

#[test]
fn a_governor_that_trusts_its_local_root_holds_every_property() {
    whole("a governor, trustable", &Scope::trusting(), ALL);
}

#[test]
fn a_governor_in_genesis_mode_holds_every_property() {
    twice("a governor, genesis", Scope::genesis(), ALL);
}

#[test]
fn a_governor_holds_every_property_as_far_as_it_is_explored() {
    partly("a governor", &Scope::whole(), 10_000);
}
