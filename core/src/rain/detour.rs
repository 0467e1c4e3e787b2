//! Frames that go through other members, because their receiver cannot be dialled from here now.
//!
//! Every member is connected to those it forwards to, at the gaps of the ring: so whoever is
//! passed a frame for somebody else hands it to the one of these that is nearest before the
//! receiver, and it arrives after no more hops than twice the depth of the tree.
//!
//! Only duties and what is said to them go this way. A payload is signed by its origin. That an
//! acknowledgement is who it says it is from is not proved: one on the way who lies about it can
//! hide a duty, as one who has the duty can, and the clean-up chains are there for both.
//!
//! Limits: a frame is passed on as often as its `ttl` says and counts as a question of who passes
//! it on; never to whom it came from.

use super::{Action, Misdeed, Priority, Rain, config::Reach};
use crate::{
    base::{Cx, MemberKey},
    proto::rain_link::Frame,
};

impl Rain {
    /// Sends a frame to a member, directly or through others; it is lost when there is no way.
    pub(super) fn emit(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        frame: Frame,
        priority: Priority,
    ) {
        if self.peers.is_up(&peer, self.config.reach) {
            return cx.act(Action::Send {
                peer,
                frame,
                priority,
            });
        }
        let Some((via, ttl)) = self.way(&peer).filter(|_| may_detour(&frame)) else {
            return self.stale();
        };
        let frame = Frame::Relay {
            to: peer,
            from: self.me,
            ttl,
            frame: alloc::boxed::Box::new(frame),
        };
        cx.act(Action::Send {
            peer: via,
            frame,
            priority,
        });
    }

    /// Whether a member that is not up can be reached through others.
    pub(super) fn has_way(&self, peer: &MemberKey) -> bool {
        self.config.reach == Reach::Told && self.way(peer).is_some()
    }

    /// The next member on the way, and how often the frame may be passed on from there.
    fn way(&self, to: &MemberKey) -> Option<(MemberKey, u8)> {
        let mut views = self.groups.values().filter_map(|group| group.newest());
        views.find_map(|view| {
            let (seat, end) = (view.seat(&self.me)?, view.seat(to)?);
            let far = view.distance(seat, end);
            let gaps = view.gaps();
            let ttl = gaps.levels().saturating_mul(2);
            let steps = (1..=gaps.levels()).rev().flat_map(|level| {
                let gap = gaps.gap(level);
                [gap.saturating_mul(2), gap]
            });
            let mut nearer = steps
                .filter(|steps| *steps < far)
                .filter_map(|steps| view.key(view.ahead(seat, steps)))
                .filter(|key| self.peers.is_up(key, self.config.reach));
            Some((nearer.next()?, ttl))
        })
    }

    /// A frame came through another.
    pub(super) fn on_relay(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        (to, from): (MemberKey, MemberKey),
        ttl: u8,
        frame: Frame,
    ) {
        let both = self.groups.values().any(|group| {
            group.knows(&peer) && group.knows(&self.me) && group.knows(&from) && group.knows(&to)
        });
        if !both || !may_detour(&frame) || from == self.me {
            return self.misdeed(cx, peer, Misdeed::Outsider);
        }
        let rate = self.config.limits.asked_rate;
        let entry = self.peers.entry(cx.now, peer, &self.config);
        if !entry.may_ask(cx.now, 1, rate) {
            return self.misdeed(cx, peer, Misdeed::Flood);
        }
        if to == self.me {
            return self.heard_from(cx, from, frame);
        }
        let priority = if matches!(frame, Frame::Data(_)) {
            Priority::Bulk
        } else {
            Priority::Control
        };
        let next = if self.peers.is_up(&to, self.config.reach) {
            Some(to)
        } else {
            self.way(&to).map(|(via, _)| via)
        };
        let Some((next, ttl)) = next.filter(|next| *next != peer).zip(ttl.checked_sub(1)) else {
            return self.stale();
        };
        let frame = Frame::Relay {
            to,
            from,
            ttl,
            frame: alloc::boxed::Box::new(frame),
        };
        cx.act(Action::Send {
            peer: next,
            frame,
            priority,
        });
    }

    /// A duty, or what is said to one, of a member that is not the one it came from.
    fn heard_from(&mut self, cx: &mut Cx<'_, Action>, from: MemberKey, frame: Frame) {
        match frame {
            Frame::Data(data) => self.on_data(cx, from, *data),
            Frame::Duty(duty) => self.on_duty(cx, from, duty),
            Frame::Ack { ids } => self.on_ack(cx, from, &ids),
            Frame::Nack { ids, why } => self.on_nack(cx, from, &ids, why),
            _ => self.stale(),
        }
    }
}

/// What may go through others.
fn may_detour(frame: &Frame) -> bool {
    matches!(
        frame,
        Frame::Data(_) | Frame::Duty(_) | Frame::Ack { .. } | Frame::Nack { .. }
    )
}
