//! Settings of one connection.

use core::time::Duration;

use crate::{mux, proto::chain_sync};

/// Settings of one connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Config {
    /// Segments, windows and limits of the multiplexer.
    pub mux: mux::Config,
    /// How long a peer that we refuse, or whose query we answer, gets to read that. Default 20 s.
    /// src: ouroboros-network, handshake query shutdown delay
    pub linger: Duration,
    /// Between an answer and the next probe of keep-alive. Default 10 s; the peer waits 97 s.
    /// src: cardano-node configuration, `KeepAlive` interval
    pub probe_period: Duration,
    /// Between the peer's first word in tx-submission and our first request. Default 60 s, so as
    /// not to disturb the start of a sync. src: ouroboros-network, tx-submission initial delay
    pub tx_delay: Duration,
    /// Whether links of structured gossip run here, on our own versions. Default no: a peer that
    /// opens one breaks the protocol then.
    pub rain: bool,
    /// How long a peer that follows our chain may ask nothing; `None`: for ever. Default 3,373 s.
    /// src: cardano-node configuration, `ChainSyncIdleTimeout`
    pub chain_sync_idle: Option<Duration>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mux: mux::Config::default(),
            linger: Duration::from_secs(20),
            probe_period: Duration::from_secs(10),
            tx_delay: Duration::from_secs(60),
            rain: false,
            chain_sync_idle: Some(chain_sync::IDLE_LIMIT),
        }
    }
}
