//! What connections do by themselves.
//!
//! src: ouroboros-network, peer selection governor, monitored connections

use alloc::{vec, vec::Vec};
use core::time::Duration;

use super::rig::{Rig, fault, group, locals, peer, plain, s, targets};
use crate::{
    base::Class,
    governor::{Action, Event, Failure, Status, Targets, Topology, Trace},
};

/// One hot peer, or one warm.
fn one(active: u32) -> Rig {
    let mut rig = Rig::young(plain(), targets(0, 1, 1, active), Topology::default());
    rig.tell(Event::Mature(vec![(peer(0), true)]));
    rig.pass(s(5));
    assert_eq!(rig.governor.counters().ordinary.active, active);
    rig
}

/// The delay asked for: how long before it is used again, at least and at most.
#[test]
fn a_hot_peer_whose_protocol_ended_is_used_again_after_its_delay() {
    let table = [
        (None, 0, 0),
        (Some(10), 10_100, 20_000),
        (Some(120), 120_100, 130_000),
        (Some(180), 180_100, 190_000),
    ];
    for (delay, least, most) in table {
        let mut rig = one(1);
        rig.clear();
        let start = rig.now;
        rig.tell(Event::Deactivated {
            peer: peer(0),
            delay: delay.map(s),
        });
        rig.pass(s(200));
        let again = rig.when(|action| matches!(action, Action::Activate { .. }));
        assert_eq!(again.len(), 1);
        let waited = again[0].since(start);
        let (least, most) = (Duration::from_millis(least), Duration::from_millis(most));
        assert!(waited >= least && waited <= most, "{delay:?}: {waited:?}");
        assert!(!rig.explain(peer(0)).tepid, "it was not our demotion");
        assert_eq!(rig.explain(peer(0)).failures, 0);
    }
}

/// Whose fault, the delay asked for: failures, and how long before it is dialled again.
#[test]
fn a_connection_that_died_is_dialled_again_after_its_delay() {
    let table = [
        (Class::Network, None, 1, 10_100, 14_000),
        (Class::Network, Some(120), 1, 120_100, 134_000),
        (Class::Internal, None, 0, 0, 14_000),
    ];
    for (class, delay, failures, least, most) in table {
        for active in [0, 1] {
            let mut rig = one(active);
            rig.clear();
            let start = rig.now;
            let delay = delay.map(s);
            rig.lose(peer(0), Failure { class, delay });
            assert_eq!(rig.explain(peer(0)).failures, failures);
            rig.pass(s(200));
            let again = rig.dials(peer(0));
            assert_eq!(again.len(), 1, "{class:?}");
            let waited = again[0].since(start);
            let (least, most) = (Duration::from_millis(least), Duration::from_millis(most));
            assert!(waited >= least && waited <= most, "{class:?}: {waited:?}");
        }
    }
}

#[test]
fn the_delay_after_a_connection_died_does_not_grow() {
    let mut rig = one(0);
    for _ in 0..4 {
        rig.clear();
        let start = rig.now;
        rig.lose(peer(0), fault(Class::Network));
        rig.pass(s(20));
        let waited = rig.dials(peer(0))[0].since(start);
        assert!(waited >= s(10) && waited <= s(14), "{waited:?}");
    }
    assert_eq!(rig.explain(peer(0)).failures, 4);
}

#[test]
fn a_cooling_peer_is_neither_used_nor_dialled_until_it_is_cold() {
    let mut rig = one(1);
    rig.clear();
    rig.tell(Event::Cooling {
        peer: peer(0),
        failure: Some(fault(Class::Network)),
    });
    assert_eq!(rig.status(peer(0)), Some(Status::Cooling));
    rig.pass(s(600));
    let orders = rig.count(|action| !matches!(action, Action::Notice(_)));
    assert_eq!(orders, 0);
    assert_eq!(rig.governor.counters().ordinary.cooling, 1);
    rig.tell(Event::Cold {
        peer: peer(0),
        failure: Some(fault(Class::Network)),
    });
    rig.pass(s(20));
    assert_eq!(rig.dials(peer(0)).len(), 1);
}

/// Adversarial: all sets at once, and longer each time, but not for ever.
#[test]
fn a_liar_leaves_at_once_and_returns_no_earlier_than_its_time() {
    let mut rig = one(1);
    for hold_off in [600, 1_200, 2_400] {
        rig.lose(peer(0), fault(Class::Adversarial));
        assert!(rig.known().is_empty());
        rig.tell(Event::Mature(vec![]));
        rig.tell(Event::Mature(vec![(peer(0), true)]));
        rig.clear();
        rig.pass(s(hold_off - 10));
        assert!(rig.known().is_empty() && rig.dials(peer(0)).is_empty());
        rig.tell(Event::Mature(vec![]));
        rig.pass(s(11));
        rig.tell(Event::Mature(vec![(peer(0), true)]));
        rig.pass(s(100));
        assert_eq!(rig.status(peer(0)), Some(Status::Hot), "{hold_off}");
    }
    let offences = rig.traces();
    let offences = offences
        .iter()
        .filter(|(_, trace)| matches!(trace, Trace::Offence { .. }));
    assert_eq!(offences.count(), 0, "cleared before each");
}

/// The operator insists on a local root, but its time is its time: also when churn or another
/// topology drops it and takes it back meanwhile. Only an order by hand comes before that.
#[test]
fn a_liar_named_as_a_local_root_again_waits_for_its_time() {
    let named = || Event::Topology(locals(vec![group(1, 1, &[peer(0)])]).into());
    let nobody = || Event::Topology(Topology::default().into());
    let mut rig = Rig::young(plain(), targets(0, 9, 1, 1), Topology::default());
    rig.tell(named());
    rig.pass(s(5));
    rig.lose(peer(0), fault(Class::Adversarial));
    rig.clear();
    rig.tell(nobody());
    rig.tell(Event::Targets {
        deadline: targets(0, 0, 0, 0),
        sync: Targets::SYNC,
    });
    rig.tell(Event::Targets {
        deadline: targets(0, 9, 1, 1),
        sync: Targets::SYNC,
    });
    rig.tell(named());
    rig.pass(s(590));
    assert_eq!(rig.status(peer(0)), Some(Status::ColdWaiting));
    assert_eq!(rig.dials(peer(0)), []);
    rig.pass(s(20));
    assert_eq!(rig.status(peer(0)), Some(Status::Hot));
    rig.lose(peer(0), fault(Class::Adversarial));
    rig.tell(nobody());
    rig.tell(Event::Targets {
        deadline: Targets::ZERO,
        sync: Targets::SYNC,
    });
    rig.pass(s(5));
    rig.tell(Event::Keep(peer(0)));
    rig.pass(s(5));
    assert_eq!(rig.status(peer(0)), Some(Status::Hot), "by command");
}

#[test]
fn late_facts_of_strangers_change_nothing() {
    let mut rig = one(1);
    let before = rig.governor.explain_all().collect::<Vec<_>>();
    rig.clear();
    let stranger = peer(9);
    for event in [
        Event::Established {
            peer: stranger,
            sharing: true,
        },
        Event::NotEstablished {
            peer: stranger,
            failure: fault(Class::Network),
        },
        Event::Activated { peer: stranger },
        Event::Deactivated {
            peer: stranger,
            delay: None,
        },
        Event::Cooling {
            peer: stranger,
            failure: None,
        },
        Event::Cold {
            peer: stranger,
            failure: None,
        },
        Event::Shared {
            peer: stranger,
            peers: vec![peer(8)],
        },
    ] {
        rig.tell(event);
    }
    assert_eq!(rig.governor.explain_all().collect::<Vec<_>>(), before);
}
