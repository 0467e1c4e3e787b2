//! One simulated host: a machine, its sockets and its application.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use core::net::SocketAddr;

use samanea_core::{
    base::{Instant, ListenerId, Serial},
    node::{Node, Notice},
};

use super::{
    application::Application,
    link::{LinkId, Side},
};

/// Notices kept of each host; the oldest are forgotten.
const NOTICES_MAX: usize = 4_096;

/// What a serial stands for in the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    /// Being dialled.
    Dialing {
        /// Where to.
        remote: SocketAddr,
        /// From where.
        local: SocketAddr,
    },
    /// One end of a link.
    Open(LinkId, Side),
}

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name.
    pub id: ListenerId,
    /// Where.
    pub local: SocketAddr,
    /// Connections that may be offered now: 0 or 1.
    pub armed: bool,
    /// Connections that the kernel has accepted, and their other ends.
    pub backlog: VecDeque<(LinkId, SocketAddr)>,
    /// Connections that wait for the machine's word, and their other ends.
    pub offered: VecDeque<(LinkId, SocketAddr)>,
}

/// What a host has seen and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Steps of the machine.
    pub steps: u64,
    /// Bytes that it got.
    pub bytes_in: u64,
    /// Bytes that it wrote.
    pub bytes_out: u64,
    /// Handshakes.
    pub ups: u64,
    /// Ends.
    pub downs: u64,
    /// Changes of its tip.
    pub tips: u64,
    /// The last notices.
    pub notices: VecDeque<(Instant, Notice)>,
}

/// One host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host<M> {
    /// The machine; `None` while the host is down.
    pub node: Option<Node<M>>,
    /// How often it was started; things of earlier lives are void.
    pub life: u32,
    /// Where it listens.
    pub address: SocketAddr,
    /// The listening socket.
    pub listener: Listener,
    /// Serials in use.
    pub sockets: BTreeMap<Serial, Socket>,
    /// Serials ever used in this life.
    pub used: BTreeSet<Serial>,
    /// The application.
    pub application: Application,
    /// Peers that the application has told it to keep.
    pub peers: BTreeSet<SocketAddr>,
    /// When the driver will tick.
    pub wake: Option<Instant>,
    /// The driver's end of a turn is due.
    pub turn_due: bool,
    /// Steps since time last passed.
    pub steps_now: (Instant, u64),
    /// The next port for dials without a bound address.
    pub next_port: u16,
    /// What it has seen.
    pub tally: Tally,
}

impl<M> Host<M> {
    /// A host that is down.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            node: None,
            life: 0,
            address,
            listener: Listener {
                id: ListenerId(1),
                local: address,
                armed: false,
                backlog: VecDeque::new(),
                offered: VecDeque::new(),
            },
            sockets: BTreeMap::new(),
            used: BTreeSet::new(),
            application: Application::default(),
            peers: BTreeSet::new(),
            wake: None,
            turn_due: false,
            steps_now: (Instant::ZERO, 0),
            next_port: 49_152,
            tally: Tally::default(),
        }
    }

    /// Takes a notice in.
    pub fn note(&mut self, now: Instant, notice: Notice) {
        match &notice {
            Notice::Up { .. } => self.tally.ups += 1,
            Notice::Down { .. } => self.tally.downs += 1,
            _ => {}
        }
        if self.tally.notices.len() >= NOTICES_MAX {
            self.tally.notices.pop_front();
        }
        self.tally.notices.push_back((now, notice));
    }

    /// An ephemeral address of this host.
    pub fn ephemeral(&mut self) -> SocketAddr {
        let port = self.next_port;
        self.next_port = port.checked_add(1).unwrap_or(49_152);
        SocketAddr::new(self.address.ip(), port)
    }
}
