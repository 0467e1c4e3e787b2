//! Every bound is reached and held (the invariants are checked after every step).

use alloc::{vec, vec::Vec};

use bytes::Bytes;

use super::{
    txs,
    world::{Bench, Block, World, judged, misdeeds, requests},
};
use crate::{
    base::{Point, Serial},
    chain::{Action, Config, Event, Notice, Verdict},
    proto::{block_fetch::client::Fact as Fetched, chain_sync::server},
};

#[test]
fn the_oldest_headers_are_forgotten_but_never_the_last_k() {
    let line = Block::line(None, 1, 100);
    let mut bench = Bench::new(|config| (config.headers_max, config.k) = (20, 8));
    bench.follow(5, Point::Origin);
    let mut out = Vec::new();
    for block in &line {
        out.extend(bench.extend(&[*block]));
    }
    assert_eq!(bench.chain.headers(), 20);
    assert_eq!(bench.chain.tip(), line[99].tip());
    // Who was left behind is looked for anew later, at what is left.
    assert!(out.contains(&Action::Notice(Notice::NoIntersection(Serial(5)))));
    let find = |point| server::Fact::FindIntersect(vec![point]);
    let rows = [
        (line[79].point(), true),
        (line[80].point(), true),
        (line[78].point(), false),
        (Point::Origin, false),
    ];
    for (point, found) in rows {
        let out = bench.feed(Event::ChainServe(Serial(7), find(point)));
        let order = crate::chain::Order::ChainServe(server::Order::NotFound {
            tip: line[99].tip(),
        });
        assert_eq!(out != [Action::Order(Serial(7), order)], found);
    }
}

#[test]
fn a_follower_left_behind_hears_of_nothing_new() {
    let line = Block::line(None, 1, 60);
    let mut bench = Bench::new(|config| (config.headers_max, config.k) = (20, 8));
    bench.extend(&line[..10]);
    let next = |bench: &mut Bench| {
        let fact = server::Fact::RequestNext;
        let out = bench.feed(Event::ChainServe(Serial(7), fact));
        out.last().cloned()
    };
    for _ in 0..4 {
        next(&mut bench);
    }
    bench.extend(&line[10..]);
    let order = crate::chain::Order::ChainServe(server::Order::Await);
    assert_eq!(next(&mut bench), Some(Action::Order(Serial(7), order)));
    let more = Block::line(Some(&line[59]), 90, 2);
    let told = |action: &Action| matches!(action, Action::Order(Serial(7), _));
    assert!(!bench.extend(&more).iter().any(told));
}

#[test]
fn a_peer_that_goes_back_below_what_is_left_is_not_blamed() {
    let line = Block::line(None, 1, 60);
    for (head, forgiven) in [(42, true), (55, false)] {
        let mut bench = Bench::new(|config| (config.headers_max, config.k) = (20, 8));
        bench.extend(&line);
        bench.follow(1, line[head].point());
        let out = bench.backward(1, line[37].point());
        let lost = out.contains(&Action::Notice(Notice::NoIntersection(Serial(1))));
        assert_eq!((lost, misdeeds(&out).is_empty()), (forgiven, forgiven));
    }
}

#[test]
fn branches_beside_what_is_forgotten_go_with_it() {
    let line = Block::line(None, 1, 60);
    let mut bench = Bench::new(|config| (config.headers_max, config.k) = (24, 8));
    bench.extend(&line[..10]);
    for fork in 2..8_u64 {
        let at = usize::try_from(fork).unwrap();
        bench.extend(&Block::line(Some(&line[at]), 100 * fork, 2));
    }
    assert_eq!(bench.chain.headers(), 22);
    bench.extend(&line[10..]);
    assert_eq!(bench.chain.headers(), 24);
    assert_eq!(bench.chain.tip(), line[59].tip());
}

#[test]
fn headers_beyond_the_maximum_are_refused_and_the_peer_followed_anew() {
    let line = Block::line(None, 1, 40);
    let mut bench = Bench::new(|config| (config.headers_max, config.k) = (16, 100));
    bench.follow(1, Point::Origin);
    let out = bench.forward(1, &line);
    assert!(out.contains(&Action::Notice(Notice::NoIntersection(Serial(1)))));
    assert!(bench.chain.headers() <= 16);
}

#[test]
fn questions_for_bodies_have_a_place_before_they_are_asked_for() {
    let line = Block::line(None, 1, 60);
    let mut bench = Bench::new(|config| config.tickets_max = 16);
    bench.follow(1, Point::Origin);
    bench.forward(1, &line);
    // Twelve places are for bodies; nothing is asked for while less than three are free.
    assert_eq!(bench.chain.bodies_due(), 10);
    let mut asked = Vec::new();
    for block in &line[..10] {
        asked.extend(bench.batch(1, &[*block]));
    }
    assert_eq!((asked.len(), bench.chain.bodies_due()), (10, 0));
    let (ticket, _) = asked.remove(0);
    let out = bench.verdict(ticket, Verdict::Kept);
    assert_eq!(requests(&out, 1), [(line[10].point(), line[12].point())]);
    let mut next = 10;
    while let Some((ticket, _)) = asked.pop() {
        bench.verdict(ticket, Verdict::Kept);
        while bench.chain.bodies_due() > 0 {
            let body = Bytes::from_static(b"x");
            let out = bench.fetched(1, Fetched::Block(body));
            asked.extend(judged(&out));
            next += 1;
            if (next - 10) % 3 == 0 || next == 60 {
                bench.fetched(1, Fetched::Done);
            }
        }
    }
    assert_eq!(next, 60);
    assert_eq!(bench.chain.tip(), line[59].tip());
}

#[test]
fn more_peers_than_the_maximum_are_left_alone() {
    let mut bench = Bench::new(|config| config.peers_max = 2);
    for conn in 1..=2 {
        assert!(!bench.feed(Event::Follow(Serial(conn))).is_empty());
    }
    assert!(bench.feed(Event::Follow(Serial(3))).is_empty());
    bench.feed(Event::Gone(Serial(1)));
    assert!(!bench.feed(Event::Follow(Serial(3))).is_empty());
    let next = server::Fact::RequestNext;
    for (conn, served) in [(11, true), (12, true), (13, false)] {
        let out = bench.feed(Event::ChainServe(Serial(conn), next.clone()));
        assert_eq!(!out.is_empty(), served);
    }
}

#[test]
fn the_oldest_transaction_ids_are_forgotten() {
    let mut bench = Bench::new(|config| config.txs_max = 4);
    for n in 1..=9 {
        txs::submit(&mut bench, n);
    }
    assert_eq!(txs::want(&mut bench, 1, false, 20), [[6, 7, 8, 9]]);
    // As many may be due.
    let wanted = txs::announce(&mut bench, 2, &[1, 2, 3, 4, 5, 6]);
    assert_eq!(wanted.len(), 4);
}

#[test]
fn a_small_index_still_carries_a_long_chain_over_two_hops() {
    let config = Config {
        k: 8,
        headers_max: 48,
        candidate_max: 6,
        tickets_max: 8,
        load_max: 2,
        ..Config::default()
    };
    let mut world = World::new(3, &config);
    for (client, server) in [(1, 0), (2, 1), (0, 1), (1, 2)] {
        world.link(client, server);
    }
    let mut most = 0;
    for round in 0..100 {
        // A fork now and then, shallow enough to be followed.
        let depth = if round % 5 == 4 { 3 } else { 0 };
        world.forge(0, depth, depth + 4);
        world.settle();
        most = most.max(world.nodes[2].chain.headers());
    }
    let tip = world.nodes[0].chain.tip();
    assert_eq!(tip.len(), 400);
    assert!(world.nodes.iter().all(|node| node.chain.tip() == tip));
    assert_eq!(most, 48);
    assert_eq!(world.seen.misdeeds, 0);
    assert!(world.seen.switches > 20);
}

#[test]
fn a_clone_goes_on_like_its_original() {
    let line = Block::line(None, 1, 12);
    let mut bench = Bench::new(|_| {});
    bench.follow(1, Point::Origin);
    bench.forward(1, &line[..6]);
    bench.batch(1, &line[..1]);
    let mut other = Bench::new(|_| {});
    other.chain = bench.chain.clone();
    other.now = bench.now;
    assert_eq!(bench.forward(1, &line[6..]), other.forward(1, &line[6..]));
    assert_eq!(bench.batch(1, &line[1..2]), other.batch(1, &line[1..2]));
    assert_eq!(bench.chain, other.chain);
}

#[cfg(feature = "tape")]
#[test]
fn a_restored_snapshot_goes_on_like_its_original() {
    let line = Block::line(None, 1, 12);
    let mut bench = Bench::new(|_| {});
    bench.follow(1, Point::Origin);
    bench.forward(1, &line[..6]);
    let asked = bench.batch(1, &line[..1]);
    let bytes = postcard::to_allocvec(&bench.chain).unwrap();
    let mut other = Bench::new(|_| {});
    other.chain = postcard::from_bytes(&bytes).unwrap();
    other.now = bench.now;
    assert_eq!(bench.chain, other.chain);
    let (ticket, _) = asked[0];
    let (a, b) = (
        bench.verdict(ticket, Verdict::Kept),
        other.verdict(ticket, Verdict::Kept),
    );
    assert_eq!((a.is_empty(), &a), (false, &b));
    assert_eq!(bench.forward(1, &line[6..]), other.forward(1, &line[6..]));
    assert_eq!(bench.chain, other.chain);
}
