//! The governor's orders carried out, and what it is told.

use core::{net::SocketAddr, time::Duration};

use super::{
    super::{Action, Notice},
    Engine, Entry, Task,
};
use crate::{
    base::{Cx, Machine, Serial},
    conn::{Fault, Order},
    governor::{self, Failure},
    manager::Via,
    peer_actions,
    proto::{chain_sync, handshake::Mode, peer_sharing, tip_sample},
};

/// A hot protocol that ended by itself is not started again before this.
/// src: ouroboros-network, `ReturnPolicy`, default
const RETURNED: Duration = Duration::from_secs(10);
/// The same when the peer's chain has nothing in common with ours that is recent enough.
/// src: ouroboros-consensus, return policy of chain-sync, fork too deep
const TOO_DEEP: Duration = Duration::from_secs(120);
/// Tips asked for in one sample.
const SAMPLE: u16 = 8;

impl Engine {
    /// One event for the governor; what it asks for is carried out or queued.
    pub(super) fn govern(&mut self, cx: &mut Cx<'_, Action>, event: governor::Event) {
        let mut acts = core::mem::take(&mut self.work.governor_acts);
        self.governor.step(&mut cx.child(&mut acts), event);
        for action in acts.drain(..) {
            self.governed(cx, action);
        }
        self.work.governor_acts = acts;
    }

    fn governed(&mut self, cx: &mut Cx<'_, Action>, action: governor::Action) {
        let peer_event = match action {
            governor::Action::Establish { peer, mode, dial } => {
                // A node that runs no responders offers none to anybody.
                let mode = match self.config.manager.mode {
                    Mode::InitiatorOnly => Mode::InitiatorOnly,
                    Mode::InitiatorAndResponder => mode,
                };
                let via = if dial { Via::Dial } else { Via::Inbound };
                peer_actions::Event::Establish { peer, mode, via }
            }
            governor::Action::Activate { peer } => peer_actions::Event::Activate { peer },
            governor::Action::Deactivate { peer } => peer_actions::Event::Deactivate { peer },
            governor::Action::Close { peer } => peer_actions::Event::Close { peer },
            governor::Action::AskPeers { peer, amount } => {
                let ask = peer_sharing::client::Order::Ask(amount);
                return self.order_peer(&peer, |_| Some(Order::PeerAsk(ask)));
            }
            governor::Action::TellPeers { conn, peers } => {
                let asker = self.conns.get(&conn).map(|entry| entry.remote);
                let others = peers.into_iter().filter(|peer| Some(*peer) != asker);
                let share = peer_sharing::server::Order::Share(others.collect());
                return self.order(conn, Order::PeerShare(share));
            }
            governor::Action::Sample { peer } => {
                let slot = self.chain.tip().point.slot().unwrap_or(0);
                let ask = tip_sample::client::Order::Follow {
                    count: SAMPLE,
                    slot,
                };
                return self.order_peer(&peer, |entry| {
                    entry.own_version.then_some(Order::TipAsk(ask))
                });
            }
            governor::Action::Resolve { ticket, question } => {
                return cx.act(Action::Resolve { ticket, question });
            }
            governor::Action::WantLedger => return cx.act(Action::Notify(Notice::WantLedger)),
            governor::Action::Notice(notice) => {
                return cx.act(Action::Notify(Notice::Governor(notice)));
            }
        };
        self.task(Task::Peer(peer_event));
    }

    /// An order for the connection that we use with a peer.
    fn order_peer(&mut self, peer: &SocketAddr, order: impl FnOnce(&Entry) -> Option<Order>) {
        let conn = self
            .peer_actions
            .get(peer)
            .and_then(peer_actions::Peer::conn);
        let entry = conn.and_then(|conn| Some((conn, self.conns.get(&conn)?)));
        if let Some((conn, order)) = entry.and_then(|(conn, entry)| Some((conn, order(entry)?))) {
            self.order(conn, order);
        }
    }

    /// What the peer actions say, for the governor and for whoever watches.
    pub(super) fn told(&mut self, cx: &mut Cx<'_, Action>, fact: peer_actions::Fact) {
        cx.act(Action::Notify(Notice::Peer(fact)));
        let event = match fact {
            peer_actions::Fact::Established { peer, agreed, .. } => governor::Event::Established {
                peer,
                sharing: agreed.data.peer_sharing,
            },
            peer_actions::Fact::NotEstablished { peer, why } => {
                let failure = Failure {
                    class: why.class(),
                    delay: None,
                };
                governor::Event::NotEstablished { peer, failure }
            }
            peer_actions::Fact::Activated { peer } => {
                if self.is_trusted(&peer) {
                    let trust = chain_sync::client::Order::Trust;
                    self.order_peer(&peer, |_| Some(Order::ChainSync(trust)));
                }
                governor::Event::Activated { peer }
            }
            peer_actions::Fact::Deactivated { peer } => {
                let conn = self
                    .peer_actions
                    .get(&peer)
                    .and_then(peer_actions::Peer::conn);
                let delay = if conn.is_some_and(|conn| self.is_lost(conn)) {
                    TOO_DEEP
                } else {
                    RETURNED
                };
                governor::Event::Deactivated {
                    peer,
                    delay: Some(delay),
                }
            }
            peer_actions::Fact::Cooling { peer, fault } => governor::Event::Cooling {
                peer,
                failure: fault.map(failure),
            },
            peer_actions::Fact::Cold { peer, fault } => governor::Event::Cold {
                peer,
                failure: fault.map(failure),
            },
        };
        self.govern(cx, event);
    }

    /// Whether a peer is a trustable local root, as things are now.
    fn is_trusted(&self, peer: &SocketAddr) -> bool {
        let root = self.governor.local_root(peer);
        root.is_some_and(|traits| traits.trustable)
    }

    fn is_lost(&self, conn: Serial) -> bool {
        self.conns.get(&conn).is_some_and(|entry| entry.apart)
    }
}

fn failure(fault: Fault) -> Failure {
    Failure {
        class: fault.class(),
        delay: None,
    }
}
