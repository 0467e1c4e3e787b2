//! One simulated host: a machine, its sockets and its application.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use core::net::SocketAddr;

use samanea_core::{
    base::{Instant, ListenerId, Serial},
    node::{Node, Notice},
};

use super::{
    alias,
    application::Application,
    attenuation::Attenuation,
    link::{LinkId, Side},
};

/// Notices kept of each host; the oldest are forgotten.
const NOTICES_MAX: usize = 4_096;

/// What a serial stands for in the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Socket {
    /// Being dialled.
    Dialing(Box<Dial>),
    /// One end of a link.
    Open(LinkId, Side),
}

/// A dial under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dial {
    /// Where to.
    pub remote: SocketAddr,
    /// From where.
    pub local: SocketAddr,
    /// Since when.
    pub since: Instant,
    /// Its end of the link, once the target's kernel has answered.
    pub link: Option<(LinkId, Side)>,
    /// The machine is about to be told that it came to nothing.
    pub failed: bool,
    /// What the connection will suffer.
    pub suffers: Attenuation,
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
    /// Whether the kernel accepts nothing here: not opened yet, or lost.
    pub closed: bool,
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
    /// The listening sockets: at the address, and at its alias when the world has those.
    pub listeners: Vec<Listener>,
    /// Whether it listens when it starts.
    pub listens: bool,
    /// Whether its power is off: what is sent to it vanishes.
    pub silent: bool,
    /// What its next connections suffer; those after the last one as the options say.
    pub script: VecDeque<Attenuation>,
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
    pub fn new(address: SocketAddr, with_alias: bool) -> Self {
        let listener = |id, local| Listener {
            id: ListenerId(id),
            local,
            armed: false,
            closed: true,
            backlog: VecDeque::new(),
            offered: VecDeque::new(),
        };
        let mut listeners = vec![listener(1, address)];
        if with_alias {
            listeners.push(listener(2, alias(address)));
        }
        Self {
            node: None,
            life: 0,
            address,
            listeners,
            listens: true,
            silent: false,
            script: VecDeque::new(),
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

    /// Whether this is one of its addresses.
    pub fn owns(&self, address: SocketAddr) -> bool {
        self.listeners
            .iter()
            .any(|listener| listener.local.ip() == address.ip())
    }

    /// The listening socket at this address, when the kernel accepts there.
    pub fn listening_at(&mut self, address: SocketAddr) -> Option<&mut Listener> {
        self.listeners
            .iter_mut()
            .find(|listener| listener.local == address && !listener.closed)
    }

    /// The listening socket of this name.
    pub fn listener(&mut self, id: ListenerId) -> Option<&mut Listener> {
        self.listeners.iter_mut().find(|known| known.id == id)
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
