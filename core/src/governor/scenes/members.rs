//! Scenes of members of groups: always there, counted by nobody, left alone by churn.

use super::*;
use crate::governor::Next;

const TARGETS: Targets = Targets {
    root: 5,
    known: 20,
    established: 6,
    active: 3,
    ..Targets::ZERO
};

fn members(hot: impl IntoIterator<Item = u32>, warm: impl IntoIterator<Item = u32>) -> Event {
    Event::Members {
        hot: hot.into_iter().map(peer).collect(),
        warm: warm.into_iter().map(peer).collect(),
    }
}

fn status(rig: &Rig, n: u32) -> Option<(Source, Status)> {
    rig.governor.status(&peer(n))
}

const HOT: Option<(Source, Status)> = Some((Source::Member, Status::Hot));
const WARM: Option<(Source, Status)> = Some((Source::Member, Status::Warm));

/// A governor whose chain is young, with peers of its own up to its targets.
fn busy(config: Config) -> Rig {
    let mut rig = Rig::new(config);
    rig.run(Event::Judgement(Judgement::YoungEnough));
    rig.run(roots(&[], &[10, 11, 12, 13, 14]));
    rig.wait(Duration::from_secs(1_200));
    assert_eq!(rig.temperatures(), (20, 6, 3));
    rig
}

#[test]
fn members_are_as_near_as_groups_want_them_without_any_target() {
    let mut rig = Rig::new(Config::default());
    rig.run(members([1, 2], [2, 3]));
    let near = [1, 2, 3].map(|n| status(&rig, n));
    assert_eq!(near, [HOT, HOT, WARM], "hot is nearer");
    let count = rig.governor.counters().members;
    assert_eq!((count.known, count.established, count.active), (3, 3, 2));
    assert_eq!(rig.temperatures(), (0, 0, 0));
    assert_eq!(rig.governor.counters().roots, 0);
    // Others change places, one leaves and one comes.
    rig.run(members([3], [1, 4]));
    let near = [1, 2, 3, 4].map(|n| status(&rig, n));
    assert_eq!(near, [WARM, None, HOT, WARM]);
    rig.run(members([], []));
    assert_eq!([1, 2, 3, 4].map(|n| status(&rig, n)), [None; 4]);
    assert_eq!((rig.governor.stale(), rig.governor.used()), (0, 0));
}

#[test]
fn no_target_counts_members_and_churn_never_lets_one_go() {
    let mut rig = busy(config(TARGETS));
    // Some that are known as others, and some that are not.
    let known: Vec<u32> = (0..600)
        .filter(|n| rig.governor.status(&peer(*n)).is_some())
        .take(4)
        .collect();
    let all: Vec<u32> = known.iter().copied().chain(400..416).collect();
    rig.run(members(all[..10].to_vec(), all[10..].to_vec()));
    rig.wait(Duration::from_secs(600));
    let (known, established, active) = rig.temperatures();
    assert_eq!((known, established, active), (20, 6, 3), "as without");
    let (mut cycles, before) = (0, rig.governor.cycles());
    while rig.governor.cycles() < before + 6 {
        rig.wait(Duration::from_secs(60));
        for (at, n) in (0..).zip(&all) {
            let near = if at < 10 { HOT } else { WARM };
            assert_eq!(status(&rig, *n), near, "{n}");
        }
        cycles += 1;
        assert!(cycles < 1_000, "no churn");
    }
    let of = |n| rig.governor.explain(&peer(n)).map(|known| known.next);
    let next = [all[0], all[19]].map(of);
    assert_eq!(next, [Some(Next::Stays); 2]);
    let saved = rig.governor.saved(rig.now);
    let kept = |n: &u32| saved.peers.iter().any(|saved| saved.peer == peer(*n));
    assert!(!all.iter().any(kept), "who is a member is told anew");
    assert!(!saved.peers.is_empty());
}

#[test]
fn of_too_many_members_the_hot_come_first() {
    let mut config = config(Targets::ZERO);
    config.members_max = 5;
    let mut rig = Rig::new(config);
    rig.run(members(20..23, 0..20));
    let near = |range: core::ops::Range<u32>, of| range.filter(|n| status(&rig, *n) == of).count();
    assert_eq!((near(20..23, HOT), near(0..20, WARM)), (3, 2));
    assert_eq!(rig.governor.members().count(), 5);
    // Who was left out comes when there is room.
    rig.run(members([], 5..20));
    assert_eq!(rig.governor.counters().members.established, 5);
    assert_eq!(
        (5..10).map(|n| status(&rig, n)).collect::<Vec<_>>(),
        [WARM; 5]
    );
}

#[test]
fn a_local_root_that_is_a_member_stays_one() {
    let mut rig = Rig::new(config(TARGETS));
    rig.run(Event::Judgement(Judgement::YoungEnough));
    rig.run(members([1], [2]));
    rig.run(Event::Keep(peer(1)));
    assert_eq!(status(&rig, 1), Some((Source::Local, Status::Hot)));
    assert_eq!(rig.governor.counters().members.known, 1);
    // No longer kept by command: a member again, without its connection having ended.
    rig.dials = 0;
    rig.run(Event::Release(peer(1)));
    assert_eq!((status(&rig, 1), rig.dials), (HOT, 0));
    let own = rig.tell(Event::OwnAddress(peer(2)));
    assert!(own.contains(&Action::Close { peer: peer(2) }), "{own:?}");
    assert_eq!(status(&rig, 2), None, "nobody is a member to itself");
}

#[test]
fn a_member_that_cannot_be_dialled_is_tried_again_and_never_forgotten() {
    let mut rig = Rig::new(Config::default());
    rig.up = |_| false;
    rig.run(members([1], []));
    rig.wait(Duration::from_secs(3_600));
    let (source, _) = status(&rig, 1).expect("known");
    assert_eq!(source, Source::Member);
    assert!(rig.dials > 20, "{} dials", rig.dials);
    rig.up = |_| true;
    rig.wait(Duration::from_secs(250));
    assert_eq!(status(&rig, 1), HOT);
    // Its failures are forgotten; lost now, it is there again soon.
    rig.wait(Duration::from_secs(130));
    let failure = Some(Failure {
        class: Class::Network,
        delay: None,
    });
    let peer = peer(1);
    rig.run(Event::Cooling { peer, failure });
    rig.run(Event::Cold { peer, failure });
    rig.wait(Duration::from_secs(30));
    assert_eq!(status(&rig, 1), HOT);
}

#[test]
fn a_member_that_breaks_a_rule_stays_known_and_waits() {
    let mut rig = Rig::new(Config::default());
    rig.run(members([1], []));
    let failure = Some(Failure {
        class: Class::Adversarial,
        delay: None,
    });
    let peer = peer(1);
    rig.run(Event::Cooling { peer, failure });
    rig.run(Event::Cold { peer, failure });
    rig.wait(Duration::from_secs(300));
    let waits = Some((Source::Member, Status::ColdWaiting));
    assert_eq!(status(&rig, 1), waits);
    rig.wait(Duration::from_secs(600));
    assert_eq!(status(&rig, 1), HOT);
}

#[test]
fn while_the_chain_is_old_members_are_warm_and_hinder_nothing() {
    let mut rig = busy(config(TARGETS));
    rig.run(members([400, 401], [402]));
    let Event::Topology(mut with) = roots(&[], &[10, 11, 12, 13, 14]) else {
        return;
    };
    with.bootstrap = Some((20..24).map(|n| Relay::Addr(peer(n))).collect());
    rig.run(Event::Topology(with));
    rig.wait(Duration::from_secs(600));
    assert_eq!(status(&rig, 400), HOT);
    rig.run(Event::Judgement(Judgement::TooOld));
    rig.wait(Duration::from_secs(60));
    assert_eq!([400, 401, 402].map(|n| status(&rig, n)), [WARM; 3]);
    assert_eq!(rig.governor.trust(), Trust::Trusted);
    rig.run(Event::Judgement(Judgement::YoungEnough));
    rig.wait(Duration::from_secs(60));
    let near = [400, 401, 402].map(|n| status(&rig, n));
    assert_eq!(near, [HOT, HOT, WARM]);
}
