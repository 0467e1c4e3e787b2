//! One governor among three peers, in every order of what they do.
//!
//! ```text
//!  operator ─Targets, Topology─▶ Governor ─Establish, Activate, Deactivate, Close, AskPeers─▶ lines
//!                                   ▲                                                          │
//!      Established, NotEstablished, Activated, Deactivated, Cooling, Cold, Shared, Tick ◀──────┘
//! ```
//!
//! The first peer is a local root, the second a public root or a bootstrap peer, the third is told
//! of by the second or a public root, the fourth the relay of a pool that holds all stake.
//! Each has a line: what its connection is. Any order may be answered by success or failure at any
//! time, any connection may fall by itself, and time goes on to the next deadline whenever it
//! likes. All delays are one second, so that there are few moments to tell apart, and there is no
//! churn. Of equally good peers either may be picked.
//!
//! States are canonical: times are relative, counts of the past are left out.

mod laws;
mod world;

use core::time::Duration;

use samanea_core::{
    base::{Class, Hash32, Point},
    governor::{
        Config, ConsensusMode, Judgement, Ledger, LedgerState, LocalGroup, Pool, PublicGroup,
        Relay, Snapshot, Targets, Topology, Traits, UseLedger,
    },
};

use super::{Model, Violation};
use crate::governor::address;
pub use world::{Line, Stage, World};

/// One unit of time.
const UNIT: Duration = Duration::from_secs(1);

/// The local root, the public root or bootstrap peer, the one told of, and the big ledger peer.
pub(super) const LOCAL: usize = 0;
const PUBLIC: usize = 1;
const SHARED: usize = 2;
const BIG: usize = 3;

/// What may happen around a governor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "things that may happen or not, each by itself"
)]
pub struct Scope {
    /// Targets the operator may set, by place; the first hold at the start.
    pub targets: Vec<Targets>,
    /// The operator may take the local root out of the topology, and put it back.
    pub topology: bool,
    /// The local root can only dial us.
    pub firewall: bool,
    /// The public root tells of the third peer when asked.
    pub sharing: bool,
    /// Connections fall by themselves.
    pub falls: Vec<Fall>,
    /// Orders fail, until so many failures of a peer count.
    pub failures: u8,
    /// Peers lie.
    pub lies: bool,
    /// How many different picks are tried.
    pub picks: u8,
    /// How consensus protects itself.
    pub consensus: ConsensusMode,
    /// The second peer is a bootstrap peer, and the third a public root.
    pub bootstrap: bool,
    /// The local root may be trusted.
    pub trustable: bool,
    /// The ledger names the fourth peer.
    pub ledger: bool,
    /// The operator may load a snapshot that names the fourth peer, and take it away.
    pub snapshot: bool,
    /// The chain may become old, and young again; it is young at the start.
    pub judgement: bool,
}

/// How a connection falls by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fall {
    /// A hot protocol ends, and is not to be run again at once.
    Warm,
    /// It ends in order.
    Cooling,
    /// It breaks, and lingers.
    Broken,
    /// It is gone at once.
    Cold,
}

/// How an order, or a connection, ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Well,
    /// The network failed.
    Broken,
    /// The peer lied.
    Lied,
}

impl End {
    const fn class(self) -> Option<Class> {
        match self {
            Self::Well => None,
            Self::Broken => Some(Class::Network),
            Self::Lied => Some(Class::Adversarial),
        }
    }
}

/// What can happen; peers are named by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// What was ordered of the peer ends: it is made warm, or hot, or warm again.
    Done(usize, End),
    /// The connection to the peer is over.
    Over(usize, End),
    /// The connection to the peer falls by itself.
    Falls(usize, Fall),
    /// The peer lies: its connection ends.
    Lies(usize),
    /// The peer answers: it knows the third peer, or nobody.
    Shares(usize, bool),
    /// The operator wants these targets.
    Targets(usize),
    /// The operator wants the local root, or not.
    Topology(bool),
    /// The application finds the chain old or young.
    Judgement(Judgement),
    /// The operator loads a snapshot, or takes it away.
    Snapshot(bool),
    /// Time goes on to the next deadline.
    Tick,
}

/// Something that can happen, and how the draws of the governor fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Act {
    /// What happens.
    pub what: What,
    /// Which of the different picks is made.
    pub pick: u8,
}

impl Scope {
    /// The names of these scopes.
    pub const NAMES: [&'static str; 9] = [
        "big",
        "bootstrap",
        "changes",
        "failures",
        "genesis",
        "governor",
        "lies",
        "sharing",
        "trustable",
    ];

    /// One of these scopes, by its name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "big" => Some(Self::big()),
            "bootstrap" => Some(Self::distrusting()),
            "genesis" => Some(Self::genesis()),
            "trustable" => Some(Self::trusting()),
            "changes" => Some(Self::changes()),
            "failures" => Some(Self::failing()),
            "governor" => Some(Self::whole()),
            "lies" => Some(Self::lying()),
            "sharing" => Some(Self::telling()),
            _ => None,
        }
    }

    fn quiet() -> Self {
        Self {
            targets: vec![targets([2, 3, 2, 1])],
            topology: false,
            firewall: false,
            sharing: false,
            falls: Vec::new(),
            failures: 0,
            lies: false,
            picks: 1,
            consensus: ConsensusMode::Praos,
            bootstrap: false,
            trustable: false,
            ledger: false,
            snapshot: false,
            judgement: false,
        }
    }

    /// Everything at once; explored to a bound.
    pub fn whole() -> Self {
        Self {
            targets: vec![
                targets([2, 3, 2, 1]),
                targets([1, 2, 1, 1]),
                targets([1, 3, 3, 2]),
            ],
            topology: true,
            firewall: false,
            sharing: true,
            falls: vec![Fall::Warm, Fall::Cooling, Fall::Broken, Fall::Cold],
            failures: 2,
            lies: true,
            picks: 2,
            ..Self::quiet()
        }
    }

    /// The operator changes his mind.
    pub fn changes() -> Self {
        Self {
            targets: vec![targets([2, 3, 2, 2]), targets([1, 1, 1, 0])],
            topology: true,
            ..Self::quiet()
        }
    }

    /// The network fails, and the local root is behind a firewall.
    pub fn failing() -> Self {
        Self {
            firewall: true,
            falls: vec![Fall::Warm, Fall::Broken],
            failures: 2,
            ..Self::quiet()
        }
    }

    /// Peers lie.
    pub fn lying() -> Self {
        Self {
            lies: true,
            topology: true,
            ..Self::quiet()
        }
    }

    /// Somebody is told of, and there is room for one more, or for none.
    pub fn telling() -> Self {
        Self {
            targets: vec![targets([2, 3, 3, 2]), targets([2, 2, 1, 1])],
            sharing: true,
            picks: 2,
            ..Self::quiet()
        }
    }

    /// A big ledger peer comes, is used, fails and goes.
    pub fn big() -> Self {
        let ordinary = [1, 2, 1, 1];
        Self {
            targets: vec![
                with_big(ordinary, [1, 1, 1]),
                with_big(ordinary, [1, 1, 0]),
                with_big(ordinary, [0, 0, 0]),
            ],
            topology: true,
            falls: vec![Fall::Warm, Fall::Broken],
            failures: 1,
            ledger: true,
            ..Self::quiet()
        }
    }

    /// The chain becomes old and young: all but the bootstrap peer go and come again.
    pub fn distrusting() -> Self {
        Self {
            targets: vec![targets([2, 3, 2, 2])],
            falls: vec![Fall::Cooling],
            bootstrap: true,
            judgement: true,
            ..Self::quiet()
        }
    }

    /// The same, but the local root may be trusted and stays, and dials fail.
    pub fn trusting() -> Self {
        Self {
            targets: vec![targets([2, 3, 2, 1])],
            failures: 1,
            trustable: true,
            bootstrap: true,
            judgement: true,
            ..Self::quiet()
        }
    }

    /// While the chain is old a big ledger peer of a snapshot is what is trusted.
    pub fn genesis() -> Self {
        Self {
            targets: vec![with_big([1, 2, 1, 1], [1, 1, 1]), targets([1, 2, 1, 0])],
            falls: vec![Fall::Broken],
            failures: 1,
            consensus: ConsensusMode::Genesis,
            snapshot: true,
            judgement: true,
            ..Self::quiet()
        }
    }

    /// Targets near the tip, and in Genesis mode while the chain is old: then without any the
    /// first of all hold.
    fn both(&self, place: usize) -> (Targets, Targets) {
        match self.consensus {
            ConsensusMode::Praos => (self.targets[place], self.targets[place]),
            ConsensusMode::Genesis => (self.targets[place], self.targets[0]),
        }
    }

    fn pools() -> Ledger {
        Ledger::new([Pool {
            stake: u64::MAX,
            relays: vec![Relay::Addr(address(BIG))],
        }])
    }

    /// The ledger of the application.
    fn ledger_state(&self) -> LedgerState {
        LedgerState {
            tip: Some(1),
            pools: if self.ledger {
                Self::pools()
            } else {
                Ledger::default()
            },
        }
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            point: Point::Block {
                slot: 10,
                hash: Hash32([7; 32]),
            },
            big_only: true,
            pools: Self::pools(),
        }
    }

    /// Whether peers of a ledger or a snapshot are used.
    const fn uses_ledger(&self) -> bool {
        self.ledger || self.snapshot
    }

    fn config(&self) -> Config {
        let mut config = Config::default();
        config.consensus = self.consensus;
        config.sync = self.targets[0];
        config.big_for_trust = 1;
        config.bootstrap_timeout = 2 * UNIT;
        config.roots.ledger_ttl = UNIT;
        config.roots.ledger_life = Duration::ZERO;
        config.roots.ledger_life_empty = Duration::ZERO;
        config.deadline = self.targets[0];
        config.sharing = self.sharing;
        config.trace = true;
        config.save = Duration::ZERO;
        config.churn.on = false;
        config.back_off.base = UNIT;
        config.back_off.doublings_max = 0;
        config.back_off.fuzz = Duration::ZERO;
        config.back_off.failures_max = 1;
        config.back_off.error = UNIT;
        config.back_off.cold_fuzz = Duration::ZERO;
        config.back_off.warm_fuzz = Duration::ZERO;
        config.back_off.clear = UNIT;
        config.back_off.hold_off = UNIT;
        config.back_off.hold_off_max = UNIT;
        config.back_off.forgive = UNIT;
        config.roots.doublings_max = 0;
        config.names.ttl_min = UNIT;
        config.share.first = UNIT;
        config.share.retry = UNIT;
        config.share.overall = UNIT;
        config.policy.prefix_max = u32::MAX;
        config.policy.operator_max = u32::MAX;
        config.policy.close_percent = 0;
        config.policy.demoted_hold_off = Duration::ZERO;
        config.policy.detect_outage = false;
        config.policy.sample = Duration::ZERO;
        config
    }

    /// The roots, with the local one or without it.
    fn roots(&self, local: bool) -> Topology {
        let traits = Traits {
            behind_firewall: self.firewall,
            trustable: self.trustable,
            ..Traits::default()
        };
        let group = LocalGroup {
            hot: 1,
            warm: 1,
            traits,
            access_points: vec![Relay::Addr(address(LOCAL))],
        };
        let public = PublicGroup {
            advertise: true,
            access_points: vec![Relay::Addr(address(if self.bootstrap {
                SHARED
            } else {
                PUBLIC
            }))],
        };
        let bootstrap = vec![Relay::Addr(address(PUBLIC))];
        Topology {
            local: if local { vec![group] } else { Vec::new() },
            public: if self.uses_ledger() {
                Vec::new()
            } else {
                vec![public]
            },
            bootstrap: self.bootstrap.then_some(bootstrap),
            use_ledger: if self.uses_ledger() {
                UseLedger::Always
            } else {
                UseLedger::Never
            },
        }
    }
}

/// Targets of roots, known, established and active peers; no big ledger peers.
fn targets([root, known, established, active]: [u32; 4]) -> Targets {
    Targets {
        root,
        known,
        established,
        active,
        ..Targets::ZERO
    }
}

/// The same, and of known, established and active big ledger peers.
fn with_big(ordinary: [u32; 4], [known, established, active]: [u32; 3]) -> Targets {
    Targets {
        known_big: known,
        established_big: established,
        active_big: active,
        ..targets(ordinary)
    }
}

impl Model for Scope {
    type State = World;
    type Act = Act;

    const MARKS: &'static [&'static str] = &laws::MARKS;

    fn init(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn acts(&self, world: &World, out: &mut Vec<Act>) {
        let mut all = Vec::new();
        world.acts(self, &mut all);
        let picks = self.picks.max(1);
        out.extend(
            all.into_iter()
                .flat_map(|what| (0..picks).map(move |pick| Act { what, pick })),
        );
    }

    fn next(&self, world: &World, act: &Act) -> Option<World> {
        world.next(self, *act)
    }

    fn canonical(&self, world: &World, out: &mut Vec<u8>) {
        world.canonical(out);
    }

    fn kind(&self, act: &Act) -> &'static str {
        match act.what {
            What::Done(_, End::Well) => "done",
            What::Done(..) => "failed",
            What::Over(..) => "over",
            What::Falls(..) => "falls",
            What::Lies(_) => "lies",
            What::Shares(..) => "shares",
            What::Targets(_) => "targets",
            What::Topology(_) => "topology",
            What::Judgement(_) => "judgement",
            What::Snapshot(_) => "snapshot",
            What::Tick => "tick",
        }
    }

    fn check(&self, world: &World) -> Result<(), Violation> {
        world.verdict()
    }

    fn marks(&self, world: &World) -> u128 {
        world.marks()
    }

    fn wanted(&self) -> u128 {
        laws::wanted(self)
    }

    /// Nothing is under way, and whoever is wanted is there or waits for a time.
    fn goal(&self, world: &World) -> bool {
        world.is_at_rest()
    }

    /// Faults and changes of mind bring no rest.
    fn helps(&self, act: &Act) -> bool {
        matches!(
            act.what,
            What::Done(_, End::Well) | What::Over(_, End::Well) | What::Shares(..) | What::Tick
        )
    }
}
