//! The lookup of one name: which questions, in which order, and what comes of them.

use alloc::{boxed::Box, collections::BTreeSet, vec::Vec};
use core::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use crate::{
    base::{Choice, Site},
    governor::{ANSWERS_MAX, Answer, Names, NotFound, Question, Relay, Service},
};

/// Servers of one service that are tried at most, inclusive.
pub(super) const TRIES_MAX: usize = 16;

/// What the services of the ledger are asked for under. src: CIP-155
const PREFIX: &str = "_cardano._tcp.";

/// A lookup under way.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Walk {
    /// The addresses of a host are asked for.
    Host {
        /// Its name.
        name: Box<str>,
        /// Where it listens.
        port: u16,
    },
    /// The servers of a service are asked for.
    Service {
        /// Its whole name.
        name: Box<str>,
    },
    /// The addresses of one of them are asked for.
    Server {
        /// Whose.
        server: Server,
        /// Those to try next, the next one last.
        left: Vec<Server>,
        /// How long the list of servers holds.
        ttl: Duration,
        /// What the servers tried had.
        failure: NotFound,
    },
}

/// A server of a service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Server {
    target: Box<str>,
    port: u16,
}

/// What a lookup has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// At least one address, none twice, in the order of the answer.
    pub(super) addrs: Vec<SocketAddr>,
    /// The least time to live of all answers that led here.
    pub(super) ttl: Duration,
    /// Of a service, whose addresses these are.
    pub(super) server: Option<Server>,
}

impl Walk {
    /// Begins; `None` for an address, which needs no lookup. A service is asked for as it is
    /// written, or (`prefixed`) under the service name of Cardano.
    pub(super) fn new(relay: &Relay, prefixed: bool) -> Option<Self> {
        match relay {
            Relay::Addr(_) => None,
            Relay::Host { name, port } => Some(Self::Host {
                name: name.clone(),
                port: *port,
            }),
            Relay::Service { name } if prefixed => Some(Self::Service {
                name: [PREFIX, name].concat().into(),
            }),
            Relay::Service { name } => Some(Self::Service { name: name.clone() }),
        }
    }

    /// What is asked now.
    pub(super) fn question(&self, config: &Names) -> Question {
        let addresses = |name: &str| Question::Addresses {
            name: name.into(),
            v4: config.v4,
            v6: config.v6,
        };
        match self {
            Self::Host { name, .. } => addresses(name),
            Self::Service { name } => Question::Services { name: name.clone() },
            Self::Server { server, .. } => addresses(&server.target),
        }
    }

    /// Takes the answer to its question. `None`: there is another one. `preferred` is the server
    /// that goes first among those of its priority.
    pub(super) fn told(
        &mut self,
        answer: Result<Answer, NotFound>,
        preferred: Option<&Server>,
        config: &Names,
        choice: &mut dyn Choice,
    ) -> Option<Result<Found, NotFound>> {
        match self {
            Self::Host { port, .. } => {
                let found = addresses(answer, *port, config);
                Some(found.map(|(addrs, ttl)| Found {
                    addrs,
                    ttl,
                    server: None,
                }))
            }
            Self::Service { .. } => {
                let (services, ttl) = match services(answer) {
                    Ok(answer) => answer,
                    Err(failure) => return Some(Err(failure)),
                };
                let mut left = in_order(services, preferred, choice);
                let failure = NotFound::NoRecord { ttl: Some(ttl) };
                let Some(server) = left.pop() else {
                    return Some(Err(failure));
                };
                *self = Self::Server {
                    server,
                    left,
                    ttl,
                    failure,
                };
                None
            }
            Self::Server {
                server,
                left,
                ttl,
                failure,
            } => match addresses(answer, server.port, config) {
                Ok((addrs, of_addrs)) => Some(Ok(Found {
                    addrs,
                    ttl: of_addrs.min(*ttl),
                    server: Some(server.clone()),
                })),
                Err(this) => {
                    *failure = worse(*failure, this);
                    let Some(next) = left.pop() else {
                        return Some(Err(*failure));
                    };
                    *server = next;
                    None
                }
            },
        }
    }
}

/// The usable addresses of an answer.
fn addresses(
    answer: Result<Answer, NotFound>,
    port: u16,
    config: &Names,
) -> Result<(Vec<SocketAddr>, Duration), NotFound> {
    // A resolver that answers another question fails.
    let Answer::Addresses { addrs, ttl } = answer? else {
        return Err(NotFound::NoAnswer);
    };
    let wanted = |ip: &IpAddr| {
        let is_of_use = match ip {
            IpAddr::V4(v4) => config.v4 && !v4.is_broadcast(),
            IpAddr::V6(_) => config.v6,
        };
        is_of_use && !ip.is_unspecified() && !ip.is_multicast()
    };
    let mut seen = BTreeSet::new();
    let addrs: Vec<SocketAddr> = addrs
        .iter()
        .take(ANSWERS_MAX)
        .map(IpAddr::to_canonical)
        .filter(|ip| wanted(ip) && seen.insert(*ip))
        .map(|ip| SocketAddr::new(ip, port))
        .collect();
    if addrs.is_empty() {
        return Err(NotFound::NoRecord { ttl: Some(ttl) });
    }
    Ok((addrs, ttl))
}

/// The services of an answer that are offered.
fn services(answer: Result<Answer, NotFound>) -> Result<(Vec<Service>, Duration), NotFound> {
    let Answer::Services { mut services, ttl } = answer? else {
        return Err(NotFound::NoAnswer);
    };
    services.truncate(ANSWERS_MAX);
    services.retain(|service| {
        let host = service.target.trim_end_matches('.');
        !host.is_empty() && service.port != 0
    });
    Ok((services, ttl))
}

/// The servers to try, the first one last: by priority, those of the same priority in an order
/// drawn by weight, but the preferred one first.
// src: RFC 2782, "Usage rules". deviates: the reference looks at one server only; and it draws anew
// each time, which would move a local root from server to server while all of them are well.
fn in_order(
    mut services: Vec<Service>,
    preferred: Option<&Server>,
    choice: &mut dyn Choice,
) -> Vec<Server> {
    // Those without weight come first, so that each has its chance, if a small one.
    services.sort();
    services.dedup();
    let mut order: Vec<Server> = Vec::new();
    while let Some(priority) = services.first().map(|service| service.priority) {
        if order.len() >= TRIES_MAX {
            break;
        }
        let equal = services.partition_point(|service| service.priority == priority);
        let equal = services.get(..equal).unwrap_or(&[]);
        let is_preferred = |service: &Service| preferred.is_some_and(|server| server.is(service));
        let at = match equal.iter().position(is_preferred) {
            Some(at) => at,
            None => draw(equal, choice),
        };
        // The draw is one of them; a list that shrinks ends.
        let service = services.remove(at.min(services.len().saturating_sub(1)));
        order.push(Server {
            target: service.target,
            port: service.port,
        });
    }
    order.reverse();
    order
}

impl Server {
    fn is(&self, service: &Service) -> bool {
        (&self.target, self.port) == (&service.target, service.port)
    }
}

/// One of these by weight, those without weight first.
fn draw(services: &[Service], choice: &mut dyn Choice) -> usize {
    let total: u32 = services
        .iter()
        .fold(0, |sum, service| sum.saturating_add(service.weight.into()));
    if total == 0 {
        let n = u32::try_from(services.len()).unwrap_or(u32::MAX);
        return choice.below(Site::SERVER, 0, n) as usize;
    }
    let mark = choice.below(Site::SERVER, 0, total.saturating_add(1));
    let mut sum: u32 = 0;
    let reached = services.iter().position(|service| {
        sum = sum.saturating_add(service.weight.into());
        sum >= mark
    });
    reached.unwrap_or(0)
}

/// Of two failures the one after which an attempt is worth more: no answer, then no resolver, then
/// the record that is missing for less long.
fn worse(a: NotFound, b: NotFound) -> NotFound {
    match (a, b) {
        (NotFound::NoAnswer, _) | (_, NotFound::NoAnswer) => NotFound::NoAnswer,
        (NotFound::NoResolver, _) | (_, NotFound::NoResolver) => NotFound::NoResolver,
        (NotFound::NoRecord { ttl: a }, NotFound::NoRecord { ttl: b }) => NotFound::NoRecord {
            ttl: match (a, b) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            },
        },
    }
}
