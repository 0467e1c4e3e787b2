//! How what operators, applications and the network do reaches the governor.

use core::{net::SocketAddr, time::Duration};

use samanea_core::{
    base::{Class, Serial},
    governor::{Event, FetchMode, Judgement, Ledger, Topology},
};

use super::{
    scenario::{Doing, Drop, To, Weather},
    world::{BACK_OFF_MAX, Due, Stage, World},
};

impl World<'_> {
    /// Does what the script says at the start.
    pub fn script(&mut self, doing: &Doing) -> Vec<Event> {
        match doing {
            Doing::Targets(deadline, sync) => {
                self.said.targets = Some((*deadline, *sync));
                let (deadline, sync) = (*deadline, *sync);
                vec![Event::Targets { deadline, sync }]
            }
            Doing::Topology(topology) => vec![self.topology(topology)],
            Doing::Judgement(judgement) => {
                if self.said.judgement != *judgement {
                    self.said.judgement_at = self.now;
                }
                self.said.judgement = *judgement;
                vec![Event::Judgement(*judgement)]
            }
            Doing::FetchMode(mode) => {
                self.said.fetch = *mode;
                vec![Event::FetchMode(*mode)]
            }
            Doing::Ledger(tip, pools) => {
                self.ledger = Some((*tip, Ledger::new(pools.clone())));
                self.tell_ledger().into_iter().collect()
            }
            Doing::Snapshot(snapshot) => {
                self.said.snapshot.clone_from(snapshot);
                if let Some(snapshot) = snapshot {
                    let pools = snapshot.pools.clone();
                    self.reveal_ledger(&pools);
                    // The pools of a file of big pools are all big.
                    let relays = pools.pools().iter().flat_map(|pool| &pool.relays);
                    for relay in relays.filter(|_| snapshot.big_only) {
                        let behind = self.behind(relay);
                        self.big.extend(behind);
                    }
                }
                vec![Event::Snapshot(snapshot.clone().map(Box::new))]
            }
            Doing::Mature(places) => vec![self.mature(places)],
            Doing::Own(place) => {
                self.own.insert(self.addr(*place));
                vec![Event::OwnAddress(self.addr(*place))]
            }
            Doing::Keep(place) => {
                self.said.kept.insert(self.addr(*place));
                self.revealed.insert(self.addr(*place));
                vec![Event::Keep(self.addr(*place))]
            }
            Doing::Release(place) => {
                self.said.kept.remove(&self.addr(*place));
                self.lines[*place].released = true;
                vec![Event::Release(self.addr(*place))]
            }
            Doing::Names(weather) => {
                self.names = *weather;
                Vec::new()
            }
            Doing::Network(weather) => self.weather(*weather),
            Doing::Asked(amount) => self.asked(*amount),
            Doing::Block => self.block(),
            Doing::Crash(place) => self.crash(*place, Duration::from_secs(60)),
            Doing::Restart => Vec::new(),
        }
    }

    pub(super) fn topology(&mut self, topology: &Topology) -> Event {
        let groups = topology.local.iter().map(|group| &group.access_points);
        let groups = groups.chain(topology.public.iter().map(|group| &group.access_points));
        for relay in groups.flatten() {
            self.reveal(relay);
        }
        for relay in topology.bootstrap.iter().flatten() {
            self.reveal(relay);
            let behind = self.behind(relay);
            self.bootstrap.extend(behind);
        }
        self.said.topology = topology.clone();
        self.said.topology_at = self.now;
        Event::Topology(Box::new(topology.clone()))
    }

    pub(super) fn mature(&mut self, places: &[usize]) -> Event {
        let mature: Vec<(SocketAddr, bool)> = places
            .iter()
            .map(|at| (self.addr(*at), self.scenario.peers[*at].sharing))
            .collect();
        let addrs = mature.iter().map(|(addr, _)| *addr);
        self.said.mature = addrs.collect();
        self.revealed.extend(self.said.mature.iter());
        Event::Mature(mature)
    }

    pub(super) fn weather(&mut self, weather: Weather) -> Vec<Event> {
        self.network = weather;
        if weather == Weather::Fair {
            return Vec::new();
        }
        for place in 0..self.lines.len() {
            self.after(Duration::ZERO, Due::Lost(place));
        }
        Vec::new()
    }

    pub(super) fn crash(&mut self, place: usize, down: Duration) -> Vec<Event> {
        self.lines[place].down_until = self.now.after(down);
        let drop = Drop {
            after: Duration::ZERO,
            to: To::Cold,
            delay: None,
            class: Class::Network,
        };
        let stage = self.lines[place].stage;
        let up = matches!(
            stage,
            Stage::Warm | Stage::Activating | Stage::Hot | Stage::Deactivating
        );
        if up {
            self.drops(place, drop)
        } else {
            Vec::new()
        }
    }

    /// Two ask at once, the second for more.
    pub(super) fn asked(&mut self, amount: u8) -> Vec<Event> {
        let ask = |amount| {
            self.conns += 1;
            let conn = Serial(self.conns);
            Event::Asked { conn, amount }
        };
        [amount, amount.saturating_add(3)].map(ask).into()
    }

    pub(super) fn block(&mut self) -> Vec<Event> {
        self.slot += 20;
        let slot = self.slot;
        let mut told = Vec::new();
        let lines = self.lines.iter().zip(&self.scenario.peers).enumerate();
        for (at, (line, peer)) in lines {
            let peer = peer.addr;
            let turn = u64::try_from(at).unwrap_or(0) + slot / 20;
            if line.stage == Stage::Hot && !turn.is_multiple_of(3) {
                told.push(Event::Announced { peer, slot });
            }
            if line.stage == Stage::Hot && turn.is_multiple_of(4) {
                let bytes = 10_000;
                told.push(Event::Fetched { peer, slot, bytes });
            }
            if line.stage == Stage::Warm && turn.is_multiple_of(2) {
                let took = Duration::from_millis(turn * 7 % 400);
                told.push(Event::RoundTrip { peer, took });
            }
        }
        told
    }

    /// All connections are gone, and nothing that was asked for is answered.
    pub(super) fn restart(&mut self) {
        self.life += 1;
        for line in &mut self.lines {
            line.stage = Stage::Cold;
            line.epoch += 1;
            line.asked = None;
            line.excused = line.excused.max(self.now.after(BACK_OFF_MAX));
        }
        self.answers.clear();
        self.said.mature.clear();
        self.said.judgement = Judgement::default();
        self.said.judgement_at = self.now;
        self.said.fetch = FetchMode::default();
    }

    /// What a node that has restarted is told.
    pub fn again(&mut self) -> Vec<Event> {
        let mut told = Vec::new();
        if let Some((deadline, sync)) = self.said.targets {
            told.push(Event::Targets { deadline, sync });
        }
        let topology = self.said.topology.clone();
        told.push(self.topology(&topology));
        told.extend(self.tell_ledger());
        if let Some(snapshot) = self.said.snapshot.clone() {
            told.push(Event::Snapshot(Some(Box::new(snapshot))));
        }
        told.extend(self.own.iter().map(|addr| Event::OwnAddress(*addr)));
        told.extend(self.said.kept.iter().map(|addr| Event::Keep(*addr)));
        told
    }
}
