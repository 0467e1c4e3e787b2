//! One connection of the table.

use core::net::SocketAddr;

use super::{Flow, Heat, Provenance, State};
use crate::{
    base::{Instant, ProtocolId, Request, Role, SlotIndex},
    conn::{Temperature, temperature},
    proto::handshake::{Agreed, Mode},
};

/// A connection, a dial, or what is remembered of one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Entry {
    pub(super) remote: SocketAddr,
    /// `None` while dialling.
    pub(super) local: Option<SocketAddr>,
    pub(super) provenance: Provenance,
    pub(super) phase: Phase,
    /// When the phase, or the use by either side, last changed.
    pub(super) since: Instant,
    /// Its place among the timers of its kind.
    pub(super) timer: Link,
    /// Its place among those that mature.
    pub(super) maturity: Link,
    /// Its place among the inbound ones of its kind.
    pub(super) bucket: u32,
    /// Its place among the mature ones.
    pub(super) mature: Option<u32>,
}

/// A place in a [`Timeline`](super::table::Timeline).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Link {
    pub(super) line: Option<Line>,
    pub(super) at: Instant,
    pub(super) prev: Option<SlotIndex>,
    pub(super) next: Option<SlotIndex>,
}

/// What a connection may wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Line {
    /// The peer runs nothing: given up then.
    Idle,
    /// Released: reset then.
    Linger,
    /// Remembered until then.
    Quarantine,
    /// In the order in which they began; the connection itself ends it.
    Lingering,
    /// Counts as one to share from then on.
    Maturity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Phase {
    /// For this request.
    Dialling { request: Request, mode: Mode },
    /// The handshake runs; as a client, for this request.
    Greeting { role: Role, request: Request },
    /// Agreed.
    Open(Open),
    /// The peer may read our refusal or answer.
    Lingering,
    /// Over but remembered; `held` when `Demoted` is due at the end.
    Quarantined { held: bool },
}

/// What is known of a connection after its handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Open {
    pub(super) flow: Flow,
    pub(super) agreed: Agreed,
    pub(super) local: LocalUse,
    pub(super) remote: RemoteUse,
}

/// What we do with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum LocalUse {
    /// Nothing, and never will: the peer dialled and agreed on one way.
    Never,
    /// Nothing.
    None,
    /// We hold it.
    InUse,
    /// Released; reset soon unless the peer uses it.
    Linger,
}

/// What the peer does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum RemoteUse {
    /// Nothing, and never will: we dialled and agreed on one way.
    Never,
    /// Nothing; given up soon.
    Idle,
    /// Nothing, for long.
    Cold,
    /// These responders run.
    Running(Responders),
}

/// A set of running responders, never empty in a [`RemoteUse::Running`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Responders(u16);

/// The mini-protocols that have a bit of their own; all others share the last one.
const KNOWN: [ProtocolId; 10] = [
    ProtocolId::CHAIN_SYNC,
    ProtocolId::BLOCK_FETCH,
    ProtocolId::TX_SUBMISSION,
    ProtocolId::KEEP_ALIVE,
    ProtocolId::PEER_SHARING,
    ProtocolId(16),
    ProtocolId(17),
    ProtocolId::RAIN_LINK,
    ProtocolId::TIP_SAMPLE,
    ProtocolId::RAIN_BULK,
];
const OTHER: u16 = 1 << 15;

impl Responders {
    fn bit(protocol: ProtocolId) -> u16 {
        KNOWN
            .iter()
            .position(|known| *known == protocol)
            .map_or(OTHER, |at| 1 << at)
    }

    /// The set with one more.
    #[must_use]
    pub fn with(self, protocol: ProtocolId) -> Self {
        Self(self.0 | Self::bit(protocol))
    }

    /// The set without one.
    #[must_use]
    pub fn without(self, protocol: ProtocolId) -> Self {
        Self(self.0 & !Self::bit(protocol))
    }

    /// Whether none runs.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether a hot one runs. One that has no bit of its own is hot.
    pub fn is_hot(self) -> bool {
        self.0 & OTHER != 0
            || self
                .iter()
                .any(|protocol| temperature(protocol) == Temperature::Hot)
    }

    /// Those with a bit of their own.
    pub fn iter(self) -> impl Iterator<Item = ProtocolId> {
        KNOWN
            .into_iter()
            .filter(move |protocol| self.0 & Self::bit(*protocol) != 0)
    }
}

impl Entry {
    /// The state as the reference names it.
    pub(super) fn state(&self) -> State {
        match &self.phase {
            Phase::Dialling { .. } => State::ReservedOutbound,
            Phase::Greeting {
                role: Role::Initiator,
                ..
            } => State::UnnegotiatedOutbound,
            Phase::Greeting {
                role: Role::Responder,
                ..
            } => State::UnnegotiatedInbound,
            Phase::Open(open) => open.state(),
            Phase::Lingering | Phase::Quarantined { .. } => State::Terminating,
        }
    }

    /// What the peer does, where it may do anything.
    pub(super) fn heat(&self) -> Option<Heat> {
        match &self.phase {
            Phase::Open(open) => open.heat(),
            _ => None,
        }
    }

    /// Whether there is a socket.
    pub(super) const fn has_socket(&self) -> bool {
        matches!(
            self.phase,
            Phase::Greeting { .. } | Phase::Open(_) | Phase::Lingering
        )
    }

    /// Whether we hold it, so that `Demoted` is due at its end.
    pub(super) const fn is_held(&self) -> bool {
        match &self.phase {
            Phase::Open(open) => matches!(open.local, LocalUse::InUse | LocalUse::Linger),
            Phase::Quarantined { held } => *held,
            _ => false,
        }
    }
}

impl Open {
    pub(super) fn state(&self) -> State {
        use {LocalUse as L, RemoteUse as R};
        match (self.flow, self.local, self.remote) {
            (Flow::Unidirectional, L::InUse, _) => State::OutboundUni,
            (Flow::Unidirectional, L::Linger, _) => State::OutboundIdleUni,
            (Flow::Unidirectional, _, R::Running(_)) => State::InboundUni,
            (Flow::Unidirectional, _, _) => State::InboundIdleUni,
            (Flow::Duplex, L::InUse, R::Running(_)) => State::Duplex,
            (Flow::Duplex, L::InUse, R::Idle) => State::OutboundDupTicking,
            (Flow::Duplex, L::InUse, _) => State::OutboundDupExpired,
            (Flow::Duplex, L::Linger, _) => State::OutboundIdleDup,
            (Flow::Duplex, _, R::Running(_)) => State::InboundDup,
            (Flow::Duplex, _, _) => State::InboundIdleDup,
        }
    }

    pub(super) fn heat(&self) -> Option<Heat> {
        match self.remote {
            RemoteUse::Never => None,
            RemoteUse::Idle => Some(Heat::Idle),
            RemoteUse::Cold => Some(Heat::Cold),
            RemoteUse::Running(set) if set.is_hot() => Some(Heat::Hot),
            RemoteUse::Running(_) => Some(Heat::Warm),
        }
    }

    /// Whether flow and both uses fit together.
    pub(super) fn is_allowed(&self) -> bool {
        use {LocalUse as L, RemoteUse as R};
        match self.flow {
            Flow::Unidirectional => matches!(
                (self.local, self.remote),
                (L::InUse | L::Linger, R::Never) | (L::Never, R::Idle | R::Running(_))
            ),
            Flow::Duplex => matches!(
                (self.local, self.remote),
                (L::None | L::InUse, R::Idle | R::Running(_)) | (L::InUse | L::Linger, R::Cold)
            ),
        }
    }
}
