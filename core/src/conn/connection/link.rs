//! The link of structured gossip: when its halves begin and end.
//!
//! ```text
//!  Link ─▶ our n-th halves ── first byte ──▶ the peer starts its n-th halves
//!  Unlink ─▶ farewells ─────────────────────▶ the peer ends its n-th halves
//! ```
//!
//! Each end counts the instances that it began and those that the peer began: the n-th of one and
//! the n-th of the other are one link, so that farewells and answers that cross on the way never
//! meet the wrong one. What a peer says on an instance that is not the counterpart of the one that
//! we run is dropped.

use super::{
    super::{Temperature, half::LINK},
    Action, Connection, Phase,
};
use crate::{
    base::{Cx, ProtocolId, Role},
    mux::HalfId,
};

/// Which link it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Link {
    /// How often our initiators began.
    ours: u32,
    /// How often the peer's began: of words, of payloads.
    theirs: [u32; 2],
    /// Our keep-alive runs for the link alone.
    kept: bool,
}

impl Link {
    /// A half begins.
    pub(super) fn count(&mut self, id: HalfId) {
        let count = match (id.protocol, id.role) {
            (ProtocolId::RAIN_LINK, Role::Initiator) => &mut self.ours,
            (_, Role::Initiator) => return,
            (protocol, Role::Responder) => match self.theirs_mut(protocol) {
                Some(count) => count,
                None => return,
            },
        };
        *count = count.wrapping_add(1);
    }

    /// A bundle is ordered: keep-alive runs for it, too.
    pub(super) fn keep(&mut self, bundle: Temperature) {
        self.kept &= bundle != Temperature::Established;
    }

    fn theirs_mut(&mut self, protocol: ProtocolId) -> Option<&mut u32> {
        let at = LINK.iter().position(|lane| *lane == protocol)?;
        self.theirs.get_mut(at)
    }
}

impl Connection {
    /// Bytes of payload that are queued for the link and not cut into segments.
    pub fn payload_queued(&self) -> usize {
        match &self.phase {
            Phase::Open(open) => open.mux.queued(initiator(ProtocolId::RAIN_BULK)),
            Phase::Greeting(_) | Phase::Closing { .. } | Phase::Over => 0,
        }
    }

    /// Whether a link may run here.
    pub fn may_link(&self) -> bool {
        self.slot(initiator(ProtocolId::RAIN_LINK)).is_some()
    }

    /// Whether a link runs.
    pub fn is_linked(&self) -> bool {
        self.runs(initiator(ProtocolId::RAIN_LINK))
    }

    /// Runs our halves, and keep-alive with them: the peer times it as soon as it hears of us.
    pub(super) fn link(&mut self, cx: &mut Cx<'_, Action>) {
        if !self.may_link() || self.is_linked() {
            return;
        }
        let alive = initiator(ProtocolId::KEEP_ALIVE);
        self.link.kept |= !self.runs(alive);
        for id in [alive].into_iter().chain(LINK.map(initiator)) {
            self.start(cx, id);
        }
    }

    /// Ends our halves.
    pub(super) fn unlink(&mut self, cx: &mut Cx<'_, Action>) {
        if !self.is_linked() {
            return;
        }
        for protocol in LINK {
            self.stop(cx, initiator(protocol));
        }
        if core::mem::take(&mut self.link.kept) {
            self.stop(cx, initiator(ProtocolId::KEEP_ALIVE));
        }
    }

    /// Whether what a half tells belongs to the link that runs, or to no link.
    pub(super) fn is_current(&self, id: HalfId) -> bool {
        let [words, payloads] = self.link.theirs;
        let theirs = match (id.protocol, id.role) {
            (ProtocolId::RAIN_LINK, Role::Responder) => words,
            (ProtocolId::RAIN_BULK, Role::Responder) => payloads,
            _ => return true,
        };
        theirs == self.link.ours && self.is_linked()
    }

    /// A half of the peer has begun: so does ours, if it has not had its counterpart.
    pub(super) fn link_came(&mut self, cx: &mut Cx<'_, Action>, id: HalfId) {
        let [words, _] = self.link.theirs;
        let new = words == self.link.ours.wrapping_add(1);
        if new && id.protocol == ProtocolId::RAIN_LINK {
            self.link(cx);
        }
    }

    /// A half of the peer has ended: so does ours, if it is its counterpart.
    pub(super) fn link_left(&mut self, cx: &mut Cx<'_, Action>, id: HalfId) {
        let [words, _] = self.link.theirs;
        if id.protocol == ProtocolId::RAIN_LINK && words == self.link.ours {
            self.unlink(cx);
        }
    }
}

const fn initiator(protocol: ProtocolId) -> HalfId {
    HalfId {
        protocol,
        role: Role::Initiator,
    }
}
