//! The names of the reference, as pure values: what traces, metrics and tests speak of.

/// Whether a connection can be used both ways; agreed in the handshake, for life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Flow {
    /// Only who dialled runs initiators.
    Unidirectional,
    /// Both ends may.
    Duplex,
}

/// Who dialled; no more than history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Provenance {
    /// The peer.
    Inbound,
    /// We.
    Outbound,
}

/// What the peer does with a connection on which it may run responders of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Heat {
    /// Nothing runs; the idle time does.
    Idle,
    /// Nothing runs, the idle time is over, and we use the connection.
    Cold,
    /// Responders run, none of them hot.
    Warm,
    /// At least one hot responder runs.
    Hot,
}

/// The state of a connection as the reference names it.
/// src: Ouroboros network specification, "Connection Manager", connection states
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum State {
    /// Not in the table.
    Unknown,
    /// We dial.
    ReservedOutbound,
    /// We dialled; the handshake runs.
    UnnegotiatedOutbound,
    /// The peer dialled; the handshake runs.
    UnnegotiatedInbound,
    /// We use it, the peer cannot.
    OutboundUni,
    /// We use it; the peer does not, and its idle time runs.
    OutboundDupTicking,
    /// We use it; the peer does not, and its idle time is over.
    OutboundDupExpired,
    /// Released by us, one way; it ends soon.
    OutboundIdleUni,
    /// Released by us, duplex, the peer cold; it ends soon.
    OutboundIdleDup,
    /// Nobody uses it; the peer could, one way.
    InboundIdleUni,
    /// Nobody uses it; both could.
    InboundIdleDup,
    /// The peer uses it, one way.
    InboundUni,
    /// The peer uses it, we could.
    InboundDup,
    /// Both use it.
    Duplex,
    /// Over, and remembered or lingering.
    Terminating,
    /// Over.
    Terminated,
}

impl State {
    /// All of them, in order.
    pub const ALL: [Self; 16] = [
        Self::Unknown,
        Self::ReservedOutbound,
        Self::UnnegotiatedOutbound,
        Self::UnnegotiatedInbound,
        Self::OutboundUni,
        Self::OutboundDupTicking,
        Self::OutboundDupExpired,
        Self::OutboundIdleUni,
        Self::OutboundIdleDup,
        Self::InboundIdleUni,
        Self::InboundIdleDup,
        Self::InboundUni,
        Self::InboundDup,
        Self::Duplex,
        Self::Terminating,
        Self::Terminated,
    ];

    /// Whether it counts against the accept limits.
    pub const fn is_inbound(self) -> bool {
        matches!(
            self,
            Self::UnnegotiatedInbound
                | Self::InboundIdleUni
                | Self::InboundIdleDup
                | Self::InboundUni
                | Self::InboundDup
                | Self::Duplex
        )
    }

    /// Whether we dialled, use it or have just released it.
    pub const fn is_outbound(self) -> bool {
        matches!(
            self,
            Self::UnnegotiatedOutbound
                | Self::OutboundUni
                | Self::OutboundDupTicking
                | Self::OutboundDupExpired
                | Self::OutboundIdleUni
                | Self::OutboundIdleDup
                | Self::Duplex
        )
    }

    /// Whether duplex was agreed.
    pub const fn is_duplex(self) -> bool {
        matches!(
            self,
            Self::OutboundDupTicking
                | Self::OutboundDupExpired
                | Self::OutboundIdleDup
                | Self::InboundIdleDup
                | Self::InboundDup
                | Self::Duplex
        )
    }

    /// Whether one way was agreed.
    pub const fn is_unidirectional(self) -> bool {
        matches!(
            self,
            Self::OutboundUni | Self::OutboundIdleUni | Self::InboundIdleUni | Self::InboundUni
        )
    }
}

/// Every change of state that the reference's checker allows, but for those to `Terminated` and
/// `Unknown`, which any other state may go to. The rows of a self connection are among them.
/// src: ouroboros-network, connection manager transitions
pub const TRANSITIONS: [(State, State); 43] = {
    use State::{
        Duplex as Dup, InboundDup as InD, InboundIdleDup as IiD, InboundIdleUni as IiU,
        InboundUni as InU, OutboundDupExpired as OdX, OutboundDupTicking as OdT,
        OutboundIdleDup as OiD, OutboundIdleUni as OiU, OutboundUni as Ou, ReservedOutbound as Res,
        Terminated as Ted, Terminating as Trm, Unknown as Unk, UnnegotiatedInbound as UnI,
        UnnegotiatedOutbound as UnO,
    };
    [
        (Ted, Res),
        (Unk, Res),
        (Res, UnO),
        (UnO, Ou),
        (UnO, OdT),
        (UnO, Trm),
        (UnI, Trm),
        (Ou, OiU),
        (OdT, OdX),
        (OdX, OiD),
        (OiU, OiU),
        (OiD, OiD),
        (OdT, IiD),
        (IiD, OdT),
        (OdT, Dup),
        (OdX, Dup),
        (OdT, OdT),
        (OdX, OdX),
        (InD, Dup),
        (Dup, OdT),
        (Dup, InD),
        (Ted, UnI),
        (Unk, UnI),
        (Res, UnI),
        (UnI, IiD),
        (UnI, IiU),
        (IiD, IiD),
        (IiD, InD),
        (IiD, Trm),
        (InD, IiD),
        (IiU, InU),
        (IiU, Trm),
        (InU, IiU),
        (OiD, InD),
        (UnO, UnI),
        (UnI, UnO),
        (OiU, Trm),
        (OiD, Trm),
        (Trm, Ted),
        (Trm, UnI),
        (UnO, IiD),
        (UnO, IiU),
        (IiU, Ou),
    ]
};

/// Whether a change of state is allowed.
pub fn is_legal(from: State, to: State) -> bool {
    match to {
        State::Terminated => !matches!(from, State::Terminated),
        State::Unknown => !matches!(from, State::Unknown),
        _ => TRANSITIONS.contains(&(from, to)),
    }
}

/// Every change of a peer's use that the reference's checker allows; `None` is not tracked.
/// src: ouroboros-network, inbound governor transitions
pub const REMOTE_TRANSITIONS: [(Option<Heat>, Option<Heat>); 18] = {
    use Heat::{Cold, Hot, Idle, Warm};
    [
        (None, Some(Idle)),
        (None, None),
        (Some(Idle), Some(Warm)),
        (Some(Idle), Some(Hot)),
        (Some(Idle), Some(Cold)),
        (Some(Idle), None),
        (Some(Idle), Some(Idle)),
        (Some(Cold), Some(Warm)),
        (Some(Cold), Some(Hot)),
        (Some(Cold), None),
        (Some(Cold), Some(Cold)),
        (Some(Warm), Some(Hot)),
        (Some(Warm), Some(Idle)),
        (Some(Warm), None),
        (Some(Warm), Some(Warm)),
        (Some(Hot), Some(Warm)),
        (Some(Hot), Some(Idle)),
        (Some(Hot), None),
    ]
};

/// Whether a change of a peer's use is allowed.
pub fn is_legal_remote(from: Option<Heat>, to: Option<Heat>) -> bool {
    REMOTE_TRANSITIONS.contains(&(from, to))
}
