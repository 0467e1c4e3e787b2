//! How the world carries out what a governor orders.

use core::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use samanea_core::{
    base::Class,
    governor::{Action, Event, Failure, Notice, Temperature, Trace},
    proto::handshake::Mode,
};

use super::{
    dns::question_name,
    scenario::{Lookup, Manners, Outcome, PORT, Reply},
    world::{Due, Stage, World},
};

impl World<'_> {
    /// Carries out an order; what follows at once is returned. An order that no peer actions
    /// could carry out is an error.
    pub fn order(&mut self, action: &Action) -> Result<Vec<Event>, String> {
        match action {
            Action::Establish { peer, mode, dial } => self.establish(peer, *mode, *dial),
            Action::Activate { peer } => self.activate(peer),
            Action::Deactivate { peer } => self.deactivate(peer),
            Action::Close { peer } => self.close(peer),
            Action::AskPeers { peer, amount } => self.ask(peer, *amount),
            Action::Sample { peer } => {
                let stage = self.line(peer).map(|line| line.stage);
                let up = stage.is_some_and(|s| (Stage::Warm..=Stage::Deactivating).contains(&s));
                if up {
                    Ok(Vec::new())
                } else {
                    Err(format!("{peer} is asked for its tip while {stage:?}"))
                }
            }
            Action::Resolve { ticket, question } => {
                let due = Due::Resolved(self.life, *ticket, question.clone());
                let quick = Duration::from_millis(50);
                let name = question_name(question);
                let lookup = self.lookup_of(name);
                let span = match lookup {
                    Lookup::Found(_) | Lookup::NoRecord => quick,
                    Lookup::NoAnswer => Duration::from_secs(3),
                    Lookup::NoResolver => Duration::ZERO,
                    Lookup::Late => Duration::from_secs(40),
                };
                self.after(span, due);
                Ok(Vec::new())
            }
            Action::WantLedger => {
                self.after(Duration::from_millis(100), Due::Ledger);
                Ok(Vec::new())
            }
            Action::Notice(Notice::Trace(Trace::Asynchronous {
                peer,
                to: Temperature::Cold,
                ..
            })) => {
                self.left(peer);
                Ok(Vec::new())
            }
            Action::TellPeers { .. } | Action::Notice(_) => Ok(Vec::new()),
        }
    }

    pub(super) fn ordered(
        &self,
        peer: &SocketAddr,
        what: &str,
        from: &[Stage],
    ) -> Result<usize, String> {
        let Some(place) = self.place(peer) else {
            return Err(format!("{what} of {peer}, whom nobody named"));
        };
        let stage = self.lines[place].stage;
        if from.contains(&stage) {
            Ok(place)
        } else {
            Err(format!("{what} of {peer} while {stage:?}"))
        }
    }

    pub(super) fn establish(
        &mut self,
        peer: &SocketAddr,
        mode: Mode,
        dial: bool,
    ) -> Result<Vec<Event>, String> {
        let _ = mode;
        let place = self.ordered(peer, "establishing", &[Stage::Cold])?;
        self.dials.0 += 1;
        let habits = &self.scenario.peers[place].dials;
        let line = &mut self.lines[place];
        let mut outcome = habits[line.turns.dials % habits.len()];
        line.turns.dials += 1;
        line.stage = Stage::Connecting;
        line.epoch += 1;
        let epoch = line.epoch;
        if !dial {
            let there = self.said.mature.contains(peer);
            outcome = Outcome {
                after: Duration::ZERO,
                fails: (!there).then_some(Class::Network),
            };
        }
        self.after(outcome.after, Due::Dialled(place, epoch, outcome));
        Ok(Vec::new())
    }

    pub(super) fn activate(&mut self, peer: &SocketAddr) -> Result<Vec<Event>, String> {
        let place = self.ordered(peer, "activation", &[Stage::Warm])?;
        let habits = &self.scenario.peers[place].activations;
        let line = &mut self.lines[place];
        let outcome = habits[line.turns.activations % habits.len()];
        line.turns.activations += 1;
        line.stage = Stage::Activating;
        let epoch = line.epoch;
        self.after(outcome.after, Due::Activation(place, epoch, outcome));
        Ok(Vec::new())
    }

    pub(super) fn manners(&mut self, place: usize) -> Manners {
        let habits = &self.scenario.peers[place].manners;
        let line = &mut self.lines[place];
        line.turns.manners += 1;
        habits[line.turns.manners % habits.len()]
    }

    pub(super) fn deactivate(&mut self, peer: &SocketAddr) -> Result<Vec<Event>, String> {
        let place = self.ordered(peer, "deactivation", &[Stage::Hot])?;
        let manners = self.manners(place);
        let line = &mut self.lines[place];
        line.stage = Stage::Deactivating;
        let epoch = line.epoch;
        let span = Duration::from_secs(match manners {
            Manners::Quick => 1,
            Manners::Slow => 30,
            Manners::Hangs => 300,
        });
        self.after(span, Due::Stopped(place, epoch, manners));
        Ok(Vec::new())
    }

    pub(super) fn close(&mut self, peer: &SocketAddr) -> Result<Vec<Event>, String> {
        let from = [
            Stage::Connecting,
            Stage::Warm,
            Stage::Activating,
            Stage::Hot,
            Stage::Deactivating,
            Stage::Cooling,
        ];
        let place = self.ordered(peer, "closing", &from)?;
        match self.lines[place].stage {
            Stage::Connecting => {
                // The attempt goes on and its result is withdrawn.
                let failure = Failure {
                    class: Class::Internal,
                    delay: None,
                };
                self.lines[place].stage = Stage::Cold;
                self.lines[place].epoch += 1;
                self.excuse(place, failure);
                let peer = *peer;
                Ok(vec![Event::NotEstablished { peer, failure }])
            }
            Stage::Cooling => Ok(Vec::new()),
            _ => {
                let manners = self.manners(place);
                let (span, failure) = match manners {
                    Manners::Quick => (1, None),
                    Manners::Slow => (60, None),
                    Manners::Hangs => {
                        let failure = Failure {
                            class: Class::Network,
                            delay: None,
                        };
                        (180, Some(failure))
                    }
                };
                let line = &mut self.lines[place];
                line.stage = Stage::Closing;
                let epoch = line.epoch;
                self.after(Duration::from_secs(span), Due::Cold(place, epoch, failure));
                let (peer, failure) = (*peer, None);
                Ok(vec![Event::Cooling { peer, failure }])
            }
        }
    }

    pub(super) fn ask(&mut self, peer: &SocketAddr, amount: u8) -> Result<Vec<Event>, String> {
        let up = [
            Stage::Warm,
            Stage::Activating,
            Stage::Hot,
            Stage::Deactivating,
        ];
        let place = self.ordered(peer, "asking", &up)?;
        let asked = &self.scenario.peers[place];
        let line = &mut self.lines[place];
        let reply = asked.replies[line.turns.replies % asked.replies.len()];
        line.turns.replies += 1;
        line.asked = Some(self.now);
        let epoch = line.epoch;
        let mut told: Vec<SocketAddr> = asked.knows.iter().map(|at| self.addr(*at)).collect();
        told.push((Ipv4Addr::new(192, 168, 7, 7), PORT).into());
        told.extend(told.first().copied());
        told.extend(self.own.iter().copied());
        told.truncate(usize::from(amount.min(10)));
        let span = Duration::from_secs(match reply {
            Reply::Quick => 1,
            Reply::Slow => 5,
            Reply::Late => 25,
            Reply::Silent => return Ok(Vec::new()),
        });
        self.after(span, Due::Shared(place, epoch, told));
        Ok(Vec::new())
    }
}
