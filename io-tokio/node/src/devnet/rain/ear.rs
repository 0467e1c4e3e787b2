//! What members hear.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use samanea_core::{
    base::{Instant, MemberKey, Rules, Ticket},
    chain::{Answer, Question},
    node::Notice,
    rain::{self, Delivery, Way},
};
use samanea_std::Application;
use tokio::{sync::watch, time};

use crate::app::App;

/// The messages, and how many members have each.
#[derive(Debug)]
pub(super) struct Board {
    payloads: Vec<Bytes>,
    have: watch::Sender<Vec<usize>>,
}

impl Board {
    pub(super) fn new(payloads: Vec<Bytes>) -> Self {
        let have = watch::Sender::new(vec![0; payloads.len()]);
        Self { payloads, have }
    }

    pub(super) fn payload(&self, message: usize) -> Bytes {
        self.payloads.get(message).cloned().unwrap_or_default()
    }

    /// Changes whenever a member gets a message.
    pub(super) fn watch(&self) -> watch::Receiver<Vec<usize>> {
        self.have.subscribe()
    }

    /// Waits until so many members have a message, but no longer than this.
    pub(super) async fn reached(&self, message: usize, enough: usize, most: time::Duration) {
        let mut have = self.watch();
        let there = |have: &Vec<usize>| have.get(message).is_some_and(|have| *have >= enough);
        // Too few may be left to reach the number.
        let _ = time::timeout(most, have.wait_for(there)).await;
    }
}

/// The application of one member.
#[derive(Debug)]
pub(super) struct Ear {
    app: App,
    board: Arc<Board>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    heard: Vec<Option<Heard>>,
    done: usize,
}

/// A message as it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heard {
    pub(super) at: time::Instant,
    pub(super) hops: u8,
    pub(super) via: MemberKey,
    pub(super) way: Way,
}

impl Ear {
    pub(super) fn new(app: App, board: Arc<Board>) -> Self {
        let state = Mutex::new(State {
            heard: vec![None; board.payloads.len()],
            done: 0,
        });
        Self { app, board, state }
    }

    /// Each message, if it came.
    pub(super) fn heard(&self) -> Vec<Option<Heard>> {
        self.with(|state| state.heard.clone())
    }

    /// How many messages came.
    pub(super) fn has(&self) -> usize {
        self.with(|state| state.heard.iter().flatten().count())
    }

    /// For how many messages the member's part is done.
    pub(super) fn done(&self) -> usize {
        self.with(|state| state.done)
    }

    fn with<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One member publishes, so that its numbers are those of the messages.
    fn on_delivery(&self, delivery: &Delivery) {
        let message = usize::try_from(delivery.seq).unwrap_or(usize::MAX);
        if self.board.payloads.get(message) != Some(&delivery.payload) {
            return tracing::error!(message, "not what was published");
        }
        let heard = Heard {
            at: time::Instant::now(),
            hops: delivery.hop,
            via: delivery.via,
            way: delivery.way,
        };
        self.with(|state| {
            if let Some(place) = state.heard.get_mut(message) {
                place.get_or_insert(heard);
            }
        });
        self.board.have.send_modify(|have| {
            if let Some(have) = have.get_mut(message) {
                *have += 1;
            }
        });
    }
}

impl Application for Ear {
    fn rules(&self) -> &dyn Rules {
        self.app.rules()
    }

    fn ask(&self, ticket: Ticket, question: Question) -> Option<Answer> {
        self.app.ask(ticket, question)
    }

    fn notice(&self, now: Instant, notice: &Notice) {
        match notice {
            Notice::Delivered(delivery) => self.on_delivery(delivery),
            Notice::Gossip(rain::Notice::Done { .. }) => self.with(|state| state.done += 1),
            Notice::Gossip(rain::Notice::Refused { tag, why }) => {
                tracing::error!(tag, %why, "not published");
            }
            other => self.app.notice(now, other),
        }
    }
}
