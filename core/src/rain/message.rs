//! What a node keeps of one message while it is alive.

use alloc::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use smallvec::SmallVec;

use super::{
    Look, Report, Seat, Side, View,
    event::{MessageClass, Way},
};
use crate::{
    base::{Instant, MemberKey, Signature},
    proto::rain_link::{Flags, Terms},
};

/// A message that is held: its bytes are verified, and it has neither expired nor been rejected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Message {
    pub view: View,
    /// This node's seat in the view; `None` at one who handed it in from outside.
    pub seat: Option<Seat>,
    pub origin: MemberKey,
    pub boot: u32,
    pub seq: u64,
    pub signature: Signature,
    pub payload: Bytes,
    pub terms: Terms,
    /// Whether it waits for a view of a group that it goes on to.
    pub onward_waits: bool,
    pub class: MessageClass,
    pub way: Way,
    pub via: MemberKey,
    pub hop: u8,
    /// Marks that stay with everything sent for the arc.
    pub marks: Flags,
    /// Slots of the arc that was planned, itself the first; 1 = none but this node.
    pub arc: u32,
    /// Where it ends, as it was said.
    pub end: Option<MemberKey>,
    /// The lowest level of the legacy tree that was not acted on is at or below this: levels above
    /// it and below the first copy's are done.
    pub watermark: u8,
    /// Sends for silent children that may still be made.
    pub budget: u32,
    pub custodians: u8,
    pub duties: BTreeMap<Seat, Work>,
    pub holders: BTreeSet<Seat>,
    pub passed: BTreeSet<Seat>,
    /// How often a member was sent the payload because it wanted it.
    pub served: BTreeMap<Seat, u8>,
    pub chains: [Chain; 2],
    pub star: Option<Star>,
    pub verdict: Judged,
    pub since: Instant,
    pub report: Report,
    pub reported: bool,
}

/// An arc that a child was given and has not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Work {
    /// Slots of the child's arc; in the legacy tree its level.
    pub len: u32,
    pub flags: Flags,
    pub stage: Stage,
    /// When it was sent first.
    pub sent: Instant,
    /// Whether the answer says how far the child is: it was sent once.
    pub once: bool,
}

/// What has become of a duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Stage {
    /// Waits for a connection, or for the application's verdict.
    Unsent,
    /// The child is asked first whether it wants the payload.
    Asked,
    /// The payload is sent.
    Sent,
    /// The arc alone is sent.
    Told,
    /// Acknowledged.
    Done,
}

impl Stage {
    pub(super) fn is_open(self) -> bool {
        self != Self::Done
    }
}

/// One clean-up chain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Chain {
    pub state: ChainState,
    /// Steps from the own place on the clean-up ring.
    pub cursor: u32,
    /// Holders counted, with the steps at which they sit; at most as many as asked for.
    pub custodians: SmallVec<[(u32, Seat); 4]>,
}

/// Where a chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum ChainState {
    /// Not begun; `due` when its time has come and duties are open.
    Idle { due: bool },
    /// The member at the cursor is asked, perhaps for the second time.
    Asking { seat: Seat, extended: bool },
    /// The member at the cursor wanted it and was sent it.
    Sending { seat: Seat },
    /// It has looked at many in one step and goes on soon.
    Pausing,
    /// As many holders as needed, or once around.
    Done,
}

impl Chain {
    fn idle() -> Self {
        Self {
            state: ChainState::Idle { due: false },
            cursor: 0,
            custodians: SmallVec::new(),
        }
    }

    /// Whether it has not begun.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.state, ChainState::Idle { .. })
    }

    /// Whom it waits for.
    pub(super) fn waits_for(&self) -> Option<Seat> {
        match self.state {
            ChainState::Asking { seat, .. } | ChainState::Sending { seat } => Some(seat),
            ChainState::Idle { .. } | ChainState::Pausing | ChainState::Done => None,
        }
    }
}

/// A round in which the originator asks everybody.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Star {
    pub begun: bool,
    /// Steps from the own seat on the tree ring.
    pub cursor: u32,
    /// Asked, and not answered.
    pub asked: BTreeSet<Seat>,
}

/// The application's verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) enum Judged {
    /// It is not asked, or has accepted.
    Good,
    /// It is asked while the message is forwarded.
    Asked,
    /// It is asked before.
    Awaited,
}

impl Message {
    /// Two chains that have not begun.
    pub(super) fn chains() -> [Chain; 2] {
        [Chain::idle(), Chain::idle()]
    }

    /// No chain is run.
    pub(super) fn rest(&mut self) {
        for chain in &mut self.chains {
            chain.state = ChainState::Done;
        }
    }

    pub(super) fn bytes(&self) -> u32 {
        u32::try_from(self.payload.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn chain(&self, side: Side) -> &Chain {
        let [right, left] = &self.chains;
        match side {
            Side::Right => right,
            Side::Left => left,
        }
    }

    pub(super) fn chain_mut(&mut self, side: Side) -> &mut Chain {
        let [right, left] = &mut self.chains;
        match side {
            Side::Right => right,
            Side::Left => left,
        }
    }

    /// Duties without an answer.
    pub(super) fn open(&self) -> usize {
        self.duties.values().filter(|w| w.stage.is_open()).count()
    }

    /// Whether both chains have ended, or none is run.
    pub(super) fn is_clean(&self) -> bool {
        self.chains.iter().all(|c| c.state == ChainState::Done)
    }

    /// Whether the first chain has begun.
    pub(super) fn is_cleaning(&self) -> bool {
        !matches!(self.chain(Side::Right).state, ChainState::Idle { .. })
    }

    /// Everybody counted by either chain.
    pub(super) fn counted(&self) -> impl Iterator<Item = Seat> {
        let chains = self.chains.iter();
        chains.flat_map(|chain| chain.custodians.iter().map(|(_, seat)| *seat))
    }

    pub(super) fn key(&self, seat: Seat) -> MemberKey {
        self.view.key(seat).unwrap_or_default()
    }

    pub(super) fn look(&self) -> Look {
        Look {
            hop: self.hop,
            holders: self.holders.iter().copied().collect(),
            passed: self.passed.iter().copied().collect(),
            open: self.open(),
            clean: self.is_clean(),
            report: self.report,
        }
    }
}
