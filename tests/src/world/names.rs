//! The name servers of a world: what they know, and until when they fail.

use core::{net::IpAddr, time::Duration};
use std::collections::BTreeMap;

use samanea_core::{
    base::Instant,
    governor::{Answer, NotFound, Question},
};

/// Names and their addresses. Without any there is no name server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    known: BTreeMap<Box<str>, Vec<IpAddr>>,
    down_until: Instant,
    asked: Vec<(Instant, Box<str>, bool)>,
}

/// How long an answer holds.
const TTL: Duration = Duration::from_secs(300);

impl Names {
    /// A name stands for these addresses from now on.
    pub fn set(&mut self, name: &str, addrs: Vec<IpAddr>) {
        self.known.insert(name.into(), addrs);
    }

    /// Nobody gets an answer before this.
    pub const fn fail_until(&mut self, until: Instant) {
        self.down_until = until;
    }

    /// When which name was asked for, and whether there was an answer.
    pub fn asked(&self) -> &[(Instant, Box<str>, bool)] {
        &self.asked
    }

    pub(super) fn answer(&mut self, now: Instant, question: &Question) -> Result<Answer, NotFound> {
        let Question::Addresses { name, v4, v6 } = question else {
            return Err(NotFound::NoResolver);
        };
        if self.known.is_empty() {
            return Err(NotFound::NoResolver);
        }
        let down = now < self.down_until;
        self.asked.push((now, name.clone(), !down));
        if down {
            return Err(NotFound::NoAnswer);
        }
        let known = self.known.get(name).into_iter().flatten();
        let addrs: Vec<_> = known
            .filter(|addr| if addr.is_ipv4() { *v4 } else { *v6 })
            .copied()
            .collect();
        if addrs.is_empty() {
            return Err(NotFound::NoRecord { ttl: None });
        }
        Ok(Answer::Addresses { addrs, ttl: TTL })
    }
}
