//! Worlds of real engines, and the scenario that a seed stands for.

use core::{fmt, time::Duration};

use samanea_core::{
    base::{Seeded, Tip},
    node::{Config, Engine, Node},
};

use crate::world::{Broken, Make, Options, Roughness, World};

/// The network of all simulated nodes.
pub const MAGIC: u32 = 42;

/// Settings of a simulated node.
pub fn config() -> Config {
    let mut config = Config::new(MAGIC);
    config.redial_max = Duration::from_secs(20);
    config
}

/// Makes nodes whose chance follows from `seed`, their place and their life.
pub fn make(seed: u64) -> Make<Engine> {
    Box::new(move |at, life| {
        let own = u64::try_from(at).unwrap_or(0) << 32 | u64::from(life);
        Node::new(Engine::new(config()), seed ^ own)
    })
}

/// How a scenario came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What the seed drew.
    pub options: Options,
    /// How many of a thousand transitions were hostile.
    pub hostile_of_1000: u32,
    /// Transitions.
    pub transitions: u32,
    /// Steps of all machines.
    pub steps: u64,
    /// The tip that all hosts had at the end.
    pub tip: Tip,
    /// Virtual time in all.
    pub took: Duration,
    /// Virtual time from the end of all faults to equal tips.
    pub settled: Duration,
    /// Handshakes, ends, bytes.
    pub ups: u64,
    /// Connections that ended.
    pub downs: u64,
    /// Bytes that arrived.
    pub bytes: u64,
    /// The hash of all that happened.
    pub hash: u64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {:>6}  {:>2} hosts  {:>3} hostile/1000  {:>8} steps  {:>5} up {:>5} down  {:>10} B  \
             {:>5} blocks  settled in {:>6.1} s of {:>7.1} s  {:016x}",
            self.seed,
            self.options.hosts,
            self.hostile_of_1000,
            self.steps,
            self.ups,
            self.downs,
            self.bytes,
            self.tip.len(),
            self.settled.as_secs_f64(),
            self.took.as_secs_f64(),
            self.hash,
        )
    }
}

/// One seed: drawn settings, a warm-up, faults (none in a third of the runs), healing, the demand
/// that all hosts end with one chain, and a shutdown after which no socket may be left. `clone_every` as in [`Options`].
pub fn scenario(seed: u64, hosts_max: u32, clone_every: u64) -> Result<Report, Broken> {
    let mut choice = Seeded::new(seed);
    let mut options = Options::draw(&mut choice, hosts_max);
    options.clone_every = clone_every;
    let hostile_of_1000 = match seed % 3 {
        0 => 0,
        1 => 60,
        _ => 300,
    };
    options.honest = hostile_of_1000 == 0;
    if options.honest && options.roughness == Roughness::Rough {
        options.roughness = Roughness::Gentle;
    }
    let mut world = World::new(options, Box::new(choice), make(seed))?;
    world.grow(0, 20, seed);
    let transitions = 60;
    for _ in 0..transitions {
        world.disturb(hostile_of_1000)?;
        world.check_sockets()?;
    }
    let settled = finish(&mut world)?;
    let tip = world.tips().first().copied().unwrap_or(Tip::ORIGIN);
    world.end(Duration::from_secs(200))?;
    let hosts = world.hosts();
    let sum = |of: fn(&crate::world::Tally) -> u64| hosts.iter().map(|h| of(&h.tally)).sum();
    Ok(Report {
        seed,
        options,
        hostile_of_1000,
        transitions,
        steps: world.steps(),
        tip,
        took: Duration::from_micros(world.now().as_micros()),
        settled,
        ups: sum(|tally| tally.ups),
        downs: sum(|tally| tally.downs),
        bytes: sum(|tally| tally.bytes_in),
        hash: world.hash(),
    })
}

/// Ends all faults, joins neighbours both ways, makes one chain the longest, and waits until
/// all have it.
pub fn finish(world: &mut World<Engine>) -> Result<Duration, Broken> {
    world.heal()?;
    world.join_neighbours();
    world.run_until(world.now().after(Duration::from_secs(60)))?;
    // The longest chain grows, so that no tie is left.
    let longest = (0..world.hosts().len())
        .max_by_key(|at| {
            world
                .hosts()
                .get(*at)
                .map(|host| host.application.tip.len())
        })
        .unwrap_or(0);
    let end = world.grow(longest, 3, 99);
    let limit = Duration::from_secs(3_600);
    match world.settle_at(end, limit)? {
        Some(settled) => Ok(settled),
        None => Err(world.unmet(end, limit)),
    }
}
