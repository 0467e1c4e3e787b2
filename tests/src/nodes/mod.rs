//! Worlds of a few whole nodes, each of which selects its own peers.
//!
//! ```text
//!  Plan: settings and roots of each node ─▶ Nodes: World<Engine> + what was said ─▶ laws
//! ```
//! Every node is told its roots at each of its starts. What goes over the wire is real: the
//! [`Segments`] written on each connection are counted by mini-protocol.

mod judge;
mod scenario;
mod segments;
mod watch;

use core::time::Duration;
use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr, rc::Rc};

use samanea_core::{
    base::{Instant, Seeded},
    governor::{Governor, LocalGroup, Relay, Targets, Topology, Trace, Traits},
    node::{Command, Config, Engine, Node, Notice},
};

pub use judge::{LAWS, Played, judge, judge_changed, scenario, shortest, unseen};
pub use scenario::{Doing, Group, Member, NODES_MAX, Scenario};
pub use segments::{Conn, Segments};

use crate::{
    engines,
    play::engine,
    world::{Broken, Options, Shape, World, address},
};

/// How often each node makes a block: whoever says nothing new for ten minutes is given up.
pub const BETWEEN_BLOCKS: Duration = Duration::from_secs(200);

/// What a node is in all its lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its settings.
    pub config: Config,
    /// Its roots.
    pub topology: Topology,
}

impl Plan {
    /// One that wants up to four peers and has no roots.
    pub fn new() -> Self {
        let mut config = engines::config();
        config.manager.trace = true;
        config.governor.trace = true;
        config.governor.deadline = Targets {
            root: 4,
            known: 4,
            established: 4,
            active: 4,
            ..Targets::ZERO
        };
        // All nodes live on one private network.
        config.governor.share.take_unroutable = true;
        Self {
            config,
            topology: Topology::default(),
        }
    }

    /// With one more group of local roots, all of them hot.
    #[must_use]
    pub fn with(mut self, hosts: &[usize], traits: Traits) -> Self {
        let wanted = u32::try_from(hosts.len()).unwrap_or(u32::MAX);
        self.topology.local.push(LocalGroup {
            hot: wanted,
            warm: wanted,
            traits,
            access_points: hosts.iter().map(|at| Relay::Addr(address(*at))).collect(),
        });
        self
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

/// Something that a node said: when, which, in which of its lives.
pub type Said<T> = (Instant, usize, u32, T);

/// A world of nodes with plans.
pub struct Nodes {
    /// The world.
    pub world: World<Engine>,
    /// What each node is.
    pub plans: Vec<Plan>,
    said: Rc<RefCell<Vec<Said<Notice>>>>,
    segments: Rc<RefCell<Segments>>,
    blocks_at: Instant,
}

impl Nodes {
    /// As many hosts as plans; all are down.
    pub fn asleep(options: Options, seed: u64, plans: Vec<Plan>) -> Self {
        let options = Options {
            hosts: plans.len(),
            shape: Shape::None,
            ..options
        };
        let settings: Vec<_> = plans.iter().map(|plan| plan.config.clone()).collect();
        let make = Box::new(move |at: usize, life: u32| {
            let own = u64::try_from(at).unwrap_or(0) << 32 | u64::from(life);
            let config = settings.get(at).cloned().unwrap_or_else(engines::config);
            Node::new(Engine::new(config), seed ^ own)
        });
        let mut world = World::asleep(options, Box::new(Seeded::new(seed)), make);
        let said = Rc::new(RefCell::new(Vec::new()));
        let into = Rc::clone(&said);
        world.watch(Box::new(move |now, at, life, notice| {
            let heard = matches!(
                notice,
                Notice::Governor(_) | Notice::Peer(_) | Notice::Up { .. } | Notice::Down { .. }
            );
            if heard {
                into.borrow_mut().push((now, at, life, notice.clone()));
            }
        }));
        let segments = Rc::new(RefCell::new(Segments::default()));
        let into = Rc::clone(&segments);
        world.tap(Box::new(move |at, life, conn, batch| {
            into.borrow_mut().wrote((at, life, conn), batch);
        }));
        let blocks_at = Instant::ZERO;
        Self {
            world,
            plans,
            said,
            segments,
            blocks_at,
        }
    }

    /// Starts a node, or starts it anew, and tells it its roots.
    pub fn start(&mut self, at: usize) -> Result<(), Broken> {
        self.world.start(at)?;
        if let Some(plan) = self.plans.get(at) {
            let topology = Box::new(plan.topology.clone());
            self.world.command(at, Command::Topology(topology));
        }
        Ok(())
    }

    /// Other roots from now on.
    pub fn set_topology(&mut self, at: usize, topology: Topology) {
        if let Some(plan) = self.plans.get_mut(at) {
            plan.topology = topology.clone();
            let topology = Box::new(topology);
            self.world.command(at, Command::Topology(topology));
        }
    }

    /// Lets time pass; each node makes a block now and then. After each instant in which
    /// something happened, `settled` is told; it ends the run by an error.
    pub fn run_until(
        &mut self,
        until: Instant,
        mut settled: impl FnMut(&Self) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        loop {
            let now = self.world.now();
            let next = self.world.next_at().filter(|at| *at <= until);
            if next.is_none_or(|next| next > now) {
                settled(self)?;
            }
            if self.blocks_at <= next.unwrap_or(until) && self.blocks_at <= until {
                self.world.run_until(self.blocks_at)?;
                self.grow_all();
                self.blocks_at = self.blocks_at.after(BETWEEN_BLOCKS);
                continue;
            }
            if next.is_none() {
                return self.world.run_until(until);
            }
            self.world.advance()?;
        }
    }

    fn grow_all(&mut self) {
        for at in 0..self.plans.len() {
            if engine(&self.world, at).is_some() {
                self.world.grow(at, 1, 5);
            }
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: Duration) -> Result<(), Broken> {
        let until = self.world.now().after(span);
        self.run_until(until, |_| Ok(()))
    }

    /// The selection of peers of a node that is up.
    pub fn governor(&self, at: usize) -> Option<&Governor> {
        Some(engine(&self.world, at)?.governor())
    }

    /// What was said since this was asked last.
    pub fn take_said(&self) -> Vec<Said<Notice>> {
        self.said.take()
    }

    /// What has been written.
    pub fn segments(&self) -> core::cell::Ref<'_, Segments> {
        self.segments.borrow()
    }

    /// When the selection of peers of a node said something of this kind, so far as it was not
    /// taken.
    pub fn traces(&self, at: usize, is: impl Fn(&Trace) -> bool) -> Vec<Instant> {
        let said = self.said.borrow();
        let traces = said
            .iter()
            .filter_map(|(now, who, _, notice)| match notice {
                Notice::Governor(samanea_core::governor::Notice::Trace(trace)) => {
                    (*who == at && is(trace)).then_some(*now)
                }
                _ => None,
            });
        traces.collect()
    }

    /// When a node first knew each address, as it is asked at the end of each instant.
    pub fn first_known(
        &mut self,
        until: Instant,
    ) -> Result<BTreeMap<(usize, SocketAddr), Instant>, Broken> {
        let mut known = BTreeMap::new();
        self.run_until(until, |nodes| {
            for at in 0..nodes.plans.len() {
                let Some(governor) = nodes.governor(at) else {
                    continue;
                };
                for peer in governor.explain_all() {
                    known.entry((at, peer.peer)).or_insert(nodes.world.now());
                }
            }
            Ok(())
        })?;
        Ok(known)
    }
}
