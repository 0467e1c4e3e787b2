//! The following side by hand.

use alloc::{vec, vec::Vec};
use core::time::Duration;

use super::world::{Bench, Block, judged, misdeeds, requests, sync_orders};
use crate::{
    base::{Hash32, Point, Serial, Tip},
    chain::{Action, Event, Misdeed, Notice, Start, Verdict},
    proto::{block_fetch::client::Fact as Fetched, chain_sync::client},
};

/// A peer sends these blocks and the application keeps them all.
fn keep_all(bench: &mut Bench, conn: u64, blocks: &[Block]) {
    for (ticket, _) in bench.batch(conn, blocks) {
        bench.verdict(ticket, Verdict::Kept);
    }
}

#[test]
fn a_header_must_follow_the_one_before() {
    let genesis = Block::on(None, 1);
    let next = Block::on(Some(&genesis), 2);
    let change = |change: fn(&mut Block)| {
        let mut block = next;
        change(&mut block);
        block
    };
    let rows: Vec<(Block, Option<Misdeed>)> = vec![
        (next, None),
        (
            change(|b| b.view.prev = None),
            Some(Misdeed::NotConnected(next.hash())),
        ),
        (
            change(|b| b.view.prev = Some(Hash32([9; 32]))),
            Some(Misdeed::NotConnected(next.hash())),
        ),
        (
            change(|b| b.view.block_no = 0),
            Some(Misdeed::Order(next.hash())),
        ),
        (
            change(|b| b.view.block_no = 2),
            Some(Misdeed::Order(next.hash())),
        ),
        (
            change(|b| {
                b.view.point = Point::Block {
                    slot: 10,
                    hash: b.hash(),
                }
            }),
            Some(Misdeed::Order(next.hash())),
        ),
        (
            change(|b| b.view.point = Point::Origin),
            Some(Misdeed::Order(Hash32::default())),
        ),
    ];
    for (block, expected) in rows {
        let mut bench = Bench::new(|_| {});
        bench.follow(1, Point::Origin);
        bench.forward(1, &[genesis]);
        let out = bench.sync(
            1,
            client::Fact::Forward {
                header: next.header(),
                view: block.view,
                tip: next.tip(),
            },
        );
        let expected: Vec<_> = expected.map(|m| (Serial(1), m)).into_iter().collect();
        assert_eq!(misdeeds(&out), expected);
    }
}

#[test]
fn the_first_header_is_what_the_start_says() {
    let line = Block::line(None, 1, 5);
    let anchor = Start::Anchor(line[1].point());
    let rows = [
        (Start::Genesis, 0, true),
        (Start::Genesis, 1, false),
        (anchor, 2, true),
        (anchor, 3, false),
        (anchor, 0, false),
        (Start::TrustFirst, 0, true),
        (Start::TrustFirst, 3, true),
    ];
    for (start, first, fits) in rows {
        let mut bench = Bench::new(|config| config.start = start);
        let base = match start {
            Start::Anchor(point) => point,
            Start::Genesis | Start::TrustFirst => Point::Origin,
        };
        let asked = bench.feed(Event::Follow(Serial(1)));
        let points = vec![base];
        assert_eq!(
            sync_orders(&asked, 1),
            [client::Order::Follow { points }],
            "{start:?}"
        );
        bench.feed(Event::Unfollow(Serial(1)));
        bench.follow(1, base);
        let out = bench.forward(1, &line[first..=first]);
        assert_eq!(misdeeds(&out).is_empty(), fits, "{start:?} {first}");
        let out = bench.extend(&line[first..=first]);
        let tip = if fits { line[first].tip() } else { Tip::ORIGIN };
        assert_eq!(bench.chain.tip(), tip);
        assert_eq!(out.is_empty(), !fits);
    }
}

#[test]
fn the_points_offered_grow_apart_like_fibonacci_numbers() {
    let line = Block::line(None, 1, 30);
    let mut bench = Bench::new(|_| {});
    bench.extend(&line);
    let out = bench.feed(Event::Follow(Serial(1)));
    let mut points: Vec<Point> = [0, 1, 2, 3, 5, 8, 13, 21]
        .iter()
        .map(|offset| line[29 - offset].point())
        .collect();
    points.push(Point::Origin);
    assert_eq!(sync_orders(&out, 1), [client::Order::Follow { points }]);
}

#[test]
fn a_rollback_goes_to_a_point_of_the_peers_chain_and_no_deeper_than_k() {
    let line = Block::line(None, 1, 20);
    let fork = Block::line(Some(&line[17]), 50, 2);
    let rows = [
        (line[19].point(), Ok(19)),
        (line[10].point(), Ok(10)),
        (line[9].point(), Ok(9)),
        (line[8].point(), Err(())),
        (Point::Origin, Err(())),
        (fork[0].point(), Err(())),
    ];
    for (point, expected) in rows {
        let mut bench = Bench::new(|config| config.k = 10);
        bench.extend(&line[..15]);
        bench.extend(&fork[..0]);
        bench.follow(1, line[14].point());
        bench.forward(1, &line[15..]);
        bench.follow(2, line[14].point());
        bench.forward(2, &line[15..18]);
        bench.forward(2, &fork);
        let out = bench.backward(1, point);
        match expected {
            Ok(number) => {
                assert_eq!(
                    sync_orders(&out, 1),
                    [client::Order::Head { point, number }]
                );
            }
            Err(()) => assert_eq!(misdeeds(&out), [(Serial(1), Misdeed::Rollback(point))]),
        }
    }
}

#[test]
fn a_header_known_already_is_not_announced_again() {
    let line = Block::line(None, 1, 4);
    let mut bench = Bench::new(|_| {});
    let announced = |out: &[Action]| {
        let is = |a: &&Action| matches!(a, Action::Notice(Notice::Announced { .. }));
        out.iter().filter(is).count()
    };
    bench.follow(1, Point::Origin);
    bench.follow(2, Point::Origin);
    let out = bench.forward(1, &line);
    assert_eq!(announced(&out), 4);
    assert_eq!(announced(&bench.forward(2, &line)), 0);
    assert_eq!(bench.chain.headers(), 4);
}

#[test]
fn headers_that_nobody_has_any_more_are_forgotten() {
    let line = Block::line(None, 1, 4);
    let mut bench = Bench::new(|_| {});
    bench.follow(1, Point::Origin);
    bench.follow(2, Point::Origin);
    bench.forward(1, &line);
    bench.forward(2, &line[..2]);
    bench.feed(Event::Gone(Serial(1)));
    assert_eq!(bench.chain.headers(), 2);
    bench.backward(2, Point::Origin);
    // What is due from the peer is remembered until it has come.
    let left = bench.chain.headers();
    bench.feed(Event::Gone(Serial(2)));
    assert_eq!((left, bench.chain.headers()), (2, 0));
}

#[test]
fn verdicts_in_any_order_make_one_chain() {
    let line = Block::line(None, 1, 4);
    let mut bench = Bench::new(|_| {});
    bench.follow(1, Point::Origin);
    let mut out = bench.forward(1, &line);
    assert_eq!(requests(&out, 1)[0], (line[0].point(), line[0].point()));
    out = bench.forward(1, &[]);
    assert!(out.is_empty());
    let mut asked = Vec::new();
    for block in &line {
        asked.extend(bench.batch(1, &[*block]));
    }
    assert_eq!(asked.len(), 4);
    let mut tips = Vec::new();
    for at in [3, 1, 0, 2] {
        bench.verdict(asked[at].0, Verdict::Kept);
        tips.push(bench.chain.tip().len());
    }
    assert_eq!(tips, [0, 0, 2, 4]);
}

#[test]
fn a_tie_keeps_the_chain_we_have_and_a_longer_one_is_taken() {
    let line = Block::line(None, 1, 4);
    let side = Block::line(Some(&line[1]), 50, 3);
    let mut bench = Bench::new(|_| {});
    bench.extend(&line);
    bench.extend(&side[..2]);
    assert_eq!(bench.chain.tip(), line[3].tip());
    let out = bench.extend(&side[2..]);
    assert_eq!(bench.chain.tip(), side[2].tip());
    let changed = Notice::TipChanged {
        tip: side[2].tip(),
        common: line[1].point(),
        from: None,
    };
    assert!(out.contains(&Action::Notice(changed)));
}

#[test]
fn a_fork_deeper_than_k_is_not_followed() {
    let line = Block::line(None, 1, 20);
    let shallow = Block::line(Some(&line[9]), 50, 20);
    let deep = Block::line(Some(&line[8]), 80, 20);
    for (fork, from, followed) in [(&shallow, 9, true), (&deep, 8, false)] {
        let mut bench = Bench::new(|config| config.k = 10);
        bench.extend(&line);
        bench.follow(1, line[from].point());
        let out = bench.forward(1, fork);
        let lost = out.contains(&Action::Notice(Notice::NoIntersection(Serial(1))));
        assert_eq!(lost, !followed);
        assert_eq!(bench.chain.headers(), if followed { 40 } else { 20 });
        bench.extend(fork);
        let tip = if followed { fork[19] } else { line[19] };
        assert_eq!(bench.chain.tip(), tip.tip());
    }
}

#[test]
fn a_peer_without_a_common_point_is_asked_again_later() {
    let mut bench = Bench::new(|config| config.refollow = Duration::from_secs(3));
    bench.feed(Event::Follow(Serial(1)));
    let tip = Tip::ORIGIN;
    let out = bench.sync(1, client::Fact::NotIntersected { tip });
    assert!(out.contains(&Action::Notice(Notice::NoIntersection(Serial(1)))));
    let line = Block::line(None, 1, 1);
    let ignored = bench.chain.ignored();
    assert!(bench.forward(1, &line).is_empty());
    assert_eq!(bench.chain.ignored(), ignored + 1);
    let out = bench.tick();
    assert_eq!(bench.now.as_micros(), 3_000_000);
    let points = vec![Point::Origin];
    let orders = sync_orders(&out, 1);
    assert_eq!(
        orders,
        [client::Order::Follow { points }, client::Order::Resume]
    );
}

#[test]
fn a_peer_far_ahead_is_paused_and_resumed() {
    let line = Block::line(None, 1, 20);
    let mut bench = Bench::new(|config| config.candidate_max = 8);
    bench.follow(1, Point::Origin);
    let out = bench.forward(1, &line[..7]);
    assert!(sync_orders(&out, 1).is_empty());
    let out = bench.forward(1, &line[7..10]);
    assert_eq!(sync_orders(&out, 1), [client::Order::Pause]);
    let out = bench.extend(&line[..5]);
    assert!(sync_orders(&out, 1).is_empty());
    let out = bench.extend(&line[5..6]);
    assert_eq!(sync_orders(&out, 1), [client::Order::Resume]);
    // A client that does not pause is followed anew.
    let line = Block::line(None, 1, 40);
    let mut bench = Bench::new(|config| (config.candidate_max, config.k) = (8, 4));
    bench.follow(1, Point::Origin);
    let out = bench.forward(1, &line);
    assert!(out.contains(&Action::Notice(Notice::NoIntersection(Serial(1)))));
    assert!(bench.chain.headers() <= 20);
}

#[test]
fn a_range_is_fetched_from_one_peer_only() {
    let line = Block::line(None, 1, 3);
    let mut bench = Bench::new(|_| {});
    bench.follow(1, Point::Origin);
    bench.follow(2, Point::Origin);
    let out = bench.forward(1, &line);
    assert_eq!(requests(&out, 1).len(), 3);
    let out = bench.forward(2, &line);
    assert!(requests(&out, 2).is_empty());
    assert_eq!(bench.chain.bodies_due(), 3);
    // The peer is gone: the other one is asked for all in one range.
    let out = bench.feed(Event::Gone(Serial(1)));
    assert_eq!(requests(&out, 2), [(line[0].point(), line[2].point())]);
}

#[test]
fn only_longer_chains_are_fetched() {
    let line = Block::line(None, 1, 4);
    let side = Block::line(Some(&line[0]), 50, 4);
    let mut bench = Bench::new(|_| {});
    bench.extend(&line);
    bench.follow(1, line[0].point());
    let out = bench.forward(1, &side[..3]);
    assert!(requests(&out, 1).is_empty());
    let out = bench.forward(1, &side[3..]);
    assert_eq!(requests(&out, 1), [(side[0].point(), side[3].point())]);
    keep_all(&mut bench, 1, &side);
    assert_eq!(bench.chain.tip(), side[3].tip());
}

#[test]
fn a_peer_that_has_not_got_a_range_rests() {
    let line = Block::line(None, 1, 2);
    let mut bench = Bench::new(|_| {});
    bench.follow(1, Point::Origin);
    bench.forward(1, &line);
    let out = bench.fetched(1, Fetched::NoBlocks);
    assert!(requests(&out, 1).is_empty());
    let out = bench.tick();
    assert_eq!(bench.now.as_micros(), 1_000_000);
    assert_eq!(requests(&out, 1), [(line[0].point(), line[0].point())]);
    // The others are asked at once.
    bench.follow(2, Point::Origin);
    bench.forward(2, &line);
    let out = bench.fetched(1, Fetched::NoBlocks);
    assert_eq!(requests(&out, 2), [(line[1].point(), line[1].point())]);
    // What was not sent goes elsewhere too.
    let ends = line[0].point();
    let out = bench.fetched(
        1,
        Fetched::Refused {
            from: ends,
            to: ends,
        },
    );
    assert_eq!(requests(&out, 2), [(ends, ends)]);
    assert_eq!(bench.chain.bodies_due(), 2);
}

#[test]
fn a_batch_has_as_many_blocks_as_its_range() {
    let line = Block::line(None, 1, 2);
    let rows = [
        (0, true, Misdeed::TooFew),
        (2, false, Misdeed::TooMany),
        (3, false, Misdeed::TooMany),
    ];
    for (blocks, done, expected) in rows {
        let mut bench = Bench::new(|_| {});
        bench.follow(1, Point::Origin);
        bench.forward(1, &line[..1]);
        bench.fetched(1, Fetched::Started);
        let mut out = Vec::new();
        for _ in 0..blocks {
            out.extend(bench.fetched(1, Fetched::Block(line[0].body())));
        }
        if done {
            out.extend(bench.fetched(1, Fetched::Done));
        }
        assert_eq!(misdeeds(&out), [(Serial(1), expected)]);
        assert_eq!(bench.chain.bodies_due(), 0);
    }
    for fact in [
        Fetched::Done,
        Fetched::NoBlocks,
        Fetched::Block(line[0].body()),
    ] {
        let mut bench = Bench::new(|_| {});
        bench.follow(1, Point::Origin);
        let out = bench.fetched(1, fact);
        assert_eq!(misdeeds(&out), [(Serial(1), Misdeed::TooMany)]);
    }
}

#[test]
fn a_wrong_body_is_blamed_on_its_sender_and_fetched_elsewhere() {
    let line = Block::line(None, 1, 1);
    let mut bench = Bench::new(|_| {});
    bench.follow(1, Point::Origin);
    bench.forward(1, &line);
    bench.follow(2, Point::Origin);
    bench.forward(2, &line);
    let asked = bench.batch(1, &line);
    let out = bench.verdict(asked[0].0, Verdict::WrongBody);
    assert_eq!(misdeeds(&out), [(Serial(1), Misdeed::WrongBlock)]);
    assert!(requests(&out, 1).is_empty());
    assert_eq!(requests(&out, 2).len(), 1);
    keep_all(&mut bench, 2, &line);
    assert_eq!(bench.chain.tip(), line[0].tip());
}

#[test]
fn an_invalid_block_is_blamed_on_all_who_have_it() {
    let line = Block::line(None, 1, 3);
    let mut bench = Bench::new(|_| {});
    for conn in 1..=4 {
        bench.follow(conn, Point::Origin);
    }
    bench.forward(1, &line);
    bench.forward(2, &line[..2]);
    bench.forward(3, &line[..1]);
    let mut asked = bench.batch(1, &line[..1]);
    asked.extend(bench.batch(1, &line[1..2]));
    bench.verdict(asked[0].0, Verdict::Kept);
    let out = bench.verdict(asked[1].0, Verdict::Invalid);
    let blame = Misdeed::InvalidBlock(line[1].hash());
    assert_eq!(misdeeds(&out), [(Serial(1), blame), (Serial(2), blame)]);
    // It stays known: who comes with it later is blamed at once.
    let out = bench.forward(4, &line[..2]);
    assert_eq!(misdeeds(&out), [(Serial(4), blame)]);
    let out = bench.extend(&line[1..]);
    assert!(out.is_empty());
    assert_eq!(bench.chain.tip(), line[0].tip());
}

#[test]
fn a_block_that_could_not_be_judged_is_fetched_again_later() {
    let line = Block::line(None, 1, 3);
    let mut bench = Bench::new(|_| {});
    bench.follow(1, Point::Origin);
    bench.forward(1, &line[..1]);
    let asked = bench.batch(1, &line[..1]);
    let mut out = bench.verdict(asked[0].0, Verdict::Failed);
    out.extend(bench.forward(1, &line[1..]));
    assert!(requests(&out, 1).is_empty() && misdeeds(&out).is_empty());
    let out = bench.tick();
    assert_eq!(requests(&out, 1), [(line[0].point(), line[2].point())]);
    keep_all(&mut bench, 1, &line);
    assert_eq!(bench.chain.tip(), line[2].tip());
}

#[test]
fn bodies_in_flight_follow_the_marks_of_the_peers_distance() {
    let mut line = Block::line(None, 1, 60);
    for block in &mut line {
        block.view.body_bytes = 100_000;
    }
    // Round trip, blocks in flight at most (the one that crosses the mark included).
    let rows = [(None, 11), (Some(100), 4), (Some(2_000), 21)];
    for (round_trip, expected) in rows {
        let mut bench = Bench::new(|_| {});
        if let Some(ms) = round_trip {
            let took = Duration::from_millis(ms);
            bench.feed(Event::RoundTrip(Serial(1), took));
        }
        bench.follow(1, Point::Origin);
        bench.forward(1, &line);
        assert_eq!(bench.chain.bodies_due(), expected, "{round_trip:?}");
    }
    // It is asked for more only when the low mark is reached: 510,000 bytes.
    let mut bench = Bench::new(|_| {});
    bench.follow(1, Point::Origin);
    bench.forward(1, &line);
    let mut due = Vec::new();
    for block in &line[..7] {
        bench.batch(1, &[*block]);
        due.push(bench.chain.bodies_due());
    }
    assert_eq!(due, [10, 9, 8, 7, 6, 11, 10]);
}

#[test]
fn no_more_than_a_hundred_requests_are_in_flight() {
    let line = Block::line(None, 1, 120);
    let mut bench = Bench::new(|_| {});
    bench.follow(1, Point::Origin);
    // One by one, so that no range joins two of them.
    let out = bench.forward(1, &line);
    assert_eq!(requests(&out, 1).len(), 100);
    let asked = bench.batch(1, &line[..1]);
    assert_eq!(asked.len(), 1);
    assert_eq!(bench.chain.bodies_due(), 119);
}

#[test]
fn four_peers_are_fetched_from_at_once_by_default() {
    let mut line = Block::line(None, 1, 100);
    for block in &mut line {
        block.view.body_bytes = 500_000;
    }
    let mut bench = Bench::new(|_| {});
    let mut out = Vec::new();
    for conn in 1..=6 {
        bench.follow(conn, Point::Origin);
        out.extend(bench.forward(conn, &line));
    }
    let asked: Vec<u64> = (1..=6)
        .filter(|&conn| !requests(&out, conn).is_empty())
        .collect();
    assert_eq!(asked, [1, 2, 3, 4]);
    let out = bench.feed(Event::Unfollow(Serial(2)));
    assert!(!requests(&out, 5).is_empty() && requests(&out, 6).is_empty());
}

#[test]
fn events_of_connections_that_are_gone_change_nothing() {
    let line = Block::line(None, 1, 2);
    let mut bench = Bench::new(|_| {});
    bench.follow(1, Point::Origin);
    bench.forward(1, &line[..1]);
    let asked = bench.batch(1, &line[..1]);
    bench.feed(Event::Gone(Serial(1)));
    assert!(bench.forward(1, &line).is_empty());
    assert!(bench.fetched(1, Fetched::Block(line[0].body())).is_empty());
    assert!(judged(&bench.backward(1, Point::Origin)).is_empty());
    bench.feed(Event::Gone(Serial(1)));
    let out = bench.verdict(asked[0].0, Verdict::Invalid);
    assert!(misdeeds(&out).is_empty());
    let ignored = bench.chain.ignored();
    assert!(bench.verdict(asked[0].0, Verdict::Kept).is_empty());
    assert_eq!(bench.chain.ignored(), ignored + 1);
}
