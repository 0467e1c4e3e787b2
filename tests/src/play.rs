//! Carries out a [`Script`] on a world of real engines.

use core::{net::IpAddr, time::Duration};
use std::{cell::RefCell, rc::Rc};

use samanea_core::{
    base::Seeded,
    manager::{Limits, State},
    node::{Command, Config, Engine, Node},
    proto::handshake::Mode,
};

use crate::{
    engines,
    oracle::Oracle,
    scripts::{Doing, Event, Flavour, Kind, Script, Work},
    world::{Broken, Options, Shape, World, address},
};

/// How long all timers get after the last event: longer than a peer takes to become mature, and
/// than the longest time limit of a mini-protocol.
const QUIET: Duration = Duration::from_secs(4_000);
/// How often each node makes a block meanwhile.
const BETWEEN_BLOCKS: Duration = Duration::from_secs(200);
/// How long nodes get to find each other after all faults.
const JOINING: Duration = Duration::from_secs(300);
/// How long a chain gets to reach all then.
const SETTLING: Duration = Duration::from_secs(600);
/// How long connections get to end after a shutdown.
const ENDING: Duration = Duration::from_secs(200);

/// What came of a script.
#[derive(Debug)]
pub struct Played {
    /// Steps of all machines.
    pub steps: u64,
    /// The hash of all that happened.
    pub hash: u64,
    /// Simultaneous opens.
    pub met: u64,
    /// Pairs of nodes that were found at rest, each state as the other's.
    pub quiet: u64,
    /// What was seen of the tables of connections.
    pub oracle: Oracle,
}

/// Settings of one node of a script; the centre is node 0.
pub fn config(script: &Script, at: usize) -> Config {
    let mut config = engines::config();
    config.manager.trace = true;
    if at == 0 {
        config.manager.limits = script.limits;
    }
    config.manager.mode = match at.checked_sub(1).and_then(|node| script.nodes.get(node)) {
        None => script.centre,
        Some(Kind::Client) => Mode::InitiatorOnly,
        Some(Kind::Server) => Mode::InitiatorAndResponder,
    };
    config
}

/// Plays a script to its end: events, a long quiet, a recovery, a shutdown. Chance follows from
/// `seed`. What was seen comes with the error, too.
pub fn play(script: &Script, seed: u64) -> Result<Played, (Broken, Box<Oracle>)> {
    let options = Options {
        hosts: script.nodes.len() + 1,
        shape: Shape::None,
        body_bytes: 500,
        ..Options::default()
    };
    let settings: Vec<_> = (0..options.hosts).map(|at| config(script, at)).collect();
    let oracle = Rc::new(RefCell::new(Oracle::new(&settings)));
    let make = Box::new(move |at: usize, life: u32| {
        let own = u64::try_from(at).unwrap_or(0) << 32 | u64::from(life);
        let config = settings.get(at).cloned().unwrap_or_else(engines::config);
        Node::new(Engine::new(config), seed ^ own)
    });
    let mut world = World::asleep(options, Box::new(Seeded::new(seed)), make);
    let told = Rc::clone(&oracle);
    world.watch(Box::new(move |now, at, life, notice| {
        told.borrow_mut().notice(now, at, life, notice);
    }));
    let outcome = run(&mut world, script, &oracle);
    let (steps, hash, met) = (world.steps(), world.hash(), world.met());
    drop(world);
    match outcome {
        Ok(quiet) => Ok(Played {
            steps,
            hash,
            met,
            quiet,
            oracle: oracle.take(),
        }),
        Err(broken) => Err((broken, Box::new(oracle.take()))),
    }
}

/// Returns how many pairs were found at rest.
fn run(
    world: &mut World<Engine>,
    script: &Script,
    oracle: &RefCell<Oracle>,
) -> Result<u64, Broken> {
    for (place, kind) in script.nodes.iter().enumerate() {
        world.set_listens(place + 1, *kind == Kind::Server);
        let suffers = script.suffers.get(place).into_iter().flatten();
        world.attenuate(place + 1, suffers.copied());
    }
    world.set_listens(0, script.centre == Mode::InitiatorAndResponder);
    world.start(0)?;
    for event in &script.events {
        world.run_until(world.now().after(event.after))?;
        apply(world, event)?;
        world.check_sockets()?;
    }
    let quiet_from = world.now();
    let quiet = match script.flavour {
        Flavour::Normal => QUIET,
        Flavour::Pruning => QUIET / 10,
    };
    while world.now().since(quiet_from) < quiet {
        // Whoever says nothing new for ten minutes is given up: nobody does.
        for at in 0..world.hosts().len() {
            if world.hosts()[at].node.is_some() {
                world.grow(at, 1, 5);
            }
        }
        world.run_until(world.now().after(BETWEEN_BLOCKS))?;
    }
    world.check_sockets()?;
    let quiet = if script.is_harmless() {
        rest(world, script)?
    } else {
        0
    };
    oracle.borrow_mut().allow(0, Limits::default().hard);
    recover(world, script)?;
    for (at, host) in world.hosts().iter().enumerate() {
        oracle.borrow_mut().stopping(at, host.life);
    }
    world.end(ENDING)?;
    oracle.borrow_mut().finish(world.now(), |at| {
        let host = world.hosts().get(at);
        host.map(|host| (host.life, host.node.is_some()))
    });
    Ok(quiet)
}

/// After a long quiet, every pair that is up has exactly the connections that it wants: one, used
/// as both want it and seen alike from both ends, or none. Returns how many were looked at.
fn rest(world: &World<Engine>, script: &Script) -> Result<u64, Broken> {
    let mut pairs = 0;
    for (place, kind) in script.nodes.iter().enumerate() {
        let node = place + 1;
        let (Some(centre), Some(other)) = (engine(world, 0), engine(world, node)) else {
            continue;
        };
        let keeps = |at: usize, peer| world.hosts()[at].peers.contains(&address(peer));
        let serves = script.centre == Mode::InitiatorAndResponder;
        let ours = keeps(0, node) && *kind == Kind::Server;
        let theirs = keeps(node, 0) && serves;
        let wanted = wanted(serves, *kind, ours, theirs);
        let here = states(centre, address(node).ip());
        let there = states(other, address(0).ip());
        if (&here, &there) != (&wanted.0, &wanted.1) {
            let text = format!(
                "node {node} at rest: {here:?} and {there:?}, not {:?} and {:?}; {:?}",
                wanted.0,
                wanted.1,
                centre.manager().explain_all()
            );
            return Err(world.unmet_because(text));
        }
        pairs += 1;
    }
    Ok(pairs)
}

/// The states at the centre and at the node when either keeps the other.
fn wanted(serves: bool, kind: Kind, ours: bool, theirs: bool) -> (Vec<State>, Vec<State>) {
    let duplex = serves && kind == Kind::Server;
    let (here, there) = match (duplex, ours, theirs) {
        (true, true, true) => (State::Duplex, State::Duplex),
        (true, true, false) => (State::OutboundDupExpired, State::InboundDup),
        (true, false, true) => (State::InboundDup, State::OutboundDupExpired),
        (false, true, _) => (State::OutboundUni, State::InboundUni),
        (false, false, true) => (State::InboundUni, State::OutboundUni),
        (_, false, false) => return (Vec::new(), Vec::new()),
    };
    (vec![here], vec![there])
}

/// The states of all live connections with a peer; dials that fail again and again do not count.
pub fn states(engine: &Engine, peer: IpAddr) -> Vec<State> {
    let manager = engine.manager();
    let of_peer = |conn| {
        manager
            .addresses(conn)
            .is_some_and(|(remote, _)| remote.ip() == peer)
    };
    let live = |state| !matches!(state, State::ReservedOutbound | State::Terminating);
    let states = manager
        .conns()
        .filter(|(conn, state)| of_peer(*conn) && live(*state));
    states.map(|(_, state)| state).collect()
}

/// The engine of a host that is up.
pub fn engine(world: &World<Engine>, at: usize) -> Option<&Engine> {
    Some(world.hosts().get(at)?.node.as_ref()?.machine())
}

/// Ends all faults, lifts the limits, joins every node with the centre, and demands that a new
/// chain reaches all that can have it: whatever happened before, nothing is stuck.
fn recover(world: &mut World<Engine>, script: &Script) -> Result<(), Broken> {
    world.heal()?;
    let limits = Limits::default();
    world.command(0, Command::Limit(limits));
    let serves = script.centre == Mode::InitiatorAndResponder;
    for (place, kind) in script.nodes.iter().enumerate() {
        let node = place + 1;
        if serves {
            world.command(node, Command::AddPeer(address(0)));
        }
        if *kind == Kind::Server {
            world.command(0, Command::AddPeer(address(node)));
        }
    }
    // Earlier failures may make a node wait for long before it tries again.
    world.run_until(world.now().after(JOINING))?;
    let lens: Vec<_> = world
        .hosts()
        .iter()
        .map(|host| host.application.tip.len())
        .collect();
    let first = (1..lens.len()).find(|at| world.hosts()[*at].listens);
    // Who only dials is followed by nobody.
    let source = if serves { 0 } else { first.unwrap_or(0) };
    let missing = lens
        .iter()
        .max()
        .map_or(0, |max| max.saturating_sub(lens[source]));
    let end = world.grow(source, usize::try_from(missing).unwrap_or(0) + 3, 99);
    let hosts = if serves { world.hosts().len() } else { 1 };
    let until = world.now().after(SETTLING);
    let settled = world.run_to(until, |world| {
        let mut all = world.hosts().iter().take(hosts);
        all.all(|host| host.application.tip == end)
    })?;
    if settled {
        Ok(())
    } else {
        Err(world.unmet(end, SETTLING))
    }
}

/// The script that a seed stands for: even ones normal, odd ones pruning.
pub fn script(seed: u64) -> Script {
    let flavour = if seed.is_multiple_of(2) {
        Flavour::Normal
    } else {
        Flavour::Pruning
    };
    Script::draw(&mut Seeded::new(seed), flavour, 7, flavour.events())
}

/// Plays a script; what is wrong with the run, if anything.
pub fn judge(script: &Script, seed: u64) -> Result<Played, String> {
    let played =
        play(script, seed).map_err(|(broken, oracle)| format!("{broken}\n{}", oracle.journal()))?;
    played.oracle.verdict()?;
    Ok(played)
}

fn apply(world: &mut World<Engine>, event: &Event) -> Result<(), Broken> {
    let node = event.node;
    let (centre, peer) = (address(0), address(node));
    match event.doing {
        Doing::Start => {
            world.forget_peers(node);
            world.start(node)?;
        }
        Doing::ConnectInbound => world.command(node, Command::AddPeer(centre)),
        Doing::ConnectOutbound => world.command(0, Command::AddPeer(peer)),
        Doing::WorkInbound(work) => ask(world, node, 0, work),
        Doing::WorkOutbound(work) => ask(world, 0, node, work),
        // The next block lets who follows end in order; else that takes two minutes and a reset.
        Doing::CloseInbound => {
            world.command(node, Command::RemovePeer(centre));
            world.grow(0, 1, 3);
        }
        Doing::CloseOutbound => {
            world.command(0, Command::RemovePeer(peer));
            world.grow(node, 1, 3);
        }
        Doing::Crash => world.stop(node),
        Doing::PowerOff => world.power_off(node),
    }
    Ok(())
}

/// `who` gets something to ask of `whom`.
fn ask(world: &mut World<Engine>, who: usize, whom: usize, work: Work) {
    if work.hot > 0 {
        world.grow(whom, usize::from(work.hot), 7);
    }
    if work.warm > 0 {
        let count = u16::from(work.warm);
        world.command(who, Command::SampleTips { count, slot: 0 });
    }
    if work.established > 0 {
        let amount = work.established;
        world.command(who, Command::AskPeers { amount });
    }
}
