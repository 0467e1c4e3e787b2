//! Scenes of the policies that the reference does not have, each with and without its switch.

use super::{super::Policy, *};
use crate::governor::{Explanation, Saved, SavedPeer};

const NETWORK: Option<Failure> = Some(Failure {
    class: Class::Network,
    delay: None,
});
const ADVERSARIAL: Option<Failure> = Some(Failure {
    class: Class::Adversarial,
    delay: None,
});

fn targets(known: u32, established: u32, active: u32) -> Targets {
    Targets {
        known,
        established,
        active,
        ..Targets::ZERO
    }
}

/// A governor of this policy that never churns, with `n` peers known from before a restart.
fn rig(policy: Policy, targets: Targets, peers: impl IntoIterator<Item = SocketAddr>) -> Rig {
    let mut config = Config {
        policy,
        ..config(targets)
    };
    config.churn.on = false;
    let mut rig = Rig::new(config);
    rig.run(Event::Judgement(Judgement::YoungEnough));
    restore(&mut rig, peers);
    rig
}

fn restore(rig: &mut Rig, peers: impl IntoIterator<Item = SocketAddr>) {
    let saved = |peer| SavedPeer {
        peer,
        failures: 0,
        reached: false,
        advertise: None,
        established: false,
    };
    rig.run(Event::Restore(Box::new(Saved {
        peers: peers.into_iter().map(saved).collect(),
        offenders: vec![],
    })));
}

fn retarget(rig: &mut Rig, targets: Targets) -> Vec<Action> {
    rig.tell(Event::Targets {
        deadline: targets,
        sync: targets,
    })
}

fn of(rig: &Rig, wanted: Status) -> Vec<SocketAddr> {
    let all = rig.governor.explain_all();
    all.filter(|e| e.status == wanted).map(|e| e.peer).collect()
}

/// All connections die and no dial succeeds for half an hour: how many are known then, and how many
/// are established five minutes after it is over.
fn after_an_outage(policy: Policy) -> (u32, u32) {
    let mut rig = rig(policy, targets(50, 20, 10), (0..50).map(peer));
    assert_eq!(rig.temperatures(), (50, 20, 10));
    rig.wait(Duration::from_secs(100));
    rig.up = |_| false;
    for peer in [of(&rig, Status::Hot), of(&rig, Status::Warm)].concat() {
        let failure = NETWORK;
        rig.run(Event::Cooling { peer, failure });
        rig.run(Event::Cold { peer, failure });
    }
    rig.wait(Duration::from_secs(1_800));
    let (known, established, _) = rig.temperatures();
    assert_eq!(established, 0);
    assert!(rig.dials > 200, "{}", rig.dials);
    rig.up = |_| true;
    rig.wait(Duration::from_secs(300));
    (known, rig.temperatures().1)
}

#[test]
fn an_outage_makes_nobody_forgotten() {
    assert_eq!(after_an_outage(Policy::default()), (50, 20));
    let off = Policy {
        detect_outage: false,
        ..Policy::default()
    };
    assert_eq!(after_an_outage(off), (0, 0));
}

/// Two hot peers are demoted, then two are promoted: how many of the demoted, in twenty rounds of
/// one minute each.
fn promoted_back(policy: Policy, warm: u32) -> usize {
    let full = targets(30, 10 + warm, 10);
    let mut rig = rig(policy, full, (0..30).map(peer));
    let mut back = 0;
    for _ in 0..20 {
        let before = of(&rig, Status::Hot);
        assert_eq!(before.len(), 10);
        for action in retarget(&mut rig, targets(30, 10 + warm, 8)) {
            for event in rig.answer(action) {
                rig.run(event);
            }
        }
        let kept = of(&rig, Status::Hot);
        let gone = before.iter().filter(|peer| !kept.contains(peer));
        let gone: Vec<_> = gone.copied().collect();
        assert_eq!(gone.len(), 2);
        for action in retarget(&mut rig, full) {
            for event in rig.answer(action) {
                rig.run(event);
            }
        }
        let hot = of(&rig, Status::Hot);
        back += gone.iter().filter(|peer| hot.contains(peer)).count();
        rig.wait(Duration::from_secs(3_601));
    }
    back
}

#[test]
fn a_peer_just_demoted_is_not_promoted_straight_back() {
    assert_eq!(promoted_back(Policy::default(), 5), 0);
    // Unless there is nobody else.
    assert_eq!(promoted_back(Policy::default(), 0), 40);
    let off = Policy {
        demoted_hold_off: Duration::ZERO,
        ..Policy::default()
    };
    assert!(promoted_back(off, 5) > 4);
}

#[test]
fn a_demotion_that_hangs_is_a_failure() {
    for (counts, failures) in [(true, 1), (false, 0)] {
        let policy = Policy {
            count_failed_demotions: counts,
            ..Policy::default()
        };
        let mut rig = rig(policy, targets(10, 10, 0), (0..10).map(peer));
        let closed = retarget(&mut rig, targets(10, 9, 0));
        let closed = closed.iter().find_map(|action| match action {
            Action::Close { peer } => Some(*peer),
            _ => None,
        });
        let peer = closed.unwrap();
        rig.run(Event::Cooling {
            peer,
            failure: None,
        });
        rig.run(Event::Cold {
            peer,
            failure: NETWORK,
        });
        let now = rig.governor.explain(&peer).unwrap();
        assert_eq!(now.failures, failures);
        let waits = now.status == Status::ColdWaiting;
        assert_eq!(waits, counts);
    }
}

#[test]
fn an_adversary_leaves_all_sets_and_does_not_return_for_a_while() {
    let mut config = config(targets(10, 10, 10));
    (config.churn.on, config.sharing) = (false, false);
    let mut rig = Rig::new(config);
    rig.run(Event::Judgement(Judgement::YoungEnough));
    restore(&mut rig, (0..10).map(peer));
    let began = rig.now;
    let mut spans = Vec::new();
    for _ in 0..3 {
        assert_eq!(
            rig.governor.status(&peer(3)).map(|s| s.1),
            Some(Status::Hot)
        );
        rig.run(Event::Cooling {
            peer: peer(3),
            failure: ADVERSARIAL,
        });
        assert_eq!(rig.governor.status(&peer(3)), None);
        rig.run(Event::Cold {
            peer: peer(3),
            failure: ADVERSARIAL,
        });
        let mut minutes = 0;
        while rig.governor.status(&peer(3)).is_none() {
            rig.wait(Duration::from_secs(60));
            minutes += 1;
            assert!(minutes < 100);
            // Everybody tells of it, and an earlier run of the node knew it, all the time.
            restore(&mut rig, [peer(3)]);
        }
        spans.push(minutes);
    }
    assert_eq!(spans, [10, 20, 40]);
    // Its offences are kept over a restart, and forgotten in the end.
    let saved = rig.governor.saved(rig.now);
    assert_eq!(saved.offenders.len(), 1);
    assert_eq!(saved.offenders[0].offences, 3);
    rig.wait(Duration::from_secs(3 * 86_400));
    assert!(rig.now.since(began) > Duration::from_secs(3 * 86_400));
    assert_eq!(rig.governor.saved(rig.now).offenders, []);
}

#[test]
fn no_network_is_more_than_a_part_of_all_established() {
    // Forty of one network, forty of others.
    let crowd = |n: u32| SocketAddr::from((Ipv4Addr::from_bits(0x0909_0000 + n), 3001));
    let all = || (1..41).flat_map(|n| [crowd(n), peer(n)]);
    let of_crowd = |policy| {
        let rig = rig(policy, targets(80, 20, 5), all());
        assert_eq!(rig.temperatures(), (80, 20, 5));
        let all = rig.governor.explain_all();
        let established = all.filter(|e| e.status.is_established());
        let from_crowd = |e: &Explanation| (1..41).any(|n| crowd(n) == e.peer);
        established.filter(from_crowd).count()
    };
    assert!(of_crowd(Policy::default()) <= 4);
    let off = Policy {
        prefix_max: u32::MAX,
        ..Policy::default()
    };
    assert!(of_crowd(off) > 4);
}

/// Lets time pass until somebody is asked for addresses.
fn until_asked(rig: &mut Rig) -> SocketAddr {
    loop {
        rig.now = rig.governor.next_deadline().unwrap();
        let mut asked = None;
        for action in rig.tell(Event::Tick) {
            if let Action::AskPeers { peer, .. } = action {
                asked = Some(peer);
            } else {
                for event in rig.answer(action) {
                    rig.run(event);
                }
            }
        }
        if let Some(peer) = asked {
            return peer;
        }
    }
}

#[test]
fn addresses_that_nobody_can_dial_are_not_taken_and_all_others_are() {
    let own: SocketAddr = "9.9.9.9:3001".parse().unwrap();
    let bad = [
        "10.0.0.1:3001",
        "127.0.0.1:3001",
        "8.8.8.8:0",
        "[fe80::1]:3001",
        "224.0.0.1:1",
    ];
    let mut bad: Vec<SocketAddr> = bad.iter().map(|addr| addr.parse().unwrap()).collect();
    bad.push(own);
    let mut rig = rig(Policy::default(), targets(1_000, 1, 1), [peer(1)]);
    rig.run(Event::OwnAddress(own));
    // The reference takes nobody in about half of all rounds.
    for round in 0..20 {
        let asked = until_asked(&mut rig);
        let good: Vec<SocketAddr> = (0..5).map(|n| peer(100 + round * 5 + n)).collect();
        rig.run(Event::Shared {
            peer: asked,
            peers: [bad.clone(), good.clone()].concat(),
        });
        assert!(good.iter().all(|addr| rig.governor.status(addr).is_some()));
        assert!(bad.iter().all(|addr| rig.governor.status(addr).is_none()));
    }
}

#[test]
fn the_closest_are_made_hot_if_only_they_shall_be() {
    let policy = Policy {
        close_percent: 100,
        ..Policy::default()
    };
    let mut rig = rig(policy, targets(20, 20, 0), (0..20).map(peer));
    for n in 0..20 {
        rig.run(Event::RoundTrip {
            peer: peer(n),
            took: Duration::from_millis(u64::from((n * 7) % 20)),
        });
    }
    for action in retarget(&mut rig, targets(20, 20, 5)) {
        for event in rig.answer(action) {
            rig.run(event);
        }
    }
    let mut hot = of(&rig, Status::Hot);
    hot.sort_unstable();
    let mut closest: Vec<u32> = (0..20).collect();
    closest.sort_by_key(|n| (n * 7) % 20);
    let mut closest: Vec<SocketAddr> = closest[..5].iter().map(|n| peer(*n)).collect();
    closest.sort_unstable();
    assert_eq!(hot, closest);
}
