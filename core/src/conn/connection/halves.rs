//! Driving the halves: what they read, what they say, when they begin and end.

use alloc::vec::Vec;

use super::{
    super::{Fact, Fault, half::AnyHalf},
    Action, Connection, Phase,
};
use crate::{
    base::{Cx, Machine, ProtocolId, Role},
    mux::{self, HalfId},
    proto,
    wire::Encoded,
};

impl Connection {
    /// Lets every half with new bytes read, until none is left.
    pub(super) fn pump_all(&mut self, cx: &mut Cx<'_, Action>) {
        while let Some(id) = self.work.pop_front() {
            self.pump(cx, id);
        }
    }

    pub(super) fn slot(&self, id: HalfId) -> Option<usize> {
        self.slots.iter().position(|slot| slot.id == id)
    }

    /// Lets one half read its messages while it awaits any. A responder is started by its first
    /// byte.
    fn pump(&mut self, cx: &mut Cx<'_, Action>, id: HalfId) {
        let Some(at) = self.slot(id) else { return };
        loop {
            let Phase::Open(open) = &mut self.phase else {
                return;
            };
            let Some(slot) = self.slots.get_mut(at) else {
                return;
            };
            let Some(half) = &mut slot.half else {
                if id.role == Role::Responder && open.mux.waiting(id) > 0 {
                    self.start(cx, id);
                    continue;
                }
                return;
            };
            let Some(max) = half.awaits() else { return };
            let fault = match slot.bytes.next(max) {
                Ok(Some(message)) => {
                    slot.unheard = false;
                    let mut acts = core::mem::take(&mut *self.half_acts);
                    half.received(&mut cx.child(&mut acts), message);
                    self.settle(cx, at, acts);
                    continue;
                }
                Ok(None) => {
                    let mut any = false;
                    for piece in open.mux.take(id) {
                        slot.bytes.push(piece);
                        any = true;
                    }
                    if any {
                        continue;
                    }
                    return;
                }
                Err(error) => error.into(),
            };
            let fault = Fault::Protocol {
                protocol: id.protocol,
                role: id.role,
                fault,
            };
            return self.end(cx, fault);
        }
    }

    /// Carries out what a half asked for.
    pub(super) fn settle(
        &mut self,
        cx: &mut Cx<'_, Action>,
        at: usize,
        mut acts: Vec<proto::Action<Fact>>,
    ) {
        let Some(id) = self.slots.get(at).map(|slot| slot.id) else {
            return;
        };
        for action in acts.drain(..) {
            match action {
                proto::Action::Send(message) => self.send(cx, id, message),
                proto::Action::Fact(fact) => {
                    if self.is_current(id) {
                        cx.act(Action::Fact(fact));
                    }
                }
                proto::Action::Ended => self.half_ended(cx, at, id),
                proto::Action::Failed(fault) => {
                    let HalfId { protocol, role } = id;
                    self.end(
                        cx,
                        Fault::Protocol {
                            protocol,
                            role,
                            fault,
                        },
                    );
                }
            }
        }
        *self.half_acts = acts;
    }

    /// Queues one message; says when that fills the half's buffer.
    fn send(&mut self, cx: &mut Cx<'_, Action>, half: HalfId, message: Encoded) {
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        let room = open.mux.room(half);
        let mut out = core::mem::take(&mut *self.mux_acts);
        open.mux
            .step(&mut cx.child(&mut out), mux::Event::Send { half, message });
        out.clear();
        *self.mux_acts = out;
        if room && !open.mux.room(half) {
            let HalfId { protocol, role } = half;
            cx.act(Action::Fact(Fact::Full { protocol, role }));
        }
    }

    /// A half is in its final state: what it has not read goes back, and a responder may be
    /// started again by the next byte.
    fn half_ended(&mut self, cx: &mut Cx<'_, Action>, at: usize, id: HalfId) {
        let Phase::Open(open) = &mut self.phase else {
            return;
        };
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        slot.half = None;
        slot.stopping = false;
        slot.unheard = false;
        let rest = slot.bytes.take_rest();
        if !rest.is_empty() {
            open.mux.give_back(id, rest);
            self.work.push_back(id);
        }
        cx.act(Action::Fact(Fact::Stopped {
            protocol: id.protocol,
            role: id.role,
        }));
        match id.role {
            Role::Initiator => self.stop_keep_alive(cx),
            Role::Responder => {
                self.link_left(cx, id);
                self.attend_keep_alive(cx);
            }
        }
    }

    /// Asks our keep-alive to end if it is to and nothing else of ours runs any more.
    fn stop_keep_alive(&mut self, cx: &mut Cx<'_, Action>) {
        let id = keep_alive(Role::Initiator);
        let due = |slot: &super::Slot| slot.id == id && slot.stopping && slot.half.is_some();
        if self.slots.iter().any(due) && !self.runs_beside_keep_alive(Role::Initiator) {
            self.stop(cx, id);
        }
    }

    /// The keep-alive responder runs while any other does, so that no peer can have one run for
    /// ever and fall silent; one that ran for that reason alone, and has heard nothing, ends with
    /// the last of the others.
    // deviates: the reference starts it with the next responder only, and lets it wait for a peer
    // that has nothing more to say.
    fn attend_keep_alive(&mut self, cx: &mut Cx<'_, Action>) {
        let id = keep_alive(Role::Responder);
        let Some(at) = self.slot(id) else { return };
        let slot = self.slots.get(at);
        let runs = slot.is_some_and(|slot| slot.half.is_some());
        let unheard = slot.is_some_and(|slot| slot.unheard);
        match (self.runs_beside_keep_alive(Role::Responder), runs) {
            (true, false) => self.watch(cx),
            (false, true) if unheard => self.half_ended(cx, at, id),
            _ => {}
        }
    }

    /// Runs the keep-alive responder because another one runs.
    fn watch(&mut self, cx: &mut Cx<'_, Action>) {
        let id = keep_alive(Role::Responder);
        if !self.runs(id) {
            self.start(cx, id);
            let at = self.slot(id);
            if let Some(slot) = at.and_then(|at| self.slots.get_mut(at)) {
                slot.unheard = true;
            }
        }
    }

    /// Whether a half in this role runs other than keep-alive.
    pub(super) fn runs_beside_keep_alive(&self, role: Role) -> bool {
        self.slots.iter().any(|slot| {
            let other = slot.id.protocol != ProtocolId::KEEP_ALIVE;
            slot.id.role == role && other && slot.half.is_some()
        })
    }

    /// Runs a half that is not running. The keep-alive responder starts with the first responder
    /// of any kind, so that its time limit binds the peer from then on.
    /// src: Ouroboros network specification, "Connection Manager", start on demand any
    pub(super) fn start(&mut self, cx: &mut Cx<'_, Action>, id: HalfId) {
        let Some(at) = self.slot(id) else { return };
        let Some(slot) = self.slots.get_mut(at) else {
            return;
        };
        if slot.half.is_some() {
            // One that was to end last, and has not been asked to, goes on.
            slot.stopping &= id.protocol != ProtocolId::KEEP_ALIVE;
            return;
        }
        slot.half = AnyHalf::new(id, self.serial, &self.config);
        let Some(half) = &mut slot.half else { return };
        self.link.count(id);
        cx.act(Action::Fact(Fact::Started {
            protocol: id.protocol,
            role: id.role,
        }));
        let mut acts = core::mem::take(&mut *self.half_acts);
        half.start(&mut cx.child(&mut acts));
        self.settle(cx, at, acts);
        self.work.push_back(id);
        if id.role == Role::Responder {
            if id.protocol != ProtocolId::KEEP_ALIVE {
                self.watch(cx);
            }
            self.link_came(cx, id);
        }
    }
}

const fn keep_alive(role: Role) -> HalfId {
    HalfId {
        protocol: ProtocolId::KEEP_ALIVE,
        role,
    }
}
