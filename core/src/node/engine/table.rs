//! What the table of connections and the peer actions ask for, carried out.

use alloc::boxed::Box;
use core::net::SocketAddr;

use super::{
    super::{Action, Notice},
    Engine, Entry, Stopping, Task,
};
use crate::{
    base::{Cx, Machine, Role, Serial},
    conn::{self, Cause, Connection, Fault, Order},
    governor, manager, peer_actions,
    proto::handshake::Mode,
};

impl Engine {
    /// One event for the table; what it asks for is carried out at once, in order, so that a
    /// socket is closed before another takes its addresses.
    pub(super) fn manage(&mut self, cx: &mut Cx<'_, Action>, event: manager::Event) {
        let mut acts = core::mem::take(&mut self.work.manager_acts);
        self.manager.step(&mut cx.child(&mut acts), event);
        for action in acts.drain(..) {
            self.managed(cx, action);
        }
        self.work.manager_acts = acts;
    }

    fn managed(&mut self, cx: &mut Cx<'_, Action>, action: manager::Action) {
        match action {
            manager::Action::AcceptOne(listener) => cx.act(Action::AcceptOne { listener }),
            manager::Action::Adopt {
                listener,
                remote,
                conn,
            } => {
                self.enter(conn, remote, Role::Responder);
                cx.act(Action::Adopt {
                    listener,
                    remote,
                    conn,
                });
            }
            manager::Action::Reset { listener, remote } => {
                cx.act(Action::Reset { listener, remote });
            }
            manager::Action::Dial { conn, remote, bind } => {
                self.enter(conn, remote, Role::Initiator);
                cx.act(Action::Dial { conn, remote, bind });
            }
            manager::Action::Greet { conn, mode, .. } => self.greet(cx, conn, mode),
            manager::Action::Close { conn, fault } => self.close(cx, conn, fault),
            manager::Action::Acquired { request, outcome } => {
                if let Ok(acquired) = &outcome {
                    // Perhaps held before, without a link or with one that has ended.
                    self.link(acquired.conn);
                }
                self.task(Task::Peer(peer_actions::Event::Acquired {
                    request,
                    outcome,
                }));
            }
            manager::Action::Demoted { conn, .. } => {
                self.task(Task::Peer(peer_actions::Event::Demoted { conn }));
            }
            manager::Action::Mature => {
                let mature = self.manager.mature();
                let mature = mature.map(|(peer, agreed)| (peer, agreed.data.peer_sharing));
                self.task(Task::Governor(governor::Event::Mature(mature.collect())));
                cx.act(Action::Notify(Notice::Mature));
            }
            manager::Action::ListenerLost(listener) => {
                cx.act(Action::Notify(Notice::ListenerLost(listener)));
            }
            manager::Action::Counters(counters) => {
                cx.act(Action::Notify(Notice::Connections(counters)));
            }
            manager::Action::Trace(trace) => cx.act(Action::Notify(Notice::Trace(trace))),
            manager::Action::Stopped => self.stopping = Stopping::Quiet,
        }
    }

    fn enter(&mut self, conn: Serial, remote: SocketAddr, role: Role) {
        if self.conns.insert(conn, Entry::new(remote, role)).is_err() {
            self.count_stale();
        }
    }

    /// The socket of an entry is connected: the connection begins. Its offer says what the table
    /// says of responders; one that runs none shares no addresses either.
    /// src: ouroboros-network, peer sharing of initiator-only nodes from version 13 on
    fn greet(&mut self, cx: &mut Cx<'_, Action>, serial: Serial, mode: Mode) {
        let Some(entry) = self.conns.get_mut(&serial) else {
            return self.count_stale();
        };
        if entry.conn.is_some() {
            return self.count_stale();
        }
        let mut profile = self.profile.clone();
        profile.offer.mode = mode;
        profile.offer.peer_sharing &= mode == Mode::InitiatorAndResponder;
        entry.conn = Some(Box::new(Connection::new(serial, entry.role, &profile)));
        self.feed(cx, serial, conn::Event::Start);
        self.refresh(serial);
    }

    /// Ends one connection in order, else resets it, or a dial, at once.
    fn close(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, fault: Fault) {
        let Some(entry) = self.conns.get_mut(&conn) else {
            return self.count_stale();
        };
        if fault == Fault::Closed && entry.conn.is_some() {
            self.feed(cx, conn, conn::Event::Order(Order::Close));
            return self.refresh(conn);
        }
        entry.disowned = true;
        if entry.conn.is_some() {
            self.feed(cx, conn, conn::Event::Order(Order::Reset(fault)));
            self.refresh(conn);
            self.peer_ended(conn, fault);
        } else {
            cx.act(Action::Close { conn, reset: true });
            self.ended(cx, conn, fault);
        }
    }

    /// Tells the peer actions of the end of a connection that they hold.
    pub(super) fn peer_ended(&mut self, conn: Serial, fault: Fault) {
        if self.peer_actions.holder(conn).is_some() {
            self.task(Task::Peer(peer_actions::Event::Ended { conn, fault }));
        }
    }

    pub(super) fn connect_failed(&mut self, cx: &mut Cx<'_, Action>, conn: Serial, cause: Cause) {
        self.manage(cx, manager::Event::ConnectFailed { conn, cause });
        if let Some(entry) = self.conns.get_mut(&conn)
            && entry.conn.is_none()
        {
            entry.disowned = true;
            self.ended(cx, conn, Fault::Lost(cause));
        }
    }

    /// One event for the peer actions; what they ask for is queued.
    pub(super) fn peer_step(&mut self, cx: &mut Cx<'_, Action>, event: peer_actions::Event) {
        let work = &mut *self.work;
        self.peer_actions
            .step(&mut cx.child(&mut work.peer_acts), event);
        for action in work.peer_acts.drain(..) {
            let task = match action {
                peer_actions::Action::Acquire {
                    request,
                    remote,
                    mode,
                    via,
                } => Task::Manager(manager::Event::Acquire {
                    request,
                    remote,
                    mode,
                    via,
                }),
                peer_actions::Action::Cancel(request) => {
                    Task::Manager(manager::Event::Cancel(request))
                }
                peer_actions::Action::Release(conn) => Task::Manager(manager::Event::Release(conn)),
                peer_actions::Action::Start(conn, bundle) => {
                    work.orders.push_back((conn, Order::Start(bundle)));
                    continue;
                }
                peer_actions::Action::Stop(conn, bundle) => {
                    work.orders.push_back((conn, Order::Stop(bundle)));
                    continue;
                }
                peer_actions::Action::Reset(conn, fault) => {
                    work.orders.push_back((conn, Order::Reset(fault)));
                    continue;
                }
                peer_actions::Action::Fact(fact) => Task::Told(fact),
            };
            work.tasks.push_back(task);
        }
    }
}
