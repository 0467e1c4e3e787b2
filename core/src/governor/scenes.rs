//! Short scenes: what the machine asks for, answered as peer actions would.

mod members;
mod policies;

use alloc::{boxed::Box, vec, vec::Vec};
use core::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use super::{
    Action, Config, Event, Failure, Governor, Judgement, LocalGroup, Notice, PublicGroup, Relay,
    Source, Status, Targets, Topology, Traits, Trust,
};
use crate::base::{Class, Cx, Instant, Machine, NoRules, Seeded};

/// A governor and those that carry out its orders at once, sharing among each other.
struct Rig {
    governor: Governor,
    choice: Seeded,
    now: Instant,
    /// Who answers a dial.
    up: fn(SocketAddr) -> bool,
    notices: Vec<Notice>,
    dials: usize,
}

fn peer(n: u32) -> SocketAddr {
    (Ipv4Addr::from_bits(0x0100_0001 + n * 0x0001_0003), 3001).into()
}

fn config(targets: Targets) -> Config {
    Config {
        deadline: targets,
        ..Config::default()
    }
}

impl Rig {
    fn new(config: Config) -> Self {
        Self {
            governor: Governor::new(config, (1, 2)),
            choice: Seeded::new(7),
            now: Instant::from_secs(1),
            up: |_| true,
            notices: Vec::new(),
            dials: 0,
        }
    }

    fn tell(&mut self, event: Event) -> Vec<Action> {
        let mut out = Vec::new();
        let mut cx = Cx::new(self.now, &mut self.choice, &NoRules, &mut out);
        self.governor.step(&mut cx, event);
        self.governor.check_invariants().unwrap();
        out
    }

    /// Carries out what is asked for until nothing is.
    fn run(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for action in self.tell(event) {
                events.extend(self.answer(action));
            }
        }
    }

    fn answer(&mut self, action: Action) -> Vec<Event> {
        match action {
            Action::Establish { peer, .. } => {
                self.dials += 1;
                let failure = Failure {
                    class: Class::Network,
                    delay: None,
                };
                vec![if (self.up)(peer) {
                    Event::Established {
                        peer,
                        sharing: true,
                    }
                } else {
                    Event::NotEstablished { peer, failure }
                }]
            }
            Action::Activate { peer } => vec![Event::Activated { peer }],
            Action::Deactivate { peer } => vec![Event::Deactivated { peer, delay: None }],
            Action::Close { peer } => vec![
                Event::Cold {
                    peer,
                    failure: None,
                },
                Event::Cooling {
                    peer,
                    failure: None,
                },
            ],
            Action::AskPeers { peer: asked, .. } => {
                let first = (0..600).find(|n| peer(*n) == asked).unwrap_or(0);
                let peers = (1..=12).map(|n| peer((first * 12 + n) % 600)).collect();
                vec![Event::Shared { peer: asked, peers }]
            }
            Action::Notice(notice) => {
                self.notices.push(notice);
                vec![]
            }
            _ => vec![],
        }
    }

    /// Lets time pass.
    fn wait(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(at) = self.governor.next_deadline().filter(|at| *at <= end) {
            self.now = at;
            self.run(Event::Tick);
            let next = self.governor.next_deadline();
            assert!(next.is_none_or(|next| next > at), "{next:?} {at:?}");
        }
        self.now = end;
    }

    fn temperatures(&self) -> (u32, u32, u32) {
        let count = &self.governor.counters().ordinary;
        (count.known, count.established, count.active)
    }
}

fn roots(local: &[u32], public: &[u32]) -> Event {
    let points = |of: &[u32]| of.iter().map(|n| Relay::Addr(peer(*n))).collect();
    Event::Topology(Box::new(Topology {
        local: vec![LocalGroup {
            hot: 1,
            warm: 2,
            traits: Traits::default(),
            access_points: points(local),
        }],
        public: vec![PublicGroup {
            advertise: true,
            access_points: points(public),
        }],
        ..Topology::default()
    }))
}

#[test]
fn a_node_that_knows_one_root_reaches_all_its_targets_by_asking() {
    let mut rig = Rig::new(config(Targets {
        known: 50,
        established: 20,
        active: 10,
        root: 1,
        ..Targets::ZERO
    }));
    rig.run(roots(&[], &[0]));
    rig.wait(Duration::from_secs(3_000));
    assert_eq!(rig.temperatures(), (50, 20, 10));
    let explained: Vec<_> = rig.governor.explain_all().collect();
    assert_eq!(explained.len(), 50);
    assert!(explained.iter().any(|e| e.told_by == Some(peer(0))));
}

#[test]
fn what_was_known_before_a_restart_may_be_told_first() {
    let mut rig = Rig::new(config(Targets {
        known: 50,
        ..Targets::ZERO
    }));
    let saved = |n| super::SavedPeer {
        peer: peer(n),
        failures: 0,
        reached: true,
        advertise: Some(true),
        established: false,
    };
    rig.run(Event::Restore(Box::new(super::Saved {
        peers: (0..60).map(saved).collect(),
        offenders: Vec::new(),
    })));
    assert_eq!(rig.temperatures(), (50, 0, 0));
}

#[test]
fn very_many_are_forgotten_in_portions_and_soon() {
    let known = |known| Targets {
        known,
        ..Targets::ZERO
    };
    let mut rig = Rig::new(config(known(7_000)));
    let saved = |n| super::SavedPeer {
        peer: peer(n),
        failures: 0,
        reached: true,
        advertise: Some(true),
        established: false,
    };
    rig.run(Event::Restore(Box::new(super::Saved {
        peers: (0..7_000).map(saved).collect(),
        offenders: Vec::new(),
    })));
    let (deadline, sync) = (known(1_000), Targets::ZERO);
    rig.run(Event::Targets { deadline, sync });
    let mut sizes = vec![rig.temperatures().0];
    for _ in 0..3 {
        rig.wait(Duration::from_millis(10));
        sizes.push(rig.temperatures().0);
    }
    assert_eq!(sizes, [5_000, 3_000, 1_000, 1_000]);
}

#[test]
fn local_roots_have_their_valencies_whatever_the_targets_are() {
    let mut rig = Rig::new(config(Targets {
        known: 10,
        ..Targets::ZERO
    }));
    rig.run(roots(&[1, 2, 3], &[]));
    rig.wait(Duration::from_secs(10));
    assert_eq!(rig.temperatures(), (3, 2, 1));
    rig.run(roots(&[3, 4], &[]));
    rig.wait(Duration::from_secs(10));
    let local = rig.governor.counters().local;
    assert_eq!((local.known, local.established, local.active), (2, 2, 1));
    // Those of former times are nobody's any more, and not wanted.
    assert_eq!(rig.governor.counters().non_root.established, 0);
}

#[test]
fn a_peer_that_never_answers_is_forgotten_with_its_sixth_failure() {
    let mut rig = Rig::new(Config {
        policy: super::Policy {
            detect_outage: false,
            ..super::Policy::default()
        },
        ..config(Targets {
            known: 10,
            established: 10,
            ..Targets::ZERO
        })
    });
    rig.run(roots(&[1], &[]));
    rig.wait(Duration::from_secs(320));
    rig.up = |_| false;
    let known = rig.governor.counters().non_root.known;
    assert!(known > 5, "{known}");
    // What was connected stays so; a new one is learned and tried in vain.
    rig.run(Event::Mature(vec![(peer(500), true)]));
    rig.wait(Duration::from_secs(300));
    assert_eq!(rig.governor.status(&peer(500)), None);
}

#[test]
fn a_peer_kept_by_command_is_hot_at_once_and_closed_when_released() {
    let mut rig = Rig::new(Config::default());
    rig.run(Event::Keep(peer(5)));
    assert_eq!(
        rig.governor.status(&peer(5)),
        Some((Source::Local, Status::Hot))
    );
    let out = rig.tell(Event::Release(peer(5)));
    assert!(out.contains(&Action::Close { peer: peer(5) }), "{out:?}");
    assert_eq!(rig.governor.status(&peer(5)), None);
    rig.run(Event::Cooling {
        peer: peer(5),
        failure: None,
    });
    rig.run(Event::Cold {
        peer: peer(5),
        failure: None,
    });
    assert_eq!((rig.governor.stale(), rig.governor.used()), (0, 0));
}

#[test]
fn while_the_chain_is_old_only_bootstrap_peers_are_used() {
    let mut rig = Rig::new(config(Targets {
        root: 5,
        known: 20,
        established: 5,
        active: 2,
        ..Targets::ZERO
    }));
    rig.run(Event::Judgement(Judgement::YoungEnough));
    rig.run(roots(&[], &[10, 11, 12, 13, 14]));
    rig.wait(Duration::from_secs(60));
    assert_eq!(rig.governor.counters().config.established, 5);
    let Event::Topology(mut with) = roots(&[], &[10, 11, 12, 13, 14]) else {
        return;
    };
    with.bootstrap = Some((20..24).map(|n| Relay::Addr(peer(n))).collect());
    rig.run(Event::Topology(with));
    rig.wait(Duration::from_secs(600));
    rig.run(Event::Judgement(Judgement::TooOld));
    rig.wait(Duration::from_secs(60));
    let counters = *rig.governor.counters();
    assert_eq!(counters.bootstrap.known, counters.ordinary.known);
    assert_eq!(counters.bootstrap.active, 2, "{counters:?}");
    assert_eq!(rig.governor.trust(), Trust::Trusted);
    rig.run(Event::Judgement(Judgement::YoungEnough));
    rig.wait(Duration::from_secs(60));
    assert!(rig.governor.counters().config.known > 0);
    assert_eq!(rig.governor.trust(), Trust::Untrusted);
}
