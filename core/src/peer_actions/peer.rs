//! One peer: where it stands, and which of our halves run towards it.

use smallvec::SmallVec;

use crate::{
    base::{Instant, ProtocolId, Request, Serial},
    conn::{Fault, Temperature, temperature},
};

/// Where a peer stands that is not cold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Stage {
    /// Waits for a connection.
    Acquiring(Request),
    /// Closed while it waited for a connection: waits for the answer, or until a connection that
    /// came all the same is given back.
    Withdrawing,
    /// Established and warm halves run.
    Warm,
    /// Hot halves are ordered.
    Activating,
    /// At least one hot half runs.
    Hot,
    /// Waits for hot halves to end.
    Deactivating {
        /// Then the connection is reset.
        until: Instant,
    },
    /// Waits for all halves to end.
    Closing {
        /// Then the connection is reset.
        until: Instant,
    },
    /// The connection is released or over: waits until it is ours no longer.
    Cooling,
}

impl Stage {
    /// When waiting ends.
    pub const fn until(self) -> Option<Instant> {
        match self {
            Self::Deactivating { until } | Self::Closing { until } => Some(until),
            Self::Acquiring(_)
            | Self::Withdrawing
            | Self::Warm
            | Self::Activating
            | Self::Hot
            | Self::Cooling => None,
        }
    }

    /// Whether the peer is warm or hot as far as whoever selects peers was told.
    pub const fn is_established(self) -> bool {
        matches!(
            self,
            Self::Warm | Self::Activating | Self::Hot | Self::Deactivating { .. }
        )
    }
}

/// One peer that is not cold.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Peer {
    pub(super) stage: Stage,
    /// The request that is not answered yet.
    pub(super) request: Option<Request>,
    pub(super) conn: Option<Serial>,
    pub(super) halves: SmallVec<[Half; 8]>,
    /// The mini-protocols that may run on the connection.
    pub(super) agreed: SmallVec<[ProtocolId; 8]>,
    pub(super) fault: Option<Fault>,
}

/// An initiator half that was ordered and has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Half {
    pub(super) protocol: ProtocolId,
    pub(super) started: bool,
}

impl Peer {
    pub(super) fn acquiring(request: Request) -> Self {
        Self {
            stage: Stage::Acquiring(request),
            request: Some(request),
            conn: None,
            halves: SmallVec::new(),
            agreed: SmallVec::new(),
            fault: None,
        }
    }

    /// Where it stands.
    pub const fn stage(&self) -> Stage {
        self.stage
    }

    /// The connection it holds.
    pub const fn conn(&self) -> Option<Serial> {
        self.conn
    }

    /// Initiator halves that were ordered to run and have not ended, as ordered.
    pub fn halves(&self) -> impl Iterator<Item = ProtocolId> + '_ {
        self.halves.iter().map(|half| half.protocol)
    }

    /// Why the connection ended, when it did so otherwise than in order.
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Whether a hot half was ordered and has not ended.
    pub(super) fn has_hot(&self) -> bool {
        self.halves
            .iter()
            .any(|half| temperature(half.protocol) == Temperature::Hot)
    }

    /// Counts the halves of a bundle as ordered.
    pub(super) fn ordered(&mut self, bundle: Temperature) {
        for protocol in &self.agreed {
            let known = self.halves.iter().any(|half| half.protocol == *protocol);
            if temperature(*protocol) == bundle && !known {
                self.halves.push(Half {
                    protocol: *protocol,
                    started: false,
                });
            }
        }
    }

    /// Counts a half as running; whether it was ordered and not running before.
    pub(super) fn started(&mut self, protocol: ProtocolId) -> bool {
        let ordered = |half: &&mut Half| half.protocol == protocol && !half.started;
        match self.halves.iter_mut().find(ordered) {
            Some(half) => {
                half.started = true;
                true
            }
            None => false,
        }
    }

    /// Counts a half as ended; whether it was there.
    pub(super) fn stopped(&mut self, protocol: ProtocolId) -> bool {
        let before = self.halves.len();
        self.halves.retain(|half| half.protocol != protocol);
        self.halves.len() < before
    }
}
