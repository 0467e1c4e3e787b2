use alloc::{collections::VecDeque, vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    BATCH_DONE, BLOCK, BUSY, BlockFetch, Client, IDLE, Message, NO_BLOCKS, REQUEST_RANGE,
    START_BATCH, STREAMING, Server,
    client::{Fact, Order},
    server,
};
use crate::{
    base::{Kind, Machine as _},
    proto::{
        Action, Event, Fault, Half, Protocol,
        rig::{Duel, Rig, point},
        testing::{encode, every_cell},
    },
};

const SECOND: Duration = Duration::from_secs(1);

fn sample(kind: Kind) -> Message {
    match kind {
        REQUEST_RANGE => Message::RequestRange {
            from: point(1, 7),
            to: point(1, 9),
        },
        START_BATCH => Message::StartBatch,
        NO_BLOCKS => Message::NoBlocks,
        BLOCK => Message::Block(Bytes::from(vec![7; 300])),
        BATCH_DONE => Message::BatchDone,
        _ => Message::ClientDone,
    }
}

fn request(n: u64) -> Order {
    Order::Request {
        from: point(1, n),
        to: point(1, n + 1),
    }
}

fn refused(n: u64) -> Action<Fact> {
    Action::Fact(Fact::Refused {
        from: point(1, n),
        to: point(1, n + 1),
    })
}

fn asked() -> Rig<Client> {
    let mut rig = Rig::started(Client::new(1));
    assert!(matches!(rig.order(request(7))[..], [Action::Send(_)]));
    rig
}

fn streaming() -> Rig<Client> {
    let mut rig = asked();
    let out = rig.receive::<BlockFetch>(&Message::StartBatch);
    assert_eq!(out, [Action::Fact(Fact::Started)]);
    rig
}

#[test]
fn every_cell_of_the_table_decodes_exactly_if_it_has_an_edge() {
    assert_eq!(every_cell::<BlockFetch>(sample), 4 * 6);
}

#[test]
fn every_other_message_fails_in_every_state() {
    let server = Rig::started(Server::new(1));
    let refused = [
        asked().refuses_the_rest::<BlockFetch>(BUSY, sample),
        streaming().refuses_the_rest::<BlockFetch>(STREAMING, sample),
        server.refuses_the_rest::<BlockFetch>(IDLE, sample),
    ];
    assert_eq!(refused, [4, 4, 4]);
}

#[test]
fn limits_hold_in_every_state() {
    asked().takes_at_most(65_535);
    streaming().takes_at_most(2_500_000);
    asked().times_out(BUSY, 60 * SECOND);
    streaming().times_out(STREAMING, 60 * SECOND);
    let server = Rig::started(Server::new(1));
    server.clone().takes_at_most(65_535);
    server.never_times_out();
}

#[test]
fn each_block_starts_the_minute_anew() {
    let mut rig = streaming();
    for _ in 0..3 {
        rig.wait(59 * SECOND);
        let out = rig.receive::<BlockFetch>(&sample(BLOCK));
        assert!(matches!(out[..], [Action::Fact(Fact::Block(_))]));
    }
    rig.times_out(STREAMING, 60 * SECOND);
}

#[test]
fn a_block_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
    // Head, tag and length are 9 bytes.
    let at = Message::Block(Bytes::from(vec![0; 2_500_000 - 9]));
    assert_eq!(encode::<BlockFetch>(&at).len(), 2_500_000);
    let out = streaming().receive::<BlockFetch>(&at);
    assert!(matches!(out[..], [Action::Fact(Fact::Block(_))]));
    let over = Message::Block(Bytes::from(vec![0; 2_500_000 - 8]));
    let out = streaming().receive::<BlockFetch>(&over);
    let fault = Fault::TooLarge { max: 2_500_000 };
    assert_eq!(out, [Action::Failed(fault)]);
}

#[test]
fn a_block_is_neither_copied_out_nor_in() {
    let body = Bytes::from(vec![9; 1_000]);
    let mut server = Rig::started(Server::new(1));
    server.receive::<BlockFetch>(&sample(REQUEST_RANGE));
    assert_eq!(server.order(server::Order::Start).len(), 1);
    let out = server.order(server::Order::Block(body.clone()));
    let [Action::Send(sent)] = &out[..] else {
        panic!("{out:?}");
    };
    assert_eq!(&sent.head[..], &[0x82, 4, 0xd8, 24, 0x59, 3, 0xe8]);
    assert_eq!(sent.body.as_ptr(), body.as_ptr());
    let whole: Bytes = [&sent.head[..], &sent.body[..]].concat().into();
    let read = BlockFetch::decode(STREAMING, &whole);
    let Ok(Message::Block(got)) = read else {
        panic!("{read:?}");
    };
    assert_eq!((&got, got.as_ptr()), (&body, whole[7..].as_ptr()));
}

#[test]
fn a_block_must_be_a_definite_string_under_tag_24() {
    for hex in [
        &[0x82, 4, 0x41, 1][..],
        &[0x82, 4, 0xd8, 24, 0x5f, 0x41, 1, 0xff],
        &[0x82, 4, 0xd8, 25, 0x41, 1],
        &[0x82, 4, 0xd8, 24, 0x42, 1],
        &[0x82, 4, 0xd8, 24, 1],
    ] {
        let read = BlockFetch::decode(STREAMING, &Bytes::copy_from_slice(hex));
        assert!(read.is_err(), "{hex:x?}");
    }
}

#[test]
fn a_hundred_requests_are_in_flight_a_hundred_wait_and_the_rest_are_refused() {
    let mut rig = Rig::started(Client::new(1));
    for n in 0..100 {
        assert!(
            matches!(rig.order(request(n))[..], [Action::Send(_)]),
            "{n}"
        );
    }
    for n in 100..200 {
        assert_eq!(rig.order(request(n)), [], "{n}");
    }
    assert_eq!(rig.order(request(200)), [refused(200)]);
    assert_eq!(rig.half.in_flight(), 100);
    let out = rig.receive::<BlockFetch>(&Message::NoBlocks);
    assert!(matches!(
        out[..],
        [Action::Fact(Fact::NoBlocks), Action::Send(_)]
    ));
    assert_eq!(rig.order(request(201)), []);
    assert_eq!(rig.order(request(202)), [refused(202)]);
}

#[test]
fn stop_refuses_what_waits_and_says_goodbye_when_nothing_is_in_flight() {
    let mut rig = Rig::started(Client::with_in_flight_max(1, 1));
    rig.order(request(1));
    rig.order(request(2));
    assert_eq!(rig.step(Event::Stop), [refused(2)]);
    assert_eq!(rig.order(request(3)), [refused(3)]);
    let out = rig.receive::<BlockFetch>(&Message::StartBatch);
    assert_eq!(out, [Action::Fact(Fact::Started)]);
    let out = rig.receive::<BlockFetch>(&Message::BatchDone);
    assert!(matches!(
        out[..],
        [Action::Fact(Fact::Done), Action::Send(_), Action::Ended]
    ));
    let out = Rig::started(Client::new(1)).step(Event::Stop);
    assert!(matches!(out[..], [Action::Send(_), Action::Ended]));
}

#[test]
fn the_server_sends_only_what_fits_the_state() {
    let orders = || {
        [
            server::Order::Start,
            server::Order::NoBlocks,
            server::Order::Block(Bytes::from_static(&[1])),
            server::Order::Done,
        ]
    };
    let idle = Rig::started(Server::new(1));
    let mut asked = idle.clone();
    let out = asked.receive::<BlockFetch>(&sample(REQUEST_RANGE));
    let want = server::Fact::Requested {
        from: point(1, 7),
        to: point(1, 9),
    };
    assert_eq!(out, [Action::Fact(want)]);
    assert_eq!(asked.half.awaits(), None, "one request at a time");
    let mut started = asked.clone();
    started.order(server::Order::Start);
    let rows = [
        (idle, [0, 0, 0, 0]),
        (asked, [1, 1, 0, 0]),
        (started, [0, 0, 1, 1]),
    ];
    for (rig, want) in rows {
        let got = orders().map(|order| rig.clone().order(order).len());
        assert_eq!(got, want);
    }
    let mut rig = Rig::started(Server::new(1));
    assert_eq!(rig.step(Event::Stop), []);
    assert_eq!(
        rig.receive::<BlockFetch>(&Message::ClientDone),
        [Action::Ended]
    );
}

/// What the server's owner still has to do for the request that it was told of.
type Plan = VecDeque<server::Order>;

fn plan(size: u8) -> Plan {
    if size.is_multiple_of(4) {
        return [server::Order::NoBlocks].into();
    }
    let blocks = (0..size % 4).map(|at| server::Order::Block(vec![at; 50].into()));
    let orders = [server::Order::Start].into_iter().chain(blocks);
    orders.chain([server::Order::Done]).collect()
}

fn expected(plan: &Plan) -> impl Iterator<Item = Fact> {
    plan.iter().map(|order| match order {
        server::Order::Start => Fact::Started,
        server::Order::NoBlocks => Fact::NoBlocks,
        server::Order::Block(body) => Fact::Block(body.clone()),
        server::Order::Done => Fact::Done,
    })
}

struct World {
    duel: Duel<Client, Server>,
    plan: Plan,
    want: Vec<Fact>,
    got: Vec<Fact>,
    asked: u64,
}

impl World {
    fn new(max: usize) -> Self {
        let (duel, _) = Duel::new(Client::with_in_flight_max(5, max), Server::new(5));
        Self {
            duel,
            plan: Plan::new(),
            want: Vec::new(),
            got: Vec::new(),
            asked: 0,
        }
    }

    fn act(&mut self, op: u8) {
        match op % 6 {
            0 => {
                self.asked += 1;
                let facts = self.duel.client_step(Event::Order(request(self.asked)));
                self.asked -= u64::try_from(facts.len()).unwrap();
            }
            1 => self.up(op / 6),
            2 | 3 => self.serve(),
            _ => self.down(),
        }
        self.duel.wait(Duration::from_millis(1));
        self.duel.client_step(Event::Tick);
        self.duel.server_step(Event::Tick);
    }

    fn up(&mut self, size: u8) {
        if !self.duel.deliver_up().is_empty() {
            assert!(self.plan.is_empty(), "one request at a time");
            self.plan = plan(size);
            self.want.extend(expected(&self.plan));
        }
    }

    fn serve(&mut self) {
        if let Some(order) = self.plan.pop_front() {
            self.duel.server_step(Event::Order(order));
        }
    }

    fn down(&mut self) {
        self.got.extend(self.duel.deliver_down());
    }
}

proptest! {
    /// However requests, answers and deliveries interleave: no fault, and the client tells what
    /// the server's owner did, in order, once for each request.
    #[test]
    fn legal_exchanges_never_fault_and_answers_keep_their_order(
        ops in proptest::collection::vec(any::<u8>(), 1..400),
        max in 1_usize..8,
    ) {
        let mut world = World::new(max);
        for op in &ops {
            world.act(*op);
            prop_assert!(world.duel.client.half.in_flight() <= max);
        }
        let refused = world.duel.client_step(Event::Stop).len();
        for op in ops.iter().cycle().take(400 * max) {
            world.up(*op);
            world.serve();
            world.down();
        }
        prop_assert_eq!(&world.got, &world.want);
        let answered = |fact: &&Fact| matches!(fact, Fact::Done | Fact::NoBlocks);
        let answers = world.got.iter().filter(answered).count();
        prop_assert_eq!(answers + refused, usize::try_from(world.asked).unwrap());
        prop_assert_eq!(world.duel.ended, (true, true));
    }

    /// What only a client may say, and any other bytes that decode in no state, fail the client
    /// in whatever state it is while the server may speak.
    #[test]
    fn illegal_messages_always_fault(
        ops in proptest::collection::vec(any::<u8>(), 1..60),
        bytes in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut world = World::new(5);
        world.duel.client_step(Event::Order(request(1)));
        for op in ops {
            world.act(op);
        }
        prop_assume!(world.duel.client.half.awaits().is_some());
        let bytes = Bytes::from(bytes);
        let states = [BUSY, STREAMING];
        let illegal = states.iter().all(|state| BlockFetch::decode(*state, &bytes).is_err());
        let wrong = [sample(REQUEST_RANGE), Message::ClientDone].map(|m| encode::<BlockFetch>(&m));
        for bytes in wrong.into_iter().chain(illegal.then_some(bytes)) {
            let out = world.duel.client.clone().step(Event::Received(bytes));
            prop_assert!(matches!(out[..], [Action::Failed(Fault::Decode(_))]));
            prop_assert_eq!(world.duel.client.half.next_deadline().is_some(), true);
        }
    }
}
