//! A whole cycle of the churn in a whole governor, against the worked example.
//!
//! src: ouroboros-network, peer churn governor

use alloc::vec::Vec;

use super::rig::{Rig, ledger, peers, plain, s, use_ledger};
use crate::governor::{Event, Judgement, Targets, Trace};

/// A node with these targets that has all the peers it can want, told of churn over some hours.
fn churned(wanted: Targets) -> Rig {
    let mut config = plain();
    config.churn.on = true;
    config.deadline = wanted;
    let mut rig = Rig::new(config);
    rig.tell(Event::Judgement(Judgement::YoungEnough));
    rig.tell(Event::Topology(use_ledger().into()));
    rig.ledger(ledger(&peers(0..110), &peers(110..160)));
    rig.pass(s(300));
    // The rest is met on inbound connections.
    let inbound = (0..250_u8).map(|n| ([60, n, 1, 7], 3001).into());
    let inbound: Vec<_> = inbound
        .map(|addr: core::net::SocketAddr| (addr, false))
        .collect();
    rig.tell(Event::Mature(inbound));
    rig.pass(s(2_400));
    rig
}

/// Targets, and the least that each may be during a cycle in which every step succeeds.
#[test]
fn targets_fall_as_low_as_was_worked_out_and_no_lower() {
    let table = [
        (Targets::RELAY, [54, 126, 26, 16, 14, 9, 4]),
        (Targets::BLOCK_PRODUCER, [86, 86, 26, 16, 14, 9, 4]),
    ];
    for (wanted, least) in table {
        let mut rig = churned(wanted);
        let base = rig.governor.targets();
        assert_eq!(base, wanted);
        rig.clear();
        rig.pass(s(3_000));
        let steps: Vec<(u8, Targets)> = rig
            .traces()
            .into_iter()
            .filter_map(|(_, trace)| match trace {
                Trace::ChurnStep { step, targets } => Some((step, targets)),
                _ => None,
            })
            .collect();
        let numbers: Vec<u8> = steps.iter().map(|(step, _)| *step).collect();
        assert_eq!(numbers, (1..=12).collect::<Vec<_>>());
        let lowest = |of: fn(&Targets) -> u32| steps.iter().map(|(_, t)| of(t)).min().unwrap();
        let got = [
            lowest(|t| t.root),
            lowest(|t| t.known),
            lowest(|t| t.established),
            lowest(|t| t.active),
            lowest(|t| t.known_big),
            lowest(|t| t.established_big),
            lowest(|t| t.active_big),
        ];
        assert_eq!(got, least);
        assert_eq!(
            rig.governor.targets(),
            wanted,
            "at the end all is as before"
        );
        let late = rig.traces();
        let mut late = late.iter().filter_map(|(_, trace)| match trace {
            Trace::ChurnDone {
                step,
                timeout: true,
                ..
            } => Some(*step),
            _ => None,
        });
        let decreases = [1, 3, 4, 7, 9];
        assert!(
            !late.any(|step| decreases.contains(&step)),
            "fewer can always be reached"
        );
    }
}

#[test]
fn a_cycle_changes_some_peers_and_keeps_most() {
    let mut rig = churned(Targets::RELAY);
    let (known, hot) = (rig.known(), rig.hot());
    assert_eq!(hot.len(), 20 + 5);
    rig.pass(s(3_000));
    let kept = known.intersection(&rig.known()).count();
    assert!(kept < known.len() && kept > known.len() / 2, "{kept}");
    let kept = hot.intersection(&rig.hot()).count();
    assert!((15..25).contains(&kept), "{kept} of {}", hot.len());
}
