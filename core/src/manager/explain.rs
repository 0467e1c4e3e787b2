//! Why a connection is in its state, and what would change it.

use alloc::vec::Vec;
use core::{fmt, net::SocketAddr};

use super::{
    Flow, Heat, Manager, Provenance, State,
    entry::{Entry, Line, LocalUse, Phase, RemoteUse},
    table::Table,
};
use crate::{
    base::{Instant, ProtocolId, Serial},
    proto::handshake::Agreed,
};

/// One connection, explained.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Explanation {
    /// Its name.
    pub conn: Serial,
    /// The other end.
    pub remote: SocketAddr,
    /// Our end; `None` while dialling.
    pub local: Option<SocketAddr>,
    /// Who dialled.
    pub provenance: Provenance,
    /// Its state.
    pub state: State,
    /// When that last changed.
    pub since: Instant,
    /// What was agreed; `None` before the handshake is done and after the end.
    pub agreed: Option<Agreed>,
    /// What we do with it.
    pub local_use: Option<LocalUse>,
    /// How hot the peer is.
    pub heat: Option<Heat>,
    /// The responders that run for the peer.
    pub responders: Vec<ProtocolId>,
    /// The timer that runs, and when it fires.
    pub timer: Option<(Timer, Instant)>,
    /// Requests of ours that wait for it.
    pub waiting: usize,
    /// What would change its state, and to what.
    pub ways: Vec<(Way, State)>,
}

/// The timers of a connection of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Timer {
    /// The peer runs nothing.
    Idle,
    /// We have released it.
    Linger,
    /// It is over but remembered.
    Quarantine,
}

/// What can change the state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum Way {
    /// The dial succeeds.
    Connected,
    /// The handshake succeeds, both ways.
    AgreedDuplex,
    /// The handshake succeeds, one way.
    AgreedOneWay,
    /// We refuse the peer, or answer its query.
    Refused,
    /// We acquire it.
    Acquire,
    /// We release it.
    Release,
    /// A responder starts: the peer uses it.
    PeerStarts,
    /// The last responder ends: the peer uses it no longer.
    PeerEnds,
    /// Its timer fires.
    Timer,
    /// The peer connects from the same addresses.
    PeerReturns,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Connected => "connected",
            Self::AgreedDuplex => "agreed both ways",
            Self::AgreedOneWay => "agreed one way",
            Self::Refused => "refused or queried",
            Self::Acquire => "we acquire it",
            Self::Release => "we release it",
            Self::PeerStarts => "the peer uses it",
            Self::PeerEnds => "the peer uses it no longer",
            Self::Timer => "the timer fires",
            Self::PeerReturns => "the peer dials again",
        })
    }
}

/// What leads from a state to another, its timer when one runs; but for the end of the connection,
/// which leads from any to [`State::Terminated`].
fn ways(state: State) -> &'static [(Way, State)] {
    use Way::{
        Acquire, AgreedDuplex, AgreedOneWay, Connected, PeerEnds, PeerReturns, PeerStarts, Refused,
        Release,
    };
    match state {
        State::Unknown | State::Terminated => &[],
        State::ReservedOutbound => &[(Connected, State::UnnegotiatedOutbound)],
        State::UnnegotiatedOutbound => &[
            (AgreedDuplex, State::OutboundDupTicking),
            (AgreedOneWay, State::OutboundUni),
        ],
        State::UnnegotiatedInbound => &[
            (AgreedDuplex, State::InboundIdleDup),
            (AgreedOneWay, State::InboundIdleUni),
            (Refused, State::Terminating),
        ],
        State::OutboundUni => &[(Release, State::OutboundIdleUni)],
        State::OutboundDupTicking => &[
            (Release, State::InboundIdleDup),
            (PeerStarts, State::Duplex),
            (Way::Timer, State::OutboundDupExpired),
        ],
        State::OutboundDupExpired => &[
            (Release, State::OutboundIdleDup),
            (PeerStarts, State::Duplex),
        ],
        State::OutboundIdleUni => &[(Way::Timer, State::Terminating)],
        State::OutboundIdleDup => &[
            (PeerStarts, State::InboundDup),
            (Way::Timer, State::Terminating),
        ],
        State::InboundIdleUni => &[
            (PeerStarts, State::InboundUni),
            (Way::Timer, State::Terminating),
        ],
        State::InboundIdleDup => &[
            (Acquire, State::OutboundDupTicking),
            (PeerStarts, State::InboundDup),
            (Way::Timer, State::Terminating),
        ],
        State::InboundUni => &[(PeerEnds, State::InboundIdleUni)],
        State::InboundDup => &[(Acquire, State::Duplex), (PeerEnds, State::InboundIdleDup)],
        State::Duplex => &[
            (Release, State::InboundDup),
            (PeerEnds, State::OutboundDupTicking),
        ],
        State::Terminating => &[
            (Way::Timer, State::Terminated),
            (PeerReturns, State::UnnegotiatedInbound),
        ],
    }
}

impl Manager {
    /// Every connection with this peer, explained.
    pub fn explain(&self, remote: SocketAddr) -> Vec<Explanation> {
        let listed = self.table.of_remote(remote).iter();
        listed
            .filter_map(|conn| Some(self.explained(*conn, self.entry(*conn)?)))
            .collect()
    }

    /// Every connection, explained, in the order of their serials.
    pub fn explain_all(&self) -> Vec<Explanation> {
        let mut all: Vec<_> = self
            .table
            .slots
            .iter()
            .map(|(conn, entry)| self.explained(*conn, entry))
            .collect();
        all.sort_unstable_by_key(|explained| explained.conn);
        all
    }

    fn explained(&self, conn: Serial, entry: &Entry) -> Explanation {
        let open = match &entry.phase {
            Phase::Open(open) => Some(open),
            _ => None,
        };
        let state = entry.state();
        let responders = match open.map(|open| open.remote) {
            Some(RemoteUse::Running(set)) => set.iter().collect(),
            _ => Vec::new(),
        };
        let timer = Table::timer(entry).and_then(|(line, at)| {
            let timer = match line {
                Line::Idle => Timer::Idle,
                Line::Linger => Timer::Linger,
                Line::Quarantine => Timer::Quarantine,
                Line::Lingering | Line::Maturity => return None,
            };
            Some((timer, at))
        });
        let possible = |(way, _): &&(Way, State)| *way != Way::Timer || timer.is_some();
        let waits = |(_, wish): &(_, &super::machine::Wish)| !wish.owner && wish.conn == conn;
        Explanation {
            conn,
            remote: entry.remote,
            local: entry.local,
            provenance: entry.provenance,
            state,
            since: entry.since,
            agreed: open.map(|open| open.agreed),
            local_use: open.map(|open| open.local),
            heat: entry.heat(),
            responders,
            timer,
            waiting: self.wishes.iter().filter(waits).count(),
            ways: ways(state).iter().filter(possible).copied().collect(),
        }
    }
}

impl Explanation {
    /// The flow, once agreed.
    pub fn flow(&self) -> Option<Flow> {
        use crate::proto::handshake::Mode;
        self.agreed.map(|agreed| match agreed.data.mode {
            Mode::InitiatorAndResponder => Flow::Duplex,
            Mode::InitiatorOnly => Flow::Unidirectional,
        })
    }

    /// Why it is in its state, in words.
    pub fn why(&self) -> &'static str {
        match self.state {
            State::Unknown => "not in the table",
            State::ReservedOutbound => "we dial",
            State::UnnegotiatedOutbound => "we dialled; the handshake runs",
            State::UnnegotiatedInbound => "the peer dialled; the handshake runs",
            State::OutboundUni => "we use it; the peer cannot",
            State::OutboundDupTicking => "we use it; the peer has not used it for a moment",
            State::OutboundDupExpired => "we use it; the peer does not",
            State::OutboundIdleUni | State::OutboundIdleDup => {
                "we have released it and the peer does not use it"
            }
            State::InboundIdleUni => "the peer may use it and does not",
            State::InboundIdleDup => "both may use it and neither does",
            State::InboundUni => "the peer uses it; we cannot",
            State::InboundDup => "the peer uses it; we do not",
            State::Duplex => "both use it",
            State::Terminating if self.timer.is_some() => "over; the peer is not dialled meanwhile",
            State::Terminating => "refused or queried; the peer may read our answer",
            State::Terminated => "over",
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dialled = match self.provenance {
            Provenance::Inbound => "from",
            Provenance::Outbound => "to",
        };
        write!(
            f,
            "connection {} {dialled} {}: {:?} since {}: {}",
            self.conn,
            self.remote,
            self.state,
            self.since,
            self.why()
        )?;
        if let Some((timer, at)) = self.timer {
            write!(f, "; {timer:?} timer at {at}")?;
        }
        if self.waiting > 0 {
            write!(f, "; {} requests wait for it", self.waiting)?;
        }
        for (i, (way, to)) in self.ways.iter().enumerate() {
            let lead = if i == 0 { "; changes: " } else { ", " };
            write!(f, "{lead}{way} -> {to:?}")?;
        }
        Ok(())
    }
}
