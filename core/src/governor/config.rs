//! Settings of the governor: every constant of the reference, and the switches of our own.

use core::time::Duration;

use super::{ConsensusMode, Newcomers, Targets};

/// Settings of the governor. Made by `default`, then changed field by field.
///
/// What goes beyond the reference is a switch; each says its default and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Config {
    /// How consensus protects itself. Default Praos.
    pub consensus: ConsensusMode,
    /// Targets near the tip (Praos: always). Default [`Targets::ZERO`]: only peers kept by
    /// command and local roots; [`Targets::RELAY`] is what a relay wants.
    pub deadline: Targets,
    /// Targets in Genesis mode while the chain is old. Default [`Targets::SYNC`].
    pub sync: Targets,
    /// Whether we ask for, and tell, addresses. Default yes. src: cardano-node, `PeerSharing`
    pub sharing: bool,
    /// Active big ledger peers that make the state trusted in Genesis mode. Default 5.
    /// src: cardano-node, `MinBigLedgerPeersForTrustedState`
    pub big_for_trust: u32,
    /// Peers in the table at most, inclusive. Default 20,000; the largest sane targets of both
    /// kinds. What is learned beyond that is counted and dropped.
    pub peers_max: usize,
    /// Local roots at most, inclusive. Default 10,000.
    pub local_max: usize,
    /// Members of groups of structured gossip at most, inclusive; of more the warm ones and then
    /// those with the highest addresses are left out. Default 128: what three groups of ten
    /// thousand want.
    pub members_max: usize,
    /// Whether each decision is told as a [`Trace`](super::Trace). Default no.
    pub trace: bool,
    /// Failures and how long they count.
    pub back_off: BackOff,
    /// Requests for roots.
    pub roots: Roots,
    /// Names.
    pub names: Names,
    /// Addresses shared among peers.
    pub share: Share,
    /// Periodic change.
    pub churn: ChurnTimes,
    /// Who is picked.
    pub policy: Policy,
    /// How long getting rid of untrusted peers may take. Default 900 s.
    /// src: ouroboros-network, bootstrap peers timeout
    pub bootstrap_timeout: Duration,
    /// How long before [`SaveDue`](super::Notice::SaveDue) comes again. Default 15 min; what is
    /// learned in less is worth little. Guess, not measured.
    pub save: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            consensus: ConsensusMode::Praos,
            deadline: Targets::ZERO,
            sync: Targets::SYNC,
            sharing: true,
            big_for_trust: 5,
            peers_max: 20_000,
            local_max: 10_000,
            members_max: 128,
            trace: false,
            back_off: BackOff::default(),
            roots: Roots::default(),
            names: Names::default(),
            share: Share::default(),
            churn: ChurnTimes::default(),
            policy: Policy::default(),
            bootstrap_timeout: Duration::from_secs(900),
            save: Duration::from_secs(900),
        }
    }
}

/// What failures cost. src: ouroboros-network, peer selection, unless said otherwise
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct BackOff {
    /// The delay after the first failure to connect; doubled with each. Default 5 s.
    pub base: Duration,
    /// How often it is doubled at most. Default 5: 160 s.
    pub doublings_max: u8,
    /// The delay is up to this much longer or shorter, at random. Default 2 s.
    pub fuzz: Duration,
    /// A peer that has failed so often is forgotten with the next failure, if it may be. Default 5.
    pub failures_max: u8,
    /// The same for peers kept by command: first delay. Default 1 s. Guess, not measured.
    pub kept_base: Duration,
    /// The longest delay for peers kept by command. Default 160 s.
    pub kept_max: Duration,
    /// The delay after a failed activation, and after a connection that died. Default 10 s.
    pub error: Duration,
    /// What is added to it when a connection died, at random up to this. Default 4 s.
    pub cold_fuzz: Duration,
    /// What is added, at random up to this, before a peer is made hot again whose hot protocol
    /// ended by itself. Default 10 s.
    pub warm_fuzz: Duration,
    /// How long after an activation the failures are forgotten, if none came since. Default 120 s.
    pub clear: Duration,
    /// How long an adversarial peer is left alone the first time. Default 10 min. Doubled each
    /// time, up to `hold_off_max`. Guess, not measured.
    // deviates: the reference makes no difference between a liar and a broken cable.
    pub hold_off: Duration,
    /// The longest such time. Default 24 h. Guess, not measured.
    pub hold_off_max: Duration,
    /// One offence is forgotten each such time, so nothing is held against an address for ever.
    /// Default 24 h. Guess, not measured.
    pub forgive: Duration,
    /// Offenders remembered at most; then the one that returns first is forgotten. Default 4,096.
    pub offenders_max: usize,
}

impl Default for BackOff {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(5),
            doublings_max: 5,
            fuzz: Duration::from_secs(2),
            failures_max: 5,
            kept_base: Duration::from_secs(1),
            kept_max: Duration::from_secs(160),
            error: Duration::from_secs(10),
            cold_fuzz: Duration::from_secs(4),
            warm_fuzz: Duration::from_secs(10),
            clear: Duration::from_secs(120),
            hold_off: Duration::from_secs(600),
            hold_off_max: Duration::from_secs(86_400),
            forgive: Duration::from_secs(86_400),
            offenders_max: 4_096,
        }
    }
}

/// Requests for roots. src: ouroboros-network, public roots and ledger peers
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Roots {
    /// After n requests in vain the next waits 2^n s, n at most this. Default 8: 256 s.
    pub doublings_max: u8,
    /// How long an answer from the ledger holds. Default 5 s.
    pub ledger_ttl: Duration,
    /// The application's ledger state is asked for again after this. Default 1,847 s.
    pub ledger_life: Duration,
    /// The same while it names nobody. Default 30 s.
    pub ledger_life_empty: Duration,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            doublings_max: 8,
            ledger_ttl: Duration::from_secs(5),
            ledger_life: Duration::from_secs(1_847),
            ledger_life_empty: Duration::from_secs(30),
        }
    }
}

/// Names. src: ouroboros-network, DNS of root peers
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Names {
    /// Whether IPv4 addresses are of use. Default yes.
    pub v4: bool,
    /// Whether IPv6 addresses are of use. Default yes.
    pub v6: bool,
    /// Lookups for local roots at a time. Default 2.
    pub local_max: usize,
    /// All other lookups at a time. Default 8.
    pub others_max: usize,
    /// Names that wait for a lookup, at most. Default 10,000.
    pub waiting_max: usize,
    /// Times to live are raised to this. Default 60 s.
    pub ttl_min: Duration,
    /// Times to live are cut to this. Default 900 s.
    pub ttl_max: Duration,
    /// After a failure the next attempt for a local root waits twice the last delay and this.
    /// Default 5 s.
    pub retry_step: Duration,
    /// A driver that has not answered after this is not waited for. Default 30 s. Guess, not
    /// measured: ten times a resolver's usual limit.
    pub patience: Duration,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            v4: true,
            v6: true,
            local_max: 2,
            others_max: 8,
            waiting_max: 10_000,
            ttl_min: Duration::from_secs(60),
            ttl_max: Duration::from_secs(900),
            retry_step: Duration::from_secs(5),
            patience: Duration::from_secs(30),
        }
    }
}

/// Addresses shared among peers. src: ouroboros-network, peer sharing policy
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Share {
    /// Peers asked at a time. Default 2.
    pub outstanding_max: usize,
    /// A peer is asked again after this. Default 900 s.
    pub retry: Duration,
    /// A new peer is asked first after this. Default 300 s.
    pub first: Duration,
    /// Asked for at least. Default 8.
    pub amount_min: u8,
    /// How long an answer is waited for before others are asked. Default 10 s.
    pub overall: Duration,
    /// Told at most. Default 10.
    pub reply_max: u8,
    /// How long the same answer is given to all. Default 823 s.
    pub salt: Duration,
    /// Taken from inbound connections at a time. Default 10.
    pub inbound_max: usize,
    /// Inbound connections are looked at again after this. Default 60 s.
    pub inbound_retry: Duration,
    /// Whether addresses that cannot be routed (private, loopback, multicast, documentation, …)
    /// are taken from peers. Default no, because a liar could aim us at our own network; a
    /// network on such addresses turns it on.
    pub take_unroutable: bool,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            outstanding_max: 2,
            retry: Duration::from_secs(900),
            first: Duration::from_secs(300),
            amount_min: 8,
            overall: Duration::from_secs(10),
            reply_max: 10,
            salt: Duration::from_secs(823),
            inbound_max: 10,
            inbound_retry: Duration::from_secs(60),
            take_unroutable: false,
        }
    }
}

/// Periodic change of peers. src: ouroboros-network, peer churn governor
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ChurnTimes {
    /// Whether there is any. Default yes.
    pub on: bool,
    /// From one cycle to the next near the tip, and in Genesis mode. Default 3,300 s.
    pub deadline: Duration,
    /// What is added to that at random, up to this. Default 600 s.
    pub deadline_fuzz: Duration,
    /// From one cycle to the next while blocks are fetched in bulk. Default 900 s.
    pub bulk: Duration,
    /// What is added to that at random, up to this. Default 60 s.
    pub bulk_fuzz: Duration,
    /// The head start of local roots before other roots are wanted. Default 3 s.
    pub head_start: Duration,
    /// Hot and warm peers change places in every so manieth cycle, from the first on; at least 1.
    /// Default 1, as in the reference: one cycle does all.
    pub hot_every: u32,
    /// The same of warm and cold peers. Default 1.
    pub warm_every: u32,
    /// The same of cold and forgotten peers. Default 1.
    pub known_every: u32,
    /// How long fewer hot peers may take. Default 300 s.
    pub deactivate: Duration,
    /// How long fewer established peers may take. Default 121 s.
    pub close: Duration,
    /// How long more known peers may take. Default 80 s.
    pub discover: Duration,
    /// How long every other step may take. Default 60 s.
    pub step: Duration,
}

impl Default for ChurnTimes {
    fn default() -> Self {
        Self {
            on: true,
            deadline: Duration::from_secs(3_300),
            deadline_fuzz: Duration::from_secs(600),
            bulk: Duration::from_secs(900),
            bulk_fuzz: Duration::from_secs(60),
            head_start: Duration::from_secs(3),
            hot_every: 1,
            warm_every: 1,
            known_every: 1,
            deactivate: Duration::from_secs(300),
            close: Duration::from_secs(121),
            discover: Duration::from_secs(80),
            step: Duration::from_secs(60),
        }
    }
}

/// Who is picked. Ours, unless a source is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Policy {
    /// Slots on the board of who was first. Default 180, about an hour of mainnet.
    /// src: ouroboros-network, `PeerMetricsConfiguration`
    pub window: usize,
    /// Whether newcomers are given what others earn for what they could not earn. Default yes.
    pub newcomers: Newcomers,
    /// Established peers of one /16 (IPv4) or /32 (IPv6) at most, local roots aside; unroutable
    /// addresses are not counted. Default 4: with 30 established peers no network holds more than
    /// an eighth. `u32::MAX` switches it off.
    pub prefix_max: u32,
    /// Established peers drawn from the same list of relays (one operator) at most. Default 2.
    /// `u32::MAX` switches it off.
    pub operator_max: u32,
    /// Of those made hot, so many in a hundred are the closest, by round trip and hop distance;
    /// the rest are random, so that far parts of the network stay near. Default 50.
    // A mix of close and random neighbours spreads blocks within a small factor of the optimum,
    // either kind alone does not. src: IOG engineering blog, 2023-06-28
    pub close_percent: u8,
    /// What one hop more costs against the round trip when the closest are picked. Default 100 ms.
    /// Guess, not measured.
    pub hop_cost: Duration,
    /// A peer that we have just made warm is made hot again within this time only if there is no
    /// other. Default 1 h: one cycle of churn, so that change is change. Zero switches it off.
    pub demoted_hold_off: Duration,
    /// Whether a demotion that fails counts as a failure of the peer. Default yes: one that hangs
    /// on demotion would be the first to be promoted again.
    pub count_failed_demotions: bool,
    /// Whether failures stop counting while nearly all dials fail. Default yes: an outage of our
    /// own would make us forget everybody.
    pub detect_outage: bool,
    /// Dials looked at to tell an outage. Default 16.
    pub outage_window: u8,
    /// An outage is when so many in a hundred of them have failed. Default 90.
    pub outage_percent: u8,
    /// … and nobody was heard of for this long. Default 60 s: some keep-alive probes.
    pub outage_silence: Duration,
    /// How often warm peers are asked for samples of their tips. Default 60 s; zero: never.
    pub sample: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            window: 180,
            newcomers: Newcomers::Middle,
            prefix_max: 4,
            operator_max: 2,
            close_percent: 50,
            hop_cost: Duration::from_millis(100),
            demoted_hold_off: Duration::from_secs(3_600),
            count_failed_demotions: true,
            detect_outage: true,
            outage_window: 16,
            outage_percent: 90,
            outage_silence: Duration::from_secs(60),
            sample: Duration::from_secs(60),
        }
    }
}
