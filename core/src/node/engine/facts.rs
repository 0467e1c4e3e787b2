//! What the engine makes of the facts of its connections.

use super::{
    super::{Action, Notice},
    Engine, Task, Timer,
};
use crate::{
    base::{Cx, ProtocolId, Role, Serial},
    chain,
    conn::{Fact, Fault},
    governor, manager,
    mux::HalfId,
    peer_actions,
    proto::{handshake, keep_alive, peer_sharing, rain_link},
};

impl Engine {
    pub(super) fn fact(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, fact: Fact) {
        match fact {
            Fact::Agreed(agreed) => self.agreed(cx, conn, agreed),
            Fact::Queried(table) => cx.act(Action::Notify(Notice::Versions { conn, table })),
            Fact::Started { protocol, role } => self.started(cx, conn, protocol, role),
            Fact::Stopped { protocol, role } => self.stopped(cx, conn, protocol, role),
            Fact::Full { protocol, role } if is_block_server(protocol, role) => {
                self.chain_step(cx, chain::Event::BlockServeFull(conn));
            }
            Fact::Room { protocol, role } if is_block_server(protocol, role) => {
                self.chain_step(cx, chain::Event::BlockServeRoom(conn));
            }
            Fact::Lingering => self.tell_table(cx, conn, manager::Event::Lingering { conn }),
            Fact::Full { protocol, role } if is_payload(protocol, role) => {
                self.link_is_full(cx, conn, true);
            }
            Fact::Room { protocol, role } if is_payload(protocol, role) => {
                self.link_is_full(cx, conn, false);
            }
            Fact::Full { .. } | Fact::Room { .. } => {}
            // What does not fit is never made.
            Fact::RainSay(_) => self.count_stale(),
            Fact::RainHear(rain_link::server::Fact::Heard(frame)) => {
                self.link_heard(cx, conn, frame);
            }
            Fact::KeepAlive(keep_alive::client::Fact::RoundTrip(took)) => {
                if let Some(peer) = self.peer_actions.holder(conn) {
                    self.govern(cx, governor::Event::RoundTrip { peer, took });
                }
                cx.act(Action::Notify(Notice::RoundTrip { conn, took }));
                self.chain_step(cx, chain::Event::RoundTrip(conn, took));
            }
            Fact::ChainSync(fact) => self.chain_step(cx, chain::Event::ChainSync(conn, fact)),
            Fact::ChainServe(fact) => self.chain_step(cx, chain::Event::ChainServe(conn, fact)),
            Fact::BlockFetch(fact) => self.chain_step(cx, chain::Event::BlockFetch(conn, fact)),
            Fact::BlockServe(fact) => self.chain_step(cx, chain::Event::BlockServe(conn, fact)),
            Fact::TxSupply(fact) => self.chain_step(cx, chain::Event::TxSupply(conn, fact)),
            Fact::TxPull(fact) => self.chain_step(cx, chain::Event::TxPull(conn, fact)),
            Fact::TipAsk(fact) => self.chain_step(cx, chain::Event::TipAsk(conn, fact)),
            Fact::TipTell(fact) => self.chain_step(cx, chain::Event::TipTell(conn, fact)),
            Fact::PeerAsk(peer_sharing::client::Fact::Shared(peers)) => {
                if let Some(peer) = self.peer_actions.holder(conn) {
                    let peers = peers.clone();
                    self.govern(cx, governor::Event::Shared { peer, peers });
                }
                cx.act(Action::Notify(Notice::Shared { conn, peers }));
            }
            Fact::PeerShare(peer_sharing::server::Fact::Asked(amount)) => {
                self.govern(cx, governor::Event::Asked { conn, amount });
            }
            Fact::Ended(fault) => self.ended(cx, conn, fault),
        }
    }

    fn agreed(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, agreed: handshake::Agreed) {
        let Some(entry) = self.conns.get_mut(&conn) else {
            return;
        };
        entry.peer_sharing = agreed.data.peer_sharing;
        entry.own_version = handshake::is_ours(agreed.version);
        cx.act(Action::Notify(Notice::Up {
            conn,
            remote: entry.remote,
            dialled: entry.role == Role::Initiator,
            agreed,
        }));
        self.tell_table(cx, conn, manager::Event::Agreed { conn, agreed });
        self.link(conn);
    }

    /// Passes on to the table what it wants to hear.
    fn tell_table(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, event: manager::Event) {
        if self.conns.get(&conn).is_some_and(|entry| !entry.disowned) {
            self.manage(cx, event);
        }
    }

    /// A peer is followed while chain-sync and block-fetch both run towards it.
    fn started(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, protocol: ProtocolId, role: Role) {
        if role == Role::Responder {
            let event = manager::Event::ResponderStarted { conn, protocol };
            return self.tell_table(cx, conn, event);
        }
        if is_link(protocol) {
            if protocol == ProtocolId::RAIN_LINK {
                self.link_opened(cx, conn);
            }
            return;
        }
        self.peer_step(cx, peer_actions::Event::Started { conn, protocol });
        let Some(entry) = self.conns.get_mut(&conn) else {
            return;
        };
        if !is_followed_by(protocol) || entry.following {
            return;
        }
        let both = entry.conn.as_ref().is_some_and(|c| {
            [ProtocolId::CHAIN_SYNC, ProtocolId::BLOCK_FETCH]
                .into_iter()
                .all(|protocol| c.runs(HalfId { protocol, role }))
        });
        if both {
            entry.following = true;
            self.chain_step(cx, chain::Event::Follow(conn));
        }
    }

    fn stopped(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, protocol: ProtocolId, role: Role) {
        if role == Role::Responder {
            self.chain_step(cx, chain::Event::ServeStopped(conn, protocol));
            let event = manager::Event::ResponderEnded { conn, protocol };
            return self.tell_table(cx, conn, event);
        }
        if is_link(protocol) {
            if protocol == ProtocolId::RAIN_LINK {
                self.link_closed(cx, conn);
                self.link_again(conn);
            }
            return;
        }
        if let Some(entry) = self.conns.get_mut(&conn)
            && entry.following
            && is_followed_by(protocol)
        {
            entry.following = false;
            self.chain_step(cx, chain::Event::Unfollow(conn));
        }
        self.peer_step(cx, peer_actions::Event::Stopped { conn, protocol });
    }

    /// The connection is gone: nobody keeps anything of it.
    pub(super) fn ended(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, fault: Fault) {
        let Some(entry) = self.conns.remove(&conn) else {
            return;
        };
        self.deadlines.set(Timer::Conn(conn), None);
        self.chain_step(cx, chain::Event::Gone(conn));
        self.link_closed(cx, conn);
        self.call_ended(cx, entry.remote);
        cx.act(Action::Notify(Notice::Down {
            conn,
            remote: entry.remote,
            fault,
        }));
        cx.choice.retire(conn.0);
        if !entry.disowned {
            self.peer_ended(conn, fault);
            self.task(Task::Manager(manager::Event::Ended { conn, fault }));
        }
    }
}

const fn is_followed_by(protocol: ProtocolId) -> bool {
    matches!(protocol, ProtocolId::CHAIN_SYNC | ProtocolId::BLOCK_FETCH)
}

/// Only block bodies are large enough for their owner to mind the egress buffer.
const fn is_block_server(protocol: ProtocolId, role: Role) -> bool {
    matches!((protocol, role), (ProtocolId::BLOCK_FETCH, Role::Responder))
}

/// Payloads of gossip that wait on their way.
const fn is_payload(protocol: ProtocolId, role: Role) -> bool {
    matches!((protocol, role), (ProtocolId::RAIN_BULK, Role::Initiator))
}

/// The selection of peers has no part in links.
const fn is_link(protocol: ProtocolId) -> bool {
    matches!(protocol, ProtocolId::RAIN_LINK | ProtocolId::RAIN_BULK)
}
