//! What the engine makes of the facts of its connections.

use super::{
    super::{Action, Notice},
    Engine, Timer,
};
use crate::{
    base::{Cx, ProtocolId, Role, Serial},
    chain,
    conn::{Fact, Fault, Order, Temperature},
    mux::HalfId,
    proto::{handshake, keep_alive, peer_sharing},
};

/// Addresses told to one peer at most. src: ouroboros-network, peer sharing policy
const SHARED_MAX: usize = 10;

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
            Fact::Lingering | Fact::Full { .. } | Fact::Room { .. } => {}
            Fact::KeepAlive(keep_alive::client::Fact::RoundTrip(took)) => {
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
                cx.act(Action::Notify(Notice::Shared { conn, peers }));
            }
            Fact::PeerShare(peer_sharing::server::Fact::Asked(amount)) => {
                let asker = self.conns.get(&conn).map(|entry| entry.remote);
                let max = usize::from(amount).min(SHARED_MAX);
                let known = self
                    .peers
                    .up()
                    .filter(|peer| Some(*peer) != asker)
                    .take(max);
                let share = peer_sharing::server::Order::Share(known.collect());
                self.order(conn, Order::PeerShare(share));
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
        let (remote, dialled) = (entry.remote, entry.role == Role::Initiator);
        cx.act(Action::Notify(Notice::Up {
            conn,
            remote,
            dialled,
            agreed,
        }));
        if dialled {
            self.peers.up_now(remote, conn);
            for bundle in [
                Temperature::Established,
                Temperature::Warm,
                Temperature::Hot,
            ] {
                self.order(conn, Order::Start(bundle));
            }
        }
    }

    /// A peer is followed while chain-sync and block-fetch both run towards it.
    fn started(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, protocol: ProtocolId, role: Role) {
        let Some(entry) = self.conns.get_mut(&conn) else {
            return;
        };
        let relevant = matches!(protocol, ProtocolId::CHAIN_SYNC | ProtocolId::BLOCK_FETCH);
        if !relevant || role == Role::Responder || entry.following {
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
        let Some(entry) = self.conns.get_mut(&conn) else {
            return;
        };
        let relevant = matches!(protocol, ProtocolId::CHAIN_SYNC | ProtocolId::BLOCK_FETCH);
        if role == Role::Responder {
            self.chain_step(cx, chain::Event::ServeStopped(conn, protocol));
        } else if relevant && entry.following {
            entry.following = false;
            self.chain_step(cx, chain::Event::Unfollow(conn));
        }
    }

    /// The connection is gone: nobody keeps anything of it.
    pub(super) fn ended(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, fault: Fault) {
        let Some(entry) = self.conns.remove(&conn) else {
            return;
        };
        self.deadlines.set(Timer::Conn(conn), None);
        self.chain_step(cx, chain::Event::Gone(conn));
        let remote = entry.remote;
        cx.act(Action::Notify(Notice::Down {
            conn,
            remote,
            fault,
        }));
        self.peers.down(cx, remote, conn, fault);
        cx.choice.retire(conn.0);
        self.accept_more(cx);
    }
}

/// Only block bodies are large enough for their owner to mind the egress buffer.
const fn is_block_server(protocol: ProtocolId, role: Role) -> bool {
    matches!((protocol, role), (ProtocolId::BLOCK_FETCH, Role::Responder))
}
