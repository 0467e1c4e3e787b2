//! tx-submission2: the server pulls transactions from the client.

pub mod client;
pub mod server;

/// How a peer broke a rule of tx-submission. All adversarial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Violation {
    /// More ids acknowledged than are outstanding.
    #[error("{acked} ids acknowledged of {unacked}")]
    AckedTooManyTxids {
        /// Acknowledged.
        acked: u16,
        /// Outstanding.
        unacked: u16,
    },
    /// More ids requested than the window of ten allows.
    #[error("{requested} ids requested beside {unacked} outstanding")]
    RequestedTooManyTxids {
        /// Requested.
        requested: u16,
        /// Still outstanding after the acknowledgement.
        unacked: u16,
    },
    /// A request that asks for nothing and acknowledges nothing.
    #[error("requested nothing")]
    RequestedNothing,
    /// A blocking request while ids are outstanding.
    #[error("blocking request with ids outstanding")]
    RequestBlocking,
    /// A non-blocking request while no id is outstanding.
    #[error("non-blocking request with no id outstanding")]
    RequestNonBlocking,
    /// A body that was not announced or is acknowledged already.
    #[error("requested an unavailable transaction")]
    RequestedUnavailableTx,
    /// More ids than were requested.
    #[error("{got} ids where {wanted} were requested")]
    TooManyIds {
        /// Requested.
        wanted: u16,
        /// Came.
        got: u16,
    },
    /// A body that was not requested, or that is no transaction.
    #[error("a transaction that was not requested")]
    UnrequestedTx,
    /// A body whose size is not what was announced.
    #[error("transaction of {got} bytes announced as {announced}")]
    WrongSize {
        /// As announced.
        announced: u32,
        /// As it came.
        got: u32,
    },
}
