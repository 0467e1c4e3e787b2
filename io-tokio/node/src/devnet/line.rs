//! A devnet in which each node knows one other at the start and finds the rest by itself.
//!
//! The nodes stand in a line: each knows the one before it, and the first the second. All else they
//! learn from each other. Three phases, each with a time limit: all reach their targets; each goes
//! through a cycle of churn; five nodes are killed, five others come that know one of those
//! left, and all reach their targets again and have the chain, which grows all the time.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use samanea_core::{
    base::Tip,
    chain::Start,
    governor::{Counters, LocalGroup, Relay, Targets, Topology, Traits},
    node::{Command, Config, Engine, Node},
};
use samanea_std::Options;
use tokio::time;
use tracing::info_span;

use super::{Error, MAGIC};
use crate::{
    Block,
    app::App,
    driver::{Driver, Handle},
    metrics::{Server, scrape},
    office::figures,
};

/// What such a devnet is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The driver of each node, in order; as many nodes as there are drivers, three at least.
    pub drivers: Vec<Driver>,
    /// Whom each node knows at the start: so many before it in the line, at least 1.
    pub roots: usize,
    /// Decides who is killed, whom newcomers know, and every draw of every node.
    pub seed: u64,
    /// The times of peer selection are so many times shorter than usual; at least 1.
    pub scale: u32,
    /// The longest that each phase may take.
    pub timeout: Duration,
}

/// What was reached, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What every node aims at.
    pub targets: Targets,
    /// Each phase with the time it took; `None`: the time was not enough.
    pub phases: Vec<(Phase, Option<Duration>)>,
    /// Each node.
    pub nodes: Vec<Outcome>,
    /// The tip of the first node at the end.
    pub tip: Tip,
    /// What the metrics endpoint of the first node answered at the end: name and value, in order.
    pub metrics: Vec<(String, String)>,
}

impl Report {
    /// The first phase that did not end in time.
    pub fn missed(&self) -> Option<Phase> {
        let missed = self.phases.iter().find(|(_, took)| took.is_none());
        missed.map(|(phase, _)| *phase)
    }
}

/// A part of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// All nodes reach their targets.
    Discover,
    /// All nodes go through a cycle of churn.
    Churn,
    /// After some were killed and others have come, all reach their targets and have the chain.
    Heal,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Discover => "all reach their targets",
            Self::Churn => "all go through a cycle of churn",
            Self::Heal => "all reach their targets again after 5 nodes were killed and 5 came",
        })
    }
}

/// What one node came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its number.
    pub number: usize,
    /// Its driver.
    pub driver: Driver,
    /// Whether it was killed in between.
    pub killed: bool,
    /// Whom it knew at the start.
    pub knows: Vec<usize>,
    /// Numbers of its peers, when it was seen last.
    pub counters: Counters,
    /// Cycles of churn that it went through.
    pub cycles: u64,
    /// Its tip.
    pub tip: Tip,
    /// When it first had all it aims at, after its start.
    pub reached: Option<Duration>,
}

/// How many are killed, and how many others are started.
pub const EXCHANGED: usize = 5;
/// A new block comes so often.
const BLOCK: Duration = Duration::from_millis(400);
/// The nodes are looked at so often.
const LOOK: Duration = Duration::from_millis(200);

/// Runs such a devnet.
pub async fn run(plan: &Plan, chain: &[Block]) -> Result<Report, Error> {
    let targets = targets(plan.drivers.len());
    let mut line = Line {
        plan,
        targets,
        chain,
        served: 0,
        next_block: time::Instant::now(),
        nodes: Vec::new(),
        rng: ChaCha8Rng::seed_from_u64(plan.seed),
    };
    for number in 0..plan.drivers.len() {
        line.start(number).await?;
    }
    for number in 0..line.nodes.len() {
        let knows = line.before(number);
        line.introduce(number, knows);
    }
    let mut phases = Vec::new();
    for phase in [Phase::Discover, Phase::Churn, Phase::Heal] {
        if phase == Phase::Heal {
            line.exchange().await?;
        }
        let took = line.phase(phase).await;
        phases.push((phase, took));
        if took.is_none() {
            break;
        }
    }
    line.look();
    let metrics = scraped(line.nodes.first()).await?;
    let report = Report {
        metrics,
        targets,
        phases,
        tip: line.tip(),
        nodes: line.nodes.iter().map(Member::outcome).collect(),
    };
    for member in line.nodes {
        if let Some(handle) = member.handle {
            handle.stop().await;
        }
    }
    Ok(report)
}

/// Starts a metrics endpoint for a node and reads it as an operator would.
async fn scraped(member: Option<&Member>) -> Result<Vec<(String, String)>, Error> {
    let Some((member, handle)) = member.and_then(|m| Some((m, m.handle.clone()?))) else {
        return Ok(Vec::new());
    };
    let measures = Arc::clone(member.app.measures());
    let look = move || figures(&handle, &measures);
    let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let text = async {
        let server = Server::start(free, look).await?;
        scrape(server.local_addr()).await
    };
    let text = text.await.map_err(Error::Metrics)?;
    let values = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = values.filter_map(|line| line.rsplit_once(' '));
    Ok(pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect())
}

/// What each of so many nodes aims at: to know two thirds, to be connected to a third, to use a
/// sixth.
fn targets(nodes: usize) -> Targets {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    let known = (nodes.saturating_mul(2) / 3).clamp(1, 100);
    let established = (nodes / 3).clamp(1, 30);
    Targets {
        root: 1,
        known,
        established,
        active: (nodes / 6).clamp(1, 20),
        ..Targets::ZERO
    }
}

struct Line<'a> {
    plan: &'a Plan,
    targets: Targets,
    chain: &'a [Block],
    served: usize,
    next_block: time::Instant,
    nodes: Vec<Member>,
    rng: ChaCha8Rng,
}

struct Member {
    number: usize,
    driver: Driver,
    app: Arc<App>,
    /// `None`: killed.
    handle: Option<Handle>,
    addr: SocketAddr,
    knows: Vec<usize>,
    began: time::Instant,
    counters: Counters,
    cycles: u64,
    reached: Option<Duration>,
    /// Whether it had all it aims at since the phase began.
    met: bool,
}

impl Line<'_> {
    async fn start(&mut self, number: usize) -> Result<(), Error> {
        let driver = self.plan.drivers.get(number % self.plan.drivers.len());
        let driver = driver.copied().unwrap_or_default();
        let mut config = Config::new(MAGIC);
        config.chain.start = Start::Genesis;
        config.chain.headers_max = config.chain.headers_max.max(self.chain.len());
        config.governor.deadline = self.targets;
        config.governor.share.take_unroutable = true;
        hurry(&mut config, self.plan.scale.max(1));
        let app = Arc::new(App::within(info_span!("node", number), self.chain.len()));
        let seed = u64::try_from(number).unwrap_or(0);
        let node = Node::new(Engine::new(config), self.plan.seed.wrapping_add(seed));
        let mut options = Options::default();
        options.listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        let listen = |source| Error::Listen {
            node: number,
            source,
        };
        let handle = Handle::start(driver, Box::new(node), Arc::clone(&app) as _, options)
            .await
            .map_err(listen)?;
        let addr = handle.listening().first().copied();
        self.nodes.push(Member {
            number,
            driver,
            app,
            handle: Some(handle),
            addr: addr.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            knows: Vec::new(),
            began: time::Instant::now(),
            counters: Counters::default(),
            cycles: 0,
            reached: None,
            met: false,
        });
        Ok(())
    }

    /// Those before a node in the line; for the first the one behind it.
    fn before(&self, number: usize) -> Vec<usize> {
        let first = number.saturating_sub(self.plan.roots.max(1));
        if number == 0 {
            vec![1]
        } else {
            (first..number).collect()
        }
    }

    /// Tells a node whom it knows at the start.
    fn introduce(&mut self, number: usize, knows: Vec<usize>) {
        let addrs = knows.iter().filter_map(|other| self.nodes.get(*other));
        let access_points: Vec<Relay> = addrs.map(|other| Relay::Addr(other.addr)).collect();
        let traits = Traits {
            advertise: true,
            ..Traits::default()
        };
        let topology = Topology {
            local: vec![LocalGroup {
                hot: 1,
                warm: 1,
                traits,
                access_points,
            }],
            ..Topology::default()
        };
        if let Some(member) = self.nodes.get_mut(number) {
            member.knows = knows;
            member.began = time::Instant::now();
            member.command(Command::Topology(Box::new(topology)));
        }
    }

    /// Kills some nodes without a word to anybody, never the first, which has the chain, and starts others.
    async fn exchange(&mut self) -> Result<(), Error> {
        for _ in 0..EXCHANGED {
            let live = self.live();
            let Some(number) = self.one_of(live.get(1..).unwrap_or(&[])) else {
                break;
            };
            let handle = self.nodes.get_mut(number).and_then(|m| m.handle.take());
            if let Some(handle) = handle {
                handle.kill().await;
            }
        }
        for _ in 0..EXCHANGED {
            let live = self.live();
            let Some(known) = self.one_of(&live) else {
                break;
            };
            let number = self.nodes.len();
            self.start(number).await?;
            self.introduce(number, vec![known]);
        }
        Ok(())
    }

    fn live(&self) -> Vec<usize> {
        let live = self.nodes.iter().filter(|member| member.handle.is_some());
        live.map(|member| member.number).collect()
    }

    fn one_of(&mut self, of: &[usize]) -> Option<usize> {
        let n = u64::try_from(of.len()).unwrap_or(u64::MAX).max(1);
        let at = usize::try_from(self.rng.next_u64() % n).unwrap_or(0);
        of.get(at).copied()
    }

    /// Waits for the end of a phase; `None` when the time is not enough.
    async fn phase(&mut self, phase: Phase) -> Option<Duration> {
        let began = time::Instant::now();
        for member in &mut self.nodes {
            member.met = false;
        }
        loop {
            self.grow();
            self.look();
            if self.is_over(phase) {
                return Some(began.elapsed());
            }
            if began.elapsed() > self.plan.timeout {
                return None;
            }
            time::sleep(LOOK).await;
        }
    }

    /// Puts the next block on the chain of the first node when its time has come.
    fn grow(&mut self) {
        let now = time::Instant::now();
        while self.next_block <= now {
            self.next_block += BLOCK;
            let (Some(block), Some(first)) = (self.chain.get(self.served), self.nodes.first())
            else {
                return;
            };
            self.served += 1;
            first.app.keep(block);
            let header = block.header.clone();
            first.command(Command::Extend { header });
        }
    }

    fn look(&mut self) {
        for member in &mut self.nodes {
            member.look(&self.targets);
        }
    }

    fn tip(&self) -> Tip {
        self.nodes.first().map_or(Tip::ORIGIN, Member::tip)
    }

    fn is_over(&self, phase: Phase) -> bool {
        let mut live = self.nodes.iter().filter(|member| member.handle.is_some());
        match phase {
            Phase::Discover => live.all(|member| member.met),
            Phase::Churn => live.all(|member| member.cycles > 0),
            Phase::Heal => {
                let tip = self.tip();
                // The newest blocks may be under way.
                let near = |member: &Member| member.tip().len().saturating_add(5) >= tip.len();
                live.all(|member| member.met && near(member))
            }
        }
    }
}

impl Member {
    fn command(&self, command: Command) {
        if let Some(handle) = &self.handle {
            handle.command(command);
        }
    }

    fn tip(&self) -> Tip {
        self.app.watch().borrow().tip
    }

    fn look(&mut self, targets: &Targets) {
        let Some(handle) = &self.handle else {
            return;
        };
        (self.counters, self.cycles) = handle.with(|node| {
            let governor = node.machine().governor();
            (*governor.counters(), governor.cycles())
        });
        let count = &self.counters.ordinary;
        if count.known >= targets.known
            && count.established >= targets.established
            && count.active >= targets.active
        {
            self.met = true;
            self.reached.get_or_insert_with(|| self.began.elapsed());
        }
    }

    fn outcome(&self) -> Outcome {
        Outcome {
            number: self.number,
            driver: self.driver,
            killed: self.handle.is_none(),
            knows: self.knows.clone(),
            counters: self.counters,
            cycles: self.cycles,
            tip: self.tip(),
            reached: self.reached,
        }
    }
}

/// Makes the times of peer selection shorter. What bounds a protocol stays as it is.
fn hurry(config: &mut Config, scale: u32) {
    let governor = &mut config.governor;
    let spans = [
        &mut governor.share.retry,
        &mut governor.share.first,
        &mut governor.share.salt,
        &mut governor.share.inbound_retry,
        &mut governor.churn.deadline,
        &mut governor.churn.deadline_fuzz,
        &mut governor.churn.bulk,
        &mut governor.churn.bulk_fuzz,
        &mut governor.churn.head_start,
        &mut governor.back_off.base,
        &mut governor.back_off.fuzz,
        &mut governor.back_off.error,
        &mut governor.back_off.cold_fuzz,
        &mut governor.back_off.warm_fuzz,
        &mut governor.back_off.clear,
        &mut governor.policy.demoted_hold_off,
        &mut governor.policy.sample,
        &mut governor.policy.outage_silence,
        &mut config.manager.mature,
    ];
    for span in spans {
        *span /= scale;
    }
    // A peer is not dialled so long after its connection, whoever of the two has ended that.
    let wait = &mut config.manager.time_wait;
    *wait = (*wait / scale).max(TIME_WAIT_MIN.min(*wait));
    // A step of churn that waits for a block, or for an answer, has time for it.
    let churn = &mut config.governor.churn;
    for span in [
        &mut churn.deactivate,
        &mut churn.close,
        &mut churn.discover,
        &mut churn.step,
    ] {
        *span = (*span / scale).max(STEP_MIN.min(*span));
    }
}

/// The least time between two connections of the same ends: on loopback the kernel asks for a
/// second. src: Linux, `tcp_tw_reuse`
const TIME_WAIT_MIN: Duration = Duration::from_secs(2);
/// The least time for a step of churn.
const STEP_MIN: Duration = Duration::from_secs(3);
