//! A governor whose orders are carried out as a test wishes.

use alloc::{boxed::Box, collections::BTreeMap, collections::BTreeSet, vec, vec::Vec};
use core::{net::SocketAddr, time::Duration};

use crate::{
    base::{Choice, Class, Cx, Instant, Machine as _, NoRules, Seeded},
    governor::{
        Action, ChurnTimes, Config, Event, Explanation, Failure, Governor, Judgement, Ledger,
        LedgerState, LocalGroup, Newcomers, Notice, Policy, Pool, Relay, Source, Status, Targets,
        Topology, Trace, Traits, UseLedger,
    },
};

/// A governor, time, and peers that do as they are told unless a test says otherwise.
pub(super) struct Rig {
    pub(super) governor: Governor,
    pub(super) now: Instant,
    choice: Box<dyn Choice>,
    due: BTreeMap<(Instant, u64), Event>,
    queued: u64,
    /// All that it asked for, and when.
    pub(super) log: Vec<(Instant, Action)>,
    /// Dials that fail, and whose fault that is.
    pub(super) refuses: BTreeMap<SocketAddr, Class>,
    /// Peers that cannot be made hot.
    pub(super) lazy: BTreeSet<SocketAddr>,
    /// Peers that cannot be made warm or cold in order.
    pub(super) hangs: BTreeSet<SocketAddr>,
    /// Whether peers share.
    pub(super) sharing: bool,
    /// Whom they tell of.
    pub(super) knows: BTreeMap<SocketAddr, Vec<SocketAddr>>,
    /// How long an answer takes.
    pub(super) reply: Duration,
    /// Nothing is answered.
    pub(super) silent: bool,
}

/// A second.
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// So many seconds.
pub(super) const fn s(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Settings without churn and without what goes beyond the reference.
pub(super) fn plain() -> Config {
    let full = full();
    Config {
        policy: Policy {
            prefix_max: u32::MAX,
            operator_max: u32::MAX,
            demoted_hold_off: Duration::ZERO,
            count_failed_demotions: false,
            detect_outage: false,
            close_percent: 0,
            newcomers: Newcomers::Nothing,
            ..full.policy
        },
        ..full
    }
}

/// Settings with all policies, without churn.
pub(super) fn full() -> Config {
    Config {
        trace: true,
        churn: ChurnTimes {
            on: false,
            head_start: Duration::ZERO,
            ..ChurnTimes::default()
        },
        policy: Policy {
            sample: Duration::ZERO,
            ..Policy::default()
        },
        ..Config::default()
    }
}

/// Targets of ordinary peers.
pub(super) const fn targets(root: u32, known: u32, established: u32, active: u32) -> Targets {
    Targets {
        root,
        known,
        established,
        active,
        known_big: 0,
        established_big: 0,
        active_big: 0,
    }
}

/// Targets of big ledger peers alone.
pub(super) const fn big(known: u32, established: u32, active: u32) -> Targets {
    Targets {
        root: 0,
        known: 0,
        established: 0,
        active: 0,
        known_big: known,
        established_big: established,
        active_big: active,
    }
}

/// Peer `n`; each in a network of its own.
pub(super) fn peer(n: u8) -> SocketAddr {
    SocketAddr::from(([40, n, 1, 7], 3001))
}

/// Peers of these numbers.
pub(super) fn peers(numbers: core::ops::Range<u8>) -> Vec<SocketAddr> {
    numbers.map(peer).collect()
}

/// A group of local roots.
pub(super) fn group(hot: u32, warm: u32, members: &[SocketAddr]) -> LocalGroup {
    LocalGroup {
        hot,
        warm,
        traits: Traits::default(),
        access_points: members.iter().map(|addr| Relay::Addr(*addr)).collect(),
    }
}

/// A topology of local roots.
pub(super) fn locals(groups: Vec<LocalGroup>) -> Topology {
    Topology {
        local: groups,
        ..Topology::default()
    }
}

/// A ledger of pools with one relay each; the first `big` hold nearly all stake.
pub(super) fn ledger(big: &[SocketAddr], small: &[SocketAddr]) -> Ledger {
    let pool = |stake, addr: &SocketAddr| Pool {
        stake,
        relays: vec![Relay::Addr(*addr)],
    };
    let all = big.iter().map(|addr| pool(1 << 50, addr));
    Ledger::new(all.chain(small.iter().map(|addr| pool(1 << 20, addr))))
}

/// A failure of this class.
pub(super) const fn fault(class: Class) -> Failure {
    Failure { class, delay: None }
}

impl Rig {
    pub(super) fn new(config: Config) -> Self {
        Self::with(config, Seeded::new(5))
    }

    pub(super) fn with(config: Config, choice: impl Choice + 'static) -> Self {
        let mut rig = Self {
            governor: Governor::new(config, (1, 2)),
            now: Instant::from_secs(100),
            choice: Box::new(choice),
            due: BTreeMap::new(),
            queued: 0,
            log: Vec::new(),
            refuses: BTreeMap::new(),
            lazy: BTreeSet::new(),
            hangs: BTreeSet::new(),
            sharing: true,
            knows: BTreeMap::new(),
            reply: SECOND,
            silent: false,
        };
        rig.tell(Event::Tick);
        rig
    }

    /// With these targets, these roots, and a chain that is young.
    pub(super) fn young(mut config: Config, targets: Targets, topology: Topology) -> Self {
        config.deadline = targets;
        let mut rig = Self::new(config);
        rig.tell(Event::Judgement(Judgement::YoungEnough));
        rig.tell(Event::Topology(Box::new(topology)));
        rig
    }

    /// Tells the ledger's peers, to be used always.
    pub(super) fn ledger(&mut self, pools: Ledger) {
        let tip = Some(100);
        self.tell(Event::Ledger(Box::new(LedgerState { tip, pools })));
    }

    pub(super) fn tell(&mut self, event: Event) {
        let mut told = vec![event];
        while !told.is_empty() {
            let event = told.remove(0);
            let mut out = Vec::new();
            let mut cx = Cx::new(self.now, self.choice.as_mut(), &NoRules, &mut out);
            self.governor.step(&mut cx, event);
            self.governor.check_invariants().unwrap();
            for action in out {
                if !self.silent {
                    told.extend(self.carry_out(&action));
                }
                self.log.push((self.now, action));
            }
        }
    }

    fn later(&mut self, span: Duration, event: Event) {
        self.queued += 1;
        self.due.insert((self.now.after(span), self.queued), event);
    }

    fn carry_out(&mut self, action: &Action) -> Option<Event> {
        let network = fault(Class::Network);
        match *action {
            Action::Establish { peer, .. } => {
                let event = match self.refuses.get(&peer) {
                    Some(class) => Event::NotEstablished {
                        peer,
                        failure: fault(*class),
                    },
                    None => Event::Established {
                        peer,
                        sharing: self.sharing,
                    },
                };
                self.later(SECOND, event);
            }
            Action::Activate { peer } if self.lazy.contains(&peer) => {
                self.fails(peer, SECOND, network);
            }
            Action::Activate { peer } => self.later(SECOND, Event::Activated { peer }),
            Action::Deactivate { peer } if self.hangs.contains(&peer) => {
                self.fails(peer, s(300), network);
            }
            Action::Deactivate { peer } => {
                self.later(SECOND, Event::Deactivated { peer, delay: None });
            }
            Action::Close { peer } => {
                let hangs = self.hangs.contains(&peer);
                let failure = hangs.then_some(network);
                self.later(
                    if hangs { s(120) } else { SECOND },
                    Event::Cold { peer, failure },
                );
                let failure = None;
                return Some(Event::Cooling { peer, failure });
            }
            Action::AskPeers { peer, amount } => {
                if let Some(known) = self.knows.get(&peer) {
                    let peers = known.iter().take(amount.into()).copied().collect();
                    self.later(self.reply, Event::Shared { peer, peers });
                }
            }
            Action::TellPeers { .. }
            | Action::Sample { .. }
            | Action::Resolve { .. }
            | Action::WantLedger
            | Action::Notice(_) => {}
        }
        None
    }

    /// A connection ends after a while.
    pub(super) fn fails(&mut self, peer: SocketAddr, after: Duration, failure: Failure) {
        let failure = Some(failure);
        self.later(after, Event::Cooling { peer, failure });
        self.later(after, Event::Cold { peer, failure });
    }

    /// A connection ends now.
    pub(super) fn lose(&mut self, peer: SocketAddr, failure: Failure) {
        let failure = Some(failure);
        self.tell(Event::Cooling { peer, failure });
        self.tell(Event::Cold { peer, failure });
    }

    /// Lets time pass; the governor is woken when it asked to be, and never else.
    pub(super) fn pass(&mut self, span: Duration) {
        let end = self.now.after(span);
        let mut turns = 0;
        loop {
            let due = self.due.keys().next().map(|(at, _)| *at);
            let deadline = self.governor.next_deadline();
            let next = [due, deadline].into_iter().flatten().min();
            let Some(next) = next.filter(|at| *at <= end) else {
                break;
            };
            self.now = self.now.max(next);
            turns += 1;
            assert!(turns < 1_000_000, "time stands still at {}", self.now);
            while let Some(entry) = self.due.first_entry() {
                if entry.key().0 > self.now {
                    break;
                }
                let event = entry.remove();
                self.tell(event);
            }
            if self
                .governor
                .next_deadline()
                .is_some_and(|at| at <= self.now)
            {
                self.tell(Event::Tick);
                assert!(self.governor.next_deadline().is_none_or(|at| at > self.now));
            }
        }
        self.now = end;
    }

    /// Forgets what was asked for so far.
    pub(super) fn clear(&mut self) {
        self.log.clear();
    }

    pub(super) fn explain(&self, peer: SocketAddr) -> Explanation {
        self.governor.explain(&peer).unwrap()
    }

    pub(super) fn status(&self, peer: SocketAddr) -> Option<Status> {
        self.governor.explain(&peer).map(|peer| peer.status)
    }

    pub(super) fn source(&self, peer: SocketAddr) -> Option<Source> {
        self.governor.explain(&peer).map(|peer| peer.source)
    }

    /// All that is known, in order.
    pub(super) fn known(&self) -> BTreeSet<SocketAddr> {
        self.governor.explain_all().map(|peer| peer.peer).collect()
    }

    /// All that are in a status.
    pub(super) fn those(&self, is: impl Fn(&Explanation) -> bool) -> BTreeSet<SocketAddr> {
        let all = self.governor.explain_all().filter(is);
        all.map(|peer| peer.peer).collect()
    }

    pub(super) fn hot(&self) -> BTreeSet<SocketAddr> {
        self.those(|peer| peer.status.is_active())
    }

    pub(super) fn warm(&self) -> BTreeSet<SocketAddr> {
        self.those(|peer| peer.status.is_established() && !peer.status.is_active())
    }

    pub(super) fn established(&self) -> BTreeSet<SocketAddr> {
        self.those(|peer| peer.status.is_established())
    }

    /// When a peer was dialled.
    pub(super) fn dials(&self, peer: SocketAddr) -> Vec<Instant> {
        self.when(|action| matches!(action, Action::Establish { peer: p, .. } if *p == peer))
    }

    /// When something was asked for.
    pub(super) fn when(&self, is: impl Fn(&Action) -> bool) -> Vec<Instant> {
        let found = self.log.iter().filter(|(_, action)| is(action));
        found.map(|(at, _)| *at).collect()
    }

    pub(super) fn count(&self, is: impl Fn(&Action) -> bool) -> usize {
        self.when(is).len()
    }

    /// What was traced.
    pub(super) fn traces(&self) -> Vec<(Instant, Trace)> {
        let traces = self.log.iter().filter_map(|(at, action)| match action {
            Action::Notice(Notice::Trace(trace)) => Some((*at, trace.clone())),
            _ => None,
        });
        traces.collect()
    }

    /// Whether a request for big roots, or others, is made, and when.
    pub(super) fn requests(&self, big: bool) -> Vec<Instant> {
        let of = |(at, trace): (Instant, Trace)| match trace {
            Trace::RootsRequest { big: b, .. } if b == big => Some(at),
            _ => None,
        };
        self.traces().into_iter().filter_map(of).collect()
    }
}

/// A topology that uses the ledger at once.
pub(super) fn use_ledger() -> Topology {
    Topology {
        use_ledger: UseLedger::Always,
        ..Topology::default()
    }
}
