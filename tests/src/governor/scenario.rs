//! What a governor meets in a run: peers with their habits, and what operators, applications and
//! the network do when. Plain data, drawn from any [`Choice`].

use core::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::Range,
    time::Duration,
};

use samanea_core::{
    base::{Choice, Class},
    governor::{Config, FetchMode, Judgement, Pool, Service, Snapshot, Targets, Topology},
};

use super::draw::Draw;

/// How a run is weighed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flavour {
    /// Near the tip; all sources.
    Steady,
    /// Bootstrap peers, and a chain that is old now and young then.
    Bootstrap,
    /// Genesis mode.
    Genesis,
    /// Blocks are fetched in bulk.
    Bulk,
    /// Local roots alone.
    Local,
    /// Peers that fail, hang, lie and come back.
    Rough,
    /// The node's own network is down for a while.
    Outage,
}

impl Flavour {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::Steady,
        Self::Bootstrap,
        Self::Genesis,
        Self::Bulk,
        Self::Local,
        Self::Rough,
        Self::Outage,
    ];
}

/// Whether what goes beyond the reference is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extras {
    /// Caps by network and operator, hold-offs, the outage detector and the like are off.
    Off,
    /// As by default.
    On,
}

/// How large a run is.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Peers at most.
    pub peers: u32,
    /// Scripted events at most.
    pub events: usize,
    /// How long it lasts.
    pub horizon: Duration,
}

/// How the governor's own draws fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chance {
    /// At random, from this seed.
    Seeded(u64),
    /// Always the first.
    First,
    /// Always the last.
    Last,
}

/// How a peer answers when it is asked for addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// After a second.
    Quick,
    /// After five.
    Slow,
    /// After 25: nobody waits so long.
    Late,
    /// Never.
    Silent,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How long it takes.
    pub after: Duration,
    /// Whose fault it is if it fails.
    pub fails: Option<Class>,
}

/// What a peer does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drop {
    /// So long after it was connected, or after what it did last.
    pub after: Duration,
    /// What it becomes.
    pub to: To,
    /// For how long the reason asks to be left alone.
    pub delay: Option<Duration>,
    /// Whose fault it is, if it is one.
    pub class: Class,
}

/// What a peer becomes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// Its hot protocols end.
    Warm,
    /// Its connection ends and lingers.
    Cooling,
    /// Its connection is gone at once.
    Cold,
}

/// How a peer takes an order to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// After a second.
    Quick,
    /// After half a minute.
    Slow,
    /// Never: its connection is reset when the time is over.
    Hangs,
}

/// A peer with its habits; each list is gone through over and over, but for `drops`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it is.
    pub addr: SocketAddr,
    /// Whom it knows, by place.
    pub knows: Vec<usize>,
    /// Whether it shares.
    pub sharing: bool,
    /// How it answers.
    pub replies: Vec<Reply>,
    /// How dials of it end.
    pub dials: Vec<Outcome>,
    /// How activations of it end.
    pub activations: Vec<Outcome>,
    /// What it does by itself, once each.
    pub drops: Vec<Drop>,
    /// How it stops.
    pub manners: Vec<Manners>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// These peers.
    Host(Vec<usize>),
    /// These servers.
    Service(Vec<Service>),
}

/// How a question is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// With this time to live.
    Found(Duration),
    /// No such record.
    NoRecord,
    /// No answer in time.
    NoAnswer,
    /// There is no resolver.
    NoResolver,
    /// When nobody waits any more.
    Late,
}

/// A name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// As written in topologies and ledgers.
    pub name: Box<str>,
    /// What it stands for.
    pub meaning: Meaning,
    /// How it is answered, over and over.
    pub lookups: Vec<Lookup>,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doing {
    /// Other targets: near the tip, and while syncing.
    Targets(Targets, Targets),
    /// Other roots.
    Topology(Topology),
    /// The chain is old, or young.
    Judgement(Judgement),
    /// Blocks are fetched so.
    FetchMode(FetchMode),
    /// The ledger has another tip and other pools; told unasked.
    Ledger(u64, Vec<Pool>),
    /// Another snapshot.
    Snapshot(Option<Snapshot>),
    /// These have mature inbound connections, with their habits of sharing.
    Mature(Vec<usize>),
    /// This is our own address.
    Own(usize),
    /// Keep a peer.
    Keep(usize),
    /// Keep it no longer.
    Release(usize),
    /// Names are looked up, or are not.
    Names(Weather),
    /// Dials are, or are not. When it turns foul all connections end.
    Network(Weather),
    /// Somebody asks for so many addresses.
    Asked(u8),
    /// A block is made; hot peers announce it.
    Block,
    /// A peer restarts: its connection ends.
    Crash(usize),
    /// The node restarts with what it saved.
    Restart,
}

/// Whether something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// It works.
    Fair,
    /// It does not.
    Foul,
}

/// A whole run.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// How it was drawn.
    pub flavour: Flavour,
    /// What goes beyond the reference.
    pub extras: Extras,
    /// The governor's settings.
    pub config: Config,
    /// How its draws fall.
    pub chance: Chance,
    /// The peers.
    pub peers: Vec<Peer>,
    /// The names.
    pub names: Vec<Name>,
    /// What happens at the start.
    pub start: Vec<Doing>,
    /// What happens then, each so long after the one before.
    pub events: Vec<(Duration, Doing)>,
    /// How long it lasts.
    pub horizon: Duration,
}

impl Scenario {
    /// Draws a scenario.
    pub fn draw(choice: &mut dyn Choice, flavour: Flavour, extras: Extras, size: Size) -> Self {
        let mut draw = Draw { choice, flavour };
        let peers = draw.peers(size.peers);
        let names = draw.names(peers.len());
        let mut scenario = Self {
            flavour,
            extras,
            config: draw.config(extras, peers.len()),
            chance: draw.chance(),
            peers,
            names,
            start: Vec::new(),
            events: Vec::new(),
            horizon: size.horizon,
        };
        scenario.start = draw.start(&scenario);
        let count = size.events.min(draw.upto(size.events));
        let mean = size.horizon / u32::try_from(count.max(1)).unwrap_or(1);
        for _ in 0..count {
            let pause = draw.pause(mean);
            let doing = draw.doing(&scenario);
            scenario.events.push((pause, doing));
        }
        scenario
    }

    /// The scenario without these events; the others happen when they did.
    #[must_use]
    pub fn without(&self, dropped: &Range<usize>) -> Self {
        let mut shorter = self.clone();
        shorter.events.clear();
        let mut owed = Duration::ZERO;
        for (at, (after, doing)) in self.events.iter().enumerate() {
            owed += *after;
            if !dropped.contains(&at) {
                shorter
                    .events
                    .push((core::mem::take(&mut owed), doing.clone()));
            }
        }
        shorter
    }

    /// Simpler scenarios of the same kind, the simplest first.
    pub fn simpler(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut tame = self.clone();
        for peer in &mut tame.peers {
            peer.drops.clear();
            peer.dials = vec![Outcome::well()];
            peer.activations = vec![Outcome::well()];
            peer.manners = vec![Manners::Quick];
            peer.replies = vec![Reply::Quick];
        }
        all.push(tame);
        let mut chunk = self.events.len();
        while chunk > 0 {
            for from in (0..self.events.len()).step_by(chunk) {
                all.push(self.without(&(from..from + chunk)));
            }
            chunk /= 2;
        }
        all.retain(|other| other != self);
        all
    }
}

impl Outcome {
    /// All is well after a second.
    pub const fn well() -> Self {
        Self {
            after: Duration::from_secs(1),
            fails: None,
        }
    }
}

/// The address of the peer at a place: some share a network, most do not.
pub fn address(place: usize) -> SocketAddr {
    let byte = |n: usize| u8::try_from(n % 200).unwrap_or(0) + 1;
    let ip: IpAddr = match place % 8 {
        0..=1 => Ipv4Addr::new(81, 7, byte(place / 200), byte(place)).into(),
        2 => {
            let high = u16::try_from(place).unwrap_or(0);
            Ipv6Addr::new(0x2a00, high, 0, 0, 0, 0, 0, 7).into()
        }
        _ => Ipv4Addr::new(20 + byte(place) % 60, byte(place / 60), 3, byte(place)).into(),
    };
    SocketAddr::new(ip, PORT)
}

/// Where all peers listen.
pub const PORT: u16 = 3001;

impl Name {
    /// Whether it is that of a host, not of a service.
    pub const fn is_host(&self) -> bool {
        matches!(self.meaning, Meaning::Host(_))
    }
}
