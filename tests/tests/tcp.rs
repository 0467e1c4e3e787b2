//! The simulated kernels against what real ones do: who is connected to whom, and which dial
//! fails.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use bytes::Bytes;
use samanea_core::{
    base::{Cx, Instant, ListenerId, Machine, Seeded, Serial, Supply, Violated},
    conn::Cause,
    node::{Action, Command, Event, Node},
};
use samanea_sim::world::{
    AcceptTrouble, Attenuation, Course, Options, Profile, Shape, Spell, World, address, alias,
};

/// Does what commands say and keeps what it is told. `AddPeer` dials, from the listening address
/// unless told otherwise; `RemovePeer` closes in order; every accepted connection is greeted.
#[derive(Clone, Debug, PartialEq)]
struct Puppet {
    bound: bool,
    local: Option<SocketAddr>,
    serials: Supply<Serial>,
    /// Other end and our own, and whether we dialled.
    conns: BTreeMap<Serial, (SocketAddr, Option<SocketAddr>, bool)>,
    connected: u32,
    accepted: Vec<(SocketAddr, SocketAddr)>,
    failed: Vec<Cause>,
    closed: Vec<(Cause, Instant)>,
    accept_failed: Vec<(ListenerId, Cause, bool)>,
    heard: Vec<(Serial, Bytes)>,
}

impl Puppet {
    fn new(bound: bool) -> Self {
        Self {
            bound,
            local: None,
            serials: Supply::default(),
            conns: BTreeMap::new(),
            connected: 0,
            accepted: Vec::new(),
            failed: Vec::new(),
            closed: Vec::new(),
            accept_failed: Vec::new(),
            heard: Vec::new(),
        }
    }
}

fn say(cx: &mut Cx<'_, Action>, conn: Serial, text: &'static [u8]) {
    let batch = core::iter::once(Bytes::from_static(text)).collect();
    cx.act(Action::Write { conn, batch });
}

impl Machine for Puppet {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        match event {
            Event::Listening { listener, local } => {
                self.local.get_or_insert(local);
                cx.act(Action::AcceptOne { listener });
            }
            Event::AcceptFailed {
                listener,
                cause,
                fatal,
            } => {
                self.accept_failed.push((listener, cause, fatal));
                if !fatal {
                    cx.act(Action::AcceptOne { listener });
                }
            }
            Event::Offered {
                listener,
                local,
                remote,
            } => {
                let conn = self.serials.take();
                self.conns.insert(conn, (remote, Some(local), false));
                self.accepted.push((local, remote));
                cx.act(Action::Adopt {
                    listener,
                    remote,
                    conn,
                });
                cx.act(Action::AcceptOne { listener });
                say(cx, conn, b"accepted");
            }
            Event::Command(Command::AddPeer(remote)) => {
                let conn = self.serials.take();
                let bind = self.local.filter(|_| self.bound);
                self.conns.insert(conn, (remote, None, true));
                cx.act(Action::Dial { conn, remote, bind });
            }
            Event::Command(Command::RemovePeer(peer)) => {
                let conns = self.conns.clone();
                for (conn, _) in conns.iter().filter(|(_, (remote, ..))| *remote == peer) {
                    self.conns.remove(conn);
                    cx.act(Action::Close {
                        conn: *conn,
                        reset: false,
                    });
                }
            }
            Event::Connected { conn, local } => {
                self.connected += 1;
                if let Some((_, own, _)) = self.conns.get_mut(&conn) {
                    *own = Some(local);
                }
                say(cx, conn, b"connected");
            }
            Event::ConnectFailed { conn, cause } => {
                self.conns.remove(&conn);
                self.failed.push(cause);
            }
            Event::Closed { conn, cause } => {
                self.conns.remove(&conn);
                self.closed.push((cause, cx.now));
            }
            Event::Received { conn, bytes } => self.heard.push((conn, bytes)),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        Ok(())
    }
}

fn world(options: Options, bound: bool) -> World<Puppet> {
    World::new(
        Options {
            shape: Shape::None,
            ..options
        },
        Box::new(Seeded::new(5)),
        Box::new(move |at, _| Node::new(Puppet::new(bound), u64::try_from(at).unwrap())),
    )
    .unwrap()
}

fn bound(hosts: usize) -> World<Puppet> {
    let options = Options {
        hosts,
        ..Options::default()
    };
    world(options, true)
}

fn dial(world: &mut World<Puppet>, from: usize, to: SocketAddr) {
    world.command(from, Command::AddPeer(to));
}

fn pass(world: &mut World<Puppet>, ms: u64) {
    world
        .run_until(world.now().after(Duration::from_millis(ms)))
        .unwrap();
    world.check_sockets().unwrap();
}

fn puppet(world: &World<Puppet>, at: usize) -> &Puppet {
    world.hosts()[at].node.as_ref().unwrap().machine()
}

fn live(world: &World<Puppet>) -> Vec<usize> {
    (0..world.hosts().len())
        .map(|at| puppet(world, at).conns.len())
        .collect()
}

#[test]
fn a_bound_dial_shows_the_listening_address_and_another_does_not() {
    let mut first = bound(2);
    dial(&mut first, 0, address(1));
    pass(&mut first, 100);
    assert_eq!(puppet(&first, 1).accepted, [(address(1), address(0))]);
    let mut second = world(Options::default(), false);
    dial(&mut second, 0, address(1));
    pass(&mut second, 100);
    let (local, remote) = puppet(&second, 1).accepted[0];
    assert_eq!(local, address(1));
    assert_eq!(remote.ip(), address(0).ip());
    assert_ne!(remote.port(), address(0).port());
}

#[test]
fn dials_that_cross_open_one_connection_that_nobody_accepts() {
    let mut world = bound(2);
    dial(&mut world, 0, address(1));
    dial(&mut world, 1, address(0));
    pass(&mut world, 100);
    assert_eq!(world.met(), 1);
    assert_eq!(live(&world), [1, 1]);
    for at in 0..2 {
        let puppet = puppet(&world, at);
        assert_eq!(puppet.connected, 1);
        assert!(puppet.accepted.is_empty() && puppet.failed.is_empty());
        assert_eq!(puppet.heard[0].1, &b"connected"[..]);
    }
}

#[test]
fn a_dial_that_comes_after_the_others_was_received_finds_the_addresses_taken() {
    // Taken from the moment that the other's dial has arrived: before it is connected, while it
    // waits to be accepted, and afterwards.
    for wait in [11, 15, 21, 25, 31, 100] {
        let mut world = bound(2);
        dial(&mut world, 0, address(1));
        pass(&mut world, wait);
        dial(&mut world, 1, address(0));
        pass(&mut world, 100);
        assert_eq!(world.met(), 0, "{wait} ms");
        assert_eq!(puppet(&world, 1).failed, [Cause::AddressInUse], "{wait} ms");
        assert_eq!(puppet(&world, 1).accepted.len(), 1, "{wait} ms");
        assert_eq!(live(&world), [1, 1], "{wait} ms");
    }
}

#[test]
fn a_second_dial_to_the_same_peer_finds_the_addresses_taken() {
    let mut world = bound(2);
    dial(&mut world, 0, address(1));
    dial(&mut world, 0, address(1));
    pass(&mut world, 100);
    dial(&mut world, 0, address(1));
    pass(&mut world, 100);
    assert_eq!(puppet(&world, 0).failed, [Cause::AddressInUse; 2]);
    assert_eq!(live(&world), [1, 1]);
}

#[test]
fn a_socket_that_dials_itself_is_its_own_peer() {
    let mut world = bound(1);
    dial(&mut world, 0, address(0));
    pass(&mut world, 100);
    let puppet = puppet(&world, 0);
    assert_eq!((puppet.connected, puppet.accepted.len()), (1, 0));
    assert_eq!(
        puppet.heard,
        [(Serial(1), Bytes::from_static(b"connected"))]
    );
    world.command(0, Command::RemovePeer(address(0)));
    pass(&mut world, 100);
    assert!(world.link_ids().is_empty());
}

#[test]
fn a_dial_to_the_other_own_address_or_from_another_port_makes_two_ends() {
    let options = Options {
        hosts: 1,
        aliases: true,
        ..Options::default()
    };
    for (bound, target) in [(true, alias(address(0))), (false, address(0))] {
        let mut world = world(options, bound);
        dial(&mut world, 0, target);
        pass(&mut world, 100);
        let puppet = puppet(&world, 0);
        assert_eq!((puppet.connected, puppet.accepted.len()), (1, 1));
        assert_eq!(puppet.accepted[0].0, target);
        let heard: Vec<_> = puppet.heard.iter().map(|(_, text)| &text[..]).collect();
        assert_eq!(heard.len(), 2);
        assert!(heard.contains(&&b"accepted"[..]) && heard.contains(&&b"connected"[..]));
    }
}

#[test]
fn who_closes_first_in_order_cannot_dial_again_for_a_while_but_the_other_can() {
    let mut world = bound(2);
    dial(&mut world, 0, address(1));
    pass(&mut world, 100);
    world.command(0, Command::RemovePeer(address(1)));
    pass(&mut world, 100);
    assert_eq!(live(&world), [0, 0]);
    assert_eq!(puppet(&world, 1).closed[0].0, Cause::Eof);
    dial(&mut world, 0, address(1));
    pass(&mut world, 100);
    assert_eq!(puppet(&world, 0).failed, [Cause::AddressInUse]);
    dial(&mut world, 1, address(0));
    pass(&mut world, 100);
    assert_eq!(live(&world), [1, 1]);
    assert_eq!(puppet(&world, 0).accepted.len(), 1);
    world.command(1, Command::RemovePeer(address(0)));
    pass(&mut world, 61_000);
    dial(&mut world, 1, address(0));
    pass(&mut world, 100);
    assert_eq!(live(&world), [1, 1]);
    assert!(puppet(&world, 1).failed.is_empty());
}

#[test]
fn a_crash_frees_the_addresses_at_once() {
    let mut world = bound(2);
    dial(&mut world, 0, address(1));
    pass(&mut world, 100);
    world.stop(0);
    pass(&mut world, 100);
    assert_eq!(puppet(&world, 1).closed[0].0, Cause::Reset);
    dial(&mut world, 1, address(0));
    pass(&mut world, 100);
    assert_eq!(puppet(&world, 1).failed, [Cause::Refused]);
    world.start(0).unwrap();
    dial(&mut world, 0, address(1));
    pass(&mut world, 100);
    assert_eq!(live(&world), [1, 1]);
}

#[test]
fn a_host_that_comes_back_from_a_power_cut_kills_the_socket_that_waits_for_it() {
    let mut world = bound(2);
    dial(&mut world, 0, address(1));
    pass(&mut world, 100);
    world.power_off(0);
    pass(&mut world, 10_000);
    assert_eq!(puppet(&world, 1).conns.len(), 1, "nobody has told it");
    world.start(0).unwrap();
    dial(&mut world, 0, address(1));
    pass(&mut world, 3_000);
    assert_eq!(puppet(&world, 1).closed[0].0, Cause::Reset);
    assert_eq!(live(&world), [1, 1]);
    assert_eq!(puppet(&world, 1).accepted.len(), 2);
}

#[test]
fn a_dial_to_a_host_without_power_times_out_and_one_to_a_deaf_host_is_refused() {
    let mut world = bound(3);
    world.power_off(1);
    world.set_listens(2, false);
    world.stop(2);
    world.start(2).unwrap();
    dial(&mut world, 0, address(1));
    dial(&mut world, 0, address(2));
    pass(&mut world, 126_000);
    assert_eq!(puppet(&world, 0).failed, [Cause::Refused]);
    pass(&mut world, 2_000);
    assert_eq!(puppet(&world, 0).failed, [Cause::Refused, Cause::TimedOut]);
}

#[test]
fn a_dial_given_up_on_its_way_leaves_nothing_behind() {
    for wait in [0, 5, 10, 15, 20, 25, 30, 35] {
        let mut world = bound(2);
        dial(&mut world, 0, address(1));
        pass(&mut world, wait);
        world.command(0, Command::RemovePeer(address(1)));
        pass(&mut world, 1_000);
        assert!(world.link_ids().is_empty(), "{wait} ms");
        assert_eq!(live(&world), [0, 0], "{wait} ms");
    }
}

#[test]
fn a_dialler_without_power_leaves_nothing_behind_in_the_listeners_kernel() {
    let mut world = bound(2);
    dial(&mut world, 0, address(1));
    pass(&mut world, 15);
    assert_eq!(world.link_ids().len(), 1);
    world.power_off(0);
    pass(&mut world, 70_000);
    assert!(world.link_ids().is_empty());
    assert_eq!(puppet(&world, 1).accepted, []);
}

#[test]
fn one_side_of_a_simultaneous_open_given_up_fails_the_other() {
    let mut world = bound(2);
    dial(&mut world, 0, address(1));
    dial(&mut world, 1, address(0));
    pass(&mut world, 15);
    world.command(1, Command::RemovePeer(address(0)));
    pass(&mut world, 1_000);
    assert_eq!(world.met(), 1);
    assert_eq!(live(&world), [0, 0]);
    let other = puppet(&world, 0);
    let told = other.failed.len() + other.closed.len();
    assert_eq!(told, 1, "{other:?}");
    assert!(world.link_ids().is_empty());
}

fn suffering(change: impl FnOnce(&mut Attenuation)) -> World<Puppet> {
    let mut world = bound(2);
    let mut suffers = Attenuation::HARMLESS;
    change(&mut suffers);
    world.attenuate(1, [suffers]);
    dial(&mut world, 0, address(1));
    world
}

#[test]
fn a_slow_dial_is_late_and_a_very_slow_one_fails() {
    let mut late = suffering(|a| a.connect = Duration::from_secs(20));
    pass(&mut late, 19_000);
    assert_eq!(puppet(&late, 0).connected, 0);
    pass(&mut late, 2_000);
    assert_eq!(puppet(&late, 0).connected, 1);
    let mut never = suffering(|a| a.connect = Duration::from_secs(200));
    pass(&mut never, 130_000);
    assert_eq!(puppet(&never, 0).failed, [Cause::TimedOut]);
}

#[test]
fn only_the_connection_that_the_script_describes_suffers() {
    let mut world = suffering(|a| a.courses[0].writes = Some(0));
    pass(&mut world, 100);
    assert_eq!(puppet(&world, 0).closed[0].0, Cause::Other(32));
    assert_eq!(puppet(&world, 1).closed[0].0, Cause::Reset);
    dial(&mut world, 0, address(1));
    pass(&mut world, 100);
    assert_eq!(live(&world), [1, 1]);
}

#[test]
fn an_error_interval_fails_what_arrives_within_it() {
    let spell = Spell::Error(
        Duration::from_millis(0),
        Duration::from_secs(1),
        Cause::Resources,
    );
    let mut world = suffering(|a| {
        a.courses[1] = Course {
            spell,
            ..Course::default()
        };
    });
    pass(&mut world, 200);
    assert_eq!(puppet(&world, 0).closed[0].0, Cause::Resources);
    assert_eq!(puppet(&world, 1).closed[0].0, Cause::Reset);
    assert_eq!(puppet(&world, 1).heard.len(), 1, "the other way was fine");
}

#[test]
fn rates_and_slow_intervals_take_their_time() {
    let options = Options {
        profile: Profile {
            packet_max: 1,
            ..Profile::default()
        },
        ..Options::default()
    };
    let arrived = |course: Course| {
        let mut world = world(options, true);
        let courses = [course, Course::default()];
        world.attenuate(
            0,
            [Attenuation {
                courses,
                packet_max: 1,
                ..Attenuation::HARMLESS
            }],
        );
        dial(&mut world, 0, address(1));
        pass(&mut world, 1_000);
        let heard = puppet(&world, 1).heard.iter().map(|(_, text)| text.len());
        heard.sum::<usize>()
    };
    let spell = Spell::Slow(Duration::ZERO, Duration::from_secs(60));
    let writes = None;
    assert_eq!(arrived(Course::default()), 9);
    let slow = |rate, spell| {
        arrived(Course {
            rate,
            spell,
            writes,
        })
    };
    assert!((3..=6).contains(&slow(5, Spell::Fine)));
    assert!((2..=6).contains(&slow(80, spell)));
    assert_eq!(slow(80, Spell::Fine), 9);
}

#[test]
fn accepting_fails_as_the_script_says() {
    let fails = |trouble| {
        let mut world = suffering(|a| a.accept = Some((Duration::from_millis(500), trouble)));
        pass(&mut world, 2_000);
        world
    };
    let aborted = fails(AcceptTrouble::Aborted);
    let told = (ListenerId(1), Cause::Reset, false);
    assert_eq!(puppet(&aborted, 1).accept_failed, [told]);
    assert_eq!(live(&aborted), [0, 0]);
    let short = fails(AcceptTrouble::Resources);
    let told = (ListenerId(1), Cause::Resources, false);
    assert_eq!(puppet(&short, 1).accept_failed, [told]);
    assert_eq!(live(&short), [1, 1], "it waits in the kernel");
    let mut fatal = fails(AcceptTrouble::Fatal);
    let told = (ListenerId(1), Cause::Other(22), true);
    assert_eq!(puppet(&fatal, 1).accept_failed, [told]);
    dial(&mut fatal, 0, address(1));
    pass(&mut fatal, 100);
    assert_eq!(puppet(&fatal, 0).failed, [Cause::Refused]);
}
