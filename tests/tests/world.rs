//! The world itself: it carries out what machines ask for, it is deterministic, and it notices
//! machines that break the laws.

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use proptest::prelude::*;
use samanea_core::{
    base::{Cx, Instant, Machine, Seeded, Serial, Site, Supply, Violated, violated},
    node::{Action, Command, Event, Node},
};
use samanea_sim::{
    tape::ByteTape,
    world::{Breach, Broken, HOSTILE_OF_1000, Options, Profile, Shape, World},
};

/// What is wrong with a [`Chatter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    SameDeadline,
    EagerTick,
    Impure,
    SerialTwice,
    WriteToNobody,
    AcceptTwice,
    TooMany,
    Flood,
}

/// Dials whom it is told to, accepts all, and says a hundred bytes a second to each.
#[derive(Clone, Debug, PartialEq)]
struct Chatter {
    flaw: Flaw,
    peers: BTreeSet<SocketAddr>,
    serials: Supply<Serial>,
    dialing: BTreeSet<(Serial, SocketAddr)>,
    open: BTreeSet<Serial>,
    deadline: Option<Instant>,
    heard: u64,
    flushed: u64,
    said: u64,
    paused: bool,
}

static IMPURE: AtomicU64 = AtomicU64::new(0);

impl Chatter {
    fn new(flaw: Flaw) -> Self {
        Self {
            flaw,
            peers: BTreeSet::new(),
            serials: Supply::default(),
            dialing: BTreeSet::new(),
            open: BTreeSet::new(),
            deadline: None,
            heard: 0,
            flushed: 0,
            said: 0,
            paused: false,
        }
    }

    fn dial(&mut self, cx: &mut Cx<'_, Action>, remote: SocketAddr) {
        let conn = if self.flaw == Flaw::SerialTwice {
            Serial(7)
        } else {
            self.serials.take()
        };
        self.dialing.insert((conn, remote));
        let bind = None;
        cx.act(Action::Dial { conn, remote, bind });
    }

    fn tick(&mut self, cx: &mut Cx<'_, Action>) {
        let early = self.deadline.is_none_or(|deadline| deadline > cx.now);
        if early && self.flaw != Flaw::EagerTick {
            return;
        }
        let len = 50 + cx.choice.below(Site::COOKIE, 0, 100);
        for conn in self.open.clone() {
            let bytes = Bytes::from(vec![7; usize::try_from(len).unwrap()]);
            self.say(cx, conn, bytes);
        }
        for remote in self.peers.clone() {
            if self.dialing.is_empty() && self.open.is_empty() {
                self.dial(cx, remote);
            }
        }
        if self.flaw != Flaw::SameDeadline {
            self.deadline = Some(cx.now.after(Duration::from_secs(1)));
        }
    }

    fn say(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, bytes: Bytes) {
        self.said += u64::try_from(bytes.len()).unwrap();
        let batch = core::iter::once(bytes).collect();
        cx.act(Action::Write { conn, batch });
    }

    fn begin(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        self.open.insert(conn);
        self.deadline
            .get_or_insert(cx.now.after(Duration::from_secs(1)));
        if self.flaw == Flaw::WriteToNobody {
            self.say(cx, Serial(99), Bytes::from_static(b"nobody"));
        }
        if self.flaw == Flaw::Flood {
            self.say(cx, conn, Bytes::from(vec![0; 2_000]));
        }
    }
}

impl Machine for Chatter {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        if self.flaw == Flaw::Impure {
            self.said = IMPURE.fetch_add(1, Ordering::Relaxed);
        }
        match event {
            Event::Listening { listener, .. } => cx.act(Action::AcceptOne { listener }),
            Event::AcceptFailed {
                listener, fatal, ..
            } if !fatal => {
                cx.act(Action::AcceptOne { listener });
            }
            Event::Offered {
                listener, remote, ..
            } => {
                let conn = self.serials.take();
                cx.act(Action::Adopt {
                    listener,
                    remote,
                    conn,
                });
                cx.act(Action::AcceptOne { listener });
                if self.flaw == Flaw::AcceptTwice {
                    cx.act(Action::AcceptOne { listener });
                }
                self.begin(cx, conn);
            }
            Event::Command(Command::AddPeer(peer)) if self.peers.insert(peer) => {
                self.dial(cx, peer);
            }
            Event::Command(Command::RemovePeer(peer)) => {
                self.peers.remove(&peer);
            }
            Event::Connected { conn, .. } => {
                let known = self.dialing.iter().any(|(serial, _)| *serial == conn);
                self.dialing.retain(|(serial, _)| *serial != conn);
                if known {
                    self.begin(cx, conn);
                }
            }
            Event::Closed { conn, .. } | Event::ConnectFailed { conn, .. } => {
                self.open.remove(&conn);
                self.dialing.retain(|(serial, _)| *serial != conn);
            }
            Event::Received { conn, bytes } if self.open.contains(&conn) => {
                self.heard += u64::try_from(bytes.len()).unwrap();
                let on = !self.heard.is_multiple_of(3);
                cx.act(Action::Reading { conn, on: true });
                self.paused = !on;
            }
            Event::Flushed { conn, bytes } if self.open.contains(&conn) => self.flushed += bytes,
            Event::Tick => self.tick(cx),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        let few = self.flaw != Flaw::TooMany || self.open.len() < 2;
        violated(few, "chatter", 1, "no more than one connection")
    }
}

fn world(flaw: Flaw, options: Options, seed: u64) -> Result<World<Chatter>, Broken> {
    World::new(
        options,
        Box::new(Seeded::new(seed)),
        Box::new(move |at, life| {
            let of = u64::try_from(at).unwrap() << 32 | u64::from(life);
            Node::new(Chatter::new(flaw), seed ^ of)
        }),
    )
}

fn ring(hosts: usize) -> Options {
    Options {
        hosts,
        shape: Shape::Ring,
        ..Options::default()
    }
}

#[test]
fn what_is_written_arrives_and_is_flushed() {
    let mut world = world(Flaw::None, ring(4), 1).unwrap();
    world.run_until(Instant::from_secs(100)).unwrap();
    let heard: u64 = each(&world, |chatter| chatter.heard).sum();
    let flushed: u64 = each(&world, |chatter| chatter.flushed).sum();
    assert!(each(&world, |chatter| chatter.open.len()).all(|open| open == 2));
    assert_eq!(heard, flushed);
    assert!(heard > 4 * 2 * 90 * 50, "{heard}");
}

#[test]
fn a_slow_link_flushes_no_faster_than_it_carries() {
    let profile = Profile {
        rate: 10,
        kernel_bytes: 64,
        packet_max: 16,
        ..Profile::default()
    };
    let options = Options { profile, ..ring(2) };
    let mut world = world(Flaw::None, options, 1).unwrap();
    world.run_until(Instant::from_secs(100)).unwrap();
    for flushed in each(&world, |chatter| chatter.flushed) {
        assert!((900..=1_100).contains(&flushed), "{flushed}");
    }
}

#[test]
fn equal_seeds_give_equal_runs_and_others_differ() {
    let run = |seed, clone_every| {
        let options = Options {
            clone_every,
            ..ring(5)
        };
        let mut world = world(Flaw::None, options, seed).unwrap();
        for _ in 0..300 {
            world.disturb(HOSTILE_OF_1000).unwrap();
        }
        (world.hash(), world.steps())
    };
    assert_eq!(run(3, 0), run(3, 0));
    assert_eq!(run(3, 0), run(3, 1), "a snapshot changed the run");
    assert_ne!(run(3, 0).0, run(4, 0).0);
}

#[test]
fn each_flaw_is_noticed_as_what_it_is() {
    type Fits = fn(&Breach) -> bool;
    let flaws: [(Flaw, Fits); 8] = [
        (Flaw::SameDeadline, |b| matches!(b, Breach::Deadline { .. })),
        (Flaw::EagerTick, |b| matches!(b, Breach::EarlyTick { .. })),
        (Flaw::Impure, |b| matches!(b, Breach::Impure { .. })),
        (Flaw::SerialTwice, |b| matches!(b, Breach::Contract(_))),
        (Flaw::WriteToNobody, |b| matches!(b, Breach::Contract(_))),
        (Flaw::AcceptTwice, |b| matches!(b, Breach::Contract(_))),
        (Flaw::TooMany, |b| matches!(b, Breach::Invariant(_))),
        (Flaw::Flood, |b| matches!(b, Breach::Window { .. })),
    ];
    for (flaw, expected) in flaws {
        let options = Options {
            shape: Shape::Full,
            laws_every: 1,
            window_bytes: 1_000,
            ..ring(3)
        };
        let run = || {
            let mut world = world(flaw, options, 1)?;
            world.run_until(Instant::from_secs(10))
        };
        let broken = run().expect_err("the flaw was not noticed");
        assert!(expected(&broken.breach), "{flaw:?}: {broken}");
    }
}

#[test]
fn many_drawn_worlds_hold_and_see_every_kind_of_trouble() {
    let (mut downs, mut steps, mut crashes) = (0, 0, 0);
    for seed in 0..40 {
        let mut choice = Seeded::new(seed);
        let options = Options::draw(&mut choice, 6);
        let mut world = world(Flaw::None, options, seed).unwrap();
        for _ in 0..100 {
            world
                .disturb(HOSTILE_OF_1000)
                .unwrap_or_else(|broken| panic!("seed {seed}, {options}: {broken}"));
        }
        steps += world.steps();
        crashes += world.hosts().iter().filter(|host| host.life > 1).count();
        downs += each(&world, |chatter| chatter.serials.taken()).sum::<u64>();
        world.heal().unwrap();
    }
    let _ = writeln!(
        io::stderr(),
        "worlds: 40 drawn, {steps} steps, {downs} connections, {crashes} crashes"
    );
    assert!(steps > 10_000 && downs > 100 && crashes > 10);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any tape of bytes is a run that breaks no law.
    #[test]
    fn any_tape_is_a_run(tape in prop::collection::vec(any::<u8>(), 0..400)) {
        let make = Box::new(|at, _| Node::new(Chatter::new(Flaw::None), u64::try_from(at).unwrap()));
        let mut world = World::new(ring(3), Box::new(ByteTape::new(&tape)), make).unwrap();
        for _ in 0..tape.len() / 4 {
            world.disturb(HOSTILE_OF_1000).unwrap();
        }
        prop_assert!(world.steps() >= 3);
    }
}

fn each<'a, T>(
    world: &'a World<Chatter>,
    of: impl Fn(&Chatter) -> T + 'a,
) -> impl Iterator<Item = T> + 'a {
    world
        .hosts()
        .iter()
        .filter_map(move |host| host.node.as_ref().map(|node| of(node.machine())))
}
