//! How the world answers questions about names.

use core::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use samanea_core::{
    base::Ticket,
    governor::{Answer, Event, NotFound, Question},
};

use super::{
    scenario::{Lookup, Meaning, Weather},
    world::World,
};

impl World<'_> {
    pub(super) fn lookup_of(&self, name: &str) -> Lookup {
        if self.names == Weather::Foul {
            return Lookup::NoAnswer;
        }
        let mut names = self.scenario.names.iter().zip(&self.lookups);
        let found = names.find(|(known, _)| *known.name == *name);
        found.map_or(Lookup::NoRecord, |(known, turn)| {
            known.lookups[turn % known.lookups.len()]
        })
    }

    pub(super) fn resolved(&mut self, ticket: Ticket, question: &Question) -> Event {
        let name = question_name(question);
        let lookup = self.lookup_of(name);
        let at = self.scenario.names.iter().position(|n| *n.name == *name);
        if let Some(turn) = at.and_then(|at| self.lookups.get_mut(at)) {
            *turn += 1;
        }
        let answer = match lookup {
            Lookup::NoRecord => Err(NotFound::NoRecord { ttl: None }),
            Lookup::NoAnswer => Err(NotFound::NoAnswer),
            Lookup::NoResolver => Err(NotFound::NoResolver),
            Lookup::Found(ttl) => self.answer(name, question, ttl),
            Lookup::Late => self.answer(name, question, Duration::from_secs(60)),
        };
        Event::Resolved { ticket, answer }
    }

    pub(super) fn answer(
        &mut self,
        name: &str,
        question: &Question,
        ttl: Duration,
    ) -> Result<Answer, NotFound> {
        let mut names = self.scenario.names.iter();
        let meaning = names.find(|known| *known.name == *name);
        match (question, meaning.map(|known| &known.meaning)) {
            (Question::Addresses { v4, v6, .. }, Some(Meaning::Host(places))) => {
                let addrs = places.iter().map(|at| self.addr(*at));
                let mut addrs: Vec<SocketAddr> = addrs
                    .filter(|addr| if addr.is_ipv4() { *v4 } else { *v6 })
                    .collect();
                addrs.sort_by_key(SocketAddr::is_ipv4);
                if addrs.is_empty() {
                    return Err(NotFound::NoRecord { ttl: Some(ttl) });
                }
                self.answers.insert(name.into(), addrs.clone());
                let addrs: Vec<IpAddr> = addrs.iter().map(SocketAddr::ip).collect();
                Ok(Answer::Addresses { addrs, ttl })
            }
            (Question::Services { .. }, Some(Meaning::Service(services))) => {
                let services = services.clone();
                Ok(Answer::Services { services, ttl })
            }
            _ => Err(NotFound::NoRecord { ttl: None }),
        }
    }
}

/// The name of a question, without the prefix under which the ledger's services are asked for.
pub(super) fn question_name(question: &Question) -> &str {
    match question {
        Question::Addresses { name, .. } => name,
        Question::Services { name } => name.strip_prefix("_cardano._tcp.").unwrap_or(name),
    }
}
