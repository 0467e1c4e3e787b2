//! Whatever is told, in whatever order: no panic, every invariant, every law of machines.

use alloc::{
    collections::{BTreeSet, VecDeque},
    vec,
    vec::Vec,
};
use core::{cell::Cell, time::Duration};

use bytes::Bytes;
use proptest::{prelude::*, test_runner::TestRunner};

use super::world::{Bench, Block};
use crate::{
    base::{Instant, Machine, Point, ProtocolId, Serial, Ticket, Tip, TxId},
    chain::{Action, Answer, Event, Notice, Order, Question, Start, Verdict},
    proto::{
        block_fetch as bodies, chain_sync as headers, tip_sample as tips, tx_submission as txs,
    },
};

/// A trunk, branches, and blocks that fit nowhere.
fn universe() -> Vec<Block> {
    let trunk = Block::line(None, 1, 24);
    let mut all = trunk.clone();
    for (at, id) in [(3, 100), (7, 200), (11, 300), (12, 400)] {
        all.extend(Block::line(Some(&trunk[at]), id, 10));
    }
    all.extend(Block::line(None, 500, 3));
    all
}

#[derive(Clone, Copy, Debug)]
struct Draw {
    kind: u8,
    conn: u8,
    a: u8,
    b: u8,
}

/// What the peers have said and are asked, as far as they are honest.
#[derive(Default)]
struct Heads {
    head: [Option<Block>; 4],
    /// Blocks left of each range.
    ranges: [VecDeque<u64>; 4],
}

impl Heads {
    fn see(&mut self, blocks: &[Block], action: &Action) {
        if let Action::Order(conn, Order::BlockFetch(bodies::client::Order::Request { from, to })) =
            action
        {
            let number = |point| {
                let block = blocks.iter().find(|block| block.point() == point);
                block.unwrap().view.block_no
            };
            let count = number(*to) + 1 - number(*from);
            self.ranges[usize::try_from(conn.0).unwrap()].push_back(count);
        }
    }
}

/// What an honest peer's chain-sync would tell next, mostly.
fn honest(blocks: &[Block], heads: &mut Heads, draw: Draw) -> Event {
    let conn = Serial(u64::from(draw.conn % 4));
    let ranges = &mut heads.ranges[usize::from(draw.conn % 4)];
    let head = &mut heads.head[usize::from(draw.conn % 4)];
    let tip = Tip::ORIGIN;
    let fact = match draw.b % 24 {
        0 => {
            ranges.clear();
            return Event::Follow(conn);
        }
        16.. => {
            let fact = match ranges.front_mut() {
                None => return Event::Tick,
                Some(0) => bodies::client::Fact::Done,
                Some(left) => {
                    *left -= 1;
                    bodies::client::Fact::Block(Bytes::from_static(b"body"))
                }
            };
            if fact == bodies::client::Fact::Done {
                ranges.pop_front();
            }
            return Event::BlockFetch(conn, fact);
        }
        1..=3 => {
            *head = None;
            let point = Point::Origin;
            headers::client::Fact::Intersected { point, tip }
        }
        4 => {
            for _ in 0..draw.a % 4 {
                let prev = head.and_then(|head| head.view.prev);
                *head = blocks.iter().find(|b| Some(b.hash()) == prev).copied();
            }
            let point = head.map_or(Point::Origin, |head| head.point());
            headers::client::Fact::Backward { point, tip }
        }
        _ => {
            let prev = head.map(|head| head.hash());
            let next = blocks.iter().filter(|block| block.view.prev == prev);
            let next: Vec<&Block> = next.collect();
            let Some(&&next) = next.get(usize::from(draw.a) % next.len().max(1)) else {
                return Event::Tick;
            };
            *head = Some(next);
            headers::client::Fact::Forward {
                header: next.header(),
                view: next.view,
                tip: next.tip(),
            }
        }
    };
    Event::ChainSync(conn, fact)
}

#[expect(clippy::too_many_lines, reason = "one row an event")]
fn event(blocks: &[Block], draw: Draw) -> Event {
    let block = |n: u8| blocks[usize::from(n) % blocks.len()];
    let point = |n: u8| {
        if n == 255 {
            Point::Origin
        } else {
            block(n).point()
        }
    };
    let id = |n: u8| TxId([n % 12; 4].as_slice().into());
    let conn = Serial(u64::from(draw.conn % 4));
    let tip = Tip::ORIGIN;
    let (a, b) = (draw.a, draw.b);
    match (draw.kind / 8) % 25 {
        0 => Event::Follow(conn),
        1 if a < 60 => Event::Unfollow(conn),
        1 if a < 90 => Event::Gone(conn),
        1 => Event::Tick,
        2 => Event::ChainSync(
            conn,
            headers::client::Fact::Intersected {
                point: if b < 128 { Point::Origin } else { point(a) },
                tip,
            },
        ),
        3 if a < 30 => Event::ChainSync(conn, headers::client::Fact::NotIntersected { tip }),
        4..=7 if b < 200 => Event::Extend {
            header: block(a % 30).header(),
        },
        3..=7 => Event::ChainSync(
            conn,
            headers::client::Fact::Forward {
                header: block(a).header(),
                view: block(a).view,
                tip: block(b).tip(),
            },
        ),
        8 => Event::ChainSync(
            conn,
            headers::client::Fact::Backward {
                point: point(a),
                tip,
            },
        ),
        9 => Event::ChainServe(
            conn,
            headers::server::Fact::FindIntersect(vec![point(a), point(b)]),
        ),
        10 => Event::ChainServe(conn, headers::server::Fact::RequestNext),
        11 => Event::BlockFetch(conn, bodies::client::Fact::Started),
        12 | 13 => Event::BlockFetch(conn, bodies::client::Fact::Block(block(a).body())),
        14 => Event::BlockFetch(conn, bodies::client::Fact::Done),
        15 => Event::BlockFetch(
            conn,
            if a < 128 {
                bodies::client::Fact::NoBlocks
            } else {
                bodies::client::Fact::Refused {
                    from: point(a),
                    to: point(b),
                }
            },
        ),
        16 => Event::BlockServe(
            conn,
            bodies::server::Fact::Requested {
                from: point(if b < 8 { a } else { a % 6 }),
                to: point(b % 12),
            },
        ),
        17 if a < 128 => Event::BlockServeFull(conn),
        17 => Event::BlockServeRoom(conn),
        18 => Event::ServeStopped(conn, ProtocolId(u16::from(a % 9))),
        19 => Event::TxSupply(
            conn,
            if a < 128 {
                txs::client::Fact::IdsWanted {
                    blocking: a < 64,
                    acked: 0,
                    wanted: u16::from(b),
                }
            } else {
                txs::client::Fact::TxsWanted(vec![id(b)])
            },
        ),
        20 => Event::TxPull(
            conn,
            if a < 128 {
                txs::server::Fact::Announced(vec![(id(a), 3), (id(b), 4)])
            } else {
                txs::server::Fact::Arrived(vec![(id(b), Bytes::from_static(b"tx"))])
            },
        ),
        21 => Event::TipTell(
            conn,
            tips::server::Fact::Asked {
                count: u16::from(a % 4),
                slot: u64::from(b),
            },
        ),
        22 => Event::RoundTrip(conn, Duration::from_millis(u64::from(a) * 40)),
        23 => Event::Submit {
            id: id(a),
            bytes: 7,
        },
        _ => Event::Extend {
            header: block(a).header(),
        },
    }
}

/// An answer to one of the open questions, or to none.
fn answer(asked: &mut BTreeSet<Ticket>, draw: Draw) -> Event {
    let at = usize::from(draw.a) % asked.len().max(1);
    let ticket = asked.iter().nth(at).copied().unwrap_or(Ticket(u64::MAX));
    asked.remove(&ticket);
    let answer = match draw.b % 16 {
        0 => Answer::Verdict(Verdict::Invalid),
        1 => Answer::Verdict(Verdict::WrongBody),
        2 => Answer::Verdict(Verdict::Failed),
        3 => Answer::Txs(vec![Bytes::from_static(b"tx")]),
        4 => Answer::Taken(true),
        5 => Answer::Taken(false),
        6 | 7 => Answer::Loaded(vec![
            Bytes::from_static(b"body");
            usize::from(draw.conn % 4)
        ]),
        _ => Answer::Verdict(Verdict::Kept),
    };
    Event::Answer(ticket, answer)
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let draw = any::<(u8, u8, u8, u8)>().prop_map(|(kind, conn, a, b)| Draw { kind, conn, a, b });
    prop::collection::vec(draw, 1..500)
}

/// What the run must have seen at least once.
#[derive(Debug, Default)]
struct Marks {
    judged: Cell<u64>,
    loaded: Cell<u64>,
    switched: Cell<u64>,
    misdeeds: Cell<u64>,
    lost: Cell<u64>,
    paused: Cell<u64>,
    deep: Cell<u64>,
}

impl Marks {
    fn see(&self, action: &Action) {
        let mark = match action {
            Action::Ask(_, Question::Judge { .. }) => &self.judged,
            Action::Ask(_, Question::Load(_)) => &self.loaded,
            Action::Notice(Notice::TipChanged { tip, .. }) if tip.len() > 8 => &self.deep,
            Action::Notice(Notice::TipChanged { .. }) => &self.switched,
            Action::Notice(Notice::NoIntersection(_)) => &self.lost,
            Action::Misdeed(..) => &self.misdeeds,
            Action::Order(_, Order::ChainSync(headers::client::Order::Pause)) => &self.paused,
            _ => return,
        };
        mark.set(mark.get() + 1);
    }

    fn check(&self) {
        let all = [
            &self.judged,
            &self.loaded,
            &self.switched,
            &self.misdeeds,
            &self.lost,
            &self.paused,
            &self.deep,
        ];
        assert!(all.iter().all(|mark| mark.get() > 0), "{self:?}");
    }
}

/// One run; the laws are asserted in it.
fn run(draws: &[Draw], small: bool, trust: bool, marks: &Marks) {
    let blocks = universe();
    let mut bench = Bench::new(|config| {
        if small {
            (config.k, config.headers_max, config.candidate_max) = (4, 14, 5);
            (config.tickets_max, config.txs_max, config.peers_max) = (4, 5, 3);
        }
        if trust {
            config.start = Start::TrustFirst;
        }
    });
    let mut asked = BTreeSet::new();
    let mut heads = Heads::default();
    for &draw in draws {
        bench.now = Instant::from_millis(bench.now.as_micros() / 1_000 + u64::from(draw.b));
        let event = match draw.kind % 8 {
            0..=3 => honest(&blocks, &mut heads, draw),
            4 | 5 => answer(&mut asked, draw),
            _ => event(&blocks, draw),
        };
        let tick = event == Event::Tick;
        let early = bench.chain.next_deadline().is_none_or(|at| at > bench.now);
        let before = (tick && early).then(|| bench.chain.clone());
        let length = bench.chain.tip().len();
        let out = bench.feed(event);
        assert!(bench.chain.tip().len() >= length);
        if let Some(before) = before {
            assert!(out.is_empty() && bench.chain == before, "an early tick");
        }
        if tick {
            let next = bench.chain.next_deadline();
            assert!(next.is_none_or(|at| at > bench.now));
        }
        for action in out {
            marks.see(&action);
            heads.see(&blocks, &action);
            if let Action::Ask(ticket, _) = action {
                assert!(asked.insert(ticket), "a ticket twice");
            }
        }
        assert_eq!(asked.len(), bench.chain.questions());
    }
    for conn in 0..4 {
        bench.feed(Event::Gone(Serial(conn)));
    }
    assert_eq!(bench.chain.bodies_due(), 0);
    while let Some(ticket) = asked.pop_first() {
        bench.verdict(ticket, Verdict::Kept);
    }
    assert_eq!(bench.chain.questions(), 0);
}

#[test]
fn any_sequence_of_events_keeps_every_law() {
    let marks = Marks::default();
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(512)
    });
    runner
        .run(
            &(draws(), any::<bool>(), any::<bool>()),
            |(draws, small, trust)| {
                run(&draws, small, trust, &marks);
                Ok(())
            },
        )
        .unwrap();
    marks.check();
}
