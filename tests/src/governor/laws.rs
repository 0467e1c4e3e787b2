//! The laws, who broke them, and how often they were put to the test.

use core::fmt;
use std::collections::BTreeMap;

use samanea_core::base::Instant;

use super::shares::{Part, Share};

/// What must hold. src: ouroboros-network, properties of the peer selection tests
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Law {
    /// The governor says or orders something.
    Output,
    /// Its invariants hold after every step, also when they are counted from scratch.
    Invariants,
    /// Never many steps at one instant.
    Livelock,
    /// It is not busy without a reason.
    Busyness,
    /// After a tick the next deadline is later, and an early tick changes nothing.
    Deadlines,
    /// No event is taken in without a look at all that follows from it.
    Awake,
    /// A snapshot half-way changes nothing.
    Snapshot,
    /// What it believes of each connection is what the connection is.
    Follows,
    /// Its orders can be carried out.
    Orders,
    /// Its counters are what counting gives.
    Counters,
    /// A delay after a hot protocol ended is never the one that the peer asked for.
    Fuzz,
    /// Who is known was told of.
    Revealed,
    /// Who is known can be reached from the roots.
    Reachable,
    /// Big ledger peers come from the ledger.
    BigRevealed,
    /// Somebody is asked for addresses when more are wanted.
    Asks,
    /// Nobody is asked for addresses too often, or by more at a time than allowed.
    Chatty,
    /// Nobody is asked who does not share.
    SharingAgreed,
    /// Addresses that were told are known when they are wanted.
    SharesTaken,
    /// Nobody is forgotten below the target.
    NotBelow,
    /// Above the target the cold are forgotten.
    KnownAbove,
    /// The same below, of big ledger peers.
    BigNotBelow,
    /// The same above, of big ledger peers.
    BigKnownAbove,
    /// Roots are asked for when they are wanted.
    Roots,
    /// Big ledger peers are asked for when they are wanted.
    BigRoots,
    /// Below the target no cold peer is overlooked.
    EstablishedBelow,
    /// Above the target no warm peer is overlooked.
    EstablishedAbove,
    /// The same below, of big ledger peers.
    BigEstablishedBelow,
    /// The same above, of big ledger peers.
    BigEstablishedAbove,
    /// No cold member is overlooked while its group has too few.
    GroupWarm,
    /// Below the target no warm peer is overlooked.
    ActiveBelow,
    /// Above the target no hot peer is overlooked.
    ActiveAbove,
    /// The same below, of big ledger peers.
    BigActiveBelow,
    /// The same above, of big ledger peers.
    BigActiveAbove,
    /// No warm member is overlooked while its group has too few hot ones.
    GroupHot,
    /// No hot member is overlooked while its group has too many.
    GroupCool,
    /// Peers kept by command are made hot.
    Kept,
    /// Nobody is promoted beyond a target.
    NoOvershoot,
    /// While only trusted peers may be used, all others go.
    OnlyTrusted,
    /// Once they are gone they do not come back.
    StaysTrusted,
    /// Then the trusted ones are there.
    TrustedKnown,
    /// The node does not stay on bootstrap peers, though names may have to be looked up first.
    NotOnlyBootstrap,
    /// It leaves them at once when the ledger names others by their addresses.
    LeavesBootstrap,
    /// No bootstrap peers come when they are not needed.
    NoBootstrap,
    /// With local roots alone nobody else is known.
    LocalOnly,
    /// Local roots are those of the topology.
    Locals,
    /// Nobody behind a firewall is dialled.
    Firewall,
    /// Local roots are offered what the operator says.
    Mode,
    /// Names are looked up again.
    Names,
    /// Getting rid of untrusted peers ends in time, or is given up.
    Stuck,
    /// The state told to consensus is that of the table.
    Trust,
    /// Only who may be told to others is.
    Shareable,
    /// Roots are not forgotten for their failures, others after so many.
    Forgetting,
    /// Delays after failures are those of the table.
    BackOff,
    /// Who broke a rule is left alone for its time, twice as long with each further offence.
    HeldOff,
    /// The steps of the churn come in order.
    ChurnOrder,
    /// Its targets are those of the table.
    ChurnTargets,
    /// A connection that ends by itself is known to have ended.
    Reacts,
    /// Whoever is on its way to cold becomes cold.
    Cools,
    /// When all is well again each group has its members.
    Recovers,
}

/// A broken law.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{law:?} at {at}: {what}")]
pub struct Breach {
    /// Which.
    pub law: Law,
    /// When.
    pub at: Instant,
    /// What happened.
    pub what: String,
}

/// How often laws were put to the test, and what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How often each law had a case.
    pub cases: BTreeMap<Law, u64>,
    /// How often other things of interest happened.
    pub marks: BTreeMap<&'static str, u64>,
    /// Which part of those who could be used were.
    pub shares: BTreeMap<Share, Part>,
    /// Steps of the governor.
    pub steps: u64,
    /// Runs.
    pub runs: u64,
}

impl Seen {
    /// A law had so many cases.
    pub fn case(&mut self, law: Law, count: usize) {
        if count > 0 {
            *self.cases.entry(law).or_default() += count as u64;
        }
    }

    /// Something happened.
    pub fn mark(&mut self, what: &'static str) {
        *self.marks.entry(what).or_default() += 1;
    }

    /// How often a law had a case.
    pub fn cases(&self, law: Law) -> u64 {
        self.cases.get(&law).copied().unwrap_or(0)
    }

    /// How often something happened.
    pub fn marks(&self, what: &str) -> u64 {
        self.marks.get(what).copied().unwrap_or(0)
    }

    /// Adds what another run has seen.
    pub fn add(&mut self, other: &Self) {
        for (law, count) in &other.cases {
            *self.cases.entry(*law).or_default() += count;
        }
        for (what, count) in &other.marks {
            *self.marks.entry(what).or_default() += count;
        }
        for (share, part) in &other.shares {
            self.shares.entry(*share).or_default().add(part);
        }
        self.steps += other.steps;
        self.runs += other.runs;
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} runs, {} steps; cases:", self.runs, self.steps)?;
        for (law, count) in &self.cases {
            write!(f, " {law:?} {count}")?;
        }
        write!(f, "; marks:")?;
        for (what, count) in &self.marks {
            write!(f, " {what} {count},")?;
        }
        for (share, part) in &self.shares {
            let (runs, peers) = (part.runs, part.peers);
            let (some, there) = (part.runs_there, part.peers_there);
            write!(
                f,
                " {share:?} in {some} of {runs} runs, {there} of {peers};"
            )?;
        }
        Ok(())
    }
}
