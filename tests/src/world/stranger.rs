//! Strangers: ends of links with no machine behind them, which say whatever they are told to.

use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use bytes::Bytes;

use super::{
    Attenuation, Party, Subject, World, address,
    link::{LinkId, Side},
};

/// Where a stranger listens: it accepts every dial and says nothing.
pub const ADDRESS: SocketAddr =
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 255, 0, 1), 3_001));

impl<M: Subject> World<M> {
    /// Open links with a stranger, and the stranger's side.
    pub fn strangers(&self) -> Vec<(LinkId, Side)> {
        self.links
            .iter()
            .flat_map(|(id, link)| {
                (0..2)
                    .filter(|side| link.ends[*side].party == Party::Stranger)
                    .filter(|side| link.ends[*side].open)
                    .map(|side| (*id, side))
            })
            .collect()
    }

    /// A stranger dials a host that is up.
    pub fn stranger_dials(&mut self, target: usize) -> Option<LinkId> {
        let host = self.hosts.get(target).filter(|host| host.node.is_some())?;
        let life = host.life;
        let port = 1_024 + u16::try_from(self.next_link % 60_000).unwrap_or(0);
        let from = SocketAddr::from(([10, 255, 0, 2], port));
        let dialled = Party::Host { at: target, life };
        let to = (dialled, address(target));
        let link = self.open_link((Party::Stranger, from), to, Attenuation::HARMLESS);
        self.wait_for_accept(target, link);
        Some(link)
    }

    /// A stranger says something.
    pub fn stranger_writes(&mut self, link: LinkId, side: Side, bytes: Bytes) {
        let now = self.now();
        if let Some(lane) = self
            .links
            .get_mut(&link)
            .and_then(|l| l.lanes.get_mut(side))
            && !bytes.is_empty()
        {
            lane.write(bytes);
            self.plan_pump(link, side, now);
        }
    }

    /// A stranger hangs up.
    pub fn stranger_closes(&mut self, link: LinkId, side: Side, reset: bool) {
        self.drop_end(link, side, reset);
    }
}
