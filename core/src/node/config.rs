//! Settings of a node.

use core::time::Duration;

use crate::{base::MemberKey, chain, conn, governor, manager, peer_actions, rain};

/// Settings of a whole node. Made by [`Config::new`], then changed field by field.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
#[expect(
    clippy::struct_excessive_bools,
    reason = "switches of an operator, by their usual names"
)]
pub struct Config {
    /// The network's magic number; mainnet is 764824073. No default.
    pub magic: u32,
    /// Whether we share addresses. Default yes. src: cardano-node configuration, `PeerSharing`
    pub peer_sharing: bool,
    /// Whether our dials only ask for the other's versions. Default no.
    pub query: bool,
    /// Whether our own versions (`0x2000 | v`) are offered beside the standard ones. Default yes:
    /// a stock node ignores versions that it does not know.
    pub own_versions: bool,
    /// Whether the experimental version 16 is offered. Default no.
    pub experimental: bool,
    /// Peers kept by command at most, inclusive. Default 256. Guess, not measured.
    pub peers_max: usize,
    /// The delay before a lost or failed peer that is kept by command is tried again: doubled with
    /// each failure from this one. Default 1 s. Guess, not measured.
    pub redial_min: Duration,
    /// The longest such delay. Default 160 s.
    /// src: ouroboros-network, peer selection back-off 5·2^n with n at most 5
    pub redial_max: Duration,
    /// Settings of the selection of peers; whether addresses are shared, and the delays of kept
    /// peers, are taken from above.
    pub governor: governor::Config,
    /// Settings of the table of connections; [`mode`](manager::Config::mode) there says whether
    /// responders run at all.
    pub manager: manager::Config,
    /// Settings of what is done to peers.
    pub peer_actions: peer_actions::Config,
    /// Settings of each connection.
    pub conn: conn::Config,
    /// Settings of the chain.
    pub chain: chain::Config,
    /// Structured gossip: who this node is in it. Default: none, and no links of it run.
    pub gossip: Option<Gossip>,
}

/// Who a node is in structured gossip.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Gossip {
    /// Its key; the application signs with it.
    pub member: MemberKey,
    /// In which life it is: greater than in each before, the seconds since 1970 for example.
    pub boot: u32,
    /// Settings.
    pub config: rain::Config,
    /// Members whose addresses are known at most, inclusive; beyond, none is added.
    /// Default 65,536.
    pub addresses_max: usize,
}

impl Gossip {
    /// A member with this key, in this life, with default settings.
    pub fn new(member: MemberKey, boot: u32) -> Self {
        Self {
            member,
            boot,
            config: rain::Config::default(),
            addresses_max: 65_536,
        }
    }
}

impl Config {
    /// Defaults for the network with this magic number.
    pub fn new(magic: u32) -> Self {
        Self {
            magic,
            peer_sharing: true,
            query: false,
            own_versions: true,
            experimental: false,
            peers_max: 256,
            redial_min: Duration::from_secs(1),
            redial_max: Duration::from_secs(160),
            governor: governor::Config::default(),
            manager: manager::Config::default(),
            peer_actions: peer_actions::Config::default(),
            conn: conn::Config::default(),
            chain: chain::Config::default(),
            gossip: None,
        }
    }
}
