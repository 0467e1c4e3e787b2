use alloc::{vec, vec::Vec};
use core::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::{
    AWAIT_REPLY, CAN_AWAIT, ChainSync, Client, FIND_INTERSECT, IDLE, INTERSECT, INTERSECT_FOUND,
    INTERSECT_NOT_FOUND, MUST_REPLY, Message, REQUEST_NEXT, ROLL_BACKWARD, ROLL_FORWARD, Server,
    client::{Decision, Fact, Marks, Mode, Order, decide},
    server,
};
use crate::{
    base::{HeaderFault, Kind, Machine as _, Point, Tip},
    proto::{
        Action, Event, Fault, Half, Protocol,
        rig::{Duel, Rig, header, point, tip},
        testing::{encode, every_cell},
    },
    wire::codec::DecodeError,
};

const SECOND: Duration = Duration::from_secs(1);

fn sample(kind: Kind) -> Message {
    let (point, tip) = (point(1, 7), tip(1, 9));
    match kind {
        REQUEST_NEXT => Message::RequestNext,
        FIND_INTERSECT => Message::FindIntersect(vec![point, Point::Origin]),
        AWAIT_REPLY => Message::AwaitReply,
        ROLL_FORWARD => Message::RollForward {
            header: header(1, 7, 900),
            tip,
        },
        ROLL_BACKWARD => Message::RollBackward { point, tip },
        INTERSECT_FOUND => Message::IntersectFound { point, tip },
        INTERSECT_NOT_FOUND => Message::IntersectNotFound { tip },
        _ => Message::Done,
    }
}

/// How many requests are among these actions, all else being facts.
fn requests(actions: &[Action<Fact>]) -> usize {
    let sent = |action: &&Action<Fact>| match action {
        Action::Send(encoded) => {
            assert_eq!(&encoded.head[..], &[0x81, 0]);
            true
        }
        Action::Fact(_) => false,
        Action::Ended | Action::Failed(_) => panic!("{actions:?}"),
    };
    actions.iter().filter(sent).count()
}

fn seeking() -> Rig<Client> {
    let mut rig = Rig::started(Client::new(1));
    let points = vec![point(1, 5), Point::Origin];
    let out = rig.order(Order::Follow {
        points: points.clone(),
    });
    let want = encode::<ChainSync>(&Message::FindIntersect(points));
    assert!(matches!(&out[..], [Action::Send(sent)] if sent.head == want));
    rig
}

/// Follows from block 5 of a chain that ends at `end`; one request is under way.
fn following(end: u64) -> Rig<Client> {
    let mut rig = seeking();
    let out = rig.receive::<ChainSync>(&Message::IntersectFound {
        point: point(1, 5),
        tip: tip(1, end),
    });
    assert_eq!((out.len(), requests(&out)), (2, 1));
    rig
}

fn forward(number: u64, end: u64) -> Message {
    Message::RollForward {
        header: header(1, number, 100),
        tip: tip(1, end),
    }
}

fn back_to(number: u64, end: u64) -> Message {
    Message::RollBackward {
        point: point(1, number),
        tip: tip(1, end),
    }
}

#[test]
fn every_cell_of_the_table_decodes_exactly_if_it_has_an_edge() {
    assert_eq!(every_cell::<ChainSync>(sample), 5 * 8);
}

#[test]
fn every_other_message_fails_in_every_state() {
    let asked = following(9);
    let mut waiting = asked.clone();
    let out = waiting.receive::<ChainSync>(&Message::AwaitReply);
    assert_eq!(out, [Action::Fact(Fact::CaughtUp)]);
    let server = Rig::started(Server::new(1));
    let refused = [
        seeking().refuses_the_rest::<ChainSync>(INTERSECT, sample),
        asked.refuses_the_rest::<ChainSync>(CAN_AWAIT, sample),
        waiting.refuses_the_rest::<ChainSync>(MUST_REPLY, sample),
        server.refuses_the_rest::<ChainSync>(IDLE, sample),
    ];
    assert_eq!(refused, [6, 5, 6, 5]);
}

#[test]
fn limits_hold_in_every_state() {
    let asked = following(9);
    let mut waiting = asked.clone();
    waiting.receive::<ChainSync>(&Message::AwaitReply);
    let span = waiting.half.next_deadline().unwrap().since(waiting.now);
    assert!((601 * SECOND..=911 * SECOND).contains(&span));
    for rig in [seeking(), asked.clone(), waiting.clone()] {
        rig.takes_at_most(65_535);
    }
    seeking().times_out(INTERSECT, 10 * SECOND);
    asked.times_out(CAN_AWAIT, 10 * SECOND);
    waiting.times_out(MUST_REPLY, span);
    let server = Rig::started(Server::new(1));
    server.clone().takes_at_most(65_535);
    server.times_out(IDLE, 3_373 * SECOND);
}

#[test]
fn the_wait_for_a_new_block_is_drawn_on_each_entry() {
    let mut rig = following(5);
    let mut spans = Vec::new();
    for number in 6..26 {
        rig.receive::<ChainSync>(&Message::AwaitReply);
        spans.push(rig.half.next_deadline().unwrap().since(rig.now));
        let out = rig.receive::<ChainSync>(&forward(number, number));
        assert_eq!(requests(&out), 1);
    }
    spans.sort();
    spans.dedup();
    assert!(spans.len() > 15, "{spans:?}");
    assert!(
        spans
            .iter()
            .all(|span| (601..=911).contains(&span.as_secs()))
    );
}

#[test]
fn a_trusted_peer_may_have_no_news_for_ever_and_must_still_answer_in_time() {
    let mut asked = following(5);
    assert_eq!(asked.order(Order::Trust), []);
    asked.clone().times_out(CAN_AWAIT, 10 * SECOND);
    asked.receive::<ChainSync>(&Message::AwaitReply);
    assert_eq!(asked.half.next_deadline(), None);
    let out = asked.receive::<ChainSync>(&forward(6, 6));
    assert_eq!(requests(&out), 1);
    asked.clone().times_out(CAN_AWAIT, 10 * SECOND);
    asked.receive::<ChainSync>(&Message::AwaitReply);
    assert_eq!(asked.half.next_deadline(), None);
    // One that waits already need not wait for the next time.
    let mut waiting = following(5);
    waiting.receive::<ChainSync>(&Message::AwaitReply);
    assert_ne!(waiting.half.next_deadline(), None);
    waiting.order(Order::Trust);
    assert_eq!(waiting.half.next_deadline(), None);
}

#[test]
fn a_server_waits_for_questions_as_long_as_it_is_told() {
    let idle = |idle| Rig::started(Server::new(1).with_idle(idle));
    idle(Some(7 * SECOND)).times_out(IDLE, 7 * SECOND);
    assert_eq!(idle(None).half.next_deadline(), None);
    // In its other states it is the peer that waits; then it waits again.
    let mut server = idle(Some(7 * SECOND));
    server.receive::<ChainSync>(&Message::RequestNext);
    assert_eq!(server.half.next_deadline(), None);
    server.order(server::Order::Forward {
        header: header(1, 6, 100),
        tip: tip(1, 6),
    });
    server.times_out(IDLE, 7 * SECOND);
}

#[test]
fn a_message_of_exactly_the_limit_passes() {
    let of = |bytes| Message::RollForward {
        header: header(1, 6, bytes),
        tip: tip(1, 9),
    };
    let rest = encode::<ChainSync>(&of(900)).len() - 900;
    let at = encode::<ChainSync>(&of(65_535 - rest));
    assert_eq!(at.len(), 65_535);
    let mut rig = following(9);
    let out = rig.clone().step(Event::Received(at));
    assert!(matches!(out[0], Action::Fact(Fact::Forward { .. })));
    let over = encode::<ChainSync>(&of(65_536 - rest));
    let out = rig.step(Event::Received(over));
    assert_eq!(out, [Action::Failed(Fault::TooLarge { max: 65_535 })]);
}

#[test]
fn the_decision_follows_the_table_of_marks() {
    use Decision::{Collect, CollectOrPipeline, Pipeline, Request};
    let marks = Marks::default();
    let rows = [
        // mode, n, head, tip, decision, mode after
        (Mode::High, 0, Some(9), tip(1, 9), Request, Mode::Low),
        (Mode::Low, 0, None, Tip::ORIGIN, Request, Mode::Low),
        (Mode::Low, 0, Some(8), tip(1, 9), Pipeline, Mode::Low),
        (Mode::Low, 0, None, tip(1, 0), Pipeline, Mode::Low),
        (Mode::High, 0, Some(10), tip(1, 9), Pipeline, Mode::Low),
        (Mode::Low, 0, Some(3), Tip::ORIGIN, Pipeline, Mode::Low),
        (Mode::Low, 1, Some(8), tip(1, 9), Collect, Mode::Low),
        (
            Mode::Low,
            1,
            Some(7),
            tip(1, 9),
            CollectOrPipeline,
            Mode::Low,
        ),
        (Mode::Low, 1, Some(0), Tip::ORIGIN, Collect, Mode::Low),
        (Mode::Low, 7, None, tip(1, 8), Collect, Mode::Low),
        (Mode::Low, 6, None, tip(1, 8), CollectOrPipeline, Mode::Low),
        (
            Mode::Low,
            299,
            Some(0),
            tip(1, 900),
            CollectOrPipeline,
            Mode::Low,
        ),
        (Mode::Low, 300, Some(0), tip(1, 900), Collect, Mode::High),
        (Mode::Low, 300, Some(600), tip(1, 900), Collect, Mode::Low),
        (Mode::High, 201, Some(0), tip(1, 900), Collect, Mode::High),
        (
            Mode::High,
            200,
            Some(0),
            tip(1, 900),
            CollectOrPipeline,
            Mode::Low,
        ),
        (
            Mode::High,
            200,
            Some(900),
            tip(1, 900),
            CollectOrPipeline,
            Mode::Low,
        ),
    ];
    for (mode, n, head, tip, decision, after) in rows {
        let got = decide(mode, n, head, tip, marks);
        assert_eq!(got, (decision, after), "{mode:?} {n} {head:?} {tip:?}");
    }
}

#[test]
fn requests_run_between_the_marks() {
    let mut rig = following(10_000);
    let out = rig.order(Order::Head {
        point: point(1, 5),
        number: 5,
    });
    assert_eq!(requests(&out), 299, "up to the high mark");
    let mut sent = Vec::new();
    sent.push(requests(&rig.receive::<ChainSync>(&back_to(5, 10_000))));
    for number in 6..206 {
        sent.push(requests(
            &rig.receive::<ChainSync>(&forward(number, 10_000)),
        ));
    }
    let bursts: Vec<_> = sent.iter().enumerate().filter(|(_, n)| **n > 0).collect();
    assert_eq!(
        bursts,
        [(99, &100), (199, &100)],
        "from the low mark to the high one"
    );
}

#[test]
fn near_the_tip_no_request_goes_beyond_it() {
    let mut rig = following(15);
    let out = rig.order(Order::Head {
        point: point(1, 5),
        number: 5,
    });
    assert_eq!((requests(&out), rig.half.outstanding()), (9, 10));
    let mut sent = requests(&rig.receive::<ChainSync>(&back_to(5, 15)));
    for number in 6..=15 {
        sent += requests(&rig.receive::<ChainSync>(&forward(number, 15)));
    }
    assert_eq!(
        (sent, rig.half.outstanding()),
        (2, 1),
        "one waits at the tip"
    );
}

#[test]
fn a_block_number_that_comes_late_is_not_believed() {
    let mut rig = following(15);
    rig.receive::<ChainSync>(&back_to(5, 15));
    rig.receive::<ChainSync>(&forward(6, 15));
    let before = rig.half.outstanding();
    assert_eq!(before, 9, "as many as are left");
    let out = rig.order(Order::Head {
        point: point(1, 5),
        number: 5,
    });
    assert_eq!((requests(&out), rig.half.outstanding()), (0, before));
}

#[test]
fn with_an_unknown_block_number_one_request_at_a_time_is_under_way() {
    let mut rig = following(10_000);
    assert_eq!(requests(&rig.receive::<ChainSync>(&back_to(5, 10_000))), 1);
    assert_eq!(requests(&rig.receive::<ChainSync>(&back_to(4, 10_000))), 1);
    let out = rig.receive::<ChainSync>(&forward(5, 10_000));
    assert_eq!(requests(&out), 300, "the header says it");
}

#[test]
fn pause_lets_what_is_outstanding_arrive() {
    let mut rig = following(8);
    assert_eq!(rig.order(Order::Pause), []);
    let out = rig.receive::<ChainSync>(&back_to(5, 8));
    assert_eq!((out.len(), requests(&out)), (1, 0));
    assert_eq!((rig.half.awaits(), rig.half.next_deadline()), (None, None));
    assert_eq!(requests(&rig.order(Order::Resume)), 1);
}

#[test]
fn a_new_intersection_is_sought_when_nothing_is_outstanding() {
    let mut rig = following(8);
    rig.order(Order::Head {
        point: point(1, 5),
        number: 5,
    });
    let outstanding = rig.half.outstanding();
    assert_eq!(outstanding, 3);
    let points = vec![point(1, 6)];
    assert_eq!(rig.order(Order::Follow { points }), []);
    let told = [back_to(5, 8), forward(6, 8)].map(|m| rig.receive::<ChainSync>(&m));
    assert!(matches!(told[0][..], [Action::Fact(Fact::Backward { .. })]));
    assert!(matches!(told[1][..], [Action::Fact(Fact::Forward { .. })]));
    let out = rig.receive::<ChainSync>(&forward(7, 8));
    let question = encode::<ChainSync>(&Message::FindIntersect(vec![point(1, 6)]));
    assert!(
        matches!(&out[..], [Action::Fact(Fact::Forward { .. }), Action::Send(sent)] if sent.head == question)
    );
    let found = Message::IntersectFound {
        point: point(1, 6),
        tip: tip(1, 8),
    };
    assert_eq!(requests(&rig.receive::<ChainSync>(&found)), 1);
}

#[test]
fn no_intersection_leaves_the_client_idle_until_the_next_order() {
    let mut rig = seeking();
    let out = rig.receive::<ChainSync>(&Message::IntersectNotFound { tip: tip(2, 3) });
    assert_eq!(out, [Action::Fact(Fact::NotIntersected { tip: tip(2, 3) })]);
    assert_eq!(rig.order(Order::Resume), []);
    let points = vec![Point::Origin];
    assert_eq!(rig.order(Order::Follow { points }).len(), 1);
    let found = Message::IntersectFound {
        point: Point::Origin,
        tip: Tip::ORIGIN,
    };
    assert_eq!(requests(&rig.receive::<ChainSync>(&found)), 1);
}

#[test]
fn an_intersection_that_was_not_offered_is_a_fault() {
    let out = seeking().receive::<ChainSync>(&Message::IntersectFound {
        point: point(1, 6),
        tip: tip(1, 9),
    });
    assert_eq!(out, [Action::Failed(Fault::Intersection(point(1, 6)))]);
}

#[test]
fn a_header_that_the_rules_refuse_is_a_fault() {
    let out = following(9).receive::<ChainSync>(&Message::RollForward {
        header: Bytes::from_static(&[0x82, 6, 0xd8, 24, 0x41, 0]),
        tip: tip(1, 9),
    });
    let fault = Fault::Header(HeaderFault::Malformed);
    assert_eq!(out, [Action::Failed(fault)]);
}

#[test]
fn a_header_is_handed_up_exactly_as_it_travelled() {
    let wrapped = header(1, 6, 900);
    let out = following(9).receive::<ChainSync>(&Message::RollForward {
        header: wrapped.clone(),
        tip: tip(1, 9),
    });
    let Action::Fact(Fact::Forward {
        header,
        view,
        tip: end,
    }) = &out[0]
    else {
        panic!("{out:?}");
    };
    assert_eq!(
        (header, view.point, *end),
        (&wrapped, point(1, 6), tip(1, 9))
    );
}

#[test]
fn headers_keep_the_shape_of_their_envelope() {
    let read = |hex: &str| {
        let inner: Vec<u8> = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
            .collect();
        let message = [&[0x83, 2], &inner[..], &[0x82, 0x80, 0]].concat();
        ChainSync::decode(CAN_AWAIT, &message.into()).map(drop)
    };
    let legal = [
        "8206d818420102",
        "821807d81840",
        "82008282001903e8d8184101",
        "82008282011903e8d8184101",
    ];
    for hex in legal {
        assert_eq!(read(hex), Ok(()), "{hex}");
    }
    let illegal = [
        "8206420102",                 // no tag
        "8206d819420102",             // another tag
        "8206d8185f4101ff",           // chunked bytes
        "8206d81801",                 // no bytes
        "8306d81842010200",           // an item too many
        "9f06d818420102ff",           // indefinite
        "8219ffffd8184101",           // an era beyond 8 bits
        "8220d8184101",               // a negative era
        "8200d8184101",               // Byron without its own envelope
        "82008282021903e8d8184101",   // an unknown kind of Byron
        "8200828200d8184101",         // no size hint
        "82008283001903e800d8184101", // a third item beside the size hint
    ];
    for hex in illegal {
        assert!(read(hex).is_err(), "{hex}");
    }
}

#[test]
fn lists_of_points_are_written_indefinite_unless_empty_and_read_both_ways() {
    let empty = encode::<ChainSync>(&Message::FindIntersect(vec![]));
    assert_eq!(&empty[..], &[0x82, 4, 0x80]);
    let one = encode::<ChainSync>(&Message::FindIntersect(vec![Point::Origin]));
    assert_eq!(&one[..], &[0x82, 4, 0x9f, 0x80, 0xff]);
    for form in [&[0x82, 4, 0x81, 0x80][..], &one[..]] {
        let read = ChainSync::decode(IDLE, &Bytes::copy_from_slice(form));
        assert_eq!(read, Ok(Message::FindIntersect(vec![Point::Origin])));
    }
}

#[test]
fn as_many_points_are_offered_as_fit_a_message() {
    let mut rig = Rig::started(Client::new(1));
    let far = |n: u64| Point::Block {
        slot: u64::MAX - n,
        hash: point(1, n).hash().unwrap(),
    };
    let points: Vec<_> = (0..5_000).map(far).collect();
    let out = rig.order(Order::Follow { points });
    let [Action::Send(sent)] = &out[..] else {
        panic!("{out:?}");
    };
    assert!(sent.len() <= 65_535 && sent.len() > 60_000);
}

#[test]
fn stop_says_goodbye_when_nothing_is_outstanding() {
    let mut rig = following(8);
    assert_eq!(rig.step(Event::Stop), []);
    let out = rig.receive::<ChainSync>(&back_to(5, 8));
    assert!(matches!(
        out[..],
        [Action::Fact(_), Action::Send(_), Action::Ended]
    ));
    let mut rig = seeking();
    assert_eq!(rig.step(Event::Stop), []);
    let out = rig.receive::<ChainSync>(&Message::IntersectNotFound { tip: tip(1, 1) });
    assert!(matches!(
        out[..],
        [Action::Fact(_), Action::Send(_), Action::Ended]
    ));
    let out = Rig::started(Client::new(1)).step(Event::Stop);
    assert!(matches!(out[..], [Action::Send(_), Action::Ended]));
}

fn answers() -> [server::Order; 5] {
    let (point, tip) = (point(1, 7), tip(1, 9));
    [
        server::Order::Found { point, tip },
        server::Order::NotFound { tip },
        server::Order::Forward {
            header: header(1, 7, 100),
            tip,
        },
        server::Order::Backward { point, tip },
        server::Order::Await,
    ]
}

#[test]
fn the_server_sends_only_answers_to_what_was_asked() {
    let idle = Rig::started(Server::new(1));
    let mut asked = idle.clone();
    let out = asked.receive::<ChainSync>(&Message::RequestNext);
    assert_eq!(out, [Action::Fact(server::Fact::RequestNext)]);
    assert_eq!(asked.half.awaits(), None, "one question at a time");
    let mut waiting = asked.clone();
    assert_eq!(waiting.order(server::Order::Await).len(), 1);
    let mut sought = idle.clone();
    let points = vec![point(1, 7)];
    let out = sought.receive::<ChainSync>(&Message::FindIntersect(points.clone()));
    assert_eq!(out, [Action::Fact(server::Fact::FindIntersect(points))]);
    let rows = [
        (idle, [0, 0, 0, 0, 0]),
        (asked, [0, 0, 1, 1, 1]),
        (waiting, [0, 0, 1, 1, 0]),
        (sought, [1, 1, 0, 0, 0]),
    ];
    for (rig, want) in rows {
        let got = answers().map(|order| {
            let mut rig = rig.clone();
            let sent = rig.order(order.clone()).len();
            let again = rig.order(order).len();
            assert_eq!(again, 0, "an answer is given once");
            sent
        });
        assert_eq!(got, want);
    }
    let mut rig = Rig::started(Server::new(1));
    assert_eq!(rig.step(Event::Stop), []);
    assert_eq!(rig.receive::<ChainSync>(&Message::Done), [Action::Ended]);
}

/// The owners of both ends: a chain that grows and forks, and a follower's copy of it.
struct World {
    duel: Duel<Client, Server>,
    chain: Vec<Point>,
    fork: u8,
    /// What the follower has, as the server knows.
    served: Vec<Point>,
    rollback: bool,
    question: Option<server::Fact>,
    awaited: bool,
    copy: Vec<Point>,
    /// The copy as it was at each question for an intersection.
    offered: Vec<Vec<Point>>,
    intersections: usize,
}

impl World {
    fn new(marks: Marks) -> Self {
        let (duel, _) = Duel::new(Client::with_marks(3, marks), Server::new(3));
        Self {
            duel,
            chain: Vec::new(),
            fork: 1,
            served: Vec::new(),
            rollback: true,
            question: None,
            awaited: false,
            copy: Vec::new(),
            offered: Vec::new(),
            intersections: 0,
        }
    }

    fn act(&mut self, op: u8) {
        match op % 12 {
            0..=2 => self.up(),
            3..=5 => self.down(),
            6 | 7 => self.answer(),
            8 => self.grow(op),
            9 => {
                self.fork = self.fork.wrapping_add(1);
                self.chain
                    .truncate(self.chain.len().saturating_sub(usize::from(op % 5)));
                self.grow(3);
            }
            10 => self.follow(),
            _ => {
                let order = if op.is_multiple_of(2) {
                    Order::Pause
                } else {
                    Order::Resume
                };
                self.client(Event::Order(order));
            }
        }
        self.duel.wait(Duration::from_millis(1));
        self.client(Event::Tick);
        self.duel.server_step(Event::Tick);
    }

    fn grow(&mut self, blocks: u8) {
        for _ in 0..blocks % 40 {
            let number = self.chain.len().try_into().unwrap();
            self.chain.push(point(self.fork, number));
        }
    }

    fn tip(&self) -> Tip {
        self.chain.last().map_or(Tip::ORIGIN, |point| Tip {
            point: *point,
            block_no: self.chain.len() as u64 - 1,
        })
    }

    fn follow(&mut self) {
        let mut points: Vec<_> = self.copy.iter().rev().step_by(3).copied().collect();
        points.push(Point::Origin);
        self.offered.push(self.copy.clone());
        self.client(Event::Order(Order::Follow { points }));
    }

    fn client(&mut self, event: Event<Order>) {
        let facts = self.duel.client_step(event);
        self.told(facts);
    }

    fn down(&mut self) {
        let facts = self.duel.deliver_down();
        self.told(facts);
    }

    fn told(&mut self, facts: Vec<Fact>) {
        for fact in facts {
            match fact {
                Fact::Intersected { point, .. } => {
                    let offers = self.offered.iter().rev();
                    let mut known = offers.filter(|copy| copy.contains(&point));
                    self.copy = known.next().cloned().unwrap_or_default();
                    self.cut(point);
                    self.intersections += 1;
                    if self.intersections.is_multiple_of(2) && !self.copy.is_empty() {
                        let head = Order::Head {
                            point,
                            number: self.copy.len() as u64 - 1,
                        };
                        self.client(Event::Order(head));
                    }
                }
                Fact::Backward { point, .. } => self.cut(point),
                Fact::Forward { view, .. } => {
                    assert_eq!(view.block_no, self.copy.len() as u64);
                    self.copy.push(view.point);
                }
                Fact::CaughtUp => {}
                Fact::NotIntersected { .. } => panic!("the origin was offered"),
            }
        }
    }

    fn cut(&mut self, end: Point) {
        let known = self.copy.iter().position(|point| *point == end);
        assert!(known.is_some() || end == Point::Origin);
        self.copy.truncate(known.map_or(0, |at| at + 1));
    }

    fn up(&mut self) {
        if let Some(fact) = self.duel.deliver_up().pop() {
            assert!(self.question.is_none(), "one question at a time");
            self.question = Some(fact);
            self.awaited = false;
        }
    }

    fn common(&self) -> usize {
        let pairs = self.served.iter().zip(&self.chain);
        pairs.take_while(|(a, b)| a == b).count()
    }

    fn answer(&mut self) {
        let tip = self.tip();
        let order = match &self.question {
            None => return,
            Some(server::Fact::FindIntersect(points)) => {
                let on_chain = |p: &&Point| **p == Point::Origin || self.chain.contains(p);
                let point = *points.iter().find(on_chain).unwrap();
                let at = self.chain.iter().position(|p| *p == point);
                self.served = self.chain[..at.map_or(0, |at| at + 1)].to_vec();
                self.rollback = true;
                server::Order::Found { point, tip }
            }
            Some(server::Fact::RequestNext) => {
                let common = self.common();
                if self.rollback || common < self.served.len() {
                    self.rollback = false;
                    self.served.truncate(common);
                    let point = self.served.last().copied().unwrap_or_default();
                    server::Order::Backward { point, tip }
                } else if let Some(next) = self.chain.get(common) {
                    self.served.push(*next);
                    let hash = next.hash().unwrap().0;
                    server::Order::Forward {
                        header: header(hash[31], common as u64, 60),
                        tip,
                    }
                } else if self.awaited {
                    return;
                } else {
                    self.awaited = true;
                    self.duel.server_step(Event::Order(server::Order::Await));
                    return;
                }
            }
        };
        self.question = None;
        self.duel.server_step(Event::Order(order));
    }

    fn settle(&mut self) {
        for _ in 0..2_000 {
            self.up();
            self.answer();
            self.down();
        }
    }
}

proptest! {
    /// Whatever the order of deliveries, answers, growth, forks and orders: no fault, never more
    /// than the high mark outstanding, and in the end the follower has the server's chain.
    #[test]
    fn legal_exchanges_never_fault_and_the_copy_converges(
        ops in proptest::collection::vec(any::<u8>(), 1..300),
        low in 0_usize..20,
        more in 0_usize..20,
    ) {
        let marks = Marks { low, high: low + more };
        let mut world = World::new(marks);
        world.follow();
        for op in ops {
            world.act(op);
            prop_assert!(world.duel.client.half.outstanding() <= marks.high.max(1));
        }
        world.client(Event::Order(Order::Resume));
        world.grow(5);
        world.settle();
        prop_assert_eq!(&world.copy, &world.chain);
        prop_assert!(world.intersections > 0);
        // What is outstanding at the tip is answered when the chain changes.
        world.client(Event::Stop);
        for _ in 0..marks.high + 2 {
            world.grow(1);
            world.settle();
        }
        prop_assert_eq!(world.duel.ended, (true, true));
    }

    /// What only a client may say, and any other bytes that do not decode, fail the client in
    /// whatever state it is while the server may speak.
    #[test]
    fn illegal_messages_always_fault(
        ops in proptest::collection::vec(any::<u8>(), 1..60),
        bytes in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let mut world = World::new(Marks::default());
        world.follow();
        for op in ops {
            world.act(op);
        }
        world.client(Event::Order(Order::Resume));
        prop_assume!(world.duel.client.half.awaits().is_some());
        let bytes = Bytes::from(bytes);
        let states = [CAN_AWAIT, MUST_REPLY, INTERSECT];
        let illegal = states.iter().all(|state| ChainSync::decode(*state, &bytes).is_err());
        let wrong = [Message::RequestNext, Message::Done].map(|m| encode::<ChainSync>(&m));
        for bytes in wrong.into_iter().chain(illegal.then_some(bytes)) {
            let out = world.duel.client.clone().step(Event::Received(bytes));
            prop_assert!(matches!(out[..], [Action::Failed(Fault::Decode(_))]));
        }
    }
}

#[test]
fn an_await_reply_where_an_answer_must_come_is_a_fault() {
    let mut rig = following(5);
    rig.receive::<ChainSync>(&Message::AwaitReply);
    let out = rig.receive::<ChainSync>(&Message::AwaitReply);
    let fault = Fault::Decode(DecodeError::Label { label: 1 });
    assert_eq!(out, [Action::Failed(fault)]);
}
