//! The two halves of an open connection: what we do with it, what the peer does.

use super::{
    Action, Limits, LocalUse, Manager, RemoteUse, Trace, Victims,
    entry::{Line, Responders},
    table::{BUCKETS, NOT_OURS},
};
use crate::{
    base::{Cx, Instant, ProtocolId, Serial, Site, SlotIndex},
    conn::Fault,
};

impl Manager {
    /// The peer runs nothing from now on; for how long that may be is set.
    pub(super) fn start_idle(&mut self, now: Instant, slot: SlotIndex) {
        if let Some(idle) = self.config.idle {
            self.table.start(slot, Line::Idle, now.after(idle));
        }
    }

    pub(super) fn release(&mut self, cx: &mut Cx<'_, Action>, conn: Serial) {
        let found = self.table.slot(conn);
        let Some((slot, open)) = found.and_then(|slot| Some((slot, self.open(slot)?))) else {
            return self.count_stale();
        };
        if open.local != LocalUse::InUse || self.stopping {
            return;
        }
        match open.remote {
            RemoteUse::Idle | RemoteUse::Running(_) => {
                self.change_open(cx, slot, |open| open.local = LocalUse::None);
                self.demoted(cx, slot);
                if open.remote == RemoteUse::Idle {
                    self.prune(cx);
                }
            }
            RemoteUse::Cold | RemoteUse::Never => {
                self.change_open(cx, slot, |open| open.local = LocalUse::Linger);
                let at = cx.now.after(self.config.linger);
                self.table.start(slot, Line::Linger, at);
            }
        }
    }

    fn demoted(&self, cx: &mut Cx<'_, Action>, slot: SlotIndex) {
        if let Some((conn, entry)) = self.table.at(slot) {
            let remote = entry.remote;
            cx.act(Action::Demoted { conn, remote });
        }
    }

    /// A responder runs: the peer uses the connection, whatever we were about to do with it.
    pub(super) fn started(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, protocol: ProtocolId) {
        let found = self.table.slot(conn);
        let Some((slot, open)) = found.and_then(|slot| Some((slot, self.open(slot)?))) else {
            return self.count_stale();
        };
        let before = match open.remote {
            RemoteUse::Never => return self.count_stale(),
            RemoteUse::Idle | RemoteUse::Cold => Responders::default(),
            RemoteUse::Running(set) => set,
        };
        if self.stopping || before.with(protocol) == before {
            return;
        }
        let lingered = open.local == LocalUse::Linger;
        if before.is_empty() {
            // That it was idle, or that it lingered: one timer at most.
            self.table.stop(slot, Line::Idle);
        }
        self.change_open(cx, slot, |open| {
            open.remote = RemoteUse::Running(before.with(protocol));
            if lingered {
                open.local = LocalUse::None;
            }
        });
        if lingered {
            self.demoted(cx, slot);
        }
        if before.is_empty() && (lingered || open.local == LocalUse::InUse) {
            self.prune(cx);
        }
    }

    /// A responder ended cleanly; the last one leaves the peer idle.
    pub(super) fn ended(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, protocol: ProtocolId) {
        let found = self.table.slot(conn);
        let Some((slot, open)) = found.and_then(|slot| Some((slot, self.open(slot)?))) else {
            return self.count_stale();
        };
        let RemoteUse::Running(before) = open.remote else {
            return self.count_stale();
        };
        let left = before.without(protocol);
        if self.stopping || left == before {
            return;
        }
        let last = left.is_empty();
        self.change_open(cx, slot, |open| {
            open.remote = if last {
                RemoteUse::Idle
            } else {
                RemoteUse::Running(left)
            };
        });
        if last {
            self.start_idle(cx.now, slot);
        }
    }

    /// The peer has run nothing for long: the connection stays only if we use it.
    pub(super) fn idle_over(&mut self, cx: &mut Cx<'_, Action>, slot: SlotIndex) {
        self.table.stop(slot, Line::Idle);
        match self.open(slot) {
            Some(open) if open.local == LocalUse::InUse => {
                self.change_open(cx, slot, |open| open.remote = RemoteUse::Cold);
            }
            _ => self.quarantine(cx, slot, Fault::Idle),
        }
    }

    /// Duplex connections that have lasted are mature.
    pub(super) fn mature_due(&mut self, cx: &mut Cx<'_, Action>) {
        let mut count: u32 = 0;
        while let Some(slot) = self.table.due(Line::Maturity, cx.now) {
            self.table.ripen(slot);
            count = count.saturating_add(1);
        }
        if count > 0 {
            cx.act(Action::Mature);
            self.trace(cx, || Trace::Matured { count });
        }
    }

    /// Resets as many inbound connections as there are too many. The one that has just become
    /// inbound is a candidate like any other, and takes its new state if it is spared.
    /// src: Ouroboros network specification, "Connection Manager", pruning
    pub(super) fn prune(&mut self, cx: &mut Cx<'_, Action>) {
        let candidates = self.table.inbound;
        let excess = candidates.saturating_sub(self.config.limits.hard);
        if excess == 0 {
            return;
        }
        let mut victims = alloc::vec::Vec::new();
        for _ in 0..excess {
            let Some(slot) = self.victim(cx) else { break };
            let Some((conn, _)) = self.table.at(slot) else {
                break;
            };
            victims.push(conn);
            self.close(cx, slot, Fault::Limit);
        }
        self.trace(cx, || Trace::Pruned {
            victims,
            candidates,
        });
    }

    /// Whom to reset next.
    fn victim(&self, cx: &mut Cx<'_, Action>) -> Option<SlotIndex> {
        let lens = |range: core::ops::Range<usize>| -> usize {
            range.map(|at| self.table.bucket(at).len()).sum()
        };
        let group = match self.config.victims {
            Victims::Random if lens(0..NOT_OURS) > 0 => 0..NOT_OURS,
            Victims::Random => NOT_OURS..BUCKETS,
            Victims::ByState => {
                let first = (0..BUCKETS).find(|at| !self.table.bucket(*at).is_empty())?;
                first..first.saturating_add(1)
            }
        };
        let of = u32::try_from(lens(group.clone())).unwrap_or(u32::MAX);
        let mut drawn = cx.choice.below(Site::VICTIM, 0, of) as usize;
        for at in group {
            let row = self.table.bucket(at);
            match row.get(drawn) {
                Some(slot) => return Some(*slot),
                None => drawn = drawn.saturating_sub(row.len()),
            }
        }
        None
    }

    /// Other limits from now on.
    pub(super) fn limit(&mut self, cx: &mut Cx<'_, Action>, limits: Limits) {
        self.config.limits = limits;
        if !self.stopping {
            self.prune(cx);
        }
    }
}
