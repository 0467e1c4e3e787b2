//! How connections end, and what is remembered of them.

use super::{
    Action, Config, Manager, NotAcquired, State, Trace,
    entry::{Entry, Line, Phase},
    machine::trace_heat,
    requests::answer,
};
use crate::{
    base::{Cx, Role, SlotIndex},
    conn::Fault,
};

impl Manager {
    /// Closes a connection, or dial, and forgets it.
    pub(super) fn close(&mut self, cx: &mut Cx<'_, Action>, slot: SlotIndex, fault: Fault) {
        if let Some((conn, entry)) = self.table.at(slot) {
            if !matches!(entry.phase, Phase::Quarantined { .. }) {
                cx.act(Action::Close { conn, fault });
            }
            self.gone(cx, slot, fault);
        }
    }

    /// Closes a connection that both have done with, and remembers it.
    pub(super) fn quarantine(&mut self, cx: &mut Cx<'_, Action>, slot: SlotIndex, fault: Fault) {
        let Some((conn, entry)) = self.table.at(slot) else {
            return;
        };
        let (held, mature) = (entry.is_held(), entry.mature.is_some());
        cx.act(Action::Close { conn, fault });
        self.table.unripe(slot);
        if mature {
            cx.act(Action::Mature);
        }
        self.change(cx, slot, |entry| entry.phase = Phase::Quarantined { held });
        let at = cx.now.after(self.config.time_wait);
        self.table.start(slot, Line::Quarantine, at);
        self.bound_remembered(cx);
    }

    /// No more are remembered, or linger, than there may be.
    pub(super) fn bound_remembered(&mut self, cx: &mut Cx<'_, Action>) {
        for line in [Line::Lingering, Line::Quarantine] {
            if self.table.on_line(line) > self.config.remembered_max(line)
                && let Some((slot, _)) = self.table.first(line)
            {
                self.close(cx, slot, Fault::Limit);
            }
        }
    }

    /// When the table is full, the oldest that is only remembered, or lingers, gives way.
    pub(super) fn make_room(&mut self, cx: &mut Cx<'_, Action>) {
        for line in [Line::Quarantine, Line::Lingering] {
            if self.table.is_full()
                && let Some((slot, _)) = self.table.first(line)
            {
                self.close(cx, slot, Fault::Limit);
            }
        }
    }

    /// An entry leaves the table: whoever waits for it or holds it is told.
    pub(super) fn gone(&mut self, cx: &mut Cx<'_, Action>, slot: SlotIndex, fault: Fault) {
        let mature = self
            .table
            .at(slot)
            .is_some_and(|(_, entry)| entry.mature.is_some());
        let Some((conn, entry)) = self.table.remove(slot) else {
            return;
        };
        if mature {
            cx.act(Action::Mature);
        }
        if self.config.trace {
            trace_heat(cx, conn, entry.heat(), None);
            for (from, to) in [
                (entry.state(), State::Terminated),
                (State::Terminated, State::Unknown),
            ] {
                cx.act(Action::Trace(Trace::Transition { conn, from, to }));
            }
        }
        match entry.phase {
            Phase::Dialling { request, .. }
            | Phase::Greeting {
                role: Role::Initiator,
                request,
            } => {
                self.wishes.remove(&request);
                answer(cx, request, Err(self.why(fault, &entry)));
            }
            _ => {}
        }
        if entry.is_held() {
            let remote = entry.remote;
            cx.act(Action::Demoted { conn, remote });
        }
        let again = entry.phase.is_over() || fault == Fault::Replaced;
        while let Some((request, wish)) = self.pop_wish(conn) {
            if again {
                self.acquire(cx, request, wish);
            } else {
                answer(cx, request, Err(self.why(fault, &entry)));
            }
        }
    }

    /// What a request is told when its connection ends before its use.
    fn why(&self, fault: Fault, entry: &Entry) -> NotAcquired {
        match (fault, entry.phase) {
            _ if self.stopping => NotAcquired::Shutdown,
            (Fault::Cancelled, _) => NotAcquired::Cancelled,
            (Fault::Taken, _) => NotAcquired::Exists,
            (Fault::Lost(cause), Phase::Dialling { .. }) => NotAcquired::Connect(cause),
            _ => NotAcquired::Ended(fault),
        }
    }

    /// Another live connection was accepted or connected with the addresses of this one.
    pub(super) fn replace(&mut self, cx: &mut Cx<'_, Action>, slot: SlotIndex) {
        let Some((conn, entry)) = self.table.at(slot) else {
            return;
        };
        if entry.has_socket() {
            let fault = Fault::Replaced;
            cx.act(Action::Close { conn, fault });
            self.trace(cx, || Trace::Replaced { conn });
        }
        self.gone(cx, slot, Fault::Replaced);
    }
}

impl Config {
    /// How many connections that are over, or about to be, may stand on a line.
    pub(super) fn remembered_max(&self, line: Line) -> usize {
        let max = self.quarantined_max.min(self.entries_max / 2);
        match line {
            Line::Lingering => max.min(self.lingering_max),
            _ => max,
        }
    }
}
