//! Carries out a [`Script`] on a world of real engines.

use core::time::Duration;
use std::{cell::RefCell, rc::Rc};

use samanea_core::{
    base::Seeded,
    node::{Command, Config, Engine, Node},
    proto::handshake::Mode,
};

use crate::{
    engines,
    oracle::Oracle,
    scripts::{Doing, Event, Flavour, Kind, Script, Work},
    world::{Broken, Options, Shape, World, address},
};

/// How long all timers get after the last event: longer than a peer takes to become mature.
const QUIET: Duration = Duration::from_secs(1_200);
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
    /// What was seen of the tables of connections.
    pub oracle: Oracle,
}

/// Settings of one node of a script; the centre is node 0.
pub fn config(script: &Script, at: usize) -> Config {
    let mut config = engines::config();
    config.manager.mode = match at.checked_sub(1).and_then(|node| script.nodes.get(node)) {
        None => script.centre,
        Some(Kind::Client) => Mode::InitiatorOnly,
        Some(Kind::Server) => Mode::InitiatorAndResponder,
    };
    config
}

/// Plays a script to its end: events, a long quiet, a shutdown. Chance follows from `seed`.
pub fn play(script: &Script, seed: u64) -> Result<Played, Broken> {
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
    for (place, kind) in script.nodes.iter().enumerate() {
        world.set_listens(place + 1, *kind == Kind::Server);
        world.attenuate(
            place + 1,
            script.suffers.get(place).into_iter().flatten().copied(),
        );
    }
    world.set_listens(0, script.centre == Mode::InitiatorAndResponder);
    world.start(0)?;
    for event in &script.events {
        world.run_until(world.now().after(event.after))?;
        apply(&mut world, event)?;
        world.check_sockets()?;
    }
    world.run_until(world.now().after(QUIET))?;
    world.check_sockets()?;
    world.end(ENDING)?;
    oracle.borrow_mut().finish(world.now(), |at| {
        world
            .hosts()
            .get(at)
            .map(|host| (host.life, host.node.is_some()))
    });
    let (steps, hash, met) = (world.steps(), world.hash(), world.met());
    drop(world);
    Ok(Played {
        steps,
        hash,
        met,
        oracle: oracle.take(),
    })
}

/// The script that a seed stands for: even ones normal, odd ones pruning.
pub fn script(seed: u64) -> Script {
    let flavour = if seed.is_multiple_of(2) {
        Flavour::Normal
    } else {
        Flavour::Pruning
    };
    Script::draw(&mut Seeded::new(seed), flavour, 7, 40)
}

/// Plays a script; what is wrong with the run, if anything.
pub fn judge(script: &Script, seed: u64) -> Result<Played, String> {
    let played = play(script, seed).map_err(|broken| broken.to_string())?;
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
        Doing::CloseInbound => world.command(node, Command::RemovePeer(centre)),
        Doing::CloseOutbound => world.command(0, Command::RemovePeer(peer)),
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
