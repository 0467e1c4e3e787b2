//! Several real nodes on loopback: the first has a chain, the others get it hop by hop.

pub mod line;
pub mod rain;

use std::{
    fmt, io,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use samanea_core::{
    base::{Rules, Tip},
    chain::Start,
    node::{Command, Config, Engine, Node},
};
use samanea_std::Options;
use tokio::{sync::watch, task::JoinSet, time};
use tracing::info_span;

use crate::{
    Block,
    app::{App, Progress},
    driver::{Driver, Handle},
    rules::Eras,
    tape::{self, TapeFile},
    topology,
};

/// What a devnet is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The driver of each node, in order; as many nodes as there are drivers.
    pub drivers: Vec<Driver>,
    /// Decides who knows whom, and every draw of every node.
    pub seed: u64,
    /// A tape of one node, by its number.
    pub tape: Option<(PathBuf, usize)>,
    /// The longest that all of it may take.
    pub timeout: Duration,
}

/// Why a devnet could not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A node cannot listen on loopback.
    #[error("node {node} cannot listen on loopback: {source}")]
    Listen {
        /// Which.
        node: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The metrics of a node cannot be read.
    #[error("metrics: {0}")]
    Metrics(#[source] io::Error),
    /// The tape cannot be written.
    #[error(transparent)]
    Tape(#[from] tape::Error),
}

/// What one node came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its driver.
    pub driver: Driver,
    /// Whom it dialled.
    pub dials: Vec<usize>,
    /// Connections that it had at the end.
    pub peers: usize,
    /// Connections between it and the source.
    pub hops: Option<usize>,
    /// Its tip.
    pub tip: Tip,
    /// Blocks that it has.
    pub blocks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// From the first dial of the devnet until it had its tip, if it ever did.
    pub took: Option<Duration>,
    /// Why a connection of it last ended.
    pub last_fault: Option<String>,
}

/// What the whole came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The tip that every node should have.
    pub tip: Tip,
    /// How many blocks every node should have.
    pub blocks: usize,
    /// Each node, the source first.
    pub nodes: Vec<Outcome>,
    /// What is on the tape.
    pub tape: Option<tape::Summary>,
}

impl Report {
    /// The nodes that do not have the whole chain, by number.
    pub fn behind(&self) -> Vec<usize> {
        (0..)
            .zip(&self.nodes)
            .filter(|(_, node)| node.tip != self.tip || node.blocks != self.blocks)
            .map(|(number, _)| number)
            .collect()
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} blocks, tip {}", self.blocks, self.tip.point)?;
        match &self.last_fault {
            Some(fault) => write!(f, ", last fault {fault}"),
            None => Ok(()),
        }
    }
}

/// The magic number of devnets; no network uses it.
pub const MAGIC: u32 = 20_251;

/// Runs a devnet on this chain until every node has all of it or the time is up. `look` sees the
/// progress of every node from the start on.
pub async fn run(
    plan: &Plan,
    chain: &[Block],
    look: impl FnOnce(Vec<watch::Receiver<Progress>>),
) -> Result<Report, Error> {
    let dials = topology::draw(plan.drivers.len(), plan.seed);
    let mut tape = None;
    let mut nodes = Vec::new();
    for (number, driver) in plan.drivers.iter().enumerate() {
        nodes.push(Running::start(plan, number, *driver, chain, &mut tape).await?);
    }
    look(nodes.iter().map(|node| node.app.watch()).collect());

    let tip = chain.last().map_or(Tip::ORIGIN, |last| Tip {
        point: last.view.point,
        block_no: last.view.block_no,
    });
    if let Some(source) = nodes.first() {
        source.serve(chain);
    }
    let began = time::Instant::now();
    for (node, others) in nodes.iter().zip(&dials) {
        for other in others {
            if let Some(addr) = nodes.get(*other).and_then(Running::addr) {
                node.handle.command(Command::AddPeer(addr));
            }
        }
    }
    let took = arrivals(&nodes, tip, began, plan.timeout).await;

    let hops = topology::hops(&dials);
    let mut report = Report {
        tip,
        blocks: chain.len(),
        nodes: Vec::new(),
        tape: None,
    };
    for (number, (node, dials)) in nodes.iter().zip(dials).enumerate() {
        let hops = hops.get(number).copied().flatten();
        let took = took.get(number).copied().flatten();
        report.nodes.push(node.outcome(dials, hops, took));
    }
    let mut stopping = JoinSet::new();
    for node in nodes {
        stopping.spawn(node.handle.stop());
    }
    stopping.join_all().await;
    report.tape = tape.map(TapeFile::finish).transpose()?;
    Ok(report)
}

struct Running {
    driver: Driver,
    app: Arc<App>,
    handle: Handle,
}

impl Running {
    async fn start(
        plan: &Plan,
        number: usize,
        driver: Driver,
        chain: &[Block],
        tape: &mut Option<TapeFile>,
    ) -> Result<Self, Error> {
        let mut config = Config::new(MAGIC);
        config.redial_min = REDIAL;
        config.chain.start = match chain.first() {
            Some(first) if first.view.prev.is_some() => Start::TrustFirst,
            _ => Start::Genesis,
        };
        config.chain.headers_max = config.chain.headers_max.max(chain.len());
        let app = Arc::new(App::within(info_span!("node", number), chain.len()));
        let own_seed = plan.seed.wrapping_add(u64::try_from(number).unwrap_or(0));
        let node = Node::new(Engine::new(config), own_seed);
        let mut options = Options::default();
        options.listen = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
        if let Some((path, of)) = &plan.tape
            && *of == number
        {
            let file = TapeFile::create(path, &node, Eras.name())?;
            options.tap = Some(file.tap());
            *tape = Some(file);
        }
        let handle = Handle::start(driver, Box::new(node), Arc::clone(&app) as _, options)
            .await
            .map_err(|source| Error::Listen {
                node: number,
                source,
            })?;
        Ok(Self {
            driver,
            app,
            handle,
        })
    }

    fn addr(&self) -> Option<SocketAddr> {
        self.handle.listening().first().copied()
    }

    /// Takes the whole chain as one's own.
    fn serve(&self, chain: &[Block]) {
        for block in chain {
            self.app.keep(block);
            self.handle.command(Command::Extend {
                header: block.header.clone(),
            });
        }
    }

    fn outcome(&self, dials: Vec<usize>, hops: Option<usize>, took: Option<Duration>) -> Outcome {
        let watch = self.app.watch();
        let progress = watch.borrow();
        Outcome {
            driver: self.driver,
            dials,
            peers: progress.peers.len(),
            hops,
            tip: progress.tip,
            blocks: self.app.store().len(),
            bytes: self.app.store().bytes(),
            took,
            last_fault: progress.last_fault.clone(),
        }
    }
}

/// Waits until every node has this tip, at most as long as given; tells when each had it.
async fn arrivals(
    nodes: &[Running],
    tip: Tip,
    began: time::Instant,
    timeout: Duration,
) -> Vec<Option<Duration>> {
    let mut waiting = JoinSet::new();
    for (number, node) in nodes.iter().enumerate() {
        let mut progress = node.app.watch();
        waiting.spawn(async move {
            let there = progress.wait_for(|progress| progress.tip == tip).await;
            there.ok().map(|_| (number, began.elapsed()))
        });
    }
    let mut took = vec![None; nodes.len()];
    let all = async {
        while let Some(arrived) = waiting.join_next().await {
            if let Ok(Some((number, after))) = arrived
                && let Some(slot) = took.get_mut(number)
            {
                *slot = Some(after);
            }
        }
    };
    // Who has not arrived by then is told by its tip.
    let _ = time::timeout_at(began + timeout, all).await;
    took
}

/// Nodes of a devnet are up at once, so a refused dial is tried again soon.
const REDIAL: Duration = Duration::from_millis(200);
