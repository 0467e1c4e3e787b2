//! Orders of the application.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{
    super::{Action, Command, Notice},
    Engine, Entry, Stopping, Task,
};
use crate::{
    base::{Cx, Serial},
    chain,
    conn::Order,
    manager, peer_actions,
    proto::{peer_sharing, tip_sample},
};

impl Engine {
    pub(super) fn command(&mut self, cx: &mut Cx<'_, Action>, command: Command) {
        match command {
            Command::AddPeer(remote) => self.add_peer(cx, remote),
            Command::RemovePeer(remote) => self.remove_peer(cx, remote),
            Command::Limit(limits) => self.manage(cx, manager::Event::Limit(limits)),
            Command::Extend { header } => self.chain_step(cx, chain::Event::Extend { header }),
            Command::Submit { id, bytes } => {
                self.chain_step(cx, chain::Event::Submit { id, bytes });
            }
            Command::AskPeers { amount } => {
                for conn in self.those(|entry| entry.peer_sharing) {
                    let ask = peer_sharing::client::Order::Ask(amount);
                    self.order(conn, Order::PeerAsk(ask));
                }
            }
            Command::SampleTips { count, slot } => {
                for conn in self.those(|entry| entry.own_version) {
                    let ask = tip_sample::client::Order::Follow { count, slot };
                    self.order(conn, Order::TipAsk(ask));
                }
            }
            Command::Shutdown => {
                if self.stopping == Stopping::No {
                    self.stopping = Stopping::Asked;
                    self.peers.clear();
                    self.manage(cx, manager::Event::Shutdown);
                }
            }
        }
    }

    fn those(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Serial> {
        let those = self.conns.iter().filter(|(_, entry)| wanted(entry));
        those.map(|(conn, _)| *conn).collect()
    }

    fn add_peer(&mut self, cx: &mut Cx<'_, Action>, remote: SocketAddr) {
        if self.stopping != Stopping::No || !self.peers.add(cx.now, remote) {
            return cx.act(Action::Notify(Notice::PeerRefused(remote)));
        }
        let ip = remote.ip();
        self.manage(cx, manager::Event::Exempt { ip, on: true });
        if self.peer_actions.get(&remote).is_some() {
            // On its way to cold from an earlier time; its turn comes after that.
            self.peers.tried(remote);
        }
        self.try_peers(cx.now);
    }

    fn remove_peer(&mut self, cx: &mut Cx<'_, Action>, remote: SocketAddr) {
        if !self.peers.remove(cx, remote) {
            return;
        }
        let ip = remote.ip();
        if self.peers.iter().all(|(other, _)| other.ip() != ip) {
            self.manage(cx, manager::Event::Exempt { ip, on: false });
        }
        if self.peer_actions.get(&remote).is_some() {
            self.task(Task::Peer(peer_actions::Event::Close { peer: remote }));
        }
    }
}
