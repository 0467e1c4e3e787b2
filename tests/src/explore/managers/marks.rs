//! What must be seen sometimes.

use samanea_core::manager::State;

/// Something that a scope must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A change of state that the reference allows.
    Step(State, State),
    /// Two dials became one connection.
    SimultaneousOpen,
    /// A dial failed because the other node's dial took the addresses first.
    Collision,
    /// A connection that was there was acquired.
    Reuse,
    /// A request that waited for the peer's handshake got the connection.
    Waited,
    /// A request waited until a remembered connection was forgotten.
    WaitedOut,
    /// A dead connection gave way to a new one with the same addresses.
    Replaced,
    /// A remembered connection gave way to a new one with the same addresses.
    Returned,
    /// An accepted connection was reset because there were enough.
    HardLimit,
    /// A connection was reset to keep the limit.
    Pruned,
    /// The connection that had just become inbound was reset to keep the limit.
    PrunedItself,
    /// Accepting waited for room and went on.
    Resumed,
    /// Accepting waited for a while.
    Delayed,
    /// A peer runs hot responders.
    Hot,
    /// A duplex peer became mature.
    Matured,
    /// A responder started after the idle time was over and before the tick.
    JustInTime,
    /// A server refused.
    Refused,
    /// Every node has stopped.
    AllStopped,
    /// A connection that both use is closed because a node stops.
    StoppedInUse,
}

/// The changes of state that have a mark.
const STEPS: [(State, State, &str); 32] = {
    use State::{
        Duplex as Dup, InboundDup as InD, InboundIdleDup as IiD, InboundIdleUni as IiU,
        InboundUni as InU, OutboundDupExpired as OdX, OutboundDupTicking as OdT,
        OutboundIdleDup as OiD, OutboundIdleUni as OiU, OutboundUni as Ou, ReservedOutbound as Res,
        Terminated as Ted, Terminating as Trm, Unknown as Unk, UnnegotiatedInbound as UnI,
        UnnegotiatedOutbound as UnO,
    };
    [
        (Unk, Res, "Unk-Res"),
        (Res, UnO, "Res-UnO"),
        (Res, Ted, "Res-Ted"),
        (UnO, Ou, "UnO-Ou"),
        (UnO, OdT, "UnO-OdT"),
        (UnO, Ted, "UnO-Ted"),
        (Ou, OiU, "Ou-OiU"),
        (OdT, OdX, "OdT-OdX"),
        (OdX, OiD, "OdX-OiD"),
        (OdT, IiD, "OdT-IiD"),
        (IiD, OdT, "IiD-OdT"),
        (OdT, Dup, "OdT-Dup"),
        (OdX, Dup, "OdX-Dup"),
        (InD, Dup, "InD-Dup"),
        (Dup, OdT, "Dup-OdT"),
        (Dup, InD, "Dup-InD"),
        (Unk, UnI, "Unk-UnI"),
        (UnI, IiD, "UnI-IiD"),
        (UnI, IiU, "UnI-IiU"),
        (UnI, Trm, "UnI-Trm"),
        (IiD, InD, "IiD-InD"),
        (IiD, Trm, "IiD-Trm"),
        (InD, IiD, "InD-IiD"),
        (IiU, InU, "IiU-InU"),
        (IiU, Trm, "IiU-Trm"),
        (InU, IiU, "InU-IiU"),
        (OiD, InD, "OiD-InD"),
        (OiU, Trm, "OiU-Trm"),
        (OiD, Trm, "OiD-Trm"),
        (Trm, Ted, "Trm-Ted"),
        (Dup, Ted, "Dup-Ted"),
        (Ted, Unk, "Ted-Unk"),
    ]
};

const EVENTS: [(Mark, &str); 18] = [
    (Mark::SimultaneousOpen, "simultaneous open"),
    (Mark::Collision, "collision of dials"),
    (Mark::Reuse, "reuse"),
    (Mark::Waited, "waited for a handshake"),
    (Mark::WaitedOut, "waited for the end"),
    (Mark::Replaced, "replaced"),
    (Mark::Returned, "returned"),
    (Mark::HardLimit, "hard limit"),
    (Mark::Pruned, "pruned"),
    (Mark::PrunedItself, "pruned itself"),
    (Mark::Resumed, "resumed"),
    (Mark::Delayed, "delayed"),
    (Mark::Hot, "hot"),
    (Mark::Matured, "matured"),
    (Mark::JustInTime, "just in time"),
    (Mark::Refused, "refused"),
    (Mark::AllStopped, "all stopped"),
    (Mark::StoppedInUse, "stopped in use"),
];

/// The names, changes of state first.
pub(super) const NAMES: [&str; STEPS.len() + EVENTS.len()] = {
    let mut names = [""; STEPS.len() + EVENTS.len()];
    let mut n = 0;
    while n < STEPS.len() {
        names[n] = STEPS[n].2;
        n += 1;
    }
    while n < names.len() {
        names[n] = EVENTS[n - STEPS.len()].1;
        n += 1;
    }
    names
};

impl Mark {
    /// Its bit; none when the change of state has no mark.
    pub fn bit(self) -> u128 {
        let at = match self {
            Self::Step(from, to) => STEPS.iter().position(|step| (step.0, step.1) == (from, to)),
            other => EVENTS
                .iter()
                .position(|event| event.0 == other)
                .map(|at| at + STEPS.len()),
        };
        at.map_or(0, |at| 1 << at)
    }

    /// Every change of state that has a mark.
    pub fn steps() -> impl Iterator<Item = Self> {
        STEPS.iter().map(|(from, to, _)| Self::Step(*from, *to))
    }
}
