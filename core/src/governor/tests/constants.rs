//! Every constant of the reference is a default.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use super::rig::s;
use crate::governor::{Config, ConsensusMode, Names, QUOTA_PERCENT, Targets};

/// Spans: the name, ours, the reference's in seconds.
/// src: ouroboros-network and cardano-diffusion, default policies
fn spans(config: &Config) -> Vec<(&'static str, Duration, u64)> {
    let Config {
        back_off,
        roots,
        names,
        share,
        churn,
        ..
    } = config;
    vec![
        ("connect back-off base", back_off.base, 5),
        ("connect fuzz", back_off.fuzz, 2),
        ("clear failures after activation", back_off.clear, 120),
        ("error repromote delay", back_off.error, 10),
        ("cold fuzz", back_off.cold_fuzz, 4),
        ("warm fuzz", back_off.warm_fuzz, 10),
        ("ledger time to live", roots.ledger_ttl, 5),
        ("ledger cache, short", roots.ledger_life_empty, 30),
        ("ledger cache, long", roots.ledger_life, 1_847),
        ("share retry", share.retry, 900),
        ("share first", share.first, 300),
        ("share overall", share.overall, 10),
        ("salt period", share.salt, 823),
        ("inbound retry", share.inbound_retry, 60),
        ("churn deadline", churn.deadline, 3_300),
        ("churn deadline fuzz", churn.deadline_fuzz, 600),
        ("churn bulk", churn.bulk, 900),
        ("churn bulk fuzz", churn.bulk_fuzz, 60),
        ("churn: fewer hot", churn.deactivate, 300),
        ("churn: fewer established", churn.close, 121),
        ("churn: more known", churn.discover, 80),
        ("churn: every other step", churn.step, 60),
        ("churn head start", churn.head_start, 3),
        ("bootstrap clean-state limit", config.bootstrap_timeout, 900),
        ("shortest time to live of a name", names.ttl_min, 60),
        ("longest time to live of a name", names.ttl_max, 900),
        ("step of the retry of names", names.retry_step, 5),
    ]
}

/// Numbers: the name, ours, the reference's.
fn numbers(config: &Config) -> Vec<(&'static str, u64, u64)> {
    let Config {
        back_off,
        roots,
        names,
        share,
        policy,
        ..
    } = config;
    vec![
        (
            "doublings of the back-off",
            back_off.doublings_max.into(),
            5,
        ),
        (
            "failures before a peer is forgotten",
            back_off.failures_max.into(),
            5,
        ),
        ("doublings of the root retry", roots.doublings_max.into(), 8),
        ("asked at a time", share.outstanding_max as u64, 2),
        ("told at most", share.reply_max.into(), 10),
        ("asked for at least", share.amount_min.into(), 8),
        (
            "inbound peers taken at a time",
            share.inbound_max as u64,
            10,
        ),
        ("big ledger peers for trust", config.big_for_trust.into(), 5),
        ("slots of the board", policy.window as u64, 180),
        ("lookups for local roots", names.local_max as u64, 2),
        ("other lookups", names.others_max as u64, 8),
        ("stake of big ledger peers, percent", QUOTA_PERCENT, 90),
    ]
}

#[test]
fn every_constant_of_the_reference_is_the_default() {
    let config = Config::default();
    let (spans, numbers) = (spans(&config), numbers(&config));
    assert!(spans.len() >= 27 && numbers.len() >= 12);
    for (what, ours, theirs) in spans {
        assert_eq!(ours, s(theirs), "{what}");
    }
    for (what, ours, theirs) in numbers {
        assert_eq!(ours, theirs, "{what}");
    }
    assert_eq!(config.consensus, ConsensusMode::Praos);
    assert!(config.sharing && config.churn.on);
    let Names { v4, v6, .. } = config.names;
    assert!(v4 && v6);
    assert_eq!(config.sync, Targets::SYNC);
}

/// The default targets. src: cardano-node, default configuration of peer selection
#[test]
fn default_targets_are_those_of_the_reference() {
    let table = [
        (
            "block producer",
            Targets::BLOCK_PRODUCER,
            [100, 100, 30, 20, 15, 10, 5],
        ),
        ("relay", Targets::RELAY, [60, 150, 30, 20, 15, 10, 5]),
        ("sync", Targets::SYNC, [0, 150, 10, 5, 100, 40, 30]),
    ];
    for (what, targets, theirs) in table {
        let ours = [
            targets.root,
            targets.known,
            targets.established,
            targets.active,
            targets.known_big,
            targets.established_big,
            targets.active_big,
        ];
        assert_eq!(ours, theirs, "{what}");
    }
}

/// Targets that are refused, and the same that are not quite.
/// src: ouroboros-network, `sanePeerSelectionTargets`
#[test]
fn targets_are_sane_as_in_the_reference() {
    let sane = |t: [u32; 7]| {
        let [
            root,
            known,
            established,
            active,
            known_big,
            established_big,
            active_big,
        ] = t;
        let targets = Targets {
            root,
            known,
            established,
            active,
            known_big,
            established_big,
            active_big,
        };
        targets.check().is_ok()
    };
    let table = [
        ([0, 0, 0, 0, 0, 0, 0], true),
        ([5, 5, 5, 5, 5, 5, 5], true),
        ([6, 5, 5, 5, 5, 5, 5], false),
        ([5, 5, 6, 5, 5, 5, 5], false),
        ([5, 5, 5, 6, 5, 5, 5], false),
        ([5, 5, 5, 5, 5, 6, 5], false),
        ([5, 5, 5, 5, 5, 5, 6], false),
        ([50, 5, 5, 5, 50, 5, 5], false),
        ([0, 200, 200, 100, 0, 0, 0], true),
        ([0, 200, 200, 101, 0, 0, 0], false),
        ([0, 2_000, 1_000, 0, 0, 0, 0], true),
        ([0, 2_000, 1_001, 0, 0, 0, 0], false),
        ([0, 0, 0, 0, 200, 200, 101], false),
        ([0, 0, 0, 0, 2_000, 1_001, 0], false),
        ([0, 10_000, 0, 0, 10_000, 0, 0], true),
    ];
    for (targets, is_sane) in table {
        assert_eq!(sane(targets), is_sane, "{targets:?}");
    }
}
