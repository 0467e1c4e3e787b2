//! Whole nodes that meet in unusual ways: half-way, themselves, in crowds, at broken doors.

use std::{
    cell::RefCell,
    io::{self, Write as _},
    rc::Rc,
    time::Duration,
};

use samanea_core::{
    base::{ListenerId, Seeded},
    conn::{Cause, Fault},
    manager::{Limits, State},
    node::{Command, Config, Engine, Node, Notice},
};
use samanea_sim::{
    engines,
    oracle::Oracle,
    play::{engine, states},
    world::{AcceptTrouble, Attenuation, Options, Profile, Shape, World, address, alias},
};

/// A world of engines under an oracle.
struct Meeting {
    world: World<Engine>,
    oracle: Rc<RefCell<Oracle>>,
}

impl Meeting {
    fn new(options: Options, seed: u64, change: impl Fn(&mut Config)) -> Self {
        let mut config = engines::config();
        config.manager.trace = true;
        change(&mut config);
        let options = Options {
            shape: Shape::None,
            ..options
        };
        let all = vec![config.clone(); options.hosts];
        let oracle = Rc::new(RefCell::new(Oracle::new(&all)));
        let make = Box::new(move |at: usize, life: u32| {
            let own = u64::try_from(at).unwrap() << 32 | u64::from(life);
            Node::new(Engine::new(config.clone()), seed ^ own)
        });
        let mut world = World::asleep(options, Box::new(Seeded::new(seed)), make);
        let told = Rc::clone(&oracle);
        world.watch(Box::new(move |now, at, life, notice| {
            told.borrow_mut().notice(now, at, life, notice);
        }));
        for at in 0..options.hosts {
            world.start(at).unwrap();
        }
        Self { world, oracle }
    }

    fn add(&mut self, at: usize, peer: core::net::SocketAddr) {
        self.world.command(at, Command::AddPeer(peer));
    }

    fn pass(&mut self, span: Duration) {
        let until = self.world.now().after(span);
        self.world.run_until(until).unwrap();
        self.world.check_sockets().unwrap();
    }

    /// What node `at` has with node `peer`.
    fn states(&self, at: usize, peer: usize) -> Vec<State> {
        states(engine(&self.world, at).unwrap(), address(peer).ip())
    }

    fn count(&self, at: usize, is: impl Fn(&Notice) -> bool) -> usize {
        let notices = &self.world.hosts()[at].tally.notices;
        notices.iter().filter(|(_, notice)| is(notice)).count()
    }

    /// Shuts all down: nothing is left, and no rule was broken on the way.
    fn end(mut self) -> u64 {
        for (at, host) in self.world.hosts().iter().enumerate() {
            self.oracle.borrow_mut().stopping(at, host.life);
        }
        self.world.end(Duration::from_secs(200)).unwrap();
        let now = self.world.now();
        let world = &self.world;
        self.oracle.borrow_mut().finish(now, |at| {
            let host = world.hosts().get(at);
            host.map(|host| (host.life, host.node.is_some()))
        });
        let oracle = self.oracle.borrow();
        if let Err(why) = oracle.verdict() {
            panic!("{why}");
        }
        oracle.seen.count()
    }
}

fn taken(notice: &Notice) -> bool {
    let taken = Fault::Lost(Cause::AddressInUse);
    matches!(notice, Notice::Down { fault, .. } if *fault == taken)
}

/// Whatever lies between the two dials, one connection is left, and both use it.
#[test]
fn two_nodes_that_dial_each_other_end_with_one_connection_that_both_use() {
    let (mut met, mut collided, mut reused) = (0, 0, 0);
    for seed in 0..40 {
        let options = Options {
            profile: Profile {
                delay_min: Duration::from_millis(5),
                delay_max: Duration::from_millis(40),
                ..Profile::default()
            },
            ..Options::default()
        };
        let mut meeting = Meeting::new(options, seed, |_| {});
        meeting.add(0, address(1));
        meeting.pass(Duration::from_millis(3 * seed));
        meeting.add(1, address(0));
        meeting.pass(Duration::from_secs(30));
        for (at, peer) in [(0, 1), (1, 0)] {
            assert_eq!(meeting.states(at, peer), [State::Duplex], "seed {seed}");
        }
        met += meeting.world.met();
        let collisions = meeting.count(0, taken) + meeting.count(1, taken);
        collided += collisions;
        reused += usize::from(meeting.world.met() == 0 && collisions == 0);
        let end = meeting.world.grow(1, 2, 0);
        let within = Duration::from_secs(10);
        let settled = meeting.world.settle_at(end, within).unwrap();
        assert!(settled.is_some(), "seed {seed}");
        assert!(meeting.end() >= 8);
    }
    let _ = writeln!(
        io::stderr(),
        "meetings: {met} met half-way, {collided} found the addresses taken, {reused} reused"
    );
    assert!(met >= 3 && collided >= 3 && reused >= 3);
}

#[test]
fn a_node_that_dials_itself_has_one_end_at_the_same_address_and_two_at_another() {
    let options = Options {
        hosts: 1,
        aliases: true,
        ..Options::default()
    };
    for (target, live) in [(address(0), 1), (alias(address(0)), 2)] {
        let mut meeting = Meeting::new(options, 1, |_| {});
        meeting.add(0, target);
        meeting.pass(Duration::from_secs(2));
        let manager = engine(&meeting.world, 0).unwrap().manager();
        let up: Vec<_> = manager.conns().map(|(_, state)| state).collect();
        assert_eq!(up.len(), live, "{target}: {up:?}");
        assert!(up.iter().all(|state| state.is_duplex()), "{up:?}");
        meeting.world.command(0, Command::RemovePeer(target));
        meeting.pass(Duration::from_secs(200));
        let manager = engine(&meeting.world, 0).unwrap().manager();
        assert_eq!(manager.conns().count(), 0);
        assert!(meeting.world.link_ids().is_empty());
        assert!(meeting.end() >= 6);
    }
}

#[test]
fn a_crowd_that_says_nothing_leaves_those_who_speak_their_connection() {
    let mut meeting = Meeting::new(Options::default(), 3, |config| {
        config.manager.limits = Limits {
            soft: 20,
            hard: 30,
            delay: Duration::from_millis(100),
        };
        config.manager.prefixes.max = 16;
    });
    meeting.add(1, address(0));
    meeting.add(0, address(1));
    meeting.pass(Duration::from_secs(5));
    for _ in 0..2_000 {
        meeting.world.stranger_dials(0);
        meeting.pass(Duration::from_millis(10));
        let counters = engine(&meeting.world, 0).unwrap().manager().counters();
        assert!(counters.inbound <= 17, "{counters:?}");
    }
    assert_eq!(meeting.states(0, 1), [State::Duplex]);
    assert_eq!(
        meeting.count(
            0,
            |n| matches!(n, Notice::Down { remote, .. } if *remote == address(1))
        ),
        0
    );
    let refused = meeting.oracle.borrow().seen.refused;
    assert!(refused > 1_000, "{refused}");
    let end = meeting.world.grow(0, 5, 0);
    let within = Duration::from_secs(10);
    assert!(meeting.world.settle_at(end, within).unwrap().is_some());
    meeting.end();
}

#[test]
fn a_door_that_fails_opens_again_and_one_that_is_lost_takes_nothing_else_along() {
    for (trouble, opens) in [
        (AcceptTrouble::Aborted, true),
        (AcceptTrouble::Resources, true),
        (AcceptTrouble::Fatal, false),
    ] {
        let options = Options {
            hosts: 3,
            ..Options::default()
        };
        let mut meeting = Meeting::new(options, 4, |_| {});
        meeting.add(0, address(1));
        meeting.pass(Duration::from_secs(5));
        let suffers = Attenuation {
            accept: Some((Duration::from_millis(300), trouble)),
            ..Attenuation::HARMLESS
        };
        meeting.world.attenuate(2, [suffers]);
        meeting.add(2, address(0));
        meeting.pass(Duration::from_secs(60));
        let lost = Notice::ListenerLost(ListenerId(1));
        assert_eq!(
            meeting.count(0, |notice| *notice == lost),
            usize::from(!opens)
        );
        assert_eq!(
            meeting.states(2, 0).len(),
            usize::from(opens),
            "{trouble:?}"
        );
        let first = meeting.states(0, 1);
        assert_eq!(first, [State::OutboundDupExpired], "{trouble:?}");
        meeting.end();
    }
}

/// A peer loses its power while its connection rests here, comes back at the same address and
/// dials: the new connection takes the place of the dead one.
#[test]
fn a_peer_back_from_a_power_cut_is_served_at_once() {
    let mut meeting = Meeting::new(Options::default(), 6, |_| {});
    meeting.add(0, address(1));
    meeting.add(1, address(0));
    meeting.pass(Duration::from_secs(5));
    meeting.world.power_off(1);
    meeting.pass(Duration::from_secs(5));
    assert_eq!(meeting.states(0, 1), [State::Duplex], "nobody has told it");
    meeting.world.start(1).unwrap();
    meeting.pass(Duration::from_secs(20));
    for (at, peer) in [(0, 1), (1, 0)] {
        assert_eq!(meeting.states(at, peer), [State::Duplex]);
    }
    assert!(meeting.end() > 8);
}
