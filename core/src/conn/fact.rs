//! Facts: what a connection tells the owner of the connection table.

use super::Fault;
use crate::{
    base::{ProtocolId, Role},
    proto::{
        block_fetch, chain_sync,
        handshake::{Agreed, VersionTable},
        keep_alive, peer_sharing, rain_link, tip_sample, tx_submission,
    },
};

/// What a connection tells. [`Fact::Ended`] is the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The handshake is done.
    Agreed(Agreed),
    /// The peer answered our query with its table; the connection ends.
    Queried(VersionTable),
    /// As a server we refused, or answered a query: the connection stays for a while so that the
    /// peer can read that, then ends.
    Lingering,
    /// A half began to run.
    Started {
        /// The mini-protocol.
        protocol: ProtocolId,
        /// Our half.
        role: Role,
    },
    /// A half ended cleanly. A responder half is armed again by itself.
    Stopped {
        /// The mini-protocol.
        protocol: ProtocolId,
        /// Our half.
        role: Role,
    },
    /// The egress buffer of a half is full: what is sent all the same waits in memory.
    Full {
        /// The mini-protocol.
        protocol: ProtocolId,
        /// Our half.
        role: Role,
    },
    /// The egress buffer of a half that was full has room again.
    Room {
        /// The mini-protocol.
        protocol: ProtocolId,
        /// Our half.
        role: Role,
    },
    /// Of the keep-alive client.
    KeepAlive(keep_alive::client::Fact),
    /// Of the chain-sync client.
    ChainSync(chain_sync::client::Fact),
    /// Of the chain-sync server.
    ChainServe(chain_sync::server::Fact),
    /// Of the block-fetch client.
    BlockFetch(block_fetch::client::Fact),
    /// Of the block-fetch server.
    BlockServe(block_fetch::server::Fact),
    /// Of the tx-submission client.
    TxSupply(tx_submission::client::Fact),
    /// Of the tx-submission server.
    TxPull(tx_submission::server::Fact),
    /// Of the peer-sharing client.
    PeerAsk(peer_sharing::client::Fact),
    /// Of the peer-sharing server.
    PeerShare(peer_sharing::server::Fact),
    /// Of the tip-sample client.
    TipAsk(tip_sample::client::Fact),
    /// Of the tip-sample server.
    TipTell(tip_sample::server::Fact),
    /// Of a client of the link.
    RainSay(rain_link::client::Fact),
    /// Of a server of the link; only between the start and the stop of our words' initiator.
    RainHear(rain_link::server::Fact),
    /// The connection has ended. Nothing follows.
    Ended(Fault),
}
