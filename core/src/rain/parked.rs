//! Messages that wait: for the view that they name, or for members who vouch for their origin.
//!
//! A message of an epoch that is not known yet waits for its view. Its sender is told, and takes
//! its duty back; when the view comes the message counts as pulled.
//!
//! Views of one epoch can differ for a while. A message whose origin is no member in the view here,
//! and that comes from a member who acts on another view, is neither taken nor refused for good:
//! its sender takes its duty back, and the message waits. Each member that sends it, asks about it
//! or lists it in a digest *vouches* for its origin. When as many vouch as a chain counts
//! custodians, it is delivered, and for this node alone: it is not sent on, nobody is asked about
//! it, and those who ask are told that the views differ, so that chains go past. So whoever vouches
//! has the origin in its own view, or lies; and to bring a message of a stranger to a member, as
//! many members must lie to that one as could hide a message from it.
//!
//! All that wait for vouchers together may take the share of one origin when they are taken.
//!
//! Limits: those of what is parked; the oldest goes first. A message waits for its view for
//! [`park`](super::Times::park), for vouchers as long as messages are kept.
//!
//! src: ours

use super::{
    Action, Rain,
    group::{Group, Parked},
    machine::Timer,
};
use crate::{
    base::{Cx, GroupId, Instant, MemberKey, MessageId},
    proto::rain_link::{Data, Entry, Flags, Why},
};

impl Rain {
    /// Keeps a message of a view that is not known yet.
    pub(super) fn park(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        id: MessageId,
        data: Data,
    ) {
        self.nack(cx, peer, id, Why::UnknownEpoch);
        let until = cx.now.after(self.config.times.park);
        self.keep_parked(Parked {
            until,
            from: peer,
            id,
            data,
            vouchers: [].into(),
        });
    }

    /// Keeps a message whose origin is no member here, until enough members vouch for it.
    pub(super) fn park_stranger(
        &mut self,
        cx: &mut Cx<'_, Action>,
        peer: MemberKey,
        id: MessageId,
        data: Data,
    ) {
        self.nack(cx, peer, id, Why::UnknownEpoch);
        let group = data.group.clone();
        let known = self.groups.get(&group);
        if !known.is_some_and(|known| known.is_stranger(&id)) {
            let until = cx.now.after(self.config.times.retain);
            self.keep_parked(Parked {
                until,
                from: peer,
                id,
                data,
                vouchers: [peer].into(),
            });
        }
        // Who waits to send it holds it, too.
        let waiters = self.promised(&id);
        self.vouch(cx, &group, peer, |parked| parked.id == id);
        for waiter in waiters {
            self.nack(cx, waiter, id, Why::UnknownEpoch);
            self.vouch(cx, &group, waiter, |parked| parked.id == id);
        }
    }

    fn keep_parked(&mut self, parked: Parked) {
        let limits = &self.config.limits;
        let (most, bytes) = (limits.parked, limits.parked_bytes);
        let Some(group) = self.groups.get_mut(&parked.data.group) else {
            return;
        };
        let no = group.no;
        group.park(parked, most, bytes);
        self.park_timer(no);
    }

    /// A member has a message in its hands that waits here, or several: it vouches for them.
    pub(super) fn vouch(
        &mut self,
        cx: &mut Cx<'_, Action>,
        group: &GroupId,
        peer: MemberKey,
        of: impl Fn(&Parked) -> bool,
    ) {
        let enough = usize::from(self.config.cleanup.custodians);
        let some = |known: &&mut Group| known.strangers().next().is_some() && known.knows(&peer);
        let Some(known) = self.groups.get_mut(group).filter(some) else {
            return;
        };
        let no = known.no;
        for parked in known.vouch(peer, enough, of) {
            let known = self.groups.get(group);
            let view = known
                .and_then(|known| known.view(parked.data.epoch))
                .cloned();
            let bytes = parked.data.payload.len();
            let room = self.has_room_for_stranger(bytes);
            if let Some(view) = view.filter(|_| room) {
                let data = as_pulled(parked.data);
                self.take(cx, parked.from, parked.id, data, view);
            }
        }
        self.park_timer(no);
    }

    /// A member lists what it holds: it vouches for those of them that wait.
    pub(super) fn vouch_by_digest(
        &mut self,
        cx: &mut Cx<'_, Action>,
        group: &GroupId,
        peer: MemberKey,
        entry: &Entry,
    ) {
        self.vouch(cx, group, peer, |parked| {
            let data = &parked.data;
            (data.origin, data.boot) == (entry.origin, entry.boot)
                && (entry.low..=entry.max).contains(&data.seq)
                && !entry.holes.contains(&data.seq)
        });
    }

    /// A view came: what waited for it counts as pulled, for the sender has taken its duty back.
    pub(super) fn unpark(&mut self, cx: &mut Cx<'_, Action>, group: &GroupId, epoch: u64) {
        let Some(known) = self.groups.get_mut(group) else {
            return;
        };
        let no = known.no;
        for parked in known.unpark(epoch) {
            let data = as_pulled(parked.data);
            let (id, peer) = (parked.id, parked.from);
            if self.copy(cx, peer, id, &data) {
                continue;
            }
            if let Ok(view) = self.check(cx, peer, &id, &data) {
                self.take(cx, peer, id, data, view);
            }
        }
        self.park_timer(no);
    }

    /// The time of some has come.
    pub(super) fn park_ends(&mut self, cx: &Cx<'_, Action>, no: u32) {
        let group = self.numbers.get(&no);
        if let Some(known) = group.and_then(|group| self.groups.get_mut(group)) {
            known.parked.retain(|parked| parked.until > cx.now);
        }
        self.park_timer(no);
    }

    fn park_timer(&mut self, no: u32) {
        let group = self
            .numbers
            .get(&no)
            .and_then(|group| self.groups.get(group));
        let parked = group.into_iter().flat_map(|known| &known.parked);
        let next: Option<Instant> = parked.map(|parked| parked.until).min();
        self.timers.set(Timer::Park(no), next);
    }
}

/// What was parked is not forwarded: who sent it has made other arrangements.
fn as_pulled(data: Data) -> Data {
    Data {
        flags: Flags::PULLED,
        ..data
    }
}
