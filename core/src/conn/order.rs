//! Orders: what the owner of the connection table can ask of a connection.

use super::Fault;
use crate::chain;
use crate::proto::{block_fetch, chain_sync, peer_sharing, rain_link, tip_sample, tx_submission};

/// A bundle of mini-protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Temperature {
    /// keep-alive, and peer-sharing when agreed.
    Established,
    /// tip-sample, when one of our own versions is agreed.
    Warm,
    /// chain-sync, block-fetch, tx-submission.
    Hot,
}

/// What a connection can be asked. One that does not fit its state is ignored and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Run the initiator halves of a bundle that are not running.
    Start(Temperature),
    /// End the initiator halves of a bundle as soon as their protocols allow it.
    Stop(Temperature),
    /// To the chain-sync client.
    ChainSync(chain_sync::client::Order),
    /// To the chain-sync server.
    ChainServe(chain_sync::server::Order),
    /// To the block-fetch client.
    BlockFetch(block_fetch::client::Order),
    /// To the block-fetch server.
    BlockServe(block_fetch::server::Order),
    /// To the tx-submission client, which supplies transactions.
    TxSupply(tx_submission::client::Order),
    /// To the tx-submission server, which pulls them.
    TxPull(tx_submission::server::Order),
    /// To the peer-sharing client.
    PeerAsk(peer_sharing::client::Order),
    /// To the peer-sharing server.
    PeerShare(peer_sharing::server::Order),
    /// To the tip-sample client.
    TipAsk(tip_sample::client::Order),
    /// To the tip-sample server.
    TipTell(tip_sample::server::Order),
    /// Open the link of structured gossip: run both of its initiator halves. Its opening is told as
    /// the start of our words' initiator. Nothing happens where none may run, and where one does.
    Link,
    /// Close it, for both ends. What was queued still leaves.
    Unlink,
    /// Say a frame over the link.
    RainSay(rain_link::client::Order),
    /// Reset the connection at once, for this reason.
    Reset(Fault),
    /// End the connection: no more bytes are read; what is queued gets at most two seconds.
    Close,
}

impl From<chain::Order> for Order {
    fn from(order: chain::Order) -> Self {
        match order {
            chain::Order::ChainSync(order) => Self::ChainSync(order),
            chain::Order::ChainServe(order) => Self::ChainServe(order),
            chain::Order::BlockFetch(order) => Self::BlockFetch(order),
            chain::Order::BlockServe(order) => Self::BlockServe(order),
            chain::Order::TxSupply(order) => Self::TxSupply(order),
            chain::Order::TxPull(order) => Self::TxPull(order),
            chain::Order::TipAsk(order) => Self::TipAsk(order),
            chain::Order::TipTell(order) => Self::TipTell(order),
        }
    }
}
