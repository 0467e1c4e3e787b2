//! The serving side by hand.

use alloc::{vec, vec::Vec};

use super::world::{Bench, Block};
use crate::{
    base::{Point, ProtocolId, Serial, Ticket, Tip},
    chain::{Action, Answer, Event, Order, Question},
    proto::{block_fetch, chain_sync::server, tip_sample},
};

fn read(bench: &mut Bench, conn: u64) -> server::Order {
    let out = bench.feed(Event::ChainServe(Serial(conn), server::Fact::RequestNext));
    told(&out, conn).pop().expect("an answer")
}

fn told(actions: &[Action], conn: u64) -> Vec<server::Order> {
    let order = |action: &Action| match action {
        Action::Order(to, Order::ChainServe(order)) if *to == Serial(conn) => Some(order.clone()),
        _ => None,
    };
    actions.iter().filter_map(order).collect()
}

fn forward(block: &Block, tip: &Block) -> server::Order {
    server::Order::Forward {
        header: block.header(),
        tip: tip.tip(),
    }
}

fn backward(point: Point, tip: &Block) -> server::Order {
    server::Order::Backward {
        point,
        tip: tip.tip(),
    }
}

#[test]
fn a_follower_reads_from_the_origin_and_waits_at_the_tip() {
    let line = Block::line(None, 1, 3);
    let mut bench = Bench::new(|_| {});
    bench.extend(&line[..2]);
    assert_eq!(read(&mut bench, 7), backward(Point::Origin, &line[1]));
    assert_eq!(read(&mut bench, 7), forward(&line[0], &line[1]));
    assert_eq!(read(&mut bench, 7), forward(&line[1], &line[1]));
    assert_eq!(read(&mut bench, 7), server::Order::Await);
    let out = bench.extend(&line[2..]);
    assert_eq!(told(&out, 7), [forward(&line[2], &line[2])]);
    // It is told once, and again only when it asks.
    let more = Block::line(Some(&line[2]), 10, 1);
    assert!(told(&bench.extend(&more), 7).is_empty());
    assert_eq!(read(&mut bench, 7), forward(&more[0], &more[0]));
    assert_eq!(
        (bench.chain.served().headers, bench.chain.served().blocks),
        (4, 0)
    );
}

#[test]
fn the_first_point_in_the_followers_order_is_found() {
    let line = Block::line(None, 1, 6);
    let side = Block::line(Some(&line[2]), 50, 2);
    let mut bench = Bench::new(|_| {});
    bench.extend(&line);
    bench.extend(&side);
    let wrong_slot = Point::Block {
        slot: 1,
        hash: line[4].hash(),
    };
    let rows: Vec<(Vec<Point>, Option<Point>)> = vec![
        (vec![], None),
        (vec![side[1].point()], None),
        (vec![wrong_slot], None),
        (
            vec![line[1].point(), line[4].point()],
            Some(line[1].point()),
        ),
        (
            vec![side[0].point(), line[2].point()],
            Some(line[2].point()),
        ),
        (vec![Point::Origin, line[5].point()], Some(Point::Origin)),
    ];
    for (points, expected) in rows {
        let fact = server::Fact::FindIntersect(points);
        let out = bench.feed(Event::ChainServe(Serial(7), fact));
        let tip = line[5].tip();
        match expected {
            Some(point) => {
                assert_eq!(told(&out, 7), [server::Order::Found { point, tip }]);
                assert_eq!(read(&mut bench, 7), backward(point, &line[5]));
            }
            None => assert_eq!(told(&out, 7), [server::Order::NotFound { tip }]),
        }
    }
}

#[test]
fn an_anchored_chain_is_found_at_its_anchor_and_at_the_origin() {
    let line = Block::line(None, 1, 6);
    let start = crate::chain::Start::Anchor(line[2].point());
    for point in [line[2].point(), Point::Origin] {
        let mut bench = Bench::new(|config| config.start = start);
        bench.extend(&line[3..]);
        let fact = server::Fact::FindIntersect(vec![point]);
        let out = bench.feed(Event::ChainServe(Serial(7), fact));
        let tip = line[5].tip();
        assert_eq!(told(&out, 7), [server::Order::Found { point, tip }]);
        assert_eq!(read(&mut bench, 7), backward(point, &line[5]));
        assert_eq!(read(&mut bench, 7), forward(&line[3], &line[5]));
    }
}

#[test]
fn a_switch_takes_followers_back_to_the_newest_common_point() {
    let line = Block::line(None, 1, 5);
    let side = Block::line(Some(&line[1]), 50, 4);
    let mut bench = Bench::new(|_| {});
    bench.extend(&line);
    for (conn, headers) in [(1, 5), (2, 2), (3, 1), (4, 5)] {
        for _ in 0..=headers {
            read(&mut bench, conn);
        }
    }
    assert_eq!(read(&mut bench, 4), server::Order::Await);
    let out = bench.extend(&side);
    let tip = &side[3];
    assert_eq!(told(&out, 4), [backward(line[1].point(), tip)]);
    assert_eq!(read(&mut bench, 4), forward(&side[0], tip));
    assert_eq!(read(&mut bench, 1), backward(line[1].point(), tip));
    assert_eq!(read(&mut bench, 1), forward(&side[0], tip));
    assert_eq!(read(&mut bench, 2), forward(&side[0], tip));
    assert_eq!(read(&mut bench, 3), forward(&line[1], tip));
}

/// A range is asked of us; what follows.
fn fetch(bench: &mut Bench, conn: u64, from: Point, to: Point) -> Vec<Action> {
    let fact = block_fetch::server::Fact::Requested { from, to };
    bench.feed(Event::BlockServe(Serial(conn), fact))
}

fn sent(actions: &[Action]) -> Vec<block_fetch::server::Order> {
    let order = |action: &Action| match action {
        Action::Order(_, Order::BlockServe(order)) => Some(order.clone()),
        _ => None,
    };
    actions.iter().filter_map(order).collect()
}

fn loads(actions: &[Action]) -> Vec<(Ticket, Vec<Point>)> {
    let load = |action: &Action| match action {
        Action::Ask(ticket, Question::Load(points)) => Some((*ticket, points.clone())),
        _ => None,
    };
    actions.iter().filter_map(load).collect()
}

fn points(blocks: &[Block]) -> Vec<Point> {
    blocks.iter().map(Block::point).collect()
}

fn loaded(bench: &mut Bench, ticket: Ticket, blocks: &[Block]) -> Vec<Action> {
    let bodies = blocks.iter().map(Block::body).collect();
    bench.feed(Event::Answer(ticket, Answer::Loaded(bodies)))
}

#[test]
fn a_range_is_streamed_window_by_window() {
    let line = Block::line(None, 1, 7);
    let mut bench = Bench::new(|config| config.load_max = 3);
    bench.extend(&line);
    let mut out = fetch(&mut bench, 7, line[0].point(), line[6].point());
    let mut orders = Vec::new();
    for window in line.chunks(3) {
        let asked = loads(&out);
        assert_eq!(asked.len(), 1);
        assert_eq!(asked[0].1, points(window));
        out = loaded(&mut bench, asked[0].0, window);
        orders.extend(sent(&out));
    }
    assert_eq!(bench.chain.served().blocks, 7);
    let mut expected = vec![block_fetch::server::Order::Start];
    let blocks = line
        .iter()
        .map(|b| block_fetch::server::Order::Block(b.body()));
    expected.extend(blocks);
    expected.push(block_fetch::server::Order::Done);
    assert_eq!(orders, expected);
    assert!(loads(&out).is_empty());
    assert_eq!(bench.chain.questions(), 0);
}

#[test]
fn a_window_ends_with_the_body_that_crosses_its_bytes() {
    let line = Block::line(None, 1, 7);
    let mut bench = Bench::new(|config| config.load_bytes_max = 5_000);
    bench.extend(&line);
    let out = fetch(&mut bench, 7, line[1].point(), line[6].point());
    assert_eq!(loads(&out)[0].1, points(&line[1..4]));
}

#[test]
fn a_range_that_is_not_here_is_refused() {
    let line = Block::line(None, 1, 6);
    let side = Block::line(Some(&line[2]), 50, 2);
    let other = Block::line(None, 90, 1);
    let mut bench = Bench::new(|_| {});
    bench.extend(&line);
    bench.extend(&side);
    let announced = Block::line(Some(&line[5]), 70, 2);
    bench.follow(1, line[5].point());
    bench.forward(1, &announced);
    let rows = [
        (line[0], line[5], true),
        (line[3], line[3], true),
        (side[0], side[1], true),
        (line[1], side[1], true),
        (line[4], line[3], false),
        (line[3], side[0], false),
        (side[0], line[5], false),
        (line[3], side[1], false),
        (other[0], line[5], false),
        (line[0], other[0], false),
        (line[5], announced[0], false),
        (announced[0], announced[1], false),
    ];
    for (from, to, here) in rows {
        let out = fetch(&mut bench, 7, from.point(), to.point());
        let refused = sent(&out) == [block_fetch::server::Order::NoBlocks];
        assert_eq!((refused, loads(&out).len()), (!here, usize::from(here)));
        if let Some((ticket, points)) = loads(&out).pop() {
            assert_eq!(points.first(), Some(&from.point()));
            assert_eq!(points.last(), Some(&to.point()));
            let bodies = points.iter().map(|_| line[0].body()).collect();
            let out = bench.feed(Event::Answer(ticket, Answer::Loaded(bodies)));
            assert_eq!(sent(&out).len(), points.len() + 2);
        }
    }
    for (from, to) in [
        (Point::Origin, line[2].point()),
        (line[2].point(), Point::Origin),
        (Point::Origin, Point::Origin),
    ] {
        let out = fetch(&mut bench, 7, from, to);
        assert_eq!(sent(&out), [block_fetch::server::Order::NoBlocks]);
    }
}

#[test]
fn a_range_is_streamed_to_its_end_across_a_switch() {
    let line = Block::line(None, 1, 6);
    let side = Block::line(Some(&line[1]), 50, 5);
    let mut bench = Bench::new(|config| config.load_max = 2);
    bench.extend(&line);
    let out = fetch(&mut bench, 7, line[0].point(), line[5].point());
    bench.extend(&side);
    assert_eq!(bench.chain.tip(), side[4].tip());
    let (mut ticket, _) = loads(&out)[0];
    let mut streamed = Vec::new();
    for window in line.chunks(2) {
        let out = loaded(&mut bench, ticket, window);
        streamed.extend(sent(&out));
        if let Some((next, _)) = loads(&out).pop() {
            ticket = next;
        }
    }
    assert_eq!(streamed.len(), 8);
    assert_eq!(streamed.last(), Some(&block_fetch::server::Order::Done));
}

#[test]
fn bodies_that_are_missing_end_the_range() {
    let line = Block::line(None, 1, 4);
    let mut bench = Bench::new(|config| config.load_max = 2);
    bench.extend(&line);
    let out = fetch(&mut bench, 7, line[0].point(), line[3].point());
    let out = loaded(&mut bench, loads(&out)[0].0, &line[..1]);
    assert_eq!(sent(&out), [block_fetch::server::Order::NoBlocks]);
    let out = fetch(&mut bench, 7, line[0].point(), line[3].point());
    let out = loaded(&mut bench, loads(&out)[0].0, &line[..2]);
    assert_eq!(sent(&out).len(), 3);
    let out = loaded(&mut bench, loads(&out)[0].0, &[]);
    assert_eq!(sent(&out), [block_fetch::server::Order::Done]);
}

#[test]
fn a_full_egress_holds_the_next_window_back() {
    let line = Block::line(None, 1, 6);
    let mut bench = Bench::new(|config| config.load_max = 2);
    bench.extend(&line);
    let out = fetch(&mut bench, 7, line[0].point(), line[5].point());
    bench.feed(Event::BlockServeFull(Serial(7)));
    let out = loaded(&mut bench, loads(&out)[0].0, &line[..2]);
    assert_eq!((sent(&out).len(), loads(&out).len()), (3, 0));
    let out = bench.feed(Event::BlockServeRoom(Serial(7)));
    assert_eq!(loads(&out)[0].1, points(&line[2..4]));
    assert!(loads(&bench.feed(Event::BlockServeRoom(Serial(7)))).is_empty());
}

#[test]
fn what_a_stopped_half_had_asked_is_void() {
    let line = Block::line(None, 1, 2);
    let mut bench = Bench::new(|_| {});
    bench.extend(&line);
    let out = fetch(&mut bench, 7, line[0].point(), line[1].point());
    let stopped = Event::ServeStopped(Serial(7), ProtocolId::BLOCK_FETCH);
    bench.feed(stopped);
    assert!(sent(&loaded(&mut bench, loads(&out)[0].0, &line)).is_empty());
    for _ in 0..3 {
        read(&mut bench, 7);
    }
    assert_eq!(read(&mut bench, 7), server::Order::Await);
    bench.feed(Event::ServeStopped(Serial(7), ProtocolId::CHAIN_SYNC));
    let more = Block::line(Some(&line[1]), 10, 1);
    assert!(told(&bench.extend(&more), 7).is_empty());
    // Started again, it begins at the origin.
    assert_eq!(read(&mut bench, 7), backward(Point::Origin, &more[0]));
}

#[test]
fn ranges_wait_for_a_question_to_have_a_place() {
    let line = Block::line(None, 1, 2);
    let mut bench = Bench::new(|config| config.tickets_max = 4);
    bench.extend(&line);
    let mut asked = Vec::new();
    for conn in 1..=3 {
        let out = fetch(&mut bench, conn, line[0].point(), line[1].point());
        asked.extend(loads(&out));
    }
    assert_eq!(asked.len(), 1);
    let mut served = 0;
    while let Some((ticket, _)) = asked.pop() {
        let out = loaded(&mut bench, ticket, &line);
        served += sent(&out).len();
        asked.extend(loads(&out));
    }
    assert_eq!(served, 12);
}

#[test]
fn tips_are_told_from_the_slot_asked_for() {
    let line = Block::line(None, 1, 5);
    let mut bench = Bench::new(|_| {});
    bench.extend(&line[..1]);
    let ask = |bench: &mut Bench, conn: u64, count, slot| {
        let fact = tip_sample::server::Fact::Asked { count, slot };
        bench.feed(Event::TipTell(Serial(conn), fact))
    };
    let tips = |actions: &[Action], conn: u64| -> Vec<Tip> {
        let tip = |action: &Action| match action {
            Action::Order(to, Order::TipTell(tip_sample::server::Order::Tip(tip)))
                if *to == Serial(conn) =>
            {
                Some(*tip)
            }
            _ => None,
        };
        actions.iter().filter_map(tip).collect()
    };
    assert_eq!(tips(&ask(&mut bench, 1, 2, 0), 1), [line[0].tip()]);
    assert!(ask(&mut bench, 2, 2, line[2].slot()).is_empty());
    let mut out = Vec::new();
    for block in &line[1..] {
        out.extend(bench.extend(&[*block]));
    }
    assert_eq!(tips(&out, 1), [line[1].tip()]);
    assert_eq!(tips(&out, 2), [line[2].tip(), line[3].tip()]);
}
