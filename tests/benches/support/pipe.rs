//! The smallest machine over connections: one end serves as fast as there is room, the other
//! takes a given amount and says when it has it. No chain, no table of peers.

use std::net::SocketAddr;

use bytes::Bytes;
use samanea_core::{
    base::{
        Cx, HeaderFault, HeaderView, Instant, Machine, Point, ProtocolId, Role, Rules, Serial, Tip,
        TxId, Violated,
    },
    conn::{self, Connection, Fact, Order, Profile, Temperature},
    node::{Action, Command, Event, Notice},
    proto::{block_fetch, chain_sync},
};

use super::chain::{header, point, read};

/// What is transferred.
#[derive(Clone, Debug)]
pub(crate) enum Load {
    /// One range of `count` blocks, each of these bytes.
    Blocks { count: usize, body: Bytes },
    /// `count` headers of `bytes` bytes, pipelined or one at a time.
    Headers {
        count: usize,
        bytes: usize,
        pipelined: bool,
    },
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Pipe {
    load: Load,
    profile: Profile,
    serial: Serial,
    conn: Option<Connection>,
    acts: Vec<conn::Action>,
    orders: Vec<Order>,
    /// Blocks or headers sent or taken.
    done: usize,
    streaming: bool,
}

impl Pipe {
    pub(crate) fn new(load: Load, profile: Profile) -> Self {
        Self {
            load,
            profile,
            serial: Serial(1),
            conn: None,
            acts: Vec::new(),
            orders: Vec::new(),
            done: 0,
            streaming: false,
        }
    }

    fn connect(&mut self, cx: &mut Cx<'_, Action>, role: Role) {
        self.conn = Some(Connection::new(self.serial, role, &self.profile));
        self.feed(cx, conn::Event::Start);
    }

    fn feed(&mut self, cx: &mut Cx<'_, Action>, event: conn::Event) {
        let Some(connection) = &mut self.conn else {
            return;
        };
        let mut acts = std::mem::take(&mut self.acts);
        connection.step(&mut cx.child(&mut acts), event);
        for action in acts.drain(..) {
            let conn = self.serial;
            match action {
                conn::Action::Write(batch) => cx.act(Action::Write { conn, batch }),
                conn::Action::Close { reset } => cx.act(Action::Close { conn, reset }),
                conn::Action::Fact(fact) => self.fact(cx, fact),
            }
        }
        self.acts = acts;
        for order in std::mem::take(&mut self.orders) {
            self.feed(cx, conn::Event::Order(order));
        }
    }

    fn fact(&mut self, cx: &mut Cx<'_, Action>, fact: Fact) {
        match fact {
            Fact::Agreed(agreed) => {
                let conn = self.serial;
                let remote = SocketAddr::from(([127, 0, 0, 1], 1));
                self.orders.push(Order::Start(Temperature::Hot));
                cx.act(Action::Notify(Notice::Up {
                    conn,
                    remote,
                    dialled: true,
                    agreed,
                }));
            }
            Fact::BlockServe(_) => {
                self.streaming = true;
                self.orders
                    .push(Order::BlockServe(block_fetch::server::Order::Start));
                self.stream();
            }
            Fact::Room {
                protocol: ProtocolId::BLOCK_FETCH,
                role: Role::Responder,
            } if self.streaming => self.stream(),
            Fact::BlockFetch(block_fetch::client::Fact::Block(_)) => self.done += 1,
            Fact::BlockFetch(block_fetch::client::Fact::Done) => self.over(cx),
            Fact::ChainServe(fact) => self.serve_header(&fact),
            Fact::ChainSync(chain_sync::client::Fact::Backward { point, .. }) => {
                let head = chain_sync::client::Order::Head { point, number: 0 };
                self.orders.push(Order::ChainSync(head));
            }
            Fact::ChainSync(chain_sync::client::Fact::Forward { .. }) => {
                self.done += 1;
                if matches!(self.load, Load::Headers { count, .. } if count == self.done) {
                    self.over(cx);
                }
            }
            Fact::Ended(fault) => {
                let remote = SocketAddr::from(([127, 0, 0, 1], 1));
                cx.act(Action::Notify(Notice::Down {
                    conn: self.serial,
                    remote,
                    fault,
                }));
            }
            _ => {}
        }
    }

    /// Blocks until the egress buffer is full, so that news of room follows.
    fn stream(&mut self) {
        let Load::Blocks { count, body } = &self.load else {
            return;
        };
        let mut bytes = 0;
        while bytes <= 256 << 10 {
            if self.done == *count {
                self.streaming = false;
                self.orders
                    .push(Order::BlockServe(block_fetch::server::Order::Done));
                return;
            }
            bytes += body.len();
            self.done += 1;
            let block = block_fetch::server::Order::Block(body.clone());
            self.orders.push(Order::BlockServe(block));
        }
    }

    fn serve_header(&mut self, fact: &chain_sync::server::Fact) {
        let Load::Headers {
            count,
            bytes,
            pipelined,
        } = self.load
        else {
            return;
        };
        let number = self.done as u64;
        // A client asks ahead only while the tip is ahead of what is under way.
        let tip = Tip {
            point: point(number),
            block_no: if pipelined {
                count as u64 + 1_000
            } else {
                number
            },
        };
        let order = match fact {
            chain_sync::server::Fact::FindIntersect(_) => chain_sync::server::Order::Found {
                point: Point::Origin,
                tip,
            },
            chain_sync::server::Fact::RequestNext if self.done == 0 => {
                chain_sync::server::Order::Backward {
                    point: Point::Origin,
                    tip,
                }
            }
            chain_sync::server::Fact::RequestNext if self.done > count => {
                chain_sync::server::Order::Await
            }
            chain_sync::server::Fact::RequestNext => chain_sync::server::Order::Forward {
                header: header(number, bytes),
                tip,
            },
        };
        if matches!(fact, chain_sync::server::Fact::RequestNext) {
            self.done += 1;
        }
        self.orders.push(Order::ChainServe(order));
    }

    fn over(&self, cx: &mut Cx<'_, Action>) {
        cx.act(Action::Notify(Notice::RoundTrip {
            conn: self.serial,
            took: std::time::Duration::ZERO,
        }));
    }

    fn go(&mut self, cx: &mut Cx<'_, Action>) {
        let order = match &self.load {
            Load::Blocks { .. } => Order::BlockFetch(block_fetch::client::Order::Request {
                from: point(1),
                to: point(2),
            }),
            Load::Headers { .. } => Order::ChainSync(chain_sync::client::Order::Follow {
                points: vec![Point::Origin],
            }),
        };
        self.feed(cx, conn::Event::Order(order));
    }
}

impl Machine for Pipe {
    type Event = Event;
    type Action = Action;

    fn step(&mut self, cx: &mut Cx<'_, Action>, event: Event) {
        match event {
            Event::Listening { listener, .. } => cx.act(Action::AcceptOne { listener }),
            Event::Offered {
                listener, remote, ..
            } => {
                let conn = self.serial;
                cx.act(Action::Adopt {
                    listener,
                    remote,
                    conn,
                });
                self.connect(cx, Role::Responder);
            }
            Event::Connected { .. } => self.connect(cx, Role::Initiator),
            Event::Received { bytes, .. } => self.feed(cx, conn::Event::Received(bytes)),
            Event::Flushed { bytes, .. } => self.feed(cx, conn::Event::Flushed(bytes)),
            Event::Closed { cause, .. } => self.feed(cx, conn::Event::Closed(cause)),
            Event::Command(Command::AddPeer(remote)) => cx.act(Action::Dial {
                conn: self.serial,
                remote,
                bind: None,
            }),
            Event::Command(Command::Extend { .. }) => self.go(cx),
            Event::Command(Command::Shutdown) => cx.act(Action::Notify(Notice::Stopped)),
            Event::Turn => self.feed(cx, conn::Event::Turn),
            Event::Tick => self.feed(cx, conn::Event::Tick),
            _ => {}
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.conn.as_ref().and_then(Machine::next_deadline)
    }

    fn check_invariants(&self) -> Result<(), Violated> {
        Ok(())
    }
}

/// Rules of headers that say their number in their first bytes, and nothing else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PlainRules;

impl Rules for PlainRules {
    fn name(&self) -> &'static str {
        "bench"
    }

    fn header(&self, wrapped: &[u8]) -> Result<HeaderView, HeaderFault> {
        read(wrapped).ok_or(HeaderFault::Malformed)
    }

    fn tx_id(&self, _: &[u8]) -> Option<TxId> {
        None
    }
}
