//! The network: attempts to connect, connections, and what each end of them knows.

use core::{
    hash::{Hash, Hasher},
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use samanea_core::{base::Serial, proto::handshake::Mode};

/// Where a node listens.
pub(super) fn address(node: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, node, 1)), 3_000)
}

/// The node at an address.
pub(super) fn node_at(address: SocketAddr) -> Option<u8> {
    match address.ip() {
        IpAddr::V4(ip) => Some(ip.octets()[2]),
        IpAddr::V6(_) => None,
    }
}

/// One attempt to connect, or one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pipe {
    /// The node that dialled, and the other one.
    pub(super) nodes: [u8; 2],
    /// Their addresses on this pipe.
    pub(super) addresses: [SocketAddr; 2],
    pub(super) phase: Phase,
    /// Both have dialled.
    pub(super) mutual: bool,
    /// One end has closed it, or the network has lost it.
    pub(super) dead: bool,
    /// The server has refused.
    pub(super) refused: bool,
    pub(super) sides: [Side; 2],
}

/// How far a pipe has come in the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// On its way.
    Dialled,
    /// Its addresses are taken: it fails.
    Doomed,
    /// Connected; the other node may not have accepted it yet.
    Joined,
}

/// One end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Side {
    /// The connection's name at the node; none before it is accepted and after it is gone.
    pub(super) conn: Option<Serial>,
    pub(super) told: Told,
    /// What the handshake offers; `Some` once it has begun.
    pub(super) offers: Option<Mode>,
    pub(super) agreed: bool,
    /// Initiators that the user of this end runs.
    pub(super) runs: u8,
    /// Responders that this end has heard of.
    pub(super) heard: u8,
    /// An initiator of the other end has started and stopped before this end heard of it.
    pub(super) flash: bool,
}

/// What a node was told of its end of a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Told {
    /// Not that it is connected.
    Nothing,
    /// That it is connected: the handshake runs.
    Connected,
    /// That the handshake succeeded.
    Agreed,
    /// That it has refused the peer.
    Refused,
    /// It closes in order.
    Closing,
    /// That it is over; or it ended it itself.
    Gone,
}

impl Side {
    pub(super) const fn new(conn: Option<Serial>) -> Self {
        Self {
            conn,
            told: Told::Nothing,
            offers: None,
            agreed: false,
            runs: 0,
            heard: 0,
            flash: false,
        }
    }
}

impl Pipe {
    pub(super) const fn new(
        nodes: [u8; 2],
        addresses: [SocketAddr; 2],
        phase: Phase,
        conn: Serial,
    ) -> Self {
        Self {
            nodes,
            addresses,
            phase,
            mutual: false,
            dead: false,
            refused: false,
            sides: [Side::new(Some(conn)), Side::new(None)],
        }
    }

    /// Whether the kernel holds a connection between these two addresses.
    pub(super) fn joins(&self, a: SocketAddr, b: SocketAddr) -> bool {
        self.is_alive() && (self.addresses == [a, b] || self.addresses == [b, a])
    }

    pub(super) fn is_alive(&self) -> bool {
        self.phase == Phase::Joined && !self.dead
    }

    /// Whether it waits to be accepted by this node.
    pub(super) fn is_queued(&self, node: u8) -> bool {
        self.phase == Phase::Joined
            && self.nodes[1] == node
            && self.sides[1].told == Told::Nothing
            && self.sides[1].conn.is_none()
    }

    /// What both ends agree on, once both have made an offer.
    pub(super) fn mode(&self) -> Option<Mode> {
        Some(self.sides[0].offers?.min(self.sides[1].offers?))
    }

    /// Whether nothing is on its way between the ends, and each is told of all there is.
    pub(super) fn is_quiet(&self) -> bool {
        let [a, b] = &self.sides;
        let heard = a.heard == b.runs && b.heard == a.runs && !a.flash && !b.flash;
        let settled = matches!(a.told, Told::Connected | Told::Agreed);
        self.is_alive() && a.told == b.told && settled && heard
    }

    /// The end has closed its socket, or learnt that it is closed.
    pub(super) fn leave(&mut self, end: usize) {
        self.dead = true;
        let side = &mut self.sides[end];
        side.told = Told::Gone;
        side.conn = None;
        side.heard = 0;
        side.flash = false;
    }

    pub(super) fn is_over(&self) -> bool {
        self.sides.iter().all(|side| side.told == Told::Gone)
    }

    /// Feeds a hasher with all of it, connections by the ranks that `rank` gives them.
    pub(super) fn encode<H: Hasher>(&self, rank: impl Fn(u8, Serial) -> usize, into: &mut H) {
        let flags = [self.mutual, self.dead, self.refused];
        (self.nodes, self.addresses, self.phase, flags).hash(into);
        for (node, side) in self.nodes.iter().zip(&self.sides) {
            side.conn.map(|conn| rank(*node, conn)).hash(into);
            (side.told, side.offers, side.agreed).hash(into);
            (side.runs, side.heard, side.flash).hash(into);
        }
    }
}
