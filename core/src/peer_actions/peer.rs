//! One peer: where it stands, and which of our halves run towards it.

use core::fmt;

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

    /// What it is called.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acquiring(_) => "acquiring",
            Self::Withdrawing => "withdrawing",
            Self::Warm => "warm",
            Self::Activating => "activating",
            Self::Hot => "hot",
            Self::Deactivating { .. } => "deactivating",
            Self::Closing { .. } => "closing",
            Self::Cooling => "cooling",
        }
    }

    /// Why the peer stands there, in words.
    pub const fn why(self) -> &'static str {
        match self {
            Self::Acquiring(_) => "we want a connection",
            Self::Withdrawing => "we want a connection no longer, and wait until none is ours",
            Self::Warm => "established and warm mini-protocols run",
            Self::Activating => "hot mini-protocols are about to run",
            Self::Hot => "hot mini-protocols run",
            Self::Deactivating { .. } => "we wait for hot mini-protocols to end",
            Self::Closing { .. } => "we wait for all mini-protocols to end",
            Self::Cooling => "we use it no more, and wait until its connection is ours no longer",
        }
    }

    /// What would change that, and to what.
    pub const fn ways(self) -> &'static [(Way, &'static str)] {
        match self {
            Self::Acquiring(_) => &[
                (Way::Acquired, "warm"),
                (Way::NotAcquired, "cold"),
                (Way::Close, "withdrawing"),
            ],
            Self::Withdrawing => &[(Way::NotAcquired, "cold"), (Way::Demoted, "cold")],
            Self::Warm => &[
                (Way::Activate, "activating"),
                (Way::Close, "closing"),
                (Way::OtherEnds, "closing"),
                (Way::Ended, "cooling"),
            ],
            Self::Activating => &[
                (Way::HotRuns, "hot"),
                (Way::Deactivate, "deactivating"),
                (Way::Close, "closing"),
                (Way::Ended, "cooling"),
            ],
            Self::Hot => &[
                (Way::Deactivate, "deactivating"),
                (Way::HotEnds, "deactivating"),
                (Way::Close, "closing"),
                (Way::OtherEnds, "closing"),
                (Way::Ended, "cooling"),
            ],
            Self::Deactivating { .. } => &[
                (Way::AllEnd, "warm"),
                (Way::Timer, "cooling"),
                (Way::Close, "closing"),
                (Way::OtherEnds, "closing"),
                (Way::Ended, "cooling"),
            ],
            Self::Closing { .. } => &[
                (Way::AllEnd, "cooling"),
                (Way::Timer, "cooling"),
                (Way::Ended, "cooling"),
            ],
            Self::Cooling => &[(Way::Demoted, "cold")],
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

/// What can change where a peer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Way {
    /// The table gives a connection.
    Acquired,
    /// The table has none.
    NotAcquired,
    /// We are to activate it.
    Activate,
    /// A hot half runs.
    HotRuns,
    /// We are to deactivate it.
    Deactivate,
    /// A hot half ends by itself.
    HotEnds,
    /// An established or warm half ends by itself.
    OtherEnds,
    /// All that were asked to have ended.
    AllEnd,
    /// We are to close it.
    Close,
    /// The time is over: its connection is reset.
    Timer,
    /// Its connection ends.
    Ended,
    /// The connection is ours no longer.
    Demoted,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Acquired => "connection got",
            Self::NotAcquired => "no connection",
            Self::Activate => "activated",
            Self::HotRuns => "a hot mini-protocol runs",
            Self::Deactivate => "deactivated",
            Self::HotEnds => "a hot mini-protocol ends",
            Self::OtherEnds => "another mini-protocol ends",
            Self::AllEnd => "all have ended",
            Self::Close => "closed",
            Self::Timer => "the timer fires",
            Self::Ended => "the connection ends",
            Self::Demoted => "the table lets go of it",
        })
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

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.stage.name())?;
        if let Some(conn) = self.conn {
            write!(f, " on connection {conn}")?;
        }
        write!(f, ": {}", self.stage.why())?;
        for (i, protocol) in self.halves().enumerate() {
            let lead = if i == 0 { "; ours: " } else { ", " };
            write!(f, "{lead}{protocol}")?;
        }
        if let Some(until) = self.stage.until() {
            write!(f, "; reset at {until}")?;
        }
        if let Some(fault) = self.fault {
            write!(f, "; fault: {fault}")?;
        }
        for (i, (way, to)) in self.stage.ways().iter().enumerate() {
            let lead = if i == 0 { "; changes: " } else { ", " };
            write!(f, "{lead}{way} -> {to}")?;
        }
        Ok(())
    }
}
