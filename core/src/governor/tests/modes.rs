//! Bootstrap, Genesis, and what consensus is told.
//!
//! src: ouroboros-network, Cardano's extension of the peer selection governor

use alloc::{vec, vec::Vec};

use super::rig::{
    Rig, big, fault, group, ledger, locals, peer, peers, plain, s, targets, use_ledger,
};
use crate::{
    base::Class,
    governor::{
        ConsensusMode, Event, Failure, Judgement, Notice, Relay, Source, Targets, Topology, Trace,
        Trust, UseLedger,
    },
};

/// Bootstrap peers 40 and 41, a trusted local root 0 and one that is not, 1, and a ledger.
fn topology() -> Topology {
    let mut trusted = group(1, 1, &[peer(0)]);
    trusted.traits.trustable = true;
    let mut topology = use_ledger();
    topology.local = vec![trusted, group(1, 1, &[peer(1)])];
    topology.bootstrap = Some(peers(40..42).into_iter().map(Relay::Addr).collect());
    topology
}

fn rig() -> Rig {
    let wanted = Targets {
        known_big: 2,
        established_big: 2,
        active_big: 1,
        ..targets(8, 20, 8, 4)
    };
    let mut rig = Rig::young(plain(), wanted, topology());
    rig.ledger(ledger(&peers(10..13), &peers(20..24)));
    rig.pass(s(60));
    rig
}

#[test]
fn a_young_chain_needs_no_bootstrap_peer() {
    let rig = rig();
    assert!(
        rig.those(|peer| peer.source == Source::Bootstrap)
            .is_empty()
    );
    assert!(rig.established().len() > 6);
    assert_eq!(rig.governor.trust(), Trust::Untrusted);
}

#[test]
fn when_the_chain_is_old_all_untrusted_peers_go_and_bootstrap_peers_come() {
    let mut rig = rig();
    rig.clear();
    rig.tell(Event::Judgement(Judgement::TooOld));
    assert!(rig.governor.targets().is_zero());
    rig.pass(s(120));
    let known: Vec<_> = rig.known().into_iter().collect();
    assert_eq!(known, [peer(0), peer(40), peer(41)]);
    let clean = rig
        .traces()
        .iter()
        .any(|(_, trace)| *trace == Trace::OnlyTrusted);
    assert!(clean);
    assert_eq!(rig.hot().len(), 3);
    assert_eq!(rig.governor.trust(), Trust::Trusted);
}

#[test]
fn when_the_chain_is_young_again_others_come_back() {
    let mut rig = rig();
    rig.tell(Event::Judgement(Judgement::TooOld));
    rig.pass(s(120));
    rig.tell(Event::Judgement(Judgement::YoungEnough));
    assert_eq!(rig.source(peer(1)), Some(Source::Local));
    rig.pass(s(120));
    assert!(rig.governor.counters().ledger.known > 0);
    assert_eq!(rig.governor.counters().big.established, 2);
    assert_eq!(rig.governor.trust(), Trust::Untrusted);
}

#[test]
fn a_node_that_cannot_get_rid_of_a_peer_says_so_after_a_quarter_of_an_hour() {
    let mut rig = rig();
    rig.silent = true;
    rig.clear();
    rig.tell(Event::Judgement(Judgement::TooOld));
    let stuck =
        |rig: &Rig| rig.count(|action| *action == crate::governor::Action::Notice(Notice::Stuck));
    rig.pass(s(899));
    assert_eq!(stuck(&rig), 0);
    rig.pass(s(2));
    assert_eq!(stuck(&rig), 1);
}

#[test]
fn a_node_that_is_clean_in_time_is_not_stuck() {
    let mut rig = rig();
    rig.clear();
    rig.tell(Event::Judgement(Judgement::TooOld));
    rig.pass(s(2_000));
    let stuck = rig.count(|action| *action == crate::governor::Action::Notice(Notice::Stuck));
    assert_eq!(stuck, 0);
}

#[test]
fn switching_bootstrap_on_and_off_is_like_a_change_of_the_chain() {
    let mut rig = rig();
    let mut none = topology();
    none.bootstrap = None;
    rig.tell(Event::Topology(none.clone().into()));
    rig.tell(Event::Judgement(Judgement::TooOld));
    rig.pass(s(60));
    assert!(rig.established().len() > 6, "nothing to be afraid of");
    rig.tell(Event::Topology(topology().into()));
    rig.pass(s(120));
    assert_eq!(rig.hot().len(), 3);
    assert_eq!(rig.governor.trust(), Trust::Trusted);
    rig.tell(Event::Topology(none.into()));
    rig.pass(s(120));
    assert!(rig.established().len() > 6);
}

/// Association, bootstrap, mode: when consensus is told that all are trusted.
#[test]
fn consensus_is_told_of_trust_by_the_table() {
    // Local roots alone: trusted exactly when all established are.
    for trustable in [false, true] {
        let mut only = group(1, 1, &[peer(0)]);
        only.traits.trustable = trustable;
        let mut config = plain();
        config.sharing = false;
        let mut rig = Rig::young(config, targets(0, 5, 0, 0), locals(vec![only]));
        rig.pass(s(10));
        let told = rig.governor.trust() == Trust::Trusted;
        assert_eq!(told, trustable);
    }
    // Praos without bootstrap peers: never.
    let mut rig = Rig::young(plain(), targets(5, 9, 5, 5), use_ledger());
    rig.ledger(ledger(&[], &peers(0..5)));
    rig.pass(s(60));
    assert_eq!(rig.hot().len(), 5);
    assert_eq!(rig.governor.trust(), Trust::Untrusted);
    // Genesis: enough big ledger peers are hot.
    for (active, trusted) in [(4, Trust::Untrusted), (5, Trust::Trusted)] {
        let mut config = plain();
        config.consensus = ConsensusMode::Genesis;
        config.sync = big(9, 9, active);
        let mut rig = Rig::new(config);
        rig.tell(Event::Topology(use_ledger().into()));
        rig.ledger(ledger(&peers(0..9), &[]));
        rig.pass(s(60));
        assert_eq!(rig.governor.counters().big.active, active);
        assert_eq!(rig.governor.trust(), trusted);
    }
}

/// Mode, chain: which targets are in force.
#[test]
fn the_targets_in_force_are_those_of_the_table() {
    let (deadline, sync) = (targets(1, 9, 5, 2), targets(0, 7, 3, 1));
    let table = [
        (ConsensusMode::Praos, Judgement::TooOld, deadline),
        (ConsensusMode::Praos, Judgement::YoungEnough, deadline),
        (ConsensusMode::Genesis, Judgement::TooOld, sync),
        (ConsensusMode::Genesis, Judgement::YoungEnough, deadline),
    ];
    for (consensus, judgement, expected) in table {
        let mut config = plain();
        config.consensus = consensus;
        let mut rig = Rig::new(config);
        rig.tell(Event::Targets { deadline, sync });
        rig.tell(Event::Judgement(judgement));
        rig.pass(s(10));
        assert_eq!(
            rig.governor.targets(),
            expected,
            "{consensus:?}, {judgement:?}"
        );
    }
}

#[test]
fn insane_targets_are_refused_and_change_nothing() {
    let mut rig = Rig::young(plain(), targets(1, 9, 5, 2), Topology::default());
    rig.clear();
    rig.tell(Event::Targets {
        deadline: targets(1, 9, 5, 6),
        sync: Targets::SYNC,
    });
    assert_eq!(rig.governor.targets(), targets(1, 9, 5, 2));
    let refused = rig.count(|action| {
        matches!(
            action,
            crate::governor::Action::Notice(Notice::TargetsRefused(_))
        )
    });
    assert_eq!(refused, 1);
}

#[test]
fn a_local_root_that_is_trusted_no_longer_goes_while_the_chain_is_old() {
    let mut rig = rig();
    rig.tell(Event::Judgement(Judgement::TooOld));
    rig.pass(s(120));
    let mut changed = topology();
    changed.local = vec![group(1, 1, &[peer(0)])];
    changed.use_ledger = UseLedger::Always;
    rig.tell(Event::Topology(changed.into()));
    rig.pass(s(200));
    assert!(rig.governor.explain(&peer(0)).is_none());
    assert_eq!(rig.governor.trust(), Trust::Trusted);
    let _ = fault(Class::Network);
}

#[test]
fn when_the_last_untrusted_peer_has_left_trusted_ones_come_at_once() {
    let mut rig = rig();
    let others = rig.those(|known| known.source == Source::Ledger);
    let liar = others.iter().find(|at| rig.established().contains(at));
    let liar = *liar.unwrap();
    let failure = Some(Failure {
        class: Class::Adversarial,
        delay: None,
    });
    let peer = liar;
    rig.tell(Event::Cooling { peer, failure });
    assert!(rig.governor.is_gone(&peer));
    rig.clear();
    rig.tell(Event::Judgement(Judgement::TooOld));
    rig.pass(s(120));
    let clean = |rig: &Rig| {
        let mut traces = rig.traces().into_iter();
        traces.any(|(_, trace)| trace == Trace::OnlyTrusted)
    };
    assert!(!clean(&rig), "its connection is not closed yet");
    rig.tell(Event::Cold { peer, failure });
    assert!(clean(&rig));
}
