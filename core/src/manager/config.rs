//! Settings of the table of connections.

use core::time::Duration;

use crate::proto::handshake::Mode;

/// Limits on inbound connections.
///
/// With `n` of them: below `soft`, accept at once; from there, wait
/// `(n - soft) * delay / (hard - soft)` before each; at `hard`, wait until there is room and at
/// least `delay` has passed. What is accepted all the same beyond `hard` is reset without a word.
/// src: cardano-node configuration, `AcceptedConnectionsLimit`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
pub struct Limits {
    /// From here on accepting slows down. Default 384.
    pub soft: u32,
    /// Never more than this, inclusive. Default 512.
    pub hard: u32,
    /// The longest delay. Default 5 s.
    pub delay: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            soft: 384,
            hard: 512,
            delay: Duration::from_secs(5),
        }
    }
}

/// Limits on accepted connections from one source prefix. A port is no part of it, so an address
/// that comes back from other ports is still the same source.
///
/// Loopback addresses and those [exempt](super::Event::Exempt) are not limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Prefixes {
    /// Leading bits of an IPv4 address that make a source, at most 32. Default 24.
    pub v4_bits: u8,
    /// Leading bits of an IPv6 address that make a source, at most 128. Default 48.
    pub v6_bits: u8,
    /// Accepted connections with an open socket from one source, inclusive; 0 = no limit.
    /// Default 64, an eighth of the hard limit. Guess, not measured.
    pub max: u32,
}

impl Default for Prefixes {
    fn default() -> Self {
        Self {
            v4_bits: 24,
            v6_bits: 48,
            max: 64,
        }
    }
}

/// Who is reset when there are too many inbound connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Victims {
    /// Any that we do not use ourselves, at random; only then those that we do.
    /// src: ouroboros-network, production prune policy
    #[default]
    Random,
    /// The least far: in the handshake, then idle, then used one way, then used both ways; among
    /// those first what was agreed for one way, then what the peer dialled, then at random.
    /// src: ouroboros-network, simple prune policy
    ByState,
}

/// Settings of the table of connections. Made by [`Config::default`], then changed field by field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Config {
    /// Whether we run responders. Default both.
    pub mode: Mode,
    /// Limits on inbound connections.
    pub limits: Limits,
    /// Limits per source prefix.
    pub prefixes: Prefixes,
    /// Who is reset when there are too many.
    pub victims: Victims,
    /// Entries at most: dialled, accepted, lingering, quarantined. Default 4,096. Guess, not
    /// measured; eight times the hard limit.
    pub entries_max: usize,
    /// Connections over but remembered, and those lingering, at most; more end the oldest early.
    /// Default 1,024 and never more than half of `entries_max`. Guess, not measured.
    pub quarantined_max: usize,
    /// Refused or queried connections that linger, at most; more end the oldest early, and never
    /// more than may be remembered. They hold sockets that no accept limit counts. Default 64.
    /// Guess, not measured.
    pub lingering_max: usize,
    /// Requests that wait for a handshake or a quarantine, at most. Default 1,024. Guess, not
    /// measured.
    pub waiting_max: usize,
    /// Connections of one remote address and port to different addresses of ours, at most.
    /// Default 16. Guess, not measured.
    pub locals_max: usize,
    /// Listening sockets at most; more are given back as lost. Default 64. Guess, not measured.
    pub listeners_max: usize,
    /// Addresses exempt from limits per prefix at most; more are limited. Default 4,096.
    pub exempt_max: usize,
    /// Inbound connections kept for addresses that have them [reserved](super::Event::Reserve), at
    /// most: as many as there are such addresses, and never more than half of the hard limit.
    /// Others are reset when only these are left. Default 64. Guess, not measured.
    pub reserved_max: u32,
    /// How long a peer may run nothing on a connection that we do not use; `None` = for ever.
    /// Default 5 s. src: cardano-node configuration, `ProtocolIdleTimeout`
    pub idle: Option<Duration>,
    /// How long a connection that both have done with stays open, so that the peer can read what
    /// was last said. Default 5 s. src: ouroboros-network, outbound idle timeout
    pub linger: Duration,
    /// How long an ended connection is remembered: we do not dial the peer meanwhile, but accept
    /// it. Default 60 s. src: cardano-node configuration, `TimeWaitTimeout`
    pub time_wait: Duration,
    /// From when on a duplex peer counts as one to share. Default 15 min.
    /// src: ouroboros-network, inbound mature peer delay
    pub mature: Duration,
    /// The pause after a connection was aborted before it was accepted. Default 0.5 s.
    /// src: ouroboros-network, server
    pub abort_pause: Duration,
    /// The pause after accepting failed for want of descriptors or memory. Default 1 s. Guess, not
    /// measured.
    pub shortage_pause: Duration,
    /// Whether [`Action::Trace`](super::Action::Trace) is emitted. Default no.
    pub trace: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::InitiatorAndResponder,
            limits: Limits::default(),
            prefixes: Prefixes::default(),
            victims: Victims::Random,
            entries_max: 4_096,
            quarantined_max: 1_024,
            lingering_max: 64,
            waiting_max: 1_024,
            locals_max: 16,
            listeners_max: 64,
            exempt_max: 4_096,
            reserved_max: 64,
            idle: Some(Duration::from_secs(5)),
            linger: Duration::from_secs(5),
            time_wait: Duration::from_secs(60),
            mature: Duration::from_secs(900),
            abort_pause: Duration::from_millis(500),
            shortage_pause: Duration::from_secs(1),
            trace: false,
        }
    }
}
