//! Questions to the domain name system and their answers, as the core sees them.

use alloc::{boxed::Box, vec::Vec};
use core::{net::IpAddr, time::Duration};

/// What is looked up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Question {
    /// The addresses of a host.
    Addresses {
        /// The name, without a dot at its end.
        name: Box<str>,
        /// Whether A records are wanted.
        v4: bool,
        /// Whether AAAA records are wanted.
        v6: bool,
    },
    /// The servers of a service (SRV records).
    Services {
        /// The whole name, without a dot at its end.
        name: Box<str>,
    },
}

/// One SRV record. src: RFC 2782
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Service {
    /// The lowest is tried first.
    pub priority: u16,
    /// Relative to others of the same priority.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host, without a dot at its end; empty: the service is not offered.
    pub target: Box<str>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Answer {
    /// At least one address.
    Addresses {
        /// IPv6 first, then IPv4, each in the order of the answer. At most
        /// [`ANSWERS_MAX`] count.
        addrs: Vec<IpAddr>,
        /// The least time to live of all records.
        ttl: Duration,
    },
    /// At least one server.
    Services {
        /// In any order. At most [`ANSWERS_MAX`] count.
        services: Vec<Service>,
        /// The least time to live of all records.
        ttl: Duration,
    },
}

/// Records of one answer, at most.
pub const ANSWERS_MAX: usize = 256;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "arbitrary", derive(arbitrary::Arbitrary))]
#[non_exhaustive]
pub enum NotFound {
    /// The name does not exist, or has no record of the kind: a mistake of the operator's, or a
    /// state of the zone that passes.
    #[error("no such name or record")]
    NoRecord {
        /// How long that holds, as the zone says.
        ttl: Option<Duration>,
    },
    /// No answer in time, or a server that fails; the network's.
    #[error("no answer")]
    NoAnswer,
    /// No resolver, or one that cannot be asked for that; ours.
    #[error("no resolver that could be asked")]
    NoResolver,
}
