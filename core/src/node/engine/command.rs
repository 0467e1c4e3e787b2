//! Orders of the application.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{
    super::{Action, Command, Notice},
    Engine, Entry, Stopping,
};
use crate::{
    base::{Cx, Serial},
    chain,
    conn::Order,
    governor, manager,
    proto::{peer_sharing, tip_sample},
    rain,
};

impl Engine {
    pub(super) fn command(&mut self, cx: &mut Cx<'_, Action>, command: Command) {
        match command {
            Command::AddPeer(remote) => self.add_peer(cx, remote),
            Command::RemovePeer(remote) => self.remove_peer(cx, remote),
            Command::Targets { deadline, sync } => {
                self.govern(cx, governor::Event::Targets { deadline, sync });
            }
            Command::Topology(topology) => self.govern(cx, governor::Event::Topology(topology)),
            Command::Snapshot(snapshot) => self.govern(cx, governor::Event::Snapshot(snapshot)),
            Command::Ledger(ledger) => self.govern(cx, governor::Event::Ledger(ledger)),
            Command::Restore(saved) => self.govern(cx, governor::Event::Restore(saved)),
            Command::Judgement(judgement) => {
                self.govern(cx, governor::Event::Judgement(judgement));
            }
            Command::FetchMode(mode) => self.govern(cx, governor::Event::FetchMode(mode)),
            Command::OwnAddress(addr) => self.govern(cx, governor::Event::OwnAddress(addr)),
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
            Command::View { view, expires } => {
                self.gossip(cx, rain::Event::View { view, expires });
            }
            Command::Forget(group) => self.gossip(cx, rain::Event::Forget(group)),
            Command::JoinGroup {
                group,
                address,
                contacts,
            } => self.gossip(
                cx,
                rain::Event::Join {
                    group,
                    address,
                    contacts,
                },
            ),
            Command::LeaveGroup(group) => self.gossip(cx, rain::Event::Leave(group)),
            Command::Member { key, addr } => self.member_lives_at(cx, key, addr),
            Command::Publish {
                tag,
                group,
                payload,
                options,
            } => self.gossip(
                cx,
                rain::Event::Publish {
                    tag,
                    group,
                    payload,
                    options,
                },
            ),
            Command::PublishTo {
                tag,
                audience,
                payload,
            } => self.gossip(
                cx,
                rain::Event::PublishTo {
                    tag,
                    audience,
                    payload,
                },
            ),
            Command::Verdict { id, verdict } => {
                self.gossip(cx, rain::Event::Verdict { id, verdict });
            }
            Command::Shutdown => {
                if self.stopping == Stopping::No {
                    self.stopping = Stopping::Asked;
                    self.govern(cx, governor::Event::Shutdown);
                    self.manage(cx, manager::Event::Shutdown);
                }
            }
        }
    }

    fn those(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Serial> {
        let those = self.conns.iter().filter(|(_, entry)| wanted(entry));
        those.map(|(conn, _)| *conn).collect()
    }

    pub(super) fn add_peer(&mut self, cx: &mut Cx<'_, Action>, remote: SocketAddr) {
        let kept = self.governor.is_kept(&remote);
        let room = kept || self.governor.kept().count() < self.config.peers_max;
        if self.stopping != Stopping::No || !room {
            return cx.act(Action::Notify(Notice::PeerRefused(remote)));
        }
        let ip = remote.ip();
        self.manage(cx, manager::Event::Exempt { ip, on: true });
        self.govern(cx, governor::Event::Keep(remote));
    }

    pub(super) fn remove_peer(&mut self, cx: &mut Cx<'_, Action>, remote: SocketAddr) {
        if !self.governor.is_kept(&remote) {
            return;
        }
        self.govern(cx, governor::Event::Release(remote));
        let ip = remote.ip();
        if self.governor.kept().all(|other| other.ip() != ip) {
            self.manage(cx, manager::Event::Exempt { ip, on: false });
        }
    }
}
