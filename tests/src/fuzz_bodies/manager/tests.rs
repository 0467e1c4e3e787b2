use samanea_core::manager::State::{
    Duplex, InboundDup, InboundIdleDup, InboundIdleUni, InboundUni, OutboundDupExpired,
    OutboundDupTicking, OutboundIdleDup, OutboundIdleUni, OutboundUni, ReservedOutbound,
    Terminated, Terminating, Unknown, UnnegotiatedInbound, UnnegotiatedOutbound,
};

use super::*;
use crate::fuzz_bodies::noise;

/// Those of the reference's coverage list, and those that follow from timers, which this machine
/// goes through. What only a self connection of the reference does never comes about: both ends
/// live under a serial of their own.
const REACHED: &[(State, State)] = &[
    (Unknown, ReservedOutbound),
    (Unknown, UnnegotiatedInbound),
    (ReservedOutbound, UnnegotiatedOutbound),
    (ReservedOutbound, Terminated),
    (UnnegotiatedOutbound, OutboundUni),
    (UnnegotiatedOutbound, OutboundDupTicking),
    (UnnegotiatedInbound, InboundIdleDup),
    (UnnegotiatedInbound, InboundIdleUni),
    (UnnegotiatedInbound, Terminating),
    (UnnegotiatedInbound, Terminated),
    (OutboundUni, OutboundIdleUni),
    (OutboundDupTicking, OutboundDupExpired),
    (OutboundDupTicking, InboundIdleDup),
    (OutboundDupTicking, Duplex),
    (OutboundDupExpired, OutboundIdleDup),
    (OutboundDupExpired, Duplex),
    (OutboundIdleUni, Terminating),
    (OutboundIdleDup, Terminating),
    (OutboundIdleDup, InboundDup),
    (InboundIdleDup, OutboundDupTicking),
    (InboundIdleDup, InboundDup),
    (InboundIdleDup, Terminating),
    (InboundIdleUni, InboundUni),
    (InboundIdleUni, Terminating),
    (InboundUni, InboundIdleUni),
    (InboundDup, InboundIdleDup),
    (InboundDup, Duplex),
    (Duplex, OutboundDupTicking),
    (Duplex, InboundDup),
    (Terminating, Terminated),
    (Terminated, Unknown),
];

#[test]
fn random_tapes_reach_every_transition_answer_and_limit() {
    let mut seen = Seen::default();
    for seed in 0..1_000 {
        seen.add(run(&noise(seed, 600)));
    }
    for transition in REACHED {
        let count = seen.transitions.get(transition).copied().unwrap_or(0);
        assert!(count >= 5, "{transition:?}: {count}");
    }
    for (name, least) in [
        ("ok", 500),
        ("exists", 100),
        ("forbidden", 20),
        ("releasing", 5),
        ("not found", 100),
        ("full", 50),
        ("connect", 20),
        ("ended", 20),
        ("cancelled", 50),
        ("shutdown", 20),
    ] {
        let count = seen.answers.get(name).copied().unwrap_or(0);
        assert!(
            count >= least,
            "answered {name}: {count}: {:?}",
            seen.answers
        );
    }
    assert!(seen.heats.len() >= 10, "{:?}", seen.heats);
    for (name, count) in [
        ("pruned", seen.pruned),
        ("matured", seen.matured),
        ("asked late", seen.asked_late),
        ("stale", seen.stale),
        ("restored", seen.restored),
    ] {
        assert!(count >= 100, "{name}: {count}");
    }
}
